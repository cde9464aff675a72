//! The state of the tables.

use super::Invocation;
use super::history::runs_table;
use crate::arguments::OutputFormat;
use crate::output;
use websessions_core::error::Error;
use websessions_core::insight::{self, Status, TableStatus};
use websessions_core::model;
use websessions_core::words::counted;

impl Invocation<'_> {
    pub(super) async fn status(&self) -> Result<(), Error> {
        let (modules, variables) = (model::modules(), self.variables());
        let status = match self.connect_if_there().await? {
            Ok(warehouse) => insight::status(&*warehouse, &modules, variables).await?,
            Err(absent) => {
                let dialect = self.configuration.backend.dialect();
                Status::of_nothing(format!("{absent} is not there"), &modules, variables, &dialect)
            }
        };
        for unknown in &status.unknown {
            output::warn(&format!("not known: {unknown}"));
        }
        match self.global.output {
            OutputFormat::Json => output::json(&status),
            OutputFormat::Text => output::data(&in_words(&status)),
        }
    }
}

fn in_words(status: &Status) -> String {
    let mut text = format!("{}\n", status.warehouse);
    if status.tables.iter().all(|table| !table.exists) {
        text.push_str("nothing ran here yet: no table of the model is there\n");
    }
    let waiting: Vec<&TableStatus> = status.tables.iter().filter(|table| table.waits && table.exists).collect();
    for table in &waiting {
        let rows = table.rows.unwrap_or(0);
        let reader = table.read_by.unwrap_or_default();
        text.push_str(&match rows {
            0 => format!("staged: nothing in {}\n", table.table),
            _ => format!("staged: {} in {}, for module {reader}\n", counted(rows, "row"), table.table),
        });
    }
    if let Some(step) = &status.failed_at {
        text.push_str(&format!(
            "the last run failed at {step}: mend it, then give the same command again; after 'run', {} with its flags continues there\n",
            output::pasteable("resume")
        ));
    }
    text.push_str(&match &status.lock {
        None => "lock: nobody holds it\n".to_owned(),
        Some(words) if status.lock_expired => format!("lock: left by {words}; the next run takes it over\n"),
        Some(words) => format!("lock: held by {words}\n"),
    });
    if !status.scratch_tables.is_empty() {
        text.push_str(&format!(
            "tables of a run that is under way, failed, or kept them: {}\n",
            status.scratch_tables.len()
        ));
    }
    let there = status.tables.iter().filter(|table| table.exists);
    let rows: Vec<[String; 5]> = there
        .map(|table| {
            [
                table.table.clone(),
                table.rows.unwrap_or(0).to_string(),
                table.bytes.and_then(|bytes| u64::try_from(bytes).ok()).map(output::bytes).unwrap_or_default(),
                table.oldest.clone().unwrap_or_default(),
                table.newest.clone().unwrap_or_default(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&output::table(["table", "rows", "size", "oldest (UTC)", "newest (UTC)"], rows));
    }
    if !status.runs.is_empty() {
        text.push_str(&runs_table(&status.runs));
    }
    text
}

//! What a run would do to production.

use super::Invocation;
use crate::arguments::{OutputFormat, quoted};
use crate::{hints, output};
use serde_json::{Value, json};
use std::path::PathBuf;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::insight::{Insight, Preview};
use websessions_core::model::{self, sessions};
use websessions_core::plan::{Phase, Statement, Unit};
use websessions_core::warehouse::Warehouse;
use websessions_core::words::counted;

/// What a run would read, as far as the warehouse can tell before it runs.
struct Estimates {
    bytes: u64,
    price: f64,
    unknown: usize,
}

/// Files are taken in by changes that stay: what a run of them would do is known once they are kept and staged.
pub(super) fn of_files(files: &[PathBuf]) -> Error {
    let files: Vec<String> = files.iter().map(|file| quoted(&file.to_string_lossy())).collect();
    let [load, preview, run] = [&format!("load {}", files.join(" ")), "preview", "run"].map(output::pasteable);
    Error::Configuration {
        message: "preview is about the page views that are staged, not about files".to_owned(),
        hint: Some(format!(
            "{load} keeps their page views and stages their sessions, without computing any; then {preview} says what {run} does"
        )),
    }
}

impl Invocation<'_> {
    pub(super) async fn preview(&self, samples: u32, limit: Option<f64>) -> Result<(), Error> {
        if let Some(source) = &self.variables().page_views_from {
            let load = output::pasteable("load");
            output::warn(&format!(
                "page views of {source} that are not staged yet are not in this preview: {load} stages them"
            ));
        }
        let warehouse = self.connect().await?;
        let variables = self.variables_of(&sessions::module());
        let insight = Insight::new(&model::modules(), &variables, &warehouse.dialect());
        let preview = insight.preview(&*warehouse, samples).await.map_err(|error| self.of_what_it_computes(error))?;
        let Some(preview) = preview else {
            return match self.global.output {
                OutputFormat::Json => output::json(&Value::Null),
                OutputFormat::Text => output::data("nothing was ever staged: a run has nothing to read\n"),
            };
        };
        let estimates = self.estimates(&*warehouse).await?;
        let (changes, drops) = preview.shares();
        match self.global.output {
            OutputFormat::Json => {
                let mut value = serde_json::to_value(&preview).unwrap_or(Value::Null);
                value["changes_in_percent"] = json!(changes);
                value["drops_in_percent"] = json!(drops);
                value["estimate"] = estimates.as_ref().map_or(Value::Null, |known| {
                    json!({ "bytes_processed": known.bytes, "price": known.price, "unknown_statements": known.unknown })
                });
                output::json(&value)?;
            }
            OutputFormat::Text => output::data(&in_words(&preview, estimates.as_ref()))?,
        }
        match limit {
            Some(limit) if changes > limit || drops > limit => Err(Error::Check {
                message: format!(
                    "a run would change {changes:.2}% of production's rows and drop {drops:.2}% of the input's sessions: more than {limit}%"
                ),
                hint: "look at the columns and samples above; --fail-over sets the limit".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// An error, with what to do if it may be that of columns of one's own: a preview computes all of them.
    fn of_what_it_computes(&self, error: Error) -> Error {
        let columns = self.variables().columns.may_fail(None);
        match error {
            Error::Warehouse { context, source } if hints::may_be_of_a_value(&source) && !columns.is_empty() => {
                Error::Warehouse { context, source: source.with_hint(hints::own_columns(&columns)) }
            }
            other => other,
        }
    }

    /// What main would read; none where the warehouse gives no estimates.
    async fn estimates(&self, warehouse: &dyn Warehouse) -> Result<Option<Estimates>, Error> {
        let dialect = warehouse.dialect();
        let job = self.job(&sessions::module(), Phase::Main, &dialect);
        let mut sum = Estimates { bytes: 0, price: 0.0, unknown: 0 };
        for (step, unit) in job.plan().units() {
            let statements = match unit {
                Unit::Block { purpose, statements } => {
                    vec![Statement::new(purpose.clone(), dialect.block(statements))]
                }
                _ => unit.statements().to_vec(),
            };
            for statement in &statements {
                match warehouse.estimate(statement).await {
                    Ok(Some(known)) => {
                        sum.bytes += known.bytes_processed;
                        sum.price += known.price;
                    }
                    Ok(None) => sum.unknown += 1,
                    Err(error) if error.kind == WarehouseErrorKind::Unsupported => return Ok(None),
                    Err(source) => {
                        let context = format!("can't estimate {}: {}", step.name, statement.purpose);
                        return Err(Error::Warehouse { context, source });
                    }
                }
            }
        }
        Ok(Some(sum))
    }
}

fn in_words(preview: &Preview, estimates: Option<&Estimates>) -> String {
    let count = |what: &str, count: i64| [what.to_owned(), count.to_string()];
    let mut rows = vec![
        count("page views staged", preview.page_views),
        count("sessions computed", preview.sessions),
        count("  to insert", preview.inserted),
        count("  to replace, changed", preview.changed),
        count("    with fewer page views than before", preview.shrunk),
        count("  to replace, unchanged", preview.unchanged),
        count("  to replace, in several rows", preview.in_several_rows),
        count("sessions dropped", preview.dropped_sessions()),
        count("sessions in more than one row", preview.multiplied),
        count("rows in production", preview.production_rows),
        count("  to delete", preview.rows_to_delete),
        count("  to insert", preview.rows_to_insert),
    ];
    if preview.old_rows_that_stay > 0 {
        rows.push(count("  old copies that the lookback does not reach", preview.old_rows_that_stay));
    }
    rows.push(count(
        if preview.stages_users { "users staged" } else { "users, not staged: stage_next is off" },
        preview.users,
    ));
    if let Some(known) = estimates {
        rows.push(["main reads, as far as is known".to_owned(), output::bytes(known.bytes)]);
        rows.push(["  US$".to_owned(), format!("{:.4}", known.price)]);
    }
    let mut text = output::table(["a run would", ""], rows);
    if preview.skips_production {
        text.push_str("production would be left alone: skip_derived\n");
    }
    for dropped in &preview.dropped {
        let samples = if dropped.samples.is_empty() {
            String::new()
        } else {
            format!("; such as {}", dropped.samples.join(", "))
        };
        text.push_str(&format!("dropped: {}, {}{samples}\n", counted(dropped.sessions, "session"), dropped.reason));
    }
    if !preview.changed_columns.is_empty() {
        let columns = preview.changed_columns.iter().map(|one| [one.column.clone(), one.sessions.to_string()]);
        text.push_str(&output::table(["column that changes", "sessions"], columns));
    }
    for sample in &preview.samples {
        let changes = sample
            .changes
            .iter()
            .map(|(column, before, after)| [column.clone(), before.to_string(), after.to_string()]);
        text.push_str(&output::table([&sample.session, "before", "after"], changes));
    }
    text
}

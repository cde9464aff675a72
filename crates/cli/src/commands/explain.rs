//! All that is known of one session.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output::{self, pasteable};
use websessions_core::error::Error;
use websessions_core::insight::ExplainedSession;
use websessions_core::rows::Value;
use websessions_core::words::counted;

impl Invocation<'_> {
    pub(super) async fn explain(&self, session: &str) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let insight = self.insight(&warehouse.dialect());
        let explained = insight.explain(&*warehouse, session).await?;
        if !explained.is_known() {
            return Err(unknown(&explained));
        }
        match self.global.output {
            OutputFormat::Json => output::json(&explained),
            OutputFormat::Text => output::data(&in_words(&explained)),
        }
    }
}

/// An id that nothing is known of is as a rule not the one that was meant.
fn unknown(explained: &ExplainedSession) -> Error {
    let message = match explained.looked_in.as_slice() {
        [] => format!("nothing is known of a session {:?}: no table that could have it is there", explained.session),
        tables => {
            format!("nothing is known of a session {:?}: no row of it is in {}", explained.session, tables.join(", "))
        }
    };
    let hint = match explained.looked_in.is_empty() {
        true => format!(
            "no run has made one yet: {} does; or check --database, --target and entropy",
            pasteable("run --page-views FILE…")
        ),
        false => format!(
            "an id is compared character by character: {} lists the newest. Of a session that was dropped nothing is left where the module page_views does not keep its page views",
            pasteable("show sessions --columns domain_sessionid,start_tstamp")
        ),
    };
    Error::Configuration { message, hint: Some(hint) }
}

fn in_words(explained: &ExplainedSession) -> String {
    let explanation = &explained.explanation;
    let mut text = match (&explanation.missing, explanation.rows.len()) {
        (Some(reason), _) => format!("{} has no row in {}: {reason}\n", explained.session, explained.table),
        (None, 1) => format!("{} has a row in {}\n", explained.session, explained.table),
        (None, rows) => {
            format!(
                "{} has {rows} rows in {}: a first or last page view came more than once\n",
                explained.session, explained.table
            )
        }
    };
    if explanation.missing.is_none() {
        text.push_str(&match explained.written_by.as_slice() {
            [] => "written by a run that datamodel_metadata has no row of\n".to_owned(),
            [run] => {
                format!("written by the run {} that began {} and committed {} UTC\n", run.run_id, run.start, run.end)
            }
            [newest, earlier @ ..] => format!(
                "last written by the run {} that began {} UTC, or by {}: datamodel_metadata can't tell which\n",
                newest.run_id,
                newest.start,
                match earlier.len() {
                    1 => "the one before".to_owned(),
                    number => format!("one of {number} earlier ones"),
                }
            ),
        });
    }
    match &explained.page_views_in {
        None => text
            .push_str("no page view of it is here: complete removes them, unless the page views module keeps them\n"),
        Some(table) => {
            text.push_str(&format!("its page views in {table}:\n"));
            let rows = explanation.page_views.iter().map(|view| {
                let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
                [
                    view.number.to_string(),
                    view.page_view_id.clone(),
                    number(view.index),
                    view.start.clone(),
                    view.end.clone(),
                    number(view.engaged_time_in_s),
                    view.url.clone(),
                ]
            });
            text.push_str(&output::table(
                ["#", "page view", "index", "start (UTC)", "end (UTC)", "engaged s", "url"],
                rows,
            ));
        }
    }
    if let (None, Some(reason)) = (&explanation.missing, &explanation.dropped) {
        text.push_str(&format!("these give no row: {reason}; the row is of page views that are not here any more\n"));
    }
    if explanation.missing.is_none() && explained.waiting > 0 {
        text.push_str(&format!("page views of it that wait for the next run: {}\n", explained.waiting));
    }
    for row in &explanation.rows {
        let with_value: Vec<[String; 4]> = row
            .iter()
            .filter(|column| column.value != Value::Null)
            .map(|column| {
                let numbers: Vec<String> = column.from.iter().map(|number| format!("#{number}")).collect();
                let now = if column.agrees == Some(false) { "; it has another value now" } else { "" };
                [
                    column.column.clone(),
                    column.value.to_string(),
                    numbers.join(" "),
                    format!("{} ({}{now})", column.source, column.rule.in_words()),
                ]
            })
            .collect();
        let nulls = row.len() - with_value.len();
        text.push_str(&output::table(["column", "value", "from", "its column"], with_value));
        if nulls > 0 {
            text.push_str(&format!("{} without a value\n", counted(nulls, "column")));
        }
    }
    text
}

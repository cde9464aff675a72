//! What runs have done.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output;
use serde_json::json;
use websessions_core::error::Error;
use websessions_core::insight::{Insight, Run, Runs};
use websessions_core::model;
use websessions_core::preflight;
use websessions_core::rows::Rows;

impl Invocation<'_> {
    pub(super) async fn history(&self, asked: &Runs) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let insight = self.insight(&warehouse.dialect());
        let failed = |source| Error::Warehouse { context: "can't look at the runs".into(), source };
        let there =
            preflight::reported_columns(&*warehouse, &model::modules(), self.variables()).await.map_err(failed)?;
        let rows = match there.contains_key(Insight::HISTORY_READS) {
            true => warehouse.query(&insight.history(asked).sql).await.map_err(failed)?,
            false => Rows::default(),
        };
        let runs = Run::from_rows(&rows);
        match self.global.output {
            OutputFormat::Json => output::json(&json!({ "runs": runs })),
            OutputFormat::Text if runs.is_empty() => output::data("no run has committed\n"),
            OutputFormat::Text => output::data(&runs_table(&runs)),
        }
    }
}

/// Runs for people.
pub(super) fn runs_table(runs: &[Run]) -> String {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let rows = runs.iter().map(|run| {
        let repeated = run.duplicate_rows_removed.or(run.repeated_rows);
        let trend = run.trend_in_percent.map(|percent| format!("{percent:+.1} %")).unwrap_or_default();
        [
            run.start.clone(),
            run.module.clone(),
            run.duration_in_s.map(duration).unwrap_or_default(),
            number(run.rows),
            trend,
            number(repeated),
            format!("{}{}", run.idle_in_s.map(duration).unwrap_or_default(), if run.is_gap { " GAP" } else { "" }),
        ]
    });
    output::table(["run began (UTC)", "module", "took", "rows", "trend", "repeated", "after"], rows)
}

/// A number of seconds for people.
fn duration(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

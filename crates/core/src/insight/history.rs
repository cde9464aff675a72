//! What runs have done, from the metadata that each commit leaves.

use super::{Insight, Since};
use crate::model::select::sql;
use crate::model::{Select, shared};
use crate::plan::{Plan, Statement};
use crate::rows::Rows;
use serde::Serialize;

const HISTORY: Select = sql!("insight/history");

/// How much longer than usual it must have been since the run before for that to be a gap.
const GAP: i64 = 3;

/// From how many runs on it is known what is usual.
const KNOWN_FROM: usize = 4;

/// Which runs.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Only runs of this module.
    pub module: Option<String>,
    /// Only runs that began since then.
    pub since: Option<Since>,
    /// At most so many runs, the newest.
    pub limit: u32,
}

/// What one run of a module has done. A number that the metadata don't have is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Run {
    /// The module.
    pub module: String,
    /// The id that the modules of one run share: a time.
    pub run_id: String,
    /// The version of the model.
    pub model_version: String,
    /// When it began, in UTC.
    pub start: String,
    /// When it committed, in UTC.
    pub end: String,
    /// How long that took, in seconds.
    pub duration_in_s: Option<i64>,
    /// The rows that it wrote.
    pub rows: Option<i64>,
    /// The column that tells the rows apart.
    pub distinct_key: String,
    /// How many values of it they have.
    pub distinct_keys: Option<i64>,
    /// How many rows have a value that another row has too.
    pub repeated_rows: Option<i64>,
    /// The rows that it left out as repetitions of others.
    pub duplicate_rows_removed: Option<i64>,
    /// The keys that came in several rows.
    pub distinct_keys_removed: Option<i64>,
    /// The earliest and the latest time in its rows.
    pub earliest: Option<String>,
    /// See `earliest`.
    pub latest: Option<String>,
    /// How long after the run before it began, in seconds.
    pub idle_in_s: Option<i64>,
    /// Whether that was more than three times as long as usual among these runs.
    pub is_gap: bool,
    /// Its rows against the mean of up to seven runs before it, in percent: 0 is as many.
    pub trend_in_percent: Option<f64>,
}

impl Insight<'_> {
    /// The runs, newest first.
    pub fn history(&self, runs: &Runs) -> Statement {
        let mut conditions = vec![self.since("run_start_tstamp", runs.since.as_ref())];
        conditions.extend(runs.module.as_ref().map(|module| format!("module = {}", self.dialect.text(module))));
        let (condition, limit) = (conditions.join("\n  AND "), runs.limit.to_string());
        Statement::new("the runs", self.select(&HISTORY, &[("condition", &condition), ("limit", &limit)]))
    }

    /// The same, to be printed.
    pub fn history_plan(&self, runs: &Runs) -> Plan {
        self.plan("history", "what runs have done", vec![self.history(runs)])
    }

    /// The table that it reads.
    pub const HISTORY_READS: &'static str = shared::DATAMODEL_METADATA;
}

impl Run {
    /// The runs that the rows of [`Insight::history`] tell.
    pub fn from_rows(rows: &Rows) -> Vec<Self> {
        let mut runs: Vec<Self> = (0..rows.rows.len()).map(|row| Self::from_row(rows, row)).collect();
        let modules: std::collections::BTreeSet<String> = runs.iter().map(|run| run.module.clone()).collect();
        for module in modules {
            let mut idle: Vec<i64> =
                runs.iter().filter(|run| run.module == module).filter_map(|run| run.idle_in_s).collect();
            idle.sort_unstable();
            let usual = idle.get(idle.len() / 2).copied().unwrap_or(0).max(1);
            if idle.len() + 1 >= KNOWN_FROM {
                for run in runs.iter_mut().filter(|run| run.module == module) {
                    run.is_gap = run.idle_in_s.is_some_and(|idle| idle > GAP.saturating_mul(usual));
                }
            }
        }
        runs
    }

    fn from_row(rows: &Rows, row: usize) -> Self {
        let text = |column| rows.get(row, column).to_string();
        let number = |column| rows.get(row, column).whole_number();
        let (written, keys) = (number("rows_this_run"), number("distinct_key_count"));
        let earlier = number("rows_of_earlier_runs").zip(number("earlier_runs").filter(|count| *count > 0));
        let trend = written.zip(earlier).filter(|(_, (rows, _))| *rows > 0).map(|(written, (rows, runs))| {
            let percent = (written as f64 * runs as f64 / rows as f64 - 1.0) * 100.0;
            (percent * 10.0).round() / 10.0
        });
        Self {
            module: text("module"),
            run_id: text("run_id"),
            model_version: text("model_version"),
            start: text("run_start_tstamp"),
            end: text("run_end_tstamp"),
            duration_in_s: number("duration_in_s"),
            rows: written,
            distinct_key: text("distinct_key"),
            distinct_keys: keys,
            repeated_rows: written.zip(keys).map(|(rows, keys)| rows - keys),
            duplicate_rows_removed: number("duplicate_rows_removed"),
            distinct_keys_removed: number("distinct_keys_removed"),
            earliest: Some(text("min_time_key")).filter(|text| !text.is_empty()),
            latest: Some(text("max_time_key")).filter(|text| !text.is_empty()),
            idle_in_s: number("idle_in_s"),
            is_gap: false,
            trend_in_percent: trend,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Value;

    fn rows(idle: &[Option<i64>]) -> Rows {
        let columns =
            ["module", "rows_this_run", "distinct_key_count", "idle_in_s", "rows_of_earlier_runs", "earlier_runs"];
        let rows = idle.iter().map(|idle| {
            let integer = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
            vec![
                Value::Text("sessions".to_owned()),
                Value::Integer(30),
                Value::Integer(28),
                integer(*idle),
                integer(idle.map(|_| 40)),
                Value::Integer(if idle.is_some() { 2 } else { 0 }),
            ]
        });
        Rows { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() }
    }

    #[test]
    fn a_gap_is_much_longer_than_usual_and_a_trend_is_against_the_mean() {
        let runs = Run::from_rows(&rows(&[Some(60), Some(400), Some(60), Some(50), None]));
        assert_eq!(runs.iter().map(|run| run.is_gap).collect::<Vec<_>>(), [false, true, false, false, false]);
        assert_eq!((runs[0].trend_in_percent, runs[4].trend_in_percent), (Some(50.0), None));
        assert_eq!(runs[0].repeated_rows, Some(2));
        let few = Run::from_rows(&rows(&[Some(400), Some(1), None]));
        assert!(few.iter().all(|run| !run.is_gap), "of two intervals none is usual");
    }
}

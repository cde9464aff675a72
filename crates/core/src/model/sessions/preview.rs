//! What a run would do to production: computed by the run's own SELECTs, in queries that change nothing.

use super::steps::{AGGREGATES, DROPPED, MANIFEST, MULTIPLIED, THIS_RUN};
use super::tables::*;
use crate::model::Select;
use crate::model::select::sql;
use crate::rows::{Rows, Value};
use crate::variables::Variables;
use serde::Serialize;

const COMPUTED_TABLES: Select = sql!("sessions/preview_computed");
const TABLES: Select = sql!("sessions/preview_tables");
const STORED: Select = sql!("sessions/preview_stored");
const NOTHING_STORED: Select = sql!("sessions/preview_nothing_stored");
const REPLACED: Select = sql!("sessions/preview_replaced");
const REPLACED_WHEREVER: Select = sql!("sessions/preview_replaced_wherever");
const REPLACED_SKIPPED: Select = sql!("sessions/preview_replaced_skipped");

const SUMMARY: Select = sql!("sessions/preview_summary");
const COLUMNS: Select = sql!("sessions/preview_columns");
const SAMPLES: Select = sql!("sessions/preview_samples");
const DROPPED_SESSIONS: Select = sql!("sessions/preview_dropped");
const MULTIPLIED_SESSIONS: Select = sql!("sessions/preview_multiplied");

/// The tables of a run that the queries make themselves.
pub(crate) const COMPUTED: &[&str] =
    &[SESSIONS_AGGREGATES, SESSIONS_THIS_RUN, SESSIONS_METADATA_THIS_RUN, SESSIONS_USERID_MANIFEST_THIS_RUN];

/// The table that a run reads.
pub(crate) const INPUT: &str = PAGE_VIEWS_STAGED;

/// The table that a run changes.
pub(crate) const PRODUCTION: &str = SESSIONS;

/// Writes a SELECT, with names of its own.
pub(crate) type Render<'a> = dyn Fn(&Select, &[(&str, &str)]) -> String + 'a;

/// The queries, of production's rows from so many days before on: summary, changed columns, samples, dropped sessions,
/// multiplied sessions.
pub(crate) fn queries(
    render: &Render<'_>,
    variables: &Variables,
    lookup_days: Option<u32>,
    production: Option<&str>,
    samples: u32,
) -> [(&'static str, String); 5] {
    let replaced = match lookup_days {
        _ if variables.skip_derived => REPLACED_SKIPPED,
        Some(_) => REPLACED,
        None => REPLACED_WHEREVER,
    };
    let of = |select: &Select| render(select, &[]);
    let (aggregates, this_run, manifest) = (of(&AGGREGATES), of(&THIS_RUN), of(&MANIFEST));
    let (stored, replaced) = (of(if production.is_some() { &STORED } else { &NOTHING_STORED }), of(&replaced));
    let computed =
        render(&COMPUTED_TABLES, &[("aggregates", &aggregates), ("this_run", &this_run), ("manifest", &manifest)]);
    let tables = render(&TABLES, &[("computed", &computed), ("stored", &stored), ("replaced", &replaced)]);
    let (limit, production) = (samples.to_string(), production.unwrap_or("stored_sessions"));
    let (dropped, multiplied) = (of(&DROPPED), of(&MULTIPLIED));
    let values = [
        ("computed", computed.as_str()),
        ("tables", &tables),
        ("limit", &limit),
        ("production", production),
        ("dropped", &dropped),
        ("multiplied", &multiplied),
    ];
    [
        ("what a run would insert and replace", render(&SUMMARY, &values)),
        ("how many sessions change in each column", render(&COLUMNS, &values)),
        ("samples of these, before and after", render(&SAMPLES, &values)),
        ("sessions that a run would drop, and why", render(&DROPPED_SESSIONS, &values)),
        ("sessions that would have more than one row", render(&MULTIPLIED_SESSIONS, &values)),
    ]
}

/// A column that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangedColumn {
    /// Its name.
    pub column: String,
    /// In how many sessions.
    pub sessions: i64,
}

/// A session that changes: its columns that do, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedSession {
    /// Its id.
    pub session: String,
    /// The columns that change: name, value before, value after.
    pub changes: Vec<(String, Value, Value)>,
}

/// Sessions that have no row, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DroppedSessions {
    /// Why.
    pub reason: String,
    /// How many.
    pub sessions: i64,
    /// Two of them.
    pub samples: Vec<String>,
}

/// What a run would do to production.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// Whether a run would leave production alone: `skip_derived`.
    pub skips_production: bool,
    /// The page views that are staged.
    pub page_views: i64,
    /// The rows that production has.
    pub production_rows: i64,
    /// The rows that a run inserts, and those that it deletes first.
    pub rows_to_insert: i64,
    /// See `rows_to_insert`.
    pub rows_to_delete: i64,
    /// Rows of these sessions that the lookback does not reach: they stay beside the new ones.
    pub old_rows_that_stay: i64,
    /// The sessions that a run computes.
    pub sessions: i64,
    /// Of these, those that production has no row of that is replaced.
    pub inserted: i64,
    /// Those whose one row changes.
    pub changed: i64,
    /// Those whose one row stays as it is.
    pub unchanged: i64,
    /// Those that have several rows before or after, and are replaced.
    pub in_several_rows: i64,
    /// Of those that change, those that have fewer page views than before.
    pub shrunk: i64,
    /// The users of these sessions, NULL counted as one.
    pub users: i64,
    /// Whether a run stages them for the next module: `stage_next`.
    pub stages_users: bool,
    /// Sessions of the input that a run drops.
    pub dropped: Vec<DroppedSessions>,
    /// Sessions that a run writes more than one row of.
    pub multiplied: i64,
    /// The columns that change.
    pub changed_columns: Vec<ChangedColumn>,
    /// Some of the sessions that change.
    pub samples: Vec<ChangedSession>,
}

impl Preview {
    /// From the rows of the queries.
    pub(crate) fn new(variables: &Variables, rows: &[Rows; 5]) -> Self {
        let [summary, columns, samples, dropped, multiplied] = rows;
        let number = |column| summary.get(0, column).as_integer();
        let skips = variables.skip_derived;
        let written = |count: i64| if skips { 0 } else { count };
        Self {
            skips_production: skips,
            page_views: number("page_views"),
            production_rows: number("production_rows"),
            rows_to_insert: written(number("rows_to_insert")),
            rows_to_delete: number("rows_to_delete"),
            old_rows_that_stay: written(number("old_rows_that_stay")),
            sessions: number("sessions"),
            inserted: written(number("inserted")),
            changed: number("changed"),
            unchanged: number("unchanged"),
            in_several_rows: number("in_several_rows"),
            shrunk: number("shrunk"),
            users: number("users"),
            stages_users: variables.stage_next,
            dropped: (0..dropped.rows.len()).map(|row| dropped_sessions(dropped, row)).collect(),
            multiplied: multiplied.get(0, "session_count").as_integer(),
            changed_columns: changed_columns(columns),
            samples: changed_sessions(samples),
        }
    }

    /// How many sessions of the input a run drops.
    pub fn dropped_sessions(&self) -> i64 {
        self.dropped.iter().map(|dropped| dropped.sessions).sum()
    }

    /// The share of production's rows that a run changes, and of the input's sessions that it drops, in percent.
    pub fn shares(&self) -> (f64, f64) {
        let share = |part: i64, whole: i64| if part == 0 { 0.0 } else { part as f64 * 100.0 / whole.max(1) as f64 };
        let dropped = self.dropped_sessions();
        (share(self.changed + self.in_several_rows, self.production_rows), share(dropped, self.sessions + dropped))
    }
}

fn dropped_sessions(rows: &Rows, row: usize) -> DroppedSessions {
    let text = |column| rows.get(row, column).to_string();
    let mut samples = vec![text("first_sample"), text("last_sample")];
    samples.retain(|sample| !sample.is_empty());
    samples.dedup();
    DroppedSessions { reason: text("reason"), sessions: rows.get(row, "session_count").as_integer(), samples }
}

fn changed_columns(rows: &Rows) -> Vec<ChangedColumn> {
    let counts = rows
        .columns
        .iter()
        .map(|column| ChangedColumn { column: column.clone(), sessions: rows.get(0, column).as_integer() });
    counts.filter(|changed| changed.sessions > 0).collect()
}

/// Rows come in pairs: before, then after.
fn changed_sessions(rows: &Rows) -> Vec<ChangedSession> {
    let mut sessions: Vec<ChangedSession> = Vec::new();
    for row in 0..rows.rows.len() {
        let session = rows.get(row, "domain_sessionid").to_string();
        let after = rows.get(row, "version").to_string() == "after";
        if sessions.last().is_none_or(|last| last.session != session) {
            sessions.push(ChangedSession { session, changes: Vec::new() });
        }
        let Some(last) = sessions.last_mut() else { continue };
        for column in rows.columns.iter().filter(|column| *column != "version") {
            let value = rows.get(row, column).clone();
            match last.changes.iter_mut().find(|(name, ..)| name == column) {
                Some(change) if after => change.2 = value,
                Some(change) => change.1 = value,
                None if after => last.changes.push((column.clone(), Value::Null, value)),
                None => last.changes.push((column.clone(), value, Value::Null)),
            }
        }
    }
    for session in &mut sessions {
        session.changes.retain(|(_, before, after)| before != after);
    }
    sessions
}

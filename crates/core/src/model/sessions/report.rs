//! What a report about production asks: a plan of queries, each of which counts in the warehouse and gives few rows.

use super::module;
use crate::dialect::Dialect;
use crate::model::select::{Select, sql};
use crate::plan::{Finding, Observation, OnFound, Plan, Statement, Step, Unit};
use crate::variables::Variables;
use std::sync::Arc;

/// How many days a report is about, unless it is said.
pub const USUAL_DAYS: u32 = 90;

/// How many days a report is about at most: each row of its page is of a day.
pub const MOST_DAYS: u32 = 400;

/// The queries: the finding that each gives, what it is for, and its SQL; of a breakdown, what it breaks down.
const QUERIES: &[(&str, &str, Select)] = &[
    ("period", "the days, and what they add up to", sql!("report/period")),
    ("daily", "sessions, users and what they did, a day", sql!("report/daily")),
    ("landing_pages", "the pages that sessions begin on", sql!("report/landing_pages")),
    ("exit_pages", "the pages that sessions end on", sql!("report/exit_pages")),
    ("sources", "where sessions come from", sql!("report/sources")),
    ("devices", "what sessions are made with", sql!("report/devices")),
    ("runs", "the latest runs", sql!("report/runs")),
];

/// Those that are of the twenty most frequent names, by day.
const BREAKDOWNS: &[&str] = &["landing_pages", "exit_pages", "sources", "devices"];
const BREAKDOWN: Select = sql!("report/breakdown");

/// The plan of a report about the last days of production, counted from the day of the newest session: it changes nothing.
pub fn report(variables: &Variables, dialect: &Arc<dyn Dialect>, days: u32) -> Plan {
    let first_day = dialect.day(&dialect.minus_days("MAX(start_tstamp)", days.saturating_sub(1)));
    let names = [("first_day", first_day.as_str())];
    module().plan_of("report", variables, dialect, |context| {
        let observe = |(name, purpose, select): &(&'static str, &str, Select)| {
            let mut sql = context.select_with(select, &names);
            if BREAKDOWNS.contains(name) {
                sql = context.select_with(&BREAKDOWN, &[("dated", &sql), names[0]]);
            }
            let statement = Statement::new(*purpose, sql);
            Unit::Observation(Observation {
                finding: Finding::new(name, |_| None),
                on_found: OnFound::Report,
                statement,
            })
        };
        vec![Step::new("report", "what production has", QUERIES.iter().map(observe).collect())]
    })
}

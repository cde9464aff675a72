//! Staging by hand: sessions of production staged again, and what waits taken away.

use super::findings::{REBUILT_SESSIONS, UNSTAGED_PAGE_VIEWS};
use super::module;
use super::steps::stored;
use super::tables::*;
use crate::dialect::Dialect;
use crate::model::select::sql;
use crate::model::{Context, Module, Select};
use crate::plan::{OnFound, Plan, Step, Unit};
use crate::table::ColumnType;
use crate::variables::{LookbackGuard, Variables};
use std::sync::Arc;

const OF_THESE_SESSIONS: Select = sql!("page_views/of_these_sessions");
const REBUILT: Select = sql!("page_views/rebuilt");
const SESSIONS_BETWEEN: Select = sql!("page_views/sessions_between");
const STAGED: Select = sql!("page_views/staged");

/// The module as it is when sessions are staged again: production must be there.
pub fn rebuilding() -> Module {
    module().input(PAGE_VIEWS)
}

/// Stages every session of production that has a page view from a day on, up to the end of another if one is given; warns if
/// there is none. Days are dates as `2024-03-31`, in UTC.
pub fn rebuild(from: &str, to: Option<&str>, variables: &Variables, dialect: &Arc<dyn Dialect>) -> Plan {
    // Whole sessions, wherever they begin.
    let variables = Variables { lookback_guard: LookbackGuard::Widen, ..variables.clone() };
    rebuilding().plan_of("page_views_rebuild", &variables, dialect, |context| {
        vec![setup(context), sessions(context, from, to), stage(context)]
    })
}

/// Takes away all that is staged and waits for the next run.
pub fn unstage(variables: &Variables, dialect: &Arc<dyn Dialect>) -> Plan {
    module().plan_of("unstage", variables, dialect, |context| {
        let units = vec![
            context.observe(UNSTAGED_PAGE_VIEWS, OnFound::Report, "how many page views are staged", &STAGED),
            Unit::Block {
                purpose: "takes away what is staged".to_owned(),
                statements: vec![context.delete(PAGE_VIEWS_STAGED, "all staged page views", "1 = 1")],
            },
        ];
        vec![Step::new("unstage", "takes away what is staged", units)]
    })
}

fn setup(context: &Context<'_>) -> Step {
    let mut units = context.shared_setup();
    units.extend(context.drop_view(PAGE_VIEWS_THIS_RUN));
    for table in [PAGE_VIEWS, PAGE_VIEWS_STAGED] {
        units.extend(context.create(table));
    }
    Step::new("setup", "schemas, permanent tables and the identity of this run", units)
}

fn sessions(context: &Context<'_>, from: &str, to: Option<&str>) -> Step {
    let timestamp = context.dialect.column_type(ColumnType::Timestamp);
    let midnight = |day: &str| format!("CAST({} AS {timestamp})", context.dialect.text(&format!("{day} 00:00:00")));
    let mut range = format!("start_tstamp >= {}", midnight(from));
    if let Some(to) = to {
        const SECONDS_OF_A_DAY: u64 = 86_400;
        range.push_str(&format!(
            "\n  AND start_tstamp < {}",
            context.dialect.plus_seconds(&midnight(to), SECONDS_OF_A_DAY)
        ));
    }
    let found = context.select_with(&SESSIONS_BETWEEN, &[("range", &range)]);
    let mut units = context.replace(PAGE_VIEWS_SESSIONS, &found);
    units.extend(stored(context, false));
    Step::new("sessions", "every page view of the sessions that have one in that time", units)
}

fn stage(context: &Context<'_>) -> Step {
    let statements = vec![
        context.delete(PAGE_VIEWS_STAGED, "staged rows of these sessions", &context.select(&OF_THESE_SESSIONS)),
        context.insert(PAGE_VIEWS_STAGED, "every page view of these sessions", &context.select_all(PAGE_VIEWS_STORED)),
    ];
    let units = vec![
        Unit::Block { purpose: "stages these sessions, all or nothing".to_owned(), statements },
        context.observe(REBUILT_SESSIONS, OnFound::Report, "what is staged again", &REBUILT),
    ];
    Step::new("stage", "stages these sessions", units)
}

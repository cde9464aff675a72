//! The sessions module: from staged page views to one row a session.

mod checks;
pub mod explain;
pub mod findings;
mod lineage;
pub mod preview;
pub mod report;
mod steps;
pub mod tables;

use super::{Module, RowCounts};
use crate::table::Table;
use crate::variables::Variables;

const ROWS_READ: &[RowCounts] = &[RowCounts::new(tables::PAGE_VIEWS_STAGED, findings::SUMMARY.name, "page_views")];
const ROWS_WRITTEN: &[RowCounts] = &[RowCounts::new(tables::SESSIONS, findings::SUMMARY.name, "session_rows")];

/// The module.
pub fn module() -> Module {
    Module::new("sessions", tables::tables, steps::main, steps::complete, steps::destroy)
        .input(tables::PAGE_VIEWS_STAGED)
        .checks(checks::CHECKS)
        .keys(&[
            (tables::SESSIONS, &["domain_sessionid"]),
            (tables::SESSIONS_USERID_MANIFEST_STAGED, &["domain_userid"]),
        ])
        .kept_for_debugging(&[tables::SESSIONS_THIS_RUN])
        .counts(ROWS_READ, ROWS_WRITTEN)
        .derived(lineage::derived)
}

/// The table that main commits to: one row a session.
pub fn production(variables: &Variables) -> Table {
    let found = tables::tables(variables).into_iter().find(|table| table.name == tables::SESSIONS);
    found.unwrap_or_else(|| unreachable!("the module has its own table"))
}

#[cfg(test)]
pub(in crate::model) mod tests;

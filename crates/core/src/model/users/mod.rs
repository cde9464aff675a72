//! The users module: from sessions to one row a user, computed from all its sessions whenever one of them changes.

mod checks;
pub mod findings;
mod lineage;
mod steps;
pub mod tables;

use super::{Module, RowCounts};
use crate::table::Table;
use crate::variables::Variables;

const ROWS_READ: &[RowCounts] = &[RowCounts::new(tables::SESSIONS, findings::USERS_SUMMARY.name, "sessions_read")];
const ROWS_WRITTEN: &[RowCounts] = &[RowCounts::new(tables::USERS, findings::USERS_SUMMARY.name, "user_rows")];

/// The module.
pub fn module() -> Module {
    Module::new("users", tables::tables, steps::main, steps::complete, steps::destroy)
        .prefix("users_")
        .ends_run()
        .input(tables::SESSIONS_USERID_MANIFEST_STAGED)
        .keys(&[(tables::USERS, &["domain_userid"]), (tables::USERS_MANIFEST, &["domain_userid"])])
        .kept_for_debugging(&[
            tables::USERS_THIS_RUN,
            tables::USERS_SESSIONS_THIS_RUN,
            tables::USERS_USERIDS_THIS_RUN,
            tables::USERS_LIMITS,
        ])
        .checks(checks::CHECKS)
        .counts(ROWS_READ, ROWS_WRITTEN)
        .derived(lineage::derived)
}

/// The table that main commits to: one row a user.
pub fn production(variables: &Variables) -> Table {
    let found = tables::tables(variables).into_iter().find(|table| table.name == tables::USERS);
    found.unwrap_or_else(|| unreachable!("the module has its own table"))
}

#[cfg(test)]
mod tests;

//! The page views module: from files, or a table of the user's, to whole sessions of page views, each once, staged for the
//! sessions module.

mod checks;
pub mod findings;
mod restage;
mod source;
mod steps;
pub mod tables;

pub use restage::{rebuild, rebuilding, unstage};
pub use source::{Source, read_source};

use super::{Module, RowCounts};
use crate::table::Table;
use crate::variables::Variables;

const ROWS_WRITTEN: &[RowCounts] =
    &[RowCounts::new(tables::PAGE_VIEWS, findings::PAGE_VIEWS_SUMMARY.name, "rows_written")];

/// The module.
pub fn module() -> Module {
    Module::new("page-views", tables::tables, steps::main, steps::complete, steps::destroy)
        .prefix("page_views_")
        .checks(checks::CHECKS)
        .keys(&[(tables::PAGE_VIEWS, &["domain_sessionid", "page_view_id"])])
        .loads(tables::PAGE_VIEWS_ARRIVED)
        .kept_for_debugging(&[
            tables::PAGE_VIEWS_THIS_RUN,
            tables::PAGE_VIEWS_ARRIVED,
            tables::PAGE_VIEWS_STORED,
            tables::PAGE_VIEWS_REPEATED,
            tables::PAGE_VIEWS_NUMBERS,
        ])
        .counts(&[], ROWS_WRITTEN)
}

/// The table that main commits to: one row a page view.
pub fn production(variables: &Variables) -> Option<Table> {
    module().table(tables::PAGE_VIEWS, variables)
}

/// The table that waits for the sessions module.
pub fn staged(variables: &Variables) -> Option<Table> {
    module().table(tables::PAGE_VIEWS_STAGED, variables)
}

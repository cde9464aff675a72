//! The page views module: from files, or a table of the user's, to whole sessions of page views, each once, staged for the
//! sessions module.

pub mod findings;
mod source;
mod steps;
pub mod tables;

pub use source::{Source, read_source};

use super::Module;

/// The module.
pub fn module() -> Module {
    Module::new("page-views", tables::tables, steps::main, steps::complete, steps::destroy)
        .prefix("page_views_")
        .loads(tables::PAGE_VIEWS_ARRIVED)
        .kept_for_debugging(&[tables::PAGE_VIEWS_THIS_RUN])
}

#[cfg(test)]
mod tests;

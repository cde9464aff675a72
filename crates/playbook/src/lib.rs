//! Users' own SQL, and the playbooks that they already have: read, checked and made into plans of the core.

mod collision;
mod custom;
mod files;
mod folder;
mod job_list;
mod lint;
mod part;
mod playbook;
mod run;
mod script;
mod sql;
mod target;
mod template;
mod variables;
mod yaml;

pub use collision::{OwnTables, Severity};
pub use custom::{CustomModule, rendered_value};
pub use files::find_file;
pub use folder::{Purpose, from_directory, from_directory_unsettled, from_file};
pub use job_list::from_job_list;
pub use lint::{LintProblem, lint, lint_module};
pub use part::Part;
pub use playbook::{Playbook, PlaybookStep, Query};
pub use run::{PlaybookRun, Work, run_of};
pub use script::query_of;
pub use sql::{check_condition, names_any, problem_of};
pub use target::Target;
pub use template::{Rendered, Use, render, uses};
pub use variables::stray;

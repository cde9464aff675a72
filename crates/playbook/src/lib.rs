//! Users' own SQL, and the playbooks that they already have: read, checked and made into plans of the core.

mod directory;
mod lint;
mod playbook;
mod script;
mod template;
mod yaml;

pub use directory::{from_directory, from_file, from_job_list, stray};
pub use lint::{Finding, Severity, lint, lint_file};
pub use playbook::{Part, Playbook, PlaybookStep, Query, Target};
pub use script::{CustomModule, find_file};
pub use template::{Rendered, Use, render, uses};

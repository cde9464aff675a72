//! The standard web sessions model, on any warehouse: from `page_views_staged` to one row a session.
//!
//! A program opens a [`warehouse::Warehouse`] (a backend crate has one) and runs modules on it:
//!
//! ```
//! use websessions_core::run::{Report, RunError, Runner};
//! use websessions_core::{model, variables::Variables, warehouse::Warehouse};
//!
//! async fn build_sessions(warehouse: &dyn Warehouse) -> Result<Report, RunError> {
//!     let variables = Variables::default(); // schemas scratch and derived
//!     let report = Runner::new(warehouse, &variables).run(&[model::sessions::module()]).await?;
//!     assert!(report.committed());
//!     Ok(report)
//! }
//! ```
//!
//! [`model::Module::plan`] says what a phase will do, as data and as SQL, for a [`dialect::Dialect`]. [`run::Runner`] does
//! it, under a lock, with retries, and reports. A backend is a dialect, a warehouse and a [`backend::BackendFactory`]; this
//! crate knows no backend's name.
//!
//! The modules of this crate are floors, each using those above it in this list and none below: `identifier`,
//! `did_you_mean`, `rows`; `table`; `plan`; `dialect`, `error`; `print`, `variables`, `warehouse`; `model`, `backend`; `lock`,
//! `preflight`; `run`.

pub mod backend;
mod clock;
pub mod dialect;
pub mod did_you_mean;
pub mod error;
pub mod identifier;
pub mod lock;
pub mod model;
pub mod plan;
pub mod preflight;
mod print;
pub mod rows;
pub mod run;
pub mod table;
pub mod variables;
pub mod warehouse;

pub use async_trait::async_trait;
pub use tokio_util::sync::CancellationToken;

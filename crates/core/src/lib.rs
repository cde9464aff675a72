//! The standard web sessions model, on any warehouse: from `page_views_staged` to one row a session.
//!
//! A program opens a [`warehouse::Warehouse`] by a backend's crate, here a DuckDB file that has page views in
//! `scratch.page_views_staged`, and runs modules on it:
//!
//! ```
//! use websessions_core::backend::{BackendFactory, Settings};
//! use websessions_core::{model::sessions, run::Runner, variables::Variables};
//! use websessions_duckdb::DuckDb;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! # let staged = DuckDb.connect(&Settings::new(&DuckDb, [("database", "events.duckdb")])?).await?;
//! # let (defaults, dialect) = (Variables::default(), staged.dialect());
//! # let input = sessions::module().table("page_views_staged", &defaults).ok_or("the input")?;
//! # let name = defaults.table_name(&input);
//! # staged.execute(&dialect.create_schema(&defaults.scratch_schema)).await?;
//! # for statement in dialect.create_table(&input, &name) {
//! #     staged.execute(&statement).await?;
//! # }
//! # let insert = "INSERT INTO scratch.page_views_staged (page_view_id, domain_sessionid, page_view_in_session_index,
//! #     start_tstamp, end_tstamp) VALUES ('a', 's', 1, '2026-01-01 10:00:00', '2026-01-01 10:00:30')";
//! # staged.execute(&websessions_core::plan::Statement::new("a page view", insert)).await?;
//! # drop(staged);
//! let settings = Settings::new(&DuckDb, [("database", "events.duckdb")])?;
//! let warehouse = DuckDb.connect(&settings).await?;
//! let variables = Variables::default(); // schemas scratch and derived
//! let report = Runner::new(&*warehouse, &variables).run(&[sessions::module()]).await?;
//! assert!(report.committed());
//! let found = warehouse.query("SELECT COUNT(*) AS sessions FROM derived.sessions").await?;
//! assert_eq!(found.get(0, "sessions").as_integer(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/library` in the repository is a whole program. The other backends differ in their settings only.
//!
//! [`model::Module::plan`] says what a phase will do, as data and as SQL, for a [`dialect::Dialect`]. [`run::Runner`] does
//! it, under a lock, with retries, and reports. A backend is a dialect, a warehouse and a [`backend::BackendFactory`]; this
//! crate knows no backend's name.
//!
//! The modules of this crate are floors, each using those above it in this list and none below: `identifier`,
//! `did_you_mean`, `rows`, `clock`, `words`; `table`, `expression`; `plan`; `dialect`, `error`; `own_columns`; `print`, `variables`,
//! `warehouse`; `model`, `backend`; `lock`; `preflight`; `run`, `insight`.

pub mod backend;
mod clock;
pub mod dialect;
pub mod did_you_mean;
pub mod error;
pub mod expression;
pub mod files;
pub mod identifier;
pub mod insight;
pub mod lock;
pub mod model;
pub mod own_columns;
pub mod plan;
pub mod preflight;
mod print;
pub mod rows;
pub mod run;
pub mod table;
pub mod variables;
pub mod warehouse;
pub mod words;

pub use async_trait::async_trait;
pub use tokio_util::sync::CancellationToken;

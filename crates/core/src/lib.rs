//! The standard web sessions model, on any warehouse: from `page_views_staged` to one row a session.
//!
//! [`model::plan`] says what a phase will do, as data and as SQL, for a [`dialect::Dialect`]. [`run::Runner`] does it on
//! a [`warehouse::Warehouse`], under a lock, with retries, and reports. A backend is a dialect, a warehouse and a
//! [`registry::BackendFactory`]; this crate knows no backend's name.

pub mod config;
pub mod dialect;
pub mod error;
pub mod identifier;
pub mod lock;
pub mod model;
pub mod plan;
pub mod preflight;
pub mod registry;
pub mod run;
pub mod warehouse;

pub use async_trait::async_trait;
pub use tokio_util::sync::CancellationToken;

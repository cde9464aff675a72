//! The servers that tests need: each on a free loopback port, started here, and stopped by its process id. `tests/run`
//! installs their programs.

mod bigquery;
mod bouncer;
mod http;
mod port;
mod postgres;
mod process;
mod redshift;
mod snowflake;
mod tap;
mod waiting;

pub use bigquery::LocalBigQuery;
pub use bouncer::Bouncer;
pub use http::{Break, Mock, Proxy, Request};
pub use postgres::{Cluster, is_root};
pub use redshift::{FUNCTIONS, Stripped};
pub use snowflake::Fakesnow;
pub use tap::{Meddling, Tap};
pub use waiting::{PATIENCE, end, open_for, signal, wait_until};

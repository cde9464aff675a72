//! The embedded backend: DuckDB in a file, in this process. It also loads files of page views and exports
//! tables.

mod connection;
mod dialect;
mod errors;
mod files;
mod load;
mod statement;

pub use connection::DuckDbWarehouse;
pub use dialect::DuckDbDialect;

use std::path::Path;
use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Setting, Settings};
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::warehouse::Warehouse;

const SETTINGS: &[Setting] = &[
    Setting::optional("database", "path of the database file; made if missing").or("websessions.duckdb").path(),
    Setting::optional(
        "memory_limit",
        "most memory that the engine may use, such as 2GiB; DuckDB's default is 80 % of the machine's",
    ),
    Setting::optional("threads", "how many threads the engine may use; DuckDB's default is one a core"),
    Setting::optional(
        "temp_directory",
        "where the engine spills what doesn't fit in memory; DuckDB's default is beside the database",
    )
    .path(),
];

/// The factory of the embedded backend.
#[derive(Clone, Copy, Debug)]
pub struct DuckDb;

#[async_trait]
impl BackendFactory for DuckDb {
    fn name(&self) -> &'static str {
        "duckdb"
    }

    fn about(&self) -> &'static str {
        "DuckDB 1.5, embedded: a database in a file, no server"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(DuckDbDialect)
    }

    fn abilities(&self) -> &'static [&'static str] {
        &["load (CSV, JSON, Parquet)", "export (CSV, Parquet)", "cancel"]
    }

    // A path that can't be looked at is one that opening says more about.
    fn absent(&self, settings: &Settings) -> Option<String> {
        let path = settings.get("database").filter(|path| !path.trim().is_empty())?;
        matches!(Path::new(path).try_exists(), Ok(false)).then(|| format!("the database file {path}"))
    }

    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error> {
        Ok(Arc::new(DuckDbWarehouse::connect(settings).await?))
    }
}

//! Postgres and Amazon Redshift, over one protocol by sqlx: two backends with a dialect each. Statements go by the simple
//! protocol, as Redshift lacks parts of the extended one.

mod connection;
mod copy;
mod dialect;
mod errors;
mod options;
mod statement;

pub use connection::PostgresWarehouse;
pub use dialect::{PostgresDialect, RedshiftDialect};

use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Setting, Settings};
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::warehouse::Warehouse;

const URL: Setting =
    Setting::optional("url", "postgres://user@host:port/database; the other settings come before its parts").secret();
const HOST: Setting = Setting::optional("host", "host name, address, or folder of a Unix socket; else PGHOST");
const USER: Setting = Setting::optional("user", "user name; else PGUSER");
const PASSWORD: Setting = Setting::optional("password", "password; else PGPASSWORD, or the file ~/.pgpass").secret();
const DATABASE: Setting = Setting::optional("database", "database; else PGDATABASE");
const SSLMODE: Setting = Setting::optional(
    "sslmode",
    "disable, allow, prefer, require, verify-ca or verify-full, as libpq's; else PGSSLMODE, else verify-full (prefer on this machine)",
);
const SSLROOTCERT: Setting =
    Setting::optional("sslrootcert", "file of the authorities to trust; else PGSSLROOTCERT, else the system's").path();
const CONNECT_TIMEOUT: Setting =
    Setting::optional("connect_timeout", "seconds until a connection is given up").or("10");
const SILENCE_LIMIT: Setting = Setting::optional(
    "silence_limit",
    "seconds after which a server is given up that neither answers nor is seen to work",
)
.or("180");
const STATEMENT_TIMEOUT: Setting =
    Setting::optional("statement_timeout", "the longest that a statement may take, such as 30min; else the server's");

const SETTINGS: &[Setting] = &[
    URL,
    HOST,
    Setting::optional("port", "port; else PGPORT"),
    USER,
    PASSWORD,
    DATABASE,
    SSLMODE,
    SSLROOTCERT,
    CONNECT_TIMEOUT,
    SILENCE_LIMIT,
    STATEMENT_TIMEOUT,
    Setting::optional(
        "lock_timeout",
        "the longest that a statement may wait for a lock, such as 1min; else the server's",
    ),
    Setting::optional(
        "work_mem",
        "memory of each sort and each hash of a statement, such as 256MB; else the server's, or 64MB if that is more",
    ),
];

/// Redshift has no `lock_timeout` and no `work_mem`.
const REDSHIFT_SETTINGS: &[Setting] = &[
    URL,
    HOST,
    Setting::optional("port", "port; else PGPORT, else 5439"),
    USER,
    PASSWORD,
    DATABASE,
    SSLMODE,
    SSLROOTCERT,
    CONNECT_TIMEOUT,
    SILENCE_LIMIT,
    STATEMENT_TIMEOUT,
];

/// What the driver takes from the environment by itself.
fn ambient_secrets(settings: &Settings) -> Vec<String> {
    let set = settings.get("password").is_none() && std::env::var_os("PGPASSWORD").is_some();
    if set { vec!["the password in PGPASSWORD".to_owned()] } else { Vec::new() }
}

/// The factory of the Postgres backend.
#[derive(Clone, Copy, Debug)]
pub struct Postgres;

/// The factory of the Redshift backend.
#[derive(Clone, Copy, Debug)]
pub struct Redshift;

#[async_trait]
impl BackendFactory for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn about(&self) -> &'static str {
        "PostgreSQL, from version 12 on"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(PostgresDialect)
    }

    fn abilities(&self) -> &'static [&'static str] {
        &["load (CSV, JSON, Parquet)", "export (CSV)", "cancel"]
    }

    fn ambient_secrets(&self, settings: &Settings) -> Vec<String> {
        ambient_secrets(settings)
    }

    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error> {
        Ok(Arc::new(PostgresWarehouse::connect(settings).await?))
    }
}

#[async_trait]
impl BackendFactory for Redshift {
    fn name(&self) -> &'static str {
        "redshift"
    }

    fn about(&self) -> &'static str {
        "Amazon Redshift"
    }

    fn settings(&self) -> &'static [Setting] {
        REDSHIFT_SETTINGS
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(RedshiftDialect)
    }

    fn abilities(&self) -> &'static [&'static str] {
        &["cancel"]
    }

    fn ambient_secrets(&self, settings: &Settings) -> Vec<String> {
        ambient_secrets(settings)
    }

    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error> {
        Ok(Arc::new(PostgresWarehouse::connect_to_redshift(settings).await?))
    }
}

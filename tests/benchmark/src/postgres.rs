//! The private server of Postgres that is measured on, with its client programs.

use super::{Outcome, measure};
use std::path::Path;
use std::process::Command;
use websessions_test_servers::Cluster;

/// The server with its client programs.
pub(super) struct Server {
    cluster: Cluster,
}

impl Server {
    pub(super) fn start() -> Outcome<Self> {
        Ok(Self { cluster: Cluster::start("autovacuum = off\nmax_wal_size = 8GB")? })
    }

    pub(super) fn port(&self) -> u16 {
        self.cluster.port()
    }

    pub(super) fn folder(&self) -> &Path {
        self.cluster.folder()
    }

    pub(super) fn url(&self, database: &str) -> String {
        self.cluster.url().replace("/postgres", &format!("/{database}"))
    }

    pub(super) fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"]).arg(self.url(database));
        command
    }

    pub(super) fn sql(&self, database: &str, sql: &str) -> Outcome<()> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), sql)?;
        measure(self.psql(database).arg("--file").arg(file.path())).map(drop)
    }

    /// A fresh copy of a database, settled.
    pub(super) fn copy(&self, from: &str, to: &str) -> Outcome<()> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {to} WITH (FORCE);"))?;
        self.sql("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from} STRATEGY file_copy;"))?;
        self.sql("postgres", "CHECKPOINT;")
    }
}

//! local-bigquery, behind a proxy that says in BigQuery's words what it says in its engine's.

use crate::http::Proxy;
use crate::port::Port;
use crate::process::{Process, installed};
use serde_json::Value;

/// A local server that speaks BigQuery's protocol. Dropping it stops it.
pub struct LocalBigQuery {
    _process: Process<2>,
    _folder: tempfile::TempDir,
    /// The proxy in front of it, which can break things.
    pub proxy: Proxy,
}

impl LocalBigQuery {
    /// The project that it has.
    pub const PROJECT: &str = "local";

    /// Starts one.
    pub fn start() -> Self {
        let ports = [Port::reserve(), Port::reserve()];
        let [port, grpc_port] = [ports[0].number, ports[1].number];
        let folder = tempfile::tempdir().expect("a folder");
        // Its extensions lie in a home folder that tests/run has filled.
        let home = std::env::var_os("WEBSESSIONS_TEST_LOCAL_BIGQUERY_HOME").expect("./tests/run sets it");
        let mut command = installed("WEBSESSIONS_TEST_LOCAL_BIGQUERY");
        command
            .env("HOME", home)
            .env("BIGQUERY_HOST", "127.0.0.1")
            .env("BIGQUERY_PORT", port.to_string())
            .env("GRPC_PORT", grpc_port.to_string())
            .env("DATA_DIR", folder.path())
            .env("DEFAULT_PROJECT_ID", Self::PROJECT)
            .current_dir(folder.path());
        let path = format!("/bigquery/v2/projects/{}/datasets", Self::PROJECT);
        let process = Process::start(&mut command, ports, &path);
        Self {
            _process: process,
            _folder: folder,
            proxy: Proxy::start(&format!("http://127.0.0.1:{port}"), |_| {}, |_, reply| translate(reply)),
        }
    }

    /// Its endpoint.
    pub fn url(&self) -> &str {
        self.proxy.url()
    }
}

/// A statement that met another one at its commit: DuckLake's words become BigQuery's, wherever an error stands.
fn translate(reply: &mut Value) {
    match reply {
        Value::String(words) if words.contains("Failed to commit DuckLake transaction") => {
            // <https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency>
            *words = "Transaction is aborted due to concurrent update against a table".to_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(translate),
        Value::Object(fields) => fields.values_mut().for_each(translate),
        _ => {}
    }
}

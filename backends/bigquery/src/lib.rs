//! BigQuery, on gcp-bigquery-client.

mod connection;
mod credentials;
mod dialect;
mod errors;
mod jobs;

pub use connection::BigQueryWarehouse;
pub use dialect::BigQueryDialect;

use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Setting, Settings};
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::warehouse::Warehouse;

const SETTINGS: &[Setting] = &[
    Setting::optional("project", "project that has the datasets and pays for the jobs").required(),
    Setting::optional("location", "location of jobs and new datasets, such as EU; else BigQuery chooses"),
    Setting::optional("access_token", "OAuth access token, such as { command = \"gcloud auth print-access-token\" }")
        .secret(),
    Setting::optional("credentials", "JSON text of a service account's key, or of a user's credentials").secret(),
    Setting::optional(
        "credentials_path",
        "file of such JSON; else GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, or the metadata server",
    )
    .path(),
    Setting::optional("maximum_bytes_billed", "bytes above which a statement fails unbilled; else the project's"),
    Setting::optional("job_timeout", "seconds after which BigQuery stops a statement"),
    Setting::optional("connect_timeout", "seconds until a connection is given up").or("10"),
    Setting::optional("endpoint", "URL to talk to instead of https://bigquery.googleapis.com"),
    Setting::optional("price_per_tib", "US dollars per TiB, for plan --estimate").or("6.25"),
];

/// The factory.
#[derive(Clone, Copy, Debug)]
pub struct BigQuery;

#[async_trait]
impl BackendFactory for BigQuery {
    fn name(&self) -> &'static str {
        "bigquery"
    }

    fn about(&self) -> &'static str {
        "Google BigQuery"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(BigQueryDialect)
    }

    fn abilities(&self) -> &'static [&'static str] {
        &["cancel", "estimate", "job ids and bytes in the report"]
    }

    // Google itself is sent its own; another endpoint would be sent what is not its.
    fn ambient_secrets(&self, settings: &Settings) -> Vec<String> {
        let given = ["access_token", "credentials", "credentials_path"].iter().any(|name| settings.get(name).is_some());
        match settings.get("endpoint") {
            Some(_) if !given => vec!["a token of this machine's Google credentials".to_owned()],
            _ => Vec::new(),
        }
    }

    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error> {
        Ok(Arc::new(BigQueryWarehouse::connect(settings).await?))
    }
}

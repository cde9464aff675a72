//! A project: how it is reached, and what is asked of it. What it runs is a job: see `jobs`.

use crate::credentials::Credentials;
use crate::dialect::BigQueryDialect;
use crate::jobs::{Jobs, lock};
use gcp_bigquery_client::client_builder::ClientBuilder;
use gcp_bigquery_client::model::job::Job;
use gcp_bigquery_client::model::job_statistics2::JobStatistics2;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, WarehouseError, WarehouseErrorKind as Kind};
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::Rows;
use websessions_core::warehouse::{self, Activity, Done, Estimate, Loaded, Warehouse};

const GOOGLE: &str = "https://bigquery.googleapis.com";
const TIB: f64 = (1_u64 << 40) as f64;

/// How long a request may be without an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// How often an idle connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A project.
pub struct BigQueryWarehouse {
    jobs: Jobs,
    price_per_tib: f64,
}

fn setting<T: std::str::FromStr>(settings: &Settings, name: &str) -> Result<Option<T>, Error> {
    let wrong = |text: &str| Error::configuration(format!("the target's {name} must be a number, not {text:?}"));
    settings.get(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

impl BigQueryWarehouse {
    /// Connects: makes a token, and runs a query that reads nothing.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let endpoint = settings.get("endpoint").unwrap_or(GOOGLE).trim_end_matches('/').to_owned();
        reqwest::Url::parse(&endpoint)
            .map_err(|error| Error::configuration(format!("the target's endpoint {endpoint:?}: {error}")))?;
        let base_url = format!("{endpoint}/bigquery/v2");
        let maximum_bytes_billed = setting(settings, "maximum_bytes_billed")?;
        let job_timeout = setting(settings, "job_timeout")?;
        let price_per_tib = setting(settings, "price_per_tib")?.unwrap_or_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(setting(settings, "connect_timeout")?.unwrap_or(10)))
            // Every request is answered at once: a job's end is polled for.
            .timeout(SILENCE)
            .tcp_keepalive(KEEPALIVE)
            .build()
            .map_err(|error| Error::configuration(error.to_string()))?;
        let credentials = Credentials::new(settings).await?;
        let project = settings.get("project").unwrap_or_default().to_owned();
        let client = ClientBuilder::new()
            .with_v2_base_url(base_url.clone())
            .with_client(http.clone())
            .build_from_authenticator(Arc::new(credentials.clone()))
            .await
            .map_err(|error| Error::configuration(error.to_string()))?;
        let jobs = Jobs {
            client,
            http,
            credentials,
            base_url,
            project,
            location: settings.get("location").map(str::to_owned),
            maximum_bytes_billed,
            job_timeout,
            activity: Mutex::default(),
            running: Mutex::default(),
            given_up: tokio::sync::Mutex::default(),
        };
        let warehouse = Self { jobs, price_per_tib };
        let failed =
            |source| Error::Warehouse { context: format!("can't connect to {}", warehouse.location()), source };
        warehouse.query("SELECT 1 AS alive").await.map_err(failed)?;
        Ok(warehouse)
    }
}

fn statistics(job: &Job) -> Option<&JobStatistics2> {
    job.statistics.as_ref()?.query.as_ref()
}

fn done(job: &Job, id: String) -> Done {
    let number = |text: fn(&JobStatistics2) -> Option<&String>| statistics(job).and_then(text)?.parse().ok();
    Done {
        rows_affected: number(|statistics| statistics.num_dml_affected_rows.as_ref()),
        query_id: Some(id),
        bytes_processed: number(|statistics| statistics.total_bytes_processed.as_ref()),
        bytes_billed: number(|statistics| statistics.total_bytes_billed.as_ref()),
    }
}

#[async_trait]
impl Warehouse for BigQueryWarehouse {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(BigQueryDialect)
    }

    fn location(&self) -> String {
        let at = self.jobs.base_url.strip_suffix("/bigquery/v2").filter(|endpoint| *endpoint != GOOGLE);
        format!("project {}{}", self.jobs.project, at.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default())
    }

    fn namespace(&self) -> (String, Option<String>) {
        ("bigquery".to_owned(), Some(self.jobs.project.clone()))
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        match self.jobs.run(&statement.sql).await {
            Ok((job, made)) => Ok(done(&job, made.id)),
            // In a dataset that isn't there, there is no table either; BigQuery says so with an error.
            Err(error) if error.kind == Kind::Missing && statement.sql.starts_with("DROP TABLE IF EXISTS") => {
                Ok(Done::default())
            }
            Err(error) => Err(error),
        }
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let (job, made) = self.jobs.run(&self.dialect().block(statements)).await?;
        Ok(vec![done(&job, made.id)])
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        let (_, made) = self.jobs.run(sql).await?;
        self.jobs.rows(&made).await
    }

    fn announce(&self, activity: &Activity) {
        activity.clone_into(&mut lock(&self.jobs.activity));
    }

    // <https://cloud.google.com/bigquery/docs/running-queries#dry-run>
    async fn estimate(&self, statement: &Statement) -> Result<Option<Estimate>, WarehouseError> {
        let id = self.jobs.new_id();
        let (job, _) = match self.jobs.submit(&id, self.jobs.job(&id, &statement.sql, true)).await {
            // It reads a table, or a variable of its script, that isn't there yet.
            Err(error) if error.kind == Kind::Missing || error.message.contains("Unrecognized name") => {
                return Ok(None);
            }
            job => job?,
        };
        let known =
            |statistics: &&JobStatistics2| statistics.total_bytes_processed_accuracy.as_deref() != Some("UNKNOWN");
        let bytes = statistics(&job).filter(known).and_then(|statistics| statistics.total_bytes_processed.as_ref());
        Ok(bytes.and_then(|bytes| bytes.parse().ok()).map(|bytes_processed: u64| Estimate {
            bytes_processed,
            price: bytes_processed as f64 / TIB * self.price_per_tib,
        }))
    }

    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        // Of this run, what was given up is known by its id; of another, all that its ids tell.
        if lock(&self.jobs.activity).run == run {
            return self.jobs.end_given_up().await.map(|()| None);
        }
        self.jobs.end_run(run).await
    }

    // <https://cloud.google.com/bigquery/docs/loading-data>
    async fn load(&self, _load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        Err(warehouse::takes_no_files("with 'bq load'"))
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        self.jobs.cancel().await
    }
}

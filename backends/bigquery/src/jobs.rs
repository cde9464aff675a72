//! Jobs. Each statement, and each block as one script, is a job under an id of our own, so that sending it twice runs it
//! once; it is polled to its end. Source: <https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs>.

use crate::BigQueryDialect;
use crate::credentials::Credentials;
use crate::errors::{DUPLICATE, classify};
use backon::BackoffBuilder;
use gcp_bigquery_client::Client;
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::client_builder::ClientBuilder;
use gcp_bigquery_client::error::BQError;
use gcp_bigquery_client::model::field_type::FieldType;
use gcp_bigquery_client::model::get_query_results_parameters::GetQueryResultsParameters;
use gcp_bigquery_client::model::job::Job;
use gcp_bigquery_client::model::job_configuration::JobConfiguration;
use gcp_bigquery_client::model::job_configuration_query::JobConfigurationQuery;
use gcp_bigquery_client::model::job_reference::JobReference;
use gcp_bigquery_client::model::job_statistics2::JobStatistics2;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind as Kind, chain, without_secret};
use websessions_core::plan::Statement;
use websessions_core::rows::{Rows, Value};
use websessions_core::warehouse::{Activity, Done, Estimate, Warehouse};

const GOOGLE: &str = "https://bigquery.googleapis.com";
const TIB: f64 = (1_u64 << 40) as f64;

/// A project.
pub struct BigQueryWarehouse {
    client: Client,
    /// For asking again where the client loses an answer's words.
    http: reqwest::Client,
    credentials: Credentials,
    base_url: String,
    project: String,
    location: Option<String>,
    maximum_bytes_billed: Option<u64>,
    job_timeout: Option<u64>,
    price_per_tib: f64,
    activity: Mutex<Activity>,
    running: Mutex<BTreeSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            .timeout(Duration::from_secs(60))
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
        let warehouse = Self {
            client,
            http,
            credentials,
            base_url,
            project,
            location: settings.get("location").map(str::to_owned),
            maximum_bytes_billed,
            job_timeout,
            price_per_tib,
            activity: Mutex::default(),
            running: Mutex::default(),
        };
        let failed =
            |source| Error::Warehouse { context: format!("can't connect to {}", warehouse.location()), source };
        warehouse.query("SELECT 1 AS alive").await.map_err(failed)?;
        Ok(warehouse)
    }

    /// Labels take lower-case letters, digits, dashes and underscores, 63 of them.
    /// <https://cloud.google.com/bigquery/docs/labels-intro#requirements>
    fn labels(&self) -> HashMap<String, String> {
        let activity = lock(&self.activity).clone();
        let label = |text: &str| -> String {
            let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            text.to_lowercase().chars().map(|letter| if fits(letter) { letter } else { '_' }).take(63).collect()
        };
        [("websessions_run", activity.run), ("websessions_plan", activity.plan), ("websessions_step", activity.step)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), label(&value)))
            .collect()
    }

    fn job(&self, id: &str, sql: &str, dry_run: bool) -> Job {
        let query = JobConfigurationQuery {
            query: sql.to_owned(),
            use_legacy_sql: Some(false),
            maximum_bytes_billed: self.maximum_bytes_billed.map(|bytes| bytes.to_string()),
            ..JobConfigurationQuery::default()
        };
        Job {
            configuration: Some(JobConfiguration {
                query: Some(query),
                dry_run: Some(dry_run),
                job_timeout_ms: self.job_timeout.map(|seconds| seconds.saturating_mul(1000).to_string()),
                labels: Some(self.labels()),
                ..JobConfiguration::default()
            }),
            job_reference: Some(JobReference {
                job_id: Some(id.to_owned()),
                location: self.location.clone(),
                project_id: Some(self.project.clone()),
            }),
            ..Job::default()
        }
    }

    /// Runs SQL as a job to its end. Gives the job and its id.
    async fn run(&self, sql: &str) -> Result<(Job, String), WarehouseError> {
        let id = format!("websessions_{}", uuid::Uuid::new_v4().simple());
        lock(&self.running).insert(id.clone());
        let result = self.run_as(&id, sql).await;
        lock(&self.running).remove(&id);
        Ok((result?, id))
    }

    async fn run_as(&self, id: &str, sql: &str) -> Result<Job, WarehouseError> {
        let mut job = self.submit(id, self.job(id, sql, false)).await?;
        let mut pauses = pauses(Duration::from_millis(20), Duration::from_secs(1), usize::MAX);
        while job.status.as_ref().and_then(|status| status.state.as_deref()) != Some("DONE") {
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_secs(1))).await;
            job = self.look(id).await?;
        }
        match job.status.as_ref().and_then(|status| status.error_result.as_ref()) {
            None => Ok(job),
            Some(error) => Err(classify(
                error.reason.as_deref().unwrap_or_default(),
                None,
                error.message.as_deref().unwrap_or("the job failed without a word"),
            )),
        }
    }

    /// Sends a job. An answer that is lost does no harm: the id tells whether the first attempt arrived.
    async fn submit(&self, id: &str, job: Job) -> Result<Job, WarehouseError> {
        let mut delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
        loop {
            let error = match self.client.job().insert(&self.project, job.clone()).await {
                Ok(job) => return Ok(job),
                Err(error) => self.explain(error, id).await,
            };
            if error.code.as_deref() == Some(DUPLICATE) {
                return self.look(id).await;
            }
            match delays.next().filter(|_| error.retry != Retry::Never) {
                Some(delay) => tokio::time::sleep(delay.max(asked(&error))).await,
                None => return Err(error),
            }
        }
    }

    /// A job as it is now.
    async fn look(&self, id: &str) -> Result<Job, WarehouseError> {
        let mut delays = pauses(Duration::from_millis(100), Duration::from_secs(5), 6);
        loop {
            let error = match self.client.job().get_job(&self.project, id, self.location.as_deref()).await {
                Ok(job) => return Ok(job),
                Err(error) => self.explain(error, id).await,
            };
            match delays.next().filter(|_| error.retry != Retry::Never) {
                Some(delay) => tokio::time::sleep(delay.max(asked(&error))).await,
                // The job may have ended since, either way.
                None => {
                    let retry = if error.retry == Retry::Never { Retry::Never } else { Retry::Unknown };
                    return Err(error.with_retry(retry));
                }
            }
        }
    }

    /// An error in BigQuery's words. The client loses the words of an answer that is not just as it expects, such as a
    /// proxy's: then the job is asked for once more, and that answer's status and text are what the user gets.
    async fn explain(&self, error: BQError, id: &str) -> WarehouseError {
        match error {
            BQError::ResponseError { error } => {
                let error = error.error;
                let reason = error.errors.first().and_then(|first| first.get("reason")).map_or("", String::as_str);
                classify(reason, u16::try_from(error.code).ok(), &self.without_secrets(&error.message))
            }
            BQError::RequestError(error) if error.is_decode() => self.ask_again(id).await,
            BQError::RequestError(error) => {
                let words = self.without_secrets(&chain(&error));
                let (retry, hint) = if error.is_connect() {
                    (Retry::NotApplied, "check the target's endpoint, and the network")
                } else {
                    (Retry::Unknown, "check the network")
                };
                WarehouseError::new(Kind::Connection, words).with_retry(retry).with_hint(hint)
            }
            other => WarehouseError::new(Kind::Permission, self.without_secrets(&chain(&other)))
                .with_hint("check the target's access_token or credentials"),
        }
    }

    async fn ask_again(&self, id: &str) -> WarehouseError {
        let lost = |words: String| WarehouseError::new(Kind::Connection, words).with_retry(Retry::Unknown);
        let Ok(token) = self.credentials.access_token().await else {
            return lost("an answer that can't be read".to_owned());
        };
        let url = format!("{}/projects/{}/jobs/{id}", self.base_url, self.project);
        let location = self.location.as_ref().map(|location| ("location", location));
        let answer = self.http.get(url).query(&location.as_slice()).bearer_auth(token).send().await;
        let response = match answer {
            Ok(response) => response,
            Err(error) => return lost(self.without_secrets(&chain(&error))),
        };
        let status = response.status();
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|seconds| seconds.parse().ok());
        let text = response.text().await.unwrap_or_default();
        if status.is_success() {
            return lost("the job arrived, but the answer can't be read".to_owned());
        }
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let words = json["error"]["message"]
            .as_str()
            .map_or_else(|| format!("HTTP {status}: {}", text.chars().take(200).collect::<String>()), str::to_owned);
        let reason = json["error"]["errors"][0]["reason"].as_str().unwrap_or_default();
        // That the job isn't there says only that the first answer was no success.
        if status.as_u16() == 404 && reason == "notFound" {
            return WarehouseError::new(Kind::Connection, "an answer that can't be read").with_retry(Retry::NotApplied);
        }
        let mut error = classify(reason, Some(status.as_u16()), &self.without_secrets(&words));
        error.retry_after = retry_after;
        error
    }

    fn without_secrets(&self, words: &str) -> String {
        match &self.credentials {
            Credentials::Token(token) => without_secret(words, token),
            Credentials::Made(_) => words.to_owned(),
        }
    }

    async fn rows(&self, id: &str) -> Result<Rows, WarehouseError> {
        let mut rows = Rows::default();
        let mut fields = Vec::new();
        let mut page_token = None;
        loop {
            let parameters = GetQueryResultsParameters {
                location: self.location.clone(),
                page_token,
                ..GetQueryResultsParameters::default()
            };
            let mut delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
            let page = loop {
                let error = match self.client.job().get_query_results(&self.project, id, parameters.clone()).await {
                    Ok(page) => break page,
                    Err(error) => self.explain(error, id).await,
                };
                match delays.next().filter(|_| error.retry != Retry::Never) {
                    Some(delay) => tokio::time::sleep(delay.max(asked(&error))).await,
                    None => return Err(error),
                }
            };
            if let Some(schema) = page.schema.and_then(|schema| schema.fields) {
                rows.columns = schema.iter().map(|field| field.name.to_lowercase()).collect();
                fields = schema;
            }
            for row in page.rows.unwrap_or_default() {
                let cells = row.columns.unwrap_or_default().into_iter().map(|cell| cell.value);
                rows.rows.push(fields.iter().zip(cells).map(|(field, cell)| value(&field.r#type, cell)).collect());
            }
            page_token = page.page_token.filter(|token| !token.is_empty());
            if page_token.is_none() {
                return Ok(rows);
            }
        }
    }
}

/// Growing pauses: the client has none.
fn pauses(first: Duration, longest: Duration, count: usize) -> backon::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_max_times(count)
        .with_jitter()
        .build()
}

fn asked(error: &WarehouseError) -> Duration {
    Duration::from_secs(error.retry_after.unwrap_or(0).min(60).into())
}

/// A cell: BigQuery sends every value as text, or null.
fn value(field: &FieldType, cell: Option<serde_json::Value>) -> Value {
    let text = match cell {
        None | Some(serde_json::Value::Null) => return Value::Null,
        Some(serde_json::Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    match field {
        FieldType::Integer | FieldType::Int64 => text.parse().map_or(Value::Text(text), Value::Integer),
        FieldType::Float | FieldType::Float64 => text.parse().map_or(Value::Text(text), Value::Float),
        FieldType::Boolean | FieldType::Bool => text.parse().map_or(Value::Text(text), Value::Boolean),
        _ => Value::Text(text),
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
        let at = self.base_url.strip_suffix("/bigquery/v2").filter(|endpoint| *endpoint != GOOGLE);
        format!("project {}{}", self.project, at.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default())
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        match self.run(&statement.sql).await {
            Ok((job, id)) => Ok(done(&job, id)),
            // In a dataset that isn't there, there is no table either; BigQuery says so with an error.
            Err(error) if error.kind == Kind::Missing && statement.sql.starts_with("DROP TABLE IF EXISTS") => {
                Ok(Done::default())
            }
            Err(error) => Err(error),
        }
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let (job, id) = self.run(&self.dialect().block(statements)).await?;
        Ok(vec![done(&job, id)])
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        let (_, id) = self.run(sql).await?;
        self.rows(&id).await
    }

    fn announce(&self, activity: &Activity) {
        activity.clone_into(&mut lock(&self.activity));
    }

    // <https://cloud.google.com/bigquery/docs/running-queries#dry-run>
    async fn estimate(&self, statement: &Statement) -> Result<Option<Estimate>, WarehouseError> {
        let id = format!("websessions_{}", uuid::Uuid::new_v4().simple());
        let job = match self.submit(&id, self.job(&id, &statement.sql, true)).await {
            // It reads a table, or a variable of its script, that isn't there yet.
            Err(error) if error.kind == Kind::Missing || error.message.contains("Unrecognized name") => {
                return Ok(None);
            }
            job => job?,
        };
        let bytes = statistics(&job).and_then(|statistics| statistics.total_bytes_processed.as_ref());
        Ok(bytes.and_then(|bytes| bytes.parse().ok()).map(|bytes_processed: u64| Estimate {
            bytes_processed,
            price: bytes_processed as f64 / TIB * self.price_per_tib,
        }))
    }

    // <https://cloud.google.com/bigquery/docs/managing-jobs#cancel_jobs>
    async fn cancel(&self) -> Result<(), WarehouseError> {
        let running: Vec<String> = lock(&self.running).iter().cloned().collect();
        for id in running {
            if let Err(error) = self.client.job().cancel_job(&self.project, &id, self.location.as_deref()).await {
                return Err(self.explain(error, &id).await);
            }
        }
        Ok(())
    }
}

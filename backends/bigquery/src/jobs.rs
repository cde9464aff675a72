//! Jobs. Each statement, and each block as one script, is a job under an id of our own, so that sending it twice runs it
//! once; it is polled to its end. Source: <https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs>.

use crate::credentials::Credentials;
use crate::errors::{DUPLICATE, classify};
use backon::BackoffBuilder;
use gcp_bigquery_client::Client;
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use gcp_bigquery_client::model::field_type::FieldType;
use gcp_bigquery_client::model::get_query_results_parameters::GetQueryResultsParameters;
use gcp_bigquery_client::model::job::Job;
use gcp_bigquery_client::model::job_configuration::JobConfiguration;
use gcp_bigquery_client::model::job_configuration_query::JobConfigurationQuery;
use gcp_bigquery_client::model::job_reference::JobReference;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use websessions_core::error::{Retry, WarehouseError, WarehouseErrorKind as Kind, chain, without_secret};
use websessions_core::rows::{Rows, Value};
use websessions_core::warehouse::Activity;

/// The jobs of a project, as far as we make them.
pub(crate) struct Jobs {
    pub(crate) client: Client,
    /// For asking again where the client loses an answer's words.
    pub(crate) http: reqwest::Client,
    pub(crate) credentials: Credentials,
    pub(crate) base_url: String,
    pub(crate) project: String,
    /// Where jobs are made; else BigQuery chooses, by the datasets that they read.
    pub(crate) location: Option<String>,
    pub(crate) maximum_bytes_billed: Option<u64>,
    pub(crate) job_timeout: Option<u64>,
    pub(crate) activity: Mutex<Activity>,
    pub(crate) running: Mutex<BTreeMap<String, Option<String>>>,
}

/// A job that was made: its id, and where it runs. Every later call must say where, unless that is the US or the EU.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/get>
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) location: Option<String>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Jobs {
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

    pub(crate) fn new_id() -> String {
        format!("websessions_{}", uuid::Uuid::new_v4().simple())
    }

    pub(crate) fn job(&self, id: &str, sql: &str, dry_run: bool) -> Job {
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

    /// Runs SQL as a job to its end.
    pub(crate) async fn run(&self, sql: &str) -> Result<(Job, Made), WarehouseError> {
        let id = Self::new_id();
        lock(&self.running).insert(id.clone(), self.location.clone());
        let result = self.run_as(&id, sql).await;
        lock(&self.running).remove(&id);
        result
    }

    async fn run_as(&self, id: &str, sql: &str) -> Result<(Job, Made), WarehouseError> {
        let (mut job, made) = self.submit(id, self.job(id, sql, false)).await?;
        lock(&self.running).insert(made.id.clone(), made.location.clone());
        let mut pauses = pauses(Duration::from_millis(20), Duration::from_secs(1), usize::MAX);
        while job.status.as_ref().and_then(|status| status.state.as_deref()) != Some("DONE") {
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_secs(1))).await;
            job = self.look(&made).await?;
        }
        match job.status.as_ref().and_then(|status| status.error_result.as_ref()) {
            None => Ok((job, made)),
            Some(error) => Err(classify(
                error.reason.as_deref().unwrap_or_default(),
                None,
                error.message.as_deref().unwrap_or("the job failed without a word"),
            )),
        }
    }

    /// Sends a job. An answer that is lost does no harm: the id tells whether the first attempt arrived.
    pub(crate) async fn submit(&self, id: &str, job: Job) -> Result<(Job, Made), WarehouseError> {
        let made = |location: Option<String>| Made { id: id.to_owned(), location: location.or(self.location.clone()) };
        let unmade = made(None);
        let mut delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
        let mut renewed = false;
        loop {
            let error = match self.client.job().insert(&self.project, job.clone()).await {
                Ok(job) => {
                    let location = job.job_reference.as_ref().and_then(|reference| reference.location.clone());
                    return Ok((job, made(location)));
                }
                Err(error) => self.explain(error, &unmade).await,
            };
            if !renewed && self.renewed(&error) {
                renewed = true;
                continue;
            }
            if error.code.as_deref() == Some(DUPLICATE) {
                let there = made(location_of_duplicate(&error.message, id));
                return Ok((self.look(&there).await?, there));
            }
            match delays.next().filter(|_| error.retry != Retry::Never) {
                Some(delay) => tokio::time::sleep(delay.max(asked(&error))).await,
                None => return Err(error),
            }
        }
    }

    /// A job as it is now.
    async fn look(&self, made: &Made) -> Result<Job, WarehouseError> {
        let mut delays = pauses(Duration::from_millis(100), Duration::from_secs(5), 6);
        let mut renewed = false;
        loop {
            let error = match self.client.job().get_job(&self.project, &made.id, made.location.as_deref()).await {
                Ok(job) => return Ok(job),
                Err(error) => self.explain(error, made).await,
            };
            if !renewed && self.renewed(&error) {
                renewed = true;
                continue;
            }
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

    /// Whether a token was refused that has passed, and there is a new one: they last an hour.
    fn renewed(&self, error: &WarehouseError) -> bool {
        let refused = matches!(error.code.as_deref(), Some("authError" | "required" | "HTTP 401"));
        refused && self.credentials.renew().unwrap_or(false)
    }

    /// Asks BigQuery to stop what runs. <https://cloud.google.com/bigquery/docs/managing-jobs#cancel_jobs>
    pub(crate) async fn cancel(&self) -> Result<(), WarehouseError> {
        let running: Vec<Made> =
            lock(&self.running).iter().map(|(id, at)| Made { id: id.clone(), location: at.clone() }).collect();
        for made in running {
            let cancelled = self.client.job().cancel_job(&self.project, &made.id, made.location.as_deref()).await;
            if let Err(error) = cancelled {
                return Err(self.explain(error, &made).await);
            }
        }
        Ok(())
    }

    /// An error in BigQuery's words. The client loses the words of an answer that is not just as it expects, such as a
    /// proxy's: then the job is asked for once more, and that answer's status and text are what the user gets.
    async fn explain(&self, error: BQError, made: &Made) -> WarehouseError {
        match error {
            BQError::ResponseError { error } => {
                let error = error.error;
                let reason = error.errors.first().and_then(|first| first.get("reason")).map_or("", String::as_str);
                classify(reason, u16::try_from(error.code).ok(), &self.without_secrets(&error.message))
            }
            BQError::RequestError(error) if error.is_decode() => self.ask_again(made).await,
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

    async fn ask_again(&self, made: &Made) -> WarehouseError {
        let lost = |words: String| WarehouseError::new(Kind::Connection, words).with_retry(Retry::Unknown);
        let Ok(token) = self.credentials.access_token().await else {
            return lost("an answer that can't be read".to_owned());
        };
        let url = format!("{}/projects/{}/jobs/{}", self.base_url, self.project, made.id);
        let location = made.location.as_ref().map(|location| ("location", location));
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
        // That the job isn't there says that the first answer was no success, if it was asked for where it would be.
        if status.as_u16() == 404 && reason == "notFound" {
            let retry = if made.location.is_some() { Retry::NotApplied } else { Retry::Unknown };
            return WarehouseError::new(Kind::Connection, "an answer that can't be read").with_retry(retry);
        }
        let mut error = classify(reason, Some(status.as_u16()), &self.without_secrets(&words));
        error.retry_after = retry_after;
        error
    }

    fn without_secrets(&self, words: &str) -> String {
        match &self.credentials {
            Credentials::Token(token) => without_secret(words, &token.value()),
            Credentials::Made(_) => words.to_owned(),
        }
    }

    /// The rows of a job that has ended.
    pub(crate) async fn rows(&self, made: &Made) -> Result<Rows, WarehouseError> {
        let mut rows = Rows::default();
        let mut fields = Vec::new();
        let mut page_token = None;
        loop {
            let parameters = GetQueryResultsParameters {
                location: made.location.clone(),
                page_token,
                ..GetQueryResultsParameters::default()
            };
            let mut delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
            let mut renewed = false;
            let page = loop {
                let error = match self.client.job().get_query_results(&self.project, &made.id, parameters.clone()).await
                {
                    Ok(page) => break page,
                    Err(error) => self.explain(error, made).await,
                };
                if !renewed && self.renewed(&error) {
                    renewed = true;
                    continue;
                }
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

/// Where the job is that a second one of its id met: 'Already Exists: Job PROJECT:LOCATION.ID'.
fn location_of_duplicate(message: &str, id: &str) -> Option<String> {
    let (before, _) = message.split_once(&format!(".{id}"))?;
    before.rsplit_once(':').map(|(_, location)| location.to_owned()).filter(|location| !location.is_empty())
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

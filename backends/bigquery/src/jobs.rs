//! Jobs. Each statement, and each block as one script, is a job under an id of our own, so that sending it twice runs it
//! once; it is polled to its end. Source: <https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs>.

use crate::credentials::Credentials;
use crate::errors::{DUPLICATE, NOT_FOUND, classify};
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
    /// Jobs that were given up: whether they run, or will, is not known. None is made beside them.
    pub(crate) given_up: tokio::sync::Mutex<Vec<Made>>,
}

/// How long what was told to stop may take to end.
const ENDING: Duration = Duration::from_secs(60);

/// How long between two looks whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How many of an account's last jobs are looked at to learn whether a run was its own.
const LAST_JOBS: u16 = 1000;

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

    /// A new job's id. It tells whose run the job is of, to accounts too that see no more than ids of others' jobs.
    pub(crate) fn new_id(&self) -> String {
        format!("{}{}", prefix(&lock(&self.activity).run), uuid::Uuid::new_v4().simple())
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
        self.end_given_up().await?;
        let id = self.new_id();
        lock(&self.running).insert(id.clone(), self.location.clone());
        let result = self.run_as(&id, sql).await;
        let location = lock(&self.running).remove(&id).flatten();
        // One whose insertion was lost and that is not there may arrive late.
        if result.as_ref().is_err_and(|error| error.retry == Retry::Unknown || is_no_job(error)) {
            self.given_up.lock().await.push(Made { id, location });
        }
        result
    }

    /// Ends the jobs that were given up, and awaits that. One that can't be ended stays among them.
    pub(crate) async fn end_given_up(&self) -> Result<(), WarehouseError> {
        let mut given_up = self.given_up.lock().await;
        while let Some(made) = given_up.last() {
            // Whatever was lost before, nothing of what comes next was sent.
            self.end(made).await.map_err(|error| match error.retry {
                Retry::Unknown => error.with_retry(Retry::NotApplied),
                _ => error,
            })?;
            given_up.pop();
        }
        Ok(())
    }

    /// Stops a job, and awaits its end. One that never arrived is kept from arriving late: its id is taken.
    async fn end(&self, made: &Made) -> Result<(), WarehouseError> {
        let mut waited = Duration::ZERO;
        loop {
            match self.told_to_stop(made).await {
                Ok(job) if is_done(&job) => return Ok(()),
                Err(error) if is_no_job(&error) => {
                    // Where a job would run is known, or it can't be forestalled there.
                    let Some(location) = &made.location else { return Ok(()) };
                    let mut nothing = self.job(&made.id, "SELECT 1 AS nothing", false);
                    nothing.job_reference.get_or_insert_default().location = Some(location.clone());
                    match self.client.job().insert(&self.project, nothing).await {
                        Ok(_) => return Ok(()),
                        Err(error) => match self.explain(error, made).await {
                            error if error.code.as_deref() == Some(DUPLICATE) => {}
                            error => return Err(error),
                        },
                    }
                }
                Ok(_) if waited >= ENDING => return Err(still_runs(&made.id, waited)),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            waited += LOOK_INTERVAL;
        }
    }

    /// A job as it is when it has been told to stop.
    async fn told_to_stop(&self, made: &Made) -> Result<Job, WarehouseError> {
        let delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
        let ask = || async {
            match self.client.job().cancel_job(&self.project, &made.id, made.location.as_deref()).await {
                Ok(answer) => Ok(answer.job.unwrap_or_default()),
                Err(error) => Err(self.explain(error, made).await),
            }
        };
        self.patiently(delays, |error| !is_no_job(error), ask).await
    }

    /// Asks until there is an answer, or an error that asking again does not mend: of which that is tried, or of which no delay is
    /// left. A token that has passed is renewed once.
    async fn patiently<T, A: Future<Output = Result<T, WarehouseError>>>(
        &self,
        mut delays: impl Iterator<Item = Duration>,
        tries: impl Fn(&WarehouseError) -> bool,
        ask: impl Fn() -> A,
    ) -> Result<T, WarehouseError> {
        let mut renewed = false;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !renewed && self.renewed(&error) {
                renewed = true;
                continue;
            }
            match delays.next().filter(|_| error.retry != Retry::Never && tries(&error)) {
                Some(delay) => tokio::time::sleep(delay.max(asked(&error))).await,
                None => return Err(error),
            }
        }
    }

    /// Ends the jobs of a run, whoever made them, and awaits that. What this account can't see is given in words.
    /// <https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/list>
    pub(crate) async fn end_run(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        let prefix = prefix(run);
        let mut waited = Duration::ZERO;
        let mut sees_all = true;
        loop {
            let mut running = Vec::new();
            // In this order, so that one that begins between the two looks is in one of them.
            for state in ["pending", "running"] {
                running.extend(match self.list(&prefix, state, sees_all).await {
                    Err(error) if sees_all && error.kind == Kind::Permission => {
                        sees_all = false;
                        self.list(&prefix, state, false).await?
                    }
                    listed => listed?,
                });
            }
            let Some(first) = running.first() else { break };
            if waited >= ENDING {
                return Err(still_runs(&first.id, waited));
            }
            for made in &running {
                match self.told_to_stop(made).await {
                    // Another account's, which this one may not stop: it is awaited.
                    Err(error) if error.kind == Kind::Permission || is_no_job(&error) => {}
                    other => drop(other?),
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            waited += LOOK_INTERVAL;
        }
        if sees_all || !self.list(&prefix, "done", false).await?.is_empty() {
            return Ok(None);
        }
        Ok(Some(format!(
            "the run {run} was another account's, whose jobs this one may not list (bigquery.jobs.listAll): some may still run"
        )))
    }

    /// The jobs in a state whose ids begin so: this account's, or all accounts'. Of those that are done, the last ones.
    async fn list(&self, prefix: &str, state: &str, of_all: bool) -> Result<Vec<Made>, WarehouseError> {
        let url = format!("{}/projects/{}/jobs", self.base_url, self.project);
        let (most, of_all) = (LAST_JOBS.to_string(), of_all.to_string());
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut query =
                vec![("stateFilter", state), ("allUsers", &of_all), ("projection", "minimal"), ("maxResults", &most)];
            query.extend(Some(("pageToken", token.as_str())).filter(|(_, token)| !token.is_empty()));
            let delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
            let page = self.patiently(delays, |_| true, || self.get(&url, &query)).await?;
            let page: serde_json::Value = serde_json::from_str(&page).unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            found.extend(page["jobs"].as_array().into_iter().flatten().filter_map(|job| {
                let reference = &job["jobReference"];
                let id = text(&reference["jobId"]).filter(|id| id.starts_with(prefix))?;
                Some(Made { id, location: text(&reference["location"]) })
            }));
            token = text(&page["nextPageToken"]).unwrap_or_default();
            if token.is_empty() || state == "done" {
                return Ok(found);
            }
        }
    }

    async fn run_as(&self, id: &str, sql: &str) -> Result<(Job, Made), WarehouseError> {
        let (mut job, made) = self.submit(id, self.job(id, sql, false)).await?;
        lock(&self.running).insert(made.id.clone(), made.location.clone());
        let mut pauses = pauses(Duration::from_millis(20), Duration::from_secs(1), usize::MAX);
        while !is_done(&job) {
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
        let delays = pauses(Duration::from_millis(100), Duration::from_secs(5), 6);
        let ask = || async {
            match self.client.job().get_job(&self.project, &made.id, made.location.as_deref()).await {
                Ok(job) => Ok(job),
                Err(error) => Err(self.explain(error, made).await),
            }
        };
        self.patiently(delays, |_| true, ask).await.map_err(|error| {
            // The job may have ended since, either way.
            let retry = if error.retry == Retry::Never { Retry::Never } else { Retry::Unknown };
            error.with_retry(retry)
        })
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
        let url = format!("{}/projects/{}/jobs/{}", self.base_url, self.project, made.id);
        let location = made.location.as_deref().map(|location| ("location", location));
        let error = match self.get(&url, location.as_slice()).await {
            Ok(_) => {
                return WarehouseError::new(Kind::Connection, "the job arrived, but the answer can't be read")
                    .with_retry(Retry::Unknown);
            }
            Err(error) => error,
        };
        // That the job isn't there says that the first answer was no success, if it was asked for where it would be.
        if error.code.as_deref() == Some(NOT_FOUND) {
            let retry = if made.location.is_some() { Retry::NotApplied } else { Retry::Unknown };
            let lost = WarehouseError::new(Kind::Connection, "an answer that can't be read").with_retry(retry);
            return WarehouseError { code: error.code, ..lost };
        }
        error
    }

    /// Asks for what changes nothing: the answer's text, or the server's refusal.
    async fn get(&self, url: &str, query: &[(&str, &str)]) -> Result<String, WarehouseError> {
        let lost = |words: String| WarehouseError::new(Kind::Connection, words).with_retry(Retry::Unknown);
        let Ok(token) = self.credentials.access_token().await else {
            return Err(lost("an answer that can't be read".to_owned()));
        };
        let answer = self.http.get(url).query(query).bearer_auth(token).send().await;
        let response = answer.map_err(|error| lost(self.without_secrets(&chain(&error))))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|seconds| seconds.parse().ok());
        let text = response.text().await.unwrap_or_default();
        if status.is_success() {
            return Ok(text);
        }
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let words = json["error"]["message"]
            .as_str()
            .map_or_else(|| format!("HTTP {status}: {}", text.chars().take(200).collect::<String>()), str::to_owned);
        let reason = json["error"]["errors"][0]["reason"].as_str().unwrap_or_default();
        let mut error = classify(reason, Some(status.as_u16()), &self.without_secrets(&words));
        error.retry_after = retry_after;
        Err(error)
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
            let delays = pauses(Duration::from_millis(100), Duration::from_secs(2), 3);
            let ask = || async {
                match self.client.job().get_query_results(&self.project, &made.id, parameters.clone()).await {
                    Ok(page) => Ok(page),
                    Err(error) => Err(self.explain(error, made).await),
                }
            };
            let page = self.patiently(delays, |_| true, ask).await?;
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

/// What the ids of a run's jobs begin with.
fn prefix(run: &str) -> String {
    if run.is_empty() { "websessions_".to_owned() } else { format!("websessions_{run}_") }
}

fn is_done(job: &Job) -> bool {
    job.status.as_ref().and_then(|status| status.state.as_deref()) == Some("DONE")
}

/// Whether BigQuery says that there is no such job.
fn is_no_job(error: &WarehouseError) -> bool {
    error.code.as_deref() == Some(NOT_FOUND) && error.kind == Kind::Connection
}

fn still_runs(id: &str, waited: Duration) -> WarehouseError {
    let message = format!("the job {id} was told to stop, and still runs after {} s", waited.as_secs());
    WarehouseError::new(Kind::Locked, message)
        .with_hint(format!("wait for its end; of another account's job, 'bq cancel {id}' needs bigquery.jobs.update"))
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

/// A point in time, which BigQuery sends as a decimal number of seconds since 1970, `1.71007206E9`.
fn time(text: &str) -> Option<String> {
    let seconds: f64 = text.parse().ok()?;
    let time = chrono::DateTime::from_timestamp_micros((seconds * 1e6).round() as i64)?;
    Some(time.format("%Y-%m-%d %H:%M:%S%.f").to_string())
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
        FieldType::Timestamp => Value::Text(time(&text).unwrap_or(text)),
        _ => Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_since_1970_are_a_time() {
        assert_eq!(time("1.71007206E9").as_deref(), Some("2024-03-10 12:01:00"));
        assert_eq!(time("1710072060.123456").as_deref(), Some("2024-03-10 12:01:00.123456"));
        assert_eq!(time("-1.5").as_deref(), Some("1969-12-31 23:59:58.500"));
        assert_eq!(time("soon"), None);
    }
}

//! An account, and its sessions. A session runs one statement at a time; a block holds one from its BEGIN to its COMMIT.
//!
//! Why the lock of the core is right here: an `UPDATE` locks the partitions that it changes until its transaction ends, so
//! of two runs that take the lock's row at the same time one waits, and every statement sees what was committed before it
//! began (READ COMMITTED, the only isolation level). The second `UPDATE` therefore finds the row held, changes nothing,
//! and its run sees the first one as the holder. If each run had made a row of its own, as two inserts don't wait for each
//! other, both end their updates before they look, so the later look sees both holders, and its run gives way.
//! <https://docs.snowflake.com/en/sql-reference/transactions#isolation-level>

use crate::credentials::Credentials;
use crate::dialect::SnowflakeDialect;
use crate::errors::classify;
use crate::gateway::{Gateway, Login, lock};
use crate::result::{affected, rows};
use reqwest::Url;
use reqwest_middleware::ClientBuilder;
use serde_json::json;
use snowflake_api::{AuthArgs, QueryResult, SnowflakeApi, SnowflakeApiBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind as Kind, chain, without_secret};
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::Rows;
use websessions_core::warehouse::{self, Activity, Done, Loaded, Warehouse};

/// How often the end of a session is sent, if its answer is lost.
const CLOSING_ATTEMPTS: usize = 3;

/// How long a cancellation, or the end of a session, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may be without an answer. Snowflake holds one for 45 seconds, and then says that it is in progress.
const SILENCE: Duration = Duration::from_secs(120);

/// How long what was told to stop may take to end.
const ENDING: Duration = Duration::from_secs(60);

/// How long between two looks whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How often an idle connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A run's statements as the account remembers them, by its tag: each with its session, and whether it runs.
/// <https://docs.snowflake.com/en/sql-reference/functions/query_history>
fn history_of(run: &str) -> String {
    format!(
        "SELECT query_id, session_id,\n  CASE\n    WHEN UPPER(execution_status) IN ('RUNNING', 'QUEUED', 'BLOCKED', 'RESUMING_WAREHOUSE')\n      AND TO_VARCHAR(session_id) <> CURRENT_SESSION() THEN 1\n    ELSE 0\n  END AS is_running\nFROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(RESULT_LIMIT => 10000))\nWHERE CONTAINS(query_tag, {})",
        SnowflakeDialect.text(&format!(" run {run} "))
    )
}

/// An account, and the idle sessions in it.
pub struct SnowflakeWarehouse {
    account: String,
    user: String,
    role: Option<String>,
    warehouse: Option<String>,
    database: String,
    credentials: Credentials,
    /// Where a token comes from that passes.
    settings: Settings,
    /// The setting's; else the account's own host.
    endpoint: Option<Url>,
    query_tag: String,
    activity: Mutex<Activity>,
    statement_timeout: Option<u64>,
    /// One for all sessions: each would hold its own copy of the authorities' certificates.
    http: reqwest::Client,
    idle: Mutex<Vec<OpenConnection>>,
    busy: Mutex<BTreeMap<u64, Gateway>>,
}

struct OpenConnection {
    api: SnowflakeApi,
    gateway: Gateway,
}

/// The account as it signs in: what stands before the first dot. Behind it come the region and the cloud, and `privatelink`,
/// which belong to the host alone; of a global account, a number of the region is part of it.
/// <https://docs.snowflake.com/en/user-guide/admin-account-identifier>
fn locator(account: &str) -> &str {
    let first = account.split('.').next().unwrap_or(account);
    match account.to_lowercase().contains(".global") {
        true => first.split('-').next().unwrap_or(first),
        false => first,
    }
}

/// The account's host. A name of a host has no underscores.
/// <https://docs.snowflake.com/en/user-guide/admin-account-identifier#account-identifiers-for-private-connectivity>
fn host(account: &str) -> String {
    format!("https://{}.snowflakecomputing.com", account.to_lowercase().replace('_', "-"))
}

/// A name as Snowflake resolves it: in double quotes as written, else in upper case.
/// <https://docs.snowflake.com/en/sql-reference/identifiers-syntax>
fn resolved(name: String) -> String {
    if name.starts_with('"') { name } else { name.to_uppercase() }
}

impl SnowflakeWarehouse {
    /// Connects.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let text = |name: &str| settings.get(name).map(str::to_owned);
        let number = |name: &str| -> Result<Option<u64>, Error> {
            let wrong = |value: &str| {
                Error::configuration(format!("the target's {name} must be a number of seconds, not {value:?}"))
            };
            text(name).map(|value| value.parse().map_err(|_| wrong(&value))).transpose()
        };
        let endpoint = text("endpoint")
            .map(|url| {
                Url::parse(&url)
                    .map_err(|error| Error::configuration(format!("the target's endpoint {url:?}: {error}")))
            })
            .transpose()?;
        let connect_timeout = Duration::from_secs(number("connect_timeout")?.unwrap_or(10));
        let http = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .timeout(SILENCE)
            .tcp_keepalive(KEEPALIVE)
            .build()
            .map_err(|error| Error::configuration(format!("can't make an HTTP client: {error}")))?;
        let warehouse = Self {
            account: text("account").unwrap_or_default(),
            user: text("user").unwrap_or_default(),
            role: text("role"),
            warehouse: text("warehouse"),
            database: text("database").unwrap_or_default(),
            credentials: Credentials::new(settings)?,
            settings: settings.clone(),
            endpoint,
            query_tag: text("query_tag").unwrap_or_default(),
            activity: Mutex::default(),
            statement_timeout: number("statement_timeout")?,
            http,
            idle: Mutex::default(),
            busy: Mutex::default(),
        };
        let failed =
            |source| Error::Warehouse { context: format!("can't connect to {}", warehouse.location()), source };
        // The first login is made now, so that an error says at once what is wrong.
        warehouse.query("SELECT 1 AS alive").await.map_err(failed)?;
        Ok(warehouse)
    }

    /// Where the account is.
    fn base(&self) -> Result<Url, WarehouseError> {
        let wrong = |error: <Url as std::str::FromStr>::Err| WarehouseError::new(Kind::Other, error.to_string());
        self.endpoint.clone().map_or_else(|| Url::parse(&host(&self.account)).map_err(wrong), Ok)
    }

    fn open(&self, autocommit: bool) -> Result<OpenConnection, WarehouseError> {
        // Timestamps are UTC and without a zone, whatever the account's defaults are.
        // <https://docs.snowflake.com/en/sql-reference/parameters>
        let mut session_parameters = json!({ "TIMEZONE": "UTC", "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ", "AUTOCOMMIT": autocommit, "QUERY_TAG": self.query_tag });
        if let Some(seconds) = self.statement_timeout {
            session_parameters["STATEMENT_TIMEOUT_IN_SECONDS"] = json!(seconds);
        }
        let other = |error: String| WarehouseError::new(Kind::Other, error);
        let credentials = self
            .credentials
            .renewed(&self.settings)
            .map_err(|error| WarehouseError::new(Kind::Permission, error.to_string()))?;
        let (authenticator, token) = match &credentials {
            Credentials::Token { token, authenticator } => (Some(*authenticator), Some(token.clone())),
            Credentials::Password(_) | Credentials::PrivateKey(_) => (None, None),
        };
        let names = [
            ("databaseName", Some(self.database.clone())),
            ("warehouse", self.warehouse.clone()),
            ("roleName", self.role.clone()),
        ];
        let names = names.into_iter().filter_map(|(name, value)| Some((name, resolved(value?)))).collect();
        let gateway = Gateway {
            endpoint: self.base()?,
            login: Login { session_parameters, authenticator, token, names },
            tokens: Arc::default(),
            last: Arc::default(),
            parameters: Arc::default(),
        };
        let client = ClientBuilder::new(self.http.clone()).with(gateway.clone());
        let auth = AuthArgs {
            account_identifier: locator(&self.account).to_owned(),
            warehouse: None,
            database: None,
            schema: None,
            username: self.user.clone(),
            role: None,
            auth_type: credentials.for_crate(),
        };
        let api = SnowflakeApiBuilder::new(auth)
            .with_client(client.build())
            .build()
            .map_err(|error| other(error.to_string()))?;
        Ok(OpenConnection { api, gateway })
    }

    /// Runs work on a session of its own, and keeps the session unless it broke.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&OpenConnection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let idle = lock(&self.idle).pop();
        let session = match idle {
            Some(session) => session,
            None => self.open(true)?,
        };
        let result = self.on(&session, work).await;
        if !result.as_ref().is_err_and(|error| error.kind == Kind::Connection) {
            lock(&self.idle).push(session);
        }
        result
    }

    /// Runs work on a session that ends with it, and rolls back what it left open.
    async fn alone<T>(
        &self,
        autocommit: bool,
        work: impl AsyncFnOnce(&OpenConnection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let session = self.open(autocommit)?;
        let result = self.on(&session, work).await;
        // Snowflake would leave the transaction open, with its locks and what went before in it. But if the connection
        // broke, a ROLLBACK could overtake the statement that was lost: then only the session's end is safe.
        if result.as_ref().is_err_and(|error| error.kind != Kind::Connection) {
            let _ = self.execute_on(&session, "rolls back", "ROLLBACK").await;
        }
        for _ in 0..CLOSING_ATTEMPTS {
            if self.post(&session.gateway, "/session?delete=true", &json!({})).await.is_ok() {
                break;
            }
        }
        result
    }

    /// Runs work on a session, where `cancel` finds it.
    async fn on<T>(
        &self,
        session: &OpenConnection,
        work: impl AsyncFnOnce(&OpenConnection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let number = {
            let mut busy = lock(&self.busy);
            let number = busy.last_key_value().map_or(0, |(last, _)| last + 1);
            busy.insert(number, session.gateway.clone());
            number
        };
        let result = work(session).await;
        lock(&self.busy).remove(&number);
        result
    }

    /// Sends what the crate has no call for, on a session that has logged in.
    async fn post(&self, gateway: &Gateway, path: &str, body: &serde_json::Value) -> Result<(), WarehouseError> {
        let Some(authorization) = lock(&gateway.last).authorization.clone() else { return Ok(()) };
        let other = |error: String| WarehouseError::new(Kind::Other, error);
        let mut url = self.base()?.join(path).map_err(|error| other(error.to_string()))?;
        url.query_pairs_mut().append_pair("requestId", &uuid::Uuid::new_v4().to_string());
        self.http
            .post(url)
            .header(reqwest::header::AUTHORIZATION, authorization)
            .header(reqwest::header::ACCEPT, "application/json")
            .timeout(ANSWER_TIMEOUT)
            .json(body)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| WarehouseError::new(Kind::Connection, error.to_string()))
    }

    /// Stops a session's statement by the id of its request.
    /// <https://docs.snowflake.com/en/user-guide/querying-cancel-statements>
    async fn abort(&self, gateway: &Gateway) -> Result<(), WarehouseError> {
        let request_id = lock(&gateway.last).request_id.clone();
        let Some(request_id) = request_id else { return Ok(()) };
        self.post(gateway, "/queries/v1/abort-request", &json!({ "requestId": request_id })).await
    }

    /// The query tag: whose run, which step, what for. Snowflake takes 2,000 characters.
    /// <https://docs.snowflake.com/en/sql-reference/parameters#query-tag>
    fn tag(&self, purpose: &str) -> String {
        let activity = lock(&self.activity);
        let step = match activity.run.as_str() {
            "" => String::new(),
            run => format!("run {run} {}/{}: ", activity.plan, activity.step),
        };
        format!("{} {step}{purpose}", self.query_tag).chars().take(2000).collect()
    }

    async fn send(
        &self,
        session: &OpenConnection,
        purpose: &str,
        sql: &str,
    ) -> Result<(QueryResult, Option<String>), WarehouseError> {
        self.send_with(session, sql, json!({ "QUERY_TAG": self.tag(purpose) })).await
    }

    async fn send_with(
        &self,
        session: &OpenConnection,
        sql: &str,
        parameters: serde_json::Value,
    ) -> Result<(QueryResult, Option<String>), WarehouseError> {
        *lock(&session.gateway.parameters) = parameters;
        let result = session.api.exec(sql).await;
        let last = lock(&session.gateway.last).clone();
        match result {
            Ok(result) => Ok((result, last.query_id)),
            Err(error) => {
                let words = last.message.clone().unwrap_or_else(|| chain(&error));
                let error = classify(without_secret(&words, self.credentials.secret()), &last);
                // It may run still: it must not, beside the next attempt.
                if error.retry == Retry::Unknown && last.request_id.is_some() {
                    let _ = self.abort(&session.gateway).await;
                }
                Err(error)
            }
        }
    }

    async fn execute_on(&self, session: &OpenConnection, purpose: &str, sql: &str) -> Result<Done, WarehouseError> {
        let (result, query_id) = self.send(session, purpose, sql).await?;
        Ok(Done { rows_affected: affected(&result), query_id, ..Done::default() })
    }
}

/// Whether the account has understood, and won't.
fn is_refusal(error: &WarehouseError) -> bool {
    error.retry == Retry::Never && error.kind != Kind::Cancelled
}

#[async_trait]
impl Warehouse for SnowflakeWarehouse {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(SnowflakeDialect)
    }

    fn location(&self) -> String {
        let at = self.endpoint.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
        format!("{} in account {}{at}", self.database, self.account)
    }

    fn namespace(&self) -> (String, Option<String>) {
        (format!("snowflake://{}", self.account), Some(self.database.clone()))
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        self.with(async |session| self.execute_on(session, &statement.purpose, &statement.sql).await).await
    }

    // A block has a session to itself, without AUTOCOMMIT: if an answer is lost, the statement may arrive late, and must not
    // commit by itself then.
    // <https://docs.snowflake.com/en/sql-reference/transactions#label-txn-autocommit>
    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        self.alone(false, async |session| {
            self.execute_on(session, "begins", self.dialect().begin()).await?;
            let mut done = Vec::new();
            for statement in statements {
                done.push(self.execute_on(session, &statement.purpose, &statement.sql).await?.check(statement)?);
            }
            self.execute_on(session, "commits", self.dialect().commit()).await?;
            Ok(done)
        })
        .await
    }

    // Any number of statements, alone: what the script sets must not stay.
    // <https://docs.snowflake.com/en/sql-reference/parameters#multi-statement-count>
    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        let parameters = json!({ "QUERY_TAG": self.tag(&script.purpose), "MULTI_STATEMENT_COUNT": 0 });
        self.alone(true, async |session| {
            let (result, query_id) = self.send_with(session, &script.sql, parameters).await?;
            Ok(Done { rows_affected: affected(&result), query_id, ..Done::default() })
        })
        .await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.with(async |session| rows(self.send(session, "looks", sql).await?.0)).await
    }

    fn announce(&self, activity: &Activity) {
        activity.clone_into(&mut lock(&self.activity));
    }

    // A statement that runs is stopped, and a transaction that a dead session left open is rolled back: it would hold the
    // lock's row. What another user runs is seen and stopped only with rights on the virtual warehouse; what is seen and can't
    // be stopped is awaited.
    // <https://docs.snowflake.com/en/sql-reference/functions/system_cancel_query>
    // <https://docs.snowflake.com/en/sql-reference/functions/system_abort_transaction>
    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        let unseen = |error: WarehouseError| format!("what the run {run} may still be running can't be seen: {error}");
        let mut waited = Duration::ZERO;
        loop {
            let history = match self.query(&history_of(run)).await {
                Err(error) if is_refusal(&error) => return Ok(Some(unseen(error))),
                other => other?,
            };
            if history.rows.is_empty() {
                return Ok(Some(format!(
                    "the run {run} was another user's, whose statements this role does not see (MONITOR on the virtual warehouse): some may still run"
                )));
            }
            let rows = 0..history.rows.len();
            let text = |row: usize, column: &str| history.get(row, column).to_string();
            let sessions: BTreeSet<String> = rows.clone().map(|row| text(row, "session_id")).collect();
            let running = rows.filter(|row| history.get(*row, "is_running").as_integer() != 0);
            let mut ends: Vec<String> = running
                .map(|row| {
                    format!("SELECT SYSTEM$CANCEL_QUERY({}) AS ended", SnowflakeDialect.text(&text(row, "query_id")))
                })
                .collect();
            let open = match self.query("SHOW TRANSACTIONS").await {
                Err(error) if is_refusal(&error) => return Ok(Some(unseen(error))),
                other => other?,
            };
            ends.extend(
                (0..open.rows.len()).filter(|row| sessions.contains(&open.get(*row, "session").to_string())).map(
                    |row| format!("SELECT SYSTEM$ABORT_TRANSACTION({}) AS ended", open.get(row, "id").as_integer()),
                ),
            );
            let Some(first) = ends.first() else { return Ok(None) };
            if waited >= ENDING {
                let message = format!("what the run {run} has sent before still runs after {} s", waited.as_secs());
                return Err(WarehouseError::new(Kind::Locked, message).with_hint(format!(
                    "wait for it, or have a role with OPERATE on its virtual warehouse end it: {first}"
                )));
            }
            for end in &ends {
                match self.query(end).await {
                    Err(error) if is_refusal(&error) => {}
                    other => drop(other?),
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            waited += LOOK_INTERVAL;
        }
    }

    // <https://docs.snowflake.com/en/user-guide/data-load-local-file-system>
    async fn load(&self, _load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        Err(warehouse::takes_no_files("with Snowflake's PUT and COPY INTO"))
    }

    // <https://docs.snowflake.com/en/user-guide/querying-cancel-statements>
    async fn cancel(&self) -> Result<(), WarehouseError> {
        let running: Vec<Gateway> = lock(&self.busy).values().cloned().collect();
        for gateway in running {
            self.abort(&gateway).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_before_the_first_dot_is_the_account() {
        for (account, name, url) in [
            ("myorg-my_account", "myorg-my_account", "https://myorg-my-account.snowflakecomputing.com"),
            ("xy12345.eu-central-1", "xy12345", "https://xy12345.eu-central-1.snowflakecomputing.com"),
            (
                "xy12345.us-east-2.aws.privatelink",
                "xy12345",
                "https://xy12345.us-east-2.aws.privatelink.snowflakecomputing.com",
            ),
            ("xy12345-a1b2.global", "xy12345", "https://xy12345-a1b2.global.snowflakecomputing.com"),
        ] {
            assert_eq!((locator(account), host(account).as_str()), (name, url));
        }
    }

    #[test]
    fn a_name_in_quotes_is_kept_as_written() {
        assert_eq!(resolved("analyst".to_owned()), "ANALYST");
        assert_eq!(resolved("\"Analyst\"".to_owned()), "\"Analyst\"");
    }
}

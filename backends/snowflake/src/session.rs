//! Sessions. A session runs one statement at a time; a block holds one from its BEGIN to its COMMIT.
//!
//! Why the lock of the core is right here: an `UPDATE` locks the partitions that it changes until its transaction ends, so
//! of two runs that take the lock's row at the same time one waits, and every statement sees what was committed before it
//! began (READ COMMITTED, the only isolation level). The second `UPDATE` therefore finds the row held, changes nothing,
//! and its run sees the first one as the holder. If each run had made a row of its own, as two inserts don't wait for each
//! other, both end their updates before they look, so the later look sees both holders, and its run gives way.
//! <https://docs.snowflake.com/en/sql-reference/transactions#isolation-level>

use crate::SnowflakeDialect;
use crate::gateway::{Gateway, LastReply};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, SecretDocument};
use reqwest::Url;
use reqwest_middleware::ClientBuilder;
use serde_json::json;
use snowflake_api::{
    AuthArgs, AuthType, CertificateArgs, PasswordArgs, QueryResult, SnowflakeApi, SnowflakeApiBuilder,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind as Kind, chain, without_secret};
use websessions_core::plan::Statement;
use websessions_core::rows::{Rows, Value};
use websessions_core::warehouse::{Activity, Done, Warehouse};

/// How often the end of a session is sent, if its answer is lost.
const CLOSING_ATTEMPTS: usize = 3;

/// How long a cancellation, or the end of a session, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An account, and the idle sessions in it.
pub struct SnowflakeWarehouse {
    account: String,
    user: String,
    role: Option<String>,
    warehouse: Option<String>,
    database: String,
    secret: Secret,
    endpoint: Option<Url>,
    query_tag: String,
    activity: Mutex<Activity>,
    statement_timeout: Option<u64>,
    /// One for all sessions: each would hold its own copy of the authorities' certificates.
    http: reqwest::Client,
    idle: Mutex<Vec<Session>>,
    busy: Mutex<BTreeMap<u64, Gateway>>,
}

enum Secret {
    Password(String),
    PrivateKey(String),
}

struct Session {
    api: SnowflakeApi,
    gateway: Gateway,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let key = match (text("private_key"), text("private_key_path")) {
            (Some(key), _) => Some(key),
            (None, Some(path)) => {
                Some(std::fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?)
            }
            (None, None) => None,
        };
        let secret = match (key, text("password")) {
            (Some(key), _) => Secret::PrivateKey(decrypted(&key, settings.get("private_key_passphrase"))?),
            (None, Some(password)) => Secret::Password(password),
            (None, None) => {
                return Err(Error::configuration("a snowflake target needs password, private_key or private_key_path"));
            }
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
            .build()
            .map_err(|error| Error::configuration(format!("can't make an HTTP client: {error}")))?;
        let warehouse = Self {
            account: text("account").unwrap_or_default(),
            user: text("user").unwrap_or_default(),
            role: text("role"),
            warehouse: text("warehouse"),
            database: text("database").unwrap_or_default(),
            secret,
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

    fn open(&self, autocommit: bool) -> Result<Session, WarehouseError> {
        // Timestamps are UTC and without a zone, whatever the account's defaults are.
        // <https://docs.snowflake.com/en/sql-reference/parameters>
        let mut session_parameters = json!({ "TIMEZONE": "UTC", "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ", "AUTOCOMMIT": autocommit, "QUERY_TAG": self.query_tag });
        if let Some(seconds) = self.statement_timeout {
            session_parameters["STATEMENT_TIMEOUT_IN_SECONDS"] = json!(seconds);
        }
        let gateway = Gateway {
            endpoint: self.endpoint.clone(),
            session_parameters,
            last: Arc::default(),
            parameters: Arc::default(),
        };
        let other = |error: String| WarehouseError::new(Kind::Other, error);
        let client = ClientBuilder::new(self.http.clone()).with(gateway.clone());
        let auth = AuthArgs {
            account_identifier: self.account.clone(),
            warehouse: self.warehouse.clone(),
            database: Some(self.database.clone()),
            schema: None,
            username: self.user.clone(),
            role: self.role.clone(),
            auth_type: match &self.secret {
                Secret::Password(password) => AuthType::Password(PasswordArgs { password: password.clone() }),
                Secret::PrivateKey(key) => AuthType::Certificate(CertificateArgs { private_key_pem: key.clone() }),
            },
        };
        let api = SnowflakeApiBuilder::new(auth)
            .with_client(client.build())
            .build()
            .map_err(|error| other(error.to_string()))?;
        Ok(Session { api, gateway })
    }

    /// Runs work on a session of its own, and keeps the session unless it broke.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Session) -> Result<T, WarehouseError>,
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
        work: impl AsyncFnOnce(&Session) -> Result<T, WarehouseError>,
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
        session: &Session,
        work: impl AsyncFnOnce(&Session) -> Result<T, WarehouseError>,
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
        let mut url = Url::parse(&format!("https://{}.snowflakecomputing.com{path}", self.account.to_lowercase()))
            .map_err(|error| other(error.to_string()))?;
        gateway.redirect(&mut url);
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
        session: &Session,
        purpose: &str,
        sql: &str,
    ) -> Result<(QueryResult, Option<String>), WarehouseError> {
        self.send_with(session, sql, json!({ "QUERY_TAG": self.tag(purpose) })).await
    }

    async fn send_with(
        &self,
        session: &Session,
        sql: &str,
        parameters: serde_json::Value,
    ) -> Result<(QueryResult, Option<String>), WarehouseError> {
        *lock(&session.gateway.parameters) = parameters;
        let result = session.api.exec(sql).await;
        let last = lock(&session.gateway.last).clone();
        match result {
            Ok(result) => Ok((result, last.query_id)),
            Err(error) => Err(self.explain(&chain(&error), &last)),
        }
    }

    async fn execute_on(&self, session: &Session, purpose: &str, sql: &str) -> Result<Done, WarehouseError> {
        let (result, query_id) = self.send(session, purpose, sql).await?;
        Ok(Done { rows_affected: affected(&result), query_id, ..Done::default() })
    }

    /// The server's own words and code rather than the crate's.
    fn explain(&self, error: &str, last: &LastReply) -> WarehouseError {
        let secret = match &self.secret {
            Secret::Password(text) | Secret::PrivateKey(text) => text.as_str(),
        };
        let message = without_secret(last.message.as_deref().unwrap_or(error), secret);
        let code = last.code.as_deref().unwrap_or_default();
        // <https://docs.snowflake.com/en/developer-guide/sql-api/handling-responses>, and the messages' own numbers.
        let (kind, retry, hint) = match code {
            "" if matches!(last.status, Some(429 | 503)) => (Kind::Connection, Retry::NotApplied, None),
            _ if last.status.is_some_and(|status| status >= 500) => (Kind::Connection, Retry::Unknown, None),
            "390100" | "390144" | "390191" | "390422" | "394304" => {
                (Kind::Permission, Retry::Never, Some("check the target's user and its password or key"))
            }
            "390112" | "390114" | "390195" => {
                (Kind::Connection, Retry::NotApplied, Some("the session has expired; a new one is made"))
            }
            "002003" | "002043" | "000904" | "390201" => (Kind::Missing, Retry::Never, None),
            "003001" | "003540" => {
                (Kind::Permission, Retry::Never, Some("grant the role what it lacks, or set the target's role"))
            }
            "000604" | "604" => (Kind::Cancelled, Retry::Never, None),
            "000630" => (Kind::Resources, Retry::Never, Some("raise the target's statement_timeout")),
            "000625" | "000627" => (Kind::Locked, Retry::NotApplied, None),
            "" => match last.status {
                Some(403 | 404) => (Kind::Missing, Retry::Never, Some("check the target's account")),
                _ if last.unreachable => (
                    Kind::Connection,
                    Retry::NotApplied,
                    Some("check the target's account or endpoint, and the network"),
                ),
                _ => (Kind::Connection, Retry::Unknown, None),
            },
            _ if message.contains("does not exist") => (Kind::Missing, Retry::Never, None),
            _ if last.sql_state.as_deref().is_some_and(|state| state.starts_with("22")) => {
                (Kind::Data, Retry::Never, None)
            }
            _ => (Kind::Other, Retry::Never, None),
        };
        let mut error = WarehouseError::new(kind, message).with_retry(retry).with_line_after("error line ");
        error.code = last.code.clone();
        error.retry_after = last.retry_after;
        error.hint = hint.map(str::to_owned);
        error
    }
}

/// A private key as snowflake-api takes it, which knows no encrypted ones.
/// <https://docs.snowflake.com/en/user-guide/key-pair-auth>
fn decrypted(pem: &str, passphrase: Option<&str>) -> Result<String, Error> {
    let wrong = |message: String, hint: &str| Error::Configuration { message, hint: Some(hint.to_owned()) };
    let (label, der) = SecretDocument::from_pem(pem.trim()).map_err(|error| {
        wrong(format!("the target's private key can't be read: {error}"), "it must be PEM text, as OpenSSL writes it")
    })?;
    match (label, passphrase) {
        ("PRIVATE KEY", _) => Ok(pem.trim().to_owned()),
        ("ENCRYPTED PRIVATE KEY", Some(passphrase)) => EncryptedPrivateKeyInfo::try_from(der.as_bytes())
            .and_then(|key| key.decrypt(passphrase))
            .and_then(|key| Ok(key.to_pem("PRIVATE KEY", LineEnding::LF)?.to_string()))
            .map_err(|_| {
                wrong("the target's private key can't be decrypted".into(), "check the target's private_key_passphrase")
            }),
        ("ENCRYPTED PRIVATE KEY", None) => Err(wrong(
            "the target's private key is encrypted".into(),
            "set private_key_passphrase, for example to { env = \"SNOWFLAKE_KEY_PASSPHRASE\" }",
        )),
        (label, _) => Err(wrong(
            format!("the target's private key is a {label:?}"),
            "convert it with 'openssl pkcs8 -topk8 -in KEY -out KEY.p8'",
        )),
    }
}

/// Rows inserted, updated and deleted, of a DML statement's one row of counts.
fn affected(result: &QueryResult) -> Option<u64> {
    let QueryResult::Json(result) = result else { return None };
    let row = result.value.as_array()?.first()?.as_array()?;
    let counts =
        result.schema.iter().zip(row).filter(|(field, _)| field.name.to_lowercase().starts_with("number of rows"));
    counts.map(|(_, count)| count.as_str().and_then(|text| text.parse::<u64>().ok())).sum()
}

fn rows(result: QueryResult) -> Result<Rows, WarehouseError> {
    match result {
        QueryResult::Empty => Ok(Rows::default()),
        QueryResult::Json(result) => {
            let columns = result.schema.iter().map(|field| field.name.to_lowercase()).collect();
            let rows = result.value.as_array().into_iter().flatten().map(|row| {
                row.as_array()
                    .into_iter()
                    .flatten()
                    .map(|value| value.as_str().map_or(Value::Null, |text| Value::Text(text.to_owned())))
                    .collect()
            });
            Ok(Rows { columns, rows: rows.collect() })
        }
        QueryResult::Arrow(batches) => {
            let columns = batches
                .first()
                .map(|batch| batch.schema().fields().iter().map(|field| field.name().to_lowercase()).collect())
                .unwrap_or_default();
            let mut rows = Vec::new();
            for batch in &batches {
                for row in 0..batch.num_rows() {
                    rows.push(
                        (0..batch.num_columns()).map(|column| value(batch, column, row)).collect::<Result<_, _>>()?,
                    );
                }
            }
            Ok(Rows { columns, rows })
        }
    }
}

/// One cell. A number comes as an integer of any width, or as a decimal; its scale stands in the field's metadata.
fn value(batch: &RecordBatch, column: usize, row: usize) -> Result<Value, WarehouseError> {
    let array = batch.column(column);
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    let schema = batch.schema();
    let scale = schema.field(column).metadata().get("scale").and_then(|scale| scale.parse::<u32>().ok()).unwrap_or(0);
    let scaled = |number: i128| match scale {
        0 => i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Integer),
        scale => Value::Float(number as f64 / 10f64.powi(i32::try_from(scale).unwrap_or(0))),
    };
    Ok(match array.data_type() {
        DataType::Boolean => Value::Boolean(array.as_boolean().value(row)),
        DataType::Int8 => scaled(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => scaled(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => scaled(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => scaled(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::Decimal128(_, _) => scaled(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        other => {
            let name = schema.field(column).name().clone();
            return Err(WarehouseError::new(Kind::Unsupported, format!("column {name} comes as {other}")));
        }
    })
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
                done.push(self.execute_on(session, &statement.purpose, &statement.sql).await?);
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

    // <https://docs.snowflake.com/en/user-guide/querying-cancel-statements>
    async fn cancel(&self) -> Result<(), WarehouseError> {
        let running: Vec<Gateway> = lock(&self.busy).values().cloned().collect();
        for gateway in running {
            let request_id = lock(&gateway.last).request_id.clone();
            if let Some(request_id) = request_id {
                self.post(&gateway, "/queries/v1/abort-request", &json!({ "requestId": request_id })).await?;
            }
        }
        Ok(())
    }
}

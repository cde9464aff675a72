//! Connections: how they are made, kept, cancelled and given up.

use crate::Flavor;
use crate::copy;
use crate::errors::{statement_error, warehouse_error};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row, TypeInfo, ValueRef};
use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::Statement;
use websessions_core::rows::{Rows, Value};
use websessions_core::table::{Table, TableName};
use websessions_core::warehouse::{Done, Loaded, Warehouse};

/// A server, and the idle connections to it. A broken connection is left behind; the next call makes another.
pub struct PostgresWarehouse {
    options: PgConnectOptions,
    connect_timeout: Duration,
    flavor: Flavor,
    /// `SET LOCAL` statements of each transaction.
    limits: Vec<String>,
    idle: Mutex<Vec<Session>>,
    busy: Mutex<BTreeSet<i32>>,
}

struct Session {
    connection: PgConnection,
    /// The server's number of this connection, by which it can be cancelled.
    process: i32,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PostgresWarehouse {
    pub(crate) async fn connect(settings: &Settings, flavor: Flavor) -> Result<Self, Error> {
        let options = connect_options(settings, flavor)?;
        let number = |name: &str| -> Result<u64, Error> {
            let text = settings.get(name).unwrap_or_default();
            text.parse().map_err(|_| {
                Error::configuration(format!("the target's {name} must be a number of seconds, not {text:?}"))
            })
        };
        let mut limits = Vec::new();
        for name in ["statement_timeout", "lock_timeout"] {
            if let Some(value) = settings.get(name) {
                if !value.chars().all(|character| character.is_ascii_alphanumeric()) || value.is_empty() {
                    return Err(Error::configuration(format!(
                        "the target's {name} must be a time such as 30min, not {value:?}"
                    )));
                }
                limits.push(format!("SET LOCAL {name} = '{value}'"));
            }
        }
        let warehouse = Self {
            options,
            connect_timeout: Duration::from_secs(number("connect_timeout")?),
            flavor,
            limits,
            idle: Mutex::default(),
            busy: Mutex::default(),
        };
        // The first connection is made now, so that an error says at once what is wrong.
        let failed =
            |source| Error::Warehouse { context: format!("can't connect to {}", warehouse.location()), source };
        let session = warehouse.open().await.map_err(failed)?;
        lock(&warehouse.idle).push(session);
        Ok(warehouse)
    }

    async fn open(&self) -> Result<Session, WarehouseError> {
        let connecting = async {
            let mut connection = self.options.connect().await.map_err(connect_error)?;
            let rows = fetch(&mut connection, "SELECT pg_backend_pid() AS process").await?;
            let process = i32::try_from(rows.get(0, "process").as_integer()).unwrap_or(0);
            Ok(Session { connection, process })
        };
        tokio::time::timeout(self.connect_timeout, connecting).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", self.connect_timeout.as_secs());
            Err(WarehouseError::new(WarehouseErrorKind::Connection, message)
                .with_retry(Retry::NotApplied)
                .with_hint("check the target's host and port, and what stands between"))
        })
    }

    /// A connection that answers: an idle one that the server has not closed meanwhile, or a new one.
    async fn session(&self) -> Result<Session, WarehouseError> {
        loop {
            let idle = lock(&self.idle).pop();
            let Some(mut session) = idle else { return self.open().await };
            if fetch(&mut session.connection, "SELECT 1 AS alive").await.is_ok() {
                return Ok(session);
            }
        }
    }

    /// Runs work on a connection of its own, and keeps the connection unless it broke.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let mut session = self.session().await?;
        lock(&self.busy).insert(session.process);
        let result = work(&mut session.connection).await;
        lock(&self.busy).remove(&session.process);
        match &result {
            Err(error) if error.kind == WarehouseErrorKind::Connection => {}
            _ => lock(&self.idle).push(session),
        }
        result
    }

    /// Runs work in a transaction with the target's limits; rolls back if it fails.
    async fn in_transaction<T>(
        &self,
        connection: &mut PgConnection,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        send(connection, self.dialect().begin()).await?;
        let result = async {
            for limit in &self.limits {
                send(connection, limit).await?;
            }
            let done = work(connection).await?;
            send(connection, self.dialect().commit()).await?;
            Ok(done)
        }
        .await;
        if result.is_err() {
            // On a broken connection the server rolls back by itself.
            let _ = send(connection, "ROLLBACK").await;
        }
        result
    }
}

fn connect_options(settings: &Settings, flavor: Flavor) -> Result<PgConnectOptions, Error> {
    let mut options = match settings.get("url") {
        // The URL may hold a password: its parse error is not shown with it.
        Some(url) => PgConnectOptions::from_str(url).map_err(|_| {
            Error::configuration("the target's url is not a URL of the form postgres://user@host:port/database")
        })?,
        None => PgConnectOptions::new(),
    };
    if let Some(host) = settings.get("host") {
        options = if host.starts_with('/') { options.socket(host) } else { options.host(host) };
    }
    if let Some(port) = settings.get("port") {
        let port = port
            .parse()
            .map_err(|_| Error::configuration(format!("the target's port must be a number, not {port:?}")))?;
        options = options.port(port);
    }
    if let Some(user) = settings.get("user") {
        options = options.username(user);
    }
    if let Some(password) = settings.get("password") {
        options = options.password(password);
    }
    if let Some(database) = settings.get("database") {
        options = options.database(database);
    }
    let chosen = settings.get("sslmode").map(str::to_owned).or_else(|| std::env::var("PGSSLMODE").ok());
    let in_url = settings.get("url").is_some_and(names_sslmode);
    let on_this_machine = options.get_socket().is_some()
        || ["localhost", "127.0.0.1", "::1"].contains(&options.get_host())
        || options.get_host().starts_with('/');
    options = match chosen {
        Some(mode) => {
            let mode = PgSslMode::from_str(&mode).map_err(|_| {
                Error::configuration(format!(
                    "the target's sslmode {mode:?} is none of disable, allow, prefer, require, verify-ca, verify-full"
                ))
            })?;
            options.ssl_mode(mode)
        }
        None if in_url => options,
        None if on_this_machine => options.ssl_mode(PgSslMode::Prefer),
        None => options.ssl_mode(PgSslMode::VerifyFull),
    };
    if let Some(file) = settings.get("sslrootcert") {
        options = options.ssl_root_cert(file);
    }
    // Redshift refuses start-up parameters that it doesn't know.
    if flavor == Flavor::Redshift {
        options = options.extra_float_digits(None);
    }
    Ok(options.application_name("websessions").disable_statement_logging())
}

/// Whether a URL chooses the protection itself: by a parameter of that name, not by a password that reads like one.
fn names_sslmode(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "sslmode" || name == "ssl-mode"))
}

/// A connection that was never made: nothing was applied, and whoever is there may come up yet.
fn connect_error(error: sqlx::Error) -> WarehouseError {
    let refused = matches!(&error, sqlx::Error::Io(_));
    let error = warehouse_error(error);
    if refused && error.hint.is_none() {
        return WarehouseError { retry: Retry::NotApplied, ..error }
            .with_hint("check the target's host and port, and that the server runs");
    }
    error
}

pub(crate) async fn send(connection: &mut PgConnection, sql: &str) -> Result<Done, WarehouseError> {
    // The text is a plan's, or a user's own script: see the identifiers' module for what a plan is made of.
    let done =
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(|error| statement_error(error, sql))?;
    Ok(Done { rows_affected: Some(done.rows_affected()), ..Done::default() })
}

async fn fetch(connection: &mut PgConnection, sql: &str) -> Result<Rows, WarehouseError> {
    let found = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(warehouse_error)?;
    let columns = found
        .first()
        .map(|row| row.columns().iter().map(|column| column.name().to_lowercase()).collect())
        .unwrap_or_default();
    let rows = found.iter().map(values).collect::<Result<_, _>>()?;
    Ok(Rows { columns, rows })
}

/// The simple protocol gives every value as text; its type says what the text is.
fn values(row: &PgRow) -> Result<Vec<Value>, WarehouseError> {
    let unreadable =
        |error: String| WarehouseError::new(WarehouseErrorKind::Data, format!("unreadable value: {error}"));
    (0..row.len())
        .map(|position| {
            let raw = row.try_get_raw(position).map_err(|error| unreadable(error.to_string()))?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            let text = raw.as_str().map_err(|error| unreadable(error.to_string()))?.to_owned();
            Ok(match raw.type_info().name() {
                "INT2" | "INT4" | "INT8" => text.parse().map(Value::Integer).unwrap_or(Value::Text(text)),
                "NUMERIC" => text.parse().map(Value::Integer).unwrap_or_else(|_| Value::Text(text)),
                "FLOAT4" | "FLOAT8" => text.parse().map(Value::Float).unwrap_or_else(|_| Value::Text(text)),
                "BOOL" => Value::Boolean(text == "t"),
                _ => Value::Text(text),
            })
        })
        .collect()
}

#[async_trait]
impl Warehouse for PostgresWarehouse {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.flavor.dialect()
    }

    fn location(&self) -> String {
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        match self.options.get_socket() {
            Some(socket) => format!("{} at {}", database, socket.display()),
            None => format!("{database} at {}:{}", self.options.get_host(), self.options.get_port()),
        }
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        // VACUUM must not stand in a transaction.
        let bare = self.limits.is_empty() || statement.sql.starts_with("VACUUM");
        self.with(async |connection| {
            if bare {
                return send(connection, &statement.sql).await;
            }
            self.in_transaction(connection, async |connection| send(connection, &statement.sql).await).await
        })
        .await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        self.with(async |connection| {
            self.in_transaction(connection, async |connection| {
                let mut done = Vec::new();
                for statement in statements {
                    done.push(send(connection, &statement.sql).await?);
                }
                Ok(done)
            })
            .await
        })
        .await
    }

    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        self.with(async |connection| {
            let result = send(connection, &script.sql).await;
            // Whatever the script left behind ends with it: an open transaction, settings, temporary tables.
            let _ = send(connection, "ROLLBACK").await;
            let _ = send(connection, if self.flavor == Flavor::Postgres { "DISCARD ALL" } else { "RESET ALL" }).await;
            result
        })
        .await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.with(async |connection| fetch(connection, sql).await).await
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        let busy: Vec<i32> = lock(&self.busy).iter().copied().collect();
        let mut session = self.open().await?;
        for process in busy {
            fetch(&mut session.connection, &format!("SELECT pg_cancel_backend({process}) AS cancelled")).await?;
        }
        let _ = session.connection.close().await;
        Ok(())
    }

    async fn load(&self, files: &[&Path], table: &Table, name: &TableName) -> Result<Vec<Loaded>, WarehouseError> {
        if self.flavor == Flavor::Redshift {
            return Err(WarehouseError::new(WarehouseErrorKind::Unsupported, "Redshift loads files from S3 only")
                .with_hint("load them with Redshift's own COPY, then run"));
        }
        let files: Vec<copy::Incoming> =
            files.iter().map(|file| copy::Incoming::open(file, table)).collect::<Result<_, _>>()?;
        let dialect = self.dialect();
        self.with(async |connection| {
            self.in_transaction(connection, async |connection| {
                send(connection, &dialect.create_schema(&name.schema).sql).await?;
                for statement in dialect.create_table(table, name) {
                    send(connection, &statement.sql).await?;
                }
                let mut loaded = Vec::new();
                for file in files {
                    loaded.push(file.load(connection, table, &dialect.table(name)).await?);
                }
                Ok(loaded)
            })
            .await
        })
        .await
    }

    async fn export(&self, table: &TableName, file: &Path) -> Result<u64, WarehouseError> {
        let name = self.dialect().table(table);
        self.with(async |connection| copy::export(connection, &name, file).await).await
    }
}

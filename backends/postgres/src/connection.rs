//! A server: the connections to it, how they are made, kept, watched, cancelled and given up.

use crate::copy;
use crate::dialect::{Flavor, is_tuned};
use crate::errors::{redshift_error, warehouse_error};
use crate::options::{connect_options, limits, tuning, work_mem};
use crate::statement::{fetch, send};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use websessions_core::CancellationToken;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::Rows;
use websessions_core::table::TableName;
use websessions_core::warehouse::{self, Activity, Done, Loaded, Warehouse};
use websessions_files::Loading;

/// A server, and the idle connections to it. A broken connection is left behind; the next call makes another.
pub struct PostgresWarehouse {
    options: PgConnectOptions,
    /// Where a password comes from that passes.
    settings: Settings,
    connect_timeout: Duration,
    flavor: Flavor,
    /// `SET LOCAL` statements of each transaction.
    limits: Vec<String>,
    /// What begins each transaction besides; nothing on Redshift.
    tuning: String,
    /// How long the server may neither answer nor be seen to work.
    silence: Duration,
    /// Whether we have asked the server to stop something.
    cancelled: AtomicBool,
    /// What the server knows our statements by: this process, and a run's id as soon as it has one.
    name: Mutex<String>,
    idle: Mutex<Vec<OpenConnection>>,
    busy: Mutex<BTreeSet<i32>>,
    /// Ends what is being loaded.
    loading: Mutex<CancellationToken>,
}

struct OpenConnection {
    connection: PgConnection,
    /// The server's number of this connection, by which it can be cancelled.
    process: i32,
    /// What the server knows it by.
    name: String,
}

/// How long between two looks at whether a statement has ended.
const ENDING: Duration = Duration::from_millis(50);

/// What the server knows a run's statements by; it keeps 63 bytes.
fn name_of(run: &str) -> String {
    format!("websessions {run}").chars().take(63).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PostgresWarehouse {
    /// Connects to Postgres.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        Self::connect_as(settings, Flavor::Postgres).await
    }

    /// Connects to Redshift.
    pub async fn connect_to_redshift(settings: &Settings) -> Result<Self, Error> {
        Self::connect_as(settings, Flavor::Redshift).await
    }

    async fn connect_as(settings: &Settings, flavor: Flavor) -> Result<Self, Error> {
        let options = connect_options(settings, flavor)?;
        let number = |name: &str| -> Result<u64, Error> {
            let text = settings.get(name).unwrap_or_default();
            text.parse().map_err(|_| {
                Error::configuration(format!("the target's {name} must be a number of seconds, not {text:?}"))
            })
        };
        let name = options.get_application_name().unwrap_or_default().to_owned();
        let memory = if flavor == Flavor::Postgres { work_mem(settings)? } else { None };
        let mut warehouse = Self {
            options,
            settings: settings.clone(),
            connect_timeout: Duration::from_secs(number("connect_timeout")?),
            flavor,
            limits: limits(settings, flavor)?,
            tuning: String::new(),
            silence: Duration::from_secs(number("silence_limit")?.max(1)),
            cancelled: AtomicBool::new(false),
            name: Mutex::new(name),
            idle: Mutex::default(),
            busy: Mutex::default(),
            loading: Mutex::default(),
        };
        // The first connection is made now, so that an error says at once what is wrong.
        let failed =
            |source| Error::Warehouse { context: format!("can't connect to {}", warehouse.location()), source };
        let session = warehouse.open().await.map_err(failed)?;
        lock(&warehouse.idle).push(session);
        if flavor == Flavor::Postgres {
            let sql = "SELECT pg_size_bytes(current_setting('work_mem')) / 1024 AS work_mem";
            let of_the_server = match memory {
                Some(_) => 0,
                None => warehouse.query(sql).await.map_err(failed)?.get(0, "work_mem").as_integer(),
            };
            warehouse.tuning = tuning(memory, u64::try_from(of_the_server).unwrap_or_default());
        }
        Ok(warehouse)
    }

    async fn open(&self) -> Result<OpenConnection, WarehouseError> {
        let renewed = self
            .settings
            .renewed("password")
            .map_err(|error| WarehouseError::new(WarehouseErrorKind::Permission, error.to_string()))?;
        let options = match renewed {
            Some(password) => self.options.clone().password(&password),
            None => self.options.clone(),
        };
        let connecting = async {
            let mut connection = options.connect().await.map_err(connect_error)?;
            let rows = fetch(&mut connection, "SELECT pg_backend_pid() AS process").await?;
            let process = i32::try_from(rows.get(0, "process").as_integer()).unwrap_or(0);
            Ok(OpenConnection {
                connection,
                process,
                name: self.options.get_application_name().unwrap_or_default().to_owned(),
            })
        };
        tokio::time::timeout(self.connect_timeout, connecting).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", self.connect_timeout.as_secs());
            Err(WarehouseError::new(WarehouseErrorKind::Connection, message)
                .with_retry(Retry::NotApplied)
                .with_hint("check the target's host and port, and what stands between"))
        })
    }

    /// A connection that answers: an idle one that the server has not closed meanwhile, or a new one.
    async fn session(&self) -> Result<OpenConnection, WarehouseError> {
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
        self.with_session(work, |error| error.kind != WarehouseErrorKind::Connection).await
    }

    /// Works on a session, which others use after it unless it failed in a way after which none may.
    async fn with_session<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, WarehouseError>,
        stays: impl Fn(&WarehouseError) -> bool,
    ) -> Result<T, WarehouseError> {
        let mut session = self.session().await?;
        let name = lock(&self.name).clone();
        if session.name != name {
            send(&mut session.connection, &format!("SET application_name = {}", self.dialect().text(&name))).await?;
            session.name = name;
        }
        lock(&self.busy).insert(session.process);
        let result = tokio::select! {
            result = work(&mut session.connection) => result.map_err(|error| self.interpreted(error)),
            error = self.silent(session.process) => Err(error),
        };
        lock(&self.busy).remove(&session.process);
        if result.as_ref().err().is_none_or(stays) {
            lock(&self.idle).push(session);
        }
        result
    }

    /// Ends when the server has been silent for too long: it neither lets us in nor works for us any more, so that no answer
    /// will come. A statement that takes long is not silent: another connection sees it at work.
    async fn silent(&self, process: i32) -> WarehouseError {
        let mut heard = Instant::now();
        loop {
            tokio::time::sleep(self.silence / 3).await;
            if self.works(process).await {
                heard = Instant::now();
            } else if heard.elapsed() >= self.silence {
                return WarehouseError::new(
                    WarehouseErrorKind::Connection,
                    format!("the server has neither answered nor worked for {} s", heard.elapsed().as_secs()),
                )
                .with_retry(Retry::Unknown)
                .with_hint("check the network and the server; the target's silence_limit says how long to wait");
            }
        }
    }

    /// Whether the server is seen to work for us.
    async fn works(&self, process: i32) -> bool {
        let sql = match self.flavor {
            Flavor::Postgres => format!(
                "SELECT COUNT(*) AS working FROM pg_stat_activity WHERE application_name = '{}' AND pid <> pg_backend_pid() AND state <> 'idle'",
                lock(&self.name)
            ),
            // <https://docs.aws.amazon.com/redshift/latest/dg/r_STV_RECENTS.html>
            Flavor::Redshift => {
                format!("SELECT COUNT(*) AS working FROM stv_recents WHERE pid = {process} AND status = 'Running'")
            }
        };
        let Ok(mut session) = self.open().await else { return false };
        let found = tokio::time::timeout(self.connect_timeout, fetch(&mut session.connection, &sql)).await;
        match found {
            Ok(Ok(rows)) => {
                let _ = session.connection.close().await;
                rows.get(0, "working").as_integer() > 0
            }
            // It lets us in, and has its reasons not to tell.
            Ok(Err(error)) => error.kind != WarehouseErrorKind::Connection,
            Err(_) => false,
        }
    }

    /// What an error means under this target's settings.
    fn interpreted(&self, error: WarehouseError) -> WarehouseError {
        match self.flavor {
            Flavor::Redshift => redshift_error(error, self.cancelled.load(Ordering::SeqCst), !self.limits.is_empty()),
            Flavor::Postgres => error,
        }
    }

    /// Runs work in a transaction with the target's limits; rolls back if it fails.
    async fn in_transaction<T>(
        &self,
        connection: &mut PgConnection,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        send(connection, &format!("{}; {}", self.dialect().begin(), self.tuning)).await?;
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

    fn namespace(&self) -> (String, Option<String>) {
        let database = self.options.get_database().unwrap_or_else(|| self.options.get_username());
        let place = format!("{}://{}:{}", self.dialect().name(), self.options.get_host(), self.options.get_port());
        (place, Some(database.to_owned()))
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        self.with(async |connection| {
            // VACUUM must not stand in a transaction.
            if statement.sql.starts_with("VACUUM") {
                return send(connection, &statement.sql).await;
            }
            if self.limits.is_empty() {
                let tuning = if is_tuned(&statement.sql) { &self.tuning } else { "" };
                return send(connection, &format!("{tuning}{}", statement.sql)).await;
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
                    done.push(send(connection, &statement.sql).await?.check(statement)?);
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

    fn announce(&self, activity: &Activity) {
        *lock(&self.name) = name_of(&activity.run);
    }

    // What another role runs can't be ended by all; then it is awaited. Redshift does not say which run a statement is of: there
    // a late one meets the blocks' guards.
    // <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL>
    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        if self.flavor == Flavor::Redshift {
            return Ok(Some(format!("Redshift does not say what the run {run} may still be running")));
        }
        let theirs = format!(
            "FROM pg_stat_activity WHERE application_name = {} AND pid <> pg_backend_pid() AND COALESCE(state, 'hidden') <> 'idle'",
            self.dialect().text(&name_of(run))
        );
        let mut waited = Duration::ZERO;
        let mut session = self.open().await?;
        loop {
            let ended =
                fetch(&mut session.connection, &format!("SELECT pg_terminate_backend(pid) AS ended {theirs}")).await;
            match ended {
                Ok(rows) if rows.rows.is_empty() => break,
                Err(error) if error.kind != WarehouseErrorKind::Permission => return Err(error),
                _ if waited >= self.silence => {
                    let message = format!("what the run {run} has sent before still runs after {} s", waited.as_secs());
                    return Err(WarehouseError::new(WarehouseErrorKind::Locked, message).with_hint(
                        "wait for it, or have a superuser end it: pg_stat_activity shows it by that run's id",
                    ));
                }
                _ => tokio::time::sleep(ENDING).await,
            }
            waited += ENDING;
        }
        let _ = session.connection.close().await;
        Ok(None)
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        std::mem::take(&mut *lock(&self.loading)).cancel();
        let busy: Vec<i32> = lock(&self.busy).iter().copied().collect();
        let mut session = self.open().await?;
        self.cancelled.store(true, Ordering::SeqCst);
        let calls = match self.flavor {
            // By our name, not by the process: behind a pooler that may work for somebody else by now.
            // <https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW>
            Flavor::Postgres => vec![format!(
                "SELECT COUNT(pg_cancel_backend(pid)) AS cancelled FROM pg_stat_activity WHERE application_name = '{}' AND pid <> pg_backend_pid() AND state = 'active'",
                lock(&self.name)
            )],
            // <https://docs.aws.amazon.com/redshift/latest/dg/PG_CANCEL_BACKEND.html>
            Flavor::Redshift => {
                busy.iter().map(|process| format!("SELECT pg_cancel_backend({process}) AS cancelled")).collect()
            }
        };
        for call in calls {
            fetch(&mut session.connection, &call).await?;
        }
        let _ = session.connection.close().await;
        Ok(())
    }

    async fn load(&self, load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        if self.flavor == Flavor::Redshift {
            // <https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html>
            return Err(warehouse::takes_no_files("with Redshift's COPY from S3"));
        }
        let loading = Loading::start(&load.files, &load.table, lock(&self.loading).clone());
        let name = self.dialect().table(&load.name);
        self.with(async |connection| {
            self.in_transaction(connection, async |connection| {
                for statement in load.guard.as_deref().into_iter().chain(&load.first) {
                    // A refusal would end the transaction: what is there is not made again.
                    let there = match &statement.there {
                        Some(query) => !fetch(connection, query).await?.rows.is_empty(),
                        None => false,
                    };
                    if !there {
                        send(connection, &statement.sql).await?.check(statement)?;
                    }
                }
                let loaded = copy::load(connection, loading, &name).await?;
                if let Some(statement) = load.guard.as_deref() {
                    send(connection, &statement.sql).await?.check(statement)?;
                }
                Ok(loaded)
            })
            .await
        })
        .await
    }

    async fn export(&self, table: &TableName, file: &Path) -> Result<u64, WarehouseError> {
        let name = self.dialect().table(table);
        // What the server says after a COPY that ended early is not read: another statement would take it for its own answer.
        self.with_session(async |connection| copy::export(connection, &name, file).await, |_| false).await
    }
}

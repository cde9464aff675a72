//! An open database file: its connections, how they are made, interrupted and given up.

use crate::dialect::DuckDbDialect;
use crate::errors::warehouse_error;
use crate::statement::{execute, in_transaction, query};
use crate::{files, load};
use duckdb::{Config, Connection, InterruptHandle};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use websessions_core::CancellationToken;
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, WarehouseError, WarehouseErrorKind};
use websessions_core::lock;
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::{Rows, Value};
use websessions_core::table::TableName;
use websessions_core::warehouse::{Done, Loaded, Warehouse};
use websessions_files::Loading;

/// An open database file.
pub struct DuckDbWarehouse {
    path: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    /// The locks that were looked at since the file was opened.
    locks: Mutex<HashSet<TableName>>,
    root: Mutex<Connection>,
    idle: Mutex<Vec<Connection>>,
    busy: Mutex<BTreeMap<u64, Arc<InterruptHandle>>>,
    /// Ends what is being loaded.
    loading: Mutex<CancellationToken>,
}

type OpenError = (String, WarehouseError);

impl DuckDbWarehouse {
    /// Opens the database file that the settings name.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let name = settings.get("database").unwrap_or_default();
        let path = PathBuf::from(name);
        // The engine takes no name for a database in memory, which would be gone with the process. Blanks are no name either.
        if name.trim().is_empty() {
            return Err(Error::configuration("the target's database is empty: it is the path of a file"));
        }
        let options: Vec<(&'static str, String)> = ["memory_limit", "threads", "temp_directory"]
            .into_iter()
            .filter_map(|name| settings.get(name).map(|value| (name, value.to_owned())))
            .collect();
        let opened = blocking(move || Self::open(&path, &options)).await;
        opened.map_err(|(context, source)| Error::Warehouse { context, source })
    }

    /// Opens a database file, making it if it is missing, with options of the engine by name.
    pub fn open(path: &Path, options: &[(&str, String)]) -> Result<Self, OpenError> {
        let context = || format!("can't open the database {}", path.display());
        let mut config = Config::default();
        // What is not in the engine is neither fetched nor loaded because a name in some SQL looks like it.
        // <https://duckdb.org/docs/stable/extensions/overview#autoloading-extensions>
        // Tables are compacted where a run finds that it pays: see the dialect's `compaction`.
        let fixed = [
            ("autoload_known_extensions", "false"),
            ("autoinstall_known_extensions", "false"),
            ("max_vacuum_tasks", "0"),
        ];
        for (name, value) in fixed {
            config = config.with(name, value).map_err(|error| (context(), warehouse_error(&error)))?;
        }
        for (name, value) in options {
            config = config.with(name, value).map_err(|error| {
                let error = warehouse_error(&error).with_hint(format!("check the target's {name}"));
                (format!("the engine refuses {name} = {value:?}"), error)
            })?;
        }
        // A whole path is nothing but a path: ":memory:", "md:x", "s3://x" are names of files here.
        let whole = std::path::absolute(path)
            .map_err(|error| (context(), WarehouseError::new(WarehouseErrorKind::Resources, error.to_string())))?;
        // It puts its log's ending before the first '?' of a path.
        if whole.parent().is_some_and(|folder| folder.as_os_str().as_encoded_bytes().contains(&b'?')) {
            let message = "the engine takes what follows the '?' in the folder's name for something else than a path";
            let error = WarehouseError::new(WarehouseErrorKind::Unsupported, message);
            return Err((context(), error.with_hint("nothing was made; choose a folder without '?' in its name")));
        }
        let root = Connection::open_with_flags(whole, config).map_err(|error| (context(), warehouse_error(&error)))?;
        is_kept(&root).map_err(|error| (context(), error))?;
        let inner = Inner {
            locks: Mutex::default(),
            root: Mutex::new(root),
            idle: Mutex::default(),
            busy: Mutex::default(),
            loading: Mutex::default(),
        };
        Ok(Self { path: path.to_owned(), inner: Arc::new(inner) })
    }

    /// Another handle on the same open file, as if another run had it.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { path: self.path.clone(), inner: Arc::clone(&self.inner) }
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, WarehouseError> + Send + 'static,
    ) -> Result<T, WarehouseError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.with(work)).await
    }
}

fn guard<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// Runs work on a connection of its own, so that calls at the same time don't wait for each other.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, WarehouseError>) -> Result<T, WarehouseError> {
        let idle = guard(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open()?,
        };
        let result = self.on(&connection, work);
        guard(&self.idle).push(connection);
        result
    }

    fn open(&self) -> Result<Connection, WarehouseError> {
        guard(&self.root).try_clone().map_err(|error| warehouse_error(&error))
    }

    /// Runs work on a connection, where `cancel` finds it.
    fn on<T>(
        &self,
        connection: &Connection,
        work: impl FnOnce(&Connection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let number = {
            let mut busy = guard(&self.busy);
            let number = busy.last_key_value().map_or(0, |(last, _)| last + 1);
            busy.insert(number, connection.interrupt_handle());
            number
        };
        let result = work(connection);
        guard(&self.busy).remove(&number);
        result
    }
}

/// Checks that what is written goes into a file. For one of CSV, JSON or Parquet the engine makes a database in memory, with a
/// view of it: it would be gone with the process, and the file as it was.
/// <https://duckdb.org/docs/stable/clients/cli/overview#opening-a-database-file>
fn is_kept(connection: &Connection) -> Result<(), WarehouseError> {
    let file = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()";
    match query(connection, file)?.get(0, "path") {
        Value::Null => Err(WarehouseError::new(
            WarehouseErrorKind::Resources,
            "this is no database, but a file of CSV, JSON or Parquet",
        )
        .with_hint(
            "nothing was done; choose another path for the database: page views are read from a file by --page-views",
        )),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// While this process has the file open no other can: whoever took a lock in it before is dead, whatever the clock says. A
/// table that has a lock's name and is not one, column by column, is somebody's own.
fn free_dead_lock(connection: &Connection, table: &TableName) -> Result<(), WarehouseError> {
    let dialect = DuckDbDialect;
    let found = query(connection, &dialect.columns_query(&table.schema, &[&table.name]))?;
    let columns: Vec<String> =
        (0..found.rows.len()).map(|row| found.get(row, "column_name").to_string().to_lowercase()).collect();
    if columns.iter().map(String::as_str).ne(lock::table().column_names()) {
        return Ok(());
    }
    let sql = format!("UPDATE {}\nSET holder = NULL\nWHERE holder IS NOT NULL", dialect.table(table));
    execute(connection, &sql).map(|_| ())
}

#[async_trait]
impl Warehouse for DuckDbWarehouse {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(DuckDbDialect)
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn namespace(&self) -> (String, Option<String>) {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        (format!("duckdb://{}", path.display()), None)
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        let sql = statement.sql.clone();
        self.with(move |connection| execute(connection, &sql)).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let statements = statements.to_vec();
        self.with(move |connection| {
            in_transaction(connection, || {
                statements.iter().map(|statement| execute(connection, &statement.sql)?.check(statement)).collect()
            })
        })
        .await
    }

    // On a connection that ends with it, and with it what it left behind: an open transaction, settings, temporary tables.
    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        let (inner, sql) = (Arc::clone(&self.inner), script.sql.clone());
        blocking(move || {
            inner.on(&inner.open()?, |connection| {
                connection.execute_batch(&sql).map_err(|error| warehouse_error(&error))?;
                Ok(Done::default())
            })
        })
        .await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        let sql = sql.to_owned();
        self.with(move |connection| query(connection, &sql)).await
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        std::mem::take(&mut *guard(&self.inner.loading)).cancel();
        for handle in guard(&self.inner.busy).values() {
            handle.interrupt();
        }
        Ok(())
    }

    async fn free_dead_lock(&self, lock: &TableName) -> Result<(), WarehouseError> {
        let (table, inner) = (lock.clone(), Arc::clone(&self.inner));
        self.with(move |connection| {
            let mut looked_at = guard(&inner.locks);
            if !looked_at.contains(&table) {
                free_dead_lock(connection, &table)?;
                looked_at.insert(table);
            }
            Ok(())
        })
        .await
    }

    async fn load(&self, load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        let loading = Loading::start(&load.files, &load.table, guard(&self.inner.loading).clone());
        let (first, guard, name) = (load.first.clone(), load.guard.clone(), load.name.clone());
        let runtime = tokio::runtime::Handle::current();
        self.with(move |connection| {
            in_transaction(connection, || {
                for statement in guard.as_deref().into_iter().chain(&first) {
                    execute(connection, &statement.sql)?.check(statement)?;
                }
                let loaded = runtime.block_on(load::load(connection, loading, &name))?;
                if let Some(statement) = guard.as_deref() {
                    execute(connection, &statement.sql)?.check(statement)?;
                }
                Ok(loaded)
            })
        })
        .await
    }

    async fn export(&self, table: &TableName, file: &Path) -> Result<u64, WarehouseError> {
        let sql = files::export_statement(&DuckDbDialect.table(table), file)?;
        self.with(move |connection| execute(connection, &sql)).await.map(|done| done.rows_affected.unwrap_or(0))
    }
}

//! SQLite as a warehouse: an engine with one schema, few types and no hash function, to show what the seams bear.
//! `docs/writing-a-backend.md` walks through this file.

mod dialect;

pub use dialect::SqliteDialect;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
};
use sqlx::{AssertSqlSafe, Column, Row, TypeInfo, ValueRef};
use std::sync::Arc;
use std::time::Duration;
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Setting, Settings};
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::Statement;
use websessions_core::rows::{Rows, Value};
use websessions_core::warehouse::{Done, Warehouse};

const SETTINGS: &[Setting] =
    &[Setting::optional("database", "path of the database file; made if missing").or("websessions.sqlite").path()];

/// The factory.
#[derive(Clone, Copy, Debug)]
pub struct Sqlite;

#[async_trait]
impl BackendFactory for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn about(&self) -> &'static str {
        "SQLite: an example of a backend of one's own"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(SqliteDialect)
    }

    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error> {
        let path = settings.get("database").unwrap_or_default().to_owned();
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10));
        // One connection: SQLite writes one transaction at a time anyway.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(|error| {
            Error::Warehouse { context: format!("can't open the database {path}"), source: warehouse_error(error) }
        })?;
        Ok(Arc::new(SqliteWarehouse { path, pool }))
    }
}

struct SqliteWarehouse {
    path: String,
    pool: SqlitePool,
}

/// Result codes: <https://www.sqlite.org/rescode.html>.
fn warehouse_error(error: sqlx::Error) -> WarehouseError {
    use WarehouseErrorKind as Kind;
    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    let message = error.to_string();
    let kind = match code.as_deref() {
        Some("5" | "6" | "261" | "517") => Kind::Locked,
        Some("13" | "10" | "14" | "778") => Kind::Resources,
        Some("8") => Kind::Permission,
        _ if message.contains("no such table") || message.contains("no such column") => Kind::Missing,
        Some("19" | "20" | "1299") => Kind::Data,
        _ => Kind::Other,
    };
    let retry = if kind == Kind::Locked { Retry::NotApplied } else { Retry::Never };
    WarehouseError { code, ..WarehouseError::new(kind, message).with_retry(retry) }
}

async fn send(connection: &mut SqliteConnection, sql: &str) -> Result<Done, WarehouseError> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(warehouse_error)?;
    Ok(Done { rows_affected: Some(done.rows_affected()), ..Done::default() })
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, WarehouseError> {
    let unreadable = |error: sqlx::Error| WarehouseError::new(WarehouseErrorKind::Data, error.to_string());
    (0..row.len())
        .map(|position| {
            let raw = row.try_get_raw(position).map_err(unreadable)?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            match raw.type_info().name() {
                "INTEGER" | "BOOLEAN" => row.try_get_unchecked(position).map(Value::Integer),
                "REAL" => row.try_get_unchecked(position).map(Value::Float),
                _ => row.try_get_unchecked(position).map(Value::Text),
            }
            .map_err(unreadable)
        })
        .collect()
}

#[async_trait]
impl Warehouse for SqliteWarehouse {
    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(SqliteDialect)
    }

    fn location(&self) -> String {
        self.path.clone()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        send(&mut *self.pool.acquire().await.map_err(warehouse_error)?, &statement.sql).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let mut connection = self.pool.acquire().await.map_err(warehouse_error)?;
        send(&mut connection, self.dialect().begin()).await?;
        let result = async {
            let mut done = Vec::new();
            for statement in statements {
                done.push(send(&mut connection, &statement.sql).await?.check(statement)?);
            }
            send(&mut connection, self.dialect().commit()).await?;
            Ok(done)
        }
        .await;
        if result.is_err() {
            let _ = send(&mut connection, "ROLLBACK").await;
        }
        result
    }

    // What a script leaves behind (an open transaction, a setting) ends with its connection.
    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        let mut connection = self.pool.acquire().await.map_err(warehouse_error)?;
        connection.close_on_drop();
        send(&mut connection, &script.sql).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        let mut connection = self.pool.acquire().await.map_err(warehouse_error)?;
        let found = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.map_err(warehouse_error)?;
        let columns =
            found.first().map(|row| row.columns().iter().map(|column| column.name().to_lowercase()).collect());
        Ok(Rows { columns: columns.unwrap_or_default(), rows: found.iter().map(values).collect::<Result<_, _>>()? })
    }
}

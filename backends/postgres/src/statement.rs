//! Statements and queries on a connection, by the simple protocol.

use crate::errors::{statement_error, warehouse_error};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column, Row, TypeInfo, ValueRef};
use websessions_core::error::{WarehouseError, WarehouseErrorKind};
use websessions_core::rows::{Rows, Value};
use websessions_core::warehouse::Done;

pub(crate) async fn send(connection: &mut PgConnection, sql: &str) -> Result<Done, WarehouseError> {
    // The text is a plan's, or a user's own script: see the identifiers' module for what a plan is made of.
    let done =
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(|error| statement_error(error, sql))?;
    Ok(Done { rows_affected: Some(done.rows_affected()), ..Done::default() })
}

pub(crate) async fn fetch(connection: &mut PgConnection, sql: &str) -> Result<Rows, WarehouseError> {
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

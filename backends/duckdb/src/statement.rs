//! Statements on a connection, and the values that they give.

use crate::dialect::{AS_PLANNED, DuckDbDialect};
use crate::errors::warehouse_error;
use duckdb::Connection;
use duckdb::types::TimeUnit;
use std::collections::BTreeSet;
use websessions_core::dialect::Dialect;
use websessions_core::error::WarehouseError;
use websessions_core::rows::{Rows, Value};
use websessions_core::table::ColumnType;
use websessions_core::warehouse::Done;

pub(crate) fn execute(connection: &Connection, sql: &str) -> Result<Done, WarehouseError> {
    let rows = connection.execute(sql, []).map_err(|error| warehouse_error(&error))?;
    Ok(Done { rows_affected: Some(rows as u64), ..Done::default() })
}

pub(crate) fn in_transaction<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, WarehouseError>,
) -> Result<T, WarehouseError> {
    let dialect = DuckDbDialect;
    execute(connection, dialect.begin())?;
    let result = work().and_then(|done| execute(connection, dialect.commit()).map(|_| done));
    if result.is_err() {
        // A failed COMMIT has ended the transaction already; then there is nothing to roll back.
        let _ = connection.execute("ROLLBACK", []);
        let _ = connection.execute(AS_PLANNED, []);
    }
    result
}

/// The rows of a query. Values of types that the model has not are as the engine writes them into files.
pub(crate) fn query(connection: &Connection, sql: &str) -> Result<Rows, WarehouseError> {
    let (found, others) = rows_of(connection, sql)?;
    if others.is_empty() {
        return Ok(found);
    }
    let dialect = DuckDbDialect;
    let text = dialect.column_type(ColumnType::Text);
    let casts = others.iter().filter_map(|position| found.columns.get(*position));
    let casts: Vec<String> = casts
        .map(|column| dialect.quote(column))
        .map(|column| format!("CAST({column} AS {text}) AS {column}"))
        .collect();
    let as_text = format!("SELECT * REPLACE ({})\nFROM (\n{sql}\n) AS found", casts.join(", "));
    Ok(rows_of(connection, &as_text)?.0)
}

/// The rows of a query, and the positions of the columns in which are values that these can't hold.
fn rows_of(connection: &Connection, sql: &str) -> Result<(Rows, BTreeSet<usize>), WarehouseError> {
    let failed = |error: duckdb::Error| warehouse_error(&error);
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    let columns: Vec<String> = found
        .as_ref()
        .map(|statement| statement.column_names().iter().map(|name| name.to_lowercase()).collect())
        .unwrap_or_default();
    let (mut rows, mut others) = (Vec::new(), BTreeSet::new());
    while let Some(row) = found.next().map_err(failed)? {
        let mut value_at = |position| {
            let known = row.get(position).map(value)?;
            Ok(known.unwrap_or_else(|| {
                others.insert(position);
                Value::Null
            }))
        };
        let values: Result<Vec<Value>, _> = (0..columns.len()).map(&mut value_at).collect();
        rows.push(values.map_err(failed)?);
    }
    Ok((Rows { columns, rows }, others))
}

fn value(value: duckdb::types::Value) -> Option<Value> {
    use duckdb::types::Value as Duck;
    Some(match value {
        Duck::Null => Value::Null,
        Duck::Boolean(truth) => Value::Boolean(truth),
        Duck::TinyInt(number) => Value::Integer(number.into()),
        Duck::SmallInt(number) => Value::Integer(number.into()),
        Duck::Int(number) => Value::Integer(number.into()),
        Duck::BigInt(number) => Value::Integer(number),
        Duck::HugeInt(number) => i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Integer),
        Duck::UTinyInt(number) => Value::Integer(number.into()),
        Duck::USmallInt(number) => Value::Integer(number.into()),
        Duck::UInt(number) => Value::Integer(number.into()),
        Duck::UBigInt(number) => i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Integer),
        Duck::Float(number) => Value::Float(number.into()),
        Duck::Double(number) => Value::Float(number),
        Duck::Text(text) | Duck::Enum(text) => Value::Text(text),
        Duck::Timestamp(unit, number) => timestamp(unit, number),
        _ => return None,
    })
}

fn timestamp(unit: TimeUnit, number: i64) -> Value {
    let microseconds = match unit {
        TimeUnit::Second => number.saturating_mul(1_000_000),
        TimeUnit::Millisecond => number.saturating_mul(1_000),
        TimeUnit::Microsecond => number,
        TimeUnit::Nanosecond => number / 1_000,
    };
    Value::Text(chrono::DateTime::from_timestamp_micros(microseconds).map_or_else(
        || format!("{microseconds} µs since 1970"),
        |time| time.naive_utc().format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use websessions_core::error::WarehouseErrorKind;

    /// However a block ends that has set how joins are planned, what comes after it is planned as usual.
    #[test]
    fn a_block_that_fails_leaves_no_setting_and_no_transaction() {
        let connection = Connection::open_in_memory().expect("a database");
        let other = connection.try_clone().expect("a connection");
        execute(&connection, "CREATE TABLE kept (id INTEGER PRIMARY KEY)").expect("a table");
        let [set, _] = DuckDbDialect.joins_as_written().expect("settings");
        let setting = || {
            let found =
                query(&connection, "SELECT current_setting('disabled_optimizers') AS setting").expect("a setting");
            found.get(0, "setting").to_string()
        };
        let block = |statements: &[&str]| {
            in_transaction(&connection, || {
                execute(&connection, &set.sql)?;
                assert_ne!(setting(), "");
                statements.iter().try_for_each(|sql| execute(&connection, sql).map(drop))
            })
        };
        block(&["INSERT INTO kept VALUES (1)", "SELECT * FROM nowhere"]).expect_err("no such table");
        assert_eq!(setting(), "");
        // The COMMIT itself fails: another has committed the same key.
        let failed = in_transaction(&connection, || {
            execute(&connection, &set.sql)?;
            execute(&connection, "INSERT INTO kept VALUES (2)")?;
            execute(&other, "INSERT INTO kept VALUES (2)")
        });
        let failed = failed.expect_err("the key is taken");
        assert!(failed.message.contains("commit"), "{failed}");
        assert_eq!(setting(), "");
        // A statement is stopped.
        let (handle, is_over) = (connection.interrupt_handle(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(20));
                    handle.interrupt();
                }
            });
            let stopped = in_transaction(&connection, || {
                execute(&connection, "INSERT INTO kept VALUES (3)")?;
                execute(&connection, &set.sql)?;
                let stopped = execute(&connection, "SELECT COUNT(*) FROM range(1000000) AS a, range(1000000) AS b");
                is_over.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(60));
                stopped
            });
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(stopped.expect_err("stopped").kind, WarehouseErrorKind::Cancelled);
        });
        assert_eq!(setting(), "");
        // Of all that only the other's row is there, and nothing is open.
        let rows = query(&connection, "SELECT COUNT(*) AS row_count, MIN(id) AS id FROM kept").expect("rows");
        assert_eq!((rows.get(0, "row_count").as_integer(), rows.get(0, "id").as_integer()), (1, 2));
        block(&["INSERT INTO kept VALUES (4)"]).expect("a block that ends well");
    }
}

//! What comes back: rows and counts, from the two forms that Snowflake sends.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use snowflake_api::{FieldSchema, QueryResult};
use websessions_core::error::{WarehouseError, WarehouseErrorKind as Kind};
use websessions_core::rows::{Rows, Value};

/// Rows inserted, updated and deleted, of a DML statement's one row of counts.
pub(crate) fn affected(result: &QueryResult) -> Option<u64> {
    let QueryResult::Json(result) = result else { return None };
    let row = result.value.as_array()?.first()?.as_array()?;
    let counts =
        result.schema.iter().zip(row).filter(|(field, _)| field.name.to_lowercase().starts_with("number of rows"));
    counts.map(|(_, count)| count.as_str().and_then(|text| text.parse::<u64>().ok())).sum()
}

pub(crate) fn rows(result: QueryResult) -> Result<Rows, WarehouseError> {
    match result {
        QueryResult::Empty => Ok(Rows::default()),
        QueryResult::Json(result) => {
            let columns = result.schema.iter().map(|field| field.name.to_lowercase()).collect();
            let rows = result.value.as_array().into_iter().flatten().map(|row| {
                let values = row.as_array().into_iter().flatten();
                result.schema.iter().zip(values).map(|(field, value)| json_value(field, value.as_str())).collect()
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

/// One cell of a JSON result: text, or null. The crate shows a column's type by `Debug` only.
fn json_value(field: &FieldSchema, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let parsed = match format!("{:?}", field.type_).as_str() {
        "Fixed" if field.scale.unwrap_or(0) == 0 => text.parse().map(Value::Integer).ok(),
        "Fixed" | "Real" => text.parse().map(Value::Float).ok(),
        "Boolean" => Some(Value::Boolean(text == "1" || text.eq_ignore_ascii_case("true"))),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::Text(text.to_owned()))
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

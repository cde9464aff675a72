//! What comes back: rows and counts, from the two forms that Snowflake sends.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
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
        "TimestampNtz" | "TimestampLtz" => in_nanoseconds(text).and_then(time),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::Text(text.to_owned()))
}

const NANOSECONDS: i128 = 1_000_000_000;

/// A point in time, of nanoseconds since 1970.
fn time(nanoseconds: i128) -> Option<Value> {
    let (seconds, rest) = (nanoseconds.div_euclid(NANOSECONDS), nanoseconds.rem_euclid(NANOSECONDS));
    let time = chrono::DateTime::from_timestamp(i64::try_from(seconds).ok()?, u32::try_from(rest).ok()?)?;
    Some(Value::Text(time.format("%Y-%m-%d %H:%M:%S%.f").to_string()))
}

/// `-1.5`, which JSON has as seconds since 1970.
fn in_nanoseconds(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    let whole = seconds.parse::<i128>().ok()? * NANOSECONDS;
    Some(if seconds.starts_with('-') { whole - fraction } else { whole + fraction })
}

/// A point in time as Arrow has it: seconds and nanoseconds, or, of few digits, a number of the field's scale.
fn arrow_time(array: &dyn Array, row: usize, scale: u32) -> Option<Value> {
    let nanoseconds = match array.as_struct_opt() {
        Some(parts) => {
            let seconds = parts.column_by_name("epoch")?.as_primitive_opt::<Int64Type>()?.value(row);
            let fraction = parts.column_by_name("fraction")?.as_primitive_opt::<Int32Type>()?.value(row);
            i128::from(seconds) * NANOSECONDS + i128::from(fraction)
        }
        None => {
            let number = array.as_primitive_opt::<Int64Type>()?.value(row);
            i128::from(number) * 10_i128.checked_pow(9_u32.checked_sub(scale)?)?
        }
    };
    time(nanoseconds)
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
    let is_time = || schema.field(column).metadata().get("logicalType").is_some_and(|of| of.starts_with("TIMESTAMP"));
    if let Some(time) = Some(array).filter(|_| is_time()).and_then(|array| arrow_time(array, row, scale)) {
        return Ok(time);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Value::Boolean(array.as_boolean().value(row)),
        DataType::Int8 => scaled(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => scaled(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => scaled(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => scaled(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::Decimal128(_, _) => scaled(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => time(i128::from(array.as_primitive::<Date32Type>().value(row)) * 86_400 * NANOSECONDS)
            .unwrap_or(Value::Null),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        other => {
            let name = schema.field(column).name().clone();
            return Err(WarehouseError::new(Kind::Unsupported, format!("column {name} comes as {other}")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int32Array, Int64Array, StructArray};
    use arrow_schema::{Field, Schema};
    use std::collections::HashMap;
    use std::sync::Arc;

    /// A result of one column.
    fn batch(scale: &str, values: ArrayRef) -> RecordBatch {
        let metadata = [("logicalType", "TIMESTAMP_NTZ"), ("scale", scale)].map(|(name, of)| (name.into(), of.into()));
        let field = Field::new("AT", values.data_type().clone(), true).with_metadata(HashMap::from(metadata));
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![values]).expect("a batch")
    }

    #[test]
    fn times_are_the_same_in_whatever_form_they_come() {
        let parts = |seconds: i64, nanoseconds: i32| -> ArrayRef {
            let (epoch, fraction) =
                (Field::new("epoch", DataType::Int64, false), Field::new("fraction", DataType::Int32, false));
            Arc::new(StructArray::from(vec![
                (Arc::new(epoch), Arc::new(Int64Array::from(vec![seconds])) as ArrayRef),
                (Arc::new(fraction), Arc::new(Int32Array::from(vec![nanoseconds])) as ArrayRef),
            ]))
        };
        let number = |number: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![number])) };
        for (scale, values, expected) in [
            ("9", parts(1_710_072_060, 500_000_000), "2024-03-10 12:01:00.500"),
            ("9", parts(-2, 500_000_000), "1969-12-31 23:59:58.500"),
            ("0", number(1_710_072_060), "2024-03-10 12:01:00"),
            ("6", number(-1_500_000), "1969-12-31 23:59:58.500"),
        ] {
            assert_eq!(value(&batch(scale, values), 0, 0).expect("a value"), Value::Text(expected.to_owned()));
        }
        for (text, expected) in
            [("1710072060.000000000", "2024-03-10 12:01:00"), ("-1.500000000", "1969-12-31 23:59:58.500")]
        {
            assert_eq!(in_nanoseconds(text).and_then(time), Some(Value::Text(expected.to_owned())));
        }
        assert_eq!(in_nanoseconds("soon"), None);
    }
}

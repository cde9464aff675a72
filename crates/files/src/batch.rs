//! Rows as they leave the reader: typed, in batches of bounded size, column by column in Arrow's layout.
//! A warehouse's driver takes a batch whole, or its rows as values.

use crate::field::{ColumnType, Field};
use crate::value::Value;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;
use websessions_core::table::TypeFamily;

/// The most rows of a batch.
pub const MOST_ROWS: usize = 8192;
/// The most bytes of text in a batch, the last row's aside.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// Some rows of a file.
#[derive(Clone, Debug)]
pub struct Batch {
    record_batch: RecordBatch,
}

enum Column<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Timestamp(&'a TimestampMicrosecondArray),
}

/// The rows of a batch.
pub struct Rows<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

impl<'a> Rows<'a> {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The values of a row, in the order of the reader's columns.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Value<'a>> {
        self.columns.iter().map(move |column| match column {
            Column::Text(array) if array.is_valid(row) => Value::Text(array.value(row)),
            Column::Integer(array) if array.is_valid(row) => Value::Integer(array.value(row)),
            Column::Float(array) if array.is_valid(row) => Value::Float(array.value(row)),
            Column::Boolean(array) if array.is_valid(row) => Value::Boolean(array.value(row)),
            Column::Timestamp(array) if array.is_valid(row) => Value::Timestamp(array.value(row)),
            _ => Value::Null,
        })
    }
}

impl Batch {
    pub(crate) fn new(record_batch: RecordBatch) -> Self {
        Self { record_batch }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.record_batch.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows as Arrow has them: text as `Utf8`, whole numbers as `Int64`, numbers as `Float64`, timestamps as
    /// `Timestamp(Microsecond, None)` in UTC.
    pub fn record_batch(&self) -> &RecordBatch {
        &self.record_batch
    }

    /// The rows as values.
    pub fn rows(&self) -> Rows<'_> {
        let columns = self
            .record_batch
            .columns()
            .iter()
            .filter_map(|array| match array.data_type() {
                DataType::Utf8 => array.as_string_opt::<i32>().map(Column::Text),
                DataType::Int64 => array.as_primitive_opt::<Int64Type>().map(Column::Integer),
                DataType::Float64 => array.as_primitive_opt::<Float64Type>().map(Column::Float),
                DataType::Boolean => array.as_boolean_opt().map(Column::Boolean),
                _ => array.as_primitive_opt::<TimestampMicrosecondType>().map(Column::Timestamp),
            })
            .collect();
        Rows { columns, rows: self.len() }
    }
}

fn data_type(column_type: ColumnType) -> DataType {
    match column_type.family() {
        TypeFamily::Text => DataType::Utf8,
        TypeFamily::Integer => DataType::Int64,
        TypeFamily::Float => DataType::Float64,
        TypeFamily::Boolean => DataType::Boolean,
        TypeFamily::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// The columns as Arrow describes them.
pub(crate) fn schema<'a>(fields: impl IntoIterator<Item = &'a Field>) -> SchemaRef {
    let fields: Vec<arrow_schema::Field> = fields
        .into_iter()
        .map(|field| arrow_schema::Field::new(&field.name, data_type(field.column_type), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// One column of a batch that is being filled.
pub(crate) enum ColumnBuilder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuilder {
    pub(crate) fn new(column_type: ColumnType) -> Self {
        match column_type.family() {
            TypeFamily::Text => Self::Text(StringBuilder::new()),
            TypeFamily::Integer => Self::Integer(Int64Builder::new()),
            TypeFamily::Float => Self::Float(Float64Builder::new()),
            TypeFamily::Boolean => Self::Boolean(BooleanBuilder::new()),
            TypeFamily::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
        }
    }

    /// Appends a value of the column's type; anything else is NULL.
    pub(crate) fn append(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Self::Integer(builder), Value::Integer(number)) => builder.append_value(number),
            // Zero is one number: engines keep its sign, or lose it.
            (Self::Float(builder), Value::Float(number)) => builder.append_value(number + 0.0),
            (Self::Boolean(builder), Value::Boolean(truth)) => builder.append_value(truth),
            (Self::Timestamp(builder), Value::Timestamp(moment)) => builder.append_value(moment),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Integer(builder), _) => builder.append_null(),
            (Self::Float(builder), _) => builder.append_null(),
            (Self::Boolean(builder), _) => builder.append_null(),
            (Self::Timestamp(builder), _) => builder.append_null(),
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

/// A batch that is being filled row by row.
pub(crate) struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    pub(crate) fn new<'a>(fields: impl IntoIterator<Item = &'a Field> + Clone) -> Self {
        let columns = fields.clone().into_iter().map(|field| ColumnBuilder::new(field.column_type)).collect();
        Self { schema: schema(fields), columns, rows: 0, bytes: 0 }
    }

    /// Appends a row: a value for each column. Its size in the file bounds the batch.
    pub(crate) fn append(&mut self, values: &[Value<'_>], bytes: usize) {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.append(*value);
        }
        self.rows += 1;
        self.bytes += bytes;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= MOST_ROWS || self.bytes >= MOST_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(crate) fn finish(&mut self) -> Result<Batch, ArrowError> {
        (self.rows, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        RecordBatch::try_new(self.schema.clone(), columns).map(Batch::new)
    }
}

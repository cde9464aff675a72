//! Parquet: columns of typed values, converted to the types of the model by the same rules as text. A file is verified as far
//! as its format allows: its counts of rows, its pages by their checksums where they have some.

use crate::batch::{Batch, ColumnBuilder, MOST_BYTES, MOST_ROWS, schema};
use crate::content::{Counter, LONGEST_ROW};
use crate::error::{Error, Fault, Problem, quoted};
use crate::field::{ColumnType, Field};
use crate::footer;
use crate::rejects::Rejects;
use crate::timestamp::{self, Clock};
use crate::unwinding::decode;
use crate::value::{self, Value};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use ::parquet::file::reader::{ChunkReader, Length};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::sync::Arc;

/// An opened file, before it is known which of its columns are wanted.
pub(crate) struct ParquetFile {
    name: String,
    file: File,
    metadata: ArrowReaderMetadata,
    /// Columns that are encrypted.
    encrypted: BTreeSet<String>,
    /// The types that the writer noted beside those of Parquet, if it did.
    noted: Option<SchemaRef>,
}

fn damaged(name: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Fault::Damaged, name, format!("the Parquet file is damaged: {error}"))
        .with_hint("get or write the whole file again")
}

impl ParquetFile {
    pub(crate) fn open(name: &str, file: File) -> Result<Self, Error> {
        // The types are those of Parquet itself, not those that some library noted beside them.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = decode(|| ArrowReaderMetadata::load(&file, options.clone()))
            .map_err(|panic| damaged(name, panic))?
            .map_err(|error| damaged(name, error))?;
        let checked = decode(|| check_footer(&file, metadata.metadata()));
        let encrypted = checked.and_then(|checked| checked).map_err(|error| damaged(name, error))?;
        let groups: i64 = metadata.metadata().row_groups().iter().map(|group| group.num_rows()).sum();
        if groups != metadata.metadata().file_metadata().num_rows() {
            return Err(damaged(name, "its counts of rows contradict each other"));
        }
        let physical = metadata.parquet_schema().root_schema().get_fields();
        let fields: Vec<Arc<arrow_schema::Field>> = metadata
            .schema()
            .fields()
            .iter()
            .zip(physical)
            .map(|(field, column)| {
                let is_int96 = column.is_primitive() && column.get_physical_type() == PhysicalType::INT96;
                let wanted = match field.data_type() {
                    // A value that stands once in a dictionary is not copied for each row.
                    DataType::Utf8 => DataType::Utf8View,
                    DataType::Binary => DataType::BinaryView,
                    // Nanoseconds would end in the year 2262.
                    DataType::Timestamp(_, zone) if is_int96 => {
                        DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                    }
                    other => other.clone(),
                };
                Arc::new(field.as_ref().clone().with_data_type(wanted))
            })
            .collect();
        let wanted = Arc::new(arrow_schema::Schema::new(fields));
        let noted = decode(|| ArrowReaderMetadata::try_new(metadata.metadata().clone(), ArrowReaderOptions::new()));
        let noted = noted.ok().and_then(Result::ok).map(|noted| noted.schema().clone());
        let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options.with_schema(wanted))
            .map_err(|error| damaged(name, error))?;
        Ok(Self { name: name.to_owned(), file, metadata, encrypted, noted })
    }

    pub(crate) fn columns(&self) -> Vec<String> {
        self.metadata.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Reads the columns that have a field.
    pub(crate) fn rows(
        self,
        positions: &[Option<usize>],
        fields: &[Field],
        clock: Clock,
        counter: Counter,
    ) -> Result<ParquetRows, Error> {
        let Self { name, file, metadata, encrypted, noted } = self;
        let root = metadata.parquet_schema().root_schema();
        let mut sources = Vec::new();
        for (position, target) in positions.iter().enumerate() {
            let Some(field) = target.and_then(|target| fields.get(target)) else { continue };
            let column = &root.get_fields()[position];
            let refused = |message: String| Error::new(Fault::Columns, &name, message).in_column(&field.name);
            if encrypted.contains(column.name()) {
                return Err(refused("it is encrypted".to_owned()).with_hint("write the file without encryption"));
            }
            let data_type = metadata.schema().field(position).data_type();
            // Parquet has no type for a span of time: it is a number there, in a unit that only the writer's note says.
            let span = noted
                .as_ref()
                .map(|noted| noted.field(position).data_type())
                .filter(|of| matches!(of, DataType::Duration(_)));
            let data_type = span.unwrap_or(data_type);
            let is_uuid = column.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid);
            if !is_readable(data_type, is_uuid) {
                let expected = match field.column_type {
                    ColumnType::Timestamp => "a timestamp or text",
                    _ => "a number, text, a truth value or a timestamp",
                };
                return Err(refused(format!("its type is {data_type}, expected {expected}"))
                    .with_hint("write the column as text, or leave it out"));
            }
            if contradicts(column) {
                return Err(damaged(&name, format!("the types of the column {} contradict each other", field.name)));
            }
            sources.push(is_uuid);
        }
        let total = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or_default();
        let size = file.metadata().map_err(|error| Error::new(Fault::Unreadable, &name, error.to_string()))?.len();
        let roots = positions.iter().enumerate().filter(|(_, target)| target.is_some()).map(|(position, _)| position);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let builder = builder.with_projection(mask).with_batch_size(MOST_ROWS);
        let reader = decode(|| builder.build())
            .map_err(|panic| damaged(&name, panic))?
            .map_err(|error| damaged(&name, error))?;
        Ok(ParquetRows {
            schema: schema(fields),
            name,
            reader,
            fields: fields.to_vec(),
            uuids: sources,
            clock,
            counter,
            size,
            total,
            read: 0,
            pending: VecDeque::new(),
        })
    }
}

/// The last eight bytes are the footer's length and a mark.
fn check_footer(file: &File, metadata: &ParquetMetaData) -> Result<BTreeSet<String>, String> {
    let size = file.len();
    let read = |start: u64, length: u64| {
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        file.get_bytes(start, length).map_err(|error| error.to_string())
    };
    let end = size.checked_sub(8).ok_or("it is too short")?;
    let last = read(end, 8)?;
    let length = last.first_chunk().map_or(0, |length| u64::from(u32::from_le_bytes(*length)));
    let start = end.checked_sub(length).ok_or("it is too short")?;
    let encrypted = footer::check(&read(start, length)?)?;
    // The footer names places from the file's begin. If all that it names ends before it, another file may stand before.
    let named = metadata.row_groups().iter().flat_map(|group| group.columns()).map(last_byte).fold(4, i64::max);
    let before = u64::try_from(named).ok().and_then(|named| start.checked_sub(named)).unwrap_or_default();
    match before.checked_sub(4) {
        Some(end) if read(end, 8)?.as_ref() == b"PAR1PAR1" => {
            Err("another Parquet file stands before it: load the files one by one".to_owned())
        }
        _ => Ok(encrypted),
    }
}

/// Where a column of a group of rows ends, and what else the file has of it.
fn last_byte(column: &ColumnChunkMetaData) -> i64 {
    let end = |offset: Option<i64>, length: Option<i32>| {
        offset.unwrap_or_default().saturating_add(length.map_or(0, i64::from))
    };
    let pages = column.dictionary_page_offset().filter(|offset| *offset > 0).unwrap_or(column.data_page_offset());
    [
        pages.saturating_add(column.compressed_size()),
        end(column.column_index_offset(), column.column_index_length()),
        end(column.offset_index_offset(), column.offset_index_length()),
        end(column.bloom_filter_offset(), column.bloom_filter_length()),
    ]
    .into_iter()
    .max()
    .unwrap_or_default()
}

/// Whether the two notes that a file has of a column's meaning can't both be true.
fn contradicts(column: &::parquet::schema::types::Type) -> bool {
    let info = column.get_basic_info();
    let logical = match info.logical_type_ref() {
        None => return false,
        Some(logical) => ConvertedType::from(Some(logical.clone())),
    };
    // A file without the older note, or a meaning that the older note has no word for.
    info.converted_type() != ConvertedType::NONE && logical != ConvertedType::NONE && info.converted_type() != logical
}

fn is_readable(data_type: &DataType, is_uuid: bool) -> bool {
    match data_type {
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8View
        | DataType::BinaryView
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => true,
        DataType::FixedSizeBinary(16) => is_uuid,
        other => other.is_integer() || other.is_floating(),
    }
}

/// Reads the rows of a file.
pub(crate) struct ParquetRows {
    name: String,
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    fields: Vec<Field>,
    /// Which columns are UUIDs in 16 bytes.
    uuids: Vec<bool>,
    clock: Clock,
    counter: Counter,
    size: u64,
    total: u64,
    /// Rows converted.
    read: u64,
    /// Rows that are read and not yet converted.
    pending: VecDeque<RecordBatch>,
}

impl ParquetRows {
    pub(crate) fn next(&mut self, rejects: &mut Rejects) -> Result<Option<Batch>, Error> {
        loop {
            let Some(rows) = self.pending.pop_front() else {
                match decode(|| self.reader.next()).map_err(|panic| damaged(&self.name, panic))? {
                    None if self.read == self.total => return Ok(None),
                    None => {
                        return Err(damaged(&self.name, format!("it has {} rows, and says {}", self.read, self.total)));
                    }
                    Some(Ok(rows)) => self.pending.push_back(rows),
                    Some(Err(error)) => return Err(damaged(&self.name, error)),
                }
                continue;
            };
            // Long values that a dictionary holds once are many bytes when they stand in each row.
            if rows.num_rows() > 1 && text_bytes(&rows) > MOST_BYTES {
                let half = rows.num_rows() / 2;
                self.pending.push_front(rows.slice(half, rows.num_rows() - half));
                self.pending.push_front(rows.slice(0, half));
                continue;
            }
            let batch = self.convert(&rows, rejects)?;
            self.read += rows.num_rows() as u64;
            let share = u128::from(self.size) * u128::from(self.read) / u128::from(self.total.max(1));
            self.counter.set(u64::try_from(share).unwrap_or(self.size));
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }

    fn convert(&self, rows: &RecordBatch, rejects: &mut Rejects) -> Result<Batch, Error> {
        let failed = |error: arrow_schema::ArrowError| damaged(&self.name, error);
        let mut problems: Vec<(usize, Problem)> = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for ((field, array), is_uuid) in self.fields.iter().zip(rows.columns()).zip(&self.uuids) {
            let mut column = Column {
                field,
                clock: self.clock,
                builder: ColumnBuilder::new(field.column_type),
                problems: &mut problems,
            };
            column.convert(array, *is_uuid);
            columns.push(column.builder.finish());
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(failed)?;
        if problems.is_empty() {
            return Ok(Batch::new(batch));
        }
        // The first problem of each row, in the order of the rows.
        problems.sort_by_key(|(row, _)| *row);
        problems.dedup_by_key(|(row, _)| *row);
        let mut kept = vec![true; rows.num_rows()];
        for (row, problem) in problems {
            kept[row] = false;
            rejects.add(problem.at(Fault::Row, &self.name, self.read + row as u64 + 1, None), b"")?;
        }
        arrow_select::filter::filter_record_batch(&batch, &BooleanArray::from(kept)).map(Batch::new).map_err(failed)
    }
}

fn text_bytes(rows: &RecordBatch) -> usize {
    let lengths = |views: &[u128]| views.iter().map(|view| (view & u128::from(u32::MAX)) as usize).sum::<usize>();
    rows.columns()
        .iter()
        .map(|array| match array.data_type() {
            DataType::Utf8View => lengths(array.as_string_view().views()),
            DataType::BinaryView => lengths(array.as_binary_view().views()),
            _ => 0,
        })
        .sum()
}

/// One column of some rows, while it is converted.
struct Column<'a> {
    field: &'a Field,
    clock: Clock,
    builder: ColumnBuilder,
    problems: &'a mut Vec<(usize, Problem)>,
}

impl Column<'_> {
    fn append(&mut self, row: usize, value: Result<Value<'_>, Problem>) {
        match value {
            Ok(value) => self.builder.append(value),
            Err(problem) => {
                self.builder.append(Value::Null);
                self.problems.push((row, problem.in_column(&self.field.name)));
            }
        }
    }

    /// Reads a value as if the file had it as text.
    fn append_text(&mut self, row: usize, text: &str) {
        if text.len() > LONGEST_ROW {
            return self.append(row, Err(Problem::new(format!("{} is longer than {LONGEST_ROW} bytes", quoted(text)))));
        }
        let value = value::read(self.field, self.clock, text);
        self.append(row, value);
    }

    fn each(&mut self, array: &dyn Array, mut append: impl FnMut(&mut Self, usize)) {
        for row in 0..array.len() {
            if array.is_valid(row) {
                append(self, row);
            } else if self.field.not_null {
                self.append(row, Err(value::null(self.field)));
            } else {
                self.builder.append(Value::Null);
            }
        }
    }

    fn convert(&mut self, array: &ArrayRef, is_uuid: bool) {
        match array.data_type() {
            DataType::Utf8View => {
                let array = array.as_string_view();
                self.each(array, |column, row| column.append_text(row, array.value(row)));
            }
            DataType::BinaryView => {
                let array = array.as_binary_view();
                self.each(array, |column, row| match std::str::from_utf8(array.value(row)) {
                    Ok(text) => column.append_text(row, text),
                    Err(_) => column.append(row, Err(Problem::new("bytes that are not UTF-8"))),
                });
            }
            DataType::Boolean => {
                let array = array.as_boolean();
                self.each(array, |column, row| match column.field.column_type {
                    ColumnType::Boolean => column.append(row, Ok(Value::Boolean(array.value(row)))),
                    _ => column.append_text(row, if array.value(row) { "true" } else { "false" }),
                });
            }
            DataType::Int8 => self.integers(array.as_primitive::<Int8Type>()),
            DataType::Int16 => self.integers(array.as_primitive::<Int16Type>()),
            DataType::Int32 => self.integers(array.as_primitive::<Int32Type>()),
            DataType::Int64 => self.integers(array.as_primitive::<Int64Type>()),
            DataType::UInt8 => self.integers(array.as_primitive::<UInt8Type>()),
            DataType::UInt16 => self.integers(array.as_primitive::<UInt16Type>()),
            DataType::UInt32 => self.integers(array.as_primitive::<UInt32Type>()),
            DataType::UInt64 => self.integers(array.as_primitive::<UInt64Type>()),
            DataType::Float16 => {
                let array = array.as_primitive::<Float16Type>();
                self.each(array, |column, row| column.float(row, array.value(row).to_f64()));
            }
            DataType::Float32 => {
                let array = array.as_primitive::<Float32Type>();
                self.each(array, |column, row| column.float(row, f64::from(array.value(row))));
            }
            DataType::Float64 => {
                let array = array.as_primitive::<Float64Type>();
                self.each(array, |column, row| column.float(row, array.value(row)));
            }
            DataType::Decimal128(..) => self.decimals(array.as_primitive::<Decimal128Type>()),
            DataType::Decimal256(..) => self.decimals(array.as_primitive::<Decimal256Type>()),
            DataType::Date32 => {
                let array = array.as_primitive::<Date32Type>();
                self.each(array, |column, row| {
                    let microseconds = i64::from(array.value(row)).checked_mul(86_400_000_000);
                    column.moment(row, microseconds, false, true);
                });
            }
            DataType::Timestamp(TimeUnit::Millisecond, zone) => {
                self.moments(array.as_primitive::<TimestampMillisecondType>(), zone.is_some(), |value| {
                    value.checked_mul(1000)
                });
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                self.moments(array.as_primitive::<TimestampMicrosecondType>(), zone.is_some(), Some);
            }
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                self.moments(array.as_primitive::<TimestampNanosecondType>(), zone.is_some(), |value| {
                    Some(value.div_euclid(1000))
                });
            }
            DataType::FixedSizeBinary(_) if is_uuid => {
                let array = array.as_fixed_size_binary();
                self.each(array, |column, row| match uuid::Uuid::from_slice(array.value(row)) {
                    Ok(id) => column.append_text(row, &id.to_string()),
                    Err(error) => column.append(row, Err(Problem::new(error.to_string()))),
                });
            }
            // A column without values; other types were refused before.
            _ => self.each(&arrow_array::NullArray::new(array.len()), |column, _| column.builder.append(Value::Null)),
        }
    }

    fn integers<T: ArrowPrimitiveType<Native: TryInto<i64> + std::fmt::Display>>(&mut self, array: &PrimitiveArray<T>) {
        self.each(array, |column, row| {
            let number = array.value(row);
            match (column.field.column_type, number.try_into()) {
                (ColumnType::Integer | ColumnType::BigInteger, Ok(number)) => {
                    let value = value::integer(column.field, number);
                    column.append(row, value);
                }
                _ => column.append_text(row, &number.to_string()),
            }
        });
    }

    fn float(&mut self, row: usize, number: f64) {
        match self.field.column_type {
            ColumnType::Float if number.is_finite() => self.append(row, Ok(Value::Float(number))),
            ColumnType::Float => {
                let problem = value::unfit(self.field, &number.to_string());
                self.append(row, Err(problem));
            }
            _ => self.append_text(row, &number.to_string()),
        }
    }

    fn decimals<T: DecimalType>(&mut self, array: &PrimitiveArray<T>) {
        self.each(array, |column, row| column.append_text(row, &array.value_as_string(row)));
    }

    fn moments<T: ArrowTimestampType>(
        &mut self,
        array: &PrimitiveArray<T>,
        is_utc: bool,
        scale: impl Fn(i64) -> Option<i64>,
    ) {
        self.each(array, |column, row| column.moment(row, scale(array.value(row)), is_utc, false));
    }

    /// A moment in UTC, or a local time.
    fn moment(&mut self, row: usize, microseconds: Option<i64>, is_utc: bool, is_date: bool) {
        let Some(microseconds) = microseconds else {
            return self.append(row, Err(Problem::new("the timestamp is not within the years 0001 to 9999")));
        };
        let text = || timestamp::text(microseconds);
        let checked = match is_utc {
            true => timestamp::in_range(microseconds, text),
            false => self.clock.local(microseconds, text),
        };
        match (self.field.column_type, checked) {
            (ColumnType::Timestamp, moment) => self.append(row, moment.map(Value::Timestamp)),
            (_, Err(problem)) => self.append(row, Err(problem)),
            (_, Ok(_)) if is_date => self.append_text(row, &text()[..10]),
            (_, Ok(moment)) => self.append_text(row, &timestamp::text(moment)),
        }
    }
}

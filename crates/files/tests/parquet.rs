//! Parquet: typed columns of many types give the values that text would give. Files are written here, and three by pyarrow:
//! `checksums.parquet` (`write_page_checksum=True`), `int96.parquet` (`use_deprecated_int96_timestamps=True`) and
//! `encrypted.parquet` (`EncryptionConfiguration(plaintext_footer=True, column_keys={"k": ["user_id", "extra"]})`).

mod support;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, DurationMicrosecondArray,
    Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{Folder, REQUIRED, Table, fields, read, read_with};
use websessions_files::{Error, Fault, ReadOptions, Reader, Rejects, Source, TimeFormat};

const TIME: i64 = 1_719_828_000_000_000;

fn write(folder: &Folder, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let path = folder.path("views.parquet");
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = std::fs::File::create(&path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
    path
}

/// A file of two rows with another column.
fn with_column(name: &str, column: ArrayRef) -> Result<Table, Error> {
    with_options(name, column, &ReadOptions::default())
}

fn with_options(name: &str, column: ArrayRef, options: &ReadOptions) -> Result<Table, Error> {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["p1", "p2"]));
    let sessions: ArrayRef = Arc::new(StringArray::from(vec!["s1", "s1"]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![TIME, TIME]));
    let mut columns = vec![("page_view_id", ids), ("Domain_SessionId", sessions), ("start_tstamp", times)];
    columns.retain(|(other, _)| *other != name);
    columns.push((name, column));
    let folder = Folder::new();
    read_with(&write(&folder, columns), options, Rejects::none())
}

/// What became of the column, in both rows.
fn values(name: &str, column: ArrayRef) -> [String; 2] {
    values_with(name, column, &ReadOptions::default())
}

fn values_with(name: &str, column: ArrayRef, options: &ReadOptions) -> [String; 2] {
    let table = with_options(name, column, options).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = |row: &String| {
        let found = row.split(' ').find_map(|value| value.strip_prefix(&format!("{name}=")));
        found.unwrap_or("NULL").to_owned()
    };
    [value(&table.rows[0]), value(&table.rows[1])]
}

#[track_caller]
fn assert_refused(name: &str, column: ArrayRef, words: &str) {
    let error = with_column(name, column).expect_err("refused");
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(error.column.as_deref(), Some(name), "{error:?}");
}

#[test]
fn numbers_are_exact() {
    let column = "engaged_time_in_s";
    assert_eq!(values(column, Arc::new(Int64Array::from(vec![Some(5), None]))), ["5", "NULL"]);
    assert_eq!(values(column, Arc::new(Float64Array::from(vec![5.0, -0.0]))), ["5", "0"]);
    assert_eq!(values(column, Arc::new(StringArray::from(vec!["5.0", "6"]))), ["5", "6"]);
    let decimals =
        |values: Vec<i128>| Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 2).expect("decimals"));
    assert_eq!(values(column, decimals(vec![500, -700])), ["5", "-7"]);
    assert_refused(column, decimals(vec![500, 501]), "row 2, column engaged_time_in_s: \"5.01\" is not a whole number");
    assert_refused(column, Arc::new(Float64Array::from(vec![5.0, 5.000_000_4])), "\"5.0000004\" is not a whole number");
    assert_refused(column, Arc::new(Float64Array::from(vec![5.0, f64::NAN])), "NaN");
    assert_refused(column, Arc::new(Int64Array::from(vec![1, 1 << 31])), "\"2147483648\" is not a whole number");
    assert_refused(column, Arc::new(BooleanArray::from(vec![true, false])), "\"true\" is not a whole number");
    assert_refused("fingerprint", Arc::new(UInt64Array::from(vec![1, u64::MAX])), "\"18446744073709551615\"");
    assert_eq!(values("geo_latitude", Arc::new(Int32Array::from(vec![5, 6]))), ["5", "6"]);
    assert_eq!(values("geo_latitude", Arc::new(Float64Array::from(vec![-0.0, 0.0]))), ["0", "0"]);
    assert_refused(
        "geo_latitude",
        Arc::new(Float64Array::from(vec![0.5, f64::INFINITY])),
        "\"inf\" is not a finite number",
    );
    assert_eq!(values("spider_or_robot", Arc::new(Int32Array::from(vec![1, 0]))), ["true", "false"]);
}

#[test]
fn moments_are_in_utc() {
    let column = "start_tstamp";
    let expected = [format!("@{TIME}"), format!("@{TIME}")];
    let milliseconds = || TimestampMillisecondArray::from(vec![TIME / 1000, TIME / 1000]);
    assert_eq!(values(column, Arc::new(milliseconds())), expected);
    assert_eq!(values(column, Arc::new(milliseconds().with_timezone("America/New_York"))), expected);
    let nanoseconds = TimestampNanosecondArray::from(vec![TIME * 1000 + 999, -1]);
    assert_eq!(values(column, Arc::new(nanoseconds)), [format!("@{TIME}"), "@-1".to_owned()]);
    assert_eq!(values(column, Arc::new(Date32Array::from(vec![0, 1]))), ["@0", "@86400000000"]);
    let texts = StringArray::from(vec!["2024-07-01T12:00:00+02:00", "2024-07-01 10:00:00"]);
    assert_eq!(values(column, Arc::new(texts)), expected);
    assert_refused(column, Arc::new(Int64Array::from(vec![TIME, TIME])), "is not a timestamp");
    for far in [i64::MAX, i64::MIN] {
        let words = format!("\"{far} microseconds since 1970\" is not within the years 0001 to 9999");
        assert_refused(column, Arc::new(TimestampMicrosecondArray::from(vec![0, far])), &words);
        assert_refused(column, Arc::new(TimestampMillisecondArray::from(vec![0, far])), "0001 to 9999");
    }
    for far in [i32::MAX, i32::MIN, 2_932_897, -719_163] {
        assert_refused(column, Arc::new(Date32Array::from(vec![0, far])), "0001 to 9999");
        assert_refused("user_id", Arc::new(Date32Array::from(vec![0, far])), "0001 to 9999");
    }
    let asked = ReadOptions { time_format: TimeFormat::EpochMicroseconds, ..ReadOptions::default() };
    assert_eq!(values_with(column, Arc::new(Int64Array::from(vec![TIME, TIME])), &asked), expected);
    let berlin = ReadOptions { time_zone: Some("Europe/Berlin".to_owned()), ..ReadOptions::default() };
    let local = TimestampMicrosecondArray::from(vec![TIME + 7_200_000_000; 2]);
    assert_eq!(values_with(column, Arc::new(local), &berlin), expected, "a local time");
    let utc = TimestampMicrosecondArray::from(vec![TIME; 2]).with_timezone("UTC");
    assert_eq!(values_with(column, Arc::new(utc), &berlin), expected, "a moment");
}

#[test]
fn text_is_text_and_nothing_else() {
    let column = "user_id";
    assert_eq!(values(column, Arc::new(StringArray::from(vec![Some("a"), None]))), ["\"a\"", "NULL"]);
    assert_eq!(values(column, Arc::new(BinaryArray::from(vec![b"a".as_slice(), b""]))), ["\"a\"", "\"\""]);
    let dictionary: DictionaryArray<Int32Type> = vec!["x", "y"].into_iter().collect();
    assert_eq!(values(column, Arc::new(dictionary)), ["\"x\"", "\"y\""]);
    assert_eq!(values(column, Arc::new(Int64Array::from(vec![7, -7]))), ["\"7\"", "\"-7\""]);
    assert_eq!(values(column, Arc::new(Date32Array::from(vec![0, 1]))), ["\"1970-01-01\"", "\"1970-01-02\""]);
    assert_refused(column, Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"\xff"])), "not UTF-8");
    assert_refused(column, Arc::new(StringArray::from(vec!["a", "\0"])), "NUL");
    assert_refused("page_title", Arc::new(StringArray::from(vec!["a", &"x".repeat(21)])), "21 characters");
    assert_refused("page_view_id", Arc::new(StringArray::from(vec![Some("p"), None])), "must have one");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None]);
    assert_refused("category", Arc::new(list), "its type is List");
}

/// A span of time is a number in Parquet, and only a note of the writer's says in which unit.
#[test]
fn times_of_day_and_spans_of_time_are_refused() {
    for column in ["engaged_time_in_s", "user_id", "geo_latitude", "start_tstamp"] {
        assert_refused(column, Arc::new(DurationMicrosecondArray::from(vec![5_000_000, 6])), "its type is Duration(");
        assert_refused(column, Arc::new(Time64MicrosecondArray::from(vec![5_000_000, 6])), "its type is Time64(");
    }
    assert!(with_column("other", Arc::new(DurationMicrosecondArray::from(vec![5, 6]))).is_ok());
}

#[test]
fn a_column_that_is_encrypted_is_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/encrypted.parquet");
    let error = read(&path).expect_err("encrypted");
    assert_eq!((error.fault, error.column.as_deref()), (Fault::Columns, Some("user_id")), "{error:?}");
    assert!(error.message.contains("it is encrypted"), "{error}");
    // One that is not looked for may be.
    let others: Vec<_> = fields().into_iter().filter(|field| field.name != "user_id").collect();
    let mut reader = Reader::open(&Source::File(path), &others, &REQUIRED, &ReadOptions::default()).expect("right");
    assert_eq!(reader.next_batch(&mut Rejects::none()).expect("right").map(|batch| batch.len()), Some(1));
    assert_eq!(reader.next_batch(&mut Rejects::none()).map(|batch| batch.is_none()), Ok(true));
}

#[test]
fn wrong_rows_are_left_out_on_request() {
    let folder = Folder::new();
    let count = 20_000;
    let ids: Vec<String> = (0..count).map(|row| format!("p{row}")).collect();
    let times: Vec<&str> = (0..count).map(|row| if row % 9000 == 8999 { "soon" } else { "2024-07-01" }).collect();
    let path = write(
        &folder,
        vec![
            ("page_view_id", Arc::new(StringArray::from(ids))),
            ("domain_sessionid", Arc::new(StringArray::from(vec!["s"; count]))),
            ("start_tstamp", Arc::new(StringArray::from(times))),
        ],
    );
    let file = folder.path("rejects.csv");
    let rejects = Rejects::new(2, Some(&file)).expect("rejects");
    let table = read_with(&path, &ReadOptions::default(), rejects).expect("two rows are left out");
    assert_eq!((table.rows.len(), table.rejected), (count - 2, 2));
    assert!(!table.rows.iter().any(|row| row.contains("\"p8999\"") || row.contains("\"p17999\"")));
    let written = std::fs::read_to_string(&file).expect("rejected rows");
    assert!(written.contains(",18000,,\"start_tstamp\","), "{written}");
    let error = read(&path).expect_err("none may be wrong");
    assert_eq!((error.fault, error.row), (Fault::Row, Some(9000)));
}

#[test]
fn files_that_were_glued_together_are_refused() {
    let folder = Folder::new();
    let content = |ids: &[&str]| {
        let column = |texts: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
        let columns = vec![
            ("page_view_id", column(ids.iter().map(|id| (*id).to_owned()).collect())),
            ("domain_sessionid", column(vec!["s".to_owned(); ids.len()])),
            ("start_tstamp", column(vec!["2024-07-01".to_owned(); ids.len()])),
        ];
        std::fs::read(write(&folder, columns)).expect("the file")
    };
    for (first, second) in
        [(&["p1"] as &[&str], &["p2"] as &[&str]), (&["p1"], &["p2", "p3"]), (&["p1", "p2"], &["p3"]), (&["p1"], &[])]
    {
        assert!(read(&folder.write("one.parquet", content(second))).is_ok());
        let glued = read(&folder.write("two.parquet", [content(first), content(second)].concat()));
        assert!(
            glued
                .as_ref()
                .is_err_and(|error| error.fault == Fault::Damaged && error.message.contains("another Parquet file")),
            "{glued:?}"
        );
    }
}

#[test]
fn columns_are_found_by_name_whatever_the_case() {
    let table = with_column("Extra", Arc::new(Int32Array::from(vec![1, 2]))).expect("right");
    assert_eq!(table.columns.found, ["page_view_id", "domain_sessionid", "start_tstamp"]);
    assert_eq!(table.columns.ignored, ["Extra"]);
    let error = with_column("PAGE_VIEW_ID", Arc::new(Int32Array::from(vec![1, 2]))).expect_err("twice");
    assert!(error.to_string().contains("are the same"), "{error}");
    let folder = Folder::new();
    let path = write(&folder, vec![("page_view_id", Arc::new(StringArray::from(vec!["p"])))]);
    assert!(read(&path).is_err_and(|error| error.to_string().contains("domain_sessionid is missing")));
}

#[test]
fn a_long_value_of_a_dictionary_is_not_copied_for_all_rows_at_once() {
    let folder = Folder::new();
    let (count, long) = (200, "x".repeat(1 << 20));
    let path = write(
        &folder,
        vec![
            ("page_view_id", Arc::new(StringArray::from(vec!["p"; count]))),
            ("domain_sessionid", Arc::new(StringArray::from(vec!["s"; count]))),
            ("start_tstamp", Arc::new(TimestampMicrosecondArray::from(vec![TIME; count]))),
            ("category", Arc::new(StringArray::from(vec![long.as_str(); count]))),
        ],
    );
    assert!(path.metadata().is_ok_and(|metadata| metadata.len() < 4 << 20), "the value stands in the file once");
    let mut reader = Reader::open(&Source::File(path), &fields(), &REQUIRED, &ReadOptions::default()).expect("right");
    while let Some(batch) = reader.next_batch(&mut Rejects::none()).expect("right") {
        assert!(batch.len() <= 8, "{} MiB at once", batch.len());
    }
    assert_eq!(reader.count(), count as u64);
}

#[test]
fn timestamps_in_96_bits_are_read_beyond_the_year_2262() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/int96.parquet");
    let table = read(&path).expect("right");
    assert_eq!(table.rows.len(), 2);
    assert!(table.rows[0].contains(&format!("start_tstamp=@{}", TIME + 123_456)), "{table:?}");
    assert!(table.rows[1].contains("start_tstamp=@16725225600000000"), "{table:?}");
}

//! What the tests of files share: a few columns, files made of bytes, and rows as text.
//! Each test uses a part of it.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use websessions_files::{ColumnType, Columns, Error, Field, ReadOptions, Reader, Rejects, Source, Value};

/// The columns without which a file is refused.
pub(crate) const REQUIRED: [&str; 3] = ["page_view_id", "domain_sessionid", "start_tstamp"];

/// Columns of all types.
pub(crate) fn fields() -> Vec<Field> {
    [
        ("page_view_id", ColumnType::Fixed(36), true),
        ("domain_sessionid", ColumnType::Varying(128), false),
        ("start_tstamp", ColumnType::Timestamp, false),
        ("engaged_time_in_s", ColumnType::Integer, false),
        ("fingerprint", ColumnType::BigInteger, false),
        ("geo_latitude", ColumnType::Float, false),
        ("spider_or_robot", ColumnType::Boolean, false),
        ("page_title", ColumnType::Varying(20), false),
        ("user_id", ColumnType::Varying(255), false),
        ("category", ColumnType::Text, false),
    ]
    .map(|(name, column_type, not_null)| Field { name: name.to_owned(), column_type, not_null })
    .to_vec()
}

/// All rows of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub columns: Columns,
    /// `column=value` of all values that are not NULL.
    pub rows: Vec<String>,
    pub rejected: u64,
}

/// A temporary folder.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }
}

/// Reads a file to its end.
pub(crate) fn read_with(path: &Path, options: &ReadOptions, mut rejects: Rejects) -> Result<Table, Error> {
    let mut reader = Reader::open(&Source::File(path.to_owned()), &fields(), &REQUIRED, options)?;
    let names: Vec<String> = reader.fields().iter().map(|field| field.name.clone()).collect();
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch(&mut rejects)? {
        let values = batch.rows();
        for row in 0..values.len() {
            let texts = names.iter().zip(values.row(row)).filter_map(|(name, value)| {
                let text = match value {
                    Value::Null => return None,
                    Value::Text(text) => format!("{text:?}"),
                    Value::Integer(number) => number.to_string(),
                    Value::Float(number) => number.to_string(),
                    Value::Boolean(truth) => truth.to_string(),
                    Value::Timestamp(moment) => format!("@{moment}"),
                };
                Some(format!("{name}={text}"))
            });
            rows.push(texts.collect::<Vec<_>>().join(" "));
        }
    }
    assert!(reader.next_batch(&mut rejects)?.is_none(), "the end stays the end");
    assert_eq!(reader.count(), rows.len() as u64);
    let columns = reader.columns().clone();
    Ok(Table { columns, rows, rejected: rejects.finish()? })
}

/// Reads a file that must be right.
pub(crate) fn read(path: &Path) -> Result<Table, Error> {
    read_with(path, &ReadOptions::default(), Rejects::none())
}

/// Reads bytes as a file of that name.
pub(crate) fn read_bytes(name: &str, content: impl AsRef<[u8]>) -> Result<Table, Error> {
    let folder = Folder::new();
    read(&folder.write(name, content))
}

pub(crate) fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_ref()).expect("gzip");
    encoder.finish().expect("gzip")
}

pub(crate) fn zstd(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("zstd");
    encoder.include_checksum(true).expect("zstd");
    encoder.write_all(content.as_ref()).expect("zstd");
    encoder.finish().expect("zstd")
}

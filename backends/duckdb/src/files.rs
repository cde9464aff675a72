//! Tables out to files, by DuckDB's own writers.

use crate::dialect::DuckDbDialect;
use std::path::Path;
use websessions_core::dialect::Dialect;
use websessions_core::error::{WarehouseError, WarehouseErrorKind};

/// The kinds of files that are written, by their endings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Parquet,
    Json,
}

fn format_of(file: &Path) -> Result<Format, WarehouseError> {
    let name = file.to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz");
    let endings = [
        (".csv", Format::Csv),
        (".parquet", Format::Parquet),
        (".ndjson", Format::Json),
        (".jsonl", Format::Json),
        (".json", Format::Json),
    ];
    endings.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format).ok_or_else(|| {
        data_error(format!("{}: unknown kind of file", file.display()))
            .with_hint("known endings: .parquet, .csv, .csv.gz, .ndjson, .jsonl, .json (newline-delimited)")
    })
}

fn data_error(message: String) -> WarehouseError {
    WarehouseError::new(WarehouseErrorKind::Data, message)
}

/// The statement that writes a table to a file.
pub(crate) fn export_statement(table: &str, file: &Path) -> Result<String, WarehouseError> {
    let options = match format_of(file)? {
        // NULL is written as nothing, the empty string as "".
        Format::Csv => "FORMAT csv, HEADER, NULLSTR ''",
        Format::Parquet => "FORMAT parquet",
        Format::Json => "FORMAT json",
    };
    // A whole path is nothing but a path, and is written as it is asked for.
    // <https://duckdb.org/docs/stable/sql/statements/copy#copy--to-options>
    let whole = std::path::absolute(file).map_err(|error| data_error(format!("{}: {error}", file.display())))?;
    let path = DuckDbDialect.text(&whole.to_string_lossy());
    Ok(format!("COPY (SELECT * FROM {table}) TO {path} ({options}, USE_TMP_FILE false)"))
}

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

/// The format, and whether the file is compressed with gzip: by the endings, in any case.
fn format_of(file: &Path) -> Result<(Format, bool), WarehouseError> {
    let name = file.to_string_lossy().to_lowercase();
    let plain = name.strip_suffix(".gz");
    let endings = [
        (".csv", Format::Csv),
        (".parquet", Format::Parquet),
        (".ndjson", Format::Json),
        (".jsonl", Format::Json),
        (".json", Format::Json),
    ];
    let format = endings.iter().find(|(ending, _)| plain.unwrap_or(&name).ends_with(ending)).map(|(_, format)| *format);
    match (format, plain.is_some()) {
        // Parquet is compressed within itself.
        (None, _) | (Some(Format::Parquet), true) => {
            let hint =
                "known endings: .parquet, .csv, .ndjson, .jsonl, .json (newline-delimited), all but the first also .gz";
            Err(data_error(format!("{}: unknown kind of file", file.display())).with_hint(hint))
        }
        (Some(format), compressed) => Ok((format, compressed)),
    }
}

fn data_error(message: String) -> WarehouseError {
    WarehouseError::new(WarehouseErrorKind::Data, message)
}

/// The statement that writes a table to a file.
pub(crate) fn export_statement(table: &str, file: &Path) -> Result<String, WarehouseError> {
    let options = match format_of(file)? {
        // NULL is written as nothing, the empty string as "".
        (Format::Csv, false) => "FORMAT csv, HEADER, NULLSTR '', COMPRESSION none",
        (Format::Csv, true) => "FORMAT csv, HEADER, NULLSTR '', COMPRESSION gzip",
        (Format::Parquet, _) => "FORMAT parquet",
        (Format::Json, false) => "FORMAT json, COMPRESSION none",
        (Format::Json, true) => "FORMAT json, COMPRESSION gzip",
    };
    // A whole path is nothing but a path, and is written as it is asked for.
    // <https://duckdb.org/docs/stable/sql/statements/copy#copy--to-options>
    let whole = std::path::absolute(file).map_err(|error| data_error(format!("{}: {error}", file.display())))?;
    // <https://duckdb.org/docs/stable/sql/data_types/text>
    let path = whole.to_str().ok_or_else(|| {
        data_error(format!("{}: the engine writes to files only whose names are UTF-8", file.display()))
            .with_hint("choose another name or folder, or '--to -' for standard output")
    })?;
    let path = DuckDbDialect.text(path);
    Ok(format!("COPY (SELECT * FROM {table}) TO {path} ({options}, USE_TMP_FILE false)"))
}

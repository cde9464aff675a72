//! Files of page views in, tables out: by DuckDB's own readers and writers. A file is checked before a row is kept, and
//! an error names file, column and row.

use crate::{execute, query};
use duckdb::Connection;
use std::path::Path;
use websessions_core::dialect::Dialect;
use websessions_core::error::{WarehouseError, WarehouseErrorKind};
use websessions_core::rows::Value;
use websessions_core::table::{Column, Table, TypeFamily};
use websessions_core::warehouse::Loaded;

/// The kinds of files that are read and written, by their endings.
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

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Appends one file to the staged table.
pub(crate) fn load(connection: &Connection, file: &Path, model: &Table, table: &str) -> Result<Loaded, WarehouseError> {
    let name = file.display().to_string();
    let format = format_of(file)?;
    let metadata = std::fs::metadata(file).map_err(|error| data_error(format!("{name}: {error}")))?;
    if metadata.len() == 0 {
        return Err(data_error(format!("{name}: the file is empty"))
            .with_hint("a CSV file has at least a line of column names"));
    }
    let path = literal(file).map_err(|error| data_error(format!("{name}: {error}")))?;
    let source = match format {
        // NULL is nothing between two commas, the empty string is "".
        // <https://duckdb.org/docs/stable/data/csv/overview#parameters>
        Format::Csv => format!(
            "read_csv({path}, header = true, delim = ',', quote = '\"', escape = '\"', all_varchar = true, nullstr = '', allow_quoted_nulls = false, parallel = false, hive_partitioning = false)"
        ),
        Format::Parquet => format!("read_parquet({path}, binary_as_string = true, hive_partitioning = false)"),
        // Every value stays JSON until its column's type reads it.
        // <https://duckdb.org/docs/stable/data/json/loading_json#parameters>
        Format::Json => format!(
            "read_json({path}, format = 'newline_delimited', records = true, maximum_depth = 1, sample_size = -1, hive_partitioning = false)"
        ),
    };
    let failed = |error: WarehouseError| WarehouseError { message: format!("{name}: {}", error.message), ..error };
    let described = query(connection, &format!("DESCRIBE SELECT * FROM {source}")).map_err(failed)?;
    let present: Vec<(String, String)> = (0..described.rows.len())
        .map(|row| (described.get(row, "column_name").to_string(), described.get(row, "column_type").to_string()))
        .collect();
    let find = |column: &Column| present.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
    let missing: Vec<&Column> = model.columns.iter().filter(|column| find(column).is_none()).collect();
    if let Some(required) = missing.iter().find(|column| column.required) {
        return Err(data_error(format!("{name}: the required column {} is missing", required.name))
            .with_hint(format!("a file of page views has at least {}", model.required_names().join(", "))));
    }
    let columns: Vec<SourceColumn<'_>> = model
        .columns
        .iter()
        .filter_map(|column| find(column).map(|(name, reported)| SourceColumn::new(column, name, reported)))
        .collect();
    check(connection, &source, &columns, &name).map_err(failed)?;
    let targets: Vec<&str> = columns.iter().map(|column| column.model.name.as_ref()).collect();
    let values: Vec<&str> = columns.iter().map(|column| column.value.as_str()).collect();
    let insert = format!(
        "INSERT INTO {table} (\n  {}\n)\nSELECT\n  {}\nFROM {source}",
        targets.join(",\n  "),
        values.join(",\n  ")
    );
    let rows = execute(connection, &insert).map_err(failed)?.rows_affected.unwrap_or(0);
    Ok(Loaded {
        file: name.clone(),
        rows,
        ignored_columns: present
            .iter()
            .filter(|(name, _)| !model.columns.iter().any(|column| name.eq_ignore_ascii_case(&column.name)))
            .map(|(name, _)| name.clone())
            .collect(),
        missing_columns: missing.iter().map(|column| column.name.to_string()).collect(),
    })
}

/// A file's name for the engine's readers: nothing but a name, whatever letters it has, whole, and no pattern.
/// <https://duckdb.org/docs/stable/data/multiple_files/overview#glob-syntax>
fn literal(file: &Path) -> std::io::Result<String> {
    let mut name = String::new();
    for letter in std::path::absolute(file)?.to_string_lossy().chars() {
        match letter {
            '*' | '?' | '[' => name.extend(['[', letter, ']']),
            letter => name.push(letter),
        }
    }
    Ok(crate::DuckDbDialect.text(&name))
}

/// A column of the file that the model has.
struct SourceColumn<'a> {
    model: &'a Column,
    /// The value as text, as the file has it.
    text: String,
    /// The value in the model's type.
    value: String,
    /// Holds where the value doesn't fit; `None` if every value does.
    wrong: Option<String>,
}

impl<'a> SourceColumn<'a> {
    fn new(model: &'a Column, name: &str, reported: &str) -> Self {
        let source = quoted(name);
        let text = match reported {
            "JSON" => format!("({source} ->> '$')"),
            _ => format!("CAST({source} AS VARCHAR)"),
        };
        let family = model.column_type.family();
        let target = crate::DuckDbDialect.column_type(model.column_type);
        let readable = matches!(reported, "VARCHAR" | "JSON");
        // Text is read as the type that the model has; a typed file's value is cast from its own type.
        let from = if readable { text.as_str() } else { source.as_str() };
        let (value, fits) = match family {
            // A point in time with a zone is kept in UTC, whatever the session's zone is.
            TypeFamily::Timestamp if reported == "TIMESTAMP WITH TIME ZONE" => {
                (format!("make_timestamp(epoch_us({source}))"), None)
            }
            TypeFamily::Text => (text.clone(), None),
            // 3.0 is a whole number, as some tools write a column of whole numbers with gaps; 3.5 isn't.
            TypeFamily::Integer => (
                format!("CAST({from} AS {target})"),
                Some(format!("TRY_CAST({from} AS {target}) = TRY_CAST({from} AS DECIMAL(38, 6))")),
            ),
            _ => (format!("CAST({from} AS {target})"), Some(format!("TRY_CAST({from} AS {target}) IS NOT NULL"))),
        };
        let misfit = fits.map(|fits| format!("{from} IS NOT NULL AND NOT COALESCE({fits}, FALSE)"));
        let null = model.not_null.then(|| format!("{from} IS NULL"));
        let wrong = match (misfit, null) {
            (Some(misfit), Some(null)) => Some(format!("({misfit}) OR {null}")),
            (either, other) => either.or(other),
        };
        Self { model, text, value, wrong }
    }
}

/// Finds the first value that does not fit its column, before anything is written.
fn check(
    connection: &Connection,
    source: &str,
    columns: &[SourceColumn<'_>],
    file: &str,
) -> Result<(), WarehouseError> {
    let checked: Vec<(&SourceColumn<'_>, &str)> =
        columns.iter().filter_map(|column| column.wrong.as_deref().map(|wrong| (column, wrong))).collect();
    let firsts: Vec<String> =
        checked.iter().map(|(_, wrong)| format!("MIN(CASE WHEN {wrong} THEN row_number END)")).collect();
    let numbered = format!("(SELECT *, row_number() OVER () AS row_number FROM {source})");
    let found = query(connection, &format!("SELECT {} FROM {numbered}", firsts.join(",\n  ")))?;
    let Some(row) = found.rows.first() else { return Ok(()) };
    let first = row
        .iter()
        .zip(&checked)
        .filter(|(value, _)| **value != Value::Null)
        .map(|(value, (column, _))| (value.as_integer(), *column))
        .min_by_key(|(number, _)| *number);
    let Some((number, column)) = first else { return Ok(()) };
    let value =
        query(connection, &format!("SELECT {} AS value FROM {numbered} WHERE row_number = {number}", column.text))?;
    let value = match value.get(0, "value") {
        Value::Null => "NULL".to_owned(),
        other => format!("{:?}", other.to_string().chars().take(80).collect::<String>()),
    };
    Err(data_error(format!(
        "column {}, row {number}: {value} is not {}",
        column.model.name,
        match column.model.column_type.family() {
            _ if value == "NULL" => "allowed there".to_owned(),
            family => format!("a {family} value"),
        }
    ))
    .with_hint(format!(
        "nothing was loaded; rows are counted from 1 after the line of column names; mend {file} and load it again"
    )))
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
    let path = crate::DuckDbDialect.text(&whole.to_string_lossy());
    Ok(format!("COPY (SELECT * FROM {table}) TO {path} ({options}, USE_TMP_FILE false)"))
}

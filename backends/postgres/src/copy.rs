//! CSV files of page views in, tables out, by COPY. The server reads and writes the CSV: NULL is nothing between two
//! commas, the empty string is `""`. <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>

use crate::errors::warehouse_error;
use crate::statement::send;
use flate2::read::MultiGzDecoder;
use sqlx::postgres::PgConnection;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use websessions_core::error::{WarehouseError, WarehouseErrorKind};
use websessions_core::table::Table;
use websessions_core::warehouse::Loaded;

/// Bytes of a file that are sent at once.
const CHUNK: usize = 1 << 20;

/// The longest line of column names: a compressed file of one endless line must not fill the memory.
const LONGEST_HEADER: u64 = 1 << 20;

/// A file whose first line has been read and checked.
pub(crate) struct Incoming {
    name: String,
    columns: Vec<String>,
    rest: BufReader<Box<dyn Read + Send>>,
}

fn data_error(message: String) -> WarehouseError {
    WarehouseError::new(WarehouseErrorKind::Data, message)
}

fn is_csv(file: &Path, compressed: bool) -> bool {
    let name = file.to_string_lossy().to_lowercase();
    name.ends_with(".csv") || (compressed && name.ends_with(".csv.gz"))
}

impl Incoming {
    pub(crate) fn open(file: &Path, table: &Table) -> Result<Self, WarehouseError> {
        let name = file.display().to_string();
        if !is_csv(file, true) {
            return Err(data_error(format!("{name}: Postgres loads CSV files (.csv, .csv.gz)")).with_hint(format!(
                "an embedded target converts: websessions load FILE, websessions export {0} --to {0}.csv",
                table.name
            )));
        }
        let failed = |error: std::io::Error| data_error(format!("{name}: {error}"));
        let opened = File::open(file).map_err(failed)?;
        let reader: Box<dyn Read + Send> =
            if name.to_lowercase().ends_with(".gz") { Box::new(MultiGzDecoder::new(opened)) } else { Box::new(opened) };
        let mut rest = BufReader::with_capacity(CHUNK, reader);
        let mut header = String::new();
        let length = rest.by_ref().take(LONGEST_HEADER).read_line(&mut header).map_err(failed)?;
        if length as u64 == LONGEST_HEADER {
            return Err(data_error(format!("{name}: the first line is longer than {LONGEST_HEADER} bytes"))
                .with_hint("a CSV file begins with a line of column names"));
        }
        if length == 0 {
            return Err(data_error(format!("{name}: the file is empty"))
                .with_hint("a CSV file has at least a line of column names"));
        }
        let columns: Vec<String> = header
            .trim_start_matches('\u{feff}')
            .trim_end_matches(['\r', '\n'])
            .split(',')
            .map(|column| column.trim_matches('"').to_lowercase())
            .collect();
        if let Some(column) = columns.iter().find(|column| column.is_empty() || column.contains(['"', '\0'])) {
            return Err(data_error(format!("{name}: {column:?} is not a column name")));
        }
        if let Some(missing) =
            table.required_names().into_iter().find(|required| !columns.iter().any(|column| column == required))
        {
            return Err(data_error(format!("{name}: the required column {missing} is missing"))
                .with_hint(format!("a file of page views has at least {}", table.required_names().join(", "))));
        }
        Ok(Self { name, columns, rest })
    }

    /// Appends the file; the caller's transaction makes it all or nothing.
    pub(crate) async fn load(
        mut self,
        connection: &mut PgConnection,
        model: &Table,
        table: &str,
    ) -> Result<Loaded, WarehouseError> {
        let (known, unknown): (Vec<&str>, Vec<&str>) =
            self.columns.iter().map(String::as_str).partition(|column| model.column(column).is_some());
        let list =
            |columns: &[&str]| columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        let all: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let ignored_columns: Vec<String> = unknown.iter().map(|column| (*column).to_owned()).collect();
        let missing_columns = model
            .columns
            .iter()
            .filter(|column| !known.contains(&column.name.as_ref()))
            .map(|column| column.name.to_string())
            .collect();
        let failed = |error: WarehouseError| {
            let message = format!("{}: {}", self.name, error.message);
            WarehouseError { message, ..error }.with_hint(format!(
                "nothing was loaded; lines are counted after the line of column names; mend {} and load it again",
                self.name
            ))
        };
        // Columns that the model doesn't have go through a table of their own, and no further.
        let target = if unknown.is_empty() { table } else { "\"page_views_incoming\"" };
        let (columns, known) = (list(&all), list(&known));
        if !unknown.is_empty() {
            let extra: Vec<String> = unknown.iter().map(|column| format!("ADD COLUMN \"{column}\" TEXT")).collect();
            for sql in [
                format!("CREATE TEMPORARY TABLE page_views_incoming (LIKE {table}) ON COMMIT DROP"),
                format!("ALTER TABLE page_views_incoming {}", extra.join(", ")),
            ] {
                send(connection, &sql).await.map_err(failed)?;
            }
        }
        let copy = format!("COPY {target} ({columns}) FROM STDIN (FORMAT csv, NULL '')");
        let mut rows = copy_in(connection, &copy, &mut self.rest, &self.name).await.map_err(failed)?;
        if !unknown.is_empty() {
            let insert = format!("INSERT INTO {table} ({known}) SELECT {known} FROM {target}");
            rows = send(connection, &insert).await.map_err(failed)?.rows_affected.unwrap_or(0);
            send(connection, &format!("DROP TABLE {target}")).await.map_err(failed)?;
        }
        Ok(Loaded { file: self.name.clone(), rows, ignored_columns, missing_columns })
    }
}

async fn copy_in(
    connection: &mut PgConnection,
    statement: &str,
    reader: &mut (impl Read + Send),
    name: &str,
) -> Result<u64, WarehouseError> {
    let mut copy = connection.copy_in_raw(statement).await.map_err(warehouse_error)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return copy.finish().await.map_err(warehouse_error),
            Ok(length) => {
                copy.send(&chunk[..length]).await.map_err(warehouse_error)?;
            }
            Err(error) => {
                let _ = copy.abort(format!("{name}: {error}")).await;
                return Err(data_error(error.to_string()));
            }
        }
    }
}

/// Writes a table to a CSV file; gives the number of rows.
pub(crate) async fn export(connection: &mut PgConnection, table: &str, file: &Path) -> Result<u64, WarehouseError> {
    if !is_csv(file, false) {
        return Err(data_error(format!("{}: Postgres exports to CSV files (.csv)", file.display())));
    }
    let failed = |error: std::io::Error| data_error(format!("{}: {error}", file.display()));
    let mut out = std::io::BufWriter::new(File::create(file).map_err(failed)?);
    let statement = format!("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT csv, HEADER, NULL '')");
    let mut rows = 0;
    {
        let mut stream = connection.copy_out_raw(&statement).await.map_err(warehouse_error)?;
        while let Some(chunk) = futures_util::StreamExt::next(&mut stream).await {
            // The server sends one row a chunk.
            rows += 1;
            out.write_all(&chunk.map_err(warehouse_error)?).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(u64::saturating_sub(rows, 1))
}

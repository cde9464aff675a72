//! Files of page views in, tables out, by COPY: in as text, which no row can end early, out as CSV, where NULL is nothing between
//! two commas and the empty string `""`. <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>

use crate::errors::warehouse_error;
use sqlx::postgres::PgConnection;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use websessions_core::error::{WarehouseError, WarehouseErrorKind};
use websessions_core::warehouse::Loaded;
use websessions_files::{Loading, write_copy_text};

/// Bytes that are sent at once.
const CHUNK: usize = 1 << 20;

fn data_error(message: String) -> WarehouseError {
    WarehouseError::new(WarehouseErrorKind::Data, message)
}

/// Appends the files, each whole; the caller's transaction makes it all or nothing.
pub(crate) async fn load(
    connection: &mut PgConnection,
    mut loading: Loading,
    table: &str,
) -> Result<Vec<Loaded>, WarehouseError> {
    while let Some(fields) = loading.next_file().await? {
        let columns: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.name)).collect();
        let statement = format!("COPY {table} ({}) FROM STDIN", columns.join(", "));
        let mut copy = connection.copy_in_raw(&statement).await.map_err(warehouse_error)?;
        let mut text = Vec::new();
        loop {
            match loading.next_batch().await {
                Ok(Some(batch)) => write_copy_text(&batch, &mut text),
                Ok(None) => break,
                Err(error) => {
                    // Only the transaction's end matters, which follows.
                    let _ = copy.abort(error.to_string()).await;
                    return Err(error);
                }
            }
            if text.len() >= CHUNK {
                copy.send(std::mem::take(&mut text)).await.map_err(warehouse_error)?;
            }
        }
        copy.send(text).await.map_err(warehouse_error)?;
        copy.finish().await.map_err(warehouse_error)?;
    }
    Ok(loading.into_loaded())
}

/// Writes a table to a CSV file; gives the number of rows.
pub(crate) async fn export(connection: &mut PgConnection, table: &str, file: &Path) -> Result<u64, WarehouseError> {
    if !file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
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

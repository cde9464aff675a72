//! Files of page views into a table, in the transaction of whoever asks: batches of the strict reader, appended as Arrow has them.
//! The appender fills the columns that a file has; the others are NULL. <https://duckdb.org/docs/stable/data/appender>

use crate::errors::warehouse_error;
use duckdb::{Appender, Connection};
use websessions_core::error::WarehouseError;
use websessions_core::table::TableName;
use websessions_core::warehouse::Loaded;
use websessions_files::Loading;

/// The appender keeps rows in memory that the engine's memory limit does not count: it gives them to the table after so many bytes.
const FLUSHED_BYTES: usize = 16 << 20;

/// Appends the files, each whole.
pub(crate) async fn load(
    connection: &Connection,
    mut loading: Loading,
    name: &TableName,
) -> Result<Vec<Loaded>, WarehouseError> {
    let failed = |error: duckdb::Error| warehouse_error(&error);
    while let Some(fields) = loading.next_file().await? {
        let columns: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let mut appender: Appender<'_> =
            connection.appender_with_columns_to_db(&name.name, name.schema.as_str(), &columns).map_err(failed)?;
        let mut bytes = 0;
        while let Some(batch) = loading.next_batch().await? {
            let rows = batch.record_batch();
            bytes += rows.get_array_memory_size();
            appender.append_record_batch(rows.clone()).map_err(failed)?;
            if bytes >= FLUSHED_BYTES {
                appender.flush().map_err(failed)?;
                bytes = 0;
            }
        }
        appender.flush().map_err(failed)?;
    }
    Ok(loading.into_loaded())
}

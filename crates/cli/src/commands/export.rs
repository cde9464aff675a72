//! A table into a file.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::interruption::interrupted;
use crate::output;
use serde_json::json;
use std::path::Path;
use websessions_core::error::{Error, WarehouseError};
use websessions_core::table::TableName;
use websessions_core::warehouse::Warehouse;
use websessions_core::words::counted;

impl Invocation<'_> {
    pub(super) async fn export(&self, name: &str, to: &Path) -> Result<(), Error> {
        let table = self.table(name)?;
        let destination = self.destination(to, &[])?;
        if destination.is_standard_output() && self.global.output == OutputFormat::Json {
            return Err(Error::Configuration {
                message: "standard output takes the table, and --output json would have its answer there too"
                    .to_owned(),
                hint: Some("leave one of them out: '--to FILE' with '--output json', or '--to -' without".to_owned()),
            });
        }
        let to_standard_output = destination.is_standard_output();
        let before = format!("{table} was in {}", to.display());
        let warehouse = self.connect_unless_stopped(&before).await?;
        let folder = destination.workshop()?;
        let part = folder.part(&destination);
        let rows = match write(&*warehouse, &table, (&part, to), &before).await {
            Ok(rows) => rows,
            Err(Error::Warehouse { context, source }) => {
                return Err(Error::Warehouse { context, source: self.of_missing(&*warehouse, &table, source).await });
            }
            Err(error) => return Err(error),
        };
        // A pipe may wait for its reader for ever: not where Ctrl-C is heard.
        let taken = tokio::task::spawn_blocking(move || destination.take(&part, 0));
        tokio::select! {
            taken = taken => {
                let taken = taken.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                taken.map_err(|source| Error::File { path: to.display().to_string(), source })?;
            }
            () = interrupted() => return Err(Error::Cancelled { next: before }),
        }
        let answer = format!("{table}: {} to {}", counted(rows, "row"), to.display());
        match self.global.output {
            OutputFormat::Json => output::json(&json!({ "table": table.to_string(), "file": to, "rows": rows })),
            OutputFormat::Text if !to_standard_output => output::data(&format!("{answer}\n")),
            // The table is there.
            OutputFormat::Text => {
                output::talk(&answer);
                Ok(())
            }
        }
    }
}

/// Has the warehouse write a part of a file that the user knows by another name, unless the user stops it.
async fn write(
    warehouse: &dyn Warehouse,
    table: &TableName,
    (part, to): (&Path, &Path),
    before: &str,
) -> Result<u64, Error> {
    let export = warehouse.export(table, part);
    tokio::pin!(export);
    let written = tokio::select! {
        written = &mut export => written,
        () = interrupted() => {
            let _ = warehouse.cancel().await;
            tokio::select! {
                _ = export => {}
                () = interrupted() => {}
            }
            return Err(Error::Cancelled { next: before.to_owned() });
        }
    };
    written.map_err(|source| {
        let message = source.message.replace(&part.display().to_string(), &to.display().to_string());
        Error::Warehouse { context: format!("can't export {table}"), source: WarehouseError { message, ..source } }
    })
}

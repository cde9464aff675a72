//! A table into a file, which is whole or as it was before. What is no file (standard output, a device, a pipe) gets the
//! table when it is whole.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::interruption::interrupted;
use crate::output;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use websessions_core::error::{Error, WarehouseError};
use websessions_core::table::TableName;
use websessions_core::warehouse::Warehouse;
use websessions_core::words::counted;

/// The names of standard output.
const STANDARD_OUTPUT: &[&str] = &["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Where a table goes.
pub(super) enum Destination {
    StandardOutput,
    /// A device, or a pipe with a name.
    Stream(PathBuf),
    /// A file, which the new one takes the place of.
    File(PathBuf),
}

impl Invocation<'_> {
    pub(super) async fn export(&self, name: &str, to: &Path) -> Result<(), Error> {
        let table = self.table(name)?;
        let destination = Destination::find(to)?;
        if destination.is_standard_output() && self.global.output == OutputFormat::Json {
            return Err(Error::Configuration {
                message: "standard output takes the table, and --output json would have its answer there too"
                    .to_owned(),
                hint: Some("leave one of them out: '--to FILE' with '--output json', or '--to -' without".to_owned()),
            });
        }
        // Beside the file, so that the last step is a rename.
        let folder = destination.folder()?;
        let part = folder.path().join(destination.file_name());
        let warehouse = self.connect().await?;
        let rows = write(&*warehouse, &table, &part, to).await?;
        let to_standard_output = destination.is_standard_output();
        // A pipe may wait for its reader for ever: not where Ctrl-C is heard.
        let taken = tokio::task::spawn_blocking(move || destination.take(&part));
        tokio::select! {
            taken = taken => {
                let taken = taken.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                taken.map_err(|source| Error::File { path: to.display().to_string(), source })?;
            }
            () = interrupted() => return Err(cancelled(&table, to)),
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

fn cancelled(table: &TableName, to: &Path) -> Error {
    Error::Cancelled { next: format!("{table} was in {}", to.display()) }
}

/// Has the warehouse write the file, unless the user stops it.
async fn write(warehouse: &dyn Warehouse, table: &TableName, part: &Path, to: &Path) -> Result<u64, Error> {
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
            return Err(cancelled(table, to));
        }
    };
    written.map_err(|source| {
        // The user knows the file by its own name.
        let message = source.message.replace(&part.display().to_string(), &to.display().to_string());
        Error::Warehouse { context: format!("can't export {table}"), source: WarehouseError { message, ..source } }
    })
}

impl Destination {
    pub(super) fn find(to: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { path: to.display().to_string(), source };
        if STANDARD_OUTPUT.iter().any(|name| to == Path::new(name)) {
            return Ok(Self::StandardOutput);
        }
        match std::fs::metadata(to) {
            Ok(found) if found.is_dir() => Err(Error::configuration(format!("{} is a folder", to.display()))),
            Ok(found) if found.is_file() => {
                // A file that must not be written is not replaced either.
                OpenOptions::new().append(true).open(to).map_err(failed)?;
                // What a link leads to is replaced, not the link.
                Ok(Self::File(std::fs::canonicalize(to).map_err(failed)?))
            }
            Ok(_) => Ok(Self::Stream(to.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::File(to.to_owned())),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn is_standard_output(&self) -> bool {
        matches!(self, Self::StandardOutput)
    }

    /// Writes a file, which the user calls so, that is whole or as it was before.
    pub(super) fn write(&self, content: &[u8], to: &Path) -> Result<(), Error> {
        let folder = self.folder()?;
        let part = folder.path().join(self.file_name());
        let written = std::fs::write(&part, content).and_then(|()| self.take(&part));
        written.map_err(|source| Error::File { path: to.display().to_string(), source })
    }

    /// A folder for the file while it is written, which ends with this process.
    pub(super) fn folder(&self) -> Result<TempDir, Error> {
        let mut name = tempfile::Builder::new();
        let name = name.prefix(".websessions-export-");
        match self {
            Self::File(path) => {
                let failed = |source| Error::File { path: path.display().to_string(), source };
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                std::fs::metadata(folder).map_err(failed)?;
                name.tempdir_in(folder).map_err(failed)
            }
            Self::Stream(_) | Self::StandardOutput => name.tempdir().map_err(|source| {
                let path = format!("{} (TMPDIR), the folder of temporary files", std::env::temp_dir().display());
                Error::File { path, source }
            }),
        }
    }

    /// The name whose ending says the format: CSV where there is no ending.
    fn file_name(&self) -> PathBuf {
        let named = match self {
            Self::File(path) => path.file_name(),
            Self::Stream(path) => path.file_name().filter(|_| path.extension().is_some()),
            Self::StandardOutput => None,
        };
        named.map_or_else(|| PathBuf::from("table.csv"), PathBuf::from)
    }

    /// Takes the file that is whole.
    fn take(&self, part: &Path) -> std::io::Result<()> {
        match self {
            Self::File(path) => {
                if let Ok(replaced) = std::fs::metadata(path) {
                    std::fs::set_permissions(part, replaced.permissions())?;
                }
                File::open(part)?.sync_all()?;
                std::fs::rename(part, path)
            }
            Self::Stream(path) => {
                let mut stream = OpenOptions::new().write(true).open(path)?;
                std::io::copy(&mut File::open(part)?, &mut stream).map(|_| ())
            }
            Self::StandardOutput => {
                let mut out = std::io::stdout().lock();
                let copied = std::io::copy(&mut File::open(part)?, &mut out).map(|_| ());
                match copied.and_then(|()| std::io::Write::flush(&mut out)) {
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                    other => other,
                }
            }
        }
    }
}

//! The files of page views that a command line names, found and looked at before anything else is done.

use crate::arguments::Reading;
use crate::output;
use std::path::{Path, PathBuf};
use websessions_core::error::{Error, WarehouseError, WarehouseErrorKind, how_to_read};
use websessions_core::files::{Files, ReadOptions, Source};
use websessions_core::warehouse::Loaded;
use websessions_core::words::counted;
use websessions_files::Sources;

/// The files that are named, and how they are read.
pub(super) fn files(named: &[PathBuf], reading: &Reading) -> Result<Files, Error> {
    websessions_files::null(&reading.null, reading.delimiter).map_err(Error::configuration)?;
    if reading.rejects.as_deref() == Some(Path::new("-")) {
        return Err(Error::configuration("--rejects names a file: standard output is for the report"));
    }
    let failed = |error: websessions_files::Error| Error::Warehouse {
        context: "can't load the files".into(),
        source: error.into(),
    };
    let Sources { mut sources, left_out } = Sources::resolve(named).map_err(failed)?;
    // The file of rejected rows may be in a folder that is read: it is there when the command is repeated.
    if let Some(rejects) = reading.rejects.as_ref().and_then(|path| path.canonicalize().ok()) {
        let is_rejects = |path: &Path| path.canonicalize().is_ok_and(|path| path == rejects);
        sources.retain(|source| !matches!(source, Source::File(path) if !named.contains(path) && is_rejects(path)));
    }
    if sources.is_empty() && !named.is_empty() {
        return Err(Error::configuration("--rejects names the one file that is to be read"));
    }
    for source in &sources {
        // A pipe is opened once: whoever writes to it would find that nobody reads any more.
        if let Source::File(path) = source
            && path.is_file()
        {
            std::fs::File::open(path).map_err(|error| {
                let source = WarehouseError::new(WarehouseErrorKind::Resources, format!("{}: {error}", path.display()));
                Error::Warehouse {
                    context: "can't load the files".into(),
                    source: source.with_hint(format!("nothing was loaded; {}", how_to_read(&error))),
                }
            })?;
        }
    }
    // Writers name so what is not finished, and their own records.
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')));
    for path in left_out.iter().filter(|path| !is_hidden(path)) {
        let reason = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => "it is a folder: name it, and its files are read",
            Ok(metadata) if !metadata.is_file() => "it is no regular file: name it, and it is read",
            _ => "it is no file of page views by its ending",
        };
        output::warn(&format!("{} was left out: {reason}", path.display()));
    }
    let mut files = Files::new(sources);
    files.options = ReadOptions {
        delimiter: reading.delimiter,
        null: reading.null.clone(),
        header: reading.header.clone(),
        time_format: reading.time_format,
        time_zone: reading.time_zone.clone(),
    };
    files.most_bad_rows = reading.max_bad_rows;
    files.rejects = reading.rejects.clone();
    Ok(files)
}

/// What was loaded of a file, in a line.
pub(super) fn loaded_in_words(loaded: &Loaded) -> String {
    let mut text = format!("{}: {}", loaded.file, counted(loaded.rows, "page view"));
    if loaded.rows_left_out > 0 {
        text.push_str(&format!("; {} left out", counted(loaded.rows_left_out, "wrong row")));
    }
    if !loaded.missing_columns.is_empty() {
        text.push_str(&format!("; {} not in the file, so NULL", counted(loaded.missing_columns.len(), "column")));
    }
    if !loaded.ignored_columns.is_empty() {
        text.push_str(&format!("; left out, not the model's: {}", loaded.ignored_columns.join(", ")));
    }
    text.push('\n');
    text
}

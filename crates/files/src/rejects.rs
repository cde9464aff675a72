//! Rows that are left out on request: counted over all files of a command, and written to a file with the reason of each.
//! Without a request no row is left out, and the first wrong one is the error.

use crate::error::{Error, Fault};

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use websessions_core::files::Source;

/// The rows of a command's files that are left out.
pub struct Rejects {
    most: u64,
    count: u64,
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl Rejects {
    /// No row is left out.
    pub fn none() -> Self {
        Self { most: 0, count: 0, file: None }
    }

    /// At most so many rows are left out, and written to a file, which is replaced.
    pub fn new(most: u64, path: Option<&Path>, sources: &[Source]) -> Result<Self, Error> {
        let file = match path {
            None => None,
            Some(path) => Some((path.to_owned(), create(path, sources)?)),
        };
        Ok(Self { most, count: 0, file })
    }

    /// Rows left out so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Leaves a row out, or gives the error.
    pub(crate) fn add(&mut self, error: Error, raw: &[u8]) -> Result<(), Error> {
        if self.most == 0 {
            return Err(match error.hint {
                Some(_) => error,
                None => error.with_hint("mend the file, or leave wrong rows out with --max-bad-rows and --rejects"),
            });
        }
        if self.count == self.most {
            let message = format!("more than {} rows are wrong; the last one: {}", self.most, error.message);
            return Err(Error { fault: Fault::TooManyBadRows, message, ..error });
        }
        self.count += 1;
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let text = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let fields = [
            text(&error.file),
            number(error.row),
            number(error.line),
            error.column.as_deref().map(text).unwrap_or_default(),
            text(&error.message),
            text(&String::from_utf8_lossy(raw)),
        ];
        writeln!(file, "{}", fields.join(",")).map_err(|error| failed(path, &error))
    }

    /// Writes out what is still in memory, and says how many rows were left out.
    pub fn finish(mut self) -> Result<u64, Error> {
        if let Some((path, file)) = &mut self.file {
            file.flush().and_then(|()| file.get_ref().sync_all()).map_err(|error| failed(path, &error))?;
        }
        Ok(self.count)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Fault::Unreadable, path.display().to_string(), format!("the rejected rows can't be written: {error}"))
}

fn create(path: &Path, sources: &[Source]) -> Result<BufWriter<File>, Error> {
    let is_this = |source: &&Source| match (source, path.canonicalize()) {
        (Source::File(source), Ok(path)) => source.canonicalize().is_ok_and(|source| source == path),
        _ => false,
    };
    if sources.iter().any(|source| is_this(&source)) {
        return Err(Error::new(
            Fault::Usage,
            path.display().to_string(),
            "the file for rejected rows is one that is to be read",
        )
        .with_hint("name another file after --rejects"));
    }
    let created = File::create(path).map(BufWriter::new);
    let mut file = created.map_err(|error| failed(path, &error))?;
    writeln!(file, "file,row,line,column,reason,text").map_err(|error| failed(path, &error))?;
    Ok(file)
}

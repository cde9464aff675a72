//! Rows that are left out on request: counted over all files of a command, and written to a file with the reason of each.
//! Without a request no row is left out, and the first wrong one is the error.

use crate::error::{Error, Fault};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use websessions_core::error::how_to_write;
use websessions_core::words::counted;

/// The line of column names.
const HEADER: &str = "file,row,line,column,reason,text\n";

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

    /// At most so many rows are left out, and written to a file. A file of rejected rows that is there is replaced, no other.
    pub fn new(most: u64, path: Option<&Path>) -> Result<Self, Error> {
        let file = match path {
            None => None,
            Some(path) => Some((path.to_owned(), create(path)?)),
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
            let message = format!("more than {}; the last one: {}", counted(self.most, "wrong row"), error.message);
            let kept = match &self.file {
                Some((path, _)) => format!("look at those in {} and", path.display()),
                None => "keep them with --rejects FILE to look at them, and".to_owned(),
            };
            let hint = format!("nothing was loaded; {kept} mend the file, or let --max-bad-rows be more");
            return Err(Error { fault: Fault::TooManyBadRows, message, ..error }.with_hint(hint));
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
            let written = file.flush().and_then(|()| match file.get_ref().metadata()?.is_file() {
                true => file.get_ref().sync_all(),
                // A stream, such as standard error, has no disk.
                false => Ok(()),
            });
            written.map_err(|error| failed(path, &error))?;
        }
        Ok(self.count)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("the rejected rows can't be written: {error}");
    let failed = Error::new(Fault::Unreadable, path.display().to_string(), message);
    match how_to_write(error) {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}

/// What stands in the file may be all that somebody has: a file that is to be read, by whatever name, or a database.
fn create(path: &Path) -> Result<BufWriter<File>, Error> {
    let failed = |error: std::io::Error| failed(path, &error);
    if path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        let mut first = Vec::new();
        File::open(path).and_then(|file| file.take(HEADER.len() as u64).read_to_end(&mut first)).map_err(failed)?;
        // A command that was stopped, or had no room, may have written a part of it.
        if !HEADER.as_bytes().starts_with(&first) {
            let message = "the file for rejected rows is there, and has something else in it";
            return Err(Error::new(Fault::Usage, path.display().to_string(), message)
                .with_hint("name another file after --rejects"));
        }
    }
    let mut file = File::create(path).map(BufWriter::new).map_err(failed)?;
    file.write_all(HEADER.as_bytes()).map_err(failed)?;
    Ok(file)
}

//! The files of a command, read on a thread of its own, so that reading and storing go on at the same time. A backend takes
//! file by file and batch by batch in one transaction, and commits once there is no file left.

use crate::batch::Batch;
use crate::error::{Error, Fault};
use crate::field::Field;
use crate::reader::Reader;
use crate::rejects::Rejects;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use websessions_core::CancellationToken;
use websessions_core::error::{WarehouseError, WarehouseErrorKind};
use websessions_core::files::Files;
use websessions_core::table::Table;
use websessions_core::warehouse::Loaded;

/// Batches that are read ahead of the one that is being stored.
const AHEAD: usize = 2;

enum Piece {
    /// A file begins: the columns of its batches.
    File(Vec<Field>),
    Batch(Batch),
    /// The file was whole.
    Whole(Loaded),
    /// All files were.
    Done,
}

/// Files that are being read. An error of any of these methods ends it: then nothing of the files may stay.
pub struct Loading {
    pieces: Receiver<Result<Piece, Error>>,
    cancellation: CancellationToken,
    loaded: Vec<Loaded>,
}

impl Loading {
    /// Begins to read the files, for a table with these columns. The token ends it, even while no input comes.
    pub fn start(files: &Files, table: &Table, cancellation: CancellationToken) -> Self {
        let (sender, pieces) = channel(AHEAD);
        let files = files.clone();
        let fields: Vec<Field> = table.columns.iter().map(Field::from).collect();
        let required: Vec<String> = table.required_names().into_iter().map(str::to_owned).collect();
        std::thread::spawn(move || {
            let required: Vec<&str> = required.iter().map(String::as_str).collect();
            if let Err(error) = read(&files, &fields, &required, &sender) {
                let _ = sender.blocking_send(Err(error));
            }
        });
        Self { pieces, cancellation, loaded: Vec::new() }
    }

    async fn next(&mut self) -> Result<Piece, WarehouseError> {
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => {
                Err(WarehouseError::new(WarehouseErrorKind::Cancelled, "loading was cancelled: nothing was loaded"))
            }
            piece = self.pieces.recv() => match piece {
                Some(piece) => Ok(piece?),
                // Its thread ended without a word: whatever came is not known to be whole.
                None => Err(broken("the reader of the files broke down")),
            }
        }
    }

    /// The columns of the next file's batches; `None` once all files were read and nothing was wrong with them.
    pub async fn next_file(&mut self) -> Result<Option<Vec<Field>>, WarehouseError> {
        loop {
            match self.next().await? {
                Piece::File(fields) => return Ok(Some(fields)),
                Piece::Done => return Ok(None),
                Piece::Whole(loaded) => self.loaded.push(loaded),
                // Rows that nobody took would be lost.
                Piece::Batch(_) => return Err(broken("a file was not taken to its end")),
            }
        }
    }

    /// The next rows of the file; `None` once it was read whole.
    pub async fn next_batch(&mut self) -> Result<Option<Batch>, WarehouseError> {
        match self.next().await? {
            Piece::Batch(batch) => Ok(Some(batch)),
            Piece::Whole(loaded) => {
                self.loaded.push(loaded);
                Ok(None)
            }
            Piece::File(_) | Piece::Done => Ok(None),
        }
    }

    /// What was read of each file.
    pub fn into_loaded(self) -> Vec<Loaded> {
        self.loaded
    }
}

fn broken(message: &str) -> WarehouseError {
    WarehouseError::new(WarehouseErrorKind::Other, message).with_hint("nothing was loaded; please report this")
}

/// Reads the files one after another. Whoever takes the pieces may have gone: then nobody asks for more.
fn read(
    files: &Files,
    fields: &[Field],
    required: &[&str],
    pieces: &Sender<Result<Piece, Error>>,
) -> Result<(), Error> {
    let mut rejects = Rejects::new(files.most_bad_rows, files.rejects.as_deref())?;
    for source in &files.sources {
        let left_out = rejects.count();
        let mut reader = Reader::open(source, fields, required, &files.options)?;
        if pieces.blocking_send(Ok(Piece::File(reader.fields().to_vec()))).is_err() {
            return Ok(());
        }
        files.progress.set(reader.position());
        while let Some(batch) = reader.next_batch(&mut rejects)? {
            files.progress.set(reader.position());
            if pieces.blocking_send(Ok(Piece::Batch(batch))).is_err() {
                return Ok(());
            }
        }
        files.progress.set(reader.position());
        let columns = reader.columns();
        let loaded = Loaded {
            file: reader.name().to_owned(),
            rows: reader.count(),
            rows_left_out: rejects.count() - left_out,
            ignored_columns: columns.ignored.clone(),
            missing_columns: columns.missing.clone(),
        };
        if pieces.blocking_send(Ok(Piece::Whole(loaded))).is_err() {
            return Ok(());
        }
    }
    rejects.finish()?;
    let _ = pieces.blocking_send(Ok(Piece::Done));
    Ok(())
}

impl From<Error> for WarehouseError {
    fn from(error: Error) -> Self {
        let kind = match error.fault {
            Fault::Unreadable => WarehouseErrorKind::Resources,
            _ => WarehouseErrorKind::Data,
        };
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::new(kind, error.to_string()).with_hint(format!("nothing was loaded{hint}"))
    }
}

//! Files to be loaded and how they are read, as plain data: what a command line says and a backend takes.
//! The crate websessions-files reads them, so that each backend gets the same rows.

use crate::did_you_mean::unknown;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, by its name.
    File(PathBuf),
    /// Standard input, `-`.
    StandardInput,
}

impl Source {
    /// The size of a file and when it was last changed: the same file under a name has the same. A stream has none.
    pub(crate) fn version(&self) -> Option<(u64, SystemTime)> {
        let Self::File(path) = self else { return None };
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((metadata.len(), metadata.modified().ok()?))
    }
}

impl serde::Serialize for Source {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::StandardInput => formatter.write_str("standard input"),
        }
    }
}

/// How numbers in columns of timestamps are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub enum TimeFormat {
    /// Not at all: timestamps are ISO 8601 text.
    #[default]
    Iso,
    /// Seconds since 1970-01-01 00:00:00 UTC.
    EpochSeconds,
    /// Milliseconds since then.
    EpochMilliseconds,
    /// Microseconds since then.
    EpochMicroseconds,
}

impl TimeFormat {
    /// The names, as options spell them.
    pub const NAMES: [&'static str; 4] = ["iso", "epoch_s", "epoch_ms", "epoch_us"];
}

impl FromStr for TimeFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "iso" => Ok(Self::Iso),
            "epoch_s" => Ok(Self::EpochSeconds),
            "epoch_ms" => Ok(Self::EpochMilliseconds),
            "epoch_us" => Ok(Self::EpochMicroseconds),
            _ => Err(unknown("time format", name, Self::NAMES)),
        }
    }
}

/// How files are read.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ReadOptions {
    /// What stands between the values of a CSV file: one ASCII character, no quote and no line end.
    pub delimiter: u8,
    /// What a value of a CSV file is if there is none, unless it is quoted: by default nothing at all.
    pub null: String,
    /// The names of the columns of CSV files that have no line of names.
    pub header: Option<Vec<String>>,
    /// How numbers in columns of timestamps are taken.
    pub time_format: TimeFormat,
    /// The zone of times without an offset, such as `Europe/Berlin`: UTC if it isn't said.
    pub time_zone: Option<String>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { delimiter: b',', null: String::new(), header: None, time_format: TimeFormat::Iso, time_zone: None }
    }
}

/// How far a file has been read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// The file.
    pub file: String,
    /// Bytes of it that have been read, before they were unpacked.
    pub bytes: u64,
    /// Its size; `None` for a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Where a reader is: told on one thread, looked at on another.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<Position>>);

impl Progress {
    /// Says where the reader is.
    pub fn set(&self, position: Position) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
    }

    /// Where the reader was last.
    pub fn get(&self) -> Option<Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Files to be loaded.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Files {
    /// Which, in order.
    pub sources: Vec<Source>,
    /// How they are read.
    pub options: ReadOptions,
    /// How many wrong rows may be left out of all of them together.
    pub most_bad_rows: u64,
    /// Where rows that are left out are written to, with the reason of each.
    pub rejects: Option<PathBuf>,
    /// How far the reader is.
    #[serde(skip)]
    pub progress: Arc<Progress>,
}

impl Files {
    /// These files, read as usual, each row of them.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Whether all of them can be read again: standard input can't.
    pub fn can_be_read_twice(&self) -> bool {
        !self.sources.contains(&Source::StandardInput)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}

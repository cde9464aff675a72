//! Why a file is refused: which file, row, line and column, the value, what was expected and what to do now.
//! A fault is either of one row, which may be left out on request, or of the whole file.

use std::fmt;

/// The longest part of a value that an error quotes, in characters.
const QUOTED: usize = 80;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The file or folder can't be opened or read.
    Unreadable,
    /// A wrong name, pattern or option.
    Usage,
    /// Neither its name nor its content is of a known kind, or they contradict each other.
    Format,
    /// It ends too early, a checksum is wrong, a quote stays open: what follows can't be trusted.
    Damaged,
    /// Its columns: a required one is missing, a name stands twice.
    Columns,
    /// One row: a value that does not fit, too many or too few values. Only such rows can be left out.
    Row,
    /// More rows were wrong than may be left out.
    TooManyBadRows,
}

/// An error of a file of page views.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Error {
    /// What kind of fault.
    pub fault: Fault,
    /// The file, as it was named.
    pub file: String,
    /// The row, from 1, after the line of column names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The line of the file, from 1, where it has lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<Box<str>>,
    /// What is wrong, the value and what was expected included.
    pub message: String,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
}

impl Error {
    pub(crate) fn new(fault: Fault, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { fault, file: file.into(), row: None, line: None, column: None, message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, row: u64, line: Option<u64>) -> Self {
        self.row = Some(row);
        self.line = line;
        self
    }

    #[must_use]
    pub(crate) fn in_column(mut self, column: &str) -> Self {
        self.column = Some(column.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        let mut separator = ": ";
        if let Some(row) = self.row {
            write!(formatter, "{separator}row {row}")?;
            separator = ", ";
        }
        if let Some(line) = self.line {
            write!(formatter, "{separator}line {line}")?;
            separator = ", ";
        }
        if let Some(column) = &self.column {
            write!(formatter, "{separator}column {column}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for Error {}

/// A value as an error quotes it: shortened, on one line.
pub(crate) fn quoted(value: &str) -> String {
    match value.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// What is wrong with one row, before the place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) column: Option<Box<str>>,
    pub(crate) message: String,
    pub(crate) hint: Option<Box<str>>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { column: None, message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn in_column(mut self, column: &str) -> Self {
        self.column = Some(column.into());
        self
    }

    /// The error, with its place.
    pub(crate) fn at(self, fault: Fault, file: &str, row: u64, line: Option<u64>) -> Error {
        Error {
            fault,
            file: file.to_owned(),
            row: Some(row),
            line,
            column: self.column,
            message: self.message,
            hint: self.hint,
        }
    }
}

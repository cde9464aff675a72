//! Errors for the person at the terminal: what failed, where, what was already done, what to do now.

use crate::plan::{Phase, Plan, Statement, Step, Unit};

/// May the same work be tried again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Trying again would fail the same way.
    Never,
    /// Nothing was applied, and a later attempt may succeed.
    NotApplied,
    /// It may or may not have been applied. A unit of the model can run twice, a custom script can't.
    Unknown,
}

/// What kind of thing went wrong in the warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarehouseErrorKind {
    /// No connection, or it broke.
    Connection,
    /// The credentials were refused, or lack a privilege.
    Permission,
    /// A table, schema or column that is not there.
    Missing,
    /// Another process or transaction holds what this one needs.
    Locked,
    /// What it would change can't be changed yet; the same may be tried again later.
    NotYet,
    /// Out of memory, disk or time.
    Resources,
    /// The data does not fit: a type, a NULL, a value out of range.
    Data,
    /// The statement was cancelled on our request.
    Cancelled,
    /// A statement that must change a row found none: the block was rolled back.
    Fenced,
    /// This backend can't do that.
    Unsupported,
    /// Anything else that the warehouse said.
    Other,
}

/// An error of a warehouse: its own words and code, and what they mean for us. Never holds a secret.
#[derive(Clone, Debug, thiserror::Error, serde::Serialize)]
#[error("{message}")]
pub struct WarehouseError {
    /// What kind of failure.
    pub kind: WarehouseErrorKind,
    /// Whether to try again.
    pub retry: Retry,
    /// The warehouse's own words.
    pub message: String,
    /// The warehouse's own code, such as an SQLSTATE.
    pub code: Option<String>,
    /// What to do now, if the backend knows.
    pub hint: Option<String>,
    /// The line of the SQL that it complains about, from 1, where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// How long the warehouse asks us to wait before the next attempt, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl WarehouseError {
    /// An error that is not worth a retry.
    pub fn new(kind: WarehouseErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            retry: Retry::Never,
            message: message.into(),
            code: None,
            hint: None,
            line: None,
            retry_after: None,
        }
    }

    /// With what to do now.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the line of the SQL, where the warehouse's words have it: a number right after these words.
    #[must_use]
    pub fn with_line_after(mut self, words: &str) -> Self {
        let number = self
            .message
            .split_once(words)
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        self.line = number.and_then(|number| number.parse().ok());
        self
    }

    /// With the retry class.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// Where a warehouse failed: in which step, and in which of its statements.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The phase, or the custom module's name.
    pub phase: String,
    /// Which phase of a module that is; none of a custom module.
    #[serde(skip)]
    pub of: Option<Phase>,
    /// The step.
    pub step: String,
    /// What the unit was for.
    pub unit: String,
    /// The SQL that was sent; empty for files.
    pub sql: String,
    /// Where a user's own SQL comes from: the file, and its line if the warehouse said which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of the file (of a template), from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The line of the SQL that was sent, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendered_line: Option<usize>,
}

impl Place {
    /// A unit's place in a plan, which is that of a phase or of none, with the line that the warehouse complains about.
    pub(crate) fn new(plan: &Plan, of: Option<Phase>, step: &Step, unit: &Unit, error: &WarehouseError) -> Self {
        let statements = match unit {
            // What fails of it is a file, not what makes its table.
            Unit::Load(_) => &[],
            _ => unit.statements(),
        };
        let sql: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        let source = unit.statements().iter().find_map(|statement| statement.source.as_ref());
        let rendered_line = error.line.and_then(|line| usize::try_from(line).ok());
        let line = source.zip(rendered_line).and_then(|(source, line)| source.lines.get(line.checked_sub(1)?).copied());
        Self {
            phase: plan.name.clone(),
            of,
            step: step.name.clone(),
            unit: unit.purpose().to_owned(),
            sql: sql.join(";\n"),
            file: source.map(|source| source.file.clone()),
            line,
            rendered_line: rendered_line.filter(|_| line.is_some()),
        }
    }
}

/// What helps whoever asked in the wrong way: how that is said depends on the program that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// To destroy by this playbook, instead of running it.
    DestroyByPlaybook,
    /// To destroy by this job list, instead of running it.
    DestroyByJobList,
    /// To name one playbook, instead of a folder.
    NameOnePlaybook,
    /// To name the folder that files of SQL are in.
    NameTheFolderOfSql,
    /// To look at all of the playbooks.
    Lint,
    /// To name a folder of playbooks, a playbook or a job list as what it is.
    NameByItsKind,
}

/// A table that files are loaded into.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadedTable {
    /// Its full name.
    pub table: String,
    /// Its name in the model, without schema and entropy.
    pub name: &'static str,
}

/// Everything that can end a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A wrong flag, key, value or file: nothing was done.
    #[error("{message}")]
    Configuration {
        /// What is wrong, and where it stands.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// What was asked for needs another way to ask: nothing was done.
    #[error("{message}")]
    Usage {
        /// What is wrong, and where it stands.
        message: String,
        /// What helps.
        remedy: Remedy,
    },
    /// The warehouse could not be reached, or refused something outside a run.
    #[error("{context}")]
    Warehouse {
        /// What was being done.
        context: String,
        /// The warehouse's words.
        source: WarehouseError,
    },
    /// Files were sent to be loaded, and the answer was lost.
    #[error("the answer to the load was lost: {} has all page views of the files, or none", into.table)]
    LoadUnknown {
        /// The table that they are loaded into.
        into: Box<LoadedTable>,
        /// The warehouse's words.
        source: WarehouseError,
    },
    /// A unit of a run failed.
    #[error("step {} of {} failed: {}", place.step, place.phase, place.unit)]
    Unit {
        /// Where.
        place: Box<Place>,
        /// How often it was tried.
        attempts: usize,
        /// The warehouse's words.
        source: WarehouseError,
    },
    /// A table is not as the model needs it.
    #[error("{}", problems.join("\n"))]
    Drift {
        /// Each difference.
        problems: Vec<String>,
        /// What adds the columns that are missing.
        additions: Vec<Statement>,
        /// Whether that leaves differences.
        leaves: bool,
    },
    /// A table of the user's that page views come from lacks what is read of it.
    #[error("{}", problems.join("\n"))]
    Source {
        /// Each difference.
        problems: Vec<String>,
    },
    /// The table that a module reads is not there.
    #[error("there is no input table {table}")]
    MissingInput {
        /// The table.
        table: String,
    },
    /// Another run holds these schemas and this entropy.
    #[error("another run holds {table}: {holder}")]
    Locked {
        /// The lock's table.
        table: String,
        /// Who holds it, since when, until when.
        holder: String,
    },
    /// This run no longer holds its lock; it stopped before its next write.
    #[error("this run lost its lock to another run; it stopped before {next}")]
    LeaseLost {
        /// What it would have done next.
        next: String,
    },
    /// This run holds its lock, but what it has read or made is not as it was: nothing of it was committed.
    #[error("what this run had read or made was changed by another; it stopped before {next}")]
    Changed {
        /// What it would have done next.
        next: String,
    },
    /// There is nothing that could be resumed.
    #[error("{message}")]
    NoResume {
        /// Why.
        message: String,
    },
    /// A check found what the configuration refuses.
    #[error("{message}")]
    Check {
        /// What was found.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The user asked to stop.
    #[error("cancelled before {next}")]
    Cancelled {
        /// What would have come next.
        next: String,
    },
    /// The user was asked whether to go on, and did not say yes.
    #[error("cancelled: the answer was not yes; nothing was changed")]
    Declined,
    /// A file could not be written.
    #[error("can't write {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// A configuration error without a hint.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::Configuration { message: message.into(), hint: None }
    }

    /// A file or folder that was named, by its path or in other words, and can't be read: nothing was done.
    pub fn unreadable(what: impl std::fmt::Display, source: &std::io::Error) -> Self {
        Self::Configuration {
            message: format!("can't read {what}: {source}"),
            hint: Some(format!("nothing was done; {}", how_to_read(source))),
        }
    }

    /// The process's exit code: 1 the run failed, 2 usage or configuration, 3 locked by another run or the lock lost to one,
    /// 4 checks failed, 130 cancelled.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration { .. } | Self::Usage { .. } | Self::NoResume { .. } => 2,
            _ if self.is_locked() => 3,
            Self::Check { .. } => 4,
            _ if self.is_cancelled() => 130,
            Self::Warehouse { .. }
            | Self::Unit { .. }
            | Self::Locked { .. }
            | Self::LeaseLost { .. }
            | Self::Changed { .. }
            | Self::Cancelled { .. }
            | Self::Declined
            | Self::Drift { .. }
            | Self::Source { .. }
            | Self::MissingInput { .. }
            | Self::LoadUnknown { .. }
            | Self::File { .. } => 1,
        }
    }

    /// Whether another run, or another process, was in the way.
    pub fn is_locked(&self) -> bool {
        match self {
            Self::Locked { .. } | Self::LeaseLost { .. } => true,
            Self::Warehouse { source, .. } | Self::Unit { source, .. } => source.kind == WarehouseErrorKind::Locked,
            _ => false,
        }
    }

    /// Whether the user asked for the end.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled { .. } | Self::Declined => true,
            Self::Warehouse { source, .. } | Self::Unit { source, .. } => source.kind == WarehouseErrorKind::Cancelled,
            _ => false,
        }
    }

    /// What to do now, as far as that doesn't depend on how the run was asked for.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Configuration { hint, .. } => hint.clone(),
            Self::Warehouse { source, .. } | Self::Unit { source, .. } => source.hint.clone(),
            Self::Check { hint, .. } => Some(hint.clone()),
            Self::Drift { .. } => {
                Some("alter the tables to the model's columns, or set entropy to build beside them".into())
            }
            Self::Source { .. } => {
                Some("nothing was changed; page_views_from may name a table or a view, such as one that makes these columns by CAST".into())
            }
            Self::MissingInput { .. } => {
                Some("fill it with the module that makes it, or check scratch_schema and entropy".into())
            }
            Self::Locked { .. } => Some("wait for it to end; a dead run's lock expires by itself".into()),
            Self::NoResume { .. } => {
                Some("run the whole again, as it was: every step of the model can run twice".into())
            }
            Self::LeaseLost { .. } | Self::Changed { .. } => {
                Some("run the whole again: every step can run twice".into())
            }
            Self::Cancelled { .. } => Some("run again to finish: every step can run twice".into()),
            Self::LoadUnknown { into, .. } => Some(format!(
                "look in {}, and load again only if they are not there: else they are staged twice",
                into.table
            )),
            Self::File { source, .. } => how_to_write(source).map(str::to_owned),
            Self::Usage { .. } | Self::Declined => None,
        }
    }
}

/// What to do about a file or folder that can't be read.
pub fn how_to_read(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound => {
            "nothing of this name is there, or it is a link to what is gone: check the path, and where it begins"
        }
        PermissionDenied => "let this user read it, and enter the folders that it is in",
        IsADirectory => "this is a folder: name a file",
        NotADirectory => "a part of the path that must be a folder is a file: check the path",
        InvalidData => "it must be text in UTF-8: check that it is the file that you mean",
        _ => "check the path, and that it can be read",
    }
}

/// What to do about a file that can't be written.
pub fn how_to_write(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind::{
        AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
    };
    match error.kind() {
        NotFound | NotADirectory => Some("make the folder that it is to be in, or name another path"),
        AlreadyExists | IsADirectory => Some("something else has this name: name another path"),
        PermissionDenied | ReadOnlyFilesystem => Some("let this user write there, or name another path"),
        _ => None,
    }
}

/// An error's words with those of its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !words.contains(&next) {
            words = format!("{words}: {next}");
        }
        source = error.source();
    }
    words
}

/// The shortest secret that is looked for. What is shorter is found in any sentence: taking it out would tell where it
/// stands, and leave no sentence.
const SHORTEST_SECRET: usize = 6;

/// A text, such as a warehouse's words, without a secret.
pub fn without_secret(text: &str, secret: &str) -> String {
    if secret.chars().count() < SHORTEST_SECRET { text.to_owned() } else { text.replace(secret, "(secret)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_and_an_empty_one_is_nowhere() {
        assert_eq!(without_secret("token s3cret is wrong", "s3cret"), "token (secret) is wrong");
        assert_eq!(without_secret("refused", ""), "refused");
        assert_eq!(without_secret("authentication failed for user a", "a"), "authentication failed for user a");
    }
}

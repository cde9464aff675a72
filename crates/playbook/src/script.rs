//! Scripts: files of SQL that are rendered and sent whole, never split.

use crate::files::read;
use crate::sql::Words;
use crate::template::render;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::{Source, Statement, Unit};

/// The query that a file of a user's holds: a Go template, and one SELECT once it is rendered.
pub fn query_of(file: &Path, variables: &BTreeMap<String, Value>, dialect: &str) -> Result<String, Error> {
    let script = Script::read(file, Some(variables))?;
    crate::sql::query(&script.sql, dialect).map_err(|problem| Error::Configuration {
        message: format!("{}: {problem}", file.display()),
        hint: Some(
            "nothing was done; a check is a file of SQL with one SELECT, which finds the rows that are wrong"
                .to_owned(),
        ),
    })
}

/// The text of a file, ready to be sent.
pub(crate) struct Script {
    pub(crate) file: PathBuf,
    /// The SQL.
    pub(crate) sql: String,
    /// For each line, the line of the file.
    pub(crate) lines: Vec<usize>,
}

impl Script {
    /// Reads a file. With variables it is a template.
    pub(crate) fn read(file: &Path, variables: Option<&BTreeMap<String, Value>>) -> Result<Self, Error> {
        let text = read(file)?;
        let (sql, lines) = match variables {
            Some(variables) => {
                let rendered = render(file, &text, variables)?;
                (rendered.text, rendered.lines)
            }
            None => {
                let lines = (1..=text.lines().count()).collect();
                (text, lines)
            }
        };
        Ok(Self { file: file.to_owned(), sql, lines })
    }

    /// What is sent; `None` if there is nothing to run in it.
    pub(crate) fn unit(self, purpose: &str, dialect: &str) -> Option<Unit> {
        if Words::of(&self.sql, dialect).is_empty() {
            return None;
        }
        let source = Source { file: self.file.display().to_string(), lines: self.lines };
        Some(Unit::Script(Statement::new(purpose, self.sql).with_source(source)))
    }
}

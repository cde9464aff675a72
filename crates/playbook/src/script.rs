//! Scripts: files of SQL that are rendered and sent whole, never split.

use crate::files::read;
use crate::sql::Words;
use crate::template::render;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::{Plan, Source, Statement, Step, Unit};

/// A module of a user's own, run between main and complete.
#[derive(Clone, Debug)]
pub struct CustomModule {
    /// Its name.
    pub name: String,
    /// Its SQL files, run in this order.
    pub files: Vec<PathBuf>,
    /// Its own variables; they come before the model's of the same name. Text that holds `{{` is a template.
    pub variables: BTreeMap<String, Value>,
}

impl CustomModule {
    /// Its variables among the model's, templates rendered.
    pub fn values(&self, model_variables: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Error> {
        let mut values = model_variables.clone();
        for (name, value) in &self.variables {
            let place = format!("{}: the variable {name}", self.name);
            values.insert(name.clone(), rendered_value(&place, value)?);
        }
        Ok(values)
    }

    /// Reads and renders its files: one step a file, one script a step.
    pub fn plan(&self, model_variables: &BTreeMap<String, Value>, dialect: &str) -> Result<Plan, Error> {
        let variables = self.values(model_variables)?;
        let mut steps = Vec::new();
        for file in &self.files {
            let name = file.file_stem().map_or_else(|| self.name.clone(), |stem| stem.to_string_lossy().into_owned());
            let script = Script::read(file, Some(&variables))?.unit(&file.display().to_string(), dialect);
            let purpose = format!("custom module {}", self.name);
            steps.push(Step::new(name, purpose, script.into_iter().collect()));
        }
        Ok(Plan::new(self.name.clone(), dialect, steps))
    }
}

/// The query that a file of a user's holds: a Go template, and one SELECT once it is rendered.
pub fn query_of(file: &Path, variables: &BTreeMap<String, Value>, dialect: &str) -> Result<String, Error> {
    let script = Script::read(file, Some(variables))?;
    crate::sql::query(&script.sql, dialect)
        .map_err(|problem| Error::configuration(format!("{}: {problem}", file.display())))
}

/// A variable's value of a configuration: text that holds `{{` is a template, without variables of its own.
pub fn rendered_value(place: &str, value: &Value) -> Result<Value, Error> {
    Ok(match value {
        Value::String(text) if text.contains("{{") => {
            Value::String(render(Path::new(place), text, &BTreeMap::new())?.text)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| rendered_value(place, item)).collect::<Result<_, _>>()?)
        }
        other => other.clone(),
    })
}

/// The text of a file, ready to be sent.
pub(crate) struct Script {
    file: PathBuf,
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

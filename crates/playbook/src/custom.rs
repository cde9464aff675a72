//! Modules of a user's own, as the configuration names them.

use crate::collision::OwnTables;
use crate::script::Script;
use crate::template::render;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::{Plan, Step};

/// A module of a user's own, run between main and complete.
#[derive(Clone, Debug)]
pub struct CustomModule {
    /// Its name.
    pub name: String,
    /// Its SQL files, run in this order.
    pub files: Vec<PathBuf>,
    /// Its own variables; they come before the model's of the same name. Text that holds `{{` is a template.
    pub variables: BTreeMap<String, Value>,
    /// The module between whose main and complete it runs.
    pub after: String,
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

    /// An error of a file that is found through this module alone, with its name.
    fn of_this(&self, error: Error) -> Error {
        match error {
            Error::Configuration { message, hint } => {
                Error::Configuration { message: format!("[[custom]] {:?}: {message}", self.name), hint }
            }
            other => other,
        }
    }

    /// Reads and renders its files: one step a file, one script a step. Fails if one would do harm to the model's tables.
    pub fn plan(
        &self,
        model_variables: &BTreeMap<String, Value>,
        dialect: &str,
        own: &OwnTables<'_>,
    ) -> Result<Plan, Error> {
        let variables = self.values(model_variables)?;
        let mut steps = Vec::new();
        for file in &self.files {
            let name = file.file_stem().map_or_else(|| self.name.clone(), |stem| stem.to_string_lossy().into_owned());
            let script = Script::read(file, Some(&variables)).map_err(|error| self.of_this(error))?;
            own.refuse(&script, dialect)?;
            let script = script.unit(&file.display().to_string(), dialect);
            let purpose = format!("custom module {}", self.name);
            steps.push(Step::new(name, purpose, script.into_iter().collect()));
        }
        Ok(Plan::new(self.name.clone(), dialect, steps))
    }
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

//! The values of variables by where they come from. Each place is a layer, read by itself; then they are merged once:
//! the file's, a playbook's, the environment's, the flags'.

use super::Shown;
use super::file::File;
use crate::arguments::{Global, empty_variable};
use serde_json::Value;
use std::collections::BTreeMap;
use websessions_core::error::Error;
use websessions_core::own_columns::OwnColumns;
use websessions_core::variables::{VARIABLES, Variables, check_name};
use websessions_playbook::{Playbook, rendered_value};

const ENVIRONMENT: &str = "WEBSESSIONS_";
/// Settings of the target: `WEBSESSIONS_TARGET_MEMORY_LIMIT`.
pub(super) const TARGET_ENVIRONMENT: &str = "WEBSESSIONS_TARGET_";
/// Variables that clap reads.
const FLAG_ENVIRONMENT: &[&str] =
    &["WEBSESSIONS_CONFIG", "WEBSESSIONS_TARGET", "WEBSESSIONS_DATABASE", "WEBSESSIONS_LINEAGE"];
/// A variable with two names begins like this. They don't stand beside each other.
const TWO_NAMES: &str = "upsert_lookback";

/// The values of one place, by name, each with its origin.
type Layer = BTreeMap<String, (Value, String)>;

/// All places but playbooks, which a run may have several of, and the columns of one's own, which the file alone declares.
pub(super) struct Layers {
    file: Layer,
    environment: Layer,
    flags: Layer,
    columns: OwnColumns,
}

impl Layers {
    pub(super) fn read(
        global: &Global,
        file: &File,
        has_playbooks: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Error> {
        Ok(Self {
            file: of_file(file)?,
            environment: of_environment(warnings)?,
            flags: of_flags(global, has_playbooks)?,
            columns: file.columns()?,
        })
    }

    /// The typed variables, of a playbook if there is one, with warnings.
    pub(super) fn variables(&self, playbook: Option<&Playbook>) -> Result<(Variables, Vec<String>), Error> {
        let merged = self.merged(playbook);
        let values = merged.iter().map(|(name, (value, _))| (name.clone(), value.clone())).collect();
        let read = Variables::from_values(&values).map_err(|error| {
            let text = error.to_string();
            let origin = merged
                .iter()
                .find(|(name, _)| text.contains(&format!("variable {name}:")))
                .map(|(_, (_, origin))| origin);
            match origin {
                Some(origin) if !origin.starts_with("flag") => Error::configuration(format!("{origin}: {text}")),
                _ => error,
            }
        });
        let (mut variables, warnings) = read?;
        variables.columns = self.columns.clone();
        Ok((variables, warnings))
    }

    /// Every variable with its value and where that comes from.
    pub(super) fn show(&self, playbook: Option<&Playbook>, variables: &Variables) -> Vec<Shown> {
        let merged = self.merged(playbook);
        let typed = variables.to_values();
        let origin = |name: &str| {
            let old_name = || merged.get(TWO_NAMES).filter(|_| name.starts_with(TWO_NAMES));
            merged.get(name).or_else(old_name).map_or_else(|| "default".to_owned(), |(_, origin)| origin.clone())
        };
        let shown = VARIABLES.iter().map(|info| Shown {
            name: info.name.to_owned(),
            value: typed.get(info.name).map(plain).unwrap_or_default(),
            origin: origin(info.name),
        });
        shown.collect()
    }

    /// Whether any place says what a variable is.
    pub(super) fn set(&self, name: &str, playbook: Option<&Playbook>) -> bool {
        self.merged(playbook).get(name).is_some_and(|(value, _)| !value.is_null())
    }

    /// One value a name: a later layer's before an earlier one's.
    fn merged(&self, playbook: Option<&Playbook>) -> Layer {
        let playbook = playbook.map(of_playbook).unwrap_or_default();
        let mut merged = Layer::new();
        for layer in [&self.file, &playbook, &self.environment, &self.flags] {
            if layer.keys().any(|name| name.starts_with(TWO_NAMES)) {
                merged.retain(|name, _| !name.starts_with(TWO_NAMES));
            }
            merged.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        merged
    }
}

fn of_file(file: &File) -> Result<Layer, Error> {
    let in_file = |error: Error| Error::configuration(format!("{}: [variables]: {error}", file.path.display()));
    let mut values = BTreeMap::new();
    for (name, value) in &file.variables {
        check_name(name).map_err(in_file)?;
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        let place = format!("{}: [variables]: {name}", file.path.display());
        values.insert(name.clone(), rendered_value(&place, &value)?);
    }
    // Said at once, so that the error names the file; the environment and flags may still override.
    Variables::from_values(&values).map_err(in_file)?;
    let origin = file.path.display().to_string();
    Ok(values.into_iter().map(|(name, value)| (name, (value, origin.clone()))).collect())
}

fn of_playbook(playbook: &Playbook) -> Layer {
    let origin = playbook.path.display().to_string();
    let mut values = playbook.model_variables().0;
    // A playbook that has both names means the newer one.
    if values.contains_key("upsert_lookback_days") {
        values.remove(TWO_NAMES);
    }
    values.into_iter().map(|(name, value)| (name, (value, origin.clone()))).collect()
}

fn of_environment(warnings: &mut Vec<String>) -> Result<Layer, Error> {
    let mut layer = Layer::new();
    for (key, name, value) in environment(ENVIRONMENT)? {
        if FLAG_ENVIRONMENT.contains(&key.as_str()) || key.starts_with(TARGET_ENVIRONMENT) {
            continue;
        }
        match check_name(&name) {
            Ok(()) => {
                layer.insert(name, (Value::String(value), format!("environment ({key})")));
            }
            Err(error) => warnings.push(format!("the environment variable {key} is ignored: {error}")),
        }
    }
    Ok(layer)
}

fn of_flags(global: &Global, has_playbooks: bool) -> Result<Layer, Error> {
    let mut layer = Layer::new();
    for (name, value) in assignments(global)? {
        match check_name(&name) {
            Ok(()) => {
                layer.insert(name, (Value::String(value), "flag (--var)".to_owned()));
            }
            // The variables of custom SQL have names of their own.
            Err(_) if has_playbooks => {}
            Err(error) => return Err(error),
        }
    }
    Ok(layer)
}

/// The environment's variables that begin with a prefix: each with its name in lower case without it, and its value.
pub(super) fn environment(prefix: &str) -> Result<Vec<(String, String, String)>, Error> {
    let ours = std::env::vars_os().filter_map(|(key, value)| {
        let key = key.into_string().ok()?;
        let name = key.strip_prefix(prefix)?.to_lowercase();
        Some((key, name, value))
    });
    ours.map(|(key, name, value)| match value.into_string() {
        Ok(value) if value.is_empty() => Err(Error::configuration(empty_variable(&key))),
        Ok(value) => Ok((key, name, value)),
        Err(_) => Err(Error::configuration(format!("the environment variable {key} is not UTF-8 text"))),
    })
    .collect()
}

/// The variables of the command line, by name.
pub(crate) fn assignments(global: &Global) -> Result<BTreeMap<String, String>, Error> {
    let parts = global.variables.iter().map(|assignment| {
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| Error::configuration(format!("--var {assignment:?}: write it as NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    parts.collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"))
}

//! The configuration that does what a folder of playbooks does.

use crate::arguments::{Global, OutputFormat};
use crate::configuration::{FILE_NAME, assignments, write};
use crate::output;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::Phase;
use websessions_playbook::{Part, Playbook, Purpose, find_file, from_directory};

/// Settings that must not stand in a file: their environment variables.
const SECRETS: &[(&str, &str)] =
    &[("password", "WAREHOUSE_PASSWORD"), ("private_key_passphrase", "WAREHOUSE_KEY_PASSPHRASE")];

/// Writes it, and says what it could not carry over.
pub(super) fn import(global: &Global, directory: &Path, sql_root: Option<&Path>, force: bool) -> Result<(), Error> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    if path.exists() && !force {
        return Err(Error::Configuration {
            message: format!("{} exists", path.display()),
            hint: Some("--force overwrites it".to_owned()),
        });
    }
    let playbooks = from_directory(directory, Purpose::Run, &assignments(global)?)?;
    let mut left = Vec::new();
    let mut table = toml::Table::new();
    let variables = variables(&playbooks, &mut left)?;
    table.insert("variables".to_owned(), toml::Value::Table(variables));
    if let Some(target) = target(&playbooks, &mut left) {
        table.insert("target".to_owned(), toml::Value::Table(target));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let custom = custom(&playbooks, sql_root, folder, &mut left)?;
    if !custom.is_empty() {
        table.insert("custom".to_owned(), toml::Value::Array(custom));
    }
    let text = format!("# Made from the playbooks in {}.\n\n{table}", directory.display());
    write(&path, &text)?;
    match global.output {
        OutputFormat::Json => output::json(&json!({ "written": path, "not_carried_over": left }))?,
        OutputFormat::Text => {
            output::data(&format!("wrote {}\n", path.display()))?;
            for one in left {
                output::data(&format!("not carried over: {one}\n"))?;
            }
        }
    }
    Ok(())
}

/// The variables of main and complete. Where they differ in one, the phase that it is for counts.
fn variables(playbooks: &[Playbook], left: &mut Vec<String>) -> Result<toml::Table, Error> {
    if let Some((playbook, problem)) = websessions_playbook::stray(playbooks) {
        return Err(Error::configuration(format!("{}: {problem}", playbook.path.display())));
    }
    let mut table = toml::Table::new();
    for playbook in playbooks.iter().filter(|playbook| !playbook.phases().is_empty()) {
        let is_complete = playbook.phases() == [Phase::Complete];
        let (values, warnings) = playbook.model_variables();
        left.extend(warnings.iter().map(|warning| format!("{}: {warning}", playbook.path.display())));
        for (name, value) in values {
            let of_complete = ["cleanup_mode", "ends_run"].contains(&name.as_str());
            if let Some(value) = toml_value(&value).filter(|_| of_complete == is_complete || !table.contains_key(&name))
            {
                let name = if name == "upsert_lookback" { "upsert_lookback_days".to_owned() } else { name };
                table.insert(name, value);
            }
        }
        let unknown = playbook.variables.keys().filter(|name| websessions_core::variables::check_name(name).is_err());
        left.extend(
            unknown
                .map(|name| format!("{}: the variable {name}, which the model doesn't have", playbook.path.display())),
        );
    }
    Ok(table)
}

fn target(playbooks: &[Playbook], left: &mut Vec<String>) -> Option<toml::Table> {
    let targets: Vec<_> = playbooks.iter().flat_map(|playbook| &playbook.targets).collect();
    let target = targets.iter().find(|target| target.backend.is_some())?;
    let mut table = toml::Table::new();
    table.insert("type".to_owned(), target.backend?.into());
    for (name, value) in target.settings() {
        let value = match SECRETS.iter().find(|(secret, _)| *secret == name) {
            Some((_, variable)) => {
                left.push(format!(
                    "the target's {name}: a secret stays out of the file; set the environment variable {variable}"
                ));
                toml::Value::Table(toml::Table::from_iter([("env".to_owned(), (*variable).into())]))
            }
            None => value.into(),
        };
        table.insert(name, value);
    }
    let name = if target.name.is_empty() { "default" } else { &target.name };
    let others = targets.iter().filter(|other| other.name != target.name && !other.name.is_empty());
    left.extend(others.map(|other| format!("the target {}: only the first is", other.name)));
    Some(toml::Table::from_iter([(name.to_owned(), toml::Value::Table(table))]))
}

fn custom(
    playbooks: &[Playbook],
    sql_root: Option<&Path>,
    folder: &Path,
    left: &mut Vec<String>,
) -> Result<Vec<toml::Value>, Error> {
    let mut modules = Vec::new();
    for playbook in playbooks {
        for part in playbook.parts()? {
            let Part::Scripts(steps) = part else { continue };
            let mut files = Vec::new();
            for query in steps.iter().flat_map(|step| &step.queries) {
                let file = find_file(&playbook.path, &query.file, sql_root)?;
                let holds_braces = std::fs::read_to_string(&file).is_ok_and(|text| text.contains("{{"));
                if !query.template && holds_braces {
                    left.push(format!(
                        "{}: it holds {{{{ and is no template there; here every file is one",
                        file.display()
                    ));
                }
                files.push(toml::Value::String(from(folder, &file)));
            }
            if steps.iter().any(|step| step.queries.len() > 1) {
                left.push(format!("{}: queries of one step run one after the other here", playbook.path.display()));
            }
            let variables =
                playbook.variables.iter().filter_map(|(name, value)| Some((name.clone(), toml_value(value)?)));
            modules.push(toml::Value::Table(toml::Table::from_iter([
                ("name".to_owned(), playbook.name.clone().into()),
                ("files".to_owned(), toml::Value::Array(files)),
                ("variables".to_owned(), toml::Value::Table(variables.collect())),
            ])));
        }
    }
    Ok(modules)
}

/// A file's path as it is written in a configuration in that folder.
fn from(folder: &Path, file: &Path) -> String {
    let absolute = |path: &Path| std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    match (absolute(folder), absolute(file)) {
        (Ok(folder), Ok(file)) => {
            file.strip_prefix(&folder).map_or_else(|_| file.display().to_string(), |inner| inner.display().to_string())
        }
        _ => file.display().to_string(),
    }
}

/// TOML has no null: what is not set is left out.
fn toml_value(value: &Value) -> Option<toml::Value> {
    toml::Value::try_from(value).ok().filter(|_| !value.is_null())
}

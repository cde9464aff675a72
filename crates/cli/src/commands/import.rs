//! The configuration that does what a folder of playbooks does.

use crate::arguments::{Global, OutputFormat};
use crate::configuration::{FILE_NAME, assignments, spelled, write};
use crate::output;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item};
use websessions_core::error::Error;
use websessions_core::model::{Module, modules, sessions, users};
use websessions_core::plan::Phase;
use websessions_core::table::Lifetime;
use websessions_core::variables::{Variables, check_name};
use websessions_playbook::{Part, Playbook, find_file, from_directory_unsettled, names_any};

/// Settings that must not stand in a file: their environment variables.
const SECRETS: &[(&str, &str)] =
    &[("password", "WAREHOUSE_PASSWORD"), ("private_key_passphrase", "WAREHOUSE_KEY_PASSPHRASE")];

/// Where the configuration goes to standard output.
const TO_OUTPUT: &str = "-";

/// Writes it, or merges it into the file that is there, and says what it could not carry over.
pub(super) fn import(global: &Global, directory: &Path, sql_root: Option<&Path>, force: bool) -> Result<(), Error> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let playbooks = from_directory_unsettled(directory, &assignments(global)?)?;
    let mut left: Vec<String> = Vec::new();
    for playbook in &playbooks {
        left.extend(playbook.warnings.iter().map(|warning| format!("{}: {warning}", playbook.path.display())));
    }
    let mut table = toml::Table::new();
    let variables = variables(&playbooks, &mut left)?;
    if has(&playbooks, &users::module()) {
        let names = spelled(&modules()).into_iter().map(toml::Value::String).collect();
        table.insert("modules".to_owned(), toml::Value::Array(names));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let custom = custom(&playbooks, &variables, sql_root, folder, &mut left)?;
    if !variables.is_empty() {
        table.insert("variables".to_owned(), toml::Value::Table(variables));
    }
    if let Some(target) = target(&playbooks, &mut left) {
        table.insert("target".to_owned(), toml::Value::Table(target));
    }
    if !custom.is_empty() {
        table.insert("custom".to_owned(), toml::Value::Array(custom));
    }
    let mut kept = Vec::new();
    let text = if path != Path::new(TO_OUTPUT) && path.exists() {
        merged(&path, &table, force, &mut kept)?
    } else {
        format!("# Made from the playbooks in {}.\n\n{table}", directory.display())
    };
    let folders: BTreeSet<String> =
        playbooks.iter().filter_map(|playbook| Some(playbook.path.parent()?.display().to_string())).collect();
    if path == Path::new(TO_OUTPUT) {
        if global.output == OutputFormat::Json {
            return output::json(
                &json!({ "configuration": text, "read": folders, "kept": kept, "not_carried_over": left }),
            );
        }
        output::data(&text)?;
        for note in notes(&folders, &kept, &left) {
            output::talk(&note);
        }
        return Ok(());
    }
    write(&path, &text)?;
    match global.output {
        OutputFormat::Json => {
            output::json(&json!({ "written": path, "read": folders, "kept": kept, "not_carried_over": left }))
        }
        OutputFormat::Text => {
            output::data(&format!("wrote {}\n", path.display()))?;
            notes(&folders, &kept, &left).iter().try_for_each(|note| output::data(&format!("{note}\n")))
        }
    }
}

/// What there is to say of it, a line each.
fn notes(folders: &BTreeSet<String>, kept: &[String], left: &[String]) -> Vec<String> {
    let folders = folders.iter().map(|folder| format!("read: {folder}"));
    let kept = kept.iter().map(|one| format!("kept as the file has it: {one}; --force takes the playbooks'"));
    folders.chain(kept).chain(left.iter().map(|one| format!("not carried over: {one}"))).collect()
}

/// The file with what the playbooks add to it. What both have stays as the file has it, unless forced.
fn merged(path: &Path, imported: &toml::Table, force: bool, kept: &mut Vec<String>) -> Result<String, Error> {
    let wrong = |problem: String| Error::Configuration {
        message: format!("{}: {}", path.display(), problem.trim_end()),
        hint: Some("nothing was written; mend this file, or name another by --config".to_owned()),
    };
    let text = std::fs::read_to_string(path).map_err(|error| Error::unreadable(path.display(), &error))?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| wrong(error.to_string()))?;
    let imported: DocumentMut =
        imported.to_string().parse().map_err(|error: toml_edit::TomlError| wrong(error.to_string()))?;
    let mut merge = Merge { force, kept };
    for (key, item) in imported.iter() {
        match (key, document.get_mut(key)) {
            (_, None) => drop(document.insert(key, item.clone())),
            ("target", Some(own)) => {
                let only = merge.targets(own, item).map_err(wrong)?;
                if let Some(only) = only.filter(|_| !document.contains_key("default_target")) {
                    document.insert("default_target", toml_edit::value(only));
                }
            }
            ("custom", Some(own)) => merge.custom(own, item).map_err(wrong)?,
            ("modules", Some(own)) => merge.value(key, own, item),
            (key, Some(own)) => merge.tables(key, own, item).map_err(wrong)?,
        }
    }
    Ok(document.to_string())
}

struct Merge<'a> {
    /// Whether the playbooks' values take the place of the file's.
    force: bool,
    /// What stays though the playbooks have something else.
    kept: &'a mut Vec<String>,
}

impl Merge<'_> {
    fn tables(&mut self, place: &str, own: &mut Item, imported: &Item) -> Result<(), String> {
        let own = own.as_table_like_mut().ok_or_else(|| format!("{place} must be a table"))?;
        for (key, item) in imported.as_table_like().into_iter().flat_map(toml_edit::TableLike::iter) {
            // The two names of one variable don't stand beside each other.
            let key = if key == "upsert_lookback_days" && own.contains_key("upsert_lookback") {
                "upsert_lookback"
            } else {
                key
            };
            match own.get_mut(key) {
                None => drop(own.insert(key, item.clone())),
                Some(own) => self.value(&format!("{place}.{key}"), own, item),
            }
        }
        Ok(())
    }

    fn value(&mut self, place: &str, own: &mut Item, imported: &Item) {
        if own.to_string().trim() == imported.to_string().trim() {
        } else if self.force {
            *own = imported.clone();
        } else {
            self.kept.push(place.to_owned());
        }
    }

    /// A target goes into the one of its name, or the only one of its type. Gives the name of the one that was alone.
    fn targets(&mut self, own: &mut Item, imported: &Item) -> Result<Option<String>, String> {
        let own = own.as_table_like_mut().ok_or("target must be tables, [target.NAME]")?;
        let type_of = |item: &Item| item.get("type").and_then(Item::as_str).map(str::to_owned);
        let mut alone = None;
        for (name, item) in imported.as_table_like().into_iter().flat_map(toml_edit::TableLike::iter) {
            let of_type: Vec<String> = own
                .iter()
                .filter(|(_, other)| type_of(other) == type_of(item))
                .map(|(name, _)| name.to_owned())
                .collect();
            let into = match of_type.as_slice() {
                _ if own.contains_key(name) => name.to_owned(),
                [only] => only.clone(),
                _ => name.to_owned(),
            };
            match own.get_mut(&into) {
                Some(target) => self.tables(&format!("target.{into}"), target, item)?,
                None => {
                    let names: Vec<String> = own.iter().map(|(name, _)| name.to_owned()).collect();
                    alone = names.first().filter(|_| names.len() == 1).cloned();
                    own.insert(name, item.clone());
                }
            }
        }
        Ok(alone)
    }

    fn custom(&mut self, own: &mut Item, imported: &Item) -> Result<(), String> {
        let own = own.as_array_of_tables_mut().ok_or("custom must be an array of tables, [[custom]]")?;
        for module in imported.as_array_of_tables().into_iter().flatten() {
            let name = module.get("name").and_then(Item::as_str).unwrap_or_default();
            let position = own.iter().position(|other| other.get("name").and_then(Item::as_str) == Some(name));
            match position.and_then(|position| own.get_mut(position)) {
                None => own.push(module.clone()),
                Some(other) if other.to_string().trim() == module.to_string().trim() => {}
                Some(other) if self.force => *other = module.clone(),
                Some(_) => self.kept.push(format!("the custom module {name}")),
            }
        }
        Ok(())
    }
}

/// Whether playbooks have a phase of a module.
fn has(playbooks: &[Playbook], module: &Module) -> bool {
    playbooks.iter().any(|playbook| playbook.has_module(module))
}

/// The variables of main and complete. Where they differ in one, the phase that it is for counts; between modules, sessions
/// does. What a run of several modules sets by itself is left out.
fn variables(playbooks: &[Playbook], left: &mut Vec<String>) -> Result<toml::Table, Error> {
    if let Some((playbook, problem)) = websessions_playbook::stray(playbooks) {
        return Err(Error::configuration(format!("{}: {problem}", playbook.path.display())));
    }
    let mut table = toml::Table::new();
    let has_users = has(playbooks, &users::module());
    for playbook in playbooks.iter().filter(|playbook| !playbook.phases().is_empty()) {
        let is_complete = playbook.phases().iter().all(|(_, phase)| *phase == Phase::Complete);
        let is_of_users = playbook.is_of_module(&users::module());
        let (values, warnings) = playbook.model_variables();
        left.extend(warnings.iter().map(|warning| format!("{}: {warning}", playbook.path.display())));
        for (name, value) in values {
            let of_complete = ["cleanup_mode", "ends_run"].contains(&name.as_str());
            let name = if name == "upsert_lookback" { "upsert_lookback_days".to_owned() } else { name };
            let Some(value) = toml_value(&value) else { continue };
            if has_users && ["ends_run", "stage_next"].contains(&name.as_str()) {
                continue;
            }
            match table.get(&name).filter(|_| is_of_users || of_complete != is_complete) {
                None => drop(table.insert(name, value)),
                Some(other) if is_of_users && of_complete == is_complete && *other != value => left.push(format!(
                    "{}: {name} = {value} of users: here it is of all modules, and sessions has {other}",
                    playbook.path.display()
                )),
                Some(_) => {}
            }
        }
        let unknown = playbook
            .variables
            .keys()
            .filter(|name| check_name(name).is_err() && playbook.without_effect(name).is_none());
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
        let value = match (of_environment(&value), SECRETS.iter().find(|(secret, _)| *secret == name)) {
            (Some(variable), _) => toml::Value::Table(toml::Table::from_iter([("env".to_owned(), variable.into())])),
            _ if value.contains("{{") => {
                left.push(format!("the target's {name}: it is a template there, {value}"));
                continue;
            }
            (None, Some((_, variable))) => {
                left.push(format!(
                    "the target's {name}: a secret stays out of the file; set the environment variable {variable}"
                ));
                toml::Value::Table(toml::Table::from_iter([("env".to_owned(), (*variable).into())]))
            }
            (None, None) => value.into(),
        };
        table.insert(name, value);
    }
    let name = if target.name.is_empty() { "default" } else { &target.name };
    let others = targets.iter().filter(|other| other.name != target.name && !other.name.is_empty());
    left.extend(others.map(|other| format!("the target {}: only the first is", other.name)));
    Some(toml::Table::from_iter([(name.to_owned(), toml::Value::Table(table))]))
}

/// The variable of the environment that a setting is taken from, if that is all that it is.
fn of_environment(value: &str) -> Option<&str> {
    let name = value.strip_prefix("{{systemEnv \"")?.strip_suffix("\"}}")?;
    (!name.contains(['"', '{'])).then_some(name)
}

/// The custom modules that run between main and complete, with the variables that the model doesn't have alike.
fn custom(
    playbooks: &[Playbook],
    model: &toml::Table,
    sql_root: Option<&Path>,
    folder: &Path,
    left: &mut Vec<String>,
) -> Result<Vec<toml::Value>, Error> {
    let mut modules = Vec::new();
    let (of_sessions, of_users) = scratch_tables(model);
    let has_users = has(playbooks, &users::module());
    let mut main_has_run = !playbooks.iter().any(|playbook| playbook.has(Phase::Main));
    for playbook in playbooks {
        main_has_run |= playbook.has(Phase::Main);
        let runs_elsewhere = match (playbook.phases().is_empty() && playbook.is_standard(), main_has_run) {
            (true, _) => Some("it belongs to another standard module, which runs as playbooks do"),
            (false, false) => Some("it runs before main, and custom modules run after it"),
            (false, true) => None,
        };
        if let Some(why) = runs_elsewhere {
            left.push(format!("{}: {why}", playbook.path.display()));
            continue;
        }
        for part in playbook.parts()? {
            let Part::Scripts(steps) = part else { continue };
            let mut files = Vec::new();
            let (mut reads_sessions, mut reads_users) = (false, false);
            for query in steps.iter().flat_map(|step| &step.queries) {
                if query.is_set_up() && find_file(&playbook.path, &query.file, sql_root).is_err() {
                    left.push(format!("{}: {}, which is not there", playbook.path.display(), query.file));
                    continue;
                }
                let file = find_file(&playbook.path, &query.file, sql_root)?;
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                let dialect = playbook.targets.iter().find_map(|target| target.backend).unwrap_or_default();
                reads_sessions |= names_any(&text, dialect, &of_sessions);
                reads_users |= names_any(&text, dialect, &of_users);
                if !query.template && text.contains("{{") {
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
            // What the model's variables say alike is theirs: a module follows them when they are changed.
            let own = playbook.variables.iter().filter(|(name, value)| model.get(*name) != toml_value(value).as_ref());
            let variables: toml::Table =
                own.filter_map(|(name, value)| Some((name.clone(), toml_value(value)?))).collect();
            let mut module = toml::Table::from_iter([
                ("name".to_owned(), playbook.name.clone().into()),
                ("files".to_owned(), toml::Value::Array(files)),
            ]);
            if !variables.is_empty() {
                module.insert("variables".to_owned(), toml::Value::Table(variables));
            }
            if has_users && reads_users {
                module.insert("after".to_owned(), "users".into());
                if reads_sessions {
                    left.push(format!(
                        "{}: it reads tables of users' run and of sessions': here sessions is complete before users begins",
                        playbook.path.display()
                    ));
                }
            }
            modules.push(toml::Value::Table(module));
        }
    }
    Ok(modules)
}

/// The tables that the run of sessions makes, and that of users with what it commits to, as custom SQL may name them.
fn scratch_tables(model: &toml::Table) -> (Vec<String>, Vec<String>) {
    let variables = Variables::default();
    let entropy = model.get("entropy").and_then(toml::Value::as_str).unwrap_or_default();
    let [of_sessions, of_users] = [sessions::module(), users::module()].map(|module| module.tables(&variables));
    let with_entropy = |name: &str| [name.to_owned(), format!("{name}{entropy}")];
    let made = of_sessions.iter().filter(|table| table.lifetime == Lifetime::Module);
    let own = of_users.iter().filter(|table| of_sessions.iter().all(|other| other.name != table.name));
    (
        made.flat_map(|table| with_entropy(table.name)).collect(),
        own.flat_map(|table| with_entropy(table.name)).collect(),
    )
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

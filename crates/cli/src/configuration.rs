//! Where values come from: flags before the environment before the file before defaults; each value keeps its origin.

use crate::arguments::Global;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::backend::{BackendFactory, Registry, Settings};
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_core::variables::{VARIABLES, Variables, check_name};
use websessions_playbook::{CustomModule, Playbook, Target};

const FILE_NAME: &str = "websessions.toml";
const ENVIRONMENT: &str = "WEBSESSIONS_";
/// Settings of the target: `WEBSESSIONS_TARGET_MEMORY_LIMIT`.
const TARGET_ENVIRONMENT: &str = "WEBSESSIONS_TARGET_";
/// Variables that clap reads.
const FLAG_ENVIRONMENT: &[&str] = &["WEBSESSIONS_CONFIG", "WEBSESSIONS_TARGET", "WEBSESSIONS_DATABASE"];

/// One value, as `config show` shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) origin: String,
}

/// Everything that flags, environment and file say.
pub(crate) struct Configuration<'a> {
    pub(crate) variables: Variables,
    pub(crate) warnings: Vec<String>,
    pub(crate) custom: Vec<CustomModule>,
    pub(crate) playbooks: Vec<Playbook>,
    pub(crate) backend: &'a dyn BackendFactory,
    pub(crate) shown: Vec<Shown>,
    settings: BTreeMap<String, SettingValue>,
    layers: Layers,
}

/// The values of variables, by where they come from; later ones come before earlier ones. A playbook's own stand between
/// the file's and the environment's.
#[derive(Default)]
struct Layers {
    file: BTreeMap<String, Value>,
    environment: BTreeMap<String, Value>,
    flags: BTreeMap<String, Value>,
    origins: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
enum SettingValue {
    Plain(String),
    /// Read when a connection is made, never before, never shown.
    Environment(String),
    /// A command whose output is the value, such as one that asks for a passing token. Run like the above.
    Command(String),
}

#[derive(Default)]
struct File {
    path: PathBuf,
    variables: toml::Table,
    targets: toml::Table,
    default_target: Option<String>,
    custom: Vec<toml::Value>,
}

impl<'a> Configuration<'a> {
    pub(crate) fn read(global: &Global, registry: &'a Registry, playbooks: Vec<Playbook>) -> Result<Self, Error> {
        let file = File::read(global.config.as_deref())?;
        let mut shown = Vec::new();
        let mut warnings = Vec::new();
        let layers = Layers::read(global, &file, !playbooks.is_empty(), &mut warnings)?;
        // The first one that runs a phase says where the run's tables are; all must agree.
        let placing = playbooks.iter().find(|playbook| !playbook.phases().is_empty()).or(playbooks.first());
        let (variables, more_warnings) = layers.variables(placing)?;
        warnings.extend(more_warnings);
        layers.show(&variables, &mut shown);
        for playbook in &playbooks {
            let odd = playbook.warnings.iter().cloned().chain(playbook.model_variables().1);
            warnings.extend(odd.map(|warning| format!("{}: {warning}", playbook.path.display())));
        }
        let target = playbook_target(&playbooks, global.target.as_deref())?;
        let (backend, settings) = read_target(global, &file, target, registry, &mut shown, &mut warnings)?;
        let custom = file.custom_modules()?;
        if !custom.is_empty() && !playbooks.is_empty() {
            warnings.push(format!("the [[custom]] modules of {} are left out: playbooks are run", file.path.display()));
        }
        for module in &custom {
            let files: Vec<String> = module.files.iter().map(|file| file.display().to_string()).collect();
            let origin = file.path.display().to_string();
            shown.push(Shown { name: format!("custom.{}", module.name), value: files.join(", "), origin });
        }
        Ok(Self { variables, warnings, custom, playbooks, backend, shown, settings, layers })
    }

    /// The model's variables as a playbook has them.
    pub(crate) fn variables_of(&self, playbook: &Playbook) -> Result<Variables, Error> {
        self.layers.variables(Some(playbook)).map(|(variables, _)| variables)
    }

    /// The target's settings, with secrets read from where they are kept.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let mut values = BTreeMap::new();
        for (name, value) in &self.settings {
            let value = match value {
                SettingValue::Plain(text) => text.clone(),
                SettingValue::Command(command) => output_of(name, command)?,
                SettingValue::Environment(variable) => std::env::var(variable).map_err(|_| {
                    Error::configuration(format!(
                        "the target's {name} is to come from the environment variable {variable}, which is not set"
                    ))
                })?,
            };
            values.insert(name.clone(), value);
        }
        Settings::new(self.backend, values)
    }
}

impl Layers {
    fn read(global: &Global, file: &File, has_playbooks: bool, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let mut layers = Self::default();
        let in_file = |error: Error| Error::configuration(format!("{}: [variables]: {error}", file.path.display()));
        for (name, value) in &file.variables {
            check_name(name).map_err(in_file)?;
            layers.file.insert(name.clone(), serde_json::to_value(value).unwrap_or(Value::Null));
            layers.origins.insert(name.clone(), file.path.display().to_string());
        }
        // Said at once, so that the error names the file; the environment and flags may still override.
        Variables::from_values(&layers.file).map_err(in_file)?;
        for (key, name, value) in environment(ENVIRONMENT)? {
            if FLAG_ENVIRONMENT.contains(&key.as_str()) || key.starts_with(TARGET_ENVIRONMENT) {
                continue;
            }
            if let Err(error) = check_name(&name) {
                warnings.push(format!("the environment variable {key} is ignored: {error}"));
                continue;
            }
            layers.origins.insert(name.clone(), format!("environment ({key})"));
            layers.environment.insert(name, Value::String(value));
        }
        for (name, value) in assignments(global)? {
            match check_name(&name) {
                Ok(()) => {}
                // The variables of custom SQL have names of their own.
                Err(_) if has_playbooks => continue,
                Err(error) => return Err(error),
            }
            layers.flags.insert(name.clone(), Value::String(value));
            layers.origins.insert(name, "flag (--var)".to_owned());
        }
        Ok(layers)
    }

    /// The typed variables, of a playbook if there is one.
    fn variables(&self, playbook: Option<&Playbook>) -> Result<(Variables, Vec<String>), Error> {
        let mut values = self.file.clone();
        let mut origins = self.origins.clone();
        let own = playbook.map(|playbook| playbook.model_variables().0).unwrap_or_default();
        for (name, value) in own {
            // The two names of one variable don't stand beside each other.
            if name.starts_with("upsert_lookback") {
                values.retain(|name, _| !name.starts_with("upsert_lookback"));
            }
            if let Some(playbook) = playbook {
                origins.insert(name.clone(), playbook.path.display().to_string());
            }
            values.insert(name, value);
        }
        for (name, value) in self.environment.iter().chain(&self.flags) {
            if playbook.is_some() && name.starts_with("upsert_lookback") {
                values.retain(|name, _| !name.starts_with("upsert_lookback"));
            }
            origins.extend(self.origins.get_key_value(name).map(|(name, origin)| (name.clone(), origin.clone())));
            values.insert(name.clone(), value.clone());
        }
        Variables::from_values(&values).map_err(|error| {
            let text = error.to_string();
            let origin = origins
                .iter()
                .find(|(name, _)| text.contains(&format!("variable {name}:")))
                .map(|(_, origin)| origin.clone());
            match origin {
                Some(origin) if !origin.starts_with("flag") => Error::configuration(format!("{origin}: {text}")),
                _ => error,
            }
        })
    }

    fn show(&self, variables: &Variables, shown: &mut Vec<Shown>) {
        let typed = variables.to_values();
        for info in VARIABLES {
            let value = typed.get(info.name).map(plain).unwrap_or_default();
            let origin = self
                .origins
                .get(info.name)
                .or_else(|| self.origins.get("upsert_lookback").filter(|_| info.name == "upsert_lookback_days"))
                .cloned()
                .unwrap_or_else(|| "default".to_owned());
            shown.push(Shown { name: info.name.to_owned(), value, origin });
        }
    }
}

/// The environment's variables that begin with a prefix: each with its name in lower case without it, and its value.
fn environment(prefix: &str) -> Result<Vec<(String, String, String)>, Error> {
    let ours = std::env::vars_os().filter_map(|(key, value)| {
        let key = key.into_string().ok()?;
        let name = key.strip_prefix(prefix)?.to_lowercase();
        Some((key, name, value))
    });
    ours.map(|(key, name, value)| match value.into_string() {
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

/// The target that playbooks name: by the name that was asked for, else the only one with a type.
fn playbook_target<'a>(
    playbooks: &'a [Playbook],
    asked: Option<&str>,
) -> Result<Option<(&'a Playbook, &'a Target)>, Error> {
    let targets = || {
        playbooks
            .iter()
            .flat_map(|playbook| playbook.targets.iter().map(move |target| (playbook, target)))
            .filter(|(_, target)| target.backend.is_some())
    };
    if let Some(asked) = asked {
        return Ok(targets().find(|(_, target)| target.name == asked));
    }
    let Some((playbook, target)) = targets().next() else { return Ok(None) };
    for (other_playbook, other) in targets() {
        if other_playbook.path == playbook.path && other.name != target.name {
            return Err(Error::Configuration {
                message: format!("{}: it has several targets", playbook.path.display()),
                hint: Some(format!("choose one with --target, such as --target {}", target.name)),
            });
        }
        if other.backend != target.backend {
            return Err(Error::Configuration {
                message: format!(
                    "{}: its target is a {}, but a {} in {}",
                    other_playbook.path.display(),
                    other.backend.unwrap_or_default(),
                    target.backend.unwrap_or_default(),
                    playbook.path.display()
                ),
                hint: Some("the playbooks of one run have one target".to_owned()),
            });
        }
    }
    Ok(Some((playbook, target)))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"))
}

fn read_target<'a>(
    global: &Global,
    file: &File,
    playbook: Option<(&Playbook, &Target)>,
    registry: &'a Registry,
    shown: &mut Vec<Shown>,
    warnings: &mut Vec<String>,
) -> Result<(&'a dyn BackendFactory, BTreeMap<String, SettingValue>), Error> {
    let path = file.path.display().to_string();
    let names: Vec<&str> = file.targets.keys().map(String::as_str).collect();
    // A target that was asked for by name is the file's before a playbook's.
    let playbook = playbook.filter(|_| global.target.as_ref().is_none_or(|name| !file.targets.contains_key(name)));
    let of_type = |backend: Option<&str>| {
        let mut same =
            file.targets.iter().filter(|(_, target)| target.get("type").and_then(toml::Value::as_str) == backend);
        same.next().map(|(name, _)| name.clone()).filter(|_| same.next().is_none())
    };
    let chosen = match (&global.target, &file.default_target) {
        _ if playbook.is_some() && file.default_target.is_none() && names.len() != 1 => {
            of_type(playbook.and_then(|(_, target)| target.backend))
                .map(|name| (name, "the one of the playbook's type"))
        }
        (Some(_), _) if playbook.is_some() => None,
        (Some(name), _) => Some((name.clone(), "flag or environment")),
        (None, Some(name)) => Some((name.clone(), "default_target")),
        (None, None) if names.len() == 1 => names.first().map(|name| ((*name).to_owned(), "the only one")),
        (None, None) if names.is_empty() => None,
        (None, None) => {
            return Err(Error::configuration(format!(
                "{path} has several targets: choose one of {} with --target, or set default_target",
                names.join(", ")
            )));
        }
    };
    let mut settings: BTreeMap<String, (SettingValue, String)> = BTreeMap::new();
    let backend = match &chosen {
        None => match playbook {
            Some((playbook, target)) => registry.get(target.backend.unwrap_or_default()).map_err(|error| {
                let name = target.backend.unwrap_or_default();
                Error::Configuration {
                    message: format!("{}: its target is a {name}: {error}", playbook.path.display()),
                    hint: Some(format!("build with --features {name}, or name a target of {FILE_NAME} with --target")),
                }
            })?,
            None => registry.all().first().map(AsRef::as_ref).ok_or_else(|| {
                Error::configuration("no backend is compiled in: build with a feature, such as --features duckdb")
            })?,
        },
        Some((name, _)) => {
            let target = file.targets.get(name).ok_or_else(|| {
                if names.is_empty() {
                    Error::configuration(format!(
                        "there is no target {name:?}: there is no [target.{name}] in a {FILE_NAME}"
                    ))
                } else {
                    Error::configuration(unknown("target", name, names.iter().copied()))
                }
            })?;
            let place = format!("{path}: [target.{name}]");
            let in_target = |problem: String| Error::configuration(format!("{place}: {problem}"));
            let table = target.as_table().ok_or_else(|| in_target("must be a table".into()))?;
            let backend_name =
                table.get("type").and_then(toml::Value::as_str).ok_or_else(|| in_target("needs a type".into()))?;
            let backend = registry.get(backend_name).map_err(|error| in_target(error.to_string()))?;
            for (key, value) in table.iter().filter(|(key, _)| *key != "type") {
                settings.insert(
                    key.clone(),
                    (setting_value(value).map_err(|problem| in_target(format!("{key} {problem}")))?, path.clone()),
                );
            }
            // Unknown keys are refused before anything connects. What is required may still come from elsewhere.
            let known = backend.settings();
            if let Some(wrong) = settings.keys().find(|key| !known.iter().any(|setting| setting.name == **key)) {
                return Err(in_target(unknown("key", wrong, known.iter().map(|setting| setting.name).chain(["type"]))));
            }
            backend
        }
    };
    if let Some((playbook, target)) = playbook {
        if target.backend != Some(backend.name()) {
            let chosen = chosen.as_ref().map(|(name, _)| name.as_str()).unwrap_or_default();
            return Err(Error::Configuration {
                message: format!(
                    "{}: it is for a {}, but the target {chosen} of {path} is a {}",
                    playbook.path.display(),
                    target.backend.unwrap_or_default(),
                    backend.name()
                ),
                hint: Some(format!("--target {chosen} runs it there all the same")),
            });
        }
        let origin = playbook.path.display().to_string();
        let own =
            target.settings().into_iter().map(|(name, value)| (name, (SettingValue::Plain(value), origin.clone())));
        settings.extend(own);
    }
    for (key, name, value) in environment(TARGET_ENVIRONMENT)? {
        if backend.settings().iter().any(|setting| setting.name == name) {
            settings.insert(name, (SettingValue::Plain(value), format!("environment ({key})")));
        } else {
            warnings
                .push(format!("the environment variable {key} is ignored: a {} target has no {name}", backend.name()));
        }
    }
    if let Some(database) = &global.database {
        settings
            .insert("database".to_owned(), (SettingValue::Plain(database.clone()), "flag or environment".to_owned()));
    }
    let (target, origin) = chosen.unwrap_or_else(|| ("(none)".to_owned(), "default"));
    shown.push(Shown { name: "target".into(), value: target, origin: origin.into() });
    shown.push(Shown { name: "target.type".into(), value: backend.name().into(), origin: "target".into() });
    for setting in backend.settings() {
        let (value, origin) = match settings.get(setting.name) {
            Some((SettingValue::Environment(variable), origin)) => {
                (format!("{{ env = {variable:?} }}"), origin.clone())
            }
            Some((SettingValue::Command(_), origin)) => ("{ command = … }".to_owned(), origin.clone()),
            Some((SettingValue::Plain(_), origin)) if setting.secret => ("(secret)".to_owned(), origin.clone()),
            Some((SettingValue::Plain(value), origin)) => (format!("{value:?}"), origin.clone()),
            None => match setting.default {
                Some(default) => (format!("{default:?}"), "default".to_owned()),
                None => ("(not set)".to_owned(), "default".to_owned()),
            },
        };
        shown.push(Shown { name: format!("target.{}", setting.name), value, origin });
    }
    Ok((backend, settings.into_iter().map(|(name, (value, _))| (name, value)).collect()))
}

const SETTING_FORMS: &str = "must be text, a number, true or false, { env = \"NAME\" } or { command = \"…\" }";

/// The first line that a shell command prints. What it says on stderr goes to the user's terminal.
fn output_of(name: &str, command: &str) -> Result<String, Error> {
    let failed = |problem: String| {
        Error::configuration(format!("the target's {name} is to come from a command, which {problem}"))
    };
    let output = std::process::Command::new("sh")
        .args(["-c", command])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("did not start: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("failed: {}", output.status)));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| failed("printed no text".to_owned()))?;
    match text.lines().next().map(str::trim) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(failed("printed nothing".to_owned())),
    }
}

fn setting_value(value: &toml::Value) -> Result<SettingValue, String> {
    match value {
        toml::Value::String(text) => Ok(SettingValue::Plain(text.clone())),
        toml::Value::Integer(number) => Ok(SettingValue::Plain(number.to_string())),
        toml::Value::Float(number) => Ok(SettingValue::Plain(number.to_string())),
        toml::Value::Boolean(truth) => Ok(SettingValue::Plain(truth.to_string())),
        toml::Value::Table(table) if table.len() == 1 => {
            let text = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
            text("env")
                .map(SettingValue::Environment)
                .or_else(|| text("command").map(SettingValue::Command))
                .ok_or_else(|| SETTING_FORMS.to_owned())
        }
        _ => Err(SETTING_FORMS.to_owned()),
    }
}

impl File {
    fn read(given: Option<&Path>) -> Result<Self, Error> {
        let path = given.unwrap_or(Path::new(FILE_NAME));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Error::configuration(format!(
                    "can't read the configuration file {}: {error}",
                    path.display()
                )));
            }
        };
        let shown = path.display();
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::configuration(format!("{shown}: {}", error.to_string().trim_end()))
        })?;
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (key, value) in table {
            let wrong = |must: &str| Error::configuration(format!("{shown}: {key} must be {must}"));
            match (key.as_str(), value) {
                ("variables", toml::Value::Table(table)) => file.variables = table,
                ("variables", _) => return Err(wrong("a table, [variables]")),
                ("target", toml::Value::Table(table)) => file.targets = table,
                ("target", _) => return Err(wrong("tables, [target.NAME]")),
                ("default_target", toml::Value::String(name)) => file.default_target = Some(name),
                ("default_target", _) => return Err(wrong("text")),
                ("custom", toml::Value::Array(modules)) => file.custom = modules,
                ("custom", _) => return Err(wrong("an array of tables, [[custom]]")),
                (other, _) => {
                    let known = ["variables", "target", "default_target", "custom"];
                    return Err(Error::configuration(format!("{shown}: {}", unknown("key", other, known))));
                }
            }
        }
        Ok(file)
    }

    fn custom_modules(&self) -> Result<Vec<CustomModule>, Error> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        self.custom
            .iter()
            .enumerate()
            .map(|(position, module)| {
                let place = format!("{}: [[custom]] number {}", self.path.display(), position + 1);
                let wrong = |problem: &str| Error::configuration(format!("{place}: {problem}"));
                let table = module.as_table().ok_or_else(|| wrong("must be a table"))?;
                let known = ["name", "files", "variables"];
                if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
                    return Err(wrong(&unknown("key", key, known)));
                }
                let name = table.get("name").and_then(toml::Value::as_str).ok_or_else(|| wrong("needs a name"))?;
                let files = table
                    .get("files")
                    .and_then(toml::Value::as_array)
                    .and_then(|files| files.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>())
                    .filter(|files| !files.is_empty())
                    .ok_or_else(|| wrong("needs files, a list of paths of SQL files"))?;
                let variables = match table.get("variables") {
                    None => BTreeMap::new(),
                    Some(toml::Value::Table(table)) => table
                        .iter()
                        .map(|(name, value)| (name.clone(), serde_json::to_value(value).unwrap_or(Value::Null)))
                        .collect(),
                    Some(_) => return Err(wrong("variables must be a table")),
                };
                Ok(CustomModule {
                    name: name.to_owned(),
                    files: files.iter().map(|file| folder.join(file)).collect(),
                    variables,
                })
            })
            .collect()
    }
}

/// The starter configuration, with every variable and every compiled-in backend's settings.
pub(crate) fn starter(registry: &Registry) -> String {
    use std::fmt::Write;
    let mut text =
        String::from("# Configuration of websessions. What is commented out is the default.\n\n[variables]\n");
    for variable in VARIABLES {
        let _ = writeln!(text, "# {}\n# {} = {}", variable.meaning, variable.name, variable.default);
    }
    for (position, backend) in registry.all().iter().enumerate() {
        let comment = if position == 0 { "" } else { "# " };
        let _ = writeln!(
            text,
            "\n# {}\n{comment}[target.{}]\n{comment}type = {:?}",
            backend.about(),
            backend.name(),
            backend.name()
        );
        for setting in backend.settings() {
            let value = match (setting.secret, setting.default) {
                (true, _) => "{ env = \"NAME\" }".to_owned(),
                (false, Some(default)) => format!("{default:?}"),
                (false, None) => "\"\"".to_owned(),
            };
            let _ = writeln!(text, "# {}\n# {} = {value}", setting.meaning, setting.name);
        }
    }
    text.push_str(
        "\n# Your own SQL, run between main and complete, in this order. Files are Go templates: {{.output_schema}}.\n\
         # [[custom]]\n# name = \"my-module\"\n# files = [\"sql/my-module.sql\"]\n# variables = { days = 30 }\n",
    );
    text
}

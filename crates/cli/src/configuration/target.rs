//! The target: which one is meant, its backend, and its settings. Each place's settings are read by themselves, and then
//! merged once: the file's, a playbook's, the environment's, the flags'.

use super::Shown;
use super::file::{FILE_NAME, File};
use super::layers::{TARGET_ENVIRONMENT, environment};
use crate::arguments::Global;
use crate::output::pasteable;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use websessions_core::backend::{BackendFactory, Registry, Setting, Settings};
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_playbook::{Playbook, Target};

const SETTING_FORMS: &str = "must be text, a number, true or false, { env = \"NAME\" } or { command = \"…\" }";

/// A setting's value, as it was given.
#[derive(Clone, Debug)]
pub(super) enum SettingValue {
    Plain(String),
    /// Read when a connection is made, never before, never shown.
    Environment(String),
    /// A command whose output is the value, such as one that asks for a passing token. Run like the above.
    Command(String),
}

/// The settings of one place, by name, each with its origin.
type Layer = BTreeMap<String, (SettingValue, String)>;

/// The target that was chosen.
pub(super) struct ChosenTarget<'a> {
    pub(super) backend: &'a dyn BackendFactory,
    /// Its name in the file, and who chose it; none if it is a playbook's or the default.
    name: Option<(String, &'static str)>,
    settings: Layer,
    /// What the file would do with the user's rights when a connection is made.
    wants: Vec<String>,
}

/// Says which target it is: that of the file which is named, else a playbook's, else the embedded default.
pub(super) fn choose<'a>(
    global: &Global,
    file: &File,
    playbooks: &[Playbook],
    registry: &'a Registry,
    warnings: &mut Vec<String>,
) -> Result<ChosenTarget<'a>, Error> {
    // A target that was asked for by name is the file's before a playbook's.
    let playbook = playbook_target(playbooks, global.target.first().map(String::as_str))?
        .filter(|_| global.target.first().is_none_or(|name| !file.targets.contains_key(name)));
    let name = name_in_file(global, file, playbook)?;
    let (backend, of_file) = match (&name, playbook) {
        (Some((name, _)), _) => of_file(name, file, registry)?,
        (None, Some((playbook, target))) => (backend_of_playbook(playbook, target, registry)?, Layer::new()),
        (None, None) => {
            let first = registry.all().first().map(AsRef::as_ref).ok_or_else(|| {
                Error::configuration("no backend is compiled in: build with a feature, such as --features duckdb")
            })?;
            (first, Layer::new())
        }
    };
    let of_playbook = match playbook {
        Some((playbook, target)) => of_playbook(playbook, target, backend, name.as_ref(), file)?,
        None => Layer::new(),
    };
    let of_environment = of_environment(backend, warnings)?;
    let of_flags = global.database.iter().map(|database| {
        ("database".to_owned(), (SettingValue::Plain(database.clone()), "flag or environment".to_owned()))
    });
    let of_flags: Layer = of_flags.collect();
    // A target of the file says where everything goes: also the environment's secrets.
    let secret = |name: &str| backend.settings().iter().any(|setting| setting.name == name && setting.secret);
    let sent: Vec<String> = of_environment
        .iter()
        .filter(|(setting, _)| name.is_some() && secret(setting))
        .map(|(setting, (_, origin))| format!("the {setting} of the {origin} would be sent where it says"))
        .collect();
    let settings: Layer = [of_file, of_playbook, of_environment, of_flags].into_iter().flatten().collect();
    let read = settings.iter().filter_map(|(setting, (value, _))| Some(format!("its {setting} {}", value.wants()?)));
    let wants = read.chain(sent).collect();
    Ok(ChosenTarget { backend, name, settings, wants })
}

impl ChosenTarget<'_> {
    /// The paths among its settings, such as that of a database.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let of = |setting: &Setting| match self.settings.get(setting.name) {
            Some((SettingValue::Plain(path), _)) => Some(PathBuf::from(path)),
            Some(_) => None,
            None => setting.default.map(PathBuf::from),
        };
        self.backend.settings().iter().filter(|setting| setting.path).filter_map(of)
    }

    /// What it is, for reports.
    pub(super) fn describe(&self) -> serde_json::Value {
        serde_json::json!({ "name": self.name.as_ref().map(|(name, _)| name), "backend": self.backend.name() })
    }

    /// An error of the settings, with where they are set.
    pub(super) fn with_place(&self, error: Error) -> Error {
        let Error::Configuration { message, hint: None } = error else { return error };
        let place = match &self.name {
            Some((name, _)) => format!("under [target.{name}] in the configuration file"),
            None => "in a playbook's target, under [target.NAME] in the configuration file".to_owned(),
        };
        let hint = format!(
            "nothing was done; the target's settings stand {place}, in the environment ({TARGET_ENVIRONMENT}…), or, its database, in --database: {} lists them",
            pasteable("backends")
        );
        Error::Configuration { message, hint: Some(hint) }
    }

    /// The settings, with secrets read from where they are kept.
    pub(super) fn settings(&self, file: &File) -> Result<Settings, Error> {
        if let Some(wants) = self.wants.first() {
            file.check_trusted(wants)?;
        }
        let values: Result<Vec<_>, Error> = self
            .settings
            .iter()
            .map(|(name, (value, _))| Ok((name.clone(), value.read(&format!("the target's {name}"))?)))
            .collect();
        let mut settings = Settings::new(self.backend, values?)?;
        for (name, (value, _)) in &self.settings {
            if let SettingValue::Command(command) = value {
                // Tokens pass: the command runs again for each new connection.
                let (setting, command) = (format!("the target's {name}"), command.clone());
                settings = settings.with_source(name, Arc::new(move || output_of(&setting, &command)));
            }
        }
        if let Some(secret) = self.backend.ambient_secrets(&settings).first().filter(|_| self.name.is_some()) {
            file.check_trusted(&format!("{secret} would be sent where it says"))?;
        }
        Ok(settings)
    }

    pub(super) fn show(&self) -> Vec<Shown> {
        let (target, origin) = self.name.as_ref().map_or(("(none)", "default"), |(name, origin)| (name, origin));
        let mut shown = vec![
            Shown { name: "target".into(), value: target.into(), origin: origin.into() },
            Shown { name: "target.type".into(), value: self.backend.name().into(), origin: "target".into() },
        ];
        for setting in self.backend.settings() {
            let (value, origin) = match self.settings.get(setting.name) {
                Some((value, origin)) => (value.shown(setting.secret), origin.as_str()),
                None => match setting.default {
                    Some(default) => (format!("{default:?}"), "default"),
                    None => ("(not set)".to_owned(), "default"),
                },
            };
            shown.push(Shown { name: format!("target.{}", setting.name), value, origin: origin.to_owned() });
        }
        shown
    }
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

/// The target of the file that is meant, and who says so.
fn name_in_file(
    global: &Global,
    file: &File,
    playbook: Option<(&Playbook, &Target)>,
) -> Result<Option<(String, &'static str)>, Error> {
    let names: Vec<&str> = file.targets.keys().map(String::as_str).collect();
    if let Some((_, target)) = playbook
        && file.default_target.is_none()
        && names.len() != 1
    {
        let mut same = file
            .targets
            .iter()
            .filter(|(_, other)| other.get("type").and_then(toml::Value::as_str) == target.backend)
            .map(|(name, _)| (name.clone(), "the one of the playbook's type"));
        return Ok(same.next().filter(|_| same.next().is_none()));
    }
    match (global.target.first(), &file.default_target) {
        (Some(_), _) if playbook.is_some() => Ok(None),
        (Some(name), _) => Ok(Some((name.clone(), "flag or environment"))),
        (None, Some(name)) => Ok(Some((name.clone(), "default_target"))),
        (None, None) => match names.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(((*only).to_owned(), "the only one"))),
            several => Err(Error::configuration(format!(
                "{} has several targets: choose one of {} with --target, or set default_target",
                file.path.display(),
                several.join(", ")
            ))),
        },
    }
}

fn of_file<'a>(name: &str, file: &File, registry: &'a Registry) -> Result<(&'a dyn BackendFactory, Layer), Error> {
    let target = file.target(name)?;
    let wrong = |problem: String| Error::configuration(format!("{}: {problem}", target.place));
    let backend = registry.get(target.backend).map_err(|error| wrong(error.to_string()))?;
    // Unknown keys are refused before anything connects. What is required may still come from elsewhere.
    let known = backend.settings();
    if let Some(key) = target.settings.keys().find(|key| !known.iter().any(|setting| setting.name == **key)) {
        return Err(wrong(unknown("key", key, known.iter().map(|setting| setting.name).chain(["type"]))));
    }
    let origin = file.path.display().to_string();
    let is_path = |name: &str| known.iter().any(|setting| setting.name == name && setting.path);
    let settings = target.settings.into_iter().map(|(name, value)| {
        let value = match value {
            SettingValue::Plain(path) if is_path(&name) && !path.is_empty() => {
                SettingValue::Plain(file.folder().join(path).to_string_lossy().into_owned())
            }
            other => other,
        };
        (name, (value, origin.clone()))
    });
    Ok((backend, settings.collect()))
}

fn backend_of_playbook<'a>(
    playbook: &Playbook,
    target: &Target,
    registry: &'a Registry,
) -> Result<&'a dyn BackendFactory, Error> {
    let name = target.backend.unwrap_or_default();
    registry.get(name).map_err(|error| Error::Configuration {
        message: format!("{}: its target is a {name}: {error}", playbook.path.display()),
        hint: Some(format!("build with --features {name}, or name a target of {FILE_NAME} with --target")),
    })
}

fn of_playbook(
    playbook: &Playbook,
    target: &Target,
    backend: &dyn BackendFactory,
    chosen: Option<&(String, &str)>,
    file: &File,
) -> Result<Layer, Error> {
    if target.backend != Some(backend.name()) {
        let chosen = chosen.map(|(name, _)| name.as_str()).unwrap_or_default();
        return Err(Error::Configuration {
            message: format!(
                "{}: it is for a {}, but the target {chosen} of {} is a {}",
                playbook.path.display(),
                target.backend.unwrap_or_default(),
                file.path.display(),
                backend.name()
            ),
            hint: Some(format!("--target {chosen} runs it there all the same")),
        });
    }
    let origin = playbook.path.display().to_string();
    let settings = target.settings().into_iter();
    Ok(settings.map(|(name, value)| (name, (SettingValue::Plain(value), origin.clone()))).collect())
}

fn of_environment(backend: &dyn BackendFactory, warnings: &mut Vec<String>) -> Result<Layer, Error> {
    let mut layer = Layer::new();
    for (key, name, value) in environment(TARGET_ENVIRONMENT)? {
        if backend.settings().iter().any(|setting| setting.name == name) {
            layer.insert(name, (SettingValue::Plain(value), format!("environment ({key})")));
        } else {
            let backend = backend.name();
            warnings.push(format!("the environment variable {key} is ignored: a {backend} target has no {name}"));
        }
    }
    Ok(layer)
}

impl SettingValue {
    /// As it stands in the file.
    pub(super) fn of_file(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Ok(Self::Plain(text.clone())),
            toml::Value::Integer(number) => Ok(Self::Plain(number.to_string())),
            toml::Value::Float(number) => Ok(Self::Plain(number.to_string())),
            toml::Value::Boolean(truth) => Ok(Self::Plain(truth.to_string())),
            toml::Value::Table(table) if table.len() == 1 => {
                let text = |key: &str| table.get(key).and_then(toml::Value::as_str).map(str::to_owned);
                text("env")
                    .map(Self::Environment)
                    .or_else(|| text("command").map(Self::Command))
                    .ok_or_else(|| SETTING_FORMS.to_owned())
            }
            _ => Err(SETTING_FORMS.to_owned()),
        }
    }

    /// As `config show` shows it.
    pub(super) fn shown(&self, secret: bool) -> String {
        match self {
            Self::Environment(variable) => format!("{{ env = {variable:?} }}"),
            Self::Command(_) => "{ command = … }".to_owned(),
            Self::Plain(_) if secret => "(secret)".to_owned(),
            Self::Plain(value) => format!("{value:?}"),
        }
    }

    /// What it does with the user's rights, if it is more than a value.
    pub(super) fn wants(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Environment(variable) => Some(format!("reads the environment variable {variable}")),
            Self::Command(command) => Some(format!("runs the command {command:?}")),
        }
    }

    /// The value itself, read from where it is kept.
    pub(super) fn read(&self, name: &str) -> Result<String, Error> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Command(command) => output_of(name, command),
            Self::Environment(variable) => std::env::var(variable).map_err(|_| {
                Error::configuration(format!(
                    "{name} is to come from the environment variable {variable}, which is not set"
                ))
            }),
        }
    }
}

/// The first line that a shell command prints. What it says on stderr goes to the user's terminal.
fn output_of(name: &str, command: &str) -> Result<String, Error> {
    let failed = |problem: String| Error::configuration(format!("{name} is to come from a command, which {problem}"));
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

//! The configuration file: what stands in it, as it is written there.

use super::target::SettingValue;
use super::trust;
use crate::destination::Destination;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_core::model::{self, Module, page_views, sessions, users};
use websessions_core::own_columns::{Declaration, OwnColumns};
use websessions_playbook::CustomModule;

/// The file that is read if none is named.
pub(crate) const FILE_NAME: &str = "websessions.toml";

/// Writes a configuration file, which is whole or as it was, and which nobody else may write, whatever the umask is: else it
/// would not be read.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    const WRITE_BY_OTHERS: u32 = 0o022;
    Destination::find(path)?.write(text.as_bytes(), path, WRITE_BY_OTHERS)
}

/// The file's parts. Empty if there is no file.
#[derive(Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    text: String,
    /// Whether it was found, and not named by the user.
    found: bool,
    pub(super) variables: toml::Table,
    pub(super) targets: toml::Table,
    pub(super) default_target: Option<String>,
    custom: Vec<toml::Value>,
    columns: Vec<toml::Value>,
    /// The modules that it names, if it does.
    pub(super) modules: Option<Modules>,
    lineage: toml::Table,
    pub(super) check: toml::Table,
}

/// The modules that a run is made of.
#[derive(Clone, Debug)]
pub(crate) struct Modules {
    modules: Vec<Module>,
    /// Whether the file names them.
    is_given: bool,
}

impl Default for Modules {
    /// What the input needs, and sessions.
    fn default() -> Self {
        Self { modules: vec![page_views::module(), sessions::module()], is_given: false }
    }
}

impl Modules {
    fn read(list: &[toml::Value]) -> Result<Self, String> {
        let known = model::modules();
        let all = spelled(&known);
        let (mut modules, mut left) = (Vec::new(), known.iter());
        for value in list {
            let name = value.as_str().ok_or("must be a list of names")?;
            if !known.iter().any(|module| module.is_called(name)) {
                return Err(format!("has an {}", unknown("module", name, all.iter().map(String::as_str))));
            }
            modules.push(*left.find(|module| module.is_called(name)).ok_or_else(|| {
                let before = spelled(&modules).join(", ");
                format!("has {name} after {before}: they run in the order {}", all.join(", "))
            })?);
        }
        if !modules.contains(&sessions::module()) {
            modules.push(sessions::module());
            let with: Vec<Module> = known.into_iter().filter(|known| modules.contains(known)).collect();
            return Err(format!("lacks sessions, which every run computes: modules = {:?}", spelled(&with)));
        }
        Ok(Self { modules, is_given: true })
    }

    /// Whether the file asks for a module; sessions is always asked for.
    pub(crate) fn names(&self, module: &Module) -> bool {
        *module == sessions::module() || (self.is_given && self.modules.contains(module))
    }

    /// Whether users follows sessions.
    pub(crate) fn has_users(&self) -> bool {
        self.modules.contains(&users::module())
    }

    /// Whether page views that come are taken in.
    pub(crate) fn has_page_views(&self) -> bool {
        self.modules.contains(&page_views::module())
    }
}

/// Modules as the file spells them.
pub(crate) fn spelled(modules: &[Module]) -> Vec<String> {
    modules.iter().map(Module::spelled).collect()
}

impl std::fmt::Display for Modules {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&spelled(&self.modules).join(", "))
    }
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::unreadable(format!("the configuration file {}", path.display()), error)
}

impl File {
    pub(super) fn read(given: Option<&Path>) -> Result<Self, Error> {
        let path = given.unwrap_or(Path::new(FILE_NAME));
        let failed = |error: std::io::Error| unreadable(path, &error);
        let mut opened = match std::fs::File::open(path) {
            Ok(opened) => opened,
            Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        if given.is_none() {
            trust::check_owner(path, &opened)?;
        }
        let mut text = String::new();
        opened.read_to_string(&mut text).map_err(failed)?;
        let shown = path.display();
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::Configuration {
            message: format!("{shown}: {}", error.to_string().trim_end()),
            hint: Some(
                "nothing was done; a configuration file is TOML: 'init --config -' prints one that says what may stand in it"
                    .to_owned(),
            ),
        })?;
        let mut file = Self { path: path.to_owned(), text, found: given.is_none(), ..Self::default() };
        for (key, value) in table {
            let wrong = |must: &str| Error::configuration(format!("{shown}: {key} must be {must}"));
            match (key.as_str(), value) {
                ("variables", toml::Value::Table(table)) => file.variables = table,
                ("variables", _) => return Err(wrong("a table, [variables]")),
                ("target", toml::Value::Table(table)) => file.targets = table,
                ("target", _) => return Err(wrong("tables, [target.NAME]")),
                ("default_target", toml::Value::String(name)) => file.default_target = Some(name),
                ("default_target", _) => return Err(wrong("text")),
                ("modules", toml::Value::Array(list)) => {
                    let wrong = |problem| Error::configuration(format!("{shown}: modules {problem}"));
                    file.modules = Some(Modules::read(&list).map_err(wrong)?);
                }
                ("modules", _) => return Err(wrong("a list of names")),
                ("custom", toml::Value::Array(modules)) => file.custom = modules,
                ("custom", _) => return Err(wrong("an array of tables, [[custom]]")),
                ("column", toml::Value::Array(columns)) => file.columns = columns,
                ("column", _) => return Err(wrong("an array of tables, [[column]]")),
                ("lineage", toml::Value::Table(table)) => file.lineage = table,
                ("lineage", _) => return Err(wrong("a table, [lineage]")),
                ("check", toml::Value::Table(table)) => file.check = table,
                ("check", _) => return Err(wrong("a table, [check]")),
                (other, _) => {
                    let known =
                        ["variables", "target", "default_target", "modules", "custom", "column", "lineage", "check"];
                    return Err(Error::configuration(format!("{shown}: {}", unknown("key", other, known))));
                }
            }
        }
        Ok(file)
    }

    /// The folder that the file's relative paths begin at.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Refuses what the file would do with the user's rights, unless it was named or trusted.
    pub(super) fn check_trusted(&self, wants: &str) -> Result<(), Error> {
        if self.found { trust::check(&self.path, &self.text, wants) } else { Ok(()) }
    }

    /// Trusts the file, and says what its targets run and read with the user's rights.
    pub(super) fn trust(&self) -> Result<Vec<String>, Error> {
        let mut wants = Vec::new();
        for name in self.targets.keys() {
            let settings = self.target(name)?.settings;
            wants.extend(
                settings
                    .iter()
                    .filter_map(|(setting, value)| Some((setting, value.wants()?)))
                    .map(|(setting, wants)| format!("[target.{name}] {setting}: {wants}")),
            );
        }
        wants.extend(
            self.lineage()?
                .iter()
                .filter_map(|(setting, value)| Some((setting, value.wants()?)))
                .map(|(setting, wants)| format!("[lineage] {setting}: {wants}")),
        );
        trust::remember(&self.path, &self.text)?;
        Ok(wants)
    }

    /// Where `[lineage]` sends what it tells, the job's namespace there, and the key.
    pub(super) fn lineage(&self) -> Result<BTreeMap<String, SettingValue>, Error> {
        let known = ["to", "namespace", "api_key"];
        let mut settings = BTreeMap::new();
        for (key, value) in &self.lineage {
            let wrong = |problem: &str| Error::configuration(format!("{}: [lineage]: {problem}", self.path.display()));
            if !known.contains(&key.as_str()) {
                return Err(wrong(&unknown("key", key, known)));
            }
            let value = SettingValue::of_file(value).map_err(|problem| wrong(&format!("{key} {problem}")))?;
            settings.insert(key.clone(), value);
        }
        Ok(settings)
    }

    /// The columns of one's own.
    pub(super) fn columns(&self) -> Result<OwnColumns, Error> {
        let columns = self.columns.iter().enumerate();
        let declared: Vec<Declaration> =
            columns.map(|(position, column)| self.column(position, column)).collect::<Result<_, _>>()?;
        let in_file = |error: Error| Error::configuration(format!("{}: {error}", self.path.display()));
        model::own_columns(&declared).map_err(in_file)
    }

    fn column(&self, position: usize, column: &toml::Value) -> Result<Declaration, Error> {
        let table = column.as_table();
        let named = table.and_then(|table| table.get("name")).and_then(toml::Value::as_str);
        let place = named.map_or_else(|| format!("number {}", position + 1), |name| format!("{name:?}"));
        let wrong =
            |problem: &str| Error::configuration(format!("{}: [[column]] {place}: {problem}", self.path.display()));
        let table = table.ok_or_else(|| wrong("must be a table"))?;
        if let Some(key) = table.keys().find(|key| !Declaration::KEYS.contains(&key.as_str())) {
            return Err(wrong(&unknown("key", key, Declaration::KEYS)));
        }
        column.clone().try_into().map_err(|error: toml::de::Error| wrong(error.to_string().trim_end()))
    }

    pub(super) fn custom_modules(&self) -> Result<Vec<CustomModule>, Error> {
        let mut modules: Vec<CustomModule> = Vec::new();
        for (position, module) in self.custom.iter().enumerate() {
            let module = self.custom_module(position, module)?;
            if let Some(first) = modules.iter().position(|other| other.name == module.name) {
                return Err(Error::Configuration {
                    message: format!(
                        "{}: [[custom]] number {} and number {} are both called {:?}",
                        self.path.display(),
                        first + 1,
                        position + 1,
                        module.name
                    ),
                    hint: Some(
                        "nothing was done; give one of them another name, or take it out: steps are named by it"
                            .to_owned(),
                    ),
                });
            }
            modules.push(module);
        }
        Ok(modules)
    }

    fn custom_module(&self, position: usize, module: &toml::Value) -> Result<CustomModule, Error> {
        let place = format!("{}: [[custom]] number {}", self.path.display(), position + 1);
        let wrong = |problem: &str| Error::configuration(format!("{place}: {problem}"));
        let table = module.as_table().ok_or_else(|| wrong("must be a table"))?;
        let known = ["name", "files", "variables", "after"];
        if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(wrong(&unknown("key", key, known)));
        }
        let name = table.get("name").and_then(toml::Value::as_str).ok_or_else(|| wrong("needs a name"))?;
        let (first, last) = (sessions::module().name, users::module().name);
        let after = table.get("after").map_or(first, |value| value.as_str().unwrap_or_default());
        if ![first, last].contains(&after) {
            return Err(wrong(&format!("after: {}", unknown("module", after, [first, last]))));
        }
        if after == last && !self.modules.as_ref().is_some_and(Modules::has_users) {
            return Err(wrong("after is \"users\", which is not among modules"));
        }
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
        let files = files.iter().map(|file| self.folder().join(file)).collect();
        Ok(CustomModule { name: name.to_owned(), files, variables, after: after.to_owned() })
    }

    /// What a target of the file says: its type and its settings.
    pub(super) fn target(&self, name: &str) -> Result<FileTarget<'_>, Error> {
        let names: Vec<&str> = self.targets.keys().map(String::as_str).collect();
        let target = self.targets.get(name).ok_or_else(|| {
            Error::configuration(if names.is_empty() {
                format!("there is no target {name:?}: there is no [target.{name}] in a {FILE_NAME}")
            } else {
                unknown("target", name, names.iter().copied())
            })
        })?;
        let place = format!("{}: [target.{name}]", self.path.display());
        let wrong = |problem: &str| Error::configuration(format!("{place}: {problem}"));
        let table = target.as_table().ok_or_else(|| wrong("must be a table"))?;
        let backend = table.get("type").and_then(toml::Value::as_str).ok_or_else(|| wrong("needs a type"))?;
        let mut settings = BTreeMap::new();
        for (key, value) in table.iter().filter(|(key, _)| *key != "type") {
            let value = SettingValue::of_file(value).map_err(|problem| wrong(&format!("{key} {problem}")))?;
            settings.insert(key.clone(), value);
        }
        Ok(FileTarget { place, backend, settings })
    }
}

/// One `[target.NAME]`.
pub(super) struct FileTarget<'a> {
    /// Where it stands, for errors.
    pub(super) place: String,
    pub(super) backend: &'a str,
    pub(super) settings: BTreeMap<String, SettingValue>,
}

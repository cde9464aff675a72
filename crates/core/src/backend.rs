//! Backends as data: what a backend is called, which settings it takes, and how it connects. A registry is a list that
//! the program builds; nothing registers itself.

use crate::dialect::Dialect;
use crate::did_you_mean::unknown;
use crate::error::Error;
use crate::warehouse::Warehouse;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One setting of a target of this backend.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its key in `[target.NAME]`.
    pub name: &'static str,
    /// What it is, in one line, units included.
    pub meaning: &'static str,
    /// Its value unless it is set; `None` if it may stay unset.
    pub default: Option<&'static str>,
    /// Whether a connection needs it.
    pub required: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Whether its value is a path: a relative one begins at the file in which it stands.
    pub path: bool,
}

impl Setting {
    /// An optional setting.
    pub const fn optional(name: &'static str, meaning: &'static str) -> Self {
        Self { name, meaning, default: None, required: false, secret: false, path: false }
    }

    /// Gives the value that it has when it is not set.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Makes it one that must be set.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Makes it a path, which is relative to the configuration file.
    #[must_use]
    pub const fn path(mut self) -> Self {
        self.path = true;
        self
    }

    /// Makes it a secret, which is never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Where a setting's value is asked for again.
pub type Source = Arc<dyn Fn() -> Result<String, Error> + Send + Sync>;

/// The settings of a target, as text, by name. `Debug` shows the names only: values may be secret.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
    sources: BTreeMap<String, (Source, Arc<AtomicBool>)>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

impl Settings {
    /// Checks the names against what the backend takes, fills in defaults, and asks for what is required.
    pub fn new(
        factory: &dyn BackendFactory,
        given: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<Self, Error> {
        let known = factory.settings();
        let mut settings: BTreeMap<String, String> =
            given.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        for name in settings.keys() {
            if !known.iter().any(|setting| setting.name == name) {
                let what = format!("{} setting", factory.name());
                return Err(Error::configuration(unknown(&what, name, known.iter().map(|setting| setting.name))));
            }
        }
        for setting in known {
            if let Some(default) = setting.default {
                settings.entry(setting.name.to_owned()).or_insert_with(|| default.to_owned());
            } else if setting.required && !settings.contains_key(setting.name) {
                return Err(Error::configuration(format!(
                    "a {} target needs {}: {}",
                    factory.name(),
                    setting.name,
                    setting.meaning
                )));
            }
        }
        Ok(Self { values: settings, sources: BTreeMap::new() })
    }

    /// A setting's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Adds a source of a setting whose value passes, such as a token.
    #[must_use]
    pub fn with_source(mut self, name: &str, source: Source) -> Self {
        self.sources.insert(name.to_owned(), (source, Arc::default()));
        self
    }

    /// A setting's value as it is now: from its source, if it has one, but for the first time. A backend asks at each new
    /// connection, and when a token is refused.
    pub fn renewed(&self, name: &str) -> Result<Option<String>, Error> {
        match self.sources.get(name) {
            Some((source, used)) if used.swap(true, Ordering::SeqCst) => source().map(Some),
            _ => Ok(self.get(name).map(str::to_owned)),
        }
    }
}

/// A backend: makes dialects and connections.
#[async_trait]
pub trait BackendFactory: Send + Sync {
    /// Its name, as in `type = "…"`; also its dialect's.
    fn name(&self) -> &'static str;

    /// What it is, in one line.
    fn about(&self) -> &'static str;

    /// The settings that a target of it takes.
    fn settings(&self) -> &'static [Setting];

    /// How it spells things.
    fn dialect(&self) -> Arc<dyn Dialect>;

    /// What it can do beyond the model, for `websessions backends`.
    fn abilities(&self) -> &'static [&'static str] {
        &[]
    }

    /// The secrets that a connection with these settings takes from elsewhere by itself, such as a password from the
    /// driver's own environment variable. They are not sent where a file says that nobody vouches for.
    fn ambient_secrets(&self, _settings: &Settings) -> Vec<String> {
        Vec::new()
    }

    /// What connecting would make, as it is not there yet, in words: `the database file x.duckdb`. A command that only looks
    /// says so then, and makes nothing.
    fn absent(&self, _settings: &Settings) -> Option<String> {
        None
    }

    /// Connects. Errors name what was refused and never show a secret.
    async fn connect(&self, settings: &Settings) -> Result<Arc<dyn Warehouse>, Error>;
}

/// The backends that a program has.
#[derive(Clone, Default)]
pub struct Registry(Vec<Arc<dyn BackendFactory>>);

impl Registry {
    /// With one more backend. One of the same name replaces the earlier one.
    #[must_use]
    pub fn with(mut self, factory: Arc<dyn BackendFactory>) -> Self {
        self.0.retain(|known| known.name() != factory.name());
        self.0.push(factory);
        self
    }

    /// All of them, in the order in which they were added.
    pub fn all(&self) -> &[Arc<dyn BackendFactory>] {
        &self.0
    }

    /// The backend of that name.
    pub fn get(&self, name: &str) -> Result<&dyn BackendFactory, Error> {
        let names: Vec<&str> = self.0.iter().map(|factory| factory.name()).collect();
        self.0
            .iter()
            .find(|factory| factory.name() == name)
            .map(AsRef::as_ref)
            .ok_or_else(|| Error::configuration(unknown("backend", name, names.iter().copied())))
    }
}

//! `[check]`: which tests of data are asked, what they mean, and users' own.

use super::Shown;
use super::file::File;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_core::model::Severity;

/// What the file says about tests of data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checking {
    /// Whether they are asked after a run.
    pub(crate) after_run: bool,
    /// Users' own: files of SQL, or folders of them. They are looked at where they are needed.
    files: Vec<PathBuf>,
    /// Where these stand.
    place: String,
    /// What a test means if it finds something, by its name.
    pub(crate) severities: BTreeMap<String, Severity>,
}

impl Checking {
    pub(super) fn read(file: &File) -> Result<Self, Error> {
        let place = format!("{}: [check]", file.path.display());
        let wrong = |problem: &str| Error::configuration(format!("{place}: {problem}"));
        let mut read = Self { place: place.clone(), ..Self::default() };
        for (key, value) in &file.check {
            match (key.as_str(), value) {
                ("after_run", toml::Value::Boolean(truth)) => read.after_run = *truth,
                ("after_run", _) => return Err(wrong("after_run must be true or false")),
                ("files", toml::Value::Array(files)) => {
                    for named in files {
                        let named = named.as_str().ok_or_else(|| wrong("files must be a list of paths"))?;
                        read.files.push(file.folder().join(named));
                    }
                }
                ("files", _) => return Err(wrong("files must be a list of paths")),
                ("severity", toml::Value::Table(table)) => {
                    for (name, value) in table {
                        let text = value.as_str().unwrap_or_default();
                        let severity =
                            text.parse().map_err(|problem| wrong(&format!("severity: {name}: {problem}")))?;
                        read.severities.insert(name.clone(), severity);
                    }
                }
                ("severity", _) => return Err(wrong("severity must be a table, [check.severity]")),
                (other, _) => return Err(wrong(&unknown("key", other, ["after_run", "files", "severity"]))),
            }
        }
        Ok(read)
    }

    /// The files of users' own tests.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let of = |path: &PathBuf| {
            sql_files(path).map_err(|error| {
                let problem = format!("{}: files: {}: {error}", self.place, path.display());
                let hint = "files under [check] names files of SQL, or folders whose .sql files are read, and no patterns; a relative path begins at the file in which it stands";
                Error::Configuration { message: problem, hint: Some(hint.to_owned()) }
            })
        };
        let found: Vec<Vec<PathBuf>> = self.files.iter().map(of).collect::<Result<_, _>>()?;
        Ok(found.concat())
    }

    /// What of it is not as usual.
    pub(super) fn show(&self, origin: &str) -> Vec<Shown> {
        let shown = |name: String, value: String| Shown { name, value, origin: origin.to_owned() };
        let after = self.after_run.then(|| shown("check.after_run".to_owned(), "true".to_owned()));
        let named: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let files = (!named.is_empty()).then(|| shown("check.files".to_owned(), named.join(", ")));
        let severities = self
            .severities
            .iter()
            .map(|(name, severity)| shown(format!("check.severity.{name}"), format!("{severity:?}").to_lowercase()));
        after.into_iter().chain(files).chain(severities).collect()
    }
}

/// A file, or the .sql files of a folder by name.
fn sql_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql")));
    files.sort();
    Ok(files)
}

//! What a configuration file may do that was found, not named. It is read only if nobody else can write it, as git does
//! with a repository; it runs commands and is given secrets only once its user has said so, for just these contents.

use super::file::FILE_NAME;
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;

/// The files that `websessions trust` was given: path and checksum of what stood in them.
const STORE: &str = "websessions/trusted.toml";

/// Refuses a file that somebody else can write: what stands in it is not this user's word.
#[cfg(unix)]
pub(super) fn check_owner(path: &Path, opened: &std::fs::File) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let unreadable = |error| super::file::unreadable(path, &error);
    let file = opened.metadata().map_err(unreadable)?;
    // A link leads to another's choice of a file, and says which folder relative paths begin at.
    let link = path.symlink_metadata().map_err(unreadable)?;
    let caller = rustix::process::geteuid().as_raw();
    let shown = path.display();
    if let Some(other) = [link.uid(), file.uid()].into_iter().find(|owner| ![caller, 0].contains(owner)) {
        return Err(refusal(
            format!("{shown} belongs to user {other}, neither to you (user {caller}) nor to root"),
            path,
            "make it yours with chown",
        ));
    }
    if file.mode() & 0o022 != 0 {
        return Err(refusal(
            format!("{shown} can be written by others than its owner (its mode is {:o})", file.mode() & 0o7777),
            path,
            &format!("'chmod go-w {shown}' mends that"),
        ));
    }
    Ok(())
}

/// Owners are not asked where there is no portable way to.
#[cfg(not(unix))]
pub(super) fn check_owner(_path: &Path, _opened: &std::fs::File) -> Result<(), Error> {
    Ok(())
}

fn refusal(problem: String, path: &Path, mending: &str) -> Error {
    Error::Configuration {
        message: format!("{problem}: it was found, not named, and is not read"),
        hint: Some(format!("{mending}; or, if you know what stands in it, name it: --config {}", path.display())),
    }
}

/// Refuses what a file that was found would do with the user's rights, unless it was trusted.
pub(super) fn check(path: &Path, text: &str, wants: &str) -> Result<(), Error> {
    let stored = store().and_then(|store| trusted_files(&store));
    if stored.is_ok_and(|files| files.get(&key(path)).and_then(toml::Value::as_str) == Some(&checksum(text))) {
        return Ok(());
    }
    Err(Error::Configuration {
        message: format!("{}: {wants}, but the file was found, not named, and is not trusted", path.display()),
        hint: Some(format!(
            "read it, then {} once (again when it changes), or name it each time: --config {FILE_NAME}",
            crate::output::pasteable("trust")
        )),
    })
}

/// Trusts a file with what stands in it now.
pub(super) fn remember(path: &Path, text: &str) -> Result<(), Error> {
    let store = store()?;
    let mut files = trusted_files(&store)?;
    files.insert(key(path), toml::Value::String(checksum(text)));
    let failed = |source| Error::File { path: store.display().to_string(), source };
    let folder = store.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // For its user's eyes alone, and moved at last, so that it is never half of what it was.
    let mut written = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    written.write_all(files.to_string().as_bytes()).map_err(failed)?;
    written.persist(&store).map_err(|error| failed(error.error))?;
    Ok(())
}

fn store() -> Result<PathBuf, Error> {
    let base = etcetera::choose_base_strategy().map_err(|error| {
        Error::configuration(format!("there is no folder of the user's own configuration: {error}"))
    })?;
    Ok(base.config_dir().join(STORE))
}

fn trusted_files(store: &Path) -> Result<toml::Table, Error> {
    match std::fs::read_to_string(store) {
        Ok(text) => text.parse().map_err(|error| Error::Configuration {
            message: format!("{}: {error}", store.display()),
            hint: Some("nothing was done; take this file away, and trust again what you trust".to_owned()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(toml::Table::new()),
        Err(error) => Err(Error::unreadable(store.display(), &error)),
    }
}

/// The file, whatever way leads there.
fn key(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn checksum(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Files that this program writes: each is whole, or as it was before. What is no file (standard output, a device, a pipe) gets
//! its content when that is whole.

use std::fs::{File, OpenOptions, Permissions};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use websessions_core::error::Error;

/// The names of standard output.
const STANDARD_OUTPUT: &[&str] = &["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// What the folders begin with in which files are made.
const PREFIX: &str = ".websessions-";

/// Where something is written to.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    StandardOutput,
    /// A device, or a pipe with a name.
    Stream(PathBuf),
    /// A file, which the new one takes the place of.
    File(PathBuf),
}

/// A folder for a file while it is written: beside the file, so that the last step is a rename. It ends with its process, which has
/// it locked: what a killed one has left is taken away by the next that writes there.
pub(crate) struct Workshop {
    folder: TempDir,
    _lock: Option<File>,
}

impl Workshop {
    fn open(beside: &Path) -> std::io::Result<Self> {
        remove_left(beside);
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
            let _lock = File::open(folder.path()).ok().filter(|folder| folder.lock().is_ok());
            // Before it was locked another process may have taken it for one that was left.
            if folder.path().exists() {
                return Ok(Self { folder, _lock });
            }
        }
    }

    /// Where the file is made.
    pub(crate) fn part(&self, destination: &Destination) -> PathBuf {
        self.folder.path().join(destination.file_name())
    }
}

/// Takes away what killed processes have left in a folder, where folders can be locked.
fn remove_left(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_ours = is_folder && entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_ours
            && let Ok(left) = File::open(entry.path())
            && left.try_lock().is_ok()
        {
            // Still locked: whoever has just made it waits, and makes another.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Where a path leads to, by one name: also where nothing is there yet.
pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (folder.canonicalize(), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

impl Destination {
    pub(crate) fn find(to: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { path: to.display().to_string(), source };
        if STANDARD_OUTPUT.iter().any(|name| to == Path::new(name)) {
            return Ok(Self::StandardOutput);
        }
        match std::fs::metadata(to) {
            Ok(found) if found.is_dir() => Err(Error::configuration(format!("{} is a folder", to.display()))),
            Ok(found) if found.is_file() => {
                // A file that must not be written is not replaced either.
                OpenOptions::new().append(true).open(to).map_err(failed)?;
                // What a link leads to is replaced, not the link.
                Ok(Self::File(std::fs::canonicalize(to).map_err(failed)?))
            }
            Ok(_) => Ok(Self::Stream(to.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::File(to.to_owned())),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn is_standard_output(&self) -> bool {
        matches!(self, Self::StandardOutput)
    }

    /// Writes a file, which the user calls so. Nobody gets the rights of `forbidden`, a mode of Unix.
    pub(crate) fn write(&self, content: &[u8], to: &Path, forbidden: u32) -> Result<(), Error> {
        let folder = self.workshop()?;
        let part = folder.part(self);
        let written = std::fs::write(&part, content).and_then(|()| self.take(&part, forbidden));
        written.map_err(|source| Error::File { path: to.display().to_string(), source })
    }

    /// Where the file is made.
    pub(crate) fn workshop(&self) -> Result<Workshop, Error> {
        match self {
            Self::File(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let opened = std::fs::metadata(folder).and_then(|_| Workshop::open(folder));
                opened.map_err(|source| Error::File { path: path.display().to_string(), source })
            }
            Self::Stream(_) | Self::StandardOutput => {
                let folder = std::env::temp_dir();
                Workshop::open(&folder).map_err(|error| Error::Configuration {
                    message: format!("can't write in {}, the folder of temporary files: {error}", folder.display()),
                    hint: Some("make it, or set TMPDIR to a folder that this user can write in".to_owned()),
                })
            }
        }
    }

    /// The name whose ending says the format: CSV where there is no ending.
    fn file_name(&self) -> PathBuf {
        let named = match self {
            Self::File(path) => path.file_name(),
            Self::Stream(path) => path.file_name().filter(|_| path.extension().is_some()),
            Self::StandardOutput => None,
        };
        named.map_or_else(|| PathBuf::from("table.csv"), PathBuf::from)
    }

    /// Takes the file that is whole.
    pub(crate) fn take(&self, part: &Path, forbidden: u32) -> std::io::Result<()> {
        match self {
            Self::File(path) => {
                let replaced = std::fs::metadata(path).or_else(|_| std::fs::metadata(part))?;
                std::fs::set_permissions(part, without(replaced.permissions(), forbidden))?;
                File::open(part)?.sync_all()?;
                std::fs::rename(part, path)
            }
            Self::Stream(path) => {
                let mut stream = OpenOptions::new().write(true).open(path)?;
                std::io::copy(&mut File::open(part)?, &mut stream).map(|_| ())
            }
            Self::StandardOutput => {
                let mut out = std::io::stdout().lock();
                let copied = std::io::copy(&mut File::open(part)?, &mut out).map(|_| ());
                match copied.and_then(|()| std::io::Write::flush(&mut out)) {
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                    other => other,
                }
            }
        }
    }
}

#[cfg(unix)]
fn without(permissions: Permissions, forbidden: u32) -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    Permissions::from_mode(permissions.mode() & !forbidden)
}

#[cfg(not(unix))]
fn without(permissions: Permissions, _: u32) -> Permissions {
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_goes_and_what_a_living_one_has_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = || {
            let entries = std::fs::read_dir(folder.path()).expect("entries");
            entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
        };
        let lives = Workshop::open(folder.path()).expect("a folder");
        let left = folder.path().join(".websessions-left");
        std::fs::create_dir(&left).expect("a folder");
        std::fs::write(left.join("part.csv"), "half").expect("a file");
        // A pipe of such a name would be waited for: what is no folder stays as it is.
        let other = folder.path().join(".websessions-other");
        std::fs::write(&other, "").expect("a file");
        let next = Workshop::open(folder.path()).expect("a folder");
        std::fs::remove_file(other).expect("it stays");
        let both = [&lives, &next].map(|workshop| workshop.folder.path().to_owned());
        assert!(here().iter().all(|path| both.contains(path)) && here().len() == 2, "{:?}", here());
        drop((lives, next));
        assert_eq!(here(), Vec::<PathBuf>::new());
    }
}

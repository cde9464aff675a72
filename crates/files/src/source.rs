//! Which files are meant: a name is a name; a folder, a quoted pattern and standard input are taken on purpose.
//! Files come in the order in which they are named, those of a folder or pattern in the order of their names.

use crate::error::{Error, Fault};
use crate::field::nearest;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use websessions_core::files::Source;

/// The endings of files of page views, without that of their compression.
pub const ENDINGS: [&str; 5] = ["csv", "parquet", "ndjson", "jsonl", "json"];
/// The endings of compressed files.
pub const COMPRESSED_ENDINGS: [&str; 2] = ["gz", "zst"];

/// All that was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// What is read, in order.
    pub sources: Vec<Source>,
    /// What a named folder has besides files of page views: left out.
    pub left_out: Vec<PathBuf>,
}

impl Sources {
    /// The files behind the arguments of a command. Nothing is opened yet.
    pub fn resolve<Argument: AsRef<OsStr>>(arguments: impl IntoIterator<Item = Argument>) -> Result<Self, Error> {
        let mut found = Self::default();
        for argument in arguments {
            found.add(Path::new(argument.as_ref()))?;
        }
        found.refuse_repetitions()?;
        Ok(found)
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let name = path.display().to_string();
        if path.as_os_str() == "-" {
            self.sources.push(Source::StandardInput);
            return Ok(());
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => self.add_folder(path, &name),
            Ok(_) => {
                self.sources.push(Source::File(path.to_owned()));
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_pattern(&name) => self.add_pattern(&name),
            Err(error) => {
                let refused = Error::new(Fault::Unreadable, name, error.to_string());
                Err(match nearest_file(path) {
                    Some(near) => refused.with_hint(format!("did you mean {}?", near.display())),
                    None => refused,
                })
            }
        }
    }

    fn add_folder(&mut self, folder: &Path, name: &str) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(Fault::Unreadable, name, error.to_string());
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in folder.read_dir().map_err(failed)? {
            entries.push(entry.map_err(failed)?.path());
        }
        entries.sort();
        let before = self.sources.len();
        for entry in entries {
            // Writers keep what is not finished, and their own records, under such names.
            let hidden =
                entry.file_name().is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')));
            if !hidden && entry.is_file() && has_known_ending(&entry) {
                self.sources.push(Source::File(entry));
            } else {
                self.left_out.push(entry);
            }
        }
        if self.sources.len() == before {
            return Err(Error::new(Fault::Usage, name, "no file of page views is in this folder")
                .with_hint(format!("known endings: {}", known_endings())));
        }
        Ok(())
    }

    fn add_pattern(&mut self, pattern: &str) -> Result<(), Error> {
        let usage = |message: String| Error::new(Fault::Usage, pattern, message);
        // As in a shell: `*` stays within a folder, and a leading dot is named.
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let paths = glob::glob_with(&as_pattern(Path::new(pattern)), options)
            .map_err(|error| usage(format!("no pattern: {error}")))?;
        let before = self.sources.len();
        for path in paths {
            let path = path.map_err(|error| Error::new(Fault::Unreadable, pattern, error.to_string()))?;
            if path.is_dir() {
                self.left_out.push(path);
            } else {
                self.sources.push(Source::File(path));
            }
        }
        if self.sources.len() == before {
            return Err(usage("there is no file of this name, and none that the pattern matches".to_owned()));
        }
        Ok(())
    }

    /// A file that is named twice would be read twice.
    fn refuse_repetitions(&self) -> Result<(), Error> {
        let mut seen = std::collections::HashSet::new();
        for source in &self.sources {
            let identity = match source {
                Source::File(path) => path.canonicalize().ok(),
                Source::StandardInput => Some(PathBuf::from("-")),
            };
            if identity.is_some_and(|identity| !seen.insert(identity)) {
                return Err(Error::new(Fault::Usage, source.to_string(), "named twice: it would be read twice"));
            }
        }
        Ok(())
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// A pattern in which a folder that is there is a name, whatever characters are in it.
fn as_pattern(path: &Path) -> String {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new(""));
    let rest = path.strip_prefix(folder).unwrap_or(path);
    PathBuf::from(glob::Pattern::escape(&folder.to_string_lossy())).join(rest).to_string_lossy().into_owned()
}

/// The ending of a file's name and that of its compression, in lower case.
pub(crate) fn endings(path: &Path) -> (Option<&'static str>, Option<&'static str>) {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let ending_of = |name: &str, known: &[&'static str]| {
        known.iter().copied().find(|ending| name.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')))
    };
    let compression = ending_of(&name, &COMPRESSED_ENDINGS);
    let stem = compression.map_or(name.as_str(), |ending| &name[..name.len() - ending.len() - 1]);
    (ending_of(stem, &ENDINGS), compression)
}

fn has_known_ending(path: &Path) -> bool {
    endings(path).0.is_some()
}

pub(crate) fn known_endings() -> String {
    format!(".{}, each also compressed (.{})", ENDINGS.join(", ."), COMPRESSED_ENDINGS.join(", ."))
}

/// The file beside a wrong name whose name is nearest.
fn nearest_file(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = path.file_name()?.to_str()?;
    let names: Vec<String> =
        folder.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = nearest(wrong, names.iter().map(String::as_str).filter(|name| *name != wrong))?;
    Some(path.with_file_name(near))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "x").expect("a file");
        }
        folder
    }

    fn names(folder: &Path, arguments: &[&str]) -> Result<Vec<String>, Error> {
        let sources = Sources::resolve(arguments.iter().map(|argument| folder.join(argument)))?;
        Ok(sources
            .sources
            .iter()
            .map(|source| source.to_string().trim_start_matches(&format!("{}/", folder.display())).to_owned())
            .collect())
    }

    #[test]
    fn a_name_is_a_name() {
        let folder = folder(&["day1.csv", "day[1].csv", "all*.csv", "all2.csv", "domain_sessionid=export/views.csv"]);
        for name in ["day[1].csv", "all*.csv", "domain_sessionid=export/views.csv"] {
            assert_eq!(names(folder.path(), &[name]), Ok(vec![name.to_owned()]));
        }
    }

    #[test]
    fn a_pattern_matches_if_no_file_has_its_name() {
        let folder = folder(&["days/2.csv", "days/1.csv", "days/10.csv", "days/.hidden.csv", "days/deep/3.csv"]);
        assert_eq!(
            names(folder.path(), &["days/*.csv"]),
            Ok(vec!["days/1.csv".to_owned(), "days/10.csv".to_owned(), "days/2.csv".to_owned()])
        );
        assert_eq!(names(folder.path(), &["days/[12].csv"]).map(|names| names.len()), Ok(2));
        assert!(names(folder.path(), &["days/*.parquet"]).is_err_and(|error| error.fault == Fault::Usage));
    }

    #[test]
    fn a_folder_s_name_is_a_name_within_a_pattern_too() {
        let folder = folder(&["day[1]/right.csv", "day1/wrong.csv", "all*/right.csv", "all2/wrong.csv"]);
        for name in ["day[1]", "all*"] {
            assert_eq!(names(folder.path(), &[&format!("{name}/*.csv")]), Ok(vec![format!("{name}/right.csv")]));
        }
        assert_eq!(
            names(folder.path(), &["all?/*.csv"]),
            Ok(vec!["all*/right.csv".to_owned(), "all2/wrong.csv".to_owned()])
        );
    }

    #[test]
    fn a_folder_gives_its_files_of_page_views() {
        let folder =
            folder(&["d/b.CSV.GZ", "d/a.parquet", "d/_SUCCESS", "d/.c.csv", "d/readme.txt", "d/deep/x.csv", "empty/x"]);
        assert_eq!(names(folder.path(), &["d"]), Ok(vec!["d/a.parquet".to_owned(), "d/b.CSV.GZ".to_owned()]));
        let left_out = Sources::resolve([folder.path().join("d")]).expect("files").left_out;
        assert_eq!(left_out.len(), 4, "{left_out:?}");
        assert!(names(folder.path(), &["empty"]).is_err_and(|error| error.message.contains("no file of page views")));
    }

    #[test]
    fn a_wrong_name_is_an_error_with_the_nearest_one() {
        let folder = folder(&["views.csv"]);
        let refused = names(folder.path(), &["view.csv"]).expect_err("no such file");
        assert!(refused.hint.as_ref().is_some_and(|hint| hint.ends_with("views.csv?")), "{refused:?}");
        assert!(
            names(folder.path(), &["views.csv", "./views.csv"]).is_err_and(|error| error.message.contains("twice"))
        );
        assert_eq!(Sources::resolve(["-"]).map(|found| found.sources), Ok(vec![Source::StandardInput]));
        assert!(Sources::resolve(["-", "-"]).is_err());
    }

    #[test]
    fn endings_are_compared_without_case() {
        for (name, expected) in [
            ("VIEWS.CSV.GZ", (Some("csv"), Some("gz"))),
            ("a.Parquet", (Some("parquet"), None)),
            ("a.json.zst", (Some("json"), Some("zst"))),
            ("a.gz", (None, Some("gz"))),
            ("csv", (None, None)),
        ] {
            assert_eq!(endings(Path::new(name)), expected, "{name}");
        }
    }
}

//! Which files are meant: a name is a name; a folder, a quoted pattern and standard input are taken on purpose.
//! Files come in the order in which they are named, those of a folder or pattern in the order of their names.

use crate::error::{Error, Fault};
use crate::field::nearest;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use websessions_core::error::how_to_read;
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_pattern(&name) => self.add_pattern(path),
            Err(error) => {
                let refused = Error::new(Fault::Unreadable, name.as_str(), error.to_string());
                Err(match nearest_file(path) {
                    _ if name.contains("://") => refused.with_hint(
                        "files are read from this machine: get it first, or send it through a pipe to the file named '-'",
                    ),
                    Some(near) => refused.with_hint(format!("did you mean {}?", near.display())),
                    None => refused.with_hint(how_to_read(&error)),
                })
            }
        }
    }

    fn add_folder(&mut self, folder: &Path, name: &str) -> Result<(), Error> {
        let before = self.sources.len();
        for entry in entries(folder)? {
            // What can't be looked at may be a day's page views: a link whose file is gone, a folder without rights.
            if !is_writers_own(&entry) && has_known_ending(&entry) && metadata(&entry)?.is_file() {
                self.sources.push(Source::File(entry));
            } else {
                self.left_out.push(entry);
            }
        }
        if self.sources.len() == before {
            let refused = Error::new(Fault::Usage, name, "no file of page views is in this folder");
            return Err(match ending_below(folder) {
                Some(ending) => refused.with_hint(format!("those in the folders below are '{name}/**/*.{ending}'")),
                None => refused.with_hint(format!(
                    "known endings: {}; a file without one is read if it is named, or by a pattern such as '{name}/*'",
                    known_endings()
                )),
            });
        }
        Ok(())
    }

    fn add_pattern(&mut self, pattern: &Path) -> Result<(), Error> {
        let (before, left_out) = (self.sources.len(), self.left_out.len());
        for path in matches(pattern)? {
            // A pipe is read where it is named: who knows whether somebody writes to it?
            if metadata(&path)?.is_file() {
                self.sources.push(Source::File(path));
            } else {
                self.left_out.push(path);
            }
        }
        if self.sources.len() == before {
            let name = pattern.display().to_string();
            return Err(match self.left_out.get(left_out) {
                Some(folder) if folder.is_dir() => {
                    Error::new(Fault::Usage, name, "the pattern matches folders, and no file").with_hint(format!(
                        "name a folder, such as {}, or the files in it by a pattern",
                        folder.display()
                    ))
                }
                _ => Error::new(Fault::Usage, name, "there is no file of this name, and none that the pattern matches"),
            });
        }
        Ok(())
    }

    /// A file that is named twice would be read twice, also if its names are two.
    fn refuse_repetitions(&self) -> Result<(), Error> {
        let mut seen = HashMap::new();
        for source in &self.sources {
            let Some(first) = identity(source).and_then(|identity| seen.insert(identity, source)) else { continue };
            let message = match first == source {
                true => "named twice: it would be read twice".to_owned(),
                false => format!("the same file as {first}: it would be read twice"),
            };
            return Err(Error::new(Fault::Usage, source.to_string(), message));
        }
        Ok(())
    }
}

/// What a file is known by, whatever its names are: links give it several.
#[cfg(unix)]
fn identity(source: &Source) -> Option<(u64, u64)> {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};
    let metadata = match source {
        Source::File(path) => path.metadata().ok()?,
        Source::StandardInput => {
            std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?).metadata().ok()?
        }
    };
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(source: &Source) -> Option<PathBuf> {
    match source {
        Source::File(path) => path.canonicalize().ok(),
        Source::StandardInput => Some(PathBuf::from("-")),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Fault::Unreadable, path.display().to_string(), error.to_string())
}

/// What is there, behind links.
fn metadata(path: &Path) -> Result<Metadata, Error> {
    path.metadata().map_err(|error| {
        let refused = unreadable(path, &error);
        match path.is_symlink() {
            true => refused.with_hint("it is a link: take it away, or mend what it leads to"),
            false => refused.with_hint(how_to_read(&error)),
        }
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| unreadable(folder, &error);
    let entries = folder.read_dir().map_err(failed)?;
    let mut entries = entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    Ok(entries)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// What a pattern means, in the order of names. As in a shell, `*` stays within a folder and a leading dot is named; `**` is
/// a folder and all below. What is there under a name is meant by it, whatever characters are in it.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>, Error> {
    const OPTIONS: glob::MatchOptions =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        let mut next = Vec::new();
        for folder in found {
            let named = folder.join(part);
            if is_there(&named)? {
                next.push(named);
            } else if name == "**" {
                next.extend(folders_below(&folder)?);
            } else if is_pattern(&name) {
                let wanted = glob::Pattern::new(&name).map_err(|error| {
                    let message = format!("there is no file of this name, and it is no pattern: {error}");
                    Error::new(Fault::Usage, pattern.display().to_string(), message)
                })?;
                let is_wanted = |entry: &PathBuf| {
                    // A name that is not UTF-8 is one all the same.
                    entry.file_name().is_some_and(|name| wanted.matches_with(&name.to_string_lossy(), OPTIONS))
                };
                next.extend(entries_of(&folder)?.into_iter().filter(is_wanted));
            }
        }
        found = next;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether something has this name. A folder that can't be looked into may have it.
fn is_there(path: &Path) -> Result<bool, Error> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// What is in a folder; nothing if it is none.
fn entries_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if folder.as_os_str().is_empty() {
        let entries = entries(Path::new("."))?;
        return Ok(entries.iter().filter_map(|entry| entry.file_name().map(PathBuf::from)).collect());
    }
    match metadata(folder)?.is_dir() {
        true => entries(folder),
        false => Ok(Vec::new()),
    }
}

/// The folder and all below, but not those that are hidden or behind links.
fn folders_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut folders = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next) {
        for entry in entries_of(folder)? {
            if !is_hidden(&entry) && entry.symlink_metadata().map_err(|error| unreadable(&entry, &error))?.is_dir() {
                folders.push(entry);
            }
        }
        next += 1;
    }
    Ok(folders)
}

/// How a file of page views is called that is in a folder below one, or in a folder of that: no farther, as it is but a
/// hint, and a folder named by mistake may hold a whole disk.
fn ending_below(folder: &Path) -> Option<String> {
    let mut folders = VecDeque::from([(folder.to_owned(), 0)]);
    while let Some((folder, depth)) = folders.pop_front() {
        for entry in entries_of(&folder).unwrap_or_default() {
            if entry.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                if depth < 2 && !is_hidden(&entry) {
                    folders.push_back((entry, depth + 1));
                }
            } else if depth > 0 && !is_writers_own(&entry) && has_known_ending(&entry) {
                return entry.extension().map(|ending| ending.to_string_lossy().into_owned());
            }
        }
    }
    None
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a file is called as what writers have not finished, and their own records.
fn is_writers_own(path: &Path) -> bool {
    is_hidden(path) || path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"_"))
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
        let refused = names(folder.path(), &["."]).expect_err("its folders have some");
        assert!(refused.hint.as_ref().is_some_and(|hint| hint.contains("/**/*.")), "{refused:?}");
    }

    #[test]
    fn files_are_looked_for_two_folders_below_one_without_any_and_no_farther() {
        for (below, found) in [
            ("a/b/views.csv.gz", Some("/**/*.gz'")),
            ("a/views.JSON", Some("/**/*.JSON'")),
            ("a/b/c/views.csv", None),
            (".a/views.csv", None),
            ("a/_views.csv", None),
        ] {
            let folder = folder(&[below]);
            let hint = names(folder.path(), &["."]).expect_err("no file in it").hint.expect("what to do");
            assert!(
                hint.ends_with(found.unwrap_or("/*'")) && hint.contains("/**/") == found.is_some(),
                "{below}: {hint}"
            );
        }
    }

    #[test]
    fn a_wrong_name_is_an_error_with_the_nearest_one() {
        let folder = folder(&["views.csv"]);
        let refused = names(folder.path(), &["view.csv"]).expect_err("no such file");
        assert!(refused.hint.as_ref().is_some_and(|hint| hint.ends_with("views.csv?")), "{refused:?}");
        assert!(
            names(folder.path(), &["views.csv", "./views.csv"]).is_err_and(|error| error.message.contains("twice"))
        );
        let refused = Sources::resolve(["s3://bucket/views.csv"]).expect_err("no file");
        assert!(refused.hint.as_ref().is_some_and(|hint| hint.contains("from this machine")), "{refused:?}");
        assert_eq!(Sources::resolve(["-"]).map(|found| found.sources), Ok(vec![Source::StandardInput]));
        assert!(Sources::resolve(["-", "-"]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_a_pattern_cannot_look_into_is_refused() {
        let folder = folder(&["days/a/views.csv"]);
        std::os::unix::fs::symlink("b", folder.path().join("days/b")).expect("a link that leads to itself");
        for pattern in ["days/*/views.csv", "days/*/*.csv"] {
            let refused = names(folder.path(), &[pattern]).expect_err("b may have the file");
            assert_eq!(refused.fault, Fault::Unreadable, "{refused:?}");
        }
        assert_eq!(names(folder.path(), &["days/**/views.csv"]), Ok(vec!["days/a/views.csv".to_owned()]));
    }

    #[test]
    fn a_pattern_of_folders_says_how_their_files_are_named() {
        let folder = folder(&["days/a/views.csv"]);
        let refused = names(folder.path(), &["days/*"]).expect_err("folders");
        assert!(refused.message.contains("matches folders"), "{refused:?}");
        assert!(refused.hint.is_some_and(|hint| hint.contains("days/a")));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_two_names_is_one_file() {
        let folder = folder(&["views.csv", "other.csv", "d/1.csv"]);
        let at = |name: &str| folder.path().join(name);
        std::fs::hard_link(at("views.csv"), at("hard.csv")).expect("a link");
        std::os::unix::fs::symlink(at("views.csv"), at("soft.csv")).expect("a link");
        std::os::unix::fs::symlink(at("d"), at("e")).expect("a link");
        for pair in [["views.csv", "hard.csv"], ["soft.csv", "views.csv"], ["hard.csv", "d/../soft.csv"], ["d", "e"]] {
            let refused = names(folder.path(), &pair).expect_err("one file");
            assert!(refused.fault == Fault::Usage && refused.message.contains("the same file as"), "{refused:?}");
        }
        assert!(names(folder.path(), &["views.csv", "other.csv", "e"]).is_ok());
        assert!(Sources::resolve(["-", "/dev/stdin"]).is_err());
    }

    /// A link whose file is gone may be a day's page views: not left out without a word.
    #[cfg(unix)]
    #[test]
    fn what_can_not_be_looked_at_is_refused() {
        let folder = folder(&["d/1.csv"]);
        std::os::unix::fs::symlink("gone", folder.path().join("d/2.csv")).expect("a link");
        for argument in ["d", "d/*.csv", "d/2.csv", "**/*.csv"] {
            let refused = names(folder.path(), &[argument]).expect_err("a link to nothing");
            assert!(refused.fault == Fault::Unreadable && refused.file.ends_with("d/2.csv"), "{argument}: {refused:?}");
        }
        std::fs::rename(folder.path().join("d/2.csv"), folder.path().join("d/_2.csv")).expect("renamed");
        assert_eq!(names(folder.path(), &["d"]), Ok(vec!["d/1.csv".to_owned()]));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_not_utf_8_is_a_name() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder(&["d/1.csv"]);
        let strange = folder.path().join("d").join(OsStr::from_bytes(b"caf\xe9.csv"));
        std::fs::write(&strange, "x").expect("a file");
        for argument in ["d", "d/*.csv", "d/caf?.csv"] {
            let found = Sources::resolve([folder.path().join(argument)]).expect("files").sources;
            assert!(found.contains(&Source::File(strange.clone())), "{argument}: {found:?}");
        }
        assert!(Sources::resolve([&strange]).is_ok());
    }

    #[test]
    fn two_asterisks_are_all_folders_below() {
        let folder = folder(&["d/1.csv", "d/a/2.csv", "d/a/b/3.csv", "d/.git/4.csv"]);
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("d"), folder.path().join("d/a/up")).expect("a link");
        let all = ["d/1.csv", "d/a/2.csv", "d/a/b/3.csv"].map(str::to_owned).to_vec();
        assert_eq!(names(folder.path(), &["d/**/*.csv"]), Ok(all));
        assert_eq!(names(folder.path(), &["d/**/3.csv"]), Ok(vec!["d/a/b/3.csv".to_owned()]));
        assert!(names(folder.path(), &["d/[1-"]).is_err_and(|error| error.message.contains("it is no pattern")));
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

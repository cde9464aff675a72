//! Files: read as text, and found where the trees of playbooks keep their SQL.

use std::path::{Path, PathBuf};
use websessions_core::error::Error;

/// How many folders above a playbook's may have the folder `sql`.
const HIGHEST: usize = 7;

/// A file's text, without the byte order mark that some editors begin it with.
pub(crate) fn read(file: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(file).map_err(|source| Error::File { path: file.display().to_string(), source })?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::configuration(format!("{}: is not UTF-8 text", file.display())))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// A query's file: under the folder that was given, else in a folder `sql` in the playbook's folder or one of those above
/// it, else in the playbook's folder.
pub fn find_file(playbook: &Path, file: &str, sql_root: Option<&Path>) -> Result<PathBuf, Error> {
    let folder = playbook.parent().unwrap_or(Path::new(""));
    let candidates: Vec<PathBuf> = match sql_root {
        Some(root) => vec![root.join(file)],
        None => {
            let beside = with_those_above(folder).into_iter().map(|folder| folder.join("sql").join(file));
            beside.chain([folder.join(file)]).collect()
        }
    };
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let places: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        Error::Configuration {
            message: format!("{}: there is no file {file}; looked for {}", playbook.display(), places.join(", ")),
            hint: Some("--sqlroot names the folder that the files of queries are in".to_owned()),
        }
    })
}

/// A folder and those above it, also above the present one if it is a relative path.
fn with_those_above(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.strip_prefix(".").unwrap_or(folder);
    let mut folders: Vec<PathBuf> = folder.ancestors().take(HIGHEST).map(Path::to_owned).collect();
    let goes_up = folder.components().any(|component| component == std::path::Component::ParentDir);
    if folder.is_relative() && !goes_up {
        let above = (1..).map(|count| PathBuf::from(vec![".."; count].join("/")));
        folders.extend(above.take(HIGHEST - folders.len().min(HIGHEST)));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_above_are_found_from_anywhere_in_a_tree() {
        let above = |folder: &str| -> Vec<String> {
            with_those_above(Path::new(folder)).iter().map(|folder| folder.display().to_string()).collect()
        };
        assert_eq!(
            above("playbooks/own"),
            ["playbooks/own", "playbooks", "", "..", "../..", "../../..", "../../../.."]
        );
        assert_eq!(above("."), ["", "..", "../..", "../../..", "../../../..", "../../../../..", "../../../../../.."]);
        assert_eq!(above("/a/b"), ["/a/b", "/a", "/"]);
    }
}

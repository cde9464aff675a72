//! Files: read as text, and found where the trees of playbooks keep their SQL.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use websessions_core::error::{Error, Remedy};

/// How many folders above a playbook's may have the folder `sql`.
const HIGHEST: usize = 7;

/// A file's text, without the byte order mark that some editors begin it with.
pub(crate) fn read(file: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| Error::unreadable(file.display(), &error))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// What is known of a file or folder. A folder is refused where one file is meant, and the other way round: which of the two a name
/// is of is how it is given.
pub(crate) fn metadata_of(path: &Path, is_folder: bool) -> Result<Metadata, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::unreadable(path.display(), &error))?;
    if metadata.is_dir() == is_folder {
        return Ok(metadata);
    }
    let message = match is_folder {
        true => format!("{} is a file, and a folder of playbooks is read here", path.display()),
        false => format!("{} is a folder, and one file is read here", path.display()),
    };
    Err(Error::Usage { message, remedy: Remedy::NameByItsKind })
}

/// A query's file: under the folder that was given, else in a folder `sql` in the playbook's folder or one of those above
/// it, else in the playbook's folder. A path that leads out of these, also by a link, is refused: a playbook may be
/// another's, and its files are sent to the warehouse.
pub fn find_file(playbook: &Path, file: &str, sql_root: Option<&Path>) -> Result<PathBuf, Error> {
    let folder = playbook.parent().unwrap_or(Path::new(""));
    let roots: Vec<PathBuf> = match sql_root {
        Some(root) => vec![root.to_owned()],
        None => {
            let beside = with_those_above(folder).into_iter().map(|folder| folder.join("sql"));
            beside.chain([folder.to_owned()]).collect()
        }
    };
    let wrong = |message: String| Error::Usage {
        message: format!("{}: {message}", playbook.display()),
        remedy: Remedy::NameTheFolderOfSql,
    };
    let candidates: Vec<PathBuf> = roots.iter().map(|root| root.join(file)).collect();
    let Some(found) = candidates.iter().find(|path| path.is_file()) else {
        let places: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        return Err(wrong(format!("there is no file {file}; looked for {}", places.join(", "))));
    };
    let real = |path: &Path| path.canonicalize().ok();
    let here = Path::new(".");
    let roots = roots.iter().filter_map(|root| real(if root.as_os_str().is_empty() { here } else { root }));
    match real(found) {
        Some(path) if roots.into_iter().any(|root| path.starts_with(root)) => Ok(found.clone()),
        _ => Err(wrong(format!("the file {file} is outside the folders that a playbook's files are in"))),
    }
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
    fn a_path_that_leads_out_of_the_roots_is_refused() {
        let tree = tempfile::tempdir().expect("a folder");
        let at = |path: &str| tree.path().join(path);
        for folder in ["mine/playbooks/own", "mine/sql", "other"] {
            std::fs::create_dir_all(at(folder)).expect("a folder");
        }
        for file in ["secret.sql", "other/secret.sql", "mine/sql/good.sql", "mine/playbooks/own/beside.sql"] {
            std::fs::write(at(file), "SELECT 1").expect("a file");
        }
        let playbook = at("mine/playbooks/own/playbook.yml");
        let absolute = at("secret.sql").display().to_string();
        for allowed in ["good.sql", "beside.sql", "../sql/good.sql", &at("mine/sql/good.sql").display().to_string()] {
            find_file(&playbook, allowed, None).unwrap_or_else(|error| panic!("{allowed}: {error}"));
        }
        let mut outside = vec!["../../../secret.sql", "../../secret.sql", &absolute];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("secret.sql"), at("mine/sql/link.sql")).expect("a link");
            outside.push("link.sql");
        }
        for file in outside {
            let error = find_file(&playbook, file, None).expect_err(file).to_string();
            assert!(error.contains("outside the folders"), "{file}: {error}");
        }
        let root = at("other");
        find_file(&playbook, "secret.sql", Some(&root)).expect("where --sqlroot says");
        let error = find_file(&playbook, "../secret.sql", Some(&root)).expect_err("above it").to_string();
        assert!(error.contains("outside the folders"), "{error}");
    }

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

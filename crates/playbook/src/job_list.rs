//! Job lists: JSON that names playbooks, and which of them come after which.

use crate::folder::{Purpose, check_phases};
use crate::playbook::{ENDINGS, Playbook, without_ending};
use crate::target::backend_of;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::did_you_mean::{nearest, unknown};
use websessions_core::error::{Error, Remedy};

/// The keys that lists have, those included that mean something to the old pipeline alone.
const LIST_KEYS: &[&str] = &["schema", "data"];
const DATA_KEYS: &[&str] = &["enabled", "storage", "playbooks", "lockType", "owners", "sqlRunner", "dagName"];
const LISTED_KEYS: &[&str] = &["playbook", "dependsOn"];

#[derive(Deserialize)]
struct JobList {
    data: JobListData,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct JobListData {
    enabled: Option<bool>,
    /// A target of the pipeline, by a name of its own. It means something here if it is a warehouse's.
    storage: Option<Value>,
    playbooks: Vec<ListedPlaybook>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct ListedPlaybook {
    playbook: String,
    #[serde(default, rename = "dependsOn", deserialize_with = "or_none")]
    depends_on: Vec<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl JobList {
    /// The keys that no job list has, in words: an order that is written under another name would be none.
    fn unknown_keys(&self) -> Vec<String> {
        let listed = self.data.playbooks.iter().map(|one| (&one.others, "a playbook of the list", LISTED_KEYS));
        let tables = [(&self.others, "the list", LIST_KEYS), (&self.data.others, "the data of the list", DATA_KEYS)];
        let mut found = Vec::new();
        for (others, what, known) in tables.into_iter().chain(listed) {
            for key in others.keys().filter(|key| !known.contains(&key.as_str())) {
                let meant = nearest(key, known.iter().copied()).map(|name| format!("; did you mean {name:?}?"));
                let problem =
                    format!("{what} has the unknown key {key:?}, which is ignored{}", meant.unwrap_or_default());
                if !found.contains(&problem) {
                    found.push(problem);
                }
            }
        }
        found
    }
}

/// A list; null is an empty one.
fn or_none<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The playbooks of a job list, each after those that it depends on, else as listed; for `destroy`, else in reverse. The
/// list's `lockType` and `owners` have no meaning here: the lock is the run's own.
pub fn from_job_list(
    file: &Path,
    purpose: Purpose,
    overrides: &BTreeMap<String, String>,
) -> Result<Vec<Playbook>, Error> {
    let wrong = |problem: String| {
        Error::Configuration {
        message: format!("{}: {problem}", file.display()),
        hint: Some(
            "a job list is {\"data\": {\"enabled\": true, \"playbooks\": [{\"playbook\": \"NAME\", \"dependsOn\": []}]}}".to_owned(),
        ),
    }
    };
    crate::files::metadata_of(file, false)?;
    let text = crate::files::read(file)?;
    let list: JobList = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let data = &list.data;
    let is_enabled = data.enabled != Some(false);
    if !is_enabled && purpose != Purpose::Look {
        return Err(wrong("it is not enabled".to_owned()));
    }
    if data.playbooks.is_empty() {
        return Err(wrong("it lists no playbook".to_owned()));
    }
    in_order(&data.playbooks, false).map_err(wrong)?;
    let storage = data.storage.as_ref().and_then(Value::as_str).and_then(backend_of);
    let mut playbooks = Vec::new();
    for listed in &data.playbooks {
        let playbook = Playbook::read(&find_playbook(file, &listed.playbook)?, overrides)?;
        let backend = playbook.targets.iter().find_map(|target| target.backend);
        if let (Some(storage), Some(backend)) = (storage, backend)
            && storage != backend
        {
            return Err(playbook
                .wrong(format!("its target is a {backend}, but the job list says {storage:?}"), "mend one of them"));
        }
        playbooks.push(playbook);
    }
    if let Some(first) = playbooks.first_mut().filter(|_| !is_enabled) {
        first.warnings.push(format!("{} lists it, and is not enabled: it does not run", file.display()));
    }
    if let Some(first) = playbooks.first_mut() {
        first.warnings.extend(list.unknown_keys().iter().map(|problem| format!("{}: {problem}", file.display())));
    }
    // To look at a list, what it is for is known by what it lists.
    let destroys = playbooks.iter().any(Playbook::destroys);
    let purpose = match purpose {
        Purpose::Look if destroys => Purpose::Destroy,
        Purpose::Look => Purpose::Run,
        purpose => purpose,
    };
    playbooks.iter().try_for_each(|playbook| purpose.check(playbook)).map_err(|error| match error {
        Error::Usage { message, .. } => Error::Usage { message, remedy: Remedy::DestroyByJobList },
        Error::Configuration { message, .. } => {
            Error::Configuration { message, hint: Some("a job list destroys if all its playbooks do".to_owned()) }
        }
        error => error,
    })?;
    check_phases(&playbooks)?;
    let order = in_order(&data.playbooks, purpose == Purpose::Destroy).map_err(wrong)?;
    let mut numbered: Vec<(usize, Playbook)> = playbooks.into_iter().enumerate().collect();
    numbered.sort_by_key(|(number, _)| order.iter().position(|ordered| ordered == number));
    Ok(numbered.into_iter().map(|(_, playbook)| playbook).collect())
}

/// A playbook's name as lists write it, without its ending.
fn plain_name(name: &str) -> &str {
    let name = name.trim_start_matches("./");
    without_ending(name).unwrap_or(name)
}

/// The playbooks' numbers, in an order in which each comes after those that it depends on.
fn in_order(listed: &[ListedPlaybook], backwards: bool) -> Result<Vec<usize>, String> {
    let names: Vec<&str> = listed.iter().map(|one| plain_name(&one.playbook)).collect();
    for (position, one) in listed.iter().enumerate() {
        if names.iter().take(position).any(|name| *name == plain_name(&one.playbook)) {
            return Err(format!("{:?} is listed twice", one.playbook));
        }
        if let Some(wrong) = one.depends_on.iter().find(|name| !names.contains(&plain_name(name))) {
            let problem = unknown("playbook", wrong, names.iter().copied());
            return Err(format!("{:?} depends on an {problem}", one.playbook));
        }
    }
    let mut left: Vec<usize> = (0..listed.len()).collect();
    if backwards {
        left.reverse();
    }
    let mut done: Vec<usize> = Vec::new();
    while !left.is_empty() {
        let is_ready = |number: &usize| {
            listed[*number].depends_on.iter().all(|name| done.iter().any(|done| names[*done] == plain_name(name)))
        };
        match left.iter().position(is_ready) {
            Some(position) => done.push(left.remove(position)),
            None => {
                left.sort_unstable();
                let left: Vec<&str> = left.iter().map(|number| names[*number]).collect();
                return Err(format!("these playbooks depend on each other in a circle: {}", left.join(", ")));
            }
        }
    }
    Ok(done)
}

/// The file of a playbook that a job list names, with or without its ending: in the folder `playbooks` beside the list's
/// own, in one there, beside the list, or in the folder above.
fn find_playbook(list: &Path, name: &str) -> Result<PathBuf, Error> {
    let folder = list.parent().unwrap_or(Path::new(""));
    let above = match folder.file_name() {
        Some(_) => folder.parent().unwrap_or(Path::new("")).to_owned(),
        None => folder.join(".."),
    };
    let folders = [above.join("playbooks"), folder.join("playbooks"), folder.to_owned(), above];
    let names: Vec<String> =
        std::iter::once("").chain(ENDINGS.iter().copied()).map(|ending| format!("{name}{ending}")).collect();
    let mut candidates = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        let places = folders.each_ref().map(|folder| match folder.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => folder.display().to_string(),
        });
        Error::Configuration {
            message: format!("{}: there is no playbook {name:?}", list.display()),
            hint: Some(format!("looked in {}", places.join(", "))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(backwards: bool, listed: &[(&str, &[&str])]) -> Result<Vec<String>, String> {
        let listed: Vec<ListedPlaybook> = listed
            .iter()
            .map(|(name, depends_on)| ListedPlaybook {
                playbook: (*name).to_owned(),
                depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
                others: Map::new(),
            })
            .collect();
        in_order(&listed, backwards)
            .map(|order| order.into_iter().map(|number| listed[number].playbook.clone()).collect())
    }

    #[test]
    fn a_key_that_no_list_has_is_told_with_what_was_meant() {
        let list = r#"{"schema": "x", "data": {"enabled": true, "sqlRunner": "1", "lock": 1, "playbooks":
            [{"playbook": "a", "depends_on": []}, {"playbook": "b", "dependson": ["a"]}, {"playbook": "c", "depends_on": []}]}}"#;
        let found = serde_json::from_str::<JobList>(list).expect("a job list").unknown_keys();
        let expected = [
            "the data of the list has the unknown key \"lock\", which is ignored; did you mean \"lockType\"?",
            "a playbook of the list has the unknown key \"depends_on\", which is ignored; did you mean \"dependsOn\"?",
            "a playbook of the list has the unknown key \"dependson\", which is ignored; did you mean \"dependsOn\"?",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_playbook_comes_after_those_that_it_depends_on() {
        let names = order(false, &[("complete", &["own", "main"]), ("own", &["main"]), ("main", &[]), ("other", &[])]);
        assert_eq!(names.expect("an order"), ["main", "own", "complete", "other"]);
        assert!(order(false, &[("a", &["b"]), ("b", &["a"]), ("c", &[])]).expect_err("a circle").ends_with("a, b"));
        assert!(order(false, &[("a", &["a"])]).is_err());
        assert!(
            order(false, &[("main", &[]), ("b", &["mian"])]).expect_err("unknown").contains("did you mean \"main\"")
        );
        assert!(order(false, &[("a", &[]), ("a", &[])]).expect_err("twice").contains("listed twice"));
    }
}

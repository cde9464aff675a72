//! Several playbooks as one run: a folder of them, or a JSON list of jobs that depend on each other.

use crate::playbook::{ENDINGS, Playbook};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_core::plan::Phase;
use websessions_core::variables::{VARIABLES, check_name};

fn is_destroy(playbook: &Playbook) -> bool {
    playbook.phases().contains(&Phase::Destroy)
}

/// One playbook: for a run one that doesn't destroy, for `destroy` one that does.
pub fn from_file(file: &Path, destroys: bool, overrides: &BTreeMap<String, String>) -> Result<Vec<Playbook>, Error> {
    let playbook = Playbook::read(file, overrides)?;
    match (destroys, is_destroy(&playbook)) {
        (false, true) => {
            Err(playbook.wrong("this playbook destroys", "run it through 'websessions destroy --playbook FILE'"))
        }
        (true, false) => Err(playbook.wrong(
            "this playbook destroys nothing",
            "the playbook that destroys has the steps of standard/03-sessions/XX-destroy",
        )),
        _ => Ok(vec![playbook]),
    }
}

/// The playbooks of a folder, in the order in which they run: main, the custom ones by name, complete. Those that destroy
/// are left out; for `destroy` they are all.
pub fn from_directory(
    folder: &Path,
    destroys: bool,
    overrides: &BTreeMap<String, String>,
) -> Result<Vec<Playbook>, Error> {
    let failed = |source| Error::File { path: folder.display().to_string(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.retain(|path| path.is_file() && ENDINGS.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    paths.sort();
    let mut playbooks = paths.iter().map(|path| Playbook::read(path, overrides)).collect::<Result<Vec<_>, _>>()?;
    playbooks.retain(|playbook| is_destroy(playbook) == destroys);
    if playbooks.is_empty() {
        let what = if destroys { "playbook that destroys" } else { "playbook" };
        return Err(Error::Configuration {
            message: format!("{}: there is no {what}", folder.display()),
            hint: Some(format!("the name of a playbook ends in {}", ENDINGS.join(", "))),
        });
    }
    // Stable: custom ones stay in the order of their names.
    playbooks.sort_by_key(|playbook| {
        let phases = playbook.phases();
        match (phases.contains(&Phase::Main), phases.contains(&Phase::Complete)) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        }
    });
    for phase in [Phase::Main, Phase::Complete, Phase::Destroy] {
        let of_phase: Vec<&Playbook> = playbooks.iter().filter(|playbook| playbook.phases().contains(&phase)).collect();
        if let [first, second, ..] = of_phase.as_slice() {
            let other = first.path.display();
            return Err(second.wrong(
                format!("{} stands in {other} too", phase.name()),
                "keep one of them in the folder, or name one with --playbook",
            ));
        }
    }
    Ok(playbooks)
}

#[derive(Deserialize)]
struct File {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    enabled: Option<bool>,
    storage: Option<String>,
    playbooks: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    playbook: String,
    #[serde(default, rename = "dependsOn")]
    depends_on: Vec<String>,
}

/// The playbooks of a JSON list of jobs, each after those that it depends on, else as listed. Its `lockType` and `owners`
/// have no meaning here: the lock is the run's own.
pub fn from_job_list(file: &Path, overrides: &BTreeMap<String, String>) -> Result<Vec<Playbook>, Error> {
    let wrong = |problem: String| {
        Error::Configuration {
        message: format!("{}: {problem}", file.display()),
        hint: Some("a job list is {\"data\": {\"enabled\": true, \"playbooks\": [{\"playbook\": \"NAME\", \"dependsOn\": []}]}}".to_owned()),
    }
    };
    let text = crate::script::read(file)?;
    let data = serde_json::from_str::<File>(&text).map_err(|error| wrong(error.to_string()))?.data;
    if data.enabled == Some(false) {
        return Err(wrong("it is not enabled".to_owned()));
    }
    if data.playbooks.is_empty() {
        return Err(wrong("it lists no playbook".to_owned()));
    }
    let mut playbooks = Vec::new();
    for name in in_order(&data.playbooks).map_err(wrong)? {
        let playbook = Playbook::read(&find_playbook(file, name)?, overrides)?;
        if is_destroy(&playbook) {
            return Err(
                playbook.wrong("this playbook destroys", "run it through 'websessions destroy --playbook FILE'")
            );
        }
        let storage = data.storage.as_deref().unwrap_or_default().to_lowercase();
        let backend = playbook.targets.iter().find_map(|target| target.backend);
        if let Some(backend) =
            backend.filter(|backend| !storage.is_empty() && *backend != storage.trim_end_matches("ql"))
        {
            return Err(playbook
                .wrong(format!("its target is a {backend}, but the job list says {storage:?}"), "mend one of them"));
        }
        playbooks.push(playbook);
    }
    Ok(playbooks)
}

/// Names in an order in which each comes after those that it depends on.
fn in_order(jobs: &[Job]) -> Result<Vec<&str>, String> {
    let names: Vec<&str> = jobs.iter().map(|job| job.playbook.as_str()).collect();
    for (position, job) in jobs.iter().enumerate() {
        if names.iter().take(position).any(|name| *name == job.playbook) {
            return Err(format!("{:?} is listed twice", job.playbook));
        }
        if let Some(wrong) = job.depends_on.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(format!(
                "{:?} depends on an {}",
                job.playbook,
                unknown("playbook", wrong, names.iter().copied())
            ));
        }
    }
    let mut done: Vec<&str> = Vec::new();
    while done.len() < jobs.len() {
        let ready = jobs.iter().find(|job| {
            !done.contains(&job.playbook.as_str()) && job.depends_on.iter().all(|name| done.contains(&name.as_str()))
        });
        match ready {
            Some(job) => done.push(&job.playbook),
            None => {
                let left: Vec<&str> = names.iter().copied().filter(|name| !done.contains(name)).collect();
                return Err(format!("these playbooks depend on each other in a circle: {}", left.join(", ")));
            }
        }
    }
    Ok(done)
}

/// The file of a playbook that a job list names, with or without its ending: beside the list, in a folder `playbooks`
/// there or beside it, or in the folder above.
fn find_playbook(list: &Path, name: &str) -> Result<PathBuf, Error> {
    let folder = list.parent().unwrap_or(Path::new(""));
    let above = folder.join("..");
    let folders = [folder.to_owned(), folder.join("playbooks"), above.join("playbooks"), above];
    let names: Vec<String> =
        std::iter::once("").chain(ENDINGS.iter().copied()).map(|ending| format!("{name}{ending}")).collect();
    let mut candidates = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    candidates.find(|path| path.is_file()).ok_or_else(|| Error::Configuration {
        message: format!("{}: there is no playbook {name:?}", list.display()),
        hint: Some(format!("looked in {}", folders.each_ref().map(|folder| folder.display().to_string()).join(", "))),
    })
}

impl Playbook {
    /// The model's variables among its own, as the original reads them, and what is odd about them: a lookback of 0 or
    /// nothing means 30, a flag of nothing is false, names may be numbers.
    pub fn model_variables(&self) -> (BTreeMap<String, serde_json::Value>, Vec<String>) {
        use serde_json::Value;
        let mut values = BTreeMap::new();
        let mut warnings = Vec::new();
        for (name, value) in self.variables.iter().filter(|(name, _)| check_name(name).is_ok()) {
            let nothing = match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Number(number) => number.as_f64() == Some(0.0),
                Value::Bool(truth) => !truth,
                Value::Array(_) | Value::Object(_) => false,
            };
            let value = match name.as_str() {
                "upsert_lookback" | "upsert_lookback_days" if nothing => {
                    warnings.push(format!("{name} of {value} means 30 days, as in the original model"));
                    continue;
                }
                "stage_next" | "skip_derived" | "ends_run" if nothing => Value::Bool(false),
                "scratch_schema" | "output_schema" | "entropy" | "model_version" => match value {
                    Value::Number(number) => Value::String(number.to_string()),
                    other => other.clone(),
                },
                _ => value.clone(),
            };
            values.insert(name.clone(), value);
        }
        (values, warnings)
    }

    /// The variables that decide which tables it is about, as far as it says.
    pub(crate) fn place(&self) -> Vec<(&'static str, String)> {
        let names = VARIABLES.iter().map(|variable| variable.name);
        names
            .filter(|name| ["scratch_schema", "output_schema", "entropy"].contains(name))
            .filter_map(|name| {
                let value = self.variables.get(name)?;
                let text = value
                    .as_str()
                    .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
                Some((name, text))
            })
            .collect()
    }

    fn differs_from(&self, other: &Self) -> Option<String> {
        let others = other.place();
        self.place().into_iter().find_map(|(name, value)| {
            let (_, theirs) = others.iter().find(|(theirs, _)| *theirs == name)?;
            (*theirs != value).then(|| format!("{name} is {value:?}, but {theirs:?} in {}", other.path.display()))
        })
    }
}

/// The first playbook that is about other tables than one before it, and how they differ: the playbooks of one run are
/// about the same tables.
pub fn stray(playbooks: &[Playbook]) -> Option<(&Playbook, String)> {
    playbooks.iter().enumerate().find_map(|(number, playbook)| {
        let problem = playbooks[..number].iter().find_map(|before| playbook.differs_from(before))?;
        Some((playbook, problem))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(jobs: &[(&str, &[&str])]) -> Result<Vec<String>, String> {
        let jobs: Vec<Job> = jobs
            .iter()
            .map(|(name, depends_on)| Job {
                playbook: (*name).to_owned(),
                depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
            })
            .collect();
        in_order(&jobs).map(|names| names.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn a_job_comes_after_those_that_it_depends_on() {
        let names = order(&[("complete", &["own", "main"]), ("own", &["main"]), ("main", &[]), ("other", &[])]);
        assert_eq!(names.expect("an order"), ["main", "own", "complete", "other"]);
        assert!(order(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]).expect_err("a circle").ends_with("a, b"));
        assert!(order(&[("a", &["a"])]).is_err());
        assert!(order(&[("main", &[]), ("b", &["mian"])]).expect_err("unknown").contains("did you mean \"main\""));
        assert!(order(&[("a", &[]), ("a", &[])]).expect_err("twice").contains("listed twice"));
    }
}

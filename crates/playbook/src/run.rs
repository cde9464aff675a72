//! What playbooks do together, in order: phases of the model, and scripts.

use crate::files::find_file;
use crate::part::Part;
use crate::playbook::{Playbook, PlaybookStep};
use crate::script::Script;
use crate::sql::Words;
use crate::variables::stray;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::{Phase, Plan, Statement, Unit};

/// One thing that playbooks do.
#[derive(Clone, Debug)]
pub enum Work {
    /// A phase of the model, with the variables of its playbook.
    Phase(Phase),
    /// The user's own SQL.
    Scripts(Plan),
}

/// What playbooks do, in order, each with its playbook; and what is left out, in words.
#[derive(Clone, Debug)]
pub struct PlaybookRun<'a> {
    /// What is done.
    pub work: Vec<(&'a Playbook, Work)>,
    /// What isn't.
    pub warnings: Vec<String>,
}

/// Reads and renders what playbooks do, in their order. They must be about the same tables.
pub fn run_of<'a>(playbooks: &'a [Playbook], sql_root: Option<&Path>, dialect: &str) -> Result<PlaybookRun<'a>, Error> {
    if let Some((playbook, problem)) = stray(playbooks) {
        return Err(playbook.wrong(problem, "the playbooks of one run are about the same tables"));
    }
    let mut run = PlaybookRun { work: Vec::new(), warnings: Vec::new() };
    let mut set_ups = Vec::new();
    let mut files_run: BTreeSet<PathBuf> = BTreeSet::new();
    for playbook in playbooks {
        for part in playbook.parts()? {
            match part {
                Part::Phase(phase) => run.work.push((playbook, Work::Phase(phase))),
                Part::SetUp(steps) => set_ups.push((run.work.len(), playbook, steps, files_run.clone())),
                Part::Scripts(steps) => {
                    for query in steps.iter().flat_map(|step| &step.queries) {
                        match find_file(&playbook.path, &query.file, sql_root) {
                            Ok(file) => drop(files_run.insert(file)),
                            Err(_) if playbook.misses(query, sql_root) => run.warnings.push(format!(
                                "{}: {} is left out: there is no such file",
                                playbook.path.display(),
                                query.file
                            )),
                            Err(error) => return Err(error),
                        }
                    }
                    run.work.push((playbook, Work::Scripts(playbook.plan(&steps, sql_root, dialect)?)));
                }
            }
        }
    }
    // From the last on, so that the positions of those before stay.
    for (position, playbook, steps, run_before) in set_ups.into_iter().rev() {
        let steps = needed(playbook, steps, &run, &run_before, sql_root, dialect)?;
        if !steps.is_empty() {
            run.work.insert(position, (playbook, Work::Scripts(playbook.plan(&steps, sql_root, dialect)?)));
        }
    }
    if run.work.is_empty() {
        let files: Vec<String> = playbooks.iter().map(|playbook| playbook.path.display().to_string()).collect();
        return Err(Error::configuration(format!("no steps in {}", files.join(", "))));
    }
    Ok(run)
}

/// Those set-up steps beside the model's that make a procedure or function which some script of the run names, and no
/// playbook before has run.
fn needed(
    playbook: &Playbook,
    steps: Vec<PlaybookStep>,
    run: &PlaybookRun<'_>,
    run_before: &BTreeSet<PathBuf>,
    sql_root: Option<&Path>,
    dialect: &str,
) -> Result<Vec<PlaybookStep>, Error> {
    let mut needed = Vec::new();
    for mut step in steps {
        let mut queries = Vec::new();
        for query in step.queries {
            let Ok(file) = find_file(&playbook.path, &query.file, sql_root) else { continue };
            if run_before.contains(&file) {
                continue;
            }
            let made = Words::of(&Script::of_query(playbook, &query, sql_root)?.sql, dialect).makes();
            let names: Vec<&String> = made.iter().filter_map(|name| name.last()).collect();
            let file = file.display().to_string();
            let mut others =
                scripts(run).filter(|script| script.source.as_ref().is_none_or(|source| source.file != file));
            if others.any(|script| {
                let words = Words::of(&script.sql, dialect);
                names.iter().any(|name| words.mentions(name))
            }) {
                queries.push(query);
            }
        }
        step.queries = queries;
        if !step.queries.is_empty() {
            needed.push(step);
        }
    }
    Ok(needed)
}

/// The scripts of a run.
fn scripts<'a>(run: &'a PlaybookRun<'_>) -> impl Iterator<Item = &'a Statement> {
    let plans = run.work.iter().filter_map(|(_, work)| match work {
        Work::Scripts(plan) => Some(plan),
        Work::Phase(_) => None,
    });
    plans.flat_map(|plan| &plan.steps).flat_map(|step| &step.units).flat_map(Unit::statements)
}

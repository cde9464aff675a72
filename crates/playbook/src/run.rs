//! What playbooks do together, in order: phases of the model, and scripts.

use crate::collision::OwnTables;
use crate::files::find_file;
use crate::part::Part;
use crate::playbook::{Playbook, PlaybookStep, Query};
use crate::script::Script;
use crate::sql::Words;
use crate::template::uses;
use crate::variables::{odd_set_ups, stray};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use websessions_core::error::{Error, Remedy};
use websessions_core::model::Module;
use websessions_core::plan::{Phase, Plan, Step, Unit};

/// One thing that playbooks do.
#[derive(Clone, Debug)]
pub enum Work {
    /// A phase of a module of the model, with the variables of its playbook.
    Phase(Module, Phase),
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

/// Reads and renders what playbooks do, in their order. They must be about the same tables, and their own scripts must do no
/// harm to the model's.
pub fn run_of<'a>(
    playbooks: &'a [Playbook],
    sql_root: Option<&Path>,
    dialect: &str,
    own: &OwnTables<'_>,
) -> Result<PlaybookRun<'a>, Error> {
    if let Some((playbook, problem)) = stray(playbooks) {
        return Err(playbook.wrong(problem, "the playbooks of one run are about the same tables"));
    }
    let odd = odd_set_ups(playbooks).into_iter();
    let mut planner = Planner {
        sql_root,
        dialect,
        own,
        shared: shared_variables(playbooks),
        set_up: BTreeSet::new(),
        warnings: odd.map(|(playbook, problem)| format!("{}: {problem}", playbook.path.display())).collect(),
    };
    let mut work = Vec::new();
    let mut beside_model = Vec::new();
    for playbook in playbooks {
        for part in playbook.parts()? {
            match part {
                Part::Phase(module, phase) => work.push((playbook, Work::Phase(module, phase))),
                Part::SetUp(steps) => beside_model.push((work.len(), playbook, steps, planner.set_up.clone())),
                Part::Scripts(steps) => work.push((playbook, Work::Scripts(planner.plan(playbook, &steps)?))),
            }
        }
    }
    // From the last on, so that the positions of those before stay.
    for (position, playbook, steps, before) in beside_model.into_iter().rev() {
        let plan = planner.needed(playbook, &steps, &work, &before)?;
        if !plan.steps.is_empty() {
            work.insert(position, (playbook, Work::Scripts(plan)));
        }
    }
    if work.is_empty() {
        let files: Vec<String> = playbooks.iter().map(|playbook| playbook.path.display().to_string()).collect();
        let message = format!("no steps in {}", files.join(", "));
        return Err(Error::Usage { message, remedy: Remedy::NameByItsKind });
    }
    Ok(PlaybookRun { work, warnings: planner.warnings })
}

/// The variables of all playbooks of a run, the first one's of each name: what a set-up file takes that its own playbook
/// doesn't set.
pub(crate) fn shared_variables(playbooks: &[Playbook]) -> BTreeMap<String, Value> {
    let mut shared = BTreeMap::new();
    for (name, value) in playbooks.iter().flat_map(|playbook| &playbook.variables).filter(|(_, value)| !value.is_null())
    {
        shared.entry(name.clone()).or_insert_with(|| value.clone());
    }
    shared
}

/// Renders the scripts of a run.
struct Planner<'a> {
    sql_root: Option<&'a Path>,
    dialect: &'a str,
    own: &'a OwnTables<'a>,
    shared: BTreeMap<String, Value>,
    /// The set-up files so far, each as it was sent: one that would be sent again alike is not.
    set_up: BTreeSet<(PathBuf, String)>,
    warnings: Vec<String>,
}

impl Planner<'_> {
    /// The scripts of a playbook's steps.
    fn plan(&mut self, playbook: &Playbook, steps: &[PlaybookStep]) -> Result<Plan, Error> {
        let mut planned = Vec::new();
        for step in steps {
            let mut units = Vec::new();
            for query in &step.queries {
                let script = if query.is_set_up() {
                    self.set_up(playbook, query)?
                } else {
                    let file = find_file(&playbook.path, &query.file, self.sql_root)?;
                    let script = Script::read(&file, query.template.then_some(&playbook.variables))?;
                    // What a standard module does is settled, and what destroys is meant to.
                    if !query.is_standard() && !playbook.destroys() {
                        self.own.refuse(&script, self.dialect)?;
                    }
                    Some(script)
                };
                units.extend(script.and_then(|script| script.unit(&query.name, self.dialect)));
            }
            planned.push(Step::new(step.name.clone(), format!("custom step of {}", playbook.name), units));
        }
        Ok(Plan::new(playbook.name.clone(), self.dialect, planned))
    }

    /// A set-up file, if it is there, can be rendered and was not sent alike before.
    fn set_up(&mut self, playbook: &Playbook, query: &Query) -> Result<Option<Script>, Error> {
        let left_out = |why: String| format!("{}: {} is left out: {why}", playbook.path.display(), query.file);
        let Ok(file) = find_file(&playbook.path, &query.file, self.sql_root) else {
            self.warnings.push(left_out("there is no such file".to_owned()));
            return Ok(None);
        };
        let values = set_up_values(playbook, &self.shared);
        if let Some(missing) = missing_variable(&file, &values).filter(|_| query.template) {
            self.warnings
                .push(left_out(format!("no playbook of this run sets {missing}; what it makes must be there")));
            return Ok(None);
        }
        let script = Script::read(&file, query.template.then_some(&values))?;
        Ok(self.set_up.insert((file, script.sql.clone())).then_some(script))
    }

    /// Those set-up steps beside the model's that make a procedure or function which some script of the run names, and
    /// that no playbook before has.
    fn needed(
        &mut self,
        playbook: &Playbook,
        steps: &[PlaybookStep],
        work: &[(&Playbook, Work)],
        before: &BTreeSet<(PathBuf, String)>,
    ) -> Result<Plan, Error> {
        let mut needed = Vec::new();
        for step in steps {
            let mut queries = Vec::new();
            for query in &step.queries {
                let Ok(file) = find_file(&playbook.path, &query.file, self.sql_root) else { continue };
                if before.iter().any(|(other, _)| *other == file) {
                    continue;
                }
                let mut values = set_up_values(playbook, &self.shared);
                // Only to see what it makes: if it is needed, what is missing is said.
                while let Some(missing) = missing_variable(&file, &values).filter(|_| query.template) {
                    values.insert(missing, Value::String(String::new()));
                }
                let script = Script::read(&file, query.template.then_some(&values))?;
                let made = Words::of(&script.sql, self.dialect).makes();
                let names: Vec<&String> = made.iter().filter_map(|name| name.last()).collect();
                if !names.is_empty() && scripts(work, &file).any(|sql| self.names_any(sql, &names)) {
                    queries.push(query.clone());
                }
            }
            if !queries.is_empty() {
                needed.push(PlaybookStep { name: step.name.clone(), queries });
            }
        }
        // The others' turn comes later: what they would send alike is sent here.
        self.set_up.clone_from(before);
        self.plan(playbook, &needed)
    }

    fn names_any(&self, sql: &str, names: &[&String]) -> bool {
        let words = Words::of(sql, self.dialect);
        names.iter().any(|name| words.mentions(name))
    }
}

/// The variables that a set-up file of a playbook is rendered with.
pub(crate) fn set_up_values(playbook: &Playbook, shared: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut values = shared.clone();
    values.extend(
        playbook
            .variables
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    values
}

/// The first variable that a template prints and nobody sets.
pub(crate) fn missing_variable(file: &Path, values: &BTreeMap<String, Value>) -> Option<String> {
    let text = crate::files::read(file).ok()?;
    let used = uses(file, &text).ok()?;
    used.into_iter().find(|used| used.printed && !values.contains_key(&used.name)).map(|used| used.name)
}

/// The scripts of a run, but for those of one file.
fn scripts<'a>(work: &'a [(&Playbook, Work)], but: &Path) -> impl Iterator<Item = &'a str> {
    let but = but.display().to_string();
    let plans = work.iter().filter_map(|(_, work)| match work {
        Work::Scripts(plan) => Some(plan),
        Work::Phase(..) => None,
    });
    plans
        .flat_map(|plan| &plan.steps)
        .flat_map(|step| &step.units)
        .flat_map(Unit::statements)
        .filter(move |script| script.source.as_ref().is_none_or(|source| source.file != but))
        .map(|script| script.sql.as_str())
}

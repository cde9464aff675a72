//! What is wrong with playbooks and custom SQL, as far as that shows without a connection.

use crate::collision::{OwnTables, Severity};
use crate::custom::CustomModule;
use crate::files::{find_file, read};
use crate::part::Part;
use crate::playbook::{Playbook, Query};
use crate::run::{missing_variable, run_of, set_up_values, shared_variables};
use crate::script::Script;
use crate::sql::{Name, Words};
use crate::template::uses;
use crate::variables::{odd_set_ups, stray};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use websessions_core::dialect::Dialect;
use websessions_core::did_you_mean::nearest;
use websessions_core::error::Error;
use websessions_core::model::Module;
use websessions_core::plan::Phase;
use websessions_core::table::Lifetime;
use websessions_core::variables::{Variables, check_name};

/// Something that lint found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct LintProblem {
    /// The file.
    pub file: String,
    /// Its line, from 1, if one is meant.
    pub line: Option<usize>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub message: String,
}

/// Looks at playbooks, in the order in which they would run, with the SQL files of their scripts. The modules are those
/// that are native here; the variables say what their tables are called.
pub fn lint(
    playbooks: &[Playbook],
    sql_root: Option<&Path>,
    dialect: &dyn Dialect,
    modules: &[Module],
    variables: &Variables,
) -> Vec<LintProblem> {
    let mut lint = Lint::new(dialect, modules, variables);
    if let Some((playbook, problem)) = stray(playbooks) {
        lint.note(&playbook.path.display().to_string(), None, Severity::Error, problem);
    }
    for (playbook, problem) in odd_set_ups(playbooks) {
        lint.note(&playbook.path.display().to_string(), None, Severity::Warning, problem);
    }
    lint.shared = shared_variables(playbooks);
    let is_main = |phase: &(Module, Phase)| phase.1 == Phase::Main;
    lint.to_come = playbooks.iter().flat_map(|playbook| playbook.phases()).filter(is_main).map(|(of, _)| of).collect();
    for playbook in playbooks {
        lint.playbook(playbook, sql_root);
    }
    // Those that destroy come last, and run by themselves.
    let first = playbooks.iter().position(Playbook::destroys).unwrap_or(playbooks.len());
    let (run, destroyed) = playbooks.split_at(first);
    for together in [run, destroyed] {
        if !together.is_empty()
            && !lint.has_errors()
            && let Err(error) = run_of(together, sql_root, lint.dialect, &lint.own)
        {
            lint.error(&place_of(&error, together), &error);
        }
    }
    lint.problems()
}

/// Where an error of some playbooks' run is: in the playbook that it begins with, or in one of all of them.
fn place_of(error: &Error, playbooks: &[Playbook]) -> String {
    let text = error.to_string();
    let mut files: Vec<String> = playbooks.iter().map(|playbook| playbook.path.display().to_string()).collect();
    match files.iter().position(|file| text.starts_with(&format!("{file}:"))) {
        Some(position) => files.swap_remove(position),
        None => files.join(", "),
    }
}

/// Looks at the SQL files of a module of `websessions.toml`.
pub fn lint_module(
    module: &CustomModule,
    model_variables: &BTreeMap<String, Value>,
    dialect: &dyn Dialect,
    modules: &[Module],
    variables: &Variables,
) -> Vec<LintProblem> {
    let mut lint = Lint::new(dialect, modules, variables);
    match module.values(model_variables) {
        Ok(values) => module.files.iter().for_each(|file| {
            lint.script(file, Some(&values), false);
        }),
        Err(error) => lint.error(&module.name, &error),
    }
    if !lint.has_errors()
        && let Err(error) = module.plan(model_variables, lint.dialect, &lint.own)
    {
        lint.error(&module.name, &error);
    }
    lint.problems()
}

struct Lint<'a> {
    dialect: &'static str,
    own: OwnTables<'a>,
    variables: &'a Variables,
    problems: Vec<LintProblem>,
    /// Whether the playbook that is looked at destroys: what it does to the model's tables is meant.
    destroys: bool,
    /// The modules whose main is to run.
    to_come: Vec<Module>,
    /// The modules whose complete has run, each with the playbook of that.
    completed: Vec<(Module, String)>,
    /// The procedures and functions that scripts make, by their last names.
    made: BTreeSet<String>,
    /// The procedures that custom scripts call, each with its place.
    called: Vec<(Name, String, Option<usize>)>,
    /// The set-up files that are not there.
    missing: BTreeSet<String>,
    /// The variables of all playbooks, for set-up files.
    shared: BTreeMap<String, Value>,
    /// The set-up files that were looked at.
    set_up: BTreeSet<PathBuf>,
}

impl LintProblem {
    /// A warning about a whole file.
    pub fn warning(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, severity: Severity::Warning, message: message.into() }
    }
}

impl<'a> Lint<'a> {
    fn new(dialect: &dyn Dialect, modules: &[Module], variables: &'a Variables) -> Self {
        Self {
            dialect: dialect.name(),
            own: OwnTables::new(modules, variables, dialect),
            variables,
            problems: Vec::new(),
            destroys: false,
            to_come: Vec::new(),
            completed: Vec::new(),
            made: BTreeSet::new(),
            called: Vec::new(),
            missing: BTreeSet::new(),
            shared: BTreeMap::new(),
            set_up: BTreeSet::new(),
        }
    }

    /// What was found, in the order of files and lines.
    fn problems(mut self) -> Vec<LintProblem> {
        let schemas = [self.variables.scratch_schema.as_str(), self.variables.output_schema.as_str()];
        for (name, file, line) in std::mem::take(&mut self.called) {
            let (last, path) = match name.split_last() {
                Some((last, path)) => (last, path.last()),
                None => continue,
            };
            // A procedure in another schema is none of these modules'.
            let is_ours = path.is_some_and(|schema| schemas.iter().any(|ours| ours.eq_ignore_ascii_case(schema)));
            if is_ours && !self.made.contains(last) {
                let missing: Vec<&str> = self.missing.iter().map(String::as_str).collect();
                let missing = match missing.as_slice() {
                    [] => String::new(),
                    files => format!("; there is no {}", files.join(", ")),
                };
                self.note(
                    &file,
                    line,
                    Severity::Warning,
                    format!("calls {}, which no step makes{missing}", name.join(".")),
                );
            }
        }
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    fn note(&mut self, file: &str, line: Option<usize>, severity: Severity, message: String) {
        self.problems.push(LintProblem { file: file.to_owned(), line, severity, message });
    }

    fn error(&mut self, file: &str, error: &Error) {
        let text = error.to_string();
        let rest = text.strip_prefix(&format!("{file}:")).unwrap_or(&text);
        let numbered = |text: &str| -> Option<(usize, String)> {
            let (number, rest) = text.split_once(':')?;
            Some((number.parse().ok()?, rest.to_owned()))
        };
        let (line, message) = match numbered(rest) {
            // A column may stand behind the line.
            Some((line, rest)) => (Some(line), numbered(&rest).map_or(rest, |(_, message)| message)),
            None => (None, rest.to_owned()),
        };
        self.note(file, line, Severity::Error, message.trim().to_owned());
    }

    fn playbook(&mut self, playbook: &Playbook, sql_root: Option<&Path>) {
        let file = playbook.path.display().to_string();
        for warning in playbook.warnings.iter().cloned().chain(playbook.model_variables().1) {
            self.note(&file, None, Severity::Warning, warning);
        }
        let parts = match playbook.parts() {
            Ok(parts) => parts,
            Err(error) => return self.error(&file, &error),
        };
        self.destroys = playbook.destroys();
        if self.destroys {
            self.completed.clear();
        }
        let mut used = BTreeSet::new();
        for part in &parts {
            match part {
                Part::Phase(module, Phase::Complete) => self.completed.push((*module, playbook.name.clone())),
                Part::Phase(module, Phase::Main) => self.to_come.retain(|other| other != module),
                Part::Phase(..) => {}
                Part::SetUp(steps) | Part::Scripts(steps) => {
                    for query in steps.iter().flat_map(|step| &step.queries) {
                        used.extend(self.query(playbook, query, sql_root));
                    }
                }
            }
        }
        let has_model = parts.iter().any(|part| matches!(part, Part::Phase(..)));
        // The variables of the standard modules are not the user's choice.
        for name in playbook.variables.keys().filter(|_| has_model || !playbook.is_standard()) {
            let known = check_name(name).is_ok();
            // Schemas and entropy say which run a playbook belongs to.
            let placed = playbook.place().iter().any(|(placed, _)| placed == name);
            if !known && !placed && !used.contains(name) && playbook.without_effect(name).is_none() {
                let meant = if has_model { check_name(name).err().map(|error| format!(": {error}")) } else { None };
                let message = format!("the variable {name} is not used{}", meant.unwrap_or_default());
                self.note(&file, None, Severity::Warning, message);
            }
        }
    }

    /// Looks at a query's file. Gives the names of the variables that it reads.
    fn query(&mut self, playbook: &Playbook, query: &Query, sql_root: Option<&Path>) -> BTreeSet<String> {
        let path = match find_file(&playbook.path, &query.file, sql_root) {
            Ok(path) => path,
            Err(_) if query.is_set_up() => {
                self.missing.insert(query.file.clone());
                return BTreeSet::new();
            }
            Err(error) => {
                self.error(&playbook.path.display().to_string(), &error);
                return BTreeSet::new();
            }
        };
        if !query.is_set_up() {
            return self.script(&path, query.template.then_some(&playbook.variables), query.is_standard());
        }
        // A set-up file is the same one in each playbook, and takes what its own doesn't set from the others.
        if !self.set_up.insert(path.clone()) {
            return BTreeSet::new();
        }
        let values = set_up_values(playbook, &self.shared);
        if let Some(missing) = missing_variable(&path, &values).filter(|_| query.template) {
            let message = format!("no playbook sets {missing}, so it is left out: what it makes must be there");
            self.note(&path.display().to_string(), None, Severity::Warning, message);
            return BTreeSet::new();
        }
        self.script(&path, query.template.then_some(&values), true)
    }

    /// Looks at a file, a template if there are variables. Gives the names of the variables that it reads. Of a standard
    /// module's file, only that it is there and renders: what it may do is settled.
    fn script(&mut self, path: &Path, values: Option<&BTreeMap<String, Value>>, is_standard: bool) -> BTreeSet<String> {
        let file = path.display().to_string();
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                self.error(&file, &error);
                return BTreeSet::new();
            }
        };
        let used = match values {
            Some(values) => self.variables_of(path, &text, values, is_standard),
            None => {
                if text.contains("{{") {
                    let message = "holds {{, but its query has no 'template: true', so it is sent as it is".to_owned();
                    self.note(&file, None, Severity::Warning, message);
                }
                BTreeSet::new()
            }
        };
        let script = match Script::read(path, values) {
            Ok(script) => script,
            Err(error) => {
                self.error(&file, &error);
                return used;
            }
        };
        let words = Words::of(&script.sql, self.dialect);
        self.made.extend(words.makes().into_iter().filter_map(|mut name| name.pop()));
        if !is_standard {
            let line = |line: usize| script.lines.get(line.checked_sub(1)?).copied();
            self.called.extend(words.calls().into_iter().map(|(name, at)| (name, file.clone(), line(at))));
            self.tables(&file, &script, &words);
        }
        used
    }

    /// The names of the variables that a template reads; those that are perhaps misspelt are noted.
    fn variables_of(
        &mut self,
        path: &Path,
        text: &str,
        values: &BTreeMap<String, Value>,
        is_standard: bool,
    ) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for one in uses(path, text).unwrap_or_default() {
            if !one.printed
                && !is_standard
                && !values.contains_key(&one.name)
                && let Some(meant) = nearest(&one.name, values.keys().map(String::as_str))
            {
                let message =
                    format!("the variable {} is not set, so its default is taken; did you mean {meant}?", one.name);
                self.note(&path.display().to_string(), Some(one.line), Severity::Warning, message);
            }
            used.insert(one.name);
        }
        used
    }

    /// What a custom script does with the model's tables.
    fn tables(&mut self, file: &str, script: &Script, words: &Words) {
        let needs = |name: String| {
            let line = words.needs(&name)?;
            Some((name, script.lines.get(line.checked_sub(1)?).copied()))
        };
        for module in self.to_come.clone() {
            let tables = module.tables(self.variables).into_iter();
            let made = tables
                .filter(|table| table.lifetime == Lifetime::Module)
                .map(|table| self.variables.table_name(&table).name);
            for (name, line) in made.filter_map(needs) {
                let message = format!("names {name} before the {} module's main, which makes it", module.name);
                self.note(file, line, Severity::Error, message);
            }
        }
        for (module, completed) in self.completed.clone() {
            let tables = module.tables(self.variables).into_iter();
            let gone = tables.filter(|table| table.lifetime == Lifetime::Module || module.input == Some(table.name));
            for (name, line) in gone.map(|table| self.variables.table_name(&table).name).filter_map(needs) {
                let message = format!("names {name} after complete ({completed}), which empties or drops it");
                self.note(file, line, Severity::Error, message);
            }
        }
        let (found, problem) = self.own.collisions(script, self.dialect);
        let destroys = self.destroys;
        for collision in found.into_iter().filter(|found| !destroys || found.severity != Severity::Error) {
            self.note(file, collision.line, collision.severity, collision.message);
        }
        if let Some((problem, line)) = problem {
            self.note(file, line, Severity::Warning, format!("not understood, so not checked: {problem}"));
        }
    }
}

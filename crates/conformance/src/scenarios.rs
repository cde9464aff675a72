//! The scenarios, which the crate holds: what goes in, and the exact tables that must come out. `scenarios/README.md` says
//! how they are written.

use crate::contents::Contents;
use crate::csv::{Cell, parse_csv};
use crate::{Case, Harness};
use include_dir::{Dir, include_dir};
use serde_json::Value;
use std::path::PathBuf;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;
use websessions_core::model::users::tables::{USERS, USERS_MANIFEST, USERS_THIS_RUN};
use websessions_core::model::{Module, sessions, users};
use websessions_core::plan::Phase;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, which is its folder's.
    pub name: String,
    /// Its runs.
    pub runs: Vec<ScenarioRun>,
    accepted: Option<PathBuf>,
}

/// One run of a scenario.
#[derive(Clone, Debug)]
pub struct ScenarioRun {
    /// The phases, in order.
    pub phases: Vec<ScenarioPhase>,
    variables: Value,
    users_variables: Value,
}

/// One phase of a scenario's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioPhase {
    /// Appends a file to the input.
    Load(String),
    /// A phase of a module, by its name.
    Of(&'static str, Phase),
}

impl ScenarioPhase {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix("load:") {
            return Ok(Self::Load(file.to_owned()));
        }
        let (module, phase) = match text.strip_prefix("users:") {
            Some(phase) => (users::module().name, phase),
            None => (sessions::module().name, text),
        };
        Phase::named(phase).map(|phase| Self::Of(module, phase)).ok_or_else(|| format!("unknown phase {text}"))
    }

    /// As the lists of tables name it.
    fn name(&self) -> String {
        match self {
            Self::Load(file) => format!("load:{file}"),
            Self::Of("users", phase) => format!("users_{}", phase.name()),
            Self::Of(_, phase) => phase.name().to_owned(),
        }
    }
}

/// Tables of the original's that a plan may do without.
const OPTIONAL: &[&str] = &[
    "sessions_aggregates",
    "sessions_lasts",
    "sessions_run_metadata_temp",
    "sessions_upsert_limit",
    "users_aggregates",
    "users_lasts",
    "users_run_metadata_temp",
];
/// Tables that only this project has.
const OURS: &[&str] = &[
    "sessions_input_this_run",
    "sessions_input_kept",
    "sessions_keys_this_run",
    "sessions_lock",
    "sessions_upsert_keys",
    "sessions_userid_manifest_read",
    "users_tables_made",
];
/// Columns that differ from run to run.
const RUN_COLUMNS: &[&str] = &["run_id", "run_start_tstamp", "run_end_tstamp"];
/// What the recorded metadata say.
const MODEL_VERSION: &str = "redshift/web/1.3.1";

/// All scenarios, by name. Panics if one can't be read: then nothing could be proven.
pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios: Vec<Scenario> = SCENARIOS
        .dirs()
        .map(|folder| Scenario::read(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.path().display())))
        .collect();
    scenarios.sort_by(|left, right| left.name.cmp(&right.name));
    scenarios
}

impl Scenario {
    fn read(folder: &Dir<'_>) -> Result<Self, String> {
        let name = folder.path().display().to_string();
        let text = SCENARIOS.get_file(format!("{name}/scenario.json")).and_then(|file| file.contents_utf8());
        let json: Value = serde_json::from_str(text.ok_or("no scenario.json")?).map_err(|error| error.to_string())?;
        let runs = json["runs"].as_array().ok_or("no runs")?;
        Ok(Self {
            name,
            runs: runs
                .iter()
                .map(|run| {
                    let phases = run["phases"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    Ok(ScenarioRun {
                        phases: phases.map(ScenarioPhase::read).collect::<Result<_, String>>()?,
                        variables: run["vars"].clone(),
                        users_variables: run["users_vars"].clone(),
                    })
                })
                .collect::<Result<_, String>>()?,
            accepted: None,
        })
    }

    /// The same, but what differs from an expectation is no error: it is written into that folder of scenarios as the new
    /// one.
    #[must_use]
    pub fn accepted(mut self, scenarios: impl Into<PathBuf>) -> Self {
        self.accepted = Some(scenarios.into());
        self
    }

    /// What one of its files holds, by its path in the scenario's folder.
    pub fn file(&self, path: &str) -> Option<&'static str> {
        SCENARIOS.get_file(format!("{}/{path}", self.name))?.contents_utf8()
    }

    /// The page views that a phase `load:FILE` appends, as CSV.
    pub fn page_views(&self, file: &str) -> Result<&'static str, String> {
        self.file(file).ok_or_else(|| format!("{}: there is no {file}", self.name))
    }

    /// The variables of a module's phases in a run (from 0), with those under which the scenarios were recorded.
    pub fn variables(&self, run: usize, module: &str) -> serde_json::Map<String, Value> {
        let ScenarioRun { variables, users_variables, .. } = &self.runs[run];
        let own = if module == users::module().name { users_variables } else { variables };
        let mut variables = own.as_object().cloned().unwrap_or_default();
        variables.insert("lookback_guard".into(), "off".into());
        variables.insert("on_dropped_sessions".into(), "report".into());
        variables.insert("model_version".into(), MODEL_VERSION.into());
        variables
    }

    /// Whether users follows sessions.
    pub fn has_users(&self) -> bool {
        self.runs.iter().any(|run| run.users_variables.is_object())
    }

    /// Whether a phase of a run (from 0) is the last of its kind there: what it leaves is compared.
    pub fn is_last_of_its_kind(&self, run: usize, position: usize) -> bool {
        let phases = &self.runs[run].phases;
        !phases[position + 1..].contains(&phases[position])
    }

    /// Compares a table after a run (counted from 1) with what is expected, if something is.
    pub fn check(&self, table: &str, run: usize, contents: &Contents) -> Result<(), String> {
        let file = format!("expected/{table}_after_{run}.csv");
        let Some(text) = self.file(&file) else { return Ok(()) };
        let (contents, expected) = (contents.without(RUN_COLUMNS), Contents::parse(text).without(RUN_COLUMNS));
        let compared = contents.expect(&expected, &format!("{table} after run {run}"));
        compared.or_else(|problem| self.accept(&file, &contents.to_csv(text), problem))
    }

    /// Whether a table is expected to have known contents after a run.
    pub fn expects(&self, table: &str, run: usize) -> bool {
        self.file(&format!("expected/{table}_after_{run}.csv")).is_some()
    }

    /// Writes what was found in the place of what was expected, if this is what the caller wants.
    fn accept(&self, file: &str, found: &str, problem: String) -> Result<(), String> {
        let Some(folder) = &self.accepted else { return Err(problem) };
        let path = folder.join(&self.name).join(file);
        std::fs::write(&path, found).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Compares the tables that exist (`schema.name`, entropy included) after a phase of a run (both from 0) with the list of
    /// the expectation, if there is one.
    pub fn check_tables_after(&self, run: usize, position: usize, tables: &[String]) -> Result<(), String> {
        let phase = &self.runs[run].phases[position];
        self.check_tables(&format!("tables_after_{}_{}_{}", run + 1, position + 1, phase.name()), tables)?;
        let ScenarioPhase::Of(module, Phase::Complete) = phase else { return Ok(()) };
        let variables = self.variables(run, module);
        let mode = variables.get("cleanup_mode").and_then(Value::as_str).unwrap_or("all");
        let is_last = !self.has_users() || *module == users::module().name;
        let of_ours: Vec<&String> = tables.iter().filter(|table| self.is_one_of(table, OURS)).collect();
        if is_last && mode == "all" && !of_ours.is_empty() {
            return Err(format!("after complete of run {}: {of_ours:?} are left", run + 1));
        }
        Ok(())
    }

    fn is_one_of(&self, table: &str, names: &[&str]) -> bool {
        let entropy = self.runs[0].variables["entropy"].as_str().unwrap_or_default();
        names.iter().any(|name| table.ends_with(&format!(".{name}{entropy}")))
    }

    /// Compares the tables that exist (`schema.name`, entropy included) with a list of the expectation, if there is one.
    pub fn check_tables(&self, list: &str, tables: &[String]) -> Result<(), String> {
        let file = format!("expected/{list}.txt");
        let Some(text) = self.file(&file) else { return Ok(()) };
        let relevant = |tables: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let mut kept: Vec<String> = tables
                .filter(|table| !self.is_one_of(table, OPTIONAL) && !self.is_one_of(table, OURS))
                .map(str::to_owned)
                .collect();
            kept.sort();
            kept
        };
        let expected = relevant(&mut text.lines().filter(|line| !line.is_empty()));
        let found = relevant(&mut tables.iter().map(String::as_str));
        if expected != found {
            let problem = format!("{list}: tables are {found:?}, expected {expected:?}");
            let optional = text.lines().filter(|table| self.is_one_of(table, OPTIONAL)).map(str::to_owned);
            let mut found: Vec<String> = found.into_iter().chain(optional).map(|table| table + "\n").collect();
            found.sort();
            return self.accept(&file, &found.concat(), problem);
        }
        Ok(())
    }

    /// Compares which rows of metadata belong to one run, if something is expected: (run id, module) of each, in order of time.
    /// Where the warehouse's clock shows whole seconds, two runs may have the same id.
    pub fn check_run_ids(&self, run: usize, found: &[(String, String)]) -> Result<(), String> {
        let Some(text) = self.file(&format!("expected/run_ids_after_{run}.csv")) else { return Ok(()) };
        let (_, expected) = parse_csv(text);
        let ids = |module: &str| -> Vec<&str> {
            found.iter().filter(|(_, of)| of == module).map(|(id, _)| id.as_str()).collect()
        };
        let numbers = |module: &str| {
            let of = |row: &&Vec<Cell>| row[1].as_deref() == Some(module);
            expected.iter().filter(of).filter_map(|row| row[0].clone()).collect::<Vec<_>>()
        };
        let mut known: Vec<(String, &str)> = Vec::new();
        for module in [sessions::module().name, users::module().name] {
            let numbers = numbers(module);
            if numbers.len() != ids(module).len() {
                return Err(format!("run ids of {module} after run {run}: {found:?}, expected {numbers:?}"));
            }
            known.extend(numbers.into_iter().zip(ids(module)));
        }
        let whole_seconds = known.iter().all(|(_, id)| !id.trim_end_matches(['0', '.']).contains('.'));
        for ((number, id), (other_number, other_id)) in
            known.iter().flat_map(|one| known.iter().map(move |other| (one, other)))
        {
            if number == other_number && id != other_id || number != other_number && id == other_id && !whole_seconds {
                return Err(format!("run ids after run {run}: {known:?}"));
            }
        }
        Ok(())
    }

    /// Compares the number of staged rows after a run (counted from 1) with what is expected, if something is.
    pub fn check_staged(&self, run: usize, count: i64) -> Result<(), String> {
        let file = format!("expected/page_views_staged_rowcount_after_{run}.txt");
        match self.file(&file).map(str::trim) {
            Some(expected) if expected != count.to_string() => {
                let problem = format!("{count} page views are staged after run {run}, expected {expected}");
                self.accept(&file, &format!("{count}\n"), problem)
            }
            _ => Ok(()),
        }
    }
}

/// Runs a scenario on a backend, and compares every table.
pub(crate) async fn prove(harness: &dyn Harness, scenario: &Scenario) -> Result<(), String> {
    let base = Case::new(harness, Value::Null).await?;
    for (run, ScenarioRun { phases, .. }) in scenario.runs.iter().enumerate() {
        let of = |module: Module| {
            Ok::<_, String>(base.with(Value::Object(scenario.variables(run, module.name)))?.of(module))
        };
        let (sessions, users) = (of(sessions::module())?, of(users::module())?);
        for (position, phase) in phases.iter().enumerate() {
            match phase {
                ScenarioPhase::Load(file) => sessions.stage_csv(scenario.page_views(file)?).await?,
                ScenarioPhase::Of(module, phase) => {
                    let (case, this_run) = if *module == users.module.name {
                        (&users, USERS_THIS_RUN)
                    } else {
                        (&sessions, SESSIONS_THIS_RUN)
                    };
                    case.phase(*phase).await?;
                    if *phase == Phase::Main && scenario.is_last_of_its_kind(run, position) {
                        scenario.check(this_run, run + 1, &case.contents(this_run).await?)?;
                    }
                }
            }
            scenario.check_tables_after(run, position, &sessions.tables().await?)?;
        }
        for (case, table) in [
            (&sessions, SESSIONS),
            (&sessions, SESSIONS_USERID_MANIFEST_STAGED),
            (&sessions, DATAMODEL_METADATA),
            (&users, USERS),
            (&users, USERS_MANIFEST),
        ] {
            if scenario.expects(table, run + 1) {
                scenario.check(table, run + 1, &case.contents(table).await?)?;
            }
        }
        scenario.check_run_ids(run + 1, &run_ids(&sessions).await?)?;
        scenario.check_staged(run + 1, sessions.count(PAGE_VIEWS_STAGED).await?)?;
        scenario.check_tables(&format!("tables_after_{}", run + 1), &sessions.tables().await?)?;
    }
    base.drop().await
}

/// Run id and module of each row of metadata, in order of time.
async fn run_ids(case: &Case) -> Result<Vec<(String, String)>, String> {
    let metadata = case.contents(DATAMODEL_METADATA).await?;
    let position = |name: &str| metadata.columns.iter().position(|column| column == name).unwrap_or_default();
    let [id, module, end] = ["run_id", "module", "run_end_tstamp"].map(position);
    let mut rows = metadata.rows.clone();
    rows.sort_by(|left, right| (&left[end], &left[id]).cmp(&(&right[end], &right[id])));
    let shown = |cell: &Cell| cell.clone().unwrap_or_default();
    Ok(rows.iter().map(|row| (shown(&row[id]), shown(&row[module]))).collect())
}

#[cfg(test)]
mod tests {
    /// The scenarios are part of the kit: without them nothing would be proven.
    #[test]
    fn the_scenarios_are_there() {
        let scenarios = super::scenarios();
        assert!(scenarios.len() >= 20);
        assert!(scenarios.iter().all(|scenario| !scenario.runs.is_empty()));
    }
}

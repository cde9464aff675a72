//! The scenarios, which the crate holds: what goes in, and the exact tables that must come out. `scenarios/README.md` says
//! how they are written.

use crate::contents::Contents;
use crate::{Case, Harness};
use include_dir::{Dir, include_dir};
use serde_json::Value;
use std::path::PathBuf;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;
use websessions_core::plan::Phase;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, which is its folder's.
    pub name: String,
    /// Its runs: variables, and phases in order.
    pub runs: Vec<(Value, Vec<String>)>,
    accepted: Option<PathBuf>,
}

/// Tables of the original's that a plan may do without.
const OPTIONAL: &[&str] =
    &["sessions_aggregates", "sessions_lasts", "sessions_run_metadata_temp", "sessions_upsert_limit"];
/// Tables that only this project has.
const OURS: &[&str] =
    &["sessions_input_this_run", "sessions_input_kept", "sessions_lock", "sessions_replaced", "sessions_upsert_keys"];
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
                    let phases = run["phases"].as_array().into_iter().flatten();
                    (run["vars"].clone(), phases.filter_map(Value::as_str).map(str::to_owned).collect())
                })
                .collect(),
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

    /// The variables of a run, with those under which the scenarios were recorded.
    pub fn variables(&self, run: usize) -> serde_json::Map<String, Value> {
        let mut variables = self.runs[run].0.as_object().cloned().unwrap_or_default();
        variables.insert("lookback_guard".into(), "off".into());
        variables.insert("on_dropped_sessions".into(), "report".into());
        variables.insert("model_version".into(), MODEL_VERSION.into());
        variables
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

    /// Compares the tables that exist (`schema.name`, entropy included) with a list of the expectation, if there is one.
    pub fn check_tables(&self, list: &str, tables: &[String], mode: &str) -> Result<(), String> {
        let file = format!("expected/{list}.txt");
        let Some(text) = self.file(&file) else { return Ok(()) };
        let entropy = self.runs[0].0["entropy"].as_str().unwrap_or_default();
        let is_one_of =
            |table: &str, names: &[&str]| names.iter().any(|name| table.ends_with(&format!(".{name}{entropy}")));
        let relevant = |tables: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let mut kept: Vec<String> = tables
                .filter(|table| !is_one_of(table, OPTIONAL) && !is_one_of(table, OURS))
                .map(str::to_owned)
                .collect();
            kept.sort();
            kept
        };
        let expected = relevant(&mut text.lines().filter(|line| !line.is_empty()));
        let found = relevant(&mut tables.iter().map(String::as_str));
        if expected != found {
            let problem = format!("{list}: tables are {found:?}, expected {expected:?}");
            let optional = text.lines().filter(|table| is_one_of(table, OPTIONAL)).map(str::to_owned);
            let mut found: Vec<String> = found.into_iter().chain(optional).map(|table| table + "\n").collect();
            found.sort();
            return self.accept(&file, &found.concat(), problem);
        }
        let of_ours: Vec<&String> = tables.iter().filter(|table| is_one_of(table, OURS)).collect();
        if list.ends_with("complete") && mode == "all" && !of_ours.is_empty() {
            return Err(format!("{list}: {of_ours:?} are left"));
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
    for run in 0..scenario.runs.len() {
        let case = base.with(Value::Object(scenario.variables(run)))?;
        let mode = scenario.runs[run].0["cleanup_mode"].as_str().unwrap_or("all");
        for (position, phase) in scenario.runs[run].1.iter().enumerate() {
            match phase.as_str() {
                "main" => {
                    case.phase(Phase::Main).await?;
                    if !scenario.runs[run].1[position + 1..].contains(&"main".to_owned()) {
                        scenario.check(SESSIONS_THIS_RUN, run + 1, &case.contents(SESSIONS_THIS_RUN).await?)?;
                    }
                }
                "complete" => drop(case.phase(Phase::Complete).await?),
                "destroy" => drop(case.phase(Phase::Destroy).await?),
                load => {
                    let file = load.strip_prefix("load:").ok_or_else(|| format!("unknown phase {load}"))?;
                    case.stage_csv(scenario.page_views(file)?).await?;
                }
            }
            let list = format!("tables_after_{}_{}_{phase}", run + 1, position + 1);
            scenario.check_tables(&list, &case.tables().await?, mode)?;
        }
        for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, DATAMODEL_METADATA] {
            if scenario.expects(table, run + 1) {
                scenario.check(table, run + 1, &case.contents(table).await?)?;
            }
        }
        scenario.check_staged(run + 1, case.count(PAGE_VIEWS_STAGED).await?)?;
        scenario.check_tables(&format!("tables_after_{}", run + 1), &case.tables().await?, mode)?;
    }
    base.drop().await
}

#[cfg(test)]
mod tests {
    /// The scenarios are part of the kit: without them nothing would be proven.
    #[test]
    fn the_scenarios_are_there() {
        let scenarios = super::scenarios();
        assert!(scenarios.len() >= 12);
        assert!(scenarios.iter().all(|scenario| !scenario.runs.is_empty()));
    }
}

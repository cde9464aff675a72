//! The scenarios of `fixtures/scenarios`: what goes in, and the exact tables that must come out.

use crate::tables::Contents;
use crate::{Case, Harness};
use serde_json::Value;
use std::path::{Path, PathBuf};
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;
use websessions_core::plan::Phase;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its runs: variables, and phases in order.
    pub runs: Vec<(Value, Vec<String>)>,
}

/// Tables of the original's that a plan may do without.
const OPTIONAL: &[&str] =
    &["sessions_aggregates", "sessions_lasts", "sessions_run_metadata_temp", "sessions_upsert_limit"];
/// Tables that only this project has.
const OURS: &[&str] = &["sessions_input_this_run", "sessions_input_kept", "sessions_lock", "sessions_upsert_keys"];
/// Columns that differ from run to run.
const RUN_COLUMNS: &[&str] = &["run_id", "run_start_tstamp", "run_end_tstamp"];
/// What the recorded metadata say.
const MODEL_VERSION: &str = "redshift/web/1.3.1";

/// The folder of the fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// All scenarios, by name. Panics if the fixtures are not there: then nothing could be proven.
pub fn scenarios() -> Vec<Scenario> {
    let folder = fixtures().join("scenarios");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut scenarios: Vec<Scenario> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join("scenario.json").is_file())
        .map(|folder| Scenario::read(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
        .collect();
    assert!(!scenarios.is_empty(), "no scenarios in {}", folder.display());
    scenarios.sort_by(|left, right| left.name.cmp(&right.name));
    scenarios
}

impl Scenario {
    fn read(folder: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(folder.join("scenario.json")).map_err(|error| error.to_string())?;
        let json: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let runs = json["runs"].as_array().ok_or("no runs")?;
        Ok(Self {
            name: json["name"].as_str().ok_or("no name")?.to_owned(),
            folder: folder.to_owned(),
            runs: runs
                .iter()
                .map(|run| {
                    let phases = run["phases"].as_array().into_iter().flatten();
                    (run["vars"].clone(), phases.filter_map(Value::as_str).map(str::to_owned).collect())
                })
                .collect(),
        })
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
        let path = self.folder.join(format!("expected/{table}_after_{run}.csv"));
        if !path.exists() {
            return Ok(());
        }
        let expected = Contents::read(&path)?.without(RUN_COLUMNS);
        contents.without(RUN_COLUMNS).expect(&expected, &format!("{table} after run {run}"))
    }

    /// Whether a table is expected to have known contents after a run.
    pub fn expects(&self, table: &str, run: usize) -> bool {
        self.folder.join(format!("expected/{table}_after_{run}.csv")).exists()
    }

    /// Compares the tables that exist (`schema.name`, entropy included) with a list of the expectation, if there is one.
    pub fn check_tables(&self, list: &str, tables: &[String], mode: &str) -> Result<(), String> {
        let path = self.folder.join(format!("expected/{list}.txt"));
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
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
            return Err(format!("{list}: tables are {found:?}, expected {expected:?}"));
        }
        let of_ours: Vec<&String> = tables.iter().filter(|table| is_one_of(table, OURS)).collect();
        if list.ends_with("complete") && mode == "all" && !of_ours.is_empty() {
            return Err(format!("{list}: {of_ours:?} are left"));
        }
        Ok(())
    }

    /// Compares the number of staged rows after a run (counted from 1) with what is expected, if something is.
    pub fn check_staged(&self, run: usize, count: i64) -> Result<(), String> {
        let path = self.folder.join(format!("expected/page_views_staged_rowcount_after_{run}.txt"));
        match std::fs::read_to_string(path) {
            Ok(expected) if expected.trim() != count.to_string() => {
                Err(format!("{count} page views are staged after run {run}, expected {}", expected.trim()))
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
                    case.stage_file(&scenario.folder.join(file)).await?;
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

//! Every scenario of the kit through the real binary: load, main, complete, export. `just accept` writes the tables that
//! come out over those that were expected.

#[path = "support/mod.rs"]
mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use support::{Folder, fixtures};
use websessions_conformance::{Scenario, ScenarioPhase, ScenarioRun, scenarios};
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;
use websessions_core::plan::Phase;

fn main() {
    let arguments = Arguments::from_args();
    let accepts = std::env::var_os("ACCEPT").is_some();
    let trials = scenarios()
        .into_iter()
        .filter(|scenario| !scenario.has_users())
        .map(
            |scenario| {
                if accepts { scenario.accepted(fixtures().join("../crates/conformance/scenarios")) } else { scenario }
            },
        )
        .map(|scenario| {
            Trial::test(format!("binary::scenario_{}", scenario.name), move || prove(&scenario).map_err(Failed::from))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn prove(scenario: &Scenario) -> Result<(), String> {
    let folder = Folder::new();
    for (run, ScenarioRun { phases, .. }) in scenario.runs.iter().enumerate() {
        let variables: Vec<String> =
            scenario.variables(run, "sessions").iter().map(|(name, value)| assignment(name, value)).collect();
        let options: Vec<&str> = variables.iter().flat_map(|variable| ["--var", variable.as_str()]).collect();
        let command = |arguments: &[&str]| {
            let all: Vec<&str> = options.iter().chain(arguments).copied().collect();
            folder.run(&all).done(&arguments.join(" "))
        };
        for (position, phase) in phases.iter().enumerate() {
            match phase {
                ScenarioPhase::Load(file) => {
                    let page_views = folder.write("page_views.csv", scenario.page_views(file)?);
                    command(&["load", "--staged", &page_views.to_string_lossy()])?;
                }
                ScenarioPhase::Of(_, Phase::Destroy) => drop(command(&["destroy", "--yes"])?),
                ScenarioPhase::Of(_, phase) => drop(command(&[phase.name()])?),
            }
            if matches!(phase, ScenarioPhase::Of(_, Phase::Main)) && scenario.is_last_of_its_kind(run, position) {
                scenario.check(SESSIONS_THIS_RUN, run + 1, &folder.contents("sessions_this_run", &options)?)?;
            }
            scenario.check_tables_after(run, position, &tables(&folder))?;
        }
        for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, DATAMODEL_METADATA] {
            if scenario.expects(table, run + 1) {
                scenario.check(table, run + 1, &folder.contents(table, &options)?)?;
            }
        }
        let staged = folder.contents("page_views_staged", &options)?.rows.len();
        scenario.check_staged(run + 1, i64::try_from(staged).map_err(|error| error.to_string())?)?;
        scenario.check_tables(&format!("tables_after_{}", run + 1), &tables(&folder))?;
    }
    Ok(())
}

fn assignment(name: &str, value: &Value) -> String {
    value.as_str().map_or_else(|| format!("{name}={value}"), |text| format!("{name}={text}"))
}

fn tables(folder: &Folder) -> Vec<String> {
    let dump = folder.dump();
    dump.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
}

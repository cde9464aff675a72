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
use websessions_core::model::users::tables::{USERS, USERS_MANIFEST, USERS_THIS_RUN};
use websessions_core::plan::Phase;

fn main() {
    let arguments = Arguments::from_args();
    let accepts = std::env::var_os("ACCEPT").is_some();
    let trials = scenarios()
        .into_iter()
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
        let of = |module: &str| -> Vec<String> {
            let assigned = scenario.variables(run, module);
            let assigned = assigned.iter().map(|(name, value)| assignment(name, value));
            assigned.flat_map(|variable| ["--var".to_owned(), variable]).collect()
        };
        let (of_sessions, of_users) = (of("sessions"), of("users"));
        let options: Vec<&str> = of_sessions.iter().map(String::as_str).collect();
        let command = |module: &str, arguments: &[&str]| {
            let variables = if module == "users" { &of_users } else { &of_sessions };
            let all: Vec<&str> = variables.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
            folder.run(&all).done(&arguments.join(" "))
        };
        for (position, phase) in phases.iter().enumerate() {
            match phase {
                ScenarioPhase::Load(file) => {
                    let page_views = folder.write("page_views.csv", scenario.page_views(file)?);
                    command("sessions", &["load", "--staged", &page_views.to_string_lossy()])?;
                }
                ScenarioPhase::Of(module, phase) => {
                    let mut arguments = vec![phase.name(), "--module", module];
                    arguments.extend((*phase == Phase::Destroy).then_some("--yes"));
                    command(module, &arguments)?;
                    if *phase == Phase::Main && scenario.is_last_of_its_kind(run, position) {
                        let table = if *module == "users" { USERS_THIS_RUN } else { SESSIONS_THIS_RUN };
                        scenario.check(table, run + 1, &folder.contents(table, &options)?)?;
                    }
                }
            }
            scenario.check_tables_after(run, position, &tables(&folder))?;
        }
        for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, DATAMODEL_METADATA, USERS, USERS_MANIFEST] {
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

//! Every scenario of the kit through the real binary: load, main, complete, export. `just accept` writes the tables that
//! come out over those that were expected.

#[path = "support/mod.rs"]
mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use support::{Folder, fixtures};
use websessions_conformance::{Scenario, scenarios};
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;

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
    for (run, (given, phases)) in scenario.runs.iter().enumerate() {
        let variables: Vec<String> =
            scenario.variables(run).iter().map(|(name, value)| assignment(name, value)).collect();
        let options: Vec<&str> = variables.iter().flat_map(|variable| ["--var", variable.as_str()]).collect();
        let command = |arguments: &[&str]| {
            let all: Vec<&str> = options.iter().chain(arguments).copied().collect();
            folder.run(&all).done(&arguments.join(" "))
        };
        let mode = given["cleanup_mode"].as_str().unwrap_or("all");
        for (position, phase) in phases.iter().enumerate() {
            match phase.strip_prefix("load:") {
                Some(file) => {
                    let page_views = folder.write("page_views.csv", scenario.page_views(file)?);
                    command(&["load", "--staged", &page_views.to_string_lossy()])?;
                }
                None if phase == "destroy" => drop(command(&["destroy", "--yes"])?),
                None => drop(command(&[phase])?),
            }
            if phase == "main" && !phases[position + 1..].contains(&"main".to_owned()) {
                scenario.check(SESSIONS_THIS_RUN, run + 1, &folder.contents("sessions_this_run", &options)?)?;
            }
            let list = format!("tables_after_{}_{}_{phase}", run + 1, position + 1);
            scenario.check_tables(&list, &tables(&folder), mode)?;
        }
        for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, DATAMODEL_METADATA] {
            if scenario.expects(table, run + 1) {
                scenario.check(table, run + 1, &folder.contents(table, &options)?)?;
            }
        }
        let staged = folder.contents("page_views_staged", &options)?.rows.len();
        scenario.check_staged(run + 1, i64::try_from(staged).map_err(|error| error.to_string())?)?;
        scenario.check_tables(&format!("tables_after_{}", run + 1), &tables(&folder), mode)?;
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

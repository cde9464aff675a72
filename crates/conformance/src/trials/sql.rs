//! The SQL itself: what is planned is sent, variables are no SQL, and values come back as they went in.

use super::page_views::{expect, stage, two_sessions, view, view_titled};
use super::{Trial, trials};
use crate::csv::Cell;
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::sync::Arc;
use websessions_core::error::Error;
use websessions_core::model::sessions::tables::*;
use websessions_core::plan::Phase;
use websessions_core::variables::Variables;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    the_plan_is_what_is_sent,
    no_variable_carries_sql,
    text_survives_whatever_it_holds,
    seconds_are_boundaries_crossed,
];

async fn the_plan_is_what_is_sent(harness: &dyn Harness) -> Result<(), String> {
    let base = Case::new(harness, json!({"stage_next": true, "lookback_guard": "fail", "ends_run": true})).await?;
    stage(&base, two_sessions()).await?;
    for phase in [Phase::Main, Phase::Complete, Phase::Destroy] {
        let recording = Arc::new(Faulty::new(Arc::clone(&base.warehouse), Fault::None));
        base.through(Arc::clone(&recording) as Arc<_>).phase(phase).await?;
        let plan = base.module.plan(phase, &base.variables, &base.warehouse.dialect());
        // No users module has read anything here: what depends on that is left out.
        let planned: Vec<String> = plan
            .units()
            .flat_map(|(_, unit)| unit.statements())
            .filter(|statement| statement.only_if.is_none())
            .map(|statement| statement.sql.clone())
            .collect();
        expect(phase.name(), recording.sent(), planned)?;
    }
    base.drop().await
}

async fn no_variable_carries_sql(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    for (name, _) in case.variables.to_values() {
        for attack in
            ["_x; drop table", "x\"; drop schema scratch; --", "x'); --", "`x`", "x\\", "$$", "1; select 1", "\u{2028}"]
        {
            let values = [(name.clone(), json!(attack))].into_iter().collect();
            match Variables::from_values(&values) {
                Err(Error::Configuration { .. }) => {}
                Err(error) => return Err(format!("{name} = {attack:?}: {error}")),
                // An unknown cleanup mode acts as all; the text goes no further.
                Ok((variables, _)) if name == "cleanup_mode" => {
                    let sql = case
                        .module
                        .plan(Phase::Complete, &variables, &case.warehouse.dialect())
                        .to_sql(&*case.warehouse.dialect());
                    expect("cleanup_mode in the plan", sql.contains(attack), false)?;
                }
                Ok(_) => return Err(format!("{name} = {attack:?} was accepted")),
            }
        }
    }
    case.run().await?;
    case.drop().await
}

async fn text_survives_whatever_it_holds(harness: &dyn Harness) -> Result<(), String> {
    let titles = [
        "it's \"quoted\"",
        "back\\slash \\' \\n",
        "line\nbreak\ttab",
        "ü 製品 📈",
        "",
        "'; DROP TABLE sessions; --",
        "{{ title }} $$ %s ? :x @y",
    ];
    let case = Case::new(harness, Value::Null).await?;
    let rows = titles
        .iter()
        .enumerate()
        .map(|(number, title)| view_titled(&format!("s{number}"), 1, 10, number, title))
        .collect();
    stage(&case, rows).await?;
    case.run().await?;
    let mut expected: Vec<Cell> = titles.iter().map(|title| Some((*title).to_owned())).collect();
    expected.sort();
    expect("titles", case.contents(SESSIONS).await?.column("first_page_title"), expected)?;
    case.drop().await
}

async fn seconds_are_boundaries_crossed(harness: &dyn Harness) -> Result<(), String> {
    let cases = [
        ("2024-03-10 12:00:00.900000", "2024-03-10 12:00:01.100000", "1"),
        ("2024-03-10 12:00:00.100000", "2024-03-10 12:00:00.900000", "0"),
        ("2024-03-10 12:00:00.999999", "2024-03-10 12:00:02.000000", "2"),
        ("2024-03-10 12:00:01.100000", "2024-03-10 12:00:00.900000", "-1"),
        ("1969-12-31 23:59:59.900000", "1970-01-01 00:00:00.100000", "1"),
        ("2024-02-28 23:59:59.999999", "2024-03-01 00:00:00.000000", "86401"),
    ];
    let case = Case::new(harness, Value::Null).await?;
    let rows = cases
        .iter()
        .enumerate()
        .map(|(number, (start, end, _))| {
            let mut row = view(&format!("s{number}"), 1, 10, number);
            (row[4], row[5]) = (Some((*start).to_owned()), Some((*end).to_owned()));
            row
        })
        .collect();
    stage(&case, rows).await?;
    case.run().await?;
    let contents = case.contents(SESSIONS).await?;
    let only = contents.without(
        &contents
            .columns
            .iter()
            .map(String::as_str)
            .filter(|name| !["domain_sessionid", "absolute_time_in_s"].contains(name))
            .collect::<Vec<_>>(),
    );
    let expected = cases
        .iter()
        .enumerate()
        .map(|(number, (_, _, seconds))| vec![Some(format!("s{number}")), Some((*seconds).to_owned())])
        .collect();
    expect("seconds", only.rows, expected)?;
    case.drop().await
}

//! Columns that the tables lack are added, by what was shown, and nothing else happens to them.

use super::lock::expire_the_lock;
use super::page_views::expect;
use super::users::{BOTH, Pair, Visit};
use super::{Trial, trials};
use crate::case::explain;
use crate::contents::Contents;
use crate::{Case, Fault, Faulty, Harness};
use std::sync::Arc;
use websessions_core::error::Error;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::model::users::tables::USERS;
use websessions_core::model::{Module, sessions, users};
use websessions_core::plan::{Phase, Plan};
use websessions_core::preflight::{self, Drift};
use websessions_core::run::{Job, RunError};
use websessions_core::table::ColumnType;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    columns_that_tables_lack_are_added_and_runs_are_right_again,
    a_migration_that_dies_or_loses_an_answer_at_any_call_is_repeated,
    a_migration_leaves_what_else_differs_alone,
];

/// Columns in the middle of tables, of several types. They come back at the end.
const LACKED: [(&str, &[&str]); 4] = [
    (PAGE_VIEWS_STAGED, &["page_title", "geo_latitude"]),
    (SESSIONS, &["app_id", "spider_or_robot", "first_page_title", "absolute_time_in_s"]),
    (USERS, &["last_page_title"]),
    (DATAMODEL_METADATA, &["rows_this_run"]),
];

const FIRST: [Visit; 3] = [(Some("a"), "a1", 10, 1), (Some("b"), "b1", 10, 2), (None, "n1", 10, 3)];
const SECOND: [Visit; 2] = [(Some("a"), "a2", 12, 1), (Some("c"), "c1", 12, 2)];

/// The case whose module has a table.
fn case_of<'a>(pair: &'a Pair, table: &str) -> &'a Case {
    if table == PAGE_VIEWS_STAGED { &pair.sessions } else { &pair.users }
}

fn modules() -> [Module; 2] {
    [sessions::module(), users::module()]
}

/// Sessions and users that have run once.
async fn begun(harness: &dyn Harness) -> Result<Pair, String> {
    let pair = Pair::new(harness).await?;
    pair.visits(&FIRST).await?;
    pair.users(BOTH).await?;
    Ok(pair)
}

/// The same whose tables lack columns, as those of an earlier release would.
async fn lacking(harness: &dyn Harness) -> Result<Pair, String> {
    let pair = begun(harness).await?;
    lack(&pair).await?;
    Ok(pair)
}

async fn lack(pair: &Pair) -> Result<(), String> {
    for (table, columns) in LACKED {
        let case = case_of(pair, table);
        let name = case.warehouse.dialect().table(&case.name(table)?);
        for column in columns {
            case.sql(format!("ALTER TABLE {name} DROP COLUMN {column}")).await?;
        }
    }
    Ok(())
}

async fn drift(case: &Case) -> Result<Drift, String> {
    let found = preflight::drift(&*case.warehouse, &modules(), &case.variables).await;
    found.map(|(drift, _)| drift).map_err(|error| error.to_string())
}

async fn migrate(case: &Case, plan: Plan) -> Result<(), RunError> {
    case.runner().run_jobs(&[Job::migration(plan, &case.variables)]).await.map(|_| ())
}

fn planned(plan: &Plan) -> Vec<String> {
    plan.units().flat_map(|(_, unit)| unit.statements()).map(|statement| statement.sql.clone()).collect()
}

/// What stays, of rows that came again or for the first time since the columns are there.
async fn left(pair: &Pair) -> Result<Vec<Contents>, String> {
    let mut all = pair.left().await?;
    all.push(pair.sessions.contents(PAGE_VIEWS_STAGED).await?);
    Ok(all)
}

/// What else stands in the tables that lacked columns.
async fn others(pair: &Pair) -> Result<Vec<Contents>, String> {
    let mut all = Vec::new();
    for (table, columns) in LACKED {
        let contents = case_of(pair, table).contents(table).await?.without(columns);
        all.push(contents.without(&["run_id", "run_start_tstamp", "run_end_tstamp"]));
    }
    Ok(all)
}

async fn columns_that_tables_lack_are_added_and_runs_are_right_again(harness: &dyn Harness) -> Result<(), String> {
    let undisturbed = begun(harness).await?;
    let pair = lacking(harness).await?;
    let found = drift(&pair.users).await?;
    let count: usize = LACKED.iter().map(|(_, columns)| columns.len()).sum();
    expect("differences", (found.problems.len(), found.left.as_slice()), (count, &[] as &[String]))?;
    let recording = Arc::new(Faulty::new(Arc::clone(&pair.users.warehouse), Fault::None));
    let statements = planned(&found.migration);
    // What a run is refused by says what would be sent.
    let refusal = pair.users.phases(&[Phase::Main]).await.err().ok_or("it ran on tables that lack columns")?;
    let Error::Drift { additions, .. } = &refusal.error else { return Err(explain(refusal)) };
    let additions: Vec<&String> = additions.iter().map(|addition| &addition.sql).collect();
    expect("known before", additions.iter().all(|addition| statements.contains(addition)), true)?;
    migrate(&pair.users.through(Arc::clone(&recording) as Arc<_>), found.migration).await.map_err(explain)?;
    // What asks whether a column is there comes beside it.
    let sent: Vec<String> = recording.sent().into_iter().filter(|sql| !sql.starts_with("SELECT")).collect();
    expect("what was sent", sent, statements)?;
    expect("differences afterwards", drift(&pair.users).await?.problems, Vec::new())?;
    for pair in [&undisturbed, &pair] {
        pair.visits(&[&FIRST[..], &SECOND[..]].concat()).await?;
        pair.users(BOTH).await?;
    }
    expect("tables", left(&pair).await?, left(&undisturbed).await?)?;
    undisturbed.drop().await?;
    pair.drop().await
}

async fn a_migration_that_dies_or_loses_an_answer_at_any_call_is_repeated(harness: &dyn Harness) -> Result<(), String> {
    let pair = begun(harness).await?;
    let rows = others(&pair).await?;
    let mut calls = 1;
    for number in 0.. {
        for fault in [Fault::DeadBefore(number), Fault::AnswerLost(number), Fault::Refused(number)] {
            lack(&pair).await?;
            let plan = drift(&pair.users).await?.migration;
            let faulty = Arc::new(Faulty::new(Arc::clone(&pair.users.warehouse), fault));
            let done = migrate(&pair.users.through(Arc::clone(&faulty) as Arc<_>), plan.clone()).await;
            calls = calls.max(faulty.calls());
            if matches!(fault, Fault::DeadBefore(_)) {
                // It leaves its lock, done or not. Both what a look finds now and what was shown before may come now.
                expire_the_lock(&pair.users).await?;
                migrate(&pair.users, drift(&pair.users).await?.migration).await.map_err(explain)?;
                migrate(&pair.users, plan).await.map_err(explain)?;
            } else {
                done.map_err(|error| format!("{fault:?}: {}", explain(error)))?;
            }
            expect(&format!("differences after {fault:?}"), drift(&pair.users).await?.problems, Vec::new())?;
            expect(&format!("rows after {fault:?}"), &others(&pair).await?, &rows)?;
        }
        if number + 1 >= calls {
            break;
        }
    }
    expect("there were calls", calls >= LACKED.len(), true)?;
    pair.drop().await
}

async fn a_migration_leaves_what_else_differs_alone(harness: &dyn Harness) -> Result<(), String> {
    let pair = begun(harness).await?;
    let dialect = pair.users.warehouse.dialect();
    let name = dialect.table(&pair.users.name(SESSIONS)?);
    let (integer, text) = (dialect.column_type(ColumnType::Integer), dialect.column_type(ColumnType::Text));
    for alteration in [
        format!("ADD COLUMN of_their_own {integer}"),
        "DROP COLUMN page_views".to_owned(),
        format!("ADD COLUMN page_views {text}"),
        "DROP COLUMN app_id".to_owned(),
        "DROP COLUMN geo_latitude".to_owned(),
    ] {
        pair.users.sql(format!("ALTER TABLE {name} {alteration}")).await?;
    }
    pair.users.sql(format!("UPDATE {name} SET of_their_own = 7, page_views = 'many' WHERE 1 = 1")).await?;
    let found = drift(&pair.users).await?;
    let left = |word: &str| found.left.iter().any(|problem| problem.contains(word));
    expect("left", (found.left.len(), left("of_their_own"), left("page_views is")), (2, true, true))?;
    migrate(&pair.users, found.migration.clone()).await.map_err(explain)?;
    let after = drift(&pair.users).await?;
    expect("differences afterwards", (&after.problems, after.migration.steps.len()), (&found.left, 0))?;
    let kept = format!(
        "SELECT COUNT(*) AS kept FROM {name} WHERE of_their_own = 7 AND page_views = 'many' AND app_id IS NULL AND geo_latitude IS NULL"
    );
    let kept = pair.users.warehouse.query(&kept).await.map_err(|error| error.to_string())?;
    expect("rows that are as they were", kept.get(0, "kept").as_integer(), 3)?;
    // A key can't be added: no row that is there would have it.
    pair.users.sql(format!("ALTER TABLE {name} DROP COLUMN domain_sessionid")).await?;
    let found = drift(&pair.users).await?;
    expect("steps", found.migration.steps.len(), 0)?;
    expect("left", found.left.iter().any(|problem| problem.contains("domain_sessionid is missing")), true)?;
    pair.drop().await
}

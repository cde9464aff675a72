//! What main commits, and that a rerun commits the same.

use super::page_views::{expect, left_for_good, sessions, stage, two_sessions, view, view_titled};
use super::{Trial, trials};
use crate::{Case, Harness};
use serde_json::json;
use websessions_core::error::WarehouseErrorKind;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::{Phase, Statement, Unit};
use websessions_core::table::TableName;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    rerun_of_main_gives_the_same_sessions,
    a_block_that_fails_changes_nothing,
    old_copies_before_the_lookback_are_replaced_when_it_widens,
    old_copies_are_replaced_as_far_back_as_the_guard_looks,
    old_copies_before_the_lookback_can_fail_the_run,
    old_copies_before_the_lookback_stay_when_the_guard_is_off,
];

async fn rerun_of_main_gives_the_same_sessions(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Main).await?;
    let first = left_for_good(&case).await?;
    case.phase(Phase::Main).await?;
    expect("metadata rows", case.count(DATAMODEL_METADATA).await?, 2)?;
    expect("tables", left_for_good(&case).await?, first)?;
    case.run().await?;
    expect("sessions", sessions(&case).await?, vec!["a: 2, page 2".to_owned(), "b: 2, page 2".to_owned()])?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    case.drop().await
}

async fn a_block_that_fails_changes_nothing(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.run().await?;
    stage(&case, vec![view_titled("a", 1, 10, 1, "new"), view("c", 1, 12, 1)]).await?;
    let before = left_for_good(&case).await?;
    let dialect = case.warehouse.dialect();
    // The model's own commit, with a last statement that fails.
    let commit = case.module.plan(Phase::Main, &case.variables, &dialect);
    let mut block = None;
    for (step, unit) in commit.units() {
        match unit {
            Unit::Statement(statement) => {
                drop(case.warehouse.execute(statement).await.map_err(|error| error.to_string())?)
            }
            Unit::Block { statements, .. } if step.commits => block = Some(statements.clone()),
            Unit::Block { statements, .. } => {
                drop(case.warehouse.execute_block(statements).await.map_err(|error| error.to_string())?)
            }
            _ => {}
        }
    }
    let mut statements = block.ok_or("main has no block")?;
    let missing =
        dialect.table(&TableName { schema: case.variables.output_schema.clone(), name: "no_such_table".into() });
    statements.push(Statement::new("fails", format!("DELETE FROM {missing} WHERE 1 = 1")));
    let error = case.warehouse.execute_block(&statements).await.err().ok_or("the block did not fail")?;
    expect("kind", error.kind, WarehouseErrorKind::Missing).map_err(|problem| format!("{problem}: {error}"))?;
    expect("tables", left_for_good(&case).await?, before)?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 3)?;
    case.drop().await
}

/// A session of the 2nd of March, staged again as if it began on the 20th: its old row is beyond a lookback of one day.
async fn with_an_old_copy(harness: &dyn Harness, guard: &str) -> Result<Case, String> {
    let case = Case::new(harness, json!({"lookback_guard": guard, "upsert_lookback_days": 1})).await?;
    stage(&case, vec![view("a", 1, 2, 1), view("b", 1, 20, 1)]).await?;
    case.run().await?;
    stage(&case, vec![view_titled("a", 1, 20, 1, "new")]).await?;
    Ok(case)
}

async fn old_copies_before_the_lookback_are_replaced_when_it_widens(harness: &dyn Harness) -> Result<(), String> {
    let case = with_an_old_copy(harness, "widen").await?;
    case.run().await?;
    expect("sessions", sessions(&case).await?, ["a: 1, new", "b: 1, page 1"].map(str::to_owned).to_vec())?;
    case.drop().await
}

async fn old_copies_are_replaced_as_far_back_as_the_guard_looks(harness: &dyn Harness) -> Result<(), String> {
    let both = ["a: 1, new", "a: 1, page 1", "b: 1, page 1"].map(str::to_owned).to_vec();
    let one = ["a: 1, new", "b: 1, page 1"].map(str::to_owned).to_vec();
    for (days, expected) in [(17, both), (19, one)] {
        let case = with_an_old_copy(harness, "widen").await?.with(json!({"lookback_guard_days": days}))?;
        case.run().await?;
        expect("sessions", sessions(&case).await?, expected).map_err(|problem| format!("{days} days: {problem}"))?;
        case.drop().await?;
    }
    Ok(())
}

async fn old_copies_before_the_lookback_can_fail_the_run(harness: &dyn Harness) -> Result<(), String> {
    let case = with_an_old_copy(harness, "fail").await?;
    let error = case.phases(&[Phase::Main]).await.err().ok_or("it did not fail")?;
    expect("exit code", error.error.exit_code(), 4)?;
    expect("names the session", error.error.to_string().contains("(such as a)"), true)?;
    expect("sessions", sessions(&case).await?, ["a: 1, page 1", "b: 1, page 1"].map(str::to_owned).to_vec())?;
    case.drop().await
}

async fn old_copies_before_the_lookback_stay_when_the_guard_is_off(harness: &dyn Harness) -> Result<(), String> {
    let case = with_an_old_copy(harness, "off").await?;
    case.run().await?;
    expect(
        "sessions",
        sessions(&case).await?,
        ["a: 1, new", "a: 1, page 1", "b: 1, page 1"].map(str::to_owned).to_vec(),
    )?;
    case.drop().await
}

//! What a run says of sessions that have no row, or more than one, and what it does about them.

use super::page_views::{expect, stage, staged, two_sessions, view};
use super::{Trial, trials};
use crate::csv::Cell;
use crate::{Case, Harness};
use serde_json::{Value, json};
use websessions_core::model::sessions::findings::*;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::Phase;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    dropped_sessions_are_reported_with_samples,
    dropped_sessions_can_fail_the_run_before_the_commit,
    dropped_sessions_can_keep_their_input,
    multiplied_sessions_are_reported,
];

fn with_dropped_sessions() -> Vec<Vec<Cell>> {
    let mut rows = two_sessions();
    rows.push(view("no first", 2, 12, 1));
    rows.push(view("no last", 1, 12, 1));
    rows.push(view("no last", 3, 12, 2));
    let mut without_key = view("no key", 1, 12, 3);
    without_key[1] = None;
    rows.push(without_key);
    rows
}

async fn dropped_sessions_are_reported_with_samples(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, with_dropped_sessions()).await?;
    let report = case.run().await?;
    let rows = report.findings.get(DROPPED_SESSIONS.name).ok_or("no finding")?;
    let found: Vec<String> = (0..rows.rows.len())
        .map(|row| {
            format!("{} {} {}", rows.get(row, "session_count"), rows.get(row, "first_sample"), rows.get(row, "reason"))
        })
        .collect();
    expect(
        "dropped",
        found,
        [
            "1  domain_sessionid is NULL",
            "1 no last no page view whose index is the number of page views",
            "1 no first no page view with index 1 at the start of the session",
        ]
        .map(str::to_owned)
        .to_vec(),
    )?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    case.drop().await
}

async fn dropped_sessions_can_fail_the_run_before_the_commit(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"on_dropped_sessions": "fail"})).await?;
    stage(&case, with_dropped_sessions()).await?;
    let error = case.phases(&[Phase::Main, Phase::Complete]).await.err().ok_or("it did not fail")?;
    expect("exit code", error.error.exit_code(), 4)?;
    expect("committed", error.report.committed(), false)?;
    expect("sessions", case.count(SESSIONS).await?, 0)?;
    expect("metadata", case.count(DATAMODEL_METADATA).await?, 0)?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 8)?;
    case.drop().await
}

async fn dropped_sessions_can_keep_their_input(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"on_dropped_sessions": "keep_input"})).await?;
    stage(&case, with_dropped_sessions()).await?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    expect(
        "staged",
        staged(&case).await?,
        ["no first-2", "no key-1", "no last-1", "no last-3"].map(str::to_owned).to_vec(),
    )?;
    stage(&case, vec![view("no first", 1, 12, 0), view("no last", 2, 12, 1)]).await?;
    case.run().await?;
    expect("sessions with what was missing", case.count(SESSIONS).await?, 4)?;
    expect("staged at the end", staged(&case).await?, vec!["no key-1".to_owned()])?;
    case.drop().await
}

async fn multiplied_sessions_are_reported(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    let mut rows = two_sessions();
    rows.push(view("a", 1, 10, 1));
    stage(&case, rows).await?;
    let report = case.run().await?;
    let rows = report.findings.get(MULTIPLIED_SESSIONS.name).ok_or("no finding")?;
    expect("count", rows.get(0, "session_count").as_integer(), 1)?;
    expect("sample", rows.get(0, "first_sample").to_string(), "a".to_owned())?;
    case.drop().await
}

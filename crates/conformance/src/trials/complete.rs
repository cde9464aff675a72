//! What complete removes of the input, and what stays for the next run.

use super::page_views::{arrive, expect, rows, sessions, stage, staged, two_sessions, view, view_titled};
use super::{Trial, trials};
use crate::csv::Cell;
use crate::{Case, Harness};
use serde_json::{Value, json};
use websessions_core::model::sessions::findings::*;
use websessions_core::model::sessions::tables::*;
use websessions_core::plan::Phase;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    complete_without_a_committed_main_removes_nothing,
    new_sessions_between_main_and_complete_stay_staged,
    a_session_that_got_page_views_between_main_and_complete_stays_whole,
    a_page_view_that_came_again_between_main_and_complete_stays_in_its_new_form,
    a_page_view_that_came_twice_unchanged_leaves_one_copy,
    a_page_view_of_no_session_is_removed_once_it_was_read,
];

async fn complete_without_a_committed_main_removes_nothing(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"on_dropped_sessions": "fail", "cleanup_mode": "all"})).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Complete).await?;
    expect("staged without a main", case.count(PAGE_VIEWS_STAGED).await?, 4)?;
    stage(&case, vec![view("no first page", 2, 12, 1)]).await?;
    expect("main fails", case.phase(Phase::Main).await.is_err(), true)?;
    case.phase(Phase::Complete).await?;
    expect("staged after a main that failed", case.count(PAGE_VIEWS_STAGED).await?, 5)?;
    case.drop().await
}

async fn new_sessions_between_main_and_complete_stay_staged(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Main).await?;
    stage(&case, vec![view("c", 1, 12, 1)]).await?;
    let report = case.phase(Phase::Complete).await?;
    expect("staged", staged(&case).await?, vec!["c-1".to_owned()])?;
    let left = report.findings.get(INPUT_LEFT.name).map(|rows| rows.get(0, "page_views").as_integer());
    expect("reported as left", left, Some(1))?;
    case.run().await?;
    expect("staged at the end", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    expect("sessions", case.count(SESSIONS).await?, 3)?;
    case.drop().await
}

async fn a_session_that_got_page_views_between_main_and_complete_stays_whole(
    harness: &dyn Harness,
) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Main).await?;
    stage(&case, vec![view("a", 3, 10, 3)]).await?;
    case.phase(Phase::Complete).await?;
    expect("staged", staged(&case).await?, ["a-1", "a-2", "a-3"].map(str::to_owned).to_vec())?;
    case.run().await?;
    expect("staged at the end", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    expect("sessions", sessions(&case).await?, ["a: 3, page 3", "b: 2, page 2"].map(str::to_owned).to_vec())?;
    case.drop().await
}

async fn a_page_view_that_came_again_between_main_and_complete_stays_in_its_new_form(
    harness: &dyn Harness,
) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Main).await?;
    // The whole session again: its first page view as it was, its second with another title, and a third.
    let again = vec![view("a", 1, 10, 1), view_titled("a", 2, 10, 2, "mended"), view_titled("a", 3, 10, 3, "last")];
    stage(&case, again).await?;
    case.phase(Phase::Complete).await?;
    expect("staged", staged(&case).await?, ["a-1", "a-2", "a-3"].map(str::to_owned).to_vec())?;
    let report = case.run().await?;
    let multiplied =
        report.findings.get(MULTIPLIED_SESSIONS.name).map(|rows| rows.get(0, "session_count").as_integer());
    expect("multiplied", multiplied, Some(0))?;
    expect("sessions", sessions(&case).await?, ["a: 3, last", "b: 2, page 2"].map(str::to_owned).to_vec())?;
    let engaged = case.contents(SESSIONS).await?.column("engaged_time_in_s");
    expect("engaged time", engaged, ["20", "30"].map(|cell| Some(cell.to_owned())).to_vec())?;
    case.drop().await
}

async fn a_page_view_that_came_twice_unchanged_leaves_one_copy(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Main).await?;
    stage(&case, vec![view("a", 1, 10, 1), view("a", 2, 10, 2)]).await?;
    case.phase(Phase::Complete).await?;
    expect("staged", staged(&case).await?, ["a-1", "a-2"].map(str::to_owned).to_vec())?;
    case.run().await?;
    expect("sessions", sessions(&case).await?, ["a: 2, page 2", "b: 2, page 2"].map(str::to_owned).to_vec())?;
    case.drop().await
}

/// It is in no session of the next run either: what main has read of it is of no more use, whatever came since.
async fn a_page_view_of_no_session_is_removed_once_it_was_read(harness: &dyn Harness) -> Result<(), String> {
    let of_none = |index: usize, title: &str| -> Vec<Cell> {
        let mut row = view_titled("none", index, 10, index, title);
        row[1] = None;
        row
    };
    let case = Case::new(harness, Value::Null).await?;
    let first = [two_sessions(), vec![of_none(1, "read"), of_none(2, "read"), of_none(3, "read")]].concat();
    stage(&case, first).await?;
    case.phase(Phase::Main).await?;
    // One in a new form, one that is new, and the first page view of a session under the name of one that was read.
    let mut named = view("none", 3, 10, 3);
    named[3] = Some("1".to_owned());
    arrive(&case, vec![of_none(2, "mended"), of_none(4, "new"), view("a", 3, 10, 3), named]).await?;
    case.phase(Phase::Complete).await?;
    let titles = || rows(&case, PAGE_VIEWS_STAGED, &["page_view_id", "page_title"]);
    let left = ["a-1 | page 1", "a-2 | page 2", "a-3 | page 3", "none-2 | mended", "none-3 | page 3", "none-4 | new"];
    expect("staged", titles().await?, left.map(str::to_owned).to_vec())?;
    case.run().await?;
    expect("staged at the end", titles().await?, Vec::new())?;
    let expected = ["a: 3, page 3", "b: 2, page 2", "none: 1, page 3"];
    expect("sessions", sessions(&case).await?, expected.map(str::to_owned).to_vec())?;
    case.drop().await
}

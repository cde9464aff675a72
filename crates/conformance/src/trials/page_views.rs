//! The page views of trials, and what they look at afterwards.

use crate::Case;
use crate::contents::Contents;
use crate::csv::Cell;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;

pub(super) const COLUMNS: &[&str] = &[
    "page_view_id",
    "domain_sessionid",
    "domain_userid",
    "page_view_in_session_index",
    "start_tstamp",
    "end_tstamp",
    "engaged_time_in_s",
    "page_title",
];

/// A page view of few columns: `session`'s view `index`, on a day of March 2024, at a minute of noon's hour.
pub(super) fn view(session: &str, index: usize, day: usize, minute: usize) -> Vec<Cell> {
    view_titled(session, index, day, minute, &format!("page {index}"))
}

pub(super) fn view_titled(session: &str, index: usize, day: usize, minute: usize, title: &str) -> Vec<Cell> {
    let cell = |text: String| Some(text);
    vec![
        cell(format!("{session}-{index}")),
        cell(session.to_owned()),
        cell(format!("user of {session}")),
        cell(index.to_string()),
        cell(format!("2024-03-{day:02} 12:{minute:02}:00")),
        cell(format!("2024-03-{day:02} 12:{minute:02}:30")),
        cell("10".to_owned()),
        cell(title.to_owned()),
    ]
}

pub(super) async fn stage(case: &Case, rows: Vec<Vec<Cell>>) -> Result<(), String> {
    let columns: Vec<String> = COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    case.stage(&columns, rows).await
}

/// Page views that arrive in an input that is there: one statement.
pub(super) async fn arrive(case: &Case, rows: Vec<Vec<Cell>>) -> Result<(), String> {
    let columns: Vec<String> = COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    case.append(&case.table(PAGE_VIEWS_STAGED)?, &case.name(PAGE_VIEWS_STAGED)?, &columns, rows).await
}

/// Two sessions of two page views, on two days.
pub(super) fn two_sessions() -> Vec<Vec<Cell>> {
    vec![view("a", 1, 10, 1), view("a", 2, 10, 2), view("b", 1, 11, 1), view("b", 2, 11, 2)]
}

pub(super) fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

/// The cells of some columns of each row, those of the first one being its key.
pub(super) async fn rows(case: &Case, table: &str, columns: &[&str]) -> Result<Vec<String>, String> {
    let contents = case.contents(table).await?;
    let positions: Vec<usize> =
        columns.iter().filter_map(|name| contents.columns.iter().position(|column| column == name)).collect();
    expect("columns", positions.len(), columns.len())?;
    let shown = |row: &Vec<Cell>| {
        let cells: Vec<String> =
            positions.iter().map(|position| row[*position].clone().unwrap_or_else(|| "NULL".to_owned())).collect();
        cells.join(" | ")
    };
    let mut rows: Vec<String> = contents.rows.iter().map(shown).collect();
    rows.sort();
    Ok(rows)
}

/// `session: page views, last page` of each row of production.
pub(super) async fn sessions(case: &Case) -> Result<Vec<String>, String> {
    let contents = case.contents(SESSIONS).await?;
    let position = |name: &str| contents.columns.iter().position(|column| column == name).unwrap_or_default();
    let [id, views, last] = ["domain_sessionid", "page_views", "last_page_title"].map(position);
    let shown = |cell: &Cell| cell.clone().unwrap_or_default();
    let mut rows: Vec<String> = contents
        .rows
        .iter()
        .map(|row| format!("{}: {}, {}", shown(&row[id]), shown(&row[views]), shown(&row[last])))
        .collect();
    rows.sort();
    Ok(rows)
}

/// The ids of the staged page views, sorted.
pub(super) async fn staged(case: &Case) -> Result<Vec<String>, String> {
    Ok(case.contents(PAGE_VIEWS_STAGED).await?.column("page_view_id").into_iter().flatten().collect())
}

/// Everything that a run leaves for good, times of the run aside. Metadata are a log of commits: a rerun after a commit
/// adds a row there, equal to the first or with no rows if the input was consumed by then. So each distinct row with
/// rows counts once.
pub(super) async fn left_for_good(case: &Case) -> Result<Vec<Contents>, String> {
    let mut metadata =
        case.contents(DATAMODEL_METADATA).await?.without(&["run_id", "run_start_tstamp", "run_end_tstamp"]);
    metadata.rows.dedup();
    let count = metadata.columns.iter().position(|column| column == "rows_this_run").unwrap_or_default();
    metadata.rows.retain(|row| row[count] != Some("0".to_owned()));
    Ok(vec![
        case.contents(SESSIONS).await?,
        case.contents(SESSIONS_USERID_MANIFEST_STAGED).await?,
        case.contents(PAGE_VIEWS_STAGED).await?,
        metadata,
    ])
}

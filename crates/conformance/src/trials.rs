//! The trials beyond the recorded scenarios: what this project promises on purpose.

use crate::case::explain;
use crate::tables::{Cell, Contents};
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use websessions_core::CancellationToken;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::model::sessions;
use websessions_core::model::sessions::findings::*;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;
use websessions_core::plan::{Phase, Plan, Statement, Step, Unit};
use websessions_core::run::{Event, Job, Listener};
use websessions_core::table::*;
use websessions_core::variables::Variables;

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
type Trial = fn(&dyn Harness) -> Outcome<'_>;

macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        /// All trials by name.
        pub(crate) const ALL: &[(&str, Trial)] = &[$((stringify!($name), |harness| Box::pin($name(harness)))),*];
    };
}

trials!(
    a_block_that_fails_changes_nothing,
    a_cancelled_run_leaves_production_alone,
    a_drifted_table_stops_the_run_before_anything_changes,
    a_lease_that_ran_out_is_taken_over_and_its_run_stops,
    a_lock_that_is_freed_while_it_is_taken_is_taken_again,
    a_lock_that_was_taken_over_and_freed_is_lost_all_the_same,
    a_lost_answer_or_refusal_of_any_unit_is_retried_without_a_trace,
    a_lost_answer_or_refusal_of_the_lock_leaves_no_lock_behind,
    a_note_of_an_older_run_is_not_resumed,
    a_script_is_sent_once,
    a_page_view_that_came_again_between_main_and_complete_stays_in_its_new_form,
    a_page_view_that_came_twice_unchanged_leaves_one_copy,
    a_session_that_got_page_views_between_main_and_complete_stays_whole,
    complete_without_a_committed_main_removes_nothing,
    destroy_drops_what_is_ours_and_nothing_else,
    dropped_sessions_are_reported_with_samples,
    dropped_sessions_can_fail_the_run_before_the_commit,
    dropped_sessions_can_keep_their_input,
    entropy_keeps_tables_apart,
    killed_before_any_unit_a_rerun_gives_the_same_tables,
    multiplied_sessions_are_reported,
    new_sessions_between_main_and_complete_stay_staged,
    no_variable_carries_sql,
    old_copies_before_the_lookback_are_replaced_when_it_widens,
    old_copies_before_the_lookback_can_fail_the_run,
    old_copies_before_the_lookback_stay_when_the_guard_is_off,
    rerun_of_main_gives_the_same_sessions,
    seconds_are_boundaries_crossed,
    text_survives_whatever_it_holds,
    the_plan_is_what_is_sent,
    two_racing_runs_do_not_interleave,
);

const COLUMNS: &[&str] = &[
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
fn view(session: &str, index: usize, day: usize, minute: usize) -> Vec<Cell> {
    view_titled(session, index, day, minute, &format!("page {index}"))
}

fn view_titled(session: &str, index: usize, day: usize, minute: usize, title: &str) -> Vec<Cell> {
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

async fn stage(case: &Case, rows: Vec<Vec<Cell>>) -> Result<(), String> {
    let columns: Vec<String> = COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    case.stage(&columns, rows).await
}

/// Two sessions of two page views, on two days.
fn two_sessions() -> Vec<Vec<Cell>> {
    vec![view("a", 1, 10, 1), view("a", 2, 10, 2), view("b", 1, 11, 1), view("b", 2, 11, 2)]
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

/// `session: page views, last page` of each row of production.
async fn sessions(case: &Case) -> Result<Vec<String>, String> {
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
async fn staged(case: &Case) -> Result<Vec<String>, String> {
    Ok(case.contents(PAGE_VIEWS_STAGED).await?.column("page_view_id").into_iter().flatten().collect())
}

/// Everything that a run leaves for good, times of the run aside. Metadata are a log of commits: a rerun after a commit
/// adds a row there, equal to the first or with no rows if the input was consumed by then. So each distinct row with
/// rows counts once.
async fn lasting(case: &Case) -> Result<Vec<Contents>, String> {
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

async fn rerun_of_main_gives_the_same_sessions(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.phase(Phase::Main).await?;
    let first = lasting(&case).await?;
    case.phase(Phase::Main).await?;
    expect("metadata rows", case.count(DATAMODEL_METADATA).await?, 2)?;
    expect("tables", lasting(&case).await?, first)?;
    case.run().await?;
    expect("sessions", sessions(&case).await?, vec!["a: 2, page 2".to_owned(), "b: 2, page 2".to_owned()])?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    case.drop().await
}

async fn entropy_keeps_tables_apart(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"ends_run": true})).await?;
    stage(&case, two_sessions()).await?;
    let test = case.with(json!({"entropy": "_test"}))?;
    stage(&test, vec![view("c", 1, 12, 1)]).await?;
    test.run().await?;
    expect("staged without entropy", case.count(PAGE_VIEWS_STAGED).await?, 4)?;
    expect("test sessions", sessions(&test).await?, vec!["c: 1, page 1".to_owned()])?;
    let all_suffixed =
        case.tables().await?.iter().filter(|table| !table.ends_with("_test")).cloned().collect::<Vec<_>>();
    expect("tables without entropy", all_suffixed, vec!["scratch.page_views_staged".to_owned()])?;
    case.run().await?;
    expect("test sessions afterwards", test.count(SESSIONS).await?, 1)?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    test.phase(Phase::Destroy).await?;
    expect("sessions after the test's destroy", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

async fn destroy_drops_what_is_ours_and_nothing_else(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"cleanup_mode": "trace", "stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.run().await?;
    stage(&case, vec![view("c", 1, 12, 1)]).await?;
    let users_own = case.warehouse.dialect().table(&websessions_core::table::TableName {
        schema: case.variables.output_schema.clone(),
        name: "sessions_of_their_own".into(),
    });
    let integer = case.warehouse.dialect().column_type(ColumnType::Integer);
    case.sql(format!("CREATE TABLE {users_own} (number {integer})")).await?;
    case.phase(Phase::Destroy).await?;
    expect(
        "tables",
        case.tables().await?,
        ["derived.datamodel_metadata", "derived.sessions_of_their_own", "scratch.page_views_staged"]
            .map(str::to_owned)
            .to_vec(),
    )?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 1)?;
    case.phase(Phase::Destroy).await?;
    case.drop().await
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
                    let sql = sessions::module()
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

async fn old_copies_before_the_lookback_can_fail_the_run(harness: &dyn Harness) -> Result<(), String> {
    let case = with_an_old_copy(harness, "fail").await?;
    let error = case.phases(&[Phase::Main]).await.err().ok_or("it did not fail")?;
    expect("exit code", error.error.exit_code(), 4)?;
    expect("names the session", error.error.to_string().contains("such as a;"), true)?;
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

async fn a_drifted_table_stops_the_run_before_anything_changes(harness: &dyn Harness) -> Result<(), String> {
    let alterations = [
        (SESSIONS, "ADD COLUMN of_their_own", "of_their_own is not the model's"),
        (SESSIONS, "DROP COLUMN app_id", "column app_id is missing"),
        (PAGE_VIEWS_STAGED, "DROP COLUMN domain_sessionid", "column domain_sessionid is missing"),
        (DATAMODEL_METADATA, "DROP COLUMN module", "column module is missing"),
        (SESSIONS_USERID_MANIFEST_STAGED, "DROP COLUMN start_tstamp", "column start_tstamp is missing"),
    ];
    for (table, alteration, expected) in alterations {
        let case = Case::new(harness, Value::Null).await?;
        stage(&case, two_sessions()).await?;
        case.run().await?;
        stage(&case, vec![view("c", 1, 12, 1)]).await?;
        let dialect = case.warehouse.dialect();
        let mut sql = format!("ALTER TABLE {} {alteration}", dialect.table(&case.name(table)?));
        if alteration.starts_with("ADD") {
            sql = format!("{sql} {}", dialect.column_type(ColumnType::Integer));
        }
        case.sql(sql).await?;
        let before = case.tables().await?;
        let error =
            case.phases(&[Phase::Main, Phase::Complete]).await.err().ok_or(format!("{alteration}: it did not fail"))?;
        expect("says the difference", error.error.to_string().contains(expected), true)
            .map_err(|problem| format!("{problem}: {}", error.error))?;
        expect("names the table", error.error.to_string().contains(table), true)?;
        expect("done", error.report.done(), Vec::<String>::new())?;
        expect("tables", case.tables().await?, before)?;
        expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 1)?;
        case.drop().await?;
    }
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let dialect = case.warehouse.dialect();
    let name = dialect.table(&case.name(SESSIONS)?);
    case.sql(dialect.create_schema(&case.variables.output_schema).sql).await?;
    let columns: Vec<String> = case
        .table(SESSIONS)?
        .columns
        .iter()
        .map(|column| {
            let column_type = if column.name == "page_views" { ColumnType::Text } else { column.column_type };
            format!("{} {}", column.name, dialect.column_type(column_type))
        })
        .collect();
    case.sql(format!("CREATE TABLE {name} ({})", columns.join(", "))).await?;
    let error = case.phase(Phase::Main).await.err().ok_or("another type: it did not fail")?;
    expect("says the type", error.contains("page_views is") && error.contains("not integer"), true)
        .map_err(|problem| format!("{problem}: {error}"))?;
    case.drop().await
}

async fn a_block_that_fails_changes_nothing(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.run().await?;
    stage(&case, vec![view_titled("a", 1, 10, 1, "new"), view("c", 1, 12, 1)]).await?;
    let before = lasting(&case).await?;
    let dialect = case.warehouse.dialect();
    // The model's own commit, with a last statement that fails.
    let commit = sessions::module().plan(Phase::Main, &case.variables, &dialect);
    let mut block = None;
    for (_, unit) in commit.units() {
        match unit {
            Unit::Statement(statement) => {
                drop(case.warehouse.execute(statement).await.map_err(|error| error.to_string())?)
            }
            Unit::Block { statements, .. } => block = Some(statements.clone()),
            _ => {}
        }
    }
    let mut statements = block.ok_or("main has no block")?;
    let missing = dialect.table(&websessions_core::table::TableName {
        schema: case.variables.output_schema.clone(),
        name: "no_such_table".into(),
    });
    statements.push(Statement::new("fails", format!("DELETE FROM {missing} WHERE 1 = 1")));
    let error = case.warehouse.execute_block(&statements).await.err().ok_or("the block did not fail")?;
    expect("kind", error.kind, WarehouseErrorKind::Missing).map_err(|problem| format!("{problem}: {error}"))?;
    expect("tables", lasting(&case).await?, before)?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 3)?;
    case.drop().await
}

async fn the_plan_is_what_is_sent(harness: &dyn Harness) -> Result<(), String> {
    let base = Case::new(harness, json!({"stage_next": true, "lookback_guard": "fail", "ends_run": true})).await?;
    stage(&base, two_sessions()).await?;
    for phase in [Phase::Main, Phase::Complete, Phase::Destroy] {
        let recording = Arc::new(Faulty::new(Arc::clone(&base.warehouse), Fault::None));
        base.through(Arc::clone(&recording) as Arc<_>).phase(phase).await?;
        let plan = sessions::module().plan(phase, &base.variables, &base.warehouse.dialect());
        let planned: Vec<String> =
            plan.units().flat_map(|(_, unit)| unit.statements()).map(|statement| statement.sql.clone()).collect();
        expect(phase.name(), recording.sent(), planned)?;
    }
    base.drop().await
}

async fn killed_before_any_unit_a_rerun_gives_the_same_tables(harness: &dyn Harness) -> Result<(), String> {
    let variables = json!({"stage_next": true, "ends_run": true});
    let late = || vec![view("a", 1, 10, 1), view("a", 2, 10, 2), view("a", 3, 10, 3), view("c", 1, 12, 1)];
    let undisturbed = Case::new(harness, variables.clone()).await?;
    stage(&undisturbed, two_sessions()).await?;
    undisturbed.run().await?;
    stage(&undisturbed, late()).await?;
    undisturbed.run().await?;
    let expected = lasting(&undisturbed).await?;
    let tables = undisturbed.tables().await?;
    undisturbed.drop().await?;
    for call in 0.. {
        let case = Case::new(harness, variables.clone()).await?;
        stage(&case, two_sessions()).await?;
        case.run().await?;
        stage(&case, late()).await?;
        let dying = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(call)));
        let through = case.through(Arc::clone(&dying) as Arc<_>);
        let died = through.phases(&[Phase::Main, Phase::Complete]).await.is_err();
        expire_the_lock(&case).await?;
        case.run().await.map_err(|error| format!("rerun after death before call {call}: {error}"))?;
        expect(&format!("tables after death before call {call}"), lasting(&case).await?, expected.clone())?;
        expect("which tables exist", case.tables().await?, tables.clone())?;
        case.drop().await?;
        if !died {
            return expect("there were calls to die before", call > 20, true);
        }
    }
    Ok(())
}

/// As if the dead holder's lease had run out by now.
async fn expire_the_lock(case: &Case) -> Result<(), String> {
    if !case.tables().await?.iter().any(|table| table.ends_with("sessions_lock")) {
        return Ok(());
    }
    let dialect = case.warehouse.dialect();
    let past =
        format!("CAST({} AS {})", dialect.text("2000-01-01 00:00:00"), dialect.column_type(ColumnType::Timestamp));
    case.sql(format!("UPDATE {} SET expires_tstamp = {past} WHERE 1 = 1", dialect.table(&case.lock_name()))).await
}

async fn a_lost_answer_or_refusal_of_any_unit_is_retried_without_a_trace(harness: &dyn Harness) -> Result<(), String> {
    let variables = json!({"stage_next": true, "ends_run": true});
    let phases = [Phase::Main, Phase::Complete];
    let mut expected = None;
    let mut calls = 1;
    for number in 0.. {
        for fault in [Fault::None, Fault::AnswerLost(number), Fault::Refused(number)] {
            if number > 0 && fault == Fault::None {
                continue;
            }
            let case = Case::new(harness, variables.clone()).await?;
            stage(&case, two_sessions()).await?;
            let faulty = Arc::new(Faulty::new(Arc::clone(&case.warehouse), fault));
            case.through(Arc::clone(&faulty) as Arc<_>)
                .phases(&phases)
                .await
                .map_err(|error| format!("{fault:?}: {}", explain(error)))?;
            // Here the metadata must not hold a row more, either.
            expect(&format!("metadata rows after {fault:?}"), case.count(DATAMODEL_METADATA).await?, 1)?;
            let tables = lasting(&case).await?;
            match &expected {
                None => {
                    expected = Some(tables);
                    calls = faulty.calls();
                }
                Some(expected) => expect(&format!("tables after {fault:?}"), &tables, expected)?,
            }
            case.drop().await?;
        }
        if number + 1 >= calls {
            break;
        }
    }
    expect("there were calls", calls > 20, true)
}

async fn a_lost_answer_or_refusal_of_the_lock_leaves_no_lock_behind(harness: &dyn Harness) -> Result<(), String> {
    let mut calls = 1;
    for number in 0.. {
        for fault in [Fault::AnswerLost(number), Fault::Refused(number)] {
            let case = Case::new(harness, Value::Null).await?;
            stage(&case, two_sessions()).await?;
            let faulty = Arc::new(Faulty::in_housekeeping(Arc::clone(&case.warehouse), fault));
            // The phase with the fewest statements.
            let through = case.through(Arc::clone(&faulty) as Arc<_>);
            through.phase(Phase::Destroy).await.map_err(|error| format!("{fault:?}: {error}"))?;
            calls = faulty.calls();
            expect(
                &format!("tables after {fault:?}"),
                case.tables().await?,
                vec!["scratch.page_views_staged".to_owned()],
            )?;
            case.drop().await?;
        }
        if number + 1 >= calls {
            break;
        }
    }
    expect("there were calls", calls > 5, true)
}

async fn two_racing_runs_do_not_interleave(harness: &dyn Harness) -> Result<(), String> {
    for round in 0..5 {
        let one = Case::new(harness, json!({"stage_next": true, "ends_run": true})).await?;
        stage(&one, two_sessions()).await?;
        let other = one.through(harness.connect().await);
        let phases = [Phase::Main, Phase::Complete];
        let (first, second) = tokio::join!(one.phases(&phases), other.phases(&phases));
        let mut won = 0;
        for result in [first, second] {
            match result {
                Ok(_) => won += 1,
                Err(error) => expect("the loser's exit code", error.error.exit_code(), 3)
                    .map_err(|problem| format!("{problem}: {}", explain(error)))?,
            }
        }
        if won == 0 {
            return Err(format!("round {round}: both runs lost"));
        }
        expect("sessions", sessions(&one).await?, ["a: 2, page 2", "b: 2, page 2"].map(str::to_owned).to_vec())?;
        expect("metadata rows", one.count(DATAMODEL_METADATA).await?, won)?;
        expect("staged", one.count(PAGE_VIEWS_STAGED).await?, 0)?;
        one.drop().await?;
    }
    Ok(())
}

/// Lets another task act as soon as a step begins, and waits until it has.
struct Interrupter {
    step: &'static str,
    begun: std::sync::mpsc::Sender<()>,
    acted: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Listener for Interrupter {
    fn on(&self, event: &Event) {
        if matches!(event, Event::StepStarted { step, .. } if step == self.step) {
            let _ = self.begun.send(());
            tokio::task::block_in_place(|| {
                let _ = self.acted.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
            });
        }
    }
}

/// A run whose lock becomes another's, or nobody's, while it works: it must notice before its commit.
async fn loses_its_lock(case: &Case, other: Case, holder: String) -> Result<(), String> {
    let ((begun, begins), (act, acted)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let listener = Interrupter { step: "manifest", begun, acted: acted.into() };
    let jobs = [case.job(Phase::Main)];
    let runner = case.runner().listener(&listener);
    let steal = tokio::spawn(async move {
        tokio::task::block_in_place(|| begins.recv()).map_err(|error| error.to_string())?;
        let table = other.warehouse.dialect().table(&other.lock_name());
        let stolen = other.sql(format!("UPDATE {table} SET holder = {holder} WHERE 1 = 1")).await;
        let _ = act.send(());
        stolen
    });
    let result = runner.run_jobs(&[], &jobs).await;
    steal.await.map_err(|error| error.to_string())??;
    let error = result.err().ok_or("the run did not notice that its lock was lost")?;
    expect("error", matches!(error.error, Error::LeaseLost { .. }), true)
        .map_err(|problem| format!("{problem}: {}", error.error))?;
    expect("sessions", case.count(SESSIONS).await?, 0)
}

async fn a_lease_that_ran_out_is_taken_over_and_its_run_stops(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let thief = case.through(harness.connect().await);
    loses_its_lock(&case, thief, case.warehouse.dialect().text("thief")).await?;
    // The thief holds it; when its lease has run out, anyone may take it.
    let refused = case.phases(&[Phase::Main]).await.err().ok_or("a held lock was taken")?;
    expect("exit code", refused.error.exit_code(), 3)?;
    expire_the_lock(&case).await?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

/// Another run took the lock over, failed, and freed it: nobody holds it now, the first run neither.
async fn a_lock_that_was_taken_over_and_freed_is_lost_all_the_same(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let thief = case.through(harness.connect().await);
    loses_its_lock(&case, thief, "NULL".to_owned()).await?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

/// Another run holds the lock when it is taken first, and frees it before the look at it.
async fn a_lock_that_is_freed_while_it_is_taken_is_taken_again(harness: &dyn Harness) -> Result<(), String> {
    let takes = |sql: &String| sql.contains("SET holder") && sql.contains("acquired_tstamp");
    let mut taking = None;
    for attempts in [1, 2] {
        let case = Case::new(harness, Value::Null).await?;
        stage(&case, two_sessions()).await?;
        let fault = taking.map_or(Fault::None, Fault::FindsNothing);
        let faulty = Arc::new(Faulty::in_housekeeping(Arc::clone(&case.warehouse), fault));
        case.through(Arc::clone(&faulty) as Arc<_>).phase(Phase::Main).await?;
        taking = faulty.sent().iter().position(takes);
        expect("attempts", faulty.sent().iter().filter(|sql| takes(sql)).count(), attempts)?;
        case.drop().await?;
    }
    Ok(())
}

/// A user's own script as a job.
fn own_script(sql: &str, dialect: &dyn Dialect) -> Job {
    let script = Unit::Script(Statement::new("script", sql));
    let step = Step::new("own", "a script of a user's own", vec![script]);
    Job::custom(Plan::new("own", dialect.name(), vec![step]))
}

async fn a_script_is_sent_once(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    for fault in [Fault::AnswerLost(0), Fault::Refused(0)] {
        let faulty = Faulty::new(Arc::clone(&case.warehouse), fault);
        let runner = case.runner().warehouse(&faulty);
        let error = runner
            .run_jobs(&[], &[own_script("SELECT 1", &*case.warehouse.dialect())])
            .await
            .err()
            .ok_or("it was sent again")?;
        expect("attempts", matches!(error.error, Error::Unit { attempts: 1, .. }), true)
            .map_err(|problem| format!("{fault:?}: {problem}: {}", error.error))?;
    }
    case.drop().await
}

async fn a_note_of_an_older_run_is_not_resumed(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let dialect = case.warehouse.dialect();
    let own = own_script("SELECT * FROM there_is_no_such_table", &*dialect);
    let jobs = [case.job(Phase::Main), own];
    let dying = Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(5));
    let error = case.runner().run_jobs(&[], &jobs).await.err().ok_or("the script did not fail")?;
    expect("the first error", matches!(error.error, Error::Unit { .. }), true)?;
    let error = case.runner().resume(&jobs).await.err().ok_or("the script did not fail again")?;
    expect("main ran again", error.report.plans.iter().any(|plan| plan.plan == "main"), false)?;
    // A later run dies: where an older one stopped says nothing any more.
    expect("the run died", case.runner().warehouse(&dying).run_jobs(&[], &jobs).await.is_err(), true)?;
    expire_the_lock(&case).await?;
    let error = case.runner().resume(&jobs).await.err().ok_or("there was a note")?;
    expect("the last error", matches!(error.error, Error::NoResume { .. }), true)
        .map_err(|problem| format!("{problem}: {}", error.error))?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

/// Cancels as soon as a step begins.
struct CancelAt(&'static str, CancellationToken);

impl Listener for CancelAt {
    fn on(&self, event: &Event) {
        if matches!(event, Event::StepStarted { step, .. } if step == self.0) {
            self.1.cancel();
        }
    }
}

async fn a_cancelled_run_leaves_production_alone(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let cancellation = CancellationToken::new();
    let listener = CancelAt("commit", cancellation.clone());
    let jobs = [case.job(Phase::Main)];
    let runner = case.runner().listener(&listener).cancellation(cancellation);
    let error = runner.run_jobs(&[], &jobs).await.err().ok_or("it was not cancelled")?;
    expect("exit code", error.error.exit_code(), 130)?;
    expect("committed", error.report.committed(), false)?;
    expect("sessions", case.count(SESSIONS).await?, 0)?;
    // The lock is free again at once.
    case.runner().run_jobs(&[], &jobs).await.map_err(explain)?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

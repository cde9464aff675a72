//! What the commands that look ask is understood, and what it says is so: status, history, show, check, explain, preview, the
//! ranges of compare, and the queries of the report.

use super::page_views::{arrive, expect, stage, two_sessions, view, view_titled};
use super::{Trial, trials};
use crate::{Case, Harness};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use websessions_core::insight::{self, Answer, Insight, Look, Outcome, Range, Run, Runs, Since};
use websessions_core::model::page_views;
use websessions_core::model::page_views::tables::PAGE_VIEWS;
use websessions_core::model::sessions::report;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::{Module, modules, users};
use websessions_core::plan::{Phase, Unit};
use websessions_core::rows::Rows;
use websessions_core::words::counted;

pub(super) const TRIALS: &[(&str, Trial)] = trials![what_looks_at_the_tables_say_is_so];

/// Two sessions are in all tables; one of them waits with another last page, and a third with two page views.
async fn fill(case: &Case) -> Result<(), String> {
    stage(case, two_sessions()).await?;
    let kept = case.clone().of(page_views::module());
    let (table, name) = (kept.table(PAGE_VIEWS)?, kept.name(PAGE_VIEWS)?);
    kept.insert(&table, &name, &[], Vec::new()).await?;
    let columns = table.column_list();
    let staged = case.warehouse.dialect().table(&case.name(PAGE_VIEWS_STAGED)?);
    let select = format!("SELECT\n  {columns}\nFROM {staged}");
    case.sql(case.warehouse.dialect().insert(&name, &columns, &select)).await?;
    case.sql(format!(
        "UPDATE {} SET page_views_in_session = 2 WHERE page_view_id IS NOT NULL",
        case.warehouse.dialect().table(&name)
    ))
    .await?;
    case.run().await?;
    let users = case.clone().of(users::module());
    for phase in [Phase::Main, Phase::Complete] {
        users.phase(phase).await?;
    }
    let waiting =
        vec![view("b", 1, 11, 1), view_titled("b", 2, 11, 2, "another page"), view("c", 1, 12, 1), view("c", 2, 12, 2)];
    arrive(case, waiting).await
}

async fn what_looks_at_the_tables_say_is_so(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({ "ends_run": true, "stage_next": true })).await?;
    let (warehouse, variables, all) = (&*case.warehouse, &case.variables, modules());
    let status = insight::status(warehouse, &all, variables).await.map_err(words)?;
    expect("tables before the first run", status.tables.iter().filter(|table| table.exists).count(), 0)?;
    fill(&case).await?;
    let insight = Insight::new(&all, variables, &warehouse.dialect());
    status_and_history(&case, &all, &insight).await?;
    rows_and_ranges(&case, &insight).await?;
    preview_and_explain(&case, &insight).await?;
    report_of_production(&case).await?;
    checks(&case, &insight).await?;
    case.drop().await
}

fn words(error: websessions_core::error::Error) -> String {
    websessions_core::error::chain(&error)
}

async fn status_and_history(case: &Case, all: &[Module], insight: &Insight<'_>) -> Result<(), String> {
    let status = insight::status(&*case.warehouse, all, &case.variables).await.map_err(words)?;
    // A server that speaks a warehouse's protocol may keep no sizes.
    let unknown = status.unknown.iter().filter(|words| !words.starts_with("the size of ")).count();
    expect("what is not known", unknown, 0)?;
    expect("the lock", (&status.lock, &status.failed_at), (&None, &None))?;
    let counts: BTreeMap<&str, Option<i64>> = status.tables.iter().map(|table| (table.name, table.rows)).collect();
    for (table, rows) in [(SESSIONS, 2), (PAGE_VIEWS_STAGED, 4), (PAGE_VIEWS, 4), (users::tables::USERS, 2)] {
        expect(table, counts.get(table), Some(&Some(rows)))?;
    }
    let sessions = status.tables.iter().find(|table| table.name == SESSIONS).ok_or("no sessions")?;
    expect("the newest session", sessions.newest.as_deref().map(minute), Some("2024-03-11 12:01".to_owned()))?;
    let history = |module: Option<&str>, since| Runs { module: module.map(str::to_owned), since, limit: 9 };
    for since in [None, Some(Since::Days(1)), Some(Since::Time("2024-01-01 00:00:00".to_owned()))] {
        let rows = case.warehouse.query(&insight.history(&history(None, since)).sql).await;
        let runs = Run::from_rows(&rows.map_err(|error| error.to_string())?);
        let mut told: Vec<(&str, Option<i64>)> = runs.iter().map(|run| (run.module.as_str(), run.rows)).collect();
        // Both may have begun in the same second.
        told.sort();
        expect("the runs", told, vec![("sessions", Some(2)), ("users", Some(2))])?;
        expect(
            "how long they took",
            runs.iter().all(|run| run.duration_in_s.is_some_and(|seconds| seconds >= 0)),
            true,
        )?;
    }
    let rows = case.warehouse.query(&insight.history(&history(Some("sessions"), None)).sql).await;
    expect("runs of sessions", rows.map_err(|error| error.to_string())?.rows.len(), 1)
}

/// A time, however many digits it has and whatever stands between day and hour, to the minute.
fn minute(time: &str) -> String {
    time.replace('T', " ").chars().take(16).collect()
}

async fn rows_and_ranges(case: &Case, insight: &Insight<'_>) -> Result<(), String> {
    let table = case.name(SESSIONS)?;
    let look = Look {
        table: table.clone(),
        columns: vec!["domain_sessionid".to_owned(), "page_views".to_owned()],
        time: Some("start_tstamp".to_owned()),
        condition: Some("page_views > 1 -- of several".to_owned()),
        limit: 1,
    };
    let query = async |sql: String| case.warehouse.query(&sql).await.map_err(|error| error.to_string());
    let rows = query(insight.rows(&look).sql).await?;
    expect("the newest", (rows.rows.len(), rows.get(0, "domain_sessionid").to_string()), (1, "b".to_owned()))?;
    let any = Look { time: None, condition: None, columns: Vec::new(), limit: 9, ..look };
    expect("all", query(insight.rows(&any).sql).await?.rows.len(), 2)?;
    let time = "start_tstamp";
    let day = Range::Between("2024-03-10 00:00:00.000000".to_owned(), "2024-03-11 00:00:00.000000".to_owned());
    let columns = case.table(SESSIONS)?.columns;
    let days = query(insight.days(&table, time, Some(&columns)).sql).await?;
    let mut told: Vec<(String, i64)> = (0..days.rows.len())
        .map(|row| (days.get(row, "day_of_rows").to_string(), days.get(row, "row_count").as_integer()))
        .collect();
    told.sort();
    expect("rows of days", told, vec![("2024-03-10".to_owned(), 1), ("2024-03-11".to_owned(), 1)])?;
    let again = query(insight.days(&table, time, Some(&columns)).sql).await?;
    let sums = |rows: &Rows| -> BTreeSet<String> {
        (0..rows.rows.len()).map(|row| rows.get(row, "sum_of_rows").to_string()).collect()
    };
    expect("checksums", sums(&days), sums(&again))?;
    if case.warehouse.dialect().content_hash(&columns).is_some() {
        expect("checksums of different rows", sums(&days).len(), 2)?;
    }
    for (range, count) in [(Range::All, 2), (day, 1), (Range::WithoutTime, 0)] {
        let found = query(insight.range(&table, time, &range).sql).await?;
        expect("rows of a range", found.get(0, "row_count").as_integer(), count)?;
        let columns = ["domain_sessionid".to_owned()];
        let rows = query(insight.rows_of_range(&table, &columns, Some(time), &range).sql).await?;
        expect("these rows", i64::try_from(rows.rows.len()).ok(), Some(count))?;
    }
    Ok(())
}

async fn preview_and_explain(case: &Case, insight: &Insight<'_>) -> Result<(), String> {
    let preview = insight.preview(&*case.warehouse, 5).await.map_err(words)?.ok_or("something is staged")?;
    expect("sessions", (preview.sessions, preview.inserted, preview.changed, preview.unchanged), (2, 1, 1, 0))?;
    expect("rows", (preview.rows_to_delete, preview.rows_to_insert, preview.production_rows), (1, 2, 2))?;
    let columns: Vec<(&str, i64)> =
        preview.changed_columns.iter().map(|changed| (changed.column.as_str(), changed.sessions)).collect();
    expect("the columns that change", columns, vec![("last_page_title", 1)])?;
    let sample = preview.samples.first().and_then(|sample| sample.changes.first()).ok_or("no sample")?;
    expect(
        "before and after",
        (sample.1.to_string(), sample.2.to_string()),
        ("page 2".to_owned(), "another page".to_owned()),
    )?;
    expect("users", preview.users, 2)?;
    let explained = insight.explain(&*case.warehouse, "a").await.map_err(words)?;
    let row = explained.explanation.rows.first().ok_or("no row")?;
    expect("columns of the row", row.len(), 90)?;
    expect("columns that page views don't give", row.iter().filter(|column| column.agrees == Some(false)).count(), 0)?;
    let from = |name: &str| row.iter().find(|column| column.column == name).map(|column| column.from.clone());
    expect(
        "the first and the last",
        (from("first_page_title"), from("last_page_title")),
        (Some(vec![1]), Some(vec![2])),
    )?;
    expect("who wrote it", explained.written_by.len(), 1)?;
    let missing = insight.explain(&*case.warehouse, "c' OR '1' = '1").await.map_err(words)?;
    expect("a session that is not there", missing.explanation.rows.len(), 0)?;
    let waits = insight.explain(&*case.warehouse, "c").await.map_err(words)?;
    expect("page views that wait", (waits.waiting, waits.explanation.missing.is_some()), (2, true))
}

async fn report_of_production(case: &Case) -> Result<(), String> {
    let plan = report::report(&case.variables, &case.warehouse.dialect(), 90);
    let mut all = BTreeMap::new();
    for (_, unit) in plan.units() {
        let Unit::Observation(observation) = unit else { return Err("a report observes".to_owned()) };
        let name = observation.finding.name;
        let rows =
            case.warehouse.query(&observation.statement.sql).await.map_err(|error| format!("{name}: {error}"))?;
        all.insert(name, rows);
    }
    let number = |name: &str, row: usize, column: &str| all.get(name).map(|rows| rows.get(row, column).as_integer());
    expect("sessions of the period", number("period", 0, "session_count"), Some(2))?;
    let days: Vec<String> = (0..2).map(|row| all["daily"].get(row, "session_day").to_string()).collect();
    expect("days", days, vec!["2024-03-10".to_owned(), "2024-03-11".to_owned()])?;
    expect("page views of a day", number("daily", 1, "page_views"), Some(2))?;
    expect("runs", all.get("runs").map(|rows| rows.rows.len()), Some(2))?;
    for name in ["landing_pages", "exit_pages", "sources", "devices"] {
        let sessions: i64 = (0..all[name].rows.len()).filter_map(|row| number(name, row, "session_count")).sum();
        expect(name, sessions, 2)?;
    }
    Ok(())
}

async fn checks(case: &Case, insight: &Insight<'_>) -> Result<(), String> {
    let ask = async |since: Option<Since>, names: &[&str]| {
        let mut questions = insight.questions(since.as_ref());
        questions.retain(|question| names.is_empty() || names.contains(&question.name.as_str()));
        let answers = insight.ask(&*case.warehouse, &questions, 3).await.map_err(words)?;
        let told = |answer: &Answer| {
            let reason = answer.reason.clone().unwrap_or_else(|| counted(answer.failures, "row"));
            (answer.outcome != Outcome::Passed).then(|| format!("{}: {reason}", answer.name))
        };
        Ok::<_, String>((answers.iter().filter_map(told).collect::<Vec<_>>(), answers))
    };
    for since in [None, Some(Since::Time("2024-03-11 00:00:00".to_owned()))] {
        expect("checks that find something", ask(since, &[]).await?.0, Vec::new())?;
    }
    // A session goes: its page views, its user and its run are left.
    let dialect = case.warehouse.dialect();
    case.sql(dialect.delete(&case.name(SESSIONS)?, "domain_sessionid = 'a'")).await?;
    let names = ["sessions_of_page_views", "sessions_of_last_run", "users_without_sessions"];
    let (found, answers) = ask(None, &names).await?;
    for name in names {
        expect(name, found.contains(&format!("{name}: 1 row")), true)
            .map_err(|problem| format!("{problem}: {found:?}"))?;
    }
    let of_page_views = answers.iter().find(|answer| answer.name == "sessions_of_page_views").ok_or("no answer")?;
    expect("a sample", of_page_views.samples.get(0, "domain_sessionid").to_string(), "a".to_owned())
}

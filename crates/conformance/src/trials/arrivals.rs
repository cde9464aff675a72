//! Page views that come as a user's table: in any order, again, in older forms, late; what is left out is counted.

use super::page_views::{expect, rows};
use super::page_views_interleaved::ways;
use super::{Trial, trials};
use crate::case::explain;
use crate::csv::Cell;
use crate::histories::{self, Arrival, Break, By, Command, arrivals_table, free, looked_at, run};
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::sync::Arc;
use websessions_core::files::Files;
use websessions_core::model::page_views::findings::*;
use websessions_core::model::page_views::tables::*;
use websessions_core::model::page_views::{self, read_source};
use websessions_core::model::shared::*;
use websessions_core::plan::Phase;
use websessions_core::run::Job;
use websessions_core::table::{ColumnType, TypeFamily};

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    page_views_of_any_history_are_those_of_one_run,
    page_views_of_a_run_that_died_anywhere_are_those_of_one_run,
    page_views_that_come_again_change_no_row,
    page_views_that_come_as_they_are_kept_are_not_written,
    page_views_of_a_table_are_read_from_the_newest_time_on,
    page_views_that_are_left_out_or_repeated_can_fail_the_run,
    page_views_before_the_lookback_are_replaced_when_it_widens,
    page_views_of_a_table_that_lacks_a_column_are_refused,
    page_views_of_a_table_are_exactly_what_it_holds_or_refused,
    page_views_are_destroyed_with_a_count,
    page_views_of_a_run_are_there_until_complete_and_in_the_way_of_nothing,
];

fn arrival(session: u8, page_view: u8, form: u8) -> Arrival {
    Arrival { session, page_view, form }
}

/// Older forms first and last, ties, repetitions, a late page view, one that stands in every session, rows left out.
fn history() -> Vec<Command> {
    let command = |arrivals: &[(u8, u8, u8)], runs, breaks| Command {
        arrivals: arrivals.iter().map(|(session, page_view, form)| arrival(*session, *page_view, *form)).collect(),
        runs,
        // Less often than sessions.
        users: arrivals.len() > 4,
        breaks,
    };
    vec![
        command(&[(0, 0, 1), (0, 1, 2), (0, 3, 0), (0, 0, 0), (1, 0, 4), (1, 0, 7)], true, Break::Nothing),
        command(&[(1, 0, 2), (1, 0, 3), (1, 1, 7), (1, 2, 7), (1, 3, 1)], false, Break::DiesBefore(17)),
        command(&[(0, 0, 5), (0, 2, 6), (0, 1, 1), (0, 1, 1)], false, Break::AnswerLost(30)),
        command(&[(2, 2, 3), (1, 0, 0)], true, Break::DiesBefore(50)),
        command(&[(2, 3, 6), (2, 0, 0), (1, 1, 5), (1, 0, 1)], true, Break::Nothing),
    ]
}

async fn page_views_of_any_history_are_those_of_one_run(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    histories::prove(case, &history(), By::Table).await
}

/// A case whose arrivals are in a table, as a harness makes it.
async fn with_arrivals(harness: &dyn Harness, variables: Value, arrivals: &[Arrival]) -> Result<Case, String> {
    let case = Case::new(harness, variables).await?.of(page_views::module());
    let name = arrivals_table(&case).1.to_string();
    let case = case.with(json!({ "page_views_from": name }))?;
    histories::arrive(&case, arrivals, By::Table, "unused".into()).await?;
    looked_at(case).await
}

/// Each run has a new session, and of the one before a late page view and another form of one that is stored.
async fn page_views_of_a_run_that_died_anywhere_are_those_of_one_run(harness: &dyn Harness) -> Result<(), String> {
    let mut all = vec![arrival(0, 0, 1), arrival(0, 1, 1)];
    let case = with_arrivals(harness, Value::Null, &all).await?;
    run(&case, &Files::default(), true).await.map_err(explain)?;
    for call in 0..u8::MAX {
        let form = if call % 2 == 0 { 4 } else { 0 };
        let new = [arrival(call, 0, form), arrival(call, 2, 6), arrival(call + 1, 0, 1), arrival(call + 1, 1, 2)];
        histories::arrive(&case, &new, By::Table, "unused".into()).await?;
        all.extend(new);
        let dying = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(call.into())));
        let died = run(&case.through(dying), &Files::default(), true).await.is_err();
        free(&case).await?;
        let repeated = run(&case, &Files::default(), true).await;
        repeated.map_err(|error| format!("repeated after death before call {call}: {}", explain(error)))?;
        let what = |error| format!("after death before call {call}: {error}");
        histories::compare(&case, &all).await.map_err(what)?;
        if !died {
            expect("there were calls to die before", call > 40, true)?;
            break;
        }
    }
    case.drop().await
}

async fn page_views_that_come_again_change_no_row(harness: &dyn Harness) -> Result<(), String> {
    let arrivals = [arrival(0, 0, 1), arrival(0, 1, 2), arrival(0, 0, 0), arrival(1, 3, 6), arrival(2, 3, 0)];
    let case = with_arrivals(harness, Value::Null, &arrivals).await?;
    let report = run(&case, &Files::default(), true).await.map_err(explain)?;
    let several = report.counts.get(PAGE_VIEWS_IN_SEVERAL_SESSIONS.name).copied();
    expect("ids in several sessions", several, Some(1))?;
    expect("repeated", report.counts.get(REPEATED_PAGE_VIEWS.name).copied(), Some(1))?;
    let sessions = case.clone().of(websessions_core::model::sessions::module());
    let first = (case.contents(PAGE_VIEWS).await?, sessions.contents("sessions").await?);
    let metadata = |contents: crate::Contents| -> Vec<Cell> {
        contents.column("module").into_iter().chain(contents.column("duplicate_rows_removed")).collect()
    };
    let of_one_run = metadata(case.contents(DATAMODEL_METADATA).await?);
    let cell = |text: &str| Some(text.to_owned());
    expect("metadata", of_one_run, vec![cell("page-views"), cell("sessions"), None, cell("1")])?;
    let report = run(&case, &Files::default(), true).await.map_err(explain)?;
    // Of the session alone that has a page view of two rows.
    let summary = report.findings.get(PAGE_VIEWS_SUMMARY.name).ok_or("no summary")?;
    expect("written again", summary.get(0, "rows_written").as_integer(), 2)?;
    expect("tables", (case.contents(PAGE_VIEWS).await?, sessions.contents("sessions").await?), first)?;
    expect("metadata rows", case.count(DATAMODEL_METADATA).await?, 4)?;
    let left: Vec<String> = case.tables().await?.into_iter().filter(|table| table.contains("this_run")).collect();
    expect("tables of the run that are left", left, Vec::new())?;
    expect("the run's id is left", case.tables().await?.iter().any(|table| table.contains("metadata_run_id")), false)?;
    case.drop().await
}

/// What is written is what differs, and all of that: a value where there was none, one of another, a blank at the end of a text,
/// which not every warehouse's `=` counts. The sessions, computed of what is staged, say the same as the page views.
async fn page_views_that_come_as_they_are_kept_are_not_written(harness: &dyn Harness) -> Result<(), String> {
    let case = with_arrivals(harness, Value::Null, &[arrival(0, 0, 1), arrival(0, 3, 5), arrival(1, 0, 0)]).await?;
    let sessions = case.clone().of(websessions_core::model::sessions::module());
    let contents = async || Ok::<_, String>((case.contents(PAGE_VIEWS).await?, sessions.contents("sessions").await?));
    let written = async || {
        let report = run(&case, &Files::default(), true).await.map_err(explain)?;
        let summary = report.findings.get(PAGE_VIEWS_SUMMARY.name).ok_or("no summary")?;
        Ok::<_, String>(summary.get(0, "rows_written").as_integer())
    };
    let dialect = case.warehouse.dialect();
    let name = dialect.table(&arrivals_table(&case).1);
    let of_the_first = "domain_sessionid = 'session 0' AND page_view_id = 'a-0'";
    expect("written at first", written().await?, 3)?;
    let mut before = contents().await?;
    for (column, value) in
        [("geo_latitude", "1.5"), ("geo_latitude", "2.5"), ("page_title", "'a '"), ("page_title", "'a  '")]
    {
        expect("written of what is kept", written().await?, 0)?;
        expect("tables", contents().await? == before, true)?;
        case.sql(format!("UPDATE {name} SET {column} = {value} WHERE {of_the_first}")).await?;
        expect(&format!("written with {column} {value}"), written().await?, 2)?;
        before = contents().await?;
        let titles = (
            rows(&case, PAGE_VIEWS, &["page_view_in_session_index", "domain_sessionid", "page_title"]).await?,
            rows(&sessions, "sessions", &["domain_sessionid", "first_page_title"]).await?,
        );
        let first = |row: &String| row.strip_prefix("1 | ").map(str::to_owned);
        expect("titles", titles.0.iter().filter_map(first).collect::<Vec<_>>(), titles.1)?;
    }
    // Two rows of the same content: their session is written, as it was.
    histories::arrive(&case, &[arrival(1, 0, 0), arrival(1, 0, 0)], By::Table, "unused".into()).await?;
    expect("written of what came twice", written().await?, 1)?;
    expect("tables", contents().await? == before, true)?;
    case.drop().await
}

async fn page_views_of_a_table_are_read_from_the_newest_time_on(harness: &dyn Harness) -> Result<(), String> {
    let case = with_arrivals(harness, Value::Null, &[arrival(0, 0, 1), arrival(1, 0, 1), arrival(2, 0, 1)]).await?;
    let case = case.with(json!({"page_views_time": "loaded", "page_views_lookback_days": 2}))?;
    let case = looked_at(case).await?;
    let (table, name) = arrivals_table(&case);
    let of = |session: u8| format!("domain_sessionid = 'session {session}'");
    let loaded = |day: &str, condition: String| {
        let dialect = case.warehouse.dialect();
        let time = format!("CAST('{day}' AS {})", dialect.column_type(ColumnType::Timestamp));
        format!("UPDATE {} SET loaded = {time} WHERE {condition}", dialect.table(&name))
    };
    // Session 2's time is not known: it is read each time.
    case.sql(loaded("2024-04-01 00:00:00", of(0))).await?;
    case.sql(loaded("2024-04-09 00:00:00", of(1))).await?;
    let arrived = |report: &websessions_core::run::Report| {
        report.findings.get(REPEATED_PAGE_VIEWS.name).map(|rows| rows.get(0, "rows_arrived").as_integer())
    };
    let failing = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(25)));
    expect("it dies", run(&case.through(failing), &Files::default(), true).await.is_err(), true)?;
    free(&case).await?;
    let report = run(&case, &Files::default(), true).await.map_err(explain)?;
    expect("read at first, though a run died", arrived(&report), Some(3))?;
    let report = run(&case, &Files::default(), true).await.map_err(explain)?;
    expect("read again", arrived(&report), Some(2))?;
    let columns = ["page_view_id", "domain_sessionid", "start_tstamp"].map(str::to_owned);
    let row = |id: &str| vec![Some(id.to_owned()), Some("late".to_owned()), Some("2024-03-01 00:00:00".to_owned())];
    case.insert(&table, &name, &columns, vec![row("1"), row("2")]).await?;
    case.sql(loaded("2024-04-07 00:00:00", "page_view_id = '1'".to_owned())).await?;
    case.sql(loaded("2024-04-06 23:59:59", "page_view_id = '2'".to_owned())).await?;
    let report = run(&case, &Files::default(), true).await.map_err(explain)?;
    expect("read with one late row of two", arrived(&report), Some(3))?;
    expect("page views", case.count(PAGE_VIEWS).await?, 4)?;
    expect("what was seen", case.count(PAGE_VIEWS_SOURCE_SEEN).await?, 1)?;
    case.drop().await
}

async fn page_views_that_are_left_out_or_repeated_can_fail_the_run(harness: &dyn Harness) -> Result<(), String> {
    for (variable, second) in
        [("on_left_out_page_views", arrival(0, 1, 7)), ("on_repeated_page_views", arrival(0, 0, 0))]
    {
        let case = with_arrivals(harness, json!({ variable: "fail" }), &[arrival(0, 0, 1), second]).await?;
        let error = run(&case, &Files::default(), true).await.err().ok_or("it did not fail")?;
        expect("exit code", error.error.exit_code(), 4)?;
        expect("committed", error.report.committed(), false)?;
        expect("page views", case.count(PAGE_VIEWS).await?, 0)?;
        let mended = case.with(json!({ variable: "report" }))?;
        let report = run(&looked_at(mended).await?, &Files::default(), true).await.map_err(explain)?;
        expect("notes", report.notes.len(), 1)?;
        case.drop().await?;
    }
    Ok(())
}

/// Within the 33 days that BigQuery looks back at most.
async fn page_views_before_the_lookback_are_replaced_when_it_widens(harness: &dyn Harness) -> Result<(), String> {
    let columns = ["page_view_id", "domain_sessionid", "start_tstamp"].map(str::to_owned);
    let row = |id: &str, day: &str| vec![Some(id.to_owned()), Some("long".to_owned()), Some(format!("{day} 00:00:00"))];
    let numbers = |contents: crate::Contents| contents.column("page_view_in_session_index");
    let cells = |numbers: &[&str]| numbers.iter().map(|number| Some((*number).to_owned())).collect::<Vec<Cell>>();
    for (guard, expected) in [("widen", cells(&["1", "2"])), ("off", cells(&["1", "1"])), ("fail", cells(&["1"]))] {
        let case = with_arrivals(harness, json!({"upsert_lookback_days": 1, "lookback_guard": guard}), &[]).await?;
        let (table, name) = arrivals_table(&case);
        case.insert(&table, &name, &columns, vec![row("early", "2024-01-01")]).await?;
        run(&case, &Files::default(), true).await.map_err(explain)?;
        case.sql(case.warehouse.dialect().delete(&name, "1 = 1")).await?;
        case.insert(&table, &name, &columns, vec![row("late", "2024-01-20")]).await?;
        expect(&format!("{guard}: fails"), run(&case, &Files::default(), true).await.is_err(), guard == "fail")?;
        expect(&format!("{guard}: numbers"), numbers(case.contents(PAGE_VIEWS).await?), expected)?;
        case.drop().await?;
    }
    Ok(())
}

async fn page_views_of_a_table_that_lacks_a_column_are_refused(harness: &dyn Harness) -> Result<(), String> {
    let case = with_arrivals(harness, Value::Null, &[]).await?;
    let source = read_source(&*case.warehouse, &case.variables).await.map_err(|error| error.to_string())?;
    let ignored: Vec<String> = source
        .map(|source| source.ignored_columns)
        .unwrap_or_default()
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    expect("ignored", ignored, vec!["loaded".to_owned()])?;
    let (mut table, mut name) = arrivals_table(&case);
    table.columns.retain(|column| column.name != "start_tstamp");
    name.name = "without_a_start".to_owned();
    case.insert(&table, &name, &["page_view_id".to_owned()], Vec::new()).await?;
    let other = case.with(json!({ "page_views_from": name.to_string() }))?;
    let error = read_source(&*other.warehouse, &other.variables).await.err().ok_or("it was not refused")?;
    expect("says which", error.to_string().contains("start_tstamp"), true)?;
    let other = case.with(json!({ "page_views_from": format!("{}.nowhere", name.schema) }))?;
    expect("no table", read_source(&*other.warehouse, &other.variables).await.is_err(), true)?;
    case.drop().await
}

/// A table's column may be of another type, as long as each of its values is one of the model's: 5.0 is 5, 5.0000004 is refused.
async fn page_views_of_a_table_are_exactly_what_it_holds_or_refused(harness: &dyn Harness) -> Result<(), String> {
    let case = with_arrivals(harness, Value::Null, &[]).await?;
    let dialect = case.warehouse.dialect();
    let of = |column_type| dialect.column_type(column_type);
    let (text, time, float) = (of(ColumnType::Text), of(ColumnType::Timestamp), of(ColumnType::Float));
    let day = "CAST('2024-07-01' AS DATE)".to_owned();
    let not_a_number = format!("CAST('NaN' AS {float})");
    let known = |text: &str| Ok(Some(text.to_owned()));
    let larger = format!("CAST(2147483648 AS {})", of(ColumnType::BigInteger));
    let number = format!("CAST('5' AS {text})");
    let mut tried: Vec<(&str, &str, Result<Cell, &str>)> = vec![
        ("engaged_time_in_s", "5.0", known("5")),
        ("engaged_time_in_s", "5.0000004", Err("5.0000004")),
        ("engaged_time_in_s", "1.0e30", Err("engaged_time_in_s")),
        ("engaged_time_in_s", &number, Err("engaged_time_in_s")),
        ("geo_latitude", "7.25", known("7.25")),
        ("geo_latitude", &not_a_number, Err("finite")),
        ("derived_tstamp", &day, known("2024-07-01 00:00:00")),
        ("spider_or_robot", "1", Err("spider_or_robot")),
    ];
    if dialect.bits(ColumnType::Integer) == 32 {
        let words = "engaged_time_in_s: 2147483648 is not a whole number of 32 bits";
        tried.push(("engaged_time_in_s", &larger, Err(words)));
    }
    // Text that is longer than its column is refused where columns have lengths, which count bytes; it is never cut.
    let as_text = |words: &str| format!("CAST('{words}' AS {})", of(ColumnType::LongText));
    let (long, wide) = ("s".repeat(17), "ä".repeat(8));
    let (long_text, wide_text, wider_text) = (as_text(&long), as_text(&wide), as_text(&"ä".repeat(9)));
    let (longer_text, padded, of_two_bytes) = (as_text(&"c".repeat(257)), as_text("DE   "), as_text("é"));
    // The padding of a column of fixed length is no part of its text.
    let fixed = |words: &str| format!("CAST('{words}' AS {})", of(ColumnType::Fixed(256)));
    let (short_of_fixed, long_of_fixed, long_id) = (fixed("s"), fixed(&long), as_text(&"i".repeat(37)));
    match dialect.longest_text(ColumnType::Varying(16)) {
        None => tried.push(("page_urlscheme", &long_text, known(&long))),
        Some(_) => tried.extend([
            ("page_urlscheme", &*long_text, Err("page_urlscheme: sssssssssssssssss has 17 bytes, the column takes 16")),
            ("page_urlscheme", &wide_text, known(&wide)),
            ("page_urlscheme", &wider_text, Err("has 18 bytes, the column takes 16")),
            ("category", &longer_text, Err("has 257 bytes, the column takes 256")),
            ("geo_country", &padded, known("DE")),
            ("refr_urlscheme", &short_of_fixed, known("s")),
            ("page_urlscheme", &long_of_fixed, Err("has 17 bytes, the column takes 16")),
            ("geo_country", &of_two_bytes, Err("and none of more than a byte a character")),
            (
                "page_view_id",
                &long_id,
                Err("page_view_id: iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii has 37 bytes, the column takes 36"),
            ),
        ]),
    }
    for (number, (column, value, expected)) in tried.into_iter().enumerate() {
        let (_, mut name) = arrivals_table(&case);
        name.name = format!("of_other_types_{number}");
        let id = match column {
            "page_view_id" => String::new(),
            _ => format!("  CAST('p{number:02}' AS {text}) AS page_view_id,\n"),
        };
        let row = format!(
            "SELECT\n{id}  CAST('s{number:02}' AS {text}) AS domain_sessionid,\n  CAST('2024-07-01 10:00:00' AS {time}) AS start_tstamp,\n  {value} AS {column}"
        );
        case.sql(format!("CREATE TABLE {} AS\n{row}", dialect.table(&name))).await?;
        // Where a table that is made of values has not their types, as in SQLite, it is refused by the types that it has.
        let reported = case.warehouse.query(&dialect.columns_query(&name.schema, &[&name.name])).await;
        let reported = reported.map_err(|error| error.to_string())?;
        let has_types = (0..reported.rows.len())
            .any(|row| dialect.type_family(&reported.get(row, "data_type").to_string()) == Some(TypeFamily::Timestamp));
        let expected = if has_types { expected } else { Err("column start_tstamp is ") };
        let case = case.with(json!({ "page_views_from": name.to_string() }))?;
        let before = case.contents(PAGE_VIEWS).await.ok();
        let ran = match looked_at(case.clone()).await {
            Ok(case) => match run(&case, &Files::default(), true).await {
                Ok(_) => Ok(case.contents(PAGE_VIEWS).await?.column(column).pop().flatten()),
                Err(error) => Err(explain(error)),
            },
            Err(error) => Err(error),
        };
        let what = format!("{value} in {column}");
        match (ran, expected) {
            (Ok(found), Ok(expected)) => {
                let found = found.map(|cell: String| cell.trim_end_matches(".000000").trim_end().to_owned());
                expect(&what, found, expected)?;
            }
            (Err(error), Err(words)) if error.contains(words) => {
                expect("every row has an id", error.contains("without a page_view_id"), false)?;
                expect(&what, case.contents(PAGE_VIEWS).await.ok(), before)?;
            }
            (ran, expected) => return Err(format!("{what}: {ran:?}, and not {expected:?}")),
        }
    }
    case.drop().await
}

async fn page_views_are_destroyed_with_a_count(harness: &dyn Harness) -> Result<(), String> {
    let case = with_arrivals(harness, Value::Null, &[arrival(0, 0, 1), arrival(1, 0, 1)]).await?;
    run(&case, &Files::default(), true).await.map_err(explain)?;
    let report = case.phase(Phase::Destroy).await?;
    expect("dropped", report.counts.get(STORED_PAGE_VIEWS.name).copied(), Some(2))?;
    expect("page_views", case.tables().await?.contains(&"derived.page_views".to_owned()), false)?;
    let report = case.phase(Phase::Destroy).await?;
    expect("dropped again", report.counts.get(STORED_PAGE_VIEWS.name).copied(), Some(0))?;
    case.drop().await
}

/// SQL of one's own reads them after main. They are a view, which debug keeps with what it reads; an earlier release has left a
/// table under its name.
async fn page_views_of_a_run_are_there_until_complete_and_in_the_way_of_nothing(
    harness: &dyn Harness,
) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    for by in ways(harness.connect().await.dialect().name()) {
        let case = Case::new(harness, json!({ "cleanup_mode": "debug" })).await?.of(page_views::module());
        let from = arrivals_table(&case).1.to_string();
        let case = if *by == By::Table { case.with(json!({ "page_views_from": from }))? } else { case };
        let dialect = case.warehouse.dialect();
        let name = dialect.table(&case.name(PAGE_VIEWS_THIS_RUN)?);
        let left = format!("CREATE TABLE {name} (app_id {})", dialect.column_type(ColumnType::Text));
        let main = async |variables: Value, arrivals: &[Arrival]| {
            let files = histories::arrive(&case, arrivals, *by, folder.path().join("arrivals.csv")).await?;
            let case = looked_at(case.with(variables)?).await?;
            let jobs = histories::jobs(&case, &files, false);
            case.runner().run_jobs(&jobs[..1]).await.map_err(explain)
        };
        let of = async |table: &str, session: &str| {
            let mut contents = case.contents(table).await?;
            let position = contents.columns.iter().position(|column| column == "domain_sessionid").unwrap_or_default();
            contents.rows.retain(|row| row[position].as_deref() == Some(session));
            Ok::<_, String>(contents)
        };

        case.sql(dialect.create_schema(&case.variables.scratch_schema).sql).await?;
        case.sql(left.clone()).await?;
        main(Value::Null, &[arrival(0, 0, 1), arrival(0, 1, 1), arrival(1, 0, 1)]).await?;
        expect("of the first run", case.contents(PAGE_VIEWS_THIS_RUN).await?, case.contents(PAGE_VIEWS).await?)?;
        case.phase(Phase::Complete).await?;
        expect("kept by debug", case.contents(PAGE_VIEWS_THIS_RUN).await?, case.contents(PAGE_VIEWS).await?)?;

        // One that is stored, one in another form, one that is new.
        main(Value::Null, &[arrival(0, 0, 6), arrival(0, 2, 1)]).await?;
        let this_run = case.contents(PAGE_VIEWS_THIS_RUN).await?;
        expect("page views of its session", this_run.rows.len(), 3)?;
        expect("of the second run", this_run, of(PAGE_VIEWS, "session 0").await?)?;
        expect("all page views", case.count(PAGE_VIEWS).await?, 4)?;

        // Main after main, and without production.
        main(json!({ "skip_derived": true }), &[arrival(1, 1, 1)]).await?;
        let this_run = case.contents(PAGE_VIEWS_THIS_RUN).await?;
        expect("page views of the third run", this_run.rows.len(), 2)?;
        expect("of the third run", this_run, of(PAGE_VIEWS_STAGED, "session 1").await?)?;
        expect("all page views", case.count(PAGE_VIEWS).await?, 4)?;

        let rebuild = page_views::rebuild("2024-03-01", None, &case.variables, &dialect);
        let rebuild = Job::plan_of(&page_views::rebuilding(), rebuild, &case.variables);
        case.runner().run_jobs(&[rebuild]).await.map_err(explain)?;
        expect("staged", case.contents(PAGE_VIEWS_STAGED).await?, case.contents(PAGE_VIEWS).await?)?;

        main(Value::Null, &[arrival(2, 0, 1)]).await?;
        case.with(json!({ "cleanup_mode": "all" }))?.phase(Phase::Complete).await?;
        case.sql(left).await?;
        case.phase(Phase::Destroy).await?;
        let left = case.tables().await?.into_iter().filter(|table| table.contains("page_views_")).collect::<Vec<_>>();
        expect("tables that are left", left, vec!["scratch.page_views_staged".to_owned()])?;
        case.drop().await?;
    }
    Ok(())
}

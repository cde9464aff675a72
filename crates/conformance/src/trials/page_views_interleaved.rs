//! Two runs over page views that arrive, each stopped on its way to a call, while the other takes its lock: whatever statement
//! of the first comes late, what the other commits is what it made itself.

use super::interleaved::Stopped;
use super::lock::{Interrupter, expire_the_lock};
use super::page_views::expect;
use super::{Trial, trials};
use crate::case::explain;
use crate::histories::{Arrival, By, arrivals_table, arrive, compare, jobs, looked_at, run};
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use websessions_core::error::{Error, WarehouseErrorKind, chain};
use websessions_core::files::Files;
use websessions_core::model::page_views;
use websessions_core::model::page_views::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::run::{Report, RunError};

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    two_runs_of_page_views_interleave_at_any_call,
    a_table_of_a_run_of_page_views_that_another_makes_anew_is_noticed,
];

/// What production has before: two sessions.
const BEFORE: [(u8, u8, u8); 3] = [(0, 0, 1), (0, 1, 1), (1, 0, 1)];

/// What the first run is given: a late page view of one of them, another form, a new session.
const FIRST: [(u8, u8, u8); 3] = [(0, 2, 1), (1, 0, 6), (2, 0, 1)];

/// What the other is given beside that.
const OTHER: [(u8, u8, u8); 2] = [(0, 3, 1), (2, 1, 2)];

/// What `page_views_this_run` reads: as long as it does, Postgres and Redshift refuse to drop them.
const READ_BY_THE_VIEW: [&str; 4] = [PAGE_VIEWS_ARRIVED, PAGE_VIEWS_STORED, PAGE_VIEWS_REPEATED, PAGE_VIEWS_NUMBERS];

fn arrivals(of: &[&[(u8, u8, u8)]]) -> Vec<Arrival> {
    let one =
        |(session, page_view, form): &(u8, u8, u8)| Arrival { session: *session, page_view: *page_view, form: *form };
    of.iter().flat_map(|some| some.iter().map(one)).collect()
}

/// How page views come on a warehouse: in files where it loads them, and in a table everywhere.
pub(super) fn ways(dialect: &str) -> &'static [By] {
    match dialect {
        "duckdb" | "postgres" => &[By::File, By::Table],
        _ => &[By::Table],
    }
}

/// How many schedules to run of each way, `None` for all of them: each takes four runs.
fn wanted(dialect: &str) -> Option<usize> {
    let everything = std::env::var_os("WEBSESSIONS_TEST_EVERYTHING").is_some();
    match (dialect, everything) {
        ("duckdb" | "postgres", true) => None,
        ("duckdb", false) => Some(20),
        ("postgres", false) => Some(8),
        (_, true) => Some(60),
        ("redshift", false) => Some(2),
        (_, false) => Some(1),
    }
}

#[expect(clippy::print_stderr, reason = "how many schedules were run")]
async fn two_runs_of_page_views_interleave_at_any_call(harness: &dyn Harness) -> Result<(), String> {
    let dialect = harness.connect().await.dialect().name();
    let started = std::time::Instant::now();
    let (mut failures, mut number, mut of) = (Vec::new(), 0, 0);
    for by in ways(dialect) {
        let (calls, commit) = undisturbed(harness, *by).await?;
        // A statement of the first run does most harm where the other has all its tables and is about to commit them: those
        // first. Then at any call.
        let at_the_commit = (0..calls).map(|first| (first, commit));
        let anywhere = (0..calls).flat_map(|first| (0..=calls).map(move |other| (first, other)));
        let (sharp, all): (Vec<_>, Vec<_>) = (at_the_commit.collect(), anywhere.collect());
        let wanted = wanted(dialect).unwrap_or(all.len());
        of += all.len();
        for schedules in [sharp, all] {
            let some = wanted.div_ceil(2).min(schedules.len());
            for (first, other) in (0..some).filter_map(|chosen| schedules.get(chosen * schedules.len() / some)) {
                number += 1;
                if let Err(words) = interleave(harness, *by, *first, *other).await {
                    failures.push(format!("by {by:?}, first before {first}, other before {other}: {words}"));
                }
            }
        }
    }
    eprintln!("{number} of {of} schedules of two runs of page views in {:.0} s", started.elapsed().as_secs_f64());
    if failures.is_empty() { Ok(()) } else { Err(format!("{} fail\n{}", failures.len(), failures.join("\n"))) }
}

/// A case in which the sessions of before are in production.
async fn case(harness: &dyn Harness, by: By, folder: &Path) -> Result<Case, String> {
    let mut case = Case::new(harness, Value::Null).await?.of(page_views::module());
    if by == By::Table {
        let name = arrivals_table(&case).1.to_string();
        case = case.with(json!({ "page_views_from": name }))?;
    }
    let (case, files) = come(case, &arrivals(&[&BEFORE]), by, folder, "before.csv").await?;
    run(&case, &files, true).await.map_err(explain)?;
    Ok(case)
}

async fn come(case: Case, what: &[Arrival], by: By, folder: &Path, name: &str) -> Result<(Case, Files), String> {
    let files = arrive(&case, what, by, folder.join(name)).await?;
    Ok((looked_at(case).await?, files))
}

/// A run that lost its lock may still make each scratch table anew, empty, while another works with it: that one, which holds
/// the lock, says that its tables were changed, or what it commits is right.
async fn a_table_of_a_run_of_page_views_that_another_makes_anew_is_noticed(
    harness: &dyn Harness,
) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let all = arrivals(&[&BEFORE, &FIRST]);
    let mut noticed = Vec::new();
    for (step, emptied) in [
        ("arrivals", vec![PAGE_VIEWS_ARRIVED]),
        ("stored", vec![PAGE_VIEWS_NEW]),
        ("numbers", vec![PAGE_VIEWS_ARRIVED, PAGE_VIEWS_SESSIONS, PAGE_VIEWS_UPSERT_KEYS, PAGE_VIEWS_STORED]),
        ("page_views", vec![PAGE_VIEWS_NUMBERS]),
        ("commit", vec![PAGE_VIEWS_UPSERT_KEYS, PAGE_VIEWS_SESSIONS, PAGE_VIEWS_CHANGED]),
        ("commit", READ_BY_THE_VIEW.to_vec()),
    ] {
        for table in emptied {
            let case = case(harness, By::Table, folder.path()).await?;
            let (case, files) = come(case, &arrivals(&[&FIRST]), By::Table, folder.path(), "first.csv").await?;
            let before = case.contents(PAGE_VIEWS).await?;
            let what = |error: String| format!("{table} is emptied as {step} begins: {error}");
            match emptied_as_it_begins(&case, harness, &files, step, table).await? {
                Ok(_) => compare(&case, &all).await.map_err(what)?,
                Err(RunError { error: Error::Changed { .. }, .. }) => {
                    expect("page views", case.contents(PAGE_VIEWS).await?, before).map_err(what)?;
                    noticed.push(table);
                }
                Err(failed) => return Err(what(explain(failed))),
            }
            run(&case, &files, true).await.map_err(explain)?;
            compare(&case, &all).await.map_err(|error| format!("repeated: {error}")).map_err(what)?;
            case.drop().await?;
        }
    }
    expect("how many were noticed", noticed.len() > 8, true).map_err(|error| format!("{error}: {noticed:?}"))
}

/// A run whose table another connection makes anew, empty, as a step of it begins.
async fn emptied_as_it_begins(
    case: &Case,
    harness: &dyn Harness,
    files: &Files,
    step: &'static str,
    table: &str,
) -> Result<Result<Report, RunError>, String> {
    let ((begun, begins), (act, acted)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let listener = Interrupter { step, begun, acted: acted.into() };
    let model = case.table(table)?;
    let statements = case.warehouse.dialect().replace_table(&model, &case.variables.table_name(&model));
    let other = case.through(harness.connect().await);
    let late = tokio::spawn(async move {
        tokio::task::block_in_place(|| begins.recv()).map_err(|error| error.to_string())?;
        let mut done = Ok(());
        for statement in statements {
            done = done.and(other.sql(statement.sql).await);
        }
        act.send(()).map_err(|error| error.to_string())?;
        done
    });
    let jobs = jobs(case, files, true);
    let result = case.runner().listener(&listener).run_jobs(&jobs).await;
    match late.await.map_err(|error| error.to_string())? {
        Err(refused) if !(step == "commit" && READ_BY_THE_VIEW.contains(&table)) => Err(refused),
        _ => Ok(result),
    }
}

/// How many calls a run has, and which of them commits its page views.
async fn undisturbed(harness: &dyn Harness, by: By) -> Result<(usize, usize), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let case = case(harness, by, folder.path()).await?;
    let (case, files) = come(case, &arrivals(&[&FIRST]), by, folder.path(), "first.csv").await?;
    let noting = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::None));
    run(&case.through(Arc::clone(&noting) as Arc<_>), &files, true).await.map_err(explain)?;
    let calls = noting.calls();
    let (mut not_yet, mut done) = (0, calls);
    while not_yet + 1 < done {
        let middle = not_yet.midpoint(done);
        let case = self::case(harness, by, folder.path()).await?;
        let (case, files) = come(case, &arrivals(&[&FIRST]), by, folder.path(), "first.csv").await?;
        let dying = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(middle)));
        let _ = run(&case.through(dying), &files, true).await;
        // Page views and sessions of before, and the page views of this run.
        if case.count(DATAMODEL_METADATA).await? > 2 {
            done = middle
        } else {
            not_yet = middle
        }
        case.drop().await?;
    }
    case.drop().await?;
    Ok((calls, not_yet))
}

async fn whole_run(case: Case, files: Files) -> Result<Report, RunError> {
    run(&case, &files, true).await
}

async fn interleave(harness: &dyn Harness, by: By, first: usize, other: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let case = case(harness, by, folder.path()).await?;
    let commits_before = case.count(DATAMODEL_METADATA).await?;
    let all = arrivals(&[&BEFORE, &FIRST, &OTHER]);
    let (case, files) = come(case, &arrivals(&[&FIRST]), by, folder.path(), "first.csv").await?;
    let mut first = Stopped::begin(&case, harness.connect().await, first, |case| whole_run(case, files)).await?;
    let (case, files) = come(case, &arrivals(&[&FIRST, &OTHER]), by, folder.path(), "other.csv").await?;
    expire_the_lock(&case).await?;
    let again = files.clone();
    let other = Stopped::begin(&case, harness.connect().await, other, |case| whole_run(case, files)).await?;
    first.goes_one_call().await?;
    let other = other.ends().await?;
    let first = first.ends().await?;
    if let Err(RunError { error, .. }) = &first
        && !matches!(error, Error::LeaseLost { .. })
    {
        return Err(format!("the first run doesn't say that its lock is lost: {}", chain(error)));
    }
    // The other holds its lock, but a late statement of the first may have made or dropped a table of its.
    match &other {
        Ok(_) => compare(&case, &all).await.map_err(|error| format!("the other run has ended well, but {error}"))?,
        Err(RunError { error: Error::LeaseLost { .. } | Error::Changed { .. }, .. }) => {}
        Err(RunError { error: Error::Unit { source, .. }, .. }) if source.kind == WarehouseErrorKind::Missing => {}
        Err(RunError { error, .. }) => return Err(format!("the other run: {}", chain(error))),
    }
    let commits = [&first, &other].into_iter().map(|result| match result {
        Ok(report) => report.commits(),
        Err(failed) => failed.report.commits(),
    });
    expect("metadata rows", case.count(DATAMODEL_METADATA).await? - commits_before, commits.sum::<usize>() as i64)?;
    run(&case, &again, true).await.map_err(|error| format!("the other, repeated: {}", explain(error)))?;
    compare(&case, &all).await?;
    case.drop().await
}

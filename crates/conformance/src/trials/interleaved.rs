//! Two runs of which each is stopped on its way to a call, while the other takes its lock and page views arrive: nothing
//! may be lost or doubled, and who lost its lock says so.

use super::lock::expire_the_lock;
use super::page_views::{expect, sessions, stage, staged, two_sessions, view};
use super::{Trial, trials};
use crate::case::explain;
use crate::csv::Cell;
use crate::{Case, Fault, Faulty, Harness, Stopping};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use websessions_core::error::{Error, WarehouseErrorKind, chain};
use websessions_core::lock;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::Phase;
use websessions_core::run::{Report, RunError};
use websessions_core::warehouse::Warehouse;

pub(super) const TRIALS: &[(&str, Trial)] = trials![two_runs_interleave_at_any_call];

const PHASES: [Phase; 2] = [Phase::Main, Phase::Complete];

/// A run that hangs fails the trial.
const LONGEST_STEP: Duration = Duration::from_secs(120);

/// Who is stopped where, and who goes on first then.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    /// The call before which the first run is stopped.
    first: usize,
    /// The call before which the other is, once it has the first one's lock.
    other: usize,
    /// Whether the first run ends before the other goes on.
    first_ends_first: bool,
    /// Whether the lock is cleared, or its lease runs out.
    cleared: bool,
}

/// How many schedules to run, `None` for all of them: each takes three runs.
pub(super) fn wanted(dialect: &str) -> Option<usize> {
    let everything = std::env::var_os("WEBSESSIONS_TEST_EVERYTHING").is_some();
    match (dialect, everything) {
        ("duckdb" | "postgres", true) => None,
        ("duckdb", false) => Some(60),
        ("postgres", false) => Some(24),
        (_, true) => Some(200),
        ("redshift", false) => Some(6),
        (_, false) => Some(3),
    }
}

#[expect(clippy::print_stderr, reason = "how many schedules were run")]
async fn two_runs_interleave_at_any_call(harness: &dyn Harness) -> Result<(), String> {
    let (calls, last_block) = undisturbed(harness).await?;
    let mut all = Vec::new();
    // The other has a call of its own less or more, by what it finds; a stop after its last is none.
    for (first, other) in (0..calls).flat_map(|first| (0..=calls).map(move |other| (first, other))) {
        for first_ends_first in [true, false] {
            all.push(Schedule { first, other, first_ends_first, cleared: (first + other) % 2 == 0 });
        }
    }
    let number = wanted(harness.connect().await.dialect().name()).unwrap_or(all.len()).min(all.len());
    let started = std::time::Instant::now();
    let mut failures = Vec::new();
    for schedule in (0..number).filter_map(|of| all.get(of * all.len() / number)) {
        if let Err(words) = interleave(harness, *schedule, last_block).await {
            failures.push(format!("{schedule:?}: {words}"));
        }
    }
    eprintln!("{number} of {} schedules of two runs in {:.0} s", all.len(), started.elapsed().as_secs_f64());
    if failures.is_empty() { Ok(()) } else { Err(format!("{} fail\n{}", failures.len(), failures.join("\n"))) }
}

async fn case(harness: &dyn Harness) -> Result<Case, String> {
    let case = Case::new(harness, json!({"stage_next": true, "ends_run": true})).await?;
    stage(&case, two_sessions()).await?;
    Ok(case)
}

/// How many calls a run has, and which one removes what it consumed: its last that must not happen without the lock.
async fn undisturbed(harness: &dyn Harness) -> Result<(usize, usize), String> {
    let case = case(harness).await?;
    let noting = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::None));
    case.through(Arc::clone(&noting) as Arc<_>).phases(&PHASES).await.map_err(explain)?;
    let calls = noting.calls();
    case.drop().await?;
    let (mut not_yet, mut done) = (0, calls);
    while not_yet + 1 < done {
        let middle = not_yet.midpoint(done);
        let case = self::case(harness).await?;
        let dying = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::DeadBefore(middle)));
        let _ = case.through(dying).phases(&PHASES).await;
        if case.count(PAGE_VIEWS_STAGED).await? == 0 {
            done = middle
        } else {
            not_yet = middle
        }
        case.drop().await?;
    }
    Ok((calls, not_yet))
}

async fn phases(case: Case) -> Result<Report, RunError> {
    case.phases(&PHASES).await
}

/// A session that arrives whole.
fn session(name: &str) -> Vec<Vec<Cell>> {
    vec![view(name, 1, 12, 1), view(name, 2, 12, 2)]
}

/// A run in the background that stops before a call.
pub(super) struct Stopped {
    warehouse: Arc<Stopping>,
    work: JoinHandle<Result<Report, RunError>>,
}

impl Stopped {
    /// Begins, and awaits the stop or the end.
    pub(super) async fn begin<W>(
        case: &Case,
        warehouse: Arc<dyn Warehouse>,
        call: usize,
        work: impl FnOnce(Case) -> W,
    ) -> Result<Self, String>
    where
        W: Future<Output = Result<Report, RunError>> + Send + 'static,
    {
        let warehouse = Arc::new(Stopping::before(warehouse, call));
        let case = case.through(Arc::clone(&warehouse) as Arc<_>);
        let mut run = Self { warehouse, work: tokio::spawn(work(case)) };
        run.stops().await?;
        Ok(run)
    }

    async fn stops(&mut self) -> Result<(), String> {
        let ends = async {
            while !self.work.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let stops = async {
            tokio::select! {
                () = self.warehouse.stopped() => {}
                () = ends => {}
            }
        };
        tokio::time::timeout(LONGEST_STEP, stops).await.map_err(|_| "a run neither stops nor ends".to_owned())
    }

    /// Sends one call, and awaits the next.
    pub(super) async fn goes_one_call(&mut self) -> Result<(), String> {
        self.warehouse.go_on();
        self.stops().await
    }

    /// Goes on to the end.
    pub(super) async fn ends(self) -> Result<Result<Report, RunError>, String> {
        self.warehouse.go_on();
        self.warehouse.go_on();
        let ended = tokio::time::timeout(LONGEST_STEP, self.work).await;
        ended.map_err(|_| "a run does not end".to_owned())?.map_err(|error| error.to_string())
    }
}

async fn interleave(harness: &dyn Harness, schedule: Schedule, last_block: usize) -> Result<(), String> {
    let case = case(harness).await?;
    let mut first = Stopped::begin(&case, harness.connect().await, schedule.first, phases).await?;
    stage(&case, session("c")).await?;
    if schedule.cleared {
        lock::clear(&*case.warehouse, &case.variables).await.map_err(|error| error.to_string())?;
    } else {
        expire_the_lock(&case).await?;
    }
    let other = Stopped::begin(&case, harness.connect().await, schedule.other, phases).await?;
    stage(&case, session("d")).await?;
    first.goes_one_call().await?;
    stage(&case, session("e")).await?;
    let (first, other) = if schedule.first_ends_first {
        let first = first.ends().await?;
        (first, other.ends().await?)
    } else {
        let other = other.ends().await?;
        (first.ends().await?, other)
    };
    match &first {
        Ok(_) if schedule.first <= last_block => {
            return Err("the first run does not notice that its lock is lost".into());
        }
        Err(RunError { error, .. }) if !matches!(error, Error::LeaseLost { .. }) => {
            return Err(format!("the first run doesn't say that its lock is lost: {}", chain(error)));
        }
        _ => {}
    }
    // The other holds its lock, but a late statement of the first may have made or dropped a table of its.
    match &other {
        Ok(_) | Err(RunError { error: Error::LeaseLost { .. }, .. }) => {}
        Err(RunError { error: Error::Unit { source, .. }, .. }) if source.kind == WarehouseErrorKind::Missing => {}
        Err(RunError { error, .. }) => return Err(format!("the other run: {}", chain(error))),
    }
    let commits = [&first, &other].into_iter().filter(|result| match result {
        Ok(report) => report.committed(),
        Err(failed) => failed.report.committed(),
    });
    expect("metadata rows", case.count(DATAMODEL_METADATA).await?, commits.count() as i64)?;
    let found = sessions(&case).await?;
    let names = |of: &str| of.split([':', '-']).next().unwrap_or_default().to_owned();
    let mut there: BTreeSet<String> = found.iter().map(|row| names(row)).collect();
    expect("distinct sessions", there.len(), found.len())?;
    there.extend(staged(&case).await?.iter().map(|id| names(id)));
    let arrived = ["a", "b", "c", "d", "e"];
    expect("sessions in production or staged", there, arrived.map(str::to_owned).into())?;
    case.run().await.map_err(|error| format!("the next run: {error}"))?;
    expect("sessions", sessions(&case).await?, arrived.map(|name| format!("{name}: 2, page 2")).to_vec())?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    let users = case.contents(SESSIONS_USERID_MANIFEST_STAGED).await?.column("domain_userid");
    expect("users", users, arrived.map(|name| Some(format!("user of {name}"))).to_vec())?;
    case.drop().await
}

//! Two runs of which each is stopped on its way to a call, while the other takes its lock and page views arrive: nothing
//! may be lost or doubled, and who lost its lock says so.

use super::lock::expire_the_lock;
use super::page_views::{arrive, expect, sessions, stage, staged, two_sessions, view};
use super::{Trial, trials};
use crate::case::explain;
use crate::csv::Cell;
use crate::{Case, Fault, Faulty, Harness, Stopping};
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use websessions_core::async_trait;
use websessions_core::error::{Error, WarehouseErrorKind, chain};
use websessions_core::lock;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::Phase;
use websessions_core::rows::Value;
use websessions_core::run::{Report, RunError};
use websessions_core::table::TableName;
use websessions_core::warehouse::Warehouse;

pub(super) const TRIALS: &[(&str, Trial)] = trials![two_runs_interleave_at_any_call];

const PHASES: [Phase; 2] = [Phase::Main, Phase::Complete];

/// A run that hangs fails the trial.
const LONGEST_STEP: Duration = Duration::from_secs(120);

/// Where two runs are stopped.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// The call before which the first run is stopped.
    first: usize,
    /// The call before which the other is, once it has the first one's lock.
    other: usize,
}

impl Pair {
    /// Whether the lock is cleared, or its lease runs out.
    fn is_cleared(self) -> bool {
        (self.first + self.other).is_multiple_of(2)
    }
}

/// How many pairs to try, `None` for all of them: each takes up to six runs.
fn wanted(dialect: &str) -> Option<usize> {
    let given = number_of("WEBSESSIONS_TEST_PAIRS");
    if given.is_some() {
        return given;
    }
    let everything = std::env::var_os("WEBSESSIONS_TEST_EVERYTHING").is_some();
    match (dialect, everything) {
        ("duckdb" | "postgres", true) => None,
        ("duckdb", false) => Some(150),
        ("postgres", false) => Some(24),
        (_, true) => Some(100),
        ("redshift", false) => Some(6),
        (_, false) => Some(2),
    }
}

fn number_of(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Numbers below a bound, each once, in an order that a seed gives: a few of them are far apart.
fn scattered(bound: usize, seed: usize) -> impl Iterator<Item = usize> {
    let common = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    // About the golden section of the bound.
    let step = (bound * 618 / 1000..).find(|step| common(*step, bound) == 1).unwrap_or(1);
    (0..bound).map(move |number| (seed + number * step) % bound)
}

/// What was found so far.
#[derive(Default)]
struct Tried {
    schedules: usize,
    failures: Vec<String>,
    /// What was left behind, where the next run put all right: what is left alike again needs no next run.
    mended: HashSet<String>,
}

/// Two at a time: on as many connections each as it takes.
#[expect(clippy::print_stderr, reason = "how many schedules were run")]
async fn two_runs_interleave_at_any_call(harness: &dyn Harness) -> Result<(), String> {
    let apart = harness.apart();
    let harness = apart.as_deref().unwrap_or(harness);
    let started = std::time::Instant::now();
    let (calls, last_block) = undisturbed(harness).await?;
    // The other has a call of its own less or more, by what it finds; a stop after its last is none.
    let pair = |number: usize| Pair { first: number / (calls + 1), other: number % (calls + 1) };
    let all = calls * (calls + 1);
    let number = wanted(harness.connect().await.dialect().name()).unwrap_or(all).min(all);
    let seed = number_of("WEBSESSIONS_TEST_SEED").unwrap_or(1);
    let queue = Mutex::new(scattered(all, seed).take(number));
    let tried = Mutex::new(Tried::default());
    let work = async || -> Result<(), String> {
        let own = Connections {
            home: harness.connect().await,
            first: harness.connect().await,
            other: harness.connect().await,
        };
        loop {
            let next = guard(&queue).next();
            let Some(pair) = next.map(pair) else { return Ok(()) };
            let result = own.interleave(pair, last_block, &tried).await;
            let mut tried = guard(&tried);
            if let Err(words) = result {
                tried.failures.push(format!("{pair:?}: {words}"));
            }
        }
    };
    let (one, two) = tokio::join!(work(), work());
    one.and(two)?;
    let Tried { schedules, failures, mended } = tried.into_inner().unwrap_or_else(PoisonError::into_inner);
    eprintln!(
        "two runs: {number} of {all} pairs of stops (seed {seed}), {schedules} schedules, {} states mended, in {:.0} s",
        mended.len(),
        started.elapsed().as_secs_f64()
    );
    if failures.is_empty() { Ok(()) } else { Err(format!("{} fail\n{}", failures.len(), failures.join("\n"))) }
}

fn guard<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection of a trial's own, and one of each run.
struct Connections {
    home: Arc<dyn Warehouse>,
    first: Arc<dyn Warehouse>,
    other: Arc<dyn Warehouse>,
}

#[async_trait]
impl Harness for Connections {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::clone(&self.home)
    }
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

impl Connections {
    /// Both orders in which the two can go on, unless these are one: when one of them has ended by then.
    async fn interleave(&self, pair: Pair, last_block: usize, tried: &Mutex<Tried>) -> Result<(), String> {
        for first_ends_first in [true, false] {
            guard(tried).schedules += 1;
            let order = if first_ends_first { "the first ends first" } else { "the other ends first" };
            let both_go_on = self.schedule(pair, first_ends_first, last_block, tried).await;
            if !both_go_on.map_err(|words| format!("{order}: {words}"))? {
                break;
            }
        }
        Ok(())
    }

    /// One order. Gives whether both runs were on their way when it was chosen.
    async fn schedule(
        &self,
        pair: Pair,
        first_ends_first: bool,
        last_block: usize,
        tried: &Mutex<Tried>,
    ) -> Result<bool, String> {
        let case = case(self).await?;
        let mut first = Stopped::begin(&case, Arc::clone(&self.first), pair.first, phases).await?;
        arrive(&case, session("c")).await?;
        if pair.is_cleared() {
            lock::clear(&*case.warehouse, &case.variables).await.map_err(|error| error.to_string())?;
        } else {
            expire_the_lock(&case).await?;
        }
        let other = Stopped::begin(&case, Arc::clone(&self.other), pair.other, phases).await?;
        arrive(&case, session("d")).await?;
        first.goes_one_call().await?;
        arrive(&case, session("e")).await?;
        let both_go_on = !first.work.is_finished() && !other.work.is_finished();
        let (first, other) = if first_ends_first {
            let first = first.ends().await?;
            (first, other.ends().await?)
        } else {
            let other = other.ends().await?;
            (first.ends().await?, other)
        };
        match &first {
            Ok(_) if pair.first <= last_block => {
                return Err("the first run does not notice that its lock is lost".into());
            }
            Err(RunError { error, .. }) if !matches!(error, Error::LeaseLost { .. }) => {
                return Err(format!("the first run doesn't say that its lock is lost: {}", chain(error)));
            }
            _ => {}
        }
        // The other holds its lock, but a late statement of the first may have made or dropped a table of its.
        match &other {
            Ok(_) | Err(RunError { error: Error::LeaseLost { .. } | Error::Changed { .. }, .. }) => {}
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
        // Where few pairs are tried, hardly one leaves what another left.
        let state = match case.warehouse.dialect().name() {
            "duckdb" | "postgres" | "redshift" => Some(left_behind(&case).await?),
            _ => None,
        };
        if state.as_ref().is_none_or(|state| !guard(tried).mended.contains(state)) {
            case.run().await.map_err(|error| format!("the next run: {error}"))?;
            expect("sessions", sessions(&case).await?, arrived.map(|name| format!("{name}: 2, page 2")).to_vec())?;
            expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
            let users = case.contents(SESSIONS_USERID_MANIFEST_STAGED).await?.column("domain_userid");
            expect("users", users, arrived.map(|name| Some(format!("user of {name}"))).to_vec())?;
            guard(tried).mended.extend(state);
        }
        case.drop().await?;
        Ok(both_go_on)
    }
}

/// The columns whose values differ from run to run: only whether they have one counts.
const OF_A_RUN: &[&str] = &["run_id", "run_start_tstamp", "run_end_tstamp", "id", "holder", "host", "acquired_tstamp"];

/// All that is in the trial's schemas, in one text: what a next run does depends on nothing else.
async fn left_behind(case: &Case) -> Result<String, String> {
    let mut text = String::new();
    for table in case.tables().await? {
        let (schema, name) = table.split_once('.').ok_or("a table without a schema")?;
        let schema = if schema == "scratch" { &case.variables.scratch_schema } else { &case.variables.output_schema };
        let name = TableName { schema: schema.clone(), name: name.to_owned() };
        let sql = format!("SELECT *\nFROM {}", case.warehouse.dialect().table(&name));
        let found = match case.warehouse.query(&sql).await {
            // A view of what the other run has dropped.
            Err(error) if error.kind == WarehouseErrorKind::Missing => {
                text.push_str(&format!("{table}: of nothing\n"));
                continue;
            }
            other => other.map_err(|error| format!("{table}: {error}"))?,
        };
        let shown = |column: &String, value: &Value| match (column.to_lowercase().as_str(), value) {
            (_, Value::Null) => String::new(),
            (column, _) if OF_A_RUN.contains(&column) => "set".to_owned(),
            // As the trial made it, or not.
            ("expires_tstamp", value) => value.to_string().starts_with("2000").to_string(),
            (_, value) => format!("{value:?}"),
        };
        let mut rows: Vec<String> = found
            .rows
            .iter()
            .map(|row| {
                found.columns.iter().zip(row).map(|(column, value)| shown(column, value)).collect::<Vec<_>>().join("|")
            })
            .collect();
        rows.sort();
        text.push_str(&format!("{table}\n{}\n", rows.join("\n")));
    }
    Ok(text)
}

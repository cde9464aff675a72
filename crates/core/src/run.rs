//! The executor: takes the lock, checks the tables, runs plans unit by unit with retries, and reports. What happens is
//! told as events; nothing here prints.

use crate::config::Variables;
use crate::error::{Error, Place, Retry, RunError, WarehouseError, WarehouseErrorKind};
use crate::lock::{self, Holder, LONGEST_STEP, Lease};
use crate::model::table_name;
use crate::model::tables::{PAGE_VIEWS_STAGED, SESSIONS_LOCK};
use crate::plan::{Finding, Observation, OnFound, Phase, Plan, Step, Unit, fingerprint};
use crate::preflight;
use crate::warehouse::{Activity, Done, Loaded, Rows, Warehouse};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How many scripts of a step run at the same time.
const PARALLEL_SCRIPTS: usize = 4;

/// How long between two requests to stop what runs.
const CANCELLATION_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait that a warehouse may ask for before a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What happened, as it happens.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The lock is ours.
    Locked,
    /// A plan begins.
    PlanStarted {
        /// The phase or module.
        plan: String,
        /// How many units it has.
        units: usize,
    },
    /// A step begins.
    StepStarted {
        /// The phase or module.
        plan: String,
        /// The step.
        step: String,
        /// What it is for.
        purpose: String,
    },
    /// A unit is about to be sent.
    UnitStarted {
        /// The phase or module.
        plan: String,
        /// The step.
        step: String,
        /// What the unit is for.
        unit: String,
        /// The exact statements.
        sql: Vec<String>,
    },
    /// A unit is done; what it changed is committed.
    UnitFinished {
        /// The phase or module.
        plan: String,
        /// The step.
        step: String,
        /// What the unit is for.
        unit: String,
        /// How long it took.
        seconds: f64,
    },
    /// A step is done.
    StepFinished {
        /// The phase or module.
        plan: String,
        /// The step.
        step: String,
        /// How long it took.
        seconds: f64,
    },
    /// A unit failed in a way that may pass.
    Retrying {
        /// What the unit is for.
        unit: String,
        /// The warehouse's words.
        error: String,
        /// How long until the next attempt.
        seconds: f64,
    },
    /// Something the user should know.
    Warning {
        /// What.
        message: String,
    },
    /// The user asked to stop.
    Cancelling,
}

/// Where events go.
pub trait Listener: Send + Sync {
    /// Takes one event.
    fn on(&self, event: &Event);
}

/// What one unit did.
#[derive(Clone, Debug, Serialize)]
pub struct UnitReport {
    /// What it is for.
    pub unit: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What its statements did, in order.
    pub statements: Vec<Done>,
}

/// What one step did.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its units that are done.
    pub units: Vec<UnitReport>,
}

/// What one plan did.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// The phase or module.
    pub plan: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its steps that began.
    pub steps: Vec<StepReport>,
}

/// What a run did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The files that were loaded first.
    pub loaded: Vec<Loaded>,
    /// The plans that began, in order.
    pub plans: Vec<PlanReport>,
    /// What the observations found.
    pub findings: BTreeMap<Finding, Rows>,
}

impl Report {
    /// The units that are done, as `plan/step: purpose`.
    pub fn done(&self) -> Vec<String> {
        let mut done = Vec::new();
        for plan in &self.plans {
            for step in &plan.steps {
                done.extend(step.units.iter().map(|unit| format!("{}/{}: {}", plan.plan, step.step, unit.unit)));
            }
        }
        done
    }

    /// What each statement did, in order.
    pub fn statements(&self) -> impl Iterator<Item = &Done> {
        self.plans.iter().flat_map(|plan| &plan.steps).flat_map(|step| &step.units).flat_map(|unit| &unit.statements)
    }

    /// Whether main's commit is done: production has this run.
    pub fn committed(&self) -> bool {
        self.plans.iter().any(|plan| {
            plan.plan == Phase::Main.name()
                && plan.steps.iter().any(|step| step.step == "commit" && !step.units.is_empty())
        })
    }
}

/// One plan to run, and what must hold before it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The plan.
    pub plan: Plan,
    /// The phase, whose tables are checked before the run; none for custom modules.
    pub phase: Option<Phase>,
}

/// How a run is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often a unit is tried again.
    pub retries: usize,
    /// The delay before the first retry; it doubles from there, with jitter.
    pub first_delay: Duration,
    /// How long the lock stays ours without renewal.
    pub lease: Duration,
    /// Who we are to other runs.
    pub holder: Holder,
}

impl Options {
    /// The usual options, on this host.
    pub fn new(host: &str) -> Self {
        Self {
            retries: 4,
            first_delay: Duration::from_millis(500),
            lease: Duration::from_secs(120),
            holder: Holder::new(host),
        }
    }
}

/// Runs plans on a warehouse.
pub struct Runner<'a> {
    /// Where.
    pub warehouse: &'a dyn Warehouse,
    /// The variables of the plans.
    pub variables: &'a Variables,
    /// Where events go.
    pub listener: &'a dyn Listener,
    /// Ends the run before its next unit, and asks the warehouse to stop the present one.
    pub cancellation: CancellationToken,
    /// How.
    pub options: Options,
}

impl Runner<'_> {
    /// Loads files of page views, if any, and runs the jobs in order under one lock.
    pub async fn run(&self, page_views: &[&Path], jobs: &[Job]) -> Result<Report, RunError> {
        self.start(page_views, jobs, false).await
    }

    /// Runs the jobs from the step on at which the last run of them failed. What comes before that step must be as it
    /// was then; the step itself and what follows may have been mended.
    pub async fn resume(&self, jobs: &[Job]) -> Result<Report, RunError> {
        self.start(&[], jobs, true).await
    }

    async fn start(&self, page_views: &[&Path], jobs: &[Job], resume: bool) -> Result<Report, RunError> {
        let mut report = Report::default();
        let result = async {
            if !page_views.is_empty() {
                report.loaded = self.load(page_views).await?;
            }
            self.locked(jobs, resume, &mut report).await
        }
        .await;
        match result {
            Ok(()) => Ok(report),
            Err(error) => Err(RunError { error, report: Box::new(report) }),
        }
    }

    /// Loading adds to the input, as any writer may at any time, and needs no lock. But if another run holds the lock,
    /// the jobs could not follow: then nothing is loaded.
    async fn load(&self, page_views: &[&Path]) -> Result<Vec<Loaded>, Error> {
        let failed = |source| Error::Warehouse { context: "can't look at the lock".into(), source };
        if let Some(held) =
            lock::holder(self.warehouse, self.variables).await.map_err(failed)?.filter(|held| !held.expired)
        {
            let table = table_name(&SESSIONS_LOCK, self.variables).to_string();
            return Err(Error::Locked { table, holder: held.in_words });
        }
        preflight::check_tables(self.warehouse, self.variables).await?;
        let table = table_name(&PAGE_VIEWS_STAGED, self.variables);
        self.cancellable(self.warehouse.load(page_views, &table))
            .await
            .map_err(|source| Error::Warehouse { context: "can't load the page views".into(), source })
    }

    async fn locked(&self, jobs: &[Job], resume: bool, report: &mut Report) -> Result<(), Error> {
        // Before the lock, which would be the first thing to make a schema.
        if jobs.iter().any(|job| matches!(job.phase, Some(Phase::Main | Phase::Complete))) {
            let mut delays = self.delays();
            while let Err(error) = preflight::check_input(self.warehouse, self.variables).await {
                match &error {
                    Error::Warehouse { source, .. }
                        if source.retry != Retry::Never
                            && self.pause("a look at the tables", source, &mut delays).await => {}
                    _ => return Err(error),
                }
            }
        }
        let Options { holder, lease, .. } = self.options.clone();
        let lease = Lease::acquire(self.warehouse, self.variables, holder, lease, resume).await?;
        self.listener.on(&Event::Locked);
        let (result, note) = match self.first_step(jobs, resume, &lease).await {
            Err((error, note)) => (Err(error), note),
            Ok(first) => {
                let result = tokio::select! {
                    result = self.work(jobs, first, &lease, report) => result,
                    () = self.heartbeat(&lease) => unreachable!("the heart beats until the work is done"),
                };
                let begun: usize = report.plans.iter().map(|plan| plan.steps.len()).sum();
                let note = result.as_ref().err().and_then(|_| Note::at(jobs, (first + begun).checked_sub(1)?));
                (result, note)
            }
        };
        if let Err(error) = lease.release(note.as_ref()).await {
            self.warn(format!("can't give up the lock; it expires by itself: {error}"));
        }
        result
    }

    /// The number of the step from which on to run. An error comes with the note that must stay.
    async fn first_step(&self, jobs: &[Job], resume: bool, lease: &Lease<'_>) -> Result<usize, (Error, Option<Note>)> {
        if !resume {
            return Ok(0);
        }
        let failed = |source| Error::Warehouse { context: "can't read where the last run stopped".into(), source };
        let note = lease.note().await.map_err(|source| (failed(source), None))?;
        resumed_step(jobs, note.as_ref()).map_err(|error| (error, note))
    }

    /// Renews the lock, for ever.
    async fn heartbeat(&self, lease: &Lease<'_>) {
        let mut renewals = tokio::time::interval(lease.renewal_interval());
        renewals.tick().await;
        loop {
            renewals.tick().await;
            if let Err(error) = lease.renew().await {
                self.warn(format!("can't renew the lock: {error}"));
            }
        }
    }

    /// Runs the jobs from a step on: its number among the steps of all of them.
    async fn work(&self, jobs: &[Job], first: usize, lease: &Lease<'_>, report: &mut Report) -> Result<(), Error> {
        let mut skip = first;
        for job in jobs {
            let plan = Plan { steps: job.plan.steps.iter().skip(skip).cloned().collect(), ..job.plan.clone() };
            skip = skip.saturating_sub(job.plan.steps.len());
            if plan.steps.is_empty() && !job.plan.steps.is_empty() {
                continue;
            }
            self.listener.on(&Event::PlanStarted { plan: plan.name.clone(), units: plan.units().count() });
            let started = Instant::now();
            report.plans.push(PlanReport { plan: plan.name.clone(), seconds: 0.0, steps: Vec::new() });
            let result = self.plan(&plan, lease, report).await;
            if let Some(plan) = report.plans.last_mut() {
                plan.seconds = started.elapsed().as_secs_f64();
            }
            result?;
        }
        Ok(())
    }

    async fn plan(&self, plan: &Plan, lease: &Lease<'_>, report: &mut Report) -> Result<(), Error> {
        for step in &plan.steps {
            self.warehouse.announce(&Activity {
                run: self.options.holder.id.clone(),
                plan: plan.name.clone(),
                step: step.name.clone(),
            });
            self.listener.on(&Event::StepStarted {
                plan: plan.name.clone(),
                step: step.name.clone(),
                purpose: step.purpose.clone(),
            });
            let started = Instant::now();
            if let Some(plan) = report.plans.last_mut() {
                plan.steps.push(StepReport { step: step.name.clone(), seconds: 0.0, units: Vec::new() });
            }
            let together = if step.is_parallel() { PARALLEL_SCRIPTS } else { 1 };
            let work: Vec<BoxFuture<'_, _>> =
                step.units.iter().map(|unit| self.unit(plan, step, unit, lease).boxed()).collect();
            let mut results = futures_util::stream::iter(work).buffered(together);
            let mut failed = None;
            for unit in &step.units {
                let Some(result) = results.next().await else { break };
                match result {
                    Ok((done, rows)) => {
                        if let Some(step) = report.plans.last_mut().and_then(|plan| plan.steps.last_mut()) {
                            step.units.push(done);
                            step.seconds = started.elapsed().as_secs_f64();
                        }
                        if let (Unit::Observation(observation), Some(rows)) = (unit, rows) {
                            let finding = self.check_finding(observation, &rows);
                            report.findings.insert(observation.finding, rows);
                            finding?;
                        }
                    }
                    // The scripts beside it end first.
                    Err(error) if step.is_parallel() => match &failed {
                        None => failed = Some(error),
                        Some(_) => self.warn(format!("{error}")),
                    },
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            let seconds = started.elapsed().as_secs_f64();
            self.listener.on(&Event::StepFinished { plan: plan.name.clone(), step: step.name.clone(), seconds });
        }
        Ok(())
    }

    async fn unit(
        &self,
        plan: &Plan,
        step: &Step,
        unit: &Unit,
        lease: &Lease<'_>,
    ) -> Result<(UnitReport, Option<Rows>), Error> {
        let next = format!("{}/{}: {}", plan.name, step.name, unit.purpose());
        let mut delays = self.delays();
        let mut attempts = 0;
        loop {
            if self.cancellation.is_cancelled() {
                return Err(Error::Cancelled { next });
            }
            if unit.writes() {
                check_lease(lease, matches!(unit, Unit::Block { .. }), &next).await?;
            }
            attempts += 1;
            self.listener.on(&Event::UnitStarted {
                plan: plan.name.clone(),
                step: step.name.clone(),
                unit: unit.purpose().to_owned(),
                sql: unit.statements().iter().map(|statement| statement.sql.clone()).collect(),
            });
            let started = Instant::now();
            let result = self.cancellable(self.send(unit)).await;
            let seconds = started.elapsed().as_secs_f64();
            let error = match result {
                Ok((statements, rows)) => {
                    self.listener.on(&Event::UnitFinished {
                        plan: plan.name.clone(),
                        step: step.name.clone(),
                        unit: unit.purpose().to_owned(),
                        seconds,
                    });
                    return Ok((UnitReport { unit: unit.purpose().to_owned(), seconds, statements }, rows));
                }
                Err(error) => error,
            };
            if self.cancellation.is_cancelled() && error.kind == WarehouseErrorKind::Cancelled {
                return Err(Error::Cancelled { next });
            }
            // A script's failed statement may not be its first: what went before it must not happen twice.
            let may_retry = error.retry != Retry::Never && !matches!(unit, Unit::Script(_));
            if may_retry && self.pause(unit.purpose(), &error, &mut delays).await {
                continue;
            }
            let place = Box::new(Place::new(plan, step, unit, &error));
            return Err(Error::Unit { place, attempts, source: error });
        }
    }

    fn delays(&self) -> backon::ExponentialBackoff {
        backon::BackoffBuilder::build(
            backon::ExponentialBuilder::default()
                .with_min_delay(self.options.first_delay)
                .with_max_times(self.options.retries)
                .with_jitter(),
        )
    }

    /// Waits before another attempt, as long as the warehouse asks if it does; `false` if there were enough.
    async fn pause(&self, unit: &str, error: &WarehouseError, delays: &mut backon::ExponentialBackoff) -> bool {
        let Some(delay) = delays.next() else { return false };
        let asked = Duration::from_secs(error.retry_after.unwrap_or(0).into());
        let delay = delay.max(asked.min(LONGEST_WAIT));
        self.listener.on(&Event::Retrying {
            unit: unit.to_owned(),
            error: error.to_string(),
            seconds: delay.as_secs_f64(),
        });
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.cancellation.cancelled() => {}
        }
        true
    }

    /// What a unit's statements did, and the rows of an observation.
    async fn send(&self, unit: &Unit) -> Result<(Vec<Done>, Option<Rows>), WarehouseError> {
        Ok(match unit {
            Unit::Statement(statement) => (vec![self.warehouse.execute(statement).await?], None),
            Unit::Script(script) => (vec![self.warehouse.execute_script(script).await?], None),
            Unit::Block { statements, .. } => (self.warehouse.execute_block(statements).await?, None),
            Unit::Observation(observation) => {
                (Vec::new(), Some(self.warehouse.query(&observation.statement.sql).await?))
            }
        })
    }

    /// Awaits work; when the user asks to stop, asks the warehouse to stop it, and awaits what it says. What has not begun
    /// when it is asked to stop begins all the same: it is asked again until it ends.
    async fn cancellable<T>(&self, work: impl Future<Output = Result<T, WarehouseError>>) -> Result<T, WarehouseError> {
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = self.cancellation.cancelled() => {}
        }
        self.listener.on(&Event::Cancelling);
        loop {
            if let Err(error) = self.warehouse.cancel().await {
                self.warn(format!("can't cancel in the warehouse: {error}"));
                return work.await;
            }
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(CANCELLATION_INTERVAL) => {}
            }
        }
    }

    fn check_finding(&self, observation: &Observation, rows: &Rows) -> Result<(), Error> {
        let Observation { finding, on_found: OnFound::Fail, .. } = observation else { return Ok(()) };
        let (found, hint) = match finding {
            Finding::DroppedSessions => (
                dropped_sessions(rows).map(|words| format!("{words}; on_dropped_sessions is fail")),
                "mend the input, or set on_dropped_sessions to report or keep_input; production was not changed",
            ),
            Finding::OldCopies => (
                Some(rows.get(0, "session_count").as_integer()).filter(|count| *count > 0).map(|count| {
                    format!(
                        "{count} sessions of this run have old rows that begin before the lookback, such as {}; lookback_guard is fail",
                        rows.get(0, "sample")
                    )
                }),
                "raise upsert_lookback_days, or set lookback_guard to widen; production was not changed",
            ),
            Finding::Summary | Finding::MultipliedSessions | Finding::InputLeft => (None, ""),
        };
        found.map_or(Ok(()), |message| Err(Error::Check { message, hint: hint.to_owned() }))
    }

    fn warn(&self, message: String) {
        self.listener.on(&Event::Warning { message });
    }
}

/// Where a run stopped: a step, and the checksum of what had been done before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) step: String,
    pub(crate) fingerprint: String,
}

impl Note {
    fn at(jobs: &[Job], number: usize) -> Option<Self> {
        let (plan, step) = steps(jobs).nth(number)?;
        let fingerprint = fingerprint(steps(jobs).take(number).map(|(_, step)| step));
        let step: String = format!("{}/{}", plan.name, step.name).chars().take(LONGEST_STEP).collect();
        Some(Self { step, fingerprint })
    }
}

fn steps(jobs: &[Job]) -> impl Iterator<Item = (&Plan, &Step)> {
    jobs.iter().flat_map(|job| job.plan.steps.iter().map(|step| (&job.plan, step)))
}

/// The number of the step that a note is about.
fn resumed_step(jobs: &[Job], note: Option<&Note>) -> Result<usize, Error> {
    let no = |message: String| Error::NoResume { message };
    let note =
        note.ok_or_else(|| no("no run of these schemas and entropy has failed since the last one that ended".into()))?;
    let numbers = 0..steps(jobs).count();
    let found = numbers.clone().find(|number| Note::at(jobs, *number).as_ref() == Some(note));
    found.ok_or_else(|| {
        let known = numbers.filter_map(|number| Note::at(jobs, number)).any(|at| at.step == note.step);
        no(if known {
            format!("the last run stopped at {}, and what comes before it is not what it was", note.step)
        } else {
            format!("the last run stopped at {}, which is no step of this one", note.step)
        })
    })
}

/// Fails if the lock may not be ours any more: before what comes `next`, which then must not happen. With `ask`, it
/// asks the warehouse; else our own clock decides, and the warehouse is asked only if that has run out.
async fn check_lease(lease: &Lease<'_>, ask: bool, next: &str) -> Result<(), Error> {
    if !ask && lease.is_valid() {
        return Ok(());
    }
    match lease.renew().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::LeaseLost { next: next.to_owned() }),
        Err(_) if lease.is_valid() => Ok(()),
        Err(source) => Err(Error::Warehouse { context: format!("can't renew the lock before {next}"), source }),
    }
}

/// The dropped sessions in words, with samples; `None` if there are none.
pub fn dropped_sessions(rows: &Rows) -> Option<String> {
    let reasons: Vec<String> = (0..rows.rows.len())
        .map(|row| {
            format!(
                "{} ({}{})",
                rows.get(row, "session_count"),
                rows.get(row, "reason"),
                samples(rows, row).map(|samples| format!("; such as {samples}")).unwrap_or_default()
            )
        })
        .collect();
    (!reasons.is_empty()).then(|| format!("sessions dropped: {}", reasons.join(", ")))
}

/// The multiplied sessions in words, with samples; `None` if there are none.
pub fn multiplied_sessions(rows: &Rows) -> Option<String> {
    let count = rows.get(0, "session_count").as_integer();
    (count > 0).then(|| {
        format!(
            "sessions with more than one row: {count}{}; their first or last page view stands in the input more than once",
            samples(rows, 0).map(|samples| format!(" (such as {samples})")).unwrap_or_default()
        )
    })
}

fn samples(rows: &Rows, row: usize) -> Option<String> {
    let (first, last) = (rows.get(row, "first_sample").to_string(), rows.get(row, "last_sample").to_string());
    match (first.is_empty(), first == last) {
        (true, _) => None,
        (false, true) => Some(first),
        (false, false) => Some(format!("{first}, {last}")),
    }
}

//! The executor: takes the lock, checks the tables, runs plans unit by unit with retries, and reports. What happens is
//! told as events; nothing here prints.

use crate::config::Variables;
use crate::error::{Error, Place, Retry, RunError, WarehouseError, WarehouseErrorKind};
use crate::lock::{self, Holder, Lease};
use crate::model::table_name;
use crate::model::tables::{PAGE_VIEWS_STAGED, SESSIONS_LOCK};
use crate::plan::{Finding, Observation, OnFound, Phase, Plan, Step, Unit};
use crate::preflight;
use crate::warehouse::{Activity, Done, Loaded, Rows, Warehouse};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

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
        let mut report = Report::default();
        let result = async {
            if !page_views.is_empty() {
                report.loaded = self.load(page_views).await?;
            }
            self.locked(jobs, &mut report).await
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

    async fn locked(&self, jobs: &[Job], report: &mut Report) -> Result<(), Error> {
        // Before the lock, which would be the first thing to make a schema.
        if jobs.iter().any(|job| matches!(job.phase, Some(Phase::Main | Phase::Complete))) {
            preflight::check_input(self.warehouse, self.variables).await?;
        }
        let lease =
            Lease::acquire(self.warehouse, self.variables, self.options.holder.clone(), self.options.lease).await?;
        self.listener.on(&Event::Locked);
        let heartbeat = async {
            let mut renewals = tokio::time::interval(lease.renewal_interval());
            renewals.tick().await;
            loop {
                renewals.tick().await;
                if let Err(error) = lease.renew().await {
                    self.warn(format!("can't renew the lock: {error}"));
                }
            }
        };
        let result = tokio::select! {
            result = self.work(jobs, &lease, report) => result,
            () = heartbeat => unreachable!("the heartbeat beats until the work is done"),
        };
        if let Err(error) = lease.release().await {
            self.warn(format!("can't give up the lock; it expires by itself: {error}"));
        }
        result
    }

    async fn work(&self, jobs: &[Job], lease: &Lease<'_>, report: &mut Report) -> Result<(), Error> {
        for job in jobs {
            let units = job.plan.units().count();
            self.listener.on(&Event::PlanStarted { plan: job.plan.name.clone(), units });
            let started = Instant::now();
            report.plans.push(PlanReport { plan: job.plan.name.clone(), seconds: 0.0, steps: Vec::new() });
            let result = self.plan(&job.plan, lease, report).await;
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
            for unit in &step.units {
                let done = self.unit(plan, step, unit, lease, &mut report.findings).await?;
                if let Some(step) = report.plans.last_mut().and_then(|plan| plan.steps.last_mut()) {
                    step.units.push(done);
                    step.seconds = started.elapsed().as_secs_f64();
                }
                self.check_finding(unit, &report.findings)?;
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
        findings: &mut BTreeMap<Finding, Rows>,
    ) -> Result<UnitReport, Error> {
        let next = format!("{}/{}: {}", plan.name, step.name, unit.purpose());
        let mut delays = backon::BackoffBuilder::build(
            backon::ExponentialBuilder::default()
                .with_min_delay(self.options.first_delay)
                .with_max_times(self.options.retries)
                .with_jitter(),
        );
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
            let result = self.cancellable(self.send(unit, findings)).await;
            let seconds = started.elapsed().as_secs_f64();
            let error = match result {
                Ok(statements) => {
                    self.listener.on(&Event::UnitFinished {
                        plan: plan.name.clone(),
                        step: step.name.clone(),
                        unit: unit.purpose().to_owned(),
                        seconds,
                    });
                    return Ok(UnitReport { unit: unit.purpose().to_owned(), seconds, statements });
                }
                Err(error) => error,
            };
            if self.cancellation.is_cancelled() && error.kind == WarehouseErrorKind::Cancelled {
                return Err(Error::Cancelled { next });
            }
            let may_retry = match error.retry {
                Retry::Never => false,
                Retry::NotApplied => true,
                Retry::Unknown => !matches!(unit, Unit::Script(_)),
            };
            match delays.next().filter(|_| may_retry) {
                Some(delay) => {
                    let asked = error.retry_after.map_or(Duration::ZERO, Duration::from_secs);
                    let delay = delay.max(asked.min(LONGEST_WAIT));
                    self.listener.on(&Event::Retrying {
                        unit: unit.purpose().to_owned(),
                        error: error.to_string(),
                        seconds: delay.as_secs_f64(),
                    });
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = self.cancellation.cancelled() => {}
                    }
                }
                None => {
                    let sql = unit
                        .statements()
                        .iter()
                        .map(|statement| statement.sql.as_str())
                        .collect::<Vec<_>>()
                        .join(";\n");
                    let place = Box::new(Place {
                        phase: plan.name.clone(),
                        step: step.name.clone(),
                        unit: unit.purpose().to_owned(),
                        sql,
                    });
                    return Err(Error::Unit { place, attempts, source: error });
                }
            }
        }
    }

    async fn send(&self, unit: &Unit, findings: &mut BTreeMap<Finding, Rows>) -> Result<Vec<Done>, WarehouseError> {
        match unit {
            Unit::Statement(statement) => Ok(vec![self.warehouse.execute(statement).await?]),
            Unit::Script(script) => Ok(vec![self.warehouse.execute_script(script).await?]),
            Unit::Block { statements, .. } => self.warehouse.execute_block(statements).await,
            Unit::Observation(observation) => {
                let rows = self.warehouse.query(&observation.statement.sql).await?;
                findings.insert(observation.finding, rows);
                Ok(Vec::new())
            }
        }
    }

    /// Awaits work; when the user asks to stop, asks the warehouse to stop it and awaits what it says.
    async fn cancellable<T>(&self, work: impl Future<Output = Result<T, WarehouseError>>) -> Result<T, WarehouseError> {
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = self.cancellation.cancelled() => {}
        }
        self.listener.on(&Event::Cancelling);
        if let Err(error) = self.warehouse.cancel().await {
            self.warn(format!("can't cancel in the warehouse: {error}"));
        }
        work.await
    }

    fn check_finding(&self, unit: &Unit, findings: &BTreeMap<Finding, Rows>) -> Result<(), Error> {
        let Unit::Observation(Observation { finding, on_found: OnFound::Fail, .. }) = unit else { return Ok(()) };
        let Some(rows) = findings.get(finding) else { return Ok(()) };
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

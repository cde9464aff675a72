//! The executor: takes the lock, checks the tables, runs plans unit by unit with retries, and reports. What happens is
//! told as events; nothing here prints.

mod event;
mod job;
mod loading;
mod report;
mod resume;

pub use event::{Event, Level, Listener, Outcome, Silence};
pub use job::Job;
pub use report::{PlanReport, Report, RunError, SCHEMA_VERSION, StepReport, UnitReport};

use crate::clock;
use crate::error::{Error, LoadedTable, Place, Retry, WarehouseError, WarehouseErrorKind};
use crate::files::Files;
use crate::lock::{Holder, Lease, Note};
use crate::model::Module;
use crate::plan::{Load, Observation, OnFound, Phase, Step, Unit};
use crate::preflight;
use crate::rows::Rows;
use crate::variables::Variables;
use crate::warehouse::{self, Activity, Done, Loaded, Warehouse};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use loading::load_files;
use report::Recorder;
use resume::{note_at, resumed_step};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// How many scripts of a step run at the same time.
const PARALLEL_SCRIPTS: usize = 4;

/// How long between two requests to stop what runs.
const CANCELLATION_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait that a warehouse may ask for before a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How a run is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
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

/// Runs modules on a warehouse.
///
/// ```
/// # use websessions_core::run::{Report, RunError, Runner};
/// # use websessions_core::{model, variables::Variables, warehouse::Warehouse};
/// # async fn example(warehouse: &dyn Warehouse) -> Result<Report, RunError> {
/// let variables = Variables::default();
/// Runner::new(warehouse, &variables).run(&[model::sessions::module()]).await
/// # }
/// ```
#[derive(Clone)]
pub struct Runner<'a> {
    warehouse: &'a dyn Warehouse,
    variables: &'a Variables,
    listener: &'a dyn Listener,
    cancellation: CancellationToken,
    options: Options,
}

impl<'a> Runner<'a> {
    /// A runner with the usual options, the variables' lease, and nobody who listens.
    pub fn new(warehouse: &'a dyn Warehouse, variables: &'a Variables) -> Self {
        let mut options = Options::new("a program's");
        options.lease = variables.lock_lease;
        Self { warehouse, variables, listener: &Silence, cancellation: CancellationToken::new(), options }
    }

    /// Runs on another connection.
    #[must_use]
    pub fn warehouse(mut self, warehouse: &'a dyn Warehouse) -> Self {
        self.warehouse = warehouse;
        self
    }

    /// Who hears what happens.
    #[must_use]
    pub fn listener(mut self, listener: &'a dyn Listener) -> Self {
        self.listener = listener;
        self
    }

    /// What ends the run before its next unit, and asks the warehouse to stop the present one.
    #[must_use]
    pub fn cancellation(mut self, cancellation: CancellationToken) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// How it runs.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// A phase of a module as a job.
    pub fn job(&self, module: &Module, phase: Phase) -> Job {
        Job::phase(module, phase, self.variables, &self.warehouse.dialect())
    }

    /// Runs main and complete of each module in order, under one lock.
    pub async fn run(&self, modules: &[Module]) -> Result<Report, RunError> {
        let phases = [Phase::Main, Phase::Complete];
        let jobs: Vec<Job> = modules.iter().flat_map(|module| phases.map(|phase| self.job(module, phase))).collect();
        self.run_jobs(&jobs).await
    }

    /// Runs jobs in order under one lock.
    pub async fn run_jobs(&self, jobs: &[Job]) -> Result<Report, RunError> {
        self.start(jobs, false).await
    }

    /// Runs the jobs from the step on at which the last run of them failed. What comes before that step must be as it
    /// was then; the step itself and what follows may have been mended.
    pub async fn resume(&self, jobs: &[Job]) -> Result<Report, RunError> {
        self.start(jobs, true).await
    }

    /// Appends files to the input of a module, as any writer may at any time: no lock is needed.
    pub async fn load(&self, files: &Files, module: &Module) -> Result<Vec<Loaded>, Error> {
        let recorder = Recorder::new(self.listener);
        self.begin(&recorder).append(files, module).await
    }

    fn begin<'r>(&'r self, recorder: &'r Recorder<'r>) -> Run<'r> {
        Run {
            warehouse: self.warehouse,
            variables: self.variables,
            recorder,
            cancellation: &self.cancellation,
            options: &self.options,
        }
    }

    async fn start(&self, jobs: &[Job], resume: bool) -> Result<Report, RunError> {
        let recorder = Recorder::new(self.listener);
        let run = self.begin(&recorder);
        let started = Instant::now();
        recorder.on(&Event::RunStarted {
            run_id: self.options.holder.id.clone(),
            version: env!("CARGO_PKG_VERSION"),
            dialect: self.warehouse.dialect().name().to_owned(),
            location: self.warehouse.location(),
            namespace: self.warehouse.namespace(),
            at: SystemTime::now(),
        });
        let result = async {
            check_places(jobs, self.variables, &*self.warehouse.dialect())?;
            run.locked(jobs, resume).await
        }
        .await;
        recorder.on(&Event::RunFinished {
            outcome: match &result {
                Ok(()) => Outcome::Succeeded,
                Err(error) if error.is_cancelled() => Outcome::Cancelled,
                Err(error) if error.is_locked() => Outcome::Locked,
                Err(_) => Outcome::Failed,
            },
            error: result.as_ref().err().map(|error| crate::error::chain(error)),
            seconds: started.elapsed().as_secs_f64(),
            at: SystemTime::now(),
        });
        let report = recorder.into_report();
        match result {
            Ok(()) => Ok(report),
            Err(error) => Err(RunError::new(error, report)),
        }
    }
}

/// Fails if a job is about other tables than the run's lock, or in another dialect than the warehouse's.
fn check_places(jobs: &[Job], variables: &Variables, dialect: &dyn crate::dialect::Dialect) -> Result<(), Error> {
    for job in jobs {
        let plan = job.plan();
        let places = |of: &Variables| (of.scratch_schema.clone(), of.output_schema.clone(), of.entropy.clone());
        if job.variables().is_some_and(|of| places(of) != places(variables)) {
            return Err(Error::configuration(format!(
                "{} has other schemas or another entropy than the run",
                plan.name
            )));
        }
        if plan.dialect != dialect.name() {
            return Err(Error::configuration(format!(
                "{} is written for {}, and the warehouse is {}",
                plan.name,
                plan.dialect,
                dialect.name()
            )));
        }
    }
    Ok(())
}

/// Why a run stopped, and where: the number of the step among those of all jobs, and that of its plan's first step.
struct Stopped {
    error: Error,
    step: usize,
    first_of_plan: usize,
    /// Whether its plan reads what it works on: complete works on what main has read.
    reads: bool,
}

/// A run that has begun.
struct Run<'a> {
    warehouse: &'a dyn Warehouse,
    variables: &'a Variables,
    recorder: &'a Recorder<'a>,
    cancellation: &'a CancellationToken,
    options: &'a Options,
}

impl Run<'_> {
    /// Appends files to the input of a module, again while the warehouse says that nothing was applied: as where several
    /// make its schema at once.
    async fn append(&self, files: &Files, module: &Module) -> Result<Vec<Loaded>, Error> {
        self.check(|| preflight::check_tables(self.warehouse, std::slice::from_ref(module), self.variables)).await?;
        let Some(table) = module.input.and_then(|input| module.table(input, self.variables)) else {
            return Err(Error::configuration(format!("module {} reads no files", module.name)));
        };
        let (name, dialect) = (self.variables.table_name(&table), self.warehouse.dialect());
        let mut first = vec![dialect.ensure_schema(&name.schema)];
        first.extend(dialect.ensure_table(&table, &name));
        let load = Load::new(first, files, &table, name);
        let (never, mut delays) = (CancellationToken::new(), self.delays());
        loop {
            match self.cancellable(load_files(self.warehouse, &load, self.recorder), &never).await {
                Err(error)
                    if error.retry == Retry::NotApplied
                        && load.files.can_be_read_twice()
                        && !self.cancellation.is_cancelled()
                        && self.pause("the load", &error, &mut delays).await => {}
                Err(source) if source.retry == Retry::Unknown => {
                    let into = Box::new(LoadedTable { table: load.name.to_string(), name: table.name });
                    return Err(Error::LoadUnknown { into, source });
                }
                other => {
                    return other.map_err(|source| Error::Warehouse { context: "can't load the files".into(), source });
                }
            }
        }
    }

    async fn locked(&self, jobs: &[Job], resume: bool) -> Result<(), Error> {
        // Before the lock, which would be the first thing to make a schema.
        self.check_before(jobs).await?;
        let Options { holder, lease, .. } = self.options.clone();
        self.warehouse.announce(&Activity {
            run: holder.id.clone(),
            plan: "lock".to_owned(),
            step: "acquire".to_owned(),
        });
        let lease = Lease::acquire(self.warehouse, self.variables, holder, lease, resume).await?;
        for left in lease.left_by_former_holders() {
            self.warn(format!("{left}; it can change nothing that stays: every block of changes asks for the lock"));
        }
        self.recorder.on(&Event::Locked);
        let (result, note) = match self.first_step(jobs, resume, &lease).await {
            Err((error, note)) => (Err(error), note),
            Ok(first) => {
                let result = tokio::select! {
                    result = self.work_or_begin_anew(jobs, first, resume, &lease) => result,
                    () = self.heartbeat(&lease) => unreachable!("the heart beats until the work is done"),
                };
                // The first step of a module: nothing is done that a later run could go on from.
                let notable = |number: &usize| *number > 0 || jobs.first().is_some_and(Job::is_custom);
                let stopped = result.as_ref().err().map(|stopped| stopped.step).filter(notable);
                let note = stopped.and_then(|number| note_at(jobs, number));
                (result.map_err(|stopped| stopped.error), note)
            }
        };
        if let Err(error) = lease.release(note.as_ref()).await {
            self.warn(format!("can't give up the lock; it expires by itself: {error}"));
        }
        result
    }

    /// Checks the tables of all modules, and the input of the first job: that of a later one may be made in this run.
    async fn check_before(&self, jobs: &[Job]) -> Result<(), Error> {
        let mut modules: Vec<Module> = Vec::new();
        for module in jobs.iter().filter_map(Job::reads) {
            if !modules.contains(module) {
                modules.push(*module);
            }
        }
        match (jobs.first().and_then(Job::reads), modules.as_slice()) {
            (Some(_), [first, after @ ..]) => {
                self.check(|| preflight::check_all(self.warehouse, first, after, self.variables)).await
            }
            (None, [_, ..]) => {
                self.check(|| preflight::check_tables(self.warehouse, &modules, self.variables)).await.map(|_| ())
            }
            (_, []) => Ok(()),
        }
    }

    /// Checks the tables, again and again while the warehouse fails in a way that may pass.
    async fn check<T, F: Future<Output = Result<T, Error>>>(&self, check: impl Fn() -> F) -> Result<T, Error> {
        let mut delays = self.delays();
        loop {
            match check().await {
                Err(Error::Warehouse { source, .. })
                    if source.retry != Retry::Never
                        && self.pause("a look at the tables", &source, &mut delays).await => {}
                other => return other,
            }
        }
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
            let _alone = lease.renewals.lock().await;
            if let Err(error) = lease.renew().await {
                self.warn(format!("can't renew the lock: {error}"));
            }
        }
    }

    /// Runs the jobs from a step on. A run that stopped leaves others the time to mend or to change what its plan had read: if
    /// a resumed run can't go on with what the plan had made by then, the plan begins anew.
    async fn work_or_begin_anew(
        &self,
        jobs: &[Job],
        first: usize,
        resume: bool,
        lease: &Lease<'_>,
    ) -> Result<(), Stopped> {
        match self.work(jobs, first, lease).await {
            Err(Stopped {
                error: error @ (Error::Changed { .. } | Error::Check { .. }),
                first_of_plan,
                reads: true,
                ..
            }) if resume && first_of_plan < first => {
                self.warn(format!("{error}; what was read before is read again, as it is now"));
                self.work(jobs, first_of_plan, lease).await
            }
            done => done,
        }
    }

    /// Runs the jobs from a step on: its number among the steps of all of them.
    async fn work(&self, jobs: &[Job], first: usize, lease: &Lease<'_>) -> Result<(), Stopped> {
        let mut begin = 0;
        for (position, job) in jobs.iter().enumerate() {
            let all = &job.plan().steps;
            let (start, skip) = (begin, first.saturating_sub(begin));
            let reads = !matches!(job.of(), Some((_, Phase::Complete)));
            let stopped = |error, step| Stopped { error, step, first_of_plan: start, reads };
            begin += all.len();
            let steps = all.get(skip..).unwrap_or_default();
            if steps.is_empty() && !all.is_empty() {
                continue;
            }
            if let (Some((module, Phase::Main)), 1..) = (job.of(), position) {
                let input = self.check(|| preflight::check_input(self.warehouse, module, self.variables)).await;
                input.map_err(|error| stopped(error, start + skip))?;
            }
            let plan = job.plan();
            self.recorder.on(&Event::PlanStarted {
                plan: plan.name.clone(),
                phase: job.of().map(|(module, phase)| (module.name, phase)),
                units: steps.iter().map(|step| step.units.len()).sum(),
            });
            let started = Instant::now();
            let result = self.steps(job, steps, lease).await;
            let seconds = started.elapsed().as_secs_f64();
            self.recorder.on(&Event::PlanFinished { plan: plan.name.clone(), seconds });
            result.map_err(|(position, error)| stopped(error, start + skip + position))?;
        }
        Ok(())
    }

    /// Runs steps of a job. An error comes with the position of its step among them.
    async fn steps(&self, job: &Job, steps: &[Step], lease: &Lease<'_>) -> Result<(), (usize, Error)> {
        for (position, step) in steps.iter().enumerate() {
            self.step(job, step, lease).await.map_err(|error| (position, error))?;
        }
        Ok(())
    }

    async fn step(&self, job: &Job, step: &Step, lease: &Lease<'_>) -> Result<(), Error> {
        let plan = job.plan();
        self.warehouse.announce(&Activity {
            run: self.options.holder.id.clone(),
            plan: plan.name.clone(),
            step: step.name.clone(),
        });
        self.recorder.on(&Event::StepStarted {
            plan: plan.name.clone(),
            step: step.name.clone(),
            purpose: step.purpose.clone(),
            commits: step.commits,
        });
        let started = Instant::now();
        let together = if step.is_parallel() { PARALLEL_SCRIPTS } else { 1 };
        let work: Vec<BoxFuture<'_, _>> =
            step.units.iter().map(|unit| self.unit(job, step, unit, lease).boxed()).collect();
        let mut results = futures_util::stream::iter(work).buffered(together);
        let mut failed = None;
        for unit in &step.units {
            let Some(result) = results.next().await else { break };
            match result {
                Ok(rows) => {
                    if let (Unit::Observation(observation), Some(rows)) = (unit, rows) {
                        let checked = check_finding(observation, &rows);
                        if (observation.finding.warns)(&rows)
                            && let Some(message) = (observation.finding.in_words)(&rows)
                        {
                            self.warn(message);
                        }
                        self.recorder.on(&Event::Observed { finding: observation.finding, rows });
                        checked?;
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
        self.recorder.on(&Event::StepFinished { plan: plan.name.clone(), step: step.name.clone(), seconds });
        Ok(())
    }

    async fn unit(&self, job: &Job, step: &Step, unit: &Unit, lease: &Lease<'_>) -> Result<Option<Rows>, Error> {
        let plan = job.plan();
        let next = format!("{}/{}: {}", plan.name, step.name, unit.purpose());
        let mut delays = self.delays();
        let mut attempts = 0;
        let mut may_run_still = false;
        loop {
            if self.cancellation.is_cancelled() {
                return Err(Error::Cancelled { next });
            }
            // A block asks by itself, in its transaction.
            if unit.writes() && !matches!(unit, Unit::Block { .. }) {
                check_lease(lease, &next).await?;
            }
            attempts += 1;
            self.recorder.on(&Event::UnitStarted {
                plan: plan.name.clone(),
                step: step.name.clone(),
                unit: unit.purpose().to_owned(),
                sql: unit.statements().iter().map(|statement| statement.sql.clone()).collect(),
            });
            let started = Instant::now();
            let attempt = async {
                if may_run_still {
                    self.end_own_statements(lease).await?;
                }
                self.send(unit, lease).await
            };
            let result = self.cancellable(attempt, lease.lost()).await;
            let seconds = started.elapsed().as_secs_f64();
            let error = match result {
                Ok((statements, rows)) => {
                    self.recorder.on(&Event::UnitFinished {
                        plan: plan.name.clone(),
                        step: step.name.clone(),
                        unit: unit.purpose().to_owned(),
                        script: matches!(unit, Unit::Script(_)),
                        seconds,
                        statements,
                    });
                    return Ok(rows);
                }
                Err(error) => error,
            };
            may_run_still |= error.retry == Retry::Unknown;
            if error.retry == Retry::Unknown {
                self.recorder.on(&Event::OutcomeUnknown {
                    plan: plan.name.clone(),
                    step: step.name.clone(),
                    unit: unit.purpose().to_owned(),
                });
            }
            if error.kind == WarehouseErrorKind::Fenced {
                if self.holds(lease).await == Some(true) {
                    return Err(Error::Changed { next });
                }
                lease.lose();
            }
            if lease.lost().is_cancelled() {
                return Err(Error::LeaseLost { next });
            }
            if self.cancellation.is_cancelled() && error.kind == WarehouseErrorKind::Cancelled {
                return Err(Error::Cancelled { next });
            }
            if error.retry != Retry::Never
                && unit.can_run_twice()
                && self.pause(unit.purpose(), &error, &mut delays).await
            {
                continue;
            }
            // What fails may fail by what another run did to the tables since this one lost its lock.
            if self.holds(lease).await == Some(false) {
                return Err(Error::LeaseLost { next });
            }
            let phase = job.of().map(|(_, phase)| phase);
            let place = Box::new(Place::new(plan, phase, step, unit, &error));
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
        self.recorder.on(&Event::Retrying {
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

    /// Whether the lock is ours, if the warehouse says so or not so.
    async fn holds(&self, lease: &Lease<'_>) -> Option<bool> {
        let _alone = lease.renewals.lock().await;
        lease.renew().await.ok()
    }

    /// Before what may have been applied is sent again: the first attempt may still run, or begin late. If that can't be
    /// ended, the next attempt must not begin.
    async fn end_own_statements(&self, lease: &Lease<'_>) -> Result<(), WarehouseError> {
        let _alone = lease.renewals.lock().await;
        if let Some(left) = self.warehouse.end_statements(&self.options.holder.id).await? {
            self.warn(left);
        }
        Ok(())
    }

    /// What a unit's statements did, and the rows of an observation.
    async fn send(&self, unit: &Unit, lease: &Lease<'_>) -> Result<(Vec<Done>, Option<Rows>), WarehouseError> {
        Ok(match unit {
            Unit::Statement(statement) => {
                let wanted = warehouse::is_wanted(self.warehouse, statement).await?;
                let done = if wanted { vec![warehouse::make(self.warehouse, statement).await?] } else { Vec::new() };
                (done, None)
            }
            Unit::Script(script) => (vec![self.warehouse.execute_script(script).await?], None),
            Unit::Block { statements, .. } => {
                let _alone = lease.renewals.lock().await;
                let mut guarded = vec![lease.guard()];
                guarded.extend(warehouse::wanted(self.warehouse, statements).await?);
                let sent = clock::now();
                let mut done = self.warehouse.execute_block(&guarded).await?;
                lease.confirm(sent);
                // A warehouse that takes a block as one script says one thing of it.
                if done.len() == guarded.len() {
                    done.remove(0);
                }
                (done, None)
            }
            Unit::Observation(observation) => {
                (Vec::new(), Some(self.warehouse.query(&observation.statement.sql).await?))
            }
            // As a block: what comes late, from a run that has lost its lock, loads nothing.
            Unit::Load(load) => {
                let _alone = lease.renewals.lock().await;
                let mut load = load.clone().guarded(lease.guard());
                load.first = warehouse::wanted(self.warehouse, &load.first).await?;
                load_files(self.warehouse, &load, self.recorder).await?;
                (Vec::new(), None)
            }
        })
    }

    /// Awaits work; when the user asks to stop, or the lock is lost, asks the warehouse to stop it, and awaits what it says. What
    /// has not begun when it is asked to stop begins all the same: it is asked again until it ends.
    async fn cancellable<T>(
        &self,
        work: impl Future<Output = Result<T, WarehouseError>>,
        lost: &CancellationToken,
    ) -> Result<T, WarehouseError> {
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = self.cancellation.cancelled() => self.recorder.on(&Event::Cancelling),
            () = lost.cancelled() => {}
        }
        let mut is_said = false;
        loop {
            // What it has not heard of yet it may refuse to stop.
            if let Err(error) = self.warehouse.cancel().await
                && !std::mem::replace(&mut is_said, true)
            {
                self.warn(format!("can't cancel in the warehouse: {error}"));
            }
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(CANCELLATION_INTERVAL) => {}
            }
        }
    }

    fn warn(&self, message: String) {
        self.recorder.on(&Event::Warning { message });
    }
}

/// Fails if an observation found what the configuration refuses.
fn check_finding(observation: &Observation, rows: &Rows) -> Result<(), Error> {
    let OnFound::Fail { because, hint } = observation.on_found else { return Ok(()) };
    match (observation.finding.in_words)(rows) {
        None => Ok(()),
        Some(words) => Err(Error::Check { message: format!("{words}; {because}"), hint: hint.to_owned() }),
    }
}

/// Fails if the lock may not be ours any more: before what comes `next`, which then must not happen. Our own clock decides,
/// and the warehouse is asked if it was not asked lately.
async fn check_lease(lease: &Lease<'_>, next: &str) -> Result<(), Error> {
    if lease.is_fresh() {
        return Ok(());
    }
    let _alone = lease.renewals.lock().await;
    match lease.renew().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::LeaseLost { next: next.to_owned() }),
        Err(_) if lease.is_valid() => Ok(()),
        Err(source) => Err(Error::Warehouse { context: format!("can't renew the lock before {next}"), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::plan::Statement;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    /// A warehouse that has not heard yet of what it is first asked to stop.
    #[derive(Debug, Default)]
    struct Late {
        asked: AtomicUsize,
        stopped: Notify,
    }

    #[async_trait::async_trait]
    impl Warehouse for Late {
        fn dialect(&self) -> Arc<dyn Dialect> {
            unreachable!("nothing is written for it")
        }

        fn location(&self) -> String {
            unreachable!("it is nowhere")
        }

        async fn execute(&self, _: &Statement) -> Result<Done, WarehouseError> {
            unreachable!("it runs nothing")
        }

        async fn execute_block(&self, _: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
            unreachable!("it runs nothing")
        }

        async fn query(&self, _: &str) -> Result<Rows, WarehouseError> {
            unreachable!("it runs nothing")
        }

        async fn cancel(&self) -> Result<(), WarehouseError> {
            if self.asked.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err(WarehouseError::new(WarehouseErrorKind::Missing, "no such job"));
            }
            self.stopped.notify_one();
            Ok(())
        }
    }

    #[test]
    fn what_can_not_be_stopped_yet_is_asked_to_stop_again() {
        let (warehouse, variables, cancellation) = (Late::default(), Variables::default(), CancellationToken::new());
        let runner = Runner::new(&warehouse, &variables).cancellation(cancellation.clone());
        let recorder = Recorder::new(&Silence);
        let run = runner.begin(&recorder);
        cancellation.cancel();
        let work = async {
            warehouse.stopped.notified().await;
            Err::<(), _>(WarehouseError::new(WarehouseErrorKind::Cancelled, "stopped"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let error = runtime.block_on(run.cancellable(work, &CancellationToken::new())).expect_err("it was stopped");
        assert_eq!((error.kind, warehouse.asked.into_inner()), (WarehouseErrorKind::Cancelled, 3));
    }
}

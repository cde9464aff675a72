//! Running, and what is said of it.

use super::check::{self, Asked};
use super::files::{files, loaded_in_words};
use super::jobs::{self, selected};
use super::waiting::patiently;
use super::{Failed, Invocation, confirm};
use crate::arguments::{OutputFormat, Run, Waiting};
use crate::destination::Destination;
use crate::interruption::{interrupted, unless};
use crate::lineage::{Lineage, Sink};
use crate::progress::Remembering;
use crate::{hints, output, progress};
use std::path::Path;
use std::sync::Arc;
use websessions_core::CancellationToken;
use websessions_core::error::Error;
use websessions_core::insight::Question;
use websessions_core::model::sessions::{self, findings};
use websessions_core::model::users;
use websessions_core::model::users::findings::USERS_SUMMARY;
use websessions_core::model::{self, Module, page_views};
use websessions_core::plan::Phase;
use websessions_core::run::{Job, Options, Report, RunError, Runner};
use websessions_core::table::{Lifetime, Table, TableName};
use websessions_core::warehouse::{Done, Warehouse};
use websessions_core::words::counted;

impl Invocation<'_> {
    /// Begins a run, or goes on with the last one that failed.
    pub(super) async fn run(&mut self, run: &Run, resume: bool) -> Result<(), Failed> {
        let files = files(&run.page_views, &run.reading)?;
        let page = run.report.as_deref().map(|to| Ok::<_, Error>((self.page_of_run(to, &files)?, to))).transpose()?;
        let arrivals = self.arrivals(&files, run.waiting).await?;
        let jobs = selected(self.jobs(arrivals, &self.configuration.backend.dialect())?, &run.selection)?;
        self.execute_and_report(&jobs, resume, page, run.waiting).await
    }

    pub(super) async fn phase(&self, module: &str, phase: Phase, waiting: Waiting) -> Result<(), Failed> {
        let module = jobs::module(module)?;
        let job = self.job(&module, phase, &self.configuration.backend.dialect());
        let is_configured = self.modules_or(None)?.iter().any(|known| known.name == module.name);
        self.execute(&[job], waiting).await.map_err(|failed| match &failed.error {
            Error::Drift { additions, leaves, .. } if !is_configured => {
                let hint = hints::drift(additions, *leaves, Some(module.name));
                Failed { hint: Some(hint), ..failed }
            }
            _ => failed,
        })
    }

    pub(super) async fn destroy(&self, module: &str, yes: bool, waiting: Waiting) -> Result<(), Failed> {
        let dialect = self.configuration.backend.dialect();
        let module = jobs::module(module)?;
        let jobs = self.destroying_jobs(&module, &dialect)?;
        let listener = progress::listener(self.global);
        let warehouse = patiently(waiting, &*listener, async || Ok(self.connect().await?)).await?;
        output::talk(&format!("destroy in {}:", warehouse.location()));
        for job in &jobs {
            for (_, unit) in job.plan().units() {
                let script =
                    if job.of().is_none() { format!("{}: the script ", job.plan().name) } else { String::new() };
                output::talk(&format!("  {script}{}", unit.purpose()));
            }
        }
        let destroyed: Vec<Module> = jobs.iter().filter_map(Job::module).copied().collect();
        for table in model::tables(&destroyed, self.variables()) {
            let name = self.variables().table_name(&table);
            let dropped = dialect.drop_table(&name).sql;
            let mut units = jobs.iter().flat_map(|job| job.plan().units());
            let drops = units.any(|(_, unit)| unit.statements().iter().any(|one| one.sql == dropped));
            if table.lifetime != Lifetime::Persistent || !drops {
                continue;
            }
            if let Ok(rows) =
                warehouse.query(&format!("SELECT COUNT(*) AS row_count FROM {}", dialect.table(&name))).await
            {
                output::talk(&format!("  {name} has {}", counted(rows.get(0, "row_count"), "row")));
            }
        }
        drop(warehouse);
        confirm("Destroy them?", yes)?;
        self.execute(&jobs, waiting).await
    }

    pub(super) async fn execute(&self, jobs: &[Job], waiting: Waiting) -> Result<(), Failed> {
        self.execute_and_report(jobs, false, None, waiting).await
    }

    /// Runs jobs. Then come the tests of data, if the configuration asks for them, and the page of production, if it has a
    /// file to go to: on the connection of the run.
    async fn execute_and_report(
        &self,
        jobs: &[Job],
        resume: bool,
        page: Option<(Destination, &Path)>,
        waiting: Waiting,
    ) -> Result<(), Failed> {
        let asks = self.configuration.check.after_run;
        let questions = asks.then(|| self.questions_after_run()).transpose()?;
        let cancellation = CancellationToken::new();
        let lineage = self.lineage(jobs)?;
        let listener = Remembering::new(lineage.listener(progress::listener(self.global)));
        let done = tokio::select! {
            // Ctrl-C is heard before the work begins.
            biased;
            () = given_up(&cancellation) => Err(self.given_up(&listener)),
            done = async {
                let done = self.work(jobs, resume, waiting, &listener, &cancellation).await;
                let (report, warehouse) = done.map_err(|failed| self.of_own_columns(failed))?;
                let after = self.after_run(&*warehouse, &report, questions.as_deref(), page, &cancellation).await;
                after.map_err(|error| RunError::new(error, report).into())
            } => done,
        };
        drop(listener);
        lineage.end().await;
        done
    }

    /// A failure, with what to do if it may be that of columns of one's own.
    fn of_own_columns(&self, failed: Failed) -> Failed {
        let Error::Unit { place, source, .. } = &failed.error else { return failed };
        if !hints::may_be_of_a_value(source) || place.file.is_some() {
            return failed;
        }
        let columns = self.variables().columns.may_fail(Some(&place.sql));
        let hint = (!columns.is_empty()).then(|| hints::own_columns(&columns));
        Failed { hint: failed.hint.or(hint), ..failed }
    }

    /// What comes after a run: what it did is told whatever the tests of data and the page of production come to.
    async fn after_run(
        &self,
        warehouse: &dyn Warehouse,
        report: &Report,
        questions: Option<&[Question]>,
        page: Option<(Destination, &Path)>,
        cancellation: &CancellationToken,
    ) -> Result<(), Error> {
        let answers = match questions.filter(|_| report.committed()) {
            Some(questions) => {
                let (insight, asked) = (self.insight(&warehouse.dialect()), Asked::default());
                let answers = async { self.ask(&insight, warehouse, questions, &asked).await.map(Some) };
                unless(cancellation.cancelled(), check::BEFORE_RUN, warehouse, answers).await
            }
            None => Ok(None),
        };
        let found = answers.as_ref().ok().and_then(Option::as_deref);
        match self.global.output {
            OutputFormat::Json => output::report(report, found.map(check::in_json))?,
            OutputFormat::Text => {
                let checks = found.map(check::in_words).unwrap_or_default();
                output::data(&(self.summary(report, &warehouse.location()) + &checks))?;
            }
        }
        let answers = answers?;
        if let Some(page) = page {
            let written = self.report_after(warehouse, page, answers.as_deref());
            unless(cancellation.cancelled(), super::report::BEFORE_MADE, warehouse, written).await?;
        }
        check::failure(answers.as_deref().unwrap_or_default())
    }

    /// The run itself, again and again while another one has the lock and there is patience left.
    async fn work(
        &self,
        jobs: &[Job],
        resume: bool,
        waiting: Waiting,
        listener: &Remembering,
        cancellation: &CancellationToken,
    ) -> Result<(Report, Arc<dyn Warehouse>), Failed> {
        let stopped = || Error::Cancelled { next: "the run began".to_owned() };
        let run = patiently(waiting, listener, async || {
            let warehouse = tokio::select! {
                connected = self.connect() => connected?,
                () = cancellation.cancelled() => return Err(stopped().into()),
            };
            let runner = Runner::new(&*warehouse, self.variables())
                .listener(listener)
                .cancellation(cancellation.clone())
                .options(self.options());
            let report = if resume { runner.resume(jobs).await? } else { runner.run_jobs(jobs).await? };
            Ok((report, warehouse))
        });
        run.await
    }

    fn lineage(&self, jobs: &[Job]) -> Result<Lineage, Error> {
        let settings = self.configuration.lineage(self.global.lineage.as_deref())?;
        if let Some(Sink::File(path)) = settings.as_ref().map(|settings| &settings.sink) {
            self.refuse_own(path, &[])?;
        }
        Ok(Lineage::new(settings, jobs, self.variables(), &*self.configuration.backend.dialect()))
    }

    fn options(&self) -> Options {
        let mut options = Options::new(&gethostname::gethostname().to_string_lossy());
        options.lease = self.variables().lock_lease;
        options.holder.id = output::run_id().to_owned();
        options
    }

    /// The user asked twice to stop: nothing more is awaited, and what was sent last may or may not be done.
    fn given_up(&self, listener: &Remembering) -> Failed {
        let running = match listener.running().as_slice() {
            [] => "the warehouse answered; whether what was asked last is done".to_owned(),
            running => format!("the end of {}; whether that was applied", running.join(", ")),
        };
        let lease = self.options().lease.as_secs();
        Failed {
            error: Error::Cancelled { next: format!("{running} is not known") },
            report: None,
            hint: Some(format!(
                "{}the warehouse may still be at it; the lock frees itself in at most {lease} s, or {} clears it; then run again: every step of the model can run twice",
                listener.last_done().map(|done| format!("done before: up to {done}; ")).unwrap_or_default(),
                output::pasteable("unlock")
            )),
        }
    }

    /// A production table, and whether it was left alone.
    fn place(&self, production: &TableName) -> String {
        if self.variables().skip_derived {
            format!("{production} was left alone: skip_derived")
        } else {
            production.to_string()
        }
    }

    fn summary(&self, report: &Report, location: &str) -> String {
        let mut text = String::new();
        for loaded in &report.loaded {
            text.push_str(&loaded_in_words(loaded));
        }
        if let Some(summary) = report.findings.get(page_views::findings::PAGE_VIEWS_SUMMARY.name) {
            let name = |table: Option<Table>| {
                table.map(|table| self.variables().table_name(&table).to_string()).unwrap_or_default()
            };
            let arrived = report.findings.get(page_views::findings::REPEATED_PAGE_VIEWS.name);
            let of_rows = |column: &str| arrived.map(|rows| rows.get(0, column).to_string()).unwrap_or_default();
            let rows = [
                ["rows that came".to_owned(), of_rows("rows_arrived")],
                ["page views of them".to_owned(), of_rows("rows_kept")],
                ["sessions that they are of".to_owned(), summary.get(0, "sessions").to_string()],
                ["page views of these sessions".to_owned(), summary.get(0, "page_views").as_integer().to_string()],
                ["rows written".to_owned(), summary.get(0, "rows_written").as_integer().to_string()],
                ["table".to_owned(), name(page_views::production(self.variables()))],
                ["staged in".to_owned(), name(page_views::staged(self.variables()))],
            ];
            text.push_str(&output::table(["page views this run", ""], rows));
        }
        if let Some(summary) = report.findings.get(findings::SUMMARY.name) {
            let production = self.variables().table_name(&sessions::production(self.variables()));
            let rows = [
                ["sessions".to_owned(), summary.get(0, "session_rows").to_string()],
                ["page views read".to_owned(), summary.get(0, "page_views").as_integer().to_string()],
                ["users".to_owned(), summary.get(0, "users").to_string()],
                ["first start (UTC)".to_owned(), summary.get(0, "first_start").to_string()],
                ["last start (UTC)".to_owned(), summary.get(0, "last_start").to_string()],
                ["table".to_owned(), self.place(&production)],
                ["warehouse".to_owned(), location.to_owned()],
            ];
            text.push_str(&output::table(["built this run", ""], rows));
        }
        if let Some(summary) = report.findings.get(USERS_SUMMARY.name) {
            let production = self.variables().table_name(&users::production(self.variables()));
            let (users, sessions) = (summary.get(0, "user_rows"), summary.get(0, "sessions_read").as_integer());
            let rows = [
                ["users".to_owned(), users.to_string()],
                ["users touched".to_owned(), summary.get(0, "users_touched").to_string()],
                ["sessions read".to_owned(), format!("{sessions} of {}", counted(users, "user"))],
                ["table".to_owned(), self.place(&production)],
                ["warehouse".to_owned(), location.to_owned()],
            ];
            text.push_str(&output::table(["users built this run", ""], rows));
        }
        let of_bytes = |name: &str, bytes: fn(&Done) -> Option<u64>| {
            let sum = report.statements().filter_map(bytes).reduce(|sum, bytes| sum + bytes);
            sum.map(|sum| format!("{name} by the warehouse: {}\n", output::bytes(sum)))
        };
        text.extend(of_bytes("read", |done| done.bytes_processed));
        text.extend(of_bytes("billed", |done| done.bytes_billed));
        // What was a warning on stderr is not said again.
        for note in report.notes.iter().filter(|note| !report.warnings.contains(note)) {
            text.push_str(&format!("note: {note}\n"));
        }
        for plan in &report.plans {
            text.push_str(&format!("{}: done in {:.2} s\n", plan.plan, plan.seconds));
        }
        text
    }
}

/// The first Ctrl-C (or SIGTERM) ends the run in order; this ends at the second.
async fn given_up(cancellation: &CancellationToken) {
    interrupted().await;
    cancellation.cancel();
    interrupted().await;
}

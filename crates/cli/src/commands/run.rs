//! Running, and what is said of it.

use super::jobs::selected;
use super::tables::{check_readable, loaded_in_words};
use super::{Failed, Session, confirm};
use crate::arguments::{OutputFormat, Selection};
use crate::{output, progress};
use std::path::{Path, PathBuf};
use websessions_core::CancellationToken;
use websessions_core::model::sessions::{self, findings};
use websessions_core::plan::Phase;
use websessions_core::run::{Job, Options, Report, Runner};
use websessions_core::table::Lifetime;
use websessions_core::warehouse::Done;

impl Session<'_> {
    pub(super) async fn run(&self, page_views: &[PathBuf], selection: &Selection) -> Result<(), Failed> {
        let jobs = selected(self.jobs(&self.configuration.backend.dialect())?, selection)?;
        check_readable(page_views)?;
        self.execute(page_views, &jobs, false).await
    }

    pub(super) async fn resume(&self) -> Result<(), Failed> {
        let jobs = self.jobs(&self.configuration.backend.dialect())?;
        self.execute(&[], &jobs, true).await
    }

    pub(super) async fn phase(&self, phase: Phase) -> Result<(), Failed> {
        let job = self.job(phase, &self.configuration.backend.dialect());
        self.execute(&[], &[job], false).await
    }

    pub(super) async fn destroy(&self, yes: bool) -> Result<(), Failed> {
        let dialect = self.configuration.backend.dialect();
        let job = self.job(Phase::Destroy, &dialect);
        let warehouse = self.connect().await?;
        output::talk(&format!("destroy in {}:", warehouse.location()));
        for (_, unit) in job.plan().units() {
            output::talk(&format!("  {}", unit.purpose()));
        }
        let module = sessions::module();
        for table in module.tables(self.variables()) {
            let name = self.variables().table_name(&table);
            let dropped = dialect.drop_table(&name).sql;
            let drops = job.plan().units().any(|(_, unit)| unit.statements().iter().any(|one| one.sql == dropped));
            if table.lifetime != Lifetime::Persistent || !drops {
                continue;
            }
            if let Ok(rows) =
                warehouse.query(&format!("SELECT COUNT(*) AS row_count FROM {}", dialect.table(&name))).await
            {
                output::talk(&format!("  {name} has {} rows", rows.get(0, "row_count")));
            }
        }
        drop(warehouse);
        confirm("Drop them?", yes)?;
        self.execute(&[], &[job], false).await
    }

    async fn execute(&self, page_views: &[PathBuf], jobs: &[Job], resume: bool) -> Result<(), Failed> {
        let warehouse = self.connect().await?;
        let listener = progress::listener(self.global);
        let cancellation = CancellationToken::new();
        let watch = tokio::spawn(cancel_on_interrupt(cancellation.clone()));
        let runner = Runner::new(&*warehouse, self.variables())
            .listener(&*listener)
            .cancellation(cancellation)
            .options(Options::new(&gethostname::gethostname().to_string_lossy()));
        let files: Vec<&Path> = page_views.iter().map(PathBuf::as_path).collect();
        let result = if resume { runner.resume(jobs).await } else { runner.run_jobs(&files, jobs).await };
        watch.abort();
        drop(listener);
        let report = result?;
        match self.global.output {
            OutputFormat::Json => output::json(&report),
            OutputFormat::Text => output::data(&self.summary(&report, &warehouse.location())),
        }
        Ok(())
    }

    fn summary(&self, report: &Report, location: &str) -> String {
        let mut text = String::new();
        for loaded in &report.loaded {
            text.push_str(&loaded_in_words(loaded));
        }
        if let Some(summary) = report.findings.get(findings::SUMMARY.name) {
            let production = self.variables().table_name(&sessions::production(self.variables()));
            let place = if self.variables().skip_derived {
                format!("{production} was left alone: skip_derived")
            } else {
                production.to_string()
            };
            let rows = [
                ["sessions".to_owned(), summary.get(0, "session_rows").to_string()],
                ["page views read".to_owned(), summary.get(0, "page_views").as_integer().to_string()],
                ["users".to_owned(), summary.get(0, "users").to_string()],
                ["first start (UTC)".to_owned(), summary.get(0, "first_start").to_string()],
                ["last start (UTC)".to_owned(), summary.get(0, "last_start").to_string()],
                ["table".to_owned(), place],
                ["warehouse".to_owned(), location.to_owned()],
            ];
            let of_bytes = |name: &str, bytes: fn(&Done) -> Option<u64>| {
                report
                    .statements()
                    .filter_map(bytes)
                    .reduce(|sum, bytes| sum + bytes)
                    .map(|sum| [name.to_owned(), output::bytes(sum)])
            };
            let read = of_bytes("read by the warehouse", |done| done.bytes_processed);
            let billed = of_bytes("billed by the warehouse", |done| done.bytes_billed);
            text.push_str(&output::table(["built this run", ""], rows.into_iter().chain(read).chain(billed)));
        }
        for note in &report.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        for plan in &report.plans {
            text.push_str(&format!("{}: done in {:.2} s\n", plan.plan, plan.seconds));
        }
        text
    }
}

/// The first Ctrl-C (or SIGTERM) ends the run in order; the second leaves at once.
async fn cancel_on_interrupt(cancellation: CancellationToken) {
    interrupted().await;
    cancellation.cancel();
    interrupted().await;
    #[expect(clippy::exit, reason = "the second Ctrl-C asks for just that")]
    std::process::exit(130);
}

async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = tokio::signal::ctrl_c() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

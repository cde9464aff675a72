//! One self-contained HTML page of what production has.

use super::Invocation;
use super::check::{self, Asked};
use crate::arguments::OutputFormat;
use crate::destination::Destination;
use crate::interruption::{interrupted, unless};
use crate::output;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;
use websessions_core::error::Error;
use websessions_core::files::{Files, Source};
use websessions_core::insight::Answer;
use websessions_core::model::sessions::{self, report};
use websessions_core::plan::Unit;
use websessions_core::rows::Rows;
use websessions_core::warehouse::Warehouse;
use websessions_core::words::counted;
use websessions_report::About;

fn in_words(sessions: i64, days: u32, to: &Path) -> String {
    format!("{} of {} in {}", counted(sessions, "session"), counted(days, "day"), to.display())
}

/// Of what nothing is known when it was stopped.
pub(super) const BEFORE_MADE: &str = "the report was made";

impl Invocation<'_> {
    /// Where a run's page goes: looked at before the run begins, which reads some files.
    pub(super) fn page_of_run(&self, to: &Path, read: &Files) -> Result<Destination, Error> {
        let files = read.sources.iter().filter_map(|source| match source {
            Source::File(path) => Some(path.clone()),
            _ => None,
        });
        let destination = self.destination(to, &files.collect::<Vec<_>>())?;
        if destination.is_standard_output() {
            return Err(Error::configuration("--report names a file: standard output has what the run answers"));
        }
        Ok(destination)
    }

    pub(super) async fn report(&self, to: &Path, days: u32, checks: bool) -> Result<(), Error> {
        let destination = self.destination(to, &[])?;
        let to_standard_output = destination.is_standard_output();
        if to_standard_output && self.global.output == OutputFormat::Json {
            return Err(Error::Configuration {
                message: "standard output takes the page, and --output json would have its answer there too".to_owned(),
                hint: Some(
                    "leave one of them out: '--html FILE' with '--output json', or '--html -' without".to_owned(),
                ),
            });
        }
        let warehouse = self.connect_unless_stopped(BEFORE_MADE).await?;
        let made = async {
            let answers = match checks {
                true => Some(self.answers(&*warehouse, &Asked::default()).await?),
                false => None,
            };
            let (bytes, sessions) = self.write_page(&*warehouse, destination, to, days, answers.as_deref()).await?;
            Ok((answers, bytes, sessions))
        };
        let (answers, bytes, sessions) = unless(interrupted(), BEFORE_MADE, &*warehouse, made).await?;
        let found = answers.as_deref();
        let answer = in_words(sessions, days, to);
        match self.global.output {
            OutputFormat::Json => output::json(&json!({
                "file": to, "days": days, "sessions": sessions, "bytes": bytes, "checks": found.map(check::in_json)
            }))?,
            OutputFormat::Text if to_standard_output => output::talk(&answer),
            OutputFormat::Text => {
                output::data(&format!("{answer}\n{}", found.map(check::in_words).unwrap_or_default()))?;
            }
        }
        check::failure(found.unwrap_or_default())
    }

    /// Writes the page of a run that is done, with what the checks after it found. What the run answered stays its answer.
    pub(super) async fn report_after(
        &self,
        warehouse: &dyn Warehouse,
        (destination, to): (Destination, &Path),
        checks: Option<&[Answer]>,
    ) -> Result<(), Error> {
        let (_, sessions) = self.write_page(warehouse, destination, to, report::USUAL_DAYS, checks).await?;
        output::talk(&format!("report: {}", in_words(sessions, report::USUAL_DAYS, to)));
        Ok(())
    }

    /// Writes the page; gives its size and how many sessions it is about.
    async fn write_page(
        &self,
        warehouse: &dyn Warehouse,
        destination: Destination,
        to: &Path,
        days: u32,
        checks: Option<&[Answer]>,
    ) -> Result<(usize, i64), Error> {
        let (page, sessions) = self.page(warehouse, days, checks).await?;
        let bytes = page.len();
        let named = to.to_owned();
        let written = tokio::task::spawn_blocking(move || destination.write(page.as_bytes(), &named, 0)).await;
        let failed = |error| Error::File { path: to.display().to_string(), source: std::io::Error::other(error) };
        written.map_err(failed)??;
        Ok((bytes, sessions))
    }

    /// The page, and how many sessions it is about.
    async fn page(
        &self,
        warehouse: &dyn Warehouse,
        days: u32,
        checks: Option<&[Answer]>,
    ) -> Result<(String, i64), Error> {
        let plan = report::report(self.variables(), &warehouse.dialect(), days);
        let table = self.variables().table_name(&sessions::production(self.variables()));
        let mut all: BTreeMap<&str, Rows> = BTreeMap::new();
        for (_, unit) in plan.units() {
            let Unit::Observation(observation) = unit else { continue };
            let rows = match warehouse.query(&observation.statement.sql).await {
                Ok(rows) => rows,
                Err(source) => {
                    let context = format!("can't ask for the report: {}", observation.statement.purpose);
                    return Err(Error::Warehouse { context, source: self.of_missing(warehouse, &table, source).await });
                }
            };
            all.insert(observation.finding.name, rows);
        }
        let count = all.get("period").map_or(0, |period| period.get(0, "session_count").as_integer());
        let about = About {
            location: warehouse.location(),
            table: table.to_string(),
            made_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok((websessions_report::page(&about, &all, checks), count))
    }
}

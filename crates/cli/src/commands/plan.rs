//! The SQL before it runs, and what it would cost.

use super::check::Asked;
use super::jobs::{module, selected};
use super::page_views::Arrivals;
use super::{Failed, Invocation};
use crate::arguments::{Days, OutputFormat, PlanPhase, RUNS, SAMPLES, Selection, Waiting};
use crate::output;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use websessions_core::backend::Registry;
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::files::Files;
use websessions_core::insight::Runs;
use websessions_core::model::sessions::{self, report};
use websessions_core::plan::{Phase, Plan, Statement, Unit};
use websessions_core::run::Job;

/// What is to be planned.
pub(super) struct Planned<'a> {
    pub(super) phase: PlanPhase,
    /// The one that is asked for.
    pub(super) module: Option<&'a str>,
    pub(super) page_views: &'a Files,
    pub(super) days: &'a Days,
    pub(super) selection: &'a Selection,
}

impl Invocation<'_> {
    pub(super) fn plan(
        &self,
        registry: &Registry,
        what: &Planned<'_>,
        dialect: Option<&str>,
        split: Option<&Path>,
    ) -> Result<(), Error> {
        let dialect = match dialect {
            Some(name) => registry.get(name)?.dialect(),
            None => self.configuration.backend.dialect(),
        };
        self.print(&self.plans(what, self.planned_arrivals(what.page_views), &dialect)?, &*dialect, split)
    }

    /// What 'migrate' would send now: the only plan that follows from the tables as they are.
    pub(super) async fn plan_migration(
        &self,
        module: Option<&str>,
        dialect: Option<&str>,
        split: Option<&Path>,
    ) -> Result<(), Error> {
        if dialect.is_some() {
            return Err(Error::Configuration {
                message: "a migration follows from the tables of the target, and is in its dialect".to_owned(),
                hint: Some("leave --dialect out".to_owned()),
            });
        }
        let warehouse = self.connect().await?;
        let drift = self.drift(&*warehouse, module).await?;
        for problem in &drift.left {
            output::warn(&format!("left as it is: {problem}"));
        }
        self.print(&[drift.migration], &*warehouse.dialect(), split)
    }

    fn print(&self, plans: &[Plan], dialect: &dyn Dialect, split: Option<&Path>) -> Result<(), Error> {
        if let Some(directory) = split {
            let written = write_steps(plans, dialect, directory)?;
            return match self.global.output {
                OutputFormat::Json => output::json(&written),
                OutputFormat::Text => output::data(&format!("{}\n", written.join("\n"))),
            };
        }
        match self.global.output {
            OutputFormat::Json => {
                let plans: Vec<_> =
                    plans.iter().map(|plan| json!({ "plan": plan, "fingerprint": plan.fingerprint() })).collect();
                output::json(&plans)
            }
            OutputFormat::Text => {
                let texts: Vec<String> = plans.iter().map(|plan| plan.to_sql(dialect)).collect();
                output::data(&texts.join("\n"))
            }
        }
    }

    /// What a command asks that looks and changes nothing.
    fn look_plan(&self, phase: PlanPhase, dialect: &Arc<dyn Dialect>) -> Result<Option<Plan>, Error> {
        let insight = || self.insight(dialect);
        Ok(match phase {
            PlanPhase::Status => Some(insight().status_plan()),
            PlanPhase::History => Some(insight().history_plan(&Runs { module: None, since: None, limit: RUNS })),
            PlanPhase::Explain => Some(insight().explain_plan("SESSION")),
            PlanPhase::Preview => Some(insight().preview_plan(SAMPLES)),
            PlanPhase::Check => {
                let insight = insight();
                Some(insight.check_plan(&self.questions(&insight, dialect.name(), &Asked::default())?))
            }
            PlanPhase::Report => Some(report::report(self.variables(), dialect, report::USUAL_DAYS)),
            _ => None,
        })
    }

    fn plans(
        &self,
        what: &Planned<'_>,
        arrivals: Arrivals<'_>,
        dialect: &Arc<dyn Dialect>,
    ) -> Result<Vec<Plan>, Error> {
        let Planned { phase, selection, page_views, days, .. } = *what;
        if let Some(plan) = self.look_plan(phase, dialect)? {
            return Ok(vec![plan]);
        }
        let module = what.module.map_or_else(|| Ok(sessions::module()), module)?;
        let job = |phase| vec![Job::phase_with(&module, phase, &self.variables_of(&module), dialect, page_views)];
        let jobs = match phase {
            PlanPhase::Run => self.jobs(arrivals, dialect)?,
            // A phase of the playbooks, with the variables that it has there.
            PlanPhase::Main | PlanPhase::Complete if !self.configuration.playbooks.is_empty() => {
                let wanted = if phase == PlanPhase::Main { Phase::Main } else { Phase::Complete };
                self.jobs_of_playbooks(&self.modules(), dialect)?
                    .into_iter()
                    .filter(|job| job.of() == Some((&module, wanted)))
                    .collect()
            }
            PlanPhase::Main => job(Phase::Main),
            PlanPhase::Complete => job(Phase::Complete),
            PlanPhase::Destroy => self.destroying_jobs(&module, dialect)?,
            PlanPhase::Rebuild => self.rebuilding_jobs(days, dialect)?,
            PlanPhase::Unstage => vec![self.unstaging_job(dialect)],
            // Their plans are above, or follow from a look at the tables.
            PlanPhase::Status
            | PlanPhase::Migrate
            | PlanPhase::History
            | PlanPhase::Check
            | PlanPhase::Explain
            | PlanPhase::Preview
            | PlanPhase::Report => Vec::new(),
        };
        Ok(selected(jobs, selection)?.into_iter().map(|job| job.plan().clone()).collect())
    }

    /// What each statement would read and cost, as the warehouse says without running it.
    pub(super) async fn estimate(&mut self, what: &Planned<'_>) -> Result<(), Failed> {
        let arrivals = self.arrivals(what.page_views, Waiting::default()).await?;
        let warehouse = self.connect().await?;
        let mut estimates = Vec::new();
        let plans = match what.phase {
            PlanPhase::Migrate => vec![self.drift(&*warehouse, what.module).await?.migration],
            _ => self.plans(what, arrivals, &warehouse.dialect())?,
        };
        for plan in plans {
            for (step, unit) in plan.units() {
                // A block is one script: its parts may use what it declares.
                let block = match unit {
                    Unit::Block { purpose, statements } => {
                        vec![Statement::new(purpose.clone(), warehouse.dialect().block(statements))]
                    }
                    _ => unit.statements().to_vec(),
                };
                for statement in &block {
                    let failed = |source| Error::Warehouse {
                        context: format!("can't estimate {}/{}: {}", plan.name, step.name, statement.purpose),
                        source,
                    };
                    let estimate = warehouse.estimate(statement).await.map_err(failed)?;
                    estimates.push((format!("{}/{}", plan.name, step.name), statement.purpose.clone(), estimate));
                }
            }
        }
        if self.global.output == OutputFormat::Json {
            let estimates: Vec<_> = estimates
                .iter()
                .map(|(step, purpose, estimate)| json!({ "step": step, "statement": purpose, "estimate": estimate }))
                .collect();
            return Ok(output::json(&estimates)?);
        }
        let known = || estimates.iter().filter_map(|(_, _, estimate)| estimate.as_ref());
        let (bytes, price) = (known().map(|known| known.bytes_processed).sum(), known().map(|known| known.price).sum());
        let row = |step: &str, purpose: &str, cost: Option<(u64, f64)>| {
            let (bytes, price) = cost.map_or_else(
                || ("unknown".to_owned(), String::new()),
                |(bytes, price)| (output::bytes(bytes), format!("{price:.4}")),
            );
            [step.to_owned(), purpose.to_owned(), bytes, price]
        };
        let rows = estimates
            .iter()
            .map(|(step, purpose, estimate)| {
                row(step, purpose, estimate.as_ref().map(|known| (known.bytes_processed, known.price)))
            })
            .chain([row("total", "of what is known", Some((bytes, price)))]);
        output::data(&output::table(["step", "statement", "reads", "US$"], rows))?;
        if estimates.iter().any(|(_, _, estimate)| estimate.is_none()) {
            output::data(
                "unknown: it reads what an earlier statement makes, so it can't be estimated before that ran\n",
            )?;
        }
        Ok(())
    }
}

fn write_steps(plans: &[Plan], dialect: &dyn Dialect, directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |path: &Path, source| Error::File { path: path.display().to_string(), source };
    std::fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
    let mut written = Vec::new();
    for plan in plans {
        for step in &plan.steps {
            let path = directory.join(format!("{:02}-{}-{}.sql", written.len() + 1, plan.name, step.name));
            std::fs::write(&path, step.to_sql(dialect)).map_err(|source| failed(&path, source))?;
            written.push(path.display().to_string());
        }
    }
    Ok(written)
}

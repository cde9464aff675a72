//! Page views in: from files or a table of the user's, as they are, again, and away.

use super::files::loaded_in_words;
use super::waiting::patiently;
use super::{Failed, Invocation, confirm};
use crate::arguments::{Days, OutputFormat, Waiting};
use crate::{output, progress};
use std::sync::Arc;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::files::Files;
use websessions_core::model::{page_views, sessions};
use websessions_core::plan::Phase;
use websessions_core::run::{Event, Job, Runner};
use websessions_core::variables::Variables;
use websessions_core::words::counted;

/// How the page views of a run come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrivals<'a> {
    /// They are staged.
    Staged,
    /// In files, or, if these are none, in the table that the configuration names.
    Here(&'a Files),
}

impl Invocation<'_> {
    /// What the page views of this run come in, after a look at it.
    pub(super) async fn arrivals<'a>(&mut self, files: &'a Files, waiting: Waiting) -> Result<Arrivals<'a>, Failed> {
        let arrivals = self.planned_arrivals(files);
        if !files.is_empty() || self.variables().page_views_from.is_none() {
            return Ok(arrivals);
        }
        let listener = progress::listener(self.global);
        let source = patiently(waiting, &*listener, async || {
            Ok(page_views::read_source(&*self.connect().await?, self.variables()).await?)
        })
        .await?;
        if let (Some(source), Some(name)) = (source, self.variables().page_views_from.clone()) {
            if !source.ignored_columns.is_empty() {
                let message = format!("{name}: columns ignored: {}", source.ignored_columns.join(", "));
                listener.on(&Event::Warning { message });
            }
            self.configuration.variables.page_views_columns = Some(source.columns);
        }
        Ok(arrivals)
    }

    /// The same without a look at the table: a plan shows all of the model's columns as if the table had them.
    pub(super) fn planned_arrivals<'a>(&self, files: &'a Files) -> Arrivals<'a> {
        if files.is_empty() && self.variables().page_views_from.is_none() {
            Arrivals::Staged
        } else {
            Arrivals::Here(files)
        }
    }

    /// page_views before some jobs, and completed after them. It ends the run, unless some phases of it are yet to come.
    pub(super) fn around(
        &self,
        arrivals: Arrivals<'_>,
        jobs: Vec<Job>,
        dialect: &Arc<dyn Dialect>,
    ) -> Result<Vec<Job>, Error> {
        let Arrivals::Here(files) = arrivals else { return Ok(jobs) };
        if !self.configuration.modules.has_page_views() {
            return Err(Error::Configuration {
                message: format!("page views come, and the modules are {}", self.configuration.modules),
                hint: Some("add page_views to modules, or leave them out here and stage them yourself".to_owned()),
            });
        }
        let module = page_views::module();
        let is_whole = jobs.is_empty() || jobs.iter().any(|job| matches!(job.of(), Some((_, Phase::Complete))));
        let main = Job::phase_with(&module, Phase::Main, self.variables(), dialect, files);
        let complete = Job::phase(&module, Phase::Complete, &ending(self.variables(), is_whole), dialect);
        Ok([vec![main], jobs, vec![complete]].concat())
    }

    /// page_views alone: what arrives is stored and its sessions are staged.
    pub(super) async fn load(&mut self, files: &Files, waiting: Waiting) -> Result<(), Failed> {
        let arrivals = self.arrivals(files, waiting).await?;
        if matches!(arrivals, Arrivals::Staged) {
            return Err(Error::Configuration {
                message: "no files are given, and page_views_from names no table".to_owned(),
                hint: Some(format!("{}, or '--var page_views_from=schema.table'", output::pasteable("load FILE…"))),
            }
            .into());
        }
        let jobs = self.around(arrivals, Vec::new(), &self.configuration.backend.dialect())?;
        self.execute(&jobs, waiting).await
    }

    /// Appends files to the staged page views as they are.
    pub(super) async fn load_staged(&self, files: &Files, waiting: Waiting) -> Result<(), Failed> {
        let module = sessions::module();
        let Some(input) = module.input.and_then(|input| module.table(input, self.variables())) else {
            return Err(Error::configuration("no module reads files").into());
        };
        let table = self.variables().table_name(&input);
        let listener = progress::listener(self.global);
        let (loaded, location) = patiently(waiting, &*listener, async || {
            let warehouse = self.connect().await?;
            let runner = Runner::new(&*warehouse, self.variables()).listener(&*listener);
            Ok((runner.load(files, &module).await?, warehouse.location()))
        })
        .await?;
        match self.global.output {
            OutputFormat::Json => output::json(&loaded)?,
            OutputFormat::Text => {
                for file in &loaded {
                    output::data(&loaded_in_words(file))?;
                }
                output::data(&format!("staged in {table}, {location}\n"))?;
            }
        }
        Ok(())
    }

    /// Sessions of production's page views staged again, and computed.
    pub(super) async fn rebuild(&self, days: &Days, waiting: Waiting) -> Result<(), Failed> {
        let jobs = self.rebuilding_jobs(days, &self.configuration.backend.dialect())?;
        self.execute(&jobs, waiting).await.map_err(|failed| match &failed.error {
            Error::MissingInput { .. } => {
                let run = output::pasteable("run --page-views FILE…");
                let hint = format!("nothing was changed: rebuild stages what the module page_views keeps, which {run} or page_views_from takes in; of page views that a pipeline of your own stages, stage all of these sessions again, and run");
                Failed { hint: Some(hint), ..failed }
            }
            _ => failed,
        })
    }

    /// Sessions of some days staged again, and what a run does then.
    pub(super) fn rebuilding_jobs(&self, days: &Days, dialect: &Arc<dyn Dialect>) -> Result<Vec<Job>, Error> {
        if !self.configuration.modules.has_page_views() {
            return Err(Error::Configuration {
                message: format!(
                    "rebuild stages what the module page_views keeps, and the modules are {}",
                    self.configuration.modules
                ),
                hint: Some(
                    "nothing was changed: stage all page views of these sessions again, as you staged them, and run; or add page_views to modules"
                        .to_owned(),
                ),
            });
        }
        let Days { from: Some(from), to } = days else {
            return Err(Error::configuration("--from says from which day on sessions are built again"));
        };
        if let Some(to) = to.as_ref().filter(|to| from > *to) {
            return Err(Error::configuration(format!("--from {from} comes after --to {to}")));
        }
        let plan = page_views::rebuild(from, to.as_deref(), self.variables(), dialect);
        let rebuild = Job::plan_of(&page_views::rebuilding(), plan, self.variables());
        let complete = Job::phase(&page_views::module(), Phase::Complete, &ending(self.variables(), true), dialect);
        Ok([vec![rebuild], self.jobs_of_modules(false, dialect)?, vec![complete]].concat())
    }

    pub(super) fn unstaging_job(&self, dialect: &Arc<dyn Dialect>) -> Job {
        Job::plan_of(&page_views::module(), page_views::unstage(self.variables(), dialect), self.variables())
    }

    /// Takes away what is staged.
    pub(super) async fn unstage(&self, yes: bool, waiting: Waiting) -> Result<(), Failed> {
        let dialect = self.configuration.backend.dialect();
        let Some(table) = page_views::staged(self.variables()) else {
            return Err(Error::configuration("no module stages page views").into());
        };
        let name = self.variables().table_name(&table);
        let listener = progress::listener(self.global);
        let count = patiently(waiting, &*listener, async || {
            let sql = format!("SELECT COUNT(*) AS row_count FROM {}", dialect.table(&name));
            match self.connect().await?.query(&sql).await {
                Ok(rows) => Ok(rows.get(0, "row_count").as_integer()),
                Err(error) if error.kind == WarehouseErrorKind::Missing => Ok(0),
                Err(source) => Err(Error::Warehouse { context: format!("can't count {name}"), source }.into()),
            }
        })
        .await?;
        if count == 0 {
            return Ok(match self.global.output {
                OutputFormat::Json => output::json(&serde_json::json!({ "staged": 0 })),
                OutputFormat::Text => output::data("no page views are staged\n"),
            }?);
        }
        output::talk(&format!("staged for the next run in {name}: {}", counted(count, "page view")));
        let kept = page_views::production(self.variables()).filter(|_| self.configuration.modules.has_page_views());
        let kept = kept.map(|table| {
            let kept = self.variables().table_name(&table);
            format!("Those that {kept} has can be staged again by {}.", output::pasteable("rebuild --from DATE"))
        });
        let kept = kept.unwrap_or_default();
        confirm(format!("Take them away? {kept}").trim_end(), yes)?;
        self.execute(&[self.unstaging_job(&dialect)], waiting).await?;
        if yes && !kept.is_empty() {
            output::talk(&kept);
        }
        Ok(())
    }
}

/// The variables of a job after which a run ends, or does not.
pub(super) fn ending(variables: &Variables, ends_run: bool) -> Variables {
    let mut variables = variables.clone();
    variables.ends_run = ends_run;
    variables
}

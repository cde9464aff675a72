//! One function a command.

use crate::arguments::{Arguments, Command, ConfigCommand, Global, OutputFormat, PlanPhase, Playbooks, Selection};
use crate::configuration::{Configuration, assignments, starter};
use crate::{import, output, progress};
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use websessions_core::CancellationToken;
use websessions_core::config::Variables;
use websessions_core::dialect::{Dialect, TableName};
use websessions_core::error::{Error, RunError};
use websessions_core::identifier::{Identifier, unknown};
use websessions_core::model::tables::{PAGE_VIEWS_STAGED, SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, TABLES, table};
use websessions_core::model::{self, table_name};
use websessions_core::plan::{Finding, Phase, Plan, Statement};
use websessions_core::registry::Registry;
use websessions_core::run::{Job, Options, Report, Runner, dropped_sessions, multiplied_sessions};
use websessions_core::warehouse::{Done, Loaded, Warehouse};
use websessions_core::{lock, preflight};
use websessions_playbook::{Part, Playbook, Severity};

/// Does what the command line says; gives the exit code.
pub(crate) async fn dispatch(registry: &Registry, arguments: &Arguments) -> u8 {
    let global = &arguments.global;
    match command(registry, global, &arguments.command).await {
        Ok(()) => 0,
        Err(Failed { error, report }) => {
            output::error(&error, report.as_deref(), global.output);
            error.exit_code()
        }
    }
}

struct Failed {
    error: Error,
    report: Option<Box<Report>>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, report: None }
    }
}

impl From<RunError> for Failed {
    fn from(RunError { error, report }: RunError) -> Self {
        Self { error, report: Some(report) }
    }
}

async fn command(registry: &Registry, global: &Global, command: &Command) -> Result<(), Failed> {
    match command {
        Command::Init { force } => return Ok(init(registry, global, *force)?),
        Command::Backends => {
            backends(registry, global);
            return Ok(());
        }
        Command::Import { directory, sqlroot, force } => {
            return Ok(import::import(global, directory, sqlroot.as_deref(), *force)?);
        }
        _ => {}
    }
    let none = Playbooks::default();
    let given = match command {
        Command::Run { playbooks, .. }
        | Command::Resume { playbooks }
        | Command::Destroy { playbooks, .. }
        | Command::Plan { playbooks, .. }
        | Command::Lint { playbooks } => playbooks,
        _ => &none,
    };
    let destroys = matches!(command, Command::Destroy { .. } | Command::Plan { phase: PlanPhase::Destroy, .. });
    let playbooks = read_playbooks(given, destroys, &assignments(global)?)?;
    let configuration = Configuration::read(global, registry, playbooks)?;
    let session = Session { global, configuration, sql_root: given.sqlroot.as_deref() };
    if let Command::Lint { .. } = command {
        return Ok(session.lint()?);
    }
    for warning in &session.configuration.warnings {
        output::warn(warning);
    }
    match command {
        Command::Run { page_views, selection, .. } => session.run(page_views, selection).await,
        Command::Resume { .. } => session.resume().await,
        Command::Main => session.phase(Phase::Main).await,
        Command::Complete => session.phase(Phase::Complete).await,
        Command::Destroy { yes, .. } => session.destroy(*yes).await,
        Command::Load { files } => Ok(session.load(files).await?),
        Command::Export { table, to } => Ok(session.export(table, to).await?),
        Command::Plan { phase, estimate: true, selection, .. } => Ok(session.estimate(*phase, selection).await?),
        Command::Plan { phase, dialect, split, estimate: false, selection, .. } => {
            Ok(session.plan(registry, *phase, selection, dialect.as_deref(), split.as_deref())?)
        }
        Command::Config { command: ConfigCommand::Show } => {
            session.show();
            Ok(())
        }
        Command::Unlock { yes } => Ok(session.unlock(*yes).await?),
        Command::Doctor => Ok(session.doctor().await?),
        Command::Init { .. }
        | Command::Backends
        | Command::Completions { .. }
        | Command::Import { .. }
        | Command::Lint { .. } => Ok(()),
    }
}

fn read_playbooks(
    given: &Playbooks,
    destroys: bool,
    overrides: &std::collections::BTreeMap<String, String>,
) -> Result<Vec<Playbook>, Error> {
    match given {
        Playbooks { playbooks: Some(folder), .. } => websessions_playbook::from_directory(folder, destroys, overrides),
        Playbooks { playbook: Some(file), .. } => websessions_playbook::from_file(file, destroys, overrides),
        Playbooks { config_json: Some(_), .. } if destroys => {
            Err(Error::configuration("a job list destroys nothing: name the playbook that does with --playbook"))
        }
        Playbooks { config_json: Some(file), .. } => websessions_playbook::from_job_list(file, overrides),
        _ => Ok(Vec::new()),
    }
}

/// The steps that were asked for; jobs without any are left out.
fn selected(jobs: Vec<Job>, selection: &Selection) -> Result<Vec<Job>, Error> {
    let names: Vec<(String, String)> = jobs
        .iter()
        .flat_map(|job| {
            job.plan.steps.iter().map(|step| (format!("{}/{}", job.plan.name, step.name), step.name.clone()))
        })
        .collect();
    let position = |flag: &str, asked: &str| {
        let found: Vec<usize> =
            (0..names.len()).filter(|number| names[*number].0 == asked || names[*number].1 == asked).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::configuration(format!(
                "{flag}: {}",
                unknown("step", asked, names.iter().flat_map(|(full, short)| [full.as_str(), short]))
            ))),
            several => {
                let several: Vec<&str> = several.iter().map(|number| names[*number].0.as_str()).collect();
                Err(Error::configuration(format!(
                    "{flag}: {asked:?} is the name of several steps: {}",
                    several.join(", ")
                )))
            }
        }
    };
    let at = |flag: &str, asked: &Option<String>| asked.as_deref().map(|asked| position(flag, asked)).transpose();
    let only = at("--only-step", &selection.only_step)?;
    let from = only.or(at("--from-step", &selection.from_step)?).unwrap_or(0);
    let until = only.or(at("--until-step", &selection.until_step)?).unwrap_or(names.len().saturating_sub(1));
    if from > until {
        return Err(Error::configuration(format!("{} comes after {}", names[from].0, names[until].0)));
    }
    let mut number = 0;
    let mut chosen = Vec::new();
    for mut job in jobs {
        job.plan.steps.retain(|_| {
            number += 1;
            (from..=until).contains(&(number - 1))
        });
        if !job.plan.steps.is_empty() {
            chosen.push(job);
        }
    }
    Ok(chosen)
}

fn init(registry: &Registry, global: &Global, force: bool) -> Result<(), Error> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from("websessions.toml"));
    if path.exists() && !force {
        return Err(Error::Configuration {
            message: format!("{} exists", path.display()),
            hint: Some("--force overwrites it".to_owned()),
        });
    }
    std::fs::write(&path, starter(registry))
        .map_err(|source| Error::File { path: path.display().to_string(), source })?;
    match global.output {
        OutputFormat::Json => output::json(&json!({ "written": path })),
        OutputFormat::Text => output::data(&format!("wrote {}\n", path.display())),
    }
    Ok(())
}

fn backends(registry: &Registry, global: &Global) {
    if global.output == OutputFormat::Json {
        let backends: Vec<_> = registry
            .all()
            .iter()
            .map(|backend| {
                let settings: Vec<_> = backend
                    .settings()
                    .iter()
                    .map(|setting| json!({ "name": setting.name, "meaning": setting.meaning, "default": setting.default, "required": setting.required, "secret": setting.secret }))
                    .collect();
                json!({ "name": backend.name(), "about": backend.about(), "abilities": backend.abilities(), "settings": settings })
            })
            .collect();
        return output::json(&backends);
    }
    for backend in registry.all() {
        output::data(&format!("{}: {}\n", backend.name(), backend.about()));
        if !backend.abilities().is_empty() {
            output::data(&format!("beyond the model: {}\n", backend.abilities().join(", ")));
        }
        let rows = backend.settings().iter().map(|setting| {
            let default = match (setting.required, setting.default) {
                (true, _) => "(required)".to_owned(),
                (false, default) => default.unwrap_or_default().to_owned(),
            };
            [setting.name.to_owned(), default, setting.meaning.to_owned()]
        });
        output::data(&output::table(["setting", "default", "meaning"], rows));
    }
}

/// A command with its configuration.
struct Session<'a> {
    global: &'a Global,
    configuration: Configuration<'a>,
    sql_root: Option<&'a Path>,
}

impl Session<'_> {
    fn variables(&self) -> &Variables {
        &self.configuration.variables
    }

    async fn connect(&self) -> Result<Arc<dyn Warehouse>, Error> {
        self.configuration.backend.connect(&self.configuration.settings()?).await
    }

    fn job(&self, phase: Phase, dialect: &dyn Dialect) -> Job {
        Job { plan: model::plan(phase, self.variables(), dialect), phase: Some(phase) }
    }

    /// What the playbooks say; without any main, the custom modules, complete.
    fn jobs(&self, dialect: &dyn Dialect) -> Result<Vec<Job>, Error> {
        if !self.configuration.playbooks.is_empty() {
            return self.jobs_of_playbooks(dialect);
        }
        let mut jobs = vec![self.job(Phase::Main, dialect)];
        let values = self.variables().to_values();
        for module in &self.configuration.custom {
            jobs.push(Job { plan: module.plan(&values, dialect.name())?, phase: None });
        }
        jobs.push(self.job(Phase::Complete, dialect));
        Ok(jobs)
    }

    fn jobs_of_playbooks(&self, dialect: &dyn Dialect) -> Result<Vec<Job>, Error> {
        let mut jobs = Vec::new();
        let playbooks = &self.configuration.playbooks;
        let stray = playbooks.iter().find_map(|playbook| Some((playbook, playbook.differs_from(playbooks.first()?)?)));
        if let Some((playbook, problem)) = stray {
            return Err(Error::Configuration {
                message: format!("{}: {problem}", playbook.path.display()),
                hint: Some("the playbooks of one run are about the same tables".to_owned()),
            });
        }
        for playbook in playbooks {
            for part in playbook.parts()? {
                jobs.push(match part {
                    Part::Phase(phase) => {
                        let variables = self.configuration.variables_of(playbook)?;
                        Job { plan: model::plan(phase, &variables, dialect), phase: Some(phase) }
                    }
                    Part::Custom(steps) => {
                        Job { plan: playbook.plan(&steps, self.sql_root, dialect.name())?, phase: None }
                    }
                });
            }
        }
        Ok(jobs)
    }

    async fn resume(&self) -> Result<(), Failed> {
        let jobs = self.jobs(&*self.configuration.backend.dialect())?;
        self.execute(&[], &jobs, true).await
    }

    /// What is wrong, as far as that shows without a connection.
    fn lint(&self) -> Result<(), Error> {
        let dialect = self.configuration.backend.name();
        let mut findings = websessions_playbook::lint(&self.configuration.playbooks, self.sql_root, dialect);
        if self.configuration.playbooks.is_empty() {
            let mut values = self.variables().to_values();
            for module in &self.configuration.custom {
                values.extend(module.variables.clone());
                findings.extend(
                    module.files.iter().flat_map(|file| websessions_playbook::lint_file(file, &values, dialect)),
                );
            }
        }
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        match self.global.output {
            OutputFormat::Json => output::json(&findings),
            OutputFormat::Text => {
                for finding in &findings {
                    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
                    let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
                    output::data(&format!("{}{line}: {severity}: {}\n", finding.file, finding.message));
                }
                output::data(&format!("{errors} errors, {} warnings\n", findings.len() - errors));
            }
        }
        if errors == 0 {
            return Ok(());
        }
        Err(Error::Check { message: format!("{errors} errors"), hint: "mend what is listed as an error".to_owned() })
    }

    async fn run(&self, page_views: &[PathBuf], selection: &Selection) -> Result<(), Failed> {
        let jobs = selected(self.jobs(&*self.configuration.backend.dialect())?, selection)?;
        for file in page_views {
            std::fs::File::open(file).map_err(|source| Error::File { path: file.display().to_string(), source })?;
        }
        self.execute(page_views, &jobs, false).await
    }

    async fn phase(&self, phase: Phase) -> Result<(), Failed> {
        let job = self.job(phase, &*self.configuration.backend.dialect());
        self.execute(&[], &[job], false).await
    }

    async fn execute(&self, page_views: &[PathBuf], jobs: &[Job], resume: bool) -> Result<(), Failed> {
        let warehouse = self.connect().await?;
        let listener = progress::listener(self.global);
        let cancellation = CancellationToken::new();
        let watch = tokio::spawn(cancel_on_interrupt(cancellation.clone()));
        let runner = Runner {
            warehouse: &*warehouse,
            variables: self.variables(),
            listener: &*listener,
            cancellation,
            options: Options::new(&gethostname::gethostname().to_string_lossy()),
        };
        let files: Vec<&Path> = page_views.iter().map(PathBuf::as_path).collect();
        let result = if resume { runner.resume(jobs).await } else { runner.run(&files, jobs).await };
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
        if let Some(summary) = report.findings.get(&Finding::Summary) {
            let place = if self.variables().skip_derived {
                format!("{} was left alone: skip_derived", table_name(&SESSIONS, self.variables()))
            } else {
                table_name(&SESSIONS, self.variables()).to_string()
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
        let dropped = report.findings.get(&Finding::DroppedSessions).and_then(dropped_sessions);
        let multiplied = report.findings.get(&Finding::MultipliedSessions).and_then(multiplied_sessions);
        for note in dropped.into_iter().chain(multiplied) {
            text.push_str(&format!("note: {note}\n"));
        }
        if let Some(left) = report.findings.get(&Finding::InputLeft) {
            let count = left.get(0, "page_views").as_integer();
            if count > 0 {
                text.push_str(&format!(
                    "note: {count} page views of {} sessions stay in {} for the next run\n",
                    left.get(0, "sessions"),
                    table_name(&PAGE_VIEWS_STAGED, self.variables())
                ));
            }
        }
        for plan in &report.plans {
            text.push_str(&format!("{}: done in {:.2} s\n", plan.plan, plan.seconds));
        }
        text
    }

    async fn load(&self, files: &[PathBuf]) -> Result<(), Error> {
        for file in files {
            std::fs::File::open(file).map_err(|source| Error::File { path: file.display().to_string(), source })?;
        }
        let warehouse = self.connect().await?;
        preflight::check_tables(&*warehouse, self.variables()).await?;
        let table = table_name(&PAGE_VIEWS_STAGED, self.variables());
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let loaded = warehouse
            .load(&paths, &table)
            .await
            .map_err(|source| Error::Warehouse { context: "can't load the page views".into(), source })?;
        match self.global.output {
            OutputFormat::Json => output::json(&loaded),
            OutputFormat::Text => {
                for file in &loaded {
                    output::data(&loaded_in_words(file));
                }
                output::data(&format!("staged in {table}, {}\n", warehouse.location()));
            }
        }
        Ok(())
    }

    async fn export(&self, name: &str, file: &Path) -> Result<(), Error> {
        let table = self.table(name)?;
        let warehouse = self.connect().await?;
        let rows = warehouse
            .export(&table, file)
            .await
            .map_err(|source| Error::Warehouse { context: format!("can't export {table}"), source })?;
        match self.global.output {
            OutputFormat::Json => output::json(&json!({ "table": table.to_string(), "file": file, "rows": rows })),
            OutputFormat::Text => output::data(&format!("{table}: {rows} rows to {}\n", file.display())),
        }
        Ok(())
    }

    /// A table of the model by its own name, with or without entropy and schema; any other as SCHEMA.TABLE.
    fn table(&self, given: &str) -> Result<TableName, Error> {
        let variables = self.variables();
        let entropy = variables.entropy.as_str();
        let (schema, name) = given.rsplit_once('.').map_or((None, given), |(schema, name)| (Some(schema), name));
        let model_table =
            table(name).or_else(|| name.strip_suffix(entropy).filter(|_| !entropy.is_empty()).and_then(table));
        let named = |text: &str| Identifier::new(text).map_err(Error::configuration);
        match (model_table, schema) {
            (Some(table), None) => Ok(table_name(table, variables)),
            (Some(table), Some(schema)) if *table_name(table, variables).schema.as_str() == *schema => {
                Ok(table_name(table, variables))
            }
            (_, Some(schema)) => Ok(TableName { schema: named(schema)?, name: named(name)?.to_string() }),
            (None, None) => {
                let known: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
                Err(Error::Configuration {
                    message: unknown("table", name, known.iter().copied()),
                    hint: Some("a table of your own is named as SCHEMA.TABLE".to_owned()),
                })
            }
        }
    }

    fn plan(
        &self,
        registry: &Registry,
        phase: PlanPhase,
        selection: &Selection,
        dialect: Option<&str>,
        split: Option<&Path>,
    ) -> Result<(), Error> {
        let dialect = match dialect {
            Some(name) => registry.get(name)?.dialect(),
            None => self.configuration.backend.dialect(),
        };
        let plans = self.plans(phase, selection, &*dialect)?;
        if let Some(directory) = split {
            let written = write_steps(&plans, &*dialect, directory)?;
            match self.global.output {
                OutputFormat::Json => output::json(&written),
                OutputFormat::Text => output::data(&format!("{}\n", written.join("\n"))),
            }
            return Ok(());
        }
        match self.global.output {
            OutputFormat::Json => {
                let plans: Vec<_> =
                    plans.iter().map(|plan| json!({ "plan": plan, "fingerprint": plan.fingerprint() })).collect();
                output::json(&plans);
            }
            OutputFormat::Text => {
                let texts: Vec<String> = plans.iter().map(|plan| plan.to_sql(&*dialect)).collect();
                output::data(&texts.join("\n"));
            }
        }
        Ok(())
    }

    fn plans(&self, phase: PlanPhase, selection: &Selection, dialect: &dyn Dialect) -> Result<Vec<Plan>, Error> {
        let jobs = match phase {
            PlanPhase::Run => self.jobs(dialect)?,
            // A phase of the playbooks, with the variables that it has there.
            PlanPhase::Main | PlanPhase::Complete if !self.configuration.playbooks.is_empty() => {
                let wanted = if phase == PlanPhase::Main { Phase::Main } else { Phase::Complete };
                self.jobs_of_playbooks(dialect)?.into_iter().filter(|job| job.phase == Some(wanted)).collect()
            }
            PlanPhase::Main => vec![self.job(Phase::Main, dialect)],
            PlanPhase::Complete => vec![self.job(Phase::Complete, dialect)],
            PlanPhase::Destroy => vec![self.job(Phase::Destroy, dialect)],
        };
        Ok(selected(jobs, selection)?.into_iter().map(|job| job.plan).collect())
    }

    /// What each statement would read and cost, as the warehouse says without running it.
    async fn estimate(&self, phase: PlanPhase, selection: &Selection) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let mut estimates = Vec::new();
        for plan in self.plans(phase, selection, warehouse.dialect())? {
            for (step, unit) in plan.units() {
                for statement in unit.statements() {
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
            output::json(&estimates);
            return Ok(());
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
        output::data(&output::table(["step", "statement", "reads", "US$"], rows));
        if estimates.iter().any(|(_, _, estimate)| estimate.is_none()) {
            output::data(
                "unknown: it reads what an earlier statement makes, so it can't be estimated before that ran\n",
            );
        }
        Ok(())
    }

    fn show(&self) {
        if self.global.output == OutputFormat::Json {
            return output::json(&self.configuration.shown);
        }
        let rows = self
            .configuration
            .shown
            .iter()
            .map(|shown| [shown.name.clone(), shown.value.clone(), shown.origin.clone()]);
        output::data(&output::table(["name", "value", "origin"], rows));
    }

    async fn unlock(&self, yes: bool) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let failed = |source| Error::Warehouse { context: "can't look at the lock".into(), source };
        let holder = lock::holder(&*warehouse, self.variables()).await.map_err(failed)?.map(|holder| holder.in_words);
        let cleared = match &holder {
            None => false,
            Some(holder) => {
                output::talk(&format!("the lock is held by {holder}"));
                confirm("Clear it? A run that is still alive will stop before its next write.", yes)?;
                lock::clear(&*warehouse, self.variables()).await.map_err(failed)?;
                true
            }
        };
        match self.global.output {
            OutputFormat::Json => output::json(&json!({ "holder": holder, "cleared": cleared })),
            OutputFormat::Text if cleared => output::data("cleared\n"),
            OutputFormat::Text => output::data("nobody holds the lock\n"),
        }
        Ok(())
    }

    async fn destroy(&self, yes: bool) -> Result<(), Failed> {
        let dialect = self.configuration.backend.dialect();
        let job = self.job(Phase::Destroy, &*dialect);
        let warehouse = self.connect().await?;
        output::talk(&format!("destroy in {}:", warehouse.location()));
        for (_, unit) in job.plan.units() {
            output::talk(&format!("  {}", unit.purpose()));
        }
        for table in [&SESSIONS, &SESSIONS_USERID_MANIFEST_STAGED] {
            let name = table_name(table, self.variables());
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

    async fn doctor(&self) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let variables = self.variables();
        let mut checks = vec![Check::ok("connection", warehouse.location())];
        let failed = |source| Error::Warehouse { context: "can't read the tables' columns".into(), source };
        let reported = preflight::reported_columns(&*warehouse, variables).await.map_err(failed)?;
        for table in TABLES {
            let name = table_name(table, variables).to_string();
            let Some(columns) = reported.get(table.name) else { continue };
            let differences = preflight::differences(&*warehouse, table, columns);
            checks.push(match differences.as_slice() {
                [] => Check::ok(&name, "has the model's columns"),
                differences => Check::problem(&name, differences.join("; ")),
            });
        }
        if !reported.contains_key(PAGE_VIEWS_STAGED.name) {
            let name = table_name(&PAGE_VIEWS_STAGED, variables).to_string();
            checks.push(Check::problem(&name, "is missing: run the page views module, or 'websessions load'"));
        }
        let dialect = warehouse.dialect();
        for schema in [&variables.scratch_schema, &variables.output_schema] {
            let found = warehouse
                .query(&format!(
                    "SELECT COUNT(*) AS found FROM {} WHERE schema_name = {}",
                    dialect.information_schema(schema, "schemata"),
                    dialect.text(&dialect.catalog_name(schema.as_str()))
                ))
                .await
                .map_err(failed)?;
            if found.get(0, "found").as_integer() == 0 {
                checks.push(Check::ok(&format!("schema {schema}"), "is missing; main makes it"));
                continue;
            }
            let probe =
                TableName { schema: schema.clone(), name: format!("sessions_doctor{}", variables.entropy.as_str()) };
            let mut statements = vec![dialect.drop_table(&probe)];
            statements.push(Statement::new(
                "probe",
                format!(
                    "CREATE TABLE {} (probe {})",
                    dialect.table(&probe),
                    dialect.column_type(model::tables::ColumnType::Integer)
                ),
            ));
            statements.push(dialect.drop_table(&probe));
            let mut result = Ok(());
            for statement in &statements {
                if let Err(error) = warehouse.execute(statement).await {
                    result = Err(error);
                    break;
                }
            }
            checks.push(match result {
                Ok(()) => Check::ok(&format!("schema {schema}"), "tables can be made and dropped"),
                Err(error) => Check::problem(&format!("schema {schema}"), error.to_string()),
            });
        }
        let holder = lock::holder(&*warehouse, variables).await.map_err(failed)?;
        checks.push(Check::ok(
            "lock",
            holder.map_or_else(|| "nobody holds it".to_owned(), |holder| format!("held by {}", holder.in_words)),
        ));
        let problems = checks.iter().filter(|check| !check.ok).count();
        match self.global.output {
            OutputFormat::Json => output::json(&checks),
            OutputFormat::Text => {
                let mark = |ok: bool| if ok { "ok" } else { "PROBLEM" }.to_owned();
                let rows = checks.into_iter().map(|check| [mark(check.ok), check.subject, check.found]);
                output::data(&output::table(["", "what", "found"], rows));
            }
        }
        if problems == 0 {
            return Ok(());
        }
        Err(Error::Check {
            message: format!("{problems} checks failed"),
            hint: "mend what the table lists as PROBLEM".to_owned(),
        })
    }
}

#[derive(serde::Serialize)]
struct Check {
    ok: bool,
    subject: String,
    found: String,
}

impl Check {
    fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self { ok: true, subject: subject.to_owned(), found: found.into() }
    }

    fn problem(subject: &str, found: impl Into<String>) -> Self {
        Self { ok: false, subject: subject.to_owned(), found: found.into() }
    }
}

fn loaded_in_words(loaded: &Loaded) -> String {
    let mut text = format!("{}: {} page views", loaded.file, loaded.rows);
    if !loaded.missing_columns.is_empty() {
        text.push_str(&format!("; {} columns are not in the file and are NULL", loaded.missing_columns.len()));
    }
    if !loaded.ignored_columns.is_empty() {
        text.push_str(&format!("; left out, not the model's: {}", loaded.ignored_columns.join(", ")));
    }
    text.push('\n');
    text
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

fn confirm(question: &str, yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Configuration {
            message: "this needs a confirmation, and there is no terminal to ask on".to_owned(),
            hint: Some("--yes confirms".to_owned()),
        });
    }
    output::talk(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Error::Cancelled { next: "anything was changed".to_owned() })
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

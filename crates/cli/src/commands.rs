//! One function a command; the larger ones in files of their own.

mod doctor;
mod import;
mod jobs;
mod plan;
mod run;
mod tables;

use crate::arguments::{Arguments, Command, ConfigCommand, Global, OutputFormat, PlanPhase, Playbooks};
use crate::configuration::{Configuration, assignments, starter};
use crate::output;
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use websessions_core::backend::Registry;
use websessions_core::error::Error;
use websessions_core::lock;
use websessions_core::plan::Phase;
use websessions_core::run::Report;
use websessions_core::run::RunError;
use websessions_core::variables::Variables;
use websessions_core::warehouse::Warehouse;
use websessions_playbook::Severity;

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
    fn from(RunError { error, report, .. }: RunError) -> Self {
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
    let playbooks = jobs::read_playbooks(given, destroys, &assignments(global)?)?;
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

    /// What is wrong, as far as that shows without a connection.
    fn lint(&self) -> Result<(), Error> {
        let dialect = self.configuration.backend.name();
        let mut findings = websessions_playbook::lint(&self.configuration.playbooks, self.sql_root, dialect);
        if self.configuration.playbooks.is_empty() {
            for module in &self.configuration.custom {
                let mut values = self.variables().to_values();
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

//! One function a command; the larger ones in files of their own.

mod check;
mod compare;
mod doctor;
mod explain;
mod export;
mod files;
mod history;
mod import;
mod jobs;
mod lint;
mod migrate;
mod page_views;
mod plan;
mod preview;
mod report;
mod run;
mod show;
mod status;
mod tables;
mod unlock;
mod waiting;

use crate::arguments::{Arguments, Command, ConfigCommand, Global, OutputFormat, PlanPhase, Playbooks};
use crate::configuration::{self, Configuration, FILE_NAME, assignments, starter};
use crate::destination::{self, Destination};
use crate::interruption::{self, interrupted};
use crate::{hints, output};
use clap::CommandFactory;
use files::files;
use plan::Planned;
use serde_json::json;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use websessions_core::backend::Registry;
use websessions_core::dialect::Dialect;
use websessions_core::error::Error;
use websessions_core::insight::{Insight, Runs};
use websessions_core::model;
use websessions_core::plan::Phase;
use websessions_core::run::Report;
use websessions_core::run::RunError;
use websessions_core::variables::Variables;
use websessions_core::warehouse::Warehouse;
use websessions_playbook::Purpose;

/// Does what the command line says; gives the exit code.
pub(crate) async fn dispatch(registry: &Registry, arguments: &Arguments) -> u8 {
    let global = &arguments.global;
    let done = match command(registry, global, &arguments.command).await {
        Ok(()) => output::finish().map_err(Failed::from),
        failed => failed,
    };
    match done {
        Ok(()) => 0,
        Err(Failed { error, report, hint }) => {
            output::error(&error, report.as_deref(), hint.or_else(|| hints::hint(&error, report.as_deref())));
            error.exit_code()
        }
    }
}

/// Why a command ended, what it had done by then, and what to do if that is particular.
struct Failed {
    error: Error,
    report: Option<Box<Report>>,
    hint: Option<String>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, report: None, hint: None }
    }
}

impl From<RunError> for Failed {
    fn from(RunError { error, report, .. }: RunError) -> Self {
        Self { error, report: Some(report), hint: None }
    }
}

/// A look at the tables: an error says also whether these are not as the model needs them.
async fn look<'a>(
    invocation: Invocation<'a>,
    look: impl AsyncFnOnce(&Invocation<'a>) -> Result<(), Error>,
) -> Result<(), Failed> {
    let looked = look(&invocation).await;
    invocation.looked(looked).await
}

async fn command(registry: &Registry, global: &Global, command: &Command) -> Result<(), Failed> {
    let none = &Playbooks::default();
    if global.target.len() > 1 && !(global.target.len() == 2 && matches!(command, Command::Compare { .. })) {
        let message = "a command is about one target; 'compare' about two".to_owned();
        return Err(Error::Configuration { message, hint: Some("give --target once".to_owned()) }.into());
    }
    // A command with its configuration, after the configuration's warnings.
    let invoke = |playbooks, purpose| Invocation::read(registry, global, playbooks, purpose).map(Invocation::warned);
    match command {
        Command::Run(run) => invoke(&run.playbooks, Purpose::Run)?.making().run(run, false).await,
        Command::Resume(run) => invoke(&run.playbooks, Purpose::Run)?.run(run, true).await,
        Command::Rebuild { days, waiting } => invoke(none, Purpose::Run)?.rebuild(days, *waiting).await,
        Command::Unstage { yes, waiting } => invoke(none, Purpose::Run)?.unstage(*yes, *waiting).await,
        Command::Migrate { module, yes, waiting } => {
            invoke(none, Purpose::Run)?.migrate(module.as_deref(), *yes, *waiting).await
        }
        Command::Main { module, waiting } => {
            invoke(none, Purpose::Run)?.making().phase(module, Phase::Main, *waiting).await
        }
        Command::Complete { module, waiting } => {
            invoke(none, Purpose::Run)?.phase(module, Phase::Complete, *waiting).await
        }
        Command::Destroy { module, yes, playbooks, waiting } => {
            invoke(playbooks, Purpose::Destroy)?.destroy(module, *yes, *waiting).await
        }
        Command::Load { files: named, staged, reading, waiting } => {
            let (mut invocation, files) = (invoke(none, Purpose::Run)?.making(), files(named, reading)?);
            if *staged {
                invocation.load_staged(&files, *waiting).await
            } else {
                invocation.load(&files, *waiting).await
            }
        }
        Command::Export { table, to } => {
            look(invoke(none, Purpose::Run)?, async |looking| looking.export(table, to).await).await
        }
        Command::Report { html, days, checks } => {
            look(invoke(none, Purpose::Run)?, async |looking| looking.report(html, *days, *checks).await).await
        }
        Command::Status => look(invoke(none, Purpose::Run)?, async |looking| looking.status().await).await,
        Command::History { module, since, limit } => {
            let module = module.as_deref().map(jobs::module).transpose()?.map(|module| module.name.to_owned());
            let runs = Runs { module, since: since.clone(), limit: *limit };
            look(invoke(none, Purpose::Run)?, async |looking| looking.history(&runs).await).await
        }
        Command::Show { table, condition, columns, limit } => {
            look(invoke(none, Purpose::Run)?, async |looking| {
                looking.look(table, condition.as_deref(), columns, *limit).await
            })
            .await
        }
        Command::Check { names, file, since, samples, junit } => {
            let (names, files) = (names.clone(), file.clone());
            let asked = check::Asked { names, files, since: since.clone(), samples: *samples };
            look(invoke(none, Purpose::Run)?, async |looking| looking.check(&asked, junit.as_deref()).await).await
        }
        Command::Explain { session } => {
            look(invoke(none, Purpose::Run)?, async |looking| looking.explain(session).await).await
        }
        Command::Preview { page_views, .. } if !page_views.is_empty() => Err(preview::of_files(page_views).into()),
        Command::Preview { samples, fail_over, .. } => {
            look(invoke(none, Purpose::Run)?, async |looking| looking.preview(*samples, *fail_over).await).await
        }
        Command::Compare { tables, key, samples } => {
            Ok(compare::compare(registry, global, &compare::Compared { tables, key, samples: *samples }).await?)
        }
        Command::Plan { phase, module, page_views, reading, days, dialect, split, estimate, playbooks, selection } => {
            let purpose = if *phase == PlanPhase::Destroy { Purpose::Destroy } else { Purpose::Run };
            let (mut invocation, page_views) = (invoke(playbooks, purpose)?, files(page_views, reading)?);
            let what = Planned { phase: *phase, module: module.as_deref(), page_views: &page_views, days, selection };
            if *estimate {
                return invocation.estimate(&what).await;
            }
            if *phase == PlanPhase::Migrate {
                return Ok(invocation.plan_migration(what.module, dialect.as_deref(), split.as_deref()).await?);
            }
            Ok(invocation.plan(registry, &what, dialect.as_deref(), split.as_deref())?)
        }
        // What is odd in a playbook is a finding here.
        Command::Lint { playbooks } => Ok(Invocation::read(registry, global, playbooks, Purpose::Look)?.lint()?),
        Command::Import { directory, sqlroot, force } => {
            Ok(import::import(global, directory, sqlroot.as_deref(), *force)?)
        }
        Command::Config { command: ConfigCommand::Show } => Ok(invoke(none, Purpose::Run)?.show()?),
        Command::Init { force } => Ok(init(registry, global, *force)?),
        Command::Trust => Ok(trust(global)?),
        Command::Columns { table } => Ok(invoke(none, Purpose::Run)?.columns(table.as_deref())?),
        Command::Backends => Ok(backends(registry, global)?),
        Command::Unlock { yes } => Ok(invoke(none, Purpose::Run)?.unlock(*yes).await?),
        Command::Doctor => Ok(invoke(none, Purpose::Run)?.doctor().await?),
        Command::Completions { shell } => Ok(completions(global, *shell)?),
    }
}

fn init(registry: &Registry, global: &Global, force: bool) -> Result<(), Error> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    if path.exists() && !force {
        return Err(Error::Configuration {
            message: format!("{} exists", path.display()),
            hint: Some("--force overwrites it".to_owned()),
        });
    }
    configuration::write(&path, &starter(registry))?;
    match global.output {
        OutputFormat::Json => output::json(&json!({ "written": path })),
        OutputFormat::Text => output::data(&format!("wrote {}\n", path.display())),
    }
}

fn trust(global: &Global) -> Result<(), Error> {
    let (path, wants) = configuration::trust(global)?;
    if global.output == OutputFormat::Json {
        return output::json(&json!({ "trusted": path, "with": wants }));
    }
    output::data(&format!("{} is trusted as it is now, with:\n", path.display()))?;
    if wants.is_empty() {
        return output::data("  secrets of the environment's WEBSESSIONS_TARGET_… variables\n");
    }
    output::data(&wants.iter().map(|want| format!("  {want}\n")).collect::<String>())
}

fn completions(global: &Global, shell: clap_complete::Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "websessions", &mut script);
    let script = String::from_utf8_lossy(&script);
    match global.output {
        OutputFormat::Json => output::json(&json!({ "shell": shell.to_string(), "script": script })),
        OutputFormat::Text => output::data(&script),
    }
}

fn backends(registry: &Registry, global: &Global) -> Result<(), Error> {
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
        output::data(&format!("{}: {}\n", backend.name(), backend.about()))?;
        if !backend.abilities().is_empty() {
            output::data(&format!("beyond the model: {}\n", backend.abilities().join(", ")))?;
        }
        let rows = backend.settings().iter().map(|setting| {
            let default = match (setting.required, setting.default) {
                (true, _) => "(required)".to_owned(),
                (false, default) => default.unwrap_or_default().to_owned(),
            };
            [setting.name.to_owned(), default, setting.meaning.to_owned()]
        });
        output::data(&output::table(["setting", "default", "meaning"], rows))?;
    }
    Ok(())
}

/// A command with its configuration.
struct Invocation<'a> {
    global: &'a Global,
    configuration: Configuration<'a>,
    sql_root: Option<&'a Path>,
    /// Whether it makes the database that it is about, where a connection can and it is not there.
    makes: bool,
}

impl<'a> Invocation<'a> {
    fn read(
        registry: &'a Registry,
        global: &'a Global,
        playbooks: &'a Playbooks,
        purpose: Purpose,
    ) -> Result<Self, Error> {
        let read = jobs::read_playbooks(playbooks, purpose, &assignments(global)?)?;
        let configuration = Configuration::read(global, registry, read)?;
        Ok(Self { global, configuration, sql_root: playbooks.sqlroot.as_deref(), makes: false })
    }

    /// As a command that makes what is not there.
    fn making(self) -> Self {
        Self { makes: true, ..self }
    }

    fn warned(self) -> Self {
        for warning in &self.configuration.warnings {
            output::warn(warning);
        }
        self
    }

    fn variables(&self) -> &Variables {
        &self.configuration.variables
    }

    /// Looks at the model's tables.
    fn insight(&self, dialect: &Arc<dyn Dialect>) -> Insight<'_> {
        Insight::new(&model::modules(), self.variables(), dialect)
    }

    /// Where a command writes what a user asked for: a file that is there is replaced, unless it is one that the command reads, or
    /// the warehouse itself.
    fn destination(&self, to: &Path, read: &[PathBuf]) -> Result<Destination, Error> {
        let destination = Destination::find(to)?;
        if matches!(destination, Destination::File(_)) {
            self.refuse_own(to, read)?;
        }
        // What is to be taken at last can be made. Ctrl-C is heard before there is anything to take away.
        interruption::hear();
        destination.workshop()?;
        Ok(destination)
    }

    /// Refuses to write into what the command reads, or into the warehouse itself.
    fn refuse_own(&self, to: &Path, read: &[PathBuf]) -> Result<(), Error> {
        let named = destination::real(to);
        let mut files = self.configuration.files();
        files.extend(read.iter().map(|path| (path.clone(), "a file that is read")));
        match files.iter().find(|(path, _)| destination::real(path) == named) {
            Some((_, what)) => Err(Error::Configuration {
                message: format!("{} is {what}: nothing else is written there", to.display()),
                hint: Some("nothing was done; name another file".to_owned()),
            }),
            None => Ok(()),
        }
    }

    async fn connect(&self) -> Result<Arc<dyn Warehouse>, Error> {
        self.connect_if_there().await?.map_err(|absent| Error::Configuration {
            message: format!("{absent} is not there"),
            hint: Some(format!(
                "nothing was made; check --database, or the target's settings ({}): 'run', 'load' and 'main' make a new one",
                output::pasteable("config show")
            )),
        })
    }

    /// A connection, unless the user wants to stop; `before` says of what nothing is known then.
    async fn connect_unless_stopped(&self, before: &str) -> Result<Arc<dyn Warehouse>, Error> {
        tokio::select! {
            biased;
            () = interrupted() => Err(Error::Cancelled { next: before.to_owned() }),
            connected = self.connect() => connected,
        }
    }

    /// A connection, unless it would make what is not there, in words.
    async fn connect_if_there(&self) -> Result<Result<Arc<dyn Warehouse>, String>, Error> {
        let (backend, settings) = (self.configuration.backend, self.configuration.settings()?);
        match backend.absent(&settings) {
            Some(absent) if !self.makes => return Ok(Err(absent)),
            Some(absent) => output::talk(&format!("{absent} is new")),
            None => {}
        }
        backend.connect(&settings).await.map(Ok).map_err(|error| self.configuration.of_target(error))
    }

    fn show(&self) -> Result<(), Error> {
        if self.global.output == OutputFormat::Json {
            return output::json(&self.configuration.shown);
        }
        let rows = self
            .configuration
            .shown
            .iter()
            .map(|shown| [shown.name.clone(), shown.value.clone(), shown.origin.clone()]);
        output::data(&output::table(["name", "value", "origin"], rows))
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
    output::ask(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(Error::Declined) }
}

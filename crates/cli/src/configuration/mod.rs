//! Where values come from: flags before the environment before a playbook before the file before defaults; each value
//! keeps its origin.

mod check;
mod file;
mod layers;
mod starter;
mod target;
mod trust;

pub(crate) use check::Checking;
pub(crate) use file::{FILE_NAME, Modules, spelled, write};
pub(crate) use layers::assignments;
pub(crate) use starter::starter;

use crate::arguments::Global;
use crate::lineage;
use file::File;
use layers::Layers;
use serde::Serialize;
use std::path::PathBuf;
use target::ChosenTarget;
use websessions_core::backend::{BackendFactory, Registry, Settings};
use websessions_core::error::Error;
use websessions_core::model::{Module, users};
use websessions_core::variables::Variables;
use websessions_core::{model, preflight};
use websessions_playbook::{CustomModule, Playbook};

/// One value, as `config show` shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) origin: String,
}

/// Everything that flags, environment, playbooks and file say.
pub(crate) struct Configuration<'a> {
    pub(crate) variables: Variables,
    pub(crate) warnings: Vec<String>,
    pub(crate) custom: Vec<CustomModule>,
    pub(crate) modules: Modules,
    pub(crate) check: Checking,
    pub(crate) playbooks: Vec<Playbook>,
    pub(crate) backend: &'a dyn BackendFactory,
    pub(crate) shown: Vec<Shown>,
    target: ChosenTarget<'a>,
    file: File,
    layers: Layers,
}

impl<'a> Configuration<'a> {
    pub(crate) fn read(global: &Global, registry: &'a Registry, playbooks: Vec<Playbook>) -> Result<Self, Error> {
        let file = File::read(global.config.as_deref())?;
        let mut warnings = Vec::new();
        let layers = Layers::read(global, &file, !playbooks.is_empty(), &mut warnings)?;
        // The first one that runs a phase says where the run's tables are; all must agree.
        let placing = playbooks.iter().find(|playbook| !playbook.phases().is_empty()).or(playbooks.first());
        let (variables, more_warnings) = layers.variables(placing)?;
        preflight::check_names(&model::modules(), &variables)?;
        let placing_warnings = more_warnings.clone();
        warnings.extend(more_warnings);
        for playbook in &playbooks {
            let odd = playbook.warnings.iter().cloned().chain(playbook.model_variables().1);
            warnings.extend(odd.map(|warning| format!("{}: {warning}", playbook.path.display())));
            // What is wrong with its phases' variables stops the run where they are planned.
            if !playbook.phases().is_empty()
                && let Ok((_, odd)) = layers.variables(Some(playbook))
            {
                let new = odd.into_iter().filter(|warning| !placing_warnings.contains(warning));
                warnings.extend(new.map(|warning| format!("{}: {warning}", playbook.path.display())));
            }
        }
        let target = target::choose(global, &file, &playbooks, registry, &mut warnings)?;
        let custom = file.custom_modules()?;
        let check = Checking::read(&file)?;
        let path = file.path.display().to_string();
        if !custom.is_empty() && !playbooks.is_empty() {
            warnings.push(format!("the [[custom]] modules of {path} are left out: playbooks are run"));
        }
        let modules = file.modules.clone().unwrap_or_default();
        let mut shown = layers.show(placing, &variables);
        let origin = if file.modules.is_some() { path.clone() } else { "default".to_owned() };
        shown.push(Shown { name: "modules".to_owned(), value: modules.to_string(), origin });
        shown.extend(target.show());
        for (name, value) in file.lineage()? {
            let value = value.shown(name == "api_key");
            shown.push(Shown { name: format!("lineage.{name}"), value, origin: path.clone() });
        }
        shown.extend(custom.iter().map(|module| {
            let files: Vec<String> = module.files.iter().map(|file| file.display().to_string()).collect();
            Shown { name: format!("custom.{}", module.name), value: files.join(", "), origin: path.clone() }
        }));
        shown.extend(variables.columns.iter().map(|column| Shown {
            name: format!("column.{}", column.name()),
            value: column.to_string(),
            origin: path.clone(),
        }));
        shown.extend(check.show(&path));
        crate::output::about(target.describe());
        Ok(Self {
            variables,
            warnings,
            custom,
            modules,
            check,
            playbooks,
            backend: target.backend,
            shown,
            target,
            file,
            layers,
        })
    }

    /// The variables of a module's phase, as a playbook has them.
    pub(crate) fn variables_of(&self, playbook: &Playbook, module: &Module) -> Result<Variables, Error> {
        let (mut variables, _) = self.layers.variables(Some(playbook))?;
        preflight::check_names(&model::modules(), &variables)?;
        variables.ends_run = self.ends_run(&variables, Some(playbook), module);
        Ok(variables)
    }

    /// Whether a module's complete ends the run: where nothing says so, the module does.
    pub(crate) fn ends_run(&self, variables: &Variables, playbook: Option<&Playbook>, module: &Module) -> bool {
        if self.layers.set("ends_run", playbook) { variables.ends_run } else { module.ends_run }
    }

    /// Whether users follows: among the modules, or in the playbooks.
    pub(crate) fn has_users(&self) -> bool {
        self.modules.has_users() || self.playbooks.iter().any(|playbook| playbook.has_module(&users::module()))
    }

    /// Where the run's lineage goes, if it goes anywhere: where a flag says, else where the file does.
    pub(crate) fn lineage(&self, flag: Option<&str>) -> Result<Option<lineage::Settings>, Error> {
        let settings = self.file.lineage()?;
        let read =
            |name: &str| settings.get(name).map(|value| value.read(&format!("the lineage's {name}"))).transpose();
        for (name, value) in &settings {
            if let Some(wants) = value.wants() {
                self.file.check_trusted(&format!("[lineage] {name}: {wants}"))?;
            }
        }
        let of_file = read("to")?.filter(|_| flag.is_none());
        let Some(to) = flag.map(str::to_owned).or_else(|| of_file.clone()) else { return Ok(None) };
        let mut sink = lineage::Sink::named(&to, read("api_key")?)?;
        if of_file.is_some() {
            match &mut sink {
                lineage::Sink::File(path) => *path = self.file.folder().join(&*path),
                lineage::Sink::Http { .. } => {
                    self.file.check_trusted(&format!("it tells {sink} which tables a run reads and writes"))?;
                }
            }
        }
        let namespace = read("namespace")?.unwrap_or_else(|| "websessions".to_owned());
        Ok(Some(lineage::Settings { sink, namespace }))
    }

    /// The files that it is read from, and those that are the target itself: nothing else is written into them.
    pub(crate) fn files(&self) -> Vec<(PathBuf, &'static str)> {
        let file = Some(&self.file.path).filter(|path| !path.as_os_str().is_empty()).cloned();
        let mut files: Vec<_> = file.into_iter().map(|path| (path, "the configuration file")).collect();
        files.extend(self.target.paths().map(|path| (path, "the target's own")));
        files.extend(self.playbooks.iter().map(|playbook| (playbook.path.clone(), "a playbook")));
        let custom = self.custom.iter().flat_map(|module| &module.files);
        files.extend(custom.map(|path| (path.clone(), "a file of SQL that runs")));
        // Those that are not there can't be replaced.
        files.extend(self.check.files().into_iter().flatten().map(|path| (path, "a file of a check")));
        files
    }

    /// The target's settings, with secrets read from where they are kept.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        self.target.settings(&self.file).map_err(|error| self.of_target(error))
    }

    /// An error of the target's settings, with where they are set.
    pub(crate) fn of_target(&self, error: Error) -> Error {
        self.target.with_place(error)
    }
}

/// Trusts the configuration file, and gives its path and what it runs and reads with the user's rights.
pub(crate) fn trust(global: &Global) -> Result<(PathBuf, Vec<String>), Error> {
    let file = File::read(global.config.as_deref())?;
    if file.path.as_os_str().is_empty() {
        return Err(Error::Configuration {
            message: format!("there is no {FILE_NAME} in this folder"),
            hint: Some(format!("{} writes one", crate::output::pasteable("init"))),
        });
    }
    let wants = file.trust()?;
    Ok((file.path, wants))
}

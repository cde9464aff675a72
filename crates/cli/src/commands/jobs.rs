//! What is to run: of the playbooks, or of the configuration.

use super::Invocation;
use super::page_views::{Arrivals, ending};
use crate::arguments::{Playbooks, Selection};
use crate::output;
use std::collections::BTreeMap;
use std::sync::Arc;
use websessions_core::dialect::Dialect;
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_core::model::{Module, modules, page_views, sessions, users};
use websessions_core::plan::Phase;
use websessions_core::run::Job;
use websessions_core::variables::Variables;
use websessions_playbook::{OwnTables, Playbook, Purpose, Work};

impl Invocation<'_> {
    pub(super) fn job(&self, module: &Module, phase: Phase, dialect: &Arc<dyn Dialect>) -> Job {
        Job::phase(module, phase, &self.variables_of(module), dialect)
    }

    /// The modules that compute: sessions, and users if it is to follow.
    pub(super) fn modules(&self) -> Vec<Module> {
        let users = self.configuration.has_users().then(users::module);
        [sessions::module()].into_iter().chain(users).collect()
    }

    /// The modules that a run may be made of, as it is configured; or the one that is asked for.
    pub(super) fn modules_or(&self, named: Option<&str>) -> Result<Vec<Module>, Error> {
        if let Some(named) = named {
            return Ok(vec![module(named)?]);
        }
        let page_views = self.configuration.modules.has_page_views().then(page_views::module);
        Ok(page_views.into_iter().chain(self.modules()).collect())
    }

    /// The variables of a module: sessions stages what users reads, if users is to follow, and the last one ends the run,
    /// unless it is said otherwise.
    pub(super) fn variables_of(&self, module: &Module) -> Variables {
        let mut variables = self.variables().clone();
        variables.ends_run = self.configuration.ends_run(&variables, None, module);
        variables.stage_next |= self.configuration.modules.has_users() && module.name == sessions::module().name;
        variables
    }

    /// What the playbooks say; without any, sessions' main, the custom modules, sessions' complete. The page views' module
    /// comes before these, and is completed after them, if it has arrivals.
    pub(super) fn jobs(&self, arrivals: Arrivals<'_>, dialect: &Arc<dyn Dialect>) -> Result<Vec<Job>, Error> {
        let jobs = if self.configuration.playbooks.is_empty() {
            self.jobs_of_modules(matches!(arrivals, Arrivals::Staged), dialect)?
        } else {
            let come = matches!(arrivals, Arrivals::Here(_));
            self.jobs_of_playbooks(&self.modules_of_playbooks(come), dialect)?
        };
        self.around(arrivals, jobs, dialect)
    }

    /// Sessions, users if it is to follow, and the custom modules of each, after which a run ends, or does not.
    pub(super) fn jobs_of_modules(&self, ends_run: bool, dialect: &Arc<dyn Dialect>) -> Result<Vec<Job>, Error> {
        let modules = self.modules();
        let values = self.variables().to_values();
        let own = OwnTables::new(&self.modules_or(None)?, self.variables(), &**dialect);
        let mut jobs = Vec::new();
        for (number, module) in modules.iter().enumerate() {
            jobs.push(self.job(module, Phase::Main, dialect));
            for custom in self.configuration.custom.iter().filter(|custom| custom.after == module.name) {
                jobs.push(Job::custom(custom.plan(&values, dialect.name(), &own)?));
            }
            let variables = ending(&self.variables_of(module), ends_run && number + 1 == modules.len());
            jobs.push(Job::phase(module, Phase::Complete, &variables, dialect));
        }
        Ok(jobs)
    }

    /// What destroys: the playbooks that do, or a module's own phase.
    pub(super) fn destroying_jobs(&self, module: &Module, dialect: &Arc<dyn Dialect>) -> Result<Vec<Job>, Error> {
        if self.configuration.playbooks.is_empty() {
            return Ok(vec![Job::phase(module, Phase::Destroy, self.variables(), dialect)]);
        }
        self.jobs_of_playbooks(&self.modules(), dialect)
    }

    /// The modules whose tables the playbooks' own SQL must leave alone. Where no page views come with the run, `page_views` is the
    /// playbooks' own.
    pub(super) fn modules_of_playbooks(&self, page_views_come: bool) -> Vec<Module> {
        page_views_come.then(page_views::module).into_iter().chain(self.modules()).collect()
    }

    /// What the playbooks do, in order, and what they leave out.
    pub(super) fn jobs_of_playbooks(&self, modules: &[Module], dialect: &Arc<dyn Dialect>) -> Result<Vec<Job>, Error> {
        let own = OwnTables::new(modules, self.variables(), &**dialect);
        let run = websessions_playbook::run_of(&self.configuration.playbooks, self.sql_root, dialect.name(), &own)?;
        let apart = self.modules_apart()?.into_iter().map(|(playbook, problem)| format!("{playbook}: {problem}"));
        for warning in run.warnings.iter().cloned().chain(apart) {
            output::warn(&warning);
        }
        let jobs = run.work.into_iter().map(|(playbook, work)| match work {
            Work::Phase(module, phase) => {
                let variables = self.configuration.variables_of(playbook, &module)?;
                Ok(Job::phase(&module, phase, &variables, dialect))
            }
            Work::Scripts(plan) => Ok(Job::custom(plan)),
        });
        jobs.collect()
    }

    /// Where the playbooks keep one module's work from the next, or from its own end, each with the playbook that does.
    pub(super) fn modules_apart(&self) -> Result<Vec<(String, &'static str)>, Error> {
        let mut apart = Vec::new();
        let mut before: Vec<(&Playbook, Phase, Variables)> = Vec::new();
        let mut completed: Vec<(&Playbook, Module)> = Vec::new();
        for playbook in &self.configuration.playbooks {
            for (module, phase) in playbook.phases() {
                let variables = self.configuration.variables_of(playbook, &module)?;
                if phase == Phase::Main {
                    let early = completed.iter().filter(|(_, completed)| *completed == module);
                    let problem = "it completes before its module's main, so what main reads stays for the next run";
                    apart.extend(early.map(|(earlier, _)| (earlier.path.display().to_string(), problem)));
                }
                if phase == Phase::Complete {
                    completed.push((playbook, module));
                }
                if (&module, phase) == (&users::module(), Phase::Main) {
                    apart.extend(before.iter().filter_map(|(earlier, phase, variables)| {
                        let problem = match phase {
                            Phase::Main if !variables.stage_next => "stage_next is not true, so it stages nothing for users",
                            Phase::Complete if variables.ends_run => {
                                "ends_run is true, and users' main comes after it: the metadata have another run id for users"
                            }
                            _ => return None,
                        };
                        Some((earlier.path.display().to_string(), problem))
                    }));
                }
                before.push((playbook, phase, variables));
            }
        }
        Ok(apart)
    }
}

/// The module of that name.
pub(super) fn module(name: &str) -> Result<Module, Error> {
    let all = modules();
    let found = all.iter().find(|known| known.is_called(name));
    found.copied().ok_or_else(|| Error::configuration(unknown("module", name, all.iter().map(|known| known.name))))
}

pub(super) fn read_playbooks(
    given: &Playbooks,
    purpose: Purpose,
    overrides: &BTreeMap<String, String>,
) -> Result<Vec<Playbook>, Error> {
    match given {
        Playbooks { playbooks: Some(folder), .. } => websessions_playbook::from_directory(folder, purpose, overrides),
        Playbooks { playbook: Some(file), .. } => websessions_playbook::from_file(file, purpose, overrides),
        Playbooks { config_json: Some(file), .. } => websessions_playbook::from_job_list(file, purpose, overrides),
        _ => Ok(Vec::new()),
    }
}

/// The steps that were asked for; jobs without any are left out.
pub(super) fn selected(jobs: Vec<Job>, selection: &Selection) -> Result<Vec<Job>, Error> {
    let names: Vec<(String, String)> = jobs
        .iter()
        .flat_map(|job| {
            let plan = job.plan();
            plan.steps.iter().map(|step| (format!("{}/{}", plan.name, step.name), step.name.clone()))
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
    let mut before = 0;
    let mut chosen = Vec::new();
    for mut job in jobs {
        let steps = job.plan().steps.len();
        job.retain_steps(|number| (from..=until).contains(&(before + number)));
        before += steps;
        if !job.plan().steps.is_empty() {
            chosen.push(job);
        }
    }
    Ok(chosen)
}

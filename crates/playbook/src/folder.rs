//! Playbooks from files: one, or all of a folder and those below it, in the order in which they run.

use crate::playbook::{ENDINGS, Playbook};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::error::{Error, Remedy};
use websessions_core::model::Module;
use websessions_core::plan::Phase;

/// Folders of playbooks that change an older release's tables, once.
const MIGRATIONS: &str = "99-migrations";

/// The folder of the user's own modules, which come after the standard ones.
const CUSTOM: &str = "custom";

/// Which playbooks are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Those of a run, which don't destroy.
    Run,
    /// Those that destroy.
    Destroy,
    /// All: to look at them. Those that destroy come last.
    Look,
}

impl Purpose {
    /// Refuses a playbook that is for another purpose.
    pub(crate) fn check(self, playbook: &Playbook) -> Result<(), Error> {
        match (self, playbook.destroys()) {
            (Self::Run, true) => Err(playbook.wrong_use("this playbook destroys", Remedy::DestroyByPlaybook)),
            (Self::Destroy, false) => Err(playbook.wrong(
                "this playbook destroys nothing",
                "a playbook that destroys is named XX-destroy-…, or has the steps of a module's XX-destroy",
            )),
            _ => Ok(()),
        }
    }
}

/// One playbook: for a run one that doesn't destroy, for `destroy` one that does.
pub fn from_file(file: &Path, purpose: Purpose, overrides: &BTreeMap<String, String>) -> Result<Vec<Playbook>, Error> {
    let playbook = Playbook::read(file, overrides)?;
    purpose.check(&playbook)?;
    Ok(vec![playbook])
}

/// The playbooks of a folder and those below it, in the order of names: the standard modules, the custom ones, then what
/// completes each. Those that destroy are only for `destroy`, in reverse order.
pub fn from_directory(
    folder: &Path,
    purpose: Purpose,
    overrides: &BTreeMap<String, String>,
) -> Result<Vec<Playbook>, Error> {
    read_directory(folder, purpose, |path| Playbook::read(path, overrides))
}

/// The playbooks of a run, whose variables and targets keep what changes, such as the time, as templates.
pub fn from_directory_unsettled(folder: &Path, overrides: &BTreeMap<String, String>) -> Result<Vec<Playbook>, Error> {
    read_directory(folder, Purpose::Run, |path| Playbook::read_unsettled(path, overrides))
}

fn read_directory(
    folder: &Path,
    purpose: Purpose,
    read: impl Fn(&Path) -> Result<Playbook, Error>,
) -> Result<Vec<Playbook>, Error> {
    let mut paths = Vec::new();
    let mut left_out = Vec::new();
    let within = folder.components().any(|component| component.as_os_str() == MIGRATIONS);
    paths_below(folder, within, &mut paths, &mut left_out)?;
    // By the parts of a path, so that a folder's files stand together; custom modules after the others.
    paths.sort_by_cached_key(|path| {
        let inner = path.strip_prefix(folder).unwrap_or(path);
        let parts = inner.components().map(|part| (part.as_os_str() == CUSTOM, part.as_os_str().to_owned()));
        parts.collect::<Vec<_>>()
    });
    let playbooks = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let (mut destroying, mut playbooks): (Vec<_>, Vec<_>) = playbooks.into_iter().partition(Playbook::destroys);
    destroying.reverse();
    // Stable: those of one kind stay in the order of their names.
    playbooks.sort_by_key(|playbook| (playbook.completes(), playbook.completes() && playbook.is_standard()));
    let mut chosen = match purpose {
        Purpose::Run => playbooks,
        Purpose::Destroy => destroying,
        Purpose::Look => playbooks.into_iter().chain(destroying).collect(),
    };
    check_phases(&chosen)?;
    let Some(first) = chosen.first_mut() else {
        let what = if purpose == Purpose::Destroy { "playbook that destroys" } else { "playbook" };
        return Err(Error::Configuration {
            message: format!("{}: there is no {what}", folder.display()),
            hint: Some(format!("the name of a playbook ends in {}", ENDINGS.join(", "))),
        });
    };
    if purpose != Purpose::Destroy {
        first.warnings.extend(left_out.iter().map(|folder| {
            format!(
                "{} is left out: migrations run once, each as a playbook of its own or by a job list",
                folder.display()
            )
        }));
    }
    Ok(chosen)
}

/// The playbooks of a folder and those below it, without migrations, unless `within` them.
fn paths_below(
    folder: &Path,
    within: bool,
    paths: &mut Vec<PathBuf>,
    left_out: &mut Vec<PathBuf>,
) -> Result<(), Error> {
    let failed = |source| Error::File { path: folder.display().to_string(), source };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // A link to a folder isn't followed: it might lead back here.
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        let is_playbook = ENDINGS.iter().any(|ending| path.to_string_lossy().ends_with(ending));
        if is_folder && entry.file_name() == MIGRATIONS && !within {
            let mut migrations = Vec::new();
            paths_below(&path, true, &mut migrations, left_out)?;
            if !migrations.is_empty() {
                left_out.push(path);
            }
        } else if is_folder && !entry.file_name().to_string_lossy().starts_with('.') {
            paths_below(&path, within, paths, left_out)?;
        } else if is_playbook && path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

/// Refuses a phase of the model that stands in two playbooks.
pub(crate) fn check_phases(playbooks: &[Playbook]) -> Result<(), Error> {
    let mut before: Vec<(&Playbook, (Module, Phase))> = Vec::new();
    for playbook in playbooks {
        let phases = playbook.phases();
        for (module, phase) in &phases {
            if let Some((first, _)) = before.iter().find(|(_, other)| *other == (*module, *phase)) {
                let other = first.path.display();
                return Err(playbook.wrong_use(
                    format!("the {} module's {} stands in {other} too", module.name, phase.name()),
                    Remedy::NameOnePlaybook,
                ));
            }
        }
        before.extend(phases.into_iter().map(|phase| (playbook, phase)));
    }
    Ok(())
}

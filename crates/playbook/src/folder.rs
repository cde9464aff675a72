//! Playbooks from files: one, or all of a folder and those below it, in the order in which they run.

use crate::files::metadata_of;
use crate::playbook::{ENDINGS, Playbook, without_ending};
use std::collections::{BTreeMap, BTreeSet};
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
    /// The playbooks of a run, which don't destroy.
    Run,
    /// The playbooks that destroy.
    Destroy,
    /// All playbooks, to look at them. Those that destroy come last.
    Look,
}

impl Purpose {
    /// Refuses a playbook that is for another purpose.
    pub(crate) fn check(self, playbook: &Playbook) -> Result<(), Error> {
        match (self, playbook.destroys()) {
            (Self::Run, true) => Err(playbook.wrong_use("this playbook destroys", Remedy::DestroyByPlaybook)),
            (Self::Destroy, false) => Err(playbook.wrong(
                "this playbook destroys nothing",
                "a playbook that destroys is named XX-destroy-…, or has files in a folder XX-destroy",
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
    metadata_of(folder, true)?;
    // Of migrations only those of the folder that is asked for.
    let within = folder.components().any(|component| component.as_os_str() == MIGRATIONS);
    let migrations = |path: &Path| {
        let below = path.ancestors().take_while(|above| !within && *above != folder);
        below.filter(|above| above.file_name().is_some_and(|name| name == MIGRATIONS)).last().map(Path::to_owned)
    };
    let (left, mut paths): (Vec<_>, Vec<_>) =
        paths_below(folder, &mut Vec::new())?.into_iter().partition(|path| migrations(path).is_some());
    let left_out: BTreeSet<PathBuf> = left.iter().filter_map(|path| migrations(path)).collect();
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
    let by_a_word = destroying.iter().filter(|playbook| playbook.destroys_by_a_word_alone());
    let not_run: Vec<String> = by_a_word.map(|playbook| playbook.path.display().to_string()).collect();
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
        first.warnings.extend(not_run.iter().map(|file| {
            format!("{file} is left out, as its name says that it destroys: 'destroy' runs it; if it is a part of the run, give it another name")
        }));
    }
    Ok(chosen)
}

/// The playbooks of a folder and those below it, also behind links. `above` are the folders that it is in: a link that leads back
/// to one is none to follow.
fn paths_below(folder: &Path, above: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, Error> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Error::unreadable(path, &error)
    };
    let real = folder.canonicalize().map_err(failed(folder))?;
    if above.contains(&real) {
        return Ok(Vec::new());
    }
    above.push(real);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let (path, name) = (entry.path(), entry.file_name());
        // Editors, archivers and other tools keep what is theirs under such names.
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let is_playbook = without_ending(&name.to_string_lossy()).is_some();
        let metadata = match path.metadata() {
            // A link whose file is gone may have been a module.
            Err(error) if is_playbook => return Err(failed(&path)(error)),
            Err(_) => continue,
            Ok(metadata) => metadata,
        };
        if metadata.is_dir() {
            paths.extend(paths_below(&path, above)?);
        } else if is_playbook {
            paths.push(path);
        }
    }
    above.pop();
    Ok(paths)
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

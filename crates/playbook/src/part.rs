//! One rule: what reads a folder of a module that is native here is the model. Every other step is the user's own SQL, a
//! script in its place.

use crate::playbook::{Playbook, PlaybookStep, Query};
use std::path::Path;
use websessions_core::error::Error;
use websessions_core::model::{Module, sessions, users};
use websessions_core::plan::Phase;

/// The folders of files that are the model itself, each with its module.
fn model() -> [(&'static str, Module); 2] {
    [("standard/03-sessions/", sessions::module()), ("standard/04-users/", users::module())]
}

/// The files that make what all modules need, procedures among them. They may be missing: the model makes its own.
const SET_UP: &str = "standard/00-setup/01-main/";

/// A part of a playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A phase of a module of the model.
    Phase(Module, Phase),
    /// Set-up steps beside those of the model. They run where other SQL calls what they make.
    SetUp(Vec<PlaybookStep>),
    /// Steps of the user's own.
    Scripts(Vec<PlaybookStep>),
}

impl Query {
    /// Whether its file belongs to the standard modules rather than to a custom one.
    pub fn is_standard(&self) -> bool {
        plain_path(&self.file).starts_with("standard/")
    }

    /// Whether its file is a set-up step, which may be missing.
    pub fn is_set_up(&self) -> bool {
        plain_path(&self.file).starts_with(SET_UP)
    }

    /// The module of the model that it is a part of, and its path within that.
    fn of_model(&self) -> Option<(Module, String)> {
        let path = plain_path(&self.file);
        model().into_iter().find_map(|(folder, module)| Some((module, path.strip_prefix(folder)?.to_owned())))
    }
}

/// The words of a name, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    name.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Whether a name in a path is that of what destroys: `XX-destroy`, `XX-destroy-loyalty.sql`.
fn is_xx_destroy(name: &str) -> bool {
    words(name).take(2).eq(["xx", "destroy"])
}

/// A path as trees write it.
fn plain_path(file: &str) -> String {
    file.replace('\\', "/").trim_start_matches("./").to_owned()
}

fn phase_named(name: &str) -> Option<Phase> {
    let name = name.to_lowercase();
    [("destroy", Phase::Destroy), ("complete", Phase::Complete), ("main", Phase::Main)]
        .into_iter()
        .find(|(word, _)| name.contains(word))
        .map(|(_, phase)| phase)
}

impl Playbook {
    /// Its parts, in order.
    pub fn parts(&self) -> Result<Vec<Part>, Error> {
        let has_model = !self.phases().is_empty();
        let mut parts: Vec<Part> = Vec::new();
        for step in &self.steps {
            let phases: Vec<Option<(Module, Phase)>> = step.queries.iter().map(|query| self.phase(query)).collect();
            let phase = phases.first().copied().flatten();
            if phases.iter().any(|other| *other != phase) {
                return Err(self.wrong(
                    format!("step {}: queries of a phase of the model and others in one step", step.name),
                    "move the others into a step, or a playbook, of their own",
                ));
            }
            let is_set_up = has_model && !step.queries.is_empty() && step.queries.iter().all(Query::is_set_up);
            let stands_before = phase.is_some_and(|(module, phase)| parts.contains(&Part::Phase(module, phase)));
            let between = parts.iter().rev().find_map(|part| match part {
                Part::Scripts(steps) => steps.last().map(|step| step.name.clone()),
                _ => None,
            });
            match (phase, parts.last_mut()) {
                (Some(phase), Some(Part::Phase(module, last))) if (*module, *last) == phase => {}
                // What a phase drops at its end, the destroying one drops too.
                (Some((of, Phase::Destroy)), Some(Part::Phase(module, last @ Phase::Complete))) if of == *module => {
                    *last = Phase::Destroy;
                }
                (Some((of, Phase::Complete)), Some(Part::Phase(module, Phase::Destroy))) if of == *module => {}
                (Some((module, phase)), _) if stands_before => match between {
                    None => {}
                    Some(between) => {
                        return Err(self.wrong(
                            format!(
                                "the step {between} stands among the steps of the {} module's {}",
                                module.name,
                                phase.name()
                            ),
                            "these are one phase of the model here: move the step after them, or before",
                        ));
                    }
                },
                (Some((module, phase)), _) => parts.push(Part::Phase(module, phase)),
                // It makes what others need, so it runs before the phase, wherever it stands among its steps.
                (None, last) if is_set_up => match last {
                    Some(Part::SetUp(steps)) => steps.push(step.clone()),
                    Some(Part::Phase(..)) => parts.insert(parts.len() - 1, Part::SetUp(vec![step.clone()])),
                    _ => parts.push(Part::SetUp(vec![step.clone()])),
                },
                (None, Some(Part::Scripts(steps))) => steps.push(step.clone()),
                (None, _) => parts.push(Part::Scripts(vec![step.clone()])),
            }
        }
        Ok(parts)
    }

    /// The phases of the model that it has, each with its module.
    pub fn phases(&self) -> Vec<(Module, Phase)> {
        let mut phases: Vec<(Module, Phase)> = self.queries().filter_map(|query| self.phase(query)).collect();
        phases.dedup();
        // What a phase drops at its end, the destroying one drops too.
        let destroyed: Vec<Module> =
            phases.iter().filter(|(_, phase)| *phase == Phase::Destroy).map(|(module, _)| *module).collect();
        phases.retain(|(module, phase)| *phase != Phase::Complete || !destroyed.contains(module));
        phases
    }

    /// Whether it has that phase, of whichever module.
    pub fn has(&self, wanted: Phase) -> bool {
        self.phases().iter().any(|(_, phase)| *phase == wanted)
    }

    /// Whether it has a phase of a module.
    pub fn has_module(&self, module: &Module) -> bool {
        self.phases().iter().any(|(other, _)| other == module)
    }

    /// Whether it has phases, of that module alone.
    pub fn is_of_module(&self, module: &Module) -> bool {
        let phases = self.phases();
        !phases.is_empty() && phases.iter().all(|(other, _)| other == module)
    }

    /// Whether it destroys: only `destroy` runs it. Its name says so, its folder's, or that of a folder of its files.
    pub fn destroys(&self) -> bool {
        self.is_named_out_of_order()
            || self.name_says_destroy()
            || self.has(Phase::Destroy)
            || self
                .path
                .parent()
                .and_then(Path::file_name)
                .is_some_and(|folder| is_xx_destroy(&folder.to_string_lossy()))
            || self.queries().any(|query| plain_path(&query.file).split('/').any(is_xx_destroy))
    }

    /// Whether its name has no place in the order of a run, as trees name what destroys: `XX-destroy-sessions`, `XX-drop`.
    fn is_named_out_of_order(&self) -> bool {
        words(&self.name).next().is_some_and(|word| word == "xx")
    }

    fn name_says_destroy(&self) -> bool {
        words(&self.name).any(|word| ["destroy", "teardown"].contains(&&*word))
    }

    /// Whether only a word of its name says that it destroys, and a run might have been meant to have it.
    pub(crate) fn destroys_by_a_word_alone(&self) -> bool {
        self.name_says_destroy() && !self.is_named_out_of_order() && !self.is_standard()
    }

    /// Whether it clears up at the end of a run: after the others.
    pub(crate) fn completes(&self) -> bool {
        self.name.starts_with("99-") || (self.has(Phase::Complete) && !self.has(Phase::Main))
    }

    /// Whether it is a standard module's rather than a custom one's.
    pub fn is_standard(&self) -> bool {
        self.queries().any(|query| query.is_standard() && !query.is_set_up())
    }

    /// Whether it only makes, or removes, what all modules need.
    pub(crate) fn is_set_up(&self) -> bool {
        !self.steps.is_empty() && self.queries().all(|query| plain_path(&query.file).starts_with("standard/00-setup/"))
    }

    /// All its queries, in order.
    pub(crate) fn queries(&self) -> impl Iterator<Item = &Query> {
        self.steps.iter().flat_map(|step| &step.queries)
    }

    /// The phase that a query is a part of, and its module.
    fn phase(&self, query: &Query) -> Option<(Module, Phase)> {
        let (module, path) = query.of_model()?;
        let folder = path.split('/').next().unwrap_or_default();
        Some((module, phase_named(folder).or_else(|| phase_named(&self.name)).unwrap_or(Phase::Main)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const MAIN: &str = "standard/03-sessions/01-main/01-a.sql";
    const COMPLETE: &str = "standard/03-sessions/99-complete/01-truncate.sql";
    const DESTROY: &str = "standard/03-sessions/XX-destroy/01-destroy.sql";
    const USERS_MAIN: &str = "standard/04-users/01-main/01-a.sql";
    const USERS_COMPLETE: &str = "standard/04-users/99-complete/98-manifest-and-truncate.sql";
    const USERS_DESTROY: &str = "standard/04-users/XX-destroy/XX-destroy-users.sql";
    const PROCEDURES: &str = "standard/00-setup/01-main/01-procedures.sql";

    /// A playbook with a step a file.
    fn playbook(name: &str, files: &[&str]) -> Playbook {
        let steps: String =
            files.iter().map(|file| format!("- name: {file}\n  queries: [{{name: q, file: {file}}}]\n")).collect();
        Playbook::parse(Path::new(name), &format!("steps:\n{steps}"), &BTreeMap::new()).expect("read")
    }

    /// Its parts in words: a phase by its name, scripts by their files.
    fn parts(name: &str, files: &[&str]) -> Result<Vec<String>, String> {
        let names = |steps: &[PlaybookStep]| steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>().join(" ");
        let parts = playbook(name, files).parts().map_err(|error| error.to_string())?;
        let in_words = parts.iter().map(|part| match part {
            Part::Phase(module, phase) => format!("{}{}", module.prefix, phase.name()),
            Part::SetUp(steps) => format!("set up {}", names(steps)),
            Part::Scripts(steps) => names(steps),
        });
        Ok(in_words.collect())
    }

    #[test]
    fn what_reads_a_module_that_is_native_is_the_model_and_all_else_a_script() {
        for (name, files, expected) in [
            ("99-sessions-complete.yml.tmpl", vec![COMPLETE, COMPLETE], vec!["complete"]),
            ("XX-destroy-sessions.yml.tmpl", vec![COMPLETE, DESTROY], vec!["destroy"]),
            ("all.yml", vec![MAIN, COMPLETE], vec!["main", "complete"]),
            ("01-main.yml", vec![".\\standard\\03-sessions\\x.sql"], vec!["main"]),
            ("01-main.yml", vec![PROCEDURES, MAIN], vec!["set up standard/00-setup/01-main/01-procedures.sql", "main"]),
            (
                "01-main.yml",
                vec![MAIN, PROCEDURES, MAIN],
                vec!["set up standard/00-setup/01-main/01-procedures.sql", "main"],
            ),
            // Without a step of sessions beside it, a set-up step is a script as any other.
            (
                "01-base-main.yml",
                vec![PROCEDURES, "own.sql"],
                vec!["standard/00-setup/01-main/01-procedures.sql own.sql"],
            ),
            ("01-users-main.yml", vec![USERS_MAIN, USERS_MAIN], vec!["users_main"]),
            ("99-users-complete.yml", vec![USERS_COMPLETE], vec!["users_complete"]),
            ("XX-destroy-users.yml", vec![USERS_COMPLETE, USERS_DESTROY], vec!["users_destroy"]),
            (
                "all.yml",
                vec![MAIN, USERS_MAIN, COMPLETE, USERS_COMPLETE],
                vec!["main", "users_main", "complete", "users_complete"],
            ),
            // What one module destroys, another one only completes.
            ("some.yml", vec![DESTROY, USERS_COMPLETE], vec!["destroy", "users_complete"]),
            ("some.yml", vec![USERS_DESTROY, COMPLETE], vec!["users_destroy", "complete"]),
            (
                "01-users-main.yml",
                vec![PROCEDURES, USERS_MAIN],
                vec!["set up standard/00-setup/01-main/01-procedures.sql", "users_main"],
            ),
            // The mobile model's sessions are not ours, nor its users.
            (
                "01-sessions-main.yml",
                vec!["standard/04-sessions/01-main/1.sql"],
                vec!["standard/04-sessions/01-main/1.sql"],
            ),
            ("01-users-main.yml", vec!["standard/05-users/01-main/1.sql"], vec!["standard/05-users/01-main/1.sql"]),
        ] {
            let found = parts(name, &files).expect(name);
            assert_eq!(found, expected, "{name} {files:?}");
        }
        assert!(parts("all.yml", &[MAIN, "own.sql", MAIN]).expect_err("refused").contains("own.sql stands among"));
    }

    #[test]
    fn a_playbook_that_destroys_is_known_by_its_name_or_its_files() {
        for (name, files, destroys) in [
            ("XX-destroy-loyalty.yml.tmpl", vec!["custom/drop.sql"], true),
            ("xx-Destroy-base.yml", vec!["standard/01-base/99-complete/1.sql"], true),
            ("teardown.yml", vec![DESTROY], true),
            ("teardown.yml", vec!["standard/01-base/XX-destroy/XX-destroy-base.sql"], true),
            ("XX_destroy_loyalty.yml", vec!["custom/drop.sql"], true),
            ("XX-drop-loyalty.yaml", vec!["custom/drop.sql"], true),
            ("destroy-loyalty.yml", vec!["custom/drop.sql"], true),
            ("99-Loyalty-Teardown.yml", vec!["custom/drop.sql"], true),
            ("05-drop.yml", vec!["custom/loyalty/XX-destroy/drop.sql"], true),
            ("XX-destroy/loyalty.yml", vec!["custom/drop.sql"], true),
            ("AA-destroyed-carts.yml", vec!["custom/destroyed.sql"], false),
            ("AA-xxl-carts.yml", vec!["custom/xx/own.sql"], false),
            ("AA-drop-duplicates.yml", vec!["custom/destroy-duplicates.sql"], false),
            ("99-sessions-complete.yml", vec![COMPLETE], false),
        ] {
            assert_eq!(playbook(name, &files).destroys(), destroys, "{name} {files:?}");
        }
    }
}

//! One rule: what reads `standard/03-sessions/` is the model here. Every other step is the user's own SQL, a script in its
//! place.

use crate::playbook::{Playbook, PlaybookStep, Query};
use websessions_core::error::Error;
use websessions_core::plan::Phase;

/// The files that are the model itself.
const SESSIONS: &str = "standard/03-sessions/";

/// The files that make what all modules need, procedures among them. They may be missing: the model makes its own.
const SET_UP: &str = "standard/00-setup/01-main/";

/// A part of a playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A phase of the model.
    Phase(Phase),
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

    /// Whether it is a part of the model itself.
    fn is_model(&self) -> bool {
        plain_path(&self.file).starts_with(SESSIONS)
    }
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
            let phases: Vec<Option<Phase>> = step.queries.iter().map(|query| self.phase(query)).collect();
            let phase = phases.first().copied().flatten();
            if phases.iter().any(|other| *other != phase) {
                return Err(self.wrong(
                    format!("step {}: queries of the sessions module and others in one step", step.name),
                    "move the others into a step, or a playbook, of their own",
                ));
            }
            let is_set_up = has_model && !step.queries.is_empty() && step.queries.iter().all(Query::is_set_up);
            let stands_before = phase.is_some_and(|phase| parts.contains(&Part::Phase(phase)));
            let between = parts.iter().rev().find_map(|part| match part {
                Part::Scripts(steps) => steps.last().map(|step| step.name.clone()),
                _ => None,
            });
            match (phase, parts.last_mut()) {
                (Some(phase), Some(Part::Phase(last))) if *last == phase => {}
                // What a phase drops at its end, the destroying one drops too.
                (Some(Phase::Destroy), Some(Part::Phase(last @ Phase::Complete))) => *last = Phase::Destroy,
                (Some(Phase::Complete), Some(Part::Phase(Phase::Destroy))) => {}
                (Some(phase), _) if stands_before => match between {
                    None => {}
                    Some(between) => {
                        return Err(self.wrong(
                            format!(
                                "the step {between} stands among the steps of the sessions module's {}",
                                phase.name()
                            ),
                            "these are one phase of the model here: move the step after them, or before",
                        ));
                    }
                },
                (Some(phase), _) => parts.push(Part::Phase(phase)),
                // It makes what others need, so it runs before the phase, wherever it stands among its steps.
                (None, last) if is_set_up => match last {
                    Some(Part::SetUp(steps)) => steps.push(step.clone()),
                    Some(Part::Phase(_)) => parts.insert(parts.len() - 1, Part::SetUp(vec![step.clone()])),
                    _ => parts.push(Part::SetUp(vec![step.clone()])),
                },
                (None, Some(Part::Scripts(steps))) => steps.push(step.clone()),
                (None, _) => parts.push(Part::Scripts(vec![step.clone()])),
            }
        }
        Ok(parts)
    }

    /// The phases of the model that it has.
    pub fn phases(&self) -> Vec<Phase> {
        let mut phases: Vec<Phase> = self.queries().filter_map(|query| self.phase(query)).collect();
        phases.dedup();
        // What a phase drops at its end, the destroying one drops too.
        if phases.contains(&Phase::Destroy) {
            phases.retain(|phase| *phase != Phase::Complete);
        }
        phases
    }

    /// Whether it destroys: only `destroy` runs it.
    pub fn destroys(&self) -> bool {
        let destroying = |name: &str| name.to_lowercase().starts_with("xx-destroy");
        destroying(&self.name)
            || self.phases().contains(&Phase::Destroy)
            || self.queries().any(|query| query.is_standard() && plain_path(&query.file).split('/').any(destroying))
    }

    /// Whether it clears up at the end of a run: after the others.
    pub(crate) fn completes(&self) -> bool {
        let phases = self.phases();
        self.name.starts_with("99-") || (phases.contains(&Phase::Complete) && !phases.contains(&Phase::Main))
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

    /// The phase that a query is a part of.
    fn phase(&self, query: &Query) -> Option<Phase> {
        if !query.is_model() {
            return None;
        }
        let path = plain_path(&query.file);
        let folder = path.trim_start_matches(SESSIONS).split('/').next().unwrap_or_default();
        phase_named(folder).or_else(|| phase_named(&self.name)).or(Some(Phase::Main))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    const MAIN: &str = "standard/03-sessions/01-main/01-a.sql";
    const COMPLETE: &str = "standard/03-sessions/99-complete/01-truncate.sql";
    const DESTROY: &str = "standard/03-sessions/XX-destroy/01-destroy.sql";
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
            Part::Phase(phase) => phase.name().to_owned(),
            Part::SetUp(steps) => format!("set up {}", names(steps)),
            Part::Scripts(steps) => names(steps),
        });
        Ok(in_words.collect())
    }

    #[test]
    fn what_reads_the_sessions_module_is_the_model_and_all_else_a_script() {
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
            ("01-users-main.yml", vec!["standard/04-users/01-main/1.sql"], vec!["standard/04-users/01-main/1.sql"]),
            // The mobile model's sessions are not ours.
            (
                "01-sessions-main.yml",
                vec!["standard/04-sessions/01-main/1.sql"],
                vec!["standard/04-sessions/01-main/1.sql"],
            ),
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
            ("AA-destroyed-carts.yml", vec!["custom/destroyed.sql"], false),
            ("99-sessions-complete.yml", vec![COMPLETE], false),
        ] {
            assert_eq!(playbook(name, &files).destroys(), destroys, "{name} {files:?}");
        }
    }
}

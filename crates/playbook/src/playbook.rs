//! Playbook files: YAML that is a Go template, with or without a colon before each key. What they say becomes phases of
//! the model and users' own scripts.

use crate::files::{metadata_of, read};
use crate::target::{TARGET_KEYS, Target};
use crate::template::{Kept, printable, render, render_the_settled};
use crate::yaml::{number, scalar};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::did_you_mean::nearest;
use websessions_core::error::{Error, Remedy};

/// The largest playbook that is read, in bytes: as for templates.
const LARGEST: u64 = crate::template::LARGEST_TEMPLATE as u64;

/// A playbook as it is written, its variables overridden by the command line's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Playbook {
    /// The file.
    pub path: PathBuf,
    /// The file's name without its endings.
    pub name: String,
    /// The targets that it names.
    pub targets: Vec<Target>,
    /// Its variables, by name.
    pub variables: BTreeMap<String, Value>,
    /// Its steps, in order.
    pub steps: Vec<PlaybookStep>,
    /// Keys that no playbook has, and what else is odd.
    pub warnings: Vec<String>,
}

/// A step of a playbook. All its queries may run at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaybookStep {
    /// Its name.
    pub name: String,
    /// Its queries.
    pub queries: Vec<Query>,
}

/// A query of a step: one file of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// Its name.
    pub name: String,
    /// The file, as it is written there.
    pub file: String,
    /// Whether the file is a template; else it is sent as it is.
    pub template: bool,
}

impl Playbook {
    /// Reads a playbook. `overrides` are the command line's variables, as text: they take the type of what they override.
    pub fn read(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let size = metadata_of(path, false)?.len();
        if size > LARGEST {
            return Err(Error::configuration(format!("{}: larger than {LARGEST} bytes", path.display())));
        }
        Self::parse(path, &read(path)?, overrides)
    }

    /// Reads a playbook whose variables and targets keep what changes, such as the time, as templates.
    pub fn read_unsettled(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let (rendered, kept) = render_the_settled(path, &without_colons(&read(path)?), &given(overrides))?;
        let mut root = crate::yaml::read(&rendered.text).map_err(|problem| no_playbook(path, &problem))?;
        with_kept(&mut root, &kept);
        let mut playbook = Self::of_yaml(path, root, overrides)?;
        playbook.warnings.extend(
            kept.settled_lines().iter().map(|line| format!("line {line}: what it depends on is settled as of now")),
        );
        Ok(playbook)
    }

    /// Reads a playbook's text. `path` is for its errors and its name.
    pub fn parse(path: &Path, text: &str, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let yaml = render(path, &without_colons(text), &given(overrides))?.text;
        let root = crate::yaml::read(&yaml).map_err(|problem| no_playbook(path, &problem))?;
        Self::of_yaml(path, root, overrides)
    }

    fn of_yaml(path: &Path, root: Value, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let wrong = |problem: String| no_playbook(path, &problem);
        let mut reader = Reader { warnings: Vec::new() };
        let root = reader.table(root, "the playbook", &["targets", "variables", "steps"]).map_err(wrong)?;
        let mut variables: BTreeMap<String, Value> = match root.get("variables") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(map)) => map.clone().into_iter().collect(),
            Some(_) => return Err(wrong("variables must be names with values".to_owned())),
        };
        for (name, value) in overrides {
            let typed = typed_like(variables.get(name), value)
                .map_err(|problem| wrong(format!("variable {name}: {problem}")))?;
            variables.insert(name.clone(), typed);
        }
        let targets = reader.list(root.get("targets"), "targets").map_err(wrong)?;
        let targets = targets.into_iter().map(|target| Target::read(&reader.table(target, "a target", TARGET_KEYS)?));
        let targets = targets.collect::<Result<_, _>>().map_err(wrong)?;
        let steps = reader.list(root.get("steps"), "steps").map_err(wrong)?;
        let steps = steps
            .into_iter()
            .enumerate()
            .map(|(number, step)| reader.step(step, number + 1))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        Ok(Self { path: path.to_owned(), name: stem(path), targets, variables, steps, warnings: reader.warnings })
    }

    /// An error of this file.
    pub(crate) fn wrong_use(&self, problem: impl std::fmt::Display, remedy: Remedy) -> Error {
        Error::Usage { message: format!("{}: {problem}", self.path.display()), remedy }
    }

    pub(crate) fn wrong(&self, problem: impl std::fmt::Display, hint: &str) -> Error {
        Error::Configuration { message: format!("{}: {problem}", self.path.display()), hint: Some(hint.to_owned()) }
    }
}

fn no_playbook(path: &Path, problem: &str) -> Error {
    Error::Configuration {
        message: printable(&format!("{}: {problem}", path.display())),
        hint: Some("a playbook has targets, variables and steps, as YAML".to_owned()),
    }
}

fn given(overrides: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    overrides.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
}

/// Puts the actions that were kept where they belong.
fn with_kept(value: &mut Value, kept: &Kept) {
    match value {
        Value::String(text) => *text = kept.in_text(text),
        Value::Array(items) => items.iter_mut().for_each(|item| with_kept(item, kept)),
        Value::Object(map) => map.values_mut().for_each(|item| with_kept(item, kept)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A file's name without its endings.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    without_ending(&name).unwrap_or(&name).to_owned()
}

/// How the names of playbooks end, in any case.
pub(crate) const ENDINGS: &[&str] = &[".yml.tmpl", ".yaml.tmpl", ".yml", ".yaml"];

/// A playbook's name without its ending; `None` if it has none.
pub(crate) fn without_ending(name: &str) -> Option<&str> {
    ENDINGS.iter().find_map(|ending| {
        let (stem, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
        end.eq_ignore_ascii_case(ending).then_some(stem)
    })
}

/// Without the colon before a key, on each line.
fn without_colons(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let inner = line.trim_start_matches([' ', '\t']);
            let inner = inner.strip_prefix('-').unwrap_or(inner).trim_start_matches([' ', '\t']);
            match inner.strip_prefix(':') {
                Some(rest) => format!("{}{rest}", &line[..line.len() - inner.len()]),
                None => line.to_owned(),
            }
        })
        .collect()
}

/// A command line's text, as the type of the value that it overrides.
fn typed_like(overridden: Option<&Value>, text: &str) -> Result<Value, String> {
    let null = text.is_empty() || text == "null";
    Ok(match overridden {
        Some(Value::Bool(_) | Value::Number(_)) if null => Value::Null,
        Some(Value::Bool(_)) => Value::Bool(text.parse().map_err(|_| format!("must be true or false, not {text:?}"))?),
        Some(Value::Number(_)) => number(text).ok_or_else(|| format!("must be a number, not {text:?}"))?,
        Some(Value::Array(_) | Value::Object(_)) => {
            serde_json::from_str(text).map_err(|_| format!("must be a list or table as JSON, not {text:?}"))?
        }
        _ => Value::String(text.to_owned()),
    })
}

struct Reader {
    warnings: Vec<String>,
}

impl Reader {
    fn table(&mut self, value: Value, what: &str, known: &[&str]) -> Result<Map<String, Value>, String> {
        let map = match value {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            _ => return Err(format!("{what} must be keys with values")),
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let meant = nearest(key, known.iter().copied()).map(|name| format!("; did you mean {name:?}?"));
            self.warnings
                .push(format!("{what} has the unknown key {key:?}, which is ignored{}", meant.unwrap_or_default()));
        }
        Ok(map)
    }

    fn list(&mut self, value: Option<&Value>, what: &str) -> Result<Vec<Value>, String> {
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items.clone()),
            Some(_) => Err(format!("{what} must be a list")),
        }
    }

    fn step(&mut self, value: Value, number: usize) -> Result<PlaybookStep, String> {
        let map = self.table(value, &format!("step {number}"), &["name", "queries"])?;
        let name = map
            .get("name")
            .and_then(scalar)
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| format!("step-{number}"));
        let queries = self.list(map.get("queries"), &format!("the queries of step {name}"))?;
        let queries = queries.into_iter().enumerate().map(|(position, query)| self.query(query, &name, position + 1));
        Ok(PlaybookStep { queries: queries.collect::<Result<_, _>>()?, name })
    }

    fn query(&mut self, value: Value, step: &str, number: usize) -> Result<Query, String> {
        let what = format!("query {number} of step {step}");
        let map = self.table(value, &what, &["name", "file", "template"])?;
        let file = map
            .get("file")
            .and_then(scalar)
            .filter(|file| !file.is_empty())
            .ok_or_else(|| format!("{what} needs a file"))?;
        let template = match map.get("template") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(truth)) => *truth,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") || text.is_empty() => false,
            Some(other) => return Err(format!("the template of {what} must be true or false, not {other}")),
        };
        let name = map.get("name").and_then(scalar).filter(|name| !name.is_empty()).unwrap_or_else(|| file.clone());
        Ok(Query { name, file, template })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const MAIN: &str = "\
:targets:
- :name:     \"default\"
  :type:     Redshift
  :host:     # filled from elsewhere, {{or .nothing \"this is rendered too\"}}
  :database: events
  :port:     5439
  :username: {{systemEnv \"THIS_IS_NOT_SET\"}}
  :password:
  :ssl:      true
:variables:
  :model_version:   redshift/web/1.2.0
  :scratch_schema:  scratch
  :entropy:         \"{{or .entropy \"_test\"}}\"
  :stage_next:      true
  :upsert_lookback: 30
  :skip_derived:
:steps:
- :name: 00-setup
  :queries:
    - :name: 01-setup-metadata
      :file: standard/00-setup/01-main/01-setup-metadata.sql
      :template: true
- :name: 01-aggs
  :queries:
    - :name: 01-sessions-aggs
      :file: standard/03-sessions/01-main/01-sessions-aggs.sql
      :template: true
    - name: 02-lasts
      file: standard/03-sessions/01-main/02-lasts.sql
- :name: own
  :queries:
    - :name: engagement
      :file: custom/engagement.sql
";

    fn read(text: &str, overrides: &[(&str, &str)]) -> Result<Playbook, String> {
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Playbook::parse(Path::new("dir/01-sessions-main.yml.tmpl"), text, &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn a_playbook_is_read_with_and_without_colons() {
        let with = read(MAIN, &[]).expect("read");
        let without =
            read(&MAIN.replace(" :", " ").replace("\n:", "\n").replacen(":targets", "targets", 1), &[]).expect("read");
        for playbook in [with, without] {
            assert_eq!(playbook.name, "01-sessions-main");
            assert_eq!(playbook.targets[0].backend, Some("redshift"));
            assert_eq!(
                playbook.targets[0].settings(),
                [("database", "events"), ("port", "5439")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into()
            );
            assert_eq!(playbook.variables["stage_next"], json!(true));
            assert_eq!(playbook.variables["skip_derived"], Value::Null);
            assert_eq!(playbook.variables["entropy"], json!("_test"));
            assert!(playbook.steps[0].queries[0].template && !playbook.steps[1].queries[1].template);
            assert_eq!(playbook.warnings, Vec::<String>::new());
            let parts = playbook.parts().expect("parts");
            assert_eq!(parts.len(), 3, "set up, main, own: {parts:?}");
        }
    }

    #[test]
    fn the_command_line_overrides_with_the_type_of_what_it_overrides() {
        let playbook =
            read(MAIN, &[("stage_next", "false"), ("upsert_lookback", "7"), ("entropy", "_x"), ("new", "1")]);
        let variables = playbook.expect("read").variables;
        assert_eq!(variables["stage_next"], json!(false));
        assert_eq!(variables["upsert_lookback"], json!(7));
        assert_eq!(variables["entropy"], json!("_x"));
        assert_eq!(variables["new"], json!("1"));
        for (name, value) in [("stage_next", "perhaps"), ("upsert_lookback", "1; drop table")] {
            assert!(read(MAIN, &[(name, value)]).expect_err("refused").contains(name));
        }
    }

    #[test]
    fn what_is_no_playbook_is_an_error_with_its_place() {
        for (text, words) in [
            ("steps: [", "dir/01-sessions-main.yml.tmpl: "),
            ("steps: 1", "steps must be a list"),
            ("- a", "must be keys with values"),
            ("steps:\n- name: a\n  queries:\n  - name: b", "query 1 of step a needs a file"),
            ("targets:\n- type: oracle", "must be one of redshift, postgres"),
            ("targets:\n- host: [1]", "a target's host must be text"),
            ("variables: 3", "variables must be names with values"),
            ("steps:\n- queries: [{file: a, template: 3}]", "must be true or false"),
            ("a: {{.missing}}", "the variable .missing is not set"),
            ("a: &a [1]\nb: *c", "dir/01-sessions-main.yml.tmpl: "),
        ] {
            let error = read(text, &[]).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(read("# nothing\n\n", &[]).expect("read").steps, []);
        let warned = read("step: []\nsteps: [{queries: [{file: a, templat: true}]}]", &[]).expect("read").warnings;
        assert!(warned.len() == 2 && warned[0].contains("did you mean \"steps\""), "{warned:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_playbook_or_an_error(text in ".{0,300}") {
            if let Ok(playbook) = read(&text, &[]) { let _ = playbook.parts(); }
        }

        #[test]
        fn any_lines_are_a_playbook_or_an_error(lines in prop::collection::vec(prop::sample::select(vec![
            ":steps:", ":targets:", ":variables:", "- :name: a", "  :queries:", "    - :file: standard/03-sessions/01-main/x.sql", "      :template: true", "    - :file: own.sql",
            "  a: &x [*x, *x]", "  b: *x", "- [", "- {", "  type: bigquery", "\t:x: y", "{{range .a}}", "{{end}}", "? k", ": v", "--- ", "!!binary x", "  c: |", "    text",
        ]), 0..20)) {
            if let Ok(playbook) = read(&lines.join("\n"), &[]) { let _ = playbook.parts(); }
        }
    }
}

//! Playbook files: YAML that is a Go template, with or without a colon before each key. What they say becomes phases of
//! the model and users' own scripts.

use crate::script::read;
use crate::template::render;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::did_you_mean::nearest;
use websessions_core::error::Error;
use websessions_core::plan::Phase;

/// The largest playbook that is read, in bytes: as for templates.
const LARGEST: u64 = crate::template::LARGEST_TEMPLATE as u64;

/// A playbook as it is written, its variables overridden by the command line's.
#[derive(Clone, Debug)]
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
pub struct PlaybookStep {
    /// Its name.
    pub name: String,
    /// Its queries.
    pub queries: Vec<Query>,
}

/// A query of a step: one file of SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its name.
    pub name: String,
    /// The file, as it is written there.
    pub file: String,
    /// Whether the file is a template; else it is sent as it is.
    pub template: bool,
}

/// A target of a playbook: what is not blank, by the keys of playbooks.
#[derive(Clone, Default)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The backend that its type means, if it has a type.
    pub backend: Option<&'static str>,
    /// The other keys.
    values: BTreeMap<String, String>,
}

// A password may be among the values.
impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Target").field("name", &self.name).field("backend", &self.backend).finish()
    }
}

/// A part of a playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Standard steps: a phase of the model.
    Phase(Phase),
    /// Steps of a user's own.
    Custom(Vec<PlaybookStep>),
}

const TARGET_KEYS: &[&str] = &[
    "name",
    "type",
    "host",
    "database",
    "port",
    "username",
    "password",
    "region",
    "account",
    "warehouse",
    "project",
    "query_tag",
    "ssl",
    "private_key_path",
    "private_key_passphrase",
];

const TYPES: &[(&str, &str)] = &[
    ("redshift", "redshift"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("snowflake", "snowflake"),
    ("bigquery", "bigquery"),
];

impl Playbook {
    /// Reads a playbook. `overrides` are the command line's variables, as text: they take the type of what they override.
    pub fn read(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.display().to_string(), source };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > LARGEST {
            return Err(Error::configuration(format!("{}: larger than {LARGEST} bytes", path.display())));
        }
        Self::parse(path, &read(path)?, overrides)
    }

    /// Reads a playbook's text. `path` is for its errors and its name.
    pub fn parse(path: &Path, text: &str, overrides: &BTreeMap<String, String>) -> Result<Self, Error> {
        let wrong = |problem: String| Error::Configuration {
            message: format!("{}: {problem}", path.display()),
            hint: Some("a playbook has targets, variables and steps, as YAML".to_owned()),
        };
        let given = overrides.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        let yaml = render(path, &without_colons(text), &given)?.text;
        let root: Value = if yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            Value::Null
        } else {
            crate::yaml::read(&yaml).map_err(wrong)?
        };
        let mut reader = Reader { warnings: Vec::new() };
        let root = reader.table(root, "the playbook", &["targets", "variables", "steps"]).map_err(wrong)?;
        let mut variables: BTreeMap<String, Value> = match root.get("variables") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(map)) => map.clone().into_iter().collect(),
            Some(_) => return Err(wrong("variables must be names with values".to_owned())),
        };
        for (name, value) in overrides {
            let typed =
                typed_like(variables.get(name), value).map_err(|problem| wrong(format!("--var {name}: {problem}")))?;
            variables.insert(name.clone(), typed);
        }
        let targets = reader.list(root.get("targets"), "targets").map_err(wrong)?;
        let targets =
            targets.into_iter().map(|target| reader.target(target)).collect::<Result<_, _>>().map_err(wrong)?;
        let steps = reader.list(root.get("steps"), "steps").map_err(wrong)?;
        let steps = steps
            .into_iter()
            .enumerate()
            .map(|(number, step)| reader.step(step, number + 1))
            .collect::<Result<_, _>>()
            .map_err(wrong)?;
        Ok(Self { path: path.to_owned(), name: stem(path), targets, variables, steps, warnings: reader.warnings })
    }

    /// Its parts, in order.
    pub fn parts(&self) -> Result<Vec<Part>, Error> {
        let mut parts: Vec<Part> = Vec::new();
        for step in &self.steps {
            let phases: Vec<Option<Phase>> =
                step.queries.iter().map(|query| self.standard_phase(&query.file)).collect();
            let phase = phases.first().copied().flatten();
            if phases.iter().any(|other| *other != phase) {
                return Err(self.wrong(
                    format!("step {}: standard and custom queries in one step", step.name),
                    "move the custom ones into a step, or a playbook, of their own",
                ));
            }
            let stands_before = phase.is_some_and(|phase| parts.contains(&Part::Phase(phase)));
            let between = match parts.last() {
                Some(Part::Custom(steps)) => steps.last().map(|step| step.name.clone()).unwrap_or_default(),
                _ => String::new(),
            };
            match (phase, parts.last_mut()) {
                (Some(phase), Some(Part::Phase(last))) if *last == phase => {}
                // What a phase drops at its end, the destroying one drops too.
                (Some(Phase::Destroy), Some(Part::Phase(last @ Phase::Complete))) => *last = Phase::Destroy,
                (Some(Phase::Complete), Some(Part::Phase(Phase::Destroy))) => {}
                (Some(phase), _) if stands_before => {
                    return Err(self.wrong(
                        format!("the custom step {between} stands among the standard steps of {}", phase.name()),
                        "the standard steps are one phase of the model here: move the custom step after them",
                    ));
                }
                (Some(phase), _) => parts.push(Part::Phase(phase)),
                (None, Some(Part::Custom(steps))) => steps.push(step.clone()),
                (None, _) => parts.push(Part::Custom(vec![step.clone()])),
            }
        }
        Ok(parts)
    }

    /// The phases that it has.
    pub fn phases(&self) -> Vec<Phase> {
        let files = self.steps.iter().flat_map(|step| &step.queries).map(|query| &query.file);
        let mut phases: Vec<Phase> = files.filter_map(|file| self.standard_phase(file)).collect();
        phases.dedup();
        phases
    }

    /// The phase whose part a file is, if it is one of the model's own.
    fn standard_phase(&self, file: &str) -> Option<Phase> {
        let file = file.replace('\\', "/");
        let file = file.trim_start_matches("./");
        let of_name = |name: &str| {
            let name = name.to_lowercase();
            [("destroy", Phase::Destroy), ("complete", Phase::Complete), ("main", Phase::Main)]
                .into_iter()
                .find(|(word, _)| name.contains(word))
                .map(|(_, phase)| phase)
        };
        if let Some(rest) = file.strip_prefix("standard/03-sessions/") {
            return of_name(rest.split('/').next().unwrap_or_default())
                .or_else(|| of_name(&self.name))
                .or(Some(Phase::Main));
        }
        if file.starts_with("standard/00-setup/01-main/01-") {
            return of_name(&self.name).or(Some(Phase::Main));
        }
        None
    }

    /// An error of this file.
    pub(crate) fn wrong(&self, problem: impl std::fmt::Display, hint: &str) -> Error {
        Error::Configuration { message: format!("{}: {problem}", self.path.display()), hint: Some(hint.to_owned()) }
    }
}

/// A file's name without its endings.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned()
}

/// How the names of playbooks end.
pub(crate) const ENDINGS: &[&str] = &[".yml.tmpl", ".yaml.tmpl", ".yml", ".yaml"];

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
        Some(Value::Number(_)) => match serde_json::from_str(text) {
            Ok(Value::Number(number)) => Value::Number(number),
            _ => return Err(format!("must be a number, not {text:?}")),
        },
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

    fn target(&mut self, value: Value) -> Result<Target, String> {
        let map = self.table(value, "a target", TARGET_KEYS)?;
        let mut target = Target::default();
        for (key, value) in map.iter().filter(|(key, _)| TARGET_KEYS.contains(&key.as_str())) {
            let value =
                scalar(value).ok_or_else(|| format!("a target's {key} must be text, a number, true or false"))?;
            match key.as_str() {
                "name" => target.name = value,
                "type" if value.is_empty() => {}
                "type" => {
                    let backend = TYPES.iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
                    let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
                    let (_, backend) = backend
                        .ok_or_else(|| format!("a target's type must be one of {}, not {value:?}", names.join(", ")))?;
                    target.backend = Some(backend);
                }
                _ if value.is_empty() => {}
                _ => drop(target.values.insert(key.clone(), value)),
            }
        }
        Ok(target)
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

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

impl Target {
    /// Its settings, as the backend of its type names them. Blank ones are left out, to come from elsewhere.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::new();
        for (key, value) in &self.values {
            let (name, value) = match (self.backend.unwrap_or_default(), key.as_str()) {
                (_, "username") => ("user", value.clone()),
                // Keys of the other warehouses.
                ("bigquery", "project") => ("project", value.clone()),
                ("bigquery", "region") => ("location", value.clone()),
                ("bigquery", _) => continue,
                ("snowflake", "account") => {
                    // The region is a part of the account's host name, where it isn't the default one.
                    let region =
                        self.values.get("region").filter(|_| !value.contains('.')).map(|region| format!(".{region}"));
                    ("account", format!("{value}{}", region.unwrap_or_default()))
                }
                (
                    "snowflake",
                    "password" | "warehouse" | "database" | "query_tag" | "private_key_path" | "private_key_passphrase",
                ) => (key.as_str(), value.clone()),
                ("snowflake", _) => continue,
                (_, "host" | "port" | "password" | "database") => (key.as_str(), value.clone()),
                // Without it, TLS verifies.
                (_, "ssl") if value.eq_ignore_ascii_case("false") => ("sslmode", "disable".to_owned()),
                _ => continue,
            };
            settings.insert(name.to_owned(), value);
        }
        settings
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
            assert!(
                matches!(parts.as_slice(), [Part::Phase(Phase::Main), Part::Custom(steps)] if steps[0].name == "own")
            );
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
    fn phases_are_known_by_their_files() {
        let phases = |name: &str, files: &[&str]| {
            let steps: String =
                files.iter().map(|file| format!("- name: {file}\n  queries: [{{name: q, file: {file}}}]\n")).collect();
            let playbook =
                Playbook::parse(Path::new(name), &format!("steps:\n{steps}"), &BTreeMap::new()).expect("read");
            playbook.parts().map_err(|error| error.to_string())
        };
        let complete = "standard/03-sessions/99-complete/01-truncate.sql";
        let destroy = "standard/03-sessions/XX-destroy/01-destroy.sql";
        let main = "standard/03-sessions/01-main/01-a.sql";
        assert_eq!(
            phases("99-sessions-complete.yml.tmpl", &[complete, complete]),
            Ok(vec![Part::Phase(Phase::Complete)])
        );
        assert_eq!(phases("XX-destroy-sessions.yml.tmpl", &[complete, destroy]), Ok(vec![Part::Phase(Phase::Destroy)]));
        assert_eq!(
            phases("all.yml", &[main, complete]),
            Ok(vec![Part::Phase(Phase::Main), Part::Phase(Phase::Complete)])
        );
        assert!(phases("all.yml", &[main, "own.sql", main]).expect_err("refused").contains("own.sql stands among"));
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

    #[test]
    fn settings_have_the_backends_names() {
        let settings = |text: &str| {
            read(&format!("targets:\n- {}", text.replace(", ", "\n  ")), &[]).expect("read").targets[0].settings()
        };
        let of = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            settings("type: SNOWFLAKE, account: acme, region: eu-west-1, username: u, warehouse: w, host: x"),
            of(&[("account", "acme.eu-west-1"), ("user", "u"), ("warehouse", "w")])
        );
        assert_eq!(
            settings("type: bigquery, project: p, region: EU, password: x"),
            of(&[("project", "p"), ("location", "EU")])
        );
        assert_eq!(
            settings("type: postgresql, host: h, ssl: false, username: u"),
            of(&[("host", "h"), ("sslmode", "disable"), ("user", "u")])
        );
        assert!(!format!("{:?}", read("targets: [{type: postgres, password: s3cret}]", &[])).contains("s3cret"));
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

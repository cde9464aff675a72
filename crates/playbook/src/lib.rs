//! Users' own SQL: Go templates with their variables, as plans of scripts.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use websessions_core::error::Error;
use websessions_core::plan::{Plan, Statement, Step, Unit};

/// A module of a user's own, run between main and complete.
#[derive(Clone, Debug)]
pub struct CustomModule {
    /// Its name.
    pub name: String,
    /// Its SQL files, run in this order.
    pub files: Vec<PathBuf>,
    /// Its own variables; they come before the model's of the same name.
    pub variables: BTreeMap<String, Value>,
}

impl CustomModule {
    /// Reads and renders its files: one step a file, one script a step.
    pub fn plan(&self, model_variables: &BTreeMap<String, Value>, dialect: &str) -> Result<Plan, Error> {
        let mut variables = model_variables.clone();
        variables.extend(self.variables.clone());
        let mut steps = Vec::new();
        for file in &self.files {
            let template = std::fs::read_to_string(file)
                .map_err(|source| Error::File { path: file.display().to_string(), source })?;
            let sql = render(file, &template, &variables)?;
            let name = file.file_stem().map_or_else(|| self.name.clone(), |stem| stem.to_string_lossy().into_owned());
            let purpose = format!("custom module {}", self.name);
            let script = Unit::Script(Statement::new(file.display().to_string(), sql));
            steps.push(Step { name, purpose, units: vec![script] });
        }
        Ok(Plan { name: self.name.clone(), dialect: dialect.to_owned(), steps })
    }
}

/// Renders a Go template. A variable that is not set and would be printed as `<no value>` is an error.
pub fn render(file: &Path, template: &str, variables: &BTreeMap<String, Value>) -> Result<String, Error> {
    let failed = |problem: String| Error::Configuration {
        message: format!("{}: {problem}", file.display()),
        hint: Some("SQL files are Go templates: {{.name}} is a variable".to_owned()),
    };
    let context = gtmpl::Context::from(gtmpl_value::Value::Map(
        variables.iter().map(|(name, value)| (name.clone(), go_value(value))).collect(),
    ));
    let mut parsed = gtmpl::Template::default();
    parsed.add_func("eq", equals_any);
    parsed.parse(template).map_err(|error| failed(error.to_string()))?;
    let rendered = parsed.render(&context).map_err(|error| failed(error.to_string()))?;
    match rendered.lines().position(|line| line.contains(NO_VALUE)) {
        Some(line) => Err(failed(format!("line {} of the rendered SQL prints a variable that is not set", line + 1))),
        None => Ok(rendered),
    }
}

/// Go's `eq`: whether the first argument equals any of the others. (The template engine's own asks for all.)
/// <https://pkg.go.dev/text/template#hdr-Functions>
fn equals_any(arguments: &[gtmpl_value::Value]) -> Result<gtmpl_value::Value, gtmpl_value::FuncError> {
    match arguments {
        [first, others @ ..] if !others.is_empty() => Ok(others.contains(first).into()),
        _ => Err(gtmpl_value::FuncError::AtLeastXArgs("eq".into(), 2)),
    }
}

const NO_VALUE: &str = "<no value>";

fn go_value(value: &Value) -> gtmpl_value::Value {
    match value {
        Value::Null => gtmpl_value::Value::Nil,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(float)) => float.into(),
            (None, None) => gtmpl_value::Value::Nil,
        },
        Value::String(text) => text.clone().into(),
        Value::Array(items) => gtmpl_value::Value::Array(items.iter().map(go_value).collect()),
        Value::Object(map) => {
            gtmpl_value::Value::Map(map.iter().map(|(name, value)| (name.clone(), go_value(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(template: &str) -> Result<String, String> {
        let variables: BTreeMap<String, Value> = [
            ("schema", json!("scratch")),
            ("days", json!(7)),
            ("debug", json!(false)),
            ("mode", json!("trace")),
            ("none", Value::Null),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        render(Path::new("custom.sql"), template, &variables).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_defaults_and_conditions_are_gos() {
        assert_eq!(rendered("{{.schema}}.t {{.days}}").as_deref(), Ok("scratch.t 7"));
        assert_eq!(rendered("{{or .debug 30}}").as_deref(), Ok("30"));
        assert_eq!(rendered("{{if eq .mode \"debug\" \"trace\"}}kept{{else}}dropped{{end}}").as_deref(), Ok("kept"));
        assert_eq!(rendered("{{if ne (or .debug false) true}}insert{{end}}").as_deref(), Ok("insert"));
    }

    #[test]
    fn a_missing_variable_has_a_default_and_is_an_error_when_printed() {
        assert_eq!(rendered("{{or .missing 30}}").as_deref(), Ok("30"));
        assert_eq!(rendered("{{or .none 30}}").as_deref(), Ok("30"));
        assert!(rendered("a {{.missing}} b").is_err());
    }

    #[test]
    fn a_broken_template_is_an_error() {
        for template in ["{{", "{{if}}", "{{end}}", "{{.a | nothing}}"] {
            assert!(rendered(template).expect_err("refused").starts_with("custom.sql: "), "{template}");
        }
    }
}

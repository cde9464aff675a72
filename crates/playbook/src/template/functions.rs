//! The functions that templates have: those of playbooks, and Go's own that make text, within the budget.

use super::layout::Moment;
use super::mark::MARK;
use super::printf::{sprint, sprintf};
use super::work::{STEP, Work};
use gotmpl::{Template, TemplateError, Value};

type Function = fn(&[Value]) -> gotmpl::Result<Value>;

/// The functions that playbooks have beyond Go's own, and one of Go's that takes a value alone.
pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("nowWithFormat", now_with_format),
    ("systemEnv", system_env),
    ("randomInt", random_int),
    ("index", index),
    ("awsEnvCredentials", no_aws_credentials),
    ("awsProfileCredentials", no_aws_credentials),
    ("awsChainCredentials", no_aws_credentials),
    ("awsEC2RoleCredentials", no_aws_credentials),
];

/// Go's functions that make text.
pub(super) const TEXT_FUNCTIONS: &[&str] = &["print", "println", "printf", "html", "js", "urlquery"];

fn one_text<'a>(name: &str, arguments: &'a [Value]) -> gotmpl::Result<&'a str> {
    match arguments {
        [Value::String(text)] => Ok(text),
        _ => Err(TemplateError::Exec(format!("{name} takes one text"))),
    }
}

fn now_with_format(arguments: &[Value]) -> gotmpl::Result<Value> {
    let layout = one_text("nowWithFormat", arguments)?;
    Ok(Value::String(Moment::now().in_layout(layout).into()))
}

/// A variable of the environment; nothing if it is not set, as in Go.
fn system_env(arguments: &[Value]) -> gotmpl::Result<Value> {
    let name = one_text("systemEnv", arguments)?;
    let value = if name.is_empty() || name.contains(['=', '\0']) { None } else { std::env::var(name).ok() };
    let value = value.unwrap_or_default();
    if value.contains(MARK) {
        return Err(TemplateError::Exec(format!("the environment variable {name} holds a noncharacter")));
    }
    Ok(Value::String(value.into()))
}

fn random_int(_arguments: &[Value]) -> gotmpl::Result<Value> {
    Ok(Value::Int(fastrand::i64(0..)))
}

fn index(arguments: &[Value]) -> gotmpl::Result<Value> {
    let (value, indices) =
        arguments.split_first().ok_or_else(|| TemplateError::Exec("index takes a value first".to_owned()))?;
    indices.iter().try_fold(value.clone(), |value, index| value.index(index))
}

fn no_aws_credentials(_arguments: &[Value]) -> gotmpl::Result<Value> {
    Err(TemplateError::Exec(
        "AWS credentials in SQL are not supported: use COPY … IAM_ROLE, or systemEnv \"NAME\"".to_owned(),
    ))
}

/// Go's own function of that name, within the budget. Nothing is never text: Go would print `<nil>`.
pub(super) fn text_function(name: &str, arguments: &[Value], work: &Work) -> gotmpl::Result<Value> {
    if arguments.iter().any(|argument| matches!(argument, Value::Nil)) {
        return Err(TemplateError::Exec(format!("{name} of a variable that is not set")));
    }
    let texts: Vec<String> = arguments.iter().map(sprint).collect();
    let size: usize = texts.iter().map(String::len).sum();
    work.charge(size.saturating_mul(6).saturating_add(STEP))?;
    let text = match (name, arguments) {
        ("printf", [Value::String(format), rest @ ..]) => sprintf(format, rest, |size| work.charge(size))?,
        ("printf", _) => return Err(TemplateError::Exec("printf takes a format first, as text".to_owned())),
        ("println", _) => texts.join(" ") + "\n",
        ("print", _) => joined(arguments, &texts),
        // Of several, Go escapes what it would print of them.
        _ => escaped(name, &joined(arguments, &texts))?,
    };
    Ok(Value::String(text.into()))
}

/// Texts one after the other, with a blank between two values that are no text.
fn joined(values: &[Value], texts: &[String]) -> String {
    let is_text = |number: usize| matches!(values.get(number), Some(Value::String(_)));
    let parts = texts.iter().enumerate().map(|(number, text)| {
        let apart = number > 0 && !is_text(number) && !is_text(number - 1);
        format!("{}{text}", if apart { " " } else { "" })
    });
    parts.collect()
}

fn escaped(name: &str, text: &str) -> gotmpl::Result<String> {
    Template::new("").parse(&format!("{{{{{name} .}}}}"))?.execute_to_string(&Value::String(text.into()))
}

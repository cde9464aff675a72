//! Go text/template, as custom SQL and playbooks use it: with the line of the template for each line of the result, an
//! error where Go would print `<no value>`, and a bound on the work that a template may ask for.
//! Source: <https://pkg.go.dev/text/template>.

mod check;
mod dynamic;
mod functions;
#[cfg(test)]
mod go_answers;
mod layout;
mod mark;
mod printf;
mod uses;
mod work;

pub(crate) use dynamic::Kept;
pub use mark::Rendered;
pub use uses::Use;

use check::{check_ends, check_tree};
use functions::{FUNCTIONS, TEXT_FUNCTIONS, text_function};
use gotmpl::{Template, TemplateError, Value as GoValue};
use mark::{AT, MARK, Marker, NOTHING, PRINTED, without_marks};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uses::uses_of_list;
use websessions_core::did_you_mean::nearest;
use websessions_core::error::Error;
use work::{STEP, Work, too_much};

/// The largest template that is read, in bytes.
pub(crate) const LARGEST_TEMPLATE: usize = 1 << 20;

/// The largest result, in bytes.
const LARGEST_RESULT: usize = 16 << 20;

/// Renders a template. `file` is for its errors.
pub fn render(file: &Path, template: &str, variables: &BTreeMap<String, Value>) -> Result<Rendered, Error> {
    rendered(file, template, variables, None)
}

/// Renders a template, but for its actions that print what changes, such as the time: these are kept.
pub(crate) fn render_the_settled(
    file: &Path,
    template: &str,
    variables: &BTreeMap<String, Value>,
) -> Result<(Rendered, Kept), Error> {
    let kept = Kept::default();
    rendered(file, template, variables, Some(&kept)).map(|rendered| (rendered, kept))
}

fn rendered(
    file: &Path,
    template: &str,
    variables: &BTreeMap<String, Value>,
    kept: Option<&Kept>,
) -> Result<Rendered, Error> {
    let work = Arc::new(Work::default());
    let failed = |error: &TemplateError| failed(file, error, work.line.load(Ordering::Relaxed));
    let parsed = parse(template, &work, variables).map_err(|error| failed(&error))?;
    let names: Vec<String> = parsed.templates().into_iter().map(str::to_owned).collect();
    let marker = Marker::new(template).keeping(kept);
    let marked = names.iter().filter_map(|name| Some((name, marker.list(parsed.lookup(name)?)))).collect::<Vec<_>>();
    let main_is_empty = !names.iter().any(|name| name == MAIN);
    let prepared = marked.into_iter().fold(parsed.clone(), |parsed, (name, tree)| parsed.add_parse_tree(name, tree));
    let mut marked = Bounded::default();
    if !main_is_empty {
        prepared
            .execute_template_fmt(&mut marked, MAIN, &GoValue::Map(Arc::new(go_map(variables))))
            .map_err(|error| if marked.full { failed(&too_much()) } else { failed(&error) })?;
    }
    Ok(without_marks(&marked.text))
}

/// The variables that a template reads, where `.` is the variables: not within `range` and `with`, which change it.
pub fn uses(file: &Path, template: &str) -> Result<Vec<Use>, Error> {
    let work = Arc::new(Work::default());
    let parsed = parse(template, &work, &BTreeMap::new()).map_err(|error| failed(file, &error, 0))?;
    let mut uses = Vec::new();
    for name in parsed.templates() {
        if let Some(tree) = parsed.lookup(name) {
            uses_of_list(tree, true, &mut uses);
        }
    }
    uses.sort();
    uses.dedup();
    Ok(uses)
}

/// The name of the whole template among those that it defines.
const MAIN: &str = "template";

fn parse(template: &str, work: &Arc<Work>, variables: &BTreeMap<String, Value>) -> gotmpl::Result<Template> {
    if template.len() > LARGEST_TEMPLATE {
        return Err(TemplateError::Exec(format!("larger than {LARGEST_TEMPLATE} bytes")));
    }
    if template.contains(MARK) {
        return Err(TemplateError::Exec("holds a noncharacter, U+FDD0 or U+FDD1".to_owned()));
    }
    check_ends(template)?;
    let mut parser = Template::new(MAIN);
    for (name, function) in FUNCTIONS {
        parser = parser.func(name, function);
    }
    for name in TEXT_FUNCTIONS {
        let work = Arc::clone(work);
        parser = parser.func(name, move |arguments| text_function(name, arguments, &work));
    }
    let at = Arc::clone(work);
    let names: Vec<String> = variables.keys().cloned().collect();
    let parsed = parser
        .func(AT, move |arguments| {
            at.line.store(
                arguments.first().and_then(GoValue::as_int).unwrap_or(0).unsigned_abs() as usize,
                Ordering::Relaxed,
            );
            at.charge(STEP)?;
            Ok(GoValue::String("".into()))
        })
        .func(NOTHING, |_| Ok(GoValue::Nil))
        .func(PRINTED, move |arguments| match arguments {
            [GoValue::String(what), GoValue::Nil] => Err(TemplateError::Exec(not_set(what, &names))),
            [_, GoValue::String(text)] => Ok(GoValue::String(Arc::clone(text))),
            [_, value] => Ok(GoValue::String(printf::sprint(value).into())),
            _ => Ok(GoValue::Nil),
        })
        .parse(template)?;
    parsed
        .templates()
        .into_iter()
        .filter_map(|name| parsed.lookup(name))
        .try_for_each(|tree| check_tree(template, tree))?;
    Ok(parsed)
}

fn not_set(what: &str, known: &[String]) -> String {
    let unknown = what.split(' ').find(|name| !known.iter().any(|known| format!(".{known}") == *name));
    let Some(variable) = unknown else { return format!("the variable {what} is there, and has no value") };
    let meant = nearest(variable.trim_start_matches('.'), known.iter().map(String::as_str));
    let meant = meant.filter(|name| format!(".{name}") != variable).map(|name| format!("; did you mean .{name}?"));
    match variable {
        "" => "prints no value: a variable is not set".to_owned(),
        variable => format!("the variable {variable} is not set{}", meant.unwrap_or_default()),
    }
}

fn failed(file: &Path, error: &TemplateError, line: usize) -> Error {
    let (line, problem) = match error {
        TemplateError::Parse { line, col, message, .. } | TemplateError::Lex { line, col, message, .. } => {
            (format!(":{line}:{col}"), message.clone())
        }
        TemplateError::Exec(message) => (at_line(line), message.clone()),
        other => (at_line(line), other.to_string()),
    };
    Error::Configuration {
        message: printable(&format!("{}{line}: {problem}", file.display())),
        hint: Some("this is a Go template: {{.name}} is a variable, {{or .name 30}} one with a default".to_owned()),
    }
}

/// Without characters that a terminal would act on: a template may hold any.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let itself = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(itself)
        })
        .collect()
}

fn at_line(line: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}

/// A result that stops at its largest size.
#[derive(Default)]
struct Bounded {
    text: String,
    full: bool,
}

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.text.len() + text.len() > LARGEST_RESULT {
            self.full = true;
            return Err(std::fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

fn go_map(variables: &BTreeMap<String, Value>) -> BTreeMap<Arc<str>, GoValue> {
    variables.iter().map(|(name, value)| (Arc::from(name.as_str()), go_value(value))).collect()
}

fn go_value(value: &Value) -> GoValue {
    match value {
        Value::Null => GoValue::Nil,
        Value::Bool(truth) => GoValue::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => GoValue::Int(whole),
            (_, Some(whole), _) => GoValue::Uint(whole),
            (.., Some(float)) => GoValue::Float(float),
            (None, None, None) => GoValue::Nil,
        },
        // Marks are ours alone.
        Value::String(text) => GoValue::String(text.replace(MARK, "").into()),
        Value::Array(items) => GoValue::List(items.iter().map(go_value).collect()),
        Value::Object(map) => GoValue::Map(Arc::new(
            map.iter().map(|(name, value)| (Arc::from(name.as_str()), go_value(value))).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn variables() -> BTreeMap<String, Value> {
        let Value::Object(map) = json!({
            "schema": "scratch", "days": 7, "debug": false, "mode": "trace", "none": null, "zero": 0, "empty": "",
            "yes": true, "list": ["a", "b"], "map": {"inner": "x"},
        }) else {
            return BTreeMap::new();
        };
        map.into_iter().collect()
    }

    fn rendered(template: &str) -> Result<String, String> {
        render(Path::new("custom.sql"), template, &variables())
            .map(|rendered| rendered.text)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_language_is_gos() {
        for (template, expected) in [
            // Variables, defaults.
            ("{{.schema}}.t {{.days}}", "scratch.t 7"),
            ("{{or .days 30}}", "7"),
            ("{{or .missing 30}} {{or .none 30}} {{or .zero 30}} {{or .debug 30}} {{or .empty 30}}", "30 30 30 30 30"),
            ("{{or .missing .none \"x\"}}", "x"),
            // Any of.
            ("{{if eq .mode \"debug\" \"trace\"}}kept{{else}}dropped{{end}}", "kept"),
            ("{{if eq .mode \"debug\" \"all\"}}kept{{else}}dropped{{end}}", "dropped"),
            ("{{if ne (or .debug false) true}}insert{{end}}", "insert"),
            ("{{if ne (or .yes false) true}}insert{{end}}", ""),
            ("{{if eq .missing true}}a{{else}}b{{end}}{{if eq .none true}}a{{else}}b{{end}}", "bb"),
            ("{{if eq .yes true}}a{{end}}{{if eq .debug true}}b{{else}}c{{end}}", "ac"),
            ("{{if .missing}}a{{else if .yes}}b{{else}}c{{end}}", "b"),
            ("{{if and .yes (not .debug)}}a{{end}}", "a"),
            // Pipelines, trimming, comments.
            ("{{.days | printf \"%03d\"}}", "007"),
            ("a  {{- /* b */ -}}  c", "ac"),
            ("a {{- .days -}} b", "a7b"),
            ("a{{/* {{ not an action */}}b", "ab"),
            // range, with, define, variables of the template's own.
            ("{{range .list}}[{{.}}]{{end}}", "[a][b]"),
            ("{{range $i, $x := .list}}{{if $i}}, {{end}}{{$x}}{{end}}", "a, b"),
            ("{{range .missing}}x{{else}}none{{end}}", "none"),
            ("{{with .map}}{{.inner}}{{$.days}}{{end}}", "x7"),
            ("{{with .missing}}a{{else}}b{{end}}", "b"),
            ("{{if .debug}}a{{else with .days}}{{.}}{{end}}", "7"),
            ("{{block \"b\" .days}}{{.}}{{end}}", "7"),
            ("{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .days}}", "<7>"),
            ("{{$x := 1}}{{if .yes}}{{$x = 2}}{{end}}{{$x}}", "2"),
            ("{{\"}}\"}}{{`raw`}}", "}}raw"),
            ("{{print \"a\" 1 2}}{{printf \"%q\" \"x\"}}{{len .list}}{{index .list 1}}", "a1 2\"x\"2b"),
            // Text that looks like what Go prints for nothing is text.
            ("'<no value>'", "'<no value>'"),
            ("", ""),
            ("no action;\n", "no action;\n"),
            ("{{randomInt | printf \"%d\" | len | lt 0}}", "true"),
            ("{{systemEnv \"THIS_IS_NOT_SET\"}}", ""),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_go_prints_for_nothing_is_an_error_with_its_place() {
        for (template, message) in [
            ("a\nb {{.missing}}", "custom.sql:2: the variable .missing is not set"),
            ("{{.none}}", "custom.sql:1: the variable .none is there, and has no value"),
            ("\n\n{{.schem}}", "custom.sql:3: the variable .schem is not set; did you mean .schema?"),
            ("{{.map.other}}", "custom.sql:1: the variable .map is there, and has no value"),
            ("{{or .missing .none}}", "custom.sql:1: the variable .missing is not set"),
            ("{{print .missing}}", "custom.sql:1: print of a variable that is not set"),
            ("{{if .yes}}\n{{.missing}}{{end}}", "custom.sql:2: the variable .missing is not set"),
        ] {
            assert_eq!(rendered(template).expect_err(template), message);
        }
        // What is not run is not printed.
        assert_eq!(rendered("{{if .debug}}{{.missing}}{{end}}").as_deref(), Ok(""));
    }

    #[test]
    fn a_broken_template_is_an_error_with_its_place() {
        for (template, place) in [
            ("{{", "custom.sql:1:"),
            ("a\n{{if}}{{end}}", "custom.sql:2:"),
            ("a\n{{end}} b", "custom.sql: an {{end}} or {{else}} that belongs to nothing, after line 2"),
            ("{{else}}", "custom.sql: an {{end}} or {{else}} that belongs to nothing, after line 1"),
            ("{{if .yes}}{{end}}{{- end}} b", "custom.sql: an {{end}}"),
            ("{{end}}", "custom.sql: an {{end}}"),
            ("a\n  {{if .yes}} b", "custom.sql:2:5: this has no {{end}}"),
            ("{{range .list}}\n{{if .yes}}{{else}} b", "custom.sql:2:3: this has no {{end}}"),
            ("{{if .yes}}\n{{with .map}}{{end}}", "custom.sql:1:3: this has no {{end}}"),
            ("{{define \"t\"}}\n{{range .list}}{{end}}", "custom.sql:1:3: this has no {{end}}"),
            ("{{block \"t\" .}} b", "custom.sql:1:3: this has no {{end}}"),
            ("\n{{.a | nothing}}", "custom.sql:2"),
            ("\n{{template \"nothing\"}}", "custom.sql:2"),
            ("{{awsEnvCredentials}}", "custom.sql:1: AWS credentials in SQL are not supported"),
        ] {
            let error = rendered(template).expect_err(template);
            assert!(error.starts_with(place), "{template}: {error}");
        }
    }

    #[test]
    fn no_template_asks_for_more_than_the_budget() {
        let doubling = format!("{{{{$x := \"0123456789\"}}}}{}{{{{$x}}}}", "{{$x = print $x $x}}".repeat(60));
        let calls: String = (0..60)
            .map(|n| {
                format!(
                    "{{{{define \"t{n}\"}}}}{{{{template \"t{}\"}}}}{{{{template \"t{}\"}}}}{{{{end}}}}",
                    n + 1,
                    n + 1
                )
            })
            .collect();
        for template in [
            "{{range 1000000000}}{{end}}".to_owned(),
            "{{range 1000000000}}some text{{end}}".to_owned(),
            "{{range 100000}}{{range 100000}}{{end}}{{end}}".to_owned(),
            "{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}".to_owned(),
            format!("{calls}{{{{define \"t60\"}}}}{{{{end}}}}{{{{template \"t0\"}}}}"),
            doubling,
            format!("{{{{printf \"{}\"}}}}", "%65535d".repeat(10_000)),
            "{{\"\\\\\" ".to_owned() + &"| js ".repeat(64) + "}}",
            "(".repeat(LARGEST_TEMPLATE + 1),
            "{{".to_owned() + &"(".repeat(100_000),
            "{{if .x}}".repeat(50_000),
        ] {
            assert!(rendered(&template).is_err(), "{}", &template[..template.len().min(80)]);
        }
    }

    #[test]
    fn each_line_of_the_result_knows_its_line_of_the_template() {
        let template = "-- 1\n{{if .yes}}\nthree {{.days}}\n{{- end}}\n{{range .list}}\nsix {{.}}\n{{end}}eight\n{{/*\n*/ -}}\n\neleven {{or\n.days 1}}\nthirteen";
        let result = render(Path::new("t"), template, &variables()).expect("rendered");
        let lines: Vec<(&str, usize)> = result.text.lines().zip(result.lines.iter().copied()).collect();
        for (text, line) in
            [("-- 1", 1), ("three 7", 3), ("six a", 6), ("six b", 6), ("eight", 7), ("eleven 7", 11), ("thirteen", 13)]
        {
            assert!(lines.contains(&(text, line)), "{text} {line}: {lines:?}");
        }
        assert_eq!(result.lines.len(), result.text.lines().count());
    }

    #[test]
    fn variables_that_a_template_reads_are_known() {
        let found =
            uses(Path::new("t"), "{{.a}}\n{{or .b 1}}{{if eq .c 1}}{{.d}}{{end}}\n{{range .e}}{{.not}}{{$.f}}{{end}}");
        let found = found.expect("parsed");
        let found: Vec<(&str, usize, bool)> =
            found.iter().map(|used| (used.name.as_str(), used.line, used.printed)).collect();
        assert_eq!(
            found,
            [("a", 1, true), ("b", 2, false), ("c", 2, false), ("d", 2, true), ("e", 3, false), ("f", 3, true)]
        );
    }

    proptest! {
        #[test]
        fn any_text_renders_or_is_an_error(template in ".{0,200}") {
            let _ = rendered(&template);
        }

        #[test]
        fn any_sequence_of_tokens_renders_or_is_an_error(tokens in prop::collection::vec(prop::sample::select(vec![
            "{{", "}}", "{{-", "-}}", "if ", "else ", "end", "range ", "with ", "define ", "template ", "block ", "break", "\"t\" ", ".x ", ".list ", "$x ",
            ":= ", "= ", "$ ", "| ", "(", ")", "or ", "eq ", "print ", "printf ", "index ", "slice ", "len ", "call ", "js ", "1 ", "1e400 ", "'a' ", "`b` ", "\n", "text ", "/*", "*/",
        ]), 0..40)) {
            let _ = rendered(&tokens.concat());
        }

        #[test]
        fn text_without_actions_stays_as_it_is(text in "[^{]{0,200}") {
            if !text.contains(MARK) && !text.trim().is_empty() {
                prop_assert_eq!(rendered(&text), Ok(text));
            }
        }
    }
}

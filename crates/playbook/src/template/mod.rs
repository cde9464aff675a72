//! Go text/template, as custom SQL and playbooks use it: with the line of the template for each line of the result, an
//! error where Go would print `<no value>`, and a bound on the work that a template may ask for.
//! Source: <https://pkg.go.dev/text/template>.

mod check;
mod dynamic;
mod functions;
#[cfg(test)]
mod go_answers;
mod layout;
mod printf;

use check::{check_ends, check_tree};
pub(crate) use dynamic::Kept;
use functions::{FUNCTIONS, TEXT_FUNCTIONS, text_function};
use gotmpl::parse::{ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos, TemplateNode, TextNode};
use gotmpl::{Template, TemplateError, Value as GoValue};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use websessions_core::did_you_mean::nearest;
use websessions_core::error::Error;

/// The largest template that is read, in bytes.
pub const LARGEST_TEMPLATE: usize = 1 << 20;

/// The work that one rendering may do: bytes that are written or joined, and `STEP` for each action that is run.
const BUDGET: usize = 64 << 20;
const STEP: usize = 64;

/// The largest result, in bytes.
const LARGEST_RESULT: usize = 16 << 20;

/// Noncharacters, which no text has, around the number of a template's line.
const MARK: [char; 2] = ['\u{FDD0}', '\u{FDD1}'];

/// A function of ours that stands before each action, and one behind each that prints.
const AT: &str = "_at";
const PRINTED: &str = "_printed";

/// A rendered template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// For each line of the text, the line of the template that it comes from, from 1.
    pub lines: Vec<usize>,
}

/// A variable that a template reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Its name.
    pub name: String,
    /// The template's line, from 1.
    pub line: usize,
    /// Whether it is printed as it is, so that it must be set.
    pub printed: bool,
}

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
    let marker = Marker { kept, ..Marker::new(template) };
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

#[derive(Default)]
struct Work {
    done: AtomicUsize,
    /// The line of the action that is run.
    line: AtomicUsize,
}

impl Work {
    fn charge(&self, amount: usize) -> gotmpl::Result<()> {
        if self.done.fetch_add(amount, Ordering::Relaxed).saturating_add(amount) > BUDGET {
            return Err(too_much());
        }
        Ok(())
    }
}

fn too_much() -> TemplateError {
    TemplateError::Exec("the template asks for too much work or text".to_owned())
}

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
    let variable = what.split(' ').find(|name| !known.iter().any(|known| format!(".{known}") == *name)).unwrap_or(what);
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

/// Takes the marks out of a text, and notes for each line the first line of the template that has a part in it.
fn without_marks(marked: &str) -> Rendered {
    let mut text = String::with_capacity(marked.len());
    let (mut lines, mut last, mut here) = (Vec::new(), 1, None);
    let mut rest = marked;
    while let Some(character) = rest.chars().next() {
        if character == MARK[0]
            && let Some(end) = rest.find(MARK[1])
        {
            last = rest[character.len_utf8()..end].parse().unwrap_or(last);
            here = here.or(Some(last));
            rest = &rest[end + MARK[1].len_utf8()..];
            continue;
        }
        text.push(character);
        rest = &rest[character.len_utf8()..];
        if character == '\n' {
            lines.push(here.take().unwrap_or(last));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        lines.push(here.unwrap_or(last));
    }
    Rendered { text, lines }
}

fn mark(line: usize) -> Node {
    Node::Text(TextNode { pos: Pos::new(0, line), text: format!("{}{line}{}", MARK[0], MARK[1]).into() })
}

/// An action that says where we are.
fn at(line: usize) -> Node {
    let pos = Pos::new(0, line);
    let line = gotmpl::parse::Number::Int(i64::try_from(line).unwrap_or(0));
    let command = CommandNode { pos, args: vec![Expr::Identifier(pos, AT.into()), Expr::Number(pos, line)] };
    let pipe = PipeNode { pos, decl: Vec::new(), commands: vec![command], is_assign: false };
    Node::Action(ActionNode { pos, pipe })
}

/// Puts marks into a parsed template.
struct Marker<'a> {
    template: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// Where actions that print what changes are kept, if they are not to be rendered.
    kept: Option<&'a Kept>,
}

impl<'a> Marker<'a> {
    fn new(template: &'a str) -> Self {
        let starts = std::iter::once(0).chain(template.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { template, starts, kept: None }
    }

    /// The line that a text begins on. Its position is that of what it was before blanks were trimmed.
    fn line(&self, text: &TextNode) -> usize {
        let trimmed = self.template.get(text.pos.offset..).and_then(|rest| rest.find(&*text.text)).unwrap_or(0);
        self.starts.partition_point(|start| *start <= text.pos.offset + trimmed)
    }

    fn list(&self, list: &ListNode) -> ListNode {
        // An empty body costs work too, where a loop or a recursion runs it.
        let mut nodes = vec![at(list.pos.line)];
        for node in &list.nodes {
            match node {
                Node::Text(text) => {
                    let line = self.line(text);
                    for (number, part) in text.text.split_inclusive('\n').enumerate() {
                        nodes.push(mark(line + number));
                        nodes.push(Node::Text(TextNode { pos: text.pos, text: part.into() }));
                    }
                }
                Node::Action(action) => {
                    nodes.extend([at(action.pos.line), mark(action.pos.line)]);
                    nodes.push(match self.kept.and_then(|kept| kept.keep(&action.pipe)) {
                        Some(text) => Node::Text(TextNode { pos: action.pos, text: text.into() }),
                        None => Node::Action(checked_action(action)),
                    });
                }
                Node::If(branch) => nodes.extend([at(branch.pos.line), Node::If(self.branch(branch))]),
                Node::Range(branch) => nodes.extend([at(branch.pos.line), Node::Range(self.branch(branch))]),
                Node::With(branch) => nodes.extend([at(branch.pos.line), Node::With(self.branch(branch))]),
                Node::List(list) => nodes.push(Node::List(self.list(list))),
                Node::Template(template) => nodes.extend([at(template.pos.line), node.clone()]),
                Node::Define(_) | Node::Break(_) | Node::Continue(_) => nodes.push(node.clone()),
            }
        }
        ListNode { pos: list.pos, nodes }
    }

    fn branch(&self, branch: &BranchNode) -> BranchNode {
        if let Some(kept) = self.kept {
            kept.settle(&branch.pipe);
        }
        BranchNode {
            body: self.list(&branch.body),
            else_body: branch.else_body.as_ref().map(|body| self.list(body)),
            ..branch.clone()
        }
    }
}

/// What an action prints goes through a function of ours, which refuses a value that is not there.
fn checked_action(action: &ActionNode) -> ActionNode {
    let mut action = action.clone();
    if action.pipe.decl.is_empty() {
        let mut fields = Vec::new();
        uses_of_pipe(&action.pipe, true, &mut fields);
        let names: Vec<String> = fields.into_iter().map(|field| format!(".{}", field.name)).collect();
        let pos = action.pos;
        let args = vec![Expr::Identifier(pos, PRINTED.into()), Expr::String(pos, Arc::from(names.join(" ").as_str()))];
        action.pipe.commands.push(CommandNode { pos, args });
    }
    action
}

fn uses_of_list(list: &ListNode, at_root: bool, uses: &mut Vec<Use>) {
    for node in &list.nodes {
        match node {
            Node::Action(action) => {
                let first = uses.len();
                uses_of_pipe(&action.pipe, at_root, uses);
                let alone = action.pipe.decl.is_empty()
                    && matches!(action.pipe.commands.as_slice(), [command] if command.args.len() == 1);
                if alone && let Some(used) = uses.get_mut(first) {
                    used.printed = true;
                }
            }
            Node::If(branch) => uses_of_branch(branch, at_root, at_root, uses),
            Node::Range(branch) | Node::With(branch) => uses_of_branch(branch, at_root, false, uses),
            Node::List(list) => uses_of_list(list, at_root, uses),
            Node::Template(TemplateNode { pipe: Some(pipe), .. }) => uses_of_pipe(pipe, at_root, uses),
            Node::Text(_) | Node::Template(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
}

fn uses_of_branch(branch: &BranchNode, at_root: bool, body_at_root: bool, uses: &mut Vec<Use>) {
    uses_of_pipe(&branch.pipe, at_root, uses);
    uses_of_list(&branch.body, body_at_root, uses);
    if let Some(otherwise) = &branch.else_body {
        uses_of_list(otherwise, at_root, uses);
    }
}

fn uses_of_pipe(pipe: &PipeNode, at_root: bool, uses: &mut Vec<Use>) {
    for expression in pipe.commands.iter().flat_map(|command| &command.args) {
        uses_of_expression(expression, at_root, uses);
    }
}

fn uses_of_expression(expression: &Expr, at_root: bool, uses: &mut Vec<Use>) {
    let name = match expression {
        Expr::Field(_, names) if at_root => names.first(),
        Expr::Variable(_, variable, names) if variable.trim_start_matches('$').is_empty() => names.first(),
        Expr::Pipe(_, pipe) => return uses_of_pipe(pipe, at_root, uses),
        Expr::Chain(_, inner, _) => return uses_of_expression(inner, at_root, uses),
        _ => None,
    };
    uses.extend(name.map(|name| Use { name: name.to_string(), line: expression.pos().line, printed: false }));
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
            ("{{.none}}", "custom.sql:1: the variable .none is not set"),
            ("\n\n{{.schem}}", "custom.sql:3: the variable .schem is not set; did you mean .schema?"),
            ("{{.map.other}}", "custom.sql:1: the variable .map is not set"),
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

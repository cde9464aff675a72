//! YAML 1.2 into values, by its core schema: `no` and `on` are text, whole numbers keep all their digits.
//! Source: <https://yaml.org/spec/1.2.2/#103-core-schema>.

use granit_parser::{Event, Options, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;

/// How many values a document may have, those that aliases repeat included.
const MOST_VALUES: usize = 100_000;

/// How deep values may stand in each other.
const DEEPEST: usize = 100;

/// Reads one document. An error says its line.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder { anchors: HashMap::new(), values: 0, open: Vec::new(), document: None, documents: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| at(error.marker().line(), &error.info()))?;
        builder.take(event).map_err(|problem| at(span.start.line(), &problem))?;
    }
    Ok(builder.document.unwrap_or(Value::Null))
}

fn at(line: usize, problem: &str) -> String {
    format!("line {line}: {problem}")
}

/// A value as text, unless it is a list or table; nothing is empty.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Makes a value of a parser's events.
struct Builder {
    /// What an alias repeats, by the anchor's number, with how many values it has.
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
    open: Vec<Open>,
    document: Option<Value>,
    documents: usize,
}

/// A list or table whose end is to come.
struct Open {
    holder: Holder,
    anchor: usize,
    /// How many values there were before it.
    before: usize,
}

enum Holder {
    List(Vec<Value>),
    Table {
        table: Map<String, Value>,
        /// The key whose value is next.
        key: Option<String>,
        /// Values of the key `<<`.
        merged: Option<Value>,
    },
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        let before = self.values;
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document begins; a file holds one".to_owned());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = tag.as_ref().and_then(|tag| tag.core_suffix()).map(str::to_owned);
                // An exclamation mark alone says that it is text.
                let is_text = tag.as_ref().is_some_and(|tag| format!("{}{}", tag.handle(), tag.suffix()) == "!");
                if tag.is_some() && kind.is_none() && !is_text {
                    return Err(format!("the tag of {text:?} is not one of YAML's core schema"));
                }
                let is_key = matches!(self.open.last(), Some(Open { holder: Holder::Table { key: None, .. }, .. }));
                let value = match (kind.as_deref(), style) {
                    // A key is a name, whatever it looks like.
                    _ if is_key => Value::String(text.into_owned()),
                    (Some("str"), _) => Value::String(text.into_owned()),
                    (Some(kind), _) => tagged(kind, &text)?,
                    (None, ScalarStyle::Plain) if tag.is_none() => plain(&text),
                    (None, _) => Value::String(text.into_owned()),
                };
                self.count(1)?;
                self.add(value, anchor, before)?;
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Holder::List(Vec::new()), anchor)?,
            Event::MappingStart(_, anchor, _) => {
                self.begin(Holder::Table { table: Map::new(), key: None, merged: None }, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { holder, anchor, before }) = self.open.pop() {
                    let value = match holder {
                        Holder::List(items) => Value::Array(items),
                        Holder::Table { table, merged, .. } => Value::Object(with_merged(table, merged)?),
                    };
                    self.add(value, anchor, before)?;
                }
            }
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias stands within what it repeats")?;
                self.count(size)?;
                self.add(value, 0, before)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(values);
        if self.values > MOST_VALUES { Err(format!("more than {MOST_VALUES} values")) } else { Ok(()) }
    }

    fn begin(&mut self, holder: Holder, anchor: usize) -> Result<(), String> {
        let before = self.values;
        self.count(1)?;
        if self.open.len() == DEEPEST {
            return Err(format!("values stand more than {DEEPEST} deep in each other"));
        }
        if let Some(Open { holder: Holder::Table { key: None, .. }, .. }) = self.open.last() {
            return Err("a key must be text, not a list or table".to_owned());
        }
        self.open.push(Open { holder, anchor, before });
        Ok(())
    }

    /// Puts a value that is whole where it belongs.
    fn add(&mut self, value: Value, anchor: usize, before: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.values - before));
        }
        match self.open.last_mut().map(|open| &mut open.holder) {
            None => self.document = Some(value),
            Some(Holder::List(items)) => items.push(value),
            Some(Holder::Table { table, key, merged }) => match key.take() {
                Some(name) if name == "<<" => *merged = Some(value),
                Some(name) => drop(table.insert(name, value)),
                None => {
                    let Value::String(name) = value else {
                        return Err("a key must be text".to_owned());
                    };
                    if table.contains_key(&name) || (name == "<<" && merged.is_some()) {
                        return Err(format!("the key {name:?} stands there twice"));
                    }
                    *key = Some(name);
                }
            },
        }
        Ok(())
    }
}

/// `<<`: the keys of other tables that this one doesn't have. Not YAML 1.2's, but the earlier runner read it.
fn with_merged(mut table: Map<String, Value>, merged: Option<Value>) -> Result<Map<String, Value>, String> {
    let others = match merged {
        None => Vec::new(),
        Some(Value::Array(others)) => others,
        Some(other) => vec![other],
    };
    for other in others {
        let Value::Object(other) = other else { return Err("<< takes tables".to_owned()) };
        for (name, value) in other {
            table.entry(name).or_insert(value);
        }
    }
    Ok(table)
}

/// A scalar with a tag of the core schema.
fn tagged(kind: &str, text: &str) -> Result<Value, String> {
    let value = plain(text);
    let fits = match (kind, &value) {
        ("null", Value::Null) | ("bool", Value::Bool(_)) => true,
        ("int", _) => whole(text).is_some(),
        ("float", _) => return float(text).ok_or_else(|| format!("{text:?} is no float")),
        _ => false,
    };
    if fits { Ok(value) } else { Err(format!("{text:?} is no {kind}")) }
}

/// A scalar without quotes.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// A number, whole or not.
pub(crate) fn number(text: &str) -> Option<Value> {
    whole(text).or_else(|| float(text))
}

/// A whole number. One that 64 bits don't hold is its digits as text: it prints alike.
fn whole(text: &str) -> Option<Value> {
    let based = |digits: &str, base: u32| {
        let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
        is_number.then(|| u128::from_str_radix(digits, base).ok()).flatten()
    };
    if let Some(number) = text.strip_prefix("0o").and_then(|digits| based(digits, 8)) {
        return Some(number_or_digits(&number.to_string()));
    }
    if let Some(number) = text.strip_prefix("0x").and_then(|digits| based(digits, 16)) {
        return Some(number_or_digits(&number.to_string()));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    Some(number_or_digits(&format!("{}{digits}", if digits == "0" { "" } else { sign })))
}

fn number_or_digits(digits: &str) -> Value {
    let number = digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from));
    number.map_or_else(|_| Value::String(digits.to_owned()), Value::Number)
}

/// A number with a point or an exponent. What JSON has no number for is the text that Go prints.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(Value::String(if text.starts_with('-') { "-Inf" } else { "+Inf" }.into()));
        }
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Some(Value::String("NaN".into())),
        _ => {}
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let is_number = digits(before)
        && digits(after)
        && !(before.is_empty() && after.is_empty())
        && digits(exponent)
        && !exponent.is_empty();
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    Some(Number::from_f64(number).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        for (text, value) in [
            // YAML 1.1 had all of these as booleans, numbers, times.
            ("no", json!("no")),
            ("NO", json!("NO")),
            ("y", json!("y")),
            ("on", json!("on")),
            ("Off", json!("Off")),
            ("yes", json!("yes")),
            ("1_000", json!("1_000")),
            ("0b11", json!("0b11")),
            ("12:30:45", json!("12:30:45")),
            ("2020-01-01", json!("2020-01-01")),
            ("tRue", json!("tRue")),
            // The core schema's own.
            ("true", json!(true)),
            ("False", json!(false)),
            ("TRUE", json!(true)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("\"\"", json!("")),
            ("'null'", json!("null")),
            ("\"1\"", json!("1")),
            ("7", json!(7)),
            ("+7", json!(7)),
            ("-7", json!(-7)),
            ("-0", json!(0)),
            ("007", json!(7)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("0x", json!("0x")),
            ("-0x1F", json!("-0x1F")),
            ("1.50", json!(1.5)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("1e3", json!(1000.0)),
            ("-1.5E-2", json!(-0.015)),
            ("1e", json!("1e")),
            ("e3", json!("e3")),
            (".", json!(".")),
            (".inf", json!("+Inf")),
            ("-.Inf", json!("-Inf")),
            (".nan", json!("NaN")),
            // Whole numbers keep their digits.
            ("9223372036854775807", json!(i64::MAX)),
            ("17841400008460056123", json!(17_841_400_008_460_056_123_u64)),
            ("-17841400008460056123", json!("-17841400008460056123")),
            ("340282366920938463463374607431768211456", json!("340282366920938463463374607431768211456")),
            ("0xFFFFFFFFFFFFFFFFF", json!("295147905179352825855")),
            // Tags.
            ("!!str 7", json!("7")),
            ("!!str no", json!("no")),
            ("!!int \"7\"", json!(7)),
            ("!!float 7", json!(7.0)),
            ("! 7", json!("7")),
        ] {
            assert_eq!(read(&format!("a: {text}")), Ok(json!({ "a": value })), "{text}");
        }
    }

    #[test]
    fn tables_lists_and_aliases_are_read() {
        let text = "a: &x [1, {b: c}]\nd: *x\ne: &t {f: 1, g: 2}\nh: {<<: *t, g: 3}\n? k\n: v\nm: |\n  one\n  two\n";
        let found = read(text);
        let expected = json!({
            "a": [1, {"b": "c"}], "d": [1, {"b": "c"}], "e": {"f": 1, "g": 2}, "h": {"f": 1, "g": 3}, "k": "v", "m": "one\ntwo\n",
        });
        assert_eq!(found, Ok(expected));
        assert_eq!(read("true: 1\n2: b\n"), Ok(json!({ "true": 1, "2": "b" })));
        assert_eq!(read(""), Ok(Value::Null));
        assert_eq!(read("--- \na: 1\n...\n"), Ok(json!({ "a": 1 })));
    }

    #[test]
    fn what_is_ambiguous_is_an_error_with_its_line() {
        for (text, problem) in [
            ("a: 1\nb: 2\na: 3\n", "line 3: the key \"a\" stands there twice"),
            ("a: {b: 1, b: 2}", "line 1: the key \"b\" stands there twice"),
            ("a: 1\n---\nb: 2\n", "line 2: a second document begins; a file holds one"),
            ("? [a]\n: b\n", "line 1: a key must be text, not a list or table"),
            ("a: &x [*x]", "line 1: an alias stands within what it repeats"),
            ("a: !thing b", "line 1: the tag of \"b\" is not one of YAML's core schema"),
            ("a: !!int b", "line 1: \"b\" is no int"),
        ] {
            assert_eq!(read(text), Err(problem.to_owned()), "{text}");
        }
        for text in ["a: [", "a: *x", "a: b: c", "%YAML 3"] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with("line "), "{text}: {error}");
        }
    }

    #[test]
    fn no_document_is_too_large_or_too_deep() {
        let doubling: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)).collect();
        assert!(read(&format!("a0: &a0 [x]\n{doubling}")).expect_err("refused").contains("more than 100000 values"));
        for deep in ["[".repeat(10_000), "a: ".to_owned() + &"- ".repeat(10_000), "{a: ".repeat(200) + &"}".repeat(200)]
        {
            assert!(read(&deep).is_err());
        }
    }
}

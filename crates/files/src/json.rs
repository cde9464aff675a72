//! JSON: one object a line, or one array of objects. The bytes of each object are found first, so that memory stays bounded,
//! and then parsed; a number keeps its digits, as text, until its column's type reads it.

use crate::content::{BYTE_ORDER_MARK, Input, Kind, LONGEST_ROW, glued_by_mark};
use crate::error::{Error, Fault, Problem, quoted};
use memchr::{memchr, memchr_iter, memchr2};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An object of the file.
pub(crate) struct Object<'a> {
    pub(crate) row: u64,
    pub(crate) line: u64,
    /// The object as the file has it.
    pub(crate) raw: &'a [u8],
}

/// Reads the objects of a file, one after the other.
pub(crate) struct Objects {
    input: Input,
    array: bool,
    opened: bool,
    /// Bytes of the object that was given last.
    pending: usize,
    row: u64,
    line: u64,
}

/// What the next bytes of an array are.
enum Next {
    Element(usize),
    Incomplete,
    End(usize),
    Unexpected(usize),
}

impl Objects {
    pub(crate) fn new(kind: Kind, input: Input) -> Self {
        Self { input, array: kind == Kind::JsonArray, opened: false, pending: 0, row: 0, line: 1 }
    }

    fn damaged(&self, message: impl Into<String>) -> Error {
        Error::new(Fault::Damaged, self.input.name(), message).at(self.row + 1, Some(self.line))
    }

    fn consume(&mut self, length: usize) {
        self.line += memchr_iter(b'\n', &self.input.data()[..length]).count() as u64;
        self.input.consume(length);
    }

    fn refill(&mut self) -> Result<(), Error> {
        if self.input.is_full() {
            return Err(self.damaged(format!("the row is longer than {LONGEST_ROW} bytes")));
        }
        self.input.refill()
    }

    /// What an object that can't be parsed is: in an array, nobody knows where it ends.
    pub(crate) fn fault(&self) -> Fault {
        if self.array { Fault::Damaged } else { Fault::Row }
    }

    /// The next object; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Object<'_>>, Error> {
        let pending = std::mem::take(&mut self.pending);
        self.consume(pending);
        let found = if self.array { self.next_element()? } else { self.next_line()? };
        let Some(length) = found else { return Ok(None) };
        self.row += 1;
        self.pending = length;
        Ok(Some(Object { row: self.row, line: self.line, raw: &self.input.data()[..length] }))
    }

    fn next_line(&mut self) -> Result<Option<usize>, Error> {
        loop {
            let blanks = blanks(self.input.data());
            self.consume(blanks);
            let (data, ended) = (self.input.data(), self.input.ended);
            if data.starts_with(BYTE_ORDER_MARK) {
                return Err(glued_by_mark(self.input.name(), self.row + 1, self.line));
            }
            match memchr(b'\n', data) {
                Some(end) if end < LONGEST_ROW => return Ok(Some(end)),
                None if ended && data.is_empty() => return Ok(None),
                None if ended => {
                    // A line that is cut off is no row that is wrong: the file is.
                    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(data) {
                        let message = format!("the last row, without a line end, is {}", unparsed(data, &error));
                        return Err(self.damaged(message).with_hint(
                            "if the file was cut off, get or write the whole file again; else mend the row",
                        ));
                    }
                    return Ok(Some(data.len()));
                }
                _ => self.refill()?,
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<usize>, Error> {
        loop {
            let first = !self.opened;
            let (next, before) = next_of_array(self.input.data(), first, self.row == 0);
            match next {
                Next::Element(length) => {
                    self.consume(before);
                    self.opened = true;
                    if length > LONGEST_ROW {
                        return Err(self.damaged(format!("the row is longer than {LONGEST_ROW} bytes")));
                    }
                    return Ok(Some(length));
                }
                Next::End(length) => {
                    self.consume(length);
                    return self.end_of_array();
                }
                Next::Unexpected(at) => {
                    let rest = String::from_utf8_lossy(&self.input.data()[at..]).into_owned();
                    self.consume(at);
                    return Err(self
                        .damaged(format!(
                            "{} in the array where an object, a comma or the end was expected",
                            quoted(&rest)
                        ))
                        .with_hint("a file is one object a line, or one array of objects"));
                }
                Next::Incomplete if self.input.ended => {
                    return Err(self
                        .damaged("the file ends within its array")
                        .with_hint("get or write the whole file again"));
                }
                Next::Incomplete => self.refill()?,
            }
        }
    }

    fn end_of_array(&mut self) -> Result<Option<usize>, Error> {
        loop {
            let blanks = blanks(self.input.data());
            self.consume(blanks);
            if !self.input.data().is_empty() {
                return Err(self
                    .damaged("something follows the end of the array: files were glued together")
                    .with_hint("load the files one by one"));
            }
            if self.input.ended {
                return Ok(None);
            }
            self.input.refill()?;
        }
    }
}

fn blanks(data: &[u8]) -> usize {
    data.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// What comes next in an array, and what stands before it.
fn next_of_array(data: &[u8], opening: bool, before_first: bool) -> (Next, usize) {
    let mut at = blanks(data);
    if opening {
        // The first character that is not white space is known to be the bracket.
        at += 1;
        at += data.get(at..).map_or(0, blanks);
    }
    let expects_comma = !before_first;
    match data.get(at) {
        None => return (Next::Incomplete, at),
        Some(b']') => return (Next::End(at + 1), at),
        Some(b',') if expects_comma => {
            at += 1;
            at += data.get(at..).map_or(0, blanks);
        }
        Some(_) if expects_comma => return (Next::Unexpected(at), at),
        Some(_) => {}
    }
    match data.get(at) {
        None => (Next::Incomplete, at),
        Some(b'{') => (object_length(&data[at..]).map_or(Next::Incomplete, Next::Element), at),
        Some(_) => (Next::Unexpected(at), at),
    }
}

/// The length of the object that the data begins with; `None` if it goes on after the data.
fn object_length(data: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match data.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b'"' => {
                at += 1;
                loop {
                    at += memchr2(b'"', b'\\', data.get(at..)?)?;
                    if data[at] == b'"' {
                        break;
                    }
                    at += 2;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// A key of an object, in the file's spelling.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys and values of an object, as the file has them.
pub(crate) struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Deserialize<'a> for Entries<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'a> Visitor<'a> for Collect {
            type Value = Entries<'a>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Entries<'a>, A::Error> {
                let mut entries = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A value that is not null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    /// The text of a string, or a number or truth value as it is written.
    Text(Cow<'a, str>),
    /// The text of an array or object.
    Nested(&'a str),
}

/// The keys of an object with their values; `None` is null.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, Option<Scalar<'a>>)>;

/// Why a row is not read. The place is that in the row, which has its own line.
fn unparsed(raw: &[u8], error: &serde_json::Error) -> String {
    let message = error.to_string();
    let reason = message.split_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    // The error counts characters of its line.
    let lines = raw.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let place = lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1);
    let before = match raw.get(place..) {
        Some(rest) if !error.is_eof() => {
            format!(", at {}", quoted(&String::from_utf8_lossy(&rest[..rest.len().min(20)])))
        }
        _ => String::new(),
    };
    format!("not an object of JSON at character {}{before}: {reason}", place + 1)
}

/// Parses an object, its values left as text.
pub(crate) fn parse(raw: &[u8]) -> Result<Entries<'_>, Problem> {
    let text = std::str::from_utf8(raw).map_err(|_| {
        Problem::new("bytes that are not UTF-8").with_hint("write the file in UTF-8, such as: iconv -f LATIN1 -t UTF-8")
    })?;
    serde_json::from_str(text).map_err(|error| {
        Problem::new(unparsed(raw, &error))
            .with_hint("a file is one object a line (jq -c . writes it so), or one array of objects")
    })
}

/// The keys and values of an object.
pub(crate) fn members<'a>(entries: Entries<'a>) -> Result<Members<'a>, Problem> {
    let member = |(key, value): (Cow<'a, str>, &'a RawValue)| match scalar(value.get()) {
        Ok(value) => Ok((key, value)),
        Err(problem) => Err(problem.in_column(&key)),
    };
    entries.0.into_iter().map(member).collect()
}

fn scalar(raw: &str) -> Result<Option<Scalar<'_>>, Problem> {
    Ok(Some(match raw.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b'{' | b'[') => Scalar::Nested(raw),
        Some(b'"') if !raw.contains('\\') => Scalar::Text(Cow::Borrowed(&raw[1..raw.len() - 1])),
        Some(b'"') => Scalar::Text(Cow::Owned(
            serde_json::from_str(raw)
                .map_err(|_| Problem::new(format!("{} is not text: an escape is no character", quoted(raw))))?,
        )),
        _ => Scalar::Text(Cow::Borrowed(raw)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &[u8]) -> Result<Members<'_>, Problem> {
        parse(raw).and_then(members)
    }

    #[test]
    fn values_keep_their_digits() {
        let raw = br#"{"a": 5.0000004, "b": 9007199254740993.0, "c": null, "d": "x\u00e4\"", "e": [1, {"f": "]"}], "g": true}"#;
        let members = read(raw).expect("an object");
        let text = |text: &'static str| Some(Scalar::Text(Cow::Borrowed(text)));
        assert_eq!(members[0].1, text("5.0000004"));
        assert_eq!(members[1].1, text("9007199254740993.0"));
        assert_eq!(members[2].1, None);
        assert_eq!(members[3].1, text("xä\""));
        assert_eq!(members[4].1, Some(Scalar::Nested(r#"[1, {"f": "]"}]"#)));
        assert_eq!(members[5].1, text("true"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for raw in [
            "5",
            "[1]",
            "{\"a\":1",
            "{\"a\":1}}",
            "{\"a\":1} {\"b\":2}",
            "{'a':1}",
            "{\"a\":NaN}",
            "{\"a\":01}",
            "{\"a\":\"\t\"}",
            "{\"a\":1,}",
        ] {
            assert!(read(raw.as_bytes()).is_err(), "{raw}");
        }
        let spread = "{\n  \"a\": 1,\n  \"b\": nix\n}";
        let refused = read(spread.as_bytes()).expect_err("no value").message;
        assert!(refused.contains("at \"ix\\n}\"") || refused.contains("at \"nix"), "{refused}");
        assert!(read(br#"{"a": "\ud800"}"#).is_err_and(|problem| problem.message.contains("escape")));
        assert!(read(b"{\"a\": \"\xff\"}").is_err_and(|problem| problem.message.contains("UTF-8")));
    }

    #[test]
    fn an_object_ends_with_its_brace() {
        assert_eq!(object_length(br#"{"a": "}\"", "b": {"c": [1]}}, {"#), Some(29));
        assert_eq!(object_length(br#"{"a": "}"#), None);
        assert_eq!(object_length(br#"{"a": "\"#), None);
    }

    fn all(kind: Kind, text: &str, piece: usize) -> Result<Vec<(u64, u64, String)>, Error> {
        let mut objects = Objects::new(kind, Input::in_pieces(text, piece));
        let mut rows = Vec::new();
        while let Some(object) = objects.next()? {
            rows.push((object.row, object.line, String::from_utf8_lossy(object.raw).into_owned()));
        }
        Ok(rows)
    }

    #[test]
    fn objects_are_the_same_wherever_the_pieces_end() {
        let object = r#"{"a": "]}\"", "b": [{}]}"#;
        for (kind, text) in [
            (Kind::NewlineDelimitedJson, format!("\r\n{object}\r\n\n{object}")),
            (Kind::NewlineDelimitedJson, format!("{object}\n{{\"a\"")),
            (Kind::JsonArray, format!(" [ {object} ,\n\n{object}\n]\n")),
            (Kind::JsonArray, format!("[{object}")),
            (Kind::JsonArray, format!("[{object} {object}]")),
            (Kind::JsonArray, format!("[{object},]")),
            (Kind::JsonArray, format!("[,{object}]")),
            (Kind::JsonArray, "[]".to_owned()),
            (Kind::JsonArray, "[1]".to_owned()),
        ] {
            let whole = all(kind, &text, usize::MAX);
            for piece in 1..9 {
                let pieces = all(kind, &text, piece);
                // What an error quotes ends with what has been read.
                let place = |error: Error| (error.fault, error.row, error.line);
                assert_eq!(pieces.map_err(place), whole.clone().map_err(place), "{text:?} in pieces of {piece}");
            }
        }
        let places = all(Kind::JsonArray, &format!("[\n{object},\n\n{object}]"), 3)
            .map(|rows| rows.into_iter().map(|(row, line, _)| (row, line)).collect::<Vec<_>>());
        assert_eq!(places, Ok(vec![(1, 2), (2, 4)]));
        for text in ["[{} {}]", "[{},]", "[,{}]", "[1]", "[{}", "[{}]{}"] {
            assert!(all(Kind::JsonArray, text, 100).is_err(), "{text}");
        }
    }
}

//! CSV as RFC 4180 has it: a quote opens a value or is none. A tolerant reader can't tell NULL from "", an open quote from
//! a closed one, nor text after a closing quote from a value; so the few rules stand here, instead of a library's leniency.

use crate::content::{BYTE_ORDER_MARK, Input, LONGEST_ROW, glued_by_mark};
use crate::error::{Error, Fault, Problem, quoted};
use crate::field::trimmed;
use memchr::{memchr, memchr_iter, memchr2, memchr3};
use websessions_core::words::counted;

/// The line that ends the rows of a COPY of Postgres.
const END_MARKER: &[u8] = b"\\.";
/// The longest line of column names, in bytes.
const LONGEST_HEADER: usize = 1 << 20;

/// A value of a record, by its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    start: usize,
    end: usize,
    quoted: bool,
    /// It has `""` for a quote.
    escaped: bool,
}

/// What is wrong with the quotes or line ends of a record whose end is known all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    BareQuote,
    TextAfterQuote,
    CarriageReturn,
}

/// What is wrong, and in which value.
type Flawed = Option<(Flaw, usize)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// A record of so many bytes, its line end included.
    Record { length: usize, flaw: Flawed },
    /// More bytes are needed.
    Incomplete,
    /// A quote opened and never closed, in that value.
    OpenQuote { cell: usize },
    /// Text after a quote that closed on a later line than it opened: where the row ends can't be told.
    Lost { cell: usize },
}

/// Splits the first record off.
fn scan(data: &[u8], ended: bool, delimiter: u8, cells: &mut Vec<Cell>) -> Scan {
    cells.clear();
    let mut at = 0;
    let mut flaw = None;
    loop {
        let start = at;
        if data.get(at) == Some(&b'"') {
            let (mut from, mut escaped) = (at + 1, false);
            let close = loop {
                let Some(offset) = memchr(b'"', &data[from..]) else {
                    return if ended { Scan::OpenQuote { cell: cells.len() } } else { Scan::Incomplete };
                };
                let quote = from + offset;
                match data.get(quote + 1) {
                    Some(b'"') => (escaped, from) = (true, quote + 2),
                    None if !ended => return Scan::Incomplete,
                    _ => break quote,
                }
            };
            cells.push(Cell { start: start + 1, end: close, quoted: true, escaped });
            at = close + 1;
            match (data.get(at), data.get(at + 1)) {
                (None, _) => return Scan::Record { length: at, flaw },
                (Some(byte), _) if *byte == delimiter => at += 1,
                (Some(b'\n'), _) => return Scan::Record { length: at + 1, flaw },
                (Some(b'\r'), Some(b'\n')) => return Scan::Record { length: at + 2, flaw },
                (Some(b'\r'), None) if !ended => return Scan::Incomplete,
                _ => {
                    let cell = cells.len() - 1;
                    if memchr(b'\n', &data[..close]).is_some() {
                        return Scan::Lost { cell };
                    }
                    let length = match memchr(b'\n', &data[at..]) {
                        Some(offset) => at + offset + 1,
                        None if ended => data.len(),
                        None => return Scan::Incomplete,
                    };
                    let found = if data.get(at) == Some(&b'\r') { Flaw::CarriageReturn } else { Flaw::TextAfterQuote };
                    return Scan::Record { length, flaw: flaw.or(Some((found, cell))) };
                }
            }
            continue;
        }
        let end = loop {
            match memchr3(delimiter, b'\n', b'"', &data[at..]) {
                Some(offset) if data[at + offset] == b'"' => {
                    flaw = flaw.or(Some((Flaw::BareQuote, cells.len())));
                    at += offset + 1;
                }
                Some(offset) => break Some(at + offset),
                None if ended => break None,
                None => return Scan::Incomplete,
            }
        };
        let mut cell = Cell { start, end: end.unwrap_or(data.len()), quoted: false, escaped: false };
        match end {
            Some(end) if data[end] == delimiter => {
                cells.push(cell);
                at = end + 1;
            }
            Some(end) => {
                if end > start && data[end - 1] == b'\r' {
                    cell.end -= 1;
                }
                cells.push(cell);
                return Scan::Record { length: end + 1, flaw };
            }
            None => {
                cells.push(cell);
                return Scan::Record { length: data.len(), flaw };
            }
        }
    }
}

/// A value of a record as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    pub(crate) text: &'a str,
    pub(crate) quoted: bool,
}

/// A row of the file.
pub(crate) struct Record<'a> {
    pub(crate) row: u64,
    pub(crate) line: u64,
    /// The row as the file has it, for the file of rejected rows.
    pub(crate) raw: &'a [u8],
    record: &'a [u8],
    cells: &'a [Cell],
    names: &'a [String],
    required: &'a [String],
    texts: Result<Texts<'a>, Problem>,
}

struct Texts<'a> {
    record: &'a str,
    cells: &'a [Cell],
    /// Values whose `""` are quotes again, in order.
    unescaped: &'a [String],
}

impl<'a> Record<'a> {
    /// Whether it is a line of column names.
    pub(crate) fn repeats_names(&self) -> bool {
        repeats_names(self.record, self.cells, self.names, self.required)
    }

    /// The values, or what is wrong with the row.
    pub(crate) fn texts(&self) -> Result<impl Iterator<Item = Text<'a>>, Problem> {
        match &self.texts {
            Ok(texts) => Ok(texts.iter()),
            Err(problem) => Err(problem.clone()),
        }
    }
}

impl<'a> Texts<'a> {
    fn iter(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        let (record, mut unescaped) = (self.record, self.unescaped.iter());
        self.cells.iter().map(move |cell| {
            let text = match cell.escaped {
                true => unescaped.next().map(String::as_str),
                false => record.get(cell.start..cell.end),
            };
            Text { text: text.unwrap_or_default(), quoted: cell.quoted }
        })
    }
}

/// Reads the records of a CSV file, one after the other.
pub(crate) struct Records {
    input: Input,
    delimiter: u8,
    cells: Vec<Cell>,
    unescaped: Vec<String>,
    /// Bytes of the record that was given last.
    pending: usize,
    /// Values that a row has, once the column names are known.
    width: Option<usize>,
    row: u64,
    line: u64,
    names: Vec<String>,
    /// The columns that each file of page views has.
    required: Vec<String>,
}

impl Records {
    pub(crate) fn new(input: Input, delimiter: u8) -> Self {
        Self {
            input,
            delimiter,
            cells: Vec::new(),
            unescaped: Vec::new(),
            pending: 0,
            width: None,
            row: 0,
            line: 1,
            names: Vec::new(),
            required: Vec::new(),
        }
    }

    /// Reads the line of column names.
    pub(crate) fn header(&mut self) -> Result<Vec<String>, Error> {
        let name = self.input.name().to_owned();
        let scanned = self.scan(LONGEST_HEADER)?;
        let faulty = |message: String| {
            let mut error = Error::new(Fault::Columns, &name, message);
            error.line = Some(1);
            error
        };
        let Some((length, flaw)) = scanned else {
            return Err(faulty("the file has no line of column names".to_owned()));
        };
        let record = &self.input.data()[..length];
        if is_blank(record) {
            return Err(faulty("the first line is empty, where the names of the columns stand".to_owned())
                .with_hint("take it out, or name the columns with --header"));
        }
        let texts = match flaw {
            Some(flaw) => Err(flawed(flaw)),
            None => texts(record, &self.cells, &[], &mut self.unescaped),
        };
        let texts = texts.map(|texts| texts.iter().map(|text| trimmed(text.text).to_owned()).collect::<Vec<_>>());
        let names = texts.map_err(|problem| {
            let mut error = faulty(format!("the line of column names: {}", problem.message));
            error.hint = problem.hint;
            error
        })?;
        self.line += lines(record);
        self.input.consume(length);
        Ok(names)
    }

    /// Says how the columns are named, whether by the file or by an option, and which of them each such file has.
    pub(crate) fn set_names(&mut self, names: &[String], required: &[&str]) {
        self.width = Some(names.len());
        self.names = names.to_vec();
        self.required = required.iter().map(|name| (*name).to_owned()).collect();
    }

    /// The end of the next record, and what is wrong with it; `None` at the end of the file.
    fn scan(&mut self, longest: usize) -> Result<Option<(usize, Flawed)>, Error> {
        loop {
            let (data, ended) = (self.input.data(), self.input.ended);
            if data.is_empty() && ended {
                return Ok(None);
            }
            match scan(data, ended, self.delimiter, &mut self.cells) {
                Scan::Record { length, flaw } if length <= longest => return Ok(Some((length, flaw))),
                Scan::OpenQuote { cell } => {
                    return Err(self.damaged(cell, "a quote opens and is never closed").with_hint(
                        "the file was cut off, or a quote is missing: get the whole file, or double the quote that is text",
                    ));
                }
                Scan::Lost { cell } => {
                    return Err(self
                        .damaged(cell, "text follows the quote that closes a value of several lines")
                        .with_hint("a quote is missing or too many; a quote within a value is written twice"));
                }
                Scan::Incomplete if !self.input.is_full() && data.len() <= longest => self.input.refill()?,
                _ => {
                    let cell = self.cells.len();
                    return Err(self
                        .damaged(cell, &format!("the row is longer than {longest} bytes"))
                        .with_hint("a quote may be open before, or the line ends are not those of the file"));
                }
            }
        }
    }

    fn damaged(&self, cell: usize, message: &str) -> Error {
        let error = Error::new(Fault::Damaged, self.input.name(), message).at(self.row + 1, Some(self.line));
        match self.names.get(cell) {
            Some(column) => error.in_column(column),
            None => error,
        }
    }

    /// The next row; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        self.input.consume(std::mem::take(&mut self.pending));
        let Some((length, flaw)) = self.scan(LONGEST_ROW)? else { return Ok(None) };
        let data = self.input.data();
        // Lines without anything are harmless at the end of a file, and a row without values before it.
        if is_blank(&data[..length]) && self.only_blanks_follow()? {
            return Ok(None);
        }
        let cut_off = self.input.ended && length == self.input.data().len();
        let record = &self.input.data()[..length];
        self.row += 1;
        let line = self.line;
        self.line += lines(record);
        self.pending = length;
        let end = record.len() - line_end(record);
        let raw = &record[..end];
        let (found, width) = (self.cells.len(), self.width.unwrap_or(self.cells.len()));
        let wrong_width = (found != width).then(|| self.wrong_width(found, width, raw));
        if record.starts_with(BYTE_ORDER_MARK) {
            return Err(glued_by_mark(self.input.name(), self.row, line));
        }
        if cut_off && end == record.len() && found < width && raw != END_MARKER {
            let error = Error::new(
                Fault::Damaged,
                self.input.name(),
                format!("the file ends within a row: {}", values_of(found, width)),
            );
            return Err(error.at(self.row, Some(line)).with_hint("get or write the whole file again"));
        }
        let texts = match (flaw, wrong_width) {
            (Some(flaw), _) => {
                let problem = flawed(flaw);
                Err(match self.names.get(flaw.1) {
                    Some(column) => problem.in_column(column),
                    None => problem,
                })
            }
            (None, Some(problem)) => Err(problem),
            (None, None) => texts(record, &self.cells, &self.names, &mut self.unescaped),
        };
        let first_is_a_name = match (self.cells.first(), self.names.first()) {
            (Some(cell), Some(name)) => record[cell.start..cell.end].eq_ignore_ascii_case(name.as_bytes()),
            _ => false,
        };
        // Where a column holds no text, a line of names is a row that the caller finds wrong, and asks.
        if (texts.is_err() || first_is_a_name) && repeats_names(record, &self.cells, &self.names, &self.required) {
            return Err(glued(self.input.name(), self.row, line));
        }
        let (cells, names, required) = (&self.cells, &self.names, &self.required);
        Ok(Some(Record { row: self.row, line, raw, record, cells, names, required, texts }))
    }

    fn wrong_width(&self, found: usize, width: usize, raw: &[u8]) -> Problem {
        if raw == END_MARKER {
            return Problem::new("the line \\. is the end of a COPY of Postgres: rows after it are of another file")
                .with_hint("take the line out, and a second line of column names with it");
        }
        if is_blank(raw) {
            return Problem::new("the line is empty");
        }
        Problem::new(values_of(found, width))
            .with_hint("a value with the delimiter or a line end in it stands in double quotes")
    }

    /// Reads on while nothing but empty lines come.
    fn only_blanks_follow(&mut self) -> Result<bool, Error> {
        loop {
            if !is_blank(self.input.data()) {
                return Ok(false);
            }
            if self.input.ended {
                return Ok(true);
            }
            if self.input.is_full() {
                return Err(self.damaged(usize::MAX, &format!("more than {LONGEST_ROW} bytes of empty lines")));
            }
            self.input.refill()?;
        }
    }
}

fn values_of(found: usize, width: usize) -> String {
    format!("{}, the columns are {width}", counted(found, "value"))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

fn lines(record: &[u8]) -> u64 {
    memchr_iter(b'\n', record).count() as u64
}

fn line_end(record: &[u8]) -> usize {
    if record.ends_with(b"\r\n") { 2 } else { usize::from(record.ends_with(b"\n")) }
}

fn flawed((flaw, _): (Flaw, usize)) -> Problem {
    let message = match flaw {
        Flaw::BareQuote => "a quote within a value that is not quoted",
        Flaw::TextAfterQuote => "text follows the quote that closes a value",
        Flaw::CarriageReturn => return carriage_return(),
    };
    Problem::new(message)
        .with_hint("a value with a quote in it stands in double quotes, and the quote twice: \"27.5\"\" screen\"")
}

fn carriage_return() -> Problem {
    Problem::new("a carriage return that ends no line, in a value that is not quoted").with_hint(
        "lines end with LF or CRLF: tr '\\r' '\\n' makes such lines of those that end with a carriage return alone",
    )
}

/// The values of a record as text.
fn texts<'a>(
    record: &'a [u8],
    cells: &'a [Cell],
    names: &[String],
    unescaped: &'a mut Vec<String>,
) -> Result<Texts<'a>, Problem> {
    let in_cell = |problem: Problem, cell: Option<usize>| match cell.and_then(|cell| names.get(cell)) {
        Some(name) => problem.in_column(name),
        None => problem,
    };
    let text = std::str::from_utf8(record).map_err(|error| {
        let problem = Problem::new("bytes that are not UTF-8")
            .with_hint("write the file in UTF-8, such as: iconv -f LATIN1 -t UTF-8");
        in_cell(problem, cells.iter().position(|cell| cell.end > error.valid_up_to()))
    })?;
    let content = &record[..record.len() - line_end(record)];
    if memchr2(b'\r', 0, content).is_some() {
        for (number, cell) in cells.iter().enumerate() {
            let value = &record[cell.start..cell.end];
            let problem = if memchr(0, value).is_some() {
                Problem::new(format!("{} has a NUL character", quoted(&text[cell.start..cell.end])))
            } else if !cell.quoted && memchr(b'\r', value).is_some() {
                carriage_return()
            } else {
                continue;
            };
            return Err(in_cell(problem, Some(number)));
        }
    }
    unescaped.clear();
    let escaped = cells.iter().filter(|cell| cell.escaped);
    unescaped.extend(escaped.map(|cell| text[cell.start..cell.end].replace("\"\"", "\"")));
    Ok(Texts { record: text, cells, unescaped })
}

/// Two files in one: the columns of the second may be others.
pub(crate) fn glued(file: &str, row: u64, line: u64) -> Error {
    Error::new(Fault::Damaged, file, "a second line of column names: files were glued together")
        .at(row, Some(line))
        .with_hint("load the files one by one, or take the line out if the columns are the same")
}

/// Whether a row is a line of column names: those that each file of page views has, in any order, whatever the others are, or
/// most of this file's.
fn repeats_names(record: &[u8], cells: &[Cell], names: &[String], required: &[String]) -> bool {
    let has = |name: &String| {
        let is_name = |cell: &Cell| record[cell.start..cell.end].trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        cells.iter().any(is_name)
    };
    let Some(first) = names.iter().find(|name| !name.is_empty()) else { return false };
    let has_required = !required.is_empty() && required.iter().all(has);
    cells.len() > 1 && (has_required || has(first) && names.iter().filter(|name| has(name)).count() * 2 > names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (Scan, Vec<String>) {
        let mut cells = Vec::new();
        let scanned = scan(text.as_bytes(), true, b',', &mut cells);
        let values = cells.iter().map(|cell| text[cell.start..cell.end].to_owned()).collect();
        (scanned, values)
    }

    #[test]
    fn a_record_ends_with_its_line() {
        for (text, length, values) in [
            ("a,b\nc", 4, vec!["a", "b"]),
            ("a,b\r\nc", 5, vec!["a", "b"]),
            ("a,b", 3, vec!["a", "b"]),
            (",\n", 2, vec!["", ""]),
            ("\"a,\nb\",\"\"\r\nx", 11, vec!["a,\nb", ""]),
            ("\"a\"\"b\",c\n", 9, vec!["a\"\"b", "c"]),
            ("a,\"b\"", 5, vec!["a", "b"]),
        ] {
            assert_eq!(split(text).0, Scan::Record { length, flaw: None }, "{text:?}");
            assert_eq!(split(text).1, values, "{text:?}");
        }
    }

    #[test]
    fn quotes_open_a_value_or_are_a_flaw() {
        let flaw = |text: &str| match split(text).0 {
            Scan::Record { flaw, .. } => flaw,
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(flaw("a,27.5\" x\n"), Some((Flaw::BareQuote, 1)));
        assert_eq!(flaw("a, \"b\"\n"), Some((Flaw::BareQuote, 1)));
        assert_eq!(flaw("\"a\"b,c\n"), Some((Flaw::TextAfterQuote, 0)));
        assert_eq!(split("a,\"b\nc").0, Scan::OpenQuote { cell: 1 });
        assert_eq!(split("\"a\nb\"c,\n").0, Scan::Lost { cell: 0 });
    }

    #[test]
    fn a_record_that_goes_on_is_incomplete() {
        for text in ["a,b", "a,\"b", "a,\"b\"", "a,\"b\"\r", "a,\"b\"x"] {
            assert_eq!(scan(text.as_bytes(), false, b',', &mut Vec::new()), Scan::Incomplete, "{text:?}");
        }
    }

    fn all(text: &str, piece: usize) -> Result<Vec<Vec<String>>, Error> {
        let mut records = Records::new(Input::in_pieces(text, piece), b',');
        let names = records.header()?;
        records.set_names(&names, &[]);
        let mut rows = vec![names];
        while let Some(record) = records.next()? {
            let values =
                |texts: Vec<Text<'_>>| texts.iter().map(|text| format!("{}{}", text.text, text.quoted)).collect();
            rows.push(match record.texts() {
                Ok(texts) => values(texts.collect()),
                Err(problem) => vec![problem.message, record.row.to_string(), record.line.to_string()],
            });
        }
        Ok(rows)
    }

    #[test]
    fn rows_are_the_same_wherever_the_pieces_end() {
        for text in [
            "a,b\r\n\"x\"\"\r\n,\",ä\r\n,\r\n",
            "a,b\n1,\"2\"\n\n3,4\n\n\r\n",
            "a,b\n1,2\"\n\"3\"x,4\n5\n6,7,8\n9,10",
            "a,b\n1,\"2\n",
            "a,b\n1,\"2\n\"3\n",
            "a,b\n1,2\nB,A\n",
        ] {
            let whole = all(text, usize::MAX);
            for piece in 1..9 {
                assert_eq!(all(text, piece), whole, "{text:?} in pieces of {piece}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_row_that_is_written_by_the_rules_comes_back(
            rows in proptest::collection::vec(proptest::array::uniform2("[a,\"\r\n\\\\.ä ]{0,5}"), 1..6),
            piece in 1_usize..20,
        ) {
            let quote = |value: &String| format!("\"{}\"", value.replace('"', "\"\""));
            let lines: String = rows.iter().map(|row| format!("{},{}\n", quote(&row[0]), quote(&row[1]))).collect();
            let read = all(&format!("first name,second name\n{lines}"), piece).expect("right");
            let expected = rows.iter().map(|row| row.iter().map(|value| format!("{value}true")).collect::<Vec<_>>());
            proptest::prop_assert_eq!(read[1..].to_vec(), expected.collect::<Vec<_>>());
        }
    }
}

//! The reader of page view files: any kind, the same rules and the same rows. A batch may be given before a later row proves
//! wrong, so what was taken counts only once the reader has said that the file is at its end.

use crate::batch::{Batch, BatchBuilder, schema};
use crate::content::{self, Content, Counter, Kind, Opened};
use crate::csv::{self, Record, Records};
use crate::error::{Error, Fault, Problem, quoted};
use crate::field::{Columns, Field, TypeFamily, comparable, nearest};
use crate::json::{self, Objects, Scalar};
use crate::parquet::{ParquetFile, ParquetRows};
use crate::rejects::Rejects;

use crate::timestamp::{Clock, time_zone};
use crate::value::{self, Value};
use arrow_schema::SchemaRef;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use websessions_core::files::{Position, ReadOptions, Source};

/// Why two spellings are one name.
const SAME_NAME: &str = "are the same, as names are compared without case and blanks around them";
/// The most names that an error or a report lists.
const LISTED: usize = 1000;

/// The delimiter that an option names: one ASCII character, or `\t`.
pub fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(*byte),
        _ => Err(format!("{text:?} is no delimiter: one ASCII character such as ';', or \\t for a tab")),
    }
}

/// A word for NULL that no value can be is a mistake.
pub fn null(word: &str, delimiter: u8) -> Result<(), String> {
    match word.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n' | 0)) {
        true => {
            Err(format!("{word:?} is no word for NULL: an unquoted value has no delimiter, quote or line end in it"))
        }
        false => Ok(()),
    }
}

enum Rows {
    Csv { records: Box<Records>, positions: Vec<Option<usize>>, null: String },
    Json { objects: Box<Objects>, names: Names },
    Parquet(Box<ParquetRows>),
}

/// Reads a file of page views, batch by batch.
pub struct Reader {
    name: String,
    rows: Rows,
    clock: Clock,
    /// The columns of the batches.
    fields: Vec<Field>,
    columns: Columns,
    batch: BatchBuilder,
    counter: Counter,
    /// The file as it was when it was opened; `None` for a stream.
    opened: Option<Opened>,
    count: u64,
    /// Whether all rows are in batches.
    whole: bool,
    /// Whether the end has been reached, and how.
    ended: Option<Result<(), Error>>,
}

impl Reader {
    /// Opens a file and looks at its columns. `required` are those without which it is refused.
    pub fn open(source: &Source, fields: &[Field], required: &[&str], options: &ReadOptions) -> Result<Self, Error> {
        let (name, counter) = (source.to_string(), Counter::default());
        let usage = |message| Error::new(Fault::Usage, name.as_str(), message);
        let zone = options.time_zone.as_deref().map(time_zone).transpose().map_err(usage)?;
        null(&options.null, options.delimiter).map_err(usage)?;
        let clock = Clock { format: options.time_format, zone };
        let (content, opened) = content::open(source, &counter)?;
        let (rows, fields, columns) = match content {
            Content::Text(Kind::Csv, input) => {
                let mut records = Records::new(input, options.delimiter);
                let names = match &options.header {
                    Some(names) => names.clone(),
                    None => records.header()?,
                };
                let matched = Matched::new(&name, &names, fields, required).map_err(|error| {
                    let known = names.iter().any(|name| fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)));
                    match likely_delimiter(&names, options.delimiter) {
                        Some(hint) => error.with_hint(hint),
                        None if !known && options.header.is_none() => error.with_hint(
                            "if the file has no line of column names, name them: --header page_view_id,domain_sessionid,…",
                        ),
                        None => error,
                    }
                })?;
                records.set_names(&names, required);
                let rows =
                    Rows::Csv { records: Box::new(records), positions: matched.positions, null: options.null.clone() };
                (rows, matched.fields, matched.columns)
            }
            Content::Text(kind, input) => {
                let columns = Columns { found: Vec::new(), missing: Vec::new(), ignored: Vec::new() };
                let names = Names::new(fields, required);
                (Rows::Json { objects: Box::new(Objects::new(kind, input)), names }, fields.to_vec(), columns)
            }
            Content::Parquet(file) => {
                let file = ParquetFile::open(&name, file)?;
                let matched = Matched::new(&name, &file.columns(), fields, required)?;
                let rows = file.rows(&matched.positions, &matched.fields, clock, counter.clone())?;
                (Rows::Parquet(Box::new(rows)), matched.fields, matched.columns)
            }
        };
        let batch = BatchBuilder::new(&fields);
        Ok(Self { name, rows, clock, fields, columns, batch, counter, opened, count: 0, whole: false, ended: None })
    }

    /// The file, as it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns of the batches: those of the file in its order; for JSON, whose rows may differ, all that were looked for.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The columns of the batches, as Arrow describes them.
    pub fn schema(&self) -> SchemaRef {
        schema(&self.fields)
    }

    /// Which columns the file has, and which not; for JSON known only at the end.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Rows given so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How far the file has been read.
    pub fn position(&self) -> Position {
        Position { file: self.name.clone(), bytes: self.counter.bytes(), total: self.opened.as_ref().map(Opened::size) }
    }

    /// The next rows; `None` once the whole file was read and nothing was wrong with it. Until then what was given is to
    /// be kept apart, or in a transaction. After an error comes the same error.
    pub fn next_batch(&mut self, rejects: &mut Rejects) -> Result<Option<Batch>, Error> {
        if let Some(ended) = &self.ended {
            return ended.clone().map(|()| None);
        }
        let read = self.read(rejects).and_then(|batch| match (&batch, &self.opened) {
            (None, Some(opened)) => opened.check(&self.name).map(|()| batch),
            _ => Ok(batch),
        });
        match &read {
            Ok(Some(batch)) => self.count += batch.len() as u64,
            Ok(None) => self.ended = Some(Ok(())),
            Err(error) => self.ended = Some(Err(error.clone())),
        }
        read
    }

    fn read(&mut self, rejects: &mut Rejects) -> Result<Option<Batch>, Error> {
        let Self { name, rows, clock, fields, columns, batch, whole, .. } = self;
        if *whole {
            return Ok(None);
        }
        match rows {
            Rows::Parquet(rows) => return rows.next(rejects),
            Rows::Csv { records, positions, null } => {
                while !batch.is_full() {
                    let Some(record) = records.next()? else {
                        *whole = true;
                        break;
                    };
                    match csv_values(&record, positions, fields, null, *clock) {
                        Ok(values) => batch.append(&values, record.raw.len()),
                        Err(_) if record.repeats_names() => return Err(csv::glued(name, record.row, record.line)),
                        Err(problem) => {
                            rejects.add(problem.at(Fault::Row, name, record.row, Some(record.line)), record.raw)?;
                        }
                    }
                }
            }
            Rows::Json { objects, names } => {
                let syntax = objects.fault();
                while !batch.is_full() {
                    let Some(object) = objects.next()? else {
                        *whole = true;
                        break;
                    };
                    let entries = json::parse(object.raw).map_err(|problem| (syntax, problem));
                    let appended = entries.and_then(|entries| {
                        let row = |problem| (Fault::Row, problem);
                        let members = json::members(entries).map_err(row)?;
                        let values = names.values(&members, fields, *clock).map_err(row)?;
                        batch.append(&values, object.raw.len());
                        Ok(())
                    });
                    match appended {
                        Ok(()) => {}
                        Err((Fault::Row, problem)) => {
                            rejects.add(problem.at(Fault::Row, name, object.row, Some(object.line)), object.raw)?;
                        }
                        Err((fault, problem)) => return Err(problem.at(fault, name, object.row, Some(object.line))),
                    }
                }
                if *whole {
                    *columns = names.columns(name, fields)?;
                }
            }
        }
        if batch.is_empty() && *whole {
            return Ok(None);
        }
        batch.finish().map(Some).map_err(|error| Error::new(Fault::Unreadable, name.as_str(), error.to_string()))
    }
}

fn csv_values<'a>(
    record: &Record<'a>,
    positions: &[Option<usize>],
    fields: &[Field],
    null: &str,
    clock: Clock,
) -> Result<Vec<Value<'a>>, Problem> {
    let mut values = Vec::with_capacity(fields.len());
    for (text, position) in record.texts()?.zip(positions) {
        let Some(field) = position.and_then(|position| fields.get(position)) else { continue };
        if !text.quoted && text.text == null {
            if field.not_null {
                return Err(value::null(field));
            }
            values.push(Value::Null);
        } else {
            values.push(value::read(field, clock, text.text).map_err(|problem| {
                let problem = problem.in_column(&field.name);
                match !text.quoted && stands_for_nothing(text.text) {
                    true => problem.with_hint(format!("if it stands for no value, say so: --null '{}'", text.text)),
                    false => problem,
                }
            })?);
        }
    }
    Ok(values)
}

/// Whether a word is one that other programs write for NULL.
fn stands_for_nothing(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "\\N", "none", "nan", "nat", "na", "n/a", "nil", "(null)"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The columns of a file beside those that were looked for.
struct Matched {
    /// For each column of the file its place in `fields`; `None` if it was not looked for.
    positions: Vec<Option<usize>>,
    /// The columns that were found, in the file's order.
    fields: Vec<Field>,
    columns: Columns,
}

impl Matched {
    fn new(file: &str, names: &[String], fields: &[Field], required: &[&str]) -> Result<Self, Error> {
        let known: HashMap<&str, &Field> = fields.iter().map(|field| (field.name.as_str(), field)).collect();
        let mut seen: HashMap<Cow<'_, str>, &str> = HashMap::new();
        let (mut positions, mut found, mut ignored) = (Vec::new(), Vec::<Field>::new(), Vec::new());
        for name in names {
            let compared = comparable(name);
            let (field, unnamed) = (known.get(compared.as_ref()), compared.is_empty());
            if let Some(first) = seen.insert(compared, name).filter(|_| !unnamed) {
                let message = match first == name {
                    true => format!("the column {} stands twice", quoted(name)),
                    false => format!("the columns {} and {} {SAME_NAME}", quoted(first), quoted(name)),
                };
                return Err(Error::new(Fault::Columns, file, message)
                    .with_hint("take one of them out, or give it another name"));
            }
            match field {
                Some(field) => {
                    positions.push(Some(found.len()));
                    found.push((*field).clone());
                }
                None => {
                    positions.push(None);
                    ignored.push(name.clone());
                }
            }
        }
        let columns =
            columns(file, |field| found.iter().any(|found| found.name == field.name), fields, required, ignored)?;
        Ok(Self {
            positions,
            columns: Columns { found: found.iter().map(|field| field.name.clone()).collect(), ..columns },
            fields: found,
        })
    }
}

/// Sorts the columns into found, missing and ignored; an error if a required one is missing.
fn columns(
    file: &str,
    is_found: impl Fn(&Field) -> bool,
    fields: &[Field],
    required: &[&str],
    ignored: Vec<String>,
) -> Result<Columns, Error> {
    let names = |wanted: bool| {
        fields.iter().filter(|field| is_found(field) == wanted).map(|field| field.name.clone()).collect::<Vec<_>>()
    };
    let (found, missing) = (names(true), names(false));
    if let Some(column) = required.iter().find(|column| !found.iter().any(|found| found == *column)) {
        let there: Vec<String> = found.iter().chain(&ignored).take(20).map(|name| quoted(name)).collect();
        let more = if found.len() + ignored.len() > there.len() { ", …" } else { "" };
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let near = nearest(column, ignored.iter().map(String::as_str));
        let hint = match near {
            Some(near) => format!("the file has {}: give that column the name {column}", quoted(near)),
            None => format!("a file of page views has at least {}", required.join(", ")),
        };
        let message = format!("the required column {column} is missing; the columns are {there}{more}");
        return Err(Error::new(Fault::Columns, file, message).with_hint(hint));
    }
    Ok(Columns { found, missing, ignored })
}

/// A hint if the line of column names looks as if something else stood between the names.
fn likely_delimiter(names: &[String], used: u8) -> Option<String> {
    if names.first().is_some_and(|first| first.starts_with("sep=")) {
        return Some(
            "the first line is a note to Excel: take it out, and name what follows sep= after --delimiter".to_owned(),
        );
    }
    let [only] = names else { return None };
    let delimiters = [(b';', "';'"), (b'\t', "'\\t'"), (b'|', "'|'"), (b',', "','")];
    let (_, likely) = delimiters.into_iter().find(|(byte, _)| *byte != used && only.as_bytes().contains(byte))?;
    Some(format!("the names stand between {likely}: read the file with --delimiter {likely}"))
}

/// The keys of the objects of a file.
struct Names {
    positions: HashMap<String, usize>,
    required: Vec<String>,
    /// Which columns some row has.
    seen: Vec<bool>,
    ignored: BTreeSet<String>,
    /// The last row in which a column stood.
    last: Vec<u64>,
    row: u64,
}

impl Names {
    fn new(fields: &[Field], required: &[&str]) -> Self {
        Self {
            positions: fields.iter().enumerate().map(|(position, field)| (field.name.clone(), position)).collect(),
            required: required.iter().map(|name| (*name).to_owned()).collect(),
            seen: vec![false; fields.len()],
            ignored: BTreeSet::new(),
            last: vec![0; fields.len()],
            row: 0,
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.positions.get(comparable(key).as_ref()).copied()
    }

    /// The values of a row.
    fn values<'a>(
        &mut self,
        members: &'a json::Members<'_>,
        fields: &[Field],
        clock: Clock,
    ) -> Result<Vec<Value<'a>>, Problem> {
        self.row += 1;
        let mut values = vec![Value::Null; fields.len()];
        for (number, (key, member)) in members.iter().enumerate() {
            let Some(position) = self.position(key) else {
                if self.ignored.len() < LISTED && !self.ignored.contains(key.as_ref()) {
                    self.ignored.insert(key.to_string());
                }
                continue;
            };
            let field = &fields[position];
            if std::mem::replace(&mut self.last[position], self.row) == self.row {
                let same = |other: &&(Cow<'_, str>, _)| comparable(&other.0) == comparable(key);
                let first = members[..number].iter().find(same).map_or("", |(first, _)| first);
                let message = format!("the keys {} and {} {SAME_NAME}", quoted(first), quoted(key));
                return Err(Problem::new(message).in_column(&field.name));
            }
            self.seen[position] = true;
            let text = match member {
                None => continue,
                Some(Scalar::Text(text)) => text.as_ref(),
                Some(Scalar::Nested(text)) if field.family() == TypeFamily::Text => text,
                Some(Scalar::Nested(text)) => return Err(value::unfit(field, text).in_column(&field.name)),
            };
            values[position] = value::read(field, clock, text).map_err(|problem| problem.in_column(&field.name))?;
        }
        let missing = |(field, value): (&Field, &Value<'_>)| field.not_null && *value == Value::Null;
        match fields.iter().zip(&values).position(missing) {
            Some(position) => Err(value::null(&fields[position])),
            None => Ok(values),
        }
    }

    /// Which columns the rows have. A file without rows has no columns, and lacks none.
    fn columns(&self, file: &str, fields: &[Field]) -> Result<Columns, Error> {
        let required: Vec<&str> = match self.row {
            0 => Vec::new(),
            _ => self.required.iter().map(String::as_str).collect(),
        };
        let is_found = |field: &Field| self.positions.get(&field.name).is_some_and(|position| self.seen[*position]);
        columns(file, is_found, fields, &required, self.ignored.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_reader_can_be_used_on_another_thread() {
        fn is_send<Type: Send>() {}
        is_send::<super::Reader>();
        is_send::<super::Rejects>();
    }
}

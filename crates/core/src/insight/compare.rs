//! Two tables, row by row: of one warehouse or of two. Where both are of one dialect, days of the same rows are told by their
//! count and checksum. The rows of the others are brought here, a range of time after the other.

use super::Insight;
use crate::model::Select;
use crate::model::select::sql;
use crate::plan::Statement;
use crate::rows::{Rows, Value};
use crate::table::{Column, TableName};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const DAYS: Select = sql!("insight/days");
const RANGE: Select = sql!("insight/range");
const ROWS_OF_RANGE: Select = sql!("insight/rows_of_range");

/// Which rows of a table: those whose time is in a range, or that have none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Range {
    /// All.
    All,
    /// Rows from a time on and before another, both as the warehouse writes them.
    Between(String, String),
    /// Rows without a time.
    WithoutTime,
}

impl Insight<'_> {
    fn range_condition(&self, time: &str, range: &Range) -> String {
        let literal = |text: &str| {
            let of_time = self.dialect.column_type(crate::table::ColumnType::Timestamp);
            format!("CAST({} AS {of_time})", self.dialect.text(text))
        };
        match range {
            Range::All => "1 = 1".to_owned(),
            Range::Between(from, before) => {
                format!("{time} >= {}\n  AND {time} < {}", literal(from), literal(before))
            }
            Range::WithoutTime => format!("{time} IS NULL"),
        }
    }

    /// How many rows of a table begin on each day, with a checksum of these columns where the warehouse has one of content.
    pub fn days(&self, name: &TableName, time: &str, columns: Option<&[Column]>) -> Statement {
        let (day, table) = (self.dialect.day(&self.dialect.quote(time)), self.dialect.table(name));
        let hash = columns.and_then(|columns| self.dialect.content_hash(columns));
        let none = format!("CAST(NULL AS {})", self.dialect.column_type(crate::table::ColumnType::BigInteger));
        let sum = hash.map_or(none, |hash| self.dialect.checksum(&hash));
        let values = [("day_of_time", day.as_str()), ("name", &table), ("sum_of_rows", &sum)];
        Statement::new(format!("days of {name}"), self.select(&DAYS, &values))
    }

    /// How many rows of a table are in a range.
    pub fn range(&self, name: &TableName, time: &str, range: &Range) -> Statement {
        let time = self.dialect.quote(time);
        let (table, condition) = (self.dialect.table(name), self.range_condition(&time, range));
        let values = [("name", table.as_str()), ("condition", &condition)];
        Statement::new(format!("how many rows of {name}"), self.select(&RANGE, &values))
    }

    /// The rows of a table that are in a range.
    pub fn rows_of_range(&self, name: &TableName, columns: &[String], time: Option<&str>, range: &Range) -> Statement {
        let time = time.map(|time| self.dialect.quote(time)).unwrap_or_default();
        let columns: Vec<String> = columns.iter().map(|column| self.dialect.quote(column)).collect();
        let (table, condition) = (self.dialect.table(name), self.range_condition(&time, range));
        let columns = columns.join(",\n  ");
        let values = [("shown_columns", columns.as_str()), ("name", &table), ("condition", &condition)];
        Statement::new(format!("rows of {name}"), self.select(&ROWS_OF_RANGE, &values))
    }
}

/// A row that differs, or that only one of two tables has.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The values of the key.
    pub key: Vec<Value>,
    /// Whether it is the first table's, the second's, or both's.
    pub rows_in: &'static str,
    /// The columns that differ, with both values.
    pub columns: Vec<(String, Value, Value)>,
}

/// How two tables differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Whether all rows were compared; if not, the numbers are of those that were, until too many had no equal.
    pub whole: bool,
    /// How many rows were compared, of each.
    pub rows: (u64, u64),
    /// How many are the same in both.
    pub same: u64,
    /// How many keys have rows that differ.
    pub different: u64,
    /// How many rows only one has, whose key the other has not.
    pub only_in: (u64, u64),
    /// In how many keys each column differs.
    pub columns: BTreeMap<String, u64>,
    /// Some of the differences.
    pub samples: Vec<Difference>,
}

/// Compares rows as they come.
#[derive(Debug)]
pub struct Comparing {
    columns: Vec<String>,
    key: Vec<usize>,
    padded: Vec<usize>,
    times: Vec<usize>,
    samples: usize,
    /// Rows whose key the other table has not shown yet.
    waiting: [BTreeMap<String, Vec<Vec<Value>>>; 2],
    found: Comparison,
}

impl Comparing {
    /// Of tables with these columns. Rows are told apart by the columns of the key, or by all. Trailing spaces of padded
    /// columns don't count, nor do zeros at the end of a time.
    pub fn new(columns: &[String], key: &[String], padded: &[String], times: &[String], samples: usize) -> Self {
        let positions = |names: &[String]| -> Vec<usize> {
            names.iter().filter_map(|name| columns.iter().position(|column| column == name)).collect()
        };
        let key = if key.is_empty() { (0..columns.len()).collect() } else { positions(key) };
        Self {
            padded: positions(padded),
            times: positions(times),
            columns: columns.to_vec(),
            key,
            samples,
            waiting: Default::default(),
            found: Comparison { whole: true, ..Comparison::default() },
        }
    }

    /// Takes so many rows of both tables that are known to be the same.
    pub fn take_same(&mut self, rows: u64) {
        self.found.rows.0 += rows;
        self.found.rows.1 += rows;
        self.found.same += rows;
    }

    /// How many rows have no equal yet: these are kept.
    pub fn unmet(&self) -> usize {
        self.waiting.iter().flat_map(BTreeMap::values).map(Vec::len).sum()
    }

    /// Not all rows were taken.
    pub fn stop(&mut self) {
        self.found.whole = false;
    }

    /// Takes the rows of both tables of one range.
    pub fn take(&mut self, first: Rows, second: Rows) {
        self.found.rows.0 += first.rows.len() as u64;
        self.found.rows.1 += second.rows.len() as u64;
        let mut touched = BTreeSet::new();
        for (table, rows) in [first, second].into_iter().enumerate() {
            for row in rows.rows {
                let row: Vec<Value> =
                    row.into_iter().enumerate().map(|(at, value)| self.canonical(at, value)).collect();
                let key: Vec<&Value> = self.key.iter().map(|at| &row[*at]).collect();
                let key = serde_json::to_string(&key).unwrap_or_default();
                self.waiting[table].entry(key.clone()).or_default().push(row);
                touched.insert(key);
            }
        }
        for key in touched {
            let [first, second] = [0, 1].map(|table| self.waiting[table].remove(&key).unwrap_or_default());
            // Rows of a key that are not all here yet meet the others later.
            self.meet(&key, first, second);
        }
    }

    fn meet(&mut self, key: &str, mut first: Vec<Vec<Value>>, mut second: Vec<Vec<Value>>) {
        first.retain(|row| match second.iter().position(|other| other == row) {
            Some(at) => {
                second.remove(at);
                self.found.same += 1;
                false
            }
            None => true,
        });
        for (table, rows) in [first, second].into_iter().enumerate() {
            if !rows.is_empty() {
                self.waiting[table].insert(key.to_owned(), rows);
            }
        }
    }

    /// What was found, once all rows are taken.
    pub fn end(mut self) -> Comparison {
        let [first, mut second] = std::mem::take(&mut self.waiting);
        for (key, rows) in first {
            match second.remove(&key) {
                Some(others) => self.differ(&rows, &others),
                None => self.alone(0, &rows),
            }
        }
        for rows in second.into_values() {
            self.alone(1, &rows);
        }
        self.found
    }

    fn differ(&mut self, rows: &[Vec<Value>], others: &[Vec<Value>]) {
        self.found.different += 1;
        let mut columns = Vec::new();
        if let (Some(row), Some(other)) = (rows.first(), others.first()) {
            for (at, name) in self.columns.iter().enumerate().filter(|(at, _)| row[*at] != other[*at]) {
                *self.found.columns.entry(name.clone()).or_default() += 1;
                columns.push((name.clone(), row[at].clone(), other[at].clone()));
            }
            self.sample("both", row.clone(), columns);
        }
    }

    fn alone(&mut self, table: usize, rows: &[Vec<Value>]) {
        let count = rows.len() as u64;
        if table == 0 {
            self.found.only_in.0 += count
        } else {
            self.found.only_in.1 += count
        }
        if let Some(row) = rows.first() {
            self.sample(if table == 0 { "first" } else { "second" }, row.clone(), Vec::new());
        }
    }

    fn sample(&mut self, rows_in: &'static str, row: Vec<Value>, columns: Vec<(String, Value, Value)>) {
        if self.found.samples.len() < self.samples {
            let key = self.key.iter().map(|at| row[*at].clone()).collect();
            self.found.samples.push(Difference { key, rows_in, columns });
        }
    }

    /// A value, as it compares with that of another warehouse.
    fn canonical(&self, at: usize, value: Value) -> Value {
        match value {
            Value::Text(text) if self.padded.contains(&at) => Value::Text(text.trim_end_matches(' ').to_owned()),
            Value::Text(text) if self.times.contains(&at) && text.contains('.') => {
                Value::Text(text.trim_end_matches('0').trim_end_matches('.').to_owned())
            }
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Value::Integer(number as i64),
            other => other,
        }
    }
}

impl Comparison {
    /// Whether both tables have the same rows.
    pub fn is_same(&self) -> bool {
        self.whole && self.different == 0 && self.only_in == (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[[&str; 3]]) -> Rows {
        let columns = ["id", "country", "title"].map(str::to_owned).to_vec();
        let value = |text: &str| if text.is_empty() { Value::Null } else { Value::Text(text.to_owned()) };
        Rows { columns, rows: cells.iter().map(|row| row.iter().map(|text| value(text)).collect()).collect() }
    }

    fn comparing() -> Comparing {
        let columns = ["id", "country", "title"].map(str::to_owned);
        Comparing::new(&columns, &columns[..1], &columns[1..2], &[], 10)
    }

    #[test]
    fn rows_meet_wherever_they_come_and_padding_is_none() {
        let mut comparing = comparing();
        comparing.take(rows(&[["a", "D ", "x"], ["b", "", "y"], ["c", "F", "z"]]), rows(&[["a", "D", "x"]]));
        comparing.take(rows(&[]), rows(&[["b", "", "other"], ["d", "G", "new"]]));
        let found = comparing.end();
        assert_eq!((found.rows, found.same, found.different, found.only_in), ((3, 3), 1, 1, (1, 1)));
        assert_eq!(found.columns, BTreeMap::from([("title".to_owned(), 1)]));
        assert!(!found.is_same());
    }

    #[test]
    fn a_key_of_several_rows_is_compared_as_a_whole() {
        let mut same = comparing();
        same.take(rows(&[["a", "", "x"], ["a", "", "y"]]), rows(&[["a", "", "y"]]));
        same.take(rows(&[]), rows(&[["a", "", "x"]]));
        assert!(same.end().is_same());
        let mut more = comparing();
        more.take(rows(&[["a", "", "x"], ["a", "", "x"]]), rows(&[["a", "", "x"]]));
        let found = more.end();
        assert_eq!((found.same, found.only_in), (1, (1, 0)));
    }
}

//! What a table holds, in a form that compares: across backends, and with the CSV files of the scenarios.

use crate::csv::{Cell, parse_csv, write_csv};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use websessions_core::model::{modules, tables};
use websessions_core::table::{ColumnType, TypeFamily};
use websessions_core::variables::Variables;

/// A table's columns in order, and its rows in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows, sorted.
    pub rows: Vec<Vec<Cell>>,
}

impl Contents {
    /// From raw cells: brings each to the one spelling of its column's type, and sorts the rows.
    pub fn new(columns: Vec<String>, rows: Vec<Vec<Cell>>) -> Self {
        let types: Vec<Option<ColumnType>> = columns.iter().map(|name| column_type(name)).collect();
        Self::typed(columns, &types, rows)
    }

    /// The same of columns of these types.
    pub(crate) fn typed(columns: Vec<String>, types: &[Option<ColumnType>], rows: Vec<Vec<Cell>>) -> Self {
        let canonical = |row: Vec<Cell>| {
            row.into_iter().zip(types).map(|(cell, of)| cell.map(|cell| canonical(*of, cell))).collect()
        };
        let mut rows: Vec<Vec<Cell>> = rows.into_iter().map(canonical).collect();
        rows.sort();
        Self { columns, rows }
    }

    /// From CSV as the scenarios have it.
    pub fn parse(text: &str) -> Self {
        let (columns, rows) = parse_csv(text);
        Self::new(columns, rows)
    }

    /// As CSV, as the scenarios have it. Rows that an earlier text has too stay there, and as they were written, so that a
    /// diff shows what changed.
    pub fn to_csv(&self, earlier: &str) -> String {
        let (columns, earlier) = parse_csv(earlier);
        let mut rest = self.rows.clone();
        let mut rows = Vec::new();
        for row in earlier.into_iter().filter(|_| columns == self.columns) {
            let found = Self::new(columns.clone(), vec![row.clone()])
                .rows
                .first()
                .and_then(|row| rest.iter().position(|other| other == row));
            if let Some(position) = found {
                rest.remove(position);
                rows.push(row);
            }
        }
        rows.append(&mut rest);
        write_csv(&self.columns, &rows)
    }

    /// Without some columns.
    #[must_use]
    pub fn without(&self, left_out: &[&str]) -> Self {
        let kept: Vec<usize> =
            (0..self.columns.len()).filter(|&position| !left_out.contains(&self.columns[position].as_str())).collect();
        let columns = kept.iter().map(|&position| self.columns[position].clone()).collect();
        let mut rows: Vec<Vec<Cell>> =
            self.rows.iter().map(|row| kept.iter().map(|&position| row[position].clone()).collect()).collect();
        rows.sort();
        Self { columns, rows }
    }

    /// One column's cells, sorted.
    pub fn column(&self, name: &str) -> Vec<Cell> {
        let position = self.columns.iter().position(|column| column == name);
        let mut cells: Vec<Cell> =
            self.rows.iter().map(|row| position.and_then(|position| row[position].clone())).collect();
        cells.sort();
        cells
    }

    /// Says how this differs from what was expected; `Ok` if it doesn't.
    pub fn expect(&self, expected: &Self, what: &str) -> Result<(), String> {
        if self.columns != expected.columns {
            return Err(format!("{what}: columns are {:?}, expected {:?}", self.columns, expected.columns));
        }
        let mut counts: BTreeMap<&[Cell], i64> = BTreeMap::new();
        for row in &expected.rows {
            *counts.entry(row).or_default() += 1;
        }
        for row in &self.rows {
            *counts.entry(row).or_default() -= 1;
        }
        let of = |sign: i64| counts.iter().filter(move |(_, count)| **count * sign > 0).map(|(row, _)| *row);
        let (Some(missing), unexpected) = (of(1).next(), of(-1).next()) else {
            return match of(-1).next() {
                None => Ok(()),
                Some(row) => Err(format!("{what}: {} rows too many, such as {row:?}", of(-1).count())),
            };
        };
        let nearest = unexpected.map(|_| {
            let same = |row: &[Cell]| row.iter().zip(missing).filter(|(left, right)| left == right).count();
            let nearest = of(-1).max_by_key(|row| same(row)).unwrap_or_default();
            let cells = self.columns.iter().zip(missing.iter().zip(nearest));
            let differing = cells.filter(|(_, (left, right))| left != right);
            differing
                .map(|(column, (want, got))| format!("{column}: expected {want:?}, got {got:?}"))
                .collect::<Vec<_>>()
        });
        Err(format!(
            "{what}: {} rows missing and {} unexpected of {}; first missing {:?}; nearest differs in {nearest:?}",
            of(1).count(),
            of(-1).count(),
            expected.rows.len(),
            &missing[..missing.len().min(4)],
        ))
    }
}

/// The type of a column of that name, wherever it stands in the model.
pub(crate) fn column_type(name: &str) -> Option<ColumnType> {
    static TYPES: LazyLock<BTreeMap<String, ColumnType>> = LazyLock::new(|| {
        let all = tables(&modules(), &Variables::default()).into_iter().flat_map(|table| table.columns);
        let mut types = BTreeMap::new();
        for column in all {
            types.entry(column.name.into_owned()).or_insert(column.column_type);
        }
        types
    });
    TYPES.get(name).copied()
}

fn canonical(column_type: Option<ColumnType>, cell: String) -> String {
    let Some(column_type) = column_type else { return cell };
    match (column_type, column_type.family()) {
        (ColumnType::Fixed(_), _) => cell.trim_end_matches(' ').to_owned(),
        (_, TypeFamily::Float) => cell.parse::<f64>().map_or(cell, |number| format!("{:?}", number + 0.0)),
        (_, TypeFamily::Boolean) => match cell.to_lowercase().as_str() {
            "t" | "true" | "1" => "t".to_owned(),
            _ => "f".to_owned(),
        },
        (_, TypeFamily::Timestamp) => timestamp(&cell).unwrap_or(cell),
        _ => cell,
    }
}

/// `YYYY-MM-DD HH:MM:SS.ffffff`, of the spellings that warehouses give a timestamp in UTC.
fn timestamp(cell: &str) -> Option<String> {
    let cell = ["Z", " UTC", "+00:00", "+0000", "+00"].iter().find_map(|zone| cell.strip_suffix(zone)).unwrap_or(cell);
    let (date, time) = cell.split_once([' ', 'T'])?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    Some(format!("{date} {seconds}.{:0<6.6}", fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_csv_is_read_again_and_keeps_what_was_written() {
        let earlier = "page_title,end_tstamp\n\"x\"\"y\n,\",2021-03-01 04:25:48.1\ngone,\n,\n";
        let now = Contents::parse("page_title,end_tstamp\n\"\",\n,\n\"x\"\"y\n,\",2021-03-01 04:25:48.100000\n");
        let text = "page_title,end_tstamp\n\"x\"\"y\n,\",2021-03-01 04:25:48.1\n,\n\"\",\n";
        assert_eq!(now.to_csv(earlier), text);
        assert_eq!(Contents::parse(text), now);
    }

    #[test]
    fn timestamps_compare_by_instant() {
        for spelling in ["2021-03-01T04:25:48.1", "2021-03-01 04:25:48.100000+00", "2021-03-01 04:25:48.1 UTC"] {
            assert_eq!(timestamp(spelling).as_deref(), Some("2021-03-01 04:25:48.100000"));
        }
    }
}

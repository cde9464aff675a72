//! The few rows that a query gives back, and their values.

use serde::Serialize;

/// A value that a query gives back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value {
    /// NULL.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// Text; timestamps come as `YYYY-MM-DD HH:MM:SS.ffffff`.
    Text(String),
}

impl Value {
    /// The whole number it holds; NULL is 0.
    pub fn as_integer(&self) -> i64 {
        match self {
            Self::Boolean(truth) => i64::from(*truth),
            other => other.whole_number().unwrap_or(0),
        }
    }

    /// The whole number it holds, if it is a number: some warehouses give sums as text.
    pub fn whole_number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Float(number) => Some(*number as i64),
            Self::Text(text) => text.parse().ok(),
            Self::Boolean(_) | Self::Null => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Boolean(truth) => write!(formatter, "{truth}"),
            Self::Integer(number) => write!(formatter, "{number}"),
            Self::Float(number) => write!(formatter, "{number}"),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

/// The few rows that a query gives back.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rows {
    /// Column names, in lower case.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// A row's value by column name; NULL if there is no such column.
    pub fn get(&self, row: usize, column: &str) -> &Value {
        const NULL: &Value = &Value::Null;
        let Some(position) = self.columns.iter().position(|name| name == column) else { return NULL };
        self.rows.get(row).and_then(|row| row.get(position)).unwrap_or(NULL)
    }
}

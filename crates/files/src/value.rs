//! Values as text, read as the type of their column: the same rules for every kind of file.
//! Text is kept as it is; only the padding of a column of fixed length is no part of it.

use crate::error::{Problem, quoted};
use crate::field::{ColumnType, Field};
use crate::number;
use crate::timestamp::Clock;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// Text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A finite double-precision number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    Timestamp(i64),
}

/// Reads text that is not NULL.
pub(crate) fn read<'a>(field: &Field, clock: Clock, text: &'a str) -> Result<Value<'a>, Problem> {
    let trimmed = || text.trim_matches(' ');
    match field.column_type {
        ColumnType::Text | ColumnType::LongText => unbounded(text).map(Value::Text),
        ColumnType::Varying(length) => bounded(text, length).map(Value::Text),
        ColumnType::Fixed(length) => bounded(text.trim_end_matches(' '), length).map(Value::Text),
        ColumnType::Integer | ColumnType::BigInteger => match number::whole(trimmed()) {
            Some(whole) => integer(field, whole),
            None => Err(unfit(field, text)),
        },
        ColumnType::Float => number::float(trimmed()).map(Value::Float).ok_or_else(|| unfit(field, text)),
        ColumnType::Boolean => boolean(trimmed()).map(Value::Boolean).ok_or_else(|| unfit(field, text)),
        ColumnType::Timestamp => clock.read(text).map(Value::Timestamp),
    }
}

/// A whole number that the column must have room for.
pub(crate) fn integer(field: &Field, whole: i64) -> Result<Value<'static>, Problem> {
    if field.column_type == ColumnType::Integer && i32::try_from(whole).is_err() {
        return Err(unfit(field, &whole.to_string()));
    }
    Ok(Value::Integer(whole))
}

/// `true`, `t`, `yes`, `y`, `1` and their opposites, in any case.
fn boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 5] = ["true", "t", "1", "yes", "y"];
    const FALSE: [&str; 5] = ["false", "f", "0", "no", "n"];
    let is_one_of = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(TRUE) { Some(true) } else { is_one_of(FALSE).then_some(false) }
}

fn unbounded(text: &str) -> Result<&str, Problem> {
    // A NUL is a character for some warehouses, and the end of the text or an error for others.
    match memchr::memchr(0, text.as_bytes()) {
        Some(_) => Err(Problem::new(format!("{} has a NUL character", quoted(text)))),
        None => Ok(text),
    }
}

fn bounded(text: &str, length: u16) -> Result<&str, Problem> {
    if text.len() > usize::from(length) {
        let characters = text.chars().count();
        if characters > usize::from(length) {
            return Err(Problem::new(format!(
                "{} has {characters} characters, the column takes {length}",
                quoted(text)
            )));
        }
    }
    unbounded(text)
}

/// The value is not of the column's type.
pub(crate) fn unfit(field: &Field, value: &str) -> Problem {
    let expected = match field.column_type {
        ColumnType::Text | ColumnType::LongText | ColumnType::Varying(_) | ColumnType::Fixed(_) => "text",
        ColumnType::Integer => "a whole number from -2147483648 to 2147483647",
        ColumnType::BigInteger => "a whole number of 64 bits",
        ColumnType::Float => "a finite number",
        ColumnType::Boolean => "true or false",
        ColumnType::Timestamp => "a timestamp (ISO 8601, such as 2024-07-01 10:00:00)",
    };
    Problem::new(format!("{} is not {expected}", quoted(value)))
}

/// NULL in a column that refuses it.
pub(crate) fn null(field: &Field) -> Problem {
    Problem::new("no value, and the column must have one").in_column(&field.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(column_type: ColumnType) -> Field {
        Field { name: "column".to_owned(), column_type, not_null: false }
    }

    fn read_as(column_type: ColumnType, text: &str) -> Result<Value<'_>, String> {
        read(&field(column_type), Clock::default(), text).map_err(|problem| problem.message)
    }

    #[test]
    fn numbers_fit_their_columns_exactly() {
        assert_eq!(read_as(ColumnType::Integer, "5.0"), Ok(Value::Integer(5)));
        assert_eq!(read_as(ColumnType::Integer, " 5 "), Ok(Value::Integer(5)));
        assert_eq!(read_as(ColumnType::Integer, "2147483647"), Ok(Value::Integer(2_147_483_647)));
        assert_eq!(read_as(ColumnType::BigInteger, "2147483648"), Ok(Value::Integer(2_147_483_648)));
        for text in ["5.0000004", "2147483648", "-2147483649", "", "five", "true", "1,000"] {
            let refused = read_as(ColumnType::Integer, text);
            assert!(refused.as_ref().is_err_and(|message| message.contains("whole number")), "{text}: {refused:?}");
        }
        assert_eq!(read_as(ColumnType::Float, "5"), Ok(Value::Float(5.0)));
        assert!(read_as(ColumnType::Float, "NaN").is_err());
    }

    #[test]
    fn booleans_are_words_or_digits() {
        for text in ["true", "T", "Yes", "y", "1"] {
            assert_eq!(read_as(ColumnType::Boolean, text), Ok(Value::Boolean(true)), "{text}");
        }
        for text in ["FALSE", "f", "no", "N", "0"] {
            assert_eq!(read_as(ColumnType::Boolean, text), Ok(Value::Boolean(false)), "{text}");
        }
        for text in ["", "2", "on", "wahr", "tru", "1.0"] {
            assert!(read_as(ColumnType::Boolean, text).is_err(), "{text}");
        }
    }

    #[test]
    fn text_is_kept_or_refused_whole() {
        assert_eq!(read_as(ColumnType::Varying(3), "äöü"), Ok(Value::Text("äöü")), "characters are counted");
        assert!(read_as(ColumnType::Varying(3), "abcd").is_err_and(|message| message.contains("4 characters")));
        assert!(read_as(ColumnType::Varying(3), "abc ").is_err(), "a blank is a character");
        assert_eq!(read_as(ColumnType::Varying(8), " a\u{a0}"), Ok(Value::Text(" a\u{a0}")));
        assert_eq!(read_as(ColumnType::Fixed(3), "DE   "), Ok(Value::Text("DE")), "padding");
        assert_eq!(read_as(ColumnType::Fixed(3), "a\u{a0}"), Ok(Value::Text("a\u{a0}")), "only blanks are padding");
        assert!(read_as(ColumnType::Fixed(2), "DEU").is_err());
        for column_type in [ColumnType::Text, ColumnType::Varying(9), ColumnType::Fixed(9)] {
            assert!(read_as(column_type, "a\0b").is_err_and(|message| message.contains("NUL")));
        }
    }
}

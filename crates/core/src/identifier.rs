//! Names that may stand in SQL. Everything a user can name goes through here, so nothing that a user types is ever
//! more than a name.

use std::fmt;

/// The longest name that every supported warehouse accepts (Postgres cuts longer ones off).
/// Source: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>.
pub const LONGEST_IDENTIFIER: usize = 63;

/// A schema name: a letter or `_`, then letters, digits and `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Identifier(String);

impl Identifier {
    /// Checks a name. The error says what a name may be.
    pub fn new(name: &str) -> Result<Self, String> {
        let first_is_letter = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if first_is_letter && only_word_characters(name) && name.len() <= LONGEST_IDENTIFIER {
            Ok(Self(name.to_owned()))
        } else {
            Err(format!(
                "{name:?} is not a usable name: a letter or '_' first, then ASCII letters, digits and '_', at most {LONGEST_IDENTIFIER} characters"
            ))
        }
    }

    /// The name, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The suffix of every table name; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Entropy(String);

/// The longest entropy: the model's longest table name has 32 characters.
pub const LONGEST_ENTROPY: usize = 30;

impl Entropy {
    /// Checks a suffix. The error says what a suffix may be.
    pub fn new(suffix: &str) -> Result<Self, String> {
        if only_word_characters(suffix) && suffix.len() <= LONGEST_ENTROPY {
            Ok(Self(suffix.to_owned()))
        } else {
            Err(format!(
                "{suffix:?} is not a usable suffix: ASCII letters, digits and '_' only, at most {LONGEST_ENTROPY} characters"
            ))
        }
    }

    /// The suffix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn only_word_characters(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_carry_sql_are_refused() {
        for name in ["", "a b", "a;b", "a\"b", "a'b", "a`b", "a.b", "1a", "a-b", "ü", "a\0", &"a".repeat(64)] {
            assert!(Identifier::new(name).is_err(), "{name:?}");
        }
        for suffix in ["_x; drop table", "\"", "-- ", "ü", &"a".repeat(31)] {
            assert!(Entropy::new(suffix).is_err(), "{suffix:?}");
        }
        assert!(Identifier::new("_scratch2").is_ok());
        assert!(Entropy::new("").is_ok());
        assert!(Entropy::new("_test").is_ok());
    }
}

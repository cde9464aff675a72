//! The columns that are looked for in a file, in the model's vocabulary of types. Their names are compared without case, and
//! without what can't be seen around them.

use std::borrow::Cow;
pub(crate) use websessions_core::did_you_mean::nearest;
use websessions_core::table::Column;
pub use websessions_core::table::ColumnType;
pub(crate) use websessions_core::table::TypeFamily;

/// A column's name without what can't be seen around it: blanks, those of other scripts, tabs, a byte order mark.
pub(crate) fn trimmed(name: &str) -> &str {
    // U+00AD, U+200B to U+200F and U+2060 are no blanks for Unicode, and as invisible.
    let is_invisible = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    name.trim_matches(is_invisible)
}

/// A column's name as it is compared.
pub(crate) fn comparable(name: &str) -> Cow<'_, str> {
    let name = trimmed(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// A column that a file may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, in lower case.
    pub name: String,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether NULL is refused.
    pub not_null: bool,
}

impl From<&Column> for Field {
    fn from(column: &Column) -> Self {
        Self { name: column.name.to_string(), column_type: column.column_type, not_null: column.not_null }
    }
}

impl Field {
    pub(crate) fn family(&self) -> TypeFamily {
        self.column_type.family()
    }
}

/// The columns of a file, compared without case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Columns {
    /// Columns that were looked for and are there.
    pub found: Vec<String>,
    /// Columns that were looked for and are not there: NULL.
    pub missing: Vec<String>,
    /// Columns of the file that were not looked for: left out.
    pub ignored: Vec<String>,
}

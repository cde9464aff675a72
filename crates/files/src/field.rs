//! The columns that are looked for in a file, in the model's vocabulary of types.
//! Their names are compared without case.

pub(crate) use websessions_core::did_you_mean::nearest;
use websessions_core::table::Column;
pub use websessions_core::table::ColumnType;
pub(crate) use websessions_core::table::TypeFamily;

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

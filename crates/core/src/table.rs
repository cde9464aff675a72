//! The words for tables: columns and their types, where a table lives, how long it lives and how it is laid out.
//! Tables are values: a module makes its own from the variables.

use crate::identifier::Identifier;
use ColumnType::*;
use std::borrow::Cow;

/// The type of a column, independent of the warehouse. A dialect spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ColumnType {
    /// Text that the original doesn't bound: as Redshift's `VARCHAR` it has 256 bytes, elsewhere any length.
    Text,
    /// Text as long as the warehouse takes it.
    LongText,
    /// Text of at most so many bytes, where the warehouse bounds text.
    Varying(u16),
    /// Text of exactly so many bytes, padded where the warehouse pads.
    Fixed(u16),
    /// A whole number of at least 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInteger,
    /// A double-precision number.
    Float,
    /// True or false.
    Boolean,
    /// A point in time in UTC, without a time zone, to the microsecond.
    Timestamp,
}

/// What a column holds, sizes aside: what the drift check compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeFamily {
    /// Any text.
    Text,
    /// Any whole number.
    Integer,
    /// Any floating-point number.
    Float,
    /// True or false.
    Boolean,
    /// A timestamp without a time zone (BigQuery's `TIMESTAMP`, which is UTC, included).
    Timestamp,
}

impl ColumnType {
    /// The family that this type belongs to.
    pub fn family(self) -> TypeFamily {
        match self {
            Text | LongText | Varying(_) | Fixed(_) => TypeFamily::Text,
            Integer | BigInteger => TypeFamily::Integer,
            Float => TypeFamily::Float,
            Boolean => TypeFamily::Boolean,
            Timestamp => TypeFamily::Timestamp,
        }
    }
}

/// What a column of a user's table holds, as far as it matters to a column of the model's that is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceType {
    /// Text.
    Text,
    /// What a cast makes text of, and nothing is lost: a UUID, a word of a list.
    TextByCast,
    /// Whole numbers that each column of whole numbers takes.
    Integer,
    /// Numbers that may have a fraction, or more bits than a column of whole numbers takes, and are exact.
    Decimal,
    /// Floating-point numbers.
    Float,
    /// True or false.
    Boolean,
    /// A timestamp without a time zone, in UTC, to the microsecond at most.
    Timestamp,
    /// The same, with digits beyond the microsecond.
    FineTimestamp,
    /// A timestamp with a time zone.
    ZonedTimestamp,
    /// What a cast makes such a timestamp of, and nothing is lost: a date.
    TimestampByCast,
}

impl From<TypeFamily> for SourceType {
    fn from(family: TypeFamily) -> Self {
        match family {
            TypeFamily::Text => Self::Text,
            TypeFamily::Integer => Self::Integer,
            TypeFamily::Float => Self::Float,
            TypeFamily::Boolean => Self::Boolean,
            TypeFamily::Timestamp => Self::Timestamp,
        }
    }
}

impl SourceType {
    /// Whether a column of the model's is read from it: value by value, where not all of its values are of that column's type.
    pub fn gives(self, family: TypeFamily) -> bool {
        match family {
            TypeFamily::Text => matches!(self, Self::Text | Self::TextByCast),
            TypeFamily::Integer | TypeFamily::Float => matches!(self, Self::Integer | Self::Decimal | Self::Float),
            TypeFamily::Boolean => self == Self::Boolean,
            TypeFamily::Timestamp => {
                matches!(self, Self::Timestamp | Self::FineTimestamp | Self::ZonedTimestamp | Self::TimestampByCast)
            }
        }
    }
}

/// A column of a user's table that a column of the model's is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceColumn {
    /// The model's name of it.
    pub name: String,
    /// How the table spells it.
    pub spelled: String,
    /// What it holds.
    pub source_type: SourceType,
}

impl SourceColumn {
    /// A column of that name, spelled so, that holds this.
    pub fn new(name: impl Into<String>, spelled: impl Into<String>, source_type: SourceType) -> Self {
        Self { name: name.into(), spelled: spelled.into(), source_type }
    }
}

impl std::fmt::Display for TypeFamily {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            TypeFamily::Text => "text",
            TypeFamily::Integer => "integer",
            TypeFamily::Float => "floating point",
            TypeFamily::Boolean => "boolean",
            TypeFamily::Timestamp => "timestamp",
        })
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// Its name, in lower case.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub column_type: ColumnType,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// Whether a row of an input is of no use without it.
    pub required: bool,
    /// Whether nothing that a module computes depends on it: a row is not told from another by it.
    pub unread: bool,
    /// Whether it is no column of the model, but one that the configuration declares.
    pub own: bool,
}

impl Column {
    /// A column that may be NULL.
    pub const fn new(name: &'static str, column_type: ColumnType) -> Self {
        Self::named(Cow::Borrowed(name), column_type)
    }

    /// The same, of a name that is known at run time only. It must have been validated, as an [`Identifier`] is.
    pub const fn named(name: Cow<'static, str>, column_type: ColumnType) -> Self {
        Self { name, column_type, not_null: false, required: false, unread: false, own: false }
    }

    /// Makes the column one that is never NULL.
    #[must_use]
    pub const fn not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// Says that no module reads the column: a row is not told from another by it.
    #[must_use]
    pub const fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// Says that the configuration declares the column.
    #[must_use]
    pub const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Without which a row of an input is of no use.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// Which of the two configured schemas a table lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaRole {
    /// `scratch_schema`.
    Scratch,
    /// `output_schema`.
    Output,
}

/// How long a table lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Production data and the modules' interfaces: only `destroy` may drop them, or nothing does.
    Persistent,
    /// Shared by the modules of one run: dropped when a module says that it ends the run.
    Run,
    /// Made by this module for this run: dropped by `complete`, by `cleanup_mode`.
    Module,
}

/// Hints for the physical layout; a dialect uses those that its warehouse has.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Layout {
    /// The column by which rows are spread and joined.
    pub distribute: Option<&'static str>,
    /// The column by which rows are kept in order.
    pub sort: Option<&'static str>,
    /// The timestamp column by whose date the table is partitioned.
    pub partition: Option<&'static str>,
    /// The columns by which blocks are clustered, most important first.
    pub cluster: &'static [&'static str],
    /// The column by whose equality rows are found, where the warehouse has indexes.
    pub index: Option<&'static str>,
    /// The columns that the table is joined and grouped by: a planner needs their statistics.
    pub joined: &'static [&'static str],
}

impl Layout {
    /// No hints.
    pub const NONE: Self =
        Self { distribute: None, sort: None, partition: None, cluster: &[], index: None, joined: &[] };

    /// Spreads and joins rows by a column.
    #[must_use]
    pub const fn distribute(mut self, column: &'static str) -> Self {
        self.distribute = Some(column);
        self
    }

    /// Keeps rows in order by a column.
    #[must_use]
    pub const fn sort(mut self, column: &'static str) -> Self {
        self.sort = Some(column);
        self
    }

    /// Partitioned by the date of a timestamp column.
    #[must_use]
    pub const fn partition(mut self, column: &'static str) -> Self {
        self.partition = Some(column);
        self
    }

    /// Clusters blocks by columns.
    #[must_use]
    pub const fn cluster(mut self, columns: &'static [&'static str]) -> Self {
        self.cluster = columns;
        self
    }

    /// Adds an index for equality with a column.
    #[must_use]
    pub const fn index(mut self, column: &'static str) -> Self {
        self.index = Some(column);
        self
    }

    /// Adds statistics of columns, which the table is joined by.
    #[must_use]
    pub const fn joined(mut self, columns: &'static [&'static str]) -> Self {
        self.joined = columns;
        self
    }
}

/// A table of a module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Table {
    /// Its name without schema and entropy.
    pub name: &'static str,
    /// The schema it lives in.
    pub schema: SchemaRole,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// How it is laid out.
    pub layout: Layout,
    /// Whether it is a view of other tables.
    pub view: bool,
    /// The wide table whose rows it tells, where that is a view of production ([`crate::dialect::Dialect::writes_once`]).
    /// Elsewhere it isn't made, and that table is read in its place.
    pub keys_of: Option<&'static str>,
    /// Whether others fill it too: it may have columns that the model knows nothing of, which are left alone.
    pub shared: bool,
}

impl Table {
    /// A table without hints for its layout.
    pub fn new(name: &'static str, schema: SchemaRole, lifetime: Lifetime, columns: Vec<Column>) -> Self {
        Self { name, schema, lifetime, columns, layout: Layout::NONE, view: false, keys_of: None, shared: false }
    }

    /// Makes it a view of other tables.
    #[must_use]
    pub fn view(mut self) -> Self {
        self.view = true;
        self
    }

    /// Says that it tells the rows of a wide table, where that is a view of production.
    #[must_use]
    pub fn keys_of(mut self, table: &'static str) -> Self {
        self.keys_of = Some(table);
        self
    }

    /// Says that others fill the table, too.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Laid out so.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that says when what a row tells happened.
    pub fn time(&self) -> Option<&str> {
        let times = || self.columns.iter().filter(|column| column.column_type == Timestamp).map(|column| &*column.name);
        self.layout.partition.or_else(|| times().find(|name| *name == "start_tstamp")).or_else(|| times().next())
    }

    /// The names of its columns, in order.
    pub fn column_names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_ref()).collect()
    }

    /// The names of the columns without which a row of it is of no use.
    pub fn required_names(&self) -> Vec<&str> {
        self.columns.iter().filter(|column| column.required).map(|column| column.name.as_ref()).collect()
    }

    /// The list of its columns as SQL has it, one a line.
    pub fn column_list(&self) -> String {
        self.column_names().join(",\n  ")
    }
}

/// A table's full name in a warehouse: schema, and name with entropy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TableName {
    /// The schema (BigQuery: dataset).
    pub schema: Identifier,
    /// The name, entropy included. Made of validated parts only.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.schema, self.name)
    }
}

//! The model: modules as data, and the SQL that they are written in. What a module does is a plan; making one is pure.

mod checks;
mod context;
mod findings;
pub mod page_views;
pub(crate) mod select;
pub mod sessions;
pub mod shared;
pub mod users;

pub use checks::{Check, Severity};
pub use context::Context;
pub use select::Select;

use crate::dialect::Dialect;
use crate::error::Error;
use crate::files::Files;
use crate::own_columns::{Declaration, OwnColumns};
use crate::plan::{Phase, Plan, Step};
use crate::table::Table;
use crate::variables::Variables;
use std::sync::Arc;

/// A module of the model: its name, its tables, what it reads, and the steps of its phases.
///
/// ```
/// use websessions_core::model::{Context, Module};
/// use websessions_core::plan::Step;
/// use websessions_core::table::{Column, ColumnType, Lifetime, SchemaRole, Table};
/// use websessions_core::variables::Variables;
///
/// fn tables(_variables: &Variables) -> Vec<Table> {
///     let name = Column::new("name", ColumnType::Text);
///     vec![Table::new("pages", SchemaRole::Output, Lifetime::Persistent, vec![name])]
/// }
/// fn main(context: &Context<'_>) -> Vec<Step> {
///     vec![Step::new("setup", "permanent tables", context.create("pages"))]
/// }
/// fn destroy(context: &Context<'_>) -> Vec<Step> {
///     vec![Step::new("destroy", "drops what this module owns", vec![context.drop("pages")])]
/// }
/// let pages = Module::new("pages", tables, main, |_| Vec::new(), destroy);
/// assert_eq!(pages.table("pages", &Variables::default()).map(|table| table.columns.len()), Some(1));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// The table that it reads and that must be there before it runs: none if it makes its own.
    pub input: Option<&'static str>,
    /// The table that it loads files into.
    pub loads: Option<&'static str>,
    /// The tables of a run that stay when `cleanup_mode` is debug.
    pub kept_for_debugging: &'static [&'static str],
    /// What stands before the phases' names in those of the plans.
    pub prefix: &'static str,
    /// Whether no module follows in a run, unless `ends_run` says otherwise.
    pub ends_run: bool,
    /// How many rows of tables a run read, as far as it counts them.
    pub rows_read: &'static [RowCounts],
    /// How many rows of tables it wrote.
    pub rows_written: &'static [RowCounts],
    derived: fn(&Variables) -> Vec<Derived>,
    /// The tests of its tables' data.
    pub checks: &'static [Check],
    /// The columns that tell the rows of its tables apart, by table.
    pub keys: Keys,
    tables: fn(&Variables) -> Vec<Table>,
    main: Steps,
    complete: Steps,
    destroy: Steps,
}

/// A module is known by its name.
impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Module {}

/// Where a report has how many rows of a table a run read, or wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCounts {
    /// The table.
    pub table: &'static str,
    /// The finding that has it.
    pub finding: &'static str,
    /// The finding's column.
    pub column: &'static str,
}

impl RowCounts {
    /// The rows of a table, whose number is in a column of a finding.
    pub const fn new(table: &'static str, finding: &'static str, column: &'static str) -> Self {
        Self { table, finding, column }
    }
}

/// A column of a module's output, and what it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The table of the output.
    pub table: &'static str,
    /// Its column.
    pub column: String,
    /// How.
    pub derivation: Derivation,
    /// The table that it comes from.
    pub source: &'static str,
    /// The columns of that table.
    pub from: Vec<String>,
}

/// How a column comes from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Derivation {
    /// The value is taken over as it is.
    Identity,
    /// The value is computed from those of one row.
    Transformation,
    /// The value is computed from those of many rows.
    Aggregation,
}
/// The columns that tell the rows of tables apart, by table.
pub type Keys = &'static [(&'static str, &'static [&'static str])];

/// The steps of a phase.
pub type Steps = fn(&Context<'_>) -> Vec<Step>;

impl Module {
    /// Its name as a configuration spells it: with `_`, where the metadata have `-`.
    pub fn spelled(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Whether a user means it by a name, in whichever spelling.
    pub fn is_called(&self, name: &str) -> bool {
        self.spelled() == name.replace('-', "_")
    }

    /// A module of these tables and phases, without an input.
    pub const fn new(
        name: &'static str,
        tables: fn(&Variables) -> Vec<Table>,
        main: Steps,
        complete: Steps,
        destroy: Steps,
    ) -> Self {
        Self {
            name,
            input: None,
            loads: None,
            kept_for_debugging: &[],
            prefix: "",
            ends_run: false,
            rows_read: &[],
            rows_written: &[],
            derived: |_| Vec::new(),
            checks: &[],
            keys: &[],
            tables,
            main,
            complete,
            destroy,
        }
    }

    /// Names the table that it reads, and that must be there before it runs.
    #[must_use]
    pub const fn input(mut self, table: &'static str) -> Self {
        self.input = Some(table);
        self
    }

    /// Names the table that it loads files into.
    #[must_use]
    pub const fn loads(mut self, table: &'static str) -> Self {
        self.loads = Some(table);
        self
    }

    /// Some of whose tables stay when `cleanup_mode` is debug.
    #[must_use]
    pub const fn kept_for_debugging(mut self, tables: &'static [&'static str]) -> Self {
        self.kept_for_debugging = tables;
        self
    }

    /// Gives the names of its plans a prefix, which tells them from other modules'.
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    /// Makes it the last module of a run.
    #[must_use]
    pub const fn ends_run(mut self) -> Self {
        self.ends_run = true;
        self
    }

    /// Says which rows that it reads and writes are counted.
    #[must_use]
    pub const fn counts(mut self, read: &'static [RowCounts], written: &'static [RowCounts]) -> Self {
        self.rows_read = read;
        self.rows_written = written;
        self
    }

    /// Says which columns those of its output come from.
    #[must_use]
    pub const fn derived(mut self, derived: fn(&Variables) -> Vec<Derived>) -> Self {
        self.derived = derived;
        self
    }

    /// Which columns those of its output come from, as far as it says.
    pub fn column_lineage(&self, variables: &Variables) -> Vec<Derived> {
        (self.derived)(variables)
    }

    /// Gives the tests of its tables' data.
    #[must_use]
    pub(crate) const fn checks(mut self, checks: &'static [Check]) -> Self {
        self.checks = checks;
        self
    }

    /// Names the columns that tell its tables' rows apart.
    #[must_use]
    pub const fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Its tables under these variables: those that all modules share, then its own.
    pub fn tables(&self, variables: &Variables) -> Vec<Table> {
        let mut tables = shared::tables();
        tables.extend((self.tables)(variables));
        tables
    }

    /// The table of that name.
    pub fn table(&self, name: &str, variables: &Variables) -> Option<Table> {
        self.tables(variables).into_iter().find(|table| table.name == name)
    }

    /// What a phase will do.
    pub fn plan(&self, phase: Phase, variables: &Variables, dialect: &Arc<dyn Dialect>) -> Plan {
        self.plan_with(phase, variables, dialect, &Files::default())
    }

    /// What a phase will do that is given files.
    pub fn plan_with(&self, phase: Phase, variables: &Variables, dialect: &Arc<dyn Dialect>, files: &Files) -> Plan {
        let context = Context::new(self, variables, dialect, files);
        let steps = match phase {
            Phase::Main => self.main,
            Phase::Complete => self.complete,
            Phase::Destroy => self.destroy,
        };
        Plan::new(format!("{}{}", self.prefix, phase.name()), dialect.name(), steps(&context))
    }

    /// A plan that is none of its phases.
    fn plan_of(
        &self,
        name: &str,
        variables: &Variables,
        dialect: &Arc<dyn Dialect>,
        steps: impl Fn(&Context<'_>) -> Vec<Step>,
    ) -> Plan {
        Plan::new(name, dialect.name(), steps(&Context::new(self, variables, dialect, &Files::default())))
    }
}

/// The modules of this crate, in the order in which they run.
pub fn modules() -> Vec<Module> {
    vec![page_views::module(), sessions::module(), users::module()]
}

/// Checks columns of one's own against the columns that the model has. They are columns of its tables once they are set as
/// [`Variables::columns`].
///
/// ```
/// use websessions_core::model::{own_columns, sessions};
/// use websessions_core::own_columns::Declaration;
/// use websessions_core::variables::Variables;
///
/// let mut conversions = Declaration::default();
/// conversions.name = "conversions".to_owned();
/// conversions.from = "sum".to_owned();
/// conversions.value_type = "integer".to_owned();
/// conversions.sql = Some("CASE WHEN page_urlpath = '/thanks' THEN 1 ELSE 0 END".to_owned());
/// let mut variables = Variables::default();
/// variables.columns = own_columns(&[conversions])?;
/// assert!(sessions::production(&variables).column("conversions").is_some());
/// # Ok::<(), websessions_core::error::Error>(())
/// ```
pub fn own_columns(declared: &[Declaration]) -> Result<OwnColumns, Error> {
    let none = Variables::default();
    let page_views = page_views::production(&none).map(|table| table.columns).unwrap_or_default();
    let taken = [sessions::production(&none).columns, users::production(&none).columns].concat();
    let tables: Vec<&str> = tables(&modules(), &none).iter().map(|table| table.name).collect();
    OwnColumns::new(declared, &page_views, &taken, &tables).map_err(Error::configuration)
}

/// The tests of the data of some modules, and of what all modules share.
pub fn checks(modules: &[Module]) -> Vec<&'static Check> {
    checks::SHARED.iter().chain(modules.iter().flat_map(|module| module.checks)).collect()
}

/// The columns that tell the rows of a table of some modules apart, if some do.
pub fn key(modules: &[Module], table: &str) -> &'static [&'static str] {
    let found = modules.iter().flat_map(|module| module.keys).find(|(name, _)| *name == table);
    found.map_or(&[], |(_, key)| key)
}

/// Whether a table is a view: of others, or of production, where a dialect writes the rows of a run once.
pub fn is_view(table: &Table, tables: &[Table], variables: &Variables, dialect: &dyn Dialect) -> bool {
    let has_keys = || tables.iter().any(|other| other.keys_of == Some(table.name));
    table.view || (dialect.writes_once() && !variables.skip_derived && has_keys())
}

/// All tables of some modules under these variables, each once.
pub fn tables(modules: &[Module], variables: &Variables) -> Vec<Table> {
    let mut all: Vec<Table> = Vec::new();
    for table in modules.iter().flat_map(|module| module.tables(variables)) {
        if !all.iter().any(|known| known.name == table.name) {
            all.push(table);
        }
    }
    all
}

#[cfg(test)]
mod tests;

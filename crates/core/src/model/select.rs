//! Renders the SQL of `sql/` for a dialect. The files fill in names and call functions; they have no control flow, and
//! anything undefined is an error.

use crate::dialect::Dialect;
use crate::own_columns::OwnColumns;
use crate::table::{Column, ColumnType, Table, TypeFamily};
use crate::variables::Variables;
use minijinja::value::Kwargs;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The text of one file of `sql/`.
#[derive(Clone, Copy, Debug)]
pub struct Select {
    name: &'static str,
    source: &'static str,
}

impl Select {
    /// A text, and the name that an error in it is told by.
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source }
    }
}

/// The text of a file of this crate's `sql/`. A name that no file has doesn't compile.
macro_rules! sql {
    ($path:literal) => {
        $crate::model::Select::new($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $path, ".sql")))
    };
}
pub(crate) use sql;

/// The table that is read by the name of one of these: of narrow keys that are not made, the wide table whose rows they tell.
pub(super) fn read_as<'a>(tables: &'a [Table], table: &'a Table, writes_once: bool) -> &'a Table {
    let wide = table.keys_of.filter(|_| !writes_once);
    wide.and_then(|wide| tables.iter().find(|other| other.name == wide)).unwrap_or(table)
}

/// The functions and names that SQL may use, for some tables, variables and a dialect.
#[derive(Debug)]
pub(crate) struct Renderer {
    environment: Environment<'static>,
    names: Value,
}

impl Renderer {
    pub(crate) fn new(tables: &[Table], variables: &Variables, dialect: &Arc<dyn Dialect>) -> Self {
        Self::computing(tables, variables, dialect, &[])
    }

    /// Where some of the tables are made by the query itself, and go by their own names.
    pub(crate) fn computing(
        tables: &[Table],
        variables: &Variables,
        dialect: &Arc<dyn Dialect>,
        computed: &[&str],
    ) -> Self {
        let once = dialect.writes_once() && computed.is_empty();
        let quoted_name = |table: &Table| match read_as(tables, table, once) {
            table if computed.contains(&table.name) => dialect.quote(table.name),
            table => dialect.table(&variables.table_name(table)),
        };
        let quoted: BTreeMap<&str, String> = tables.iter().map(|table| (table.name, quoted_name(table))).collect();
        let columns: BTreeMap<&str, String> = tables.iter().map(|table| (table.name, table.column_list())).collect();
        let rows: BTreeMap<&str, String> =
            tables.iter().map(|table| (table.name, dialect.row_of(&variables.table_name(table)))).collect();
        let names = context! {
            table => quoted,
            row => rows,
            columns => columns,
            upsert_lookback_days => variables.upsert_lookback_days,
            lookup_days => variables.lookup_days(dialect.lookup_days()),
            page_views_lookback_days => variables.page_views_lookback_days,
            model_version => &variables.model_version,
            type => context! {
                text_64 => dialect.column_type(ColumnType::Varying(64)),
                text => dialect.column_type(ColumnType::Text),
                integer => dialect.column_type(ColumnType::Integer),
                big_integer => dialect.column_type(ColumnType::BigInteger),
                float => dialect.column_type(ColumnType::Float),
                timestamp => dialect.column_type(ColumnType::Timestamp),
            },
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let of = Functions { tables: tables.to_vec(), own: variables.columns.clone(), dialect: Arc::clone(dialect) };
        Arc::new(of).add_to(&mut environment);
        Self { environment, names }
    }

    /// The text of a file, with values of its own beside the names that all have. The files are part of a crate, and every
    /// one is rendered by its tests for every option, so an error here is a defect of a module, not of a user's input.
    pub(crate) fn render(&self, select: &Select, values: &[(&str, &str)]) -> String {
        let values: BTreeMap<String, Value> =
            values.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect();
        let values = context! { ..Value::from(values), ..self.names.clone() };
        match self.environment.render_str(select.source, values) {
            Ok(sql) => sql.trim_end().to_owned(),
            Err(error) => panic!("sql/{}.sql: {error}", select.name),
        }
    }
}

/// What the functions of SQL know.
struct Functions {
    tables: Vec<Table>,
    own: OwnColumns,
    dialect: Arc<dyn Dialect>,
}

impl Functions {
    fn add_to(self: Arc<Self>, environment: &mut Environment<'static>) {
        macro_rules! add {
            ($($name:literal = |$of:ident $(, $argument:ident: $type:ty)*| $body:expr;)*) => {$({
                let $of = Arc::clone(&self);
                environment.add_function($name, move |$($argument: $type),*| $body);
            })*};
        }
        add! {
            "now" = |of| of.dialect.now();
            "text" = |of, text: &str| of.dialect.text(text);
            "fixed_text" = |of, column: &str| of.dialect.fixed_text(column);
            "seconds_between" = |of, start: &str, end: &str| of.dialect.seconds_between(start, end);
            "minus_days" = |of, timestamp: &str, days: u32| of.dialect.minus_days(timestamp, days);
            "day" = |of, timestamp: &str| of.dialect.day(timestamp);
            "checksum" = |of, column: &str| of.dialect.checksum(column);
            "sorted_text" = |of, text: &str| of.dialect.sorted_text(text);
            "grouped_text" = |of, column: &str| of.dialect.grouped_text(column);
            "columns_with" = |of, table: &str, values: Kwargs| of.columns_with(table, &values);
            "differences" = |of, table: &str, left: &str, right: &str| {
                of.columns(table, |column| difference(&*of.dialect, column, left, right))
            };
            "same" = |of, table: &str, left: &str, right: &str, without: Vec<String>| of.same(table, left, right, &without);
            "sums" = |of, table: &str| of.columns(table, |Column { name, .. }| format!("SUM({name}) AS {name}"));
            "largest_first" = |of, table: &str, first: Vec<String>, without: Vec<String>| {
                of.largest_first(table, &first, &without)
            };
            "fingerprint" = |of, table: &str| of.fingerprint(table);
            "own_aggregates" = |of| of.own.aggregates(&*of.dialect);
            "own_of_sessions" = |of, aggregates: &str, first: &str, last: &str| {
                of.own.joined(&*of.dialect, aggregates, first, last)
            };
            "own_computed" = |of| of.own.computed(&*of.dialect);
            "own_read_by_users" = |of| of.own.read_by_users();
            "own_of_users" = |of, first: &str, last: &str| of.own.aggregates_of_users(&*of.dialect, first, last);
        }
    }

    fn table(&self, name: &str) -> Result<&Table, minijinja::Error> {
        self.tables.iter().find(|table| table.name == name).ok_or_else(|| {
            minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("there is no table {name}"))
        })
    }

    /// A text for each column of a table, as a list.
    fn columns(&self, table: &str, text: impl FnMut(&Column) -> String) -> Result<String, minijinja::Error> {
        Ok(self.table(table)?.columns.iter().map(text).collect::<Vec<_>>().join(",\n  "))
    }

    /// The columns of a table, of which some have values.
    fn columns_with(&self, table: &str, values: &Kwargs) -> Result<String, minijinja::Error> {
        let column = |name: &str| match values.get::<Option<String>>(name)? {
            Some(value) => Ok(format!("{value} AS {name}")),
            None => Ok(name.to_owned()),
        };
        let columns = self.table(table)?.columns.iter().map(|known| column(&known.name));
        let columns = columns.collect::<Result<Vec<_>, minijinja::Error>>()?;
        values.assert_all_used()?;
        Ok(columns.join(",\n  "))
    }

    /// Whether two rows of a table are the same but for some columns.
    fn same(&self, table: &str, left: &str, right: &str, without: &[String]) -> Result<String, minijinja::Error> {
        let columns = self.table(table)?.columns.iter();
        let compared = columns.filter(|column| !without.iter().any(|name| *name == column.name));
        let same = |column| format!("({})", same(&*self.dialect, column, left, right, str::to_owned));
        Ok(compared.map(same).collect::<Vec<_>>().join("\n  AND "))
    }

    /// What orders the rows of a table, by some columns first and without others.
    fn largest_first(&self, table: &str, first: &[String], without: &[String]) -> Result<String, minijinja::Error> {
        let table = self.table(table)?;
        let is_other =
            |column: &&Column| ![first, without].iter().any(|names| names.iter().any(|name| *name == column.name));
        let columns = first.iter().filter_map(|name| table.column(name)).chain(table.columns.iter().filter(is_other));
        let key = |column: &Column| match column.column_type.family() {
            TypeFamily::Text => self.dialect.largest_first(&self.dialect.sorted_text(&column.name)),
            _ => self.dialect.largest_first(&column.name),
        };
        Ok(columns.map(key).collect::<Vec<_>>().join(",\n  "))
    }

    /// The fingerprint of the columns of a table that the module reads.
    fn fingerprint(&self, table: &str) -> Result<String, minijinja::Error> {
        let read = self.table(table)?.columns.iter().filter(|column| !column.unread);
        Ok(self.dialect.row_fingerprint(&read.cloned().collect::<Vec<_>>()))
    }
}

/// Whether a column of two rows is the same, NULL being a value: where one is NULL, and the other is not, neither true nor false.
/// Of a column of type [`ColumnType::Fixed`] it is said what of it compares.
fn same(dialect: &dyn Dialect, column: &Column, left: &str, right: &str, fixed: impl Fn(&str) -> String) -> String {
    let (one, other) = (format!("{left}.{}", column.name), format!("{right}.{}", column.name));
    let equal = match (column.column_type, column.column_type.family()) {
        (ColumnType::Fixed(_), _) => format!("{} = {}", fixed(&one), fixed(&other)),
        (_, TypeFamily::Text) => dialect.same_text(&one, &other),
        _ => format!("{one} = {other}"),
    };
    format!("{equal} OR ({one} IS NULL AND {other} IS NULL)")
}

/// 1 where a column of two rows differs, NULL being a value.
fn difference(dialect: &dyn Dialect, column: &Column, left: &str, right: &str) -> String {
    let same = same(dialect, column, left, right, |value| dialect.fixed_text(value));
    format!("CASE WHEN {same} THEN 0 ELSE 1 END AS {}", column.name)
}

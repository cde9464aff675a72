//! Renders the SQL of `sql/` for a dialect. The files fill in names and call functions; they have no control flow, and
//! anything undefined is an error.

use crate::dialect::Dialect;
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
        let of = || Arc::clone(dialect);
        let dialect = of();
        environment.add_function("now", move || dialect.now());
        let dialect = of();
        environment.add_function("text", move |text: &str| dialect.text(text));
        let dialect = of();
        environment.add_function("fixed_text", move |column: &str| dialect.fixed_text(column));
        let dialect = of();
        environment.add_function("seconds_between", move |start: &str, end: &str| dialect.seconds_between(start, end));
        let dialect = of();
        environment.add_function("minus_days", move |timestamp: &str, days: u32| dialect.minus_days(timestamp, days));
        let dialect = of();
        environment.add_function("day", move |timestamp: &str| dialect.day(timestamp));
        let dialect = of();
        environment.add_function("checksum", move |column: &str| dialect.checksum(column));
        let dialect = of();
        environment.add_function("sorted_text", move |text: &str| dialect.sorted_text(text));
        let dialect = of();
        environment.add_function("grouped_text", move |column: &str| dialect.grouped_text(column));
        let lists: BTreeMap<String, Vec<String>> = tables
            .iter()
            .map(|table| (table.name.to_owned(), table.column_names().into_iter().map(str::to_owned).collect()))
            .collect();
        environment.add_function("columns_with", move |table: &str, values: Kwargs| {
            let column = |name: &String| match values.get::<Option<String>>(name)? {
                Some(value) => Ok(format!("{value} AS {name}")),
                None => Ok(name.clone()),
            };
            let columns = lists.get(table).ok_or_else(|| no_table(table))?;
            let columns: Vec<String> = columns.iter().map(column).collect::<Result<_, minijinja::Error>>()?;
            values.assert_all_used()?;
            Ok(columns.join(",\n  "))
        });
        let dialect = of();
        let compared: BTreeMap<String, Vec<Column>> =
            tables.iter().map(|table| (table.name.to_owned(), table.columns.clone())).collect();
        let names_of: BTreeMap<String, Vec<String>> =
            compared.iter().map(|(table, columns)| (table.clone(), names_of_columns(columns))).collect();
        let (all_columns, exact) = (compared.clone(), of());
        environment.add_function("differences", move |table: &str, left: &str, right: &str| {
            let columns = compared.get(table).ok_or_else(|| no_table(table))?;
            let columns: Vec<String> =
                columns.iter().map(|column| difference(&*dialect, column, left, right)).collect();
            Ok::<_, minijinja::Error>(columns.join(",\n  "))
        });
        environment.add_function("same", move |table: &str, left: &str, right: &str, without: Vec<String>| {
            let columns = all_columns.get(table).ok_or_else(|| no_table(table))?;
            let compared = columns.iter().filter(|column| !without.iter().any(|name| *name == column.name));
            let same = |column| format!("({})", same(&*exact, column, left, right, str::to_owned));
            Ok::<_, minijinja::Error>(compared.map(same).collect::<Vec<_>>().join("\n  AND "))
        });
        environment.add_function("sums", move |table: &str| {
            let columns = names_of.get(table).ok_or_else(|| no_table(table))?;
            let columns: Vec<String> = columns.iter().map(|name| format!("SUM({name}) AS {name}")).collect();
            Ok::<_, minijinja::Error>(columns.join(",\n  "))
        });
        let dialect = of();
        let orders: BTreeMap<String, Vec<(String, String)>> = tables
            .iter()
            .map(|table| {
                let key = |column: &Column| match column.column_type.family() {
                    TypeFamily::Text => dialect.largest_first(&dialect.sorted_text(&column.name)),
                    _ => dialect.largest_first(&column.name),
                };
                let keys = table.columns.iter().map(|column| (column.name.to_string(), key(column))).collect();
                (table.name.to_owned(), keys)
            })
            .collect();
        environment.add_function("largest_first", move |table: &str, first: Vec<String>, without: Vec<String>| {
            let keys = orders.get(table).ok_or_else(|| no_table(table))?;
            let named = |name: &String| keys.iter().find(|(column, _)| column == name);
            let others = keys.iter().filter(|(column, _)| !first.contains(column) && !without.contains(column));
            let all: Vec<&str> = first.iter().filter_map(named).chain(others).map(|(_, key)| key.as_str()).collect();
            Ok::<_, minijinja::Error>(all.join(",\n  "))
        });
        let (own, dialect) = (variables.columns.clone(), of());
        environment.add_function("own_aggregates", move || own.aggregates(&*dialect));
        let (own, dialect) = (variables.columns.clone(), of());
        environment.add_function("own_of_sessions", move |aggregates: &str, first: &str, last: &str| {
            own.joined(&*dialect, aggregates, first, last)
        });
        let (own, dialect) = (variables.columns.clone(), of());
        environment.add_function("own_computed", move || own.computed(&*dialect));
        let own = variables.columns.clone();
        environment.add_function("own_read_by_users", move || own.read_by_users());
        let (own, dialect) = (variables.columns.clone(), of());
        environment.add_function("own_of_users", move |first: &str, last: &str| {
            own.aggregates_of_users(&*dialect, first, last)
        });
        let dialect = of();
        let fingerprint = |table: &Table| {
            let read: Vec<Column> = table.columns.iter().filter(|column| !column.unread).cloned().collect();
            (table.name.to_owned(), dialect.row_fingerprint(&read))
        };
        let fingerprints: BTreeMap<String, String> = tables.iter().map(fingerprint).collect();
        environment.add_function("fingerprint", move |table: &str| {
            fingerprints.get(table).cloned().ok_or_else(|| no_table(table))
        });
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

fn names_of_columns(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.name.to_string()).collect()
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

fn no_table(table: &str) -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("there is no table {table}"))
}

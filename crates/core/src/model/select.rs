//! Renders the SQL of `sql/` for a dialect. The files fill in names and call functions; they have no control flow, and
//! anything undefined is an error.

use crate::dialect::Dialect;
use crate::table::{ColumnType, Table};
use crate::variables::Variables;
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
pub(super) use sql;

/// The functions and names that SQL may use, for some tables, variables and a dialect.
#[derive(Debug)]
pub(super) struct Renderer {
    environment: Environment<'static>,
    names: Value,
}

impl Renderer {
    pub(super) fn new(tables: &[Table], variables: &Variables, dialect: &Arc<dyn Dialect>) -> Self {
        let quoted: BTreeMap<&str, String> =
            tables.iter().map(|table| (table.name, dialect.table(&variables.table_name(table)))).collect();
        let columns: BTreeMap<&str, String> = tables.iter().map(|table| (table.name, table.column_list())).collect();
        let rows: BTreeMap<&str, String> =
            tables.iter().map(|table| (table.name, dialect.row_of(&variables.table_name(table)))).collect();
        let names = context! {
            table => quoted,
            row => rows,
            columns => columns,
            upsert_lookback_days => variables.upsert_lookback_days,
            model_version => &variables.model_version,
            type => context! {
                text_64 => dialect.column_type(ColumnType::Varying(64)),
                integer => dialect.column_type(ColumnType::Integer),
                big_integer => dialect.column_type(ColumnType::BigInteger),
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
        environment.add_function("checksum", move |column: &str| dialect.checksum(column));
        let dialect = of();
        let fingerprints: BTreeMap<String, String> =
            tables.iter().map(|table| (table.name.to_owned(), dialect.row_fingerprint(&table.columns))).collect();
        environment.add_function("fingerprint", move |table: &str| {
            fingerprints.get(table).cloned().ok_or_else(|| {
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("there is no table {table}"))
            })
        });
        Self { environment, names }
    }

    /// The text of a file, with values of its own beside the names that all have. The files are part of a crate, and every
    /// one is rendered by its tests for every option, so an error here is a defect of a module, not of a user's input.
    pub(super) fn render(&self, select: &Select, values: &[(&str, &str)]) -> String {
        let values: BTreeMap<String, Value> =
            values.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect();
        let values = context! { ..Value::from(values), ..self.names.clone() };
        match self.environment.render_str(select.source, values) {
            Ok(sql) => sql.trim_end().to_owned(),
            Err(error) => panic!("sql/{}.sql: {error}", select.name),
        }
    }
}

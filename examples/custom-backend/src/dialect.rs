//! SQLite's spelling. Source: <https://www.sqlite.org/lang.html>.

use websessions_core::dialect::Dialect;
use websessions_core::identifier::Identifier;
use websessions_core::plan::{OnlyIf, Statement, Unit};
use websessions_core::table::TableName;
use websessions_core::table::{Column, ColumnType, Table, TypeFamily};

/// SQLite's SQL. It has one schema: a table's schema is a part of its name.
#[derive(Clone, Copy, Debug)]
pub struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn table(&self, table: &TableName) -> String {
        self.quote(&table.to_string())
    }

    // A declared type is a name; its affinity is found by what it contains. Timestamps are text that sorts by time.
    // <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type.family() {
            TypeFamily::Text => "TEXT",
            TypeFamily::Integer => "INTEGER",
            TypeFamily::Float => "REAL",
            TypeFamily::Boolean => "BOOLEAN",
            TypeFamily::Timestamp => "TIMESTAMP_TEXT",
        }
        .to_owned()
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        match reported {
            "TEXT" => Some(TypeFamily::Text),
            "INTEGER" => Some(TypeFamily::Integer),
            "REAL" => Some(TypeFamily::Float),
            "BOOLEAN" => Some(TypeFamily::Boolean),
            "TIMESTAMP_TEXT" => Some(TypeFamily::Timestamp),
            _ => None,
        }
    }

    // <https://www.sqlite.org/lang_datefunc.html>
    fn now(&self) -> String {
        "strftime('%Y-%m-%d %H:%M:%f', 'now')".to_owned()
    }

    // The first 19 characters are the second: cutting the rest off first makes the difference one of boundaries.
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!(
            "CAST(strftime('%s', substr({end}, 1, 19)) AS INTEGER) - CAST(strftime('%s', substr({start}, 1, 19)) AS INTEGER)"
        )
    }

    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("datetime(substr({timestamp}, 1, 19), '-{days} days') || substr({timestamp}, 20)")
    }

    fn day(&self, timestamp: &str) -> String {
        format!("substr({timestamp}, 1, 10)")
    }

    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("datetime(substr({timestamp}, 1, 19), '+{seconds} seconds') || substr({timestamp}, 20)")
    }

    // SQLite has no hash function. A rowid is taken again only after a delete, so this is right as long as nobody else
    // deletes from the input between main and complete. A backend for production would bring a hash function.
    // <https://www.sqlite.org/autoinc.html>
    fn row_fingerprint(&self, _columns: &[Column]) -> String {
        "rowid".to_owned()
    }

    fn content_hash(&self, _columns: &[Column]) -> Option<String> {
        None
    }

    // SQLite has no hash function: a number of a value's first and last characters tells fewer values apart.
    fn checksum(&self, column: &str) -> String {
        format!(
            "COUNT(*) + COALESCE(SUM(length({column}) * 7919 + unicode({column}) * 31 + unicode(substr({column}, -1))), 0)"
        )
    }

    fn row_of(&self, table: &TableName) -> String {
        self.table(table)
    }

    fn create_schema(&self, schema: &Identifier) -> Statement {
        Statement::new(format!("schema {schema} is a part of names"), "SELECT 1")
    }

    fn drop_schema(&self, schema: &Identifier) -> Statement {
        self.create_schema(schema)
    }

    // There is no IF NOT EXISTS. Rows that are there are not written again. <https://www.sqlite.org/lang_altertable.html>
    fn add_columns(&self, table: &Table, name: &TableName, columns: &[Column]) -> Vec<Statement> {
        let add = |column: &Column| {
            let is_there = self.column_query(name, &column.name);
            self.add_column("ADD COLUMN", table, name, column).only_if(OnlyIf::FindsNothing(is_there))
        };
        columns.iter().map(add).collect()
    }

    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let mut statements = vec![self.drop_table(name)];
        statements.extend(self.create_table(table, name));
        statements
    }

    fn replace_table_as(&self, _table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let create = format!("CREATE TABLE IF NOT EXISTS {} AS\n{select}", self.table(name));
        vec![Unit::Statement(self.drop_table(name)), Unit::Statement(Statement::new(name.to_string(), create))]
    }

    // A view can't be replaced. It is dropped before each run, by whatever it was before.
    // <https://www.sqlite.org/lang_createview.html>
    fn create_view(&self, name: &TableName, select: &str) -> Statement {
        let sql = format!("CREATE VIEW IF NOT EXISTS {} AS\n{select}", self.table(name));
        Statement::new(format!("{name}, a view"), sql)
    }

    // <https://www.sqlite.org/schematab.html>, <https://www.sqlite.org/pragma.html#pragma_table_info>
    fn information_schema(&self, _schema: &Identifier, view: &str) -> String {
        let tables = "SELECT name, substr(name, 1, instr(name, '.') - 1) AS table_schema, substr(name, instr(name, '.') + 1) AS table_name, iif(type = 'view', 'VIEW', 'BASE TABLE') AS table_type FROM sqlite_schema WHERE type IN ('table', 'view')";
        match view {
            "columns" => format!(
                "(SELECT table_schema, table_name, columns.name AS column_name, columns.type AS data_type, columns.cid AS ordinal_position FROM ({tables}) AS tables, pragma_table_info(tables.name) AS columns) AS columns"
            ),
            "schemata" => {
                format!("(SELECT DISTINCT table_schema AS schema_name FROM ({tables}) AS tables) AS schemata")
            }
            _ => format!("({tables}) AS tables"),
        }
    }

    // Takes the write lock at once: two transactions that both read first could not both go on to write.
    // <https://www.sqlite.org/lang_transaction.html>
    fn begin(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }
}

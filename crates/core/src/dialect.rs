//! How a warehouse spells things: pure, no connection. The defaults are the SQL that most warehouses share; a dialect
//! overrides what differs and links the vendor's manual there.

use crate::identifier::Identifier;
use crate::plan::{Change, Statement, Unit, script};
use crate::table::{Column, ColumnType, SourceType, Table, TableName, TypeFamily};

/// How a warehouse spells things.
pub trait Dialect: Send + Sync + std::fmt::Debug {
    /// Its name, as in `--dialect`.
    fn name(&self) -> &'static str;

    /// A quoted identifier. The name has been validated: it holds no quote.
    fn quote(&self, name: &str) -> String {
        format!("\"{name}\"")
    }

    /// A table's full name, quoted.
    fn table(&self, table: &TableName) -> String {
        format!("{}.{}", self.quote(table.schema.as_str()), self.quote(&table.name))
    }

    /// A text literal of any text. A warehouse where a backslash escapes must override this.
    fn text(&self, text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    /// A column type.
    fn column_type(&self, column_type: ColumnType) -> String;

    /// How many bits a column of whole numbers has.
    fn bits(&self, _column_type: ColumnType) -> u32 {
        64
    }

    /// How many bytes a column of text has, where the warehouse bounds text.
    fn longest_text(&self, _column_type: ColumnType) -> Option<u16> {
        None
    }

    /// What a type that the warehouse reports for a column holds; `None` if the model has no use for it.
    fn type_family(&self, reported: &str) -> Option<TypeFamily>;

    /// What a type that the warehouse reports for a column of a user's table holds; `None` if no column of the model's is read
    /// from it.
    fn source_type(&self, reported: &str) -> Option<SourceType> {
        self.type_family(reported).map(SourceType::from)
    }

    /// A timestamp with a time zone as one without, in UTC; what is no finite one may become NULL.
    fn in_utc(&self, zoned: &str) -> String {
        format!("{zoned} AT TIME ZONE 'UTC'")
    }

    /// A timestamp without its digits beyond the microsecond, cut and not rounded; what is no finite one may become NULL.
    fn cut_to_microseconds(&self, timestamp: &str) -> String {
        timestamp.to_owned()
    }

    /// The value of a column of type [`ColumnType::Fixed`], as it compares: trailing spaces don't count, in a warehouse
    /// that pads and in one that doesn't. Only U+0020 pads; some warehouses' RTRIM takes every space of Unicode off.
    fn fixed_text(&self, column: &str) -> String {
        format!("RTRIM({column}, ' ')")
    }

    /// Whether two texts of varying length are the same, byte by byte: where `=` leaves trailing blanks out, more than that.
    fn same_text(&self, one: &str, other: &str) -> String {
        format!("{one} = {other}")
    }

    /// A text as it sorts: by its bytes, whatever the locale of the database.
    fn sorted_text(&self, text: &str) -> String {
        text.to_owned()
    }

    /// What rows are grouped by to be grouped by a text: where groups are found by sorting, something that sorts faster may
    /// stand before it.
    fn grouped_text(&self, column: &str) -> String {
        column.to_owned()
    }

    /// A key of an ORDER BY, the largest first and NULL last.
    fn largest_first(&self, expression: &str) -> String {
        format!("{expression} DESC NULLS LAST")
    }

    /// The point in time now, in UTC, without a time zone.
    fn now(&self) -> String;

    /// The count of second boundaries between two timestamps, negative if the end comes first, NULL if one is NULL.
    fn seconds_between(&self, start: &str, end: &str) -> String;

    /// A timestamp so many days of 86,400 seconds earlier.
    fn minus_days(&self, timestamp: &str, days: u32) -> String;

    /// The day that a timestamp lies in, as text: `YYYY-MM-DD`.
    fn day(&self, timestamp: &str) -> String {
        format!("TO_CHAR({timestamp}, 'YYYY-MM-DD')")
    }

    /// A timestamp so many seconds later.
    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String;

    /// A whole number that identifies a row of a table by its content (or by its physical identity, where the warehouse
    /// has one that no other row ever takes), for the columns named.
    fn row_fingerprint(&self, columns: &[Column]) -> String;

    /// A whole number that tells a row from others by the content of the columns named: the same for the same content in every
    /// table of this dialect. None where the warehouse has no such hash.
    fn content_hash(&self, columns: &[Column]) -> Option<String> {
        Some(self.row_fingerprint(columns))
    }

    /// A whole number of 64 bits that tells the values of a column apart from other ones, whatever their order: an
    /// aggregate of a query's rows, 0 without rows. For text and for whole numbers.
    fn checksum(&self, column: &str) -> String;

    /// What the row of a table that a DELETE looks at is called in a subquery of its condition.
    fn row_of(&self, table: &TableName) -> String {
        self.quote(&table.name)
    }

    /// What lets every role that may use a table's schema change its rows, where a table has an owner.
    fn share_table(&self, _name: &TableName) -> Vec<Statement> {
        Vec::new()
    }

    /// What main begins with to read a table cheaper: settings of the engine, statistics. No result may depend on them.
    fn hints(&self, _input: &Table, _name: &TableName) -> Vec<Statement> {
        Vec::new()
    }

    /// What main begins with for a table that stays: what gives back the room that its rows need no more, if that pays by now. No
    /// result may depend on it.
    fn compaction(&self, _name: &TableName) -> Vec<Statement> {
        Vec::new()
    }

    /// Whether wide rows are written once: the commit computes them from its input by what a narrow table says that this run
    /// writes, after it has asked whether the input still gives just these rows, and then makes a view of them. Elsewhere a
    /// scratch table holds them before, and the commit copies it. For a warehouse where each statement of a block reads what was
    /// there when it began, and where a block may make a view: else what was asked is not what is written.
    fn writes_once(&self) -> bool {
        false
    }

    /// What stands before and after a statement whose joins are to run in the order in which they stand: its rows are looked up in
    /// what is joined to them, and not kept. For a planner that would keep the wide ones.
    fn joins_as_written(&self) -> Option<[Statement; 2]> {
        None
    }

    /// What a warehouse needs after a table was filled by a block, to read it as fast as one that was made from a SELECT.
    fn after_fill(&self, _table: &Table, _name: &TableName) -> Vec<Statement> {
        Vec::new()
    }

    /// What a warehouse needs after most rows of a table were deleted, to be as fast as before.
    fn after_delete(&self, _name: &TableName) -> Vec<Statement> {
        Vec::new()
    }

    /// Creates a schema if it is missing.
    fn create_schema(&self, schema: &Identifier) -> Statement {
        Statement::new(
            format!("schema {schema}"),
            format!("CREATE SCHEMA IF NOT EXISTS {}", self.quote(schema.as_str())),
        )
    }

    /// Drops a schema with all that is in it, if it is there. The model never does; tests do.
    fn drop_schema(&self, schema: &Identifier) -> Statement {
        Statement::new(
            format!("drop schema {schema}"),
            format!("DROP SCHEMA IF EXISTS {} CASCADE", self.quote(schema.as_str())),
        )
    }

    /// Creates a table if it is missing, laid out as the model says.
    fn create_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        vec![Statement::new(
            format!("{name}, if missing"),
            format!("CREATE TABLE IF NOT EXISTS {} {}", self.table(name), self.column_definitions(table)),
        )]
    }

    /// Creates a schema if it is missing; tells when it is there already.
    fn ensure_schema(&self, schema: &Identifier) -> Statement {
        self.create_schema(schema).or_there(|| self.schema_query(schema))
    }

    /// Creates a table if it is missing; tells when it is there already.
    fn ensure_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        // Its columns: a catalogue may tell no more of a table to a role that lacks rights on it.
        let there = || self.columns_query(&name.schema, &[&name.name]);
        self.create_table(table, name).into_iter().map(|statement| statement.or_there(there)).collect()
    }

    /// Adds columns to a table, each unless it has one of that name. They may be NULL, and are in the rows that are there.
    fn add_columns(&self, table: &Table, name: &TableName, columns: &[Column]) -> Vec<Statement> {
        columns.iter().map(|column| self.add_column("ADD COLUMN IF NOT EXISTS", table, name, column)).collect()
    }

    /// A statement that adds a column to a table, in these words.
    fn add_column(&self, words: &str, table: &Table, name: &TableName, column: &Column) -> Statement {
        Statement::new(
            format!("column {} of {name}", column.name),
            format!("ALTER TABLE {} {words} {}", self.table(name), self.column_definition(table, column)),
        )
    }

    /// Makes a table anew, empty.
    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        vec![Statement::new(
            format!("{name}, empty"),
            format!("CREATE OR REPLACE TABLE {} {}", self.table(name), self.column_definitions(table)),
        )]
    }

    /// Makes a table anew from a SELECT. Each unit must do the same when it runs twice: where a table can't be replaced
    /// by one statement, the one after a `DROP TABLE IF EXISTS` must bear that its first attempt has made the table.
    fn replace_table_as(&self, _table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let sql = format!("CREATE OR REPLACE TABLE {} AS\n{select}", self.table(name));
        vec![Unit::Statement(Statement::new(name.to_string(), sql))]
    }

    /// Drops a table if it is there.
    fn drop_table(&self, name: &TableName) -> Statement {
        Statement::new(format!("drop {name}"), format!("DROP TABLE IF EXISTS {}", self.table(name)))
    }

    /// Makes a view anew.
    fn create_view(&self, name: &TableName, select: &str) -> Statement {
        Statement::new(format!("{name}, a view"), format!("CREATE OR REPLACE VIEW {} AS\n{select}", self.table(name)))
    }

    /// Drops a view if it is there; there must be no table of its name.
    fn drop_view(&self, name: &TableName) -> Statement {
        Statement::new(format!("drop {name}"), format!("DROP VIEW IF EXISTS {}", self.table(name)))
    }

    /// Deletes the rows of which a condition holds.
    fn delete(&self, name: &TableName, condition: &str) -> String {
        format!("DELETE FROM {}\nWHERE {condition}", self.table(name))
    }

    /// A statement of a block that empties a table at once if a condition without columns of its own holds: where that is
    /// far cheaper than a DELETE, and undone with the block. Where it can't be done, by right or without waiting, it does
    /// nothing. Rows that are written while it runs must be seen by the condition, or stay.
    fn empty_if(&self, _name: &TableName, _condition: &str) -> Option<String> {
        None
    }

    /// Inserts what a SELECT gives, by explicit columns.
    fn insert(&self, name: &TableName, columns: &str, select: &str) -> String {
        format!("INSERT INTO {} (\n  {columns}\n)\n{select}", self.table(name))
    }

    /// A query for no row of a table, refused to a role that may not read it. A table may ask for a filter by its
    /// partitions, hence the other condition.
    fn no_row(&self, table: &Table, name: &TableName) -> String {
        format!("SELECT COUNT(*) AS row_count\nFROM {}\nWHERE {}", self.table(name), nothing(table))
    }

    /// The same of a module's input, refused too where the rows could not be told apart, as complete must.
    fn no_row_of_input(&self, input: &Table, name: &TableName) -> String {
        self.no_row(input, name)
    }

    /// A statement that makes such a change to no row, refused to a role that may not change the table.
    fn change_no_row(&self, change: Change, table: &Table, name: &TableName) -> Statement {
        let sql = match change {
            Change::Delete => self.delete(name, &nothing(table)),
            Change::Insert => {
                let value = |column: &Column| {
                    format!("CAST(NULL AS {}) AS {}", self.column_type(column.column_type), column.name)
                };
                let columns = table.column_list();
                let values: Vec<String> = table.columns.iter().map(value).collect();
                let none =
                    format!("SELECT\n  {columns}\nFROM (SELECT\n  {}\n) AS no_rows\nWHERE 1 = 0", values.join(",\n  "));
                self.insert(name, &columns, &none)
            }
        };
        Statement::new(format!("whether rows of {name} may be changed"), sql).changing(change, table.name)
    }

    /// The column list of a CREATE TABLE.
    fn column_definitions(&self, table: &Table) -> String {
        let lines: Vec<String> =
            table.columns.iter().map(|column| format!("  {}", self.column_definition(table, column))).collect();
        format!("(\n{}\n)", lines.join(",\n"))
    }

    /// One column of a CREATE TABLE.
    fn column_definition(&self, _table: &Table, column: &Column) -> String {
        let not_null = if column.not_null { " NOT NULL" } else { "" };
        format!("{} {}{not_null}", column.name, self.column_type(column.column_type))
    }

    /// A name as the warehouse's catalog holds it.
    fn catalog_name(&self, name: &str) -> String {
        name.to_owned()
    }

    /// What SQL calls a column that the catalog tells of: in lower case, unless only quotes reach it.
    fn column_name(&self, reported: &str) -> String {
        if self.catalog_name(reported) == reported { reported.to_lowercase() } else { format!("\"{reported}\"") }
    }

    /// A view of the information schema that knows this schema.
    fn information_schema(&self, _schema: &Identifier, view: &str) -> String {
        format!("information_schema.{view}")
    }

    /// A query that gives a row if a schema is there. If it isn't, it gives none, or fails with an error of kind `Missing`.
    fn schema_query(&self, schema: &Identifier) -> String {
        format!(
            "SELECT schema_name\nFROM {}\nWHERE schema_name = {}",
            self.information_schema(schema, "schemata"),
            self.text(&self.catalog_name(schema.as_str()))
        )
    }

    /// A query for the columns of tables: `table_name, column_name, data_type`, in table and column order.
    fn columns_query(&self, schema: &Identifier, tables: &[&str]) -> String {
        let names: Vec<String> = tables.iter().map(|table| self.text(&self.catalog_name(table))).collect();
        format!(
            "SELECT table_name, column_name, data_type\nFROM {}\nWHERE table_schema = {}\n  AND table_name IN ({})\nORDER BY table_name, ordinal_position",
            self.information_schema(schema, "columns"),
            self.text(&self.catalog_name(schema.as_str())),
            names.join(", ")
        )
    }

    /// A query that gives a row if a table has a column.
    fn column_query(&self, name: &TableName, column: &str) -> String {
        format!(
            "SELECT column_name\nFROM {}\nWHERE table_schema = {}\n  AND table_name = {}\n  AND column_name = {}",
            self.information_schema(&name.schema, "columns"),
            self.text(&self.catalog_name(name.schema.as_str())),
            self.text(&self.catalog_name(&name.name)),
            self.text(&self.catalog_name(column))
        )
    }

    /// A query that gives a row if there is a table of that name which is no view.
    fn table_query(&self, name: &TableName) -> String {
        self.relation_query(name, "BASE TABLE")
    }

    /// A query that gives a row if there is a view of that name.
    fn view_query(&self, name: &TableName) -> String {
        self.relation_query(name, "VIEW")
    }

    /// A query that gives a row if what has that name is of a type, as the information schema has it.
    fn relation_query(&self, name: &TableName, table_type: &str) -> String {
        format!(
            "SELECT table_name\nFROM {}\nWHERE table_schema = {}\n  AND table_name = {}\n  AND table_type = {}",
            self.information_schema(&name.schema, "tables"),
            self.text(&self.catalog_name(name.schema.as_str())),
            self.text(&self.catalog_name(&name.name)),
            self.text(table_type)
        )
    }

    /// A query for the size of a table, as the warehouse stores it: a row with `bytes`. None where it has no such number.
    fn size_query(&self, _name: &TableName) -> Option<String> {
        None
    }

    /// How many days of a big table a look-up by key reads at most unless a variable says more: where reading it is billed.
    fn lookup_days(&self) -> Option<u32> {
        None
    }

    /// A SELECT of the rows of a big table whose key is among those of a small one, and of which a condition holds if one is
    /// given. Where the key has an index, it must cost what the small table holds. The big table may be partitioned by the
    /// date of a column, which has no NULL then.
    fn rows_of_keys(
        &self,
        columns: &str,
        table: &TableName,
        _partition: Option<&str>,
        key: &str,
        keys: &TableName,
        range: Option<&str>,
    ) -> String {
        let range = range.map(|range| format!("\n  AND {range}")).unwrap_or_default();
        format!(
            "SELECT\n  {columns}\nFROM {}\nWHERE {key} IN (SELECT {key} FROM {}){range}",
            self.table(table),
            self.table(keys)
        )
    }

    /// Which part of a big table the upsert looks at: from a limit on; or, where the rows in question were looked up, where
    /// these are. Declarations that its block begins with, and the condition.
    fn upsert_range(&self, time: &str, limit: &TableName, keys: Option<&TableName>) -> (Vec<Statement>, String) {
        let range = match keys {
            None => format!("{time} >= (SELECT lower_limit FROM {})", self.table(limit)),
            Some(keys) => {
                let keys = self.table(keys);
                format!("{time} BETWEEN (SELECT MIN({time}) FROM {keys}) AND (SELECT MAX({time}) FROM {keys})")
            }
        };
        (Vec::new(), range)
    }

    /// An atomic block as text.
    fn block(&self, statements: &[Statement]) -> String {
        format!("{};\n\n{}\n{};\n", self.begin(), script(statements), self.commit())
    }

    /// How an atomic block begins.
    fn begin(&self) -> &'static str {
        "BEGIN TRANSACTION"
    }

    /// How an atomic block ends.
    fn commit(&self) -> &'static str {
        "COMMIT"
    }
}

/// A condition that no row meets.
fn nothing(table: &Table) -> String {
    let partition = table.layout.partition.map(|column| format!("{column} IS NULL\n  AND ")).unwrap_or_default();
    format!("{partition}1 = 0")
}

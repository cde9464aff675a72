//! Postgres' spelling. Source: <https://www.postgresql.org/docs/current/sql.html>.

use super::{share_table, source_type, type_family};
use websessions_core::dialect::Dialect;
use websessions_core::identifier::Identifier;
use websessions_core::plan::{Statement, Unit};
use websessions_core::table::{Column, ColumnType, Lifetime, SourceType, Table, TableName, TypeFamily};

/// Postgres, from version 12 on.
#[derive(Clone, Copy, Debug)]
pub struct PostgresDialect;

impl PostgresDialect {
    /// Scratch tables are not worth a write-ahead log: a crash of the server empties them, and with them the lock, so
    /// that the run stops before its next commit and a rerun makes them anew.
    /// <https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-UNLOGGED>
    fn create(table: &Table) -> &'static str {
        match table.lifetime {
            Lifetime::Persistent => "CREATE TABLE",
            Lifetime::Run | Lifetime::Module => "CREATE UNLOGGED TABLE",
        }
    }

    /// Statistics of the columns that are joined by. Without them the planner takes a fresh table for a small one and
    /// picks nested loops. <https://www.postgresql.org/docs/current/sql-analyze.html>
    fn analyze(&self, table: &Table, name: &TableName) -> Option<Statement> {
        let columns = table.layout.joined;
        (!columns.is_empty()).then(|| {
            Statement::new(
                format!("statistics of {name}"),
                format!("ANALYZE {} ({})", self.table(name), columns.join(", ")),
            )
        })
    }
}

/// Whether a text takes what its message sets locally before it: a table that is made anew from a SELECT, and its statistics.
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT>
pub(crate) fn is_tuned(sql: &str) -> bool {
    (sql.starts_with("DROP TABLE") && sql.contains(";\nCREATE")) || sql.starts_with("ANALYZE")
}

impl Dialect for PostgresDialect {
    fn name(&self) -> &'static str {
        "postgres"
    }

    // Unquoted names are stored in lower case; quoted in lower case they are the same names.
    // <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.to_lowercase())
    }

    fn catalog_name(&self, name: &str) -> String {
        name.to_lowercase()
    }

    // Lengths would only add errors: text is as fast. <https://www.postgresql.org/docs/current/datatype-character.html>
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type.family() {
            TypeFamily::Text => "TEXT",
            TypeFamily::Integer => "BIGINT",
            TypeFamily::Float => "DOUBLE PRECISION",
            TypeFamily::Boolean => "BOOLEAN",
            TypeFamily::Timestamp => "TIMESTAMP",
        }
        .to_owned()
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        type_family(reported)
    }

    fn source_type(&self, reported: &str) -> Option<SourceType> {
        source_type(reported)
    }

    // An id is compared by its bytes; a locale's order would cost several times as much.
    // <https://www.postgresql.org/docs/current/collation.html>
    fn fixed_text(&self, column: &str) -> String {
        format!("RTRIM({column}, ' ') COLLATE \"C\"")
    }

    // <https://www.postgresql.org/docs/current/collation.html#COLLATION-MANAGING-STANDARD>
    fn sorted_text(&self, text: &str) -> String {
        format!("{text} COLLATE \"C\"")
    }

    // COUNT(DISTINCT) denies a hash of groups, so that the rows are sorted: by a number first, not by comparing ids in the
    // order of a locale. <https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-ENABLE-HASHAGG>
    fn grouped_text(&self, column: &str) -> String {
        format!("hashtextextended(CAST({column} AS TEXT), 0), {column}")
    }

    // <https://www.postgresql.org/docs/current/functions-datetime.html>
    fn now(&self) -> String {
        "(now() AT TIME ZONE 'UTC')".to_owned()
    }

    // 'infinity' is a timestamp, from which no other can be subtracted: there are no seconds to it.
    // <https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-DATETIME-SPECIAL-VALUES>
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!(
            "CASE WHEN isfinite({start}) AND isfinite({end}) THEN CAST(EXTRACT(EPOCH FROM date_trunc('second', {end}) - date_trunc('second', {start})) AS BIGINT) END"
        )
    }

    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("{timestamp} - INTERVAL '{days} days'")
    }

    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("{timestamp} + INTERVAL '{seconds} seconds'")
    }

    // The transaction that wrote a row. All rows of a transaction become visible at once, and no later one has its
    // number; freezing keeps it. So the transactions that main saw tell the rows that it read.
    // <https://www.postgresql.org/docs/current/ddl-system-columns.html>
    fn row_fingerprint(&self, _columns: &[Column]) -> String {
        "CAST(CAST(xmin AS TEXT) AS BIGINT)".to_owned()
    }

    fn content_hash(&self, columns: &[Column]) -> Option<String> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
        Some(format!("hashtextextended(CAST(ROW({}) AS TEXT), 0)", names.join(", ")))
    }

    // The hash that hash indexes and partitions are made by: the same for the same text as long as the server runs.
    // <https://www.postgresql.org/docs/current/hash-index.html>
    fn checksum(&self, column: &str) -> String {
        format!("CAST(COUNT(*) + COALESCE(SUM(hashtextextended(CAST({column} AS TEXT), 0) % 2147483647), 0) AS BIGINT)")
    }

    // Only its owner may use a table that a run has made, and the next run may be another role's: who may use the schema
    // may take the lock. <https://www.postgresql.org/docs/current/sql-grant.html>
    fn share_table(&self, name: &TableName) -> Vec<Statement> {
        share_table(self, name)
    }

    // Every table, whoever may read it: information_schema.columns leaves out those that the role has no right to, which
    // would then be said to be missing. <https://www.postgresql.org/docs/current/catalog-pg-attribute.html>
    fn columns_query(&self, schema: &Identifier, tables: &[&str]) -> String {
        let names: Vec<String> = tables.iter().map(|table| self.text(&self.catalog_name(table))).collect();
        format!(
            "SELECT table_name, column_name, data_type\nFROM (\n  SELECT\n    pg_class.relname AS table_name,\n    pg_attribute.attname AS column_name,\n    format_type(CASE pg_type.typtype WHEN 'd' THEN pg_type.typbasetype ELSE pg_type.oid END, NULL) AS data_type,\n    pg_attribute.attnum AS ordinal_position\n  FROM pg_attribute\n  INNER JOIN pg_class ON pg_class.oid = pg_attribute.attrelid\n  INNER JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace\n  INNER JOIN pg_type ON pg_type.oid = pg_attribute.atttypid\n  WHERE pg_namespace.nspname = {}\n    AND pg_class.relname IN ({})\n    AND pg_class.relkind IN ('r', 'p', 'v', 'm', 'f')\n    AND pg_attribute.attnum > 0\n    AND NOT pg_attribute.attisdropped\n) AS columns_of_tables\nORDER BY table_name, ordinal_position",
            self.text(&self.catalog_name(schema.as_str())),
            names.join(", ")
        )
    }

    // Every schema, whoever owns it; information_schema.schemata leaves out those that the role may not use.
    // <https://www.postgresql.org/docs/current/catalog-pg-namespace.html>
    fn schema_query(&self, schema: &Identifier) -> String {
        format!("SELECT nspname\nFROM pg_namespace\nWHERE nspname = {}", self.text(&self.catalog_name(schema.as_str())))
    }

    // With its indexes and its long values. <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-DBSIZE>
    fn size_query(&self, name: &TableName) -> Option<String> {
        Some(format!("SELECT pg_total_relation_size(CAST({} AS regclass)) AS bytes", self.text(&self.table(name))))
    }

    fn create_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let mut statements = vec![Statement::new(
            format!("{name}, if missing"),
            format!("{} IF NOT EXISTS {} {}", Self::create(table), self.table(name), self.column_definitions(table)),
        )];
        // What production has of this run's sessions is found by equality only. A hash index is a third of a B-tree on
        // ids, and its cost does not grow with the depth of a tree or with the collation's comparisons.
        // <https://www.postgresql.org/docs/current/hash-index.html>
        statements.extend(table.layout.index.map(|column| {
            let index = format!("{}_{column}", name.name);
            Statement::new(
                format!("index of {name} by {column}"),
                format!(
                    "CREATE INDEX IF NOT EXISTS {} ON {} USING HASH ({column})",
                    self.quote(&index),
                    self.table(name),
                ),
            )
            // Only the owner of a table may index it, even if the index is there.
            .or_there(|| {
                format!(
                    "SELECT indexname\nFROM pg_indexes\nWHERE schemaname = {}\n  AND indexname = {}",
                    self.text(&self.catalog_name(name.schema.as_str())),
                    self.text(&self.catalog_name(&index))
                )
            })
        }));
        statements
    }

    // One lookup in the index a key: OFFSET 0 keeps the planner from reading the whole table instead. A partitioned table
    // has an index a partition, each of which such a lookup would open: there, one read of it all is cheaper. Which of the
    // two it is stands in the catalog; a condition without columns is looked at once, and the other half then never runs.
    // <https://www.postgresql.org/docs/current/queries-table-expressions.html#QUERIES-LATERAL>
    // <https://www.postgresql.org/docs/current/catalog-pg-partitioned-table.html>
    fn rows_of_keys(
        &self,
        columns: &str,
        table: &TableName,
        _partition: Option<&str>,
        key: &str,
        keys: &TableName,
        range: Option<&str>,
    ) -> String {
        let range = |margin: &str| range.map(|range| format!("\n{margin}AND {range}")).unwrap_or_default();
        let (among_keys, among_all) = (range("    "), range("  "));
        let (table, keys) = (self.table(table), self.table(keys));
        let partitioned = format!(
            "EXISTS (SELECT 1 FROM pg_partitioned_table WHERE partrelid = CAST({} AS regclass))",
            self.text(&table)
        );
        format!(
            "SELECT\n  found.*\nFROM {keys} AS wanted\nCROSS JOIN LATERAL (\n  SELECT\n  {columns}\n  FROM {table} AS present\n  WHERE present.{key} = wanted.{key}{among_keys}\n  OFFSET 0\n) AS found\nWHERE NOT {partitioned}\nUNION ALL\nSELECT\n  {columns}\nFROM {table}\nWHERE {key} IN (SELECT {key} FROM {keys}){among_all}\n  AND {partitioned}"
        )
    }

    // A view has no such column, and its rows can't be told apart.
    // <https://www.postgresql.org/docs/current/ddl-system-columns.html>
    fn no_row_of_input(&self, _input: &Table, name: &TableName) -> String {
        format!("SELECT COUNT(xmin) AS row_count\nFROM {}\nWHERE 1 = 0", self.table(name))
    }

    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        let create = format!("{} IF NOT EXISTS {} {columns}", Self::create(table), self.table(name));
        vec![self.drop_table(name), Statement::new(format!("{name}, empty"), create)]
    }

    // Both are one message, which is one transaction: what another run is still making under this name is waited for, and
    // then refused, never taken for this run's own.
    // <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT>
    fn replace_table_as(&self, table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let create =
            format!("{};\n{} {} AS\n{select}", self.drop_table(name).sql, Self::create(table), self.table(name));
        let mut statements = vec![Statement::new(name.to_string(), create)];
        statements.extend(self.analyze(table, name));
        statements.into_iter().map(Unit::Statement).collect()
    }

    fn hints(&self, input: &Table, name: &TableName) -> Vec<Statement> {
        self.analyze(input, name).into_iter().collect()
    }

    // A DELETE writes to each row and leaves them all to a vacuum; TRUNCATE takes the file. It takes no notice of row security
    // and of triggers, and asks for a lock that no reader or writer may be in the way of: with any of these, and without the
    // right to it, the error ends here, the lock with it, and the table stays as it is.
    // <https://www.postgresql.org/docs/current/sql-truncate.html>
    // <https://www.postgresql.org/docs/current/plpgsql-control-structures.html#PLPGSQL-ERROR-TRAPPING>
    fn empty_if(&self, name: &TableName, condition: &str) -> Option<String> {
        let table = self.table(name);
        let class = format!("CAST({} AS regclass)", self.text(&table));
        Some(format!(
            "DO $do$\nBEGIN\n  LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT;\n  IF row_security_active({class})\n    OR EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = {class} AND NOT tgisinternal)\n    OR NOT (\n{condition}\n    )\n  THEN\n    RAISE EXCEPTION 'the table stays' USING ERRCODE = 'WS001';\n  END IF;\n  TRUNCATE TABLE {table};\nEXCEPTION\n  WHEN SQLSTATE 'WS001' OR lock_not_available OR insufficient_privilege OR wrong_object_type OR feature_not_supported THEN\n    NULL;\nEND\n$do$"
        ))
    }

    fn after_fill(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        self.analyze(table, name).into_iter().collect()
    }

    // Rows that a DELETE removed stay in the file until a vacuum, and every scan reads them.
    // <https://www.postgresql.org/docs/current/sql-vacuum.html>
    fn after_delete(&self, name: &TableName) -> Vec<Statement> {
        vec![Statement::new(format!("gives back the room in {name}"), format!("VACUUM {}", self.table(name)))]
    }

    fn begin(&self) -> &'static str {
        "BEGIN"
    }
}

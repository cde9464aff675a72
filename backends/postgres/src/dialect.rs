//! Postgres' and Redshift's spellings. They share a protocol and little else: each has a dialect of its own.

use websessions_core::dialect::Dialect;
use websessions_core::identifier::Identifier;
use websessions_core::plan::{Phase, Statement, Unit};
use websessions_core::table::TableName;
use websessions_core::table::{Column, ColumnType, Layout, Lifetime, Table, TypeFamily};

/// Postgres, from version 12 on.
#[derive(Clone, Copy, Debug)]
pub struct PostgresDialect;

/// Amazon Redshift.
#[derive(Clone, Copy, Debug)]
pub struct RedshiftDialect;

/// The types that both report, in `information_schema.columns`.
fn type_family(reported: &str) -> Option<TypeFamily> {
    match reported {
        "text" | "character varying" | "character" => Some(TypeFamily::Text),
        "smallint" | "integer" | "bigint" | "numeric" => Some(TypeFamily::Integer),
        "real" | "double precision" => Some(TypeFamily::Float),
        "boolean" => Some(TypeFamily::Boolean),
        "timestamp without time zone" => Some(TypeFamily::Timestamp),
        _ => None,
    }
}

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

impl Dialect for PostgresDialect {
    fn name(&self) -> &'static str {
        "postgres"
    }

    // Lengths would only add errors: text is as fast. <https://www.postgresql.org/docs/current/datatype-character.html>
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type {
            ColumnType::Text | ColumnType::Varying(_) | ColumnType::Fixed(_) => "TEXT",
            ColumnType::Integer | ColumnType::BigInteger => "BIGINT",
            ColumnType::Float => "DOUBLE PRECISION",
            ColumnType::Boolean => "BOOLEAN",
            ColumnType::Timestamp => "TIMESTAMP",
        }
        .to_owned()
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        type_family(reported)
    }

    // An id is compared by its bytes; a locale's order would cost several times as much.
    // <https://www.postgresql.org/docs/current/collation.html>
    fn fixed_text(&self, column: &str) -> String {
        format!("RTRIM({column}) COLLATE \"C\"")
    }

    // <https://www.postgresql.org/docs/current/functions-datetime.html>
    fn now(&self) -> String {
        "(now() AT TIME ZONE 'UTC')".to_owned()
    }

    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!("CAST(EXTRACT(EPOCH FROM date_trunc('second', {end}) - date_trunc('second', {start})) AS BIGINT)")
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

    // Every schema, whoever owns it; information_schema.schemata leaves out those that the role may not use.
    // <https://www.postgresql.org/docs/current/catalog-pg-namespace.html>
    fn schema_query(&self, schema: &Identifier) -> String {
        format!("SELECT nspname\nFROM pg_namespace\nWHERE nspname = {}", self.text(schema.as_str()))
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
            Statement::new(
                format!("index of {name} by {column}"),
                format!(
                    "CREATE INDEX IF NOT EXISTS {} ON {} USING HASH ({column})",
                    self.quote(&format!("{}_{column}", name.name)),
                    self.table(name),
                ),
            )
        }));
        statements
    }

    // One lookup in the index a key: OFFSET 0 keeps the planner from reading the whole table instead.
    // <https://www.postgresql.org/docs/current/queries-table-expressions.html#QUERIES-LATERAL>
    fn rows_of_keys(&self, columns: &str, table: &TableName, key: &str, keys: &TableName) -> String {
        format!(
            "SELECT\n  found.*\nFROM {keys} AS wanted\nCROSS JOIN LATERAL (\n  SELECT\n  {columns}\n  FROM {table} AS present\n  WHERE present.{key} = wanted.{key}\n  OFFSET 0\n) AS found",
            keys = self.table(keys),
            table = self.table(table),
        )
    }

    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        let create = format!("{} IF NOT EXISTS {} {columns}", Self::create(table), self.table(name));
        vec![self.drop_table(name), Statement::new(format!("{name}, empty"), create)]
    }

    // IF NOT EXISTS is for a second attempt whose first one was applied.
    // <https://www.postgresql.org/docs/current/sql-createtableas.html>
    fn replace_table_as(&self, table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let create = format!("{} IF NOT EXISTS {} AS\n{select}", Self::create(table), self.table(name));
        let mut statements = vec![self.drop_table(name), Statement::new(name.to_string(), create)];
        statements.extend(self.analyze(table, name));
        statements.into_iter().map(Unit::Statement).collect()
    }

    fn hints(&self, phase: Phase, input: &Table, name: &TableName) -> Vec<Statement> {
        match phase {
            Phase::Main => self.analyze(input, name).into_iter().collect(),
            Phase::Complete | Phase::Destroy => Vec::new(),
        }
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

impl RedshiftDialect {
    /// <https://docs.aws.amazon.com/redshift/latest/dg/t_Distributing_data.html>,
    /// <https://docs.aws.amazon.com/redshift/latest/dg/t_Sorting_data.html>
    fn layout(table: &Table) -> String {
        let mut layout = String::new();
        if let Some(column) = table.layout.distribute {
            layout.push_str(&format!(" DISTSTYLE KEY DISTKEY ({column})"));
        }
        if let Some(column) = table.layout.sort {
            layout.push_str(&format!(" SORTKEY ({column})"));
        }
        layout
    }
}

impl Dialect for RedshiftDialect {
    fn name(&self) -> &'static str {
        "redshift"
    }

    // <https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html>; VARCHAR alone is VARCHAR(256).
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type {
            ColumnType::Text => "VARCHAR".to_owned(),
            ColumnType::Varying(bytes) => format!("VARCHAR({bytes})"),
            ColumnType::Fixed(bytes) => format!("CHAR({bytes})"),
            ColumnType::Integer => "INT".to_owned(),
            ColumnType::BigInteger => "BIGINT".to_owned(),
            ColumnType::Float => "DOUBLE PRECISION".to_owned(),
            ColumnType::Boolean => "BOOLEAN".to_owned(),
            ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        }
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        type_family(reported)
    }

    // A backslash escapes. <https://docs.aws.amazon.com/redshift/latest/dg/r_Examples_with_character_types.html>
    fn text(&self, text: &str) -> String {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    }

    // Trailing blanks don't count in comparisons of characters.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html#r_Character_types-significance-of-trailing-blanks>
    fn fixed_text(&self, column: &str) -> String {
        column.to_owned()
    }

    // In the session's time zone, which the connection sets to UTC; whole seconds.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_GETDATE.html>
    fn now(&self) -> String {
        "GETDATE()".to_owned()
    }

    // Counts boundaries. <https://docs.aws.amazon.com/redshift/latest/dg/r_DATEDIFF_function.html>
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!("DATEDIFF(second, {start}, {end})")
    }

    // <https://docs.aws.amazon.com/redshift/latest/dg/r_DATEADD_function.html>
    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("DATEADD(day, -{days}, {timestamp})")
    }

    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("DATEADD(second, {seconds}, {timestamp})")
    }

    // The hash of ten columns is the seed of the next ten. The equals sign tells NULL from nothing, and one column's end.
    // Ten columns at their longest fit a VARCHAR.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_FNV_HASH.html>
    fn row_fingerprint(&self, columns: &[Column]) -> String {
        let text = |column: &Column| {
            let name = &column.name;
            match column.column_type.family() {
                TypeFamily::Text => format!("COALESCE('=' || {name}, '')"),
                TypeFamily::Boolean => format!("CASE WHEN {name} THEN '=t' WHEN NOT {name} THEN '=f' ELSE '' END"),
                TypeFamily::Integer | TypeFamily::Float | TypeFamily::Timestamp => {
                    format!("COALESCE('=' || CAST({name} AS VARCHAR(64)), '')")
                }
            }
        };
        columns.chunks(10).fold(String::new(), |seed, columns| {
            let texts: Vec<String> = columns.iter().map(text).collect();
            let texts = texts.join(" || ");
            if seed.is_empty() { format!("FNV_HASH({texts})") } else { format!("FNV_HASH({texts}, {seed})") }
        })
    }

    // A sort key is read to skip blocks; it stays uncompressed.
    // <https://docs.aws.amazon.com/redshift/latest/dg/c_Compression_encodings.html>
    fn column_definition(&self, table: &Table, column: &Column) -> String {
        let not_null = if column.not_null { " NOT NULL" } else { "" };
        let encoding = match table.layout {
            Layout { distribute: None, .. } => "",
            Layout { sort: Some(sort), .. } if sort == column.name => " ENCODE RAW",
            _ => " ENCODE ZSTD",
        };
        format!("{} {}{encoding}{not_null}", column.name, self.column_type(column.column_type))
    }

    // information_schema.schemata has the schemas of the user's own only.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_ALL_SCHEMAS.html>
    fn schema_query(&self, schema: &Identifier) -> String {
        format!(
            "SELECT schema_name\nFROM svv_all_schemas\nWHERE database_name = current_database()\n  AND schema_name = {}",
            self.text(&self.catalog_name(schema.as_str()))
        )
    }

    fn create_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        vec![Statement::new(
            format!("{name}, if missing"),
            format!("CREATE TABLE IF NOT EXISTS {} {columns}{}", self.table(name), Self::layout(table)),
        )]
    }

    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let mut statements = vec![self.drop_table(name)];
        statements.extend(self.create_table(table, name));
        statements
    }

    // CREATE TABLE AS has no IF NOT EXISTS, so that it could not run twice; an insert into an emptied table can.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_TABLE_AS.html>
    fn replace_table_as(&self, table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let mut units: Vec<Unit> = self.replace_table(table, name).into_iter().map(Unit::Statement).collect();
        units.push(Unit::Block {
            purpose: name.to_string(),
            statements: vec![
                Statement::new("rows of an earlier attempt", self.delete(name, "1 = 1")),
                Statement::new(name.to_string(), self.insert(name, &table.column_list(), select)),
            ],
        });
        units
    }

    fn begin(&self) -> &'static str {
        "BEGIN"
    }
}

//! Snowflake's spelling. Source: <https://docs.snowflake.com/en/sql-reference>.

use websessions_core::dialect::Dialect;
use websessions_core::plan::{Statement, Unit};
use websessions_core::table::TableName;
use websessions_core::table::{Column, ColumnType, Lifetime, SourceType, Table, TypeFamily};

/// Snowflake's SQL.
#[derive(Clone, Copy, Debug)]
pub struct SnowflakeDialect;

impl SnowflakeDialect {
    /// Scratch tables need no fail-safe, which is paid for by the byte.
    /// <https://docs.snowflake.com/en/user-guide/tables-temp-transient>
    fn create(table: &Table) -> &'static str {
        match table.lifetime {
            Lifetime::Persistent => "TABLE",
            Lifetime::Run | Lifetime::Module => "TRANSIENT TABLE",
        }
    }
}

/// Session variables: a block has a session of its own.
const OLDEST: &str = "websessions_oldest";
const NEWEST: &str = "websessions_newest";

impl Dialect for SnowflakeDialect {
    fn name(&self) -> &'static str {
        "snowflake"
    }

    // Unquoted names are stored in upper case; quoted in upper case they are the same names, whatever
    // QUOTED_IDENTIFIERS_IGNORE_CASE says. <https://docs.snowflake.com/en/sql-reference/identifiers-syntax>
    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.to_uppercase())
    }

    fn catalog_name(&self, name: &str) -> String {
        name.to_uppercase()
    }

    // A backslash escapes. <https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences-in-single-quoted-string-constants>
    fn text(&self, text: &str) -> String {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    }

    // <https://docs.snowflake.com/en/sql-reference/intro-summary-data-types>
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type.family() {
            TypeFamily::Text => "VARCHAR",
            TypeFamily::Integer => "INTEGER",
            TypeFamily::Float => "DOUBLE PRECISION",
            TypeFamily::Boolean => "BOOLEAN",
            TypeFamily::Timestamp => "TIMESTAMP_NTZ",
        }
        .to_owned()
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        match reported {
            "TEXT" | "VARCHAR" => Some(TypeFamily::Text),
            "NUMBER" => Some(TypeFamily::Integer),
            "FLOAT" => Some(TypeFamily::Float),
            "BOOLEAN" => Some(TypeFamily::Boolean),
            "TIMESTAMP_NTZ" => Some(TypeFamily::Timestamp),
            _ => None,
        }
    }

    // A NUMBER may have a fraction, and a timestamp has nine digits unless its type says otherwise.
    // <https://docs.snowflake.com/en/sql-reference/intro-summary-data-types>
    fn source_type(&self, reported: &str) -> Option<SourceType> {
        match reported {
            "NUMBER" => Some(SourceType::Decimal),
            "TIMESTAMP_NTZ" => Some(SourceType::FineTimestamp),
            "TIMESTAMP_LTZ" | "TIMESTAMP_TZ" => Some(SourceType::ZonedTimestamp),
            "DATE" => Some(SourceType::TimestampByCast),
            _ => self.type_family(reported).map(SourceType::from),
        }
    }

    // <https://docs.snowflake.com/en/sql-reference/functions/convert_timezone>
    fn in_utc(&self, zoned: &str) -> String {
        self.cut_to_microseconds(&format!("CAST(CONVERT_TIMEZONE('UTC', {zoned}) AS TIMESTAMP_NTZ)"))
    }

    // <https://docs.snowflake.com/en/sql-reference/functions/date_trunc>
    fn cut_to_microseconds(&self, timestamp: &str) -> String {
        format!("DATE_TRUNC('MICROSECOND', {timestamp})")
    }

    // In UTC, whatever the session's time zone is. <https://docs.snowflake.com/en/sql-reference/functions/sysdate>
    fn now(&self) -> String {
        "SYSDATE()".to_owned()
    }

    // Counts boundaries. <https://docs.snowflake.com/en/sql-reference/functions/timestampdiff>
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!("TIMESTAMPDIFF(SECOND, {start}, {end})")
    }

    // <https://docs.snowflake.com/en/sql-reference/functions/timestampadd>
    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("TIMESTAMPADD(DAY, -{days}, {timestamp})")
    }

    // <https://docs.snowflake.com/en/sql-reference/functions/to_char>
    fn day(&self, timestamp: &str) -> String {
        format!("TO_CHAR(CAST({timestamp} AS DATE), 'YYYY-MM-DD')")
    }

    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("TIMESTAMPADD(SECOND, {seconds}, {timestamp})")
    }

    // 64 bits of all columns, NULLs told apart. <https://docs.snowflake.com/en/sql-reference/functions/hash>
    fn row_fingerprint(&self, columns: &[Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
        format!("HASH({})", names.join(", "))
    }

    // <https://docs.snowflake.com/en/sql-reference/functions/hash>; a hash has 19 digits, and a sum has 38.
    fn checksum(&self, column: &str) -> String {
        format!("COUNT(*) + COALESCE(SUM(HASH({column}) % 2147483647), 0)")
    }

    // Micro-partitions are pruned by constants: a session variable is one when a statement is compiled, a subquery is not.
    // Empty keys give no NULL, which a variable doesn't take.
    // <https://docs.snowflake.com/en/sql-reference/session-variables>
    // <https://docs.snowflake.com/en/user-guide/tables-clustering-micropartitions#query-pruning>
    fn upsert_range(&self, time: &str, limit: &TableName, keys: Option<&TableName>) -> (Vec<Statement>, String) {
        let set = |name: &str, purpose: &str, value: String, from: &TableName| {
            let never = "CAST('9999-12-31 00:00:00' AS TIMESTAMP_NTZ)";
            let sql = format!("SET {name} = (SELECT COALESCE({value}, {never}) FROM {})", self.table(from));
            Statement::new(purpose, sql)
        };
        match keys {
            None => (
                vec![set(OLDEST, "how far back rows are looked for", "MIN(lower_limit)".to_owned(), limit)],
                format!("{time} >= ${OLDEST}"),
            ),
            Some(keys) => (
                vec![
                    set(OLDEST, "the first such row", format!("MIN({time})"), keys),
                    set(NEWEST, "the last such row", format!("MAX({time})"), keys),
                ],
                format!("{time} BETWEEN ${OLDEST} AND ${NEWEST}"),
            ),
        }
    }

    // <https://docs.snowflake.com/en/sql-reference/sql/grant-privilege>
    fn share_table(&self, name: &TableName) -> Vec<Statement> {
        let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {} TO ROLE PUBLIC", self.table(name));
        vec![Statement::new(format!("{name} is for every role that may use its schema"), grant)]
    }

    // <https://docs.snowflake.com/en/sql-reference/info-schema/tables>
    fn size_query(&self, name: &TableName) -> Option<String> {
        Some(format!(
            "SELECT bytes\nFROM {}\nWHERE table_schema = {}\n  AND table_name = {}",
            self.information_schema(&name.schema, "tables"),
            self.text(&self.catalog_name(name.schema.as_str())),
            self.text(&self.catalog_name(&name.name))
        ))
    }

    // <https://docs.snowflake.com/en/sql-reference/sql/create-table>
    fn create_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        let sql = format!("CREATE {} IF NOT EXISTS {} {columns}", Self::create(table), self.table(name));
        vec![Statement::new(format!("{name}, if missing"), sql)]
    }

    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        let sql = format!("CREATE OR REPLACE {} {} {columns}", Self::create(table), self.table(name));
        vec![Statement::new(format!("{name}, empty"), sql)]
    }

    fn replace_table_as(&self, table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let sql = format!("CREATE OR REPLACE {} {} AS\n{select}", Self::create(table), self.table(name));
        vec![Unit::Statement(Statement::new(name.to_string(), sql))]
    }
}

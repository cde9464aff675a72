//! DuckDB's spelling. Source: <https://duckdb.org/docs/stable/sql/introduction>.

use websessions_core::dialect::Dialect;
use websessions_core::plan::{OnlyIf, Statement};
use websessions_core::table::{Column, ColumnType, SourceType, TableName, TypeFamily};

/// How many rows a row group has at most: <https://duckdb.org/docs/stable/guides/performance/how_to_tune_workloads>.
const ROWS_OF_A_GROUP: u32 = 122_880;

/// How many row groups more than its rows need a table may have: each run leaves one, and small tables are merged in no time, but
/// the others with them.
const SPARE_ROW_GROUPS: u32 = 10;

/// Ends what `joins_as_written` begins with; a block that failed may have left it out.
pub(crate) const AS_PLANNED: &str = "RESET disabled_optimizers";

/// DuckDB's SQL.
#[derive(Clone, Copy, Debug)]
pub struct DuckDbDialect;

impl Dialect for DuckDbDialect {
    fn name(&self) -> &'static str {
        "duckdb"
    }

    // Lengths have no effect: <https://duckdb.org/docs/stable/sql/data_types/text>.
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type.family() {
            TypeFamily::Text => "VARCHAR",
            TypeFamily::Integer => "BIGINT",
            TypeFamily::Float => "DOUBLE",
            TypeFamily::Boolean => "BOOLEAN",
            TypeFamily::Timestamp => "TIMESTAMP",
        }
        .to_owned()
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        match reported {
            "VARCHAR" | "UUID" => Some(TypeFamily::Text),
            "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" | "HUGEINT" => Some(TypeFamily::Integer),
            "FLOAT" | "DOUBLE" => Some(TypeFamily::Float),
            "BOOLEAN" => Some(TypeFamily::Boolean),
            "TIMESTAMP" => Some(TypeFamily::Timestamp),
            _ => None,
        }
    }

    // <https://duckdb.org/docs/stable/sql/data_types/overview>
    fn source_type(&self, reported: &str) -> Option<SourceType> {
        match reported.split('(').next().unwrap_or_default() {
            "UUID" | "ENUM" => Some(SourceType::TextByCast),
            "UTINYINT" | "USMALLINT" | "UINTEGER" => Some(SourceType::Integer),
            "UBIGINT" | "HUGEINT" | "UHUGEINT" | "DECIMAL" => Some(SourceType::Decimal),
            "TIMESTAMP_NS" => Some(SourceType::FineTimestamp),
            "TIMESTAMP WITH TIME ZONE" => Some(SourceType::ZonedTimestamp),
            "TIMESTAMP_S" | "TIMESTAMP_MS" => Some(SourceType::TimestampByCast),
            "DATE" => Some(SourceType::TimestampByCast),
            _ => self.type_family(reported).map(SourceType::from),
        }
    }

    // Without the functions of time zones, which are an extension; NULL for an infinite one.
    // <https://duckdb.org/docs/stable/sql/functions/timestamptz>
    fn in_utc(&self, zoned: &str) -> String {
        format!("make_timestamp(epoch_us({zoned}))")
    }

    // A cast rounds; epoch_us cuts towards 1970. <https://duckdb.org/docs/stable/sql/functions/timestamp>
    fn cut_to_microseconds(&self, timestamp: &str) -> String {
        format!(
            "make_timestamp(CASE WHEN isfinite({timestamp}) THEN epoch_us({timestamp}) - CASE WHEN epoch_ns({timestamp}) % 1000 < 0 THEN 1 ELSE 0 END END)"
        )
    }

    // now() has a time zone; its microseconds since the epoch don't depend on the session's.
    // <https://duckdb.org/docs/stable/sql/functions/timestamptz>
    fn now(&self) -> String {
        "make_timestamp(epoch_us(now()))".to_owned()
    }

    // Counts boundaries; date_sub would count whole seconds.
    // <https://duckdb.org/docs/stable/sql/functions/timestamp#date_diffpart-startdate-enddate>
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!("date_diff('second', {start}, {end})")
    }

    // <https://duckdb.org/docs/stable/sql/data_types/interval>
    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("{timestamp} - INTERVAL {days} DAY")
    }

    // <https://duckdb.org/docs/stable/sql/functions/dateformat>
    fn day(&self, timestamp: &str) -> String {
        format!("strftime({timestamp}, '%Y-%m-%d')")
    }

    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("{timestamp} + INTERVAL {seconds} SECOND")
    }

    // A rowid can be taken again after a checkpoint, so it is the content that identifies a row. hash() gives an
    // unsigned 64-bit number; one bit less fits BIGINT.
    // <https://duckdb.org/docs/stable/sql/functions/utility#hashvalue>
    fn row_fingerprint(&self, columns: &[Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
        format!("CAST(hash({}) >> 1 AS BIGINT)", names.join(", "))
    }

    // <https://duckdb.org/docs/stable/sql/functions/utility#hashvalue>; numbers below 2^31 add up without overflow.
    fn checksum(&self, column: &str) -> String {
        format!("CAST(COUNT(*) + COALESCE(SUM(CAST(hash({column}) % 2147483647 AS BIGINT)), 0) AS BIGINT)")
    }

    // The blocks of the file that hold its columns; what is in memory only has none.
    // <https://duckdb.org/docs/stable/configuration/pragmas#storage-information>
    fn size_query(&self, name: &TableName) -> Option<String> {
        Some(format!(
            "SELECT COUNT(DISTINCT block_id) * (SELECT MAX(block_size) FROM pragma_database_size()) AS bytes\nFROM pragma_storage_info({})\nWHERE block_id >= 0",
            self.text(&self.table(name))
        ))
    }

    // A transaction reads one snapshot, and DDL is a part of it: <https://duckdb.org/docs/stable/sql/statements/transactions>.
    fn writes_once(&self) -> bool {
        true
    }

    // The planner takes first page views for few, by how many indexes there are, and keeps them, with all their columns, to look the
    // narrow rows up in them: with 10 million page views and 2 GiB of memory most of them go to the disk and come back.
    // <https://duckdb.org/docs/stable/guides/performance/join_operations>
    fn joins_as_written(&self) -> Option<[Statement; 2]> {
        let set = Statement::new(
            "joins run as written, and keep what is narrow",
            "SET disabled_optimizers = 'join_order,build_side_probe_side'",
        );
        Some([set, Statement::new("joins run as planned", AS_PLANNED)])
    }

    // A checkpoint merges row groups where rows were deleted, or that a small INSERT began: half of a table is read and written
    // again, after each run. So connections are opened without that, and it is allowed in a run that finds a table whose row
    // groups are less than half full: then it costs, on average, no more than writing their rows did. Row groups without a row
    // are given back at every checkpoint.
    // <https://duckdb.org/docs/stable/configuration/overview>, <https://duckdb.org/docs/stable/sql/statements/checkpoint>
    fn compaction(&self, name: &TableName) -> Vec<Statement> {
        let table = self.table(name);
        let pays = format!(
            "SELECT row_groups, row_count\nFROM (SELECT COUNT(DISTINCT row_group_id) AS row_groups FROM pragma_storage_info({})) AS storage\nCROSS JOIN (SELECT COUNT(*) AS row_count FROM {table}) AS counted\nWHERE row_groups > {SPARE_ROW_GROUPS} + 2 * row_count / {ROWS_OF_A_GROUP}",
            self.text(&table)
        );
        let purpose = format!("compaction, if half of {name} would be given back");
        vec![Statement::new(purpose, "RESET max_vacuum_tasks").only_if(OnlyIf::Finds(pays))]
    }
}

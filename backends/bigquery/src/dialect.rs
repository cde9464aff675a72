//! BigQuery's spelling. Source: <https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax>.

use websessions_core::dialect::Dialect;
use websessions_core::identifier::Identifier;
use websessions_core::plan::script;
use websessions_core::plan::{Statement, Unit};
use websessions_core::table::TableName;
use websessions_core::table::{Column, ColumnType, Lifetime, SourceType, Table, TypeFamily};
use websessions_core::warehouse::FENCED;

/// BigQuery's SQL.
#[derive(Clone, Copy, Debug)]
pub struct BigQueryDialect;

impl BigQueryDialect {
    /// What stands between a table's columns and its SELECT. A scratch table of a run that died must not be stored, and
    /// paid for, for ever: without an expiration it would be, unless the dataset has one.
    /// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_statement>
    fn layout(table: &Table) -> String {
        let partition = table.layout.partition.map(|column| format!("\nPARTITION BY DATE({column})"));
        let cluster = table.layout.cluster.join(", ");
        let cluster = if cluster.is_empty() { String::new() } else { format!("\nCLUSTER BY {cluster}") };
        let expires = match table.lifetime {
            Lifetime::Persistent => String::new(),
            Lifetime::Run | Lifetime::Module => format!(
                "\nOPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {SCRATCH_DAYS} DAY))"
            ),
        };
        format!("{}{cluster}{expires}", partition.unwrap_or_default())
    }
}

impl BigQueryDialect {
    /// A statement of a script, and what ends the script if it must change a row and has changed none.
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/debugging_functions#error>
    // <https://cloud.google.com/bigquery/docs/reference/system-variables>
    fn checked(statement: &Statement) -> Vec<Statement> {
        let mut statements = vec![statement.clone()];
        if statement.must_change {
            let words = BigQueryDialect.text(&format!("{}: {FENCED}", statement.purpose));
            let check = format!("SELECT IF(@@row_count > 0, 'it did', ERROR({words})) AS checked");
            statements.push(Statement::new("or nothing changes", check));
        }
        statements
    }
}

const DECLARE: &str = "DECLARE ";

/// How long scratch tables live that nobody drops: longer than anyone takes to mend and resume a run.
const SCRATCH_DAYS: u32 = 14;

impl Dialect for BigQueryDialect {
    fn name(&self) -> &'static str {
        "bigquery"
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#quoted_identifiers>
    fn quote(&self, name: &str) -> String {
        format!("`{name}`")
    }

    // A backslash escapes, and a line can't end inside quotes.
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#string_and_bytes_literals>
    fn text(&self, text: &str) -> String {
        let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
        format!("'{escaped}'")
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types>
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type.family() {
            TypeFamily::Text => "STRING",
            TypeFamily::Integer => "INT64",
            TypeFamily::Float => "FLOAT64",
            TypeFamily::Boolean => "BOOL",
            TypeFamily::Timestamp => "TIMESTAMP",
        }
        .to_owned()
    }

    fn type_family(&self, reported: &str) -> Option<TypeFamily> {
        match reported.split('(').next().unwrap_or_default() {
            "STRING" => Some(TypeFamily::Text),
            "INT64" => Some(TypeFamily::Integer),
            "FLOAT64" => Some(TypeFamily::Float),
            "BOOL" => Some(TypeFamily::Boolean),
            "TIMESTAMP" => Some(TypeFamily::Timestamp),
            _ => None,
        }
    }

    // A DATETIME has no time zone: it is taken for one in UTC.
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast_as_timestamp>
    fn source_type(&self, reported: &str) -> Option<SourceType> {
        match reported.split('(').next().unwrap_or_default() {
            "NUMERIC" | "BIGNUMERIC" => Some(SourceType::Decimal),
            "DATETIME" | "DATE" => Some(SourceType::TimestampByCast),
            _ => self.type_family(reported).map(SourceType::from),
        }
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#current_timestamp>
    fn now(&self) -> String {
        "CURRENT_TIMESTAMP()".to_owned()
    }

    // TIMESTAMP_DIFF counts whole seconds; boundaries are the difference of the seconds that both lie in.
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#unix_seconds>
    fn seconds_between(&self, start: &str, end: &str) -> String {
        format!("UNIX_SECONDS({end}) - UNIX_SECONDS({start})")
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#timestamp_sub>
    fn minus_days(&self, timestamp: &str, days: u32) -> String {
        format!("TIMESTAMP_SUB({timestamp}, INTERVAL {days} DAY)")
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#format_timestamp>
    fn day(&self, timestamp: &str) -> String {
        format!("FORMAT_TIMESTAMP('%Y-%m-%d', {timestamp})")
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/timestamp_functions#timestamp_add>
    fn plus_seconds(&self, timestamp: &str, seconds: u64) -> String {
        format!("TIMESTAMP_ADD({timestamp}, INTERVAL {seconds} SECOND)")
    }

    // 64 bits of all columns, NULL told from text.
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/hash_functions#farm_fingerprint>
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#to_json_string>
    fn row_fingerprint(&self, columns: &[Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
        format!("FARM_FINGERPRINT(TO_JSON_STRING(STRUCT({})))", names.join(", "))
    }

    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/hash_functions#farm_fingerprint>
    fn checksum(&self, column: &str) -> String {
        format!("COUNT(*) + COALESCE(SUM(MOD(FARM_FINGERPRINT(CAST({column} AS STRING)), 2147483647)), 0)")
    }

    fn create_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        let sql = format!("CREATE TABLE IF NOT EXISTS {} {columns}{}", self.table(name), Self::layout(table));
        vec![Statement::new(format!("{name}, if missing"), sql)]
    }

    // One statement a table: its metadata may be changed five times in ten seconds. A column that is added may be NULL.
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_table_add_column_statement>
    // <https://cloud.google.com/bigquery/quotas#standard_tables>
    fn add_columns(&self, table: &Table, name: &TableName, columns: &[Column]) -> Vec<Statement> {
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        let add = |column: &Column| format!("ADD COLUMN IF NOT EXISTS {}", self.column_definition(table, column));
        let all: Vec<String> = columns.iter().map(add).collect();
        let sql = format!("ALTER TABLE {}\n  {}", self.table(name), all.join(",\n  "));
        vec![Statement::new(format!("columns of {name}: {}", names.join(", ")), sql)]
    }

    fn replace_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        let sql = format!("CREATE OR REPLACE TABLE {} {columns}{}", self.table(name), Self::layout(table));
        vec![Statement::new(format!("{name}, empty"), sql)]
    }

    fn replace_table_as(&self, table: &Table, name: &TableName, select: &str) -> Vec<Unit> {
        let sql = format!("CREATE OR REPLACE TABLE {}{} AS\n{select}", self.table(name), Self::layout(table));
        vec![Unit::Statement(Statement::new(name.to_string(), sql))]
    }

    // <https://cloud.google.com/bigquery/docs/information-schema-columns>
    fn information_schema(&self, schema: &Identifier, view: &str) -> String {
        format!("{}.INFORMATION_SCHEMA.{}", self.quote(schema.as_str()), view.to_uppercase())
    }

    // SCHEMATA takes a project or a region, not a dataset: its tables tell, as a dataset that isn't there is refused.
    // <https://cloud.google.com/bigquery/docs/information-schema-tables>
    fn schema_query(&self, schema: &Identifier) -> String {
        format!("SELECT COUNT(*) AS table_count\nFROM {}", self.information_schema(schema, "tables"))
    }

    // A table without partitions is one. <https://cloud.google.com/bigquery/docs/information-schema-partitions>
    fn size_query(&self, name: &TableName) -> Option<String> {
        Some(format!(
            "SELECT SUM(total_logical_bytes) AS bytes\nFROM {}\nWHERE table_name = {}",
            self.information_schema(&name.schema, "partitions"),
            self.text(&name.name)
        ))
    }

    // Each day of production costs what its keys take, so that the whole of it would soon cost more than all else.
    // <https://cloud.google.com/bigquery/docs/estimate-costs>
    fn lookup_days(&self) -> Option<u32> {
        Some(33)
    }

    // A table may ask for a filter by its partitions; one that all rows pass will do where there is no better.
    // <https://cloud.google.com/bigquery/docs/querying-partitioned-tables#require_a_partition_filter_in_queries>
    fn rows_of_keys(
        &self,
        columns: &str,
        table: &TableName,
        partition: Option<&str>,
        key: &str,
        keys: &TableName,
        range: Option<&str>,
    ) -> String {
        let all = || partition.map(|column| format!("{column} >= TIMESTAMP '0001-01-01 00:00:00+00'"));
        let filter = range.map(str::to_owned).or_else(all).map(|filter| format!("\n  AND {filter}"));
        format!(
            "SELECT\n  {columns}\nFROM {}\nWHERE {key} IN (SELECT {key} FROM {}){}",
            self.table(table),
            self.table(keys),
            filter.unwrap_or_default()
        )
    }

    // Partitions are pruned by constants and variables, not by subqueries.
    // <https://cloud.google.com/bigquery/docs/querying-partitioned-tables#better_performance_with_pseudo-columns>
    fn upsert_range(&self, time: &str, limit: &TableName, keys: Option<&TableName>) -> (Vec<Statement>, String) {
        let declare = |name: &str, of: &str, purpose: &str, value: String| {
            vec![Statement::new(purpose, format!("{DECLARE}{name} {of} DEFAULT {value}"))]
        };
        match keys {
            None => {
                let from = format!("(SELECT lower_limit FROM {})", self.table(limit));
                let purpose = "how far back rows are looked for";
                (declare("oldest_start", "TIMESTAMP", purpose, from), format!("{time} >= oldest_start"))
            }
            Some(keys) => {
                let days =
                    format!("ARRAY(SELECT DISTINCT DATE({time}) FROM {} WHERE {time} IS NOT NULL)", self.table(keys));
                let purpose = "the partitions that have such rows";
                (declare("touched_days", "ARRAY<DATE>", purpose, days), format!("DATE({time}) IN UNNEST(touched_days)"))
            }
        }
    }

    // Declarations stand first in a script. A script that fails rolls its open transaction back.
    // <https://cloud.google.com/bigquery/docs/transactions>
    fn block(&self, statements: &[Statement]) -> String {
        let (declarations, changes): (Vec<_>, Vec<_>) =
            statements.iter().cloned().partition(|statement| statement.sql.starts_with(DECLARE));
        let declarations = if declarations.is_empty() { String::new() } else { script(&declarations) + "\n" };
        let changes: Vec<Statement> = changes.iter().flat_map(Self::checked).collect();
        format!("{declarations}{};\n\n{}\n{};\n", self.begin(), script(&changes), self.commit())
    }

    fn commit(&self) -> &'static str {
        "COMMIT TRANSACTION"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use websessions_core::model;
    use websessions_core::plan::Phase;
    use websessions_core::variables::Variables;

    #[test]
    fn a_table_that_requires_a_partition_filter_is_read_with_one() {
        let name =
            |name: &str| TableName { schema: Identifier::new("derived").expect("a name"), name: name.to_owned() };
        let rows =
            |partition, range| BigQueryDialect.rows_of_keys("id", &name("big"), partition, "id", &name("small"), range);
        let select = rows(Some("start_tstamp"), None);
        assert!(select.contains("AND start_tstamp >= TIMESTAMP"), "{select}");
        assert!(!rows(None, None).contains("TIMESTAMP"));
        let select = rows(Some("start_tstamp"), Some("start_tstamp >= oldest_start"));
        assert!(select.contains("AND start_tstamp >= oldest_start") && !select.contains("TIMESTAMP"), "{select}");
    }

    #[test]
    fn a_dataset_is_looked_for_by_its_tables() {
        let query = BigQueryDialect.schema_query(&Identifier::new("derived").expect("a name"));
        assert!(query.contains("`derived`.INFORMATION_SCHEMA.TABLES") && !query.contains("SCHEMATA"), "{query}");
    }

    #[test]
    fn scratch_tables_expire_and_no_other_does() {
        let variables = Variables::default();
        let dialect: std::sync::Arc<dyn Dialect> = std::sync::Arc::new(BigQueryDialect);
        for module in model::modules() {
            for table in module.tables(&variables) {
                let name = variables.table_name(&table);
                let made = BigQueryDialect.create_table(&table, &name).swap_remove(0).sql;
                let expires = made.contains("expiration_timestamp");
                assert_eq!(expires, table.lifetime != Lifetime::Persistent, "{made}");
            }
            let plan = module.plan(Phase::Main, &variables, &dialect);
            let replaced: Vec<&Statement> = plan
                .units()
                .flat_map(|(_, unit)| unit.statements())
                .filter(|statement| statement.sql.starts_with("CREATE OR REPLACE TABLE"))
                .collect();
            assert!(replaced.len() > 3);
            for statement in replaced {
                assert!(statement.sql.contains("OPTIONS (expiration_timestamp"), "{}", statement.sql);
            }
        }
    }
}

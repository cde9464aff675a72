//! Redshift's spelling. Source: <https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_SQLCommandRef.html>.

use super::{share_table, source_type, type_family};
use websessions_core::dialect::Dialect;
use websessions_core::identifier::Identifier;
use websessions_core::plan::{OnlyIf, Statement, Unit};
use websessions_core::table::{Column, ColumnType, Layout, SourceType, Table, TableName, TypeFamily};

/// The bytes of its longest `VARCHAR`.
const LONGEST_TEXT: u16 = u16::MAX;

/// Amazon Redshift.
#[derive(Clone, Copy, Debug)]
pub struct RedshiftDialect;

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

    // Unquoted names are stored in lower case; quoted in lower case they are the same names.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_names.html>
    fn quote(&self, name: &str) -> String {
        format!("\"{}\"", name.to_lowercase())
    }

    fn catalog_name(&self, name: &str) -> String {
        name.to_lowercase()
    }

    // <https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html>; VARCHAR alone is VARCHAR(256).
    fn column_type(&self, column_type: ColumnType) -> String {
        match column_type {
            ColumnType::Text => "VARCHAR".to_owned(),
            ColumnType::LongText => format!("VARCHAR({LONGEST_TEXT})"),
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

    // <https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html>
    fn longest_text(&self, column_type: ColumnType) -> Option<u16> {
        match column_type {
            ColumnType::Text => Some(256),
            ColumnType::LongText => Some(LONGEST_TEXT),
            ColumnType::Varying(bytes) | ColumnType::Fixed(bytes) => Some(bytes),
            _ => None,
        }
    }

    // An INT has 32 bits.
    fn bits(&self, column_type: ColumnType) -> u32 {
        if column_type == ColumnType::Integer { 32 } else { 64 }
    }

    fn source_type(&self, reported: &str) -> Option<SourceType> {
        match reported {
            "bigint" => Some(SourceType::Decimal),
            // Its padding counts in OCTET_LENGTH, and goes in a cast.
            // <https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html#r_Character_types-significance-of-trailing-blanks>
            "character" => Some(SourceType::TextByCast),
            _ => source_type(reported),
        }
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

    // Nor do they in comparisons of VARCHAR, where they are stored; OCTET_LENGTH counts them.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_OCTET_LENGTH.html>
    fn same_text(&self, one: &str, other: &str) -> String {
        format!("{one} = {other} AND OCTET_LENGTH({one}) = OCTET_LENGTH({other})")
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

    // The hash of ten columns is the seed of the next ten. What is hashed can be read back in one way only: a text comes
    // after its length, all else before an equals sign, which none of it holds; NULL is the sign alone. Ten columns at
    // their longest fit a VARCHAR: of a text that fills one by itself, its length and its hash stand there.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_FNV_HASH.html>
    fn row_fingerprint(&self, columns: &[Column]) -> String {
        let text = |column: &Column| {
            let name = &column.name;
            match column.column_type.family() {
                TypeFamily::Text if column.column_type == ColumnType::LongText => {
                    format!("COALESCE(LEN({name}) || '=' || CAST(FNV_HASH({name}) AS VARCHAR(64)) || '=', '=')")
                }
                TypeFamily::Text => format!("COALESCE(LEN({name}) || '=' || {name}, '=')"),
                TypeFamily::Boolean => format!("CASE WHEN {name} THEN 't=' WHEN NOT {name} THEN 'f=' ELSE '=' END"),
                TypeFamily::Integer | TypeFamily::Float | TypeFamily::Timestamp => {
                    format!("COALESCE(CAST({name} AS VARCHAR(64)), '') || '='")
                }
            }
        };
        columns.chunks(10).fold(String::new(), |seed, columns| {
            let texts: Vec<String> = columns.iter().map(text).collect();
            let texts = texts.join(" || ");
            if seed.is_empty() { format!("FNV_HASH({texts})") } else { format!("FNV_HASH({texts}, {seed})") }
        })
    }

    // <https://docs.aws.amazon.com/redshift/latest/dg/r_FNV_HASH.html>
    fn checksum(&self, column: &str) -> String {
        format!(
            "CAST(COUNT(*) + COALESCE(SUM(CAST(FNV_HASH(CAST({column} AS VARCHAR(256))) % 2147483647 AS BIGINT)), 0) AS BIGINT)"
        )
    }

    // <https://docs.aws.amazon.com/redshift/latest/dg/r_GRANT.html>
    fn share_table(&self, name: &TableName) -> Vec<Statement> {
        share_table(self, name)
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

    // In blocks of 1 MB; an empty table has no row. <https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_TABLE_INFO.html>
    fn size_query(&self, name: &TableName) -> Option<String> {
        Some(format!(
            "SELECT size * 1048576 AS bytes\nFROM svv_table_info\nWHERE \"schema\" = {}\n  AND \"table\" = {}",
            self.text(&self.catalog_name(name.schema.as_str())),
            self.text(&self.catalog_name(&name.name))
        ))
    }

    fn create_table(&self, table: &Table, name: &TableName) -> Vec<Statement> {
        let columns = self.column_definitions(table);
        vec![Statement::new(
            format!("{name}, if missing"),
            format!("CREATE TABLE IF NOT EXISTS {} {columns}{}", self.table(name), Self::layout(table)),
        )]
    }

    // A column a statement, and no IF NOT EXISTS. Rows that are there are not written again.
    // <https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE.html>
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

#[cfg(test)]
mod tests {
    use super::*;
    use websessions_core::model::modules;
    use websessions_core::variables::Variables;

    /// What is joined to be hashed is a VARCHAR, too: it must take any ten columns of the model's and of one's own.
    #[test]
    fn ten_columns_at_their_longest_fit_the_text_that_is_hashed() {
        // A length and two equals signs; a number or a time of at most 64, a hash.
        let longest = |column: &Column| match RedshiftDialect.longest_text(column.column_type) {
            Some(bytes) if column.column_type != ColumnType::LongText => 7 + usize::from(bytes),
            _ => 7 + 64,
        };
        let variables = Variables::default();
        for table in modules().iter().flat_map(|module| module.tables(&variables)) {
            let mut lengths: Vec<usize> = table.columns.iter().map(longest).collect();
            lengths.sort_unstable();
            let sum: usize = lengths.iter().rev().take(10).sum();
            assert!(sum <= usize::from(LONGEST_TEXT), "{}: {lengths:?}", table.name);
        }

        let own = ["a", "b"].map(|name| Column::new(name, ColumnType::LongText));
        let fingerprint = RedshiftDialect.row_fingerprint(&own);
        for column in &own {
            let (whole, hash) = (format!("|| {}", column.name), format!("FNV_HASH({})", column.name));
            assert!(fingerprint.contains(&hash) && !fingerprint.contains(&whole), "{fingerprint}");
        }
    }

    #[test]
    fn the_padding_of_a_user_s_column_goes_in_a_cast() {
        assert_eq!(RedshiftDialect.source_type("character"), Some(SourceType::TextByCast));
        assert_eq!(RedshiftDialect.source_type("character varying"), Some(SourceType::Text));
    }

    #[test]
    fn a_schema_is_looked_for_whoever_owns_it() {
        let query = RedshiftDialect.schema_query(&Identifier::new("Derived").expect("a name"));
        assert!(query.contains("FROM svv_all_schemas") && query.contains("'derived'"), "{query}");
        assert!(!query.contains("information_schema"), "{query}");
    }
}

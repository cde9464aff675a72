//! Redshift's SQL on a Postgres server: with its physical clauses taken out and its functions provided.

use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::dialect::Dialect;
use websessions_core::error::WarehouseError;
use websessions_core::plan::Statement;
use websessions_core::rows::Rows;
use websessions_core::warehouse::{Done, Warehouse};

/// Redshift's SQL, made to run on Postgres. Physical clauses go; the date part of a date function, a keyword in Redshift,
/// becomes text. Nothing else changes.
pub struct Stripped(pub Arc<dyn Warehouse>);

fn stripped(sql: &str) -> String {
    let mut sql = sql.replace(" DISTSTYLE KEY", "").replace(" ENCODE ZSTD", "").replace(" ENCODE RAW", "");
    for clause in [" DISTKEY (", " SORTKEY ("] {
        while let Some(start) = sql.find(clause) {
            let end = sql[start..].find(')').map_or(sql.len(), |length| start + length + 1);
            sql.replace_range(start..end, "");
        }
    }
    for part in ["second", "day"] {
        for function in ["DATEDIFF", "DATEADD"] {
            sql = sql.replace(&format!("{function}({part},"), &format!("{function}('{part}',"));
        }
    }
    // A backslash escapes in Redshift's literals, as in Postgres' E'…'.
    if sql.contains('\\') { sql.replace("('", "(E'").replace(", '", ", E'") } else { sql }
}

fn stripped_statement(statement: &Statement) -> Statement {
    let mut changed = statement.clone();
    changed.sql = stripped(&statement.sql);
    changed
}

#[async_trait]
impl Warehouse for Stripped {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.0.dialect()
    }

    fn location(&self) -> String {
        self.0.location()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        self.0.execute(&stripped_statement(statement)).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let statements: Vec<Statement> = statements.iter().map(stripped_statement).collect();
        self.0.execute_block(&statements).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.0.query(&stripped(sql)).await
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        self.0.cancel().await
    }

    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        self.0.end_statements(run).await
    }
}

/// Redshift's functions and catalog, as its manual describes them.
pub const FUNCTIONS: &[&str] = &[
    "CREATE OR REPLACE VIEW svv_all_schemas AS SELECT current_database() AS database_name, nspname AS schema_name FROM pg_namespace",
    "CREATE OR REPLACE FUNCTION len(value text) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT length(value) $$",
    "CREATE OR REPLACE FUNCTION getdate() RETURNS timestamp STABLE LANGUAGE sql AS $$ SELECT date_trunc('second', now() AT TIME ZONE 'UTC') $$",
    "CREATE OR REPLACE FUNCTION datediff(part text, a timestamp, b timestamp) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$ SELECT CAST(extract(epoch FROM date_trunc(part, b) - date_trunc(part, a)) AS bigint) $$",
    "CREATE OR REPLACE FUNCTION dateadd(part text, count bigint, t timestamp) RETURNS timestamp IMMUTABLE LANGUAGE sql AS $$ SELECT t + CAST(count || ' ' || part AS interval) $$",
    "CREATE OR REPLACE FUNCTION fnv_hash(value text, seed bigint DEFAULT 0) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$ SELECT hashtextextended(value, seed) $$",
];

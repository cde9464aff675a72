//! Postgres' and Redshift's spellings. They share a protocol and little else: each has a dialect of its own.

mod postgres;
mod redshift;

pub use postgres::PostgresDialect;
pub(crate) use postgres::is_tuned;
pub use redshift::RedshiftDialect;

use std::sync::Arc;
use websessions_core::dialect::Dialect;
use websessions_core::plan::Statement;
use websessions_core::table::{SourceType, TableName, TypeFamily};

/// Which of the two a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    Postgres,
    Redshift,
}

impl Flavor {
    pub(crate) fn dialect(self) -> Arc<dyn Dialect> {
        match self {
            Self::Postgres => Arc::new(PostgresDialect),
            Self::Redshift => Arc::new(RedshiftDialect),
        }
    }
}

fn share_table(dialect: &dyn Dialect, name: &TableName) -> Vec<Statement> {
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO PUBLIC", dialect.table(name));
    vec![Statement::new(format!("{name} is for every role that may use its schema"), grant)]
}

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

/// What the types of a user's table hold, that both report. A numeric may have a fraction, NaN, or more than 64 bits.
/// <https://www.postgresql.org/docs/current/datatype.html>, <https://docs.aws.amazon.com/redshift/latest/dg/c_Supported_data_types.html>
fn source_type(reported: &str) -> Option<SourceType> {
    match reported {
        "uuid" => Some(SourceType::TextByCast),
        "numeric" => Some(SourceType::Decimal),
        "timestamp with time zone" => Some(SourceType::ZonedTimestamp),
        "date" => Some(SourceType::TimestampByCast),
        _ => type_family(reported).map(SourceType::from),
    }
}

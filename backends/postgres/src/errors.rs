//! What the server's codes mean for us. Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use websessions_core::error::{Retry, WarehouseError, WarehouseErrorKind as Kind};

pub(crate) fn warehouse_error(error: sqlx::Error) -> WarehouseError {
    let Some(database) = error.as_database_error() else { return transport_error(&error) };
    let code = database.code().map(|code| code.into_owned()).unwrap_or_default();
    let message = match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        Some(error) => {
            let more = [("detail", error.detail()), ("context", error.r#where())];
            let more: String =
                more.iter().filter_map(|(name, text)| text.map(|text| format!("\n{name}: {text}"))).collect();
            format!("{}{more}", error.message())
        }
        None => database.message().to_owned(),
    };
    let (kind, retry, hint) = match code.as_str() {
        "57014" if message.contains("statement timeout") => {
            (Kind::Resources, Retry::Never, Some("raise the target's statement_timeout"))
        }
        "57014" => (Kind::Cancelled, Retry::Never, None),
        "55P03" => (
            Kind::Locked,
            Retry::NotApplied,
            Some("another session holds a table: look at pg_locks, or raise lock_timeout"),
        ),
        "40001" | "40P01" => (Kind::Locked, Retry::NotApplied, None),
        // Two sessions made the same table at once.
        "23505" if message.contains("pg_type") || message.contains("pg_class") => {
            (Kind::Locked, Retry::NotApplied, None)
        }
        "42P07" | "42710" => (Kind::Other, Retry::NotApplied, None),
        "57P01" | "57P02" => (Kind::Connection, Retry::Unknown, None),
        "57P03" | "53300" => {
            (Kind::Connection, Retry::NotApplied, Some("the server is starting, stopping or full: try again later"))
        }
        "28000" | "28P01" => {
            (Kind::Permission, Retry::Never, Some("check the target's user and password, and the server's pg_hba.conf"))
        }
        "42501" => (Kind::Permission, Retry::Never, Some("grant the role what it lacks")),
        "3D000" => (Kind::Missing, Retry::Never, Some("check the target's database")),
        "42P01" | "3F000" | "42703" => (Kind::Missing, Retry::Never, None),
        "53100" => (Kind::Resources, Retry::Never, Some("the server's disk is full: make room, then run again")),
        _ if code.starts_with("08") => (Kind::Connection, Retry::Unknown, None),
        _ if code.starts_with("53") => (Kind::Resources, Retry::Never, None),
        _ if code.starts_with("22") || code.starts_with("23") => (Kind::Data, Retry::Never, None),
        _ => (Kind::Other, Retry::Never, None),
    };
    let mut error = WarehouseError::new(kind, message).with_retry(retry);
    error.code = (!code.is_empty()).then_some(code);
    error.hint = hint.map(str::to_owned);
    error
}

/// An error of SQL that was sent, with the line that the server complains about.
pub(crate) fn statement_error(error: sqlx::Error, sql: &str) -> WarehouseError {
    let database = error.as_database_error();
    let position = database.and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.position());
    let line = match position {
        // Counted in characters, from 1.
        Some(sqlx::postgres::PgErrorPosition::Original(position)) => {
            let before = sql.chars().take(position.saturating_sub(1));
            u32::try_from(1 + before.filter(|character| *character == '\n').count()).ok()
        }
        _ => None,
    };
    WarehouseError { line, ..warehouse_error(error) }
}

/// The connection broke, or was never there.
fn transport_error(error: &sqlx::Error) -> WarehouseError {
    let text = error.to_string();
    match error {
        // A certificate that is not trusted comes as a failed read.
        sqlx::Error::Tls(_) | sqlx::Error::Io(_) if matches!(error, sqlx::Error::Tls(_)) || text.contains("certificate") => {
            WarehouseError::new(Kind::Connection, format!("no trusted connection: {text}")).with_hint(
                "set the target's sslrootcert to the server's authority and host to the certificate's name, or sslmode to what your network needs",
            )
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            WarehouseError::new(Kind::Connection, format!("the connection broke: {text}")).with_retry(Retry::Unknown)
        }
        _ => WarehouseError::new(Kind::Other, text),
    }
}

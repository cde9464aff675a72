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
        // Two sessions made the same schema or table at once.
        "23505" if ["pg_type", "pg_class", "pg_namespace"].iter().any(|catalog| message.contains(catalog)) => {
            (Kind::Locked, Retry::NotApplied, None)
        }
        "42P06" | "42P07" | "42710" => (Kind::Other, Retry::NotApplied, None),
        "57P01" | "57P02" | "57P04" | "57P05" | "25P03" => (Kind::Connection, Retry::Unknown, None),
        // A standby has no unlogged tables either. <https://www.postgresql.org/docs/current/hot-standby.html>
        "25006" | "0A000" | "55000" if message.contains("read-only") || message.contains("during recovery") => (
            Kind::Permission,
            Retry::Never,
            Some("this server only reads, as a standby does: set the target's host to the primary server"),
        ),
        "42809" | "55000" => (
            Kind::Other,
            Retry::Never,
            Some("where the model needs a table there is something else, such as a view: make it a table"),
        ),
        // Redshift's conflicts come as internal errors. Its transaction has been rolled back.
        // <https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation-serializable-isolation-troubleshooting.html>
        "XX000" if is_conflict(&message) => (Kind::Locked, Retry::NotApplied, None),
        "57P03" | "53300" => {
            (Kind::Connection, Retry::NotApplied, Some("the server is starting, stopping or full: try again later"))
        }
        "28000" | "28P01" => {
            (Kind::Permission, Retry::Never, Some("check the target's user and password, and the server's pg_hba.conf"))
        }
        // <https://www.postgresql.org/docs/current/ddl-priv.html>
        "42501" if message.contains("must be owner") => (
            Kind::Permission,
            Retry::Never,
            Some("only its owner may do that: run the command as that role, or make this role a member of it"),
        ),
        "42501" => (Kind::Permission, Retry::Never, Some("grant the role what it lacks")),
        "3D000" => (Kind::Missing, Retry::Never, Some("check the target's database")),
        "42703" if message.contains("\"xmin\"") => (
            Kind::Other,
            Retry::Never,
            Some("the input is a view, whose rows can't be told apart or removed: make it a table, and fill that"),
        ),
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

/// Two transactions of Redshift's that met: 1023 is 'serializable isolation violation', 1018 'relation does not exist', of
/// one that another transaction has replaced.
fn is_conflict(message: &str) -> bool {
    [
        "1023",
        "1018",
        "serializable isolation violation",
        "conflict with concurrent transaction",
        "dropped by concurrent transaction",
    ]
    .iter()
    .any(|words| message.to_lowercase().contains(words))
}

/// An error of Redshift's, which says 'canceled on user's request' of every statement that it ends: on our request, by a
/// time-out of ours, or by a limit of a queue of its own.
/// <https://docs.aws.amazon.com/redshift/latest/dg/r_statement_timeout.html>
pub(crate) fn redshift_error(error: WarehouseError, we_cancelled: bool, has_limit: bool) -> WarehouseError {
    let ended = error.message.to_lowercase().contains("on user's request");
    if !ended && error.code.as_deref() != Some("57014") {
        return error;
    }
    if we_cancelled {
        return WarehouseError { kind: Kind::Cancelled, retry: Retry::Never, hint: None, ..error };
    }
    let hint = match has_limit {
        true => "the target's statement_timeout has passed: raise it",
        false => "a limit of the cluster has ended it: look at the workload management queue's time-outs and rules",
    };
    WarehouseError { kind: Kind::Resources, retry: Retry::Never, ..error }.with_hint(hint)
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
        // Redshift's own: a digest of the password by SHA-256, and a native identity provider.
        // <https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html>
        sqlx::Error::Protocol(words)
            if ["unknown authentication method: 13", "unknown authentication method: 14"].iter().any(|method| words.contains(method)) =>
        {
            WarehouseError::new(Kind::Permission, format!("can't sign in: {text}")).with_hint(
                "this user's password is kept as sha256, or comes from an identity provider: ALTER USER … PASSWORD 'md5…', or a password of GetClusterCredentials",
            )
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            WarehouseError::new(Kind::Connection, format!("the connection broke: {text}")).with_retry(Retry::Unknown)
        }
        _ => WarehouseError::new(Kind::Other, text),
    }
}

//! The engine's words, and what they mean for us. Source: <https://duckdb.org/docs/stable/dev/error_handling>.

use websessions_core::error::{Retry, WarehouseError, WarehouseErrorKind};

/// The engine's words, and what they mean. They begin with the error's type: `IO Error: …`.
pub(crate) fn warehouse_error(error: &duckdb::Error) -> WarehouseError {
    use WarehouseErrorKind as Kind;
    let message = match error {
        duckdb::Error::DuckDBFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    let begins = |start: &str| message.starts_with(start);
    if begins("IO Error") && message.contains("Could not set lock") {
        return WarehouseError::new(Kind::Locked, message)
            .with_hint("another process has the database file open: wait for it to end, or close it");
    }
    if begins("INTERRUPT") {
        return WarehouseError::new(Kind::Cancelled, message);
    }
    if message.contains("Conflict on") || message.contains("conflict on") || message.contains("write-write conflict") {
        return WarehouseError::new(Kind::Locked, message).with_retry(Retry::NotApplied);
    }
    if begins("Out of Memory Error") {
        return WarehouseError::new(Kind::Resources, message)
            .with_hint("raise the target's memory_limit, or set temp_directory to a disk with room");
    }
    // A commit that could not be written comes as a transaction's error.
    if begins("IO Error") || begins("FATAL Error") || message.contains("Could not write file") {
        let hint = "check that the disk has room, and that the path can be read and written";
        return WarehouseError::new(Kind::Resources, message).with_hint(hint);
    }
    let kind = if begins("Catalog Error") || begins("Binder Error") {
        Kind::Missing
    } else if begins("Conversion Error") || begins("Constraint Error") || begins("Invalid Input Error") {
        Kind::Data
    } else if begins("Permission Error") || message.contains("read-only") {
        Kind::Permission
    } else {
        Kind::Other
    };
    WarehouseError::new(kind, message).with_line_after("LINE ")
}

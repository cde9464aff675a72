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
    let kind = if begins("Permission Error") || message.contains("read-only") {
        Kind::Permission
    } else if begins("Catalog Error") || begins("Binder Error") {
        Kind::Missing
    } else if begins("Conversion Error") || begins("Constraint Error") || begins("Invalid Input Error") {
        Kind::Data
    } else {
        Kind::Other
    };
    WarehouseError::new(kind, message).with_line_after("LINE ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use duckdb::{AccessMode, Config, Connection};
    use websessions_core::error::Error;

    type Refusal = fn(&std::path::Path) -> duckdb::Result<()>;

    fn conflict(path: &std::path::Path) -> duckdb::Result<()> {
        let first = Connection::open(path)?;
        let second = first.try_clone()?;
        first.execute_batch("CREATE TABLE t (a INT); INSERT INTO t VALUES (1); BEGIN; UPDATE t SET a = 2")?;
        second.execute_batch("BEGIN; UPDATE t SET a = 3")
    }

    fn out_of_memory(path: &std::path::Path) -> duckdb::Result<()> {
        let connection = Connection::open(path)?;
        connection.execute_batch("SET temp_directory = ''; SET memory_limit = '20MB'")?;
        connection.execute_batch("CREATE TABLE t AS SELECT md5(range::VARCHAR) AS a FROM range(3000000) ORDER BY a")
    }

    fn only_read(path: &std::path::Path) -> duckdb::Result<()> {
        drop(Connection::open(path)?);
        let config = Config::default().access_mode(AccessMode::ReadOnly)?;
        Connection::open_with_flags(path, config)?.execute_batch("CREATE TABLE t (a INT)")
    }

    fn interrupted(path: &std::path::Path) -> duckdb::Result<()> {
        let connection = Connection::open(path)?;
        let handle = connection.interrupt_handle();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    handle.interrupt();
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
            });
            let long = "SELECT COUNT(*) FROM range(100000000) AS a CROSS JOIN range(100000) AS b WHERE hash(a.range, b.range) = 1";
            let result = connection.execute_batch(long);
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            result
        })
    }

    /// What the engine itself refuses, and what it means for us: kind, retry class, a word of the hint, exit code.
    const REFUSALS: &[(Refusal, WarehouseErrorKind, Retry, &str, u8)] = {
        use WarehouseErrorKind::{Cancelled, Data, Locked, Missing, Permission, Resources};
        &[
            (conflict, Locked, Retry::NotApplied, "", 3),
            (out_of_memory, Resources, Retry::Never, "memory_limit", 1),
            (only_read, Permission, Retry::Never, "", 1),
            (interrupted, Cancelled, Retry::Never, "", 130),
            (|path| Connection::open(path)?.execute_batch("SELECT * FROM nowhere"), Missing, Retry::Never, "", 1),
            (|path| Connection::open(path)?.execute_batch("SELECT CAST('x' AS INT)"), Data, Retry::Never, "", 1),
            (|_| Connection::open("/proc/nowhere/x.duckdb").map(drop), Resources, Retry::Never, "path", 1),
        ]
    };

    #[test]
    fn the_engine_s_refusals_are_understood() {
        for (number, (refusal, kind, retry, hint, code)) in REFUSALS.iter().enumerate() {
            let folder = tempfile::tempdir().expect("a folder");
            let error = refusal(&folder.path().join("x.duckdb")).expect_err("it is refused");
            let error = warehouse_error(&error);
            assert_eq!((error.kind, error.retry), (*kind, *retry), "{number}: {error:?}");
            assert!(error.hint.clone().unwrap_or_default().contains(hint), "{number}: {error:?}");
            assert_eq!(Error::Warehouse { context: String::new(), source: error }.exit_code(), *code, "{number}");
        }
    }
}

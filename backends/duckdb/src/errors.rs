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
    let unwritten = ["Could not write file", "Cannot open file"].iter().any(|words| message.contains(words));
    if begins("IO Error") || begins("FATAL Error") || unwritten {
        let hint = file_hint(&message);
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

/// What to do about a file that the engine can't use.
fn file_hint(message: &str) -> &'static str {
    let known = [
        (
            "created with a newer version of DuckDB",
            // <https://duckdb.org/docs/stable/internals/storage>
            "copy it with the newer DuckDB into a file that this one reads: duckdb -c \"ATTACH 'newer.duckdb' AS newer; \
             ATTACH 'copy.duckdb' AS copy (STORAGE_VERSION 'v1.5.0'); COPY FROM DATABASE newer TO copy\"",
        ),
        ("not a valid DuckDB database file", "choose another path: this file is something else"),
        ("Corrupt database file", "restore the file from a copy of yours, or choose another path"),
        ("Is a directory", "choose the path of a file: this is a folder"),
        (
            ".wal\": Permission denied",
            "the engine writes a log beside the file: let its folder be written to, or copy the file to one that can be",
        ),
        ("No such file or directory", "make the folder, or choose another path"),
    ];
    let found = known.iter().find(|(words, _)| message.contains(words));
    found.map_or("check that the disk has room, and that the path can be read and written", |(_, hint)| hint)
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

    /// The first blocks of an empty file of DuckDB 2.0.1; what is left out is zeros.
    const NEWER: &[(usize, &[u8])] = &[
        (0, b"\x74\xb2\xad\x04\x01\xb9\x92\xfcDUCK\xe7\x03"),
        (52, b"v2.0.1"),
        (84, b"8d78114e90"),
        (124, b"\x78\x18\xe8\x87\x60\xdc\xbc\x76\xa3\xf8\xf2\x7f\x72\x21\x00\x32"),
        (4096, b"\xd8\x37\x78\x78\x1c\x5b\x44\x4d"),
        (4112, &[0xff; 16]),
        (4138, b"\x04\0\0\0\0\0\0\x08\0\0\0\0\0\0\x45"),
        (8192, b"\xd8\x37\x78\x78\x1c\x5b\x44\x4d"),
        (8208, &[0xff; 16]),
        (8234, b"\x04\0\0\0\0\0\0\x08\0\0\0\0\0\0\x45"),
    ];

    fn of_a_newer_engine(path: &std::path::Path) -> duckdb::Result<()> {
        let mut file = vec![0; 3 * 4096];
        for (start, bytes) in NEWER {
            file[*start..start + bytes.len()].copy_from_slice(bytes);
        }
        std::fs::write(path, file).expect("a file");
        Connection::open(path).map(drop)
    }

    fn damaged(path: &std::path::Path) -> duckdb::Result<()> {
        drop(Connection::open(path)?);
        let mut file = std::fs::read(path).expect("the file");
        file[60] ^= 1;
        std::fs::write(path, file).expect("a file");
        Connection::open(path).map(drop)
    }

    fn no_database(path: &std::path::Path) -> duckdb::Result<()> {
        std::fs::write(path, "page_view_id\n".repeat(1000)).expect("a file");
        Connection::open(path).map(drop)
    }

    fn only_read(path: &std::path::Path) -> duckdb::Result<()> {
        drop(Connection::open(path)?);
        let config = Config::default().access_mode(AccessMode::ReadOnly)?;
        Connection::open_with_flags(path, config)?.execute_batch("CREATE TABLE t (a INT)")
    }

    fn no_room_for_a_log(path: &std::path::Path) -> duckdb::Result<()> {
        let connection = Connection::open(path)?;
        std::fs::create_dir(path.with_extension("duckdb.wal")).expect("a folder");
        connection.execute_batch("CREATE TABLE t (a INT)")
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
            (|_| Connection::open("/proc/nowhere/x.duckdb").map(drop), Resources, Retry::Never, "make the folder", 1),
            (|path| Connection::open(path.with_file_name("")).map(drop), Resources, Retry::Never, "a folder", 1),
            (of_a_newer_engine, Resources, Retry::Never, "STORAGE_VERSION", 1),
            (damaged, Resources, Retry::Never, "restore", 1),
            (no_room_for_a_log, Resources, Retry::Never, "", 1),
            (no_database, Resources, Retry::Never, "something else", 1),
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

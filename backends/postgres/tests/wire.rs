//! What servers say that no server at hand would: Redshift's sign-ins and conflicts, time-outs, a server that is silent.
//! A server of a few lines speaks the protocol.
//! Source: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::Statement;
use websessions_core::warehouse::Warehouse;
use websessions_postgres::{Postgres, Redshift};
use websessions_test_servers::{PATIENCE, wait_until};

/// What a server does with a query that is not about its own process.
type Reply = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn done(tag: &str) -> Vec<u8> {
    [message(b'C', &[tag.as_bytes(), b"\0"].concat()), ready()].concat()
}

/// One row of one whole number.
fn row(name: &str, value: i32) -> Vec<u8> {
    let int4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0];
    let description = [&[0, 1], name.as_bytes(), b"\0", &int4[..]].concat();
    let text = value.to_string();
    let length = u32::try_from(text.len()).expect("short").to_be_bytes();
    [message(b'T', &description), message(b'D', &[&[0, 1], &length[..], text.as_bytes()].concat()), done("SELECT 1")]
        .concat()
}

fn refusal(code: &str, words: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{code}\0M{words}\0\0");
    [message(b'E', fields.as_bytes()), ready()].concat()
}

fn read_exactly(stream: &mut TcpStream, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).ok().map(|()| bytes)
}

fn serve(mut stream: TcpStream, authentication: i32, parameters: &Mutex<Vec<String>>, reply: &Reply) -> Option<()> {
    let length = u32::from_be_bytes(read_exactly(&mut stream, 4)?.try_into().ok()?);
    let startup = read_exactly(&mut stream, usize::try_from(length).ok()? - 4)?;
    let words = startup[4..].split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    parameters.lock().expect("the parameters").extend(words);
    stream.write_all(&message(b'R', &authentication.to_be_bytes())).ok()?;
    if authentication != 0 {
        return None;
    }
    stream.write_all(&ready()).ok()?;
    loop {
        let tag = read_exactly(&mut stream, 1)?[0];
        let length = u32::from_be_bytes(read_exactly(&mut stream, 4)?.try_into().ok()?);
        let body = read_exactly(&mut stream, usize::try_from(length).ok()? - 4)?;
        if tag != b'Q' {
            return None;
        }
        let sql = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        let answer = match sql.as_str() {
            "SELECT pg_backend_pid() AS process" => row("process", 4711),
            "SELECT 1 AS alive" => row("alive", 1),
            "SELECT pg_size_bytes(current_setting('work_mem')) / 1024 AS work_mem" => row("work_mem", 4096),
            "COMMIT" | "ROLLBACK" => done(&sql),
            begin if begin.starts_with("BEGIN") => done("SET"),
            _ => reply(&sql),
        };
        stream.write_all(&answer).ok()?;
    }
}

/// A server; it notes the words of each start-up message.
struct Wire {
    port: u16,
    parameters: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    fn start(authentication: i32, reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (parameters, reply): (Arc<Mutex<Vec<String>>>, Reply) = (Arc::default(), Arc::new(reply));
        let noted = Arc::clone(&parameters);
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (noted, reply) = (Arc::clone(&noted), Arc::clone(&reply));
                std::thread::spawn(move || serve(stream, authentication, &noted, &reply));
            }
        });
        Self { port, parameters }
    }

    fn settings(&self, factory: &dyn BackendFactory, more: &[(&str, &str)]) -> Settings {
        let port = self.port.to_string();
        let given = [("host", "127.0.0.1"), ("port", &port), ("user", "u"), ("database", "d"), ("sslmode", "disable")];
        Settings::new(factory, given.iter().chain(more).copied()).expect("settings")
    }

    async fn connect(&self, factory: &dyn BackendFactory, more: &[(&str, &str)]) -> Result<Arc<dyn Warehouse>, Error> {
        factory.connect(&self.settings(factory, more)).await
    }
}

fn source(error: Error) -> WarehouseError {
    match error {
        Error::Warehouse { source, .. } => source,
        other => panic!("another error: {other}"),
    }
}

fn insert() -> Statement {
    Statement::new("rows", "INSERT INTO t SELECT 1")
}

async fn connected(wire: &Wire, factory: &dyn BackendFactory, more: &[(&str, &str)]) -> Arc<dyn Warehouse> {
    wire.connect(factory, more).await.unwrap_or_else(|error| panic!("{:?}", source(error)))
}

#[tokio::test]
async fn a_sign_in_that_only_redshift_has_is_said_to_be_one() {
    for authentication in [13, 14] {
        let wire = Wire::start(authentication, |_| Vec::new());
        let error = source(wire.connect(&Redshift, &[]).await.err().expect("refused"));
        assert_eq!((error.kind, error.retry), (WarehouseErrorKind::Permission, Retry::Never), "{error:?}");
        assert!(error.hint.is_some_and(|hint| hint.contains("md5") && hint.contains("GetClusterCredentials")));
    }
}

#[tokio::test]
async fn no_start_up_parameter_is_sent_that_a_pooler_refuses() {
    for factory in [&Postgres as &dyn BackendFactory, &Redshift] {
        let wire = Wire::start(0, |_| done("INSERT 0 1"));
        connected(&wire, factory, &[]).await;
        let sent = wire.parameters.lock().expect("the parameters").clone();
        assert!(!sent.iter().any(|word| word == "extra_float_digits" || word == "options"), "{sent:?}");
    }
}

/// A vendor's answer, and what it means for us: SQLSTATE and words, kind, retry class, a word of the hint, exit code.
type Row = ((&'static str, &'static str), WarehouseErrorKind, Retry, &'static str, u8);

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const OF_BOTH: &[Row] = {
    use Retry::{Never, NotApplied, Unknown};
    use WarehouseErrorKind::{Connection, Data, Locked, Missing, Other, Permission, Resources};
    &[
        (("42501", "permission denied for schema derived"), Permission, Never, "grant", 1),
        (("28P01", "password authentication failed for user \"u\""), Permission, Never, "password", 1),
        // A token of RDS, or of GetClusterCredentials, that has expired.
        (("28000", "PAM authentication failed for user \"u\""), Permission, Never, "password", 1),
        (("42P01", "relation \"derived.sessions\" does not exist"), Missing, Never, "", 1),
        (("3F000", "schema \"derived\" does not exist"), Missing, Never, "", 1),
        (("25006", "cannot execute INSERT in a read-only transaction"), Permission, Never, "primary", 1),
        (("0A000", "cannot access temporary or unlogged relations during recovery"), Permission, Never, "primary", 1),
        (("0A000", "cannot use that here"), Other, Never, "", 1),
        (("55000", "cannot delete from view \"page_views_staged\""), Other, Never, "view", 1),
        (("40001", "could not serialize access due to concurrent update"), Locked, NotApplied, "", 3),
        (("40P01", "deadlock detected"), Locked, NotApplied, "", 3),
        (("55P03", "canceling statement due to lock timeout"), Locked, NotApplied, "lock_timeout", 3),
        (
            ("23505", "duplicate key value violates unique constraint \"pg_namespace_nspname_index\""),
            Locked,
            NotApplied,
            "",
            3,
        ),
        (("22001", "value too long for type character varying(255)"), Data, Never, "", 1),
        (("53100", "could not extend file: No space left on device"), Resources, Never, "disk", 1),
        (("53300", "sorry, too many clients already"), Connection, NotApplied, "later", 1),
        (("53200", "out of memory"), Resources, Never, "", 1),
        (("57P01", "terminating connection due to administrator command"), Connection, Unknown, "", 1),
        (("57P03", "the database system is starting up"), Connection, NotApplied, "later", 1),
        (("25P03", "terminating connection due to idle-in-transaction timeout"), Connection, Unknown, "", 1),
    ]
};

/// What Redshift says otherwise: there every end of a statement from outside has the same words.
/// <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT>
const OF_POSTGRES: &[Row] = {
    use Retry::Never;
    use WarehouseErrorKind::{Cancelled, Resources};
    &[
        (("57014", "canceling statement due to statement timeout"), Resources, Never, "statement_timeout", 1),
        (("57014", "canceling statement due to user request"), Cancelled, Never, "", 130),
    ]
};

/// <https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation-serializable-isolation-troubleshooting.html>
const OF_REDSHIFT: &[Row] = {
    use Retry::{Never, NotApplied};
    use WarehouseErrorKind::{Locked, Resources};
    &[
        (
            (
                "XX000",
                "1023 DETAIL: Serializable isolation violation on table - 4711, transactions forming the cycle are: 1, 2 (pid:3)",
            ),
            Locked,
            NotApplied,
            "",
            3,
        ),
        (("XX000", "1018 DETAIL: Relation does not exist"), Locked, NotApplied, "", 3),
        (("XX000", "could not complete because of conflict with concurrent transaction"), Locked, NotApplied, "", 3),
        (("XX000", "table 4711 dropped by concurrent transaction"), Locked, NotApplied, "", 3),
        (("XX000", "disk full"), WarehouseErrorKind::Other, Never, "", 1),
        (("57014", "Query (150) canceled on user's request"), Resources, Never, "workload management", 1),
    ]
};

async fn refused(factory: &dyn BackendFactory, row: &Row, more: &[(&str, &str)]) -> WarehouseError {
    let ((code, words), ..) = *row;
    let wire = Wire::start(0, move |sql| match sql.ends_with(&insert().sql) {
        true => refusal(code, words),
        false => done("SET"),
    });
    let warehouse = connected(&wire, factory, more).await;
    warehouse.execute(&insert()).await.expect_err("refused")
}

async fn as_the_table_says(factory: &dyn BackendFactory, row: &Row) {
    let ((_, words), kind, retry, hint, code) = *row;
    let error = refused(factory, row, &[]).await;
    assert_eq!((error.kind, error.retry), (kind, retry), "{words}: {error:?}");
    assert!(error.hint.clone().unwrap_or_default().contains(hint), "{words}: {error:?}");
    assert_eq!(Error::Warehouse { context: String::new(), source: error }.exit_code(), code, "{words}");
}

#[tokio::test]
async fn refusals_are_understood() {
    for row in OF_BOTH {
        as_the_table_says(&Postgres, row).await;
        as_the_table_says(&Redshift, row).await;
    }
    for row in OF_POSTGRES {
        as_the_table_says(&Postgres, row).await;
    }
}

#[tokio::test]
async fn redshift_s_conflicts_are_tried_again_and_end_as_locked() {
    for row in OF_REDSHIFT {
        as_the_table_says(&Redshift, row).await;
    }
}

#[tokio::test]
async fn redshift_s_time_out_is_no_cancellation_by_the_user() {
    let row: Row =
        (("57014", "Query (150) canceled on user's request"), WarehouseErrorKind::Resources, Retry::Never, "", 1);
    let error = refused(&Redshift, &row, &[("statement_timeout", "1s")]).await;
    assert_eq!(error.kind, WarehouseErrorKind::Resources);
    assert!(error.hint.is_some_and(|hint| hint.contains("statement_timeout")));
    // If we have asked for it, it is one.
    let (runs, cancelled) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (run, cancel) = (Arc::clone(&runs), Arc::clone(&cancelled));
    let wire = Wire::start(0, move |sql| match sql.contains("INSERT") {
        true => {
            run.add_permits(1);
            wait_until("it is cancelled", || cancel.try_acquire().is_ok());
            refusal("57014", "Query (150) canceled on user's request")
        }
        false => {
            cancel.add_permits(usize::from(sql.contains("pg_cancel_backend")));
            row_of_cancel()
        }
    });
    let warehouse = connected(&wire, &Redshift, &[]).await;
    let statement = insert();
    let (result, ()) = tokio::join!(warehouse.execute(&statement), async {
        runs.acquire().await.expect("it runs").forget();
        warehouse.cancel().await.expect("cancelled");
    });
    assert_eq!(result.expect_err("it was stopped").kind, WarehouseErrorKind::Cancelled);
}

fn row_of_cancel() -> Vec<u8> {
    row("cancelled", 1)
}

#[tokio::test]
async fn a_password_that_passes_is_asked_for_again_at_each_new_connection() {
    let wire = Wire::start(0, |_| refusal("57P01", "terminating connection due to administrator command"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let settings = wire
        .settings(&Postgres, &[("password", "first")])
        .with_source("password", Arc::new(move || Ok(format!("token {}", count.fetch_add(1, Ordering::SeqCst)))));
    let warehouse = Postgres.connect(&settings).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the first connection has the value at hand");
    for _ in 0..2 {
        warehouse.execute(&insert()).await.expect_err("the connection breaks");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_given_up() {
    // It takes the statement, never answers, and is not seen to work.
    let wire = Wire::start(0, |sql| match sql.contains("INSERT") {
        true => {
            std::thread::sleep(2 * PATIENCE);
            Vec::new()
        }
        false => row("working", 0),
    });
    let limits = [("silence_limit", "2"), ("connect_timeout", "300")];
    let warehouse = connected(&wire, &Postgres, &limits).await;
    let given_up = tokio::time::timeout(PATIENCE, async { warehouse.execute(&insert()).await }).await;
    let error = given_up.expect("it ends").expect_err("given up");
    assert_eq!((error.kind, error.retry), (WarehouseErrorKind::Connection, Retry::Unknown), "{error:?}");
    assert!(error.message.contains("neither answered nor worked"), "{error:?}");
    // One that is seen to work is waited for: it is looked at three times within the limit.
    let looks = AtomicUsize::new(0);
    let wire = Wire::start(0, move |sql| match sql.contains("INSERT") {
        true => {
            wait_until("it was looked at for longer", || looks.load(Ordering::SeqCst) > 4);
            done("INSERT 0 1")
        }
        false => {
            looks.fetch_add(1, Ordering::SeqCst);
            row("working", 1)
        }
    });
    let warehouse = connected(&wire, &Postgres, &limits).await;
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(1));
}

//! Faults on a real server, injected for real: it is killed, it throws us out, its disk is full. After each a rerun must
//! give the tables of a run without the fault: no page view lost, no session doubled.

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use websessions_conformance::{Case, Harness, Target};
use websessions_conformance::{Cell, Contents};
use websessions_core::CancellationToken;
use websessions_core::async_trait;
use websessions_core::dialect::Dialect;
use websessions_core::error::{WarehouseError, WarehouseErrorKind};
use websessions_core::model::sessions::tables::*;
use websessions_core::plan::{Phase, Statement};
use websessions_core::rows::Rows;
use websessions_core::run::Options;
use websessions_core::warehouse::{Done, Warehouse};
use websessions_postgres::Postgres;
use websessions_test_servers::{Cluster, is_root};

/// How many faults the campaign has injected.
static INJECTED: AtomicUsize = AtomicUsize::new(0);

const PHASES: [Phase; 2] = [Phase::Main, Phase::Complete];

struct Server(Arc<Mutex<Cluster>>);

type Outcome<'a> = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

async fn connect(settings: &[(&str, String)]) -> Result<Arc<dyn Warehouse>, websessions_core::error::Error> {
    Target::new(Postgres, settings.iter().cloned()).open().await
}

#[async_trait]
impl Harness for Server {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        let url = self.0.lock().await.url();
        connect(&[("url", url)]).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The server is killed, and started again.
    Kill,
    /// The server ends our connections.
    Terminate,
}

/// A warehouse that injects a fault at one of its calls: before it, or so long after it was sent.
struct Injecting {
    inner: Arc<dyn Warehouse>,
    cluster: Arc<Mutex<Cluster>>,
    fault: Fault,
    at: usize,
    after: Option<Duration>,
    calls: AtomicUsize,
}

impl Injecting {
    async fn inject(&self) {
        let mut cluster = self.cluster.lock().await;
        match self.fault {
            Fault::Kill => {
                cluster.kill().expect("killed");
                cluster.resume().expect("started again");
            }
            Fault::Terminate => {
                let other = connect(&[("url", cluster.url())]).await.unwrap_or_else(|error| panic!("{error}"));
                let sql = "SELECT COUNT(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE application_name LIKE 'websessions %' AND pid <> pg_backend_pid()";
                other.query(sql).await.expect("terminated");
            }
        }
        INJECTED.fetch_add(1, Ordering::SeqCst);
    }

    async fn call<T>(
        &self,
        is_lock: bool,
        work: impl Future<Output = Result<T, WarehouseError>>,
    ) -> Result<T, WarehouseError> {
        if is_lock || self.calls.fetch_add(1, Ordering::SeqCst) != self.at {
            return work.await;
        }
        match self.after {
            None => {
                self.inject().await;
                work.await
            }
            Some(after) => {
                let inject = async {
                    tokio::time::sleep(after).await;
                    self.inject().await;
                };
                tokio::join!(work, inject).0
            }
        }
    }
}

fn is_lock(sql: &str) -> bool {
    sql.contains("sessions_lock") || sql.contains("column_name, data_type")
}

#[async_trait]
impl Warehouse for Injecting {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        self.call(is_lock(&statement.sql), self.inner.execute(statement)).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        self.call(false, self.inner.execute_block(statements)).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.call(is_lock(sql), self.inner.query(sql)).await
    }
}

const COLUMNS: [&str; 7] = [
    "page_view_id",
    "domain_sessionid",
    "domain_userid",
    "page_view_in_session_index",
    "start_tstamp",
    "end_tstamp",
    "engaged_time_in_s",
];

/// A session of three page views, whole.
fn session(number: usize) -> Vec<Vec<Cell>> {
    (1..=3)
        .map(|index| {
            let start = format!("2024-03-{:02} 12:{:02}:0{index}", number % 28 + 1, number % 60);
            [
                format!("s{number}-{index}"),
                format!("s{number}"),
                format!("u{}", number / 2),
                index.to_string(),
                start.clone(),
                start,
                "10".into(),
            ]
            .map(Some)
            .to_vec()
        })
        .collect()
}

async fn stage(case: &Case, numbers: std::ops::Range<usize>) -> Result<(), String> {
    let columns: Vec<String> = COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    case.stage(&columns, numbers.flat_map(session).collect()).await
}

/// What lasts, the log of commits aside.
async fn rows_that_stay(case: &Case) -> Result<Vec<Contents>, String> {
    let mut tables = Vec::new();
    for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, PAGE_VIEWS_STAGED] {
        tables.push(case.contents(table).await?);
    }
    Ok(tables)
}

/// A case with a run behind it and new page views, some of sessions that are known.
async fn prepared(server: &Server) -> Result<Case, String> {
    let case = Case::new(server, json!({"stage_next": true, "ends_run": true})).await?;
    stage(&case, 0..40).await?;
    case.run().await?;
    stage(&case, 20..60).await?;
    Ok(case)
}

async fn expected(server: &Server) -> Result<Vec<Contents>, String> {
    let case = prepared(server).await?;
    case.run().await?;
    let tables = rows_that_stay(&case).await?;
    case.drop().await?;
    Ok(tables)
}

fn options() -> Options {
    let mut options = Case::options();
    options.lease = Duration::from_secs(2);
    options.first_delay = Duration::from_millis(50);
    options
}

/// A rerun that waits for a dead run's lease.
async fn rerun(case: &Case) -> Result<(), String> {
    for _ in 0..40 {
        match case.phases_with(&PHASES, CancellationToken::new(), options()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.error.exit_code() == 3 => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => {
                return Err(format!("{error}: {:?}", std::error::Error::source(&error.error).map(ToString::to_string)));
            }
        }
    }
    Err("the lock was never free".to_owned())
}

/// One fault, one rerun, one comparison. Gives whether the run got as far as the fault.
async fn survive(
    server: &Server,
    fault: Fault,
    at: usize,
    after: Option<Duration>,
    expected: &[Contents],
) -> Result<bool, String> {
    let case = prepared(server).await?;
    let injecting = Arc::new(Injecting {
        inner: Arc::clone(&case.warehouse),
        cluster: Arc::clone(&server.0),
        fault,
        at,
        after,
        calls: AtomicUsize::new(0),
    });
    let through = case.through(Arc::clone(&injecting) as Arc<_>);
    let _ = through.phases_with(&PHASES, CancellationToken::new(), options()).await;
    rerun(&case).await.map_err(|error| format!("{fault:?} at call {at}, after {after:?}: rerun: {error}"))?;
    let found = rows_that_stay(&case).await?;
    for (found, expected) in found.iter().zip(expected) {
        found.expect(expected, &format!("{fault:?} at call {at}, after {after:?}"))?;
    }
    let reached = injecting.calls.load(Ordering::SeqCst) > at;
    case.drop().await?;
    Ok(reached)
}

async fn at_every_unit(server: &Server, fault: Fault) -> Result<(), String> {
    let expected = expected(server).await?;
    let mut faults = 0;
    while survive(server, fault, faults, None, &expected).await? {
        faults += 1;
    }
    if faults > 30 { Ok(()) } else { Err(format!("only {faults} calls to inject at")) }
}

/// The commit is the main block: its number among the calls, found by a run without a fault.
async fn commit_call(server: &Server) -> Result<usize, String> {
    let case = prepared(server).await?;
    let plan =
        websessions_core::model::sessions::module().plan(Phase::Main, &case.variables, &case.warehouse.dialect());
    case.drop().await?;
    plan.units()
        .position(|(step, unit)| step.name == "commit" && matches!(unit, websessions_core::plan::Unit::Block { .. }))
        .ok_or_else(|| "no commit".to_owned())
}

async fn in_the_middle_of_the_commit(server: &Server, fault: Fault) -> Result<(), String> {
    let expected = expected(server).await?;
    let call = commit_call(server).await?;
    for microseconds in [0, 200, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000, 20000] {
        survive(server, fault, call, Some(Duration::from_micros(microseconds)), &expected).await?;
    }
    Ok(())
}

async fn two_runs_race(server: &Server) -> Result<(), String> {
    let expected = expected(server).await?;
    for round in 0..10 {
        let one = prepared(server).await?;
        let other = one.through(server.connect().await);
        let (first, second) = tokio::join!(
            one.phases_with(&PHASES, CancellationToken::new(), options()),
            other.phases_with(&PHASES, CancellationToken::new(), options())
        );
        INJECTED.fetch_add(1, Ordering::SeqCst);
        if first.is_err() && second.is_err() {
            return Err(format!("round {round}: both lost"));
        }
        for (found, expected) in rows_that_stay(&one).await?.iter().zip(&expected) {
            found.expect(expected, &format!("race, round {round}"))?;
        }
        one.drop().await?;
    }
    Ok(())
}

async fn a_writer_stages_all_through(server: &Server) -> Result<(), String> {
    /// The writer goes on until there were so many runs.
    const RUNS: usize = 3;
    let case = Case::new(server, json!({"stage_next": true, "ends_run": true})).await?;
    stage(&case, 0..10).await?;
    let writer_case = case.through(server.connect().await);
    let runs = Arc::new(AtomicUsize::new(0));
    let runs_so_far = Arc::clone(&runs);
    let writer = tokio::spawn(async move {
        let mut written = 10;
        while written < 300 || runs_so_far.load(Ordering::SeqCst) < RUNS {
            stage(&writer_case, written..written + 1).await?;
            written += 1;
            INJECTED.fetch_add(1, Ordering::SeqCst);
        }
        Ok::<usize, String>(written)
    });
    while !writer.is_finished() {
        case.run().await?;
        runs.fetch_add(1, Ordering::SeqCst);
    }
    let written = writer.await.map_err(|error| error.to_string())??;
    let runs = runs.load(Ordering::SeqCst);
    case.run().await?;
    let undisturbed = Case::new(server, json!({"stage_next": true, "ends_run": true})).await?;
    stage(&undisturbed, 0..written).await?;
    undisturbed.run().await?;
    let (found, expected) = (case.contents(SESSIONS).await?, undisturbed.contents(SESSIONS).await?);
    found.expect(&expected, &format!("sessions after {runs} runs beside a writer"))?;
    if case.count(PAGE_VIEWS_STAGED).await? != 0 {
        return Err("page views are left".to_owned());
    }
    undisturbed.drop().await?;
    case.drop().await
}

async fn a_killed_holder_s_lock_expires(server: &Server) -> Result<(), String> {
    let expected = expected(server).await?;
    let case = prepared(server).await?;
    let dying = case.through(server.connect().await);
    // The run's task is dropped in the middle, as when its process is killed: nobody gives the lock up.
    let run = dying.phases_with(&PHASES, CancellationToken::new(), options());
    let _ = tokio::time::timeout(Duration::from_millis(60), run).await;
    INJECTED.fetch_add(1, Ordering::SeqCst);
    rerun(&case).await?;
    for (found, expected) in rows_that_stay(&case).await?.iter().zip(&expected) {
        found.expect(expected, "after a killed holder")?;
    }
    case.drop().await
}

/// Runs main through another connection and says how it failed.
async fn failure(case: &Case, warehouse: Arc<dyn Warehouse>) -> Result<WarehouseError, String> {
    let error = case.through(warehouse).phases(&PHASES).await.err().ok_or("it did not fail")?;
    INJECTED.fetch_add(1, Ordering::SeqCst);
    match error.error {
        websessions_core::error::Error::Unit { source, .. }
        | websessions_core::error::Error::Warehouse { source, .. } => Ok(source),
        other => Err(format!("another kind of error: {other}")),
    }
}

fn is(error: &WarehouseError, kind: WarehouseErrorKind) -> Result<(), String> {
    if error.kind != kind {
        return Err(format!("{:?}, not {kind:?}: {error}", error.kind));
    }
    if error.code.is_none() || error.hint.is_none() {
        return Err(format!("no code or no hint: {error:?}"));
    }
    Ok(())
}

async fn a_statement_takes_too_long(server: &Server) -> Result<(), String> {
    let expected = expected(server).await?;
    let case = prepared(server).await?;
    let url = server.0.lock().await.url();
    let hurried =
        connect(&[("url", url), ("statement_timeout", "2s".to_owned())]).await.map_err(|error| error.to_string())?;
    // What is written to production takes for ever.
    let (sessions, slow) =
        (case.warehouse.dialect().table(&case.name(SESSIONS)?), case.variables.scratch_schema.as_str());
    case.sql(format!("CREATE FUNCTION {slow}.slow() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $f$; CREATE TRIGGER slow BEFORE INSERT ON {sessions} FOR EACH ROW EXECUTE FUNCTION {slow}.slow()")).await?;
    is(&failure(&case, hurried).await?, WarehouseErrorKind::Resources)?;
    case.sql(format!("DROP TRIGGER slow ON {sessions}")).await?;
    rerun(&case).await?;
    for (found, expected) in rows_that_stay(&case).await?.iter().zip(&expected) {
        found.expect(expected, "after a timeout")?;
    }
    case.drop().await
}

async fn a_role_lacks_privileges(server: &Server) -> Result<(), String> {
    let expected = expected(server).await?;
    let case = prepared(server).await?;
    let role = format!("guest_{}", case.variables.scratch_schema.as_str());
    case.sql(format!("CREATE ROLE {role} LOGIN")).await?;
    for schema in [&case.variables.scratch_schema, &case.variables.output_schema] {
        case.sql(format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await?;
        case.sql(format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")).await?;
    }
    let before = rows_that_stay(&case).await?;
    let url = server.0.lock().await.url_of(&role);
    let guest = connect(&[("url", url)]).await.map_err(|error| error.to_string())?;
    is(&failure(&case, guest).await?, WarehouseErrorKind::Permission)?;
    if rows_that_stay(&case).await? != before {
        return Err("a refused run changed something".to_owned());
    }
    rerun(&case).await?;
    for (found, expected) in rows_that_stay(&case).await?.iter().zip(&expected) {
        found.expect(expected, "after a refused run")?;
    }
    case.drop().await
}

/// A tablespace of a few mebibytes, filled up, is the database's default while main runs.
async fn the_disk_is_full(server: &Server) -> Result<(), String> {
    if !is_root() {
        return Err("SKIPPED: a small file system can only be mounted by root".to_owned());
    }
    let folder = server.0.lock().await.folder().join("small");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let path = folder.display().to_string();
    let shell = |command: &str| {
        let status = std::process::Command::new("sh").args(["-c", command]).status();
        if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(format!("failed: {command}")) }
    };
    shell(&format!("mount -t tmpfs -o size=1m tmpfs '{path}' && chown postgres '{path}'"))?;
    let result = on_a_full_disk(server, &path).await;
    let _ = shell(&format!("umount -l '{path}'"));
    result
}

async fn on_a_full_disk(server: &Server, path: &str) -> Result<(), String> {
    let expected = expected(server).await?;
    let case = prepared(server).await?;
    // So many that their sessions don't fit.
    stage(&case, 1000..9000).await?;
    let space = format!("small_{}", case.variables.scratch_schema.as_str());
    case.sql(format!("CREATE TABLESPACE {space} LOCATION '{path}'")).await?;
    let url = format!("{}?options=-c%20default_tablespace%3D{space}", server.0.lock().await.url());
    let cramped = connect(&[("url", url)]).await.map_err(|error| error.to_string())?;
    is(&failure(&case, cramped).await?, WarehouseErrorKind::Resources)?;
    let table = case.warehouse.dialect().table(&case.name(PAGE_VIEWS_STAGED)?);
    case.sql(format!(
        "DELETE FROM {table} WHERE domain_sessionid NOT IN (SELECT 's' || number FROM generate_series(0, 59) AS number)"
    ))
    .await?;
    rerun(&case).await?;
    for (found, expected) in rows_that_stay(&case).await?.iter().zip(&expected) {
        found.expect(expected, "after a full disk")?;
    }
    case.drop().await?;
    server
        .connect()
        .await
        .execute(&Statement::new("cleans up", format!("DROP TABLESPACE {space}")))
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn main() {
    let mut arguments = Arguments::from_args();
    // The server is one, and the faults are its.
    arguments.test_threads = Some(1);
    let cluster = Arc::new(Mutex::new(Cluster::start("").expect("a server")));
    let trial = |name: &str, prove: fn(&Server) -> Outcome<'_>| {
        let server = Server(Arc::clone(&cluster));
        Trial::test(format!("postgres::faults::{name}"), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(prove(&server)).map_err(Failed::from)
        })
    };
    let trials = vec![
        trial("the_server_is_killed_at_every_unit", |server| Box::pin(at_every_unit(server, Fault::Kill))),
        trial("the_server_is_killed_in_the_middle_of_the_commit", |server| {
            Box::pin(in_the_middle_of_the_commit(server, Fault::Kill))
        }),
        trial("our_connections_are_ended_at_every_unit", |server| Box::pin(at_every_unit(server, Fault::Terminate))),
        trial("our_connections_are_ended_in_the_middle_of_the_commit", |server| {
            Box::pin(in_the_middle_of_the_commit(server, Fault::Terminate))
        }),
        trial("two_runs_race", |server| Box::pin(two_runs_race(server))),
        trial("a_writer_stages_all_through", |server| Box::pin(a_writer_stages_all_through(server))),
        trial("a_killed_holder_s_lock_expires", |server| Box::pin(a_killed_holder_s_lock_expires(server))),
        trial("a_statement_takes_too_long", |server| Box::pin(a_statement_takes_too_long(server))),
        trial("a_role_lacks_privileges", |server| Box::pin(a_role_lacks_privileges(server))),
        trial("the_disk_is_full", |server| Box::pin(the_disk_is_full(server))),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Dropping the server stops it.
    drop(cluster);
    #[expect(clippy::print_stdout, reason = "the campaign says how much it did")]
    {
        println!("{} faults injected", INJECTED.load(Ordering::SeqCst));
    }
    conclusion.exit();
}

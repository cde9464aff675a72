//! What another run, a dead run's statement or a writer does between a run's statements: on the real binary and a private
//! Postgres server. Nothing may be lost or doubled, and a run that lost its lock must say so.

#[path = "support/mod.rs"]
mod support;

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Folder, Said, refused};
use websessions_conformance::Target;
use websessions_core::plan::Statement;
use websessions_core::warehouse::Warehouse;
use websessions_postgres::Postgres;
use websessions_test_servers::{Cluster, Meddling, Tap, end, signal, wait_until};

const COLUMNS: &str =
    "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp,engaged_time_in_s";

/// Schemas of a test's own, and a folder whose configuration names them.
struct Place {
    folder: Folder,
    url: String,
    port: u16,
    name: &'static str,
    warehouse: Arc<dyn Warehouse>,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn new(cluster: &Cluster, name: &'static str) -> Self {
        let folder = Folder::new();
        let url = cluster.url();
        folder.write(
            "websessions.toml",
            &format!(
                "default_target = \"server\"\n[variables]\nends_run = true\nlock_lease = \"3s\"\nscratch_schema = \"scratch_{name}\"\noutput_schema = \"derived_{name}\"\n[target.server]\ntype = \"postgres\"\nurl = {url:?}\n"
            ),
        );
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let warehouse = runtime
            .block_on(Target::new(Postgres, [("url", url.clone())]).open())
            .unwrap_or_else(|error| panic!("{error}"));
        Self { folder, url, port: cluster.port(), name, warehouse, runtime }
    }

    /// Runs SQL in which S stands for the scratch schema and D for the output's.
    fn sql(&self, sql: &str) {
        let sql = self.in_place(sql);
        self.runtime
            .block_on(self.warehouse.execute(&Statement::new("a test's", sql)))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The number that a query gives.
    fn count(&self, sql: &str) -> i64 {
        let sql = self.in_place(&format!("SELECT COUNT(*) AS number FROM {sql}"));
        self.runtime
            .block_on(self.warehouse.query(&sql))
            .unwrap_or_else(|error| panic!("{error}"))
            .get(0, "number")
            .as_integer()
    }

    fn in_place(&self, sql: &str) -> String {
        sql.replace("S.", &format!("scratch_{}.", self.name)).replace("D.", &format!("derived_{}.", self.name))
    }

    /// A file of page views, each of a session, at a place in it.
    fn file(&self, name: &str, page_views: &[(&str, usize)]) -> String {
        let rows = page_views.iter().map(|(session, index)| {
            let time = format!("2024-01-01 10:{index:02}:00");
            format!("{session}-{index},{session},user,{index},{time},{time},1\n")
        });
        self.folder.write(name, &format!("{COLUMNS}\n{}", rows.collect::<String>())).to_string_lossy().into_owned()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.folder.run(arguments)
    }

    /// A command that goes on beside the test, through another port.
    fn start(&self, arguments: &[&str], port: u16) -> Child {
        self.folder
            .command(&[&["--config", "websessions.toml"], arguments].concat())
            .env("WEBSESSIONS_TARGET_URL", self.url.replace(&self.port.to_string(), &port.to_string()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts")
    }

    /// Every session of these has as many page views as said, in one row, and nothing is left in the input.
    fn expect_sessions(&self, expected: &[(&str, i64)]) {
        for (session, page_views) in expected {
            let rows = self.count(&format!("D.sessions WHERE domain_sessionid = '{session}'"));
            let right =
                self.count(&format!("D.sessions WHERE domain_sessionid = '{session}' AND page_views = {page_views}"));
            assert_eq!((rows, right), (1, 1), "{session} with {page_views} page views");
        }
        self.expect_all_consumed();
    }

    fn expect_all_consumed(&self) {
        assert_eq!(self.count("S.page_views_staged"), 0, "page views are left");
        let doubled =
            "(SELECT domain_sessionid FROM D.sessions GROUP BY domain_sessionid HAVING COUNT(*) > 1) AS doubled";
        assert_eq!(self.count(doubled), 0, "sessions are doubled");
    }

    /// Lets no statement through that makes sessions' aggregates anew, until they are released: by a transaction of nobody's.
    /// <https://www.postgresql.org/docs/current/sql-prepare-transaction.html>
    fn hold_aggregates(&self) {
        self.sql("CREATE TABLE S.sessions_aggregates (held int)");
        let script = format!(
            "BEGIN; LOCK TABLE S.sessions_aggregates IN ACCESS SHARE MODE; PREPARE TRANSACTION 'held for {}'",
            self.name
        );
        let script = Statement::new("a test's", self.in_place(&script));
        self.runtime.block_on(self.warehouse.execute_script(&script)).unwrap_or_else(|error| panic!("{error}"));
    }

    fn release_aggregates(&self) {
        self.sql(&format!("ROLLBACK PREPARED 'held for {}'", self.name));
    }

    /// The server's processes that make sessions' aggregates for a run of this place.
    fn computing(&self) -> i64 {
        self.count(&format!(
            "pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%DROP%CREATE%scratch_{}%sessions_aggregates%'",
            self.name
        ))
    }

    /// Page views of many sessions.
    fn stage_many(&self) {
        self.sql(&format!(
            "INSERT INTO S.page_views_staged ({COLUMNS}) SELECT md5(i::text), 's' || i / 3, 'u' || i / 9, i % 3 + 1, TIMESTAMP '2024-01-01' + i * INTERVAL '1 s', TIMESTAMP '2024-01-01' + i * INTERVAL '1 s', 1 FROM generate_series(0, {}) AS i",
            MANY - 1
        ));
    }
}

const MANY: i64 = 24_000;

fn said(child: Child) -> Said {
    end(child).into()
}

type Scenario = fn(&Cluster);

#[test]
fn no_run_harms_another() {
    let cluster = Cluster::start("").expect("a server");
    let scenarios: [(&str, Scenario); 8] = [
        ("a lost answer of the load", a_lost_answer_of_the_load_is_not_told_as_nothing),
        ("a lost answer of the commit", a_lost_answer_of_the_commit_is_not_told_as_no),
        ("a killed client's statement", a_killed_client_s_statement_does_no_harm),
        ("a live run is unlocked", a_live_run_that_is_unlocked_does_no_harm),
        ("a stopped run", a_run_that_was_stopped_past_its_lease_changes_nothing),
        ("a writer", a_writer_beside_runs_loses_nothing),
        ("another role", a_failed_run_of_one_role_does_not_lock_out_the_other),
        ("first runs", first_runs_at_once_make_the_schemas_once),
    ];
    for (name, scenario) in scenarios {
        let started = Instant::now();
        scenario(&cluster);
        #[expect(clippy::print_stdout, reason = "how long each takes")]
        {
            println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
        }
    }
}

fn a_lost_answer_of_the_commit_is_not_told_as_no(cluster: &Cluster) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (place, said) = lost_commit(cluster, "lost_text", "text");
            let words = [
                "it is not known whether production was changed",
                "export datamodel_metadata",
                "the same command again",
            ];
            refused(&said, 1, &words);
            assert!(!said.stderr.contains("was not changed"), "{}", said.stderr);
            // What the error says to do is right.
            place.run(&["unlock", "--yes"]).done("unlock").expect("cleared");
            place.run(&["export", "datamodel_metadata", "--to", "-"]).done("export").expect("exported");
            place.run(&["run"]).done("run").expect("a run");
            place.expect_sessions(&[("a", 1)]);
        });
        scope.spawn(|| {
            let (_, said) = lost_commit(cluster, "lost_json", "json");
            let failure: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
            assert_eq!((said.code, &failure["commit_is_unknown"]), (1, &true.into()), "{failure}");
        });
    });
}

fn a_lost_answer_of_the_load_is_not_told_as_nothing(cluster: &Cluster) {
    let place = Place::new(cluster, "lost_load");
    let file = place.file("one.csv", &[("a", 1)]);
    let loaded = |format: &str| {
        let tap = Tap::start(cluster.port(), Meddling::LoseAnswers, |sql| sql == "COMMIT").expect("a tap");
        said(place.start(&["--output", format, "load", "--staged", &file], tap.port()))
    };
    let text = loaded("text");
    let words = [
        "all page views of the files, or none",
        "'websessions export page_views_staged --to - --config",
        "staged twice",
    ];
    refused(&text, 1, &words);
    // They are there, as the error says that they may be: they are loaded no second time.
    assert_eq!(place.count("S.page_views_staged"), 1, "the server has committed");
    place.run(&["run"]).done("run").expect("a run");
    place.expect_sessions(&[("a", 1)]);
    let json = loaded("json");
    let failure: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!((json.code, &failure["load_is_unknown"]), (1, &true.into()), "{failure}");
}

/// A run whose commit arrives, and that hears no more.
fn lost_commit(cluster: &Cluster, name: &'static str, format: &str) -> (Place, Said) {
    let place = Place::new(cluster, name);
    place.run(&["load", "--staged", &place.file("one.csv", &[("a", 1)])]).done("load").expect("loaded");
    // Main has blocks before the one that changes production.
    let is_late = AtomicBool::new(false);
    let chosen = move |sql: &str| {
        is_late.fetch_or(sql.starts_with("INSERT") && sql.contains("datamodel_metadata"), Ordering::SeqCst);
        sql == "COMMIT" && is_late.load(Ordering::SeqCst)
    };
    let tap = Tap::start(cluster.port(), Meddling::LoseAnswers, chosen).expect("a tap");
    let said = said(place.start(&["--output", format, "main"], tap.port()));
    assert!(tap.is_met(), "no commit was sent: {}", said.stderr);
    assert_eq!(place.count("D.datamodel_metadata WHERE module = 'sessions'"), 1, "the server has committed");
    (place, said)
}

/// A run that is about to compute for as long as it is held, and page views of a session that come when it has its list of input.
fn computing_run(place: &Place) -> Child {
    place.run(&["run", "--page-views", &place.file("first.csv", &[("first", 1)])]).done("run").expect("a run");
    place.stage_many();
    place.hold_aggregates();
    let mut run = place.start(&["run"], place.port);
    wait_until("the sessions are computed", || {
        assert!(run.try_wait().expect("its state").is_none(), "the run has ended");
        place.computing() > 0
    });
    run
}

fn take_over(place: &Place, run: Option<&mut Child>) -> Said {
    let late = place.file("late.csv", &[("late", 1), ("late", 2)]);
    if let Some(run) = run {
        run.kill().expect("killed");
        run.wait().expect("gone");
    }
    let was_computing = place.computing();
    place.run(&["unlock", "--yes"]).done("unlock").expect("cleared");
    assert_eq!((was_computing, place.computing()), (1, 0), "the statement lived, and ended with the unlocking");
    place.release_aggregates();
    place.run(&["run", "--page-views", &late])
}

fn expect_many_and_late(place: &Place) {
    place.expect_sessions(&[("first", 1), ("late", 2)]);
    assert_eq!(place.count("D.sessions"), MANY / 3 + 2);
    assert_eq!(place.count("D.sessions WHERE page_views = 3"), MANY / 3);
}

fn a_killed_client_s_statement_does_no_harm(cluster: &Cluster) {
    let place = Place::new(cluster, "killed");
    let mut run = computing_run(&place);
    take_over(&place, Some(&mut run)).done("run").expect("a run after it");
    expect_many_and_late(&place);
}

fn a_live_run_that_is_unlocked_does_no_harm(cluster: &Cluster) {
    let place = Place::new(cluster, "unlocked");
    let run = computing_run(&place);
    let second = take_over(&place, None);
    refused(&said(run), 3, &["lost its lock"]);
    second.done("run").expect("the second run");
    expect_many_and_late(&place);
}

fn a_run_that_was_stopped_past_its_lease_changes_nothing(cluster: &Cluster) {
    std::thread::scope(|scope| {
        // Before each block of main and complete.
        for (block, name) in ["stopped_first", "stopped_second", "stopped_third"].into_iter().enumerate() {
            let begun = AtomicUsize::new(0);
            let chosen = move |sql: &str| sql.starts_with("BEGIN") && begun.fetch_add(1, Ordering::SeqCst) == block;
            scope.spawn(move || stopped_before(cluster, name, chosen));
        }
        // Before what is no block, which does arrive late.
        let chosen = |sql: &str| sql.contains("CREATE") && sql.contains("sessions_this_run");
        scope.spawn(move || stopped_before(cluster, "stopped_making", chosen));
        let chosen = |sql: &str| sql.starts_with("DROP") && !sql.contains("CREATE") && sql.contains("sessions_input");
        scope.spawn(move || stopped_before(cluster, "stopped_dropping", chosen));
    });
}

/// Whether a message changes something, the lock and the settings that it begins with aside.
fn changes(sql: &str) -> bool {
    let statement = sql.split("; ").find(|statement| !statement.starts_with("SET LOCAL")).unwrap_or_default();
    let first = statement.split_whitespace().next().unwrap_or_default();
    ["CREATE", "DROP", "INSERT", "DELETE", "UPDATE", "ALTER"].contains(&first) && !sql.contains("sessions_lock")
}

fn stopped_before(cluster: &Cluster, name: &'static str, chosen: impl Fn(&str) -> bool + Send + Sync + 'static) {
    let place = Place::new(cluster, name);
    place.run(&["run", "--page-views", &place.file("b1.csv", &[("b", 1)])]).done("run").expect("a run");
    place.run(&["load", "--staged", &place.file("a1.csv", &[("a", 1)])]).done("load").expect("loaded");
    // Behind the tap that holds a statement, one that only notes what comes through, and lets all of it go.
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let notes = Arc::clone(&sent);
    let note = move |sql: &str| {
        notes.lock().expect("notes").push(sql.to_owned());
        false
    };
    let noting = Tap::start(cluster.port(), Meddling::Hold, note).expect("a tap");
    let tap = Tap::start(noting.port(), Meddling::Hold, chosen).expect("a tap");
    let first = place.start(&["run"], tap.port());
    assert!(tap.meets(), "{name}: nothing was held");
    signal("-STOP", first.id());
    // B comes whole again, with a page view more.
    place.run(&["load", "--staged", &place.file("b2.csv", &[("b", 1), ("b", 2)])]).done("load").expect("loaded");
    place.run(&["run", "--wait", "300"]).done("run").expect("the second run");
    place.expect_sessions(&[("a", 1), ("b", 2)]);
    let before = sent.lock().expect("notes").len();
    signal("-CONT", first.id());
    tap.release();
    refused(&said(first), 3, &["lost its lock"]);
    place.expect_sessions(&[("a", 1), ("b", 2)]);
    let late: Vec<String> = sent.lock().expect("notes")[before..].iter().filter(|sql| changes(sql)).cloned().collect();
    // The one that was on its way, if the lock was not taken from its session by then.
    assert!(late.len() <= 1, "{name}: {late:?}");
}

fn a_writer_beside_runs_loses_nothing(cluster: &Cluster) {
    const RUNS: usize = 20;
    const PAGE_VIEWS: i64 = 100_000;
    let place = Place::new(cluster, "writer");
    place.run(&["run", "--page-views", &place.file("first.csv", &[("first", 1)])]).done("run").expect("a run");
    let (done, written) = (AtomicBool::new(false), AtomicI64::new(0));
    let mut runs = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // A hundred whole sessions of three page views each in one statement, as one of many writers would.
                let from = written.load(Ordering::SeqCst);
                place.sql(&format!(
                    "INSERT INTO S.page_views_staged ({COLUMNS}) SELECT 'w' || s || '-' || i, 'w' || s, 'u', i, TIMESTAMP '2024-01-01' + s * INTERVAL '1 s', TIMESTAMP '2024-01-01' + s * INTERVAL '1 s', 1 FROM generate_series({from}, {}) AS s, generate_series(1, 3) AS i",
                    from + 99
                ));
                written.fetch_add(100, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        while runs < RUNS || written.load(Ordering::SeqCst) * 3 < PAGE_VIEWS {
            let said = place.run(&["run"]);
            if said.code != 0 {
                done.store(true, Ordering::SeqCst);
            }
            said.done("run").expect("a run beside the writer");
            runs += 1;
        }
        done.store(true, Ordering::SeqCst);
    });
    let written = written.into_inner();
    place.run(&["run"]).done("run").expect("a last run");
    place.expect_all_consumed();
    assert_eq!(place.count("D.sessions"), written + 1, "every session is there");
    assert_eq!(place.count("D.sessions WHERE page_views = 3"), written, "with all its page views");
    #[expect(clippy::print_stdout, reason = "the campaign says how much it did")]
    {
        println!("{} page views arrived beside {runs} runs, none is lost", written * 3);
    }
}

fn a_failed_run_of_one_role_does_not_lock_out_the_other(cluster: &Cluster) {
    let place = Place::new(cluster, "roles");
    for role in ["alice", "bob"] {
        place.sql(&format!("CREATE ROLE {role} LOGIN"));
        place.sql(&format!("GRANT CREATE ON DATABASE postgres TO {role}"));
    }
    let run_as = |role: &str, arguments: &[&str]| -> Said {
        let arguments: Vec<&str> = ["--config", "websessions.toml"].iter().chain(arguments).copied().collect();
        let url = cluster.url_of(role);
        place.folder.command(&arguments).env("WEBSESSIONS_TARGET_URL", url).output().expect("the binary starts").into()
    };
    // Main leaves tables that only she can make anew.
    run_as("alice", &["load", "--staged", &place.file("a.csv", &[("a", 1)])]).done("load").expect("alice's page views");
    run_as("alice", &["main"]).done("main").expect("alice's main");
    place.sql("GRANT USAGE, CREATE ON SCHEMA scratch_roles, derived_roles TO bob");
    place.sql("GRANT ALL ON ALL TABLES IN SCHEMA scratch_roles, derived_roles TO bob");
    let said = run_as("bob", &["run", "--page-views", &place.file("b.csv", &[("b", 1)])]);
    refused(&said, 1, &["must be owner"]);
    // What his run noted is in a table of his.
    assert_eq!(
        place.count(
            "pg_tables WHERE schemaname = 'scratch_roles' AND tablename = 'sessions_lock' AND tableowner = 'bob'"
        ),
        1
    );
    run_as("alice", &["run"]).done("run").expect("alice's run after bob's");
    place.expect_sessions(&[("a", 1), ("b", 1)]);
    run_as("alice", &["unlock", "--yes"]).done("unlock").expect("nothing is in her way");
}

fn first_runs_at_once_make_the_schemas_once(cluster: &Cluster) {
    for (command, name) in [("load", "loads"), ("load", "loads_again"), ("run", "runs"), ("run", "runs_again")] {
        let place = Place::new(cluster, name);
        let names: Vec<String> = (0..8).map(|number| format!("s{number}")).collect();
        let files: Vec<String> =
            names.iter().map(|session| place.file(&format!("{session}.csv"), &[(session, 1)])).collect();
        let started: Vec<Child> = files
            .iter()
            .map(|file| match command {
                "load" => place.start(&["load", "--staged", file], place.port),
                _ => place.start(&["run", "--page-views", file], place.port),
            })
            .collect();
        let mut staged = 0;
        for child in started {
            let said = said(child);
            let is_documented = said.code == 0 || (command == "run" && said.code == 3);
            assert!(is_documented, "{command}: exit code {}: {}", said.code, said.stderr);
            // It may be why it was tried again, not why it failed.
            assert!(!said.stderr.contains("caused by: duplicate key"), "{}", said.stderr);
            staged += i64::from(said.code == 0 || said.stderr.contains("the page views are staged"));
        }
        place.run(&["run"]).done("run").expect("a last run");
        place.expect_all_consumed();
        assert_eq!(place.count("D.sessions"), staged, "{command}: what was staged is there");
        assert!(staged >= if command == "load" { 8 } else { 1 }, "{command}: {staged} files");
    }
}

//! The commands that look at the tables and change nothing, through the real binary, on the embedded engine and on a server.

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use std::sync::Arc;
use support::{Folder, Said};
use websessions::bundled;
use websessions_core::backend::Settings;
use websessions_core::model::page_views;
use websessions_core::plan::Statement;
use websessions_core::variables::Variables;
use websessions_core::warehouse::Warehouse;
use websessions_test_servers::{Cluster, end, open_for, signal};

/// A folder whose configuration's target is a warehouse of a test's own.
struct Place {
    folder: Folder,
    backend: &'static str,
    setting: (&'static str, String),
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn new(backend: &'static str, setting: (&'static str, String)) -> Self {
        let folder = Folder::new();
        let (name, value) = &setting;
        folder.write(
            "websessions.toml",
            &format!(
                "default_target = \"it\"\n[variables]\nends_run = true\nstage_next = true\n[target.it]\ntype = {backend:?}\n{name} = {value:?}\n"
            ),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { folder, backend, setting, runtime }
    }

    fn embedded() -> Self {
        let place = Self::new("duckdb", ("database", "websessions.duckdb".to_owned()));
        drop(place.connect());
        place
    }

    fn on(cluster: &Cluster) -> Self {
        Self::new("postgres", ("url", cluster.url()))
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.folder.run(arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[&["--output", "json"], arguments].concat()).done(arguments[0]).expect("done");
        serde_json::from_str(&said.stdout).expect("one JSON document")
    }

    fn connect(&self) -> Arc<dyn Warehouse> {
        let factory = bundled().into_iter().find(|factory| factory.name() == self.backend).expect("a bundled backend");
        let (name, value) = &self.setting;
        let value =
            if *name == "database" { self.folder.path().join(value).display().to_string() } else { value.clone() };
        let settings = Settings::new(&*factory, [(*name, value)]).expect("settings");
        self.runtime.block_on(factory.connect(&settings)).expect("a connection")
    }

    fn send(&self, statements: &[&str]) {
        let warehouse = self.connect();
        for sql in statements {
            let done = self.runtime.block_on(warehouse.execute(&Statement::new("of a test", *sql)));
            done.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    /// Six sessions of three page views are in all tables, and a seventh waits.
    fn fill(&self) {
        self.folder.write("page_views.csv", &page_views(1..=6));
        self.folder.write("waiting.csv", &page_views(7..=7));
        self.run(&["load", "--staged", "page_views.csv"]).done("load").expect("staged");
        let table = page_views::module().table("page_views", &Variables::default()).expect("the module's table");
        let warehouse = self.connect();
        let (dialect, name) = (warehouse.dialect(), Variables::default().table_name(&table));
        let columns = table.column_list();
        let copy =
            format!("INSERT INTO {} ({columns}) SELECT {columns} FROM scratch.page_views_staged", dialect.table(&name));
        let mut statements = vec![dialect.create_schema(&name.schema)];
        statements.extend(dialect.create_table(&table, &name));
        statements.push(Statement::new("page views", copy));
        for statement in statements {
            self.runtime.block_on(warehouse.execute(&statement)).expect("page views as their module keeps them");
        }
        drop(warehouse);
        self.run(&["run"]).done("run").expect("a run");
        self.run(&["load", "--staged", "waiting.csv"]).done("load").expect("staged");
    }
}

/// What a command answers as JSON, in success or in the document of its failure.
fn answer(said: &Said) -> Value {
    let document: Value = serde_json::from_str(&said.stdout).expect("one document");
    if said.code == 0 { document } else { document["answer"].clone() }
}

/// Page views of some sessions, three each, a minute apart.
fn page_views(sessions: std::ops::RangeInclusive<u32>) -> String {
    let mut text = "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,page_views_in_session,start_tstamp,end_tstamp,engaged_time_in_s,page_title\n".to_owned();
    for session in sessions {
        for view in 1..=3 {
            text.push_str(&format!(
                "p{session}-{view},s{session},u{session},{view},3,2024-03-0{session} 12:0{view}:00,2024-03-0{session} 12:0{view}:30,10,title {view}\n"
            ));
        }
    }
    text
}

/// Runs a test on the embedded engine, and on a server.
fn everywhere(prove: fn(&Place)) {
    prove(&Place::embedded());
    let cluster = Cluster::start("").expect("a server");
    prove(&Place::on(&cluster));
}

/// A name of a database that is wrong must not look like one without a fault in it, and leaves no file behind.
#[test]
fn a_database_that_is_not_there_is_not_made_by_looking() {
    let folder = Folder::new();
    let absent = "the database file wrong.duckdb is not there";
    let commands: [&[&str]; 17] = [
        &["check"],
        &["history"],
        &["report", "--html", "page.html"],
        &["explain", "s1"],
        &["compare", "sessions", "users"],
        &["export", "sessions", "--to", "sessions.csv"],
        &["preview"],
        &["show", "sessions"],
        &["unlock", "--yes"],
        &["migrate", "--yes"],
        &["plan", "main", "--estimate"],
        &["plan", "migrate"],
        &["unstage", "--yes"],
        &["destroy", "--yes"],
        &["rebuild", "--from", "2024-03-01"],
        &["resume"],
        &["complete"],
    ];
    for command in commands {
        let said = folder.run(&[&["--database", "wrong.duckdb"], command].concat());
        support::refused(&said, 2, &[absent, "--database"]);
    }
    let status = |output: &[&str]| folder.run(&[&["--database", "wrong.duckdb", "status"], output].concat());
    let said = status(&[]).done("status").expect("nothing ran, and that is no error");
    assert!(said.stdout.contains(absent) && said.stdout.contains("nothing ran here yet"), "{}", said.stdout);
    let said = status(&["--output", "json"]).done("status").expect("nothing ran, and that is no error");
    assert_eq!(support::json(&said.stdout)["tables"][0]["exists"], false, "{}", said.stdout);
    let said = folder.run(&["--database", "wrong.duckdb", "doctor"]);
    assert!(said.code == 4 && said.stdout.contains(absent), "{}{}", said.stdout, said.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing is left behind");
    folder.write("page_views.csv", &page_views(1..=1));
    let new = ["--database", "new.duckdb", "run", "--page-views", "page_views.csv"];
    let said = folder.run(&new).done("run").expect("a run makes it");
    assert!(said.stderr.contains("the database file new.duckdb is new"), "{}", said.stderr);
    let said = folder.run(&new).done("run").expect("a run again");
    assert!(!said.stderr.contains("is new"), "{}", said.stderr);
}

#[test]
fn status_says_what_is_there_what_waits_and_what_failed() {
    everywhere(|place| {
        let said = place.run(&["status"]).done("status").expect("nothing is there, and that is no error");
        assert!(said.stdout.contains("nothing ran here yet"), "{}", said.stdout);
        assert!(place.json(&["status"])["tables"].as_array().is_some_and(|tables| !tables.is_empty()));
        place.fill();
        let status = place.json(&["status"]);
        let table = |name: &str| {
            let tables = status["tables"].as_array().expect("tables");
            tables.iter().find(|table| table["name"] == name).cloned().expect("the table")
        };
        assert_eq!((&table("sessions")["rows"], &table("page_views_staged")["rows"]), (&6.into(), &3.into()));
        assert_eq!(
            (&table("page_views_staged")["waits"], &table("page_views_staged")["read_by"]),
            (&true.into(), &"sessions".into())
        );
        assert!(table("sessions")["newest"].as_str().is_some_and(|time| time.starts_with("2024-03-06 12:01:00")));
        assert!(table("sessions")["oldest"].as_str().is_some_and(|time| time.starts_with("2024-03-01 12:01:00")));
        assert!(table("sessions")["bytes"].as_i64().is_some_and(|bytes| bytes > 0), "{status}");
        assert_eq!(
            (&status["lock"], &status["failed_at"], &status["unknown"]),
            (&Value::Null, &Value::Null, &serde_json::json!([]))
        );
        assert_eq!(status["runs"][0]["rows"], 6);
        let said = place.run(&["status"]).done("status").expect("done");
        for words in ["3 rows in scratch.page_views_staged, for module sessions", "nobody holds it", "derived.sessions"]
        {
            assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
        }
        // A run that fails is waited for, and a repeated one that ends well is not.
        place.folder.write("odd.csv", "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp\np,s9,2,2024-03-09,2024-03-09\n");
        place.run(&["load", "--staged", "odd.csv"]).done("load").expect("staged");
        assert_eq!(place.run(&["--var", "on_dropped_sessions=fail", "run"]).code, 4);
        assert_eq!(place.json(&["status"])["failed_at"], "main/metadata");
        let said = place.run(&["status"]).done("status").expect("done");
        assert!(
            said.stdout.contains("failed at main/metadata") && said.stdout.contains("websessions resume"),
            "{}",
            said.stdout
        );
        place.run(&["run"]).done("run").expect("a run");
        assert_eq!(place.json(&["status"])["failed_at"], Value::Null);
    });
}

#[test]
fn history_tells_each_run_newest_first() {
    everywhere(|place| {
        place.fill();
        place.run(&["run"]).done("run").expect("a second run");
        let runs = place.json(&["history"])["runs"].as_array().cloned().expect("runs");
        assert_eq!(runs.iter().map(|run| run["rows"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(6)]);
        let newest = &runs[0];
        assert_eq!(
            (&newest["module"], &newest["distinct_keys"], &newest["repeated_rows"]),
            (&"sessions".into(), &1.into(), &0.into())
        );
        assert_eq!((&newest["trend_in_percent"], &runs[1]["trend_in_percent"]), (&(-83.3).into(), &Value::Null));
        assert!(newest["idle_in_s"].as_i64().is_some_and(|idle| (0..600).contains(&idle)), "{newest}");
        assert!(newest["earliest"].as_str().is_some_and(|time| time.starts_with("2024-03-07 12:01:00")), "{newest}");
        assert_eq!(place.json(&["history", "--limit", "1"])["runs"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            place.json(&["history", "--since", "1d", "--module", "sessions"])["runs"].as_array().map(Vec::len),
            Some(2)
        );
        assert_eq!(place.json(&["history", "--since", "2999-01-01"])["runs"].as_array().map(Vec::len), Some(0));
        let said = place.run(&["history"]).done("history").expect("done");
        assert!(said.stdout.contains("-83.3 %"), "{}", said.stdout);
        support::refused(&place.run(&["history", "--module", "session"]), 2, &["sessions"]);
        let spelled = |name: &str| place.json(&["history", "--module", name]);
        assert_eq!(spelled("page_views"), spelled("page-views"));
        support::refused(&place.run(&["history", "--since", "yesterday"]), 2, &["2026-01-31"]);
    });
}

#[test]
fn show_shows_rows_and_takes_one_condition() {
    everywhere(|place| {
        place.fill();
        let rows = |arguments: &[&str]| place.json(arguments)["rows"].as_array().cloned().expect("rows");
        let newest = rows(&["show", "sessions", "--columns", "domain_sessionid,page_views", "--limit", "2"]);
        assert_eq!(
            newest,
            [
                serde_json::json!({ "domain_sessionid": "s6", "page_views": 3 }),
                serde_json::json!({ "domain_sessionid": "s5", "page_views": 3 })
            ]
        );
        let one = rows(&["show", "sessions", "--where", "domain_sessionid = 's3' OR page_views > 3 -- why"]);
        assert_eq!(
            (one.len(), &one[0]["first_page_title"], &one[0]["last_page_title"]),
            (1, &"title 1".into(), &"title 3".into())
        );
        assert_eq!(rows(&["show", "derived.sessions", "--limit", "100"]).len(), 6);
        // Wide rows are records on a terminal, narrow ones a table.
        let said = place.run(&["show", "sessions", "--limit", "1"]).done("show").expect("done");
        assert!(said.stdout.contains("row 1") && said.stdout.contains("columns without a value"), "{}", said.stdout);
        assert!(said.stdout.lines().all(|line| line.chars().count() <= 100), "{}", said.stdout);
        let said = place
            .run(&["show", "sessions", "--columns", "domain_sessionid", "--where", "1 = 0"])
            .done("show")
            .expect("done");
        assert_eq!(said.stdout, "no rows\n");
        for wrong in ["1 = 1; DROP TABLE derived.sessions", "1 = 1) OR (1 = 1", "1 = 1 UNION SELECT 1"] {
            support::refused(&place.run(&["show", "sessions", "--where", wrong]), 2, &["is no condition"]);
        }
        support::refused(&place.run(&["show", "sessions", "--columns", "page_view"]), 2, &["page_views"]);
        support::refused(&place.run(&["show", "derived.nothing"]), 1, &["nothing"]);
        assert_eq!(rows(&["show", "sessions", "--limit", "100"]).len(), 6);
    });
}

/// What is done to the tables, and the test of data that must find it.
const FAULTS: &[(&str, &str)] = &[
    ("staged_keys", "UPDATE scratch.page_views_staged SET page_view_id = '' WHERE page_view_id = 'p7-1'"),
    ("staged_keys", "UPDATE scratch.page_views_staged SET domain_sessionid = '' WHERE page_view_id = 'p7-1'"),
    ("staged_unique", "UPDATE scratch.page_views_staged SET page_view_id = 'p7-2' WHERE page_view_id = 'p7-1'"),
    (
        "staged_times",
        "UPDATE scratch.page_views_staged SET end_tstamp = '2024-03-07 11:00:00' WHERE page_view_id = 'p7-1'",
    ),
    ("staged_times", "UPDATE scratch.page_views_staged SET engaged_time_in_s = -1 WHERE page_view_id = 'p7-1'"),
    (
        "staged_indexes",
        "UPDATE scratch.page_views_staged SET page_view_in_session_index = 5 WHERE page_view_id = 'p7-3'",
    ),
    (
        "staged_indexes",
        "UPDATE scratch.page_views_staged SET page_view_in_session_index = 0 WHERE page_view_id = 'p7-1'",
    ),
    ("staged_indexes", "DELETE FROM scratch.page_views_staged WHERE page_view_id = 'p7-2'"),
    ("sessions_keys", "UPDATE derived.sessions SET domain_sessionid = NULL WHERE domain_sessionid = 's3'"),
    ("sessions_keys", "UPDATE derived.sessions SET start_tstamp = NULL WHERE domain_sessionid = 's3'"),
    ("sessions_unique", "UPDATE derived.sessions SET domain_sessionid = 's4' WHERE domain_sessionid = 's3'"),
    (
        "sessions_times",
        "UPDATE derived.sessions SET end_tstamp = '2024-03-03 11:00:00', absolute_time_in_s = -3660 WHERE domain_sessionid = 's3'",
    ),
    (
        "sessions_times",
        "UPDATE derived.sessions SET absolute_time_in_s = absolute_time_in_s + 1 WHERE domain_sessionid = 's3'",
    ),
    ("sessions_times", "UPDATE derived.sessions SET engaged_time_in_s = -1 WHERE domain_sessionid = 's3'"),
    ("sessions_page_views", "UPDATE derived.sessions SET page_views = 0 WHERE domain_sessionid = 's3'"),
    (
        "sessions_of_runs",
        "UPDATE derived.sessions SET start_tstamp = '2023-01-01 00:00:00' WHERE domain_sessionid = 's3'",
    ),
    ("sessions_of_runs", "UPDATE derived.datamodel_metadata SET distinct_key_count = 5"),
    ("sessions_of_last_run", "DELETE FROM derived.sessions WHERE domain_sessionid = 's3'"),
    (
        "manifest_unique",
        "UPDATE scratch.sessions_userid_manifest_staged SET domain_userid = 'u2' WHERE domain_userid = 'u1'",
    ),
    (
        "manifest_users",
        "UPDATE scratch.sessions_userid_manifest_staged SET domain_userid = 'nobody' WHERE domain_userid = 'u1'",
    ),
    ("metadata_keys", "UPDATE derived.datamodel_metadata SET rows_this_run = NULL"),
    ("metadata_unique", "INSERT INTO derived.datamodel_metadata SELECT * FROM derived.datamodel_metadata"),
    ("metadata_times", "UPDATE derived.datamodel_metadata SET run_end_tstamp = '2000-01-01 00:00:00'"),
    ("metadata_times", "UPDATE derived.datamodel_metadata SET max_time_key = '2000-01-01 00:00:00'"),
    ("metadata_counts", "UPDATE derived.datamodel_metadata SET rows_this_run = 1"),
    ("page_views_keys", "UPDATE derived.page_views SET page_view_id = '' WHERE page_view_id = 'p3-1'"),
    ("page_views_unique", "UPDATE derived.page_views SET page_view_id = 'p3-1' WHERE page_view_id = 'p3-2'"),
    (
        "page_views_times",
        "UPDATE derived.page_views SET end_tstamp = '2024-03-03 11:00:00' WHERE page_view_id = 'p3-1'",
    ),
    ("page_views_indexes", "UPDATE derived.page_views SET page_view_in_session_index = 4 WHERE page_view_id = 'p3-3'"),
    (
        "page_views_order",
        "UPDATE derived.page_views SET start_tstamp = '2024-03-03 11:00:00' WHERE page_view_id = 'p3-3'",
    ),
    ("page_views_counts", "UPDATE derived.page_views SET page_views_in_session = 7 WHERE page_view_id = 'p3-3'"),
    ("sessions_of_page_views", "DELETE FROM derived.sessions WHERE domain_sessionid = 's3'"),
    ("sessions_as_page_views", "UPDATE derived.sessions SET page_views = 2 WHERE domain_sessionid = 's3'"),
    (
        "sessions_as_page_views",
        "UPDATE derived.sessions SET end_tstamp = '2024-03-03 13:00:00', absolute_time_in_s = 3540 WHERE domain_sessionid = 's3'",
    ),
    ("sessions_as_page_views", "UPDATE derived.sessions SET engaged_time_in_s = 31 WHERE domain_sessionid = 's3'"),
    ("sessions_without_page_views", "DELETE FROM derived.page_views WHERE domain_sessionid = 's3'"),
];

/// The same of users.
const FAULTS_OF_USERS: &[(&str, &str)] = &[
    ("users_keys", "UPDATE derived.users SET domain_userid = NULL WHERE domain_userid = 'u3'"),
    ("users_keys", "UPDATE derived.users SET start_tstamp = NULL WHERE domain_userid = 'u3'"),
    ("users_unique", "UPDATE derived.users SET domain_userid = 'u4' WHERE domain_userid = 'u3'"),
    ("users_times", "UPDATE derived.users SET end_tstamp = '2024-03-03 11:00:00' WHERE domain_userid = 'u3'"),
    ("users_times", "UPDATE derived.users SET engaged_time_in_s = -1 WHERE domain_userid = 'u3'"),
    ("users_counts", "UPDATE derived.users SET sessions = 0 WHERE domain_userid = 'u3'"),
    ("users_counts", "UPDATE derived.users SET page_views = 0 WHERE domain_userid = 'u3'"),
    ("users_as_sessions", "UPDATE derived.users SET start_tstamp = '2024-03-03 12:02:00' WHERE domain_userid = 'u3'"),
    ("users_as_sessions", "UPDATE derived.users SET end_tstamp = NULL WHERE domain_userid = 'u3'"),
    ("users_as_sessions", "UPDATE derived.users SET sessions = 2 WHERE domain_userid = 'u3'"),
    ("users_as_sessions", "UPDATE derived.users SET page_views = 4 WHERE domain_userid = 'u3'"),
    ("users_as_sessions", "UPDATE derived.users SET engaged_time_in_s = 31 WHERE domain_userid = 'u3'"),
    ("users_as_sessions", "UPDATE derived.sessions SET page_views = 2 WHERE domain_userid = 'u3'"),
    ("users_of_sessions", "DELETE FROM derived.users WHERE domain_userid = 'u3'"),
    ("users_without_sessions", "DELETE FROM derived.sessions WHERE domain_userid = 'u3'"),
    ("users_of_runs", "UPDATE derived.users SET start_tstamp = '2023-01-01 00:00:00' WHERE domain_userid = 'u3'"),
    ("users_of_runs", "UPDATE derived.datamodel_metadata SET distinct_key_count = 1 WHERE module = 'users'"),
    ("users_of_last_run", "DELETE FROM derived.users WHERE domain_userid = 'u7'"),
    ("users_manifest_unique", "UPDATE derived.users_manifest SET domain_userid = 'u4' WHERE domain_userid = 'u3'"),
    ("users_manifest_unique", "UPDATE derived.users_manifest SET start_tstamp = NULL WHERE domain_userid = 'u3'"),
    ("users_remembered", "DELETE FROM derived.users_manifest WHERE domain_userid = 'u3'"),
    (
        "users_remembered",
        "UPDATE derived.users_manifest SET start_tstamp = '2024-03-09 00:00:00' WHERE domain_userid = 'u3'",
    ),
];

const TABLES: [&str; 5] = [
    "scratch.page_views_staged",
    "scratch.sessions_userid_manifest_staged",
    "derived.sessions",
    "derived.datamodel_metadata",
    "derived.page_views",
];

#[test]
fn check_finds_each_fault_that_is_planted() {
    everywhere(|place| {
        let nothing = place.json(&["check"]);
        assert_eq!(
            (&nothing["failed"], &nothing["passed"]),
            (&0.into(), &0.into()),
            "there are no tables yet: {nothing}"
        );
        place.fill();
        assert!(FAULTS.len() >= 20);
        plant(place, FAULTS, &TABLES);
        // Users who wait for the run of their module are no fault of theirs. What was staged by other means has no page views.
        place.send(&["DELETE FROM derived.page_views"]);
        for arguments in [
            &["main", "--module", "users"] as &[&str],
            &["complete", "--module", "users"],
            &["run"],
            &["main", "--module", "users"],
            &["complete", "--module", "users"],
        ] {
            place.run(arguments).done(arguments[0]).expect("done");
            assert_eq!(found(&place.json(&["check"])), Vec::<String>::new(), "{arguments:?}");
        }
        let tables = ["derived.sessions", "derived.datamodel_metadata", "derived.users", "derived.users_manifest"];
        plant(place, FAULTS_OF_USERS, &tables);
    });
}

/// The tests that have not passed.
fn found(checks: &Value) -> Vec<String> {
    let checks = checks["checks"].as_array().expect("checks");
    let bad = checks.iter().filter(|check| check["outcome"] != "passed" && check["outcome"] != "skipped");
    bad.map(|check| check["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Plants each fault in the tables, looks whether its test finds it, and puts the tables back.
fn plant(place: &Place, faults: &[(&str, &str)], tables: &[&str]) {
    let whole = place.json(&["check"]);
    assert_eq!(found(&whole), Vec::<String>::new(), "{whole}");
    let kept = |table: &str| format!("kept.{}", table.rsplit('.').next().expect("a name"));
    place.send(&["CREATE SCHEMA kept"]);
    for table in tables {
        place.send(&[&format!("CREATE TABLE {} AS SELECT * FROM {table}", kept(table))]);
    }
    for (name, fault) in faults {
        place.send(&[fault]);
        let said = place.run(&["--output", "json", "check"]);
        let checks = answer(&said);
        assert!(found(&checks).contains(&(*name).to_owned()), "{name}: {fault}: {:?}", found(&checks));
        let warns = *name == "sessions_without_page_views";
        assert_eq!(said.code, if warns { 0 } else { 4 }, "{fault}: {}", said.stderr);
        let check =
            checks["checks"].as_array().and_then(|all| all.iter().find(|check| check["name"] == *name).cloned());
        let check = check.expect("the check");
        assert_eq!(check["severity"], if warns { "warn" } else { "fail" }, "{check}");
        assert!(check["failures"].as_i64().is_some_and(|failures| failures > 0), "{check}");
        assert!(check["samples"].as_array().is_some_and(|samples| !samples.is_empty()), "{check}");
        // The same of what starts later is not looked at.
        if name.starts_with("staged") {
            place.run(&["check", name, "--since", "2024-03-08"]).done("check --since").expect("nothing since then");
        }
        for table in tables {
            let copy = format!("INSERT INTO {table} SELECT * FROM {}", kept(table));
            place.send(&[&format!("DELETE FROM {table}"), &copy]);
        }
    }
    assert_eq!(found(&place.json(&["check"])), Vec::<String>::new());
    place.send(&["DROP SCHEMA kept CASCADE"]);
}

#[test]
fn check_takes_the_user_s_own_queries_and_what_they_mean() {
    everywhere(|place| {
        place.fill();
        std::fs::create_dir(place.folder.path().join("checks")).expect("a folder");
        place.folder.write("checks/short.sql", "-- sessions of less than {{or .least 4}} page views\nSELECT domain_sessionid, page_views\nFROM {{.output_schema}}.sessions\nWHERE page_views < 4;\n");
        place.folder.write("checks/broken.sql", "SELECT nothing_like_that FROM {{.output_schema}}.sessions");
        let usual = std::fs::read_to_string(place.folder.path().join("websessions.toml")).expect("the file");
        let configured = |severity: &str| {
            let more = format!("[check]\nafter_run = false\nfiles = [\"checks\"]\n[check.severity]\n{severity}");
            place.folder.write("websessions.toml", &format!("{usual}{more}"));
        };
        configured("broken = \"off\"\n");
        let said = place.run(&["check", "--samples", "2", "--junit", "checks.xml"]);
        support::refused(&said, 4, &["1 of", "short", "plan check"]);
        assert!(said.stdout.contains("short: 2 of 6 rows"), "{}", said.stdout);
        let xml = std::fs::read_to_string(place.folder.path().join("checks.xml")).expect("the file");
        for words in [
            "<testsuite ",
            "failures=\"1\"",
            "<testcase name=\"sessions_unique\" classname=\"derived.sessions\"",
            "<failure message=\"6 rows: ",
        ] {
            assert!(xml.contains(words), "{words}: {xml}");
        }
        configured("broken = \"off\"\nshort = \"warn\"\n");
        let checks = place.json(&["check"]);
        assert_eq!((&checks["warned"], &checks["failed"]), (&1.into(), &0.into()));
        // What can't be asked has not passed.
        configured("short = \"off\"\n");
        let said = place.run(&["check", "broken"]);
        support::refused(&said, 4, &["broken"]);
        assert!(said.stdout.contains("nothing_like_that"), "{}", said.stdout);
        configured("shorts = \"off\"\n");
        support::refused(&place.run(&["check"]), 2, &["[check.severity]", "shorts", "short"]);
        configured("short = \"maybe\"\n");
        support::refused(&place.run(&["check"]), 2, &["maybe", "off, warn or fail"]);
        place.folder.write("websessions.toml", &usual);
        place.folder.write("two.sql", "SELECT 1 AS one; DELETE FROM derived.sessions");
        support::refused(&place.run(&["check", "--file", "two.sql"]), 2, &["two.sql", "one query"]);
        assert_eq!(place.json(&["show", "sessions", "--limit", "99"])["rows"].as_array().map(Vec::len), Some(6));
    });
}

#[test]
fn explain_says_which_page_view_gave_what_or_why_there_is_no_row() {
    everywhere(|place| {
        support::refused(&place.run(&["explain"]), 2, &["SESSION"]);
        support::refused(&place.run(&["explain", "s1"]), 2, &["nothing is known of a session \"s1\""]);
        place.fill();
        let known = place.json(&["explain", "s3"]);
        let row = known["rows"][0].as_array().cloned().expect("a row");
        let column = |name: &str| row.iter().find(|column| column["column"] == name).cloned().expect("a column");
        assert_eq!(
            (&column("first_page_title")["from"], &column("last_page_title")["from"]),
            (&serde_json::json!([1]), &serde_json::json!([3]))
        );
        assert_eq!(
            (&column("engaged_time_in_s")["value"], &column("engaged_time_in_s")["agrees"]),
            (&30.into(), &true.into())
        );
        assert_eq!(
            (known["page_views"].as_array().map(Vec::len), known["written_by"].as_array().map(Vec::len)),
            (Some(3), Some(1))
        );
        let said = place.run(&["explain", "s3"]).done("explain").expect("done");
        for words in [
            "s3 has a row in derived.sessions",
            "written by the run",
            "p3-1",
            "the last: its index is the number of page views",
            "columns without a value",
        ] {
            assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
        }
        let waits = place.json(&["explain", "s7"]);
        assert!(
            waits["missing"]
                .as_str()
                .is_some_and(|reason| reason.contains("page views of it that wait for the next run: 3")),
            "{waits}"
        );
        // A name is a name, whatever is in it.
        let said = place.run(&["explain", "x' OR '1' = '1", "--output", "json"]);
        assert_eq!(said.code, 2, "{}{}", said.stdout, said.stderr);
        let odd: Value = serde_json::from_str(&said.stdout).expect("one document");
        let words = odd["error"].as_str().unwrap_or_default();
        for part in ["\"x' OR '1' = '1\"", "derived.sessions, derived.page_views, scratch.page_views_staged"] {
            assert!(words.contains(part), "{odd}");
        }
        support::refused(&place.run(&["explain", "S3"]), 2, &["\"S3\"", "character by character", "show sessions"]);
        place.send(&["UPDATE derived.page_views SET page_title = 'newer' WHERE page_view_id = 'p3-1'"]);
        let said = place.run(&["explain", "s3"]).done("explain").expect("done");
        assert!(said.stdout.contains("it has another value now"), "{}", said.stdout);
    });
}

#[test]
fn preview_says_what_a_run_would_do_and_fails_over_a_share() {
    everywhere(|place| {
        assert_eq!(place.json(&["preview"]), Value::Null);
        assert!(place.run(&["preview"]).done("preview").expect("done").stdout.contains("nothing was ever staged"));
        place.fill();
        place.folder.write("again.csv", &page_views(2..=3).replace(",title 3", ",title new"));
        place.folder.write("odd.csv", "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp\np,s9,2,2024-03-09,2024-03-09\n");
        place.run(&["load", "--staged", "again.csv", "odd.csv"]).done("load").expect("staged");
        let preview = place.json(&["preview"]);
        for (name, count) in [
            ("inserted", 1),
            ("changed", 2),
            ("unchanged", 0),
            ("shrunk", 0),
            ("production_rows", 6),
            ("rows_to_delete", 2),
            ("rows_to_insert", 3),
            ("users", 3),
            ("multiplied", 0),
        ] {
            assert_eq!(preview[name], count, "{name}: {preview}");
        }
        assert_eq!(preview["changed_columns"], serde_json::json!([{ "column": "last_page_title", "sessions": 2 }]));
        assert_eq!(
            preview["samples"][0],
            serde_json::json!({ "session": "s2", "changes": [["last_page_title", "title 3", "title new"]] })
        );
        assert_eq!(
            (&preview["dropped"][0]["sessions"], &preview["dropped"][0]["samples"]),
            (&1.into(), &serde_json::json!(["s9"]))
        );
        let said = place.run(&["preview", "--samples", "1"]).done("preview").expect("done");
        for words in ["last_page_title", "title new", "dropped: 1 session,", "such as s9"] {
            assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
        }
        support::refused(&place.run(&["preview", "--fail-over", "30%"]), 4, &["33.33%", "25.00%", "30%"]);
        place.run(&["preview", "--fail-over", "34%"]).done("preview").expect("that is not over it");
        support::refused(&place.run(&["preview", "--fail-over", "120%"]), 2, &["0% to 100%"]);
        place.run(&["run"]).done("run").expect("a run");
        let after = place.json(&["preview"]);
        assert_eq!((&after["sessions"], &after["production_rows"]), (&0.into(), &7.into()));
    });
}

#[test]
fn preview_says_what_it_is_not_about() {
    let place = Place::embedded();
    place.fill();
    let said = place.run(&["preview", "--page-views", "page_views.csv", "other.csv"]);
    support::refused(
        &said,
        2,
        &["not about files", "websessions load page_views.csv other.csv", "websessions preview"],
    );
    let said = place.run(&["--var", "page_views_from=derived.page_views", "preview"]).done("preview").expect("done");
    assert!(
        said.stderr.contains("derived.page_views that are not staged yet are not in this preview"),
        "{}",
        said.stderr
    );
    assert!(!place.run(&["preview"]).done("preview").expect("done").stderr.contains("not in this preview"));
}

/// The first Ctrl-C stops what comes after a run, and the report says that the run itself is done.
#[test]
#[cfg(unix)]
fn ctrl_c_is_heard_while_checks_run() {
    let place = Place::embedded();
    place.fill();
    let usual = std::fs::read_to_string(place.folder.path().join("websessions.toml")).expect("the file");
    // A pipe tells that the engine reads it, and so is in the check, which goes on for ever.
    let pipe = place.folder.path().join("pipe.txt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    let long = "WITH text AS MATERIALIZED (SELECT content FROM read_text('pipe.txt')) SELECT COUNT(*) AS rows_in_all FROM range(10000000) AS a, range(10000000) AS b, text WHERE a.range * b.range % 7 = LENGTH(content)";
    place.folder.write("long.sql", long);
    place.folder.write("websessions.toml", &format!("{usual}[check]\nafter_run = true\nfiles = [\"long.sql\"]\n"));
    for arguments in [&["--output", "json", "run"] as &[&str], &["--output", "json", "check"]] {
        let mut command = place.folder.command(arguments);
        let pipes = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = pipes.spawn().expect("the binary starts");
        drop(open_for(&mut child, &pipe));
        signal("-INT", child.id());
        let said = Said::from(end(child));
        assert_eq!(said.code, 130, "{}{}", said.stdout, said.stderr);
        let failure: Value = serde_json::from_str(&said.stdout).expect("one document");
        let error = failure["error"].as_str().unwrap_or_default();
        assert!(error.contains("cancelled before all checks were run"), "{failure}");
        assert_eq!(failure["committed"], arguments.contains(&"run"), "{failure}");
    }
    assert_eq!(place.json(&["history", "--limit", "9"])["runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn checks_run_after_a_run_when_configured() {
    everywhere(|place| {
        place.fill();
        let usual = std::fs::read_to_string(place.folder.path().join("websessions.toml")).expect("the file");
        place.folder.write("websessions.toml", &format!("{usual}[check]\nafter_run = true\n"));
        let report = place.json(&["run"]);
        assert_eq!(
            (&report["checks"]["failed"], &report["counts"]["dropped_sessions"]),
            (&0.into(), &0.into()),
            "{report}"
        );
        place.send(&["UPDATE derived.sessions SET page_views = 0 WHERE domain_sessionid = 's1'"]);
        let said = place.run(&["run", "--report", "page.html"]);
        support::refused(&said, 4, &["sessions_page_views", "production and metadata have this run's sessions"]);
        assert!(said.stdout.contains("sessions_page_views: 1 of 1 row\n"), "{}", said.stdout);
        // What failed is in the page, which is written all the same.
        let page = place.folder.path().join("page.html");
        let of_page = |name: &str| {
            let checks = support::data_of(&page)["checks"].as_array().cloned().expect("checks");
            checks.into_iter().find(|check| check["name"] == name).expect("the check")
        };
        let failed = of_page("sessions_page_views");
        assert_eq!(
            (&failed["outcome"], &failed["failures"], &failed["severity"]),
            (&"failed".into(), &1.into(), &"fail".into())
        );
        assert_eq!(failed["samples"][0][0], "s1");
        assert_eq!(of_page("sessions_keys")["outcome"], "passed");
        std::fs::remove_file(&page).expect("the page");
        place.run(&["report", "--html", "page.html"]).done("report").expect("a page");
        assert_eq!(support::data_of(&page)["checks"], Value::Null);
        support::refused(&place.run(&["report", "--html", "page.html", "--checks"]), 4, &["sessions_page_views"]);
        assert_eq!(of_page("sessions_page_views")["samples"][0][0], "s1");
    });
}

#[test]
fn compare_finds_what_differs_within_a_target_and_between_two() {
    let cluster = Cluster::start("").expect("a server");
    let (embedded, server) = (Place::embedded(), Place::on(&cluster));
    for place in [&embedded, &server] {
        place.fill();
        place.run(&["run"]).done("run").expect("a run");
        place.send(&["CREATE TABLE derived.before AS SELECT * FROM derived.sessions"]);
        let same = place.json(&["compare", "sessions", "derived.before"]);
        assert_eq!(
            (&same["tables"][0]["same"], &same["tables"][0]["rows"]["same"]),
            (&true.into(), &7.into()),
            "{same}"
        );
        place.send(&[
            "UPDATE derived.before SET first_page_title = 'other', page_views = 4 WHERE domain_sessionid = 's2'",
            "DELETE FROM derived.before WHERE domain_sessionid = 's3'",
            "UPDATE derived.before SET domain_sessionid = 'new' WHERE domain_sessionid = 's4'",
            "UPDATE derived.before SET start_tstamp = '2024-02-01 00:00:00' WHERE domain_sessionid = 's5'",
        ]);
        let said = place.run(&["--output", "json", "compare", "sessions", "derived.before"]);
        assert_eq!(said.code, 4, "{}", said.stderr);
        let found = answer(&said)["tables"][0].clone();
        let rows = &found["rows"];
        assert_eq!(
            (&rows["same"], &rows["different"], &rows["only_in"]),
            (&3.into(), &2.into(), &serde_json::json!([2, 1])),
            "{found}"
        );
        assert_eq!(rows["columns"], serde_json::json!({ "first_page_title": 1, "page_views": 1, "start_tstamp": 1 }));
        let said = place.run(&["compare", "sessions", "derived.before"]);
        support::refused(&said, 4, &["1 of 1 tables differ"]);
        assert!(said.stdout.contains("other") && said.stdout.contains("only in the first"), "{}", said.stdout);
        support::refused(&place.run(&["compare", "sessions"]), 2, &["not two tables"]);
        support::refused(&place.run(&["compare", "sessions", "derived.before", "--key", "nothing"]), 2, &["nothing"]);
        support::refused(
            &place.run(&["compare", "derived.no", "derived.none"]),
            2,
            &["there is no derived.no, and no"],
        );
        support::refused(
            &place.run(&["--target", "it", "status", "--target", "it", "--target", "other"]),
            2,
            &["about one target"],
        );
    }
    // One configuration with both: the file of the one, the address of the other.
    let file = embedded.folder.path().join("websessions.duckdb").display().to_string();
    let both = Folder::new();
    let url = cluster.url();
    both.write(
        "websessions.toml",
        &format!(
            "[target.a]\ntype = \"duckdb\"\ndatabase = {file:?}\n[target.b]\ntype = \"postgres\"\nurl = {url:?}\n"
        ),
    );
    let said =
        both.run(&["--output", "json", "compare", "--target", "a", "--target", "b"]).done("compare").expect("the same");
    let tables = answer(&said)["tables"].as_array().cloned().expect("tables");
    let rows = |name: &str| {
        let found = tables.iter().find(|table| table["first"] == format!("derived.{name}")).expect("the table");
        found["rows"]["same"].as_i64()
    };
    assert_eq!((rows("sessions"), rows("page_views")), (Some(7), Some(18)), "{}", said.stdout);
    // Where neither has a table nothing was compared.
    let said = both.run(&["compare", "--target", "a", "--target", "b", "--var", "entropy=_none"]);
    support::refused(&said, 2, &["nothing was compared", "entropy"]);
    server.send(&["UPDATE derived.sessions SET geo_country = 'DE' WHERE domain_sessionid = 's6'"]);
    let said = both.run(&["compare", "sessions", "--target", "a", "--target", "b"]);
    support::refused(&said, 4, &["derived.sessions"]);
    assert!(said.stdout.contains("geo_country") && said.stdout.contains("s6"), "{}", said.stdout);
}

#[test]
fn values_of_other_types_are_shown_as_the_engine_writes_them() {
    let place = Place::embedded();
    let warehouse = place.connect();
    let made = Statement::new(
        "a table of one's own",
        "CREATE TABLE own AS SELECT 'a' AS id, DATE '2024-01-01' AS day, 1.50::DECIMAL(9, 2) AS price, TIME '10:00' AS hour, [1, 2] AS list, {'a': 1} AS of, '\\x01'::BLOB AS bytes, INTERVAL 1 DAY AS span, 7 AS number UNION ALL SELECT 'b', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    );
    place.runtime.block_on(warehouse.execute(&made)).expect("made");
    drop(warehouse);
    let shown = place.json(&["show", "main.own"]);
    let text = shown.to_string();
    for words in ["\"2024-01-01\"", "\"1.50\"", "\"10:00:00\"", "\"[1, 2]\"", "\"{'a': 1}\"", "1 day", "7"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Date32") && !text.contains("Decimal"), "{text}");
}

/// With skip_derived production need not agree with what runs have computed: what compares the two is not asked.
#[test]
fn checks_of_what_runs_write_are_not_asked_with_skip_derived() {
    everywhere(|place| {
        place.fill();
        let skips = &["--var", "skip_derived=true"][..];
        place.run(&[skips, &["run"]].concat()).done("run").expect("a run");
        let checks = place.json(&[&["check"], skips].concat());
        assert_eq!(checks["failed"], 0, "{checks}");
        let outcome = |name: &str| {
            let checks = checks["checks"].as_array().cloned().unwrap_or_default();
            checks.into_iter().find(|check| check["name"] == name).expect("the check")
        };
        for name in ["sessions_of_last_run", "manifest_users"] {
            let check = outcome(name);
            assert_eq!(check["outcome"], "skipped", "{check}");
            assert_eq!(check["reason"], "with skip_derived runs leave production alone", "{check}");
        }
        assert_eq!(outcome("sessions_unique")["outcome"], "passed");
        let usual = std::fs::read_to_string(place.folder.path().join("websessions.toml")).expect("the file");
        place.folder.write("websessions.toml", &format!("{usual}[check]\nafter_run = true\n"));
        place.run(&[skips, &["run"]].concat()).done("run").expect("a run whose checks pass");
        // What is off is said to be off where it is asked for by name.
        place.folder.write("websessions.toml", &format!("{usual}[check.severity]\nsessions_unique = \"off\"\n"));
        for (names, other) in [(&["sessions_unique"] as &[&str], false), (&["sessions_unique", "sessions_keys"], true)]
        {
            let said = place.run(&[&["check"], names].concat()).done("check").expect("nothing is found");
            assert!(
                said.stderr.contains("sessions_unique was not checked: [check.severity] has it off"),
                "{}",
                said.stderr
            );
            assert!(!said.stderr.contains("has all of it off"), "{}", said.stderr);
            assert_eq!(said.stdout.contains("sessions_keys"), other, "{}", said.stdout);
        }
    });
}

/// A table that is not there is called so, with what makes it.
#[test]
fn a_table_that_is_missing_is_said_with_what_makes_it() {
    everywhere(|place| {
        for (table, hint) in [
            ("sessions", "no run has made it yet: 'websessions run --page-views FILE…' does"),
            ("users", "it is of the module users, which modules in websessions.toml doesn't name"),
            ("sessions_keys_this_run", "its complete drops it"),
            ("nowhere.nothing", "another is named as SCHEMA.TABLE"),
        ] {
            for command in [&["show", table] as &[&str], &["export", table, "--to", "x.csv"]] {
                let said = place.run(command);
                support::refused(&said, 1, &[table.rsplit('.').next().unwrap_or(table), "does not exist", hint]);
            }
        }
        let said = place.run(&["report", "--html", "page.html"]);
        support::refused(&said, 1, &["derived.sessions does not exist", "no run has made it yet"]);
        for command in ["history", "show sessions"] {
            let command: Vec<&str> = command.split(' ').chain(["--limit", "0"]).collect();
            support::refused(&place.run(&command), 2, &["invalid value '0' for '--limit <N>'"]);
        }
    });
}

/// Tests that are no SQL are told before the run that they come after: their file is read once.
#[test]
fn a_check_that_is_no_sql_is_told_before_the_run() {
    let place = Place::embedded();
    place.fill();
    let usual = std::fs::read_to_string(place.folder.path().join("websessions.toml")).expect("the file");
    place.folder.write("broken.sql", "SELECT domain_sessionid FORM sessions WHERE (");
    place.folder.write("websessions.toml", &format!("{usual}[check]\nafter_run = true\nfiles = [\"broken.sql\"]\n"));
    let said = place.run(&["run"]);
    support::refused(&said, 4, &["broken.sql: as SQL it can't be read", "1 of "]);
    let at = |words: &str| said.stderr.find(words).expect(words);
    assert!(at("as SQL it can't be read") < at("main"), "{}", said.stderr);
    assert_eq!(said.stderr.matches("as SQL it can't be read").count(), 1, "{}", said.stderr);
    let shown = place.json(&["config", "show"]);
    let is_shown = |name: &str| shown.as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name));
    assert!(is_shown("check.files") && !is_shown("check.file"), "{shown}");
}

//! What is not ours stays as it is: tables with names like ours, files, the network.

#[path = "support/mod.rs"]
mod support;

use duckdb::Connection;
use support::{Folder, refused};

const PAGE_VIEW: &str =
    "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp\np1,s1,1,2024-01-01,2024-01-01\n";

fn with_sessions() -> Folder {
    let folder = Folder::new();
    folder.write("good.csv", PAGE_VIEW);
    folder.run(&["run", "--page-views", "good.csv"]).done("run").expect("a run");
    folder
}

fn open(folder: &Folder) -> Connection {
    Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens")
}

#[test]
fn doctor_drops_no_table_of_the_user_s() {
    let folder = with_sessions();
    open(&folder)
        .execute_batch("CREATE TABLE derived.sessions_doctor AS SELECT 7 AS patient; CREATE TABLE scratch.sessions_doctor AS SELECT 7 AS patient; CREATE SCHEMA IF NOT EXISTS main")
        .expect("a table of the user's");
    let before = folder.dump();
    folder.run(&["doctor"]).done("doctor").expect("all is well");
    assert_eq!(folder.dump(), before);
}

#[test]
fn opening_a_file_changes_no_table_that_is_called_like_a_lock() {
    let folder = with_sessions();
    open(&folder)
        .execute_batch(
            "CREATE SCHEMA shop; CREATE TABLE shop.sessions_locker (id INTEGER, holder TEXT); INSERT INTO shop.sessions_locker VALUES (1, 'Ann'), (2, 'Bob');
             CREATE TABLE shop.sessions_lock (holder TEXT, door INTEGER); INSERT INTO shop.sessions_lock VALUES ('Ann', 1);
             CREATE TABLE scratch.sessions_lockers (door INTEGER);
             CREATE TABLE scratch.sessions_lock_of_old (holder TEXT, host TEXT, acquired_tstamp TIMESTAMP, expires_tstamp TIMESTAMP, stopped_at TEXT, done_before TEXT);
             INSERT INTO scratch.sessions_lock_of_old (holder, acquired_tstamp) VALUES ('Ann', TIMESTAMP '2024-01-01')",
        )
        .expect("tables of the user's");
    let before = folder.dump();
    folder.run(&["doctor"]).done("doctor").expect("all is well");
    folder.run(&["export", "sessions", "--to", "x.csv"]).done("export").expect("exported");
    assert_eq!(folder.dump(), before);
    folder.run(&["run", "--page-views", "good.csv"]).done("run").expect("a run");
    let after = folder.dump();
    for theirs in before.lines().filter(|line| line.contains("sessions_lock")) {
        assert!(after.contains(theirs), "{theirs}: {after}");
    }
}

#[test]
fn a_database_is_always_a_file() {
    let folder = Folder::new();
    folder.write("good.csv", PAGE_VIEW);
    folder.write("empty.toml", "[target.x]\ntype = \"duckdb\"\ndatabase = \"\"\n");
    refused(&folder.run(&["--database", "", "run", "--page-views", "good.csv"]), 2, &["database is empty"]);
    refused(&folder.run(&["--database", " ", "run", "--page-views", "good.csv"]), 2, &["database is empty"]);
    refused(&folder.run(&["--config", "empty.toml", "run", "--page-views", "good.csv"]), 2, &["database is empty"]);
    for name in [":memory:", "md:cloud", "sqlite:x.db", "a b?*[1].duckdb"] {
        folder.run(&["--database", name, "run", "--page-views", "good.csv"]).done(name).expect("a run");
        assert!(folder.path().join(name).is_file(), "{name}");
        let said = folder.run(&["--database", name, "export", "sessions", "--to", "x.csv"]).done(name).expect("kept");
        assert!(said.stdout.contains("1 row "), "{}", said.stdout);
    }
}

/// What looks like a pattern, a folder of a partition or an address is the name of one file.
#[test]
fn a_file_s_name_is_a_name() {
    let folder = Folder::new();
    let row = |id: &str| PAGE_VIEW.replace("p1", id);
    std::fs::create_dir(folder.path().join("app_id=shop")).expect("a folder");
    folder.write("day1.csv", &row("another"));
    for name in ["day*.csv", "day?.csv", "[day]1.csv", "s3:x.csv", "app_id=shop/x.csv", "it's.csv", "a{1,2}.csv"] {
        folder.write(name, &row("the-one"));
        for (position, command) in ["load --staged", "run --page-views"].iter().enumerate() {
            let entropy = format!("entropy=_{position}");
            let database = format!("{}.duckdb", name.replace('/', "_"));
            let options = ["--database", &database, "--var", &entropy];
            let arguments: Vec<&str> = options.iter().copied().chain(command.split(' ')).chain([name]).collect();
            folder.run(&arguments).done(name).expect("loaded");
            if *command == "load --staged" {
                let staged = folder.contents("page_views_staged", &options).expect("page views");
                assert_eq!(staged.column("page_view_id"), vec![Some("the-one".to_owned())], "{name}");
                assert_eq!(staged.column("app_id"), vec![None], "{name}");
            }
        }
    }
}

#[test]
fn the_engine_fetches_and_loads_nothing_by_itself() {
    let folder = with_sessions();
    folder.write("websessions.toml", "[[custom]]\nname = \"settings\"\nfiles = [\"settings.sql\"]\n");
    folder.write(
        "settings.sql",
        "CREATE OR REPLACE TABLE derived.settings AS SELECT name, value FROM duckdb_settings() WHERE name IN ('autoload_known_extensions', 'autoinstall_known_extensions') ORDER BY name;",
    );
    folder.run(&["run", "--page-views", "good.csv"]).done("run").expect("a run");
    let settings = folder.contents("derived.settings", &[]).expect("settings");
    assert_eq!(settings.column("value"), vec![Some("false".to_owned()), Some("false".to_owned())]);
}

#[test]
fn an_entropy_that_makes_another_table_of_the_model_is_refused() {
    let folder = Folder::new();
    folder.write("good.csv", PAGE_VIEW);
    let one_schema = ["--var", "scratch_schema=s", "--var", "output_schema=s"];
    let run = |entropy: &str| {
        let entropy = format!("entropy={entropy}");
        let arguments: Vec<&str> =
            one_schema.into_iter().chain(["--var", &entropy, "run", "--page-views", "good.csv"]).collect();
        folder.run(&arguments)
    };
    for entropy in ["_this_run", "_THIS_RUN", "_this_run_test", "_lock"] {
        refused(&run(entropy), 2, &["entropy", entropy, "is called so too"]);
    }
    assert_eq!(folder.dump(), "no database");
    for entropy in ["", "_test", "_this"] {
        run(entropy).done(entropy).expect("a run");
    }
    // In schemas of their own the tables don't meet.
    folder.run(&["--var", "entropy=_this_run", "run", "--page-views", "good.csv"]).done("run").expect("a run");
}

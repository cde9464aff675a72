//! The binary with users after sessions: as the configuration says, phase by phase, and with SQL of a user's own.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, done, json, refused};
use websessions_test_servers::Cluster;

const FIRST: &str = "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,page_title
a1,a,ann,2024-03-10 12:00:00,2024-03-10 12:00:30,one
a2,a,ann,2024-03-10 12:01:00,2024-03-10 12:01:30,two
b1,b,bob,2024-03-10 12:00:00,,alone
n1,n,,2024-03-10 12:00:00,,of nobody
";
const SECOND: &str = "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,page_title
c1,c,ann,2024-03-12 12:00:00,2024-03-12 12:00:30,back
";
const MODULES: &str = "modules = [\"page_views\", \"sessions\", \"users\"]\n";

fn folder(configuration: &str) -> Folder {
    let folder = Folder::new();
    folder.write("websessions.toml", configuration);
    folder.write("first.csv", FIRST);
    folder.write("second.csv", SECOND);
    folder
}

/// The names of what a run plans, in order.
fn planned(folder: &Folder, arguments: &[&str]) -> Vec<String> {
    let plans = json(&done(folder, &[&["plan", "run", "--output", "json"], arguments].concat()));
    let name = |plan: &serde_json::Value| plan["plan"]["name"].as_str().unwrap_or_default().to_owned();
    plans.as_array().expect("plans").iter().map(name).collect()
}

/// `user: sessions, last page` of each user.
fn users(folder: &Folder) -> Vec<String> {
    let users = folder.contents("users", &[]).expect("exported");
    let position = |name: &str| users.columns.iter().position(|column| column == name).expect("a column");
    let [id, sessions, last] = ["domain_userid", "sessions", "last_page_title"].map(position);
    let shown = |cell: &Option<String>| cell.clone().unwrap_or_default();
    users
        .rows
        .iter()
        .map(|row| format!("{}: {}, {}", shown(&row[id]), shown(&row[sessions]), shown(&row[last])))
        .collect()
}

/// How many run ids the metadata have, and of how many commits.
fn run_ids(folder: &Folder) -> (usize, usize) {
    let metadata = folder.contents("datamodel_metadata", &[]).expect("exported");
    let mut ids = metadata.column("run_id");
    let commits = ids.len();
    ids.dedup();
    (ids.len(), commits)
}

#[test]
fn a_run_makes_users_of_the_sessions_that_it_makes_and_ends_once() {
    let folder = folder(MODULES);
    let said = folder.run(&["run", "--page-views", "first.csv"]).done("run").expect("done");
    assert!(said.stdout.contains("users touched"), "{}", said.stdout);
    assert!(said.stdout.contains("note: sessions without a user: 1 (such as n)"), "{}", said.stdout);
    assert_eq!(users(&folder), ["ann: 1, two", "bob: 1, alone"]);
    assert_eq!(run_ids(&folder), (1, 3));
    done(&folder, &["run", "--page-views", "second.csv"]);
    assert_eq!(users(&folder), ["ann: 2, back", "bob: 1, alone"]);
    assert_eq!(run_ids(&folder), (2, 6));
    assert_eq!(folder.contents("sessions_userid_manifest_staged", &[]).expect("exported").rows.len(), 0);
    // A repeated command changes no row of it.
    let before = folder.contents("users", &[]).expect("exported");
    done(&folder, &["run", "--page-views", "second.csv"]);
    assert_eq!(folder.contents("users", &[]).expect("exported"), before);
    let report = json(&done(&folder, &["run", "--page-views", "second.csv", "--output", "json"]));
    assert!(
        report["findings"]["users_summary"].is_object() || report["findings"]["users_summary"].is_array(),
        "{report}"
    );
    let left = folder.dump();
    assert!(!left.contains("scratch.users"), "{left}");
    done(&folder, &["destroy", "--module", "users", "--yes"]);
    let left = folder.dump();
    assert!(!left.contains("derived.users") && left.contains("derived.sessions"), "{left}");
    // What was destroyed comes back whole.
    done(&folder, &["run"]);
    assert_eq!(users(&folder), ["ann: 2, back", "bob: 1, alone"]);
}

#[test]
fn preview_and_status_know_what_is_handed_on() {
    let folder = folder(MODULES);
    done(&folder, &["run", "--page-views", "first.csv"]);
    let preview = json(&done(&folder, &["preview", "--output", "json"]));
    assert_eq!(preview["stages_users"], true, "{preview}");
    let status = json(&done(&folder, &["status", "--output", "json"]));
    let tables = status["tables"].as_array().expect("tables");
    let mut waiting: Vec<&str> = tables
        .iter()
        .filter(|table| table["waits"] == true)
        .map(|table| table["name"].as_str().unwrap_or_default())
        .collect();
    waiting.sort_unstable();
    assert_eq!(waiting, ["page_views_staged", "sessions_userid_manifest_staged"]);
}

#[test]
fn the_modules_and_the_users_own_sql_run_in_the_order_of_the_configuration() {
    let own = "[[custom]]\nname = \"early\"\nfiles = [\"early.sql\"]\n[[custom]]\nname = \"late\"\nfiles = [\"late.sql\"]\nafter = \"users\"\n";
    let folder = folder(&format!("{MODULES}{own}"));
    folder.write(
        "early.sql",
        "CREATE OR REPLACE TABLE derived.early AS SELECT COUNT(*) AS n FROM scratch.sessions_this_run",
    );
    folder.write(
        "late.sql",
        "CREATE OR REPLACE TABLE derived.late AS SELECT COUNT(*) AS n FROM scratch.users_sessions_this_run, derived.users",
    );
    let usual = ["main", "early", "complete", "users_main", "late", "users_complete"];
    assert_eq!(planned(&folder, &[]), usual);
    let around = [&["page_views_main"], &usual[..], &["page_views_complete"]].concat();
    assert_eq!(planned(&folder, &["--page-views", "first.csv"]), around);
    done(&folder, &["run", "--page-views", "first.csv"]);
    for (table, rows) in [("derived.early", "3"), ("derived.late", "4")] {
        let contents = folder.contents(table, &[]).expect("exported");
        assert_eq!(contents.column("n"), [Some(rows.to_owned())], "{table}");
    }
    // Phase by phase it is the same.
    done(&folder, &["load", "second.csv"]);
    for arguments in [
        &["main"] as &[&str],
        &["complete"],
        &["main", "--module", "users"],
        &["complete", "--module", "users", "--var", "ends_run=true"],
    ] {
        done(&folder, arguments);
    }
    assert_eq!(users(&folder), ["ann: 2, back", "bob: 1, alone"]);
    assert!(done(&folder, &["config", "show"]).contains("page_views, sessions, users"));
    assert!(done(&folder, &["columns", "users"]).contains("domain_userid"));
    for spelled in ["page_views", "page-views"] {
        let runs = json(&done(&folder, &["--output", "json", "history", "--module", spelled]))["runs"].clone();
        assert!(runs.as_array().is_some_and(|runs| !runs.is_empty()), "{spelled}: {runs}");
    }
    done(&folder, &["doctor"]);
}

#[test]
fn what_is_wrong_with_modules_is_said_before_anything_runs() {
    for (configuration, words) in [
        (
            "modules = [\"users\"]",
            "modules lacks sessions, which every run computes: modules = [\"sessions\", \"users\"]",
        ),
        ("modules = [\"users\", \"sessions\"]", "modules has sessions after users"),
        ("modules = [\"sessions\", \"sessions\"]", "modules has sessions after sessions"),
        ("modules = [\"sessions\", \"user\"]", "modules has an unknown module \"user\"; did you mean \"users\""),
        ("modules = \"users\"", "modules must be a list of names"),
        ("modules = [1]", "modules must be a list of names"),
        (
            "[[custom]]\nname = \"late\"\nfiles = [\"late.sql\"]\nafter = \"users\"",
            "after is \"users\", which is not among modules",
        ),
        ("[[custom]]\nname = \"late\"\nfiles = [\"late.sql\"]\nafter = \"session\"", "did you mean \"sessions\""),
        ("modules = [\"sessions\"]", "page views come, and the modules are sessions"),
    ] {
        let folder = folder(configuration);
        refused(&folder.run(&["run", "--page-views", "first.csv"]), 2, &[words]);
        assert_eq!(folder.dump(), "no database", "{configuration}");
    }
}

/// `user: sessions` of each user, on a target.
fn on(folder: &Folder, target: &str) -> Vec<String> {
    let users = folder.contents("users", &["--target", target]).expect("exported");
    let position = |name: &str| users.columns.iter().position(|column| column == name).expect("a column");
    let [id, sessions] = ["domain_userid", "sessions"].map(position);
    let shown = |cell: &Option<String>| cell.clone().unwrap_or_default();
    let mut rows: Vec<String> =
        users.rows.iter().map(|row| format!("{}: {}", shown(&row[id]), shown(&row[sessions]))).collect();
    rows.sort();
    rows
}

#[test]
fn switched_on_late_stopped_resumed_and_destroyed_users_are_those_of_all_sessions() {
    let cluster = Cluster::start("").expect("a server");
    let targets = format!(
        "[target.laptop]\ntype = \"duckdb\"\n[target.server]\ntype = \"postgres\"\nurl = {:?}\n",
        cluster.url()
    );
    let own = "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\nafter = \"users\"\n";
    for target in ["laptop", "server"] {
        let folder = folder(&targets);
        folder.write("own.sql", "SELECT * FROM nowhere");
        let run = |command: &[&str]| folder.run(&[&["--target", target], command].concat());
        // Two runs without users; then it is switched on, and fails between its main and its complete.
        run(&["run", "--page-views", "first.csv"]).done("run").expect("done");
        run(&["run", "--page-views", "second.csv"]).done("run").expect("done");
        folder.write("websessions.toml", &format!("{MODULES}{own}{targets}"));
        refused(&run(&["run"]), 1, &["step own of own", "nowhere"]);
        assert_eq!(on(&folder, target), ["ann: 2", "bob: 1"], "{target}: users has committed");
        // Repeated, it fails there again; mended, it goes on there.
        refused(&run(&["run"]), 1, &["step own of own"]);
        folder.write("own.sql", "SELECT 1");
        let said = run(&["resume"]).done("resume").expect("resumed");
        assert!(!said.stderr.contains("users_main/") && said.stderr.contains("users_complete/"), "{}", said.stderr);
        // The next run reads whoever came, all of theirs, and nobody else's.
        folder.write("third.csv", &SECOND.replace("c1,c,ann", "d1,d,bob").replace("03-12", "03-13"));
        let said = run(&["--output", "json", "run", "--page-views", "third.csv"]).done("run").expect("done");
        let numbers = &json(&said.stdout)["numbers"];
        let found =
            ["users_touched", "user_rows", "sessions_read"].map(|one| numbers[format!("users_summary.{one}")].as_i64());
        assert_eq!(found, [Some(1), Some(1), Some(2)], "{target}: {numbers}");
        assert_eq!(on(&folder, target), ["ann: 2", "bob: 2"], "{target}");
        let said = run(&["run", "--page-views", "third.csv"]).done("run").expect("done");
        assert!(said.stdout.contains("sessions read") && said.stdout.contains("2 of 1 user "), "{}", said.stdout);
        // What was destroyed is made of all sessions, also if a run stops before it is complete.
        run(&["destroy", "--module", "users", "--yes"]).done("destroy").expect("destroyed");
        refused(&run(&["export", "users", "--to", "-"]), 1, &["does not exist"]);
        run(&["run", "--until-step", "users_main/users"]).done("run").expect("a part");
        assert_eq!(on(&folder, target), Vec::<String>::new(), "{target}: nothing is committed");
        run(&["run"]).done("run").expect("done");
        assert_eq!(on(&folder, target), ["ann: 2", "bob: 2"], "{target}");
        let checked = json(&run(&["--output", "json", "check"]).done("check").expect("good").stdout);
        assert_eq!((&checked["failed"], &checked["skipped"]), (&0.into(), &0.into()), "{checked}");
    }
}

#[test]
fn nobody_is_no_user_of_a_run() {
    let folder = folder(MODULES);
    folder.write("nobody.csv", &FIRST.replace(",ann,", ",,").replace(",bob,", ",,"));
    let report = json(&done(&folder, &["--output", "json", "run", "--page-views", "nobody.csv"]));
    let of = |number: &str| report["numbers"][number].as_i64();
    assert_eq!((of("summary.session_rows"), of("summary.users")), (Some(3), Some(0)), "{report}");
    let read = (of("users_summary.users_touched"), of("users_summary.sessions_read"));
    assert_eq!(read, (Some(0), Some(0)), "{report}");
    assert_eq!(users(&folder), Vec::<String>::new());
    let manifest = folder.contents("users_manifest", &[]).expect("exported");
    assert_eq!(manifest.column("domain_userid"), [Some("seed".to_owned())]);
}

#[test]
fn checks_of_modules_that_nobody_named_are_asked_where_their_tables_are() {
    let folder = folder("");
    let columns = "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp";
    folder.write("staged.csv", &format!("{columns}\n1,a,1,2024-03-10 12:00:00,2024-03-10 12:00:30\n"));
    done(&folder, &["load", "--staged", "staged.csv"]);
    let checks = |arguments: &[&str]| {
        let checks = json(&done(&folder, &[&["--output", "json", "check"], arguments].concat()))["checks"].clone();
        let names = |outcome: &str| -> Vec<String> {
            let of = |check: &&serde_json::Value| check["outcome"] == outcome;
            let name = |check: &serde_json::Value| check["name"].as_str().unwrap_or_default().to_owned();
            checks.as_array().expect("checks").iter().filter(of).map(name).collect()
        };
        (names("passed"), names("skipped"))
    };
    let (_, skipped) = checks(&["staged_keys", "users_unique"]);
    assert_eq!(skipped, ["users_unique"], "it was asked for");
    let (_, skipped) = checks(&[]);
    let others = skipped.iter().any(|name| name.starts_with("users_") || name.starts_with("page_views_"));
    assert!(!others && skipped.contains(&"sessions_unique".to_owned()), "{skipped:?}");
    folder.write("websessions.toml", MODULES);
    assert!(checks(&[]).1.contains(&"users_unique".to_owned()), "it is a module of the configuration");
    done(&folder, &["run", "--page-views", "first.csv"]);
    folder.write("websessions.toml", "");
    assert!(checks(&[]).0.contains(&"users_unique".to_owned()), "its tables are there");
}

#[test]
fn without_users_nothing_of_users_is_made() {
    let folder = folder("");
    done(&folder, &["run", "--page-views", "first.csv"]);
    assert_eq!(planned(&folder, &[]), ["main", "complete"]);
    let left = folder.dump();
    assert!(!left.contains("users:") && !left.contains("users_"), "{left}");
}

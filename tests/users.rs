//! The binary with users after sessions: as the configuration says, phase by phase, and with SQL of a user's own.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, done, json, refused};

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
        ("modules = [\"users\"]", "modules lacks sessions"),
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

#[test]
fn without_users_nothing_of_users_is_made() {
    let folder = folder("");
    done(&folder, &["run", "--page-views", "first.csv"]);
    assert_eq!(planned(&folder, &[]), ["main", "complete"]);
    let left = folder.dump();
    assert!(!left.contains("users:") && !left.contains("users_"), "{left}");
}

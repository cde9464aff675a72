//! The binary on tables that lack columns, as those of an earlier release, or of a configuration with fewer, do.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, done, json, refused};

const FIRST: &str = "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,app_id,page_title
a1,a,ann,2024-03-10 12:00:00,2024-03-10 12:00:30,web,one
a2,a,ann,2024-03-10 12:01:00,2024-03-10 12:01:30,web,two
b1,b,bob,2024-03-10 12:00:00,,web,alone
";
const SECOND: &str = "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,app_id,page_title
c1,c,ann,2024-03-12 12:00:00,2024-03-12 12:00:30,app,back
";
const TARGETS: &str = "modules = [\"page_views\", \"sessions\", \"users\"]\n
[target.old]\ntype = \"duckdb\"\ndatabase = \"old.duckdb\"\n
[target.new]\ntype = \"duckdb\"\ndatabase = \"new.duckdb\"\n";

fn folder(configuration: &str) -> Folder {
    let folder = Folder::new();
    folder.write("websessions.toml", configuration);
    folder.write("first.csv", FIRST);
    folder.write("second.csv", SECOND);
    folder
}

fn alter(folder: &Folder, database: &str, statements: &str) {
    let connection = duckdb::Connection::open(folder.path().join(database)).expect("the database opens");
    connection.execute_batch(statements).expect("altered");
}

/// The SQL of a document's statements.
fn statements(plans: &serde_json::Value) -> Vec<String> {
    let mut all = Vec::new();
    for unit in plans[0]["plan"]["steps"].as_array().into_iter().flatten().flat_map(|step| step["units"].as_array()) {
        all.extend(unit.iter().map(|unit| unit["statement"]["sql"].as_str().expect("SQL").to_owned()));
    }
    all
}

/// Some columns of the sessions of a target, in the order of the first of them; nothing for NULL.
fn sessions(folder: &Folder, target: &str, columns: &[&str]) -> Vec<String> {
    let sessions = folder.contents("sessions", &["--target", target]).expect("exported");
    let position = |name: &&str| sessions.columns.iter().position(|column| column == name).expect("a column");
    let positions: Vec<usize> = columns.iter().map(position).collect();
    let row = |row: &Vec<Option<String>>| {
        let cells: Vec<&str> = positions.iter().map(|position| row[*position].as_deref().unwrap_or_default()).collect();
        cells.join(" ")
    };
    let mut rows: Vec<String> = sessions.rows.iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn what_tables_lack_is_added_as_the_refusal_and_the_plan_say_and_rebuild_fills_it() {
    let folder = folder(TARGETS);
    let old = |command: &[&str]| folder.run(&[&["--target", "old"], command].concat());
    for target in ["old", "new"] {
        done(&folder, &["--target", target, "run", "--page-views", "first.csv"]);
    }
    alter(
        &folder,
        "old.duckdb",
        "ALTER TABLE derived.sessions DROP COLUMN app_id;
         ALTER TABLE derived.sessions DROP COLUMN geo_latitude;
         ALTER TABLE derived.users DROP COLUMN first_page_title;
         ALTER TABLE scratch.page_views_staged DROP COLUMN page_title",
    );
    let expected = [
        "ALTER TABLE \"scratch\".\"page_views_staged\" ADD COLUMN IF NOT EXISTS page_title VARCHAR",
        "ALTER TABLE \"derived\".\"sessions\" ADD COLUMN IF NOT EXISTS app_id VARCHAR",
        "ALTER TABLE \"derived\".\"sessions\" ADD COLUMN IF NOT EXISTS geo_latitude DOUBLE",
        "ALTER TABLE \"derived\".\"users\" ADD COLUMN IF NOT EXISTS first_page_title VARCHAR",
    ];
    let refusal = old(&["run"]);
    refused(&refusal, 1, &["derived.sessions: column app_id is missing", "'websessions migrate --target old' asks"]);
    for statement in &expected[..3] {
        assert!(refusal.stderr.contains(&format!("{statement};")), "{}", refusal.stderr);
    }
    let doctor = old(&["doctor"]);
    assert!(doctor.stdout.contains("'websessions migrate --target old' adds"), "{}", doctor.stdout);
    // The plan is a look; what is sent is what it says, and nothing is without a word of consent.
    let planned = old(&["plan", "migrate", "--output", "json"]).done("plan").expect("a plan").stdout;
    assert_eq!(statements(&json(&planned)), expected);
    let text = old(&["plan", "migrate"]).done("plan").expect("a plan").stdout;
    assert!(expected.iter().all(|statement| text.contains(&format!("{statement};"))), "{text}");
    refused(&old(&["plan", "migrate", "--dialect", "bigquery"]), 2, &["leave --dialect out"]);
    for (module, lacks) in [("page_views", &expected[..1]), ("sessions", &expected[..3]), ("users", &expected[1..])] {
        let planned = old(&["plan", "migrate", "--module", module, "--output", "json"]).done("plan").expect("a plan");
        let planned = statements(&json(&planned.stdout));
        assert!(lacks.iter().all(|statement| planned.iter().any(|known| known == statement)), "{module}: {planned:?}");
        assert!(planned.iter().all(|statement| lacks.contains(&statement.as_str())), "{module}: {planned:?}");
    }
    refused(&old(&["plan", "migrate", "--module", "user"]), 2, &["did you mean \"users\""]);
    refused(&old(&["migrate"]), 2, &[expected[1], "--yes"]);
    refused(&old(&["run"]), 1, &["app_id is missing"]);
    let said = old(&["--log-format", "json", "--output", "json", "migrate", "--yes"]).done("migrate").expect("done");
    let sent: Vec<String> = said
        .stderr
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|event| event["event"] == "unit_started")
        .map(|event| event["sql"][0].as_str().expect("SQL").to_owned())
        .collect();
    assert_eq!(sent, expected);
    let report = json(&said.stdout);
    assert_eq!(report["command"], "migrate");
    support::validate(&support::schema("run"), &[report]);
    assert_eq!(done(&folder, &["--target", "old", "migrate", "--yes"]), "no table lacks a column\n");
    let nothing = json(&done(&folder, &["--target", "old", "migrate", "--output", "json"]));
    assert_eq!(nothing, serde_json::json!({ "added": 0 }));
    assert!(statements(&json(&done(&folder, &["--target", "old", "plan", "migrate", "--output", "json"]))).is_empty());
    // The rows that were there have no value; 'rebuild' computes them again, and a run goes on.
    let both = ["--target", "old", "--target", "new", "compare"];
    refused(&folder.run(&both), 4, &["derived.sessions", "derived.users"]);
    for target in ["old", "new"] {
        done(&folder, &["--target", target, "run", "--page-views", "second.csv"]);
    }
    done(&folder, &["--target", "old", "rebuild", "--from", "2024-03-01"]);
    done(&folder, &[&both[..], &["sessions"]].concat());
    done(&folder, &[&both[..], &["users"]].concat());
    done(&folder, &[&both[..], &["page_views"]].concat());
    let columns = ["domain_sessionid", "app_id", "page_views", "first_page_title"];
    let expected = ["a web 2 one", "b web 1 alone", "c app 1 back"];
    assert_eq!(["old", "new"].map(|target| sessions(&folder, target, &columns)), [expected, expected]);
    // A user whose row differs is one user, not two.
    alter(&folder, "new.duckdb", "UPDATE derived.users SET last_page_title = 'other' WHERE domain_userid = 'bob'");
    let differs = json(&folder.run(&[&both[..], &["users", "--output", "json"]].concat()).stdout)["answer"].clone();
    let rows = &differs["tables"][0]["rows"];
    let found = (&rows["same"], &rows["different"], &rows["only_in"], &rows["columns"]);
    let [none, one] = [serde_json::json!([0, 0]), serde_json::json!({ "last_page_title": 1 })];
    assert_eq!(found, (&1.into(), &1.into(), &none, &one), "{differs}");
}

#[test]
fn a_column_that_is_declared_later_is_added_and_rebuild_fills_it() {
    let folder = folder(TARGETS);
    let old = |command: &[&str]| folder.run(&[&["--target", "old"], command].concat());
    old(&["run", "--page-views", "first.csv"]).done("run").expect("done");
    let own = "
[[column]]
name = \"plan_tier\"
from = \"first\"
type = \"text\"
users = \"last\"

[[column]]
name = \"looked_at_two\"
from = \"max\"
type = \"integer\"
sql = \"CASE WHEN page_title = 'two' THEN 1 ELSE 0 END\"
";
    folder.write("websessions.toml", &format!("{TARGETS}{own}"));
    folder.write(
        "second.csv",
        &SECOND.replacen("page_title\n", "page_title,plan_tier\n", 1).replace("back\n", "back,gold\n"),
    );
    let refusal = old(&["run", "--page-views", "second.csv"]);
    let words = [
        "derived.sessions: column plan_tier, which the configuration declares, is missing",
        "'websessions migrate --target old' asks",
        "ALTER TABLE \"derived\".\"page_views\" ADD COLUMN IF NOT EXISTS plan_tier VARCHAR;",
        "ALTER TABLE \"derived\".\"sessions\" ADD COLUMN IF NOT EXISTS looked_at_two BIGINT;",
    ];
    // All that this run needs, whichever of its modules; 'migrate' adds no less.
    refused(&refusal, 1, &words);
    let planned = statements(&json(&done(&folder, &["--target", "old", "plan", "migrate", "--output", "json"])));
    assert!(planned.len() > 4, "{planned:?}");
    for statement in &planned {
        assert!(refusal.stderr.contains(&format!("{statement};")), "{statement}: {}", refusal.stderr);
    }
    refused(&old(&["main"]), 1, &[words[0], words[1], words[3]]);
    for look in [&["show", "sessions"] as &[&str], &["explain", "a"], &["preview"]] {
        refused(&old(look), 1, &words[..2]);
    }
    old(&["migrate", "--yes"]).done("migrate").expect("done");
    old(&["run", "--page-views", "second.csv"]).done("run").expect("done");
    let columns = ["domain_sessionid", "looked_at_two", "plan_tier"];
    assert_eq!(sessions(&folder, "old", &columns), ["a  ", "b  ", "c 0 gold"]);
    old(&["rebuild", "--from", "2024-03-01"]).done("rebuild").expect("done");
    assert_eq!(sessions(&folder, "old", &columns), ["a 1 ", "b 0 ", "c 0 gold"]);
    // As if it had been declared from the start.
    for command in [&["run", "--page-views", "first.csv"], &["run", "--page-views", "second.csv"]] {
        done(&folder, &[&["--target", "new"], &command[..]].concat());
    }
    for table in ["sessions", "users", "page_views"] {
        done(&folder, &["--target", "old", "--target", "new", "compare", table]);
    }
}

#[test]
fn what_else_differs_is_left_alone_and_said() {
    let folder = folder("");
    done(&folder, &["run", "--page-views", "first.csv"]);
    alter(
        &folder,
        "websessions.duckdb",
        "ALTER TABLE derived.sessions DROP COLUMN app_id;
         ALTER TABLE derived.sessions ADD COLUMN of_their_own BIGINT;
         UPDATE derived.sessions SET of_their_own = 7;
         ALTER TABLE derived.page_views DROP COLUMN geo_zipcode;
         ALTER TABLE derived.page_views ADD COLUMN geo_zipcode BIGINT",
    );
    let others = [
        "of_their_own is not the model's; ALTER TABLE \"derived\".\"sessions\" DROP COLUMN",
        "geo_zipcode is BIGINT, not text",
        "drops nothing",
    ];
    let refusal = folder.run(&["run"]);
    refused(&refusal, 1, &["ADD COLUMN IF NOT EXISTS app_id VARCHAR;", others[0], others[2]]);
    let planned = folder.run(&["plan", "migrate"]).done("plan").expect("a plan");
    assert!(planned.stderr.contains(others[0]) && planned.stderr.contains(others[1]), "{}", planned.stderr);
    // What can be added is; then the rest is an error, each time.
    let said = folder.run(&["--output", "json", "migrate", "--yes"]);
    let document = json(&said.stdout);
    assert_eq!((said.code, document["exit_code"].as_i64()), (1, Some(1)), "{document}");
    assert_eq!(document["answer"]["plans"][0]["plan"], "migrate", "{document}");
    let again = folder.run(&["migrate", "--yes"]);
    refused(&again, 1, &others);
    assert!(!again.stderr.contains("app_id"), "{}", again.stderr);
    let sessions = folder.contents("sessions", &[]).expect("exported");
    assert_eq!(sessions.column("of_their_own"), vec![Some("7".to_owned()); 2]);
    assert_eq!(sessions.column("app_id"), vec![None; 2]);
    alter(
        &folder,
        "websessions.duckdb",
        "ALTER TABLE derived.sessions DROP COLUMN of_their_own;
         ALTER TABLE derived.page_views DROP COLUMN geo_zipcode",
    );
    done(&folder, &["migrate", "--yes"]);
    done(&folder, &["run", "--page-views", "second.csv"]);
}

#[test]
fn a_module_that_is_not_configured_is_migrated_by_its_name() {
    let folder = folder("");
    done(&folder, &["--var", "stage_next=true", "run", "--page-views", "first.csv"]);
    done(&folder, &["main", "--module", "users"]);
    done(&folder, &["complete", "--module", "users"]);
    alter(&folder, "websessions.duckdb", "ALTER TABLE derived.users DROP COLUMN first_page_title");
    refused(&folder.run(&["main", "--module", "users"]), 1, &["'websessions migrate --module users' asks"]);
    assert_eq!(done(&folder, &["migrate"]), "no table lacks a column\n");
    refused(&folder.run(&["migrate", "--module", "user"]), 2, &["did you mean \"users\""]);
    done(&folder, &["migrate", "--module", "users", "--yes"]);
    done(&folder, &["main", "--module", "users"]);
    // What tells sessions apart can't be added to those that are there, whichever module asks.
    alter(&folder, "websessions.duckdb", "ALTER TABLE derived.sessions DROP COLUMN domain_sessionid");
    let words = ["domain_sessionid is missing, without which no row is of use", "drops nothing"];
    refused(&folder.run(&["migrate", "--module", "users", "--yes"]), 1, &words);
    refused(&folder.run(&["migrate", "--yes"]), 1, &words);
}

#[test]
fn a_look_at_what_an_earlier_run_left_says_that_it_did() {
    let folder = folder("");
    let declared = "[[column]]\nname = \"plan_tier\"\nfrom = \"first\"\ntype = \"text\"\n";
    let look = ["show", "sessions_this_run"];
    done(&folder, &["--var", "cleanup_mode=debug", "run", "--page-views", "first.csv"]);
    done(&folder, &look);
    done(&folder, &["load", "first.csv"]);
    done(&folder, &["main"]);
    done(&folder, &look);
    folder.write("websessions.toml", declared);
    // A table of the model first, then the view of it, and the table that 'complete' makes of the view.
    refused(&folder.run(&look), 1, &["derived.sessions: column plan_tier", "'websessions migrate' asks"]);
    done(&folder, &["migrate", "--yes"]);
    let outdated = "scratch.sessions_this_run is of a run that was before it had plan_tier: the next run makes it anew";
    refused(&folder.run(&look), 1, &[outdated]);
    done(&folder, &["--var", "cleanup_mode=debug", "complete"]);
    done(&folder, &["--var", "cleanup_mode=debug", "run", "--page-views", "first.csv"]);
    done(&folder, &look);
    // What has nothing to do with columns stays as it is.
    let said = folder.run(&["show", "derived.not_there"]);
    refused(&said, 1, &["can't show derived.not_there"]);
    assert!(!said.stderr.contains("migrate"), "{}", said.stderr);
}

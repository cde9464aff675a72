//! The binary with page views of a user's own: commands that can be repeated, and what they say.

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::process::Stdio;
use support::{Folder, Said, done, json, refused};
use websessions_conformance::Contents;

const FIRST: &str = "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,engaged_time_in_s,page_title
a1,a,ann,2024-03-10 12:00:00,2024-03-10 12:00:30,10,one
a2,a,ann,2024-03-10 12:01:00,2024-03-10 12:01:30,10,two
b1,b,bob,2024-03-10 12:00:00,,,alone
";
const SECOND: &str = "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,engaged_time_in_s,page_title
a0,a,ann,2024-03-10 11:59:00,2024-03-10 11:59:30,5,before
a2,a,ann,2024-03-10 12:01:00,2024-03-10 12:02:30,40,two
a2,a,ann,2024-03-10 12:01:00,2024-03-10 12:01:30,10,two
,c,cid,2024-03-11 12:00:00,,,nameless
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("first.csv", FIRST);
    folder.write("second.csv", SECOND);
    folder
}

fn tables(folder: &Folder) -> Vec<Contents> {
    ["page_views", "sessions"].map(|table| folder.contents(table, &[]).expect("exported")).to_vec()
}

/// `session: page views` of each session.
fn sessions(folder: &Folder) -> Vec<String> {
    let sessions = folder.contents("sessions", &[]).expect("exported");
    let position = |name: &str| sessions.columns.iter().position(|column| column == name).expect("a column");
    let (id, page_views) = (position("domain_sessionid"), position("page_views"));
    let shown = |cell: &Option<String>| cell.clone().unwrap_or_default();
    sessions.rows.iter().map(|row| format!("{}: {}", shown(&row[id]), shown(&row[page_views]))).collect()
}

#[test]
fn a_repeated_command_changes_no_row_and_a_late_page_view_changes_its_session_alone() {
    let folder = folder();
    done(&folder, &["run", "--page-views", "first.csv"]);
    let first = tables(&folder);
    done(&folder, &["run", "--page-views", "first.csv"]);
    assert_eq!(tables(&folder), first);
    done(&folder, &["run", "--page-views", "second.csv"]);
    assert_eq!(sessions(&folder), ["a: 3", "b: 1"]);
    let both = tables(&folder);
    // An older form that comes last changes nothing; both files at once are the same.
    done(&folder, &["run", "--page-views", "first.csv"]);
    assert_eq!(tables(&folder), both);
    let other = self::folder();
    done(&other, &["run", "--page-views", "second.csv", "first.csv"]);
    assert_eq!(tables(&other), both);
    let left = folder.contents("scratch.metadata_run_id", &[]);
    assert!(left.is_err(), "a run ends its own run");
}

/// Where production has each page view: a row that is written anew has another place.
fn places(database: &duckdb::Connection) -> Vec<(String, i64)> {
    let mut places =
        database.prepare("SELECT page_view_id, rowid FROM derived.page_views ORDER BY ALL").expect("a query");
    let rows = places.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("ids and places")
}

#[test]
fn what_comes_as_it_is_kept_is_staged_and_not_written_anew() {
    let folder = folder();
    let open = || duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    let loaded = |files: &[&str], page_views: usize, written: usize| {
        done(&folder, &["unstage", "--yes"]);
        let said = done(&folder, &[&["load"], files].concat());
        let line = said.lines().find(|line| line.contains("rows written")).expect("what is written");
        assert!(line.contains(&format!(" {written} ")), "{line}");
        assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), page_views);
        places(&open())
    };
    done(&folder, &["load", "first.csv"]);
    let first = places(&open());
    assert_eq!(loaded(&["first.csv"], 3, 0), first);
    // Session a gets a page view and a newer form, b comes as it is kept.
    let second = loaded(&["first.csv", "second.csv"], 4, 3);
    assert_eq!(second[3], first[2], "b1 stays");
    assert!(second[1].1 > first[0].1, "a1 has another number of all");
    // A row that stands twice is not told from one that was corrected: its session is written, as it was.
    folder.write("twice.csv", &[FIRST, FIRST.lines().last().expect("a row"), "\n"].concat());
    let kept = tables_of_page_views(&folder);
    assert_eq!(loaded(&["twice.csv", "second.csv"], 4, 4).len(), 4);
    assert_eq!(tables_of_page_views(&folder), kept);
    // An older form of a2 is compared, and its session written with what it had.
    let third = places(&open());
    assert_eq!(loaded(&["first.csv"], 4, 3)[3], third[3]);
    assert_eq!(tables_of_page_views(&folder), kept);
    // What production has otherwise than a run would write is mended by what comes again.
    for (other, written) in [
        ("UPDATE derived.page_views SET page_view_in_session_index = 2 WHERE page_view_id = 'b1'", 1),
        ("UPDATE derived.page_views SET page_views_in_session = NULL WHERE page_view_id = 'b1'", 1),
        ("INSERT INTO derived.page_views SELECT * FROM derived.page_views WHERE page_view_id = 'b1'", 1),
    ] {
        open().execute_batch(other).expect("another row");
        assert_ne!(tables_of_page_views(&folder), kept, "{other}");
        folder.write("b.csv", &FIRST.lines().filter(|line| !line.starts_with('a')).collect::<Vec<_>>().join("\n"));
        loaded(&["b.csv"], 1, written);
        assert_eq!(tables_of_page_views(&folder), kept, "{other}");
        loaded(&["b.csv"], 1, 0);
    }
}

fn tables_of_page_views(folder: &Folder) -> Contents {
    folder.contents("page_views", &[]).expect("exported")
}

#[test]
fn load_stages_and_a_later_run_computes() {
    let folder = folder();
    done(&folder, &["load", "first.csv"]);
    done(&folder, &["load", "second.csv"]);
    assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), 4);
    done(&folder, &["run"]);
    assert_eq!(sessions(&folder), ["a: 3", "b: 1"]);
    assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), 0);
    refused(&folder.run(&["load"]), 2, &["no files are given", "page_views_from"]);
}

#[test]
fn what_is_repeated_or_left_out_is_said_and_counted_and_may_fail_the_run() {
    let folder = folder();
    let said = folder.run(&["run", "--page-views", "second.csv", "-q", "--output", "json"]).done("run").expect("done");
    for words in ["rows that repeat a page view: 1 of 4", "rows left out: 1 (page_view_id is missing; such as c)"] {
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    let counts = &json(&said.stdout)["counts"];
    assert_eq!((&counts["repeated_page_views"], &counts["left_out_page_views"]), (&1.into(), &1.into()), "{counts}");
    assert_eq!(counts["dropped_sessions"], 0, "{counts}");
    for variable in ["on_repeated_page_views=fail", "on_left_out_page_views=fail"] {
        let folder = self::folder();
        refused(
            &folder.run(&["run", "--page-views", "second.csv", "--var", variable]),
            4,
            &["production was not changed"],
        );
        done(&folder, &["run", "--page-views", "second.csv"]);
        assert_eq!(sessions(&folder), ["a: 2"]);
    }
}

#[test]
fn page_views_of_a_table_are_read_where_no_files_are_given() {
    let folder = folder();
    folder.write(
        "websessions.toml",
        "[variables]\npage_views_from = \"tracker.hits\"\n[[custom]]\nname = \"hits\"\nfiles = [\"hits.sql\"]\n",
    );
    folder.write("hits.sql", "SELECT 1");
    refused(&folder.run(&["run"]), 1, &["tracker.hits"]);
    let file = folder.path().join("websessions.duckdb");
    let connection = duckdb::Connection::open(file).expect("the database opens");
    let create = "CREATE SCHEMA tracker;
        CREATE TABLE tracker.hits (Page_View_Id TEXT, domain_sessionid TEXT, start_tstamp TIMESTAMP, colour TEXT);
        INSERT INTO tracker.hits VALUES ('a1', 'a', '2024-03-10 12:00:00', 'red'), ('b1', 'b', '2024-03-10 12:00:00', NULL);
        INSERT INTO tracker.hits VALUES ('a2', 'a', '2024-03-10 12:01:00', NULL);";
    connection.execute_batch(create).expect("created");
    drop(connection);
    let said = folder.run(&["run"]).done("run").expect("done");
    assert!(said.stderr.contains("columns ignored: colour"), "{}", said.stderr);
    assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
    done(&folder, &["run", "--page-views", "second.csv"]);
    assert_eq!(sessions(&folder), ["a: 3", "b: 1"]);
}

/// Values of a user's table, of types other than the model's: what page_views holds of each, or why it is refused.
const OF_OTHER_TYPES: [(&str, &str, Result<&str, &str>); 27] = [
    ("engaged_time_in_s", "CAST(5.0 AS DECIMAL(10, 2))", Ok("5")),
    ("engaged_time_in_s", "CAST('5' AS DECIMAL(38, 37))", Ok("5")),
    ("engaged_time_in_s", "5.0000004", Err("engaged_time_in_s: 5.0000004 is not a whole number of 64 bits")),
    ("engaged_time_in_s", "CAST(-5 AS DOUBLE)", Ok("-5")),
    ("engaged_time_in_s", "CAST(5.5 AS FLOAT)", Err("engaged_time_in_s: 5.5 is not a whole number")),
    ("engaged_time_in_s", "CAST('nan' AS DOUBLE)", Err("engaged_time_in_s: nan is not a whole number")),
    ("engaged_time_in_s", "CAST(5 AS UTINYINT)", Ok("5")),
    ("engaged_time_in_s", "CAST(9223372036854775807 AS UBIGINT)", Ok("9223372036854775807")),
    ("engaged_time_in_s", "CAST(9223372036854775808 AS UBIGINT)", Err("9223372036854775808 is not a whole number")),
    ("engaged_time_in_s", "CAST(9223372036854775808 AS HUGEINT)", Err("9223372036854775808 is not a whole number")),
    ("engaged_time_in_s", "'5'", Err("engaged_time_in_s is VARCHAR, not integer")),
    ("engaged_time_in_s", "TRUE", Err("engaged_time_in_s is BOOLEAN, not integer")),
    ("geo_latitude", "7", Ok("7.0")),
    ("geo_latitude", "7.25", Ok("7.25")),
    ("geo_latitude", "CAST('-inf' AS FLOAT)", Err("geo_latitude: -inf is not a finite number")),
    ("spider_or_robot", "'true'", Err("spider_or_robot is VARCHAR, not boolean")),
    ("app_id", "CAST('11111111-2222-3333-4444-555555555555' AS UUID)", Ok("11111111-2222-3333-4444-555555555555")),
    ("app_id", "CAST('b' AS ENUM('a', 'b'))", Ok("b")),
    ("app_id", "['a']", Err("app_id is VARCHAR[], not text")),
    ("derived_tstamp", "DATE '2024-07-01'", Ok("2024-07-01 00:00:00")),
    ("derived_tstamp", "TIMESTAMPTZ '2024-07-01 12:00:00+02:00'", Ok("2024-07-01 10:00:00")),
    ("derived_tstamp", "TIMESTAMP_NS '2024-07-01 10:00:59.999999999'", Ok("2024-07-01 10:00:59.999999")),
    ("derived_tstamp", "make_timestamp_ns(-1)", Ok("1969-12-31 23:59:59.999999")),
    ("derived_tstamp", "CAST('infinity' AS TIMESTAMP_NS)", Err("derived_tstamp: infinity is not a time")),
    ("derived_tstamp", "CAST('-infinity' AS TIMESTAMP)", Err("derived_tstamp: -infinity is not a time")),
    ("derived_tstamp", "CAST('infinity' AS TIMESTAMPTZ)", Err("derived_tstamp: infinity is not a time")),
    ("derived_tstamp", "CAST('10000-01-01' AS TIMESTAMP)", Err("is not a time of the years 0001 to 9999")),
];

#[test]
fn a_table_s_values_are_taken_exactly_or_refused() {
    let folder = folder();
    done(&folder, &["run", "--page-views", "first.csv"]);
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    connection.execute_batch("CREATE SCHEMA tracker").expect("created");
    for (number, (column, value, _)) in OF_OTHER_TYPES.into_iter().enumerate() {
        let create = format!(
            "CREATE TABLE tracker.hits{number} AS SELECT 'p{number}' AS page_view_id, 's{number}' AS domain_sessionid, TIMESTAMP '2024-07-01 10:00:00' AS start_tstamp, {value} AS {column}"
        );
        connection.execute_batch(&create).expect("created");
    }
    drop(connection);
    for (number, (column, value, expected)) in OF_OTHER_TYPES.into_iter().enumerate() {
        let said = folder.run(&["--var", &format!("page_views_from=tracker.hits{number}"), "run"]);
        let kept = folder.contents("page_views", &[]).expect("exported");
        match expected {
            Ok(expected) => {
                said.done(value).expect("taken");
                let cells = kept.column(column);
                let is_there = cells.iter().flatten().any(|cell| cell.trim_end_matches(".000000") == expected);
                assert!(is_there, "{value}: {cells:?}");
            }
            Err(words) => {
                let of_a_row = said.code == 4;
                refused(&said, if of_a_row { 4 } else { 1 }, &[words]);
                assert_eq!(of_a_row, said.stderr.contains(&format!("page_view_id p{number}, ")), "{}", said.stderr);
                assert!(!kept.column("page_view_id").contains(&Some(format!("p{number}"))), "{value}");
            }
        }
    }
}

/// An infinite time would be the newest that is ever seen: nothing would be read after it.
#[test]
fn an_infinite_time_is_not_taken_for_the_newest() {
    let folder = folder();
    let file = folder.path().join("websessions.duckdb");
    let connection = duckdb::Connection::open(file).expect("the database opens");
    let create = "CREATE SCHEMA tracker; CREATE TABLE tracker.hits AS SELECT 'p1' AS page_view_id, 's1' AS domain_sessionid, TIMESTAMP '2024-07-01 10:00:00' AS start_tstamp, CAST('infinity' AS TIMESTAMP) AS loaded";
    connection.execute_batch(create).expect("created");
    drop(connection);
    let arguments =
        ["--var", "page_views_from=tracker.hits", "--var", "page_views_time=loaded", "run", "--output", "json"];
    let said = folder.run(&arguments);
    let report = json(&said.stdout);
    assert_eq!((said.code, &report["report"]["counts"]["refused_page_views"]), (4, &json("1")), "{}", said.stdout);
    let words = report["error"].as_str().expect("an error");
    assert!(words.contains("page_view_id p1, loaded: infinity is not a time"), "{words}");
}

#[test]
fn sessions_of_a_time_are_built_again() {
    let folder = folder();
    done(&folder, &["run", "--page-views", "first.csv", "second.csv"]);
    let all = tables(&folder);
    done(&folder, &["destroy", "--yes"]);
    let said = folder.run(&["--quiet", "rebuild", "--from", "2024-03-11"]).done("of no page views").expect("done");
    assert!(
        said.stderr.contains("production has no page view in that time: nothing is computed again"),
        "{}",
        said.stderr
    );
    assert_eq!(sessions(&folder), [""; 0]);
    done(&folder, &["rebuild", "--from", "2024-03-01", "--to", "2024-03-10"]);
    assert_eq!(tables(&folder), all);
    refused(&folder.run(&["rebuild", "--from", "yesterday"]), 2, &["yesterday", "2024-03-31"]);
    refused(&folder.run(&["rebuild", "--from", "2024-02-30"]), 2, &["2024-02-30"]);
    refused(&folder.run(&["rebuild", "--from", "2024-03-02", "--to", "2024-03-01"]), 2, &["comes after"]);
    refused(&folder.run(&["rebuild"]), 2, &["--from"]);
}

#[test]
fn rebuild_and_load_need_the_module_that_keeps_page_views() {
    let folder = folder();
    folder.write(
        "staged.csv",
        "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,page_view_in_session_index\na1,a,ann,2024-03-10 12:00:00,2024-03-10 12:00:30,1\n",
    );
    done(&folder, &["load", "--staged", "staged.csv"]);
    done(&folder, &["run"]);
    let (before, rebuild) = (folder.dump(), ["rebuild", "--from", "2024-03-01"]);
    // Nothing was ever taken in.
    refused(&folder.run(&rebuild), 1, &["there is no input table derived.page_views", "of your own stages"]);
    assert_eq!(folder.dump(), before);
    folder.write("websessions.toml", "modules = [\"sessions\"]\n");
    let words =
        ["rebuild stages what the module page_views keeps, and the modules are sessions", "nothing was changed"];
    refused(&folder.run(&rebuild), 2, &words);
    refused(&folder.run(&["plan", "rebuild", "--from", "2024-03-01"]), 2, &words[..1]);
    refused(&folder.run(&["load", "first.csv"]), 2, &["page views come, and the modules are sessions"]);
    assert_eq!(folder.dump(), before);
    // What is added then is filled by whoever stages.
    let declared = "[[column]]\nname = \"plan_tier\"\nfrom = \"first\"\ntype = \"text\"\n";
    folder.write("websessions.toml", &format!("modules = [\"sessions\"]\n{declared}"));
    let said = folder.run(&["migrate", "--yes"]).done("migrate").expect("done");
    assert!(said.stderr.contains("stage all of their page views once more"), "{}", said.stderr);
    assert!(!said.stderr.contains("rebuild"), "{}", said.stderr);
}

#[test]
fn complete_says_that_production_was_dropped_before_it_removes_anything() {
    let folder = folder();
    let debug = |command: &'static str| ["--var", "cleanup_mode=debug", command];
    done(&folder, &["load", "first.csv"]);
    done(&folder, &debug("main"));
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    connection.execute_batch("DROP TABLE derived.sessions").expect("dropped");
    drop(connection);
    let words = ["dropped or altered after main", "'websessions run' makes what is missing"];
    refused(&folder.run(&debug("complete")), 1, &words);
    done(&folder, &debug("run"));
    assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
    assert_eq!(folder.contents("sessions_this_run", &[]).expect("kept").rows.len(), 2);
}

#[test]
fn what_is_staged_can_be_taken_away() {
    let folder = folder();
    refused(&folder.run(&["unstage"]), 2, &["the database file websessions.duckdb is not there"]);
    done(&folder, &["load", "first.csv"]);
    refused(&folder.run(&["unstage"]), 2, &["3 page views", "--yes"]);
    let said = folder.run(&["unstage", "--yes"]).done("unstage").expect("taken away");
    assert!(said.stderr.contains("rebuild --from DATE"), "{}", said.stderr);
    done(&folder, &["run"]);
    assert_eq!(sessions(&folder), [""; 0]);
    done(&folder, &["rebuild", "--from", "2024-03-10"]);
    assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
}

#[test]
fn a_failed_run_is_repeated_or_resumed_with_the_same_flags() {
    let folder = folder();
    folder.write("websessions.toml", "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n");
    for command in ["run", "resume"] {
        folder.write("own.sql", "SELECT nothing");
        refused(&folder.run(&["run", "--page-views", "first.csv"]), 1, &["own.sql"]);
        folder.write("own.sql", "SELECT 1");
        done(&folder, &[command, "--page-views", "first.csv"]);
        assert_eq!(sessions(&folder), ["a: 2", "b: 1"], "{command}");
        done(&folder, &["destroy", "--yes"]);
    }
    folder.write("broken.csv", "page_view_id,domain_sessionid\na1,a\n");
    refused(&folder.run(&["run", "--page-views", "broken.csv"]), 1, &["start_tstamp"]);
    folder.write("broken.csv", FIRST);
    // Nothing had been done: there is nothing to go on from.
    refused(&folder.run(&["resume", "--page-views", "broken.csv"]), 2, &["run the whole again"]);
    done(&folder, &["run", "--page-views", "broken.csv"]);
    assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
}

/// Each statement of a plan, or of what was sent, in order.
fn statements(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value) {
                ("sql", serde_json::Value::String(sql)) => vec![sql.clone()],
                _ => statements(value),
            })
            .collect(),
        serde_json::Value::Array(values) => values.iter().flat_map(statements).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_plan_of_a_run_with_page_views_is_what_it_sends() {
    let folder = folder();
    folder.write("websessions.toml", "[[custom]]\nname = \"hits\"\nfiles = [\"hits.sql\"]\n");
    folder.write("hits.sql", "SELECT 1");
    done(&folder, &["load", "first.csv"]);
    for (planned, run) in [
        (&["run", "--page-views", "second.csv"][..], &["run", "--page-views", "second.csv"][..]),
        (&["rebuild", "--from", "2024-03-10"], &["rebuild", "--from", "2024-03-10"]),
        (&["unstage"], &["unstage", "--yes"]),
        (&["destroy", "--module", "page-views"], &["destroy", "--module", "page-views", "--yes"]),
    ] {
        done(&folder, &["load", "first.csv"]);
        let planned = statements(&json(&done(&folder, &[&["--output", "json", "plan"], planned].concat())));
        let said = folder.run(&[&["--log-format", "json"], run].concat()).done("run").expect("done");
        let mut sent = Vec::new();
        for event in said.stderr.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
            if event["event"] == "unit_started" {
                let sql = event["sql"].as_array().into_iter().flatten();
                sent.extend(sql.map(|sql| sql.as_str().expect("text").to_owned()));
            }
        }
        assert!(!sent.is_empty() && planned == sent, "{run:?}: {planned:#?}, sent {sent:#?}");
    }
}

#[test]
fn destroying_the_module_says_how_many_page_views_go_and_leaves_sessions_alone() {
    let folder = folder();
    done(&folder, &["run", "--page-views", "first.csv"]);
    let before = folder.dump();
    let said = folder.run(&["destroy", "--module", "page-views"]);
    refused(&said, 2, &["derived.page_views has 3 rows", "--yes"]);
    refused(&folder.run(&["destroy", "--module", "page-view"]), 2, &["did you mean \"page-views\""]);
    assert_eq!(folder.dump(), before);
    let said = done(&folder, &["destroy", "--module", "page-views", "--yes"]);
    assert!(said.contains("page views dropped with their table: 3"), "{said}");
    refused(&folder.run(&["export", "page_views", "--to", "-"]), 1, &["does not exist"]);
    assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
    // The files bring all back.
    done(&folder, &["run", "--page-views", "first.csv"]);
    assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
    assert_eq!(folder.contents("page_views", &[]).expect("exported").rows.len(), 3);
}

#[test]
fn standard_input_is_run_and_repeated() {
    let folder = folder();
    let run = |text: &str| -> Said {
        let mut command = folder.command(&["run", "--page-views", "-"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends").into()
    };
    refused(&run(&format!("{FIRST}a3,a\n")), 1, &["standard input: row 4, line 5", "done before: nothing"]);
    assert_eq!(folder.dump(), "schemas [\"scratch\"]\n");
    for _ in 0..2 {
        run(FIRST).done("run").expect("done");
        assert_eq!(sessions(&folder), ["a: 2", "b: 1"]);
        assert_eq!(folder.contents("page_views", &[]).expect("exported").rows.len(), 3);
    }
}

#[test]
fn sessions_that_lose_page_views_or_have_several_rows_are_said_and_counted_and_may_fail_the_run() {
    const STAGED: &str = "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp
a1,a,1,2024-03-10 12:00:00,2024-03-10 12:00:30
";
    let folder = folder();
    folder.write("half.csv", STAGED);
    folder.write("twice.csv", &format!("{STAGED}a1,a,1,2024-03-10 12:00:00,2024-03-10 12:00:30\n"));
    for (file, variable, name, words) in [
        (
            "half.csv",
            "on_shrunk_sessions=fail",
            "shrunk_sessions",
            "fewer page views than the rows that they replace: 1 (such as a)",
        ),
        (
            "twice.csv",
            "on_multiplied_sessions=fail",
            "multiplied_sessions",
            "sessions with more than one row: 1 (such as a)",
        ),
    ] {
        let said = folder.run(&["--output", "json", "run", "--page-views", "first.csv"]).done("run").expect("done");
        assert_eq!(json(&said.stdout)["counts"][name], 0, "{}", said.stdout);
        done(&folder, &["load", "--staged", file]);
        let before = sessions(&folder);
        refused(&folder.run(&["run", "--var", variable]), 4, &[words, "production was not changed"]);
        assert_eq!(sessions(&folder), before);
        let said = folder.run(&["run", "-q", "--output", "json"]).done("run").expect("done");
        assert!(said.stderr.contains(words), "{}", said.stderr);
        assert_eq!(json(&said.stdout)["counts"][name], 1, "{}", said.stdout);
        done(&folder, &["destroy", "--yes"]);
    }
}

/// Whatever command finds it: a run, a phase called alone, playbooks.
#[test]
fn what_is_odd_is_said_and_counted_by_every_command_that_finds_it() {
    const COLUMNS: &str = "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp\n";
    const OF_A: &str = ",a,1,2024-03-10 12:00:00,2024-03-10 12:00:30\n";
    let folder = folder();
    std::fs::create_dir(folder.path().join("playbooks")).expect("a folder");
    for (name, of) in [("01-sessions-main", "01-main"), ("99-sessions-complete", "99-complete")] {
        folder.write(
            &format!("playbooks/{name}.yml"),
            &format!(
                "variables:\n  output_schema: derived\nsteps:\n- name: {of}\n  queries:\n  - name: {of}\n    file: standard/03-sessions/{of}/{of}.sql\n"
            ),
        );
    }
    folder.write("dropped.csv", &format!("{COLUMNS}b2,b,2,2024-03-10 12:00:00,2024-03-10 12:00:30\n"));
    folder.write("multiplied.csv", &format!("{COLUMNS}a1{OF_A}a1{OF_A}"));
    folder.write("shrunk.csv", &format!("{COLUMNS}a1{OF_A}"));
    folder.write("repeated.csv", &format!("{COLUMNS}a1{OF_A}a1{OF_A}"));
    folder.write("left_out.csv", &format!("{COLUMNS}a1{OF_A}{OF_A}"));
    let computed: [&[&str]; 3] = [&["run"], &["main"], &["run", "--playbooks", "playbooks"]];
    let files = |file| {
        vec![
            vec!["load", file],
            vec!["run", "--page-views", file],
            vec!["run", "--playbooks", "playbooks", "--page-views", file],
        ]
    };
    for (file, name, variable, words) in [
        ("dropped.csv", "dropped_sessions", "on_dropped_sessions", "sessions dropped: 1 ("),
        ("multiplied.csv", "multiplied_sessions", "on_multiplied_sessions", "sessions with more than one row: 1 ("),
        (
            "shrunk.csv",
            "shrunk_sessions",
            "on_shrunk_sessions",
            "fewer page views than the rows that they replace: 1 (",
        ),
        ("repeated.csv", "repeated_page_views", "on_repeated_page_views", "rows that repeat a page view: 1 of 2"),
        ("left_out.csv", "left_out_page_views", "on_left_out_page_views", "rows left out: 1 ("),
    ] {
        let is_staged = name.ends_with("sessions");
        let commands = if is_staged { computed.map(<[&str]>::to_vec).to_vec() } else { files(file) };
        for command in commands {
            std::fs::remove_file(folder.path().join("websessions.duckdb")).ok();
            done(&folder, &["run", "--page-views", "first.csv"]);
            if is_staged {
                done(&folder, &["load", "--staged", file]);
            }
            let before = tables(&folder);
            for answer in ["fail", "report"] {
                let option = format!("{variable}={answer}");
                let said = folder.run(&[&["-q", "--output", "json", "--var", &option], &command[..]].concat());
                let what = format!("{command:?}, {option}: {}{}", said.stdout, said.stderr);
                assert_eq!(said.code, if answer == "fail" { 4 } else { 0 }, "{what}");
                assert!(said.stderr.contains(words), "{what}");
                let report = json(&said.stdout);
                let counts = if answer == "fail" { &report["report"]["counts"] } else { &report["counts"] };
                assert_eq!(counts[name], 1, "{what}");
                assert!(answer == "report" || tables(&folder) == before, "{what}");
            }
        }
    }
}

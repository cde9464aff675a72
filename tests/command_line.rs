//! Whole commands: what they print, what they leave.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, Said, end_and_rest, fixtures, read_until, refused};
use websessions_test_servers::{open_for, signal};

/// What changes from run to run is masked.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(r"\d+\.\d{2} s", "[seconds]");
    settings.add_filter(r"/[^ ]*/fixtures/", "[fixtures]/");
    settings
}

fn sample() -> String {
    fixtures().join("page_views.csv.gz").to_string_lossy().into_owned()
}

#[test]
fn the_main_job_prints_a_summary() {
    let folder = Folder::new();
    let said = folder.run(&["--var", "ends_run=true", "run", "--page-views", &sample()]).done("run").expect("a run");
    settings().bind(|| insta::assert_snapshot!("run", format!("{}--- stderr\n{}", said.stdout, said.stderr)));
    // Again with the same page views: the same sessions, none doubled.
    let first = folder.contents("sessions", &[]).expect("sessions");
    folder.run(&["--var", "ends_run=true", "run", "--page-views", &sample()]).done("run").expect("a run");
    folder.contents("sessions", &[]).expect("sessions").expect(&first, "sessions").expect("the same sessions");
}

#[test]
fn help_and_backends_and_starter_configuration() {
    let folder = Folder::new();
    for (name, arguments) in [
        ("help", &["--help"] as &[&str]),
        ("help_run", &["run", "--help"]),
        ("backends", &["backends"]),
        ("config_show", &["--var", "entropy=_test", "config", "show"]),
    ] {
        let said = folder.run(arguments).done(name).expect("done");
        settings().bind(|| insta::assert_snapshot!(name, said.stdout));
    }
    folder.run(&["init"]).done("init").expect("a starter configuration");
    let starter = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("the file");
    settings().bind(|| insta::assert_snapshot!("starter", starter));
    assert_eq!(folder.run(&["init"]).code, 2, "it does not overwrite");
    folder.run(&["config", "show"]).done("config show").expect("the starter is valid");
    for shell in ["bash", "zsh", "fish"] {
        assert!(folder.run(&["completions", shell]).done(shell).expect("completions").stdout.contains("websessions"));
    }
}

/// An option that can be repeated counts wherever it stands: before the command's name, between two names, or behind.
#[test]
fn flags_count_on_both_sides_of_the_command_s_name() {
    let folder = Folder::new();
    let shown = |arguments: &[&str]| {
        let said = folder.run(arguments).done("config show").expect("shown");
        let values: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).expect("JSON");
        let value = |name: &str| values.iter().find(|value| value["name"] == name).expect("a value")["value"].clone();
        let text = |name: &str| value(name).as_str().expect("text").trim_matches('"').to_owned();
        ["entropy", "scratch_schema", "output_schema"].map(text)
    };
    let [first, second, third] = ["entropy=_x", "scratch_schema=one", "output_schema=two"];
    for arguments in [
        &["--output", "json", "--var", first, "config", "--var", second, "show", "--var", third][..],
        &["--var", first, "--var", second, "config", "show", "--output", "json", "--var", third],
        &["--var", first, "config", "--var", second, "--var", third, "--output=json", "show"],
        &["config", "show", "--var", first, "--var", second, "--var", third, "--output", "json"],
    ] {
        assert_eq!(shown(arguments), ["_x", "one", "two"], "{arguments:?}");
    }
    let last = ["--var", "entropy=_first", "--output", "json", "config", "show", "--var", "entropy=_last"];
    assert_eq!(shown(&last)[0], "_last");
    refused(
        &folder.run(&["--var", "entropi=_x", "plan", "--var", "stage_next=true"]),
        2,
        &["did you mean \"entropy\""],
    );
}

#[test]
fn flags_come_before_the_environment_before_the_file_before_defaults() {
    let folder = Folder::new();
    folder.write(
        "websessions.toml",
        "[variables]\nentropy = \"_file\"\nupsert_lookback_days = 3\nscratch_schema = \"of_the_file\"\n[target.here]\ntype = \"duckdb\"\nthreads = 1\nmemory_limit = { env = \"SECRET_LIMIT\" }\n",
    );
    let mut command = folder.command(&["--var", "entropy=_flag", "--output", "json", "config", "show"]);
    command.env("WEBSESSIONS_ENTROPY", "_environment").env("WEBSESSIONS_UPSERT_LOOKBACK_DAYS", "5");
    command.env("WEBSESSIONS_TARGET_THREADS", "2").env("SECRET_LIMIT", "not to be shown").env("WEBSESSIONS_TYPO", "1");
    let output = command.output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let shown: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let value = |name: &str| {
        let found = shown.iter().find(|value| value["name"] == name).expect("shown");
        (
            found["value"].as_str().unwrap_or_default().to_owned(),
            found["origin"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(value("entropy"), ("\"_flag\"".into(), "flag (--var)".into()));
    assert_eq!(value("upsert_lookback_days"), ("5".into(), "environment (WEBSESSIONS_UPSERT_LOOKBACK_DAYS)".into()));
    assert_eq!(value("scratch_schema"), ("\"of_the_file\"".into(), "websessions.toml".into()));
    assert_eq!(value("stage_next"), ("false".into(), "default".into()));
    assert_eq!(value("target.threads"), ("\"2\"".into(), "environment (WEBSESSIONS_TARGET_THREADS)".into()));
    assert_eq!(value("target.memory_limit").0, "{ env = \"SECRET_LIMIT\" }");
    assert!(!text.contains("not to be shown"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("WEBSESSIONS_TYPO is ignored"));
}

#[test]
fn custom_modules_run_between_main_and_complete_and_stand_in_the_plan() {
    let folder = Folder::new();
    folder.write(
        "websessions.toml",
        "[variables]\nends_run = true\n[[custom]]\nname = \"daily\"\nfiles = [\"daily.sql\"]\nvariables = { least = 2 }\n",
    );
    folder.write(
        "daily.sql",
        "-- sessions with at least {{.least}} page views, and what they were made of\nCREATE TABLE {{.output_schema}}.daily AS\nSELECT (SELECT COUNT(*) FROM {{.scratch_schema}}.sessions_this_run WHERE page_views >= {{or .least 1}}) AS session_count,\n  (SELECT COUNT(*) FROM {{.scratch_schema}}.page_views_staged) AS staged;\n",
    );
    let plan = folder.run(&["plan"]).done("plan").expect("a plan").stdout;
    assert!(plan.contains("WHERE page_views >= 2)"), "{plan}");
    let said = folder.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    assert!(said.stdout.contains("daily: done"), "{}", said.stdout);
    let daily = folder.contents("derived.daily", &[]).expect("the module's table");
    let sessions = folder.contents("sessions", &[]).expect("sessions");
    let long = sessions.column("page_views").into_iter().flatten().filter(|count| count != "1").count();
    assert_eq!(daily.rows, vec![vec![Some(long.to_string()), Some("1043".to_owned())]]);

    // A module that fails: main is committed, complete did not run, and the error says so.
    folder.write("daily.sql", "SELECT * FROM {{.scratch_schema}}.nothing_like_that");
    let said = folder.run(&["run", "--page-views", &sample()]);
    assert_eq!(said.code, 1);
    for word in [
        "nothing_like_that",
        "daily.sql",
        "production and metadata have this run's page views, sessions",
        "with the same flags",
    ] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    assert_eq!(folder.contents("page_views_staged", &[]).expect("staged").rows.len(), 1043);
}

#[test]
fn json_output_holds_the_report_and_events_hold_the_sql_of_the_plan() {
    let folder = Folder::new();
    let plan = folder.run(&["--output", "json", "plan", "run"]).done("plan").expect("a plan");
    let plans: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let mut planned = Vec::new();
    for unit in plans
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|plan| plan["plan"]["steps"].as_array().into_iter().flatten())
        .flat_map(|step| step["units"].as_array().into_iter().flatten())
    {
        let sql = |statement: &serde_json::Value| statement["sql"].as_str().expect("SQL").to_owned();
        if let Some(block) = unit.get("block") {
            planned.extend(block["statements"].as_array().into_iter().flatten().map(sql));
        } else if let Some(observation) = unit.get("observation") {
            planned.push(sql(&observation["statement"]));
        } else {
            planned.push(sql(&unit["statement"]));
        }
    }
    folder.run(&["load", "--staged", &sample()]).done("load").expect("staged");
    let said = folder.run(&["--output", "json", "--log-format", "json", "run"]).done("run").expect("a run");
    let sent: Vec<String> = said
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"))
        .filter(|event| event["event"] == "unit_started")
        .flat_map(|event| event["sql"].as_array().cloned().unwrap_or_default())
        .map(|sql| sql.as_str().expect("text").to_owned())
        .collect();
    assert!(planned.len() > 30);
    assert_eq!(sent, planned);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(report["findings"]["summary"]["rows"][0][0], 299);
    let failed = folder.run(&["--output", "json", "--var", "entropy=_none", "main"]);
    let error: serde_json::Value = serde_json::from_str(&failed.stdout).expect("JSON");
    assert_eq!((failed.code, error["exit_code"].as_i64()), (1, Some(1)));
}

#[test]
fn every_kind_of_file_gives_the_same_page_views() {
    let folder = Folder::new();
    folder.run(&["load", "--staged", &sample()]).done("load").expect("loaded");
    let expected = folder.contents("page_views_staged", &[]).expect("page views");
    for kind in ["csv", "parquet", "ndjson"] {
        let file = format!("page_views.{kind}");
        folder.run(&["export", "page_views_staged", "--to", &file]).done("export").expect("exported");
        let entropy = format!("entropy=_{kind}");
        folder.run(&["--var", &entropy, "load", "--staged", &file]).done("load").expect("loaded");
        let loaded = folder.contents("page_views_staged", &["--var", &entropy]).expect("page views");
        loaded.expect(&expected, kind).expect("the same page views");
    }
    // Optional columns may be missing, unknown ones are named.
    folder.write(
        "few.csv",
        "domain_sessionid,page_view_id,extra,page_view_in_session_index,start_tstamp,end_tstamp\ns,p,x,1,2024-01-01T00:00:00Z,2024-01-01 00:00:10+00\n",
    );
    let said = folder.run(&["--var", "entropy=_few", "load", "--staged", "few.csv"]).done("load").expect("loaded");
    assert!(said.stdout.contains("93 columns not in the file") && said.stdout.contains("extra"), "{}", said.stdout);
}

#[test]
fn a_killed_run_is_finished_by_the_next_one() {
    let reference = Folder::new();
    reference.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    let expected = reference.contents("sessions", &[]).expect("sessions");
    for step in ["setup", "input", "aggregates", "sessions", "metadata", "manifest", "upsert_limit", "commit"] {
        let folder = Folder::new();
        folder.run(&["load", "--staged", &sample()]).done("load").expect("staged");
        let (mut child, _lines) =
            folder.run_until(&["run"], &format!("\"step_started\",\"plan\":\"main\",\"step\":\"{step}\""));
        child.kill().expect("killed");
        child.wait().expect("gone");
        // Its lock is in the file, but nobody else can have the file: the next run goes on at once.
        folder.run(&["run"]).done("run").expect("a run");
        folder.contents("sessions", &[]).expect("sessions").expect(&expected, step).expect("the same sessions");
        assert_eq!(folder.contents("page_views_staged", &[]).expect("staged").rows.len(), 0);
    }
}

#[test]
fn ctrl_c_ends_a_run_in_order() {
    let folder = Folder::new();
    folder.run(&["load", "--staged", &sample()]).done("load").expect("staged");
    folder.write("websessions.toml", "[[custom]]\nname = \"slow\"\nfiles = [\"slow.sql\"]\n");
    folder.write("slow.sql", "CREATE TEMP TABLE slow AS SELECT COUNT(*) FROM range(1000000) AS a, range(10000000) AS b WHERE a.range * b.range % 7 = 1;");
    let (child, lines) = folder.run_until(&["run"], "\"unit_started\",\"plan\":\"slow\"");
    signal("-INT", child.id());
    let (code, rest) = end_and_rest(child, lines);
    assert_eq!(code, Some(130), "{rest}");
    assert!(rest.contains("cancelled") && rest.contains("\"committed\":true"), "{rest}");
    // The lock is free, and complete goes on from there.
    folder.write("websessions.toml", "");
    folder.run(&["complete"]).done("complete").expect("completed");
    assert_eq!(folder.contents("page_views_staged", &[]).expect("staged").rows.len(), 0);
}

#[test]
fn doctor_finds_what_is_wrong() {
    let folder = Folder::new();
    drop(duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("an empty database"));
    let said = folder.run(&["doctor"]);
    assert_eq!(said.code, 4);
    assert!(said.stdout.contains("page_views_staged") && said.stdout.contains("PROBLEM"), "{}", said.stdout);
    folder.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    let said = folder.run(&["doctor"]).done("doctor").expect("all is well");
    assert!(!said.stdout.contains("PROBLEM"), "{}", said.stdout);
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    connection.execute_batch("ALTER TABLE derived.sessions DROP COLUMN app_id").expect("altered");
    drop(connection);
    let said = folder.run(&["doctor"]);
    assert_eq!(said.code, 4);
    assert!(said.stdout.contains("app_id is missing"), "{}", said.stdout);
}

#[test]
fn destroy_lists_what_it_drops() {
    let folder = Folder::new();
    folder.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    let said = folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
    assert!(said.stderr.contains("drop derived.sessions") && said.stderr.contains("has 299 rows"), "{}", said.stderr);
    assert_eq!(folder.run(&["export", "sessions", "--to", "x.csv"]).code, 1);
}

#[test]
fn the_columns_of_a_table_are_listed_with_what_a_file_must_have() {
    let folder = Folder::new();
    let said = folder.run(&["columns"]).done("columns").expect("listed");
    assert!(said.stdout.contains("scratch.page_views_arrived") && said.stdout.contains("useragent"), "{}", said.stdout);
    let needed = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.contains("needed in every file"));
        lines.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
    };
    assert_eq!(needed(&said.stdout), ["page_view_id", "domain_sessionid", "start_tstamp"]);
    let said = folder.run(&["columns", "page_views_staged"]).done("columns").expect("listed");
    assert_eq!(needed(&said.stdout).len(), 5, "{}", said.stdout);
    let said = folder.run(&["--output", "json", "columns", "sessions"]).done("columns").expect("listed");
    let columns: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(columns.len(), 90);
    let said = folder.run(&["columns", "sesions"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean \"sessions\""), "{}", said.stderr);
}

#[test]
fn waiting_for_a_database_that_another_process_has_open() {
    let folder = Folder::new();
    folder.run(&["load", "--staged", &sample()]).done("load").expect("staged");
    let holder = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    for arguments in [&["main", "--wait", "1"] as &[&str], &["load", "--staged", &sample(), "--wait", "1"]] {
        let said = folder.run(arguments);
        assert_eq!(said.code, 3, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains("waiting up to 1 s"), "{}", said.stderr);
    }
    let (waiting, lines) = folder.run_until(&["run", "--wait", "300"], "waiting up to 300 s");
    drop(holder);
    let (code, rest) = end_and_rest(waiting, lines);
    assert_eq!(code, Some(0), "{rest}");
    assert!(folder.contents("sessions", &[]).expect("sessions").rows.len() > 200);
}

/// A statement that the engine doesn't stop: the second Ctrl-C ends the process all the same, and says what it left.
#[test]
fn a_second_ctrl_c_gives_the_statement_up() {
    let folder = Folder::new();
    folder.run(&["load", "--staged", &sample()]).done("load").expect("staged");
    // A pipe into which nothing is written: reading it is not interrupted.
    let fifo = folder.path().join("nothing.csv");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo starts").success());
    folder.write("websessions.toml", "[[custom]]\nname = \"stuck\"\nfiles = [\"stuck.sql\"]\n");
    folder.write("stuck.sql", "SELECT * FROM read_text('nothing.csv');");
    let (mut child, mut lines) = folder.run_until(&["run"], "\"unit_started\",\"plan\":\"stuck\"");
    // From here on the engine is in that statement.
    let _writer = open_for(&mut child, &fifo);
    signal("-INT", child.id());
    read_until(&mut lines, "\"event\":\"cancelling\"");
    signal("-INT", child.id());
    let (code, rest) = end_and_rest(child, lines);
    assert_eq!(code, Some(130), "{rest}");
    for words in ["cancelled before the end of stuck/", "whether that was applied is not known", "websessions unlock"] {
        assert!(rest.contains(words), "{words}: {rest}");
    }
    // Main is committed, and complete goes on from there.
    folder.write("websessions.toml", "");
    folder.run(&["complete"]).done("complete").expect("completed");
}

/// An empty variable of the environment says nothing, and what it was to say is not guessed.
#[test]
fn an_empty_variable_of_the_environment_is_refused() {
    let folder = Folder::new();
    let of_model = websessions_core::variables::VARIABLES.iter().map(|variable| variable.name.to_uppercase());
    let of_flags = ["CONFIG", "TARGET", "DATABASE", "LINEAGE"].map(str::to_owned);
    let of_target = ["TARGET_THREADS", "TARGET_MEMORY_LIMIT"].map(str::to_owned);
    let all: Vec<String> =
        of_model.chain(of_flags).chain(of_target).map(|name| format!("WEBSESSIONS_{name}")).collect();
    assert!(all.len() > 20, "{all:?}");
    for variable in &all {
        let with = |arguments: &[&str]| {
            Said::from(folder.command(arguments).env(variable, "").output().expect("the binary starts"))
        };
        refused(&with(&["status"]), 2, &[&format!("the environment variable {variable} is empty")]);
        with(&["--version"]).done("--version").expect("it needs none");
    }
    assert!(!folder.path().join("websessions.duckdb").exists());
    refused(&folder.run(&["rebuild"]), 2, &["--from <DATE>", "Usage: websessions rebuild --from <DATE>"]);
}

/// A resume that fails where the run did says that what comes before is done.
#[test]
fn a_resume_that_fails_says_what_the_run_before_had_done() {
    let folder = Folder::new();
    folder.write("views.csv", "page_view_id,domain_sessionid,start_tstamp\np1,s1,2024-01-01\n");
    folder.write("mine.sql", "SELECT * FROM derived.nowhere");
    folder.write("websessions.toml", "[[custom]]\nname = \"mine\"\nfiles = [\"mine.sql\"]\n");
    refused(&folder.run(&["run", "--page-views", "views.csv"]), 1, &["production and metadata have this run's"]);
    for _ in 0..2 {
        let said = folder.run(&["resume", "--page-views", "views.csv"]);
        refused(
            &said,
            1,
            &["done before: what comes before this step, by the run that is resumed; since then nothing"],
        );
    }
    folder.write("mine.sql", "SELECT 1 AS one");
    folder.run(&["resume", "--page-views", "views.csv"]).done("resume").expect("done");
    refused(&folder.run(&["resume"]), 2, &["done before: nothing"]);
}

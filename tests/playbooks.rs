//! Directories of playbooks, through the real binary: run, planned, checked, imported, resumed.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, Said, copy, fixtures, refused};
use websessions_core::words::counted;
use websessions_test_servers::Cluster;

const WAREHOUSES: [&str; 4] = ["redshift", "postgres", "snowflake", "bigquery"];

/// Two sessions: one with page views of 40, 10 and 30 engaged seconds, one with one of 5.
const PAGE_VIEWS: &str = "\
page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp,engaged_time_in_s
p1,s1,u1,1,2024-01-01 10:00:00,2024-01-01 10:01:00,40
p2,s1,u1,2,2024-01-01 10:02:00,2024-01-01 10:03:00,10
p3,s1,u1,3,2024-01-01 10:04:00,2024-01-01 10:05:00,30
p4,s2,u2,1,2024-01-02 10:00:00,2024-01-02 10:01:00,5
";

/// A folder with a warehouse's playbooks, whose file's target is the embedded default.
fn folder(warehouse: &str) -> Folder {
    let folder = Folder::new();
    copy(&fixtures().join("playbooks").join(warehouse), folder.path());
    folder.write("websessions.toml", "[target.laptop]\ntype = \"duckdb\"\n");
    folder.write("views.csv", PAGE_VIEWS);
    folder
}

/// The same without what only Postgres has.
fn portable() -> Folder {
    let folder = folder("postgres");
    folder.write("sql/custom/04-script.sql", "SELECT 1; SELECT 2");
    folder
}

const ON_DUCKDB: [&str; 5] = ["--target", "laptop", "run", "--playbooks", "playbooks"];

/// A table's rows, sorted, as `a|b`.
fn rows(folder: &Folder, table: &str, options: &[&str]) -> Vec<String> {
    let options: Vec<&str> = [&["--var", "entropy=_test"], options].concat();
    let contents = folder.contents(table, &options).unwrap_or_else(|error| panic!("{error}"));
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
    let mut rows: Vec<String> =
        contents.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect();
    rows.sort();
    rows
}

fn count(folder: &Folder, table: &str, options: &[&str]) -> usize {
    rows(folder, table, options).len()
}

/// How often main of the sessions module has committed.
fn mains(folder: &Folder, options: &[&str]) -> usize {
    let options: Vec<&str> = [&["--var", "entropy=_test"], options].concat();
    let metadata = folder.contents("datamodel_metadata", &options).expect("metadata");
    metadata.column("module").into_iter().flatten().filter(|module| module == "sessions").count()
}

#[test]
fn every_warehouse_s_playbooks_are_planned_and_found_good() {
    for warehouse in WAREHOUSES {
        let folder = folder(warehouse);
        std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
        let said = folder.run(&["lint", "--playbooks", "playbooks"]).done("lint").expect("good");
        let counts = said.stdout.lines().last().unwrap_or_default();
        assert!(counts.starts_with("0 errors, ") && counts.contains(" warning"), "{}", said.stdout);
        let planned = folder.run(&["plan", "--playbooks", "playbooks"]).done("plan").expect("a plan").stdout;
        for words in [
            format!("-- main ({warehouse})"),
            format!("-- AA-engagement ({warehouse})"),
            format!("-- complete ({warehouse})"),
            "engaged_time_in_s >= 30".to_owned(),
            "session_engagement_debug_test".to_owned(),
            "('search'), ('social')\n, ('default of 30')\n, ('10')".to_owned(),
        ] {
            assert!(planned.contains(&words), "{words} is not in the plan of {warehouse}: {planned}");
        }
        assert!(!planned.contains("{{"), "{planned}");
        // The standard steps are the model's own phase, with the playbook's variables.
        let own = folder.run(&[
            "plan",
            "main",
            "--dialect",
            warehouse,
            "--var",
            "entropy=_test",
            "--var",
            "stage_next=true",
            "--var",
            if ["redshift", "postgres"].contains(&warehouse) {
                "model_version=redshift/web/1.2.0"
            } else if warehouse == "snowflake" {
                "model_version=snowflake/web/1.2.0"
            } else {
                "model_version=bigquery/web/1.2.0"
            },
        ]);
        assert!(planned.starts_with(&own.stdout), "main of {warehouse} is another one");
        let jobs = folder.run(&["plan", "--config-json", "jobs.json"]).done("plan").expect("a plan").stdout;
        assert_eq!(jobs, planned, "the job list's order is the graph's");
        let destroy = folder.run(&["plan", "destroy", "--playbooks", "playbooks", "--var", "entropy=_test"]);
        assert!(destroy.done("plan").expect("a plan").stdout.contains("sessions_test"));
    }
}

/// Lines that end in CR LF, after a byte order mark.
#[test]
fn files_written_on_windows_are_read_alike() {
    let folder = portable();
    let planned = |folder: &Folder| {
        folder.run(&["lint", "--playbooks", "playbooks"]).done("lint").expect("good");
        folder.run(&["plan", "--playbooks", "playbooks"]).done("plan").expect("a plan").stdout.replace('\r', "")
    };
    std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
    let before = planned(&folder);
    for directory in ["playbooks", "sql/custom"] {
        for entry in std::fs::read_dir(folder.path().join(directory)).expect("a folder").filter_map(Result::ok) {
            let text = std::fs::read_to_string(entry.path()).expect("a file");
            std::fs::write(entry.path(), format!("\u{feff}{}", text.replace('\n', "\r\n"))).expect("written");
        }
    }
    assert_eq!(planned(&folder), before);
}

fn the_custom_table_is_right(folder: &Folder, options: &[&str]) {
    assert_eq!(rows(folder, "derived.session_engagement_test", options), ["s1|3|2", "s2|1|0"]);
    assert_eq!(rows(folder, "derived.session_notes_test", options), ["10", "default of 30", "search", "social"]);
    assert_eq!(rows(folder, "derived.session_engagement_debug_test", options), Vec::<String>::new());
    assert_eq!(count(folder, "sessions", options), 2);
    assert_eq!(count(folder, "sessions_userid_manifest_staged", options), 2);
    assert_eq!(count(folder, "page_views_staged", options), 0);
}

#[test]
fn a_directory_runs_on_the_embedded_engine() {
    let folder = portable();
    let said = folder.run(&[&ON_DUCKDB[..], &["--page-views", "views.csv"]].concat()).done("run").expect("a run");
    for line in ["main/commit done", "AA-engagement/01-engagement: long-views done", "complete/cleanup done"] {
        assert!(said.stderr.contains(line), "{line}: {}", said.stderr);
    }
    the_custom_table_is_right(&folder, &[]);
    // Again: delete and insert leave one row a session.
    folder.run(&[&ON_DUCKDB[..], &["--page-views", "views.csv"]].concat()).done("run").expect("a run");
    assert_eq!(rows(&folder, "derived.session_engagement_test", &[]), ["s1|3|2", "s2|1|0"]);
    // The command line overrides, with the type of what it overrides.
    let arguments = [&ON_DUCKDB[..], &["--page-views", "views.csv", "--var", "minimum_seconds=10"]].concat();
    folder.run(&arguments).done("run").expect("a run");
    assert_eq!(rows(&folder, "derived.session_engagement_test", &[]), ["s1|3|3", "s2|1|0"]);
    refused(
        &folder.run(&[&ON_DUCKDB[..], &["--var", "stage_next=perhaps"]].concat()),
        2,
        &["variable stage_next: must be true or false"],
    );
    // Only destroy destroys.
    let file = "playbooks/XX-destroy-sessions.yml.tmpl";
    refused(&folder.run(&["--target", "laptop", "run", "--playbook", file]), 2, &["websessions destroy --playbook"]);
    folder.run(&["--target", "laptop", "destroy", "--yes", "--playbook", file]).done("destroy").expect("destroyed");
    refused(&folder.run(&["--var", "entropy=_test", "export", "sessions", "--to", "x.csv"]), 1, &["does not exist"]);
}

#[test]
fn a_directory_runs_on_postgres_unmodified() {
    let cluster = Cluster::start("").expect("a server");
    let folder = folder("postgres");
    // The blanks of the playbooks' target come from the file's.
    folder.write("websessions.toml", &format!("[target.server]\ntype = \"postgres\"\nurl = {:?}\n", cluster.url()));
    let arguments = ["run", "--playbooks", "playbooks", "--page-views", "views.csv"];
    folder.run(&arguments).done("run").expect("a run");
    the_custom_table_is_right(&folder, &[]);
    assert_eq!(rows(&folder, "derived.session_script_ran", &[]), ["t"]);
    // A failing query: the line of the template, the line as it was sent, the server's words.
    let custom = folder.path().join("sql/custom/01-engagement.sql");
    let good = std::fs::read_to_string(&custom).expect("a file");
    std::fs::write(&custom, good.replace("s.page_views,\n  SUM", "s.page_vews,\n  SUM")).expect("written");
    let said = folder.run(&arguments);
    refused(&said, 1, &["01-engagement.sql:14 (line 13 as sent)", "page_vews", "step 01-engagement of AA-engagement"]);
    assert_eq!(count(&folder, "page_views_staged", &[]), 4, "complete did not run");
    std::fs::write(&custom, good).expect("written");
    let resume = [&["resume"], &arguments[1..]].concat();
    refused(&folder.run(&resume[..3]), 2, &["what comes before it is not what it was", "its --page-views too"]);
    folder.run(&resume).done("resume").expect("resumed");
    assert_eq!(rows(&folder, "derived.session_engagement_test", &[]), ["s1|3|2", "s2|1|0"]);
    assert_eq!((count(&folder, "sessions", &[]), count(&folder, "page_views_staged", &[])), (2, 0));
}

#[test]
fn what_a_script_leaves_open_ends_with_it() {
    let cluster = Cluster::start("").expect("a server");
    for target in ["type = \"duckdb\"".to_owned(), format!("type = \"postgres\"\nurl = {:?}", cluster.url())] {
        let folder = Folder::new();
        folder.write("views.csv", PAGE_VIEWS);
        let module = "[[custom]]\nname = \"own\"\nfiles = [\"0.sql\", \"1.sql\", \"2.sql\"]\n";
        folder.write("websessions.toml", &format!("[target.own]\n{target}\n{module}"));
        folder.write("0.sql", "CREATE TABLE derived.kept (n INTEGER)");
        folder.write("1.sql", "BEGIN; INSERT INTO derived.kept VALUES (1)");
        folder.write("2.sql", "BEGIN; INSERT INTO derived.kept VALUES (2); COMMIT");
        let said = folder.run(&["lint"]).done("lint").expect("a warning alone").stdout;
        let warning = "1.sql:1: warning: begins a transaction and doesn't end it";
        assert!(said.contains(warning) && said.ends_with("0 errors, 1 warning\n"), "{said}");
        folder.run(&["run", "--page-views", "views.csv"]).done("run").expect("a run");
        assert_eq!(rows(&folder, "derived.kept", &[]), ["2"], "{target}");
    }
}

#[test]
fn a_failed_query_lets_its_siblings_end_and_resume_finishes_the_run() {
    let folder = portable();
    folder.write("sql/custom/04-script.sql", "SELECT 1;\nSELECT * FROM nowhere");
    let run = [&ON_DUCKDB[..], &["--page-views", "views.csv"]].concat();
    let said = folder.run(&run);
    refused(
        &said,
        1,
        &["step 02-notes of AA-engagement", "custom/04-script.sql", "nowhere", "production and metadata have"],
    );
    // The other query of the step ran; production is as main left it; complete did not run.
    assert_eq!(count(&folder, "derived.session_notes_test", &[]), 4);
    assert_eq!(count(&folder, "sessions", &[]), 2);
    assert_eq!(count(&folder, "page_views_staged", &[]), 4);
    assert_eq!(mains(&folder, &[]), 1);

    let resume = ["--target", "laptop", "resume", "--playbooks", "playbooks", "--page-views", "views.csv"];
    // Not mended: it fails at the same step, and can be resumed again.
    let said = folder.run(&resume);
    refused(&said, 1, &["step 02-notes of AA-engagement", "'websessions resume' with the same flags continues there"]);
    assert!(!said.stderr.contains("production was not changed"), "{}", said.stderr);
    // What is done already must be as it was.
    let changed = [&resume[..], &["--var", "minimum_seconds=10"]].concat();
    refused(&folder.run(&changed), 2, &["stopped at AA-engagement/02-notes", "is not what it was"]);
    refused(&folder.run(&["--var", "entropy=_test", "resume"]), 2, &["which is no step of this one"]);

    folder.write("sql/custom/04-script.sql", "SELECT 1");
    let said = folder.run(&resume).done("resume").expect("resumed");
    assert!(!said.stderr.contains("main/"), "main ran again: {}", said.stderr);
    assert_eq!(count(&folder, "page_views_staged", &[]), 0);
    assert_eq!(mains(&folder, &[]), 1, "main ran once");
    refused(&folder.run(&resume), 2, &["no run of these schemas and entropy has failed"]);
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("opens");
    let left: i64 = connection
        .query_row("SELECT COUNT(*) FROM duckdb_tables() WHERE table_name LIKE '%lock%'", [], |row| row.get(0))
        .expect("counted");
    assert_eq!(left, 0, "the note is gone with the lock");
}

#[test]
fn a_part_of_a_run() {
    let folder = portable();
    folder
        .run(&[&ON_DUCKDB[..], &["--page-views", "views.csv", "--until-step", "main/commit"]].concat())
        .done("run")
        .expect("a run");
    assert_eq!((count(&folder, "sessions", &[]), count(&folder, "page_views_staged", &[])), (2, 4));
    let said = folder.run(&[&ON_DUCKDB[..], &["--only-step", "01-engagement"]].concat()).done("run").expect("a run");
    assert!(!said.stderr.contains("02-notes") && !said.stderr.contains("main/"), "{}", said.stderr);
    assert_eq!(count(&folder, "derived.session_engagement_test", &[]), 2);
    folder.run(&[&ON_DUCKDB[..], &["--from-step", "AA-engagement/02-notes"]].concat()).done("run").expect("a run");
    assert_eq!((count(&folder, "derived.session_notes_test", &[]), count(&folder, "page_views_staged", &[])), (4, 0));
    for (flags, words) in [
        (["--from-step", "01-engagment"], "did you mean \"01-engagement\""),
        (["--only-step", "input"], "several steps: main/input, complete/input"),
    ] {
        refused(&folder.run(&[&ON_DUCKDB[..], &flags].concat()), 2, &[words]);
    }
    let planned = folder.run(&["--target", "laptop", "plan", "--playbooks", "playbooks", "--only-step", "cleanup"]);
    assert!(planned.done("plan").expect("a plan").stdout.starts_with("-- complete (duckdb)\n\n-- step cleanup"));
}

#[test]
fn a_set_up_step_alone_is_no_main() {
    let folder = Folder::new();
    let playbook = |name: &str, steps: &[(&str, &str)]| {
        let steps: String = steps
            .iter()
            .map(|(name, file)| {
                format!(
                    "- :name: {name}\n  :queries:\n    - :name: {name}\n      :file: {file}\n      :template: true\n"
                )
            })
            .collect();
        folder.write(
            &format!("playbooks/{name}.yml.tmpl"),
            &format!(":variables:\n  :scratch_schema: scratch\n  :output_schema: derived\n:steps:\n{steps}"),
        );
    };
    std::fs::create_dir_all(folder.path().join("playbooks")).expect("a folder");
    std::fs::create_dir_all(folder.path().join("sql/standard/00-setup/01-main")).expect("a folder");
    let set_up = ("01-procedures", "standard/00-setup/01-main/01-stored-procedures.sql");
    playbook("00-stage", &[set_up, ("stage", "stage.sql")]);
    playbook("01-sessions-main", &[set_up, ("01-aggs", "standard/03-sessions/01-main/01-aggs.sql")]);
    playbook("04-users", &[set_up, ("users", "users.sql")]);
    playbook("99-sessions-complete", &[("99-cleanup", "standard/03-sessions/99-complete/99-cleanup.sql")]);
    folder.write(
        "sql/stage.sql",
        "INSERT INTO scratch.page_views_staged (page_view_id, domain_sessionid, domain_userid, page_view_in_session_index, start_tstamp, \
         end_tstamp, engaged_time_in_s) VALUES ('p5', 's2', 'u2', 2, TIMESTAMP '2024-01-02 10:05:00', TIMESTAMP '2024-01-02 10:06:00', 7)",
    );
    folder.write("sql/users.sql", "CREATE OR REPLACE TABLE derived.my_users AS SELECT domain_userid, SUM(page_views) AS page_views FROM derived.sessions GROUP BY 1");
    folder.write(
        "jobs.json",
        r#"{"data": {"enabled": true, "storage": "", "playbooks": [
            {"playbook": "00-stage", "dependsOn": []}, {"playbook": "01-sessions-main", "dependsOn": ["00-stage"]},
            {"playbook": "04-users", "dependsOn": ["01-sessions-main"]},
            {"playbook": "99-sessions-complete", "dependsOn": ["01-sessions-main", "04-users"]}]}}"#,
    );
    folder.write("views.csv", PAGE_VIEWS);
    let own = ["--var", "entropy="];
    for source in [["--config-json", "jobs.json"], ["--playbooks", "playbooks"]] {
        folder.run(&["load", "views.csv"]).done("load").expect("loaded");
        let before = mains(&folder, &own);
        let said = folder.run(&[&["run"], &source[..]].concat()).done("run").expect("a run");
        assert!(said.stderr.contains("01-stored-procedures.sql is left out: there is no such file"), "{}", said.stderr);
        assert_eq!(mains(&folder, &own), before + 1, "one main");
        assert_eq!(rows(&folder, "derived.my_users", &own), ["u1|3", "u2|2"], "main ran after what stages");
    }
    // Where a user's SQL calls what the set-up step makes, its file runs if it is there, once, before it is called.
    folder.write("sql/users.sql", "SELECT derived.twice(1)");
    let calls = "sql/users.sql:1: warning: calls derived.tidy, which no step makes; there is no standard/00-setup";
    folder.run(&["lint", "--playbooks", "playbooks"]).done("lint").expect("stage.sql may write to the input");
    std::fs::remove_file(folder.path().join("playbooks/00-stage.yml.tmpl")).expect("removed");
    playbook("04-users", &[("users", "users.sql")]);
    folder.write("sql/users.sql", "CALL derived.tidy(1)");
    let lint = folder.run(&["lint", "--playbooks", "playbooks"]).done("lint").expect("a warning alone");
    assert!(lint.stdout.contains(calls), "{}", lint.stdout);
    let file = "sql/standard/00-setup/01-main/01-stored-procedures.sql";
    folder.write(file, "CREATE OR REPLACE PROCEDURE {{.output_schema}}.tidy(x INT64) BEGIN SELECT x; END;");
    let lint = folder.run(&["lint", "--playbooks", "playbooks"]).done("lint").expect("nothing found");
    assert!(lint.stdout.ends_with("0 errors, 0 warnings\n"), "{}", lint.stdout);
    let planned = folder.run(&["plan", "--playbooks", "playbooks"]).done("plan").expect("a plan");
    assert_eq!(plan_names(&planned), ["01-sessions-main", "main", "04-users", "complete"]);
    folder.write("sql/users.sql", "SELECT 1");
    let planned = folder.run(&["plan", "--playbooks", "playbooks"]).done("plan").expect("a plan");
    assert_eq!(plan_names(&planned), ["main", "04-users", "complete"], "nobody needs it");
}

#[test]
fn a_custom_module_s_tables_are_its_own() {
    let folder = Folder::new();
    let playbook = |targets: &str| {
        format!(
            "targets: [{{type: {targets}}}]\nvariables: {{scratch_schema: scratch, output_schema: derived, entropy: _x}}\nsteps: [{{name: own, queries: [{{name: own, file: own.sql, template: true}}]}}]\n"
        )
    };
    for warehouse in WAREHOUSES {
        folder.write("AA-own.yml", &playbook(warehouse));
        folder.write(
            "own.sql",
            "DROP TABLE IF EXISTS {{.scratch_schema}}.clicks_staged{{.entropy}};\n\
             CREATE TABLE {{.scratch_schema}}.clicks_staged{{.entropy}} AS SELECT page_view_id FROM {{.scratch_schema}}.page_views_staged{{.entropy}};\n\
             DELETE FROM {{.scratch_schema}}.events_staged{{.entropy}} WHERE TRUE;\n\
             DELETE FROM {{.output_schema}}.base_event_id_manifest{{.entropy}} WHERE TRUE;\n\
             DELETE FROM mine.sessions WHERE TRUE",
        );
        let said = folder.run(&["lint", "--playbook", "AA-own.yml"]).done("lint").expect("nothing found");
        assert!(said.stdout.ends_with("0 errors, 0 warnings\n"), "{warehouse}: {}", said.stdout);
        // What modules hand on to each other is for modules of one's own too.
        for table in ["scratch.page_views_staged_x", "scratch.sessions_userid_manifest_staged_x"] {
            folder.write(
                "own.sql",
                &format!("DELETE FROM {table} WHERE TRUE;\nINSERT INTO {table} SELECT * FROM {table}"),
            );
            folder.run(&["lint", "--playbook", "AA-own.yml"]).done("lint").expect("nothing found");
        }
        for (table, severity) in [
            ("derived.sessions_x", "error"),
            ("DERIVED.SESSIONS", "error"),
            ("sessions_x", "error"),
            ("derived.datamodel_metadata_x", "error"),
            ("scratch.sessions_this_run_x", "warning"),
        ] {
            folder.write("own.sql", &format!("SELECT 1;\nDELETE FROM {table} WHERE TRUE"));
            let said = folder.run(&["lint", "--playbook", "AA-own.yml"]);
            let line = format!("own.sql:2: {severity}: writes to");
            assert!(said.stdout.contains(&line), "{warehouse} {table}: {}", said.stdout);
        }
    }
}

#[test]
fn scalars_and_layouts_reach_the_sql_as_they_are_written() {
    let folder = Folder::new();
    folder.write(
        "pb.yml",
        ":targets:\n- :type: postgres\n:variables:\n  :country: {{or .country \"NO\"}}\n  :flag: y\n  :account: 17841400008460056123\n  :longer: 340282366920938463463374607431768211456\n\
         :steps:\n- :name: s\n  :queries:\n    - :name: q\n      :file: q.sql\n      :template: true\n",
    );
    folder.write("q.sql", "SELECT '{{.country}}', '{{.flag}}', '{{.account}}', '{{.longer}}', '{{nowWithFormat \"MST Z07:00 -07 Monkey\"}}'");
    let planned = |zone: &str, variables: &[&str]| {
        let mut command = folder.command(&[&["plan", "--playbook", "pb.yml"], variables].concat());
        let said: Said = command.env("TZ", zone).output().expect("starts").into();
        said.done("plan").expect("a plan").stdout
    };
    let numbers = "'17841400008460056123', '340282366920938463463374607431768211456'";
    assert!(planned("UTC", &[]).contains(&format!("SELECT 'NO', 'y', {numbers}, 'UTC Z +00 Monkey'")));
    let given = planned("Asia/Kolkata", &["--var", "country=no", "--var", "account=99999999999999999999"]);
    assert!(given.contains("SELECT 'no', 'y', '99999999999999999999'"), "{given}");
    assert!(given.contains("'IST +05:30 +05 Monkey'"), "{given}");
    assert!(planned("CET-1CEST", &[]).contains("'UTC Z +00 Monkey'"), "a rule is no zone to Go");
}

#[test]
fn another_warehouse_s_playbook_needs_the_target_s_name() {
    let folder = folder("snowflake");
    refused(
        &folder.run(&["run", "--playbooks", "playbooks"]),
        2,
        &[
            "it is for a snowflake, but the target laptop of websessions.toml is a duckdb",
            "--target laptop runs it there",
        ],
    );
    // Without a file, the playbook's own target is meant; what it lacks is asked for, and no secret is shown.
    std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
    refused(
        &folder.run(&["run", "--playbooks", "playbooks"]),
        2,
        &[
            "a snowflake target needs ",
            "in a playbook's target",
            "WEBSESSIONS_TARGET_…",
            "'websessions backends' lists them",
        ],
    );
    let other = fixtures().join("playbooks/bigquery/playbooks/AA-engagement.yml.tmpl");
    std::fs::copy(other, folder.path().join("playbooks/AB-other.yml.tmpl")).expect("copied");
    refused(&folder.run(&["plan", "--playbooks", "playbooks"]), 2, &["its target is a bigquery, but a snowflake"]);
}

/// A whole tree of a warehouse's: configs, playbooks and SQL, standard and custom.
fn tree(warehouse: &str) -> Folder {
    let folder = Folder::new();
    copy(&fixtures().join("playbooks/trees").join(warehouse), folder.path());
    folder
}

/// The same, with events in the embedded engine, which it is to run on.
fn tree_on_duckdb() -> Folder {
    let folder = tree("postgres");
    folder.write("websessions.toml", "[target.laptop]\ntype = \"duckdb\"\n");
    let views = folder.write("events.csv", PAGE_VIEWS);
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("opens");
    connection
        .execute_batch(&format!(
            "CREATE SCHEMA atomic; CREATE TABLE atomic.events AS SELECT page_view_id AS event_id, * FROM read_csv('{}')",
            views.display()
        ))
        .expect("events");
    folder
}

/// The names of the plans that a command prints, in order.
fn plan_names(said: &Said) -> Vec<String> {
    let first_words = said.stdout.lines().filter_map(|line| line.strip_prefix("-- ")?.split_once(" ("));
    let warehouses = ["duckdb)", "postgres)", "redshift)", "snowflake)", "bigquery)"];
    first_words.filter(|(_, rest)| warehouses.contains(rest)).map(|(name, _)| name.to_owned()).collect()
}

const TREE_MAINS: [&str; 5] = ["00-setup-metadata", "01-base-main", "01-page-views-main", "main", "users_main"];
const TREE_DESTROYS: [&str; 7] = [
    "XX-destroy-loyalty",
    "XX-destroy-engagement",
    "users_destroy",
    "destroy",
    "XX-destroy-page-views",
    "XX-destroy-base",
    "XX-destroy-metadata",
];

#[test]
fn a_whole_tree_is_planned_each_module_once_and_in_order() {
    for warehouse in WAREHOUSES {
        let folder = tree(warehouse);
        let planned = folder.run(&["plan", "--playbooks", "playbooks"]).done("plan").expect("a plan");
        let completes = [
            "99-engagement-complete",
            "99-metadata-complete",
            "99-base-complete",
            "99-page-views-complete",
            "complete",
            "users_complete",
        ];
        let expected = [&TREE_MAINS[..], &["01-engagement-main", "01-loyalty-main"], &completes].concat();
        assert_eq!(plan_names(&planned), expected, "{warehouse}");
        assert!(planned.stderr.contains("99-migrations is left out"), "{}", planned.stderr);
        // Statements of the scripts stand there once, those that make procedures too.
        for words in ["INSERT INTO derived.base_event_id_manifest", "long_views\nFROM", "EXISTS derived.loyalty ("] {
            assert_eq!(planned.stdout.matches(words).count(), 1, "{words} of {warehouse}");
        }
        // A module's own phase, with the variables of its playbook, which ends the run.
        let main = planned_steps(&planned.stdout, "users_main");
        assert!(main.contains(&format!("'{warehouse}/web/0.1.0'")), "{warehouse}: {main}");
        assert!(planned_steps(&planned.stdout, "users_complete").contains("metadata_run_id"), "{}", planned.stdout);
        assert!(!planned_steps(&planned.stdout, "complete").contains("metadata_run_id"), "{}", planned.stdout);
        let without_effect = planned.stderr.matches("has no effect on users").count();
        assert_eq!(without_effect, 2 * usize::from(warehouse == "bigquery"), "{}", planned.stderr);
        for (flags, plans) in [(&[][..], ["main"]), (&["--module", "users"], ["users_main"])] {
            let arguments = [&["plan", "main", "--playbooks", "playbooks"], flags].concat();
            assert_eq!(plan_names(&folder.run(&arguments).done("plan").expect("a plan")), plans, "{warehouse}");
        }
        let procedures = planned.stdout.matches("PROCEDURE derived.commit_table").count();
        assert_eq!(procedures, usize::from(["snowflake", "bigquery"].contains(&warehouse)), "{warehouse}");
        assert!(!planned.stdout.contains("ALTER TABLE derived.users"), "a migration is no part of a run");

        // Any folder of the tree, from anywhere.
        for (inside, playbooks, plans) in [
            ("", "playbooks/standard/03-sessions", &["main", "complete"][..]),
            ("playbooks/standard", "03-sessions", &["main", "complete"]),
            ("playbooks/standard/03-sessions", ".", &["main", "complete"]),
            ("playbooks/standard", "04-users", &["users_main", "users_complete"]),
            ("playbooks", "custom", &["01-engagement-main", "01-loyalty-main", "99-engagement-complete"]),
            ("playbooks/standard", "99-migrations", &["0.1.0-migration"]),
        ] {
            let mut command = folder.command(&["plan", "--playbooks", playbooks]);
            let said: Said = command.current_dir(folder.path().join(inside)).output().expect("starts").into();
            let said = said.done("plan").expect("a plan");
            assert_eq!(plan_names(&said), plans, "{warehouse}: {playbooks} from {inside:?}");
        }

        // The whole of it, with its SQL, is read alike; a folder without playbooks is nothing that is left out.
        let whole = folder.run(&["plan", "--playbooks", "."]).done("plan").expect("a plan");
        assert_eq!(plan_names(&whole), expected, "{warehouse}");
        assert_eq!(whole.stderr.matches("is left out").count(), 1, "{}", whole.stderr);

        // A job list's graph orders what it lists; a storage that is no warehouse's name says nothing.
        let listed = folder.run(&["plan", "--config-json", "configs/everything.json"]).done("plan").expect("a plan");
        let expected = [
            "00-setup-metadata",
            "01-base-main",
            "01-page-views-main",
            "99-base-complete",
            "01-engagement-main",
            "99-engagement-complete",
            "main",
            "99-page-views-complete",
            "users_main",
            "complete",
            "01-loyalty-main",
            "users_complete",
        ];
        assert_eq!(plan_names(&listed), expected, "{warehouse}");

        // What destroys runs through destroy alone, all of it, the last module first.
        let destroys = folder.run(&["plan", "destroy", "--playbooks", "playbooks"]).done("plan").expect("a plan");
        assert_eq!(plan_names(&destroys), TREE_DESTROYS, "{warehouse}");
        let torn_down = folder.run(&["plan", "destroy", "--config-json", "configs/teardown.json"]);
        assert_eq!(plan_names(&torn_down.done("plan").expect("a plan")), TREE_DESTROYS, "{warehouse}");
        let teardown = ["run", "--config-json", "configs/teardown.json"];
        refused(&folder.run(&teardown), 2, &["this playbook destroys", "websessions destroy --config-json"]);
        let everything = ["destroy", "--yes", "--config-json", "configs/everything.json"];
        refused(&folder.run(&everything), 2, &["this playbook destroys nothing"]);

        for source in [
            ["--playbooks", "playbooks"],
            ["--config-json", "configs/everything.json"],
            ["--config-json", "configs/teardown.json"],
        ] {
            let said = folder.run(&[&["lint"], &source[..]].concat()).done("lint").expect("nothing found");
            // The migrations are left out, and two variables of BigQuery's users have no effect.
            let warnings = usize::from(source[0] == "--playbooks")
                + 2 * usize::from(warehouse == "bigquery" && !source[1].contains("teardown"));
            assert!(
                said.stdout.ends_with(&format!("0 errors, {}\n", counted(warnings, "warning"))),
                "{warehouse}: {}",
                said.stdout
            );
        }
    }
}

/// The tables of a tree's run: base's manifest, page views, sessions, users, the custom module's.
fn the_tree_is_right(folder: &Folder) {
    let own = ["--var", "entropy="];
    assert_eq!(rows(folder, "derived.base_event_id_manifest", &own), ["p1", "p2", "p3", "p4"]);
    assert_eq!(count(folder, "derived.page_views", &own), 4);
    assert_eq!(count(folder, "sessions", &own), 2);
    assert_eq!(columns(folder, "users", ["domain_userid", "sessions", "page_views"]), ["u1|1|3", "u2|1|1"]);
    assert_eq!(rows(folder, "derived.loyalty", &own), ["u1|1|1", "u2|1|1"], "between users' main and complete");
    assert_eq!(rows(folder, "derived.engagement", &own), ["s1|2", "s2|0"]);
    assert_eq!(count(folder, "page_views_staged", &own), 0, "sessions' complete ran");
    assert_eq!(count(folder, "sessions_userid_manifest_staged", &own), 0, "users' complete ran");
}

/// Some columns of a table, without entropy: its rows, sorted, as `a|b`.
fn columns<const N: usize>(folder: &Folder, table: &str, names: [&str; N]) -> Vec<String> {
    let contents = folder.contents(table, &[]).unwrap_or_else(|error| panic!("{error}"));
    let position = |name: &str| contents.columns.iter().position(|column| column == name).expect("a column");
    let positions = names.map(position);
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
    let rows = contents.rows.iter().map(|row| positions.map(|at| text(&row[at])).join("|"));
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}

/// What a command that plans prints of a plan.
fn planned_steps(planned: &str, plan: &str) -> String {
    let begins = |line: &str, plan: &str| line.starts_with("-- ") && line[3..].starts_with(&format!("{plan} ("));
    let is_header = |line: &str| WAREHOUSES.iter().any(|warehouse| line.ends_with(&format!(" ({warehouse})")));
    let lines = planned.lines().skip_while(|line| !(is_header(line) && begins(line, plan)));
    let rest: Vec<&str> = lines.skip(1).take_while(|line| !is_header(line)).collect();
    rest.join("\n")
}

/// How often each module has run, by the metadata that all of them write.
fn runs(folder: &Folder) -> Vec<String> {
    let contents = folder.contents("datamodel_metadata", &[]).expect("metadata");
    let module = contents.columns.iter().position(|column| column == "module").expect("a column");
    let mut modules: Vec<String> = contents.rows.iter().filter_map(|row| row[module].clone()).collect();
    modules.sort();
    modules
}

#[test]
fn a_whole_tree_runs() {
    for source in [["--playbooks", "playbooks"], ["--config-json", "configs/everything.json"]] {
        let folder = tree_on_duckdb();
        let laptop = ["--target", "laptop"];
        let run = [&laptop[..], &["run"], &source].concat();
        folder.run(&run).done("run").expect("a run");
        the_tree_is_right(&folder);
        assert_eq!(runs(&folder), ["base", "page-views", "sessions", "users"]);
        // Again: there is nothing new, and nothing is doubled.
        folder.run(&run).done("run").expect("a run");
        the_tree_is_right(&folder);
        folder
            .run(&[&laptop[..], &["destroy", "--yes", "--playbooks", "playbooks"]].concat())
            .done("destroy")
            .expect("destroyed");
        let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("opens");
        let left: String = connection
            .query_row(
                "SELECT COALESCE(STRING_AGG(schema_name || '.' || table_name, ' '), '') FROM duckdb_tables()",
                [],
                |row| row.get(0),
            )
            .expect("listed");
        assert_eq!(left, "atomic.events", "destroy leaves nothing of any module");
    }
}

#[test]
fn a_whole_tree_runs_on_postgres_unmodified() {
    let cluster = Cluster::start("").expect("a server");
    for source in [["--playbooks", "playbooks"], ["--config-json", "configs/everything.json"]] {
        let folder = tree("postgres");
        folder.write("websessions.toml", &format!("[target.server]\ntype = \"postgres\"\nurl = {:?}\n", cluster.url()));
        folder.write("events.yml", "steps: [{name: events, queries: [{name: events, file: events.sql}]}]\n");
        let rows = PAGE_VIEWS.lines().skip(1).map(|line| format!("('{}')", line.replace(',', "', '")));
        folder.write(
            "events.sql",
            &format!(
                "DROP SCHEMA IF EXISTS atomic CASCADE; CREATE SCHEMA atomic; CREATE TABLE atomic.views (page_view_id TEXT, \
                 domain_sessionid TEXT, domain_userid TEXT, page_view_in_session_index INT, start_tstamp TIMESTAMP, \
                 end_tstamp TIMESTAMP, engaged_time_in_s INT); INSERT INTO atomic.views VALUES {}; \
                 CREATE TABLE atomic.events AS SELECT page_view_id AS event_id, * FROM atomic.views",
                rows.collect::<Vec<_>>().join(", ")
            ),
        );
        folder.run(&["run", "--playbook", "events.yml"]).done("events").expect("events");
        let run = [&["run"][..], &source].concat();
        for _ in 0..2 {
            folder.run(&run).done("run").expect("a run");
            the_tree_is_right(&folder);
        }
        folder.run(&["destroy", "--yes", "--config-json", "configs/teardown.json"]).done("destroy").expect("destroyed");
        let gone =
            ["derived.sessions", "derived.users", "derived.users_manifest", "derived.engagement", "derived.page_views"];
        for table in gone {
            refused(&folder.run(&["export", table, "--to", "-"]), 1, &["does not exist"]);
        }
    }
}

/// A tree with a job list of sessions and users, and a module of one's own between users' main and complete; page views
/// are staged. Of each playbook, some text is another.
fn sessions_and_users(order: [&str; 5], edits: &[(&str, &str, &str)]) -> Folder {
    let folder = tree("postgres");
    folder.write("websessions.toml", "[target.laptop]\ntype = \"duckdb\"\n");
    folder.write("views.csv", PAGE_VIEWS);
    for (playbook, old, new) in edits {
        let path = format!("playbooks/{playbook}.yml.tmpl");
        let text = std::fs::read_to_string(folder.path().join(&path)).expect("a playbook");
        assert!(text.contains(old), "{path}: {text}");
        folder.write(&path, &text.replace(old, new));
    }
    let mut before = String::new();
    let listed = order.map(|playbook| {
        let listed = format!("{{\"playbook\": \"{playbook}\", \"dependsOn\": [{before}]}}");
        before = format!("\"{playbook}\"");
        listed
    });
    folder.write("configs/jobs.json", &format!("{{\"data\": {{\"playbooks\": [{}]}}}}", listed.join(", ")));
    folder.run(&["load", "views.csv"]).done("load").expect("loaded");
    folder
}

const SESSIONS_MAIN: &str = "standard/03-sessions/01-sessions-main";
const SESSIONS_COMPLETE: &str = "standard/03-sessions/99-sessions-complete";
const USERS_MAIN: &str = "standard/04-users/01-users-main";
const USERS_COMPLETE: &str = "standard/04-users/99-users-complete";
const LOYALTY: &str = "custom/02-loyalty/01-loyalty-main";
const ALL_MAINS_FIRST: [&str; 5] = [SESSIONS_MAIN, USERS_MAIN, LOYALTY, SESSIONS_COMPLETE, USERS_COMPLETE];
const MODULE_BY_MODULE: [&str; 5] = [SESSIONS_MAIN, SESSIONS_COMPLETE, USERS_MAIN, LOYALTY, USERS_COMPLETE];
const RUN_JOBS: [&str; 5] = ["--target", "laptop", "run", "--config-json", "configs/jobs.json"];

#[test]
fn sessions_and_users_run_in_either_order_and_give_the_same() {
    let mut found = Vec::new();
    for order in [ALL_MAINS_FIRST, MODULE_BY_MODULE] {
        let folder = sessions_and_users(order, &[]);
        let events = folder.path().join("events.jsonl");
        let lineage = ["--lineage", events.to_str().expect("a path")];
        folder.run(&[&RUN_JOBS[..], &lineage].concat()).done("run").expect("a run");
        let ids = columns(&folder, "datamodel_metadata", ["module", "run_id", "model_version"]);
        let of = |module: &str| -> Vec<Vec<&str>> {
            ids.iter().filter(|row| row.starts_with(module)).map(|row| row.split('|').skip(1).collect()).collect()
        };
        assert_eq!((of("sessions").len(), of("users").len()), (1, 1), "{ids:?}");
        assert_eq!(of("sessions"), of("users"), "one run id, and each playbook's version");
        let left = folder.dump();
        assert!(!left.contains("metadata_run_id") && !left.contains("users_this_run"), "{left}");
        let events = std::fs::read_to_string(&events).expect("lineage");
        let told = events.lines().last().unwrap_or_default();
        for table in ["derived.sessions", "derived.users"] {
            assert!(told.contains(&format!("{table}\"")), "{table}: {told}");
        }
        assert_eq!(
            columns(&folder, "derived.loyalty", ["domain_userid", "visits", "all_visits"]),
            ["u1|1|1", "u2|1|1"]
        );
        // Again, with nothing new.
        folder.run(&RUN_JOBS).done("run").expect("a run");
        assert_eq!(runs(&folder).iter().filter(|module| *module == "users").count(), 2);
        found.push((
            folder.contents("users", &[]).expect("users"),
            folder.contents("users_manifest", &[]).expect("one"),
        ));
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].0.rows.len(), 2);
}

#[test]
fn a_users_playbook_s_variables_are_those_of_its_phase() {
    let edit = |main: (&'static str, &'static str), complete: (&'static str, &'static str)| {
        [(USERS_MAIN, main.0, main.1), (USERS_COMPLETE, complete.0, complete.1)]
    };
    let version = ("postgres/web/0.1.0", "mine/2");
    for (edits, users, kept, ended) in [
        (
            edit((":skip_derived: false", ":skip_derived: true"), (":cleanup_mode: all", ":cleanup_mode: debug")),
            0,
            true,
            true,
        ),
        (edit(version, (":ends_run: true", ":ends_run:")), 2, false, true),
        (edit(version, ("  :ends_run: true\n", "")), 2, false, true),
        (edit(version, (":ends_run: true", ":ends_run: false")), 2, false, false),
    ] {
        let folder = sessions_and_users(ALL_MAINS_FIRST, &edits);
        folder.run(&RUN_JOBS).done("run").expect("a run");
        let left = folder.dump();
        assert_eq!(count(&folder, "users", &["--var", "entropy="]), users, "{edits:?}");
        assert_eq!(count(&folder, "sessions", &["--var", "entropy="]), 2, "{edits:?}");
        assert_eq!(left.contains("scratch.users_this_run"), kept, "{edits:?}: {left}");
        assert!(!left.contains("scratch.sessions_this_run"), "{edits:?}: {left}");
        assert_eq!(!left.contains("metadata_run_id"), ended, "{edits:?}: {left}");
        let versions = columns(&folder, "datamodel_metadata", ["module", "model_version"]);
        let expected = if edits[0].1 == version.0 { "users|mine/2" } else { "users|postgres/web/0.1.0" };
        assert!(versions.contains(&expected.to_owned()), "{versions:?}");
        assert!(versions.contains(&"sessions|postgres/web/0.1.0".to_owned()), "{versions:?}");
    }
    // What keeps sessions from users is said, by a run and by lint.
    let folder = sessions_and_users(MODULE_BY_MODULE, &[]);
    for (variable, words) in [
        ("stage_next=false", "01-sessions-main.yml.tmpl: stage_next is not true, so it stages nothing for users"),
        ("ends_run=true", "99-sessions-complete.yml.tmpl: ends_run is true, and users' main comes after it"),
    ] {
        let said = folder.run(&[&RUN_JOBS[..], &["--var", variable]].concat()).done("run").expect("a run");
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
        let linted =
            folder.run(&["--target", "laptop", "--var", variable, "lint", "--config-json", "configs/jobs.json"]);
        let linted = linted.done("lint").expect("a warning alone").stdout;
        let (file, problem) = words.split_once(": ").expect("a file and a problem");
        assert!(linted.contains(&format!("{file}: warning: {problem}")), "{words}: {linted}");
    }
}

#[test]
fn an_order_that_can_not_have_been_meant_is_said() {
    let folder = Folder::new();
    let step = |file: &str| format!("steps:\n- name: s\n  queries: [{{name: q, file: {file}}}]\n");
    std::fs::create_dir_all(folder.path().join("playbooks")).expect("a folder");
    folder.write("playbooks/main.yml", &step("standard/03-sessions/01-main/1.sql"));
    let complete = step("standard/03-sessions/99-complete/1.sql");
    folder.write("playbooks/complete.yml", &format!("variables: {{cleanup_mode: debgu}}\n{complete}"));
    folder.write("playbooks/own.yml", &step("own.sql"));
    folder.write("playbooks/own.sql", "SELECT 1;\nSELECT COUNT(*) FROM scratch.sessions_this_run");
    let list = |names: [&str; 3]| {
        let listed = names.map(|name| format!("{{\"playbook\": {name:?}}}")).join(", ");
        folder.write("jobs.json", &format!("{{\"data\": {{\"playbooks\": [{listed}]}}}}"));
        folder.run(&["lint", "--config-json", "jobs.json"])
    };
    let said = list(["main", "own", "complete"]).done("lint").expect("nothing found").stdout;
    assert_eq!(said, "0 errors, 0 warnings\n");
    let plan = || folder.run(&["plan", "--config-json", "jobs.json"]).done("plan").expect("a plan").stderr;
    assert!(plan().contains("playbooks/complete.yml: cleanup_mode \"debgu\" is none of all"), "{}", plan());
    let early = "it completes before its module's main, so what main reads stays for the next run";
    let said = list(["complete", "main", "own"]);
    assert!(said.stdout.contains(&format!("complete.yml: warning: {early}")), "{}", said.stdout);
    assert!(plan().contains(early), "{}", plan());
    let said = list(["own", "main", "complete"]);
    let words = "own.sql:2: error: names sessions_this_run before the sessions module's main, which makes it";
    assert!(said.code == 4 && said.stdout.contains(words), "{}", said.stdout);
    folder.write("playbooks/own.sql", "DROP TABLE IF EXISTS scratch.sessions_metadata_this_run");
    let said = list(["own", "main", "complete"]).done("lint").expect("it runs well").stdout;
    assert!(said.contains("own.sql:1: warning: ") && said.ends_with("0 errors, 1 warning\n"), "{said}");
}

#[test]
fn what_fails_between_users_main_and_complete_is_resumed_there() {
    for again in ["run", "resume"] {
        let folder = sessions_and_users(ALL_MAINS_FIRST, &[]);
        let own = folder.path().join("sql/custom/02-loyalty/01-loyalty.sql");
        let good = std::fs::read_to_string(&own).expect("a file");
        std::fs::write(&own, good.replace("AS visits", "AS vists")).expect("written");
        refused(&folder.run(&RUN_JOBS), 1, &["01-loyalty of 01-loyalty-main", "custom/02-loyalty/01-loyalty.sql"]);
        assert_eq!(count(&folder, "users", &["--var", "entropy="]), 2, "main of users has committed");
        assert_eq!(count(&folder, "sessions_userid_manifest_staged", &["--var", "entropy="]), 2, "and is not complete");
        std::fs::write(&own, good).expect("written");
        let said = folder.run(&["--target", "laptop", again, "--config-json", "configs/jobs.json"]);
        let said = said.done(again).expect("it finishes");
        assert_eq!(said.stderr.contains("users_main/"), again == "run", "{}", said.stderr);
        assert_eq!(
            columns(&folder, "derived.loyalty", ["domain_userid", "visits", "all_visits"]),
            ["u1|1|1", "u2|1|1"]
        );
        assert_eq!(count(&folder, "sessions_userid_manifest_staged", &["--var", "entropy="]), 0);
    }
}

#[test]
fn sql_that_would_harm_users_is_found_where_users_is_run() {
    let folder = sessions_and_users(ALL_MAINS_FIRST, &[]);
    let own = "sql/custom/02-loyalty/01-loyalty.sql";
    for (sql, words) in [
        ("DELETE FROM derived.users", "01-loyalty.sql:1: error: writes to users, which the model owns"),
        ("TRUNCATE derived.users_manifest", "01-loyalty.sql:1: error: writes to users_manifest"),
        ("CREATE TABLE scratch.users_limits (x INT)", "01-loyalty.sql:1: error: makes users_limits"),
    ] {
        folder.write(own, sql);
        let said = folder.run(&["--target", "laptop", "lint", "--config-json", "configs/jobs.json"]);
        assert!(said.code == 4 && said.stdout.contains(words), "{words}: {}", said.stdout);
        refused(&folder.run(&RUN_JOBS), 2, &["nothing was changed"]);
    }
    // After users' complete its tables are gone, and those of sessions after sessions'.
    let gone = "SELECT * FROM scratch.users_this_run";
    for (order, sql, names) in [
        (ALL_MAINS_FIRST, gone, None),
        (
            MODULE_BY_MODULE,
            "SELECT * FROM scratch.sessions_this_run",
            Some("sessions_this_run after complete (99-sessions-complete)"),
        ),
        (
            [SESSIONS_MAIN, USERS_MAIN, SESSIONS_COMPLETE, USERS_COMPLETE, LOYALTY],
            gone,
            Some("users_this_run after complete (99-users-complete)"),
        ),
    ] {
        let folder = sessions_and_users(order, &[]);
        folder.write(own, sql);
        let said = folder.run(&["--target", "laptop", "lint", "--config-json", "configs/jobs.json"]);
        match names {
            None => assert!(said.stdout.ends_with("0 errors, 0 warnings\n"), "{}", said.stdout),
            Some(names) => assert!(said.stdout.contains(&format!("error: names {names}")), "{names}: {}", said.stdout),
        }
    }
    // Two playbooks with one phase of a module are refused by its name.
    let text = std::fs::read_to_string(folder.path().join(format!("playbooks/{USERS_MAIN}.yml.tmpl"))).expect("read");
    folder.write("playbooks/custom/again.yml", &text);
    refused(
        &folder.run(&["--target", "laptop", "plan", "--playbooks", "playbooks"]),
        2,
        &["the users module's main stands in"],
    );
    // Without users among what runs, a table of that name is one's own.
    folder.write(own, "CREATE SCHEMA IF NOT EXISTS derived; CREATE OR REPLACE TABLE derived.users AS SELECT 1 AS one");
    let alone = ["--target", "laptop", "run", "--playbook", "playbooks/custom/02-loyalty/01-loyalty-main.yml.tmpl"];
    folder.run(&alone).done("run").expect("a run");
}

#[test]
fn an_imported_configuration_has_users_too() {
    let folder = tree("postgres");
    let said = folder.run(&["import", "playbooks"]).done("import").expect("imported").stdout;
    let written = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("written");
    let table: toml::Table = written.parse().expect("a file");
    assert_eq!(table["modules"].as_array().map(Vec::len), Some(3), "{written}");
    let custom: Vec<(Option<&str>, Option<&str>)> = table["custom"]
        .as_array()
        .expect("modules")
        .iter()
        .map(|module| (module["name"].as_str(), module.get("after").and_then(toml::Value::as_str)))
        .collect();
    let expected = [
        (Some("01-engagement-main"), None),
        (Some("01-loyalty-main"), Some("users")),
        (Some("99-engagement-complete"), None),
    ];
    assert_eq!(custom, expected, "{written}");
    assert!(!written.contains("ends_run") && !written.contains("stage_next"), "{written}");
    assert!(!said.contains("01-users-main.yml"), "nothing of it is left out: {said}");
    let planned = folder.run(&["plan", "--dialect", "postgres"]).done("plan").expect("a plan");
    let names = [
        "main",
        "01-engagement-main",
        "99-engagement-complete",
        "complete",
        "users_main",
        "01-loyalty-main",
        "users_complete",
    ];
    assert_eq!(plan_names(&planned), names);
    // What users' playbooks have otherwise than sessions' is said; what the file has stays.
    let path = format!("playbooks/{USERS_MAIN}.yml.tmpl");
    let text = std::fs::read_to_string(folder.path().join(&path)).expect("read");
    folder.write(
        &path,
        &text.replace(":model_version: postgres/web/0.1.0", ":model_version: mine/2\n  :start_date: 2020-01-01"),
    );
    folder.write("websessions.toml", "modules = [\"sessions\"]\n");
    let said = folder.run(&["import", "playbooks"]).done("import").expect("imported").stdout;
    for words in [
        "model_version = \"mine/2\" of users: here it is of all modules",
        "start_date has no effect on users",
        "kept as the file has it: modules",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("the variable start_date"), "{said}");
}

#[test]
fn a_custom_module_s_destroying_playbook_runs_through_destroy_alone() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("playbooks")).expect("a folder");
    for (name, file) in [
        ("01-sessions-main", "standard/03-sessions/01-main/01-aggs.sql"),
        ("99-sessions-complete", "standard/03-sessions/99-complete/99-cleanup.sql"),
        ("XX-destroy-sessions", "standard/03-sessions/XX-destroy/XX-destroy-sessions.sql"),
        ("AA-points", "points.sql"),
        ("XX-destroy-points", "no-points.sql"),
    ] {
        let steps = format!(":steps:\n- :name: s\n  :queries:\n    - :name: q\n      :file: {file}\n");
        folder.write(&format!("playbooks/{name}.yml.tmpl"), &steps);
    }
    folder.write(
        "playbooks/points.sql",
        "CREATE OR REPLACE TABLE derived.points AS SELECT domain_sessionid, page_views FROM derived.sessions",
    );
    folder.write("playbooks/no-points.sql", "DROP TABLE derived.points");
    folder.write("views.csv", PAGE_VIEWS);
    let all = ["--playbooks", "playbooks"];
    folder.run(&[&["run", "--page-views", "views.csv"], &all[..]].concat()).done("run").expect("a run");
    assert_eq!(rows(&folder, "derived.points", &["--var", "entropy="]), ["s1|3", "s2|1"]);
    let imported = folder.run(&[&["--config", "-", "import"], &all[1..]].concat()).done("import").expect("imported");
    assert!(imported.stdout.contains("AA-points") && !imported.stdout.contains("no-points"), "{}", imported.stdout);
    let destroys = folder.run(&[&["plan", "destroy"], &all[..]].concat()).done("plan").expect("a plan");
    assert_eq!(plan_names(&destroys), ["destroy", "XX-destroy-points"], "in reverse order");
    folder.run(&[&["destroy", "--yes"], &all[..]].concat()).done("destroy").expect("destroyed");
    assert_eq!(mains(&folder, &["--var", "entropy="]), 1, "metadata stays");
    refused(&folder.run(&["export", "derived.points", "--to", "-"]), 1, &["does not exist"]);
}

#[test]
fn a_folder_gives_every_playbook_in_it_however_it_is_named() {
    let folder = Folder::new();
    let step = |file: &str| format!(":steps:\n- :name: s\n  :queries:\n    - :name: q\n      :file: {file}\n");
    std::fs::create_dir_all(folder.path().join("playbooks/own")).expect("a folder");
    std::fs::create_dir_all(folder.path().join("shared/sql")).expect("a folder");
    folder.write("playbooks/01-main.YML.tmpl", &step("standard/03-sessions/01-main/1.sql"));
    folder.write("playbooks/99-complete.Yaml", &step("standard/03-sessions/99-complete/1.sql"));
    folder.write("playbooks/AA-points.YML", &step("points.sql"));
    folder.write("playbooks/points.sql", "CREATE OR REPLACE TABLE derived.points AS SELECT 1 AS point");
    folder.write("shared/BB-lines.yml", &step("lines.sql"));
    folder.write("shared/sql/lines.sql", "CREATE OR REPLACE TABLE derived.lines AS SELECT 2 AS line");
    // What other tools leave beside it, and what destroys under a name of its own.
    folder.write("playbooks/._01-main.yml.tmpl", "\0\u{5}\u{16}\u{7}");
    folder.write("playbooks/.ci.yml", "stages: [build]");
    folder.write("playbooks/own/destroy-points.yml", &step("no-points.sql"));
    folder.write("playbooks/own/no-points.sql", "DROP TABLE derived.points");
    folder.write("views.csv", PAGE_VIEWS);
    let run = ["run", "--page-views", "views.csv", "--playbooks", "playbooks"];
    #[cfg(unix)]
    {
        let link = |to: &str, from: &str| {
            std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(from)).expect("a link");
        };
        link("shared", "playbooks/linked");
        link("playbooks", "playbooks/own/back");
        link("gone.yml", "playbooks/CC-gone.yml");
        refused(&folder.run(&run), 2, &["playbooks/CC-gone.yml"]);
        std::fs::remove_file(folder.path().join("playbooks/CC-gone.yml")).expect("removed");
    }
    let said = folder.run(&run).done("run").expect("a run").stderr;
    assert!(said.contains("own/destroy-points.yml is left out, as its name says that it destroys"), "{said}");
    assert!(!said.contains("ci.yml"), "{said}");
    assert_eq!(rows(&folder, "derived.points", &["--var", "entropy="]), ["1"]);
    #[cfg(unix)]
    assert_eq!(rows(&folder, "derived.lines", &["--var", "entropy="]), ["2"]);
    folder.write(
        "list.json",
        r#"{"data": {"playbooks": [{"playbook": "99-complete.Yaml", "depends_on": ["01-main"]}, {"playbook": "01-main.YML.tmpl"}]}}"#,
    );
    let said = folder.run(&["plan", "--config-json", "list.json"]).done("plan").expect("a plan").stderr;
    assert!(said.contains("the unknown key \"depends_on\", which is ignored; did you mean \"dependsOn\"?"), "{said}");
}

#[test]
fn a_failed_custom_step_doubles_nothing_whether_the_run_is_repeated_or_resumed() {
    for again in [&["run"][..], &["resume"]] {
        let folder = tree_on_duckdb();
        let own = folder.path().join("sql/custom/01-engagement/01-engagement.sql");
        let good = std::fs::read_to_string(&own).expect("a file");
        std::fs::write(&own, format!("{good}\nSELECT * FROM nowhere;\n")).expect("written");
        let command =
            |command: &[&str]| folder.run(&[&["--target", "laptop"], command, &["--playbooks", "playbooks"]].concat());
        refused(&command(&["run"]), 1, &["01-engagement of 01-engagement-main", "nowhere"]);
        assert_eq!(count(&folder, "sessions", &["--var", "entropy="]), 2, "production is as main left it");
        refused(&command(again), 1, &["nowhere"]);
        std::fs::write(&own, good).expect("written");
        command(again).done("run").expect("it finishes");
        the_tree_is_right(&folder);
    }
}

#[test]
fn sql_that_would_harm_a_table_of_the_model_is_refused_before_anything_changes() {
    let folder = Folder::new();
    folder.write("websessions.toml", "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n");
    for (sql, words) in [
        ("SELECT 1;\nDELETE FROM {{.output_schema}}.sessions WHERE page_views > 99", "own.sql:2: writes to sessions"),
        ("CREATE TABLE scratch.sessions_this_run AS SELECT 1 AS one", "own.sql:1: makes sessions_this_run"),
        ("CREATE OR REPLACE VIEW derived.sessions AS SELECT 1 AS one", "own.sql:1: writes to sessions"),
        ("UPDATE derived.datamodel_metadata SET module = 'mine'", "own.sql:1: writes to datamodel_metadata"),
        ("DROP TABLE scratch.sessions_lock", "own.sql:1: writes to sessions_lock"),
        ("DO $$ BEGIN RAISE NOTICE 'x'; END $$;\nDELETE FROM derived.sessions", "own.sql:2: writes to sessions"),
        ("DELETE FROM derived.page_views", "own.sql:1: writes to page_views"),
        ("DROP TABLE IF EXISTS {{.output_schema}}.page_views", "own.sql:1: writes to page_views"),
        ("COPY derived.sessions FROM 'x.csv'", "own.sql:1: writes to sessions"),
        ("ALTER TABLE derived.other RENAME TO sessions", "own.sql:1: writes to sessions"),
        (
            "SELECT 1;\nDROP SCHEMA IF EXISTS {{.output_schema}} CASCADE",
            "own.sql:2: drops or renames the schema derived",
        ),
    ] {
        folder.write("own.sql", sql);
        for command in ["run", "plan", "resume"] {
            refused(&folder.run(&[command]), 2, &[words, "nothing was changed"]);
        }
        assert!(!folder.path().join("websessions.duckdb").exists(), "{sql}: nothing was opened");
    }
    // A module of one's own hands page views on, takes users, notes its commit, and has tables that are called alike elsewhere.
    folder.write(
        "own.sql",
        "INSERT INTO scratch.page_views_staged SELECT * FROM scratch.page_views_staged WHERE 1 = 0;\nDELETE FROM scratch.sessions_userid_manifest_staged;\nINSERT INTO derived.datamodel_metadata (module) VALUES ('own');\nCREATE SCHEMA IF NOT EXISTS own;\nCREATE OR REPLACE TABLE own.sessions AS SELECT domain_sessionid FROM derived.sessions;\n",
    );
    let columns = "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp";
    let page_views = format!("{columns}\n1,a,1,2024-01-01 00:00:00,2024-01-01 00:00:01\n");
    folder.write("page_views.csv", &page_views);
    folder.run(&["--var", "stage_next=true", "run", "--page-views", "page_views.csv"]).done("run").expect("a run");
    let said = folder.run(&["export", "datamodel_metadata", "--to", "-"]).done("export").expect("exported");
    assert_eq!(said.stdout.lines().filter(|line| line.contains(",own,")).count(), 1, "{}", said.stdout);
}

/// Whether page views come with a run is not known of a folder of playbooks: lint says what then is refused.
#[test]
fn lint_tells_of_page_views_what_a_run_refuses() {
    let folder = Folder::new();
    folder.write("views.csv", PAGE_VIEWS);
    folder
        .write("01-main.yml", "steps:\n- name: m\n  queries: [{name: q, file: standard/03-sessions/01-main/a.sql}]\n");
    folder.write("AA-own.yml", "steps:\n- name: s\n  queries: [{name: q, file: own.sql}]\n");
    folder.write("XX-destroy-own.yml", "steps:\n- name: s\n  queries: [{name: q, file: none.sql}]\n");
    folder.write("none.sql", "DROP TABLE IF EXISTS derived.page_views;\nDROP TABLE IF EXISTS derived.sessions");
    let all = ["--playbooks", "."];
    for sql in [
        "DROP TABLE derived.page_views",
        "DELETE FROM derived.page_views",
        "ALTER TABLE derived.page_views ADD COLUMN a INT",
    ] {
        folder.write("own.sql", sql);
        let words = "own.sql:1: writes to page_views";
        refused(&folder.run(&[&["plan", "--page-views", "views.csv"], &all[..]].concat()), 2, &[words]);
        refused(&folder.run(&[&["plan", "--var", "page_views_from=a.b"], &all[..]].concat()), 2, &[words]);
        folder.run(&[&["plan"], &all[..]].concat()).done("plan").expect("no page views come");
        let said = folder.run(&[&["lint"], &all[..]].concat()).done("lint").expect("no error");
        let warning =
            "own.sql:1: warning: a run that page views come with (--page-views) refuses this: writes to page_views";
        assert!(said.stdout.contains(warning) && said.stdout.ends_with("0 errors, 1 warning\n"), "{}", said.stdout);
        let said = folder.run(&[&["lint", "--var", "page_views_from=a.b"], &all[..]].concat());
        assert_eq!(said.code, 4, "{}", said.stderr);
        assert!(said.stdout.contains("own.sql:1: error: writes to page_views"), "{}", said.stdout);
        folder.write("websessions.toml", "modules = [\"sessions\"]\n");
        let said = folder.run(&[&["lint"], &all[..]].concat()).done("lint").expect("page views are somebody else's");
        assert!(said.stdout.ends_with("0 errors, 0 warnings\n"), "{}", said.stdout);
        std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
    }
}

#[test]
fn lint_finds_what_a_run_would_trip_over() {
    let folder = portable();
    folder.write(
        "sql/custom/01-engagement.sql",
        "-- first\nDELETE FROM {{.output_schema}}.sessions{{.entropy}};\nINSERT INTO scratch.page_views_staged_test SELECT 1;\n{{.not_there}}",
    );
    folder.write("sql/custom/03-notes.sql", "UPDATE derived.sessions_test SET app_id = 'x';\nDROP TABLE scratch.sessions_userid_manifest_staged_test;\nCREATE TABLE scratch.sessions_aggregates_test (x INT);\nDELETE FROM scratch.page_views_staged_test;\n");
    folder.write("sql/custom/04-script.sql", "this is {{.no}} SQL");
    let custom = std::fs::read_to_string(folder.path().join("playbooks/AA-engagement.yml.tmpl")).expect("read");
    folder.write(
        "playbooks/AA-engagement.yml.tmpl",
        &custom.replace("minimum_seconds:", "never_read: 1\n  minimum_seconds:"),
    );
    folder.write(
        "playbooks/AB-more.yml",
        "variables: {entropy: _other}\nsteps:\n- name: gone\n  queries: [{name: q, file: custom/none.sql}]\n- name: odd\n  qeries: []\n",
    );
    let complete =
        std::fs::read_to_string(folder.path().join("playbooks/99-sessions-complete.yml.tmpl")).expect("read");
    folder.write(
        "playbooks/99-sessions-complete.yml.tmpl",
        &format!("{complete}- :name: late\n  :queries:\n    - :name: late\n      :file: custom/05-late.sql\n"),
    );
    folder.write(
        "sql/custom/05-late.sql",
        "SELECT 1;\nSELECT * FROM scratch.sessions_this_run_test;\nSELECT * FROM derived.sessions_test",
    );
    let lint = ["--target", "laptop", "lint", "--playbooks", "playbooks"];
    refused(
        &folder.run(&["--target", "laptop", "plan", "--playbooks", "playbooks"]),
        2,
        &["entropy is \"_other\", but \"_test\" in"],
    );
    let said = folder.run(&lint);
    assert_eq!(said.code, 4, "{}{}", said.stdout, said.stderr);
    for line in [
        "sql/custom/05-late.sql:2: error: names sessions_this_run_test after complete (99-sessions-complete)",
        "playbooks/AA-engagement.yml.tmpl: warning: the variable never_read is not used",
        "playbooks/AB-more.yml: error: entropy is \"_other\", but \"_test\" in playbooks/01-sessions-main.yml.tmpl",
        "playbooks/AB-more.yml: error: there is no file custom/none.sql",
        "playbooks/AB-more.yml: warning: step 2 has the unknown key \"qeries\", which is ignored; did you mean \"queries\"?",
        "sql/custom/01-engagement.sql:4: error: the variable .not_there is not set",
        "sql/custom/03-notes.sql:1: error: writes to sessions_test, which the model owns",
        "sql/custom/03-notes.sql:2: warning: drops sessions_userid_manifest_staged_test or makes it anew",
        "sql/custom/03-notes.sql:3: error: makes sessions_aggregates_test, which is the name of a table of the model",
        "sql/custom/04-script.sql: warning: holds {{, but its query has no 'template: true'",
        "sql/custom/04-script.sql:1: warning: not understood, so not checked",
    ] {
        assert!(said.stdout.contains(line), "{line} is not found: {}", said.stdout);
    }
    folder.write("sql/custom/01-engagement.sql", "DELETE FROM {{.output_schema}}.sessions{{.entropy}}");
    let said = folder.run(&lint);
    assert!(said.stdout.contains("01-engagement.sql:1: error: writes to sessions_test"), "{}", said.stdout);
    // The modules of the configuration are looked at in the same way.
    folder.write("own.sql", "DELETE FROM {{.output_schema}}.sessions");
    folder.write("websessions.toml", "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n");
    refused(&folder.run(&["lint"]), 4, &["1 error"]);
    // A module's variables are its own.
    folder.write("own.sql", "SELECT {{.least}}");
    let module =
        |name: &str, variables: &str| format!("[[custom]]\nname = \"{name}\"\nfiles = [\"own.sql\"]\n{variables}\n");
    folder.write("websessions.toml", &module("first", "variables = { least = 2 }"));
    folder.run(&["lint"]).done("lint").expect("nothing found");
    folder.write("websessions.toml", &(module("first", "variables = { least = 2 }") + &module("second", "")));
    let said = folder.run(&["lint"]);
    refused(&said, 4, &["1 error"]);
    assert!(said.stdout.contains("own.sql:1: error: the variable .least is not set"), "{}", said.stdout);
}

#[test]
fn what_would_change_a_view_is_refused_before_anything_runs() {
    let folder = folder("postgres");
    let lint = |target: &str| folder.run(&["--target", target, "lint"]);
    folder.write(
        "websessions.toml",
        "[target.laptop]\ntype = \"duckdb\"\n[target.server]\ntype = \"postgres\"\nhost = \"nowhere.invalid\"\n[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n",
    );
    let view = "which is a view in this warehouse: read it";
    let alters = "alters sessions_this_run, which the model needs as it made it";
    let writes = "writes to sessions_this_run, which the model makes anew in each run";
    for (sql, on_server) in [
        ("DELETE FROM scratch.sessions_this_run WHERE page_views = 1", writes),
        ("UPDATE scratch.sessions_this_run SET page_views = 1", writes),
        ("DROP TABLE scratch.sessions_this_run", writes),
        ("CREATE INDEX by_user ON scratch.sessions_this_run (domain_userid)", "0 errors, 0 warnings"),
        ("ALTER TABLE scratch.sessions_this_run ADD COLUMN own INTEGER", alters),
    ] {
        folder.write("own.sql", sql);
        let said = lint("laptop");
        refused(&said, 4, &["1 error"]);
        assert!(
            said.stdout.contains(&format!("own.sql:1: error: changes sessions_this_run, {view}")),
            "{}",
            said.stdout
        );
        let run = folder.run(&["--target", "laptop", "run"]);
        refused(&run, 2, &["own.sql:1: changes sessions_this_run", view, "nothing was changed"]);
        assert_eq!(folder.dump(), "no database");
        let said = lint("server");
        assert!(said.stdout.contains(on_server), "{sql}: {}", said.stdout);
    }
    // With skip_derived it is a table everywhere.
    folder.write("own.sql", "DELETE FROM scratch.sessions_this_run WHERE page_views = 1");
    let said = folder.run(&["--target", "laptop", "--var", "skip_derived=true", "lint"]);
    assert!(said.stdout.contains(writes), "{}", said.stdout);
}

#[test]
fn an_imported_configuration_does_the_same() {
    let folder = portable();
    std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
    let said = folder.run(&["import", "playbooks"]).done("import").expect("imported");
    assert!(said.stdout.contains("queries of one step run one after the other"), "{}", said.stdout);
    let written = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("written");
    for line in
        ["type = \"postgres\"", "upsert_lookback_days = 30", "cleanup_mode = \"all\"", "sql/custom/01-engagement.sql"]
    {
        assert!(written.contains(line), "{line}: {written}");
    }
    // Again: it is all there.
    folder.run(&["import", "playbooks"]).done("import").expect("imported");
    assert_eq!(std::fs::read_to_string(folder.path().join("websessions.toml")).expect("written"), written);
    folder.write("websessions.toml", &written.replace("type = \"postgres\"", "type = \"duckdb\""));
    folder.run(&["run", "--page-views", "views.csv"]).done("run").expect("a run");
    the_custom_table_is_right(&folder, &[]);

    // A secret stays out of the file.
    let folder = self::folder("redshift");
    std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
    let mut command = folder.command(&["import", "playbooks"]);
    let said: Said = command.env("WAREHOUSE_PASSWORD", "s3cret").output().expect("starts").into();
    let said = said.done("import").expect("imported");
    let written = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("written");
    assert!(!written.contains("s3cret") && !said.stdout.contains("s3cret"), "{written}{}", said.stdout);
    assert!(written.contains("[target.default.password]\nenv = \"WAREHOUSE_PASSWORD\"\n"), "{written}");
    let main = std::fs::read_to_string(folder.path().join("playbooks/01-sessions-main.yml.tmpl")).expect("read");
    let main = main.replace("{{systemEnv \"WAREHOUSE_PASSWORD\"}}", "s3cret");
    folder.write("playbooks/01-sessions-main.yml.tmpl", &main);
    let said = folder.run(&["--config", "other.toml", "import", "playbooks"]).done("import").expect("imported");
    let written = std::fs::read_to_string(folder.path().join("other.toml")).expect("written");
    assert!(!written.contains("s3cret") && !said.stdout.contains("s3cret"), "{written}{}", said.stdout);
    assert!(written.contains("WAREHOUSE_PASSWORD") && said.stdout.contains("not carried over: the target's password"));
}

#[test]
fn import_adds_to_a_file_and_leaves_what_stands_there() {
    let folder = portable();
    let own = "# Ours.\n[variables]\ncleanup_mode = \"debug\" # to look at\n\n[target.server]\ntype = \"postgres\"\nhost = \"db\"\n\n\
               [[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n";
    let path = folder.write("websessions.toml", own);
    let said = folder.run(&["import", "playbooks"]).done("import").expect("imported");
    assert!(said.stdout.contains("kept as the file has it: variables.cleanup_mode"), "{}", said.stdout);
    let written = std::fs::read_to_string(&path).expect("written");
    for line in [
        "# Ours.",
        "cleanup_mode = \"debug\" # to look at",
        "ends_run = true",
        "host = \"db\"",
        "name = \"own\"",
        "name = \"AA-engagement\"",
    ] {
        assert_eq!(written.matches(line).count(), 1, "{line}: {written}");
    }
    assert_eq!(written.matches("[target.").count(), 1, "the only target of that type: {written}");
    folder.run(&["import", "--force", "playbooks"]).done("import").expect("imported");
    assert!(std::fs::read_to_string(&path).expect("written").contains("cleanup_mode = \"all\""));
    folder.write("own.sql", "SELECT 1");
    folder.run(&["lint"]).done("lint").expect("what was written is read");
    // What the file says of the model holds for the modules, too: they don't write beside it.
    folder.write("websessions.toml", "[variables]\nentropy = \"_mine\"\n");
    let said = folder.run(&["import", "playbooks"]).done("import").expect("imported");
    assert!(said.stdout.contains("kept as the file has it: variables.entropy"), "{}", said.stdout);
    let planned = folder.run(&["plan", "--dialect", "duckdb"]).done("plan").expect("a plan").stdout;
    assert!(planned.contains("derived.session_engagement_mine") && !planned.contains("_test"), "{planned}");
    // Another warehouse's target stands beside it, and nothing else runs than before.
    folder.write("websessions.toml", "[target.laptop]\ntype = \"duckdb\"\n");
    folder.run(&["import", "playbooks"]).done("import").expect("imported");
    let written = std::fs::read_to_string(&path).expect("written");
    assert!(written.contains("default_target = \"laptop\"") && written.contains("[target.default]"), "{written}");
    folder.run(&["run", "--page-views", "views.csv"]).done("run").expect("a run");
    the_custom_table_is_right(&folder, &[]);
    folder.write("websessions.toml", "[variables\n");
    refused(&folder.run(&["import", "playbooks"]), 2, &["websessions.toml: "]);
}

#[test]
fn import_keeps_what_changes_as_a_template_and_writes_to_stdout() {
    let folder = portable();
    std::fs::remove_file(folder.path().join("websessions.toml")).expect("removed");
    let custom = std::fs::read_to_string(folder.path().join("playbooks/AA-engagement.yml.tmpl")).expect("read");
    let changing = "  day: {{nowWithFormat \"2006-01-02\"}}\n  who: \"by {{systemEnv \"NOBODY_SET_THIS\" | printf \"%q\"}}\"\n  channels:";
    folder.write(
        "playbooks/AA-engagement.yml.tmpl",
        &custom.replace("  channels:", changing).replace("  password:", "  password: {{systemEnv \"OUR_SECRET\"}}"),
    );
    folder.write("sql/custom/04-script.sql", "SELECT '{{.day}}', '{{.who}}'");
    let said = folder.run(&["--config", "-", "import", "playbooks"]).done("import").expect("imported");
    assert!(!folder.path().join("-").exists() && !folder.path().join("websessions.toml").exists());
    assert!(said.stderr.contains("read: playbooks") && said.stderr.contains("not carried over"), "{}", said.stderr);
    let table: toml::Table = said.stdout.parse().expect("stdout is the file");
    let variables = &table["custom"][0]["variables"];
    assert_eq!(variables["day"].as_str(), Some("{{nowWithFormat \"2006-01-02\"}}"));
    assert_eq!(variables["who"].as_str(), Some("by {{systemEnv \"NOBODY_SET_THIS\" | printf \"%q\"}}"));
    folder.write("websessions.toml", &said.stdout);
    let planned = folder.run(&["plan", "--dialect", "duckdb"]).done("plan").expect("a plan").stdout;
    assert!(planned.contains("'by \"\"'") && !planned.contains("{{"), "{planned}");

    // Of a tree, what belongs to the other standard modules is named, folder by folder.
    let folder = tree("postgres");
    let said = folder.run(&["import", "playbooks"]).done("import").expect("imported").stdout;
    for line in [
        "read: playbooks/standard/03-sessions",
        "read: playbooks/custom/01-engagement",
        "not carried over: playbooks/standard/01-base/01-base-main.yml.tmpl: it belongs to another standard module",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let written = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("written");
    assert!(
        written.contains("sql/custom/01-engagement/01-engagement.sql") && !written.contains("XX-destroy"),
        "{written}"
    );
}

#[test]
fn playbooks_that_cannot_be_run_say_why() {
    let folder = portable();
    let run = |flag: &str, name: &str, text: &str| {
        folder.write(name, text);
        folder.run(&["--target", "laptop", "run", flag, name])
    };
    for (text, words) in [
        ("steps: [", "bad.yml: "),
        ("a: {{.missing}}", "bad.yml:1: the variable .missing is not set"),
        ("steps: [{name: s, queries: [{file: none.sql}]}]", "there is no file none.sql; looked for"),
        (
            "variables: {upsert_lookback: -1}\nsteps: [{queries: [{file: standard/03-sessions/01-main/a.sql}]}]",
            "bad.yml: variable upsert_lookback: must be a whole number",
        ),
        ("variables: {entropy: \"_x; drop\"}\nsteps: []", "is not a usable suffix"),
        ("variables: {entropy: _x}\nsteps: []", "no steps in bad.yml"),
        ("", "no steps in bad.yml"),
    ] {
        refused(&run("--playbook", "bad.yml", text), 2, &[words]);
    }
    for (text, words) in [
        ("{", "jobs2.json: "),
        (r#"{"data": {"enabled": false, "playbooks": []}}"#, "is not enabled"),
        (r#"{"data": {"playbooks": [{"playbook": "nowhere"}]}}"#, "there is no playbook \"nowhere\""),
        (
            r#"{"data": {"playbooks": [{"playbook": "a", "dependsOn": ["b"]}, {"playbook": "b", "dependsOn": ["a"]}]}}"#,
            "in a circle: a, b",
        ),
        (
            r#"{"data": {"storage": "snowflake", "playbooks": [{"playbook": "01-sessions-main"}]}}"#,
            "but the job list says \"snowflake\"",
        ),
    ] {
        refused(&run("--config-json", "jobs2.json", text), 2, &[words]);
    }
    // What a list says beside that, in whatever type, is no matter of ours.
    let list = r#"{"data": {"storage": 7, "owners": null, "playbooks": [{"playbook": "null", "dependsOn": null}]}}"#;
    folder.write(
        "null.yml",
        "variables: {entropy: _n}\nsteps: [{queries: [{file: standard/03-sessions/01-main/a.sql}]}]",
    );
    folder.write("jobs3.json", list);
    let planned =
        folder.run(&["--target", "laptop", "plan", "--config-json", "jobs3.json"]).done("plan").expect("a plan");
    assert_eq!(plan_names(&planned), ["main"]);
    // The original's rule for a lookback of nothing, said aloud.
    let said = run(
        "--playbook",
        "null.yml",
        "variables: {entropy: _n, upsert_lookback: 0, skip_derived: null}\nsteps: [{queries: [{file: standard/03-sessions/01-main/a.sql}]}]",
    );
    assert!(said.stderr.contains("upsert_lookback of 0 means 30 days"), "{}", said.stderr);
}

//! Bad input: one clear error each, the right exit code, no panic, and a warehouse that is as it was.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, Said, fixtures};

const HEADER: &str =
    "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp,engaged_time_in_s";

fn good() -> String {
    format!("{HEADER}\np1,s1,u1,1,2024-01-01 00:00:00,2024-01-01 00:00:10,10\n")
}

/// A folder whose database has a run behind it and page views staged.
fn with_sessions() -> Folder {
    let folder = Folder::new();
    folder.write("good.csv", &good());
    folder.run(&["run", "--page-views", "good.csv"]).done("run").expect("a first run");
    folder.run(&["load", "--staged", "good.csv"]).done("load").expect("staged page views");
    folder
}

/// Runs a command that must fail, with these words, and change nothing.
fn refuses(folder: &Folder, arguments: &[&str], code: i32, words: &[&str]) -> Said {
    let before = folder.dump();
    let said = folder.run(arguments);
    check(&said, arguments, code, words);
    assert_eq!(folder.dump(), before, "{arguments:?} changed the warehouse");
    said
}

fn check(said: &Said, arguments: &[&str], code: i32, words: &[&str]) {
    assert_eq!(said.code, code, "{arguments:?}: {}{}", said.stdout, said.stderr);
    assert_eq!(said.stderr.matches("error:").count(), 1, "{arguments:?}: {}", said.stderr);
    assert!(!said.stderr.contains("panicked"), "{arguments:?}: {}", said.stderr);
    for word in words {
        assert!(said.stderr.contains(word), "{arguments:?} does not say {word:?}: {}", said.stderr);
    }
}

#[test]
fn files_that_are_no_page_views() {
    let folder = with_sessions();
    folder.write("empty.csv", "");
    folder.write(
        "no_session.csv",
        "page_view_id,page_view_in_session_index,start_tstamp,end_tstamp\np,1,2024-01-01,2024-01-01\n",
    );
    let row = |index: &str, start: &str| {
        format!("{HEADER}\np1,s1,u1,1,2024-01-01,2024-01-01,\np2,s1,u1,{index},{start},2024-01-01,\n")
    };
    folder.write("wrong_number.csv", &row("two", "2024-01-01"));
    folder.write("broken_number.csv", &row("1.5", "2024-01-01"));
    folder.write("wrong_time.csv", &row("2", "yesterday"));
    folder.write("no_key.csv", &format!("{HEADER}\n,s1,u1,1,2024-01-01,2024-01-01,\n"));
    folder.write("wrong.ndjson", "{\"page_view_id\":\"p\",\"domain_sessionid\":\"s\",\"page_view_in_session_index\":\"x\",\"start_tstamp\":\"2024-01-01\",\"end_tstamp\":null}\n");
    folder.write("not_json.ndjson", "{\"page_view_id\": \n");
    folder.write("not.parquet", "this is no Parquet");
    folder.write("page_views.xlsx", "this is no table");
    let cases: [(&str, &[&str]); 10] = [
        ("missing.csv", &["missing.csv", "No such file"]),
        ("empty.csv", &["empty.csv", "the file is empty"]),
        ("no_session.csv", &["no_session.csv", "domain_sessionid is missing"]),
        (
            "wrong_number.csv",
            &["wrong_number.csv", "row 2, line 3, column page_view_in_session_index", "\"two\"", "whole number"],
        ),
        ("broken_number.csv", &["broken_number.csv", "row 2, line 3, column page_view_in_session_index", "\"1.5\""]),
        ("wrong_time.csv", &["wrong_time.csv", "row 2, line 3, column start_tstamp", "\"yesterday\"", "timestamp"]),
        ("wrong.ndjson", &["wrong.ndjson", "row 1, line 1, column page_view_in_session_index", "\"x\""]),
        ("not_json.ndjson", &["not_json.ndjson"]),
        ("not.parquet", &["not.parquet"]),
        ("page_views.xlsx", &["page_views.xlsx", "page_views.xlsx"]),
    ];
    for (file, words) in cases {
        refuses(&folder, &["load", "--staged", file], 1, words);
        refuses(&folder, &["load", file], 1, words);
        refuses(&folder, &["run", "--page-views", "good.csv", file], 1, words);
    }
    // The page views module leaves such a row out, and says so.
    let no_value = ["no_key.csv", "row 1, line 2, column page_view_id", "no value"];
    refuses(&folder, &["load", "--staged", "no_key.csv"], 1, &no_value);
    let fresh = Folder::new();
    fresh.write("empty.csv", "");
    for (arguments, left) in [
        (&["load", "--staged", "empty.csv"] as &[&str], "schemas []\n"),
        // The lock has been there, and has gone.
        (&["load", "empty.csv"], "schemas [\"scratch\"]\n"),
        (&["run", "--page-views", "empty.csv"], "schemas [\"scratch\"]\n"),
    ] {
        check(&fresh.run(arguments), arguments, 1, &["the file is empty", "nothing was loaded"]);
        assert_eq!(fresh.dump(), left, "{arguments:?}");
    }
}

#[test]
fn values_that_are_refused() {
    let folder = with_sessions();
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--var", "entropy=_x; drop table"], &["entropy", "_x; drop table"]),
        (&["--var", "scratch_schema=\"scratch\""], &["scratch_schema", "letters"]),
        (&["--var", "output_schema=derived.sessions"], &["output_schema"]),
        (&["--var", "upsert_lookback_days=-1"], &["upsert_lookback_days", "1 to 36525"]),
        (&["--var", "upsert_lookback_days=0"], &["upsert_lookback_days", "1 to 36525"]),
        (&["--var", "upsert_lookback_days=99999999999999999999"], &["upsert_lookback_days", "1 to 36525"]),
        (&["--var", "upsert_lookback_days=thirty"], &["upsert_lookback_days", "1 to 36525"]),
        (&["--var", "upsert_lokback_days=3"], &["did you mean \"upsert_lookback_days\""]),
        (&["--var", "stage_next=yes please"], &["stage_next", "true or false"]),
        (&["--var", "stage_next"], &["NAME=VALUE"]),
        (&["--target", "production"], &["production"]),
        (&["--config", "missing.toml"], &["missing.toml"]),
    ];
    for (options, words) in cases {
        for phase in ["main", "complete", "run"] {
            let arguments: Vec<&str> = options.iter().copied().chain([phase]).collect();
            refuses(&folder, &arguments, 2, words);
        }
    }
    refuses(&folder, &["destroy"], 2, &["--yes"]);
    refuses(&folder, &["export", "sesions", "--to", "x.csv"], 2, &["did you mean \"sessions\""]);
    refuses(&folder, &["export", "derived.\"x", "--to", "x.csv"], 2, &["not a usable name"]);
    refuses(&folder, &["export", "derived.nothing", "--to", "x.csv"], 1, &["nothing"]);
    refuses(&folder, &["export", "sessions", "--to", "/nowhere/x.csv"], 1, &["/nowhere/x.csv"]);
    refuses(&folder, &["plan", "--dialect", "oracle"], 2, &["oracle"]);
}

#[test]
fn configuration_files_that_are_refused() {
    let folder = with_sessions();
    let cases = [
        ("[variable]\n", "did you mean \"variables\""),
        ("[variables]\nentropi = \"\"\n", "did you mean \"entropy\""),
        ("[variables]\nstage_next = 3\n", "true or false"),
        ("[variables]\nupsert_lookback = 3\nupsert_lookback_days = 4\n", "upsert_lookback"),
        ("[variables\n", "line 1"),
        ("[target.x]\ntype = \"duckdb\"\ndatabse = \"x\"\n", "did you mean \"database\""),
        ("[target.x]\ntype = \"duckbd\"\n", "did you mean \"duckdb\""),
        ("[target.x]\ndatabase = \"x\"\n", "needs a type"),
        ("[target.x]\ntype = \"duckdb\"\n[target.y]\ntype = \"duckdb\"\n", "choose one of x, y"),
        ("[target.x]\ntype = \"duckdb\"\nmemory_limit = { environment = \"X\" }\n", "env = "),
        ("[target.x]\ntype = \"duckdb\"\nmemory_limit = { env = \"NOT_SET_ANYWHERE\" }\n", "NOT_SET_ANYWHERE"),
        ("[[custom]]\nname = \"x\"\n", "needs files"),
        (
            "[[custom]]\nname = \"x\"\nfiles = [\"x.sql\"]\n[[custom]]\nname = \"y\"\nfiles = [\"x.sql\"]\n[[custom]]\nname = \"x\"\nfiles = [\"y.sql\"]\n",
            "[[custom]] number 1 and number 3 are both called \"x\"",
        ),
        (
            "[[column]]\nname = \"x\"\nfrom = \"first\"\ntype = \"text\"\n[[column]]\nname = \"x\"\nfrom = \"last\"\ntype = \"text\"\n",
            "[[column]] \"x\": name: stands twice, as number 1 and number 2",
        ),
        ("[target.x]\ntype = \"duckdb\"\n[target.x]\ntype = \"duckdb\"\n", "duplicate key"),
        ("[[custom]]\nname = \"x\"\nfiles = [\"x.sql\"]\nvariabels = {}\n", "did you mean \"variables\""),
        ("[[custom]]\nname = \"x\"\nfiles = [\"broken.sql\"]\n", "broken.sql"),
        ("[[custom]]\nname = \"x\"\nfiles = [\"unset.sql\"]\n", "unset.sql"),
        ("[[custom]]\nname = \"x\"\nfiles = [\"gone.sql\"]\n", "[[custom]] \"x\": can't read gone.sql"),
    ];
    folder.write("broken.sql", "SELECT {{if}}");
    folder.write("unset.sql", "SELECT {{.unset}}");
    for (text, words) in cases {
        folder.write("bad.toml", text);
        let said = refuses(&folder, &["--config", "bad.toml", "run"], 2, &[words]);
        assert!(
            said.stderr.contains("bad.toml") || !text.contains("variable") || text.contains("custom"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn engine_settings_that_are_refused() {
    let folder = with_sessions();
    folder.write("websessions.toml", "[target.x]\ntype = \"duckdb\"\nmemory_limit = \"lots\"\n");
    refuses(&folder, &["main"], 1, &["memory_limit", "lots"]);
}

/// Bytes that are no text: nothing of ours if the variable is another's, an error if it is ours. Never a panic.
#[test]
#[cfg(unix)]
fn an_environment_that_is_not_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let bytes = std::ffi::OsStr::from_bytes(b"\xff");
    let with =
        |variable: &str| Said::from(folder.command(&["config", "show"]).env(variable, bytes).output().expect("run"));
    with("OTHERS").done("config show").expect("shown");
    for variable in ["WEBSESSIONS_ENTROPY", "WEBSESSIONS_TARGET_THREADS", "WEBSESSIONS_DATABASE"] {
        check(&with(variable), &[variable], 2, &[]);
    }
}

#[test]
fn a_missing_input_says_what_to_do() {
    let folder = Folder::new();
    let said = folder.run(&["main"]);
    check(&said, &["main"], 1, &["there is no input table scratch.page_views_staged", "websessions load"]);
    assert_eq!(folder.dump(), "schemas []\n");
}

#[test]
fn a_database_that_another_process_has_open() {
    let folder = with_sessions();
    let holder = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    for (arguments, waits) in
        [(&["main"] as &[&str], true), (&["run", "--page-views", "good.csv"], true), (&["doctor"], false)]
    {
        let said = folder.run(arguments);
        check(&said, arguments, 3, &["another process has the database file open"]);
        assert_eq!(said.stderr.contains("--wait SECONDS waits for it"), waits, "{}", said.stderr);
    }
    drop(holder);
    folder.run(&["main"]).done("main").expect("the database is free again");
}

/// The engine takes a file of data for a database in memory with a view of it: a run would be gone with its process.
#[test]
fn a_file_of_data_is_no_database() {
    let folder = Folder::new();
    folder.write("good.csv", &good());
    folder.write("good.json", "[{\"page_view_id\": \"p1\"}]");
    folder.run(&["--database", "other.duckdb", "run", "--page-views", "good.csv"]).done("run").expect("a run");
    let export = ["--database", "other.duckdb", "export", "sessions", "--to", "good.parquet"];
    folder.run(&export).done("export").expect("a file of Parquet");
    for name in ["good.csv", "good.json", "good.parquet"] {
        let before = std::fs::read(folder.path().join(name)).expect("a file");
        for arguments in
            [&["run", "--page-views", "good.csv"] as &[&str], &["main"], &["status"], &["show", "sessions"]]
        {
            let arguments = [&["--database", name], arguments].concat();
            check(&folder.run(&arguments), &arguments, 1, &[name, "this is no database", "nothing was done"]);
        }
        assert_eq!(std::fs::read(folder.path().join(name)).expect("a file"), before, "{name}");
    }
}

/// Each way to name a file or folder, with one of every wrong kind: the error has the name and what to do, and nothing is done.
#[test]
fn files_of_another_kind_than_is_meant() {
    let folder = with_sessions();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder")).expect("a folder");
    std::fs::write(at("binary"), [0, 159, 146, 150, 255]).expect("a file");
    for (name, text) in [
        ("empty", ""),
        ("list.json", "{\"data\": {\"playbooks\": []}}"),
        ("array.json", "[1, 2]"),
        ("open.yml", "steps: ["),
    ] {
        folder.write(name, text);
    }
    let kinds =
        ["folder", "binary", "empty", "list.json", "array.json", "open.yml", "good.csv", "missing", "good.csv/in"];
    let takes: [(&[&str], &[&str]); 9] = [
        (&["run", "--playbook"], &[]),
        (&["lint", "--playbook"], &["empty", "list.json"]),
        (&["run", "--playbooks"], &[]),
        (&["lint", "--playbooks"], &[]),
        (&["run", "--config-json"], &[]),
        (&["import"], &[]),
        (&["check", "--file"], &[]),
        (&["config", "show", "--config"], &["empty"]),
        (&["load"], &["good.csv"]),
    ];
    for (command, takes) in takes {
        for kind in kinds.iter().filter(|kind| !takes.contains(kind)) {
            let arguments = [command, &[kind]].concat();
            let code = if command[0] == "load" { 1 } else { 2 };
            let said = refuses(&folder, &arguments, code, &[kind, "hint: "]);
            assert!(!said.stderr.contains("or write"), "{arguments:?}: {}", said.stderr);
        }
    }
    // What has no step is found before it runs.
    for kind in ["empty", "list.json"] {
        let said = folder.run(&["lint", "--playbook", kind]);
        assert_eq!(said.code, 4, "{}", said.stderr);
        assert!(said.stdout.contains(&format!("error: no steps in {kind}")), "{}", said.stdout);
    }
    refuses(&folder, &["import", "list.json"], 2, &["is a file", "--config-json a job list"]);
    refuses(&folder, &["import", "missing"], 2, &["nothing of this name is there"]);
    // What is written has a place that takes it.
    let rejects = ["load", "good.csv", "--max-bad-rows", "1", "--rejects", "folder"];
    refuses(&folder, &rejects, 1, &["folder: the rejected rows can't be written", "name another path"]);
    refuses(&folder, &["plan", "--split", "good.csv"], 1, &["can't write good.csv", "name another path"]);
    refuses(&folder, &["plan", "--split", "good.csv/in"], 1, &["can't write good.csv/in", "make the folder"]);
    let said =
        refuses(&folder, &["run", "--lineage", "kafka://me:hidden@host"], 2, &["kafka://", "http:// or https://"]);
    assert!(!said.stderr.contains("hidden"), "{}", said.stderr);
    folder.write("one.yml", "steps: [{name: s, queries: [{name: q, file: standard/03-sessions/01-main/a.sql}]}]");
    std::fs::create_dir(at("playbooks")).expect("a folder");
    std::fs::rename(at("one.yml"), at("playbooks/one.yml")).expect("moved");
    refuses(&folder, &["import", "playbooks", "--config", "good.csv"], 2, &["good.csv: TOML", "nothing was written"]);
    folder.write("websessions.toml", "[check]\nfiles = [\"*.sql\"]\n");
    refuses(&folder, &["check"], 2, &["websessions.toml: [check]: files: *.sql", "no patterns"]);
}

#[test]
fn a_database_that_cannot_be_written() {
    let folder = with_sessions();
    let arguments = ["--database", "/proc/websessions.duckdb", "main"];
    check(&folder.run(&arguments), &arguments, 1, &["/proc/websessions.duckdb"]);
    let database = folder.path().join("websessions.duckdb");
    let before = folder.dump();
    // Permissions don't bind root; an immutable mount does: a read-only bind mount where that is allowed, else mode 444.
    let mut permissions = std::fs::metadata(&database).expect("metadata").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&database, permissions).expect("read-only");
    let said: Said = if is_root() {
        // As the user "nobody", who may read the folder but not write the file.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("readable");
        let shell =
            format!("exec setpriv --reuid 65534 --regid 65534 --clear-groups '{}' main", reachable_binary(&folder));
        std::process::Command::new("sh")
            .args(["-c", &shell])
            .current_dir(folder.path())
            .output()
            .expect("sh starts")
            .into()
    } else {
        folder.run(&["main"])
    };
    check(&said, &["main"], 1, &["websessions.duckdb"]);
    assert_eq!(folder.dump(), before);
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A copy of the binary and its library that another user can reach.
fn reachable_binary(folder: &Folder) -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_websessions"));
    let library = binary.with_file_name("libduckdb.so");
    std::fs::copy(binary, folder.path().join("websessions")).expect("a copy of the binary");
    std::fs::copy(library, folder.path().join("libduckdb.so")).expect("a copy of the library");
    folder.path().join("websessions").display().to_string()
}

#[test]
fn a_disk_that_is_full() {
    let folder = Folder::new();
    let sample = fixtures().join("page_views.csv.gz");
    folder.run(&["load", "--staged", &sample.to_string_lossy()]).done("load").expect("staged");
    let before = folder.dump();
    // The size limit of files stands in for a full disk: writes beyond it fail in the same way.
    let shell = format!("trap '' XFSZ; ulimit -f 100; exec '{}' main", env!("CARGO_BIN_EXE_websessions"));
    let output = std::process::Command::new("bash").args(["-c", &shell]).current_dir(folder.path()).output();
    let said: Said = output.expect("bash starts").into();
    check(&said, &["main"], 1, &["hint"]);
    // What was staged is all there, and production has nothing: the next run, with room, does the whole work.
    let staged =
        |dump: &str| dump.lines().find(|line| line.starts_with("scratch.page_views_staged")).map(str::to_owned);
    assert_eq!(staged(&folder.dump()), staged(&before));
    folder.run(&["run"]).done("run").expect("a run with room");
    assert!(folder.contents("sessions", &[]).expect("sessions").rows.len() > 200);
}

/// What a scheduler's surroundings lack, or call oddly: nothing is made elsewhere, and the exit code tells.
#[cfg(target_os = "linux")]
#[test]
fn odd_surroundings() {
    use std::os::unix::ffi::OsStrExt;
    let folder = with_sessions();
    let inside = folder.path().join("a?b");
    std::fs::create_dir(&inside).expect("a folder");
    let arguments = ["--database", "a?b/x.duckdb", "run", "--page-views", "good.csv"];
    check(&folder.run(&arguments), &arguments, 1, &["can't open the database a?b/x.duckdb", "without '?'"]);
    assert_eq!(std::fs::read_dir(&inside).expect("the folder").count(), 0);
    // In the name of the file itself it is a letter as any other.
    folder.run(&["--database", "a?b.duckdb", "run", "--page-views", "good.csv"]).done("run").expect("a run");
    let export = ["export", "sessions", "--to"];
    let name = std::ffi::OsStr::from_bytes(b"a\xffb.csv");
    let said: Said = folder.command(&export).arg(name).output().expect("the binary starts").into();
    check(&said, &export, 1, &["UTF-8", "'--to -'"]);
    let to_output = ["export", "sessions", "--to", "-"];
    let without = folder.command(&to_output).env("TMPDIR", "/nonexistent").output().expect("the binary starts").into();
    check(&without, &to_output, 2, &["/nonexistent, the folder of temporary files", "set TMPDIR"]);
    refuses(&folder, &["--lineage", "", "run"], 2, &["a value is required for '--lineage"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let unheard = folder.command(&["nonsense"]).stderr(full).status().expect("the binary starts");
    assert_eq!(unheard.code(), Some(2));
}

/// A file where a command takes none, and tests of data that can't be asked after the run: both are known before it begins.
#[test]
fn what_is_known_before_a_run_is_said_before_it() {
    let folder = with_sessions();
    refuses(&folder, &["run", "good.csv"], 2, &["unexpected argument", "'websessions run --page-views good.csv'"]);
    folder.write("mine.sql", "SELECT 1 WHERE {{.nope}}");
    folder.write("websessions.toml", "[check]\nafter_run = true\nfiles = [\"mine.sql\"]\n");
    refuses(&folder, &["run"], 2, &["mine.sql", "nope"]);
    refuses(&folder, &["lint"], 2, &["mine.sql", "nope"]);
    folder.write("websessions.toml", "[check]\nafter_run = true\nfiles = [\"gone\"]\n");
    refuses(&folder, &["run", "--page-views", "good.csv"], 2, &["gone"]);
}

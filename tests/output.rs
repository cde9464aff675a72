//! What a command writes: to standard output, to files. All of it or an error, and an error leaves what was there.

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Folder, Said, json, refused, schema, validate};
use websessions_test_servers::{end, signal, wait_until};

fn with_sessions() -> Folder {
    let folder = Folder::new();
    folder.write("good.csv", "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp\np1,s1,1,2024-01-01,2024-01-01\n");
    folder.run(&["run", "--page-views", "good.csv"]).done("run").expect("a run");
    folder
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_written_to_stdout_is_an_error() {
    let folder = with_sessions();
    for arguments in [
        &["plan", "main"] as &[&str],
        &["--output", "json", "plan"],
        &["config", "show"],
        &["--output", "json", "config", "show"],
        &["backends"],
        &["columns"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["doctor"],
        &["lint"],
        &["unlock"],
        &["run", "--page-views", "good.csv"],
        &["export", "sessions", "--to", "-"],
        &["export", "sessions", "--to", "/dev/full"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let said = Said::from(folder.command(arguments).stdout(full).output().expect("the binary starts"));
        assert_eq!(said.code, 1, "{arguments:?}: {}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{arguments:?}: {}", said.stderr);
        let named = arguments[0].starts_with("--") && arguments.len() == 1;
        assert!(named || said.stderr.contains("No space left on device"), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = with_sessions();
    for arguments in [&["plan"] as &[&str], &["completions", "zsh"], &["export", "sessions", "--to", "-"], &["--help"]]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let said = Said::from(folder.command(arguments).stdout(writer).output().expect("the binary starts"));
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        assert!(!said.stderr.contains("rror"), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn an_export_that_fails_leaves_the_file_that_was_there() {
    let folder = with_sessions();
    let keep = folder.write("keep.csv", "precious\n");
    refused(&folder.run(&["export", "derived.nope", "--to", "keep.csv"]), 1, &["nope"]);
    assert_eq!(std::fs::read_to_string(&keep).expect("the file"), "precious\n");
    // The size limit of files stands in for a full disk.
    let big = fixture_sessions(&folder);
    let shell = format!(
        "trap '' XFSZ; ulimit -f 8; exec '{}' export page_views_staged --to keep.csv",
        env!("CARGO_BIN_EXE_websessions")
    );
    let output = Command::new("bash").args(["-c", &shell]).current_dir(folder.path()).output();
    let said = Said::from(output.expect("bash starts"));
    assert_eq!(said.code, 1, "{big}: {}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("keep.csv") || said.stderr.contains("File too large"), "{}", said.stderr);
    assert_eq!(std::fs::read_to_string(&keep).expect("the file"), "precious\n");
    assert_eq!(entries(folder.path(), ".websessions"), Vec::<PathBuf>::new());
    folder.run(&["export", "sessions", "--to", "keep.csv"]).done("export").expect("exported");
    assert!(std::fs::read_to_string(&keep).expect("the file").contains("s1"));
}

fn entries(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning));
    entries.map(|entry| entry.path()).collect()
}

/// A file that is named is replaced, unless it is one that the command reads, or the warehouse itself.
#[test]
fn what_is_written_never_replaces_what_is_read_or_the_warehouse() {
    let folder = with_sessions();
    folder.write("good.csv", "page_view_id,domain_sessionid,start_tstamp\np9,s9,2024-01-01\n");
    folder.write("mine.sql", "SELECT 1 AS one WHERE 1 = 0");
    folder.write(
        "site.toml",
        "[target.x]\ntype = \"duckdb\"\ndatabase = \"websessions.duckdb\"\n[check]\nfiles = [\"mine.sql\"]\n",
    );
    std::fs::create_dir(folder.path().join("inner")).expect("a folder");
    let before = || {
        let names = ["good.csv", "mine.sql", "site.toml", "websessions.duckdb"];
        names.map(|name| std::fs::read(folder.path().join(name)).expect("the file"))
    };
    let kept = before();
    let commands: [(&[&str], &str); 12] = [
        (&["export", "sessions", "--to", "websessions.duckdb"], "websessions.duckdb is the target's own"),
        (&["export", "sessions", "--to", "inner/../websessions.duckdb"], "is the target's own"),
        (&["export", "sessions", "--to", "site.toml"], "site.toml is the configuration file"),
        (&["export", "sessions", "--to", "mine.sql"], "mine.sql is a file of a check"),
        (&["report", "--html", "websessions.duckdb"], "is the target's own"),
        (&["report", "--html", "site.toml"], "is the configuration file"),
        (&["report", "--html", "inner"], "inner is a folder"),
        (&["run", "--page-views", "good.csv", "--report", "good.csv"], "good.csv is a file that is read"),
        (&["run", "--report", "websessions.duckdb"], "is the target's own"),
        (&["run", "--lineage", "websessions.duckdb"], "is the target's own"),
        (&["check", "--junit", "websessions.duckdb"], "is the target's own"),
        (&["check", "--file", "good.csv", "--junit", "good.csv"], "good.csv is a file that is read"),
    ];
    for (command, words) in commands {
        refused(&folder.run(&[&["--config", "site.toml"], command].concat()), 2, &[words]);
        assert!(before() == kept, "{command:?}");
    }
    // One that is made by the same command is no other.
    refused(&folder.run(&["--database", "new.duckdb", "run", "--report", "./new.duckdb"]), 2, &["the target's own"]);
    assert!(!folder.path().join("new.duckdb").exists());
    folder.write("page.html", "old");
    folder.write("sessions.csv", "old");
    folder.run(&["report", "--html", "page.html"]).done("report").expect("replaced");
    folder.run(&["export", "sessions", "--to", "sessions.csv"]).done("export").expect("replaced");
    for name in ["page.html", "sessions.csv"] {
        assert!(std::fs::metadata(folder.path().join(name)).expect("the file").len() > 10, "{name}");
    }
}

/// What a killed export has left beside its file goes with the next one that writes there; of a cancelled one nothing is left.
#[test]
#[cfg(unix)]
fn nothing_stays_beside_a_file_that_was_not_finished() {
    let folder = with_sessions();
    folder.run(&["load", "--staged", &fixture_sample()]).done("load").expect("staged");
    // Sends a signal as soon as the export has a folder of its own, or one with a file in it.
    let stopped = |name: &str, writes: bool| {
        let left = entries(folder.path(), ".websessions-");
        let mut export = folder.command(&["export", "page_views_staged", "--to", "big.csv.gz"]);
        let mut child = export.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let has_begun = || {
            let mut new = entries(folder.path(), ".websessions-").into_iter().filter(|path| !left.contains(path));
            new.any(|path| !writes || !entries(&path, "").is_empty())
        };
        wait_until("the export begins or ends", || has_begun() || child.try_wait().expect("its state").is_some());
        // One that has just ended takes a signal until it is waited for.
        if child.try_wait().expect("its state").is_none() {
            signal(name, child.id());
        }
        Said::from(end(child))
    };
    for writes in [false, true, false, true] {
        let said = stopped("-INT", writes);
        assert!([0, 130].contains(&said.code), "{}{}{}", said.code, said.stdout, said.stderr);
        assert_eq!(entries(folder.path(), ".websessions-"), Vec::<PathBuf>::new());
    }
    // By a signal it has no exit code. It may end before the signal comes.
    let mut kills =
        (0..50).map(|_| stopped("-KILL", true).code == -1 && !entries(folder.path(), ".websessions-").is_empty());
    assert!(kills.any(|killed| killed), "no export was killed while it wrote");
    folder.run(&["init"]).done("init").expect("written");
    assert_eq!(entries(folder.path(), ".websessions-"), Vec::<PathBuf>::new());
}

/// A command that is told to do next is about what this one was about, and can be pasted.
#[test]
fn hints_carry_the_flags_that_say_where() {
    let folder = Folder::new();
    folder.write("a site.toml", "[target.old]\ntype = \"duckdb\"\n[target.new]\ntype = \"duckdb\"\n");
    let flags = ["--config", "a site.toml", "--target", "old", "--var", "entropy=_x", "--var", "cleanup_mode=debug"];
    let given = "--config \"a site.toml\" --target old --var entropy=_x";
    let said = folder.run(&[&flags[..], &["main"]].concat());
    refused(&said, 1, &[&format!("'websessions load {given}'")]);
    // What the environment says stays there.
    let mut command = folder.command(&["--var", "entropy=_x", "main"]);
    let output = command.env("WEBSESSIONS_CONFIG", "a site.toml").env("WEBSESSIONS_TARGET", "old").output();
    refused(&output.expect("the binary starts").into(), 1, &["'websessions load --var entropy=_x'"]);
    let said = folder.run(&[&flags[..], &["--output", "json", "main"]].concat());
    let hint = json(&said.stdout)["hint"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(hint.contains(given), "{hint}");
    // It is pasted as it stands.
    folder.write("views.csv", "page_view_id,domain_sessionid,start_tstamp\np1,s1,2024-01-01\n");
    let shell = format!("'{}' load {given} views.csv", env!("CARGO_BIN_EXE_websessions"));
    let output = Command::new("bash").args(["-c", &shell]).current_dir(folder.path()).output().expect("bash starts");
    Said::from(output).done("the command of the hint").expect("done");
}

/// What the ending says is what the file is, in any case: it can be loaded again.
#[test]
fn an_export_can_be_loaded_again_whatever_the_case_of_its_ending() {
    let folder = with_sessions();
    for name in
        ["a.csv", "A.CSV", "a.csv.gz", "A.CSV.GZ", "a.Parquet", "a.ndjson", "a.JSONL.Gz", "a.json", "it's [1]*?.csv"]
    {
        folder.run(&["export", "page_views", "--to", name]).done(name).expect("exported");
        folder.run(&["--database", &format!("{name}.duckdb"), "load", name]).done(name).expect("loaded");
        let content = std::fs::read(folder.path().join(name)).expect("the file");
        assert_eq!(content.starts_with(b"\x1f\x8b"), name.to_lowercase().ends_with(".gz"), "{name}");
    }
    for name in ["a.parquet.gz", "a.csv.gz.gz", "a.csv.zst", "a.txt", "gz"] {
        refused(&folder.run(&["export", "page_views", "--to", name]), 1, &["unknown kind of file", "known endings"]);
    }
}

fn fixture_sample() -> String {
    support::fixtures().join("page_views.csv.gz").to_string_lossy().into_owned()
}

/// Stages the sample, whose export is far larger than the limit.
fn fixture_sessions(folder: &Folder) -> String {
    let sample = fixture_sample();
    folder.run(&["load", "--staged", &sample]).done("load").expect("staged");
    sample
}

#[test]
#[cfg(unix)]
fn an_export_keeps_the_file_s_mode_and_follows_links() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = with_sessions();
    let keep = folder.write("keep.csv", "old\n");
    std::fs::set_permissions(&keep, PermissionsExt::from_mode(0o600)).expect("a mode");
    std::os::unix::fs::symlink("keep.csv", folder.path().join("link.csv")).expect("a link");
    folder.run(&["export", "sessions", "--to", "link.csv"]).done("export").expect("exported");
    let metadata = std::fs::symlink_metadata(folder.path().join("link.csv")).expect("the link");
    assert!(metadata.file_type().is_symlink());
    assert!(std::fs::read_to_string(&keep).expect("the file").contains("s1"));
    assert_eq!(std::fs::metadata(&keep).expect("the file").mode() & 0o777, 0o600);
}

#[test]
#[cfg(unix)]
fn standard_output_and_pipes_get_the_table() {
    let folder = with_sessions();
    folder.run(&["export", "sessions", "--to", "sessions.csv"]).done("export").expect("exported");
    let expected = std::fs::read_to_string(folder.path().join("sessions.csv")).expect("the file");
    for to in ["-", "/dev/stdout"] {
        let said = folder.run(&["export", "sessions", "--to", to]).done(to).expect("exported");
        assert_eq!(said.stdout, expected, "{to}");
        assert!(said.stderr.contains("1 row to"), "{}", said.stderr);
        // What was in a file that stdout is appended to stays.
        let appended = folder.write("appended.csv", "first\n");
        let stdout = File::options().append(true).open(&appended).expect("the file");
        Said::from(folder.command(&["export", "sessions", "--to", to]).stdout(stdout).output().expect("run"))
            .done(to)
            .expect("exported");
        assert_eq!(std::fs::read_to_string(&appended).expect("the file"), format!("first\n{expected}"));
    }
    for name in ["fifo.csv", "fifo"] {
        let fifo = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo starts").success());
        let reader = Command::new("cat").arg(&fifo).stdout(Stdio::piped()).spawn().expect("cat starts");
        folder.run(&["export", "sessions", "--to", name]).done(name).expect("exported");
        let read = reader.wait_with_output().expect("cat ends");
        assert_eq!(String::from_utf8_lossy(&read.stdout), expected, "{name}");
    }
    folder.run(&["export", "sessions", "--to", "/dev/null"]).done("null").expect("exported");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_an_export_that_nobody_reads() {
    let folder = with_sessions();
    let fifo = folder.path().join("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo starts").success());
    let mut export = folder.command(&["export", "sessions", "--to", "fifo.csv"]);
    let said = interrupted_with_content(&mut export);
    refused(&said, 130, &["cancelled before derived.sessions was in fifo.csv"]);
}

/// Interrupts a command as soon as it has content for a pipe that nobody reads, which it keeps in the folder of temporary files.
#[cfg(unix)]
fn interrupted_with_content(command: &mut Command) -> Said {
    let temporary = Folder::new();
    command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary starts");
    wait_until("there is content", || {
        let mut parts = entries(temporary.path(), "").into_iter().flat_map(|folder| entries(&folder, ""));
        parts.any(|part| std::fs::metadata(part).is_ok_and(|part| part.len() > 0))
    });
    signal("-INT", child.id());
    end(child).into()
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_report_that_nobody_reads() {
    let folder = with_sessions();
    let fifo = folder.path().join("page.html");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo starts").success());
    for arguments in [&["report", "--html", "page.html"] as &[&str], &["run", "--report", "page.html"]] {
        let mut report = folder.command(arguments);
        let said = interrupted_with_content(&mut report);
        refused(&said, 130, &["cancelled before the report was made"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn few_file_descriptors_are_an_error() {
    let folder = Folder::new();
    for limit in 4..48 {
        let shell = format!("ulimit -n {limit}; exec '{}' doctor", env!("CARGO_BIN_EXE_websessions"));
        let output = Command::new("bash").args(["-c", &shell]).current_dir(folder.path()).output();
        let said = Said::from(output.expect("bash starts"));
        assert!(!said.stderr.contains("panicked"), "{limit}: {}", said.stderr);
        assert!([1, 4, 127].contains(&said.code), "{limit}: {} {}", said.code, said.stderr);
    }
}

/// The one document that a command wrote to stdout.
fn document(said: &Said, arguments: &[&str]) -> Value {
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}{}", said.stdout, said.stderr))
}

/// The records that a command wrote to stderr.
fn records(said: &Said, arguments: &[&str]) -> Vec<Value> {
    let record =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {line}"));
    said.stderr.lines().map(record).collect()
}

/// With JSON asked for, stdout is one document and stderr records, whatever happens: every command that there is, in success
/// and in failure. A command that this test doesn't know is called as it is.
#[test]
fn every_command_answers_with_one_document_and_records() {
    let reports = ["run", "resume", "main", "complete", "destroy"];
    let known: &[(&str, &[&str], &[&str])] = &[
        ("run", &["run", "--page-views", "good.csv"], &["run", "--page-views", "missing.csv"]),
        ("load", &["load", "good.csv"], &["load", "bad.csv"]),
        ("main", &["main"], &["--var", "entropy=_none", "main"]),
        ("complete", &["complete"], &["--var", "entropy=_none", "complete"]),
        ("rebuild", &["rebuild", "--from", "2024-01-01"], &["rebuild"]),
        ("export", &["export", "sessions", "--to", "out.csv"], &["export", "sessions", "--to", "-"]),
        ("report", &["report", "--html", "page.html"], &["report", "--html", "-"]),
        ("plan", &["plan"], &["plan", "--estimate"]),
        ("lint", &["lint"], &["lint", "--playbooks", "missing"]),
        ("import", &["--config", "-", "import", "playbooks/postgres"], &["import", "missing"]),
        ("config", &["config", "show"], &["--var", "nope=1", "config", "show"]),
        ("init", &["--config", "made.toml", "init"], &["--config", "made.toml", "init"]),
        ("trust", &["trust"], &["--config", "missing.toml", "trust"]),
        ("columns", &["columns"], &["columns", "sesions"]),
        ("backends", &["backends"], &["backends", "--nope"]),
        ("unlock", &["unlock", "--yes"], &["--database", "no/such/folder/x.duckdb", "unlock"]),
        ("doctor", &["doctor"], &["--var", "entropy=_none", "doctor"]),
        ("completions", &["completions", "bash"], &["completions", "nosuch"]),
        ("destroy", &["destroy", "--yes"], &["destroy"]),
        ("help", &["help"], &["help", "nosuch"]),
    ];
    let folder = with_sessions();
    folder.write("bad.csv", "page_view_id,domain_sessionid\np1,s1\n");
    folder.write("websessions.toml", "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n");
    folder.write("own.sql", "SELECT 1;");
    support::copy(&support::fixtures().join("playbooks"), &folder.path().join("playbooks"));
    let help = folder.run(&["--help"]).done("help").expect("the commands").stdout;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(known.iter().all(|(name, ..)| commands.contains(name)), "{commands:?}");
    let (mut succeeded, mut failed, mut all_records) = (Vec::new(), Vec::new(), Vec::new());
    let mut run = |arguments: &[&str], code: Option<bool>| {
        let said = folder.run(&[&["--output", "json", "--log-format", "json"], arguments].concat());
        let (document, records) = (document(&said, arguments), records(&said, arguments));
        if let Some(done) = code {
            assert_eq!(said.code == 0, done, "{arguments:?}: {}{}", said.stdout, said.stderr);
        }
        let last = records.last();
        let asks = said.code == 0 && (document.get("help").is_some() || arguments == ["--version"]);
        assert!(asks || last.is_some_and(|last| last["event"] == "command_finished" && last["exit_code"] == said.code));
        let errors = records.iter().filter(|record| record["event"] == "command_failed").count();
        assert_eq!(errors, usize::from(said.code != 0), "{arguments:?}: {}", said.stderr);
        if said.code == 0 {
            succeeded.push((arguments.first().map(|&name| name.to_owned()), document.clone()));
        } else {
            assert_eq!(document["exit_code"], said.code);
            assert!(records.iter().all(|record| record["run_id"] == document["run_id"]), "{arguments:?}");
            failed.push(document.clone());
        }
        all_records.extend(records);
        document
    };
    for (_, good, bad) in known {
        run(good, Some(true));
        run(bad, Some(false));
    }
    for name in &commands {
        run(&[name, "--no-such-flag"], Some(false));
        if !known.iter().any(|(known, ..)| known == name) && *name != "resume" {
            run(&[name], None);
        }
    }
    run(&[], Some(false));
    run(&["--version"], Some(true)).get("version").expect("the version");
    // A script of the user's own that fails, and is mended.
    folder.write("own.sql", "SELECT * FROM scratch.nothing_like_that;");
    let stopped = run(&["run", "--page-views", "good.csv"], Some(false));
    assert_eq!((&stopped["committed"], &stopped["report"]["outcome"]), (&true.into(), &"failed".into()), "{stopped}");
    assert_eq!(stopped["report"]["run_id"], stopped["run_id"]);
    folder.write("own.sql", "SELECT 1;");
    run(&["resume", "--page-views", "good.csv"], Some(true));
    run(&["resume"], Some(false));
    // What the checks found stands in the document of their failure.
    let checks = run(&["--var", "entropy=_none", "doctor"], Some(false));
    assert!(
        checks["answer"].as_array().is_some_and(|checks| checks.iter().any(|check| check["ok"] == false)),
        "{checks}"
    );
    let succeeded: Vec<Value> = succeeded
        .into_iter()
        .filter(|(name, _)| name.as_deref().is_some_and(|name| reports.contains(&name)))
        .map(|(_, document)| document)
        .collect();
    assert!(succeeded.len() >= 5);
    validate(&schema("run"), &succeeded);
    validate(&schema("failure"), &failed);
    validate(&schema("log"), &all_records);
}

#[test]
fn a_report_says_which_run_it_was_and_its_numbers() {
    let folder = Folder::new();
    folder.write("websessions.toml", "[target.here]\ntype = \"duckdb\"\ndatabase = \"here.duckdb\"\n");
    let sample = support::fixtures().join("page_views.csv.gz").to_string_lossy().into_owned();
    let arguments = ["--output", "json", "--log-format", "json", "run", "--page-views", &sample];
    let said = folder.run(&arguments).done("run").expect("a run");
    let (report, records) = (document(&said, &arguments), records(&said, &arguments));
    for (name, value) in [("rows_loaded", 1043), ("summary.session_rows", 299), ("summary.page_views", 1043)] {
        assert_eq!(report["numbers"][name], value, "{name}: {}", report["numbers"]);
    }
    assert_eq!(report["numbers"]["seconds"], report["seconds"]);
    assert_eq!(report["target"], serde_json::json!({ "name": "here", "backend": "duckdb" }));
    assert_eq!((&report["command"], &report["outcome"]), (&"run".into(), &"succeeded".into()));
    assert!(report["location"].as_str().is_some_and(|location| location.contains("here.duckdb")), "{report}");
    assert!(report["started_at"].as_str() <= report["ended_at"].as_str());
    let of = |event: &str| records.iter().find(|record| record["event"] == event).expect("an event").clone();
    let commit = records
        .iter()
        .find(|record| record["step"] == "commit" && record["plan"] == "main")
        .expect("a record of the commit");
    assert_eq!((&commit["module"], &commit["plan"]), (&"sessions".into(), &"main".into()));
    assert!(of("run_started")["module"].is_null() && of("run_finished")["step"].is_null());
    assert!(records.iter().all(|record| record["run_id"] == report["run_id"]));
}

#[test]
fn quiet_is_about_warnings_and_errors_alone() {
    let folder = with_sessions();
    folder.write("notes.txt", "no page views");
    let environment =
        |mut command: Command| Said::from(command.env("WEBSESSIONS_TYPO", "1").output().expect("it starts"));
    for arguments in [
        &["run", "--page-views", "good.csv"] as &[&str],
        &["export", "sessions", "--to", "-"],
        &["unlock", "--yes"],
        &["destroy", "--yes"],
    ] {
        let text = environment(folder.command(&[&["--quiet"], arguments].concat()));
        assert_eq!(text.code, 0, "{}", text.stderr);
        let lines: Vec<&str> = text.stderr.lines().collect();
        assert!(
            lines.len() == 1 && lines[0].starts_with("warning: the environment variable WEBSESSIONS_TYPO"),
            "{arguments:?}: {lines:?}"
        );
    }
    let said = environment(folder.command(&["--quiet", "--log-format", "json", "--var", "entropy=_none", "main"]));
    assert_ne!(said.code, 0);
    let levels: Vec<Value> = records(&said, &["main"]).iter().map(|record| record["level"].clone()).collect();
    assert!(levels.contains(&"warn".into()) && levels.contains(&"error".into()), "{levels:?}");
    assert!(!levels.contains(&"info".into()) && !levels.contains(&"debug".into()), "{levels:?}");
}

/// How wide the terminal is.
const COLUMNS: usize = 80;

/// What a terminal shows at the end, of what was written to it: the codes that bars are drawn with are known, no others.
fn shown(written: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut rest = written.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if lines.len() == row {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' => {
                assert_eq!(rest.next(), Some('['));
                let mut number = String::new();
                let code = loop {
                    match rest.next().expect("a code") {
                        digit if digit.is_ascii_digit() || ";?".contains(digit) => number.push(digit),
                        code => break code,
                    }
                };
                match (code, number.as_str()) {
                    ('K', "2") => lines[row].clear(),
                    ('K', "" | "0") => lines[row].truncate(column),
                    ('A', _) => row -= number.parse::<usize>().unwrap_or(1).min(row),
                    ('B', _) => row += number.parse::<usize>().unwrap_or(1),
                    ('C', _) => column += number.parse::<usize>().unwrap_or(1),
                    ('m' | 'h' | 'l', _) => {}
                    other => panic!("an unknown code {other:?}"),
                }
            }
            character => {
                // A terminal goes on to the next line when one more character comes.
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                    if lines.len() == row {
                        lines.push(Vec::new());
                    }
                }
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = character;
                column += 1;
            }
        }
    }
    lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
}

/// What a command writes to a terminal; what it answers goes to a file.
#[cfg(target_os = "linux")]
fn on_a_terminal(folder: &Folder, arguments: &str) -> Said {
    let command = format!("stty cols {COLUMNS}; '{}' {arguments} >out.txt", env!("CARGO_BIN_EXE_websessions"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(folder.path());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEBSESSIONS_")) {
        script.env_remove(name);
    }
    // A user's own shell, or one that lacks the user's locale, has words of its own.
    script.env("SHELL", "/bin/sh").env("LC_ALL", "C");
    script.env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    Said::from(script.output().expect("script starts"))
}

#[test]
#[cfg(target_os = "linux")]
fn bars_are_drawn_for_loading_and_plans_and_leave_nothing_behind() {
    let folder = Folder::new();
    let sample = support::fixtures().join("page_views.csv.gz");
    let said = on_a_terminal(&folder, &format!("run --page-views '{}'", sample.display()));
    assert_eq!(said.code, 0, "{}", said.stdout);
    for drawn in ["page_views.csv.gz [", "main [", "complete ["] {
        assert!(said.stdout.contains(drawn), "{drawn}: {:?}", said.stdout);
    }
    let left: Vec<String> = shown(&said.stdout).into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!(left[0], "the database file websessions.duckdb is new", "{left:#?}");
    assert!(left[1..].iter().all(|line| line.contains(" done in ")), "{left:#?}");
    assert!(left.iter().any(|line| line.starts_with("main/commit done in")), "{left:#?}");
    // Nothing is said at all where warnings and errors alone are.
    let said = on_a_terminal(&folder, &format!("--quiet run --page-views '{}'", sample.display()));
    assert_eq!((said.code, said.stdout.as_str()), (0, ""));
    let said = on_a_terminal(&folder, &format!("load --staged '{}'", sample.display()));
    assert!(said.stdout.contains("page_views.csv.gz ["), "{:?}", said.stdout);
    let left: Vec<String> = shown(&said.stdout).into_iter().filter(|line| !line.is_empty()).collect();
    assert_eq!((said.code, left), (0, Vec::new()));
}

#[test]
fn the_numbers_of_a_report_are_those_of_sql_by_hand() {
    let folder = Folder::new();
    let sample = support::fixtures().join("page_views.csv.gz").to_string_lossy().into_owned();
    drop(duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("an empty database"));
    refused(&folder.run(&["report", "--html", "page.html"]), 1, &["websessions run", "derived"]);
    assert!(!folder.path().join("page.html").exists());
    folder.run(&["run", "--page-views", &sample]).done("run").expect("a run");
    folder.write("page.html", "an old page");
    let said = folder.run(&["report", "--html", "page.html", "--days", "5"]).done("report").expect("a page");
    let data = support::data_of(&folder.path().join("page.html"));
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    let one = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).expect(sql) };
    let begins = "start_tstamp >= DATE '2024-01-03'";
    let count = one(&format!("SELECT COUNT(*) FROM derived.sessions WHERE {begins}"));
    assert!(said.stdout.starts_with(&format!("{count} sessions of 5 days")), "{}", said.stdout);
    assert_eq!((&data["period"]["first"], &data["period"]["last"]), (&"2024-01-03".into(), &"2024-01-07".into()));
    let users = one(&format!("SELECT COUNT(DISTINCT domain_userid) FROM derived.sessions WHERE {begins}"));
    assert_eq!((&data["period"]["sessions"], &data["period"]["users"]), (&count.into(), &users.into()));
    assert_eq!(data["period"]["all"], one("SELECT COUNT(*) FROM derived.sessions"));
    assert_eq!(data["days"].as_array().map(Vec::len), Some(5));
    for (number, day) in data["days"].as_array().expect("days").iter().enumerate() {
        for (name, sql) in [
            ("session_count", "COUNT(*)"),
            ("user_count", "COUNT(DISTINCT domain_userid)"),
            ("returning_users", "COUNT(DISTINCT domain_userid) FILTER (domain_sessionidx > 1)"),
            ("page_views", "SUM(page_views)::BIGINT"),
            ("engaged_time_in_s", "COALESCE(SUM(engaged_time_in_s), 0)::BIGINT"),
            ("bounces", "COUNT(*) FILTER (page_views = 1)"),
        ] {
            let expected = one(&format!(
                "SELECT {sql} FROM derived.sessions WHERE CAST(start_tstamp AS DATE) = '{}'",
                day.as_str().expect("a day")
            ));
            assert_eq!(data["daily"][name][number], expected, "{day} {name}");
        }
    }
    for (name, expression) in [
        ("landing_pages", "concat(first_page_urlhost, first_page_urlpath)"),
        ("exit_pages", "concat(last_page_urlhost, last_page_urlpath)"),
        ("sources", "coalesce(nullif(mkt_source, ''), nullif(refr_source, ''), nullif(refr_urlhost, ''), '')"),
        ("devices", "coalesce(device_class, '')"),
    ] {
        let all = data["breakdowns"][name].as_array().expect("names");
        let distinct = one(&format!("SELECT COUNT(DISTINCT {expression}) FROM derived.sessions WHERE {begins}"));
        assert_eq!(all.len() as i64, distinct.min(20), "{name}");
        for one_of in all {
            let sum = |place: usize| {
                let days = one_of["days"].as_array().expect("days");
                days.iter().filter_map(|day| day[place].as_i64()).sum::<i64>()
            };
            let called = one_of["name"].as_str().expect("a name").replace('\'', "''");
            let of = |what: &str| {
                one(&format!("SELECT {what} FROM derived.sessions WHERE {begins} AND {expression} = '{called}'"))
            };
            assert_eq!(sum(1), of("COUNT(*)"), "{name} {called}");
            assert_eq!(sum(2), of("COUNT(*) FILTER (page_views = 1)"), "{name} {called}");
        }
    }
    let runs = one("SELECT COUNT(*) FROM derived.datamodel_metadata") as usize;
    assert_eq!(data["runs"].as_array().map(Vec::len), Some(runs));
    let newest = "SELECT rows_this_run FROM derived.datamodel_metadata ORDER BY run_start_tstamp DESC, module LIMIT 1";
    assert_eq!(data["runs"][0]["rows"], one(newest));
    drop(connection);
    // A run writes the page once it is done, and refuses before it begins what can't be written.
    let said = folder.run(&["--output", "json", "run", "--report", "after.html"]).done("run").expect("a run");
    assert_eq!(document(&said, &["run"])["outcome"], "succeeded");
    assert!(said.stderr.contains("report: 299 sessions of 90 days in after.html"), "{}", said.stderr);
    assert_eq!(support::data_of(&folder.path().join("after.html"))["period"]["sessions"], 299);
    refused(&folder.run(&["run", "--report", "no/such/folder/x.html"]), 1, &["no/such/folder"]);
    refused(&folder.run(&["run", "--report", "-"]), 2, &["--report names a file"]);
}

/// The page as a browser has it: many sessions, one, none, and titles that would end a page's data if they could.
#[test]
fn the_page_of_a_report_is_right_in_a_browser() {
    let browser = std::env::var_os("WEBSESSIONS_TEST_BROWSER").expect("./tests/run sets it");
    let folder = Folder::new();
    let sample = support::fixtures().join("page_views.csv.gz").to_string_lossy().into_owned();
    folder.run(&["run", "--page-views", &sample]).done("run").expect("a run");
    let page = |name: &str| {
        folder.run(&["report", "--html", name]).done("report").expect("a page");
        folder.path().join(name)
    };
    folder.run(&["report", "--html", "checked.html", "--checks"]).done("report").expect("a page");
    let mut pages = vec![page("many.html"), folder.path().join("checked.html")];
    let change = |sql: &str| {
        let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("it opens");
        connection.execute_batch(sql).expect(sql);
    };
    change(
        "DELETE FROM derived.sessions WHERE domain_sessionid <> (SELECT MIN(domain_sessionid) FROM derived.sessions)",
    );
    let evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"<!--";
    change(&format!(
        "UPDATE derived.sessions SET first_page_title = '{evil}', last_page_title = '{evil}', first_page_urlpath = '{evil}', mkt_source = '{evil}', device_class = '{evil}'"
    ));
    refused(&folder.run(&["report", "--html", "one.html", "--checks"]), 4, &["sessions_of_page_views"]);
    pages.push(folder.path().join("one.html"));
    assert_eq!(support::data_of(&pages[2])["breakdowns"]["landing_pages"][0]["title"], evil);
    change("DELETE FROM derived.sessions; DELETE FROM derived.datamodel_metadata");
    pages.push(page("none.html"));
    let check = support::fixtures().join("../tests/browser/check.mjs");
    let output = Command::new("node").arg(check).arg(browser).args(&pages).output().expect("node starts");
    let said = Said::from(output).done("the checks").expect("nothing is wrong");
    assert_eq!(said.stdout, "16 looks\n");
}

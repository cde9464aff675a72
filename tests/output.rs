//! What a command writes: to standard output, to files. All of it or an error, and an error leaves what was there.

#[path = "support/mod.rs"]
mod support;

use std::fs::File;
use std::process::{Command, Stdio};
use support::{Folder, Said, refused};

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
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".websessions"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    folder.run(&["export", "sessions", "--to", "keep.csv"]).done("export").expect("exported");
    assert!(std::fs::read_to_string(&keep).expect("the file").contains("s1"));
}

/// Stages the sample, whose export is far larger than the limit.
fn fixture_sessions(folder: &Folder) -> String {
    let sample = support::fixtures().join("page_views.csv.gz").to_string_lossy().into_owned();
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
        assert!(said.stderr.contains("1 rows to"), "{}", said.stderr);
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
    let child = export.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let started = std::time::Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts").success());
    let said = Said::from(child.wait_with_output().expect("it ends"));
    refused(&said, 130, &["cancelled before derived.sessions was in fifo.csv"]);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
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

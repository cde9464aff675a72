//! A configuration file that was found, not named: what it may do, and what it may not.

#[path = "support/mod.rs"]
mod support;

use std::io::Read;
use std::path::Path;
use std::process::Command;
use support::{Folder, Said, refused};

/// A command whose user has a folder of their own for what was trusted.
fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.command(arguments);
    command.env("XDG_CONFIG_HOME", folder.path().join("config-of-the-user"));
    command
}

fn run(folder: &Folder, arguments: &[&str]) -> Said {
    command(folder, arguments).output().expect("the binary starts").into()
}

/// A configuration whose command leaves a trace.
const WITH_COMMAND: &str = "[target.x]\ntype = \"duckdb\"\nmemory_limit = { command = \"touch it-ran; echo 1GiB\" }\n";

#[test]
fn a_file_that_was_found_runs_no_command_until_it_is_trusted() {
    let folder = Folder::new();
    folder.write("websessions.toml", WITH_COMMAND);
    let ran = || folder.path().join("it-ran").exists();
    for arguments in [&["doctor"] as &[&str], &["main"], &["unlock"], &["export", "sessions", "--to", "x.csv"]] {
        refused(&run(&folder, arguments), 2, &["runs the command", "websessions trust", "--config websessions.toml"]);
        assert!(!ran(), "{arguments:?}");
    }
    // What needs no connection needs no trust.
    run(&folder, &["plan"]).done("plan").expect("a plan");
    run(&folder, &["config", "show"]).done("config show").expect("shown");
    assert!(!ran());
    let said = run(&folder, &["trust"]).done("trust").expect("trusted");
    assert!(said.stdout.contains("[target.x] memory_limit: runs the command"), "{}", said.stdout);
    assert!(!ran());
    assert_eq!(run(&folder, &["doctor"]).code, 4);
    assert!(ran());
    // Other contents are another file.
    folder.write("websessions.toml", &WITH_COMMAND.replace("1GiB", "2GiB"));
    refused(&run(&folder, &["doctor"]), 2, &["websessions trust"]);
    // A named file is its user's word.
    assert_eq!(run(&folder, &["--config", "websessions.toml", "doctor"]).code, 4);
    // The same contents elsewhere are not what was trusted.
    std::fs::create_dir(folder.path().join("elsewhere")).expect("a folder");
    folder.write("elsewhere/websessions.toml", WITH_COMMAND);
    let output = command(&folder, &["doctor"]).current_dir(folder.path().join("elsewhere")).output();
    refused(&output.expect("the binary starts").into(), 2, &["websessions trust"]);
}

#[test]
fn a_file_that_was_found_is_given_no_variable_of_the_environment() {
    let folder = Folder::new();
    folder.write("websessions.toml", "[target.x]\ntype = \"duckdb\"\nmemory_limit = { env = \"OTHERS\" }\n");
    let with =
        |arguments: &[&str]| Said::from(command(&folder, arguments).env("OTHERS", "1GiB").output().expect("run"));
    refused(&with(&["doctor"]), 2, &["reads the environment variable OTHERS", "websessions trust"]);
    with(&["trust"]).done("trust").expect("trusted");
    assert_eq!(with(&["doctor"]).code, 4);
}

/// The host that a file names hears nothing of a password in the environment.
#[test]
#[cfg(feature = "postgres")]
fn a_password_goes_nowhere_that_a_found_file_names() {
    let folder = Folder::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    folder.write(
        "websessions.toml",
        &format!("[target.x]\ntype = \"postgres\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"u\"\nsslmode = \"disable\"\nconnect_timeout = 300\n"),
    );
    let with = |arguments: &[&str]| {
        let output = command(&folder, arguments).env("WEBSESSIONS_TARGET_PASSWORD", "s3cret-of-production").output();
        Said::from(output.expect("the binary starts"))
    };
    refused(&with(&["doctor"]), 2, &["password", "WEBSESSIONS_TARGET_PASSWORD", "websessions trust"]);
    let output = command(&folder, &["doctor"]).env("PGPASSWORD", "s3cret-of-production").output();
    refused(&output.expect("the binary starts").into(), 2, &["PGPASSWORD", "websessions trust"]);
    listener.set_nonblocking(true).expect("nonblocking");
    assert!(listener.accept().is_err(), "nobody came");
    // Without the secret there is nothing to protect; and a trusted file is connected to.
    listener.set_nonblocking(false).expect("blocking");
    with(&["trust"]).done("trust").expect("trusted");
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut first = [0; 8];
        stream.read_exact(&mut first).map(|()| first)
    });
    assert_eq!(with(&["doctor"]).code, 1);
    assert!(heard.join().expect("heard").is_ok(), "it was connected to");
}

#[test]
#[cfg(unix)]
fn a_file_that_others_can_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.write("websessions.toml", "[variables]\nentropy = \"_planted\"\n");
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("a mode");
    for others in [0o666, 0o664, 0o646] {
        mode(others);
        let said = run(&folder, &["config", "show"]);
        refused(&said, 2, &["can be written by others", "chmod go-w websessions.toml", "--config websessions.toml"]);
        refused(&run(&folder, &["trust"]), 2, &["can be written by others"]);
    }
    let named = run(&folder, &["--config", "websessions.toml", "config", "show"]).done("named").expect("shown");
    assert!(named.stdout.contains("_planted"), "{}", named.stdout);
    mode(0o644);
    assert!(run(&folder, &["config", "show"]).done("found").expect("shown").stdout.contains("_planted"));
    // What init and import write can be read whatever the umask is.
    std::fs::remove_file(&path).expect("removed");
    let shell =
        format!("umask 000; '{binary}' init && '{binary}' config show", binary = env!("CARGO_BIN_EXE_websessions"));
    let output = Command::new("sh").args(["-c", &shell]).current_dir(folder.path()).output().expect("sh starts");
    Said::from(output).done("init").expect("written and read");
}

/// A file, or a link, of another user: only root can make one to test with.
#[test]
#[cfg(unix)]
fn a_file_of_another_user_is_not_read() {
    let folder = Folder::new();
    let path = folder.write("websessions.toml", "[variables]\nentropy = \"_planted\"\n");
    if std::os::unix::fs::chown(&path, Some(65533), None).is_err() {
        // Not root: the file of another user that there is everywhere is root's, which is read (and is no TOML).
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        refused(&run(&folder, &["config", "show"]), 2, &["TOML parse error"]);
        return;
    }
    refused(&run(&folder, &["config", "show"]), 2, &["belongs to user 65533", "--config websessions.toml"]);
    // A link of theirs to a file of ours.
    std::os::unix::fs::chown(&path, Some(0), None).expect("root's");
    std::fs::rename(&path, folder.path().join("mine.toml")).expect("renamed");
    std::os::unix::fs::symlink("mine.toml", &path).expect("a link");
    run(&folder, &["config", "show"]).done("my link").expect("read");
    std::os::unix::fs::lchown(&path, Some(65533), None).expect("theirs");
    refused(&run(&folder, &["config", "show"]), 2, &["belongs to user 65533"]);
}

#[test]
fn relative_paths_of_a_file_begin_at_the_file() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("project/sql")).expect("a folder");
    folder.write("project/websessions.toml", "[target.x]\ntype = \"duckdb\"\ndatabase = \"events.duckdb\"\n[[custom]]\nname = \"own\"\nfiles = [\"sql/own.sql\"]\n");
    folder.write("project/sql/own.sql", "CREATE OR REPLACE TABLE {{.output_schema}}.own AS SELECT 1 AS one;");
    folder.write("good.csv", "page_view_id,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp\np1,s1,1,2024-01-01,2024-01-01\n");
    let config = ["--config", "project/websessions.toml"];
    let arguments: Vec<&str> = config.iter().copied().chain(["run", "--page-views", "good.csv"]).collect();
    run(&folder, &arguments).done("run").expect("a run");
    let exists = |path: &str| Path::new(&folder.path().join(path)).exists();
    assert!(exists("project/events.duckdb") && !exists("events.duckdb"));
    // A path of the command line begins where the command does.
    let arguments: Vec<&str> =
        config.iter().copied().chain(["--database", "here.duckdb", "load", "--staged", "good.csv"]).collect();
    run(&folder, &arguments).done("load").expect("loaded");
    assert!(exists("here.duckdb") && !exists("project/here.duckdb"));
}

//! The binary against a real Postgres server: load, run, export, errors, cancellation.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Arc;
use support::{Folder, Said, end_and_rest, fixtures, read_until, refused};
use websessions_conformance::Target;
use websessions_core::plan::Statement;
use websessions_core::warehouse::Warehouse;
use websessions_postgres::Postgres;
use websessions_test_servers::{Cluster, end, signal, wait_until};

/// A folder whose configuration's targets are on a server.
fn folder(cluster: &Cluster) -> Folder {
    let folder = Folder::new();
    let url = cluster.url();
    folder.write(
        "websessions.toml",
        &format!(
            "default_target = \"server\"\n[variables]\nends_run = true\n[target.server]\ntype = \"postgres\"\nurl = {url:?}\n[target.laptop]\ntype = \"duckdb\"\n"
        ),
    );
    folder
}

fn sample() -> String {
    fixtures().join("page_views.csv.gz").to_string_lossy().into_owned()
}

#[test]
fn the_binary_on_a_server() {
    let cluster = Cluster::start("").expect("a server");
    the_same_file_gives_the_same_sessions_as_on_the_embedded_engine(&cluster);
    files_with_other_columns_and_broken_files(&cluster);
    what_cannot_be_reached_or_is_refused_says_so_at_once(&cluster);
    ctrl_c_stops_the_server_s_work(&cluster);
    a_dead_run_s_lock_is_shown_and_cleared(&cluster);
    an_export_that_fails_leaves_the_file_that_was_there(&cluster);
    a_file_of_one_endless_line_is_refused(&cluster);
    a_lease_can_be_set_and_waited_for(&cluster);
    a_second_ctrl_c_leaves_a_server_that_does_not_answer(&cluster);
    another_role_s_lock_is_cleared(&cluster);
    names_in_capitals_are_the_unquoted_names_for_custom_sql_too(&cluster);
    doctor_says_before_a_run_what_a_role_lacks(&cluster);
    a_table_s_values_are_taken_exactly_or_refused(&cluster);
    a_standby_is_refused_and_doctor_says_so_before_a_run(&cluster);
}

/// The server's owner.
struct Owner {
    runtime: tokio::runtime::Runtime,
    server: Arc<dyn Warehouse>,
}

impl Owner {
    fn of(cluster: &Cluster) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let server = runtime.block_on(Target::new(Postgres, [("url", cluster.url())]).open());
        Self { server: server.unwrap_or_else(|error| panic!("{error}")), runtime }
    }

    fn execute(&self, sql: &str) {
        let done = self.runtime.block_on(self.server.execute(&Statement::new("a test's", sql)));
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The number of rows.
    fn count(&self, from: &str) -> i64 {
        let rows = self.runtime.block_on(self.server.query(&format!("SELECT COUNT(*) AS number FROM {from}")));
        rows.unwrap_or_else(|error| panic!("{from}: {error}")).get(0, "number").as_integer()
    }
}

/// Runs SQL as the server's owner.
fn execute(cluster: &Cluster, sql: &str) {
    Owner::of(cluster).execute(sql);
}

/// Values of a user's table, of types other than the model's: what page_views holds of each, or why it is refused.
const OF_OTHER_TYPES: [(&str, &str, Result<&str, &str>); 20] = [
    ("engaged_time_in_s", "CAST('5.00' AS NUMERIC)", Ok("5")),
    (
        "engaged_time_in_s",
        "CAST('5.0000004' AS NUMERIC)",
        Err("engaged_time_in_s: 5.0000004 is not a whole number of 64 bits"),
    ),
    ("engaged_time_in_s", "CAST('NaN' AS NUMERIC)", Err("engaged_time_in_s: NaN is not a whole number")),
    ("engaged_time_in_s", "CAST('9223372036854775808' AS NUMERIC)", Err("9223372036854775808 is not a whole number")),
    ("engaged_time_in_s", "CAST(5 AS REAL)", Ok("5")),
    ("engaged_time_in_s", "CAST(5.5 AS DOUBLE PRECISION)", Err("engaged_time_in_s: 5.5 is not a whole number")),
    ("engaged_time_in_s", "CAST('5' AS TEXT)", Err("engaged_time_in_s is text, not integer")),
    ("engaged_time_in_s", "INTERVAL '5 seconds'", Err("engaged_time_in_s is interval, not integer")),
    ("geo_latitude", "CAST('7.25' AS NUMERIC)", Ok("7.25")),
    ("geo_latitude", "CAST('Infinity' AS REAL)", Err("geo_latitude: Infinity is not a finite number")),
    ("spider_or_robot", "CAST('true' AS TEXT)", Err("spider_or_robot is text, not boolean")),
    ("app_id", "CAST('11111111-2222-3333-4444-555555555555' AS UUID)", Ok("11111111-2222-3333-4444-555555555555")),
    ("app_id", "CAST('{}' AS JSONB)", Err("app_id is jsonb, not text")),
    ("derived_tstamp", "DATE '2024-07-01'", Ok("2024-07-01 00:00:00")),
    ("derived_tstamp", "TIMESTAMPTZ '2024-07-01 12:00:00+02:00'", Ok("2024-07-01 10:00:00")),
    ("derived_tstamp", "CAST('infinity' AS TIMESTAMP)", Err("derived_tstamp: infinity is not a time")),
    ("derived_tstamp", "CAST('-infinity' AS TIMESTAMPTZ)", Err("derived_tstamp: -infinity is not a time")),
    ("derived_tstamp", "CAST('infinity' AS DATE)", Err("derived_tstamp: infinity is not a time")),
    ("derived_tstamp", "CAST('0044-03-15 BC' AS TIMESTAMP)", Err("is not a time of the years 0001 to 9999")),
    ("derived_tstamp", "CAST('10:00' AS TIME)", Err("derived_tstamp is time without time zone, not timestamp")),
];

fn a_table_s_values_are_taken_exactly_or_refused(cluster: &Cluster) {
    let folder = folder(cluster);
    execute(cluster, "CREATE SCHEMA IF NOT EXISTS of_other_types");
    for (number, (column, value, expected)) in OF_OTHER_TYPES.into_iter().enumerate() {
        let (table, id) = (format!("of_other_types.hits{number}"), format!("other {number}"));
        execute(
            cluster,
            &format!(
                "CREATE TABLE {table} AS SELECT '{id}' AS page_view_id, '{id}' AS domain_sessionid, TIMESTAMP '2024-07-01 10:00:00' AS start_tstamp, {value} AS {column}"
            ),
        );
        let said = folder.run(&["--var", &format!("page_views_from={table}"), "run"]);
        let kept = |said: &Said| {
            let contents = folder.contents("page_views", &[]).unwrap_or_else(|error| panic!("{error}{}", said.stderr));
            (contents.column("page_view_id").contains(&Some(id.clone())), contents.column(column))
        };
        match expected {
            Ok(expected) => {
                let (_, cells) = kept(&said.done(value).expect("taken"));
                let is_there = cells.iter().flatten().any(|cell| cell.trim_end_matches(".000000") == expected);
                assert!(is_there, "{value}: {cells:?}");
            }
            Err(words) => {
                let of_a_row = said.code == 4;
                refused(&said, if of_a_row { 4 } else { 1 }, &[words]);
                assert_eq!(of_a_row, said.stderr.contains(&format!("page_view_id {id}, ")), "{}", said.stderr);
                assert!(!kept(&said).0, "{value}");
            }
        }
    }
    execute(cluster, "DROP SCHEMA of_other_types CASCADE");
}

/// `Derived` is `derived` to the model as it is to custom SQL, which does not quote it; also on the embedded engine.
fn names_in_capitals_are_the_unquoted_names_for_custom_sql_too(cluster: &Cluster) {
    let folder = folder(cluster);
    let config = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("the file");
    folder.write("own.toml", &format!("{config}[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n"));
    folder.write("own.sql", "DROP TABLE IF EXISTS {{.output_schema}}.own; CREATE TABLE {{.output_schema}}.own AS SELECT domain_sessionid FROM {{.output_schema}}.sessions;");
    for target in ["server", "laptop"] {
        let mut rows = Vec::new();
        // The second run is as somebody writes it who knows the names as they are.
        for schema in ["output_schema=Capitals", "output_schema=capitals"] {
            let place = ["--config", "own.toml", "--target", target, "--var", schema];
            folder.run(&[&place[..], &["run", "--page-views", &sample()]].concat()).done(schema).expect("a run");
            let sessions = folder.contents("sessions", &place).expect("sessions");
            let own = folder.contents("capitals.own", &place).expect("the custom module's");
            assert_eq!(own.rows.len(), sessions.rows.len(), "{target} {schema}");
            rows.push(own.rows.len());
        }
        assert!(rows[0] > 100 && rows[0] == rows[1], "{target}: {rows:?}");
    }
    execute(cluster, "DO $$ BEGIN ASSERT NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'Capitals'); END $$");
    folder.run(&["--var", "output_schema=capitals", "destroy", "--yes"]).done("destroy").expect("destroyed");
}

/// What `docs/permissions.md` says that a run of files needs, where an owner has made the permanent tables.
const LEAST_GRANTS: [&str; 8] = [
    "USAGE ON SCHEMA scratch",
    "CREATE ON SCHEMA scratch",
    "SELECT, INSERT, DELETE ON scratch.page_views_staged",
    "SELECT, INSERT, DELETE ON scratch.sessions_userid_manifest_staged",
    "USAGE ON SCHEMA derived",
    "SELECT, INSERT, DELETE ON derived.page_views",
    "SELECT, INSERT, DELETE ON derived.sessions",
    "INSERT ON derived.datamodel_metadata",
];

/// With the least rights doctor finds nothing wrong; without any of them it says which is missing, as the run then does.
fn doctor_says_before_a_run_what_a_role_lacks(cluster: &Cluster) {
    let folder = folder(cluster);
    folder.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    execute(cluster, "CREATE ROLE least LOGIN");
    for grant in LEAST_GRANTS {
        execute(cluster, &format!("GRANT {grant} TO least"));
    }
    let as_least = |command: &[&str]| -> Said {
        let arguments: Vec<&str> =
            ["--config", "websessions.toml", "--var", "stage_next=true"].iter().chain(command).copied().collect();
        let output = folder.command(&arguments).env("WEBSESSIONS_TARGET_URL", cluster.url_of("least")).output();
        output.expect("the binary starts").into()
    };
    as_least(&["doctor"]).done("doctor").expect("nothing is missing");
    // A right at a time, of those that a line grants together.
    let rights = LEAST_GRANTS.iter().flat_map(|grant| {
        let (rights, on) = grant.split_once(" ON ").expect("rights and what they are on");
        rights.split(", ").map(move |right| format!("{right} ON {on}"))
    });
    let mut count = 0;
    for right in rights {
        execute(cluster, &format!("REVOKE {right} FROM least"));
        let said = as_least(&["doctor"]);
        assert_eq!(said.code, 4, "without {right}: {}{}", said.stdout, said.stderr);
        let subject = right.rsplit(['.', ' ']).next().unwrap_or_default();
        assert!(said.stdout.contains("permission denied"), "without {right}: {}", said.stdout);
        let problems: Vec<&str> = said.stdout.lines().filter(|line| line.contains("PROBLEM")).collect();
        assert!(problems.iter().any(|line| line.contains(subject)), "without {right}: {}", said.stdout);
        refused(&as_least(&["run", "--page-views", &sample()]), 1, &["permission denied", subject]);
        execute(cluster, &format!("GRANT {right} TO least"));
        count += 1;
    }
    assert_eq!(count, 16);
    as_least(&["run", "--page-views", &sample()]).done("run").expect("a run with the least rights");
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

/// A real standby: nothing can be written there, which a run says at once and doctor before it; tables can be exported.
fn a_standby_is_refused_and_doctor_says_so_before_a_run(cluster: &Cluster) {
    let folder = folder(cluster);
    folder.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    folder.run(&["load", "--staged", &sample()]).done("load").expect("loaded");
    let standby = cluster.standby().expect("a standby");
    let on_standby = |command: &[&str]| -> Said {
        let arguments: Vec<&str> = ["--config", "websessions.toml"].iter().chain(command).copied().collect();
        let output = folder.command(&arguments).env("WEBSESSIONS_TARGET_URL", standby.url()).output();
        output.expect("the binary starts").into()
    };
    for command in [
        &["main"] as &[&str],
        &["run", "--page-views", &sample()],
        &["load", &sample()],
        &["load", "--staged", &sample()],
    ] {
        refused(&on_standby(command), 1, &["standby", "primary"]);
    }
    let said = on_standby(&["doctor"]);
    assert_eq!(said.code, 4, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("PROBLEM") && said.stdout.contains("primary"), "{}", said.stdout);
    on_standby(&["export", "sessions", "--to", "standby.csv"]).done("export").expect("exported");
    folder.run(&["run"]).done("run").expect("the primary goes on");
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

/// A folder whose runs have a lock of six seconds.
fn folder_with_a_short_lease(cluster: &Cluster) -> Folder {
    let folder = folder(cluster);
    let config = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("the file");
    folder.write("websessions.toml", &config.replace("ends_run = true\n", "ends_run = true\nlock_lease = \"6s\"\n"));
    folder
}

/// A server that no longer answers, not even to a request to stop: the second Ctrl-C ends the process, not the server's work.
fn a_second_ctrl_c_leaves_a_server_that_does_not_answer(cluster: &Cluster) {
    let folder = folder_with_a_short_lease(cluster);
    let (child, mut lines) = sleeping_run(cluster, &folder);
    let file = std::fs::read_to_string(cluster.folder().join("data/postmaster.pid")).expect("the server's file");
    let server = file.lines().next().and_then(|line| line.parse().ok()).expect("its process");
    signal("-STOP", server);
    signal("-INT", child.id());
    read_until(&mut lines, "\"event\":\"cancelling\"");
    signal("-INT", child.id());
    let (code, rest) = end_and_rest(child, lines);
    // Until here the server could say nothing.
    signal("-CONT", server);
    assert_eq!(code, Some(130), "{rest}");
    for words in ["the end of slow/", "is not known", "at most 6 s", "websessions unlock"] {
        assert!(rest.contains(words), "{words}: {rest}");
    }
    folder.run(&["complete", "--wait", "300"]).done("complete").expect("completed");
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

fn a_lease_can_be_set_and_waited_for(cluster: &Cluster) {
    let folder = folder_with_a_short_lease(cluster);
    let (mut child, _lines) = sleeping_run(cluster, &folder);
    child.kill().expect("killed");
    child.wait().expect("gone");
    // However long the next command takes to begin, the lease is not over by then.
    let owner = Owner::of(cluster);
    let later = |by: &str| {
        owner.execute(&format!("UPDATE scratch.sessions_lock SET expires_tstamp = expires_tstamp + INTERVAL '{by}'"));
    };
    let lease = "scratch.sessions_lock WHERE expires_tstamp <= (now() AT TIME ZONE 'UTC') + INTERVAL '6 s'";
    assert_eq!(owner.count(lease), 1, "it was set to six seconds");
    later("1 day");
    let said = folder.run(&["complete", "--wait", "1"]);
    refused(&said, 3, &["waiting up to 1 s: another run holds", "--wait SECONDS"]);
    later("-1 day");
    folder.run(&["complete", "--wait", "300"]).done("complete").expect("completed when the lease was over");
    assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), 0);
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

fn another_role_s_lock_is_cleared(cluster: &Cluster) {
    let folder = folder(cluster);
    folder.write("roles.sql", "DO $$ BEGIN CREATE ROLE bob LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT USAGE ON SCHEMA {{.scratch_schema}}, {{.output_schema}} TO bob; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid();");
    let config = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("the file");
    folder.write("roles.toml", &format!("{config}[[custom]]\nname = \"roles\"\nfiles = [\"roles.sql\"]\n"));
    let (mut child, _lines) = sleeping_run(cluster, &folder);
    child.kill().expect("killed");
    child.wait().expect("gone");
    // Another entropy has a lock of its own, so that the role can be made while the first one's is held.
    folder
        .run(&["--config", "roles.toml", "--var", "entropy=_roles", "run", "--page-views", &sample()])
        .done("roles")
        .expect("made");
    let as_bob = |command: &[&str]| {
        let arguments: Vec<&str> = ["--config", "websessions.toml"].iter().chain(command).copied().collect();
        let output = folder.command(&arguments).env("WEBSESSIONS_TARGET_URL", cluster.url_of("bob")).output();
        support::Said::from(output.expect("the binary starts"))
    };
    // The lock is for every role that may use its schema, whoever's run died holding it.
    refused(&as_bob(&["main"]), 3, &["another run holds scratch.sessions_lock"]);
    as_bob(&["unlock", "--yes"]).done("unlock").expect("cleared");
    // What bob lacks is said, not that there is no table.
    refused(&as_bob(&["main"]), 1, &["permission denied for", "grant the role what it lacks"]);
    let said = as_bob(&["--output", "json", "doctor"]);
    let document: serde_json::Value = serde_json::from_str(&said.stdout).expect("one document");
    let checks = document["answer"].as_array().expect("what the command answered before it failed");
    let check = checks.iter().find(|check| check["subject"] == "scratch.page_views_staged").expect("checked");
    let found = check["found"].as_str().unwrap_or_default();
    assert!(check["ok"] == false && found.contains("permission denied"), "{check}");
    folder.run(&["complete"]).done("complete").expect("completed");
    for entropy in ["", "_roles"] {
        folder.run(&["--var", &format!("entropy={entropy}"), "destroy", "--yes"]).done("destroy").expect("destroyed");
    }
}

fn an_export_that_fails_leaves_the_file_that_was_there(cluster: &Cluster) {
    let folder = folder(cluster);
    let keep = folder.write("keep.csv", "precious\n");
    refused(&folder.run(&["export", "derived.nope", "--to", "keep.csv"]), 1, &["nope"]);
    assert_eq!(std::fs::read_to_string(&keep).expect("the file"), "precious\n");
    folder.run(&["load", "--staged", &sample()]).done("load").expect("staged");
    folder.run(&["export", "page_views_staged", "--to", "keep.csv"]).done("export").expect("exported");
    let file = std::fs::read_to_string(&keep).expect("the file");
    let said = folder.run(&["export", "page_views_staged", "--to", "-"]).done("export").expect("exported");
    assert_eq!((file.lines().count(), said.stdout.len()), (1044, file.len()));
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

/// A small compressed file that is a line of many times its size: refused before the memory is full of it.
fn a_file_of_one_endless_line_is_refused(cluster: &Cluster) {
    let folder = folder(cluster);
    let shell = "head -c 400M /dev/zero | tr '\\0' a | gzip -1 > bomb.csv.gz";
    let made = std::process::Command::new("sh").args(["-c", shell]).current_dir(folder.path()).status();
    assert!(made.expect("sh starts").success());
    // Far less memory than the line would need: it is refused all the same.
    let binary = env!("CARGO_BIN_EXE_websessions");
    let shell = format!("ulimit -d 300000; exec '{binary}' load bomb.csv.gz");
    let output = std::process::Command::new("bash").args(["-c", &shell]).current_dir(folder.path()).output();
    refused(&output.expect("bash starts").into(), 1, &["bomb.csv.gz", "line"]);
}

/// A server without TLS must not be told a password, whatever the password reads like.
#[test]
fn a_password_that_reads_like_an_sslmode_does_not_turn_verification_off() {
    for password in ["x", "sslmode=", "sslmode=disable"] {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 8];
            stream.read_exact(&mut request).expect("a request for TLS");
            std::io::Write::write_all(&mut stream, b"N").expect("there is none");
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).map(|_| (request, rest)).expect("the rest")
        });
        let folder = Folder::new();
        folder.write(
            "named.toml",
            &format!("[target.x]\ntype = \"postgres\"\nurl = \"postgres://u:{password}@127.0.0.2:{port}/sslmode=\"\nconnect_timeout = 300\n"),
        );
        refused(&folder.run(&["--config", "named.toml", "doctor"]), 1, &["TLS"]);
        let (request, rest) = server.join().expect("the server ends");
        assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "{password}: a request for TLS");
        assert!(rest.is_empty(), "{password}: it went on without");
    }
}

fn the_same_file_gives_the_same_sessions_as_on_the_embedded_engine(cluster: &Cluster) {
    let folder = folder(cluster);
    let said = folder.run(&["run", "--page-views", &sample()]).done("run").expect("a run");
    assert!(said.stdout.contains("postgres at 127.0.0.1"), "{}", said.stdout);
    folder.run(&["--target", "laptop", "run", "--page-views", &sample()]).done("run").expect("a run");
    for table in ["sessions", "datamodel_metadata"] {
        let times = ["run_id", "run_start_tstamp", "run_end_tstamp"];
        let found = folder.contents(table, &[]).expect("exported").without(&times);
        let expected = folder.contents(table, &["--target", "laptop"]).expect("exported").without(&times);
        found.expect(&expected, table).expect("the same on both");
    }
    let said = folder.run(&["doctor"]).done("doctor").expect("all is well");
    assert!(!said.stdout.contains("PROBLEM"), "{}", said.stdout);
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

fn files_with_other_columns_and_broken_files(cluster: &Cluster) {
    let folder = folder(cluster);
    let header =
        "page_view_id,of_their_own,domain_sessionid,page_view_in_session_index,start_tstamp,end_tstamp,page_title";
    folder.write("few.csv", &format!("{header}\np1,x,s1,1,2024-01-01 00:00:00,2024-01-01 00:00:10,\"\"\n"));
    let said = folder.run(&["--var", "entropy=_few", "load", "--staged", "few.csv"]).done("load").expect("loaded");
    assert!(
        said.stdout.contains("of_their_own") && said.stdout.contains("92 columns not in the file"),
        "{}",
        said.stdout
    );
    let staged = folder.contents("page_views_staged", &["--var", "entropy=_few"]).expect("exported");
    assert_eq!(staged.column("page_title"), vec![Some(String::new())]);
    assert_eq!(staged.column("page_url"), vec![None]);
    folder.write(
        "wrong.csv",
        &format!("{header}\np1,x,s1,1,2024-01-01,2024-01-01,\np2,x,s1,two,2024-01-01,2024-01-01,\n"),
    );
    folder.write("no_session.csv", "page_view_id,page_view_in_session_index,start_tstamp,end_tstamp\n");
    folder.write("empty.csv", "");
    folder.write("page_views.parquet", "PAR1");
    for (file, words) in [
        ("wrong.csv", &["wrong.csv", "row 2, line 3", "page_view_in_session_index", "two"] as &[&str]),
        ("no_session.csv", &["no_session.csv", "domain_sessionid is missing"]),
        ("empty.csv", &["empty.csv", "the file is empty"]),
        ("page_views.parquet", &["page_views.parquet", "Parquet"]),
        ("missing.csv", &["missing.csv"]),
    ] {
        refused(&folder.run(&["--var", "entropy=_few", "load", "--staged", "few.csv", file]), 1, words);
        let rows = folder.contents("page_views_staged", &["--var", "entropy=_few"]).expect("exported").rows.len();
        assert_eq!(rows, 1, "{file} left something behind");
    }
}

fn what_cannot_be_reached_or_is_refused_says_so_at_once(cluster: &Cluster) {
    let folder = folder(cluster);
    let port =
        cluster.url().rsplit(':').next().and_then(|rest| rest.split('/').next().map(str::to_owned)).expect("a port");
    let target = |settings: &str| {
        format!("[target.server]\ntype = \"postgres\"\nhost = \"127.0.0.1\"\nuser = \"websessions\"\n{settings}\n")
    };
    let at = format!("port = {port}\n");
    for (settings, code, words) in [
        (format!("{at}database = \"nowhere\""), 1, &["nowhere", "database"] as &[&str]),
        (format!("{at}database = \"postgres\"\nsslmode = \"verify-full\""), 1, &["sslmode"]),
        (format!("{at}database = \"postgres\"\nsslmode = \"verfy-full\""), 2, &["verfy-full", "verify-full"]),
        (format!("{at}database = \"postgres\"\npasswrd = \"s3cret\""), 2, &["did you mean \"password\""]),
        (format!("{at}database = \"postgres\"\nstatement_timeout = \"1; drop table\""), 2, &["statement_timeout"]),
        (
            "port = 1\ndatabase = \"postgres\"\npassword = \"s3cret\"".to_owned(),
            1,
            &["can't connect to postgres at 127.0.0.1:1", "host and port"],
        ),
        (
            format!("{at}database = \"postgres\"\npassword = {{ command = \"exit 7\" }}"),
            2,
            &["password", "exit status: 7"],
        ),
        (format!("{at}database = \"postgres\"\npassword = {{ env = \"NO_SUCH_PASSWORD\" }}"), 2, &["NO_SUCH_PASSWORD"]),
    ] {
        folder.write("bad.toml", &target(&settings));
        let said = folder.run(&["--config", "bad.toml", "main"]);
        refused(&said, code, words);
        let waited = ["again in", "no answer within"].iter().any(|words| said.stderr.contains(words));
        assert!(!waited, "{settings}: {}", said.stderr);
        assert!(!format!("{}{}", said.stdout, said.stderr).contains("s3cret"), "a secret is shown: {}", said.stderr);
    }
    folder.write(
        "good.toml",
        &target(&format!("{at}database = \"postgres\"\npassword = {{ command = \"echo s3cret\" }}")),
    );
    folder.run(&["--config", "good.toml", "--var", "entropy=_few", "run"]).done("run").expect("a run");
    let shown = folder.run(&["--config", "good.toml", "config", "show"]).done("config show").expect("shown").stdout;
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// Starts a run whose custom module sleeps on the server, and waits until it does.
fn sleeping_run(cluster: &Cluster, folder: &Folder) -> (Child, BufReader<ChildStderr>) {
    let config = std::fs::read_to_string(folder.path().join("websessions.toml")).expect("the file");
    let slow = folder.write("slow.toml", &format!("{config}[[custom]]\nname = \"slow\"\nfiles = [\"slow.sql\"]\n"));
    folder.write("slow.sql", "BEGIN; CREATE TABLE derived.slow (number int); SELECT pg_sleep(600); COMMIT;");
    folder.run(&["load", "--staged", &sample()]).done("load").expect("loaded");
    let started = folder.run_until(&["--config", &slow.to_string_lossy(), "run"], "\"unit_started\",\"plan\":\"slow\"");
    let owner = Owner::of(cluster);
    wait_until("the run sleeps on the server", || {
        owner.count("pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'") > 0
    });
    started
}

fn a_dead_run_s_lock_is_shown_and_cleared(cluster: &Cluster) {
    let folder = folder(cluster);
    let (mut child, _lines) = sleeping_run(cluster, &folder);
    child.kill().expect("killed");
    child.wait().expect("gone");
    refused(&folder.run(&["complete"]), 3, &["another run holds scratch.sessions_lock", "websessions unlock"]);
    // Loading would be for nothing while the run can't follow.
    refused(&folder.run(&["run", "--page-views", &sample()]), 3, &["another run holds"]);
    assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), 1043);
    refused(&folder.run(&["unlock"]), 2, &["--yes"]);
    let said = folder.run(&["unlock", "--yes"]).done("unlock").expect("cleared");
    assert!(said.stderr.contains("the lock is held by"), "{}", said.stderr);
    folder.run(&["complete"]).done("complete").expect("completed");
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

fn ctrl_c_stops_the_server_s_work(cluster: &Cluster) {
    let folder = folder(cluster);
    let (child, lines) = sleeping_run(cluster, &folder);
    signal("-INT", child.id());
    let (code, rest) = end_and_rest(child, lines);
    assert_eq!(code, Some(130), "{rest}");
    // The script's transaction is gone with it, and nobody sleeps on the server.
    refused(&folder.run(&["export", "derived.slow", "--to", "slow.csv"]), 1, &["derived.slow"]);
    folder.run(&["complete"]).done("complete").expect("completed");
    assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), 0);
    folder.run(&["destroy", "--yes"]).done("destroy").expect("destroyed");
}

#[test]
fn tls_verifies_the_server_by_default() {
    let certificates = tempfile::tempdir().expect("a temporary folder");
    let shell = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 2
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
        printf 'subjectAltName=DNS:localhost' > names
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
        chmod 755 . && chmod 644 ca.crt server.crt && chmod 600 server.key";
    let made = std::process::Command::new("sh")
        .args(["-ec", shell])
        .current_dir(certificates.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl starts").success());
    if websessions_test_servers::is_root() {
        let key = certificates.path().join("server.key");
        assert!(std::process::Command::new("chown").arg("postgres").arg(key).status().expect("chown starts").success());
    }
    let at = certificates.path().display();
    let cluster =
        Cluster::start(&format!("listen_addresses = '127.0.0.1, 127.0.0.2'\nssl = on\nssl_cert_file = '{at}/server.crt'\nssl_key_file = '{at}/server.key'"))
            .expect("a server");
    let folder = Folder::new();
    let port =
        cluster.url().rsplit(':').next().and_then(|rest| rest.split('/').next().map(str::to_owned)).expect("a port");
    let write = |host: &str, more: &str| {
        folder.write(
            "websessions.toml",
            &format!("[target.server]\ntype = \"postgres\"\nhost = \"{host}\"\nport = {port}\nuser = \"websessions\"\ndatabase = \"postgres\"\n{more}"),
        );
    };
    let authority = format!("sslrootcert = \"{at}/ca.crt\"\n");
    write("localhost", &format!("{authority}sslmode = \"verify-full\"\n"));
    folder.run(&["load", "--staged", &sample()]).done("load").expect("a trusted connection");
    write("localhost", "sslmode = \"verify-full\"\n");
    refused(&folder.run(&["main"]), 1, &["sslrootcert"]);
    // The certificate is for another name; and a machine that is not this one is verified without being asked for.
    write("127.0.0.2", &authority);
    refused(&folder.run(&["main"]), 1, &["sslrootcert"]);
    write("127.0.0.2", &format!("{authority}sslmode = \"require\"\n"));
    folder.run(&["main"]).done("main").expect("an encrypted connection");
}

/// A server that takes the connection and says nothing: the first Ctrl-C is enough, nothing was sent.
#[test]
fn ctrl_c_ends_a_connection_that_nobody_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = Folder::new();
    folder.write(
        "websessions.toml",
        &format!("[target.x]\ntype = \"postgres\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"u\"\nconnect_timeout = 100000\n"),
    );
    let child = folder.command(&["main"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let (_stream, _) = listener.accept().expect("a connection");
    signal("-INT", child.id());
    refused(&end(child).into(), 130, &["cancelled before the run began"]);
}

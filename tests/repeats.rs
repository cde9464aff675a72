//! Commands that are repeated as they are, after a failure, a kill or a success: the tables are those of one run.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Folder, fixtures, refused};
use websessions_conformance::Contents;
use websessions_test_servers::Cluster;

/// How many commands of a history are killed on each target, at least; the environment's `WEBSESSIONS_TEST_KILLS` asks for more.
const KILLS: u64 = 8;

const HEADER: &str =
    "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,engaged_time_in_s,page_title\n";
const FIRST: &str = "a1,a,ann,2024-03-10 12:00:00,2024-03-10 12:00:30,10,one
a2,a,ann,2024-03-10 23:59:00,2024-03-10 23:59:30,10,two
b1,b,bob,2024-03-10 12:00:00,,,alone
";
const SECOND: &str = "a2,a,ann,2024-03-10 23:59:00,2024-03-11 00:02:30,40,two
a3,a,ann,2024-03-11 00:03:00,2024-03-11 00:04:00,20,three
b1,b,bob,2024-03-10 12:00:00,,,alone
c1,c,cid,2024-03-11 12:00:00,2024-03-11 12:00:30,5,new
";

/// A folder with the files of two days, a custom module, and an embedded and a server's target.
fn folder(cluster: &Cluster) -> Folder {
    let folder = Folder::new();
    folder.write("first.csv", &format!("{HEADER}{FIRST}"));
    folder.write("second.csv", &format!("{HEADER}{SECOND}"));
    folder.write(
        "own.sql",
        "DROP TABLE IF EXISTS {{.output_schema}}.own{{.entropy}};
         CREATE TABLE {{.output_schema}}.own{{.entropy}} AS SELECT domain_sessionid, page_views FROM {{.output_schema}}.sessions{{.entropy}};",
    );
    folder.write(
        "websessions.toml",
        &format!(
            "default_target = \"laptop\"\nmodules = [\"page_views\", \"sessions\", \"users\"]\n[variables]\nlock_lease = \"3s\"\n[target.server]\ntype = \"postgres\"\nurl = {:?}\n[target.laptop]\ntype = \"duckdb\"\n[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n",
            cluster.url()
        ),
    );
    std::fs::create_dir(folder.path().join("playbooks")).expect("a folder");
    for (name, file) in [
        ("01-sessions-main", "standard/03-sessions/01-main/05-commit-sessions.sql"),
        ("AA-own", "own.sql"),
        ("99-sessions-complete", "standard/03-sessions/99-complete/02-cleanup.sql"),
    ] {
        folder.write(
            &format!("playbooks/{name}.yml.tmpl"),
            &format!(
                ":variables:\n  :output_schema: derived\n  :entropy: \"\"\n  :ends_run: true\n:steps:\n- :name: {name}\n  :queries:\n    - :name: {name}\n      :file: {file}\n      :template: true\n"
            ),
        );
    }
    std::fs::copy(folder.path().join("own.sql"), folder.path().join("playbooks/own.sql")).expect("a copy");
    folder
}

/// A target, and tables of one's own in it.
struct Place<'a> {
    folder: &'a Folder,
    target: &'a str,
    entropy: String,
}

impl Place<'_> {
    fn options(&self) -> [&str; 4] {
        ["--target", self.target, "--var", &self.entropy]
    }

    fn arguments<'b>(&'b self, command: &[&'b str]) -> Vec<&'b str> {
        [&self.options()[..], command].concat()
    }

    fn done(&self, command: &[&str]) -> String {
        let said = self.folder.run(&self.arguments(command));
        said.done(&format!("{command:?} on {}", self.target)).expect("done").stderr
    }

    /// What must not depend on how often a command was repeated; nothing may wait for a next run.
    fn tables(&self, tables: &[&str]) -> Vec<Contents> {
        let staged = self.folder.contents("page_views_staged", &self.options()).expect("exported");
        assert_eq!(staged.rows, Vec::<Vec<Option<String>>>::new(), "nothing is staged any more");
        let entropy = self.entropy.trim_start_matches("entropy=");
        let contents = |table: &&str| {
            let name = if table.contains('.') { format!("{table}{entropy}") } else { (*table).to_owned() };
            self.folder.contents(&name, &self.options()).expect("exported")
        };
        tables.iter().map(contents).collect()
    }

    /// Runs a command until then, and sends the signal. Whether it had ended by itself.
    fn killed(&self, command: &[&str], stop: &Stop) -> bool {
        let arguments = self.arguments(&[&["--log-format", "json"], command].concat());
        let mut command = self.folder.command(&arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut lines = lines;
        let told = lines.by_ref().take(usize::try_from(stop.events).expect("few")).count();
        std::thread::sleep(stop.moment);
        let id = child.id().to_string();
        let sent = Command::new("kill").args([stop.signal, &id]).stderr(Stdio::null()).status().expect("kill");
        // What it says of a signal that it can hear must find a reader.
        let _rest = lines.count();
        let status = child.wait().expect("it ends");
        status.success() || !sent.success() || u64::try_from(told).expect("few") < stop.events
    }
}

/// When a command is stopped: after so many events and a moment more, and by which signal.
#[derive(Debug)]
struct Stop {
    events: u64,
    moment: Duration,
    signal: &'static str,
}

/// Says how much was done, past the test runner, which shows what a test prints only if it fails.
fn say(text: &str) {
    std::io::stdout().write_all(format!("{text}\n").as_bytes()).expect("standard output");
}

/// Numbers that seem random, the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A scheduler repeats the command that failed after its commit.
#[test]
fn a_repeated_failed_run_doubles_nothing() {
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    let good = std::fs::read_to_string(folder.path().join("own.sql")).expect("a file");
    for target in ["laptop", "server"] {
        let once = Place { folder: &folder, target, entropy: "entropy=_once".to_owned() };
        once.done(&["run", "--page-views", "first.csv"]);
        for (number, again) in [&["run"][..], &["run", "run"], &["resume"], &["resume", "run"]].iter().enumerate() {
            let place = Place { folder: &folder, target, entropy: format!("entropy=_again{number}") };
            folder.write("own.sql", "SELECT * FROM nowhere_at_all");
            for _ in 0..2 {
                let said = folder.run(&place.arguments(&["run", "--page-views", "first.csv"]));
                refused(&said, 1, &["nowhere_at_all", "'websessions resume' with the same flags continues there"]);
            }
            folder.write("own.sql", &good);
            for command in *again {
                place.done(&[command, "--page-views", "first.csv"]);
            }
            assert_eq!(place.tables(&SERVED), once.tables(&SERVED), "{target}, {again:?}");
        }
    }
}

#[test]
fn a_repeated_run_of_the_sample_changes_nothing() {
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    let sample = fixtures().join("page_views.csv.gz").to_string_lossy().into_owned();
    for target in ["laptop", "server"] {
        let place = Place { folder: &folder, target, entropy: "entropy=".to_owned() };
        place.done(&["run", "--page-views", &sample]);
        let first = place.tables(&SERVED);
        assert!(first[0].rows.len() > 1000 && first[1].rows.len() > 200);
        place.done(&["run", "--page-views", &sample]);
        assert_eq!(place.tables(&SERVED), first, "{target}");
    }
}

/// What a scheduler calls one after the other, and the tables that come of it.
struct History {
    name: &'static str,
    commands: &'static [&'static [&'static str]],
    tables: &'static [&'static str],
}

const SERVED: [&str; 4] = ["page_views", "sessions", "users", "derived.own"];
const HISTORIES: [History; 3] = [
    History {
        name: "files, a rebuild, and what waits taken away",
        commands: &[
            &["run", "--page-views", "first.csv"],
            &["run", "--page-views", "second.csv"],
            &["rebuild", "--from", "2024-03-10", "--to", "2024-03-11"],
            &["load", "first.csv", "second.csv"],
            &["unstage", "--yes"],
        ],
        tables: &SERVED,
    },
    History {
        name: "playbooks",
        commands: &[
            &["run", "--playbooks", "playbooks", "--page-views", "first.csv"],
            &["run", "--playbooks", "playbooks", "--page-views", "second.csv"],
        ],
        tables: &["page_views", "sessions", "derived.own"],
    },
    History {
        name: "a table",
        commands: &[
            &["run", "--var", "page_views_from=scratch.page_views_staged_day1"],
            &[
                "run",
                "--var",
                "page_views_from=scratch.page_views_staged_day2",
                "--var",
                "page_views_time=start_tstamp",
            ],
        ],
        tables: &SERVED,
    },
];

/// Commands killed at a random moment and repeated until they end: as if nothing had happened.
#[test]
fn killed_commands_are_repeated() {
    let kills = std::env::var("WEBSESSIONS_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("WEBSESSIONS_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    let mut numbers = Numbers(seed);
    for target in ["laptop", "server"] {
        // What a tracker fills: the second day's table has the first day's rows, too.
        for (day, files) in [("day1", &["first.csv"] as &[&str]), ("day2", &["first.csv", "second.csv"])] {
            let place = Place { folder: &folder, target, entropy: format!("entropy=_{day}") };
            for file in files {
                place.done(&["load", file]);
            }
        }
        for (number, History { name, commands, tables }) in HISTORIES.iter().enumerate() {
            let once = Place { folder: &folder, target, entropy: format!("entropy=_once{number}") };
            let events: Vec<u64> = commands
                .iter()
                .map(|command| {
                    let said = once.done(&[&["--log-format", "json"], *command].concat());
                    u64::try_from(said.lines().count()).expect("few")
                })
                .collect();
            let expected = once.tables(tables);
            let (mut killed, mut ended, mut round) = (0, 0, 0);
            // However fast the machine is, and however slow.
            while killed + ended < kills || killed == 0 {
                assert!(round < 1000, "nothing was killed");
                let place = Place { folder: &folder, target, entropy: format!("entropy=_killed{number}_{round}") };
                let mut told = Vec::new();
                for (command, events) in commands.iter().zip(&events) {
                    let [verb, rest @ ..] = command else { continue };
                    let waits = [&[verb, "--wait", "300"], rest].concat();
                    let stop = Stop {
                        events: 1 + numbers.below(*events),
                        moment: Duration::from_millis(numbers.below(20)),
                        signal: if numbers.below(2) == 0 { "-KILL" } else { "-TERM" },
                    };
                    match place.killed(&waits, &stop) {
                        true => ended += 1,
                        false => killed += 1,
                    }
                    told.push((command, stop));
                    place.done(&waits);
                }
                assert_eq!(place.tables(tables), expected, "{name}, {target}, seed {seed}, round {round}: {told:?}");
                round += 1;
            }
            say(&format!(
                "{name}, {target}: {killed} commands killed, {ended} had ended before; all repeated, all tables as those of one run"
            ));
        }
    }
}

/// Two schedulers that know nothing of each other, each with its day, each repeating what it did.
#[test]
fn schedulers_at_the_same_time_wait_for_each_other() {
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    for target in ["laptop", "server"] {
        let once = Place { folder: &folder, target, entropy: "entropy=_once".to_owned() };
        for file in ["first.csv", "second.csv"] {
            once.done(&["run", "--page-views", file]);
        }
        let place = Place { folder: &folder, target, entropy: "entropy=_beside".to_owned() };
        std::thread::scope(|scope| {
            for file in ["first.csv", "second.csv"] {
                scope.spawn(|| {
                    for _ in 0..3 {
                        // Nobody dies here: a run that a busy machine holds up keeps its lock.
                        place.done(&["run", "--wait", "300", "--var", "lock_lease=10m", "--page-views", file]);
                    }
                });
            }
        });
        assert_eq!(place.tables(&SERVED), once.tables(&SERVED), "{target}");
    }
}

/// A run that failed left others the time to change what it had read: `resume` computes what is there now.
#[test]
fn what_changed_since_a_run_failed_is_read_again_by_resume() {
    const HEADER: &str =
        "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp\n";
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    // The second page view of b is late: without it there is no last one, and so no session.
    folder.write(
        "early.csv",
        &format!("{HEADER}a1,a,ann,1,2024-03-10,\nb1,b,bob,1,2024-03-10,\nb3,b,bob,3,2024-03-12,\n"),
    );
    folder.write("late.csv", &format!("{HEADER}b2,b,bob,2,2024-03-11,\n"));
    let fail = ["--var", "on_dropped_sessions=fail"];
    for target in ["laptop", "server"] {
        let once = Place { folder: &folder, target, entropy: "entropy=_once".to_owned() };
        once.done(&["load", "--staged", "early.csv", "late.csv"]);
        once.done(&[&["run"], &fail[..]].concat());
        let tables = ["sessions", "users", "derived.own"];
        let expected = once.tables(&tables);
        assert_eq!(expected[0].rows.len(), 2);
        for (number, flags) in [&fail[..], &[]].into_iter().enumerate() {
            let place = Place { folder: &folder, target, entropy: format!("entropy=_late{number}") };
            place.done(&["load", "--staged", "early.csv"]);
            let run = folder.run(&place.arguments(&[&["run"], &fail[..]].concat()));
            refused(&run, 4, &["on_dropped_sessions is fail", "production was not changed"]);
            let again = folder.run(&place.arguments(&[&["resume"], &fail[..]].concat()));
            refused(&again, 4, &["on_dropped_sessions is fail", "production was not changed"]);
            place.done(&["load", "--staged", "late.csv"]);
            let said = place.done(&[&["resume"], flags].concat());
            // What is a table already is committed as it is, and what came since stays for the next run.
            let is_table = target == "server" && flags.is_empty();
            assert_eq!(said.contains("is read again, as it is now"), !is_table, "{said}");
            if is_table {
                place.done(&["run"]);
            }
            assert_eq!(place.tables(&tables), expected, "{target}, {flags:?}");
        }
    }
}

/// What the error says to do can be done: 'resume' with the flags of the run, whichever they are, and else the command again.
#[test]
fn what_the_hint_of_a_failed_command_says_can_be_done() {
    let folder = Folder::new();
    let options = |command: &str| -> Vec<String> {
        let help = folder.run(&[command, "--help"]).stdout;
        help.lines().map(|line| line.trim().to_owned()).filter(|line| line.starts_with('-')).collect()
    };
    assert_eq!(options("resume"), options("run"));
    folder.write("first.csv", &format!("{HEADER}{FIRST}"));
    folder.write("websessions.toml", "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n");
    let fails = |command: &[&str], hint: &str| {
        folder.write("own.sql", "SELECT * FROM nowhere_at_all");
        refused(&folder.run(command), 1, &["nowhere_at_all", hint]);
        folder.write("own.sql", "SELECT 1");
    };
    let files = ["--page-views", "first.csv"];
    for flags in [&["--report", "page.html"] as &[&str], &["--from-step", "main/setup"], &["--until-step", "own/own"]] {
        fails(&[&["run"], flags, &files].concat(), "'websessions resume' with the same flags continues there");
        folder.run(&[&["resume"], flags, &files].concat()).done("resume").expect("what the hint says");
    }
    assert!(folder.path().join("page.html").exists());
    let rebuild = ["rebuild", "--from", "2024-03-10"];
    fails(&rebuild, "give the same command again");
    assert!(folder.run(&["status"]).done("status").expect("a look").stdout.contains("give the same command again"));
    folder.run(&rebuild).done("rebuild").expect("what the hint says");
    assert_eq!(folder.contents("page_views_staged", &[]).expect("exported").rows.len(), 0);
}

/// The lock of a dead run in an embedded file holds nobody up, though the machine's clock was set back since.
#[test]
fn a_dead_run_s_lock_of_a_later_time_is_freed() {
    let folder = Folder::new();
    folder.write("first.csv", &format!("{HEADER}{FIRST}"));
    folder.write("own.sql", "SELECT * FROM nowhere_at_all");
    folder.write("websessions.toml", "[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n");
    // What failed leaves the table of the lock.
    refused(&folder.run(&["run", "--page-views", "first.csv"]), 1, &["nowhere_at_all"]);
    duckdb::Connection::open(folder.path().join("websessions.duckdb"))
        .and_then(|database| {
            database.execute_batch(
                "UPDATE scratch.sessions_lock SET holder = 'dead', acquired_tstamp = TIMESTAMP '2100-01-01', expires_tstamp = TIMESTAMP '2100-01-02'",
            )
        })
        .expect("a lock");
    folder.write("own.sql", "SELECT 1");
    folder.run(&["run", "--page-views", "first.csv"]).done("run").expect("a run");
}

/// A file that a command writes is whole or as it was: also where the system lets it write nothing.
#[cfg(unix)]
#[test]
fn a_configuration_that_can_t_be_written_stays_as_it_was() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("playbooks")).expect("a folder");
    folder.write(
        "playbooks/01-sessions-main.yml.tmpl",
        ":variables:\n  :output_schema: derived\n:steps:\n- :name: main\n  :queries:\n    - :name: main\n      :file: standard/03-sessions/01-main/05-commit-sessions.sql\n",
    );
    let own = "# my own\n[variables]\nupsert_lookback_days = 7\n";
    for arguments in [&["import", "playbooks", "--force"] as &[&str], &["init", "--force"]] {
        let path = folder.write("websessions.toml", own);
        let there = || std::fs::read_to_string(&path).expect("the file");
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_websessions")]).args(arguments);
        let ended = limited.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(!ended.expect("a shell").success());
        assert_eq!(there(), own, "{arguments:?}");
        folder.run(arguments).done("again").expect("written");
        assert_ne!(there(), own, "{arguments:?}");
    }
}

/// The next day's run comes though the first day's failed, and nobody repeats that one.
#[test]
fn a_run_that_failed_is_no_harm_to_the_next_day_s() {
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    let good = std::fs::read_to_string(folder.path().join("own.sql")).expect("a file");
    for target in ["laptop", "server"] {
        let once = Place { folder: &folder, target, entropy: "entropy=_once".to_owned() };
        for file in ["first.csv", "second.csv"] {
            once.done(&["run", "--page-views", file]);
        }
        let place = Place { folder: &folder, target, entropy: "entropy=_failed".to_owned() };
        folder.write("own.sql", "SELECT * FROM nowhere_at_all");
        refused(&folder.run(&place.arguments(&["run", "--page-views", "first.csv"])), 1, &["nowhere_at_all"]);
        folder.write("own.sql", &good);
        // What the failed run did is not what another command would have done before the same step.
        for (other, words) in [
            (&["resume"] as &[&str], "what comes before it is not what it was"),
            (&["resume", "--page-views", "second.csv"], "what comes before it is not what it was"),
            (&["resume", "--page-views", "first.csv", "--delimiter", ";"], "what comes before it is not what it was"),
            (&["resume", "--page-views", "first.csv", "--playbooks", "playbooks"], "stopped at own/own"),
        ] {
            refused(&folder.run(&place.arguments(other)), 2, &[words]);
        }
        // The file of that name has other rows now.
        let first = std::fs::read_to_string(folder.path().join("first.csv")).expect("a file");
        folder.write("first.csv", &format!("{first}d1,d,dan,2024-03-10 12:00:00,,,\n"));
        let changed = folder.run(&place.arguments(&["resume", "--page-views", "first.csv"]));
        refused(&changed, 2, &["what comes before it is not what it was", "run the whole again"]);
        folder.write("first.csv", &first);
        place.done(&["run", "--page-views", "second.csv"]);
        assert_eq!(place.tables(&SERVED), once.tables(&SERVED), "{target}");
        // The run has ended: the next one has an id of its own.
        assert!(folder.contents("scratch.metadata_run_id_failed", &place.options()).is_err());
    }
}

/// How many row groups of the engine a table has, and how many rows.
fn stored(folder: &Folder, table: &str) -> (i64, i64) {
    let database = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database opens");
    let row_groups = format!(
        "SELECT COUNT(DISTINCT row_group_id), (SELECT COUNT(*) FROM {table}) FROM pragma_storage_info('{table}')"
    );
    database.query_row(&row_groups, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("its row groups")
}

/// Each run leaves row groups of its own, and its DELETE leaves holes in others'.
#[test]
fn tables_stay_as_small_as_their_rows_need() {
    let folder = Folder::new();
    folder.write("websessions.toml", "modules = [\"page_views\", \"sessions\", \"users\"]\n");
    let columns = "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp";
    for day in 0..15 {
        let page_view = format!("p{day},s{day},u{day},1,2024-03-10 12:00:00,2024-03-10 12:00:30");
        folder.write("day.csv", &format!("{columns}\n{page_view}\n"));
        folder.run(&["run", "--page-views", "day.csv"]).done("run").expect("a run");
    }
    for (table, rows) in [
        ("derived.page_views", 15),
        ("derived.sessions", 15),
        ("derived.users", 15),
        ("derived.datamodel_metadata", 45),
    ] {
        let (row_groups, found) = stored(&folder, table);
        assert!(row_groups <= 12 && found == rows, "{table}: {found} rows in {row_groups} row groups");
    }
    // Two million rows, of which one in a thousand stays.
    duckdb::Connection::open(folder.path().join("websessions.duckdb"))
        .and_then(|database| {
            database.execute_batch(
                "SET max_vacuum_tasks = 0;
                INSERT INTO derived.sessions (domain_sessionid, start_tstamp) SELECT 'of old ' || number, TIMESTAMP '2023-01-01' FROM range(2000000) AS numbers (number);
                DELETE FROM derived.sessions WHERE domain_sessionid LIKE 'of old %' AND domain_sessionid NOT LIKE '%000'",
            )
        })
        .expect("rows of old sessions");
    assert!(stored(&folder, "derived.sessions").0 > 15);
    folder.run(&["run", "--page-views", "day.csv"]).done("run").expect("a run");
    let (row_groups, rows) = stored(&folder, "derived.sessions");
    assert!(row_groups <= 12 && rows == 2014, "{rows} rows in {row_groups} row groups");
}

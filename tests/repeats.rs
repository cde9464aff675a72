//! Commands that are repeated as they are, after a failure, a kill or a success: the tables are those of one run.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;
use support::{Folder, fixtures, refused};
use websessions_conformance::Contents;
use websessions_test_servers::Cluster;

/// How often runs are killed on each target; the environment's `WEBSESSIONS_TEST_KILLS` asks for more.
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
            "default_target = \"laptop\"\n[variables]\nlock_lease = \"3s\"\n[target.server]\ntype = \"postgres\"\nurl = {:?}\n[target.laptop]\ntype = \"duckdb\"\n[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n",
            cluster.url()
        ),
    );
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
    fn tables(&self) -> Vec<Contents> {
        let staged = self.folder.contents("page_views_staged", &self.options()).expect("exported");
        assert_eq!(staged.rows, Vec::<Vec<Option<String>>>::new(), "nothing is staged any more");
        let own = format!("derived.own{}", self.entropy.trim_start_matches("entropy="));
        ["page_views", "sessions", &own]
            .map(|table| self.folder.contents(table, &self.options()).expect("exported"))
            .to_vec()
    }

    /// Runs a command until so many events are told and a moment more, and kills it. Whether it had ended by itself.
    fn killed(&self, command: &[&str], events: u64, moment: Duration) -> bool {
        let arguments = self.arguments(&[&["--log-format", "json"], command].concat());
        let mut command = self.folder.command(&arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let told = lines.take(usize::try_from(events).expect("few")).count();
        std::thread::sleep(moment);
        child.kill().expect("killed");
        let status = child.wait().expect("it ends");
        status.success() || u64::try_from(told).expect("few") < events
    }
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
            assert_eq!(place.tables(), once.tables(), "{target}, {again:?}");
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
        let first = place.tables();
        assert!(first[0].rows.len() > 1000 && first[1].rows.len() > 200);
        place.done(&["run", "--page-views", &sample]);
        assert_eq!(place.tables(), first, "{target}");
    }
}

/// Runs of two days, each killed at a random moment and repeated until it ends: as if nothing had happened.
#[test]
#[expect(clippy::print_stdout, reason = "the campaign says how much it did")]
fn killed_runs_are_repeated() {
    let kills = std::env::var("WEBSESSIONS_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("WEBSESSIONS_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let cluster = Cluster::start("").expect("a server");
    let folder = folder(&cluster);
    let mut numbers = Numbers(seed);
    for target in ["laptop", "server"] {
        let once = Place { folder: &folder, target, entropy: "entropy=_once".to_owned() };
        let events = once.done(&["run", "--page-views", "first.csv", "--log-format", "json"]).lines().count();
        once.done(&["run", "--page-views", "second.csv"]);
        let expected = once.tables();
        let (mut killed, mut ended) = (0, 0);
        for round in 0..kills.div_ceil(2) {
            let place = Place { folder: &folder, target, entropy: format!("entropy=_killed{round}") };
            let mut history = Vec::new();
            for file in ["first.csv", "second.csv"] {
                let run = ["run", "--wait", "60", "--page-views", file];
                let at = 1 + numbers.below(u64::try_from(events).expect("few"));
                let moment = Duration::from_millis(numbers.below(20));
                history.push((file, at, moment));
                if place.killed(&run, at, moment) {
                    ended += 1
                } else {
                    killed += 1
                }
                place.done(&run);
            }
            assert_eq!(place.tables(), expected, "{target}, seed {seed}, round {round}: {history:?}");
        }
        println!(
            "{target}: {killed} runs killed, {ended} had ended before; all repeated, all tables as those of one run"
        );
        assert!(killed > 0, "nothing was killed");
    }
}

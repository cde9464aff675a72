//! Postgres: `main` beside a plain formulation, on one server, in turn, each on a fresh copy of the same database.

use super::{Figures, Outcome, measure, median, step_seconds};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use websessions_test_servers::Cluster;

const PLAIN: &str = include_str!("../sql/plain_postgres.sql");
const HISTORY: &str = include_str!("../sql/history.sql");

/// The server with its client programs.
pub(super) struct Server {
    cluster: Cluster,
}

impl Server {
    pub(super) fn start() -> Outcome<Self> {
        Ok(Self { cluster: Cluster::start("autovacuum = off\nmax_wal_size = 8GB")? })
    }

    pub(super) fn port(&self) -> u16 {
        self.cluster.port()
    }

    pub(super) fn folder(&self) -> &Path {
        self.cluster.folder()
    }

    pub(super) fn url(&self, database: &str) -> String {
        self.cluster.url().replace("/postgres", &format!("/{database}"))
    }

    pub(super) fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname"]).arg(self.url(database));
        command
    }

    pub(super) fn sql(&self, database: &str, sql: &str) -> Outcome<f64> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), sql)?;
        Ok(measure(self.psql(database).arg("--file").arg(file.path()))?.seconds)
    }

    fn websessions(&self, database: &str, arguments: &[&str]) -> Outcome<Figures> {
        let binary = std::env::current_exe()?.with_file_name("websessions");
        let config = tempfile::NamedTempFile::new()?;
        std::fs::write(
            config.path(),
            format!("[target.bench]\ntype = \"postgres\"\nurl = {:?}\n", self.url(database)),
        )?;
        let mut command = Command::new(binary);
        command.args(["--log-format", "json", "--config"]).arg(config.path()).args(arguments);
        measure(&mut command)
    }

    /// A fresh copy of a database, settled.
    pub(super) fn copy(&self, from: &str, to: &str) -> Outcome<()> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {to} WITH (FORCE);"))?;
        self.sql("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from} STRATEGY file_copy;"))?;
        self.sql("postgres", "CHECKPOINT;").map(|_| ())
    }
}

pub(super) fn measure_all(size: u64, rounds: usize, histories: &[usize]) -> Outcome<()> {
    let server = Server::start()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("page_views.csv");
    let fixtures = std::env::current_exe()?.with_file_name("websessions-fixtures");
    measure(Command::new(fixtures).args(["--page-views", &size.to_string(), "--to"]).arg(&file))?;
    server.sql("postgres", "CREATE DATABASE base;")?;
    let loaded = server.websessions("base", &["load", "--staged", path(&file)?])?;
    std::fs::remove_file(&file)?;
    println!("\n## Postgres, {size} page views, {rounds} pairs\n\nloaded by COPY in {:.1} s\n", loaded.seconds);
    println!(
        "| sessions before | main, s | plain, s | main / plain, median (min to max) | complete / main |\n|---|---|---|---|---|"
    );
    let mut medians = BTreeMap::new();
    let mut steps: BTreeMap<(usize, String), Vec<f64>> = BTreeMap::new();
    for &history in histories {
        for (kind, table) in [("ours", "sessions"), ("plain", "plain_sessions")] {
            server.copy("base", &format!("{kind}_{history}"))?;
            if history > 0 {
                let database = format!("{kind}_{history}");
                // Production as earlier runs left it, with the indexes and statistics that it would have by then.
                if kind == "ours" {
                    server.websessions(&database, &["main"])?;
                } else {
                    server.sql(&database, PLAIN)?;
                    server.sql(&database, "DROP TABLE scratch.plain_aggregates, scratch.plain_lasts, scratch.plain_sessions_this_run, scratch.plain_run_metadata, scratch.plain_manifest_this_run, scratch.plain_upsert_limit;")?;
                }
                let sql = HISTORY.replace("{table}", table).replace("{history}", &history.to_string());
                // Of what was just computed a sixteenth stays: the run that is measured replaces it, the rest is new.
                server.sql(
                    &database,
                    &format!("{sql}DELETE FROM derived.{table} WHERE domain_sessionid NOT LIKE '%-%-%-%-%-%' AND domain_sessionid NOT LIKE '0%';"),
                )?;
                server.sql(&database, &format!("VACUUM ANALYZE derived.{table};"))?;
            }
        }
        let (mut ours, mut plain, mut ratios, mut completes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            server.copy(&format!("ours_{history}"), "run")?;
            let main = server.websessions("run", &["main"])?;
            for (step, taken) in step_seconds(&main.stderr) {
                steps.entry((history, step)).or_default().push(taken);
            }
            completes.push(server.websessions("run", &["complete"])?.seconds / main.seconds);
            server.copy(&format!("plain_{history}"), "run")?;
            let theirs = server.sql("run", PLAIN)?;
            ours.push(main.seconds);
            plain.push(theirs);
            ratios.push(main.seconds / theirs);
        }
        ratios.sort_by(f64::total_cmp);
        let ours = median(ours);
        println!(
            "| {history} × this run's | {ours:.2} | {:.2} | {:.2} ({:.2} to {:.2}) | {:.2} |",
            median(plain),
            median(ratios.clone()),
            ratios[0],
            ratios[ratios.len() - 1],
            median(completes)
        );
        medians.insert(history, ours);
        for kind in ["ours", "plain"] {
            server.sql("postgres", &format!("DROP DATABASE {kind}_{history} WITH (FORCE);"))?;
        }
    }
    if let (Some(long), Some(short)) = (medians.get(&10), medians.get(&1)) {
        println!("\nmain at 10 × the history / at 1 ×: {:.2}", long / short);
    }
    println!("\n| sessions before | step of main | seconds, median | share |\n|---|---|---|---|");
    for &history in histories {
        let of_this = || steps.iter().filter(|((of, _), _)| *of == history);
        let total: f64 = of_this().map(|(_, taken)| median(taken.clone())).sum();
        for ((_, step), taken) in of_this() {
            let taken = median(taken.clone());
            println!("| {history} × | {step} | {taken:.2} | {:.0} % |", taken / total * 100.0);
        }
    }
    Ok(())
}

fn path(file: &Path) -> Outcome<&str> {
    file.to_str().ok_or_else(|| "a path that is no text".into())
}

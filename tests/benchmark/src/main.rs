//! Measures this project beside what people would pick instead, and beside itself: each as a whole process on a copy of the same
//! database, in turn, so that a machine whose speed drifts slows all of them.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use clap::{Parser, Subcommand};
use duckdb::{Config, Connection};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use wait4::Wait4;
use websessions_core::model::sessions;
use websessions_core::model::sessions::tables::SESSIONS;
use websessions_core::variables::Variables;

mod page_views;
mod peers;
mod postgres;
mod record;

use record::Engine;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// What people would pick instead, beside ours: dbt, SQLMesh, an analyst's script; on the first day, the second, and with a long history
    Peers(peers::Options),
    /// Loading a CSV.gz beside the engine's own COPY
    Load(page_views::LoadOptions),
    /// From a file to sessions with the page views module: a CSV.gz beside a script that does the same, a Parquet file beside sessions alone, and a second day
    Chain(page_views::Options),
    /// Prints the measurements of a JSON file as the tables of docs/benchmarks.md
    Page { file: PathBuf },
    /// Runs a SQL file on a DuckDB database in a process of its own (used by the measurements)
    #[command(hide = true)]
    Script { database: PathBuf, memory_limit: String, file: PathBuf },
}

fn main() -> Outcome<()> {
    match Arguments::parse().command {
        Measure::Peers(options) => peers::measure_all(&options),
        Measure::Load(options) => page_views::load(&options),
        Measure::Chain(options) => page_views::chain(&options),
        Measure::Page { file } => {
            println!("{}", record::page(&file)?);
            Ok(())
        }
        Measure::Script { database, memory_limit, file } => {
            let config = Config::default().with("memory_limit", memory_limit)?;
            let connection = Connection::open_with_flags(database, config)?;
            Ok(connection.execute_batch(&std::fs::read_to_string(file)?)?)
        }
    }
}

/// One process's figures.
struct Figures {
    wall_s: f64,
    /// Of the processors.
    cpu_s: f64,
    peak_mib: f64,
}

fn measure(command: &mut Command) -> Outcome<Figures> {
    measure_within(command, Duration::MAX)?.ok_or_else(|| "it was stopped without a limit".into())
}

/// A process's figures, or nothing if it was stopped, with what it had started, because it took longer than the limit.
fn measure_within(command: &mut Command, limit: Duration) -> Outcome<Option<Figures>> {
    let said = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(said.reopen()?).stderr(said.reopen()?);
    let started = Instant::now();
    let mut child = command.spawn()?;
    let (ended, end) = channel::<()>();
    let process = child.id();
    let watch = std::thread::spawn(move || {
        let is_late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            stop(process);
        }
        is_late
    });
    let done = child.wait4()?;
    let wall_s = started.elapsed().as_secs_f64();
    drop(ended);
    if watch.join().unwrap_or(false) {
        return Ok(None);
    }
    if !done.status.success() {
        return Err(format!("{command:?}: {}\n{}", done.status, std::fs::read_to_string(said.path())?).into());
    }
    let cpu_s = (done.rusage.utime + done.rusage.stime).as_secs_f64();
    Ok(Some(Figures { wall_s, cpu_s, peak_mib: done.rusage.maxrss as f64 / 1024.0 / 1024.0 }))
}

/// Ends a process and all that descend from it.
fn stop(process: u32) {
    let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().map(|output| output.stdout);
    let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
    let parents: Vec<(u32, u32)> = listed
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .filter_map(|(process, parent)| Some((process.parse().ok()?, parent.trim().parse().ok()?)))
        .collect();
    let mut all = vec![process];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    let _ = Command::new("kill").arg("-KILL").args(all.iter().map(u32::to_string)).status();
}

/// A program of this project, beside this one.
fn beside(name: &str) -> Outcome<Command> {
    Ok(Command::new(std::env::current_exe()?.with_file_name(name)))
}

/// A file of page views, made by the generator.
fn generate(page_views: u64, arguments: &[&str], file: &Path) -> Outcome<()> {
    let mut command = beside("websessions-fixtures")?;
    command.args(["--page-views", &page_views.to_string()]).args(arguments).arg("--to").arg(file);
    measure(&mut command).map(drop)
}

/// The columns of production.
fn sessions_columns() -> Vec<String> {
    let sessions = sessions::module().table(SESSIONS, &Variables::default()).expect("production");
    sessions.columns.iter().map(|column| column.name.to_string()).collect()
}

/// A query of the number of a table's sessions and of a checksum of their columns, whatever their order.
fn sessions_checksum(engine: Engine, table: &str) -> String {
    let texts: Vec<String> = sessions_columns().iter().map(|name| format!("CAST({name} AS TEXT)")).collect();
    let texts = texts.join(", ");
    match engine {
        Engine::Duckdb => {
            format!("SELECT CAST(COUNT(*) AS TEXT) || ' rows, ' || CAST(SUM(hash({texts})) AS TEXT) FROM {table}")
        }
        Engine::Postgres => {
            format!("SELECT COUNT(*) || ' rows, ' || SUM(hashtextextended(CAST(ROW({texts}) AS TEXT), 0)) FROM {table}")
        }
    }
}

/// A folder for databases, which is removed in the end: in `BENCHMARK_FOLDER` if it is set.
fn folder() -> Outcome<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(std::env::var_os("BENCHMARK_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_stopped_with_its_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let script = "sh -c 'echo $$ >\"$0\"; sleep 600' \"$0\"; true";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&pid);
        let started = Instant::now();
        assert!(measure_within(&mut command, Duration::from_secs(2)).expect("it ran").is_none(), "it was not stopped");
        assert!(started.elapsed() < Duration::from_secs(500));
        let child = std::fs::read_to_string(&pid).expect("the child wrote its number");
        // Whoever inherits it may not have taken note of its end yet: then it is a zombie.
        let lives = || {
            let listed = Command::new("ps").args(["-o", "stat=", "-p", child.trim()]).output().expect("ps").stdout;
            let state = String::from_utf8_lossy(&listed).trim().to_owned();
            !state.is_empty() && !state.starts_with('Z')
        };
        for _ in 0..200 {
            if !lives() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the child lives on");
    }

    #[test]
    fn what_ends_in_time_is_measured_and_what_fails_says_why() {
        let mut ends = Command::new("true");
        assert!(measure_within(&mut ends, Duration::from_secs(600)).expect("it ran").is_some());
        let mut fails = Command::new("sh");
        fails.args(["-c", "echo because >&2; exit 3"]);
        let error = measure(&mut fails).map(drop).expect_err("it failed").to_string();
        assert!(error.contains("because"), "{error}");
    }
}

//! Measures `main` on DuckDB beside a plain formulation and a floor, in one run: each in a process of its own on a copy
//! of the same database, in turn, so that a machine whose speed drifts slows all of them. Prints medians and ratios.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use clap::{Parser, Subcommand};
use duckdb::{Config, Connection};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use wait4::Wait4;

mod page_views;
mod peers;
mod postgres;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// The embedded backend at several sizes
    Duckdb {
        /// Page views
        #[arg(long, num_args = 0.., default_values_t = [100_000, 1_000_000, 10_000_000])]
        sizes: Vec<u64>,
        /// Rounds of each size; the medians are printed
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// The engine's memory limit, for all alike
        #[arg(long, default_value = "2GiB")]
        memory_limit: String,
    },
    /// Loading a CSV.gz beside the engine's own COPY
    Load {
        /// Page views
        #[arg(long, default_value_t = 1_000_000)]
        size: u64,
        /// Pairs of runs; the medians are printed
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// The engine's memory limit, for both alike
        #[arg(long, default_value = "1GiB")]
        memory_limit: String,
    },
    /// From a file to sessions with the page views module, beside sessions alone, and a second day
    Chain {
        /// Page views
        #[arg(long, default_value_t = 1_000_000)]
        size: u64,
        /// Rounds; the medians are printed
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// The engine's memory limit, for all alike
        #[arg(long, default_value = "2GiB")]
        memory_limit: String,
    },
    /// A private Postgres server: an empty production table, one with history, and one with ten times that
    Postgres {
        /// Page views
        #[arg(long, default_value_t = 1_000_000)]
        size: u64,
        /// Pairs of runs for each history; the medians are printed
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// How often the sessions of the run stand in production before it
        #[arg(long, num_args = 1.., default_values_t = [0, 1, 10])]
        histories: Vec<usize>,
    },
    /// What people would pick instead, beside ours: dbt, SQLMesh, an analyst's script; on the first day, the second, and with a long history
    Peers(peers::Options),
    /// Prints the peers' measurements of a JSON file as the tables of docs/benchmarks.md
    Page { file: PathBuf },
    /// Runs a SQL file in a process of its own (used by the measurements)
    #[command(hide = true)]
    Script { database: PathBuf, memory_limit: String, name: String },
}

fn main() -> Outcome<()> {
    match Arguments::parse().command {
        Measure::Duckdb { sizes, rounds, memory_limit } => {
            for size in sizes {
                duckdb(size, rounds, &memory_limit)?;
            }
            overhead(&memory_limit)
        }
        Measure::Load { size, rounds, memory_limit } => page_views::load(size, rounds, &memory_limit),
        Measure::Chain { size, rounds, memory_limit } => page_views::chain(size, rounds, &memory_limit),
        Measure::Postgres { size, rounds, histories } => postgres::measure_all(size, rounds, &histories),
        Measure::Peers(options) => peers::measure_all(&options),
        Measure::Page { file } => {
            println!("{}", peers::page(&file)?);
            Ok(())
        }
        Measure::Script { database, memory_limit, name } => {
            let mut config = Config::default().with("memory_limit", memory_limit)?;
            if name == "plain_without_compaction" {
                config = config.with("max_vacuum_tasks", "0")?;
            }
            let connection = Connection::open_with_flags(database, config)?;
            let sql = match name.as_str() {
                "plain" | "plain_without_compaction" => include_str!("../sql/plain.sql").to_owned(),
                "floor" => include_str!("../sql/floor.sql").to_owned(),
                file => std::fs::read_to_string(file)?,
            };
            Ok(connection.execute_batch(&sql)?)
        }
    }
}

/// One process's figures.
struct Figures {
    seconds: f64,
    /// Seconds of the processors.
    work: f64,
    peak_mebibytes: f64,
    stderr: String,
}

fn measure(command: &mut Command) -> Outcome<Figures> {
    let stderr = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.reopen()?);
    let started = Instant::now();
    let done = command.spawn()?.wait4()?;
    let seconds = started.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(stderr.path())?;
    if !done.status.success() {
        return Err(format!("{command:?}: {}\n{text}", done.status).into());
    }
    let work = (done.rusage.utime + done.rusage.stime).as_secs_f64();
    Ok(Figures { seconds, work, peak_mebibytes: done.rusage.maxrss as f64 / 1024.0 / 1024.0, stderr: text })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn duckdb(size: u64, rounds: usize, memory_limit: &str) -> Outcome<()> {
    let binaries = std::env::current_exe()?.parent().ok_or("no folder")?.to_owned();
    let folder = tempfile::tempdir_in(
        std::env::var("BENCHMARK_FOLDER").unwrap_or_else(|_| std::env::temp_dir().display().to_string()),
    )?;
    let file = folder.path().join("page_views.parquet");
    let staged = folder.path().join("staged.duckdb");
    let websessions = |database: &Path| {
        let mut command = Command::new(binaries.join("websessions"));
        command.env("WEBSESSIONS_DATABASE", database).env("WEBSESSIONS_TARGET_MEMORY_LIMIT", memory_limit);
        command.args(["--log-format", "json"]);
        command
    };
    let generated = measure(
        Command::new(binaries.join("websessions-fixtures"))
            .args(["--page-views", &size.to_string(), "--to"])
            .arg(&file),
    )?;
    let loaded = measure(websessions(&staged).args(["load", "--staged"]).arg(&file))?;
    std::fs::remove_file(&file)?;
    println!("\n## {size} page views, memory_limit {memory_limit}, {rounds} rounds\n");
    println!(
        "generated in {:.1} s; loaded in {:.1} s, peak {:.0} MiB",
        generated.seconds, loaded.seconds, loaded.peak_mebibytes
    );
    let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut peaks: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for what in ["main", "plain", "plain_without_compaction", "floor"] {
            let database = folder.path().join("run.duckdb");
            std::fs::copy(&staged, &database)?;
            let figures = if what == "main" {
                let main = measure(websessions(&database).arg("main"))?;
                for (step, taken) in step_seconds(&main.stderr) {
                    steps.entry(step).or_default().push(taken);
                }
                let complete = measure(websessions(&database).arg("complete"))?;
                seconds.entry("complete").or_default().push(complete.seconds);
                peaks.entry("complete").or_default().push(complete.peak_mebibytes);
                main
            } else {
                measure(Command::new(std::env::current_exe()?).arg("script").arg(&database).args([memory_limit, what]))?
            };
            seconds.entry(what).or_default().push(figures.seconds);
            peaks.entry(what).or_default().push(figures.peak_mebibytes);
            std::fs::remove_file(&database)?;
        }
    }
    let ratios = |other: &str| {
        let pairs = seconds["main"].iter().zip(&seconds[other]);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        format!("{:.2} ({:.2} to {:.2})", median(ratios.clone()), ratios[0], ratios[ratios.len() - 1])
    };
    println!(
        "\n| | seconds, median | peak MiB, median | main's seconds / this, median (min to max) |\n|---|---|---|---|"
    );
    for what in ["main", "plain", "plain_without_compaction", "floor", "complete"] {
        let ratio = if ["main", "complete"].contains(&what) { String::new() } else { ratios(what) };
        println!("| {what} | {:.2} | {:.0} | {ratio} |", median(seconds[what].clone()), median(peaks[what].clone()));
    }
    println!("\n| step of main | seconds, median |\n|---|---|");
    for (step, taken) in steps {
        println!("| {step} | {:.3} |", median(taken));
    }
    Ok(())
}

/// What the runner adds to the engine: `main` on a few page views, less a bare process of the engine that runs the very
/// SQL of the plan.
fn overhead(memory_limit: &str) -> Outcome<()> {
    const ROUNDS: usize = 15;
    let binaries = std::env::current_exe()?.parent().ok_or("no folder")?.to_owned();
    let folder = tempfile::tempdir()?;
    let (file, staged, plan) =
        (folder.path().join("few.parquet"), folder.path().join("staged.duckdb"), folder.path().join("main.sql"));
    let binary = binaries.join("websessions");
    let websessions = || {
        let mut command = Command::new(&binary);
        command.env("WEBSESSIONS_TARGET_MEMORY_LIMIT", memory_limit).args(["--quiet", "--database"]);
        command
    };
    measure(Command::new(binaries.join("websessions-fixtures")).args(["--page-views", "1000", "--to"]).arg(&file))?;
    measure(websessions().arg(&staged).args(["load", "--staged"]).arg(&file))?;
    std::fs::write(&plan, Command::new(&binary).args(["plan", "main"]).output()?.stdout)?;
    let (mut ours, mut bare, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let database = folder.path().join("run.duckdb");
        std::fs::copy(&staged, &database)?;
        let main = measure(websessions().arg(&database).arg("main"))?.seconds;
        std::fs::copy(&staged, &database)?;
        let script =
            measure(Command::new(std::env::current_exe()?).arg("script").arg(&database).arg(memory_limit).arg(&plan))?
                .seconds;
        ours.push(main);
        bare.push(script);
        extra.push(main - script);
    }
    println!("\n## Overhead of the runner, 1,000 page views, {ROUNDS} pairs\n\n| | milliseconds, median |\n|---|---|");
    for (what, seconds) in [("main", ours), ("the same SQL in a bare process", bare), ("difference", extra)] {
        println!("| {what} | {:.0} |", median(seconds) * 1000.0);
    }
    Ok(())
}

/// The seconds of each step, of the events that `--log-format json` writes.
fn step_seconds(log: &str) -> Vec<(String, f64)> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["event"] == "step_finished")
        .filter_map(|event| Some((event["step"].as_str()?.to_owned(), event["seconds"].as_f64()?)))
        .collect()
}

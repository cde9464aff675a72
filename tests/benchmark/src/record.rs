//! What was measured, as JSON, and as the tables of docs/benchmarks.md.

use super::{Figures, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use websessions_core::words::counted;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Duckdb,
    Postgres,
}

/// One process: its figures in each round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Measured {
    wall_s: Vec<f64>,
    /// Of the process, and of the server that works for it.
    cpu_s: Vec<f64>,
    /// Of the process.
    peak_mib: Vec<f64>,
    /// It took longer than so many seconds, and was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_after_s: Option<f64>,
}

/// What was measured together: rounds of several processes on the same data.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stage {
    engine: Engine,
    page_views: u64,
    stage: String,
    /// The machine's load (runnable processes, over a minute) before and after the rounds.
    load: [f64; 2],
    /// The process that the others are compared with.
    of: String,
    processes: BTreeMap<String, Measured>,
    /// What every process has given; a difference is an error.
    rows: String,
}

impl Stage {
    pub(super) fn new(engine: Engine, page_views: u64, stage: &str, of: &str) -> Self {
        let (stage, of, load) = (stage.to_owned(), of.to_owned(), [load_average(); 2]);
        Self { engine, page_views, stage, load, of, processes: BTreeMap::new(), rows: String::new() }
    }

    pub(super) fn add(&mut self, process: &str, figures: &Figures) {
        let of = self.processes.entry(process.to_owned()).or_default();
        of.wall_s.push(figures.wall_s);
        of.cpu_s.push(figures.cpu_s);
        of.peak_mib.push(figures.peak_mib);
        self.load[1] = load_average();
    }

    pub(super) fn stopped(&mut self, process: &str, seconds: f64) {
        self.processes.entry(process.to_owned()).or_default().stopped_after_s = Some(seconds);
        self.load[1] = load_average();
    }

    /// Notes what a process gave; fails if another gave something else.
    pub(super) fn gave(&mut self, process: &str, rows: String) -> Outcome<()> {
        if self.rows.is_empty() {
            self.rows = rows;
        } else if self.rows != rows {
            return Err(format!("{}: {process} gives {rows}, others {}", self.stage, self.rows).into());
        }
        Ok(())
    }

    fn is_of(&self, other: &Self) -> bool {
        (self.engine, self.page_views, &self.stage) == (other.engine, other.page_views, &other.stage)
    }

    fn table(&self) -> String {
        let engine = match self.engine {
            Engine::Duckdb => "DuckDB",
            Engine::Postgres => "Postgres",
        };
        let rounds = self.processes.values().map(|measured| measured.wall_s.len()).max().unwrap_or_default();
        let mut table = format!(
            "\n### {engine}, {} page views, {}\n\n{}; load of the machine {:.1} before, {:.1} after; all give {}.\n\n| process | wall, s | CPU, s | peak, MiB | wall / {} |\n|---|---|---|---|---|\n",
            thousands(self.page_views),
            self.stage,
            counted(rounds, "round"),
            self.load[0],
            self.load[1],
            self.rows,
            self.of,
        );
        let base = self.processes.get(&self.of).map(|measured| measured.wall_s.as_slice()).unwrap_or_default();
        for (process, measured) in &self.processes {
            table.push_str(&match measured.stopped_after_s {
                Some(seconds) => {
                    let ratio = seconds / median(base);
                    format!("| {process} | more than {seconds:.0}, then stopped | | | more than {ratio:.2} |\n")
                }
                None => {
                    let ratios: Vec<f64> = measured.wall_s.iter().zip(base).map(|(it, base)| it / base).collect();
                    let [wall, cpu] = [&measured.wall_s, &measured.cpu_s].map(|figures| seconds(median(figures)));
                    format!("| {process} | {wall} | {cpu} | {:.0} | {} |\n", median(&measured.peak_mib), range(&ratios))
                }
            });
        }
        table
    }
}

/// All that was measured, and on what.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Measurements {
    machine: String,
    versions: BTreeMap<String, String>,
    stages: Vec<Stage>,
}

/// Writes a stage to the file in the place of the one of that name, and prints it.
#[allow(clippy::print_stdout, reason = "a benchmark prints")]
pub(super) fn keep(file: &Path, stage: Stage, versions: &BTreeMap<String, String>) -> Outcome<()> {
    println!("{}", stage.table());
    let mut all: Measurements = match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => Measurements::default(),
    };
    all.machine = machine();
    all.versions.extend(versions.clone());
    match all.stages.iter_mut().find(|known| known.is_of(&stage)) {
        Some(known) => *known = stage,
        None => all.stages.push(stage),
    }
    Ok(std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?)
}

/// The measurements of a file as the tables of a page.
pub(super) fn page(file: &Path) -> Outcome<String> {
    let all: Measurements = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    if all.stages.is_empty() {
        return Ok("Nothing has been measured yet.\n".to_owned());
    }
    let mut page = format!("The machine: {}.", all.machine);
    for (name, version) in &all.versions {
        page.push_str(&format!(" {name}: {version}."));
    }
    page.push('\n');
    page.extend(all.stages.iter().map(Stage::table));
    Ok(page)
}

fn machine() -> String {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {:.0} GiB of memory", kib / 1024.0 / 1024.0)
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn median(numbers: &[f64]) -> f64 {
    sorted(numbers).get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and between what they lie.
fn range(numbers: &[f64]) -> String {
    match sorted(numbers).as_slice() {
        [] => String::new(),
        [one] => format!("{one:.2}"),
        [least, .., most] => format!("{:.2} ({least:.2} to {most:.2})", median(numbers)),
    }
}

/// To the millisecond where that is what counts.
fn seconds(number: f64) -> String {
    if number < 1.0 { format!("{number:.3}") } else { format!("{number:.2}") }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGINS: &str = "<!-- measured: begins -->\n";
    const ENDS: &str = "<!-- measured: ends -->\n";

    /// `ACCEPT=1` writes the page anew.
    #[test]
    fn the_page_of_benchmarks_has_the_measurements_of_the_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tables = page(&folder.join("peers/measured.json")).expect("the measurements");
        let path = folder.join("../../docs/benchmarks.md");
        let text = std::fs::read_to_string(&path).expect("the page");
        let (before, rest) = text.split_once(BEGINS).expect("where they begin");
        let (_, after) = rest.split_once(ENDS).expect("where they end");
        let expected = format!("{before}{BEGINS}{tables}{ENDS}{after}");
        if std::env::var_os("ACCEPT").is_some() {
            std::fs::write(&path, expected).expect("the page");
            return;
        }
        assert!(text == expected, "docs/benchmarks.md differs from the measurements:\n{tables}");
    }

    #[test]
    fn a_table_has_medians_and_ratios_of_each_round_and_who_was_stopped() {
        let mut stage = Stage::new(Engine::Duckdb, 1_000_000, "second day", "ours");
        for (ours, theirs) in [(2.0, 3.0), (4.0, 4.0), (1.0, 2.0)] {
            stage.add("ours", &Figures { wall_s: ours, cpu_s: 0.5, peak_mib: 100.0 });
            stage.add("theirs", &Figures { wall_s: theirs, cpu_s: 0.25, peak_mib: 90.0 });
        }
        stage.stopped("late", 60.0);
        stage.gave("ours", "7 rows".to_owned()).expect("the first");
        stage.gave("theirs", "8 rows".to_owned()).expect_err("a difference");
        let table = stage.table();
        assert!(table.contains("### DuckDB, 1,000,000 page views, second day\n\n3 rounds;"), "{table}");
        assert!(table.contains("all give 7 rows."), "{table}");
        assert!(table.contains("| ours | 2.00 | 0.500 | 100 | 1.00 (1.00 to 1.00) |\n"), "{table}");
        assert!(table.contains("| theirs | 3.00 | 0.250 | 90 | 1.50 (1.00 to 2.00) |\n"), "{table}");
        assert!(table.contains("| late | more than 60, then stopped | | | more than 30.00 |\n"), "{table}");
    }

    #[test]
    fn a_stage_takes_the_place_of_the_one_of_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("measured.json");
        for (name, wall_s) in [("first day", 1.0), ("second day", 2.0), ("first day", 3.0)] {
            let mut stage = Stage::new(Engine::Postgres, 1000, name, "ours");
            stage.add("ours", &Figures { wall_s, cpu_s: 1.0, peak_mib: 1.0 });
            keep(&file, stage, &BTreeMap::new()).expect("it is kept");
        }
        let page = page(&file).expect("the page");
        assert_eq!(page.matches("first day").count(), 1, "{page}");
        assert!(page.contains("| ours | 3.00 |") && page.contains("second day"), "{page}");
    }
}

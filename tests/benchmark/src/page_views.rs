//! Measures what page views cost before sessions: loading a file beside the engine's own COPY, and the page views module beside
//! sessions alone. Whole processes in turn. A machine that others use tells more by the processors' time than by the clock.

use super::{Figures, Outcome, measure, median};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The binaries beside this one, and a folder for databases.
pub(crate) struct Place {
    binaries: PathBuf,
    folder: tempfile::TempDir,
    memory_limit: String,
}

impl Place {
    pub(crate) fn new(memory_limit: &str) -> Outcome<Self> {
        let folder = std::env::var("BENCHMARK_FOLDER").unwrap_or_else(|_| std::env::temp_dir().display().to_string());
        Ok(Self {
            binaries: std::env::current_exe()?.parent().ok_or("no folder")?.to_owned(),
            folder: tempfile::tempdir_in(folder)?,
            memory_limit: memory_limit.to_owned(),
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn generate(&self, page_views: u64, seed: u64, name: &str) -> Outcome<PathBuf> {
        let file = self.file(name);
        let mut command = Command::new(self.binaries.join("websessions-fixtures"));
        command.args(["--page-views", &page_views.to_string(), "--seed", &seed.to_string(), "--to"]).arg(&file);
        measure(&mut command)?;
        Ok(file)
    }

    fn websessions(&self, database: &Path) -> Command {
        let mut command = Command::new(self.binaries.join("websessions"));
        command.env("WEBSESSIONS_DATABASE", database).env("WEBSESSIONS_TARGET_MEMORY_LIMIT", &self.memory_limit);
        command.arg("--quiet");
        command
    }

    /// A process of the engine alone.
    fn engine(&self, database: &Path, sql: &str) -> Outcome<Command> {
        let script = self.file("engine.sql");
        std::fs::write(&script, sql)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("script").arg(database).arg(&self.memory_limit).arg(script);
        Ok(command)
    }
}

type Figure = fn(&Figures) -> f64;

/// What each of some things took, a figure a round.
#[derive(Default)]
struct Rounds(Vec<(&'static str, Vec<Figures>)>);

impl Rounds {
    fn add(&mut self, what: &'static str, figures: Figures) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, all)) => all.push(figures),
            None => self.0.push((what, vec![figures])),
        }
    }

    /// Medians, and the ratio of each pair with what the first is compared with.
    fn print(&self, with: &str) {
        let Some((_, base)) = self.0.iter().find(|(what, _)| *what == with) else { return };
        println!("| | seconds | of the processors | peak, MiB | seconds, of {with} | of the processors, of {with} |");
        println!("|---|---|---|---|---|---|");
        for (what, all) in &self.0 {
            let of = |figure: Figure| median(all.iter().map(figure).collect());
            let ratio = |figure: Figure| {
                let mut ratios: Vec<f64> = all.iter().zip(base).map(|(one, base)| figure(one) / figure(base)).collect();
                ratios.sort_by(f64::total_cmp);
                format!("{:.2} ({:.2} to {:.2})", median(ratios.clone()), ratios[0], ratios[ratios.len() - 1])
            };
            let [clock, work]: [Figure; 2] = [|one| one.seconds, |one| one.work];
            println!(
                "| {what} | {:.2} | {:.2} | {:.0} | {} | {} |",
                of(clock),
                of(work),
                of(|one| one.peak_mebibytes),
                ratio(clock),
                ratio(work)
            );
        }
    }
}

/// A CSV.gz into an empty table, by the strict reader and by the engine's COPY.
pub(crate) fn load(size: u64, rounds: usize, memory_limit: &str) -> Outcome<()> {
    let place = Place::new(memory_limit)?;
    let file = place.generate(size, 1, "page_views.csv.gz")?;
    let few = place.generate(1, 1, "few.csv")?;
    let (empty, loaded) = (place.file("empty.duckdb"), place.file("loaded.duckdb"));
    measure(place.websessions(&empty).args(["load", "--staged"]).arg(&few))?;
    measure(&mut place.engine(&empty, "DELETE FROM scratch.page_views_staged")?)?;
    let copy = format!("COPY scratch.page_views_staged FROM '{}' (FORMAT csv, HEADER, NULLSTR '')", file.display());
    let mut figures = Rounds::default();
    for _ in 0..rounds {
        for what in ["load", "COPY"] {
            std::fs::copy(&empty, &loaded)?;
            figures.add(
                what,
                match what {
                    "load" => measure(place.websessions(&loaded).args(["load", "--staged"]).arg(&file))?,
                    _ => measure(&mut place.engine(&loaded, &copy)?)?,
                },
            );
            std::fs::remove_file(&loaded)?;
        }
    }
    println!("\n## Loading {size} page views from CSV.gz, memory_limit {memory_limit}, {rounds} rounds\n");
    figures.print("COPY");
    Ok(())
}

/// From a Parquet file to sessions, beside sessions alone from rows that are staged; then a second day of a tenth as many.
pub(crate) fn chain(size: u64, rounds: usize, memory_limit: &str) -> Outcome<()> {
    let place = Place::new(memory_limit)?;
    let first = place.generate(size, 1, "first.parquet")?;
    let second = place.generate(size / 10, 2, "second.parquet")?;
    let [staged, history, run] = ["staged", "history", "run"].map(|name| place.file(&format!("{name}.duckdb")));
    measure(place.websessions(&staged).args(["load", "--staged"]).arg(&first))?;
    measure(place.websessions(&history).args(["run", "--page-views"]).arg(&first))?;
    let mut figures = Rounds::default();
    for _ in 0..rounds {
        for what in
            [ALONE, "with page_views, from Parquet", "the same file again", "a second day, a tenth", EMPTY_TENTH]
        {
            match what {
                ALONE => std::fs::copy(&staged, &run).map(|_| ())?,
                "the same file again" | "a second day, a tenth" => std::fs::copy(&history, &run).map(|_| ())?,
                _ => {}
            }
            let mut command = place.websessions(&run);
            command.arg("run");
            match what {
                ALONE => {}
                "a second day, a tenth" | EMPTY_TENTH => {
                    command.arg("--page-views").arg(&second);
                }
                _ => {
                    command.arg("--page-views").arg(&first);
                }
            }
            figures.add(what, measure(&mut command)?);
            std::fs::remove_file(&run)?;
        }
    }
    println!("\n## {size} page views to sessions, memory_limit {memory_limit}, {rounds} rounds\n");
    figures.print(ALONE);
    Ok(())
}

const ALONE: &str = "sessions alone";
const EMPTY_TENTH: &str = "that tenth into an empty file";

//! Measures what page views cost before sessions: loading a file beside the engine's own COPY, and the page views module beside
//! sessions alone and beside a script that does the same. Whole processes in turn. A machine that others use tells more by the processors' time than by the clock.

use super::peers::SELECT;
use super::record::{Engine, Stage, keep};
use super::{Outcome, beside, folder, generate, measure, sessions_checksum};
use duckdb::Connection;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Page views of a file, each once and numbered, as a script would have them.
const CHAIN: &str = include_str!("../sql/chain.sql");

#[derive(Debug, clap::Args)]
pub(super) struct LoadOptions {
    #[command(flatten)]
    options: Options,
    /// The CSV.gz, which is made unless it is there, and stays; without, one is made and removed
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Page views
    #[arg(long, default_value_t = 1_000_000)]
    size: u64,
    /// Rounds; the medians are printed
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The engine's memory limit, for all alike
    #[arg(long, default_value = "1GiB")]
    memory_limit: String,
    /// The file of the measurements, as JSON; other measurements in it stay
    #[arg(long, default_value = "measured.json")]
    to: PathBuf,
}

/// A folder for databases.
struct Place {
    folder: tempfile::TempDir,
    memory_limit: String,
}

impl Place {
    fn new(memory_limit: &str) -> Outcome<Self> {
        Ok(Self { folder: folder()?, memory_limit: memory_limit.to_owned() })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn generate(&self, page_views: u64, arguments: &[&str], name: &str) -> Outcome<PathBuf> {
        let file = self.file(name);
        generate(page_views, arguments, &file)?;
        Ok(file)
    }

    /// A CSV.gz of so many page views: one member a million, as files of several days one behind the other. Each is made by a
    /// process of its own, one a core at a time.
    fn members(&self, page_views: u64) -> Outcome<PathBuf> {
        const MEMBER: u64 = 1_000_000;
        let whole = self.file("page_views.csv.gz");
        let sizes: Vec<u64> =
            (0..page_views.div_ceil(MEMBER)).map(|number| MEMBER.min(page_views - number * MEMBER)).collect();
        let mut to = File::create(&whole)?;
        let (mut number, cores) = (0, std::thread::available_parallelism().map_or(1, usize::from));
        for together in sizes.chunks(cores) {
            let mut made = Vec::new();
            for size in together {
                number += 1;
                let file = self.file(&format!("{number}.csv.gz"));
                let mut command = beside("websessions-fixtures")?;
                command.args(["--page-views", &size.to_string(), "--seed", &number.to_string(), "--to"]).arg(&file);
                // One header for the whole file.
                command.args((number > 1).then_some("--no-header"));
                made.push((command.spawn()?, file));
            }
            for (mut process, file) in made {
                if !process.wait()?.success() {
                    return Err("the generator failed".into());
                }
                std::io::copy(&mut File::open(&file)?, &mut to)?;
                std::fs::remove_file(file)?;
            }
        }
        Ok(whole)
    }

    fn websessions(&self, database: &Path) -> Outcome<Command> {
        let mut command = beside("websessions")?;
        command.env("WEBSESSIONS_DATABASE", database).env("WEBSESSIONS_TARGET_MEMORY_LIMIT", &self.memory_limit);
        command.arg("--quiet");
        Ok(command)
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

/// A CSV.gz into an empty table, by the strict reader and by the engine's COPY.
pub(super) fn load(LoadOptions { options, file }: &LoadOptions) -> Outcome<()> {
    let place = Place::new(&options.memory_limit)?;
    let file = match file {
        Some(file) if file.exists() => file.clone(),
        Some(file) => {
            // Under its name when it is whole.
            let part = file.with_extension("part");
            std::fs::copy(place.members(options.size)?, &part)?;
            std::fs::rename(part, file)?;
            file.clone()
        }
        None => place.members(options.size)?,
    };
    let few = place.generate(1, &[], "few.csv")?;
    let (empty, loaded) = (place.file("empty.duckdb"), place.file("loaded.duckdb"));
    measure(place.websessions(&empty)?.args(["load", "--staged"]).arg(&few))?;
    measure(&mut place.engine(&empty, "DELETE FROM scratch.page_views_staged")?)?;
    let copy = format!("COPY scratch.page_views_staged FROM '{}' (FORMAT csv, HEADER, NULLSTR '')", file.display());
    let (ours, engines) = ("websessions load", "the engine's COPY");
    let name = format!("loading a CSV.gz, memory_limit {}", options.memory_limit);
    let mut stage = Stage::new(Engine::Duckdb, options.size, &name, engines);
    for _ in 0..options.rounds {
        for what in [ours, engines] {
            std::fs::copy(&empty, &loaded)?;
            let figures = if what == ours {
                measure(place.websessions(&loaded)?.args(["load", "--staged"]).arg(&file))?
            } else {
                measure(&mut place.engine(&loaded, &copy)?)?
            };
            stage.add(what, &figures);
            stage.gave(what, count(&loaded, "scratch.page_views_staged", "page views")?)?;
            std::fs::remove_file(&loaded)?;
        }
    }
    keep(&options.to, stage, &BTreeMap::new())
}

fn count(database: &Path, table: &str, of: &str) -> Outcome<String> {
    let number = value(database, &format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}"))?;
    Ok(format!("{number} {of}"))
}

/// The text that a query gives.
fn value(database: &Path, sql: &str) -> Outcome<String> {
    Ok(Connection::open(database)?.query_row(sql, [], |row| row.get(0))?)
}

/// Where the page views of a process of the chain come from.
#[derive(Clone, Copy)]
enum From {
    /// They are staged already.
    Staged,
    /// A file, into an empty database.
    Empty,
    /// A file, into the database that the first file has made.
    First,
}

/// From files to sessions, with the page views module.
pub(super) fn chain(options: &Options) -> Outcome<()> {
    let place = Place::new(&options.memory_limit)?;
    chain_beside_a_script(&place, options)?;
    chain_beside_sessions(&place, options)
}

/// From a CSV.gz to sessions in an empty database, beside one script of the engine's SQL.
fn chain_beside_a_script(place: &Place, options: &Options) -> Outcome<()> {
    let file = place.members(options.size)?;
    let few = place.generate(1, &[], "few.csv")?;
    let [typed, run] = ["typed", "run"].map(|name| place.file(&format!("{name}.duckdb")));
    measure(place.websessions(&typed)?.args(["load", "--staged"]).arg(&few))?;
    let types = value(
        &typed,
        "SELECT string_agg(format('''{}'': ''{}''', column_name, data_type), ', ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'scratch' AND table_name = 'page_views_staged'",
    )?;
    let page_views = CHAIN.replace("{file}", &file.display().to_string()).replace("{types}", &types);
    let script = format!("{page_views}CREATE TABLE derived.sessions AS\n{};\n", SELECT.trim_end());
    let (ours, engines) = ("websessions run --page-views", "a script that does the same");
    let name = format!("from a CSV.gz to sessions, memory_limit {}", options.memory_limit);
    let mut stage = Stage::new(Engine::Duckdb, options.size, &name, engines);
    for _ in 0..options.rounds {
        for what in [ours, engines] {
            let figures = if what == ours {
                measure(place.websessions(&run)?.args(["run", "--page-views"]).arg(&file))?
            } else {
                measure(&mut place.engine(&run, &script)?)?
            };
            stage.add(what, &figures);
            stage.gave(what, value(&run, &sessions_checksum(Engine::Duckdb, "derived.sessions"))?)?;
            std::fs::remove_file(&run)?;
        }
    }
    keep(&options.to, stage, &BTreeMap::new())
}

/// From a Parquet file to sessions, beside sessions alone from rows that are staged; then a second day of a tenth as many.
fn chain_beside_sessions(place: &Place, options: &Options) -> Outcome<()> {
    let first = place.generate(options.size, &[], "first.parquet")?;
    let second = place.generate(options.size / 10, &["--seed", "2"], "second.parquet")?;
    let [staged, history, run] = ["staged", "history", "run"].map(|name| place.file(&format!("{name}.duckdb")));
    measure(place.websessions(&staged)?.args(["load", "--staged"]).arg(&first))?;
    measure(place.websessions(&history)?.args(["run", "--page-views"]).arg(&first))?;
    let processes = [
        ("sessions alone, from staged rows", From::Staged, &first),
        ("with page views, from the file", From::Empty, &first),
        ("the same file again", From::First, &first),
        ("a second day, a tenth", From::First, &second),
        ("that tenth into an empty file", From::Empty, &second),
    ];
    let name = format!("from a Parquet file to sessions, memory_limit {}", options.memory_limit);
    let mut stage = Stage::new(Engine::Duckdb, options.size, &name, processes[0].0);
    for _ in 0..options.rounds {
        for (what, from, file) in processes {
            let mut command = place.websessions(&run)?;
            command.arg("run");
            match from {
                From::Staged => drop(std::fs::copy(&staged, &run)?),
                From::First => drop(std::fs::copy(&history, &run)?),
                From::Empty => {}
            }
            if !matches!(from, From::Staged) {
                command.arg("--page-views").arg(file);
            }
            stage.add(what, &measure(&mut command)?);
            // The three that read the whole file, however they got it.
            if file == &first {
                stage.gave(what, count(&run, "derived.sessions", "sessions of the first file")?)?;
            }
            std::fs::remove_file(&run)?;
        }
    }
    keep(&options.to, stage, &BTreeMap::new())
}

//! What people would pick instead, beside ours: dbt and SQLMesh with a project each, an analyst's one good script, the plain
//! formulation and the floor. Each is a whole process on a copy of the same database, in turn; its rows are compared with ours.

use super::{Outcome, median, postgres::Server};
use duckdb::{Config, Connection};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use wait4::Wait4;
use websessions_core::model::sessions;
use websessions_core::model::sessions::tables::SESSIONS;
use websessions_core::variables::Variables;

/// The sessions of what is staged, as one SELECT of both engines: dbt's model, SQLMesh's and the script are made from it.
const SELECT: &str = include_str!("../peers/sessions.sql");
const PLAIN_DUCKDB: &str = include_str!("../sql/plain.sql");
const PLAIN_POSTGRES: &str = include_str!("../sql/plain_postgres.sql");
const FLOOR: &str = include_str!("../sql/floor.sql");

/// The name of the database that is measured; the others are what it is copied from.
const RUN: &str = "run";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Duckdb,
    Postgres,
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The engines, one after the other
    #[arg(long, num_args = 1.., value_enum, default_values = ["duckdb", "postgres"])]
    engines: Vec<Engine>,
    /// Page views of each of the two days
    #[arg(long, num_args = 1.., default_values_t = [1_000_000])]
    sizes: Vec<u64>,
    /// Rounds of each stage; the medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How often the first day's sessions stand in production again, under other ids, in the stages after the second day
    #[arg(long, num_args = 0.., default_values_t = [10, 30])]
    histories: Vec<usize>,
    /// DuckDB's memory limit, for all alike
    #[arg(long, default_value = "2GiB")]
    memory_limit: String,
    /// The file of the measurements, as JSON; measurements of other engines and sizes in it stay
    #[arg(long, default_value = "peers.json")]
    to: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Contestant {
    Ours,
    OursAtOnce,
    Analyst,
    AnalystWithoutCompaction,
    Plain,
    Dbt,
    Sqlmesh,
    Floor,
}
use Contestant::{Analyst, AnalystWithoutCompaction, Dbt, Floor, Ours, OursAtOnce, Plain, Sqlmesh};

impl Contestant {
    fn all(engine: Engine) -> Vec<Self> {
        let all = [Ours, OursAtOnce, Analyst, AnalystWithoutCompaction, Plain, Dbt, Sqlmesh, Floor];
        all.into_iter().filter(|one| engine == Engine::Duckdb || *one != AnalystWithoutCompaction).collect()
    }

    /// A name for files and databases.
    fn key(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Where its sessions are; the floor computes none.
    fn production(self, engine: Engine, place: &Place) -> Outcome<Option<String>> {
        Ok(match self {
            Floor => None,
            Plain => Some("derived.plain_sessions".to_owned()),
            // Its table has a version in its name; what users read is a view of it.
            Sqlmesh => {
                let catalog = match engine {
                    Engine::Duckdb => {
                        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE schema_name = 'sqlmesh__derived'"
                    }
                    Engine::Postgres => {
                        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = 'sqlmesh__derived'"
                    }
                };
                Some(place.value(&format!("{}_before", self.key()), catalog).or_else(|_| place.value(RUN, catalog))?)
            }
            _ => Some("derived.sessions".to_owned()),
        })
    }
}

/// One process: what it is of, and its figures in each round.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Measured {
    wall_s: Vec<f64>,
    /// Of the process, and of the server that works for it.
    cpu_s: Vec<f64>,
    /// Of the process.
    peak_mib: Vec<f64>,
}

/// One stage of one engine at one size.
#[derive(Debug, Serialize, Deserialize)]
struct Stage {
    engine: Engine,
    page_views: u64,
    stage: String,
    /// The machine's load (runnable processes, over a minute) before and after the rounds.
    load: [f64; 2],
    processes: BTreeMap<String, Measured>,
    /// The number and the checksum of the sessions that every contestant has given; a difference is an error.
    rows: String,
}

/// All that was measured, and on what.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Measurements {
    machine: String,
    versions: BTreeMap<String, String>,
    stages: Vec<Stage>,
}

/// An engine's databases by name, in a folder or on a server.
enum Place {
    Folder { folder: PathBuf, memory_limit: String },
    Server { server: Server, folder: PathBuf },
}

impl Place {
    fn new(engine: Engine, folder: &Path, memory_limit: &str) -> Outcome<Self> {
        Ok(match engine {
            Engine::Duckdb => Self::Folder { folder: folder.to_owned(), memory_limit: memory_limit.to_owned() },
            Engine::Postgres => Self::Server { server: Server::start()?, folder: folder.to_owned() },
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        let (Self::Folder { folder, .. } | Self::Server { folder, .. }) = self;
        folder.join(name)
    }

    fn database(&self, name: &str) -> PathBuf {
        self.file(&format!("{name}.duckdb"))
    }

    fn create(&self, name: &str) -> Outcome<()> {
        match self {
            Self::Folder { .. } => Ok(()),
            Self::Server { server, .. } => server.sql("postgres", &format!("CREATE DATABASE {name};")).map(drop),
        }
    }

    fn copy(&self, from: &str, to: &str) -> Outcome<()> {
        match self {
            Self::Folder { .. } => {
                let _ = std::fs::remove_file(self.file(&format!("{to}.duckdb.wal")));
                std::fs::copy(self.database(from), self.database(to)).map(drop).map_err(Into::into)
            }
            Self::Server { server, .. } => server.copy(from, to),
        }
    }

    fn remove(&self, name: &str) -> Outcome<()> {
        match self {
            Self::Folder { .. } => Ok(std::fs::remove_file(self.database(name))?),
            Self::Server { server, .. } => {
                server.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE);")).map(drop)
            }
        }
    }

    fn sql(&self, name: &str, sql: &str) -> Outcome<()> {
        match self {
            Self::Folder { memory_limit, .. } => {
                let config = Config::default().with("memory_limit", memory_limit)?;
                Ok(Connection::open_with_flags(self.database(name), config)?.execute_batch(sql)?)
            }
            Self::Server { server, .. } => server.sql(name, sql).map(drop),
        }
    }

    /// The text that a query gives.
    fn value(&self, name: &str, sql: &str) -> Outcome<String> {
        match self {
            Self::Folder { .. } => {
                Ok(Connection::open(self.database(name))?.query_row(sql, [], |row| row.get::<_, String>(0))?)
            }
            Self::Server { server, .. } => {
                let output = server.psql(name).args(["--tuples-only", "--no-align", "--command", sql]).output()?;
                let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                if text.is_empty() { Err(format!("{sql}: nothing was found").into()) } else { Ok(text) }
            }
        }
    }

    fn websessions(&self, name: &str, arguments: &[&str]) -> Outcome<Command> {
        let mut command = Command::new(std::env::current_exe()?.with_file_name("websessions"));
        command.args(["--quiet", "--var", "ends_run=true"]);
        match self {
            Self::Folder { memory_limit, .. } => {
                command.env("WEBSESSIONS_TARGET_MEMORY_LIMIT", memory_limit).arg("--database").arg(self.database(name));
            }
            Self::Server { server, .. } => {
                let config = self.file("websessions.toml");
                let target = format!("[target.bench]\ntype = \"postgres\"\nurl = {:?}\n", server.url(name));
                std::fs::write(&config, target)?;
                command.arg("--config").arg(config);
            }
        }
        command.args(arguments);
        Ok(command)
    }

    /// A script in a process of its own: psql, or a bare process of the engine.
    fn script(&self, name: &str, sql: &str) -> Outcome<Command> {
        let file = self.file("script.sql");
        std::fs::write(&file, sql)?;
        Ok(match self {
            Self::Folder { memory_limit, .. } => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("script").arg(self.database(name)).arg(memory_limit).arg(file);
                command
            }
            Self::Server { server, .. } => {
                let mut command = server.psql(name);
                command.arg("--file").arg(file);
                command
            }
        })
    }

    /// A query of the number of a table's sessions and of a checksum of their columns, whatever their order.
    fn checksum(&self, table: &str) -> String {
        let sessions = sessions::module().table(SESSIONS, &Variables::default()).expect("production");
        let texts: Vec<String> =
            sessions.columns.iter().map(|column| format!("CAST({} AS TEXT)", column.name)).collect();
        let texts = texts.join(", ");
        match self {
            Self::Folder { .. } => {
                format!("SELECT CAST(COUNT(*) AS TEXT) || ' rows, ' || CAST(SUM(hash({texts})) AS TEXT) FROM {table}")
            }
            Self::Server { .. } => format!(
                "SELECT COUNT(*) || ' rows, ' || SUM(hashtextextended(CAST(ROW({texts}) AS TEXT), 0)) FROM {table}"
            ),
        }
    }

    /// The seconds of work of the server's processes that have ended.
    fn server_cpu(&self) -> f64 {
        let Self::Server { server, .. } = self else { return 0.0 };
        let ticks = || -> Option<u64> {
            let file = std::fs::read_to_string(server.folder().join("data/postmaster.pid")).ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", file.lines().next()?)).ok()?;
            let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
            Some(fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?)
        };
        ticks().unwrap_or_default() as f64 / 100.0
    }
}

/// The analyst's script: one temporary table, one transaction.
fn analyst(engine: Engine) -> String {
    let select = SELECT.trim_end();
    let (statistics, index) = match engine {
        Engine::Duckdb => ("", ""),
        Engine::Postgres => (
            "ANALYZE new_sessions;\n",
            "CREATE INDEX IF NOT EXISTS sessions_by_id ON derived.sessions USING HASH (domain_sessionid);\n",
        ),
    };
    format!(
        "CREATE SCHEMA IF NOT EXISTS derived;\nCREATE TEMPORARY TABLE new_sessions AS\n{select};\n{statistics}CREATE TABLE IF NOT EXISTS derived.sessions AS SELECT * FROM new_sessions LIMIT 0;\n{index}BEGIN;\nDELETE FROM derived.sessions WHERE domain_sessionid IN (SELECT domain_sessionid FROM new_sessions);\nINSERT INTO derived.sessions SELECT * FROM new_sessions;\nCOMMIT;\n"
    )
}

/// dbt's project and SQLMesh's, in folders of their own.
fn projects(place: &Place) -> Outcome<()> {
    let (dbt, sqlmesh) = match place {
        Place::Folder { memory_limit, .. } => {
            let path = place.database(RUN);
            let path = path.display();
            (
                format!("type: duckdb\n      path: {path}\n      settings: {{memory_limit: {memory_limit}}}"),
                format!(
                    "type: duckdb\n      database: {path}\n      connector_config: {{memory_limit: {memory_limit}}}"
                ),
            )
        }
        Place::Server { server, .. } => {
            let at = format!(
                "host: 127.0.0.1\n      port: {}\n      user: websessions\n      password: none",
                server.port()
            );
            (
                format!("type: postgres\n      {at}\n      dbname: {RUN}"),
                format!("type: postgres\n      {at}\n      database: {RUN}"),
            )
        }
    };
    let write = |name: &str, text: String| -> Outcome<()> {
        let path = place.file(name);
        std::fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        Ok(std::fs::write(path, text)?)
    };
    write(
        "dbt/profiles.yml",
        format!("peers:\n  target: it\n  outputs:\n    it:\n      {dbt}\n      schema: derived\n      threads: 1\n"),
    )?;
    write("dbt/dbt_project.yml", include_str!("../peers/dbt_project.yml").to_owned())?;
    write("dbt/models/sessions.sql", format!("{}{SELECT}", include_str!("../peers/dbt_model.sql")))?;
    let dialect = if matches!(place, Place::Folder { .. }) { "duckdb" } else { "postgres" };
    write(
        "sqlmesh/config.yaml",
        format!(
            "default_gateway: it\ngateways:\n  it:\n    connection:\n      {sqlmesh}\n      concurrent_tasks: 1\nmodel_defaults:\n  dialect: {dialect}\n  start: 2020-01-01\ndisable_anonymized_analytics: true\n"
        ),
    )?;
    write("sqlmesh/models/sessions.sql", format!("{}{SELECT}", include_str!("../peers/sqlmesh_model.sql")))
}

fn program(variable: &str) -> Outcome<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set: tests/bench sets it").into())
}

/// The processes of a contestant, with what each is called.
fn processes(one: Contestant, engine: Engine, place: &Place, is_first: bool) -> Outcome<Vec<(&'static str, Command)>> {
    let script = |sql: &str| place.script(RUN, sql);
    Ok(match one {
        Ours => vec![
            ("websessions main", place.websessions(RUN, &["main"])?),
            ("websessions complete", place.websessions(RUN, &["complete"])?),
        ],
        OursAtOnce => vec![("websessions run", place.websessions(RUN, &["run"])?)],
        Analyst => vec![("analyst's script", script(&analyst(engine))?)],
        AnalystWithoutCompaction => {
            vec![("the same without compaction", script(&format!("SET max_vacuum_tasks = 0;\n{}", analyst(engine)))?)]
        }
        Plain => vec![("plain", script(if engine == Engine::Duckdb { PLAIN_DUCKDB } else { PLAIN_POSTGRES })?)],
        Floor if engine == Engine::Postgres => {
            vec![("floor", script(&FLOOR.replace("CREATE OR REPLACE TABLE", "CREATE TABLE"))?)]
        }
        Floor => vec![("floor", script(FLOOR)?)],
        Dbt => {
            let mut command = Command::new(program("BENCHMARK_DBT")?);
            command.args(["--quiet", "run", "--profiles-dir", "."]).current_dir(place.file("dbt"));
            vec![("dbt", command)]
        }
        Sqlmesh => {
            let mut command = Command::new(program("BENCHMARK_SQLMESH")?);
            let plan: &[&str] = &["plan", "--auto-apply", "--no-prompts"];
            command.args(if is_first { plan } else { &["run"] }).current_dir(place.file("sqlmesh"));
            command.env("SQLMESH__DISABLE_ANONYMIZED_ANALYTICS", "true");
            vec![("SQLMesh", command)]
        }
    })
}

fn measure(command: &mut Command, place: &Place) -> Outcome<(f64, f64, f64)> {
    let said = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(said.reopen()?).stderr(said.reopen()?);
    let (started, server) = (Instant::now(), place.server_cpu());
    let done = command.spawn()?.wait4()?;
    let wall = started.elapsed().as_secs_f64();
    if !done.status.success() {
        return Err(format!("{command:?}: {}\n{}", done.status, std::fs::read_to_string(said.path())?).into());
    }
    let cpu = (done.rusage.utime + done.rusage.stime).as_secs_f64() + place.server_cpu() - server;
    Ok((wall, cpu, done.rusage.maxrss as f64 / 1024.0 / 1024.0))
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// The rounds of a stage: each contestant on a fresh copy of its database before it. What it leaves is `ONE_after`.
fn stage(engine: Engine, place: &Place, size: u64, name: &str, rounds: usize) -> Outcome<Stage> {
    let before = load_average();
    let mut measured: BTreeMap<String, Measured> = BTreeMap::new();
    let mut rows = String::new();
    for round in 0..rounds {
        for one in Contestant::all(engine) {
            place.copy(&format!("{}_before", one.key()), RUN)?;
            for (process, mut command) in processes(one, engine, place, name == "first day")? {
                let (wall, cpu, peak) = measure(&mut command, place)?;
                let of = measured.entry(process.to_owned()).or_default();
                of.wall_s.push(wall);
                of.cpu_s.push(cpu);
                of.peak_mib.push(peak);
            }
            if round == 0 {
                if let Some(table) = one.production(engine, place)? {
                    let found = place.value(RUN, &place.checksum(&table))?;
                    if rows.is_empty() {
                        rows.clone_from(&found);
                    }
                    if found != rows {
                        return Err(format!("{engine:?}, {name}: {} gives {found}, ours {rows}", one.key()).into());
                    }
                }
                place.copy(RUN, &format!("{}_after", one.key()))?;
            }
        }
    }
    Ok(Stage {
        engine,
        page_views: size,
        stage: name.to_owned(),
        load: [before, load_average()],
        processes: measured,
        rows,
    })
}

/// Everything at one size on one engine: the first day, the second, and the second with a long history.
fn engine(engine: Engine, size: u64, options: &Options) -> Outcome<Vec<Stage>> {
    let folder = tempfile::tempdir_in(
        std::env::var("BENCHMARK_FOLDER").unwrap_or_else(|_| std::env::temp_dir().display().to_string()),
    )?;
    let place = Place::new(engine, folder.path(), &options.memory_limit)?;
    projects(&place)?;
    let days = ["first", "second"];
    for day in days {
        let fixtures = std::env::current_exe()?.with_file_name("websessions-fixtures");
        let views = (size * 2).to_string();
        let file = place.file(&format!("{day}.parquet"));
        measure(Command::new(fixtures).args(["--page-views", &views, "--part", day, "--to"]).arg(file), &place)?;
    }
    let load = |name: &str, day: &str| -> Outcome<()> {
        let file = place.file(&format!("{day}.parquet"));
        measure(&mut place.websessions(name, &["load", "--staged", &file.to_string_lossy()])?, &place)?;
        // As the server's own vacuum would do meanwhile.
        if engine == Engine::Postgres {
            place.sql(name, "VACUUM ANALYZE scratch.page_views_staged;")?;
        }
        Ok(())
    };
    place.create("staged")?;
    load("staged", "first")?;
    let all = Contestant::all(engine);
    for one in &all {
        place.copy("staged", &format!("{}_before", one.key()))?;
    }
    place.remove("staged")?;
    let mut stages = vec![stage(engine, &place, size, "first day", options.rounds)?];
    // Production as the first day left it, and the second day staged.
    for one in &all {
        let (before, after) = (format!("{}_before", one.key()), format!("{}_after", one.key()));
        place.copy(&after, &before)?;
        place.remove(&after)?;
        place.sql(&before, "DELETE FROM scratch.page_views_staged;")?;
        load(&before, "second")?;
        forget_the_run(*one, engine, &place, &before)?;
        settle(*one, engine, &place, &before)?;
    }
    stages.push(stage(engine, &place, size, "second day", options.rounds)?);
    let mut there = 0;
    for &history in &options.histories {
        for one in &all {
            let before = format!("{}_before", one.key());
            if let Some(table) = one.production(engine, &place)? {
                place.sql(&before, &copies(&table, there + 1, history))?;
                settle(*one, engine, &place, &before)?;
            }
        }
        there = history;
        stages.push(stage(engine, &place, size, &format!("{history} × history"), options.rounds)?);
    }
    Ok(stages)
}

/// The sessions of the first day again, under other ids, each copy 14 days earlier than the one before.
fn copies(table: &str, from: usize, to: usize) -> String {
    let sessions = sessions::module().table(SESSIONS, &Variables::default()).expect("production");
    let names: Vec<&str> = sessions.columns.iter().map(|column| column.name.as_ref()).collect();
    let values = names.iter().map(|name| match *name {
        "domain_sessionid" => "domain_sessionid || '~' || n".to_owned(),
        "start_tstamp" | "end_tstamp" => format!("{name} - n * INTERVAL '14 days'"),
        other => other.to_owned(),
    });
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {table} CROSS JOIN generate_series({from}, {to}) AS copies(n) WHERE domain_sessionid NOT LIKE '%~%';",
        names.join(", "),
        values.collect::<Vec<_>>().join(", ")
    )
}

/// What a contestant must have forgotten to run again: plain's scratch tables, and that SQLMesh has run today.
fn forget_the_run(one: Contestant, engine: Engine, place: &Place, name: &str) -> Outcome<()> {
    match (one, engine) {
        (Plain, Engine::Postgres) => place.sql(name, "DROP TABLE scratch.plain_aggregates, scratch.plain_lasts, scratch.plain_sessions_this_run, scratch.plain_run_metadata, scratch.plain_manifest_this_run, scratch.plain_upsert_limit;"),
        (Floor, Engine::Postgres) => place.sql(name, "DROP TABLE scratch.floor;"),
        (Sqlmesh, _) => place.sql(name, "UPDATE sqlmesh._intervals SET end_ts = end_ts - 86400000;"),
        _ => Ok(()),
    }
}

/// Statistics as they would be by then.
fn settle(one: Contestant, engine: Engine, place: &Place, name: &str) -> Outcome<()> {
    match (engine, one.production(engine, place)?) {
        (Engine::Postgres, Some(table)) => place.sql(name, &format!("VACUUM ANALYZE {table};")),
        _ => Ok(()),
    }
}

fn versions() -> Outcome<BTreeMap<String, String>> {
    // The first word of what it says that is a version.
    let said = |command: &mut Command| -> Outcome<String> {
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_version = |word: &&str| word.contains('.') && word.starts_with(|letter: char| letter.is_ascii_digit());
        Ok(text.split_whitespace().find(is_version).unwrap_or("unknown").to_owned())
    };
    Ok(BTreeMap::from([
        ("dbt".to_owned(), said(Command::new(program("BENCHMARK_DBT")?).arg("--version"))?),
        ("SQLMesh".to_owned(), said(Command::new(program("BENCHMARK_SQLMESH")?).arg("--version"))?),
        ("psql".to_owned(), said(Command::new("psql").arg("--version"))?),
    ]))
}

fn machine() -> String {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {:.0} GiB of memory", kib / 1024.0 / 1024.0)
}

pub(super) fn measure_all(options: &Options) -> Outcome<()> {
    let mut all: Measurements = match std::fs::read_to_string(&options.to) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => Measurements::default(),
    };
    (all.machine, all.versions) = (machine(), versions()?);
    for &which in &options.engines {
        for &size in &options.sizes {
            let stages = engine(which, size, options)?;
            all.stages.retain(|stage| (stage.engine, stage.page_views) != (which, size));
            all.stages.extend(stages);
            // What was measured is kept, whatever happens to the rest.
            std::fs::write(&options.to, serde_json::to_string_pretty(&all)? + "\n")?;
        }
    }
    println!("{}", tables(&all));
    Ok(())
}

/// The measurements of a file as the tables of a page.
pub(super) fn page(file: &Path) -> Outcome<String> {
    Ok(tables(&serde_json::from_str(&std::fs::read_to_string(file)?)?))
}

fn tables(all: &Measurements) -> String {
    if all.stages.is_empty() {
        return "Nothing has been measured yet.\n".to_owned();
    }
    let mut page = format!("The machine: {}.", all.machine);
    for (name, version) in &all.versions {
        page.push_str(&format!(" {name}: {version}."));
    }
    page.push('\n');
    for Stage { engine, page_views, stage, load, processes, rows } in &all.stages {
        let rounds = processes.values().map(|measured| measured.wall_s.len()).max().unwrap_or_default();
        page.push_str(&format!(
            "\n### {engine:?}, {page_views} page views a day, {stage}\n\n{rounds} rounds; load of the machine {:.1} before, {:.1} after; all give {rows}.\n\n| process | wall, s | CPU, s | peak, MiB | wall / websessions run |\n|---|---|---|---|---|\n",
            load[0], load[1]
        ));
        let ours = processes.get("websessions run").map(|measured| measured.wall_s.clone()).unwrap_or_default();
        for (process, measured) in processes {
            let ratios: Vec<f64> = measured.wall_s.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
            page.push_str(&format!(
                "| {process} | {:.2} | {:.2} | {:.0} | {:.2} |\n",
                median(measured.wall_s.clone()),
                median(measured.cpu_s.clone()),
                median(measured.peak_mib.clone()),
                median(ratios)
            ));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGINS: &str = "<!-- peers: begins -->\n";
    const ENDS: &str = "<!-- peers: ends -->\n";

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
}

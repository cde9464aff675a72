//! What people would pick instead, beside ours: dbt and SQLMesh with a project each, an analyst's one good script, the plain
//! formulation and the floor. Each is a whole process on a copy of the same database, in turn; its rows are compared with ours.

use super::postgres::Server;
use super::record::{Engine, Stage, keep};
use super::{Figures, Outcome, beside, folder, generate, measure, measure_within, sessions_checksum, sessions_columns};
use duckdb::{Config, Connection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The sessions of what is staged, as one SELECT of both engines: dbt's model, SQLMesh's and the script are made from it.
pub(super) const SELECT: &str = include_str!("../peers/sessions.sql");
const PLAIN_DUCKDB: &str = include_str!("../sql/plain.sql");
const PLAIN_POSTGRES: &str = include_str!("../sql/plain_postgres.sql");
const FLOOR: &str = include_str!("../sql/floor.sql");

/// The name of the database that is measured; the others are what it is copied from.
const RUN: &str = "run";

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
    /// Who is left out
    #[arg(long, num_args = 1.., value_enum)]
    without: Vec<Contestant>,
    /// How many seconds a process may take; one that takes longer is stopped, and left out of what follows
    #[arg(long, default_value_t = 600)]
    limit: u64,
    /// The file of the measurements, as JSON; other measurements in it stay
    #[arg(long, default_value = "measured.json")]
    to: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Contestant {
    /// This project, main and complete as two processes
    Ours,
    /// This project, both in one
    OursAtOnce,
    /// One good script
    Analyst,
    /// The script with DuckDB's max_vacuum_tasks = 0
    AnalystWithoutCompaction,
    /// Tables of their own for the parts
    Plain,
    Dbt,
    Sqlmesh,
    /// A copy of the first row of each session
    Floor,
}
use Contestant::{Analyst, AnalystWithoutCompaction, Dbt, Floor, Ours, OursAtOnce, Plain, Sqlmesh};

impl Contestant {
    fn all(engine: Engine, without: &[Self]) -> Vec<Self> {
        let mut all = vec![Ours, OursAtOnce, Analyst, AnalystWithoutCompaction, Plain, Dbt, Sqlmesh, Floor];
        all.retain(|one| !without.contains(one) && (engine == Engine::Duckdb || *one != AnalystWithoutCompaction));
        all
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
        let mut command = beside("websessions")?;
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

    /// What a server still does for a process that was stopped ends, too.
    fn stop_statements(&self, name: &str) -> Outcome<()> {
        let Self::Server { server, .. } = self else { return Ok(()) };
        let sql = format!("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}';");
        server.sql("postgres", &sql)
    }

    /// Awaits the end of the server's processes for a database: the work of those that have ended is what is known.
    fn await_server(&self, name: &str) -> Outcome<()> {
        if matches!(self, Self::Folder { .. }) {
            return Ok(());
        }
        let left = format!("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = '{name}'");
        for _ in 0..100 {
            if self.value("postgres", &left)? == "0" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the server still works on {name}").into())
    }

    /// Writes what is staged to a file, which `restage` reads.
    fn unload(&self, name: &str) -> Outcome<()> {
        match self {
            // The database is what is read.
            Self::Folder { .. } => Ok(()),
            Self::Server { .. } => self.sql(
                name,
                &format!("COPY scratch.page_views_staged TO '{}' (FORMAT binary);", self.unloaded(name).display()),
            ),
        }
    }

    /// What another database has staged in the place of what this one has.
    fn restage(&self, from: &str, to: &str) -> Outcome<()> {
        let other = self.unloaded(from);
        self.sql(to, &match self {
            Self::Folder { .. } => format!(
                "ATTACH '{}' AS other (READ_ONLY);\nTRUNCATE scratch.page_views_staged;\nINSERT INTO scratch.page_views_staged SELECT * FROM other.scratch.page_views_staged;\nDETACH other;",
                other.display()
            ),
            // As the server's own vacuum would do meanwhile.
            Self::Server { .. } => format!(
                "BEGIN;\nTRUNCATE scratch.page_views_staged;\nCOPY scratch.page_views_staged FROM '{}' (FORMAT binary);\nCOMMIT;\nVACUUM ANALYZE scratch.page_views_staged;",
                other.display()
            ),
        })
    }

    fn unloaded(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder { .. } => self.database(name),
            Self::Server { server, .. } => server.folder().join(format!("{name}.rows")),
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
    // Its MERGE looks each session up in the table, which has no index unless the model makes one: 300,000 times 300,000 rows.
    // <https://sqlmesh.readthedocs.io/en/stable/concepts/models/sql_models/>
    let index = match place {
        Place::Folder { .. } => "",
        Place::Server { .. } => include_str!("../peers/sqlmesh_index.sql"),
    };
    write("sqlmesh/models/sessions.sql", format!("{}{SELECT}{index}", include_str!("../peers/sqlmesh_model.sql")))
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

/// A process's figures with its server's work, or nothing if it took longer than the limit.
fn measure_one(command: &mut Command, place: &Place, limit: Duration) -> Outcome<Option<Figures>> {
    let server = place.server_cpu();
    let Some(figures) = measure_within(command, limit)? else {
        place.stop_statements(RUN)?;
        return Ok(None);
    };
    place.await_server(RUN)?;
    Ok(Some(Figures { cpu_s: figures.cpu_s + place.server_cpu() - server, ..figures }))
}

/// An engine at one size: its databases, and who is still measured.
struct Race<'a> {
    engine: Engine,
    size: u64,
    place: Place,
    all: Vec<Contestant>,
    options: &'a Options,
    versions: &'a BTreeMap<String, String>,
}

impl Race<'_> {
    /// The rounds of a stage: each contestant on a fresh copy of its database before it. What it leaves is `ONE_after`.
    fn stage(&mut self, name: &str) -> Outcome<()> {
        let mut stage = Stage::new(self.engine, self.size, name, "websessions run");
        for round in 0..self.options.rounds {
            for one in self.all.clone() {
                self.place.copy(&format!("{}_before", one.key()), RUN)?;
                let whole = self.run(one, name == "first day", &mut stage)?;
                if whole && round == 0 {
                    if let Some(table) = one.production(self.engine, &self.place)? {
                        stage.gave(&one.key(), self.place.value(RUN, &sessions_checksum(self.engine, &table))?)?;
                    }
                    self.place.copy(RUN, &format!("{}_after", one.key()))?;
                }
            }
        }
        // What was measured is kept, whatever happens to the rest.
        keep(&self.options.to, stage, self.versions)
    }

    /// Runs a contestant's processes; `false` if one had to be stopped: then it is out.
    fn run(&mut self, one: Contestant, is_first: bool, stage: &mut Stage) -> Outcome<bool> {
        for (process, mut command) in processes(one, self.engine, &self.place, is_first)? {
            match measure_one(&mut command, &self.place, Duration::from_secs(self.options.limit))? {
                Some(figures) => stage.add(process, &figures),
                None => {
                    stage.stopped(process, self.options.limit as f64);
                    self.all.retain(|other| *other != one);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// A day's page views, loaded into a database of its own.
    fn load(&self, day: &str) -> Outcome<()> {
        let file = self.place.file(&format!("{day}.parquet"));
        generate(self.size * 2, &["--part", day], &file)?;
        self.place.create(day)?;
        measure(&mut self.place.websessions(day, &["load", "--staged", &file.to_string_lossy()])?)?;
        // As the server's own vacuum would do meanwhile.
        if self.engine == Engine::Postgres {
            self.place.sql(day, "VACUUM ANALYZE scratch.page_views_staged;")?;
        }
        Ok(std::fs::remove_file(file)?)
    }

    /// The first day, the second, and the second with a long history.
    fn all_stages(&mut self) -> Outcome<()> {
        projects(&self.place)?;
        self.load("first")?;
        for one in &self.all {
            self.place.copy("first", &format!("{}_before", one.key()))?;
        }
        self.place.remove("first")?;
        self.stage("first day")?;
        // Production as the first day left it, and the second day staged.
        self.load("second")?;
        self.place.unload("second")?;
        for &one in &self.all {
            let (before, after) = (format!("{}_before", one.key()), format!("{}_after", one.key()));
            self.place.copy(&after, &before)?;
            self.place.remove(&after)?;
            self.place.restage("second", &before)?;
            forget_the_run(one, self.engine, &self.place, &before)?;
            settle(one, self.engine, &self.place, &before)?;
        }
        self.place.remove("second")?;
        self.stage("second day")?;
        let mut there = 0;
        for &history in &self.options.histories {
            for one in &self.all {
                let before = format!("{}_before", one.key());
                if let Some(table) = one.production(self.engine, &self.place)? {
                    self.place.sql(&before, &copies(&table, there + 1, history))?;
                    settle(*one, self.engine, &self.place, &before)?;
                }
            }
            there = history;
            self.stage(&format!("{history} × history"))?;
        }
        Ok(())
    }
}

/// The sessions of the first day again, under other ids, each copy 14 days earlier than the one before.
fn copies(table: &str, from: usize, to: usize) -> String {
    let names = sessions_columns();
    let values = names.iter().map(|name| match name.as_str() {
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

fn versions(all: &[Contestant]) -> Outcome<BTreeMap<String, String>> {
    // The first word of what it says that is a version.
    let said = |command: &mut Command| -> Outcome<String> {
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_version = |word: &&str| word.contains('.') && word.starts_with(|letter: char| letter.is_ascii_digit());
        Ok(text.split_whitespace().find(is_version).unwrap_or("unknown").to_owned())
    };
    let mut versions = BTreeMap::from([("psql".to_owned(), said(Command::new("psql").arg("--version"))?)]);
    for (one, name, variable) in [(Dbt, "dbt", "BENCHMARK_DBT"), (Sqlmesh, "SQLMesh", "BENCHMARK_SQLMESH")] {
        if all.contains(&one) {
            versions.insert(name.to_owned(), said(Command::new(program(variable)?).arg("--version"))?);
        }
    }
    Ok(versions)
}

pub(super) fn measure_all(options: &Options) -> Outcome<()> {
    for &engine in &options.engines {
        let all = Contestant::all(engine, &options.without);
        let versions = versions(&all)?;
        for &size in &options.sizes {
            let folder = folder()?;
            let place = Place::new(engine, folder.path(), &options.memory_limit)?;
            Race { engine, size, place, all: all.clone(), options, versions: &versions }.all_stages()?;
        }
    }
    Ok(())
}

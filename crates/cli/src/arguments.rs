//! The command line, as clap reads it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use websessions_core::files::TimeFormat;
use websessions_core::insight::Since;
use websessions_core::model::sessions::report;

/// How many rows that are wrong of each test, or sessions that change, are shown unless it is said.
pub(crate) const SAMPLES: u32 = 5;

/// How many differences are shown unless it is said.
const DIFFERENCES: usize = 10;

/// How many runs are told unless it is said.
pub(crate) const RUNS: u32 = 20;

/// The standard web sessions model, on any warehouse: page views in, one row a session out.
#[derive(Debug, Parser)]
#[command(name = "websessions", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 the run failed, 2 usage or configuration, 3 locked by another run or the lock lost to one, 4 checks failed, 130 cancelled."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Configuration file [default: websessions.toml, if there is one]
    #[arg(long, global = true, env = "WEBSESSIONS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Target of the configuration file
    #[arg(long, global = true, env = "WEBSESSIONS_TARGET", value_name = "NAME")]
    pub(crate) target: Vec<String>,
    /// The target's database; for the embedded default a file [default: websessions.duckdb]
    #[arg(long, global = true, env = "WEBSESSIONS_DATABASE", value_name = "DATABASE")]
    pub(crate) database: Option<String>,
    /// Sets a variable of the model (repeatable); 'websessions config show' lists them
    #[arg(long = "var", global = true, value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// How results are written to stdout: for people, or as one JSON document, of a failure too
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    pub(crate) output: OutputFormat,
    /// How progress and errors are written to stderr: for people, or a record a line as docs/logs.md describes
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Tell what a run reads and writes, as OpenLineage's events: a file, or an address that begins with http:// or https://
    #[arg(long, global = true, env = "WEBSESSIONS_LINEAGE", value_name = "FILE|URL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) lineage: Option<String>,
    /// No progress and no records of it: warnings and errors alone
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanPhase {
    /// main, custom modules, complete
    Run,
    Main,
    Complete,
    Destroy,
    /// What 'report' asks
    Report,
    /// Sessions of some days computed again
    Rebuild,
    /// What is staged taken away
    Unstage,
    /// What the tables lack added; it connects, and looks at them
    Migrate,
    /// What 'websessions status' asks
    Status,
    /// What 'websessions history' asks
    History,
    /// What 'websessions check' asks
    Check,
    /// What 'websessions explain' asks, of a session called SESSION
    Explain,
    /// What 'websessions preview' asks
    Preview,
}

/// Days, in UTC.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Days {
    /// The first day, as 2024-03-31, in UTC
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(crate) from: Option<String>,
    /// The last day [default: none, so that all later ones are meant too]
    #[arg(long, value_name = "DATE", requires = "from", value_parser = day)]
    pub(crate) to: Option<String>,
}

/// A day that a calendar has.
fn day(text: &str) -> Result<String, String> {
    let date = text.parse::<toml::value::Datetime>().ok().filter(|date| date.time.is_none() && date.date.is_some());
    date.map(|date| date.to_string()).ok_or_else(|| "no day: a date as 2024-03-31 is one".to_owned())
}

/// Playbooks to run, in place of the phases and modules of the configuration.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Playbooks {
    /// Folder of playbooks, run in order: main, custom modules by name, complete
    #[arg(long, value_name = "DIR", group = "source")]
    pub(crate) playbooks: Option<PathBuf>,
    /// One playbook
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) playbook: Option<PathBuf>,
    /// JSON list of playbooks that depend on each other
    #[arg(long, value_name = "FILE", group = "source")]
    pub(crate) config_json: Option<PathBuf>,
    /// Folder that the files of queries are in [default: the playbook's, or a folder sql beside one above it]
    #[arg(long, value_name = "DIR", requires = "source")]
    pub(crate) sqlroot: Option<PathBuf>,
}

/// What is run: the same to begin it and to go on with it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Run {
    /// Page views that come: CSV, JSON or Parquet files, folders, quoted patterns, or '-' for standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) page_views: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) playbooks: Playbooks,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Write the page of 'report' to a file once all is done, with the checks if [check] after_run runs them
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// How files of page views are read.
#[derive(Args, Clone, Debug)]
pub(crate) struct Reading {
    /// What stands between the values of a CSV file: one character, or '\t'
    #[arg(long, help_heading = "Files", value_name = "CHARACTER", default_value = ",", value_parser = websessions_files::delimiter)]
    pub(crate) delimiter: u8,
    /// What an unquoted value of a CSV file is if there is none [default: nothing at all]
    #[arg(long, help_heading = "Files", value_name = "WORD", default_value = "", hide_default_value = true)]
    pub(crate) null: String,
    /// The names of the columns of CSV files that have no line of names
    #[arg(long, help_heading = "Files", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) header: Option<Vec<String>>,
    /// How numbers in columns of timestamps are taken
    #[arg(long, help_heading = "Files", value_name = "FORMAT", default_value = "iso", value_parser = PossibleValuesParser::new(TimeFormat::NAMES).try_map(|name| name.parse::<TimeFormat>()))]
    pub(crate) time_format: TimeFormat,
    /// The zone of times without an offset, such as Europe/Berlin [default: UTC]
    #[arg(long, help_heading = "Files", value_name = "ZONE", value_parser = time_zone)]
    pub(crate) time_zone: Option<String>,
    /// How many wrong rows may be left out of all files together
    #[arg(long, help_heading = "Files", value_name = "N", default_value_t = 0)]
    pub(crate) max_bad_rows: u64,
    /// Write the rows that are left out, with their reasons, to a CSV file
    #[arg(long, help_heading = "Files", value_name = "FILE", requires = "max_bad_rows")]
    pub(crate) rejects: Option<PathBuf>,
}

fn time_zone(name: &str) -> Result<String, String> {
    websessions_files::time_zone(name).map(|_| name.to_owned())
}

/// Patience with another run.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    /// Wait up to this many seconds for another run's lock, or for a database file that another process has open
    #[arg(long = "wait", value_name = "SECONDS", default_value_t = 0)]
    pub(crate) seconds: u64,
}

/// A part of a run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Run from this step on: STEP, or PLAN/STEP
    #[arg(long, value_name = "STEP")]
    pub(crate) from_step: Option<String>,
    /// Run up to this step
    #[arg(long, value_name = "STEP")]
    pub(crate) until_step: Option<String>,
    /// Run this step alone
    #[arg(long, value_name = "STEP", conflicts_with_all = ["from_step", "until_step"])]
    pub(crate) only_step: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the modules in order: page views if some come, sessions, users if configured, custom modules; each is completed
    Run(Run),
    /// Continue the last failed run, with the same flags, at the step at which it failed
    Resume(Run),
    /// Keep the page views of files, or of the table that page_views_from names, and stage their whole sessions
    Load {
        /// CSV, JSON or Parquet files (.gz and .zst too), folders, quoted patterns, or '-' for standard input
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Append the rows to page_views_staged as they are, indexes included, as a page views module of one's own does
        #[arg(long, requires = "files")]
        staged: bool,
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Compute sessions again: all that have a page view from a day on, from page_views
    #[command(mut_arg("from", |from| from.required(true)))]
    Rebuild {
        #[command(flatten)]
        days: Days,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Take away the staged page views that wait for the next run
    Unstage {
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Add the columns that the tables lack, after a look and a confirmation
    ///
    /// A new column of your own, or of a newer release, is added by ALTER TABLE to every table that stays, and is NULL in the
    /// rows that are there. Nothing is dropped or changed otherwise: a column of another type, or that is not the model's, is
    /// left as it is, and fails the command. 'plan migrate' prints the statements.
    Migrate {
        /// The tables of this module [default: of the modules that are configured]
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Write a table to a CSV or Parquet file, which is whole or as it was
    ///
    /// A file that is there is replaced, unless it is the database, the configuration or another file that the command reads.
    Export {
        /// A table of the model (sessions, page_views_staged, …), or any table as SCHEMA.TABLE
        table: String,
        /// The file; its ending says the format. '-' is standard output, as CSV
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Write one HTML page about production: sessions, users, pages, sources, devices, runs and checks
    ///
    /// The page needs no network. Making it changes nothing and needs no lock; 'plan report' prints what it asks.
    Report {
        /// The file, which is whole or as it was: one that is there is replaced. '-' is standard output
        #[arg(long, value_name = "FILE")]
        html: PathBuf,
        /// How many days it is about, the last of which is that of the newest session: up to 400
        #[arg(long, value_name = "N", default_value_t = report::USUAL_DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(report::MOST_DAYS)))]
        days: u32,
        /// Run the checks, too, and show what they find: once the page is written, one that fails fails this (exit code 4)
        #[arg(long)]
        checks: bool,
    },
    /// Show what is staged, what failed, who holds the lock, what the tables hold, and the last runs
    Status,
    /// Show what runs have done: when, how long, how many rows, what was repeated, gaps and trend
    History {
        /// Of this module only
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
        /// Runs that began since then: a date, a time (2026-01-31 12:00, in UTC), or so many days (7d)
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
        /// At most so many runs, the newest
        #[arg(long, value_name = "N", default_value_t = RUNS, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show a few rows of a table, the newest first
    Show {
        /// A table of the model (sessions, page_views_staged, …), or any table as SCHEMA.TABLE
        table: String,
        /// Rows of which this holds: a condition in the warehouse's own SQL
        #[arg(long = "where", value_name = "CONDITION")]
        condition: Option<String>,
        /// These columns only, in this order
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        columns: Vec<String>,
        /// At most so many rows
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Test the data: keys, times, indexes, and counts that must agree; your own queries, too
    ///
    /// A test is a SELECT that must find no rows. One that finds some fails the command (exit code 4), or warns, or is not
    /// asked, as [check.severity] of the configuration says.
    Check {
        /// These tests only, by name
        #[arg(value_name = "CHECK")]
        names: Vec<String>,
        /// Files of your own: each one SELECT that must find no rows, as a Go template; beside those of [check]
        #[arg(long, value_name = "FILE", num_args = 1..)]
        file: Vec<PathBuf>,
        /// Only what starts since then: a date, a time (2026-01-31 12:00, in UTC), or so many days (7d)
        #[arg(long, value_name = "TIME")]
        since: Option<Since>,
        /// At most so many of the rows that are wrong are shown of each test
        #[arg(long, value_name = "N", default_value_t = SAMPLES)]
        samples: u32,
        /// Write the results as JUnit's XML, too, in place of a file that is there
        #[arg(long, value_name = "FILE")]
        junit: Option<PathBuf>,
    },
    /// Show which page view gave which column of a session, and the run that wrote it; or why it has no row
    Explain {
        /// Its domain_sessionid
        #[arg(value_name = "SESSION")]
        session: String,
    },
    /// Show what a run would do to production, computed in the warehouse without changing it
    Preview {
        /// At most so many sessions that change are shown, before and after
        #[arg(long, value_name = "N", default_value_t = SAMPLES)]
        samples: u32,
        /// Fail (exit code 4) if a run would change more than this share of production's rows, or drop more than this
        /// share of the input's sessions
        #[arg(long, value_name = "PERCENT", value_parser = percent)]
        fail_over: Option<f64>,
        /// Refused, with what to do instead: files are not looked at before they are loaded
        #[arg(long, value_name = "FILE", num_args = 1.., hide = true)]
        page_views: Vec<PathBuf>,
    },
    /// Compare tables row by row: the same of two targets, or two of one; fails (exit code 4) if they differ
    ///
    /// Of two targets ('--target A --target B') without a table, the tables that hold the model's results are compared.
    Compare {
        /// A table of both targets, or two tables: of the model, or any as SCHEMA.TABLE
        #[arg(value_name = "TABLE", num_args = 0..=2)]
        tables: Vec<String>,
        /// The columns that rows are told apart by [default: the model's; of other tables, all]
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        key: Vec<String>,
        /// At most so many differences are shown
        #[arg(long, value_name = "N", default_value_t = DIFFERENCES)]
        samples: usize,
    },
    /// Compute what a module makes of its input, and commit it: sessions, of the staged page views
    Main {
        /// The module
        #[arg(long, value_name = "NAME", default_value = "sessions")]
        module: String,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Remove what main consumed, such as the staged page views, and the scratch tables
    Complete {
        /// The module
        #[arg(long, value_name = "NAME", default_value = "sessions")]
        module: String,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Drop every table that a module owns
    Destroy {
        /// The module
        #[arg(long, value_name = "NAME", default_value = "sessions", conflicts_with = "source")]
        module: String,
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        playbooks: Playbooks,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Print the exact SQL, without a connection (but for 'migrate'); or what it would cost
    Plan {
        /// What to plan
        #[arg(value_enum, default_value_t = PlanPhase::Run)]
        phase: PlanPhase,
        /// The module whose phase it is [default: sessions]; of 'migrate', whose tables [default: of the modules that are
        /// configured]
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
        /// The files of page views that come
        #[arg(long, value_name = "FILE", num_args = 1..)]
        page_views: Vec<PathBuf>,
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        days: Days,
        /// Dialect [default: the target's]
        #[arg(long, value_name = "NAME")]
        dialect: Option<String>,
        /// Write one file a step into this directory instead
        #[arg(long, value_name = "DIR")]
        split: Option<PathBuf>,
        /// Connect, and print what each statement would read and cost, without running it
        #[arg(long, conflicts_with_all = ["dialect", "split"])]
        estimate: bool,
        #[command(flatten)]
        playbooks: Playbooks,
        #[command(flatten)]
        selection: Selection,
    },
    /// Check playbooks, or the configuration's custom modules, and their SQL, without a connection
    Lint {
        #[command(flatten)]
        playbooks: Playbooks,
    },
    /// Write the websessions.toml that does what a folder of playbooks does
    ///
    /// A file that is there is added to. With '--config -' it goes to standard output.
    Import {
        /// The folder of playbooks
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Folder that the files of queries are in [default: the playbook's, or a folder sql beside one above it]
        #[arg(long, value_name = "DIR")]
        sqlroot: Option<PathBuf>,
        /// Take the playbooks' values where an existing file has others
        #[arg(long)]
        force: bool,
    },
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Write a commented websessions.toml
    Init {
        /// Overwrite an existing file
        #[arg(long)]
        force: bool,
    },
    /// Let the websessions.toml of this folder run its commands and use secrets, as long as it stays as it is
    Trust,
    /// List the columns of a table of the model, their types, and which of them files of page views must have
    Columns {
        /// A table of the model [default: the one that files of page views are loaded into]
        table: Option<String>,
    },
    /// List the backends that are compiled in, what they can do and their settings
    Backends,
    /// Show who holds the lock, and clear it
    Unlock {
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Connect and check schemas, privileges and tables
    Doctor,
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show each value and where it comes from
    Show,
}

/// The variables that say where the tables are, as they are assigned.
const PLACES: [&str; 3] = ["entropy=", "scratch_schema=", "output_schema="];

/// A share in percent, as 5 or 5%.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(share) if (0.0..=100.0).contains(&share) => Ok(share),
        _ => Err("it must be a share from 0% to 100%".to_owned()),
    }
}

/// How a command was called.
pub(crate) struct Called {
    /// Its name, with its subcommand.
    pub(crate) name: String,
    /// The flags of the command line that say which configuration, target and tables it is about, as a shell takes them.
    pub(crate) flags: String,
}

impl Arguments {
    /// Reads a command line.
    pub(crate) fn read(given: &[OsString]) -> Result<(Self, Called), clap::Error> {
        let command = Self::command();
        let is_empty = |name: &&OsStr| std::env::var_os(name).is_some_and(|text| text.is_empty());
        let empty = command.get_arguments().filter_map(clap::Arg::get_env).find(is_empty).map(OsStr::to_owned);
        let command = match &empty {
            // clap would say that a value is missing, and not whose.
            Some(_) => command.mut_args(|argument| argument.env(None)),
            None => command,
        };
        let given = gathered(given, &command).unwrap_or_else(|| given.to_vec());
        let matches = command.clone().try_get_matches_from(given)?;
        if let Some(name) = empty {
            let message = format!("{}\n", empty_variable(&name.to_string_lossy()));
            return Err(clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(&command));
        }
        let mut names = Vec::new();
        let (mut innermost, mut inner) = (&matches, matches.subcommand());
        while let Some((name, matches)) = inner {
            names.push(name);
            (innermost, inner) = (matches, matches.subcommand());
        }
        let flags =
            [("config", "--config"), ("target", "--target"), ("database", "--database"), ("variables", "--var")];
        let flags = flags.into_iter().flat_map(|(id, flag)| {
            let is_given = innermost.value_source(id) == Some(ValueSource::CommandLine);
            // Of two targets, which compare takes, another command takes neither.
            let values = innermost.get_raw(id).filter(|values| is_given && (id != "target" || values.len() == 1));
            let values = values.into_iter().flatten().map(|value| value.to_string_lossy());
            let says_where = move |value: &str| id != "variables" || PLACES.iter().any(|name| value.starts_with(name));
            values.filter(move |value| says_where(value)).map(move |value| format!("{flag} {}", quoted(&value)))
        });
        let called = Called { name: names.join(" "), flags: flags.collect::<Vec<_>>().join(" ") };
        Ok((Self::from_arg_matches(&matches)?, called))
    }
}

/// What an empty variable of the environment is refused with. As a rule a script has not set what it is made of, and another
/// database than it meant would be worked on.
pub(crate) fn empty_variable(name: &str) -> String {
    format!("the environment variable {name} is empty: give it a value, or unset it")
}

/// One word for a shell. It stands within a command in single quotes.
pub(crate) fn quoted(value: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    let escaped =
        value.chars().flat_map(|letter| "\\\"$`".contains(letter).then_some('\\').into_iter().chain([letter]));
    format!("\"{}\"", escaped.collect::<String>())
}

/// The same command line with all options behind the command's name. clap takes a repeated option that is global from behind the
/// innermost name that has it, and forgets what stands before: `--var entropy=_x run --var …` would have another entropy.
/// `None` if there is nothing to move; clap says what is wrong then, if something is.
fn gathered(given: &[OsString], command: &clap::Command) -> Option<Vec<OsString>> {
    let outer = Global::augment_args(clap::Command::new("websessions")).allow_external_subcommands(true);
    let matches = outer.try_get_matches_from(given).ok()?;
    let (name, rest) = matches.subcommand()?;
    let behind = rest.get_many::<OsString>("").map_or(0, Iterator::count);
    let at = given.len().checked_sub(behind + 1)?;
    let (before, from) = (&given[1..at], &given[at..]);
    // clap's own 'help' takes none of our options.
    let inner = command.find_subcommand(name)?;
    let from = gathered(from, inner).unwrap_or_else(|| from.to_vec());
    let (mut names, mut innermost) = (1, Some(inner));
    while let Some(next) = innermost.and_then(|inner| inner.find_subcommand(from.get(names)?)) {
        (names, innermost) = (names + 1, Some(next));
    }
    Some([&given[..1], &from[..names], before, &from[names..]].concat())
}

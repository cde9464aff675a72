//! stdout is data, stderr is talk. The only place that prints.
//!
//! With `--output json` stdout is one document, whatever happens: what a command answers is kept until it ends, and is
//! written then, or stands in the document that says how it failed. With `--log-format json` each line of stderr is a
//! record: when, how important, of which run, module and step, and what.

use crate::arguments::{Called, Global, LogFormat, OutputFormat};
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::rows::{self, Rows};
use websessions_core::run::{Event, Level, Report, SCHEMA_VERSION};
use websessions_core::words::counted;

/// What standard output is called in errors.
pub(crate) const STANDARD_OUTPUT: &str = "standard output";

/// What is said where the answer of a commit was lost.
const UNKNOWN_COMMIT: &str = "it is not known whether production was changed, as the answer of the commit was lost";

/// Writes to stdout. A reader that went away has seen enough: that alone is no error.
pub(crate) fn data(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of writing to stdout.
pub(crate) fn written(result: std::io::Result<()>) -> Result<(), Error> {
    match result {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::File { path: STANDARD_OUTPUT.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// How this process talks: settled before it says anything.
struct Manner {
    output: OutputFormat,
    log: LogFormat,
    quiet: bool,
    run_id: String,
    began: Instant,
    said: Mutex<Said>,
}

/// What was said last.
#[derive(Default)]
struct Said {
    /// The command, with its subcommand.
    command: String,
    /// The flags that say what it is about, as they were given.
    flags: String,
    /// The module, or custom module, that runs.
    module: Value,
    /// The plan that runs.
    plan: Value,
    /// The step that runs.
    step: Value,
    /// What the command is about.
    target: Value,
    /// The answer, as JSON, until the command ends.
    answer: Option<Value>,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

fn manner() -> &'static Manner {
    MANNER.get_or_init(|| Manner::new(OutputFormat::Text, LogFormat::Text, false))
}

impl Manner {
    fn new(output: OutputFormat, log: LogFormat, quiet: bool) -> Self {
        let run_id = uuid::Uuid::new_v4().to_string();
        Self { output, log, quiet, run_id, began: Instant::now(), said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a record to stderr, if records are what is wanted, and it is wanted.
    fn record(&self, level: Level, fields: Map<String, Value>) {
        if self.log != LogFormat::Json || (self.quiet && level < Level::Warn) {
            return;
        }
        let said = self.said();
        let mut record = Map::new();
        record.insert("time".to_owned(), humantime::format_rfc3339_millis(SystemTime::now()).to_string().into());
        record.insert("level".to_owned(), json!(level));
        record.insert("run_id".to_owned(), self.run_id.clone().into());
        record.insert("command".to_owned(), said.command.clone().into());
        record.insert("module".to_owned(), said.module.clone());
        record.extend(fields);
        for (name, value) in [("plan", &said.plan), ("step", &said.step)] {
            if !record.contains_key(name) {
                record.insert(name.to_owned(), value.clone());
            }
        }
        drop(said);
        let _ = writeln!(std::io::stderr(), "{}", Value::Object(record));
    }
}

/// Settles how this process talks.
pub(crate) fn begin(global: &Global, command: Called) {
    let manner = MANNER.get_or_init(|| Manner::new(global.output, global.log_format, global.quiet));
    let mut said = manner.said();
    (said.command, said.flags) = (command.name, command.flags);
}

/// A command of this program, in quotes, about what this one is about: it can be pasted as it is.
pub(crate) fn pasteable(command: &str) -> String {
    let said = manner().said();
    let gap = if said.flags.is_empty() { "" } else { " " };
    format!("'websessions {command}{gap}{}'", said.flags)
}

/// Settles how this process talks of a command line that can't be read: as far as it says so.
pub(crate) fn begin_without(arguments: &[OsString]) {
    let arguments: Vec<&str> = arguments.iter().map_while(|one| one.to_str().filter(|one| *one != "--")).collect();
    let says = |flag: &str| {
        arguments.windows(2).any(|pair| pair == [flag, "json"])
            || arguments.iter().any(|one| one.strip_prefix(flag).is_some_and(|rest| rest == "=json"))
    };
    let output = if says("--output") { OutputFormat::Json } else { OutputFormat::Text };
    let log = if says("--log-format") { LogFormat::Json } else { LogFormat::Text };
    MANNER.get_or_init(|| Manner::new(output, log, false));
}

/// The command that was called.
pub(crate) fn command() -> String {
    manner().said().command.clone()
}

/// Says what the command is about.
pub(crate) fn about(target: Value) {
    manner().said().target = target;
}

/// The id of what this process does: the log's, and the run's.
pub(crate) fn run_id() -> &'static str {
    &manner().run_id
}

/// Writes a line to stderr, unless it is to be quiet.
pub(crate) fn talk(text: &str) {
    if !manner().quiet {
        ask(text);
    }
}

/// Writes a line to stderr that a question needs, or is.
pub(crate) fn ask(text: &str) {
    match manner().log {
        LogFormat::Text => say(text),
        LogFormat::Json => manner().record(Level::Info, message(text)),
    }
}

pub(crate) fn warn(text: &str) {
    let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    match manner().log {
        LogFormat::Text => say(&format!("{style}warning{style:#}: {text}")),
        LogFormat::Json => manner().record(
            Level::Warn,
            Map::from_iter([("event".to_owned(), "warning".into()), ("message".to_owned(), text.into())]),
        ),
    }
}

/// Writes what happened as a record, if records are what is wanted.
pub(crate) fn event(event: &Event) {
    let manner = manner();
    match event {
        Event::PlanStarted { plan, phase, .. } => {
            let mut said = manner.said();
            said.module = phase.map_or_else(|| plan.clone(), |(module, _)| module.to_owned()).into();
            said.plan = plan.clone().into();
        }
        Event::StepStarted { step, .. } => manner.said().step = step.clone().into(),
        _ => {}
    }
    if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
        manner.record(event.level(), fields);
    }
    match event {
        Event::PlanFinished { .. } => {
            let mut said = manner.said();
            (said.module, said.plan, said.step) = (Value::Null, Value::Null, Value::Null);
        }
        Event::StepFinished { .. } => manner.said().step = Value::Null,
        _ => {}
    }
}

fn message(text: &str) -> Map<String, Value> {
    Map::from_iter([("event".to_owned(), "message".into()), ("message".to_owned(), text.into())])
}

fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Keeps a value as what the command answers: [`finish`] writes it to stdout, as one document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
    let value = serde_json::to_value(value)
        .map_err(|error| Error::File { path: STANDARD_OUTPUT.to_owned(), source: error.into() })?;
    manner().said().answer = Some(value);
    Ok(())
}

/// Keeps a run's report as what the command answers, and what the tests of data found if they were asked after it.
pub(crate) fn report(report: &Report, checks: Option<Value>) -> Result<(), Error> {
    json(&Reported { checks, ..Reported::new(report) })
}

/// A report, and what this command line knows beside it.
#[derive(Serialize)]
struct Reported<'a> {
    #[serde(flatten)]
    report: &'a Report,
    command: String,
    target: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Value>,
}

impl<'a> Reported<'a> {
    fn new(report: &'a Report) -> Self {
        let said = manner().said();
        Self { report, command: said.command.clone(), target: said.target.clone(), checks: None }
    }
}

/// Writes what the command answered, and says that it is over.
pub(crate) fn finish() -> Result<(), Error> {
    let answer = manner().said().answer.take();
    if let Some(answer) = answer {
        document(&answer)?;
    }
    finished(0);
    Ok(())
}

fn finished(exit_code: u8) {
    let level = if exit_code == 0 { Level::Info } else { Level::Error };
    manner().record(
        level,
        Map::from_iter([
            ("event".to_owned(), "command_finished".into()),
            ("exit_code".to_owned(), exit_code.into()),
            ("seconds".to_owned(), manner().began.elapsed().as_secs_f64().into()),
        ]),
    );
}

fn document(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::File { path: STANDARD_OUTPUT.to_owned(), source: error.into() })?;
    data(&format!("{text}\n"))
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// A table for people.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table.add_rows(rows);
    // A terminal that doesn't know its width, or a sliver, breaks lines better than we would.
    if table.width().is_some_and(|width| width < 40) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    format!("{table}\n")
}

/// How wide a line may be where nobody says.
const USUAL_WIDTH: usize = 100;

/// Rows of any columns for people: a table if they fit the terminal, else one row after the other, without their NULLs.
pub(crate) fn rows(rows: &Rows) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(&rows.columns);
    table.add_rows(rows.rows.iter().map(|row| row.iter().map(ToString::to_string)));
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = table.width().map(usize::from).or(said).unwrap_or(USUAL_WIDTH);
    let text = format!("{table}\n");
    if text.lines().all(|line| line.chars().count() <= width) {
        return text;
    }
    let mut text = String::new();
    for (number, row) in rows.rows.iter().enumerate() {
        let named = rows.columns.iter().zip(row).filter(|(_, value)| **value != rows::Value::Null);
        let named: Vec<[String; 2]> = named.map(|(name, value)| [name.clone(), value.to_string()]).collect();
        let nulls = row.len() - named.len();
        text.push_str(&self::table([&format!("row {}", number + 1), ""], named));
        if nulls > 0 {
            text.push_str(&format!("{} without a value\n", counted(nulls, "column")));
        }
    }
    text
}

/// Rows as JSON objects.
pub(crate) fn objects(rows: &Rows) -> Vec<Map<String, Value>> {
    let object = |row: &Vec<rows::Value>| {
        let values = row.iter().map(|value| serde_json::to_value(value).unwrap_or(Value::Null));
        rows.columns.iter().cloned().zip(values).collect()
    };
    rows.rows.iter().map(object).collect()
}

/// A command that failed, as its document and its record have it. `docs/schemas/failure.json` describes it.
#[derive(Serialize)]
struct Failure<'a> {
    schema_version: u32,
    run_id: &'a str,
    version: &'a str,
    command: String,
    error: String,
    causes: Vec<String>,
    hint: Option<String>,
    code: Option<&'a str>,
    sql: Option<&'a str>,
    /// The file, and its line if the warehouse said which.
    place: Option<String>,
    attempts: Option<usize>,
    exit_code: u8,
    done: Vec<String>,
    /// Whether production has this run's rows.
    committed: bool,
    /// Whether it is not known if the files' page views are staged: the answer of the load was lost.
    load_is_unknown: bool,
    /// Whether it is not known if production was changed: the answer of the commit was lost.
    commit_is_unknown: bool,
}

impl<'a> Failure<'a> {
    fn new(error: &'a Error, report: Option<&Report>, hint: Option<String>) -> Self {
        let mut causes = Vec::new();
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            causes.push(next.to_string());
            cause = next.source();
        }
        let (place, attempts) = match error {
            Error::Unit { place, attempts, .. } => (Some(place), Some(*attempts)),
            _ => (None, None),
        };
        Self {
            causes,
            hint,
            code: cause_of(error).and_then(|source| source.code.as_deref()),
            sql: place.map(|place| place.sql.as_str()).filter(|sql| !sql.is_empty()),
            place: place.and_then(|place| {
                place.file.as_ref().map(|file| match (place.line, place.rendered_line) {
                    (Some(line), Some(rendered)) => format!("{file}:{line} (line {rendered} as sent)"),
                    _ => file.clone(),
                })
            }),
            attempts,
            exit_code: error.exit_code(),
            done: report.map(Report::done).unwrap_or_default(),
            committed: report.is_some_and(Report::committed),
            load_is_unknown: matches!(error, Error::LoadUnknown { .. }),
            commit_is_unknown: report.is_some_and(Report::commit_is_unknown),
            ..Self::of(error.to_string(), error.exit_code())
        }
    }

    /// That failed for a reason of which no more is known.
    fn of(error: String, exit_code: u8) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run_id: run_id(),
            version: env!("CARGO_PKG_VERSION"),
            command: manner().said().command.clone(),
            error,
            causes: Vec::new(),
            hint: None,
            code: None,
            sql: None,
            place: None,
            attempts: None,
            exit_code,
            done: Vec::new(),
            committed: false,
            load_is_unknown: false,
            commit_is_unknown: false,
        }
    }

    /// Writes it where it belongs; `false` if people must be told in words.
    fn tell(&self, report: Option<&Report>) -> bool {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            failure: &'a Failure<'a>,
            /// What the run had done by then.
            report: Option<Reported<'a>>,
            /// What the command answered before it failed.
            answer: Option<Value>,
        }
        if let Ok(Value::Object(fields)) = serde_json::to_value(self) {
            let event = [("event".to_owned(), Value::from("command_failed"))];
            manner().record(Level::Error, event.into_iter().chain(fields.into_iter().skip(2)).collect());
        }
        finished(self.exit_code);
        let answer = manner().said().answer.take();
        // Where stdout is what failed, stderr is left.
        let written = manner().output == OutputFormat::Json
            && document(&Document { failure: self, report: report.map(Reported::new), answer }).is_ok();
        written || manner().log == LogFormat::Json
    }
}

/// The warehouse's words.
fn cause_of(error: &Error) -> Option<&websessions_core::error::WarehouseError> {
    match error {
        Error::Unit { source, .. } | Error::Warehouse { source, .. } | Error::LoadUnknown { source, .. } => {
            Some(source)
        }
        _ => None,
    }
}

/// What to say if a file stands where a command takes none.
fn file_of_page_views(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(name))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let command = std::env::args().find(|word| ["run", "preview", "main"].contains(&word.as_str()))?;
    // What begins with a dash is a flag, unless it is a path.
    let shown = if name.starts_with('-') { format!("./{name}") } else { name.clone() };
    Path::new(name).exists().then(|| match command.as_str() {
        "run" => format!("'websessions run --page-views {shown}' takes page views of files in"),
        _ => format!("'websessions load {shown}' takes page views of files in, and stages their sessions"),
    })
}

/// Answers a command line that asks for help, or can't be read; gives the exit code.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    use clap::error::ErrorKind;
    let manner = manner();
    let exit_code = u8::try_from(error.exit_code()).unwrap_or(2);
    let text = error.render().to_string();
    let answered = match error.kind() {
        ErrorKind::DisplayHelp if manner.output == OutputFormat::Json => document(&json!({ "help": text })),
        ErrorKind::DisplayVersion if manner.output == OutputFormat::Json => {
            document(&json!({ "version": env!("CARGO_PKG_VERSION") }))
        }
        // clap knows best where its texts go: help to stdout, errors to stderr.
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => written(error.print()),
        _ => {
            let (first, rest) = match error.kind() {
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ("a command is missing", text.as_str()),
                _ => text.split_once('\n').unwrap_or((&text, "")),
            };
            let first = first.strip_prefix("error: ").unwrap_or(first);
            let hint = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
            let meant = file_of_page_views(error);
            let hint = meant.clone().or(hint);
            let failure = Failure { hint, ..Failure::of(first.to_owned(), exit_code) };
            // Where stderr takes nothing, the exit code is left.
            if !failure.tell(None) {
                let _ = error.print();
                if let Some(meant) = meant {
                    say(&format!("hint: {meant}"));
                }
            }
            Ok(())
        }
    };
    if answered.is_ok() { exit_code } else { 1 }
}

/// Tells that the process can't begin.
pub(crate) fn cannot_start(error: &std::io::Error, hint: Option<&str>) {
    let hint = hint.map(str::to_owned);
    let failure = Failure { hint, ..Failure::of(format!("can't start: {error}"), 1) };
    if !failure.tell(None) {
        let hint = failure.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        say(&format!("error: {}{hint}", failure.error));
    }
}

/// Tells an error: what failed, where, the warehouse's words, what was done by then, what to do now.
pub(crate) fn error(error: &Error, report: Option<&Report>, hint: Option<String>) {
    // A user's own script is for the user to mend.
    let mend = match command().as_str() {
        "run" | "resume" => "mend it, then 'websessions resume' with the same flags continues there",
        _ => "mend it, then give the same command again: every step of the model can run twice",
    };
    let mended = matches!(error, Error::Unit { place, .. } if place.file.is_some()).then(|| mend.to_owned());
    let failure = Failure::new(error, report, hint.or(mended));
    if !failure.tell(report) {
        in_words(&failure, error, report);
    }
}

fn in_words(failure: &Failure<'_>, error: &Error, report: Option<&Report>) {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let bold = Style::new().bold();
    say(&format!("{red}error{red:#}: {error}"));
    for cause in &failure.causes {
        say(&format!("  caused by: {}", cause.replace('\n', "\n    ")));
    }
    if let Some(place) = &failure.place {
        say(&format!("  at: {place}"));
    }
    if let Some(code) = failure.code {
        say(&format!("  code: {code}"));
    }
    if let Some(attempts) = failure.attempts.filter(|attempts| *attempts > 1) {
        say(&format!("  attempts: {attempts}"));
    }
    let stopped = cause_of(error).is_none_or(|source| source.kind == WarehouseErrorKind::Cancelled);
    if let Some(sql) = failure.sql.filter(|_| !stopped) {
        const SHOWN_LINES: usize = 12;
        let lines: Vec<&str> = sql.lines().collect();
        say(&format!("  statement:\n    {}", lines[..lines.len().min(SHOWN_LINES)].join("\n    ")));
        if lines.len() > SHOWN_LINES {
            say(&format!("    … {} more lines; {} prints them all", lines.len() - SHOWN_LINES, pasteable("plan")));
        }
    }
    if let Some(report) = report {
        let committed: Vec<String> = report.committed_modules().map(|module| module.replace('-', " ")).collect();
        match (report.committed(), failure.done.last()) {
            (true, _) => {
                say(&format!("  done before: production and metadata have this run's {}", committed.join(", ")))
            }
            (false, Some(last)) if report.commit_is_unknown() => {
                say(&format!("  done before: up to {last}; {UNKNOWN_COMMIT}"));
            }
            (false, None) if report.commit_is_unknown() => say(&format!("  done before: {UNKNOWN_COMMIT}")),
            // A resumed run, or a part of one: main ran before, or not at all.
            (false, Some(last)) if !report.began_main() => {
                say(&format!("  done before: up to {last}"));
            }
            (false, Some(last)) => say(&format!("  done before: up to {last}; production was not changed")),
            (false, None) if failure.load_is_unknown => {
                say("  done before: the files were sent; whether their page views are staged is not known");
            }
            (false, None) if command() == "resume" && !report.plans.is_empty() => {
                say("  done before: what comes before this step, by the run that is resumed; since then nothing");
            }
            (false, None) => say("  done before: nothing"),
        }
    }
    if let Some(hint) = &failure.hint {
        say(&format!("{bold}hint{bold:#}: {hint}"));
    }
}

//! stdout is data, stderr is talk. The only place that prints.

use crate::arguments::OutputFormat;
use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::Write;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::rows::{Rows, Value};
use websessions_core::run::Report;

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

/// Writes a line to stderr.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

pub(crate) fn warn(message: &str) {
    let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    talk(&format!("{style}warning{style:#}: {message}"));
}

/// Writes a value as JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Error> {
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
        let named = rows.columns.iter().zip(row).filter(|(_, value)| **value != Value::Null);
        let named: Vec<[String; 2]> = named.map(|(name, value)| [name.clone(), value.to_string()]).collect();
        let nulls = row.len() - named.len();
        text.push_str(&self::table([&format!("row {}", number + 1), ""], named));
        if nulls > 0 {
            text.push_str(&format!("{nulls} columns are NULL\n"));
        }
    }
    text
}

/// Rows as JSON objects.
pub(crate) fn objects(rows: &Rows) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let object = |row: &Vec<Value>| {
        let values = row.iter().map(|value| serde_json::to_value(value).unwrap_or(serde_json::Value::Null));
        rows.columns.iter().cloned().zip(values).collect()
    };
    rows.rows.iter().map(object).collect()
}

#[derive(Serialize)]
struct Failure<'a> {
    error: String,
    causes: Vec<String>,
    hint: Option<String>,
    code: Option<&'a str>,
    sql: Option<&'a str>,
    /// The file, and its line if the warehouse said which.
    place: Option<String>,
    exit_code: u8,
    done: Vec<String>,
    /// Whether it is not known if production was changed: the answer of the commit was lost.
    commit_is_unknown: bool,
    report: Option<&'a Report>,
}

/// Tells an error: what failed, where, the warehouse's words, what was done by then, what to do now.
pub(crate) fn error(error: &Error, report: Option<&Report>, hint: Option<String>, format: OutputFormat) {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    let source = match error {
        Error::Unit { source, .. } | Error::Warehouse { source, .. } => Some(source),
        _ => None,
    };
    let sql = match error {
        Error::Unit { place, .. } => Some(place.sql.as_str()).filter(|sql| !sql.is_empty()),
        _ => None,
    };
    let place = match error {
        Error::Unit { place, .. } => place.file.as_ref().map(|file| match (place.line, place.rendered_line) {
            (Some(line), Some(rendered)) => format!("{file}:{line} (line {rendered} as sent)"),
            _ => file.clone(),
        }),
        _ => None,
    };
    let code = source.and_then(|source| source.code.as_deref());
    let done = report.map(Report::done).unwrap_or_default();
    if format == OutputFormat::Json {
        let failure = Failure {
            error: error.to_string(),
            causes,
            hint: hint.clone(),
            code,
            sql,
            place,
            exit_code: error.exit_code(),
            done,
            commit_is_unknown: report.is_some_and(Report::commit_is_unknown),
            report,
        };
        // Where stdout is what failed, stderr is left.
        if json(&failure).is_err() {
            self::error(error, report, hint, OutputFormat::Text);
        }
        return;
    }
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let bold = Style::new().bold();
    talk(&format!("{red}error{red:#}: {error}"));
    for cause in causes {
        talk(&format!("  caused by: {}", cause.replace('\n', "\n    ")));
    }
    if let Some(place) = place {
        talk(&format!("  at: {place}"));
    }
    if let Some(code) = code {
        talk(&format!("  code: {code}"));
    }
    if let Error::Unit { attempts, .. } = error
        && *attempts > 1
    {
        talk(&format!("  attempts: {attempts}"));
    }
    if let Some(sql) = sql.filter(|_| source.is_some_and(|source| source.kind != WarehouseErrorKind::Cancelled)) {
        const SHOWN_LINES: usize = 12;
        let lines: Vec<&str> = sql.lines().collect();
        talk(&format!("  statement:\n    {}", lines[..lines.len().min(SHOWN_LINES)].join("\n    ")));
        if lines.len() > SHOWN_LINES {
            talk(&format!("    … {} more lines; 'websessions plan' prints them all", lines.len() - SHOWN_LINES));
        }
    }
    if let Some(report) = report {
        match (report.committed(), done.last()) {
            (true, _) => talk("  done before: production and metadata have this run's sessions"),
            (false, Some(last)) if report.commit_is_unknown() => {
                talk(&format!("  done before: up to {last}; {UNKNOWN_COMMIT}"));
            }
            (false, None) if report.commit_is_unknown() => talk(&format!("  done before: {UNKNOWN_COMMIT}")),
            // A resumed run, or a part of one: main ran before, or not at all.
            (false, Some(last)) if !report.began_main() => {
                talk(&format!("  done before: up to {last}"));
            }
            (false, Some(last)) => talk(&format!("  done before: up to {last}; production was not changed")),
            (false, None) => talk("  done before: nothing"),
        }
    }
    // A user's own script is for the user to mend.
    let resume = matches!(error, Error::Unit { place, .. } if place.file.is_some())
        .then(|| "mend it, then 'websessions resume' with the same flags continues there".to_owned());
    if let Some(hint) = hint.or(resume) {
        talk(&format!("{bold}hint{bold:#}: {hint}"));
    }
}

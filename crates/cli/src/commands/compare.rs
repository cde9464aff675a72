//! Two tables, row by row: of two targets, or of one.

use super::Invocation;
use crate::arguments::{Global, OutputFormat, Playbooks};
use crate::output::{self, pasteable};
use jiff::civil::DateTime;
use jiff::{SignedDuration, Unit};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use websessions_core::backend::Registry;
use websessions_core::error::{Error, WarehouseError};
use websessions_core::insight::{Comparing, Comparison, Insight, Range};
use websessions_core::model;
use websessions_core::preflight;
use websessions_core::rows::Rows;
use websessions_core::table::{Column, ColumnType, SchemaRole, Table, TableName, TypeFamily};
use websessions_core::warehouse::Warehouse;
use websessions_core::words;
use websessions_playbook::Purpose;

/// About how many rows of a table are in memory at once.
const ROWS_AT_ONCE: i64 = 20_000;

/// How many rows may have no equal before the rest is not read any more: they are kept, as their equals may come.
const MOST_UNMET: usize = 100_000;

/// What is compared, and how.
pub(crate) struct Compared<'a> {
    pub(crate) tables: &'a [String],
    pub(crate) key: &'a [String],
    pub(crate) samples: usize,
}

/// One of the two sides.
struct Side<'a> {
    invocation: &'a Invocation<'a>,
    warehouse: Arc<dyn Warehouse>,
}

/// A table of a side: its name, its columns as the warehouse reports them, and what the model knows of it.
struct Found {
    name: TableName,
    columns: Vec<(String, Option<TypeFamily>)>,
    model: Option<Table>,
}

/// How two tables differ.
struct Answer {
    first: String,
    second: String,
    /// Differences of the tables themselves, in words.
    tables: Vec<String>,
    columns_only_in: (Vec<String>, Vec<String>),
    types: Vec<String>,
    rows: Option<Comparison>,
}

pub(super) async fn compare(registry: &Registry, global: &Global, what: &Compared<'_>) -> Result<(), Error> {
    let none = Playbooks::default();
    let (first, second) = match global.target.as_slice() {
        [first, second] => (Some(first), Some(second)),
        [one] => (Some(one), Some(one)),
        _ => (None, None),
    };
    let two_targets = first != second;
    let of = |target: Option<&String>| Global { target: target.into_iter().cloned().collect(), ..global.clone() };
    // One target is read once.
    let mut globals = vec![of(first)];
    globals.extend(two_targets.then(|| of(second)));
    let mut invocations = Vec::new();
    for global in &globals {
        invocations.push(Invocation::read(registry, global, &none, Purpose::Run)?.warned());
    }
    let (first, last) = (&invocations[0], &invocations[invocations.len() - 1]);
    let names: Vec<(String, String)> = match (two_targets, what.tables) {
        (false, [one, other]) => vec![(one.clone(), other.clone())],
        (false, _) => {
            return Err(Error::Configuration {
                message: "there is one target, and not two tables to compare".to_owned(),
                hint: Some(
                    "--target A --target B compares the same tables of two; two tables are compared in one".to_owned(),
                ),
            });
        }
        (true, []) => results(first).into_iter().map(|name| (name.clone(), name)).collect(),
        (true, [one]) => vec![(one.clone(), one.clone())],
        (true, [one, other, ..]) => vec![(one.clone(), other.clone())],
    };
    let connected = first.connect().await?;
    // A file is opened once.
    let other = if two_targets { last.connect().await? } else { Arc::clone(&connected) };
    let side = |invocation, warehouse| Side { invocation, warehouse };
    let sides = [side(first, connected), side(last, other)];
    let mut answers = Vec::new();
    for (one, other) in &names {
        answers.push(compare_tables(&sides, one, other, what).await?);
    }
    match global.output {
        OutputFormat::Json => output::json(&json!({ "tables": answers.iter().map(in_json).collect::<Vec<_>>() }))?,
        OutputFormat::Text => output::data(&answers.iter().map(in_words).collect::<String>())?,
    }
    let differing: Vec<&str> =
        answers.iter().filter(|answer| !answer.is_same()).map(|answer| answer.first.as_str()).collect();
    if differing.is_empty() && answers.iter().all(|answer| answer.rows.is_none()) {
        return Err(absent("nothing was compared: neither target has one of these tables".to_owned()));
    }
    if differing.is_empty() {
        return Ok(());
    }
    let rows_differ = answers.iter().any(|answer| !answer.is_same() && answer.rows.is_some());
    Err(Error::Check {
        message: format!("{} of {} tables differ: {}", differing.len(), answers.len(), differing.join(", ")),
        hint: if rows_differ {
            "the rows that differ are listed above; --samples N lists more"
        } else {
            "how the tables themselves differ stands above"
        }
        .to_owned(),
    })
}

/// No table is there to be compared: as a rule another schema, entropy or database is meant.
fn absent(message: String) -> Error {
    Error::Configuration {
        message,
        hint: Some(format!(
            "check the names, schemas and entropy, and the databases of both: {} lists the tables of a target",
            pasteable("status")
        )),
    }
}

/// The tables that hold the model's results: those of a run's own metadata differ from run to run.
fn results(invocation: &Invocation<'_>) -> Vec<String> {
    let insight = invocation.insight(&invocation.configuration.backend.dialect());
    let results = insight
        .lasting_tables()
        .filter(|table| table.schema == SchemaRole::Output && table.name != Insight::HISTORY_READS);
    results.map(|table| table.name.to_owned()).collect()
}

async fn compare_tables(sides: &[Side<'_>; 2], one: &str, other: &str, what: &Compared<'_>) -> Result<Answer, Error> {
    let first = sides[0].find(one).await?;
    let second = sides[1].find(other).await?;
    let mut answer = Answer {
        first: first.name.to_string(),
        second: second.name.to_string(),
        tables: Vec::new(),
        columns_only_in: Default::default(),
        types: Vec::new(),
        rows: None,
    };
    let there = [&first, &second].map(|found| !found.columns.is_empty());
    match there {
        [true, true] => {}
        [false, false] if one == other && what.tables.is_empty() => return Ok(answer),
        [false, false] => {
            let message = match first.name == second.name {
                true => format!("there is no {} in either target", first.name),
                false => format!("there is no {}, and no {}", first.name, second.name),
            };
            return Err(absent(message));
        }
        [there, _] => {
            let missing = if there { &second.name } else { &first.name };
            answer
                .tables
                .push(format!("there is no {missing} {}", if there { "in the second" } else { "in the first" }));
            return Ok(answer);
        }
    }
    let names = |found: &Found| found.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (mut shared, others) = (names(&first), names(&second));
    answer.columns_only_in.0 = shared.iter().filter(|name| !others.contains(name)).cloned().collect();
    answer.columns_only_in.1 = others.iter().filter(|name| !shared.contains(name)).cloned().collect();
    shared.retain(|name| others.contains(name));
    let families: BTreeMap<&String, Option<TypeFamily>> = second.columns.iter().map(|(name, of)| (name, *of)).collect();
    for (name, family) in first.columns.iter().filter(|(name, _)| shared.contains(name)) {
        let other = families.get(name).copied().flatten();
        if *family != other {
            let in_words =
                |of: Option<TypeFamily>| of.map_or_else(|| "of another type".to_owned(), |of| of.to_string());
            answer.types.push(format!("{name}: {} and {}", in_words(*family), in_words(other)));
        }
    }
    let model = first.model.as_ref().or(second.model.as_ref());
    let key: Vec<String> = match (what.key, model) {
        ([], Some(table)) => model::key(&model::modules(), table.name).iter().map(|name| (*name).to_owned()).collect(),
        ([], None) => Vec::new(),
        (given, _) => given.to_vec(),
    };
    if let Some(unknown) = key.iter().find(|name| !shared.contains(name)) {
        return Err(Error::Configuration {
            message: format!("--key: {unknown} is no column of both {} and {}", first.name, second.name),
            hint: Some(format!("the columns of both are {}", shared.join(", "))),
        });
    }
    let is_padded = |name: &&String| {
        let column = model.and_then(|table| table.column(name));
        column.is_some_and(|column| matches!(column.column_type, ColumnType::Fixed(_)))
    };
    let padded: Vec<String> = shared.iter().filter(is_padded).cloned().collect();
    let is_time =
        |name: &&String| first.columns.iter().any(|(own, of)| own == *name && *of == Some(TypeFamily::Timestamp));
    let times: Vec<String> = shared.iter().filter(is_time).cloned().collect();
    let mut comparing = Comparing::new(&shared, &key, &padded, &times, what.samples);
    let time = model.and_then(Table::time).filter(|time| shared.iter().any(|name| name == time));
    let tables = [(&sides[0], &first.name), (&sides[1], &second.name)];
    // Two warehouses of one dialect hash alike.
    let alike = sides[0].warehouse.dialect().name() == sides[1].warehouse.dialect().name();
    let hashed: Option<Vec<Column>> = model
        .filter(|_| alike && answer.types.is_empty())
        .and_then(|table| shared.iter().map(|name| table.column(name).cloned()).collect());
    read(&tables, &shared, time, hashed.as_deref(), &mut comparing).await?;
    answer.rows = Some(comparing.end());
    Ok(answer)
}

/// The rows of one day in both tables.
#[derive(Clone, Debug, Default)]
struct Day {
    rows: [i64; 2],
    sums: [Option<String>; 2],
}

impl Day {
    /// Whether both tables are known to have the same rows.
    fn is_same(&self) -> bool {
        let [sum, other] = &self.sums;
        self.rows[0] == self.rows[1] && sum.is_some() && sum == other
    }

    fn most(&self) -> i64 {
        self.rows[0].max(self.rows[1])
    }
}

/// Reads both tables, but for days of which it is known that they are the same: some days at once, or parts of a day that has too
/// many rows.
async fn read(
    tables: &[(&Side<'_>, &TableName); 2],
    columns: &[String],
    time: Option<&str>,
    hashed: Option<&[Column]>,
    comparing: &mut Comparing,
) -> Result<(), Error> {
    let Some(time) = time else {
        return take(tables, columns, None, &Range::All, comparing).await;
    };
    let mut days: BTreeMap<String, Day> = BTreeMap::new();
    for (at, (side, name)) in tables.iter().enumerate() {
        let found = side.query(&side.insight().days(name, time, hashed).sql, name).await?;
        for row in 0..found.rows.len() {
            let day = days.entry(found.get(row, "day_of_rows").to_string()).or_default();
            day.rows[at] = found.get(row, "row_count").as_integer();
            day.sums[at] = Some(found.get(row, "sum_of_rows").to_string()).filter(|sum| !sum.is_empty());
        }
    }
    let mut ranges = Vec::new();
    // The days before the one that is looked at, if they are to be read: until which, and how many rows they have.
    let mut open: Option<(DateTime, DateTime, i64)> = None;
    for (name, day) in &days {
        if day.is_same() {
            comparing.take_same(u64::try_from(day.most()).unwrap_or(0));
            continue;
        }
        if name.is_empty() {
            take(tables, columns, Some(time), &Range::WithoutTime, comparing).await?;
            continue;
        }
        let from: DateTime = parsed(name)?;
        let before = from.saturating_add(SignedDuration::from_hours(24));
        open = Some(match open.take() {
            Some((first, until, rows)) if until == from && rows + day.most() <= ROWS_AT_ONCE => {
                (first, before, rows + day.most())
            }
            earlier => {
                ranges.extend(earlier);
                (from, before, day.most())
            }
        });
    }
    ranges.extend(open);
    ranges.reverse();
    while let Some((from, before, rows)) = ranges.pop() {
        let range = Range::Between(written(from), written(before));
        let length = before.duration_since(from);
        if rows > ROWS_AT_ONCE && length > SignedDuration::from_secs(1) {
            let half = length.as_micros() / 2;
            let half = from.saturating_add(SignedDuration::from_micros(i64::try_from(half).unwrap_or(1)));
            for (from, before) in [(half, before), (from, half)] {
                let part = Range::Between(written(from), written(before));
                let [one, other] = [counted(tables[0], time, &part).await?, counted(tables[1], time, &part).await?];
                ranges.extend((one.max(other) > 0).then_some((from, before, one.max(other))));
            }
            continue;
        }
        take(tables, columns, Some(time), &range, comparing).await?;
        if comparing.unmet() > MOST_UNMET && !ranges.is_empty() {
            comparing.stop();
            return Ok(());
        }
    }
    Ok(())
}

async fn counted((side, name): (&Side<'_>, &TableName), time: &str, range: &Range) -> Result<i64, Error> {
    let found = side.query(&side.insight().range(name, time, range).sql, name).await?;
    Ok(found.get(0, "row_count").as_integer())
}

async fn take(
    tables: &[(&Side<'_>, &TableName); 2],
    columns: &[String],
    time: Option<&str>,
    range: &Range,
    comparing: &mut Comparing,
) -> Result<(), Error> {
    let [(first, name), (second, other)] = tables;
    let rows = first.query(&first.insight().rows_of_range(name, columns, time, range).sql, name).await?;
    let others = second.query(&second.insight().rows_of_range(other, columns, time, range).sql, other).await?;
    comparing.take(rows, others);
    Ok(())
}

/// A time as every warehouse gives it, and takes it.
fn parsed(text: &str) -> Result<DateTime, Error> {
    text.parse().map_err(|error| Error::configuration(format!("{text:?} is no time: {error}")))
}

fn written(time: DateTime) -> String {
    let time = time.round(Unit::Microsecond).unwrap_or(time);
    time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

impl<'a> Side<'a> {
    fn insight(&'a self) -> Insight<'a> {
        self.invocation.insight(&self.warehouse.dialect())
    }

    async fn query(&self, sql: &str, name: &TableName) -> Result<Rows, Error> {
        let failed = |source: WarehouseError| Error::Warehouse { context: format!("can't read {name}"), source };
        self.warehouse.query(sql).await.map_err(failed)
    }

    async fn find(&self, given: &str) -> Result<Found, Error> {
        let name = self.invocation.table(given)?;
        let dialect = self.warehouse.dialect();
        let known = model::tables(&model::modules(), self.invocation.variables());
        let model = known.into_iter().find(|table| self.invocation.variables().table_name(table) == name);
        let reported = preflight::columns_of_table(&*self.warehouse, &name)
            .await
            .map_err(|source| Error::Warehouse { context: format!("can't look at {name}"), source })?;
        let columns = reported.into_iter().map(|(column, of)| (column, dialect.type_family(&of))).collect();
        Ok(Found { name, columns, model })
    }
}

impl Answer {
    fn is_same(&self) -> bool {
        let (first, second) = &self.columns_only_in;
        self.tables.is_empty()
            && first.is_empty()
            && second.is_empty()
            && self.types.is_empty()
            && self.rows.as_ref().is_none_or(Comparison::is_same)
    }
}

fn in_json(answer: &Answer) -> Json {
    json!({
        "first": answer.first,
        "second": answer.second,
        "same": answer.is_same(),
        "problems": answer.tables,
        "columns_only_in_first": answer.columns_only_in.0,
        "columns_only_in_second": answer.columns_only_in.1,
        "types": answer.types,
        "rows": answer.rows,
    })
}

fn in_words(answer: &Answer) -> String {
    let pair = if answer.first == answer.second {
        answer.first.clone()
    } else {
        format!("{} and {}", answer.first, answer.second)
    };
    let mut text = String::new();
    for problem in answer.tables.iter().chain(&answer.types) {
        text.push_str(&format!("{pair}: {problem}\n"));
    }
    for (place, columns) in [("first", &answer.columns_only_in.0), ("second", &answer.columns_only_in.1)] {
        if !columns.is_empty() {
            text.push_str(&format!("{pair}: columns that only the {place} has: {}\n", columns.join(", ")));
        }
    }
    let Some(rows) = &answer.rows else {
        if answer.tables.is_empty() {
            text.push_str(&format!("{pair}: neither has it\n"));
        }
        return text;
    };
    text.push_str(&format!(
        "{pair}: {} and {}, {} the same, {} that differ, {} only in the first, {} only in the second\n",
        rows.rows.0,
        words::counted(rows.rows.1, "row"),
        rows.same,
        words::counted(rows.different, "key"),
        words::counted(rows.only_in.0, "row"),
        rows.only_in.1
    ));
    if !rows.whole {
        text.push_str(&format!(
            "{pair}: not read to the end: more than {MOST_UNMET} rows have no equal, and what is told is about the rows so far\n"
        ));
    }
    if !rows.columns.is_empty() {
        let columns = rows.columns.iter().map(|(column, keys)| [column.clone(), keys.to_string()]);
        text.push_str(&output::table(["column that differs", "keys"], columns));
    }
    let samples: Vec<[String; 5]> = rows
        .samples
        .iter()
        .flat_map(|sample| {
            let key: Vec<String> = sample.key.iter().map(ToString::to_string).collect();
            let key = key.join(" ");
            if sample.columns.is_empty() {
                return vec![[key, sample.rows_in.to_owned(), String::new(), String::new(), String::new()]];
            }
            let differing = sample.columns.iter();
            differing
                .map(|(column, one, other)| {
                    [key.clone(), "both".to_owned(), column.clone(), one.to_string(), other.to_string()]
                })
                .collect()
        })
        .collect();
    if !samples.is_empty() {
        text.push_str(&output::table(["key", "in", "column", "first", "second"], samples));
    }
    text
}

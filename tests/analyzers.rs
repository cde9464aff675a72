//! Analyzers that know the tables, and so columns and types: Google's own reads all that goes to BigQuery, the plans
//! and what the binary sends beside the plan (the lock, the look at the tables, doctor, status, history, check, preview, explain, show, resume, unlock, estimates), as a
//! mock of BigQuery records it; sqlglot's optimizer reads the plans for Redshift and Snowflake.

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use support::plans::{columns, write_all, write_with_columns};
use support::{Folder, fixtures};
use websessions_bigquery::BigQueryDialect;
use websessions_core::dialect::Dialect;
use websessions_core::identifier::Identifier;
use websessions_core::model::users::tables::{SESSIONS_USERID_MANIFEST_READ, USERS_MANIFEST};
use websessions_core::own_columns::Declaration;
use websessions_core::plan::{Statement, script};
use websessions_core::table::{Column, ColumnType, Table, TableName};
use websessions_core::variables::Variables;
use websessions_core::{lock, model};
use websessions_postgres::RedshiftDialect;
use websessions_snowflake::SnowflakeDialect;
use websessions_test_servers::{Mock, Request};

/// The result of a query: one row of text.
fn row(columns: &[(&str, &str)]) -> Json {
    rows(&columns.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &[columns.iter().map(|(_, v)| *v).collect()])
}

fn rows(columns: &[&str], rows: &[Vec<&str>]) -> Json {
    let fields: Vec<Json> = columns.iter().map(|name| json!({ "name": name, "type": "STRING" })).collect();
    let rows: Vec<Json> = rows
        .iter()
        .map(|row| json!({ "f": row.iter().map(|value| json!({ "v": value })).collect::<Vec<_>>() }))
        .collect();
    json!({ "jobComplete": true, "schema": { "fields": fields }, "totalRows": rows.len().to_string(), "rows": rows })
}

/// The tables that the modules read.
fn inputs(variables: &Variables) -> Vec<Table> {
    model::modules().iter().filter_map(|module| module.table(module.input?, variables)).collect()
}

/// The variables of the plans with columns of one's own.
fn with_columns() -> Variables {
    #[derive(serde::Deserialize)]
    struct File {
        column: Vec<Declaration>,
    }
    let file: File = toml::from_str(&columns()).expect("declarations");
    let mut variables = Variables::default();
    variables.columns = model::own_columns(&file.column).expect("columns");
    variables
}

/// What a statement is sent only with: the users module makes them.
fn depended_on() -> Vec<Table> {
    let (module, variables) = (model::users::module(), Variables::default());
    let names = [SESSIONS_USERID_MANIFEST_READ, USERS_MANIFEST];
    names.into_iter().filter_map(|name| module.table(name, &variables)).collect()
}

/// A table's columns, as BigQuery's information schema has them.
fn columns_of(table: &Table) -> Vec<[String; 3]> {
    let row = |column: &Column| {
        [table.name.to_owned(), column.name.to_string(), BigQueryDialect.column_type(column.column_type)]
    };
    table.columns.iter().map(row).collect()
}

/// What the lock's row holds, as the statements so far leave it.
#[derive(Default)]
struct LockRow {
    is_there: bool,
    holder: String,
    stopped_at: String,
    done_before: String,
}

impl LockRow {
    /// Whether a statement asks for the lock's table while it is not there.
    fn misses(&self, sql: &str) -> bool {
        let makes = sql.starts_with("CREATE TABLE") || sql.starts_with("DROP TABLE");
        !self.is_there && !makes && sql.contains("`sessions_lock`")
    }

    fn apply(&mut self, sql: &str) {
        match sql.split_once("`sessions_lock`") {
            Some((words, _)) if words.starts_with("CREATE TABLE") => self.is_there = true,
            Some((words, _)) if words.starts_with("DROP TABLE") => *self = Self::default(),
            _ => {}
        }
        if sql.contains("SET holder = NULL") {
            self.holder.clear();
        }
        for (column, value) in
            [("holder", &mut self.holder), ("stopped_at", &mut self.stopped_at), ("done_before", &mut self.done_before)]
        {
            let set = sql.split_once(&format!("{column} = '")).filter(|(before, _)| !before.contains("WHERE"));
            if let Some(text) = set.and_then(|(_, rest)| rest.split('\'').next()) {
                text.clone_into(value);
            }
        }
    }
}

/// What a project with an input, and without any other table, answers.
fn answer(sql: &str, row_of_lock: &LockRow) -> Json {
    if sql.contains("INFORMATION_SCHEMA.COLUMNS") {
        let lock = Some(lock::table()).filter(|_| row_of_lock.is_there);
        let tables = inputs(&Variables::default())
            .into_iter()
            .chain(lock)
            .filter(|table| sql.contains(&format!("'{}'", table.name)));
        let found: Vec<[String; 3]> = tables.flat_map(|table| columns_of(&table)).collect();
        let found: Vec<Vec<&str>> = found.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        return rows(&["table_name", "column_name", "data_type"], &found);
    }
    if sql.contains("AS expired") {
        let times = [("acquired", "now"), ("expires", "then"), ("expired", "0")];
        return row(&[&[("holder", row_of_lock.holder.as_str()), ("host", "here")], &times[..]].concat());
    }
    match sql.contains("stopped_at") {
        true => row(&[("stopped_at", &row_of_lock.stopped_at), ("done_before", &row_of_lock.done_before)]),
        false => row(&[("alive", "1")]),
    }
}

fn main_fails_once() -> Mock {
    let failed = AtomicBool::new(false);
    let (lock, jobs) = (Mutex::new(LockRow::default()), Mutex::new(BTreeMap::<String, String>::new()));
    Mock::start(move |request: &Request, _| {
        let done = json!({ "status": { "state": "DONE" }, "statistics": { "query": { "totalBytesProcessed": "1" } } });
        if let Some(id) = request.path.rsplit_once("/queries/").map(|(_, id)| id) {
            let sql = jobs.lock().expect("the jobs").get(id).cloned().unwrap_or_default();
            return (200, answer(&sql, &lock.lock().expect("the lock's row")).to_string());
        }
        let Some(sql) = request.sql() else { return (200, done.to_string()) };
        if is_dry(request) {
            return (200, done.to_string());
        }
        let misses = lock.lock().expect("the lock's row").misses(&sql);
        if misses {
            let error = json!({ "reason": "notFound", "message": "Not found: Table p:scratch.sessions_lock" });
            return (200, json!({ "status": { "state": "DONE", "errorResult": error } }).to_string());
        }
        lock.lock().expect("the lock's row").apply(&sql);
        let body: Json = serde_json::from_str(&request.body).expect("JSON");
        let id = body["jobReference"]["jobId"].as_str().unwrap_or_default().to_owned();
        jobs.lock().expect("the jobs").insert(id, sql.clone());
        let commits = sql.contains("BEGIN TRANSACTION") && sql.contains("`derived`.`sessions`");
        if commits && !failed.swap(true, Ordering::SeqCst) {
            let error = json!({ "reason": "accessDenied", "message": "Access Denied: Table p:derived.sessions" });
            return (200, json!({ "status": { "state": "DONE", "errorResult": error } }).to_string());
        }
        (200, done.to_string())
    })
}

fn is_dry(request: &Request) -> bool {
    request.body.contains("\"dryRun\":true")
}

/// All that the binary sends for its commands, in order.
fn sent() -> Vec<Json> {
    let mock = main_fails_once();
    let folder = Folder::new();
    let target = format!(
        "[target.it]\ntype = \"bigquery\"\nproject = \"p\"\naccess_token = \"t\"\nendpoint = \"{}\"\n",
        mock.url
    );
    folder.write("websessions.toml", &target);
    for (arguments, code) in [
        (&["plan", "run", "--estimate"] as &[&str], 0),
        (&["doctor"], 0),
        (&["status"], 0),
        (&["history"], 0),
        (&["check"], 0),
        (&["preview"], 0),
        (&["explain", "s1"], 0),
        (&["show", "page_views_staged"], 0),
        (&["run"], 1),
        (&["doctor"], 0),
        (&["plan", "run", "--estimate"], 0),
        (&["resume"], 0),
        (&["unlock", "--yes"], 0),
        (&["destroy", "--yes"], 0),
    ] {
        let said = folder.run(&[arguments, &["--target", "it"]].concat());
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.stdout, said.stderr);
    }
    let mut lock = LockRow::default();
    let seen = mock.seen();
    let statements = seen.iter().filter_map(|request| {
        let (sql, dry) = (request.sql()?, is_dry(request));
        let misses = lock.misses(&sql);
        if !dry {
            lock.apply(&sql);
        }
        Some(json!({ "sql": sql, "dry": dry, "misses": misses }))
    });
    statements.collect()
}

/// The tables that are there before the first run of each plan.
fn tables_before(dialect: &dyn Dialect, variables: &Variables) -> String {
    let schemas = [&variables.scratch_schema, &variables.output_schema];
    let mut statements: Vec<Statement> = schemas.iter().map(|schema| dialect.create_schema(schema)).collect();
    // What one module keeps is looked at while another runs.
    let kept = [
        (model::page_views::module(), "page_views"),
        (model::users::module(), "users"),
        (model::users::module(), "users_tables_made"),
    ];
    let kept = kept.into_iter().filter_map(|(module, table)| module.table(table, variables));
    for table in inputs(variables).into_iter().chain(depended_on()).chain(kept) {
        statements.extend(dialect.create_table(&table, &variables.table_name(&table)));
    }
    // A table of the user's, which page views are read from.
    let (schema, mut hits) = (Identifier::new("tracker").expect("a name"), inputs(variables).remove(0));
    hits.columns.push(Column::new("loaded", ColumnType::Timestamp));
    let name = TableName { schema: schema.clone(), name: "hits".to_owned() };
    statements.push(dialect.create_schema(&schema));
    statements.extend(dialect.create_table(&hits, &name));
    script(&statements)
}

/// Runs a program that prints counts as JSON, and fails if something is refused that is right, or not refused that is wrong.
fn counts(command: &mut Command) -> Json {
    let output = command.output().expect("./tests/run installs it");
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{printed}");
    let counts: Json = serde_json::from_str(&printed).expect("counts");
    assert_eq!(counts["faults"], 0, "{counts}");
    counts
}

#[test]
fn google_s_analyzer_refuses_no_statement_and_each_negative_control() {
    let sent = sent();
    for words in ["sessions_lock", "websessions_probe", "INFORMATION_SCHEMA", "DECLARE", "stopped_at"] {
        assert!(sent.iter().any(|one| one["sql"].as_str().is_some_and(|sql| sql.contains(words))), "no {words}");
    }
    let folder = Folder::new();
    let tables = folder.write("tables.sql", &tables_before(&BigQueryDialect, &Variables::default()));
    let lines: Vec<String> = sent.iter().map(ToString::to_string).collect();
    let sent = folder.write("sent.jsonl", &lines.join("\n"));
    let plans = write_all();
    let check = fixtures().join("../tests/googlesql/check.mjs");
    let counts = counts(Command::new("node").arg(check).args([&tables, &plans.path().join("bigquery"), &sent]));
    let count = |what: &str| counts[what].as_u64().unwrap_or(0);
    assert!(count("plans") > 220 && count("sent") > 200 && count("controls") > 80, "{counts}");
}

#[test]
fn sqlglot_s_optimizer_refuses_no_statement_and_each_negative_control() {
    let python = std::env::var_os("WEBSESSIONS_TEST_PYTHON").expect("./tests/run sets it");
    let folder = Folder::new();
    for dialect in [&RedshiftDialect as &dyn Dialect, &SnowflakeDialect] {
        folder.write(&format!("{}.sql", dialect.name()), &tables_before(dialect, &Variables::default()));
    }
    let plans = write_all();
    let check = fixtures().join("../tests/typecheck.py");
    let counts = counts(Command::new(python).arg(check).args([plans.path(), folder.path()]));
    let count = |what: &str| counts[what].as_u64().unwrap_or(0);
    assert!(count("plans") > 600 && count("controls") > 60, "{counts}");
}

#[test]
fn both_analyzers_know_columns_of_one_s_own() {
    let (folder, variables) = (Folder::new(), with_columns());
    let plans = write_with_columns();
    let tables = folder.write("tables.sql", &tables_before(&BigQueryDialect, &variables));
    let check = fixtures().join("../tests/googlesql/check.mjs");
    let of_google = counts(Command::new("node").arg(check).args([&tables, &plans.path().join("bigquery")]));
    assert!(of_google["plans"].as_u64().is_some_and(|count| count > 80), "{of_google}");
    let python = std::env::var_os("WEBSESSIONS_TEST_PYTHON").expect("./tests/run sets it");
    for dialect in [&RedshiftDialect as &dyn Dialect, &SnowflakeDialect] {
        folder.write(&format!("{}.sql", dialect.name()), &tables_before(dialect, &variables));
    }
    let check = fixtures().join("../tests/typecheck.py");
    let of_sqlglot = counts(Command::new(python).arg(check).args([plans.path(), folder.path()]));
    assert!(of_sqlglot["plans"].as_u64().is_some_and(|count| count > 160), "{of_sqlglot}");
}

/// What a run on BigQuery reads: the tables of `docs/cost.md`; and gigabytes in all, how often complete reads its input, and the
/// columns that are computed and never read.
fn bill(production: u32) -> (String, Json) {
    let folder = Folder::new();
    let tables = folder.write("tables.sql", &tables_before(&BigQueryDialect, &Variables::default()));
    let script = fixtures().join("../tests/googlesql/cost.mjs");
    let arguments = [tables, fixtures().join("golden/bigquery"), fixtures().join("page_views.csv.gz")];
    let output = Command::new("node").arg(script).args(arguments).arg(production.to_string()).output();
    let output = output.expect("./tests/run installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let (bill, counts) = printed.trim_end().rsplit_once('\n').expect("tables, and counts");
    (format!("{bill}\n"), serde_json::from_str(counts).expect("counts"))
}

/// Columns of a run's tables that no statement of it reads as columns: a limit of one row is read by a `DECLARE`, and a run that
/// stages no users only counts them.
const UNREAD: [&str; 5] = [
    "page_views_upsert_limit.lower_limit",
    "sessions_upsert_limit.lower_limit",
    "sessions_userid_manifest_this_run.start_tstamp",
    "users_limits.lower_limit",
    "users_limits.upper_limit",
];

#[test]
fn a_run_on_bigquery_costs_the_same_however_large_production_is() {
    let count = |counts: &Json, name: &str| counts[name].as_f64().expect("a number");
    let (_, counts) = bill(1000);
    let (all, reads) = (count(&counts, "all"), count(&counts, "input_reads_of_complete"));
    assert!(all <= 50.0, "a run reads {all} GB");
    assert!(reads <= 2.0, "complete reads its input {reads} times");
    let unread: BTreeSet<&str> = counts["unread"].as_array().expect("names").iter().filter_map(Json::as_str).collect();
    assert_eq!(unread, BTreeSet::from(UNREAD), "columns that are computed and never read");
    let larger = count(&bill(10_000).1, "all");
    assert!((larger - all).abs() < 0.01, "{larger} GB, where production is ten times as large, and {all} GB");
}

#[test]
fn users_reads_of_sessions_the_columns_that_it_uses_and_each_once() {
    let (_, counts) = bill(1000);
    let read: BTreeSet<String> =
        counts["of_sessions"].as_array().expect("names").iter().filter_map(Json::as_str).map(str::to_owned).collect();
    let used =
        model::users::module().column_lineage(&Variables::default()).into_iter().flat_map(|derived| derived.from);
    assert_eq!(read, used.collect::<BTreeSet<String>>());
    let of_users = |counts: &Json| counts["users"].as_f64().expect("a number");
    // Of a terabyte of sessions, these columns once, and users as large as they can be; ten times as much of ten.
    let (all, of_more) = (of_users(&counts), of_users(&bill(10_000).1));
    assert!(all <= 780.0, "users reads {all} GB");
    assert!(of_more <= 10.0 * all, "{of_more} GB, where production is ten times as large, and {all} GB");
}

/// `docs/cost.md` has the bill of a run as it follows from the golden SQL: `just accept` writes it anew.
#[test]
fn the_bill_of_a_run_is_that_of_the_golden_sql() {
    let (bill, _) = bill(1000);
    assert!(bill.lines().count() > 8, "{bill}");
    let path = fixtures().join("../docs/cost.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(BEGINS).expect("where the bill begins");
    let (_, after) = rest.split_once(ENDS).expect("where it ends");
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(&path, format!("{before}{BEGINS}{bill}{ENDS}{after}")).expect("the page");
        return;
    }
    assert!(page.contains(&format!("{BEGINS}{bill}{ENDS}")), "docs/cost.md differs from what is computed now:\n{bill}");
}

const BEGINS: &str = "<!-- computed: begins -->\n";
const ENDS: &str = "<!-- computed: ends -->\n";

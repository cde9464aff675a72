//! The SQL of every phase and option, per dialect, as `websessions plan` prints it: each phase whole, and of each option
//! the steps that it changes. `just golden` rewrites the files; the diff is the review.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use support::{Folder, fixtures};

const PLANS: &[(&str, &str, &[&str])] = &[
    ("main", "main", &[]),
    ("main-stage_next", "main", &["stage_next=true"]),
    ("main-skip_derived", "main", &["skip_derived=true"]),
    ("main-lookback_guard-off", "main", &["lookback_guard=off", "upsert_lookback_days=7"]),
    ("main-lookback_guard-fail", "main", &["lookback_guard=fail"]),
    ("main-names", "main", &["scratch_schema=s", "output_schema=s", "entropy=_test", "model_version=a/b 1.0"]),
    ("complete", "complete", &[]),
    ("complete-ends_run", "complete", &["ends_run=true"]),
    ("complete-debug", "complete", &["cleanup_mode=debug"]),
    ("complete-trace", "complete", &["cleanup_mode=trace"]),
    ("complete-keep_input", "complete", &["on_dropped_sessions=keep_input"]),
    ("destroy", "destroy", &["entropy=_test"]),
];

fn dialects(folder: &Folder) -> Vec<String> {
    let listed = folder.run(&["backends", "--output", "json"]);
    let backends: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let names = backends.as_array().into_iter().flatten().filter_map(|backend| backend["name"].as_str());
    names.map(str::to_owned).collect()
}

/// The steps of a plan that another plan doesn't have, or has otherwise.
fn changed_steps(plan: &str, usual: &str) -> String {
    const STEP: &str = "-- step ";
    let steps =
        |plan: &str| plan.split(STEP).skip(1).map(|step| format!("{STEP}{}\n", step.trim_end())).collect::<Vec<_>>();
    let usual = steps(usual);
    let changed: Vec<String> = steps(plan).into_iter().filter(|step| !usual.contains(step)).collect();
    assert!(!changed.is_empty(), "an option that changes nothing");
    changed.join("\n")
}

#[test]
fn every_phase_and_option_of_every_dialect_is_as_reviewed() {
    let folder = Folder::new();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let dialects = dialects(&folder);
    assert!(!dialects.is_empty());
    for dialect in dialects {
        let golden = fixtures().join("golden").join(&dialect);
        let mut known = BTreeSet::new();
        for (name, phase, variables) in PLANS {
            let mut arguments = vec!["plan", phase, "--dialect", &dialect];
            for variable in *variables {
                arguments.extend(["--var", variable]);
            }
            let mut printed = folder.run(&arguments).done("plan").expect("a plan").stdout;
            if !variables.is_empty() {
                let usual = folder.run(&["plan", phase, "--dialect", &dialect]).done("plan").expect("a plan").stdout;
                printed = changed_steps(&printed, &usual);
            }
            let file = golden.join(format!("{name}.sql"));
            known.insert(file.clone());
            if update {
                std::fs::create_dir_all(&golden).expect("a folder of golden files");
                std::fs::write(&file, &printed).expect("a golden file");
            }
            let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                printed == reviewed,
                "{} differs from what is planned now: 'just golden' shows how",
                file.display()
            );
        }
        for entry in std::fs::read_dir(&golden).expect("golden files").filter_map(Result::ok) {
            assert!(known.contains(&entry.path()), "{} belongs to no plan", entry.path().display());
        }
    }
}

#[test]
fn split_writes_the_same_sql_a_file_a_step() {
    let folder = Folder::new();
    let printed = folder.run(&["plan", "run"]).done("plan").expect("a plan").stdout;
    folder.run(&["plan", "run", "--split", "steps"]).done("plan --split").expect("a plan");
    let mut files: Vec<_> = std::fs::read_dir(folder.path().join("steps"))
        .expect("a folder")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    files.sort();
    assert!(files.len() > 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file");
        assert!(printed.contains(&text), "{} is not in the plan", file.display());
    }
}

/// Tokens that a dialect's SQL must never contain, as its warehouse has no such thing.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("duckdb", &["UNLOGGED", "DISTKEY", "SORTKEY", "TRUNCATE", "DATEDIFF(", "GETDATE"]),
    ("postgres", &["CREATE OR REPLACE TABLE", "DISTKEY", "SORTKEY", "ENCODE", "TRUNCATE", "DATEDIFF(", "GETDATE"]),
    (
        "redshift",
        &[
            "UNLOGGED",
            "CREATE INDEX",
            "ON CONFLICT",
            "CREATE OR REPLACE TABLE",
            "TRUNCATE",
            "INTERVAL",
            "EXTRACT(",
            "xmin",
            "VACUUM",
            "COLLATE",
        ],
    ),
    (
        "snowflake",
        &[
            "UNLOGGED",
            "CREATE INDEX",
            "DISTKEY",
            "SORTKEY",
            "TRUNCATE",
            "INTERVAL",
            "CURRENT_TIMESTAMP",
            "GETDATE",
            "xmin",
        ],
    ),
    (
        "bigquery",
        &[
            "UNLOGGED",
            "CREATE INDEX",
            "DISTKEY",
            "SORTKEY",
            "TRUNCATE",
            "VARCHAR",
            "DOUBLE PRECISION",
            "ILIKE",
            "INTERVAL '",
            "::",
            "\"",
            "GETDATE",
            "xmin",
        ],
    ),
];

fn parser_of(dialect: &str) -> Box<dyn sqlparser::dialect::Dialect> {
    match dialect {
        "duckdb" => Box::new(sqlparser::dialect::DuckDbDialect {}),
        "postgres" => Box::new(sqlparser::dialect::PostgreSqlDialect {}),
        "snowflake" => Box::new(sqlparser::dialect::SnowflakeDialect {}),
        "redshift" => Box::new(sqlparser::dialect::RedshiftSqlDialect {}),
        "bigquery" => Box::new(sqlparser::dialect::BigQueryDialect {}),
        other => panic!("no parser is known for {other}"),
    }
}

#[test]
fn every_statement_parses_and_has_nothing_that_its_warehouse_lacks() {
    let folder = Folder::new();
    for dialect in dialects(&folder) {
        let parser = parser_of(&dialect);
        let (_, forbidden) = FORBIDDEN.iter().find(|(name, _)| *name == dialect).expect("a list of forbidden tokens");
        let mut count = 0;
        for entry in
            std::fs::read_dir(fixtures().join("golden").join(&dialect)).expect("golden files").filter_map(Result::ok)
        {
            let text = std::fs::read_to_string(entry.path()).expect("a golden file");
            // The parser doesn't know Redshift's encodings of columns.
            let parsed = text.replace(" ENCODE ZSTD", "").replace(" ENCODE RAW", "");
            let statements = sqlparser::parser::Parser::new(&*parser)
                .with_recursion_limit(200)
                .try_with_sql(&parsed)
                .and_then(|mut parser| parser.parse_statements())
                .unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
            count += statements.len();
            let code: String =
                text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
            for token in *forbidden {
                assert!(!code.contains(token), "{} contains {token}", entry.path().display());
            }
        }
        assert!(count > 90, "{dialect}: only {count} statements");
    }
}

/// A second parser, of another make.
#[test]
fn every_statement_parses_with_sqlglot_too() {
    let python = std::env::var_os("WEBSESSIONS_TEST_PYTHON")
        .expect("WEBSESSIONS_TEST_PYTHON is a Python that has sqlglot: ./tests/run installs it");
    let script = fixtures().join("../tests/parse.py");
    let output =
        std::process::Command::new(python).arg(script).arg(fixtures().join("golden")).output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let count: usize = printed.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0);
    assert!(count > 500, "{printed}");
}

//! The SQL of every phase and option, per dialect, as `websessions plan` prints it: each phase whole, and of each option
//! the statements that it changes, among those that stay. `just accept` rewrites the files; the diff is the review.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use support::plans::{PLANS, dialects, plan, write_all, write_with_columns};
use support::{Folder, fixtures};

/// The steps of a plan: its heading, and its statements with their comments (and the words that open and close a block).
fn steps(plan: &str) -> Vec<Vec<&str>> {
    let mut steps: Vec<Vec<&str>> = Vec::new();
    for part in plan.trim_end().split("\n\n") {
        match steps.last_mut() {
            _ if part.starts_with("-- step ") => steps.push(vec![part]),
            Some(step) => step.push(part),
            None => {}
        }
    }
    steps
}

/// What an option changes: of each step that is not as usual the statements that are new, and where the others stand.
fn changes(plan: &str, usual_plan: &str, usual_file: &str) -> String {
    let (steps, usual) = (steps(plan), steps(usual_plan));
    let mut changes = Vec::new();
    for step in steps.iter().filter(|step| !usual.contains(step)) {
        let before = usual.iter().find(|before| before[0] == step[0]).map_or(&[] as &[&str], Vec::as_slice);
        changes.push(step[0].to_owned());
        for part in &step[1..] {
            changes.push(match part.split_once('\n') {
                Some((purpose, _)) if before.contains(part) => format!("{purpose}: as in {usual_file}"),
                _ => (*part).to_owned(),
            });
        }
    }
    let gone = usual.iter().filter(|before| !steps.iter().any(|step| step[0] == before[0]));
    changes.extend(gone.map(|step| step[0].replacen("-- step", "-- no step", 1)));
    assert!(!changes.is_empty(), "an option that changes nothing");
    changes.join("\n\n") + "\n"
}

/// How many lines two statements must have in common to be told short.
const ALIKE: usize = 100;

/// A plan with what many of its statements begin with once: each query of a preview first computes the tables of a run.
fn told_once(plan: &str) -> String {
    let mut told: Vec<Vec<&str>> = Vec::new();
    let mut parts = Vec::new();
    for part in plan.split("\n\n") {
        let lines: Vec<&str> = part.split('\n').collect();
        let (purpose, sql) = lines.split_first().unwrap_or((&"", &[]));
        let common = |earlier: &[&str]| earlier.iter().zip(sql).take_while(|(one, other)| one == other).count();
        let longest = told.iter().map(|earlier| common(&earlier[1..])).max().unwrap_or(0);
        let first = told.iter().find(|earlier| common(&earlier[1..]) == longest).filter(|_| longest >= ALIKE);
        parts.push(match first {
            Some(earlier) => {
                let as_in = format!("-- {longest} lines as in: {}", earlier[0].trim_start_matches("-- "));
                [&[*purpose, as_in.as_str()], &sql[longest..]].concat().join("\n")
            }
            None => part.to_owned(),
        });
        told.push(lines);
    }
    parts.join("\n\n")
}

#[test]
fn every_phase_and_option_of_every_dialect_is_as_reviewed() {
    let accepts = std::env::var_os("ACCEPT").is_some();
    for dialect in dialects() {
        let golden = fixtures().join("golden").join(dialect);
        let mut known = BTreeSet::new();
        // The options of a preview are those of the run that it is made of.
        for (name, phase, variables) in PLANS.iter().filter(|(name, phase, _)| *phase != "preview" || name == phase) {
            let mut printed = told_once(plan(phase, dialect, variables));
            if !variables.is_empty() {
                printed = changes(&printed, plan(phase, dialect, &[]), &format!("{phase}.sql"));
            }
            let file = golden.join(format!("{name}.sql"));
            known.insert(file.clone());
            if accepts {
                std::fs::create_dir_all(&golden).expect("a folder of golden files");
                std::fs::write(&file, &printed).expect("a golden file");
            }
            let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                printed == reviewed,
                "{} differs from what is planned now: 'just accept' shows how",
                file.display()
            );
        }
        for entry in std::fs::read_dir(&golden).expect("golden files").filter_map(Result::ok) {
            if accepts && !known.contains(&entry.path()) {
                std::fs::remove_file(entry.path()).expect("a golden file that can go");
                continue;
            }
            assert!(known.contains(&entry.path()), "{} belongs to no plan", entry.path().display());
        }
    }
}

/// Schemas, entropy and the model's version change nothing but names, wherever these stand.
#[test]
fn names_change_nothing_but_names() {
    for dialect in dialects() {
        let phases = |prefix: &'static str| ["main", "complete", "destroy"].map(|phase| format!("{prefix}{phase}"));
        let of_no_module = ["rebuild", "unstage"].map(str::to_owned);
        for phase in ["", "page_views_", "users_"].into_iter().flat_map(phases).chain(of_no_module) {
            let phase = phase.as_str();
            let usual = plan(phase, dialect, &["model_version=usual"]);
            let variables = ["scratch_schema=ours", "output_schema=theirs", "entropy=_test", "model_version=a/b 1.0"];
            let named = plan(phase, dialect, &variables);
            let mut renamed = named.replace("a/b 1.0", "usual");
            for (own, other) in [("ours", "scratch"), ("theirs", "derived"), ("_test", "")] {
                // A warehouse may know the names in upper case.
                renamed = renamed.replace(own, other).replace(&own.to_uppercase(), &other.to_uppercase());
            }
            assert_ne!(renamed, named, "{dialect} {phase} names nothing");
            for (line, expected) in renamed.lines().zip(usual.lines()) {
                assert_eq!(line, expected, "{dialect} {phase}");
            }
            assert_eq!(renamed.lines().count(), usual.lines().count(), "{dialect} {phase}");
        }
        let one = plan("main", dialect, &["scratch_schema=both", "output_schema=both"]);
        assert_eq!(one.matches("-- schema both\n").count(), 1, "{dialect}");
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
    ("postgres", &["CREATE OR REPLACE TABLE", "DISTKEY", "SORTKEY", "ENCODE", "DATEDIFF(", "GETDATE"]),
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

#[test]
fn every_statement_parses_and_has_nothing_that_its_warehouse_lacks() {
    let (plans, with_columns) = (write_all(), write_with_columns());
    for dialect in dialects() {
        let parser = sqlparser::dialect::dialect_from_str(dialect).expect("a dialect that sqlparser knows");
        let (_, forbidden) = FORBIDDEN.iter().find(|(name, _)| *name == dialect).expect("a list of forbidden tokens");
        let mut count = 0;
        let of = |folder: &Folder| std::fs::read_dir(folder.path().join(dialect)).expect("plans");
        for entry in of(&plans).chain(of(&with_columns)).filter_map(Result::ok) {
            let text = std::fs::read_to_string(entry.path()).expect("a plan");
            // The parser doesn't know Redshift's encodings of columns, and none of PostgreSQL's DO.
            let parsed = without_do(&text).replace(" ENCODE ZSTD", "").replace(" ENCODE RAW", "");
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
        assert!(count > 140, "{dialect}: only {count} statements");
    }
}

/// A script without its DO statements.
fn without_do(text: &str) -> String {
    let mut parts = text.split("DO $do$");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once("$do$;").expect("the end of a DO").1)
}

/// An UPDATE that takes its values from another table must join it with its target by an equality, or Redshift refuses it:
/// none does.
/// <https://docs.aws.amazon.com/redshift/latest/dg/r_UPDATE.html>
#[test]
fn no_update_of_redshift_s_joins_another_table() {
    let parser = sqlparser::dialect::RedshiftSqlDialect {};
    let mut count = 0;
    for (name, phase, variables) in PLANS {
        let text = plan(phase, "redshift", variables).replace(" ENCODE ZSTD", "").replace(" ENCODE RAW", "");
        let statements = sqlparser::parser::Parser::parse_sql(&parser, &text).expect("it parses");
        for statement in statements {
            let sqlparser::ast::Statement::Update(update) = statement else { continue };
            assert!(update.from.is_none() && update.table.joins.is_empty(), "{name}: {update}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

/// Of a query that gives a NULL nothing is known not to be in it.
#[test]
fn no_statement_asks_for_what_is_not_in_a_query() {
    let plans = write_all();
    let mut queries = 0;
    for dialect in dialects() {
        for entry in std::fs::read_dir(plans.path().join(dialect)).expect("plans").filter_map(Result::ok) {
            let text = std::fs::read_to_string(entry.path()).expect("a plan");
            assert!(!text.contains("NOT IN"), "{}", entry.path().display());
            queries += text.matches("SELECT").count();
        }
    }
    assert!(queries > 1000, "{queries}");
}

/// A second parser, of another make.
#[test]
fn every_statement_parses_with_sqlglot_too() {
    let python = std::env::var_os("WEBSESSIONS_TEST_PYTHON")
        .expect("WEBSESSIONS_TEST_PYTHON is a Python that has sqlglot: ./tests/run installs it");
    let plans = write_all();
    let script = fixtures().join("../tests/parse.py");
    let output = std::process::Command::new(python).arg(script).arg(plans.path()).output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let count: usize = printed.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or(0);
    assert!(count > 800, "{printed}");
}

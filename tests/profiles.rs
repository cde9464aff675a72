//! What the statements of a run read, join and write, by the engines' own profiles: every operator with its rows, on the sample
//! that the README runs, on a first day and where production has all of it already. No times: a change of a plan shows up in
//! review. `just accept` rewrites the files.

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use support::plans::plan;
use support::{Folder, fixtures};
use websessions_test_servers::Cluster;

const DAYS: [&str; 2] = ["first day", "again, where production has all of it"];

fn expect_reviewed(engine: &str, found: &str) {
    let file = fixtures().join("profiles").join(format!("{engine}.txt"));
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::create_dir_all(fixtures().join("profiles")).expect("a folder of profiles");
        std::fs::write(&file, found).expect("a profile");
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(reviewed.lines()).find(|(now, before)| now != before);
    assert!(found == reviewed, "{} differs from how it runs now: {differs:?}; 'just accept' shows all", file.display());
}

fn sample() -> String {
    fixtures().join("page_views.csv.gz").to_string_lossy().into_owned()
}

fn children<'a>(node: &'a Value, name: &str) -> &'a [Value] {
    node[name].as_array().map_or(&[], Vec::as_slice)
}

/// The rows of each operator that does more than compute columns, and of each scan how many there were.
fn duckdb_operators(node: &Value, depth: usize, out: &mut String) {
    let name = node["operator_name"].as_str().unwrap_or_default().trim();
    let plain = ["", "EXPLAIN_ANALYZE", "PROJECTION"].contains(&name);
    if !plain {
        let mut line = format!("{:margin$}{name}", "", margin = 2 * depth);
        if let Some(table) = node["extra_info"]["Table"].as_str() {
            line += &format!(" {}", table.split_once('.').map_or(table, |(_, name)| name));
        }
        line += &format!(": {}", node["operator_cardinality"]);
        match node["operator_rows_scanned"].as_u64() {
            Some(scanned) if scanned > 0 => line += &format!(" of {scanned}"),
            _ => {}
        }
        out.push_str(&line);
        out.push('\n');
    }
    for child in children(node, "children") {
        duckdb_operators(child, depth + usize::from(!plain), out);
    }
}

/// What stands before the condition of a statement in a plan.
const ONLY_IF: &str = "-- only if this gives a row:";

#[test]
fn duckdb() {
    let folder = Folder::new();
    folder.run(&["load", "--staged", &sample()]).done("load").expect("loaded");
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("a database");
    // One thread meets the rows in their order.
    connection
        .execute_batch("SET threads = 1; CREATE TABLE main.arrived AS FROM scratch.page_views_staged; DELETE FROM scratch.page_views_staged;")
        .expect("a copy of the input");
    let mut found = String::new();
    for day in DAYS {
        connection.execute_batch("INSERT INTO scratch.page_views_staged FROM main.arrived").expect("staged");
        for phase in ["main", "complete"] {
            found += &format!("== {day}: {phase}\n");
            let printed = plan(phase, "duckdb", &[]);
            for part in printed.trim_end().split("\n\n") {
                let Some((purpose, sql)) = part.split_once('\n') else {
                    // A heading, or the words that open and close a block.
                    connection.execute_batch(part).expect("a transaction");
                    continue;
                };
                let (condition, sql): (Vec<&str>, Vec<&str>) = sql.lines().partition(|line| line.starts_with("--   "));
                let sql = sql.into_iter().filter(|line| *line != ONLY_IF).collect::<Vec<_>>().join("\n");
                let asked =
                    condition.iter().map(|line| line.trim_start_matches("--   ")).collect::<Vec<_>>().join("\n");
                // A table that is missing has no rows.
                let is_so = || connection.query_row(&asked, [], |_| Ok(())).is_ok();
                if part.contains(ONLY_IF) && !is_so() {
                    continue;
                }
                let first = sql.split_whitespace().next().unwrap_or_default();
                let makes_of_rows = first == "CREATE" && sql.contains(" AS\n");
                if !makes_of_rows && !["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&first) {
                    connection.execute_batch(part).unwrap_or_else(|error| panic!("{part}: {error}"));
                    continue;
                }
                let explained = format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}");
                let profile: String = connection
                    .query_row(&explained, [], |row| row.get(1))
                    .unwrap_or_else(|error| panic!("{sql}: {error}"));
                found += &format!("\n{purpose}\n");
                duckdb_operators(&serde_json::from_str(&profile).expect("a profile in JSON"), 0, &mut found);
            }
            found.push('\n');
        }
    }
    assert!(found.contains("scratch.page_views_staged: ") && found.contains("derived.sessions"), "{found}");
    expect_reviewed("duckdb", &found);
}

fn relations(node: &Value) -> Vec<&str> {
    let own = node["Relation Name"].as_str();
    own.into_iter().chain(children(node, "Plans").iter().flat_map(relations)).collect()
}

fn postgres_operators(node: &Value, depth: usize, out: &mut String) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let name = if text("Operation").is_empty() { text("Node Type") } else { text("Operation") };
    let rows = number("Actual Rows") * number("Actual Loops");
    let left_out = (number("Rows Removed by Filter") + number("Rows Removed by Join Filter")) * number("Actual Loops");
    let mut line = format!("{:margin$}{name}", "", margin = 2 * depth);
    for of in [text("Relation Name"), text("Index Name")] {
        if !of.is_empty() {
            line += &format!(" {of}");
        }
    }
    line += &format!(": {rows:.0}");
    if left_out > 0.0 {
        line += &format!(" of {:.0}", rows + left_out);
    }
    out.push_str(&line);
    out.push('\n');
    for child in children(node, "Plans") {
        postgres_operators(child, depth + 1, out);
    }
}

/// The profiles in a server's log, of statements about tables of the model; the lock's renewals come when they come.
fn postgres_profiles(log: &str) -> String {
    let mut found = String::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with(" plan:") {
            continue;
        }
        let mut text = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            text.push_str(more);
        }
        let profile: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut read = relations(&profile["Plan"]);
        read.retain(|name| !name.starts_with("pg_"));
        if read.is_empty() || read.iter().any(|name| name.contains("lock")) {
            continue;
        }
        let sql = profile["Query Text"].as_str().unwrap_or_default();
        let words = ["CREATE", "INSERT", "UPDATE", "DELETE", "SELECT"];
        let what = sql.lines().find(|line| words.iter().any(|word| line.starts_with(word)));
        // A condition of a block of PL/pgSQL begins with none of them.
        let what = what.or_else(|| sql.lines().next()).unwrap_or_default();
        found += &format!("\n{what}\n");
        postgres_operators(&profile["Plan"], 0, &mut found);
    }
    found
}

/// On the version that the tests have, 15: what `auto_explain` logs of the binary's own statements, with its own settings.
#[test]
fn postgres() {
    let cluster = Cluster::start(
        "autovacuum = off\nlog_min_messages = log\nsession_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\nauto_explain.log_timing = off\nauto_explain.log_nested_statements = on\nauto_explain.log_format = json",
    )
    .expect("a server");
    let folder = Folder::new();
    let target = format!("[target.server]\ntype = \"postgres\"\nurl = {:?}\n", cluster.url());
    folder.write("websessions.toml", &format!("default_target = \"server\"\n{target}"));
    let log = || std::fs::read_to_string(cluster.folder().join("log")).expect("the server's log");
    let mut found = String::new();
    for day in DAYS {
        folder.run(&["load", "--staged", &sample()]).done("load").expect("loaded");
        for phase in ["main", "complete"] {
            let before = log().len();
            folder.run(&[phase]).done(phase).expect("a phase");
            found += &format!("== {day}: {phase}\n{}\n", postgres_profiles(&log()[before..]));
        }
    }
    assert!(found.contains("page_views_staged: ") && found.contains("Delete sessions"), "{found}");
    expect_reviewed("postgres", &found);
}

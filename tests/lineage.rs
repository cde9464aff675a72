//! Lineage: what a run tells a catalog of data, by OpenLineage's own schemas, and against the SQL that it is about.

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value, json};
use sqlparser::ast::{Expr, Query, Select, SelectItem, SetExpr, Statement, visit_expressions};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use support::plans::plan;
use support::{Folder, refused};
use websessions_core::model::{Derivation, sessions, users};
use websessions_core::variables::Variables;
use websessions_test_servers::Mock;

const PAGE_VIEWS: &str = "page_view_id,domain_sessionid,domain_userid,page_view_in_session_index,start_tstamp,end_tstamp\np1,s1,u1,1,2024-01-01,2024-01-01\n";

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventType"].as_str().expect("a type")).collect()
}

/// Validates events, and each facet of them by the schema that it names.
fn validate(events: &[Value]) {
    fn facets(value: &Value, found: &mut BTreeMap<String, Vec<Value>>) {
        if let Some(schema) = value.get("_schemaURL").and_then(Value::as_str) {
            found.entry(schema.to_owned()).or_default().push(value.clone());
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|field| facets(field, found)),
            Value::Array(items) => items.iter().for_each(|item| facets(item, found)),
            _ => {}
        }
    }
    let folder = support::fixtures().join("../tests/openlineage");
    support::validate(&folder.join("OpenLineage.json"), events);
    let mut found = BTreeMap::new();
    events.iter().for_each(|event| facets(event, &mut found));
    assert!(found.len() >= 5, "{:?}", found.keys());
    for (schema, facets) in found {
        let file = schema.split(['/', '#']).find(|part| part.ends_with(".json")).expect("a file's name");
        let name = facets[0]["_schemaURL"].as_str().and_then(|url| url.rsplit('/').next()).expect("a name");
        let definition = std::fs::read_to_string(folder.join(file)).expect("the schema of a facet");
        let definition: Value = serde_json::from_str(&definition).expect("JSON");
        assert_eq!(definition["$id"], schema.split('#').next().expect("an address"), "the version of {name}");
        // A facet stands in its schema under its own name.
        let property = definition["properties"].as_object().and_then(|fields| fields.keys().next()).expect("a name");
        let wrapped: Vec<Value> = facets.iter().map(|facet| json!({ property.as_str(): facet })).collect();
        support::validate(&folder.join(file), &wrapped);
    }
}

#[test]
fn a_run_tells_what_it_reads_and_writes_and_how_it_ends() {
    let folder = Folder::new();
    folder.write("good.csv", PAGE_VIEWS);
    let modules = "modules = [\"page_views\", \"sessions\", \"users\"]\n";
    folder.write("websessions.toml", modules);
    let said = folder.run(&["--output", "json", "--lineage", "lineage.ndjson", "run", "--page-views", "good.csv"]);
    let report: Value = serde_json::from_str(&said.done("run").expect("a run").stdout).expect("JSON");
    folder.write(
        "websessions.toml",
        &format!(
            "{modules}[lineage]\nto = \"lineage.ndjson\"\nnamespace = \"ours\"\n[[custom]]\nname = \"own\"\nfiles = [\"own.sql\"]\n"
        ),
    );
    folder.write("own.sql", "SELECT * FROM scratch.nothing_like_that;");
    refused(&folder.run(&["run", "--page-views", "good.csv"]), 1, &["nothing_like_that"]);
    let text = std::fs::read_to_string(folder.path().join("lineage.ndjson")).expect("the events");
    let events = events(&text);
    assert_eq!(kinds(&events), ["START", "COMPLETE", "START", "FAIL"]);
    validate(&events);
    let complete = &events[1];
    assert_eq!(complete["run"]["runId"], report["run_id"]);
    assert_eq!(complete["run"]["runId"], events[0]["run"]["runId"]);
    assert_eq!(complete["job"]["name"], "websessions.run");
    assert_eq!(
        (&events[0]["job"]["namespace"], &events[3]["job"]["namespace"]),
        (&"websessions".into(), &"ours".into())
    );
    let error = events[3]["run"]["facets"]["errorMessage"]["message"].as_str().expect("why");
    assert!(error.contains("nothing_like_that"), "{error}");
    let output = |name: &str| {
        let all = complete["outputs"].as_array().expect("outputs");
        all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {all:#?}")).clone()
    };
    let sessions = output("derived.sessions");
    let namespace = sessions["namespace"].as_str().expect("a namespace");
    assert!(namespace.starts_with("duckdb:///") && namespace.ends_with("/websessions.duckdb"), "{namespace}");
    assert_eq!(sessions["outputFacets"]["outputStatistics"]["rowCount"], 1);
    assert_eq!(sessions["facets"]["schema"]["fields"].as_array().map(Vec::len), Some(90));
    let title = &sessions["facets"]["columnLineage"]["fields"]["first_page_title"]["inputFields"][0];
    assert_eq!((&title["field"], &title["name"]), (&"page_title".into(), &"scratch.page_views_staged".into()));
    assert_eq!(title["transformations"][0]["subtype"], "IDENTITY");
    let users = output("derived.users");
    assert_eq!(users["outputFacets"]["outputStatistics"]["rowCount"], 1);
    let count = &users["facets"]["columnLineage"]["fields"]["sessions"]["inputFields"][0];
    assert_eq!((&count["field"], &count["name"]), (&"domain_sessionid".into(), &"derived.sessions".into()));
    assert_eq!(output("derived.page_views")["outputFacets"]["outputStatistics"]["rowCount"], 1);
    // The file is all that this run read and did not make.
    let inputs = complete["inputs"].as_array().expect("inputs");
    let file = std::fs::canonicalize(folder.path()).expect("the folder").join("good.csv").display().to_string();
    assert_eq!(inputs.len(), 1, "{inputs:#?}");
    assert_eq!((&inputs[0]["namespace"], &inputs[0]["name"]), (&"file".into(), &file.into()));
    assert_eq!(inputs[0]["inputFacets"]["inputStatistics"]["rowCount"], 1);
    assert_eq!(events[0]["inputs"][0]["name"], inputs[0]["name"]);
}

#[test]
fn a_table_that_page_views_come_from_and_the_sessions_that_users_read_are_inputs() {
    let folder = Folder::new();
    folder.write("good.csv", PAGE_VIEWS);
    folder.run(&["load", "--staged", "good.csv"]).done("load").expect("staged");
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("it opens");
    connection.execute_batch("CREATE TABLE main.hits AS SELECT * FROM scratch.page_views_staged").expect("a table");
    drop(connection);
    let last = |arguments: &[&str]| {
        let said = folder.run(&[&["--lineage", "lineage.ndjson"], arguments].concat());
        said.done(arguments[0]).expect("done");
        let text = std::fs::read_to_string(folder.path().join("lineage.ndjson")).expect("the events");
        let events = events(&text);
        validate(&events);
        let last = events.last().cloned().expect("an event");
        assert_eq!(last["eventType"], "COMPLETE");
        let inputs = last["inputs"].as_array().expect("inputs").iter();
        let inputs: Vec<(String, Option<i64>)> = inputs
            .map(|one| {
                let name = one["name"].as_str().expect("a name").to_owned();
                (name, one["inputFacets"]["inputStatistics"]["rowCount"].as_i64())
            })
            .collect();
        let outputs = last["outputs"].as_array().expect("outputs").iter();
        (inputs, outputs.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let (inputs, _) = last(&["--var", "page_views_from=main.hits", "--var", "stage_next=true", "run"]);
    assert_eq!(inputs, [("main.hits".to_owned(), Some(1))]);
    let (inputs, outputs) = last(&["main", "--module", "users"]);
    assert_eq!(
        inputs,
        [("scratch.sessions_userid_manifest_staged".to_owned(), None), ("derived.sessions".to_owned(), Some(1))]
    );
    assert!(outputs.contains(&"derived.users".to_owned()) && !outputs.contains(&"derived.sessions".to_owned()));
}

#[test]
fn events_go_to_a_server_and_a_server_that_fails_is_a_warning() {
    let mock = Mock::start(|request, _| match request.path.as_str() {
        "/api/v1/lineage" => (201, String::new()),
        _ => (500, "no".to_owned()),
    });
    let folder = Folder::new();
    folder.write("good.csv", PAGE_VIEWS);
    folder.write("named.toml", "[lineage]\nto = { env = \"CATALOG\" }\napi_key = { env = \"CATALOG_KEY\" }\n");
    let mut command = folder.command(&["--config", "named.toml", "run", "--page-views", "good.csv"]);
    let said = command.env("CATALOG", &mock.url).env("CATALOG_KEY", "sesame").output().expect("the binary starts");
    let said = support::Said::from(said).done("run").expect("a run");
    assert!(!said.stderr.contains("warning") && !said.stderr.contains("sesame"), "{}", said.stderr);
    let bodies: String = mock.seen().iter().map(|request| format!("{}\n", request.body)).collect();
    let events = events(&bodies);
    assert_eq!(kinds(&events), ["START", "COMPLETE"]);
    validate(&events);
    // A server that refuses, one that isn't there, and a file that can't be written.
    for to in
        [&format!("{}/elsewhere?token=sesame", mock.url) as &str, "http://user:sesame@127.0.0.1:9/", "no/such/folder/x"]
    {
        let said = folder.run(&["--lineage", to, "run", "--page-views", "good.csv"]).done(to).expect("a run");
        assert_eq!(said.stderr.matches("the lineage of this run can't be told").count(), 1, "{to}: {}", said.stderr);
        assert!(!said.stderr.contains("sesame"), "{to}: {}", said.stderr);
    }
    // A file that was found, not named, sends nothing to an address before it is trusted.
    folder.write("websessions.toml", &format!("[lineage]\nto = \"{}\"\n", mock.url));
    let before = mock.seen().len();
    refused(&folder.run(&["run"]), 2, &["websessions trust"]);
    assert_eq!(mock.seen().len(), before);
}

/// The columns that an expression reads, as `ALIAS.COLUMN` or `COLUMN`.
fn columns_of(expression: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(expression, |one| {
        match one {
            Expr::CompoundIdentifier(parts) => {
                found.insert(parts.iter().map(|part| part.value.clone()).collect::<Vec<_>>().join("."));
            }
            Expr::Identifier(name) => {
                found.insert(name.value.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    found
}

/// What each column of a table that a plan makes is computed from, by its SQL.
fn computed(plan: &str, table: &str) -> BTreeMap<String, (Expr, BTreeSet<String>)> {
    let statement = plan
        .split(";\n")
        .find(|statement| statement.contains(&format!("TABLE \"scratch\".\"{table}\" AS")))
        .unwrap_or_else(|| panic!("the plan makes {table}"));
    let parsed = sqlparser::parser::Parser::parse_sql(&sqlparser::dialect::DuckDbDialect {}, statement).expect("SQL");
    let Some(Statement::CreateTable(create)) = parsed.into_iter().next() else { panic!("{table} is made") };
    let Query { body, .. } = *create.query.expect("from a SELECT");
    let SetExpr::Select(select) = *body else { panic!("{table} is one SELECT") };
    let Select { projection, .. } = *select;
    projection
        .into_iter()
        .map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => (alias.value, expr),
            SelectItem::UnnamedExpr(expr) => {
                let name = columns_of(&expr).into_iter().next().expect("a column");
                (name.rsplit('.').next().unwrap_or_default().to_owned(), expr)
            }
            other => panic!("{other}"),
        })
        .map(|(name, expr)| {
            let columns = columns_of(&expr);
            (name, (expr, columns))
        })
        .collect()
}

#[test]
fn the_lineage_of_each_column_is_that_of_the_sql() {
    // Production comes from the same SELECT: golden files show it.
    let plan = plan("main", "duckdb", &["skip_derived=true"]);
    let aggregates = computed(plan, "sessions_aggregates");
    let rows = computed(plan, "sessions_this_run");
    let lineage = sessions::module().column_lineage(&Variables::default());
    assert_eq!(lineage.len(), rows.len());
    for derived in lineage {
        let (expr, columns) = rows.get(&derived.column).unwrap_or_else(|| panic!("{} is computed", derived.column));
        let aggregated = columns.iter().any(|column| column.starts_with("aggregates."));
        let from: BTreeSet<String> = columns
            .iter()
            .flat_map(|column| match column.split_once('.') {
                Some(("aggregates", column)) => aggregates[column].1.clone(),
                Some((_, column)) => BTreeSet::from([column.to_owned()]),
                None => panic!("{column} is of a table"),
            })
            .collect();
        assert_eq!(derived.from.iter().cloned().collect::<BTreeSet<_>>(), from, "{}", derived.column);
        let plain = matches!(expr, Expr::CompoundIdentifier(_));
        // The session's id is what it is grouped by.
        let how = match (aggregated && derived.column != "domain_sessionid", plain) {
            (true, _) => Derivation::Aggregation,
            (false, true) => Derivation::Identity,
            (false, false) => Derivation::Transformation,
        };
        assert_eq!(derived.derivation, how, "{}", derived.column);
    }
}

#[test]
fn the_lineage_of_each_column_of_users_is_that_of_the_sql() {
    let rows = computed(plan("users_main", "duckdb", &[]), "users_this_run");
    let lineage = users::module().column_lineage(&Variables::default());
    assert_eq!(lineage.len(), rows.len());
    for derived in lineage {
        let (expr, mut columns) = rows.get(&derived.column).cloned().expect("it is computed");
        // Which session is a user's first, and which the last, is no value of theirs.
        let chosen = columns.remove("from_first") | columns.remove("from_last");
        assert_eq!(derived.from.iter().cloned().collect::<BTreeSet<_>>(), columns, "{}", derived.column);
        let how = match chosen || matches!(expr, Expr::Identifier(_)) {
            true => Derivation::Identity,
            false => Derivation::Aggregation,
        };
        assert_eq!((derived.derivation, derived.source), (how, "sessions"), "{}", derived.column);
    }
}

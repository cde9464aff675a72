//! The binary with columns of one's own: as files, a table, the documentation's examples and a wrong configuration have them.

#[path = "support/mod.rs"]
mod support;

use support::{Folder, done, fixtures, refused};

const VISITS: &str =
    "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,engaged_time_in_s,page_urlpath,mkt_medium,refr_medium,plan_tier,cents
a1,a,ann,2024-03-10 12:00:00,2024-03-10 12:00:30,12,/,CPC,,free,5
a2,a,ann,2024-03-10 12:01:00,2024-03-10 12:01:30,3,/checkout/thanks,,internal,gold,7
b1,b,ann,2024-03-11 12:00:00,2024-03-11 12:00:05,5,/,,search,,
c1,c,bob,2024-03-11 12:00:00,2024-03-11 12:00:05,50,/checkout/thanks/you,,,team,100
";
const COLUMNS: &str = "modules = [\"page_views\", \"sessions\", \"users\"]
[[column]]
name = \"plan_tier\"
from = \"first\"
type = \"text\"
users = \"last\"
[[column]]
name = \"last_plan\"
from = \"last\"
source = \"plan_tier\"
type = \"text\"
[[column]]
name = \"cents\"
from = \"sum\"
type = \"integer\"
users = \"sum\"
";

fn folder(configuration: &str) -> Folder {
    let folder = Folder::new();
    folder.write("websessions.toml", configuration);
    folder.write("visits.csv", VISITS);
    folder
}

/// Some columns of each row, through `export`.
fn rows(folder: &Folder, table: &str, columns: &[&str]) -> Vec<String> {
    let contents = folder.contents(table, &[]).expect("exported");
    let position = |name: &&str| contents.columns.iter().position(|column| column == name).expect("a column");
    let positions: Vec<usize> = columns.iter().map(position).collect();
    let shown = |row: &Vec<Option<String>>| {
        let cells: Vec<&str> = positions.iter().map(|at| row[*at].as_deref().unwrap_or("NULL")).collect();
        cells.join(" | ")
    };
    let mut rows: Vec<String> = contents.rows.iter().map(shown).collect();
    rows.sort();
    rows
}

const OF_SESSIONS: [&str; 3] = ["a | free | gold | 12", "b | NULL | NULL | NULL", "c | team | team | 100"];

fn sessions(folder: &Folder) -> Vec<String> {
    rows(folder, "sessions", &["domain_sessionid", "plan_tier", "last_plan", "cents"])
}

#[test]
fn files_bring_them_and_every_table_has_them() {
    let folder = folder(COLUMNS);
    let said = done(&folder, &["run", "--page-views", "visits.csv"]);
    assert!(!said.contains("left out, not the model's"), "{said}");
    assert_eq!(sessions(&folder), OF_SESSIONS);
    assert_eq!(
        rows(&folder, "users", &["domain_userid", "plan_tier", "cents"]),
        ["ann | NULL | 12", "bob | team | 100"]
    );
    assert_eq!(rows(&folder, "page_views", &["page_view_id", "plan_tier", "cents"])[1], "a2 | gold | 7");
    // Again, and then a newer form of one page view: the others come from what is stored.
    done(&folder, &["run", "--page-views", "visits.csv"]);
    assert_eq!(sessions(&folder), OF_SESSIONS);
    folder.write(
        "newer.csv",
        "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,PLAN_TIER,cents\na2,a,ann,2024-03-10 12:01:00,2024-03-10 12:09:00,team,8\n",
    );
    done(&folder, &["load", "newer.csv"]);
    done(&folder, &["run"]);
    assert_eq!(sessions(&folder)[0], "a | free | team | 13");
    // What is exported is loaded again, as it is.
    done(&folder, &["export", "page_views", "--to", "all.parquet"]);
    let other = folder_with(&folder, "all.parquet");
    done(&other, &["run", "--page-views", "all.parquet"]);
    assert_eq!(sessions(&other), sessions(&folder));
    // Types are as strict as the model's.
    folder.write("wrong.csv", "page_view_id,domain_sessionid,start_tstamp,cents\nd1,d,2024-03-12 12:00:00,4.5\n");
    refused(&folder.run(&["load", "wrong.csv"]), 1, &["wrong.csv", "cents", "4.5", "a whole number of 64 bits"]);
}

/// Another folder of the same configuration with a file of this one.
fn folder_with(from: &Folder, file: &str) -> Folder {
    let other = folder(COLUMNS);
    std::fs::copy(from.path().join(file), other.path().join(file)).expect("a copy");
    other
}

#[test]
fn looking_at_the_tables_shows_them() {
    let folder = folder(COLUMNS);
    done(&folder, &["load", "visits.csv"]);
    let listed = done(&folder, &["columns", "--output", "json"]);
    assert!(listed.contains("\"plan_tier\"") && listed.contains("\"your own\""), "{listed}");
    assert!(done(&folder, &["columns", "sessions"]).contains("last_plan"));
    done(&folder, &["run"]);
    let explained: serde_json::Value =
        serde_json::from_str(&done(&folder, &["explain", "a", "--output", "json"])).expect("JSON");
    let of = |name: &str| {
        let row = explained["rows"][0].as_array().expect("columns");
        row.iter().find(|column| column["column"] == name).cloned().expect("the column")
    };
    let plan = of("last_plan");
    assert_eq!(
        (&plan["rule"], &plan["source"], &plan["from"], &plan["agrees"]),
        (&"last".into(), &"plan_tier".into(), &serde_json::json!([2]), &true.into())
    );
    assert_eq!((&of("cents")["rule"], &of("cents")["agrees"]), (&"sum".into(), &true.into()));
    // A run would change nothing but what a declared column gives.
    folder.write(
        "newer.csv",
        "page_view_id,domain_sessionid,domain_userid,start_tstamp,end_tstamp,engaged_time_in_s,page_urlpath,cents\nb1,b,ann,2024-03-11 12:00:00,2024-03-11 12:00:05,6,/,9\n",
    );
    done(&folder, &["load", "newer.csv"]);
    let previewed: serde_json::Value =
        serde_json::from_str(&done(&folder, &["preview", "--output", "json"])).expect("JSON");
    assert!(previewed.to_string().contains("\"cents\""), "{previewed}");
    let shown = done(&folder, &["config", "show"]);
    assert!(shown.contains("column.cents") && shown.contains("sum of cents; users: sum"), "{shown}");
}

#[test]
fn a_table_of_ones_own_brings_them() {
    let folder =
        folder(&COLUMNS.replacen("[[column]]", "[variables]\npage_views_from = \"tracker.visits\"\n[[column]]", 1));
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database");
    connection
        .execute_batch(
            "CREATE SCHEMA tracker; CREATE TABLE tracker.visits AS SELECT * FROM read_csv('visits.csv')"
                .replace("'visits.csv'", &format!("'{}'", folder.path().join("visits.csv").display()))
                .as_str(),
        )
        .expect("a table");
    drop(connection);
    done(&folder, &["run"]);
    assert_eq!(sessions(&folder), OF_SESSIONS);
}

#[test]
fn a_column_that_the_staged_page_views_lack_is_named_before_anything_changes() {
    let folder = folder("");
    done(&folder, &["load", "visits.csv"]);
    folder.write("websessions.toml", COLUMNS);
    let before = folder.dump();
    let said = folder.run(&["run"]);
    refused(
        &said,
        1,
        &[
            "scratch.page_views_staged: column plan_tier, which the configuration declares, is missing",
            "scratch.page_views_staged: column cents, which",
            "nothing was changed",
        ],
    );
    assert_eq!(folder.dump(), before);
    // A column of the staged page views that nothing declares is nobody's business.
    folder.write("websessions.toml", "");
    let connection = duckdb::Connection::open(folder.path().join("websessions.duckdb")).expect("the database");
    connection.execute_batch("ALTER TABLE scratch.page_views_staged ADD COLUMN note INTEGER").expect("a column");
    drop(connection);
    done(&folder, &["run"]);
    assert_eq!(folder.contents("sessions", &[]).expect("exported").rows.len(), 3);
}

/// The examples of `docs/columns.md`, as they stand there.
fn examples() -> String {
    let page = std::fs::read_to_string(fixtures().join("../docs/columns.md")).expect("the page");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect();
    assert_eq!(blocks.len(), 4, "the examples of the page");
    blocks.concat()
}

#[test]
fn the_examples_of_the_documentation_do_what_they_say() {
    let folder = folder(&format!("modules = [\"page-views\", \"sessions\", \"users\"]\n{}", examples()));
    done(&folder, &["run", "--page-views", "visits.csv"]);
    let columns = ["domain_sessionid", "plan_tier", "channel", "bounced", "conversions"];
    assert_eq!(
        rows(&folder, "sessions", &columns)
            .iter()
            .map(|row| row.replace("true", "t").replace("false", "f"))
            .collect::<Vec<_>>(),
        ["a | free | Paid | f | 1", "b | NULL | Organic search | t | 0", "c | team | Direct | f | 1"]
    );
    assert_eq!(
        rows(&folder, "users", &["domain_userid", "plan_tier", "channel", "conversions"]),
        ["ann | NULL | Paid | 1", "bob | team | Direct | 1"]
    );
    let explained = done(&folder, &["explain", "a"]);
    assert!(explained.contains("channel"), "{explained}");
}

#[test]
fn a_wrong_declaration_is_refused_with_its_place() {
    let of = |keys: &str| format!("[[column]]\nname = \"plan\"\nfrom = \"first\"\ntype = \"text\"\n{keys}\n");
    for (configuration, words) in [
        (of("sauce = \"x\""), &["[[column]] \"plan\"", "unknown key \"sauce\"", "did you mean \"source\""] as &[&str]),
        ("[[column]]\nname = \"plan\"\n".to_owned(), &["[[column]] \"plan\"", "missing field `from`"]),
        ("[[column]]\nname = 5\n".to_owned(), &["[[column]] number 1", "string"]),
        ("column = 5\n".to_owned(), &["column must be an array of tables, [[column]]"]),
        ("[[colum]]\n".to_owned(), &["unknown key \"colum\"", "did you mean \"column\""]),
        (of("users = \"fist\""), &["users", "did you mean \"first\""]),
        // Ten ways to say more than a value.
        (of("sql = \"1; DROP TABLE derived.sessions\""), &["[[column]] \"plan\": sql: must be one expression"]),
        (of("sql = \"(SELECT password FROM accounts)\""), &["sql: may have no subquery"]),
        (of("sql = \"1 -- '\""), &["sql: may have no comment"]),
        (of("sql = \"1 /* */\""), &["sql: may have no comment"]),
        (of("sql = \"'a' || pg_read_file('/etc/passwd')\""), &["sql: unknown function"]),
        (of("sql = \"max(page_url)\""), &["sql: is computed for one page view"]),
        (of("sql = \"row_number() over ()\""), &["sql: is computed for one page view"]),
        (of("sql = \"$1\""), &["sql: may have no placeholder"]),
        (of("sql = '''\"page_url\"'''"), &["sql: names columns without quotes"]),
        (of("sql = '''\\'\\' OR 1=1 --'''"), &["sql: "]),
        (of("sql = \"page_url) AS plan, (page_title\""), &["sql: must be one expression"]),
        (of("source = \"x) FROM accounts --\""), &["source: ", "is not a usable name"]),
        (of("source = \"select\""), &["source: \"select\" is a word of SQL"]),
        (of("").replace("\"plan\"", "\"plan\\\" TEXT, x\""), &["name: ", "is not a usable name"]),
        (
            of("").replace("\"plan\"", "\"app_id\""),
            &["[[column]] \"app_id\": name: the model has a column of this name"],
        ),
        // The name first: another type would not help.
        (
            of("").replace("\"plan\"", "\"domain_userid\"").replace("\"text\"", "\"integer\""),
            &["name: the model has a column of this name"],
        ),
        (of("").replace("\"plan\"", "\"1a\""), &["name: \"1a\" is not a usable name: a lower-case letter first"]),
        (of("").replace("\"plan\"", "\"_x\""), &["name: \"_x\" is not a usable name: a lower-case letter first"]),
        (of("sql = \"\""), &["sql: is empty"]),
        (of("sql = \"getenv('HOME')\""), &["sql: unknown function \"getenv\"; known are: abs, "]),
    ] {
        let folder = folder(&configuration);
        let said = folder.run(&["run", "--page-views", "visits.csv"]);
        refused(&said, 2, &[&["websessions.toml"], words].concat());
        assert_eq!(folder.dump(), "no database", "{configuration}");
    }
}

#[test]
fn a_value_that_cant_be_computed_is_told_with_the_columns_that_may_be_why() {
    let of = |sql: &str| {
        format!("{COLUMNS}[[column]]\nname = \"tier_number\"\nfrom = \"first\"\ntype = \"integer\"\nsql = \"{sql}\"\n")
    };
    for sql in ["plan_tier", "CAST(plan_tier AS INTEGER)"] {
        let folder = folder(&of(sql));
        let named = format!("tier_number (first of {sql})");
        let words = ["[[column]]", &named, "TRY_CAST"];
        let said = folder.run(&["run", "--page-views", "visits.csv"]);
        refused(&said, 1, &words);
        // Those that give a value as it is are not why.
        let hint = said.stderr.split("hint: ").last().expect("a hint");
        assert!(!hint.contains("last_plan"), "{hint}");
        // The page views wait, and a preview of them says the same.
        refused(&folder.run(&["preview"]), 1, &words);
        folder.write("websessions.toml", &of("TRY_CAST(plan_tier AS INTEGER)"));
        done(&folder, &["preview"]);
        done(&folder, &["run"]);
        assert_eq!(rows(&folder, "sessions", &["domain_sessionid", "tier_number"])[0], "a | NULL");
    }
}

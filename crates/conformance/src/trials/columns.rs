//! Columns of one's own: what a configuration declares beside the model's columns equals what a hand computes of the page views.

use super::page_views::{expect, rows, two_sessions, view};
use super::{Trial, trials};
use crate::csv::Cell;
use crate::{Case, Harness};
use serde_json::{Value, json};
use websessions_core::error::Error;
use websessions_core::model::page_views::tables::PAGE_VIEWS;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::users::tables::USERS;
use websessions_core::model::{own_columns, page_views, users};
use websessions_core::own_columns::Declaration;
use websessions_core::plan::Phase;
use websessions_core::table::ColumnType;

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    columns_of_ones_own_equal_a_hand_computation,
    a_page_view_whose_own_column_changed_between_main_and_complete_stays,
    columns_of_ones_own_come_through_page_views,
    a_declared_column_that_is_missing_stops_the_run_before_anything_changes,
    a_column_of_the_input_that_nothing_declares_is_left_alone,
];

const BOTH: &[Phase] = &[Phase::Main, Phase::Complete];

fn declared(name: &str, from: &str, value_type: &str) -> Declaration {
    Declaration { name: name.into(), from: from.into(), value_type: value_type.into(), ..Declaration::default() }
}

/// A column of each kind, with a name that a hand computation goes by.
fn declarations() -> Vec<Declaration> {
    let of = |name, from, value_type, source: &str, users: Option<&str>| Declaration {
        source: Some(source.to_owned()),
        users: users.map(str::to_owned),
        ..declared(name, from, value_type)
    };
    let computed = |name, from, value_type, sql: &str, users: &str| Declaration {
        sql: Some(sql.to_owned()),
        users: Some(users.to_owned()),
        ..declared(name, from, value_type)
    };
    vec![
        of("first_plan", "first", "text", "plan_tier", Some("first")),
        of("last_plan", "last", "text", "plan_tier", Some("last")),
        of("revenue", "sum", "integer", "cents", Some("sum")),
        of("least", "min", "integer", "cents", Some("min")),
        of("best_plan", "max", "text", "plan_tier", Some("max")),
        of("plans", "count_distinct", "text", "plan_tier", Some("max")),
        of("deepest", "max", "float", "vertical_percentage_scrolled", None),
        of("seen", "max", "timestamp", "loaded_at", None),
        of("trial_first", "first", "boolean", "trial", Some("last")),
        of("trial_any", "any", "boolean", "trial", Some("any")),
        computed("conversions", "sum", "integer", "CASE WHEN page_title = 'thanks' THEN 1 ELSE 0 END", "sum"),
        computed(
            "channel",
            "first",
            "text",
            "CASE WHEN page_title = 'ad' THEN 'paid' WHEN cents > 100 THEN 'rich' ELSE 'direct' END",
            "first",
        ),
        computed("engaged", "any", "boolean", "engaged_time_in_s >= 10 AND cents > 100", "any"),
    ]
}

async fn case(harness: &dyn Harness, declarations: &[Declaration]) -> Result<Case, String> {
    let mut case = Case::new(harness, json!({ "stage_next": true })).await?;
    case.variables.columns = own_columns(declarations).map_err(|error: Error| error.to_string())?;
    Ok(case)
}

/// A page view with the model's few columns and these of one's own.
fn with_own(mut view: Vec<Cell>, user: &str, title: &str, own: [&str; 5]) -> Vec<Cell> {
    let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (view[2], view[7]) = (cell(user), cell(title));
    view.extend(own.map(cell));
    view
}

fn columns() -> Vec<String> {
    let model = super::page_views::COLUMNS.iter().copied();
    let own = ["plan_tier", "cents", "loaded_at", "trial", "vertical_percentage_scrolled"];
    model.chain(own).map(str::to_owned).collect()
}

/// Sessions a, b and c of ann, and d of bob.
fn visits() -> Vec<Vec<Cell>> {
    let at = |hour: &str| format!("2024-03-12 {hour}:00:00");
    vec![
        with_own(view("a", 1, 10, 1), "ann", "ad", ["free", "5", &at("10"), "false", "10.5"]),
        with_own(view("a", 2, 10, 2), "ann", "page", ["", "", &at("12"), "", ""]),
        with_own(view("a", 3, 10, 3), "ann", "thanks", ["gold", "-2", &at("11"), "true", "7.25"]),
        with_own(view("b", 1, 11, 1), "ann", "page", ["", "900", "", "", ""]),
        with_own(view("b", 2, 11, 2), "ann", "thanks", ["Free", "4000000000", "", "", ""]),
        with_own(view("c", 1, 11, 9), "ann", "page", ["it's", "7", &at("13"), "true", "100"]),
        with_own(view("d", 1, 11, 1), "bob", "page", ["", "", "", "", ""]),
    ]
}

fn texts(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

async fn columns_of_ones_own_equal_a_hand_computation(harness: &dyn Harness) -> Result<(), String> {
    let case = case(harness, &declarations()).await?;
    case.stage(&columns(), visits()).await?;
    case.run().await?;
    let text = ["domain_sessionid", "first_plan", "last_plan", "best_plan", "plans", "channel"];
    let expected = [
        "a | free | gold | gold | 2 | paid",
        "b | NULL | Free | Free | 1 | rich",
        "c | it's | it's | it's | 1 | direct",
        "d | NULL | NULL | NULL | 0 | direct",
    ];
    expect("text of sessions", rows(&case, SESSIONS, &text).await?, texts(&expected))?;
    let numbers = ["domain_sessionid", "revenue", "least", "conversions", "deepest", "seen"];
    let expected = [
        "a | 3 | -2 | 1 | 10.5 | 2024-03-12 12:00:00.000000",
        "b | 4000000900 | 900 | 1 | NULL | NULL",
        "c | 7 | 7 | 0 | 100.0 | 2024-03-12 13:00:00.000000",
        "d | NULL | NULL | 0 | NULL | NULL",
    ];
    expect("numbers of sessions", rows(&case, SESSIONS, &numbers).await?, texts(&expected))?;
    let flags = ["domain_sessionid", "trial_first", "trial_any", "engaged"];
    let expected = ["a | f | t | f", "b | NULL | NULL | t", "c | t | t | f", "d | NULL | NULL | NULL"];
    expect("flags of sessions", rows(&case, SESSIONS, &flags).await?, texts(&expected))?;

    let of_users = case.clone().of(users::module());
    of_users.phases(BOTH).await.map_err(crate::case::explain)?;
    let text = ["domain_userid", "first_plan", "last_plan", "best_plan", "plans", "channel"];
    let expected = ["ann | free | it's | it's | 2 | paid", "bob | NULL | NULL | NULL | 0 | direct"];
    expect("text of users", rows(&of_users, USERS, &text).await?, texts(&expected))?;
    let numbers = ["domain_userid", "revenue", "least", "conversions", "trial_first", "trial_any", "engaged"];
    let expected = ["ann | 4000000910 | -2 | 2 | t | t | t", "bob | NULL | NULL | 0 | NULL | NULL | NULL"];
    expect("numbers of users", rows(&of_users, USERS, &numbers).await?, texts(&expected))?;
    expect("no column of users unless declared", of_users.table(USERS)?.column("deepest").is_none(), true)?;

    // A session that comes again is computed whole.
    let again = vec![
        with_own(view("b", 1, 11, 1), "ann", "page", ["team", "900", "", "", ""]),
        with_own(view("b", 2, 11, 2), "ann", "thanks", ["Free", "4000000000", "", "", ""]),
        with_own(view("b", 3, 11, 3), "ann", "thanks", ["gold", "1", "", "", ""]),
    ];
    case.stage(&columns(), again).await?;
    case.run().await?;
    let changed = ["domain_sessionid", "first_plan", "last_plan", "revenue", "conversions"];
    let found = rows(&case, SESSIONS, &changed).await?;
    expect("a session that came again", found[1].as_str(), "b | team | gold | 4000000901 | 2")?;
    case.drop().await
}

async fn a_page_view_whose_own_column_changed_between_main_and_complete_stays(
    harness: &dyn Harness,
) -> Result<(), String> {
    let by_expression = Declaration { sql: Some("doc_width / 2".to_owned()), ..declared("half", "max", "integer") };
    let case = case(harness, &[declared("plan_tier", "last", "text"), by_expression]).await?;
    let mut columns: Vec<String> = super::page_views::COLUMNS.iter().map(|column| (*column).to_owned()).collect();
    columns.extend(["plan_tier", "doc_width"].map(str::to_owned));
    let own = |mut row: Vec<Cell>, plan: &str, width: &str| {
        row.extend([Some(plan.to_owned()), Some(width.to_owned())]);
        row
    };
    let staged = two_sessions().into_iter().map(|row| own(row, "free", "100")).collect();
    case.stage(&columns, staged).await?;
    case.phase(Phase::Main).await?;
    // Nothing else of them is new.
    let again = vec![own(view("a", 2, 10, 2), "gold", "100"), own(view("b", 2, 11, 2), "free", "300")];
    case.stage(&columns, again).await?;
    case.phase(Phase::Complete).await?;
    let ids = super::page_views::staged(&case).await?;
    expect("staged", ids, texts(&["a-1", "a-2", "b-1", "b-2"]))?;
    case.run().await?;
    let found = rows(&case, SESSIONS, &["domain_sessionid", "plan_tier", "half"]).await?;
    expect("sessions", found, texts(&["a | gold | 50", "b | free | 150"]))?;
    case.drop().await
}

async fn columns_of_ones_own_come_through_page_views(harness: &dyn Harness) -> Result<(), String> {
    let case = case(harness, &declarations()).await?.of(page_views::module());
    let arrived = case.table(page_views::tables::PAGE_VIEWS_ARRIVED)?;
    let mut name = case.name(PAGE_VIEWS)?;
    name.name = "visits".to_owned();
    case.insert(&arrived, &name, &columns(), visits()).await?;
    // Names that only quotes reach, where names have a case.
    let (dialect, mut over) = (case.warehouse.dialect(), name.clone());
    over.name = "visits_spelled".to_owned();
    let spelled = |column: &String| match column.as_str() {
        "page_view_id" => format!("page_view_id AS {}", dialect.column_name("Page_View_Id")),
        "plan_tier" => format!("plan_tier AS {}", dialect.column_name("Plan_Tier")),
        _ => column.clone(),
    };
    let list: Vec<String> = columns().iter().map(spelled).collect();
    let select = format!("SELECT {} FROM {}", list.join(", "), dialect.table(&name));
    case.sql(dialect.create_view(&over, &select).sql).await?;
    let mut with_source = case.with(json!({ "page_views_from": over.to_string() }))?;
    let source = page_views::read_source(&*case.warehouse, &with_source.variables).await;
    let source = source.map_err(|error| error.to_string())?.ok_or("it names no table")?;
    expect("columns that are left out", source.ignored_columns, Vec::new())?;
    with_source.variables.page_views_columns = Some(source.columns);
    let runs = || async {
        with_source.phases(BOTH).await.map_err(crate::case::explain)?;
        let of_sessions = with_source.clone().of(websessions_core::model::sessions::module());
        of_sessions.run().await?;
        rows(&of_sessions, SESSIONS, &["domain_sessionid", "first_plan", "last_plan", "revenue", "channel"]).await
    };
    let expected = [
        "a | free | gold | 3 | paid",
        "b | NULL | Free | 4000000900 | rich",
        "c | it's | it's | 7 | direct",
        "d | NULL | NULL | NULL | direct",
    ];
    expect("sessions", runs().await?, texts(&expected))?;
    // A newer form of one page view, of whose session the others come from what is stored.
    let mut newer = with_own(view("a", 3, 10, 3), "ann", "thanks", ["team", "10", "", "", ""]);
    newer[5] = Some("2024-03-10 13:00:00".to_owned());
    case.append(&arrived, &name, &columns(), vec![newer]).await?;
    let found = runs().await?;
    expect("a newer form", found[0].as_str(), "a | free | team | 15 | paid")?;
    let stored = rows(&case, PAGE_VIEWS, &["page_view_id", "plan_tier", "cents"]).await?;
    let of_a: Vec<String> = stored.into_iter().filter(|row| row.starts_with("a-")).collect();
    expect("page views", of_a, texts(&["a-1 | free | 5", "a-2 | NULL | NULL", "a-3 | team | 10"]))?;
    case.drop().await
}

async fn a_declared_column_that_is_missing_stops_the_run_before_anything_changes(
    harness: &dyn Harness,
) -> Result<(), String> {
    let without = Case::new(harness, Value::Null).await?;
    super::page_views::stage(&without, two_sessions()).await?;
    let mut case = without.clone();
    case.variables.columns =
        own_columns(&[declared("plan_tier", "first", "text")]).map_err(|error: Error| error.to_string())?;
    // Where names have a case, this is another column, which only quotes reach.
    let dialect = case.warehouse.dialect();
    let other = ["plan_tier", "PLAN_TIER"].into_iter().find(|name| dialect.catalog_name(name) != *name);
    if let Some(other) = other {
        let (table, text) = (dialect.table(&case.name(PAGE_VIEWS_STAGED)?), dialect.column_type(ColumnType::Text));
        case.sql(format!("ALTER TABLE {table} ADD COLUMN \"{other}\" {text}")).await?;
    }
    let before = case.tables().await?;
    let error = case.phase(Phase::Main).await.err().ok_or("it did not fail")?;
    for words in ["page_views_staged: column plan_tier", "which the configuration declares, is missing"] {
        expect(words, error.contains(words), true).map_err(|problem| format!("{problem}: {error}"))?;
    }
    expect("tables", case.tables().await?, before)?;
    case.drop().await
}

async fn a_column_of_the_input_that_nothing_declares_is_left_alone(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    super::page_views::stage(&case, two_sessions()).await?;
    let dialect = case.warehouse.dialect();
    let (table, integer) = (dialect.table(&case.name(PAGE_VIEWS_STAGED)?), dialect.column_type(ColumnType::Integer));
    case.sql(format!("ALTER TABLE {table} ADD COLUMN of_their_own {integer}")).await?;
    case.sql(format!("UPDATE {table} SET of_their_own = page_view_in_session_index WHERE domain_sessionid = 'a'"))
        .await?;
    case.phase(Phase::Main).await?;
    super::page_views::arrive(&case, vec![view("a", 3, 10, 3)]).await?;
    case.phase(Phase::Complete).await?;
    let staged = super::page_views::staged(&case).await?;
    expect("staged", staged, texts(&["a-1", "a-2", "a-3"]))?;
    let sql = format!("SELECT COUNT(of_their_own) AS found, SUM(of_their_own) AS sum FROM {table}");
    let found = case.warehouse.query(&sql).await.map_err(|error| error.to_string())?;
    expect("its values stay", ["found", "sum"].map(|name| found.get(0, name).as_integer()), [2, 3])?;
    case.run().await?;
    expect("staged at the end", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    let of_sessions = super::page_views::sessions(&case).await?;
    expect("sessions", of_sessions, texts(&["a: 3, page 3", "b: 2, page 2"]))?;
    case.drop().await
}

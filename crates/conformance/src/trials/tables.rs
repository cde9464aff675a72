//! Which tables are ours: drift, destroy, entropy.

use super::page_views::{expect, sessions, stage, two_sessions, view};
use super::{Trial, trials};
use crate::{Case, Harness};
use serde_json::{Value, json};
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::Phase;
use websessions_core::table::{ColumnType, TableName};

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    a_drifted_table_stops_the_run_before_anything_changes,
    destroy_drops_what_is_ours_and_nothing_else,
    entropy_keeps_tables_apart,
    the_tables_of_an_earlier_run_are_taken_over,
];

async fn a_drifted_table_stops_the_run_before_anything_changes(harness: &dyn Harness) -> Result<(), String> {
    let alterations = [
        (SESSIONS, "ADD COLUMN of_their_own", "of_their_own is not the model's"),
        (SESSIONS, "DROP COLUMN app_id", "column app_id is missing"),
        (PAGE_VIEWS_STAGED, "DROP COLUMN domain_sessionid", "column domain_sessionid is missing"),
        (DATAMODEL_METADATA, "DROP COLUMN module", "column module is missing"),
        (SESSIONS_USERID_MANIFEST_STAGED, "DROP COLUMN start_tstamp", "column start_tstamp is missing"),
    ];
    for (table, alteration, expected) in alterations {
        let case = Case::new(harness, Value::Null).await?;
        stage(&case, two_sessions()).await?;
        case.run().await?;
        stage(&case, vec![view("c", 1, 12, 1)]).await?;
        let dialect = case.warehouse.dialect();
        let mut sql = format!("ALTER TABLE {} {alteration}", dialect.table(&case.name(table)?));
        if alteration.starts_with("ADD") {
            sql = format!("{sql} {}", dialect.column_type(ColumnType::Integer));
        }
        case.sql(sql).await?;
        let before = case.tables().await?;
        let error =
            case.phases(&[Phase::Main, Phase::Complete]).await.err().ok_or(format!("{alteration}: it did not fail"))?;
        expect("says the difference", error.error.to_string().contains(expected), true)
            .map_err(|problem| format!("{problem}: {}", error.error))?;
        expect("names the table", error.error.to_string().contains(table), true)?;
        expect("done", error.report.done(), Vec::<String>::new())?;
        expect("tables", case.tables().await?, before)?;
        expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 1)?;
        case.drop().await?;
    }
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    let dialect = case.warehouse.dialect();
    let name = dialect.table(&case.name(SESSIONS)?);
    case.sql(dialect.create_schema(&case.variables.output_schema).sql).await?;
    let columns: Vec<String> = case
        .table(SESSIONS)?
        .columns
        .iter()
        .map(|column| {
            let column_type = if column.name == "page_views" { ColumnType::Text } else { column.column_type };
            format!("{} {}", column.name, dialect.column_type(column_type))
        })
        .collect();
    case.sql(format!("CREATE TABLE {name} ({})", columns.join(", "))).await?;
    let error = case.phase(Phase::Main).await.err().ok_or("another type: it did not fail")?;
    expect("says the type", error.contains("page_views is") && error.contains("not integer"), true)
        .map_err(|problem| format!("{problem}: {error}"))?;
    case.drop().await
}

async fn destroy_drops_what_is_ours_and_nothing_else(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"cleanup_mode": "trace", "stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.run().await?;
    stage(&case, vec![view("c", 1, 12, 1)]).await?;
    let users_own = case
        .warehouse
        .dialect()
        .table(&TableName { schema: case.variables.output_schema.clone(), name: "sessions_of_their_own".into() });
    let integer = case.warehouse.dialect().column_type(ColumnType::Integer);
    case.sql(format!("CREATE TABLE {users_own} (number {integer})")).await?;
    case.phase(Phase::Destroy).await?;
    expect(
        "tables",
        case.tables().await?,
        ["derived.datamodel_metadata", "derived.sessions_of_their_own", "scratch.page_views_staged"]
            .map(str::to_owned)
            .to_vec(),
    )?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 1)?;
    case.phase(Phase::Destroy).await?;
    case.drop().await
}

async fn entropy_keeps_tables_apart(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"ends_run": true})).await?;
    stage(&case, two_sessions()).await?;
    let test = case.with(json!({"entropy": "_test"}))?;
    stage(&test, vec![view("c", 1, 12, 1)]).await?;
    test.run().await?;
    expect("staged without entropy", case.count(PAGE_VIEWS_STAGED).await?, 4)?;
    expect("test sessions", sessions(&test).await?, vec!["c: 1, page 1".to_owned()])?;
    let all_suffixed =
        case.tables().await?.iter().filter(|table| !table.ends_with("_test")).cloned().collect::<Vec<_>>();
    expect("tables without entropy", all_suffixed, vec!["scratch.page_views_staged".to_owned()])?;
    case.run().await?;
    expect("test sessions afterwards", test.count(SESSIONS).await?, 1)?;
    expect("sessions", case.count(SESSIONS).await?, 2)?;
    test.phase(Phase::Destroy).await?;
    expect("sessions after the test's destroy", case.count(SESSIONS).await?, 2)?;
    case.drop().await
}

/// Whether a run kept its tables, ended between its phases, or kept nothing: the next one has the same names, be they of tables
/// or of views.
async fn the_tables_of_an_earlier_run_are_taken_over(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"ends_run": true})).await?;
    let of = |id: &str| vec![view(id, 1, 12, 1)];
    let is_kept =
        async || -> Result<bool, String> { Ok(case.tables().await?.contains(&"scratch.sessions_this_run".to_owned())) };
    for (id, mode) in [("a", "trace"), ("b", "debug"), ("c", "trace"), ("d", "all"), ("e", "debug")] {
        stage(&case, of(id)).await?;
        case.with(json!({"cleanup_mode": mode}))?.run().await?;
        expect(mode, is_kept().await?, mode != "all")?;
        if is_kept().await? {
            expect("the sessions that are kept", case.count(SESSIONS_THIS_RUN).await?, 1)?;
        }
    }
    // main alone, twice: the second has the first one's view, or table, before it.
    stage(&case, of("f")).await?;
    case.phase(Phase::Main).await?;
    stage(&case, of("g")).await?;
    case.run().await?;
    expect("sessions", case.count(SESSIONS).await?, 7)?;
    expect("staged", case.count(PAGE_VIEWS_STAGED).await?, 0)?;
    expect("kept", is_kept().await?, false)?;
    case.drop().await
}

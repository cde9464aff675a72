//! The SQL itself: what is planned is sent, variables are no SQL, and values come back as they went in.

use super::page_views::{expect, sessions, stage, two_sessions, view, view_titled};
use super::{Trial, trials};
use crate::csv::Cell;
use crate::{Case, Fault, Faulty, Harness};
use serde_json::{Value, json};
use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Error, WarehouseError, WarehouseErrorKind};
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::DATAMODEL_METADATA;
use websessions_core::plan::{OnlyIf, Phase, Statement};
use websessions_core::preflight;
use websessions_core::rows::Rows;
use websessions_core::variables::Variables;
use websessions_core::warehouse::{Done, Warehouse};

pub(super) const TRIALS: &[(&str, Trial)] = trials![
    the_plan_is_what_is_sent,
    no_variable_carries_sql,
    text_survives_whatever_it_holds,
    only_blanks_pad_an_id,
    rights_are_looked_at_without_a_change,
    what_is_there_need_not_be_made,
    seconds_are_boundaries_crossed,
];

async fn the_plan_is_what_is_sent(harness: &dyn Harness) -> Result<(), String> {
    let base = Case::new(harness, json!({"stage_next": true, "lookback_guard": "fail", "ends_run": true})).await?;
    stage(&base, two_sessions()).await?;
    for phase in [Phase::Main, Phase::Complete, Phase::Destroy] {
        let recording = Arc::new(Faulty::new(Arc::clone(&base.warehouse), Fault::None));
        base.through(Arc::clone(&recording) as Arc<_>).phase(phase).await?;
        let plan = base.module.plan(phase, &base.variables, &base.warehouse.dialect());
        // No users module has read anything here, and no table is big: what depends on that is asked, and left out.
        let statements = || plan.units().flat_map(|(_, unit)| unit.statements());
        let asked: Vec<&str> = statements().filter_map(|one| one.only_if.as_ref()).map(OnlyIf::query).collect();
        let planned: Vec<&str> = statements().filter(|one| one.only_if.is_none()).map(|one| one.sql.as_str()).collect();
        let sent = recording.sent();
        let sent: Vec<&str> = sent.iter().map(String::as_str).filter(|sql| !asked.contains(sql)).collect();
        expect(phase.name(), sent, planned)?;
    }
    base.drop().await
}

async fn no_variable_carries_sql(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    stage(&case, two_sessions()).await?;
    for (name, _) in case.variables.to_values() {
        for attack in
            ["_x; drop table", "x\"; drop schema scratch; --", "x'); --", "`x`", "x\\", "$$", "1; select 1", "\u{2028}"]
        {
            let values = [(name.clone(), json!(attack))].into_iter().collect();
            match Variables::from_values(&values) {
                Err(Error::Configuration { .. }) => {}
                Err(error) => return Err(format!("{name} = {attack:?}: {error}")),
                // An unknown cleanup mode acts as all; the text goes no further.
                Ok((variables, _)) if name == "cleanup_mode" => {
                    let sql = case
                        .module
                        .plan(Phase::Complete, &variables, &case.warehouse.dialect())
                        .to_sql(&*case.warehouse.dialect());
                    expect("cleanup_mode in the plan", sql.contains(attack), false)?;
                }
                Ok(_) => return Err(format!("{name} = {attack:?} was accepted")),
            }
        }
    }
    case.run().await?;
    case.drop().await
}

async fn text_survives_whatever_it_holds(harness: &dyn Harness) -> Result<(), String> {
    let titles = [
        "it's \"quoted\"",
        "back\\slash \\' \\n",
        "line\nbreak\ttab",
        "ü 製品 📈",
        "",
        "'; DROP TABLE sessions; --",
        "{{ title }} $$ %s ? :x @y",
    ];
    let case = Case::new(harness, Value::Null).await?;
    let rows = titles
        .iter()
        .enumerate()
        .map(|(number, title)| view_titled(&format!("s{number}"), 1, 10, number, title))
        .collect();
    stage(&case, rows).await?;
    case.run().await?;
    let mut expected: Vec<Cell> = titles.iter().map(|title| Some((*title).to_owned())).collect();
    expected.sort();
    expect("titles", case.contents(SESSIONS).await?.column("first_page_title"), expected)?;
    case.drop().await
}

/// A blank, U+0020, at the end of an id pads it, as `CHAR` columns do; any other space is part of it, and one at its
/// beginning too.
async fn only_blanks_pad_an_id(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, Value::Null).await?;
    let id = |session: &str, index: usize, id: &str| {
        let mut row = view(session, index, 10, index);
        row[0] = Some(id.to_owned());
        row
    };
    let different = ["a", "a\u{a0}", "a\u{2003}", "a\u{3000}", " a"];
    let mut rows: Vec<Vec<Cell>> = different.iter().zip(1..).map(|(text, index)| id("spaces", index, text)).collect();
    rows.extend([id("padded", 1, "b"), id("padded", 2, "b   ")]);
    stage(&case, rows).await?;
    case.run().await?;
    expect("sessions", sessions(&case).await?, vec!["padded: 1, page 1".to_owned(), "spaces: 5, page 5".to_owned()])?;
    case.drop().await
}

/// What doctor asks of the tables: it is understood, and no row comes or goes.
async fn rights_are_looked_at_without_a_change(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({"stage_next": true})).await?;
    stage(&case, two_sessions()).await?;
    case.run().await?;
    stage(&case, two_sessions()).await?;
    let modules = [case.module];
    let changed = preflight::changes(&modules, &case.variables, &case.warehouse.dialect());
    expect("the tables that a run changes", changed.contains_key(SESSIONS), true)?;
    for table in [PAGE_VIEWS_STAGED, SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, DATAMODEL_METADATA] {
        expect(table, changed.contains_key(table), true)?;
        let before = case.contents(table).await?;
        preflight::check_rights(&*case.warehouse, &modules, &changed, &case.variables, &case.table(table)?)
            .await
            .map_err(|error| format!("{table}: {error}"))?;
        case.contents(table).await?.expect(&before, table)?;
    }
    case.drop().await
}

/// Refuses to make schemas, indexes, and the tables of the output schema, as a warehouse does to a role that may only use
/// them, and to one that makes them while another does.
struct MakesNothing {
    inner: Arc<dyn Warehouse>,
    kind: WarehouseErrorKind,
    outputs: Vec<String>,
}

#[async_trait]
impl Warehouse for MakesNothing {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        let sql = &statement.sql;
        let makes_output = statement.there.is_some() && self.outputs.iter().any(|table| sql.contains(table));
        if makes_output || ["CREATE SCHEMA", "CREATE INDEX"].iter().any(|words| sql.starts_with(words)) {
            return Err(WarehouseError::new(self.kind, format!("may not {}", statement.purpose)));
        }
        self.inner.execute(statement).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        self.inner.execute_block(statements).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.inner.query(sql).await
    }
}

/// A refusal to make what is there is no failure, whatever its reason; a refusal to make what is not there is.
async fn what_is_there_need_not_be_made(harness: &dyn Harness) -> Result<(), String> {
    for kind in [WarehouseErrorKind::Permission, WarehouseErrorKind::Other] {
        let case = Case::new(harness, Value::Null).await?;
        let dialect = case.warehouse.dialect();
        let outputs =
            [case.name(SESSIONS)?, case.name(DATAMODEL_METADATA)?].iter().map(|name| dialect.table(name)).collect();
        let limited = case.through(Arc::new(MakesNothing { inner: Arc::clone(&case.warehouse), kind, outputs }));
        stage(&case, two_sessions()).await?;
        let refused = limited.phase(Phase::Main).await.err().ok_or("a schema that is not there was not missed")?;
        expect("the refusal's words", refused.contains("may not"), true)?;
        case.run().await?;
        stage(&case, vec![view("c", 1, 12, 1)]).await?;
        limited.run().await?;
        expect("sessions", sessions(&case).await?.len(), 3)?;
        case.drop().await?;
    }
    Ok(())
}

async fn seconds_are_boundaries_crossed(harness: &dyn Harness) -> Result<(), String> {
    let cases = [
        ("2024-03-10 12:00:00.900000", "2024-03-10 12:00:01.100000", "1"),
        ("2024-03-10 12:00:00.100000", "2024-03-10 12:00:00.900000", "0"),
        ("2024-03-10 12:00:00.999999", "2024-03-10 12:00:02.000000", "2"),
        ("2024-03-10 12:00:01.100000", "2024-03-10 12:00:00.900000", "-1"),
        ("1969-12-31 23:59:59.900000", "1970-01-01 00:00:00.100000", "1"),
        ("2024-02-28 23:59:59.999999", "2024-03-01 00:00:00.000000", "86401"),
    ];
    let case = Case::new(harness, Value::Null).await?;
    let rows = cases
        .iter()
        .enumerate()
        .map(|(number, (start, end, _))| {
            let mut row = view(&format!("s{number}"), 1, 10, number);
            (row[4], row[5]) = (Some((*start).to_owned()), Some((*end).to_owned()));
            row
        })
        .collect();
    stage(&case, rows).await?;
    case.run().await?;
    let contents = case.contents(SESSIONS).await?;
    let only = contents.without(
        &contents
            .columns
            .iter()
            .map(String::as_str)
            .filter(|name| !["domain_sessionid", "absolute_time_in_s"].contains(name))
            .collect::<Vec<_>>(),
    );
    let expected = cases
        .iter()
        .enumerate()
        .map(|(number, (_, _, seconds))| vec![Some(format!("s{number}")), Some((*seconds).to_owned())])
        .collect();
    expect("seconds", only.rows, expected)?;
    case.drop().await
}

//! A module is data: one of a program's own, of three tables, that nothing in core knows.

use super::page_views::expect;
use super::{Trial, trials};
use crate::case::explain;
use crate::csv::Cell;
use crate::{Case, Fault, Faulty, Harness};
use serde_json::json;
use std::sync::Arc;
use websessions_core::error::Error;
use websessions_core::model::{Context, Module, Select, sessions};
use websessions_core::plan::{Finding, OnFound, Phase, Step, Unit};
use websessions_core::table::{Column, ColumnType, Lifetime, SchemaRole, Table};
use websessions_core::variables::Variables;

pub(super) const TRIALS: &[(&str, Trial)] =
    trials![a_module_of_a_programs_own_runs_as_ours_do, a_module_runs_after_another_under_one_lock];

const ORDERS_STAGED: &str = "orders_staged";
const CUSTOMERS_THIS_RUN: &str = "customers_this_run";
const CUSTOMERS: &str = "customers";

const THIS_RUN: Select = Select::new(
    "customers_this_run",
    "SELECT\n  customer,\n  COUNT(*) AS orders,\n  MIN(placed_tstamp) AS first_order_tstamp\nFROM {{ table.orders_staged }}\nGROUP BY customer",
);
const OF_THIS_RUN: Select =
    Select::new("of_this_run", "customer IN (SELECT customer FROM {{ table.customers_this_run }})");
const COUNT: Select = Select::new("count", "SELECT COUNT(*) AS customers FROM {{ table.customers_this_run }}");
const COUNTED: Finding = Finding::new("customers", |rows| Some(format!("{} customers", rows.get(0, "customers"))));

fn customers() -> Module {
    Module::new("customers", tables, main, complete, destroy).input(ORDERS_STAGED).prefix("customers_")
}

fn tables(_variables: &Variables) -> Vec<Table> {
    let customers = || {
        vec![
            Column::new("customer", ColumnType::Varying(64)),
            Column::new("orders", ColumnType::BigInteger),
            Column::new("first_order_tstamp", ColumnType::Timestamp),
        ]
    };
    let orders = vec![
        Column::new("customer", ColumnType::Varying(64)).required(),
        Column::new("placed_tstamp", ColumnType::Timestamp).required(),
    ];
    vec![
        Table::new(ORDERS_STAGED, SchemaRole::Scratch, Lifetime::Persistent, orders),
        Table::new(CUSTOMERS_THIS_RUN, SchemaRole::Scratch, Lifetime::Module, customers()),
        Table::new(CUSTOMERS, SchemaRole::Output, Lifetime::Persistent, customers()),
    ]
}

fn main(context: &Context<'_>) -> Vec<Step> {
    let mut setup = context.shared_setup();
    setup.extend(context.create(CUSTOMERS));
    let mut this_run = context.replace(CUSTOMERS_THIS_RUN, &context.select(&THIS_RUN));
    this_run.push(context.observe(COUNTED, OnFound::Report, "how many", &COUNT));
    let old = context.delete(CUSTOMERS, "old rows", &context.select(&OF_THIS_RUN));
    let new = context.insert(CUSTOMERS, "new rows", &context.select_all(CUSTOMERS_THIS_RUN));
    let commit = Unit::Block { purpose: "old rows become new ones".to_owned(), statements: vec![old, new] };
    vec![
        Step::new("setup", "schemas and permanent tables", setup),
        Step::new("customers", "one row a customer", this_run),
        Step::new("commit", "replaces customers", vec![commit]).commits(),
    ]
}

fn complete(context: &Context<'_>) -> Vec<Step> {
    let mut units = context.create(CUSTOMERS_THIS_RUN);
    units.push(Unit::Statement(context.delete(ORDERS_STAGED, "what was read", &context.select(&OF_THIS_RUN))));
    let variables = context.variables;
    vec![
        Step::new("input", "removes what was read", units),
        context.cleanup(variables.cleanup_mode, variables.ends_run),
    ]
}

fn destroy(context: &Context<'_>) -> Vec<Step> {
    vec![Step::new(
        "destroy",
        "drops what this module owns",
        vec![context.drop(CUSTOMERS), context.drop(CUSTOMERS_THIS_RUN)],
    )]
}

async fn stage_orders(case: &Case, orders: &[(&str, &str)]) -> Result<(), String> {
    let row = |(customer, day): &(&str, &str)| -> Vec<Cell> {
        vec![Some((*customer).to_owned()), Some(format!("2024-03-{day} 12:00:00"))]
    };
    case.stage(&["customer".to_owned(), "placed_tstamp".to_owned()], orders.iter().map(row).collect()).await
}

/// `customer: orders` of each row of the module's production.
async fn rows(case: &Case) -> Result<Vec<String>, String> {
    let contents = case.contents(CUSTOMERS).await?;
    let shown = |cell: &Cell| cell.clone().unwrap_or_default();
    Ok(contents.rows.iter().map(|row| format!("{}: {}", shown(&row[0]), shown(&row[1]))).collect())
}

async fn a_module_of_a_programs_own_runs_as_ours_do(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({ "ends_run": true })).await?.of(customers());
    // Without its input it stops before anything changes.
    let error = case.phases(&[Phase::Main]).await.err().ok_or("it ran without its input")?;
    expect("the error", matches!(error.error, Error::MissingInput { .. }), true)
        .map_err(|problem| format!("{problem}: {}", explain(error)))?;
    expect("tables", case.tables().await?, Vec::new())?;
    stage_orders(&case, &[("ann", "10"), ("ann", "11"), ("bob", "12")]).await?;
    for phase in [Phase::Main, Phase::Complete] {
        let recording = Arc::new(Faulty::new(Arc::clone(&case.warehouse), Fault::None));
        let report = case.through(Arc::clone(&recording) as Arc<_>).phase(phase).await?;
        let plan = case.module.plan(phase, &case.variables, &case.warehouse.dialect());
        let planned: Vec<String> =
            plan.units().flat_map(|(_, unit)| unit.statements()).map(|statement| statement.sql.clone()).collect();
        expect(&plan.name, recording.sent(), planned)?;
        expect("committed", report.committed(), phase == Phase::Main)?;
        if phase == Phase::Main {
            expect("notes", report.notes, vec!["2 customers".to_owned()])?;
        }
    }
    expect("customers", rows(&case).await?, ["ann: 2", "bob: 1"].map(str::to_owned).to_vec())?;
    expect("orders that stay", case.count(ORDERS_STAGED).await?, 0)?;
    stage_orders(&case, &[("ann", "13"), ("cy", "13")]).await?;
    case.run().await?;
    expect("customers", rows(&case).await?, ["ann: 1", "bob: 1", "cy: 1"].map(str::to_owned).to_vec())?;
    // A table of its own that drifted stops it, too.
    let dialect = case.warehouse.dialect();
    case.sql(format!("ALTER TABLE {} DROP COLUMN orders", dialect.table(&case.name(CUSTOMERS)?))).await?;
    stage_orders(&case, &[("ann", "14")]).await?;
    let error = case.phases(&[Phase::Main]).await.err().ok_or("it ran on a table that drifted")?;
    expect("the error", error.error.to_string().contains("column orders is missing"), true)
        .map_err(|problem| format!("{problem}: {}", explain(error)))?;
    case.phase(Phase::Destroy).await?;
    let left = ["derived.datamodel_metadata", "scratch.orders_staged"].map(str::to_owned).to_vec();
    expect("tables after destroy", case.tables().await?, left)?;
    case.drop().await
}

async fn a_module_runs_after_another_under_one_lock(harness: &dyn Harness) -> Result<(), String> {
    let case = Case::new(harness, json!({})).await?;
    super::page_views::stage(&case, super::page_views::two_sessions()).await?;
    let case = case.of(customers());
    stage_orders(&case, &[("ann", "10")]).await?;
    let report = case.runner().run(&[sessions::module(), case.module]).await.map_err(explain)?;
    let plans: Vec<&str> = report.plans.iter().map(|plan| plan.plan.as_str()).collect();
    expect("plans", plans, vec!["main", "complete", "customers_main", "customers_complete"])?;
    expect("customers", rows(&case).await?, vec!["ann: 1".to_owned()])?;
    case.drop().await
}

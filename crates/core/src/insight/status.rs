//! The state of the tables: what is there, what waits, who holds the lock, what the last runs did.

use super::check::is_of_connection;
use super::{Insight, Run, Runs};
use crate::dialect::Dialect;
use crate::error::{Error, WarehouseError};
use crate::lock;
use crate::model::select::sql;
use crate::model::{Module, Select};
use crate::plan::{Plan, Statement};
use crate::preflight::{self, Reported};
use crate::table::{Lifetime, Table, TableName};
use crate::variables::Variables;
use crate::warehouse::Warehouse;
use serde::Serialize;
use std::sync::Arc;

const TABLE: Select = sql!("insight/table");

/// How many of the last runs are told.
const LAST_RUNS: u32 = 5;

/// A table that outlives a run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TableStatus {
    /// Its name, without schema and entropy.
    pub name: &'static str,
    /// Its full name.
    pub table: String,
    /// Whether it is there; if not, the numbers are none.
    pub exists: bool,
    /// How many rows it has.
    pub rows: Option<i64>,
    /// How much it takes, where the warehouse says.
    pub bytes: Option<i64>,
    /// The earliest and the latest time in it, in UTC.
    pub oldest: Option<String>,
    /// See `oldest`.
    pub newest: Option<String>,
    /// If one module hands it to another: its rows wait for the next run.
    pub waits: bool,
    /// The module that reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_by: Option<&'static str>,
}

/// The state of the tables.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Where the tables are.
    pub warehouse: String,
    /// The tables that outlive a run.
    pub tables: Vec<TableStatus>,
    /// The tables that a run has left: of one that is under way, failed, or was told to keep them.
    pub scratch_tables: Vec<String>,
    /// Who holds the lock, in words.
    pub lock: Option<String>,
    /// Whether that lease has run out.
    pub lock_expired: bool,
    /// The step at which the last run failed, where `resume` continues.
    pub failed_at: Option<String>,
    /// The last runs, newest first.
    pub runs: Vec<Run>,
    /// What could not be found out, and why.
    pub unknown: Vec<String>,
}

impl TableStatus {
    /// The state of a table that is not there.
    fn missing(table: &Table, modules: &[Module], variables: &Variables) -> Self {
        let read_by = modules.iter().find(|module| module.input == Some(table.name)).map(|module| module.name);
        Self {
            name: table.name,
            table: variables.table_name(table).to_string(),
            exists: false,
            rows: None,
            bytes: None,
            oldest: None,
            newest: None,
            waits: read_by.is_some(),
            read_by,
        }
    }
}

impl Status {
    /// The state of a warehouse that is not there yet.
    pub fn of_nothing(
        warehouse: String,
        modules: &[Module],
        variables: &Variables,
        dialect: &Arc<dyn Dialect>,
    ) -> Self {
        let insight = Insight::new(modules, variables, dialect);
        Self {
            warehouse,
            tables: insight.lasting_tables().map(|table| TableStatus::missing(table, modules, variables)).collect(),
            scratch_tables: Vec::new(),
            lock: None,
            lock_expired: false,
            failed_at: None,
            runs: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

impl Insight<'_> {
    /// How many rows a table has, and from when to when.
    pub fn table_status(&self, table: &Table, time: Option<&str>) -> Statement {
        let name = self.variables.table_name(table);
        let none = format!("CAST(NULL AS {})", self.dialect.column_type(crate::table::ColumnType::Timestamp));
        let values = [("time", time.unwrap_or(&none)), ("name", &self.dialect.table(&name))];
        Statement::new(name.to_string(), self.select(&TABLE, &values))
    }

    /// What `status` asks, to be printed.
    pub fn status_plan(&self) -> Plan {
        let mut statements: Vec<Statement> =
            self.lasting_tables().map(|table| self.table_status(table, table.time())).collect();
        statements.push(self.history(&last_runs()));
        self.plan("status", "rows and times of the tables that outlive a run, and the last runs", statements)
    }
}

fn last_runs() -> Runs {
    Runs { module: None, since: None, limit: LAST_RUNS }
}

/// The state of the tables of some modules.
pub async fn status(warehouse: &dyn Warehouse, modules: &[Module], variables: &Variables) -> Result<Status, Error> {
    let dialect = warehouse.dialect();
    let insight = Insight::new(modules, variables, &dialect);
    let failed = |what: &str| {
        let context = format!("can't look at {what}");
        move |source: WarehouseError| Error::Warehouse { context, source }
    };
    let reported = preflight::columns_of(warehouse, &insight.tables, variables).await.map_err(failed("the tables"))?;
    let (mut tables, mut unknown) = (Vec::new(), Vec::new());
    for table in insight.lasting_tables() {
        let name = variables.table_name(table);
        let mut status = TableStatus::missing(table, modules, variables);
        if let Some(columns) = reported.get(table.name) {
            status.exists = true;
            fill(&mut status, warehouse, &insight, table, columns).await.map_err(failed(&status.table))?;
            match size(warehouse, &name).await {
                Ok(bytes) => status.bytes = bytes,
                Err(error) if is_of_connection(&error) => return Err(failed(&status.table)(error)),
                Err(error) => unknown.push(format!("the size of {name}: {error}")),
            }
        }
        tables.push(status);
    }
    let scratch_tables = insight
        .tables
        .iter()
        .filter(|table| table.lifetime != Lifetime::Persistent && reported.contains_key(table.name))
        .map(|table| variables.table_name(table).to_string())
        .collect();
    let held = lock::holder(warehouse, variables).await.map_err(failed("the lock"))?;
    let failed_at = lock::stopped_at(warehouse, variables).await.map_err(failed("the lock"))?;
    let runs = match reported.contains_key(Insight::HISTORY_READS) {
        true => warehouse.query(&insight.history(&last_runs()).sql).await.map_err(failed("the last runs"))?,
        false => crate::rows::Rows::default(),
    };
    Ok(Status {
        warehouse: warehouse.location(),
        tables,
        scratch_tables,
        lock_expired: held.as_ref().is_some_and(|held| held.expired),
        lock: held.map(|held| held.in_words),
        failed_at,
        runs: Run::from_rows(&runs),
        unknown,
    })
}

async fn fill(
    status: &mut TableStatus,
    warehouse: &dyn Warehouse,
    insight: &Insight<'_>,
    table: &Table,
    columns: &Reported,
) -> Result<(), WarehouseError> {
    // A table that has drifted may lack the column.
    let time = table.time().filter(|time| columns.iter().any(|(name, _)| name == time));
    let found = warehouse.query(&insight.table_status(table, time).sql).await?;
    let text = |column| Some(found.get(0, column).to_string()).filter(|text| !text.is_empty());
    status.rows = Some(found.get(0, "row_count").as_integer());
    (status.oldest, status.newest) = (text("oldest"), text("newest"));
    Ok(())
}

/// The size of a table, where the warehouse has such a number.
async fn size(warehouse: &dyn Warehouse, name: &TableName) -> Result<Option<i64>, WarehouseError> {
    let Some(query) = warehouse.dialect().size_query(name) else { return Ok(None) };
    let found = warehouse.query(&query).await?;
    Ok(found.get(0, "bytes").whole_number())
}

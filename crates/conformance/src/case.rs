//! One trial's place in a warehouse: schemas of its own, and the few things that trials do there.

use crate::Harness;
use crate::contents::Contents;
use crate::csv::{Cell, parse_csv};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use websessions_core::CancellationToken;
use websessions_core::error::chain;
use websessions_core::lock;
use websessions_core::model::sessions::tables::*;
use websessions_core::model::shared::*;
use websessions_core::model::{Module, sessions};
use websessions_core::plan::{Phase, Statement};
use websessions_core::run::RunError;
use websessions_core::run::{Job, Options, Report, Runner};
use websessions_core::table::TableName;
use websessions_core::table::*;
use websessions_core::variables::Variables;
use websessions_core::warehouse::Warehouse;

/// Schemas of a trial's own, with variables that name them.
#[derive(Clone)]
pub struct Case {
    /// The connection.
    pub warehouse: Arc<dyn Warehouse>,
    /// The variables.
    pub variables: Variables,
    /// The module that runs.
    pub module: Module,
}

impl Case {
    /// New schemas, and variables by name beside their names.
    pub async fn new(harness: &dyn Harness, variables: Value) -> Result<Self, String> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let mut values: BTreeMap<String, Value> = BTreeMap::from([
            ("scratch_schema".to_owned(), json!(format!("ws_scratch_{}", &id[..12]))),
            ("output_schema".to_owned(), json!(format!("ws_derived_{}", &id[..12]))),
        ]);
        values.extend(variables.as_object().cloned().unwrap_or_default());
        let (variables, _) = Variables::from_values(&values).map_err(|error| error.to_string())?;
        harness.hear([&variables.scratch_schema, &variables.output_schema]);
        Ok(Self { warehouse: harness.connect().await, variables, module: sessions::module() })
    }

    /// The same schemas with some variables set anew, on the same connection.
    pub fn with(&self, variables: Value) -> Result<Self, String> {
        let mut values = self.variables.to_values();
        values.extend(variables.as_object().cloned().unwrap_or_default());
        let (mut variables, _) = Variables::from_values(&values).map_err(|error| error.to_string())?;
        variables.columns = self.variables.columns.clone();
        Ok(Self { warehouse: Arc::clone(&self.warehouse), variables, module: self.module })
    }

    /// The same schemas through another connection.
    pub fn through(&self, warehouse: Arc<dyn Warehouse>) -> Self {
        Self { warehouse, variables: self.variables.clone(), module: self.module }
    }

    /// The same schemas for another module.
    #[must_use]
    pub fn of(self, module: Module) -> Self {
        Self { module, ..self }
    }

    /// Runs phases under one lock, as the command line does.
    pub async fn phases(&self, phases: &[Phase]) -> Result<Report, RunError> {
        self.phases_with(phases, CancellationToken::new(), Self::options()).await
    }

    /// The options of trials: the usual ones, with short delays.
    pub fn options() -> Options {
        let mut options = Options::new("conformance");
        options.first_delay = Duration::from_millis(5);
        options
    }

    /// Runs phases with a cancellation and options of the trial's own.
    pub async fn phases_with(
        &self,
        phases: &[Phase],
        cancellation: CancellationToken,
        options: Options,
    ) -> Result<Report, RunError> {
        let jobs: Vec<Job> = phases.iter().map(|phase| self.job(*phase)).collect();
        self.runner().cancellation(cancellation).options(options).run_jobs(&jobs).await
    }

    /// A phase as a job.
    pub fn job(&self, phase: Phase) -> Job {
        Job::phase(&self.module, phase, &self.variables, &self.warehouse.dialect())
    }

    /// A runner on the case's connection, with the options of trials.
    pub fn runner(&self) -> Runner<'_> {
        Runner::new(&*self.warehouse, &self.variables).options(Self::options())
    }

    /// main and complete.
    pub async fn run(&self) -> Result<Report, String> {
        self.phases(&[Phase::Main, Phase::Complete]).await.map_err(explain)
    }

    /// One phase.
    pub async fn phase(&self, phase: Phase) -> Result<Report, String> {
        self.phases(&[phase]).await.map_err(explain)
    }

    /// Appends page views, written as the scenarios' CSV.
    pub async fn stage_csv(&self, text: &str) -> Result<(), String> {
        let (columns, rows) = parse_csv(text);
        self.stage(&columns, rows).await
    }

    /// Appends rows to the module's input; columns that are not named are NULL.
    pub async fn stage(&self, columns: &[String], rows: Vec<Vec<Cell>>) -> Result<(), String> {
        let input = self.table(self.module.input.ok_or("the module has no input")?)?;
        let name = self.variables.table_name(&input);
        self.insert(&input, &name, columns, rows).await
    }

    /// Appends rows to a table, made if it is missing; columns that are not named are NULL.
    pub async fn insert(
        &self,
        input: &Table,
        name: &TableName,
        columns: &[String],
        rows: Vec<Vec<Cell>>,
    ) -> Result<(), String> {
        let dialect = self.warehouse.dialect();
        self.send(dialect.create_schema(&name.schema)).await?;
        for statement in dialect.create_table(input, name) {
            self.send(statement).await?;
        }
        self.append(input, name, columns, rows).await
    }

    /// Appends rows to a table that is there; columns that are not named are NULL.
    pub async fn append(
        &self,
        input: &Table,
        name: &TableName,
        columns: &[String],
        rows: Vec<Vec<Cell>>,
    ) -> Result<(), String> {
        let dialect = self.warehouse.dialect();
        for chunk in rows.chunks(50) {
            let tuples: Vec<String> = chunk
                .iter()
                .map(|row| {
                    let cells: Vec<String> = columns
                        .iter()
                        .zip(row)
                        .map(|(column, cell)| self.literal(input.column(column), cell.as_deref()))
                        .collect();
                    format!("({})", cells.join(", "))
                })
                .collect();
            let values = format!("VALUES\n{}", tuples.join(",\n"));
            let sql = format!("INSERT INTO {} ({}) {values}", dialect.table(name), columns.join(", "));
            self.send(Statement::new("rows of the input", sql)).await?;
        }
        Ok(())
    }

    fn literal(&self, column: Option<&Column>, cell: Option<&str>) -> String {
        let dialect = self.warehouse.dialect();
        let column_type = column.map_or(ColumnType::Text, |column| column.column_type);
        match (cell, column_type.family()) {
            (None, _) => format!("CAST(NULL AS {})", dialect.column_type(column_type)),
            (Some(text), TypeFamily::Text) => dialect.text(text),
            (Some(number), TypeFamily::Integer) => number.to_owned(),
            (Some("t" | "true"), TypeFamily::Boolean) => "TRUE".to_owned(),
            (Some(_), TypeFamily::Boolean) => "FALSE".to_owned(),
            (Some(text), _) => format!("CAST({} AS {})", dialect.text(text), dialect.column_type(column_type)),
        }
    }

    /// What a table of the model holds.
    pub async fn contents(&self, table: &str) -> Result<Contents, String> {
        let table = &self.table(table)?;
        let dialect = self.warehouse.dialect();
        let text = dialect.column_type(ColumnType::Text);
        // Not every warehouse's text of a float has all its digits.
        let shown = |column: &Column| match column.column_type.family() {
            TypeFamily::Float => column.name.to_string(),
            _ => format!("CAST({0} AS {text}) AS {0}", column.name),
        };
        let columns: Vec<String> = table.columns.iter().map(shown).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), dialect.table(&self.variables.table_name(table)));
        let rows = self.warehouse.query(&sql).await.map_err(|error| format!("{}: {error}", table.name))?;
        let cells = |row: Vec<websessions_core::rows::Value>| {
            row.into_iter()
                .map(|value| match value {
                    websessions_core::rows::Value::Null => None,
                    other => Some(other.to_string()),
                })
                .collect()
        };
        let names = table.columns.iter().map(|column| column.name.to_string()).collect();
        let types: Vec<Option<ColumnType>> = table.columns.iter().map(|column| Some(column.column_type)).collect();
        Ok(Contents::typed(names, &types, rows.rows.into_iter().map(cells).collect()))
    }

    /// What every table that stays holds, but for what differs from run to run.
    pub async fn lasting(&self) -> Result<Vec<Contents>, String> {
        let mut all = Vec::new();
        for table in [SESSIONS, SESSIONS_USERID_MANIFEST_STAGED, PAGE_VIEWS_STAGED, DATAMODEL_METADATA] {
            all.push(self.contents(table).await?.without(&["run_id", "run_start_tstamp", "run_end_tstamp"]));
        }
        Ok(all)
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> Result<i64, String> {
        let sql = format!("SELECT COUNT(*) AS row_count FROM {}", self.warehouse.dialect().table(&self.name(table)?));
        let rows = self.warehouse.query(&sql).await.map_err(|error| format!("{table}: {error}"))?;
        Ok(rows.get(0, "row_count").as_integer())
    }

    /// The tables that exist in the trial's schemas, as `scratch.name` and `derived.name`, entropy included.
    pub async fn tables(&self) -> Result<Vec<String>, String> {
        let mut tables = Vec::new();
        for (schema, shown) in [(&self.variables.scratch_schema, "scratch"), (&self.variables.output_schema, "derived")]
        {
            // A catalog may list views beside tables, or among them.
            let dialect = self.warehouse.dialect();
            let views = if dialect.name() == "snowflake" { Some("views") } else { None };
            for list in ["tables"].into_iter().chain(views) {
                let sql = format!(
                    "SELECT table_name FROM {} WHERE table_schema = {}",
                    dialect.information_schema(schema, list),
                    dialect.text(&dialect.catalog_name(schema.as_str()))
                );
                let rows = self.warehouse.query(&sql).await.map_err(|error| error.to_string())?;
                for row in 0..rows.rows.len() {
                    tables.push(format!("{shown}.{}", rows.get(row, "table_name").to_string().to_lowercase()));
                }
            }
        }
        tables.sort();
        tables.dedup();
        Ok(tables)
    }

    /// A table of the module, by its name without schema and entropy.
    pub fn table(&self, name: &str) -> Result<Table, String> {
        let found = self.module.table(name, &self.variables);
        found.ok_or_else(|| format!("module {} has no table {name}", self.module.name))
    }

    /// A table's full name.
    pub fn name(&self, table: &str) -> Result<TableName, String> {
        Ok(self.variables.table_name(&self.table(table)?))
    }

    /// The full name of the lock's table.
    pub fn lock_name(&self) -> TableName {
        self.variables.table_name(&lock::table())
    }

    /// Sends SQL of the trial's own.
    pub async fn sql(&self, sql: impl Into<String>) -> Result<(), String> {
        self.send(Statement::new("trial", sql.into())).await
    }

    async fn send(&self, statement: Statement) -> Result<(), String> {
        self.warehouse.execute(&statement).await.map(|_| ()).map_err(|error| format!("{}: {error}", statement.purpose))
    }

    /// Drops the trial's schemas.
    pub async fn drop(self) -> Result<(), String> {
        for schema in [&self.variables.scratch_schema, &self.variables.output_schema] {
            self.send(self.warehouse.dialect().drop_schema(schema)).await?;
        }
        Ok(())
    }
}

/// A run's error with everything that is known of it.
pub(crate) fn explain(error: RunError) -> String {
    chain(&error.error)
}

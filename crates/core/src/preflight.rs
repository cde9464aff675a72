//! What must hold before a phase changes anything: the input is there, and every table that stays has the model's columns.

use crate::dialect::Dialect;
use crate::error::{Error, WarehouseError, WarehouseErrorKind};
use crate::identifier::{Entropy, Identifier};
use crate::lock;
use crate::model::{self, Module};
use crate::plan::{Change, Phase, Plan, Statement, Step, Unit};
use crate::table::{Column, Lifetime, SchemaRole, Table, TableName, TypeFamily};
use crate::variables::Variables;
use crate::warehouse::Warehouse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The columns of a table as the warehouse reports them: names, as SQL has them, and types.
pub type Reported = Vec<(String, String)>;

/// Whether a schema is there, as far as the account can see.
pub async fn schema_exists(warehouse: &dyn Warehouse, schema: &Identifier) -> Result<bool, WarehouseError> {
    match warehouse.query(&warehouse.dialect().schema_query(schema)).await {
        Err(error) if error.kind == WarehouseErrorKind::Missing => Ok(false),
        other => Ok(!other?.rows.is_empty()),
    }
}

/// The columns of those of some modules' tables that outlive a module's run and that exist, by table.
pub async fn reported_columns(
    warehouse: &dyn Warehouse,
    modules: &[Module],
    variables: &Variables,
) -> Result<BTreeMap<&'static str, Reported>, WarehouseError> {
    let mut all = model::tables(modules, variables);
    all.retain(|table| table.lifetime != Lifetime::Module);
    columns_of(warehouse, &all, variables).await
}

/// The columns of any table; none if it is not there.
pub async fn columns_of_table(warehouse: &dyn Warehouse, name: &TableName) -> Result<Reported, WarehouseError> {
    let rows = match warehouse.query(&warehouse.dialect().columns_query(&name.schema, &[&name.name])).await {
        Err(error) if error.kind == WarehouseErrorKind::Missing => return Ok(Vec::new()),
        other => other?,
    };
    let column =
        |row| (rows.get(row, "column_name").to_string().to_lowercase(), rows.get(row, "data_type").to_string());
    Ok((0..rows.rows.len()).map(column).collect())
}

/// The columns of those of some tables that exist, by table.
pub async fn columns_of(
    warehouse: &dyn Warehouse,
    all: &[Table],
    variables: &Variables,
) -> Result<BTreeMap<&'static str, Reported>, WarehouseError> {
    let dialect = warehouse.dialect();
    let mut found: BTreeMap<&'static str, Reported> = BTreeMap::new();
    for role in [SchemaRole::Scratch, SchemaRole::Output] {
        let tables: Vec<&Table> = all.iter().filter(|table| table.schema == role).collect();
        if tables.is_empty() {
            continue;
        }
        let names: Vec<String> = tables.iter().map(|table| variables.table_name(table).name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let schema = variables.schema(role);
        let rows = match warehouse.query(&dialect.columns_query(schema, &names)).await {
            // A schema that isn't there yet has no tables. Most warehouses answer so; BigQuery refuses the query.
            Err(error) if error.kind == WarehouseErrorKind::Missing => continue,
            other => other?,
        };
        for row in 0..rows.rows.len() {
            let table = rows.get(row, "table_name").to_string();
            let known = names.iter().position(|name| name.eq_ignore_ascii_case(&table));
            if let Some(table) = known.and_then(|position| tables.get(position)) {
                found.entry(table.name).or_default().push((
                    dialect.column_name(&rows.get(row, "column_name").to_string()),
                    rows.get(row, "data_type").to_string(),
                ));
            }
        }
    }
    Ok(found)
}

/// One way in which a table differs from the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// It lacks a column, which can be added: it is NULL in the rows that are there.
    Lacks(Column),
    /// It lacks a column without which a row of it is of no use.
    LacksKey(String),
    /// A column of it holds something else.
    Holds {
        /// The column.
        column: String,
        /// Its type, as the warehouse reports it.
        reported: String,
        /// What it must hold.
        family: TypeFamily,
    },
    /// It has a column that the model knows nothing of.
    Foreign(String),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lacks(Column { name, own: true, .. }) => {
                write!(formatter, "column {name}, which the configuration declares, is missing")
            }
            Self::Lacks(Column { name, .. }) => write!(formatter, "column {name} is missing"),
            Self::LacksKey(name) => write!(formatter, "column {name} is missing, without which no row is of use"),
            Self::Holds { column, reported, family } => {
                write!(formatter, "column {column} is {reported}, not {family}")
            }
            Self::Foreign(name) => write!(formatter, "column {name} is not the model's"),
        }
    }
}

/// How a table whose rows are told apart by a key differs from the model's.
pub fn differences(dialect: &dyn Dialect, table: &Table, key: &[&str], reported: &Reported) -> Vec<Difference> {
    let mut differences = Vec::new();
    for column in &table.columns {
        let name = &*column.name;
        match reported.iter().find(|(reported_name, _)| reported_name == name) {
            None if column.required || column.not_null || key.contains(&name) => {
                differences.push(Difference::LacksKey(name.to_owned()));
            }
            None => differences.push(Difference::Lacks(column.clone())),
            Some((_, reported)) => {
                let family = column.column_type.family();
                if dialect.type_family(reported) != Some(family) {
                    let (column, reported) = (name.to_owned(), reported.clone());
                    differences.push(Difference::Holds { column, reported, family });
                }
            }
        }
    }
    let foreign = reported.iter().filter(|(name, _)| table.column(name).is_none() && !table.shared);
    differences.extend(foreign.map(|(name, _)| Difference::Foreign(name.clone())));
    differences
}

/// How the tables of some modules that are there differ from the model's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Drift {
    /// Each difference, in words.
    pub problems: Vec<String>,
    /// Those that the migration leaves as they are, in words.
    pub left: Vec<String>,
    /// What adds the columns that are lacking, and changes nothing else: a step a table.
    pub migration: Plan,
}

impl Drift {
    /// The same of tables with these columns.
    pub fn new(
        modules: &[Module],
        reported: &BTreeMap<&'static str, Reported>,
        variables: &Variables,
        dialect: &dyn Dialect,
    ) -> Self {
        // A table's key may be told by a module that isn't among these.
        let known = [modules, &model::modules()].concat();
        let (mut problems, mut left, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for table in model::tables(modules, variables) {
            let Some(reported) = reported.get(table.name) else { continue };
            let name = variables.table_name(&table);
            let mut lacking = Vec::new();
            for difference in differences(dialect, &table, model::key(&known, table.name), reported) {
                let problem = match &difference {
                    Difference::Foreign(column) => format!(
                        "{name}: {difference}; ALTER TABLE {} DROP COLUMN {} takes it away",
                        dialect.table(&name),
                        dialect.quote(column)
                    ),
                    _ => format!("{name}: {difference}"),
                };
                match difference {
                    Difference::Lacks(column) => lacking.push(column),
                    _ => left.push(problem.clone()),
                }
                problems.push(problem);
            }
            if !lacking.is_empty() {
                let units = dialect.add_columns(&table, &name, &lacking).into_iter().map(Unit::Statement).collect();
                steps.push(Step::new(table.name, format!("the columns that {name} lacks"), units));
            }
        }
        Self { problems, left, migration: Plan::new("migrate", dialect.name(), steps) }
    }

    /// The statements of the migration.
    pub fn additions(&self) -> Vec<Statement> {
        self.migration.units().flat_map(|(_, unit)| unit.statements().to_vec()).collect()
    }
}

/// Looks how the tables of some modules that are there, and that outlive a module's run, differ from the model's. Gives their
/// names, too.
pub async fn drift(
    warehouse: &dyn Warehouse,
    modules: &[Module],
    variables: &Variables,
) -> Result<(Drift, Vec<&'static str>), Error> {
    let reported = reported_columns(warehouse, modules, variables)
        .await
        .map_err(|source| Error::Warehouse { context: "can't read the tables' columns".into(), source })?;
    let drift = Drift::new(modules, &reported, variables, &*warehouse.dialect());
    Ok((drift, reported.into_keys().collect()))
}

/// Which tables of a run of some modules, as it left them, lack columns, in words: those that were declared since. A next run
/// needs nothing of them.
pub async fn outdated(
    warehouse: &dyn Warehouse,
    modules: &[Module],
    variables: &Variables,
) -> Result<Vec<String>, WarehouseError> {
    let mut all = model::tables(modules, variables);
    all.retain(|table| table.lifetime == Lifetime::Module);
    let reported = columns_of(warehouse, &all, variables).await?;
    let lacking = |table: &Table| -> Vec<String> {
        let Some(reported) = reported.get(table.name) else { return Vec::new() };
        let is_there = |column: &&Column| reported.iter().any(|(name, _)| *name == column.name);
        table.columns.iter().filter(|column| !is_there(column)).map(|column| column.name.to_string()).collect()
    };
    let outdated = all.iter().map(|table| (table, lacking(table))).filter(|(_, lacking)| !lacking.is_empty());
    let in_words = |(table, lacking): (&Table, Vec<String>)| {
        format!(
            "{} is of a run that was before it had {}: the next run makes it anew",
            variables.table_name(table),
            lacking.join(", ")
        )
    };
    Ok(outdated.map(in_words).collect())
}

/// Refuses a suffix with which a table of the model has the name of another one: that of a run without a suffix, or with the
/// rest of it. What one of them drops as its scratch would be what the other one keeps.
pub fn check_names(modules: &[Module], variables: &Variables) -> Result<(), Error> {
    let mut without = variables.clone();
    without.entropy = Entropy::default();
    let mut all = model::tables(modules, variables);
    all.push(lock::table());
    for (table, other_table) in all.iter().flat_map(|table| all.iter().map(move |other| (table, other))) {
        let (own, other) = (variables.table_name(table), without.table_name(other_table));
        let begins_with = own.name.to_lowercase().starts_with(&other.name.to_lowercase());
        if own.schema == other.schema && begins_with && other.name.len() > without.table_name(table).name.len() {
            return Err(Error::Configuration {
                message: format!(
                    "with entropy {:?} the table {} is called {own}: another entropy's {} is called so too",
                    variables.entropy.as_str(),
                    table.name,
                    other_table.name
                ),
                hint: Some("choose another entropy, or a scratch_schema and an output_schema of their own".to_owned()),
            });
        }
    }
    Ok(())
}

/// Checks that those of some modules' tables that outlive a run and that exist have the model's columns. Nothing has
/// changed yet when it fails. Gives the tables that exist.
pub async fn check_tables(
    warehouse: &dyn Warehouse,
    modules: &[Module],
    variables: &Variables,
) -> Result<Vec<&'static str>, Error> {
    check_names(modules, variables)?;
    let (drift, present) = drift(warehouse, modules, variables).await?;
    if drift.problems.is_empty() {
        return Ok(present);
    }
    let additions = drift.additions();
    Err(Error::Drift { problems: drift.problems, additions, leaves: !drift.left.is_empty() })
}

/// Checks a module's tables, and that what it reads is there.
pub async fn check_input(warehouse: &dyn Warehouse, module: &Module, variables: &Variables) -> Result<(), Error> {
    check_all(warehouse, module, &[], variables).await
}

/// Checks the tables of a module and of those after it, all at once, and that what it reads is there: what these read, it may make.
pub async fn check_all(
    warehouse: &dyn Warehouse,
    module: &Module,
    after: &[Module],
    variables: &Variables,
) -> Result<(), Error> {
    let present = check_tables(warehouse, &[&[*module], after].concat(), variables).await?;
    let missing = module.input.filter(|input| !present.contains(input));
    match missing.and_then(|input| module.table(input, variables)) {
        None => Ok(()),
        Some(table) => Err(why_missing(warehouse, &table, &variables.table_name(&table)).await),
    }
}

/// What the phases of a run change in each table that stays: the rights that a role needs there, and no others.
pub fn changes(
    modules: &[Module],
    variables: &Variables,
    dialect: &Arc<dyn Dialect>,
) -> BTreeMap<&'static str, BTreeSet<Change>> {
    let mut changes: BTreeMap<&'static str, BTreeSet<Change>> = BTreeMap::new();
    for plan in modules
        .iter()
        .flat_map(|module| [Phase::Main, Phase::Complete].map(|phase| module.plan(phase, variables, dialect)))
    {
        for (_, unit) in plan.units() {
            for (change, table) in unit.statements().iter().filter_map(|statement| statement.changes) {
                changes.entry(table).or_default().insert(change);
            }
        }
    }
    changes
}

/// Whether this role may do to a table that is there what the phases of a run do, as [`changes`] says: read it, unless they only
/// add rows, and change it. Nothing changes.
pub async fn check_rights(
    warehouse: &dyn Warehouse,
    modules: &[Module],
    changes: &BTreeMap<&'static str, BTreeSet<Change>>,
    variables: &Variables,
    table: &Table,
) -> Result<(), WarehouseError> {
    let dialect = warehouse.dialect();
    let name = variables.table_name(table);
    let none = BTreeSet::new();
    let changes = changes.get(table.name).unwrap_or(&none);
    let is_input = modules.iter().any(|module| module.input == Some(table.name));
    if is_input {
        warehouse.query(&dialect.no_row_of_input(table, &name)).await?;
    } else if changes.contains(&Change::Delete) {
        warehouse.query(&dialect.no_row(table, &name)).await?;
    }
    for change in changes {
        let statement = dialect.change_no_row(*change, table, &name);
        // Where a statement can be tried without running it, that asks for the same rights, and is free.
        match warehouse.estimate(&statement).await {
            Ok(Some(_)) => {}
            Err(error) if error.kind != WarehouseErrorKind::Unsupported => return Err(error),
            Ok(None) | Err(_) => drop(warehouse.execute(&statement).await?),
        }
    }
    Ok(())
}

/// A catalog may show a role only what it may read: a table that is not there may be one that it may not.
async fn why_missing(warehouse: &dyn Warehouse, table: &Table, name: &TableName) -> Error {
    match warehouse.query(&warehouse.dialect().no_row(table, name)).await {
        Err(source) if source.kind == WarehouseErrorKind::Permission => {
            Error::Warehouse { context: format!("can't read the input table {name}"), source }
        }
        _ => Error::MissingInput { table: name.to_string() },
    }
}

//! What must hold before a phase changes anything: the input is there, and every table that stays has the model's columns.

use crate::dialect::Dialect;
use crate::error::{Error, WarehouseError, WarehouseErrorKind};
use crate::identifier::{Entropy, Identifier};
use crate::lock;
use crate::model::{self, Module};
use crate::plan::{Change, Phase};
use crate::table::{Lifetime, SchemaRole, Table, TableName};
use crate::variables::Variables;
use crate::warehouse::Warehouse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The columns of a table as the warehouse reports them: names (lower case) and types.
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
    let mut found: BTreeMap<&'static str, Reported> = BTreeMap::new();
    for role in [SchemaRole::Scratch, SchemaRole::Output] {
        let tables: Vec<&Table> = all.iter().filter(|table| table.schema == role).collect();
        if tables.is_empty() {
            continue;
        }
        let names: Vec<String> = tables.iter().map(|table| variables.table_name(table).name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let schema = variables.schema(role);
        let rows = match warehouse.query(&warehouse.dialect().columns_query(schema, &names)).await {
            // A schema that isn't there yet has no tables. Most warehouses answer so; BigQuery refuses the query.
            Err(error) if error.kind == WarehouseErrorKind::Missing => continue,
            other => other?,
        };
        for row in 0..rows.rows.len() {
            let table = rows.get(row, "table_name").to_string();
            let known = names.iter().position(|name| name.eq_ignore_ascii_case(&table));
            if let Some(table) = known.and_then(|position| tables.get(position)) {
                found.entry(table.name).or_default().push((
                    rows.get(row, "column_name").to_string().to_lowercase(),
                    rows.get(row, "data_type").to_string(),
                ));
            }
        }
    }
    Ok(found)
}

/// How a table differs from the model's, in words.
pub fn differences(warehouse: &dyn Warehouse, table: &Table, reported: &Reported) -> Vec<String> {
    let mut differences = Vec::new();
    for column in &table.columns {
        match reported.iter().find(|(name, _)| *name == column.name) {
            None if column.own => {
                differences.push(format!("column {}, which the configuration declares, is missing", column.name));
            }
            None => differences.push(format!("column {} is missing", column.name)),
            Some((_, reported_type)) => {
                let family = column.column_type.family();
                if warehouse.dialect().type_family(reported_type) != Some(family) {
                    differences.push(format!("column {} is {reported_type}, not {family}", column.name));
                }
            }
        }
    }
    for (name, _) in reported {
        if table.column(name).is_none() && !table.shared {
            differences.push(format!("column {name} is not the model's"));
        }
    }
    differences
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
    let reported = reported_columns(warehouse, modules, variables)
        .await
        .map_err(|source| Error::Warehouse { context: "can't read the tables' columns".into(), source })?;
    let mut problems = Vec::new();
    for table in model::tables(modules, variables) {
        if let Some(reported) = reported.get(table.name) {
            let name = variables.table_name(&table);
            problems.extend(
                differences(warehouse, &table, reported).iter().map(|difference| format!("{name}: {difference}")),
            );
        }
    }
    if problems.is_empty() { Ok(reported.into_keys().collect()) } else { Err(Error::Drift { problems }) }
}

/// Checks a module's tables, and that what it reads is there.
pub async fn check_input(warehouse: &dyn Warehouse, module: &Module, variables: &Variables) -> Result<(), Error> {
    let present = check_tables(warehouse, std::slice::from_ref(module), variables).await?;
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

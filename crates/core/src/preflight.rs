//! What must hold before a phase changes anything: the input is there, and every table that stays has the model's columns.

use crate::config::Variables;
use crate::error::{Error, WarehouseError, WarehouseErrorKind};
use crate::model::table_name;
use crate::model::tables::*;
use crate::warehouse::Warehouse;
use std::collections::BTreeMap;

/// The columns of a table as the warehouse reports them: names (lower case) and types.
pub type Reported = Vec<(String, String)>;

/// The columns of the model's permanent tables that exist.
pub async fn reported_columns(
    warehouse: &dyn Warehouse,
    variables: &Variables,
) -> Result<BTreeMap<&'static str, Reported>, WarehouseError> {
    let mut found: BTreeMap<&'static str, Reported> = BTreeMap::new();
    for role in [SchemaRole::Scratch, SchemaRole::Output] {
        let tables: Vec<&Table> =
            TABLES.iter().copied().filter(|table| table.schema == role && table.lifetime != Lifetime::Module).collect();
        let names: Vec<String> = tables.iter().map(|table| table_name(table, variables).name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let schema = match role {
            SchemaRole::Scratch => &variables.scratch_schema,
            SchemaRole::Output => &variables.output_schema,
        };
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
    for column in table.columns {
        match reported.iter().find(|(name, _)| name == column.name) {
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
        if table.column(name).is_none() {
            differences.push(format!("column {name} is not the model's"));
        }
    }
    differences
}

/// Checks that the permanent tables that exist have the model's columns. Nothing has changed yet when it fails.
/// Gives the tables that exist.
pub async fn check_tables(warehouse: &dyn Warehouse, variables: &Variables) -> Result<Vec<&'static str>, Error> {
    let reported = reported_columns(warehouse, variables)
        .await
        .map_err(|source| Error::Warehouse { context: "can't read the tables' columns".into(), source })?;
    let mut problems = Vec::new();
    for table in TABLES {
        if let Some(reported) = reported.get(table.name) {
            let name = table_name(table, variables);
            problems.extend(
                differences(warehouse, table, reported).iter().map(|difference| format!("{name}: {difference}")),
            );
        }
    }
    if problems.is_empty() {
        return Ok(reported.into_keys().collect());
    }
    Err(Error::Drift {
        problems,
        hint: "nothing was changed; alter the tables to the model's columns ('websessions plan main' shows them), or set entropy to build beside them".into(),
    })
}

/// Checks the tables, and that there is an input.
pub async fn check_input(warehouse: &dyn Warehouse, variables: &Variables) -> Result<(), Error> {
    if check_tables(warehouse, variables).await?.contains(&PAGE_VIEWS_STAGED.name) {
        return Ok(());
    }
    Err(Error::Drift {
        problems: vec![format!("there is no input table {}", table_name(&PAGE_VIEWS_STAGED, variables))],
        hint:
            "run the page views module first, load files with 'websessions load', or check scratch_schema and entropy"
                .into(),
    })
}

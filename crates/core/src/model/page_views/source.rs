//! A table of the user's that page views are read from: which of the model's columns it has, and how it spells them.

use super::tables::PAGE_VIEWS_ARRIVED;
use crate::error::{Error, WarehouseErrorKind};
use crate::table::TypeFamily;
use crate::variables::Variables;
use crate::warehouse::Warehouse;

/// What a user's table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The model's columns that it has, and how it spells each.
    pub columns: Vec<(String, String)>,
    /// Its columns that the model doesn't have: not read.
    pub ignored_columns: Vec<String>,
}

/// Looks at the table that `page_views_from` names; `None` if it names none. Fails if it isn't there, lacks a column that
/// is needed, or has one of another type.
pub async fn read_source(warehouse: &dyn Warehouse, variables: &Variables) -> Result<Option<Source>, Error> {
    let Some(name) = &variables.page_views_from else { return Ok(None) };
    let dialect = warehouse.dialect();
    let missing = || Error::MissingInput { table: name.to_string() };
    let rows = match warehouse.query(&dialect.columns_query(&name.schema, &[&name.name])).await {
        Err(error) if error.kind == WarehouseErrorKind::Missing => return Err(missing()),
        other => {
            other.map_err(|source| Error::Warehouse { context: format!("can't read the columns of {name}"), source })?
        }
    };
    if rows.rows.is_empty() {
        return Err(missing());
    }
    let reported: Vec<(String, String)> = (0..rows.rows.len())
        .map(|row| (rows.get(row, "column_name").to_string(), rows.get(row, "data_type").to_string()))
        .collect();
    let table = super::module().table(PAGE_VIEWS_ARRIVED, variables);
    let model = table.map(|table| table.columns).unwrap_or_default();
    let find = |wanted: &str| {
        let named = dialect.catalog_name(wanted);
        let of_any_case = || reported.iter().find(|(column, _)| column.eq_ignore_ascii_case(wanted));
        reported.iter().find(|(column, _)| *column == named).or_else(of_any_case)
    };
    let mut problems = Vec::new();
    let mut columns = Vec::new();
    for column in &model {
        let family = column.column_type.family();
        match find(&column.name) {
            None if column.required => problems.push(format!("{name}: column {} is missing", column.name)),
            None => {}
            Some((_, of)) if dialect.type_family(of) != Some(family) => {
                problems.push(format!("{name}: column {} is {of}, not {family}", column.name));
            }
            Some((spelled, _)) => columns.push((column.name.to_string(), spelled.clone())),
        }
    }
    if let Some(time) = &variables.page_views_time {
        // It is written into SQL as it is named.
        match find(time.as_str())
            .filter(|(spelled, _)| dialect.column_name(spelled).eq_ignore_ascii_case(time.as_str()))
        {
            None => problems.push(format!("{name}: column {time}, which page_views_time names, is missing")),
            Some((_, of)) if dialect.type_family(of) != Some(TypeFamily::Timestamp) => {
                problems.push(format!("{name}: column {time} is {of}, not {}", TypeFamily::Timestamp));
            }
            Some(_) => {}
        }
    }
    if !problems.is_empty() {
        return Err(Error::Source { problems });
    }
    let ignored = reported.iter().filter(|(spelled, _)| !columns.iter().any(|(_, known)| known == spelled));
    let ignored_columns = ignored.map(|(spelled, _)| spelled.clone()).collect();
    Ok(Some(Source { columns, ignored_columns }))
}

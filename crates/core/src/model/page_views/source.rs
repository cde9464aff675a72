//! A table of the user's that page views are read from: which of the model's columns it has, and how it spells them.

use super::tables::PAGE_VIEWS_ARRIVED;
use crate::error::{Error, WarehouseErrorKind};
use crate::model::select::sql;
use crate::model::{Context, Select};
use crate::table::{ColumnType, SourceColumn, SourceType, TypeFamily};
use crate::variables::Variables;
use crate::warehouse::Warehouse;

const NOT_A_TIME: Select = sql!("page_views/source_not_a_time");
const NOT_FINITE: Select = sql!("page_views/source_not_finite");
const NOT_WHOLE: Select = sql!("page_views/source_not_whole");
const TOO_LONG: Select = sql!("page_views/source_too_long");
const TOO_LONG_OR_WIDE: Select = sql!("page_views/source_too_long_or_wide");
const LENGTH: Select = sql!("page_views/source_length");

/// The whole numbers up to here are floating-point numbers, each its own.
const EXACT: i128 = 1 << 53;

/// What a user's table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The model's columns that it has.
    pub columns: Vec<SourceColumn>,
    /// Its columns that the model doesn't have: not read.
    pub ignored_columns: Vec<String>,
}

/// Looks at the table that `page_views_from` names; `None` if it names none. Fails if it isn't there, lacks a column that
/// is needed, or has one of another type.
pub async fn read_source(warehouse: &dyn Warehouse, variables: &Variables) -> Result<Option<Source>, Error> {
    let Some(name) = &variables.page_views_from else { return Ok(None) };
    let dialect = warehouse.dialect();
    let missing = || Error::Source {
        problems: vec![format!("page_views_from names {name}: there is no such table, or this role may not see it")],
    };
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
        let Some((spelled, of)) = find(&column.name) else {
            if column.required {
                problems.push(format!("{name}: column {} is missing", column.name));
            }
            continue;
        };
        match dialect.source_type(of).filter(|source_type| source_type.gives(family)) {
            Some(source_type) => columns.push(SourceColumn::new(&*column.name, spelled, source_type)),
            None => problems.push(format!("{name}: column {} is {of}, not {family}", column.name)),
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
    let ignored = reported.iter().filter(|(spelled, _)| !columns.iter().any(|known| known.spelled == *spelled));
    let ignored_columns = ignored.map(|(spelled, _)| spelled.clone()).collect();
    Ok(Some(Source { columns, ignored_columns }))
}

/// How the columns of the user's table are read.
pub(super) struct Reading {
    /// The model's names of them.
    pub names: String,
    /// A value for each. One that its column can't hold is NULL, or what the column takes of it: the row is refused then.
    pub values: String,
    /// What is wrong with a row, in words; NULL if nothing is.
    pub refused: String,
}

/// Every value is the model's column's exactly, or its row is refused: as those of a file are.
pub(super) fn reading(context: &Context<'_>) -> Reading {
    let model = context.table(PAGE_VIEWS_ARRIVED);
    let usual = || {
        let spelled = |name: &str| context.dialect.catalog_name(name);
        let column = |name: &str, of: ColumnType| SourceColumn::new(name, spelled(name), of.family().into());
        model.columns.iter().map(|known| column(&known.name, known.column_type)).collect()
    };
    let columns: Vec<SourceColumn> = context.variables.page_views_columns.clone().unwrap_or_else(usual);
    let (mut names, mut values, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    for column in &columns {
        let Some(known) = model.column(&column.name) else { continue };
        let (value, refusal) = read(context, column, known.column_type);
        names.push(column.name.as_str());
        values.push(value);
        refusals.extend(refusal);
    }
    // The run goes on from its newest one.
    if let Some(time) = &context.variables.page_views_time
        && !names.contains(&time.as_str())
    {
        let time = SourceColumn::new(time.as_str(), context.dialect.catalog_name(time.as_str()), SourceType::Timestamp);
        refusals.extend(read(context, &time, ColumnType::Timestamp).1);
    }
    let text = context.dialect.column_type(ColumnType::Text);
    let refused = match refusals.is_empty() {
        true => format!("CAST(NULL AS {text})"),
        false => format!("CASE\n    {}\n  END", refusals.join("\n    ")),
    };
    Reading { names: names.join(",\n  "), values: values.join(",\n  "), refused }
}

/// A column's value, and when its row is refused, and why.
fn read(context: &Context<'_>, column: &SourceColumn, of: ColumnType) -> (String, Option<String>) {
    use SourceType::*;
    let dialect = &context.dialect;
    let name = dialect.column_name(&column.spelled);
    let cast = || format!("CAST({name} AS {})", dialect.column_type(of));
    let value = match (of.family(), column.source_type) {
        (TypeFamily::Text, TextByCast) | (TypeFamily::Timestamp, TimestampByCast) => cast(),
        (TypeFamily::Float, Integer | Decimal) | (TypeFamily::Integer, Decimal | Float) => cast(),
        (TypeFamily::Timestamp, ZonedTimestamp) => dialect.in_utc(&name),
        (TypeFamily::Timestamp, FineTimestamp) => dialect.cut_to_microseconds(&name),
        _ => name.clone(),
    };
    let bits = dialect.bits(of);
    let (lowest, highest) = (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1);
    let shown = || format!("CAST({name} AS {})", dialect.column_type(ColumnType::Text));
    let not = |unfit: String, expected: &str| Some((unfit, shown(), format!(" is not {expected}")));
    let whole = |lowest: i128, highest: i128| {
        let (lowest, highest) = (lowest.to_string(), highest.to_string());
        let values = [("column", name.as_str()), ("lowest", lowest.as_str()), ("highest", highest.as_str())];
        not(context.select_with(&NOT_WHOLE, &values), &format!("a whole number of {bits} bits"))
    };
    let values = [("column", name.as_str()), ("value", value.as_str())];
    let check = match (of.family(), column.source_type) {
        (TypeFamily::Integer, Decimal) => whole(lowest, highest),
        // Beyond these it stands for other numbers, too.
        (TypeFamily::Integer, Float) => whole(lowest.max(-EXACT), highest.min(EXACT)),
        (TypeFamily::Float, Decimal | Float) => not(context.select_with(&NOT_FINITE, &values), "a finite number"),
        (TypeFamily::Timestamp, _) => {
            not(context.select_with(&NOT_A_TIME, &values), "a time of the years 0001 to 9999")
        }
        (TypeFamily::Text, _) => dialect.longest_text(of).map(|bytes| too_long(context, column, of, bytes)),
        _ => None,
    };
    let Some((unfit, shown, problem)) = check else { return (value, None) };
    let value = match of.family() {
        TypeFamily::Integer | TypeFamily::Text => format!("CASE WHEN {unfit} THEN NULL ELSE {value} END"),
        _ => value,
    };
    let text = |words: &str| dialect.text(words);
    let refusal = format!("WHEN {unfit} THEN {} || {shown} || {}", text(&format!("{}: ", column.name)), text(&problem));
    (value, Some(refusal))
}

/// When a text has more bytes than its column, how it begins and how many it has, and in words how many it may have.
fn too_long(context: &Context<'_>, column: &SourceColumn, of: ColumnType, bytes: u16) -> (String, String, String) {
    let dialect = &context.dialect;
    let name = dialect.column_name(&column.spelled);
    let value = match column.source_type {
        SourceType::TextByCast => format!("CAST({name} AS {})", dialect.column_type(ColumnType::LongText)),
        _ => name.clone(),
    };
    let longest = bytes.to_string();
    let values = [("value", value.as_str()), ("longest", longest.as_str())];
    let shown = context.select_with(&LENGTH, &values);
    let takes = format!(" bytes, the column takes {bytes}");
    match of {
        // Blanks at the end are padding, and a character is a byte.
        ColumnType::Fixed(_) => {
            let takes = format!("{takes}, and none of more than a byte a character");
            (context.select_with(&TOO_LONG_OR_WIDE, &values), shown, takes)
        }
        _ => (context.select_with(&TOO_LONG, &values), shown, takes),
    }
}

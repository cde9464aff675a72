//! The names of tables and of their columns.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::configuration::FILE_NAME;
use crate::output;
use serde_json::json;
use websessions_core::did_you_mean::unknown;
use websessions_core::error::{Error, WarehouseError, WarehouseErrorKind};
use websessions_core::identifier::Identifier;
use websessions_core::table::{Lifetime, TableName};
use websessions_core::warehouse::Warehouse;
use websessions_core::{model, preflight};

impl Invocation<'_> {
    /// The columns of a table of the model, as the target's dialect has them: of what files are loaded into, unless one is named.
    pub(super) fn columns(&self, name: Option<&str>) -> Result<(), Error> {
        let modules = model::modules();
        let all = model::tables(&modules, self.variables());
        let inputs: Vec<&str> = modules.iter().filter_map(|module| module.input).collect();
        let loaded: Vec<&str> = modules.iter().filter_map(|module| module.loads).collect();
        let name = name.or(loaded.first().copied()).unwrap_or_default();
        let Some(table) = all.iter().find(|table| table.name == name) else {
            return Err(Error::configuration(unknown("table", name, all.iter().map(|table| table.name))));
        };
        let dialect = self.configuration.backend.dialect();
        let rows = table.columns.iter().map(|column| {
            let note = if column.required && loaded.contains(&table.name) {
                "needed in every file"
            } else if column.required && inputs.contains(&table.name) {
                "needed in every file of load --staged"
            } else if column.not_null {
                "never NULL"
            } else if column.own {
                "your own"
            } else {
                ""
            };
            (column.name.to_string(), dialect.column_type(column.column_type), note)
        });
        if self.global.output == OutputFormat::Json {
            let columns: Vec<_> = rows
                .map(|(name, column_type, note)| json!({ "name": name, "type": column_type, "note": note }))
                .collect();
            return output::json(&columns);
        }
        let rows = rows.map(|(name, column_type, note)| [name, column_type, note.to_owned()]);
        output::data(&output::table([&self.variables().table_name(table).to_string(), "type", ""], rows))
    }

    /// An error about a table: if that is not there, in words that say so, and what makes it.
    pub(super) async fn of_missing(
        &self,
        warehouse: &dyn Warehouse,
        table: &TableName,
        error: WarehouseError,
    ) -> WarehouseError {
        if error.kind != WarehouseErrorKind::Missing
            || !matches!(preflight::columns_of_table(warehouse, table).await, Ok(columns) if columns.is_empty())
        {
            return error;
        }
        let variables = self.variables();
        let modules = model::modules();
        let found = modules.iter().find_map(|module| {
            let mut tables = module.tables(variables).into_iter();
            Some((module, tables.find(|known| variables.table_name(known) == *table)?))
        });
        let hint = match found {
            None => "a table of the model has its own name, such as 'sessions'; another is named as SCHEMA.TABLE".to_owned(),
            Some((_, known)) if known.lifetime != Lifetime::Persistent => {
                "a run makes it, and its complete drops it: --var cleanup_mode=debug keeps some of these tables, trace all"
                    .to_owned()
            }
            Some((module, _)) if !self.modules_or(None).is_ok_and(|configured| configured.contains(module)) => format!(
                "it is of the module {name}, which modules in {FILE_NAME} doesn't name: with it, {run} makes the table",
                run = output::pasteable("run"),
                name = module.spelled(),
            ),
            Some(_) => format!("no run has made it yet: {} does", output::pasteable("run --page-views FILE…")),
        };
        WarehouseError { message: format!("{table} does not exist"), hint: Some(hint), line: None, ..error }
    }

    /// A table of the model by its own name, with or without entropy and schema; any other as SCHEMA.TABLE.
    pub(super) fn table(&self, given: &str) -> Result<TableName, Error> {
        let variables = self.variables();
        let entropy = variables.entropy.as_str();
        let (schema, name) = given.rsplit_once('.').map_or((None, given), |(schema, name)| (Some(schema), name));
        let all = model::tables(&model::modules(), variables);
        let find = |name: &str| all.iter().find(|table| table.name == name);
        let model_table =
            find(name).or_else(|| name.strip_suffix(entropy).filter(|_| !entropy.is_empty()).and_then(find));
        let named = |text: &str| Identifier::new(text).map_err(Error::configuration);
        match (model_table, schema) {
            (Some(table), None) => Ok(variables.table_name(table)),
            (Some(table), Some(schema)) if variables.schema(table.schema).as_str() == schema => {
                Ok(variables.table_name(table))
            }
            (_, Some(schema)) => Ok(TableName { schema: named(schema)?, name: named(name)?.to_string() }),
            (None, None) => {
                let known: Vec<&str> = all.iter().map(|table| table.name).collect();
                Err(Error::Configuration {
                    message: unknown("table", name, known.iter().copied()),
                    hint: Some("a table of your own is named as SCHEMA.TABLE".to_owned()),
                })
            }
        }
    }
}

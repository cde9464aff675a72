//! A few rows of a table.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output;
use serde_json::json;
use websessions_core::did_you_mean::unknown;
use websessions_core::error::Error;
use websessions_core::identifier::Identifier;
use websessions_core::insight::Look;
use websessions_core::model;

impl Invocation<'_> {
    pub(super) async fn look(
        &self,
        given: &str,
        condition: Option<&str>,
        columns: &[String],
        limit: u32,
    ) -> Result<(), Error> {
        let table = self.table(given)?;
        let all = model::tables(&model::modules(), self.variables());
        let of_model = all.iter().find(|known| self.variables().table_name(known) == table);
        for column in columns {
            Identifier::new(column).map_err(Error::configuration)?;
            if let Some(known) = of_model.filter(|known| known.column(&column.to_lowercase()).is_none()) {
                return Err(Error::configuration(unknown("column", column, known.column_names())));
            }
        }
        if let Some(condition) = condition {
            let dialect = self.configuration.backend.dialect();
            websessions_playbook::check_condition(condition, dialect.name())
                .map_err(|problem| Error::configuration(format!("--where {condition:?} is no condition: {problem}")))?;
        }
        let columns = match of_model {
            Some(known) if columns.is_empty() => known.column_names().into_iter().map(str::to_owned).collect(),
            Some(_) => columns.iter().map(|column| column.to_lowercase()).collect(),
            None => columns.to_vec(),
        };
        let look = Look {
            table: table.clone(),
            columns,
            time: of_model.and_then(|known| known.time()).map(str::to_owned),
            condition: condition.map(str::to_owned),
            limit,
        };
        let warehouse = self.connect().await?;
        let insight = self.insight(&warehouse.dialect());
        let rows = match warehouse.query(&insight.rows(&look).sql).await {
            Ok(rows) => rows,
            Err(source) => {
                let source = self.of_missing(&*warehouse, &table, source).await;
                return Err(Error::Warehouse { context: format!("can't show {table}"), source });
            }
        };
        match self.global.output {
            OutputFormat::Json => output::json(&json!({ "table": table.to_string(), "rows": output::objects(&rows) })),
            OutputFormat::Text if rows.rows.is_empty() => output::data("no rows\n"),
            OutputFormat::Text => output::data(&output::rows(&rows)),
        }
    }
}

//! Whether the warehouse is fit for a run.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output;
use websessions_core::error::Error;
use websessions_core::model;
use websessions_core::plan::Statement;
use websessions_core::table::ColumnType;
use websessions_core::table::TableName;
use websessions_core::{lock, preflight};

impl Invocation<'_> {
    pub(super) async fn doctor(&self) -> Result<(), Error> {
        let warehouse = self.connect().await?;
        let variables = self.variables();
        let mut checks = vec![Check::ok("connection", warehouse.location())];
        let failed = |source| Error::Warehouse { context: "can't read the tables' columns".into(), source };
        let modules = model::modules();
        let reported = preflight::reported_columns(&*warehouse, &modules, variables).await.map_err(failed)?;
        for table in model::tables(&modules, variables) {
            let name = variables.table_name(&table).to_string();
            let Some(columns) = reported.get(table.name) else { continue };
            let differences = preflight::differences(&*warehouse, &table, columns);
            let readable = preflight::check_readable(&*warehouse, &variables.table_name(&table)).await;
            checks.push(match (differences.as_slice(), readable) {
                (_, Err(error)) => Check::problem(&name, format!("can't be read: {error}")),
                ([], Ok(())) => Check::ok(&name, "has the model's columns"),
                (differences, Ok(())) => Check::problem(&name, differences.join("; ")),
            });
        }
        for module in &modules {
            let Some(input) = module.input.and_then(|input| module.table(input, variables)) else { continue };
            if reported.contains_key(input.name) {
                continue;
            }
            let name = variables.table_name(&input).to_string();
            let found = match preflight::check_input(&*warehouse, module, variables).await {
                Err(Error::Warehouse { source, .. }) => format!("can't be read: {source}"),
                _ => "is missing: run the page views module, or 'websessions load'".to_owned(),
            };
            checks.push(Check::problem(&name, found));
        }
        let dialect = warehouse.dialect();
        for schema in [&variables.scratch_schema, &variables.output_schema] {
            if !preflight::schema_exists(&*warehouse, schema).await.map_err(failed)? {
                checks.push(Check::ok(&format!("schema {schema}"), "is missing; main makes it"));
                continue;
            }
            // Nobody has a table of this name, and nothing is dropped that was not just made.
            let name = format!("websessions_probe_{}", uuid::Uuid::new_v4().simple());
            let probe = TableName { schema: schema.clone(), name };
            let create = Statement::new(
                "probe",
                format!("CREATE TABLE {} (probe {})", dialect.table(&probe), dialect.column_type(ColumnType::Integer)),
            );
            let result = match warehouse.execute(&create).await {
                Ok(_) => warehouse.execute(&dialect.drop_table(&probe)).await,
                refused => refused,
            };
            checks.push(match result {
                Ok(_) => Check::ok(&format!("schema {schema}"), "tables can be made and dropped"),
                Err(error) => Check::problem(&format!("schema {schema}"), error.to_string()),
            });
        }
        checks.push(match lock::holder(&*warehouse, variables).await {
            Ok(None) => Check::ok("lock", "nobody holds it"),
            Ok(Some(holder)) => Check::ok("lock", format!("held by {}", holder.in_words)),
            Err(error) => Check::problem("lock", error.to_string()),
        });
        let problems = checks.iter().filter(|check| !check.ok).count();
        match self.global.output {
            OutputFormat::Json => output::json(&checks)?,
            OutputFormat::Text => {
                let mark = |ok: bool| if ok { "ok" } else { "PROBLEM" }.to_owned();
                let rows = checks.into_iter().map(|check| [mark(check.ok), check.subject, check.found]);
                output::data(&output::table(["", "what", "found"], rows))?;
            }
        }
        if problems == 0 {
            return Ok(());
        }
        Err(Error::Check {
            message: format!("{problems} checks failed"),
            hint: "mend what the table lists as PROBLEM".to_owned(),
        })
    }
}

#[derive(serde::Serialize)]
struct Check {
    ok: bool,
    subject: String,
    found: String,
}

impl Check {
    fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self { ok: true, subject: subject.to_owned(), found: found.into() }
    }

    fn problem(subject: &str, found: impl Into<String>) -> Self {
        Self { ok: false, subject: subject.to_owned(), found: found.into() }
    }
}

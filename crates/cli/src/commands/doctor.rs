//! Whether the warehouse is fit for a run.

use super::Invocation;
use crate::arguments::OutputFormat;
use crate::output;
use std::sync::Arc;
use websessions_core::error::{Error, WarehouseError};
use websessions_core::identifier::Identifier;
use websessions_core::model::{self, Module};
use websessions_core::plan::Statement;
use websessions_core::preflight::Difference;
use websessions_core::table::{ColumnType, Lifetime, SchemaRole, Table, TableName};
use websessions_core::variables::Variables;
use websessions_core::warehouse::Warehouse;
use websessions_core::words::counted;
use websessions_core::{lock, preflight};

impl Invocation<'_> {
    pub(super) async fn doctor(&self) -> Result<(), Error> {
        let checks = match self.connect_if_there().await? {
            Ok(warehouse) => self.examine(&warehouse).await?,
            Err(absent) => vec![Check::problem(
                "connection",
                format!("{absent} is not there: 'run' and 'load' make it, if its name is right"),
            )],
        };
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
            message: format!("{} failed", counted(problems, "check")),
            hint: "mend what the table lists as PROBLEM".to_owned(),
        })
    }

    async fn examine(&self, warehouse: &Arc<dyn Warehouse>) -> Result<Vec<Check>, Error> {
        let variables = self.variables();
        let mut checks = vec![Check::ok("connection", warehouse.location())];
        let failed = |source| Error::Warehouse { context: "can't read the tables' columns".into(), source };
        // Those that a run may be made of, as it is configured.
        let modules = self.modules_or(None)?;
        let reported = preflight::reported_columns(&**warehouse, &modules, variables).await.map_err(failed)?;
        let changes = preflight::changes(&modules, variables, &warehouse.dialect());
        for table in model::tables(&modules, variables) {
            let name = variables.table_name(&table).to_string();
            let Some(columns) = reported.get(table.name) else { continue };
            let key = model::key(&modules, table.name);
            let differences = preflight::differences(&*warehouse.dialect(), &table, key, columns);
            if !differences.is_empty() {
                let lacks = differences.iter().any(|difference| matches!(difference, Difference::Lacks(_)));
                let mut words: Vec<String> = differences.iter().map(ToString::to_string).collect();
                words.extend(lacks.then(|| format!("{} adds what can be added", output::pasteable("migrate"))));
                checks.push(Check::problem(&name, words.join("; ")));
                continue;
            }
            checks.push(match preflight::check_rights(&**warehouse, &modules, &changes, variables, &table).await {
                Ok(()) => Check::ok(&name, "has the model's columns, and may be used as a run does"),
                Err(error) => Check::refused(&name, "can't be used as a run does", &error),
            });
        }
        for module in &modules {
            let Some(input) = module.input.and_then(|input| module.table(input, variables)) else { continue };
            if reported.contains_key(input.name) {
                continue;
            }
            let name = variables.table_name(&input).to_string();
            let found = match preflight::check_input(&**warehouse, module, variables).await {
                Err(Error::Warehouse { source, .. }) => Check::refused(&name, "can't be read", &source),
                _ => Check::problem(
                    &name,
                    format!("is missing: run the page views module, or {}", output::pasteable("load")),
                ),
            };
            checks.push(found);
        }
        for role in [SchemaRole::Scratch, SchemaRole::Output] {
            let schema = variables.schema(role);
            let is_there = preflight::schema_exists(&**warehouse, schema).await.map_err(failed)?;
            let makes_none = is_there
                && role == SchemaRole::Output
                && makes_no_output(&modules, variables, |table| reported.contains_key(table.name));
            checks.push(match makes_none {
                true => {
                    let found = "has the tables of the modules that run; they make none there";
                    Check::ok(&format!("schema {schema}"), found)
                }
                false => examine_schema(&**warehouse, schema, is_there).await?,
            });
        }
        checks.push(match lock::holder(&**warehouse, variables).await {
            Ok(None) => Check::ok("lock", "nobody holds it"),
            Ok(Some(holder)) => Check::ok("lock", format!("held by {}", holder.in_words)),
            Err(error) => Check::problem("lock", error.to_string()),
        });
        Ok(checks)
    }
}

/// Whether something can be made in a schema, or the schema where it is missing. Nobody has anything of the probe's name, and
/// nothing is dropped that was not just made.
async fn examine_schema(warehouse: &dyn Warehouse, schema: &Identifier, is_there: bool) -> Result<Check, Error> {
    let (dialect, subject) = (warehouse.dialect(), format!("schema {schema}"));
    let name = format!("websessions_probe_{}", uuid::Uuid::new_v4().simple());
    let (create, drop, may) = if is_there {
        let probe = TableName { schema: schema.clone(), name };
        let number = dialect.column_type(ColumnType::Integer);
        let sql = format!("CREATE TABLE {} (probe {number})", dialect.table(&probe));
        (Statement::new("probe", sql), dialect.drop_table(&probe), "tables can be made and dropped")
    } else {
        let probe = Identifier::new(&name).map_err(Error::configuration)?;
        (dialect.create_schema(&probe), dialect.drop_schema(&probe), "is missing; main makes it")
    };
    let result = match warehouse.execute(&create).await {
        Ok(_) => warehouse.execute(&drop).await,
        refused => refused,
    };
    Ok(match result {
        Ok(_) => Check::ok(&subject, may),
        Err(error) => Check::refused(&subject, "nothing can be made", &error),
    })
}

/// Whether a run has nothing to make in the output schema: of each module that has a table of its own there, all are there.
fn makes_no_output(modules: &[Module], variables: &Variables, is_there: impl Fn(&Table) -> bool) -> bool {
    let outputs = |module: &Module| -> Vec<Table> {
        let kept = |table: &Table| table.schema == SchemaRole::Output && table.lifetime == Lifetime::Persistent;
        module.tables(variables).into_iter().filter(kept).collect()
    };
    let is_shared = |table: &Table| modules.iter().all(|module| module.table(table.name, variables).is_some());
    let is_used = |module: &&Module| outputs(module).iter().any(|table| !is_shared(table) && is_there(table));
    let mut used = modules.iter().filter(is_used).peekable();
    used.peek().is_some() && used.all(|module| outputs(module).iter().all(&is_there))
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

    fn refused(subject: &str, what: &str, error: &WarehouseError) -> Self {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self::problem(subject, format!("{what}: {error}{hint}"))
    }

    fn problem(subject: &str, found: impl Into<String>) -> Self {
        Self { ok: false, subject: subject.to_owned(), found: found.into() }
    }
}

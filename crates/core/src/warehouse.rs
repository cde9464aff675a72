//! A connected warehouse: the one effectful seam. Small and object-safe, so that anyone can write one.

use crate::dialect::Dialect;
use crate::error::{Retry, WarehouseError, WarehouseErrorKind};
use crate::plan::{Load, OnlyIf, Statement};
use crate::rows::Rows;
use crate::table::TableName;
use async_trait::async_trait;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// What one statement did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Rows inserted, deleted or updated, where the warehouse says.
    pub rows_affected: Option<u64>,
    /// The warehouse's own id of the statement, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// Bytes that the warehouse read, where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_processed: Option<u64>,
    /// Bytes that the warehouse bills, where it bills by bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_billed: Option<u64>,
}

/// The words of the error of a statement that must change a row and found none, wherever it is raised.
pub const FENCED: &str = "it found no row, and nothing was changed";

impl Done {
    /// Fails if a statement of a block must change a row and has changed none: then the block must be rolled back.
    pub fn check(self, statement: &Statement) -> Result<Self, WarehouseError> {
        if statement.must_change && self.rows_affected.unwrap_or(0) == 0 {
            return Err(Self::fenced(&statement.purpose));
        }
        Ok(self)
    }

    /// The error of a statement that must change a row and found none.
    pub fn fenced(purpose: &str) -> WarehouseError {
        WarehouseError::new(WarehouseErrorKind::Fenced, format!("{purpose}: {FENCED}"))
    }
}

/// What a statement would cost, as the warehouse says without running it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Bytes that it would read.
    pub bytes_processed: u64,
    /// Their price in US dollars.
    pub price: f64,
}

/// What is being run, for the warehouse's own records: query tags, job labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The run's id.
    pub run: String,
    /// The phase or custom module.
    pub plan: String,
    /// The step.
    pub step: String,
}

/// What loading a file did.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    /// The file.
    pub file: String,
    /// Rows appended.
    pub rows: u64,
    /// Wrong rows that were left out, as was asked for.
    pub rows_left_out: u64,
    /// Columns of the file that the model doesn't have: left out.
    pub ignored_columns: Vec<String>,
    /// Columns that the file doesn't have: NULL.
    pub missing_columns: Vec<String>,
}

/// A connected warehouse. Methods may be called at the same time: the executor renews its lease while a unit runs.
#[async_trait]
pub trait Warehouse: Send + Sync {
    /// How it spells things.
    fn dialect(&self) -> Arc<dyn Dialect>;

    /// Where its tables are, for people: a file, a host and database. Never a secret.
    fn location(&self) -> String;

    /// How catalogs of data call it, as OpenLineage's names of datasets have it: a namespace, and what stands before
    /// `SCHEMA.TABLE` in a dataset's name. Never a secret. <https://openlineage.io/docs/spec/naming/>
    fn namespace(&self) -> (String, Option<String>) {
        (self.dialect().name().to_owned(), None)
    }

    /// Runs one statement on its own.
    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError>;

    /// Runs statements as one transaction, and rolls back if one fails, or changes no row though it must
    /// ([`Done::check`]).
    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError>;

    /// Runs a user's script, unsplit. What it leaves behind ends with it: an open transaction, settings, temporary tables.
    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        self.execute(script).await
    }

    /// Runs a query whose result is small.
    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError>;

    /// Says what is run from now on.
    fn announce(&self, _activity: &Activity) {}

    /// What a statement would cost; `None` if it can't be known before it runs.
    async fn estimate(&self, _statement: &Statement) -> Result<Option<Estimate>, WarehouseError> {
        Err(WarehouseError::new(WarehouseErrorKind::Unsupported, "this backend gives no estimates"))
    }

    /// Ends what a run of that id may still be running, by whatever process, and awaits its end: what it has announced
    /// itself by ([`Warehouse::announce`]) finds it. Called before its lock is taken over, and before what this run has sent
    /// and lost the answer of is sent again. What this role can't see, and so may go on, is given in words.
    async fn end_statements(&self, _run: &str) -> Result<Option<String>, WarehouseError> {
        Ok(None)
    }

    /// Asks the warehouse to stop what it is running for us. The interrupted call returns an error of kind `Cancelled`.
    async fn cancel(&self) -> Result<(), WarehouseError> {
        Ok(())
    }

    /// Frees the lock in a table, unless this process took it itself: only where whoever else holds it must be dead, as in a
    /// file that one process at a time can open. Asked for before anybody looks at the lock.
    async fn free_dead_lock(&self, _lock: &TableName) -> Result<(), WarehouseError> {
        Ok(())
    }

    /// Sends what a load begins with (but what is there already need not be made: [`Statement::there`]), appends its files to its
    /// table by the names of columns, and sends its guard, if it has one, before and after: all in one transaction, all files or
    /// none, and none where the guard changes no row ([`Done::check`]). The crate websessions-files reads them.
    async fn load(&self, load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        let _ = load;
        Err(takes_no_files("with the warehouse's own tools"))
    }

    /// Writes a table to a CSV or Parquet file, by its ending; gives the number of rows.
    async fn export(&self, _table: &TableName, _file: &Path) -> Result<u64, WarehouseError> {
        Err(WarehouseError::new(WarehouseErrorKind::Unsupported, "this backend doesn't export files")
            .with_hint("export tables with the warehouse's own tools"))
    }
}

/// The error of a warehouse that takes no files: how else they come into a table.
pub fn takes_no_files(how: &str) -> WarehouseError {
    let hint = format!("load the file into a table of your own {how}, and name it: page_views_from = SCHEMA.TABLE");
    WarehouseError::new(WarehouseErrorKind::Unsupported, "this backend takes no files").with_hint(hint)
}

/// Runs a statement that makes something if it is missing. It is no failure where that is there all the same: warehouses ask
/// for the right to make it from a role that may only use it, and refuse the second of two who make it at once.
pub async fn make(warehouse: &dyn Warehouse, statement: &Statement) -> Result<Done, WarehouseError> {
    let (error, query) = match (warehouse.execute(statement).await, &statement.there) {
        // What may still be made is not there for sure: it is tried again.
        (Err(error), Some(query)) if error.retry != Retry::Unknown => (error, query),
        (done, _) => return done,
    };
    match warehouse.query(query).await {
        Ok(found) if !found.rows.is_empty() => Ok(Done::default()),
        _ => Err(error),
    }
}

/// The statements that are to be sent, as what each depends on is before any of them is sent.
pub async fn wanted(warehouse: &dyn Warehouse, statements: &[Statement]) -> Result<Vec<Statement>, WarehouseError> {
    let mut wanted = Vec::new();
    for statement in statements {
        if is_wanted(warehouse, statement).await? {
            wanted.push(statement.clone());
        }
    }
    Ok(wanted)
}

/// Whether what a statement depends on is so.
pub async fn is_wanted(warehouse: &dyn Warehouse, statement: &Statement) -> Result<bool, WarehouseError> {
    let Some(only_if) = &statement.only_if else { return Ok(true) };
    let found = match warehouse.query(only_if.query()).await {
        Err(error) if error.kind == WarehouseErrorKind::Missing => false,
        other => !other?.rows.is_empty(),
    };
    Ok(found == matches!(only_if, OnlyIf::Finds(_)))
}

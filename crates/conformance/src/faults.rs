//! A warehouse that notes what it is sent, and breaks where a trial says.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use websessions_core::async_trait;
use websessions_core::dialect::Dialect;
use websessions_core::error::{Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::Rows;
use websessions_core::warehouse::{Done, Loaded, Warehouse};

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing; what is sent is only noted.
    None,
    /// The process dies before its call number so-and-so (from 0): that call and all after it fail.
    DeadBefore(usize),
    /// Call number so-and-so is applied, but its answer is lost; later calls work.
    AnswerLost(usize),
    /// Call number so-and-so is not applied; later calls work.
    Refused(usize),
    /// Call number so-and-so is answered as done but changes nothing, as one that finds no row; later calls work.
    FindsNothing(usize),
}

/// A warehouse with a fault, either in what a run does or in its housekeeping: its lock and its look at the columns. What
/// is not the one that breaks is not counted, and works until the process is dead.
pub struct Faulty {
    inner: Arc<dyn Warehouse>,
    fault: Fault,
    housekeeping: bool,
    calls: AtomicUsize,
    sent: Mutex<Vec<String>>,
}

impl Faulty {
    /// Around another warehouse.
    pub fn new(inner: Arc<dyn Warehouse>, fault: Fault) -> Self {
        Self { inner, fault, housekeeping: false, calls: AtomicUsize::new(0), sent: Mutex::default() }
    }

    /// The same for the run's housekeeping.
    pub fn in_housekeeping(inner: Arc<dyn Warehouse>, fault: Fault) -> Self {
        Self { housekeeping: true, ..Self::new(inner, fault) }
    }

    /// How many calls of the kind that breaks there were.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The statements of that kind that were sent.
    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn call<T: Default>(
        &self,
        statements: &[&str],
        work: impl Future<Output = Result<T, WarehouseError>>,
    ) -> Result<T, WarehouseError> {
        let lost = |retry| WarehouseError::new(WarehouseErrorKind::Connection, "injected fault").with_retry(retry);
        let dead = |number| matches!(self.fault, Fault::DeadBefore(limit) if number >= limit);
        if statements.iter().all(|sql| is_housekeeping(sql)) != self.housekeeping {
            return if dead(self.calls()) { Err(lost(Retry::Never)) } else { work.await };
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if dead(number) {
            return Err(lost(Retry::Never));
        }
        if self.fault == Fault::Refused(number) {
            return Err(lost(Retry::NotApplied));
        }
        self.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(
            statements.iter().filter(|sql| is_housekeeping(sql) == self.housekeeping).map(|sql| (*sql).to_owned()),
        );
        if self.fault == Fault::FindsNothing(number) {
            return Ok(T::default());
        }
        let done = work.await?;
        if self.fault == Fault::AnswerLost(number) {
            return Err(lost(Retry::Unknown));
        }
        Ok(done)
    }
}

/// Whether a statement is about a run's lock, or its look at the columns.
pub(crate) fn is_housekeeping(sql: &str) -> bool {
    sql.to_lowercase().contains("sessions_lock") || sql.contains("column_name, data_type")
}

#[async_trait]
impl Warehouse for Faulty {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        self.call(&[&statement.sql], self.inner.execute(statement)).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let texts: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        self.call(&texts, self.inner.execute_block(statements)).await
    }

    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        self.call(&[&script.sql], self.inner.execute_script(script)).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.call(&[sql], self.inner.query(sql)).await
    }

    async fn load(&self, load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        self.call(&["files"], self.inner.load(load)).await
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        self.inner.cancel().await
    }

    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        self.inner.end_statements(run).await
    }
}

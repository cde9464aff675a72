//! A warehouse that stops a run on its way to a call, as a signal or a sleeping machine does, until a trial lets it go on.

use crate::faults::is_housekeeping;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use websessions_core::async_trait;
use websessions_core::dialect::Dialect;
use websessions_core::error::WarehouseError;
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::Rows;
use websessions_core::warehouse::{Activity, Done, Loaded, Warehouse};

/// A warehouse that stops its run before a call, and before the one after it. Housekeeping, as the look at the lock, is not
/// counted and never stopped.
pub struct Stopping {
    inner: Arc<dyn Warehouse>,
    before: usize,
    calls: AtomicUsize,
    stopped: Semaphore,
    goes_on: Semaphore,
}

impl Stopping {
    /// Around another warehouse, with the number of the call, from 0, before which the run stops first.
    pub fn before(inner: Arc<dyn Warehouse>, call: usize) -> Self {
        let nothing = || Semaphore::new(0);
        Self { inner, before: call, calls: AtomicUsize::new(0), stopped: nothing(), goes_on: nothing() }
    }

    /// Awaits that the run has stopped.
    pub async fn stopped(&self) {
        if let Ok(permit) = self.stopped.acquire().await {
            permit.forget();
        }
    }

    /// Lets the run go on, to its next stop if there is one.
    pub fn go_on(&self) {
        self.goes_on.add_permits(1);
    }

    async fn stop(&self, statements: &[&str]) {
        if statements.iter().all(|sql| is_housekeeping(sql)) {
            return;
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if number == self.before || number == self.before + 1 {
            self.stopped.add_permits(1);
            if let Ok(permit) = self.goes_on.acquire().await {
                permit.forget();
            }
        }
    }
}

#[async_trait]
impl Warehouse for Stopping {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        self.stop(&[&statement.sql]).await;
        self.inner.execute(statement).await
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let texts: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        self.stop(&texts).await;
        self.inner.execute_block(statements).await
    }

    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        self.stop(&[&script.sql]).await;
        self.inner.execute_script(script).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.stop(&[sql]).await;
        self.inner.query(sql).await
    }

    async fn load(&self, load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        self.stop(&["files"]).await;
        self.inner.load(load).await
    }

    fn announce(&self, activity: &Activity) {
        self.inner.announce(activity);
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        self.inner.cancel().await
    }

    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        self.inner.end_statements(run).await
    }
}

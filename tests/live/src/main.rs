//! The conformance kit on a real account: `just live snowflake`. The target's settings are environment variables
//! (`WEBSESSIONS_LIVE_ACCOUNT`, `WEBSESSIONS_LIVE_PASSWORD`, …; `websessions backends` lists them). Every trial makes
//! schemas of its own with random names; none is left behind. At the end it says what the account is billed for.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use libtest_mimic::Arguments;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use websessions_bigquery::BigQuery;
use websessions_conformance::{Harness, trials};
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Registry, Settings};
use websessions_core::dialect::Dialect;
use websessions_core::error::{WarehouseError, chain};
use websessions_core::identifier::Identifier;
use websessions_core::plan::{Load, Statement};
use websessions_core::rows::Rows;
use websessions_core::warehouse::{Activity, Done, Loaded, Warehouse};
use websessions_postgres::{Postgres, Redshift};
use websessions_snowflake::Snowflake;

#[derive(Default)]
struct Cost {
    statements: AtomicU64,
    milliseconds: AtomicU64,
    bytes_billed: AtomicU64,
}

#[derive(Clone)]
struct Account {
    factory: Arc<dyn BackendFactory>,
    settings: Settings,
    cost: Arc<Cost>,
    schemas: Arc<Mutex<Vec<Identifier>>>,
}

#[async_trait]
impl Harness for Account {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        let inner = self.factory.connect(&self.settings).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        Arc::new(Counted { inner, cost: Arc::clone(&self.cost) })
    }

    fn hear(&self, schemas: [&Identifier; 2]) {
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner).extend(schemas.map(Clone::clone));
    }
}

impl Account {
    /// Drops what failed trials left behind.
    #[tokio::main(flavor = "current_thread")]
    async fn tidy(&self) {
        let schemas = std::mem::take(&mut *self.schemas.lock().unwrap_or_else(PoisonError::into_inner));
        let warehouse = self.connect().await;
        for schema in schemas {
            if let Err(error) = warehouse.execute(&warehouse.dialect().drop_schema(&schema)).await {
                eprintln!("error: the schema {schema} is left behind: {error}");
            }
        }
    }
}

/// Counts what passes.
struct Counted {
    inner: Arc<dyn Warehouse>,
    cost: Arc<Cost>,
}

impl Counted {
    async fn count<T>(&self, statements: usize, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        self.cost.statements.fetch_add(statements as u64, Ordering::Relaxed);
        self.cost.milliseconds.fetch_add(started.elapsed().as_millis() as u64, Ordering::Relaxed);
        result
    }

    fn bill(&self, done: &[Done]) {
        let bytes = done.iter().filter_map(|done| done.bytes_billed).sum();
        self.cost.bytes_billed.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[async_trait]
impl Warehouse for Counted {
    fn dialect(&self) -> Arc<dyn Dialect> {
        self.inner.dialect()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn execute(&self, statement: &Statement) -> Result<Done, WarehouseError> {
        let done = self.count(1, self.inner.execute(statement)).await?;
        self.bill(std::slice::from_ref(&done));
        Ok(done)
    }

    async fn execute_block(&self, statements: &[Statement]) -> Result<Vec<Done>, WarehouseError> {
        let done = self.count(statements.len(), self.inner.execute_block(statements)).await?;
        self.bill(&done);
        Ok(done)
    }

    async fn execute_script(&self, script: &Statement) -> Result<Done, WarehouseError> {
        let done = self.count(1, self.inner.execute_script(script)).await?;
        self.bill(std::slice::from_ref(&done));
        Ok(done)
    }

    async fn load(&self, load: &Load) -> Result<Vec<Loaded>, WarehouseError> {
        self.count(1, self.inner.load(load)).await
    }

    async fn end_statements(&self, run: &str) -> Result<Option<String>, WarehouseError> {
        self.inner.end_statements(run).await
    }

    async fn query(&self, sql: &str) -> Result<Rows, WarehouseError> {
        self.count(1, self.inner.query(sql)).await
    }

    fn announce(&self, activity: &Activity) {
        self.inner.announce(activity);
    }

    async fn cancel(&self) -> Result<(), WarehouseError> {
        self.inner.cancel().await
    }
}

fn settings(factory: &dyn BackendFactory) -> Result<Settings, websessions_core::error::Error> {
    const PREFIX: &str = "WEBSESSIONS_LIVE_";
    let given = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.to_str()?.strip_prefix(PREFIX)?.to_lowercase(), value.into_string().ok()?))
    });
    Settings::new(factory, given)
}

fn main() -> ExitCode {
    let registry = Registry::default()
        .with(Arc::new(BigQuery))
        .with(Arc::new(Snowflake))
        .with(Arc::new(Redshift))
        .with(Arc::new(Postgres));
    let mut given: Vec<String> = std::env::args().collect();
    if given.len() < 2 {
        eprintln!("which backend? bigquery, snowflake, redshift or postgres; trials and options may follow");
        return ExitCode::from(2);
    }
    let name = given.remove(1);
    let arguments = Arguments::from_iter(given);
    let found = registry.all().iter().find(|factory| factory.name() == name).cloned();
    let account = registry.get(&name).and_then(settings).map(|settings| (found, settings));
    let (factory, settings) = match account {
        Ok((Some(factory), settings)) => (factory, settings),
        Ok((None, _)) => return ExitCode::from(2),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let account = Account { factory, settings, cost: Arc::default(), schemas: Arc::default() };
    let conclusion = libtest_mimic::run(&arguments, trials(&name, account.clone()));
    if conclusion.has_failed() {
        account.tidy();
    }
    let seconds = account.cost.milliseconds.load(Ordering::Relaxed) as f64 / 1000.0;
    println!("cost: {} statements, {seconds:.1} s of them", account.cost.statements.load(Ordering::Relaxed));
    match account.cost.bytes_billed.load(Ordering::Relaxed) {
        0 => {}
        bytes => println!("cost: {bytes} bytes billed"),
    }
    conclusion.exit_code()
}

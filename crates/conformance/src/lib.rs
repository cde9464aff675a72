//! The kit that proves a backend: every trial of [`trials`] runs the model on it and looks at the tables that come out.
//!
//! A backend's test is a few lines (`harness = false` in its `Cargo.toml`):
//!
//! ```no_run
//! # struct MyHarness;
//! # #[websessions_core::async_trait]
//! # impl websessions_conformance::Harness for MyHarness {
//! #     async fn connect(&self) -> std::sync::Arc<dyn websessions_core::warehouse::Warehouse> { std::future::pending().await }
//! # }
//! fn main() {
//!     websessions_conformance::main("mine", MyHarness);
//! }
//! ```

mod case;
mod contents;
mod csv;
mod faults;
pub mod histories;
mod scenarios;
mod stops;
mod target;
mod tiers;
mod trials;

pub use case::Case;
pub use contents::Contents;
pub use csv::{Cell, parse_csv};
pub use faults::{Fault, Faulty};
pub use scenarios::{Scenario, ScenarioPhase, ScenarioRun, scenarios};
pub use stops::Stopping;
pub use target::Target;
pub use tiers::{ON_A_SLOW_SERVER, tier};

use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::identifier::Identifier;
use websessions_core::warehouse::Warehouse;

/// A backend under test.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// A connection of its own to the one database of this test process, as another run would have it.
    async fn connect(&self) -> Arc<dyn Warehouse>;

    /// A harness on another database that nobody else is at, where making one is cheap: for trials that make thousands of
    /// schemas.
    fn apart(&self) -> Option<Arc<dyn Harness>> {
        None
    }

    /// Hears which schemas a trial is about to make. It drops them if it passes; where the warehouse outlives the tests,
    /// the harness drops what a failed one left.
    fn hear(&self, _schemas: [&Identifier; 2]) {}
}

/// All trials, each named `backend::trial`. Each makes schemas of its own and drops them.
pub fn trials(backend: &str, harness: impl Harness) -> Vec<Trial> {
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let mut all = Vec::new();
    for scenario in scenarios() {
        let harness = Arc::clone(&harness);
        let name = format!("{backend}::scenario_{}", scenario.name);
        all.push(Trial::test(name, move || run(async move { scenarios::prove(&*harness, &scenario).await })));
    }
    for (name, trial) in trials::all() {
        let harness = Arc::clone(&harness);
        all.push(Trial::test(format!("{backend}::{name}"), move || run(async move { trial(&*harness).await })));
    }
    all
}

/// The main function of a test without libtest's harness.
pub fn main(backend: &str, harness: impl Harness) {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials(backend, harness)).exit();
}

fn run(trial: impl Future<Output = Result<(), String>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(trial).map_err(Failed::from)
}

//! The `websessions` command line as a library, so that a program with other backends is ten lines:
//!
//! ```no_run
//! use websessions::{App, bundled};
//! App::new().with(bundled()).main(); // .with(MyBackend)
//! ```

mod arguments;
mod commands;
mod configuration;
mod destination;
mod hints;
mod interruption;
mod lineage;
mod output;
mod progress;

use std::process::ExitCode;
use std::sync::Arc;
use websessions_core::backend::{BackendFactory, Registry};

/// The backends of this program, as `App::with` takes them: one, or several.
pub struct Backends(Vec<Arc<dyn BackendFactory>>);

impl<B: BackendFactory + 'static> From<B> for Backends {
    fn from(backend: B) -> Self {
        Self(vec![Arc::new(backend)])
    }
}

impl IntoIterator for Backends {
    type Item = Arc<dyn BackendFactory>;
    type IntoIter = std::vec::IntoIter<Arc<dyn BackendFactory>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The backends that were chosen by this crate's features. The first is the default's.
pub fn bundled() -> Backends {
    Backends(vec![
        #[cfg(feature = "duckdb")]
        Arc::new(websessions_duckdb::DuckDb),
        #[cfg(feature = "postgres")]
        Arc::new(websessions_postgres::Postgres),
        #[cfg(feature = "redshift")]
        Arc::new(websessions_postgres::Redshift),
        #[cfg(feature = "snowflake")]
        Arc::new(websessions_snowflake::Snowflake),
        #[cfg(feature = "bigquery")]
        Arc::new(websessions_bigquery::BigQuery),
    ])
}

/// The program.
#[derive(Clone, Default)]
pub struct App {
    registry: Registry,
}

impl App {
    /// A program without backends.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a backend, or several. A later one of the same name takes the place of an earlier one.
    #[must_use]
    pub fn with(mut self, backends: impl Into<Backends>) -> Self {
        for backend in backends.into() {
            self.registry = self.registry.with(backend);
        }
        self
    }

    /// Reads the command line, does what it says, and gives the exit code.
    pub fn main(self) -> ExitCode {
        let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
        let (arguments, command) = match arguments::Arguments::read(&given) {
            Ok(read) => read,
            Err(error) => {
                output::begin_without(&given);
                return ExitCode::from(output::usage(&error));
            }
        };
        output::begin(&arguments.global, command);
        if let Err(error) = check_descriptors() {
            output::cannot_start(&error, Some("raise the limit of open files (ulimit -n)"));
            return ExitCode::FAILURE;
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                output::cannot_start(&error, None);
                return ExitCode::FAILURE;
            }
        };
        let code = runtime.block_on(commands::dispatch(&self.registry, &arguments));
        // A statement that was given up may still be running in this process.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        ExitCode::from(code)
    }
}

/// Whether this process may open what a run needs. Where a limit is too low, what opens more fails in ways of its own,
/// some of them as panics.
fn check_descriptors() -> std::io::Result<()> {
    const NEEDED: usize = 32;
    if cfg!(unix) {
        let opened: std::io::Result<Vec<std::fs::File>> =
            (0..NEEDED).map(|_| std::fs::File::open("/dev/null")).collect();
        drop(opened?);
    }
    Ok(())
}

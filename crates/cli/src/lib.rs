//! The `websessions` command line as a library, so that a program with other backends is ten lines:
//!
//! ```no_run
//! use websessions::{App, bundled};
//! App::new().with(bundled()).main(); // .with(MyBackend)
//! ```

mod arguments;
mod commands;
mod configuration;
mod output;
mod progress;

use clap::{CommandFactory, Parser};
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
        for backend in backends.into().0 {
            self.registry = self.registry.with(backend);
        }
        self
    }

    /// Reads the command line, does what it says, and gives the exit code.
    pub fn main(self) -> ExitCode {
        let arguments = match arguments::Arguments::try_parse() {
            Ok(arguments) => arguments,
            Err(error) => {
                // clap knows best where its texts go: help to stdout, errors to stderr.
                let _ = error.print();
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
        };
        if let arguments::Command::Completions { shell } = arguments.command {
            clap_complete::generate(shell, &mut arguments::Arguments::command(), "websessions", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                output::talk(&format!("error: can't start: {error}"));
                return ExitCode::FAILURE;
            }
        };
        ExitCode::from(runtime.block_on(commands::dispatch(&self.registry, &arguments)))
    }
}

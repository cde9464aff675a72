//! The harness of most backends: connections that a factory makes from settings.

use crate::Harness;
use std::sync::Arc;
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::error::{Error, chain};
use websessions_core::warehouse::Warehouse;

/// A target under test: a backend, and the settings of its connections.
#[derive(Clone)]
pub struct Target {
    /// The backend.
    pub factory: Arc<dyn BackendFactory>,
    /// Its settings.
    pub settings: Settings,
}

impl Target {
    /// A target with these settings. Panics if the backend refuses their names, or misses one.
    pub fn new<'a>(
        factory: impl BackendFactory + 'static,
        settings: impl IntoIterator<Item = (&'a str, impl Into<String>)>,
    ) -> Self {
        let settings = Settings::new(&factory, settings).unwrap_or_else(|error| panic!("{}", chain(&error)));
        Self { factory: Arc::new(factory), settings }
    }

    /// A connection, or why there is none.
    pub async fn open(&self) -> Result<Arc<dyn Warehouse>, Error> {
        self.factory.connect(&self.settings).await
    }
}

#[async_trait]
impl Harness for Target {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        self.open().await.unwrap_or_else(|error| panic!("{}", chain(&error)))
    }
}

//! The conformance kit on the example's backend: what every backend of one's own should have.

use std::sync::Arc;
use websessions_conformance::{Harness, Target};
use websessions_core::async_trait;
use websessions_core::warehouse::Warehouse;
use websessions_sqlite_example::Sqlite;

struct OnSqlite(tempfile::TempDir);

#[async_trait]
impl Harness for OnSqlite {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        // A trial has a file of its own by the name of its thread, so that trials don't wait for each other's writes.
        let thread = format!("{:?}.sqlite", std::thread::current().id());
        let database = self.0.path().join(thread).display().to_string();
        Target::new(Sqlite, [("database", database)]).connect().await
    }
}

fn main() {
    websessions_conformance::main("sqlite", OnSqlite(tempfile::tempdir().expect("a temporary folder")));
}

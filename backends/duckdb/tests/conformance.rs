//! The conformance kit on DuckDB.

use std::sync::Arc;
use websessions_conformance::Harness;
use websessions_core::async_trait;
use websessions_core::warehouse::Warehouse;
use websessions_duckdb::DuckDbWarehouse;

struct DuckDb(DuckDbWarehouse, #[expect(dead_code, reason = "kept until the tests end")] tempfile::TempDir);

#[async_trait]
impl Harness for DuckDb {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::new(self.0.share())
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let warehouse = match DuckDbWarehouse::open(&folder.path().join("kit.duckdb"), &[]) {
        Ok(warehouse) => warehouse,
        Err((context, error)) => panic!("{context}: {error}"),
    };
    websessions_conformance::main("duckdb", DuckDb(warehouse, folder));
}

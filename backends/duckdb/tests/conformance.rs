//! The conformance kit on DuckDB.

use std::path::Path;
use std::sync::Arc;
use websessions_conformance::Harness;
use websessions_core::async_trait;
use websessions_core::warehouse::Warehouse;
use websessions_duckdb::DuckDbWarehouse;

struct DuckDb(DuckDbWarehouse, #[expect(dead_code, reason = "kept until the tests end")] tempfile::TempDir);

impl DuckDb {
    fn in_folder(folder: tempfile::TempDir, options: &[(&str, String)]) -> Self {
        match DuckDbWarehouse::open(&folder.path().join("kit.duckdb"), options) {
            Ok(warehouse) => Self(warehouse, folder),
            Err((context, error)) => panic!("{context}: {error}"),
        }
    }
}

#[async_trait]
impl Harness for DuckDb {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::new(self.0.share())
    }

    // In memory where the system has files there, and without threads that would wait for each other: its tables are tiny.
    fn apart(&self) -> Option<Arc<dyn Harness>> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a temporary folder");
        Some(Arc::new(Self::in_folder(folder, &[("threads", "1".to_owned())])))
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    websessions_conformance::main("duckdb", DuckDb::in_folder(folder, &[]));
}

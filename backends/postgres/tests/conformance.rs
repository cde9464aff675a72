//! The conformance kit on a real Postgres server, in both dialects.

use libtest_mimic::Arguments;
use std::sync::Arc;
use websessions_conformance::{Harness, Target, trials};
use websessions_core::async_trait;
use websessions_core::plan::Statement;
use websessions_core::warehouse::Warehouse;
use websessions_postgres::{Postgres, Redshift};
use websessions_test_servers::{Cluster, FUNCTIONS, Stripped};

struct OnRedshiftDialect(Target);

#[async_trait]
impl Harness for OnRedshiftDialect {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::new(Stripped(self.0.connect().await))
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let cluster = Cluster::start("").expect("a server");
    let postgres = Target::new(Postgres, [("url", cluster.url())]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let warehouse = postgres.connect().await;
        for function in FUNCTIONS {
            warehouse.execute(&Statement::new("function", *function)).await.expect("a function");
        }
    });
    let mut all = trials("postgres", postgres);
    all.extend(trials("redshift", OnRedshiftDialect(Target::new(Redshift, [("url", cluster.url())]))));
    let conclusion = libtest_mimic::run(&arguments, all);
    drop(cluster);
    conclusion.exit();
}

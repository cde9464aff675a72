//! The conformance kit on a real Postgres server, in both dialects.

use libtest_mimic::Arguments;
use std::collections::BTreeMap;
use std::sync::Arc;
use websessions_conformance::{Harness, trials};
use websessions_core::async_trait;
use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::plan::Statement;
use websessions_core::warehouse::Warehouse;
use websessions_postgres::{Postgres, Redshift};
use websessions_test_servers::{Cluster, FUNCTIONS, Stripped};

async fn connect(factory: &dyn BackendFactory, url: String) -> Arc<dyn Warehouse> {
    let settings = Settings::new(factory, BTreeMap::from([("url".to_owned(), url)])).expect("settings");
    match factory.connect(&settings).await {
        Ok(warehouse) => warehouse,
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string)),
    }
}

struct OnPostgres(String);

#[async_trait]
impl Harness for OnPostgres {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        connect(&Postgres, self.0.clone()).await
    }
}

struct OnRedshiftDialect(String);

#[async_trait]
impl Harness for OnRedshiftDialect {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::new(Stripped(connect(&Redshift, self.0.clone()).await))
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let cluster = Cluster::start("").expect("a server");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let warehouse = connect(&Postgres, cluster.url()).await;
        for function in FUNCTIONS {
            warehouse.execute(&Statement::new("function", *function)).await.expect("a function");
        }
    });
    let mut all = trials("postgres", OnPostgres(cluster.url()));
    all.extend(trials("redshift", OnRedshiftDialect(cluster.url())));
    let conclusion = libtest_mimic::run(&arguments, all);
    drop(cluster);
    conclusion.exit();
}

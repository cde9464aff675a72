//! The conformance kit over the wire, against a local server that speaks BigQuery's protocol.

use libtest_mimic::Arguments;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use websessions_bigquery::{BigQuery, BigQueryWarehouse};
use websessions_conformance::{Harness, tier, trials};
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::warehouse::Warehouse;
use websessions_test_servers::LocalBigQuery;

/// The local server gets slower with everything that it has done before: a new one whenever no connection to the one
/// before is left, which is for each trial and for each case of a long trial.
#[derive(Default)]
struct OnLocalServer(tokio::sync::Mutex<Option<Served>>);

struct Served {
    server: LocalBigQuery,
    connections: Vec<Weak<BigQueryWarehouse>>,
}

#[async_trait]
impl Harness for OnLocalServer {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        let mut served = self.0.lock().await;
        served.take_if(|served| served.connections.iter().all(|connection| connection.strong_count() == 0));
        let Served { server, connections } =
            served.get_or_insert_with(|| Served { server: LocalBigQuery::start(), connections: Vec::new() });
        let settings = BTreeMap::from([
            ("project".to_owned(), LocalBigQuery::PROJECT.to_owned()),
            ("access_token".to_owned(), "s3cret".to_owned()),
            ("endpoint".to_owned(), server.url().to_owned()),
        ]);
        let settings = Settings::new(&BigQuery, settings).expect("settings");
        let warehouse = Arc::new(BigQueryWarehouse::connect(&settings).await.unwrap_or_else(|error| {
            panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        }));
        connections.push(Arc::downgrade(&warehouse));
        warehouse
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let of_own_server = |number| trials("bigquery", OnLocalServer::default()).into_iter().nth(number);
    let mut all: Vec<_> = (0..).map_while(of_own_server).collect();
    // The scenarios, which are short, last: no core is idle while another ends a long trial.
    all.reverse();
    libtest_mimic::run(&arguments, tier(&arguments, all)).exit();
}

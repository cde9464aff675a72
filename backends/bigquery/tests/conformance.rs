//! The conformance kit over the wire, against a local server that speaks BigQuery's protocol.

use libtest_mimic::Arguments;
use std::sync::{Arc, Weak};
use websessions_bigquery::BigQuery;
use websessions_conformance::{Harness, Target, tier, trials};
use websessions_core::async_trait;
use websessions_core::warehouse::Warehouse;
use websessions_test_servers::LocalBigQuery;

/// The local server gets slower with everything that it has done before: a new one whenever no connection to the one
/// before is left, which is for each trial and for each case of a long trial.
#[derive(Default)]
struct OnLocalServer(tokio::sync::Mutex<Option<Served>>);

struct Served {
    server: LocalBigQuery,
    connections: Vec<Weak<dyn Warehouse>>,
}

#[async_trait]
impl Harness for OnLocalServer {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        let mut served = self.0.lock().await;
        served.take_if(|served| served.connections.iter().all(|connection| connection.strong_count() == 0));
        let Served { server, connections } =
            served.get_or_insert_with(|| Served { server: LocalBigQuery::start(), connections: Vec::new() });
        let settings = [("project", LocalBigQuery::PROJECT), ("access_token", "s3cret"), ("endpoint", server.url())];
        let warehouse = Target::new(BigQuery, settings).connect().await;
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

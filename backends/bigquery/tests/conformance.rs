//! The conformance kit over the wire, against a local server that speaks BigQuery's protocol.

use libtest_mimic::Arguments;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use websessions_bigquery::{BigQuery, BigQueryWarehouse};
use websessions_conformance::{Harness, trials};
use websessions_core::async_trait;
use websessions_core::registry::Settings;
use websessions_core::warehouse::Warehouse;
use websessions_test_servers::LocalBigQuery;

/// A server of a trial's own: the local server gets slower with everything that it has done before.
#[derive(Default)]
struct OnLocalServer(OnceLock<LocalBigQuery>);

#[async_trait]
impl Harness for OnLocalServer {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        let server = self.0.get_or_init(LocalBigQuery::start);
        let settings = BTreeMap::from([
            ("project".to_owned(), LocalBigQuery::PROJECT.to_owned()),
            ("access_token".to_owned(), "s3cret".to_owned()),
            ("endpoint".to_owned(), server.url().to_owned()),
        ]);
        let settings = Settings::new(&BigQuery, settings).expect("settings");
        let warehouse = BigQueryWarehouse::connect(&settings).await;
        Arc::new(warehouse.unwrap_or_else(|error| {
            panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        }))
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let of_own_server = |number| trials("bigquery", OnLocalServer::default()).into_iter().nth(number);
    libtest_mimic::run(&arguments, (0..).map_while(of_own_server).collect()).exit();
}

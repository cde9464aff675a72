//! The conformance kit over the wire, against a local server that speaks Snowflake's protocol.

use libtest_mimic::Arguments;
use std::collections::BTreeMap;
use std::sync::Arc;
use websessions_conformance::{Harness, tier, trials};
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::warehouse::Warehouse;
use websessions_snowflake::{Snowflake, SnowflakeWarehouse};
use websessions_test_servers::Fakesnow;

struct OnLocalServer {
    endpoint: String,
    database: String,
}

#[async_trait]
impl Harness for OnLocalServer {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        let settings = BTreeMap::from([
            ("account".to_owned(), "local".to_owned()),
            ("user".to_owned(), "tester".to_owned()),
            ("password".to_owned(), "s3cret".to_owned()),
            ("database".to_owned(), self.database.clone()),
            ("endpoint".to_owned(), self.endpoint.clone()),
        ]);
        let settings = Settings::new(&Snowflake, settings).expect("settings");
        let warehouse = SnowflakeWarehouse::connect(&settings).await;
        Arc::new(warehouse.unwrap_or_else(|error| {
            panic!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        }))
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let server = Fakesnow::start();
    let harness = OnLocalServer { endpoint: server.url().to_owned(), database: "KIT".to_owned() };
    let conclusion = libtest_mimic::run(&arguments, tier(&arguments, trials("snowflake", harness)));
    drop(server);
    conclusion.exit();
}

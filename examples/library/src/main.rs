//! A program that runs the sessions model itself: on a DuckDB file, and on a Postgres database. Both have page views in
//! scratch.page_views_staged: `cargo run --package websessions-library-example -- events.duckdb postgres://user@host/database`.

use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::{model::sessions, run::Runner, variables::Variables};
use websessions_duckdb::DuckDb;
use websessions_postgres::Postgres;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, url] = arguments.as_slice() else { return Err("give a DuckDB file and a Postgres URL".into()) };
    let laptop = DuckDb.connect(&Settings::new(&DuckDb, [("database", file)])?).await?;
    let server = Postgres.connect(&Settings::new(&Postgres, [("url", url)])?).await?;
    let variables = Variables::default(); // schemas scratch and derived
    for warehouse in [&*laptop, &*server] {
        Runner::new(warehouse, &variables).run(&[sessions::module()]).await?;
    }
    Ok(())
}

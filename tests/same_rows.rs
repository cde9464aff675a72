//! The same input on every backend: the tables that come out are compared pairwise, row by row.

#[path = "support/mod.rs"]
mod support;

use serde_json::json;
use std::sync::Arc;
use websessions_bigquery::BigQuery;
use websessions_conformance::{Case, Contents, Harness, Target};
use websessions_core::async_trait;
use websessions_core::model::sessions::tables::SESSIONS_THIS_RUN;
use websessions_core::plan::{Phase, Statement};
use websessions_core::warehouse::Warehouse;
use websessions_duckdb::DuckDb;
use websessions_postgres::{Postgres, Redshift};
use websessions_snowflake::Snowflake;
use websessions_test_servers::{Cluster, FUNCTIONS, Fakesnow, LocalBigQuery, Stripped};

struct Backend {
    name: &'static str,
    warehouse: Arc<dyn Warehouse>,
}

#[async_trait]
impl Harness for Backend {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::clone(&self.warehouse)
    }
}

/// Two runs, the second with part of the first one's page views again; every table that a user reads.
async fn tables(backend: &Backend) -> Result<Vec<(&'static str, Contents)>, String> {
    let case = Case::new(backend, json!({ "stage_next": true, "ends_run": true })).await?;
    support::stage_sample(&case, 400).await?;
    case.phase(Phase::Main).await?;
    let this_run = case.contents(SESSIONS_THIS_RUN).await?;
    case.phase(Phase::Complete).await?;
    support::stage_sample(&case, 150).await?;
    case.run().await?;
    let names = ["sessions", "sessions_userid_manifest_staged", "page_views_staged", "datamodel_metadata"];
    let mut all = vec![("sessions_this_run", this_run)];
    all.extend(names.into_iter().zip(case.lasting().await?));
    case.drop().await?;
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_backend_gives_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("same.duckdb").to_string_lossy().into_owned();
    let cluster = Cluster::start("").expect("a Postgres server");
    let (fakesnow, local_bigquery) = (Fakesnow::start(), LocalBigQuery::start());
    let url = cluster.url();
    let postgres = Target::new(Postgres, [("url", url.as_str())]).connect().await;
    for function in FUNCTIONS {
        postgres.execute(&Statement::new("function", *function)).await.expect("a function of Redshift's");
    }
    let snowflake = [
        ("account", "local"),
        ("user", "tester"),
        ("password", "s3cret"),
        ("database", "SAME"),
        ("endpoint", fakesnow.url()),
    ];
    let bigquery =
        [("project", LocalBigQuery::PROJECT), ("access_token", "s3cret"), ("endpoint", local_bigquery.url())];
    let backends = [
        Backend { name: "duckdb", warehouse: Target::new(DuckDb, [("database", file.as_str())]).connect().await },
        Backend { name: "postgres", warehouse: postgres },
        Backend {
            name: "redshift",
            warehouse: Arc::new(Stripped(Target::new(Redshift, [("url", url.as_str())]).connect().await)),
        },
        Backend { name: "snowflake", warehouse: Target::new(Snowflake, snowflake).connect().await },
        Backend { name: "bigquery", warehouse: Target::new(BigQuery, bigquery).connect().await },
    ];
    let mut results = Vec::new();
    for backend in &backends {
        results.push(tables(backend).await.unwrap_or_else(|error| panic!("{}: {error}", backend.name)));
    }
    for (left, backend) in results.iter().zip(&backends) {
        for (right, other) in results.iter().zip(&backends) {
            for ((table, one), (_, another)) in left.iter().zip(right) {
                let what = format!("{table} on {} and {}", backend.name, other.name);
                one.expect(another, &what).unwrap_or_else(|error| panic!("{error}"));
                assert!(*table == "page_views_staged" || one.rows.len() > 1, "{what}: too few rows to compare");
            }
        }
    }
}

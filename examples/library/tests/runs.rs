//! The program runs, and both databases then have the same sessions.

use std::process::{Command, Output};
use std::sync::Arc;
use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::error::Error;
use websessions_core::model::sessions::{self, tables::PAGE_VIEWS_STAGED};
use websessions_core::plan::Statement;
use websessions_core::rows::Value;
use websessions_core::variables::Variables;
use websessions_core::warehouse::Warehouse;
use websessions_duckdb::DuckDb;
use websessions_postgres::Postgres;
use websessions_test_servers::Cluster;

async fn open(factory: &dyn BackendFactory, setting: (&str, &str)) -> Result<Arc<dyn Warehouse>, Error> {
    factory.connect(&Settings::new(factory, [setting])?).await
}

/// Stages three page views of two sessions.
async fn stage(warehouse: &dyn Warehouse) {
    let (variables, dialect) = (Variables::default(), warehouse.dialect());
    let table = sessions::module().table(PAGE_VIEWS_STAGED, &variables).expect("the module's input");
    let name = variables.table_name(&table);
    let columns = "page_view_id, domain_userid, domain_sessionid, page_view_in_session_index, start_tstamp, end_tstamp";
    let rows = "('a', 'u', 's1', 1, '2026-01-01 10:00:00', '2026-01-01 10:00:30'),
        ('b', 'u', 's1', 2, '2026-01-01 10:01:00', '2026-01-01 10:02:00'),
        ('c', 'v', 's2', 1, '2026-01-02 10:00:00', '2026-01-02 10:00:10')";
    let mut statements = vec![dialect.create_schema(variables.schema(table.schema))];
    statements.extend(dialect.create_table(&table, &name));
    let insert = format!("INSERT INTO {} ({columns}) VALUES {rows}", dialect.table(&name));
    statements.push(Statement::new("page views", insert));
    for statement in &statements {
        warehouse.execute(statement).await.expect("a statement");
    }
}

async fn found(warehouse: &dyn Warehouse) -> Vec<Vec<Value>> {
    let sql = "SELECT domain_sessionid, page_views, absolute_time_in_s FROM derived.sessions ORDER BY 1";
    warehouse.query(sql).await.expect("sessions").rows
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_websessions-library-example")).args(arguments).output().expect("it starts")
}

#[tokio::test]
async fn the_program_runs_the_model_on_both() {
    let (folder, cluster) = (tempfile::tempdir().expect("a folder"), Cluster::start("").expect("a server"));
    let (file, url) = (folder.path().join("events.duckdb").to_string_lossy().into_owned(), cluster.url());
    let targets: [(&dyn BackendFactory, _); 2] = [(&DuckDb, ("database", &*file)), (&Postgres, ("url", &*url))];
    for (factory, setting) in targets {
        stage(&*open(factory, setting).await.expect("a connection")).await;
    }
    let output = program(&[&file, &url]);
    assert!(output.status.success(), "{output:?}");
    let row = |id: &str, page_views, seconds| {
        vec![Value::Text(id.to_owned()), Value::Integer(page_views), Value::Integer(seconds)]
    };
    for (factory, setting) in targets {
        let warehouse = open(factory, setting).await.expect("a connection");
        assert_eq!(found(&*warehouse).await, [row("s1", 2, 120), row("s2", 1, 10)], "{}", factory.name());
    }
}

#[test]
fn without_arguments_it_says_what_to_give() {
    let output = program(&[]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("a DuckDB file and a Postgres URL"), "{output:?}");
}

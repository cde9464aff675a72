//! Random histories of arrivals: whatever comes in whatever order, and whatever breaks, the tables are those of one run over
//! the newest form of each page view: page views, sessions and users, which run together or apart.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;
use std::sync::Arc;
use websessions::bundled;
use websessions_conformance::histories::*;
use websessions_conformance::{Case, Harness};
use websessions_core::async_trait;
use websessions_core::backend::Settings;
use websessions_core::warehouse::Warehouse;
use websessions_test_servers::Cluster;

/// How many histories each warehouse goes through.
const HISTORIES: u32 = 200;

struct One(Arc<dyn Warehouse>);

#[async_trait]
impl Harness for One {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        Arc::clone(&self.0)
    }
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let parts = (0..SESSIONS_OF_A_HISTORY, 0..PAGE_VIEWS_OF_A_SESSION, 0..FORMS_OF_A_PAGE_VIEW);
    parts.prop_map(|(session, page_view, form)| Arrival { session, page_view, form })
}

fn breaks() -> impl Strategy<Value = Break> {
    prop_oneof![Just(Break::Nothing), (0..130_u8).prop_map(Break::DiesBefore), (0..130_u8).prop_map(Break::AnswerLost),]
}

fn command() -> impl Strategy<Value = Command> {
    let parts = (prop::collection::vec(arrival(), 0..8), any::<bool>(), any::<bool>(), breaks());
    parts.prop_map(|(arrivals, runs, users, breaks)| Command { arrivals, runs, users, breaks })
}

/// Histories of up to three commands, which come as files, or as a table.
fn prove_histories(backend: &str, setting: (&str, String)) {
    let factory = bundled().into_iter().find(|factory| factory.name() == backend).expect("a bundled backend");
    let settings = Settings::new(&*factory, [setting]).expect("settings");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let harness = One(runtime.block_on(factory.connect(&settings)).expect("a connection"));
    let by = prop_oneof![Just(By::File), Just(By::Table)];
    let histories = (prop::collection::vec(command(), 1..4), by);
    let config = Config { cases: HISTORIES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let proven = TestRunner::new(config).run(&histories, |(history, by)| {
        let proof = async { prove(Case::new(&harness, Value::Null).await?, &history, by).await };
        runtime.block_on(proof).map_err(TestCaseError::fail)
    });
    if let Err(error) = proven {
        panic!("{backend}: {error}");
    }
}

#[test]
fn any_history_gives_the_same_tables_on_duckdb() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    prove_histories("duckdb", ("database", folder.path().join("histories.duckdb").display().to_string()));
}

#[test]
fn any_history_gives_the_same_tables_on_postgres() {
    let cluster = Cluster::start("").expect("a server");
    prove_histories("postgres", ("url", cluster.url()));
}

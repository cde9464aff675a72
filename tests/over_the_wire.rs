//! Faults between us and a warehouse that is reached by HTTP, injected by a proxy: each request's first attempt is broken,
//! in one of the ways in which networks and services break. The run must end all the same, or say why it can't and leave
//! the rest to a rerun; and the tables must be those of a run without a fault, with nothing committed twice.

#[path = "support/mod.rs"]
mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use std::sync::Arc;
use websessions_bigquery::BigQuery;
use websessions_conformance::{Case, Contents, Harness, Target};
use websessions_core::CancellationToken;
use websessions_core::async_trait;
use websessions_core::error::{Error, WarehouseErrorKind};
use websessions_core::plan::Phase;
use websessions_core::warehouse::Warehouse;
use websessions_snowflake::Snowflake;
use websessions_test_servers::{Break, Fakesnow, LocalBigQuery, Proxy, Request};

const PHASES: [Phase; 2] = [Phase::Main, Phase::Complete];
const PAGE_VIEWS: usize = 60;

#[derive(Clone)]
struct Service {
    target: Target,
    proxy: Proxy,
}

#[async_trait]
impl Harness for Service {
    async fn connect(&self) -> Arc<dyn Warehouse> {
        self.target.connect().await
    }
}

type Chosen = fn(&Request) -> bool;

fn is_commit(request: &Request) -> bool {
    request.sql().is_some_and(|sql| sql.contains("COMMIT"))
}

/// Page views that are staged, and the tables of a run on them that nothing disturbs.
async fn staged(service: &Service) -> Result<Case, String> {
    let case = Case::new(service, json!({ "stage_next": true })).await?;
    support::stage_sample(&case, PAGE_VIEWS).await?;
    Ok(case)
}

async fn undisturbed(service: &Service) -> Result<Vec<Contents>, String> {
    let case = staged(service).await?;
    case.run().await?;
    let tables = case.lasting().await?;
    case.drop().await?;
    Ok(tables)
}

fn compare(found: &[Contents], expected: &[Contents]) -> Result<(), String> {
    let names = ["sessions", "user manifest", "page views", "metadata"];
    for ((found, expected), name) in found.iter().zip(expected).zip(names) {
        found.expect(expected, name)?;
    }
    Ok(())
}

/// The run ends by itself, as every broken request is tried again.
async fn is_survived(service: &Service, fault: Break, chosen: Chosen) -> Result<(), String> {
    let expected = undisturbed(service).await?;
    let case = staged(service).await?;
    service.proxy.break_each(fault, chosen);
    let mut options = Case::options();
    options.retries = 40;
    let result = case.phases_with(&PHASES, CancellationToken::new(), options).await;
    service.proxy.heal();
    result.map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error.error)))?;
    compare(&case.lasting().await?, &expected)?;
    case.drop().await
}

/// Whether a statement makes a table of that name.
fn makes(sql: &str, table: &str) -> bool {
    let first = sql.lines().next().unwrap_or_default();
    first.starts_with("CREATE OR REPLACE TABLE") && first.contains(table)
}

/// The run ends early and says that the credentials were refused; a rerun with good ones finishes it.
async fn is_refused_and_rerun(service: &Service, fault: Break) -> Result<(), String> {
    let expected = undisturbed(service).await?;
    let places: [Chosen; 4] = [
        |request| request.sql().is_some_and(|sql| makes(&sql, "`sessions_aggregates`")),
        |request| request.sql().is_some_and(|sql| makes(&sql, "`sessions_upsert_limit`")),
        is_commit,
        |request| request.sql().is_some_and(|sql| sql.contains("DROP TABLE")),
    ];
    for (number, chosen) in places.into_iter().enumerate() {
        let case = staged(service).await?;
        let before = service.proxy.count();
        service.proxy.break_each(fault.clone(), chosen);
        let refused = case.phases(&PHASES).await.err();
        let error = refused.ok_or_else(|| format!("the run should have been refused at place {number}"))?.error;
        service.proxy.heal();
        if service.proxy.count() == before {
            return Err("nothing was broken".to_owned());
        }
        match &error {
            Error::Unit { source, .. } if source.kind == WarehouseErrorKind::Permission => {}
            other => return Err(format!("another error: {other}")),
        }
        if error.hint().is_none_or(|hint| !hint.contains("access_token")) {
            return Err(format!("no hint: {error}"));
        }
        case.run().await?;
        let mut tables = case.lasting().await?;
        // A rerun after the commit has a row of metadata of its own, about nothing.
        if let Some(metadata) = tables.last_mut() {
            let count = metadata.columns.iter().position(|column| column == "rows_this_run").unwrap_or_default();
            metadata.rows.retain(|row| row[count] != Some("0".to_owned()));
        }
        compare(&tables, &expected)?;
        case.drop().await?;
    }
    Ok(())
}

const EXPIRED_SESSION: &str = r#"{"success":false,"code":"390112","message":"Your session has expired. Please login again.","data":{"age":0,"errorCode":"390112","internalError":false,"queryId":"q","sqlState":"08001"}}"#;
const EXPIRED_TOKEN: &str = r#"{"error":{"code":401,"message":"Request had invalid authentication credentials.","errors":[{"reason":"authError","message":"Invalid Credentials"}],"status":"UNAUTHENTICATED"}}"#;
const UNAVAILABLE: &str = r#"{"error":{"code":503,"message":"Service unavailable.","errors":[{"reason":"backendError","message":"Service unavailable."}],"status":"UNAVAILABLE"}}"#;

fn run(trial: impl Future<Output = Result<(), String>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(trial).map_err(Failed::from)
}

fn main() {
    let mut arguments = Arguments::from_args();
    // A proxy breaks what passes through it: one trial at a time.
    arguments.test_threads = Some(1);
    let (fakesnow, local_bigquery) = (Fakesnow::start(), LocalBigQuery::start());
    let snowflake = Service {
        target: Target::new(
            Snowflake,
            [
                ("account", "local".to_owned()),
                ("user", "tester".to_owned()),
                ("password", "s3cret".to_owned()),
                ("database", "WIRE".to_owned()),
                ("endpoint", fakesnow.url().to_owned()),
            ],
        ),
        proxy: fakesnow.proxy.clone(),
    };
    let bigquery = Service {
        target: Target::new(
            BigQuery,
            [
                ("project", LocalBigQuery::PROJECT.to_owned()),
                ("access_token", "s3cret".to_owned()),
                ("endpoint", local_bigquery.url().to_owned()),
            ],
        ),
        proxy: local_bigquery.proxy.clone(),
    };
    let everything: Chosen = |_| true;
    let statements: Chosen = |request| request.sql().is_some();
    let wait = "Retry-After: 0\r\n";
    let mut trials = Vec::new();
    for service in [&snowflake, &bigquery] {
        let faults: [(&str, Break, Chosen); 6] = [
            ("reset_before_each_request", Break::Before, everything),
            ("reset_during_each_request", Break::During, everything),
            ("reset_after_each_request", Break::After, everything),
            ("lost_answer_of_the_commit", Break::After, is_commit),
            ("too_many_requests", Break::Refuse(429, wait, "slow down"), everything),
            ("service_unavailable", Break::Refuse(503, wait, UNAVAILABLE), everything),
        ];
        for (name, fault, chosen) in faults {
            let (name, service) = (format!("{}::{name}", service.target.factory.name()), service.clone());
            trials.push(Trial::test(name, move || run(is_survived(&service, fault, chosen))));
        }
    }
    let expired = snowflake.clone();
    trials.push(Trial::test("snowflake::expired_session", move || {
        run(is_survived(&expired, Break::Refuse(200, "", EXPIRED_SESSION), statements))
    }));
    let expired = bigquery.clone();
    trials.push(Trial::test("bigquery::expired_token", move || {
        run(is_refused_and_rerun(&expired, Break::Refuse(401, "", EXPIRED_TOKEN)))
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    #[expect(clippy::print_stdout, reason = "the campaign says how much it did")]
    {
        println!("{} faults injected", snowflake.proxy.count() + bigquery.proxy.count());
    }
    drop((fakesnow, local_bigquery));
    conclusion.exit();
}

//! Replies that no local server gives, from a server of a few lines: jobs that take long, refusals, lost answers, secrets.

use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use websessions_bigquery::BigQuery;
use websessions_conformance::{Harness, Target};
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::Statement;
use websessions_core::rows::Value;
use websessions_core::warehouse::{Activity, Warehouse};
use websessions_test_servers::{Mock, Request};

fn target(mock: &Mock) -> Target {
    target_at(mock, Some("EU"))
}

fn target_at(mock: &Mock, location: Option<&str>) -> Target {
    let mut settings = vec![
        ("project", "p"),
        ("access_token", "s3cret"),
        ("maximum_bytes_billed", "1000000"),
        ("job_timeout", "60"),
        ("endpoint", &mock.url),
    ];
    settings.extend(location.map(|location| ("location", location)));
    Target::new(BigQuery, settings)
}

async fn connect(mock: &Mock) -> Arc<dyn Warehouse> {
    target(mock).connect().await
}

fn source(error: Error) -> WarehouseError {
    match error {
        Error::Warehouse { source, .. } => source,
        other => panic!("another error: {other}"),
    }
}

fn job(state: &str) -> String {
    let query = json!({ "numDmlAffectedRows": "7", "totalBytesProcessed": "123", "totalBytesBilled": "10485760" });
    json!({ "status": { "state": state }, "statistics": { "query": query } }).to_string()
}

fn failed(reason: &str, message: &str) -> String {
    json!({ "status": { "state": "DONE", "errorResult": { "reason": reason, "message": message } } }).to_string()
}

fn refusal(code: u16, reason: &str, message: &str) -> (u16, String) {
    let errors = json!([{ "reason": reason, "message": message, "domain": "global" }]);
    (code, json!({ "error": { "code": code, "message": message, "errors": errors, "status": "X" } }).to_string())
}

const RESULTS: &str = "/bigquery/v2/projects/p/queries/";
const JOBS: &str = "/bigquery/v2/projects/p/jobs";
const ONE: &str = r#"{"jobComplete":true,"schema":{"fields":[{"name":"alive","type":"INTEGER"}]},"rows":[{"f":[{"v":"1"}]}],"totalRows":"1"}"#;

/// What a server would say to anything that goes well.
fn well(request: &Request) -> (u16, String) {
    (200, if request.path.starts_with(RESULTS) { ONE.to_owned() } else { job("DONE") })
}

fn insert() -> Statement {
    Statement::new("rows", "INSERT INTO t SELECT 1")
}

fn is_insert(request: &Request) -> bool {
    request.sql().is_some_and(|sql| sql.contains("INSERT"))
}

#[tokio::test]
async fn a_statement_is_a_job_under_our_own_id_and_is_polled_to_its_end() {
    let mock = Mock::start(|request, number| match request.path.strip_prefix(JOBS) {
        Some("") if is_insert(request) => (200, job("PENDING")),
        Some(id) if !id.is_empty() => (200, job(if number < 3 { "RUNNING" } else { "DONE" })),
        _ => well(request),
    });
    let warehouse = connect(&mock).await;
    warehouse.announce(&Activity { run: "4711-AB".into(), plan: "main".into(), step: "upsert limit".into() });
    let done = warehouse.execute(&insert()).await.expect("done");
    assert_eq!((done.rows_affected, done.bytes_processed, done.bytes_billed), (Some(7), Some(123), Some(10_485_760)));
    let seen = mock.seen();
    let sent: Vec<&Request> = seen.iter().filter(|request| is_insert(request)).collect();
    assert_eq!(sent.len(), 1);
    let body: Json = serde_json::from_str(&sent[0].body).expect("JSON");
    let configuration = &body["configuration"];
    assert_eq!(configuration["query"]["useLegacySql"], false);
    assert_eq!(configuration["query"]["maximumBytesBilled"], "1000000");
    assert_eq!(configuration["jobTimeoutMs"], "60000");
    assert_eq!(
        configuration["labels"],
        json!({ "websessions_run": "4711-ab", "websessions_plan": "main", "websessions_step": "upsert_limit" })
    );
    assert_eq!(body["jobReference"]["location"], "EU");
    let id = body["jobReference"]["jobId"].as_str().expect("an id");
    assert_eq!(done.query_id.as_deref(), Some(id));
    assert_eq!(seen.iter().filter(|request| request.path == format!("{JOBS}/{id}")).count(), 4);
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_found_by_its_id_and_not_sent_anew() {
    let lost = AtomicBool::new(false);
    let mock = Mock::start(move |request, _| {
        if request.path == JOBS && is_insert(request) {
            return match lost.swap(true, Ordering::SeqCst) {
                false => (502, "<html>bad gateway</html>".to_owned()),
                true => refusal(409, "duplicate", "Already Exists: Job p:EU.x"),
            };
        }
        well(request)
    });
    let done = connect(&mock).await.execute(&insert()).await.expect("done");
    assert_eq!(done.rows_affected, Some(7));
    let seen = mock.seen();
    let ids: Vec<Json> = seen
        .iter()
        .filter(|request| is_insert(request))
        .map(|request| serde_json::from_str::<Json>(&request.body).expect("JSON")["jobReference"]["jobId"].clone())
        .collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test]
async fn a_block_is_one_script() {
    let mock = Mock::start(|request, _| well(request));
    let warehouse = connect(&mock).await;
    let statements = [
        Statement::new("since when", "DECLARE since TIMESTAMP DEFAULT (SELECT MIN(at) FROM t)"),
        Statement::new("old rows", "DELETE FROM u WHERE at >= since"),
        insert(),
    ];
    warehouse.execute_block(&statements).await.expect("done");
    let scripts: Vec<String> =
        mock.seen().iter().filter(|request| is_insert(request)).filter_map(Request::sql).collect();
    assert_eq!(
        scripts,
        [
            "-- since when\nDECLARE since TIMESTAMP DEFAULT (SELECT MIN(at) FROM t);\n\nBEGIN TRANSACTION;\n\n-- old rows\nDELETE FROM u WHERE at >= since;\n\n-- rows\nINSERT INTO t SELECT 1;\n\nCOMMIT TRANSACTION;\n"
        ]
    );
}

#[tokio::test]
async fn pages_of_results_are_read_to_the_last() {
    let page = |rows: Json, token: Option<&str>| {
        let fields = json!([
            { "name": "Id", "type": "INTEGER" },
            { "name": "ratio", "type": "FLOAT" },
            { "name": "really", "type": "BOOLEAN" },
            { "name": "words", "type": "STRING" },
        ]);
        json!({ "jobComplete": true, "schema": { "fields": fields }, "rows": rows, "pageToken": token }).to_string()
    };
    let row = |cells: Json| json!({ "f": cells.as_array().into_iter().flatten().map(|cell| json!({ "v": cell })).collect::<Vec<_>>() });
    let first = page(json!([row(json!(["1", "0.5", "true", "a"]))]), Some("next"));
    let second = page(json!([row(json!(["2", null, "false", null]))]), None);
    let mock = Mock::start(move |request, number| match request.path.starts_with(RESULTS) {
        true => (200, if number == 0 { first.clone() } else { second.clone() }),
        false => well(request),
    });
    let rows = connect(&mock).await.query("SELECT").await.expect("rows");
    assert_eq!(rows.columns, ["id", "ratio", "really", "words"]);
    assert_eq!(
        rows.rows,
        [
            vec![Value::Integer(1), Value::Float(0.5), Value::Boolean(true), Value::Text("a".into())],
            vec![Value::Integer(2), Value::Null, Value::Boolean(false), Value::Null],
        ]
    );
    let none = r#"{"jobComplete":true,"schema":{"fields":[{"name":"x","type":"STRING"}]},"totalRows":"0"}"#;
    let mock = Mock::start(move |request, _| match request.path.starts_with(RESULTS) {
        true => (200, none.to_owned()),
        false => well(request),
    });
    assert!(connect(&mock).await.query("SELECT").await.expect("no rows").rows.is_empty());
}

/// A region's rule: a job is found only where it runs.
fn in_region(request: &Request) -> (u16, String) {
    let running = json!({
        "jobReference": { "projectId": "p", "jobId": "j", "location": "europe-west3" },
        "status": { "state": "RUNNING" },
    });
    let is_there = request.query.contains("location=europe-west3");
    match request.path.strip_prefix(JOBS) {
        Some("") => (200, running.to_string()),
        Some(_) if is_there => (200, job("DONE")),
        None if is_there => (200, ONE.to_owned()),
        _ => refusal(404, "notFound", "Not found: Job p:websessions_1"),
    }
}

#[tokio::test]
async fn without_a_location_every_call_on_a_job_says_where_it_runs() {
    let mock = Mock::start(|request, _| in_region(request));
    let warehouse = target_at(&mock, None).open().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(7));
    assert_eq!(warehouse.query("SELECT 1").await.expect("rows").rows.len(), 1);
    // An answer that was lost: the refusal of the second attempt says where the first one is.
    let lost = AtomicBool::new(false);
    let mock = Mock::start(move |request, _| {
        if request.path == JOBS && is_insert(request) {
            let id = serde_json::from_str::<Json>(&request.body).expect("JSON")["jobReference"]["jobId"].clone();
            return match lost.swap(true, Ordering::SeqCst) {
                false => (502, "<html>bad gateway</html>".to_owned()),
                true => {
                    let id = id.as_str().unwrap_or_default();
                    refusal(409, "duplicate", &format!("Already Exists: Job p:europe-west3.{id}"))
                }
            };
        }
        in_region(request)
    });
    let warehouse = target_at(&mock, None).open().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(7));
}

#[tokio::test]
async fn a_job_that_is_not_found_is_no_table_that_is_not_there() {
    let mock = Mock::start(|request, number| match request.path.strip_prefix(JOBS) {
        Some("") if number == 0 => well(request),
        Some("") => (200, job("RUNNING")),
        Some(_) => refusal(404, "notFound", "Not found: Job p:websessions_1"),
        None => well(request),
    });
    let warehouse = target_at(&mock, None).open().await.unwrap_or_else(|error| panic!("{error}"));
    let error = warehouse.execute(&Statement::new("drop", "DROP TABLE IF EXISTS t")).await.expect_err("unknown");
    assert_eq!((error.kind, error.retry), (WarehouseErrorKind::Connection, Retry::Unknown));
    assert!(error.hint.is_some_and(|hint| hint.contains("location")), "{}", error.message);
}

#[tokio::test]
async fn a_token_that_passes_is_asked_for_again_when_it_is_refused() {
    let mock = Mock::start(|request, number| match request.path == JOBS && number == 1 {
        true => refusal(401, "authError", "Invalid Credentials"),
        false => well(request),
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut target = target(&mock);
    target.settings = target
        .settings
        .with_source("access_token", Arc::new(move || Ok(format!("token {}", count.fetch_add(1, Ordering::SeqCst)))));
    let warehouse = target.connect().await;
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(7));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Without a source it is refused, once.
    let mock = Mock::start(|request, number| match request.path == JOBS && number > 0 {
        true => refusal(401, "authError", "Invalid Credentials"),
        false => well(request),
    });
    let error = connect(&mock).await.execute(&insert()).await.expect_err("refused");
    assert_eq!(error.kind, WarehouseErrorKind::Permission);
    assert_eq!(mock.seen().iter().filter(|request| is_insert(request)).count(), 1);
}

/// A vendor's answer, and what it means for us: kind, retry class, a word of the hint, exit code.
type Row = ((u16, String), WarehouseErrorKind, Retry, &'static str, u8);

/// Source: <https://cloud.google.com/bigquery/docs/error-messages>, and the pages that `errors.rs` names.
fn refusals() -> Vec<Row> {
    use Retry::{Never, NotApplied, Unknown};
    use WarehouseErrorKind::{Cancelled, Connection, Data, Locked, Missing, NotYet, Other, Permission, Resources};
    // Without the list of errors that the client expects.
    let bare =
        json!({ "error": { "code": 403, "message": "BigQuery API has not been used", "status": "PERMISSION_DENIED" } });
    let job = |reason: &str, words: &str| (200, failed(reason, words));
    vec![
        (refusal(401, "authError", "Invalid Credentials s3cret"), Permission, Never, "access_token", 1),
        (refusal(403, "accessDenied", "Access Denied: Project p"), Permission, Never, "Job User", 1),
        (refusal(403, "billingNotEnabled", "Billing has not been enabled"), Permission, Never, "Job User", 1),
        (refusal(403, "quotaExceeded", "Quota exceeded"), Resources, Never, "", 1),
        (refusal(403, "rateLimitExceeded", "Exceeded rate limits"), Connection, NotApplied, "", 1),
        (refusal(404, "notFound", "Not found: Dataset p:scratch"), Missing, Never, "", 1),
        (
            refusal(404, "notFound", "Not found: Dataset p:scratch was not found in location US"),
            Missing,
            Never,
            "location",
            1,
        ),
        (refusal(404, "notFound", "Not found: Job p:j"), Connection, Unknown, "location", 1),
        (refusal(503, "backendError", "Visibility check was unavailable"), Connection, Unknown, "", 1),
        ((403, bare.to_string()), Permission, Never, "", 1),
        ((502, "<html>bad gateway: s3cret</html>".to_owned()), Connection, Unknown, "", 1),
        (job("accessDenied", "Access Denied: Table p:d.t: Permission denied"), Permission, Never, "Data Editor", 1),
        (
            job("bytesBilledLimitExceeded", "Query exceeded limit for bytes billed"),
            Resources,
            Never,
            "maximum_bytes",
            1,
        ),
        (job("resourcesExceeded", "Resources exceeded during query execution"), Resources, Never, "", 1),
        (
            job("resourcesExceeded", "Too many DML statements outstanding against table p:d.t, limit is 20"),
            Locked,
            NotApplied,
            "",
            3,
        ),
        (job("jobRateLimitExceeded", "Too many table update operations"), Connection, NotApplied, "", 1),
        (
            job("invalidQuery", "Transaction is aborted due to concurrent update against table t"),
            Locked,
            NotApplied,
            "",
            3,
        ),
        (
            job("invalidQuery", "Could not serialize access to table p:d.t due to concurrent update"),
            Locked,
            NotApplied,
            "",
            3,
        ),
        (
            job("invalidQuery", "UPDATE or DELETE statement over table d.t would affect rows in the streaming buffer"),
            NotYet,
            Never,
            "complete again later",
            1,
        ),
        (
            job("invalidQuery", "Cannot query over table 'd.t' without a filter over column(s) 'start_tstamp'"),
            Other,
            Never,
            "require_partition_filter",
            1,
        ),
        (job("invalid", "Bad double value"), Data, Never, "", 1),
        (job("timeout", "Operation timed out"), Resources, Never, "job_timeout", 1),
        (job("stopped", "Job execution was cancelled: Job timed out after 60s"), Resources, Never, "job_timeout", 1),
        (job("stopped", "Job execution was cancelled: User requested cancellation"), Cancelled, Never, "", 130),
        (job("backendError", "try again"), Connection, Unknown, "", 1),
        (job("tableUnavailable", "The table is temporarily unavailable"), Connection, NotApplied, "", 1),
    ]
}

#[tokio::test]
async fn refusals_have_the_server_s_words_and_no_secret() {
    for (reply, kind, retry, hint, code) in refusals() {
        let words = reply.1.clone();
        let mock = Mock::start(move |_, _| reply.clone());
        let error = target(&mock).open().await.err().expect("refused");
        assert_eq!(error.exit_code(), code, "{words}");
        let error = source(error);
        assert_eq!((error.kind, error.retry), (kind, retry), "{words}: {error:?}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{words}: {error:?}");
        assert!(error.message.len() > 5 && !format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(!error.message.contains("decoding"), "the client's own words: {error:?}");
    }
}

#[tokio::test]
async fn the_wait_that_the_server_asks_for_is_known() {
    let mock = Mock::with_headers("Retry-After: 1\r\n", |_, _| (429, "slow down".to_owned()));
    let error = source(target(&mock).open().await.err().expect("refused"));
    assert_eq!((error.retry, error.retry_after), (Retry::NotApplied, Some(1)));
}

#[tokio::test]
async fn a_cancelled_statement_is_cancelled_at_the_server() {
    let cancelled = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&cancelled);
    let mock = Mock::start(move |request, _| {
        if request.path.ends_with("/cancel") {
            stop.store(true, Ordering::SeqCst);
            return (200, json!({ "job": { "status": { "state": "RUNNING" } } }).to_string());
        }
        if stop.load(Ordering::SeqCst) {
            return (200, failed("stopped", "Job execution was cancelled: User requested cancellation"));
        }
        match request.path.strip_prefix(JOBS) {
            Some("") if is_insert(request) => (200, job("RUNNING")),
            Some(id) if !id.is_empty() => (200, job("RUNNING")),
            _ => well(request),
        }
    });
    let warehouse = connect(&mock).await;
    let statement = insert();
    let (result, ()) = tokio::join!(warehouse.execute(&statement), async {
        while !mock.seen().iter().any(is_insert) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        warehouse.cancel().await.expect("cancelled");
    });
    assert_eq!(result.expect_err("it was stopped").kind, WarehouseErrorKind::Cancelled);
    assert!(cancelled.load(Ordering::SeqCst));
}

const RUN: &str = "9f1c6a52-6a0b-4f7e-9d0a-3c1f1b8f3f10";

fn listed(ids: &[Option<&str>]) -> (u16, String) {
    let job = |id: &&str| json!({ "jobReference": { "projectId": "p", "jobId": id, "location": "EU" } });
    (200, json!({ "jobs": ids.iter().flatten().map(job).collect::<Vec<_>>() }).to_string())
}

/// A project in which a run has a job at work until it is told to stop, beside another run's. `sees_all` and `stops_all`
/// are what the account may do with other accounts' jobs; `is_own` says whose the run was. What is told to stop takes a few
/// looks to end; what must not be stopped ends by itself.
fn project_with_a_job(sees_all: bool, stops_all: bool, is_own: bool) -> Mock {
    let looks = AtomicUsize::new(0);
    let mine = format!("websessions_{RUN}_1");
    Mock::start(move |request, _| {
        let is_list = request.path == JOBS && request.body.is_empty();
        let of_all = request.query.contains("allUsers=true");
        if is_list && of_all && !sees_all {
            return refusal(403, "accessDenied", "Access Denied: Project p: User does not have bigquery.jobs.listAll");
        }
        if is_list && !request.query.contains("stateFilter=running") {
            let is_remembered = is_own && request.query.contains("stateFilter=done");
            return listed(&[is_remembered.then_some(&mine)]);
        }
        if is_list {
            let at_work = looks.fetch_add(1, Ordering::SeqCst) < 3 && (of_all || is_own);
            return listed(&[Some("websessions_another-run_1"), at_work.then_some(&mine)]);
        }
        if request.path.ends_with("/cancel") && !stops_all && !is_own {
            return refusal(403, "accessDenied", "Access Denied: Job p:EU.x: User does not have bigquery.jobs.update");
        }
        match request.path.ends_with("/cancel") {
            true => (200, json!({ "job": { "status": { "state": "RUNNING" } } }).to_string()),
            false => well(request),
        }
    })
}

#[tokio::test]
async fn a_former_holder_s_jobs_are_ended_as_far_as_the_account_may() {
    for (sees_all, stops_all, is_own, told, words) in [
        (true, true, false, true, None),
        // Seen, and not to be stopped: it is awaited.
        (true, false, false, true, None),
        // The account's own, which it may list and stop without any right.
        (false, false, true, true, None),
        (false, false, false, false, Some("bigquery.jobs.listAll")),
    ] {
        let mock = project_with_a_job(sees_all, stops_all, is_own);
        let warehouse = connect(&mock).await;
        warehouse.announce(&Activity { run: "own".into(), plan: "lock".into(), step: "acquire".into() });
        let left = warehouse.end_statements(RUN).await.expect("ended");
        let case = format!("{sees_all} {stops_all} {is_own}: {left:?}");
        assert_eq!(left.is_some(), words.is_some(), "{case}");
        assert!(left.unwrap_or_default().contains(words.unwrap_or_default()), "{case}");
        let seen = mock.seen();
        let stopped: Vec<&str> =
            seen.iter().filter_map(|request| request.path.strip_suffix("/cancel")?.strip_prefix(JOBS)).collect();
        assert_eq!(!stopped.is_empty(), told, "{case}: {stopped:?}");
        assert!(stopped.iter().all(|id| *id == format!("/websessions_{RUN}_1")), "{case}: {stopped:?}");
        let last_stop = seen.iter().rposition(|request| request.path.ends_with("/cancel"));
        let last_look = seen.iter().rposition(|request| request.query.contains("stateFilter=running"));
        assert!(last_look > last_stop, "{case}: its end was looked for");
    }
}

#[tokio::test]
async fn a_list_of_jobs_is_read_to_its_last_page() {
    let mine = format!("websessions_{RUN}_1");
    let ended = AtomicBool::new(false);
    let mock = Mock::start(move |request, _| {
        if request.path.ends_with("/cancel") {
            ended.store(true, Ordering::SeqCst);
            return (200, json!({ "job": { "status": { "state": "DONE" } } }).to_string());
        }
        if request.path != JOBS || !request.body.is_empty() || !request.query.contains("stateFilter=running") {
            return if request.path == JOBS && request.body.is_empty() { listed(&[]) } else { well(request) };
        }
        match request.query.contains("pageToken=more") {
            false => (200, json!({ "nextPageToken": "more" }).to_string()),
            true => listed(&[(!ended.load(Ordering::SeqCst)).then_some(&mine)]),
        }
    });
    let warehouse = connect(&mock).await;
    assert_eq!(warehouse.end_statements(RUN).await.expect("ended"), None);
    assert!(mock.seen().iter().any(|request| request.path == format!("{JOBS}/websessions_{RUN}_1/cancel")));
}

/// The id of the job that each request with such SQL makes, in order, with its place among all requests.
fn made(mock: &Mock, sql: &str) -> Vec<(usize, String)> {
    let seen = mock.seen();
    let chosen = seen.iter().enumerate().filter(|(_, request)| request.sql().is_some_and(|text| text.contains(sql)));
    chosen
        .map(|(place, request)| {
            let body: Json = serde_json::from_str(&request.body).expect("JSON");
            (place, body["jobReference"]["jobId"].as_str().expect("an id").to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_job_that_was_given_up_is_stopped_and_awaited_before_the_next_is_made() {
    let (sent, stops) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mock = Mock::start(move |request, _| match request.path.strip_prefix(JOBS) {
        Some("") if is_insert(request) && sent.fetch_add(1, Ordering::SeqCst) == 0 => (200, job("RUNNING")),
        // It takes a few looks to end.
        Some(id) if id.ends_with("/cancel") => {
            let state = if stops.fetch_add(1, Ordering::SeqCst) < 2 { "RUNNING" } else { "DONE" };
            (200, json!({ "job": { "status": { "state": state } } }).to_string())
        }
        Some(id) if !id.is_empty() => (502, "<html>bad gateway</html>".to_owned()),
        _ => well(request),
    });
    let warehouse = connect(&mock).await;
    warehouse.announce(&Activity { run: RUN.into(), plan: "main".into(), step: "commit".into() });
    let error = warehouse.execute(&insert()).await.expect_err("it was given up");
    assert_eq!(error.retry, Retry::Unknown);
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(7));
    let made = made(&mock, "INSERT");
    assert!(made.len() == 2 && made[0].1 != made[1].1, "{made:?}");
    assert!(made[0].1.starts_with(&format!("websessions_{RUN}_")), "{made:?}");
    let seen = mock.seen();
    let stop = format!("{JOBS}/{}/cancel", made[0].1);
    let stops: Vec<usize> = (0..seen.len()).filter(|place| seen[*place].path == stop).collect();
    assert_eq!(stops.len(), 3, "until it was done");
    assert!(stops.iter().all(|place| *place < made[1].0), "{stops:?} {made:?}");
}

#[tokio::test]
async fn a_job_that_never_arrived_is_kept_from_arriving_late() {
    let sent = AtomicUsize::new(0);
    let mock = Mock::start(move |request, _| match request.path.strip_prefix(JOBS) {
        Some("") if is_insert(request) && sent.fetch_add(1, Ordering::SeqCst) < 4 => {
            (502, "<html>bad gateway</html>".to_owned())
        }
        Some(id) if !id.is_empty() => refusal(404, "notFound", "Not found: Job p:EU.x"),
        _ => well(request),
    });
    let warehouse = connect(&mock).await;
    warehouse.execute(&insert()).await.expect_err("it never arrived");
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(7));
    let lost = &made(&mock, "INSERT")[0].1;
    let taken = made(&mock, "SELECT 1 AS nothing");
    assert_eq!(taken.iter().map(|(_, id)| id).collect::<Vec<_>>(), [lost]);
    assert!(taken[0].0 < made(&mock, "INSERT")[4].0, "before the next attempt");
}

#[tokio::test]
async fn an_estimate_is_a_dry_run() {
    let mock = Mock::start(|request, _| {
        if !request.body.contains("\"dryRun\":true") {
            return well(request);
        }
        match request.sql().is_some_and(|sql| sql.contains("missing")) {
            true => refusal(404, "notFound", "Not found: Table p:scratch.missing"),
            false => {
                let query = json!({ "totalBytesProcessed": "1099511627776" });
                (200, json!({ "status": { "state": "DONE" }, "statistics": { "query": query } }).to_string())
            }
        }
    });
    let warehouse = connect(&mock).await;
    let estimate = warehouse.estimate(&insert()).await.expect("an estimate").expect("known");
    assert_eq!((estimate.bytes_processed, estimate.price), (1 << 40, 6.25));
    // <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2>
    let query = json!({ "totalBytesProcessed": "0", "totalBytesProcessedAccuracy": "UNKNOWN" });
    let unknown = json!({ "status": { "state": "DONE" }, "statistics": { "query": query } }).to_string();
    let unknown = Mock::start(move |request, _| match request.body.contains("\"dryRun\":true") {
        true => (200, unknown.clone()),
        false => well(request),
    });
    assert_eq!(connect(&unknown).await.estimate(&insert()).await.expect("an answer"), None);
    let missing = Statement::new("rows", "SELECT 1 FROM missing");
    assert_eq!(warehouse.estimate(&missing).await.expect("an answer"), None);
}

#[tokio::test]
async fn credentials_that_are_none_say_so_without_their_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key.json").to_string_lossy().into_owned();
    for (text, words) in [
        ("s3cret", "is not the JSON"),
        (r#"{"type":"service_account","private_key":"s3cret"}"#, "is not the JSON"),
        (r#"{"type":"external_account","token":"s3cret"}"#, "external_account"),
    ] {
        std::fs::write(&path, text).expect("a file");
        let given = [("project", "p"), ("credentials_path", path.as_str())];
        let error = Target::new(BigQuery, given).open().await.err().expect("refused");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().is_some() && !format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

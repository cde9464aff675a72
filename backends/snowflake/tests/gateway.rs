//! Replies that no local server gives, from a server of a few lines: statements that take long, refusals, secrets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use websessions_conformance::{Harness, Target};
use websessions_core::error::{Error, Retry, WarehouseErrorKind};
use websessions_core::plan::Statement;
use websessions_core::warehouse::{Activity, Warehouse};
use websessions_snowflake::Snowflake;
use websessions_test_servers::{Mock, Request};

const LOGIN: &str = r#"{"success":true,"code":null,"message":null,"data":{"sessionId":1,"token":"t","masterToken":"m","serverVersion":"1","parameters":[],"sessionInfo":{"roleName":"R"},"masterValidityInSeconds":14400,"validityInSeconds":3600}}"#;
const DONE: &str = r#"{"success":true,"code":null,"message":null,"data":{"parameters":[],"rowtype":[{"name":"number of rows inserted","type":"fixed","nullable":false,"scale":0,"precision":19,"byteLength":null,"length":null}],"rowset":[["7"]],"total":1,"returned":1,"queryId":"01b-long","finalRoleName":"R","statementTypeId":1,"version":1}}"#;
const IN_PROGRESS: &str = r#"{"success":true,"code":"333334","message":"in progress","data":{"queryId":"01b-long","getResultUrl":"/queries/01b-long/result"}}"#;

fn target(mock: &Mock, more: &[(&str, &str)]) -> Target {
    let settings = [
        ("account", "local"),
        ("user", "tester"),
        ("database", "db"),
        ("endpoint", &mock.url),
        ("query_tag", "nightly"),
    ];
    Target::new(Snowflake, settings.iter().chain(more).copied())
}

const PASSWORD: &[(&str, &str)] = &[("password", "s3cret")];

async fn connect(mock: &Mock) -> Arc<dyn Warehouse> {
    target(mock, PASSWORD).connect().await
}

fn source(error: Error) -> websessions_core::error::WarehouseError {
    match error {
        Error::Warehouse { source, .. } => source,
        other => panic!("another error: {other}"),
    }
}

#[tokio::test]
async fn a_statement_that_outlives_its_request_is_polled_to_its_end() {
    let mock = Mock::start(|Request { path, body, .. }, number| {
        let reply = match path.as_str() {
            "/session/v1/login-request" => LOGIN,
            "/queries/v1/query-request" if body.contains("INSERT") => IN_PROGRESS,
            "/queries/01b-long/result" if number < 2 => IN_PROGRESS,
            _ => DONE,
        };
        (200, reply.to_owned())
    });
    let warehouse = connect(&mock).await;
    warehouse.announce(&Activity { run: "4711".into(), plan: "main".into(), step: "commit".into() });
    let done = warehouse.execute(&Statement::new("this run's sessions", "INSERT INTO t SELECT 1")).await.expect("done");
    assert_eq!((done.rows_affected, done.query_id.as_deref()), (Some(7), Some("01b-long")));
    let seen = mock.seen();
    assert_eq!(seen.iter().filter(|Request { path, .. }| path.ends_with("/result")).count(), 3);
    assert_eq!(
        seen.iter().filter(|Request { body, .. }| body.contains("INSERT")).count(),
        1,
        "the statement was sent once"
    );
    let login = &seen[0].body;
    assert!(login.contains("\"TIMEZONE\":\"UTC\"") && login.contains("TIMESTAMP_NTZ"), "{login}");
    let Request { body: insert, .. } = seen.iter().find(|Request { body, .. }| body.contains("INSERT")).expect("sent");
    assert!(insert.contains("\"QUERY_TAG\":\"nightly run 4711 main/commit: this run's sessions\""), "{insert}");
}

#[tokio::test]
async fn refusals_have_the_server_s_words_and_no_secret() {
    let refused = r#"{"success":false,"code":"390100","message":"Incorrect username or password was specified: s3cret","data":{"authnMethod":"USERNAME_PASSWORD","errorCode":"390100"}}"#;
    let mock = Mock::start(move |_, _| (200, refused.to_owned()));
    let error = source(target(&mock, PASSWORD).open().await.err().expect("refused"));
    assert_eq!((error.kind, error.code.as_deref()), (WarehouseErrorKind::Permission, Some("390100")));
    assert!(
        error.message.starts_with("Incorrect username or password") && !format!("{error:?}").contains("s3cret"),
        "{error:?}"
    );

    for (status, body) in [(503, "busy"), (429, "slow down"), (502, "<html>bad gateway</html>")] {
        let mock =
            Mock::start(
                move |Request { path, .. }, _| {
                    if path.contains("login") { (200, LOGIN.to_owned()) } else { (status, body.to_owned()) }
                },
            );
        let error = source(target(&mock, PASSWORD).open().await.err().expect("refused"));
        assert_eq!(error.kind, WarehouseErrorKind::Connection, "{status}: {error:?}");
        assert_ne!(error.retry, Retry::Never, "{status}");
    }
}

#[tokio::test]
async fn a_block_that_fails_sends_a_rollback() {
    let failed = r#"{"success":false,"code":"002003","message":"Table does not exist","data":{"age":0,"errorCode":"002003","internalError":false,"queryId":"q","sqlState":"02000"}}"#;
    let mock = Mock::start(move |Request { path, body, .. }, _| {
        let reply = if path.contains("login") {
            LOGIN
        } else if body.contains("DELETE") {
            failed
        } else {
            DONE
        };
        (200, reply.to_owned())
    });
    let warehouse = connect(&mock).await;
    let block = [Statement::new("one", "INSERT INTO t SELECT 1"), Statement::new("two", "DELETE FROM u WHERE 1 = 1")];
    let error = warehouse.execute_block(&block).await.expect_err("it fails");
    assert_eq!((error.kind, error.code.as_deref()), (WarehouseErrorKind::Missing, Some("002003")));
    let seen = mock.seen();
    let sent: Vec<String> =
        seen.iter().filter(|Request { path, .. }| path.contains("query-request")).filter_map(Request::sql).collect();
    assert_eq!(sent[1..], ["BEGIN TRANSACTION", "INSERT INTO t SELECT 1", "DELETE FROM u WHERE 1 = 1", "ROLLBACK"]);
}

#[tokio::test]
async fn the_wait_that_the_server_asks_for_is_known() {
    let mock = Mock::with_headers("Retry-After: 7\r\n", |Request { path, .. }, _| {
        if path.contains("login") { (200, LOGIN.to_owned()) } else { (503, "busy".to_owned()) }
    });
    let error = source(target(&mock, PASSWORD).open().await.err().expect("refused"));
    assert_eq!((error.retry, error.retry_after), (Retry::NotApplied, Some(7)));
}

#[tokio::test]
async fn an_expired_session_is_replaced_by_a_new_one() {
    let expired = r#"{"success":false,"code":"390112","message":"Your session has expired. Please login again.","data":{"age":0,"errorCode":"390112","internalError":false,"queryId":"q","sqlState":"08001"}}"#;
    let mock = Mock::start(move |Request { path, body, .. }, number| {
        let reply = match path.as_str() {
            "/session/v1/login-request" => LOGIN,
            _ if body.contains("INSERT") && number == 1 => expired,
            _ => DONE,
        };
        (200, reply.to_owned())
    });
    let warehouse = connect(&mock).await;
    let insert = Statement::new("rows", "INSERT INTO t SELECT 1");
    let error = warehouse.execute(&insert).await.expect_err("expired");
    assert_eq!((error.kind, error.retry), (WarehouseErrorKind::Connection, Retry::NotApplied));
    assert_eq!(warehouse.execute(&insert).await.expect("done").rows_affected, Some(7));
    assert_eq!(mock.seen().iter().filter(|request| request.path.contains("login")).count(), 2);
}

#[tokio::test]
async fn a_cancelled_statement_is_aborted_at_the_server() {
    let cancelled = r#"{"success":false,"code":"000604","message":"SQL execution canceled","data":{"age":0,"errorCode":"000604","internalError":false,"queryId":"q","sqlState":"57014"}}"#;
    let aborted = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&aborted);
    let mock = Mock::start(move |Request { path, body, .. }, _| {
        let reply = match path.as_str() {
            "/session/v1/login-request" => LOGIN,
            "/queries/v1/abort-request" => {
                stop.store(true, Ordering::SeqCst);
                r#"{"success":true,"data":null}"#
            }
            _ if stop.load(Ordering::SeqCst) => cancelled,
            _ if body.contains("INSERT") || path.ends_with("/result") => IN_PROGRESS,
            _ => DONE,
        };
        (200, reply.to_owned())
    });
    let warehouse = connect(&mock).await;
    let statement = Statement::new("rows", "INSERT INTO t SELECT 1");
    let (result, ()) = tokio::join!(warehouse.execute(&statement), async {
        while !mock.seen().iter().any(|request| request.path.ends_with("/result")) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        warehouse.cancel().await.expect("cancelled");
    });
    assert_eq!(result.expect_err("it was stopped").kind, WarehouseErrorKind::Cancelled);
    assert!(aborted.load(Ordering::SeqCst));
}

/// A result of text columns.
fn result(columns: &[&str], rows: &[&[&str]]) -> String {
    let types: Vec<serde_json::Value> = columns
        .iter()
        .map(|name| serde_json::json!({ "name": name, "type": "text", "nullable": true, "scale": null, "precision": null, "byteLength": null, "length": null }))
        .collect();
    let mut reply: serde_json::Value = serde_json::from_str(DONE).expect("JSON");
    reply["data"]["rowtype"] = types.into();
    reply["data"]["rowset"] = serde_json::json!(rows);
    reply["data"]["total"] = rows.len().into();
    reply["data"]["returned"] = rows.len().into();
    reply.to_string()
}

fn sent(mock: &Mock) -> Vec<String> {
    mock.seen().iter().filter_map(Request::sql).collect()
}

#[tokio::test]
async fn a_former_holder_s_statements_and_transactions_are_ended() {
    let looks = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let denied = r#"{"success":false,"code":"003001","message":"Insufficient privileges to cancel","data":{"age":0,"errorCode":"003001","internalError":false,"queryId":"q","sqlState":"42501"}}"#;
    let mock = Mock::start(move |request, _| {
        let sql = request.sql().unwrap_or_default();
        let ends = looks.load(Ordering::SeqCst) > 2;
        let reply = if request.path.contains("login") {
            LOGIN.to_owned()
        } else if sql.contains("QUERY_HISTORY") {
            looks.fetch_add(1, Ordering::SeqCst);
            let runs = if ends { "0" } else { "1" };
            result(
                &["QUERY_ID", "SESSION_ID", "IS_RUNNING"],
                &[&["01b-runs", "11", runs], &["01b-foreign", "13", runs], &["01b-done", "12", "0"]],
            )
        } else if sql == "SHOW TRANSACTIONS" {
            let rows: &[&[&str]] = &[&["888", "TESTER", "99"], &["777", "TESTER", "12"]];
            result(&["id", "user", "session"], if ends { &rows[..1] } else { rows })
        } else if sql.contains("01b-foreign") {
            // What this role may not stop is awaited.
            denied.to_owned()
        } else {
            DONE.to_owned()
        };
        (200, reply)
    });
    let left = connect(&mock).await.end_statements("4711").await.expect("ended");
    assert_eq!((left, counted.load(Ordering::SeqCst)), (None, 4));
    let sent = sent(&mock);
    let told = |what: &str| sent.iter().filter(|sql| sql.contains(what)).count();
    assert!(sent.iter().any(|sql| sql.contains("CONTAINS(query_tag, ' run 4711 ')")), "{sent:?}");
    assert_eq!((told("SYSTEM$CANCEL_QUERY('01b-runs')"), told("SYSTEM$CANCEL_QUERY('01b-foreign')")), (3, 3));
    assert_eq!((told("SYSTEM$ABORT_TRANSACTION(777)"), told("888"), told("01b-done")), (2, 0, 0));
}

#[tokio::test]
async fn what_a_role_does_not_see_of_a_former_holder_is_said() {
    let denied = r#"{"success":false,"code":"003001","message":"Insufficient privileges","data":{"age":0,"errorCode":"003001","internalError":false,"queryId":"q","sqlState":"42501"}}"#;
    for (history, words) in [
        (result(&["QUERY_ID", "SESSION_ID", "IS_RUNNING"], &[]), "MONITOR on the virtual warehouse"),
        (denied.to_owned(), "can't be seen: Insufficient privileges"),
    ] {
        let mock = Mock::start(move |request, _| {
            let is_history = request.sql().is_some_and(|sql| sql.contains("QUERY_HISTORY"));
            let login = request.path.contains("login");
            (
                200,
                if login {
                    LOGIN.to_owned()
                } else if is_history {
                    history.clone()
                } else {
                    DONE.to_owned()
                },
            )
        });
        let left = connect(&mock).await.end_statements("4711").await.expect("an answer").expect("words");
        assert!(left.contains(words) && left.contains("4711"), "{left}");
    }
}

fn openssl(arguments: &[&str]) {
    let done = std::process::Command::new("openssl").args(arguments).output().expect("openssl");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn key_pairs_log_in_encrypted_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &path("plain")]);
    openssl(&["pkcs8", "-topk8", "-v2", "des3", "-in", &path("plain"), "-passout", "pass:t0p", "-out", &path("des3")]);
    openssl(&[
        "pkcs8",
        "-topk8",
        "-v2",
        "aes-256-cbc",
        "-in",
        &path("plain"),
        "-passout",
        "pass:t0p",
        "-out",
        &path("aes"),
    ]);
    let mock =
        Mock::start(|Request { path, .. }, _| (200, if path.contains("login") { LOGIN } else { DONE }.to_owned()));
    for (key, passphrase) in [("plain", None), ("des3", Some("t0p")), ("aes", Some("t0p"))] {
        let path = path(key);
        let mut more = vec![("private_key_path", path.as_str())];
        more.extend(passphrase.map(|passphrase| ("private_key_passphrase", passphrase)));
        let connected = target(&mock, &more).open().await;
        assert!(connected.is_ok(), "{key}: {:?}", connected.err());
        let seen = mock.seen();
        let login = seen.iter().rfind(|request| request.path.contains("login")).expect("a login");
        assert!(login.body.contains("SNOWFLAKE_JWT") && login.body.contains("\"TOKEN\":\"ey"), "{key}: {}", login.body);
    }
    let des3 = path("des3");
    for (passphrase, words) in [(None, "is encrypted"), (Some("wr0ng"), "can't be decrypted")] {
        let mut more = vec![("private_key_path", des3.as_str())];
        more.extend(passphrase.map(|passphrase| ("private_key_passphrase", passphrase)));
        let error = target(&mock, &more).open().await.err().expect("refused");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("private_key_passphrase")), "{error}");
    }
}

#[tokio::test]
async fn a_script_is_sent_whole_and_fails_where_one_of_its_statements_fails() {
    let parent = DONE.replace("\"total\"", "\"resultIds\":\"one,two\",\"resultTypes\":\"1,1\",\"total\"");
    let failed = r#"{"success":false,"code":"100051","message":"Division by zero","data":{"age":0,"errorCode":"100051","internalError":false,"queryId":"two","sqlState":"22012"}}"#;
    let mock = Mock::start(move |Request { path, body, .. }, number| {
        let reply = match path.as_str() {
            "/session/v1/login-request" => LOGIN,
            "/queries/two/result" if number == 1 => failed,
            _ if body.contains("INSERT") => &parent,
            _ => DONE,
        };
        (200, reply.to_owned())
    });
    let warehouse = connect(&mock).await;
    let script = Statement::new("custom", "INSERT INTO t SELECT 1; INSERT INTO t SELECT 2");
    warehouse.execute_script(&script).await.expect("done");
    let error = warehouse.execute_script(&script).await.expect_err("the second statement fails");
    assert_eq!((error.kind, error.code.as_deref()), (WarehouseErrorKind::Data, Some("100051")));
    let seen = mock.seen();
    let sent: Vec<&Request> = seen.iter().filter(|Request { body, .. }| body.contains("INSERT")).collect();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|Request { body, .. }| body.contains("\"MULTI_STATEMENT_COUNT\":0")), "{sent:?}");
    // What a script left open ends with its session.
    let told = |what: fn(&Request) -> bool| seen.iter().filter(|request| what(request)).count();
    assert_eq!(told(|request| request.path == "/session"), 2);
    assert_eq!(told(|request| request.body.contains("ROLLBACK")), 1);
}

//! Signing in: key pairs of accounts with dots, tokens, names, our own name; and sessions that expire while a statement
//! runs. From a server of a few lines.

use base64::Engine;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use websessions_core::backend::{BackendFactory, Settings};
use websessions_core::error::{Error, Retry, WarehouseError, WarehouseErrorKind};
use websessions_core::plan::Statement;
use websessions_core::warehouse::Warehouse;
use websessions_snowflake::Snowflake;
use websessions_test_servers::{Mock, Request};

fn settings(mock: &Mock, more: &[(&str, &str)]) -> Settings {
    let settings = [("account", "local"), ("user", "tester"), ("database", "db"), ("endpoint", &mock.url)];
    Settings::new(&Snowflake, settings.iter().chain(more).copied()).expect("settings")
}

async fn connect(mock: &Mock, more: &[(&str, &str)]) -> Result<Arc<dyn Warehouse>, Error> {
    Snowflake.connect(&settings(mock, more)).await
}

async fn connected(mock: &Mock) -> Arc<dyn Warehouse> {
    connect(mock, &[("password", "s3cret")]).await.unwrap_or_else(|error| panic!("{error}"))
}

fn login() -> String {
    let data = json!({
        "sessionId": 1, "token": "t", "masterToken": "m", "serverVersion": "1", "parameters": [],
        "sessionInfo": { "roleName": "R" }, "masterValidityInSeconds": 14400, "validityInSeconds": 3600,
    });
    json!({ "success": true, "code": null, "message": null, "data": data }).to_string()
}

fn rows(kinds: &[(&str, &str, i64)], rows: &Json) -> String {
    let kinds: Vec<Json> = kinds
        .iter()
        .map(|(name, kind, scale)| {
            json!({ "name": name, "type": kind, "nullable": true, "scale": scale, "precision": 19, "byteLength": null, "length": null })
        })
        .collect();
    let count = rows.as_array().map_or(0, Vec::len);
    let data = json!({
        "parameters": [], "rowtype": kinds, "rowset": rows, "total": count, "returned": count, "queryId": "01b",
        "finalRoleName": "R", "statementTypeId": 1, "version": 1,
    });
    json!({ "success": true, "code": null, "message": null, "data": data }).to_string()
}

fn done() -> String {
    rows(&[("number of rows inserted", "fixed", 0)], &json!([["7"]]))
}

fn in_progress() -> String {
    let data = json!({ "queryId": "01b", "getResultUrl": "/queries/01b/result" });
    json!({ "success": true, "code": "333334", "message": "in progress", "data": data }).to_string()
}

fn refusal(code: &str, words: &str) -> String {
    let data = json!({ "age": 0, "errorCode": code, "internalError": false, "queryId": "q", "sqlState": "42501" });
    json!({ "success": false, "code": code, "message": words, "data": data }).to_string()
}

fn is_login(request: &Request) -> bool {
    request.path.ends_with("/login-request")
}

fn well() -> Mock {
    Mock::start(|request, _| (200, if is_login(request) { login() } else { done() }))
}

fn login_of(mock: &Mock) -> (Json, String) {
    let seen = mock.seen();
    let request = seen.iter().rfind(|request| is_login(request)).expect("a login");
    (serde_json::from_str(&request.body).expect("JSON"), request.query.clone())
}

fn insert() -> Statement {
    Statement::new("rows", "INSERT INTO t SELECT 1")
}

#[tokio::test]
async fn a_key_pair_s_issuer_is_the_account_without_region_and_cloud() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key").to_string_lossy().into_owned();
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &key];
    assert!(std::process::Command::new("openssl").args(arguments).output().expect("openssl").status.success());
    for account in ["xy12345.eu-central-1.aws", "xy12345.privatelink", "xy12345"] {
        let mock = well();
        let more = [("account", account), ("private_key_path", key.as_str())];
        connect(&mock, &more).await.unwrap_or_else(|error| panic!("{error}"));
        let (body, _) = login_of(&mock);
        let token = body["data"]["TOKEN"].as_str().expect("a token");
        let claims = token.split('.').nth(1).expect("claims");
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Json = serde_json::from_slice(&claims).expect("JSON");
        assert!(claims["iss"].as_str().is_some_and(|issuer| issuer.starts_with("XY12345.TESTER.SHA256:")), "{claims}");
        assert_eq!(claims["sub"], "XY12345.TESTER");
        assert_eq!(body["data"]["ACCOUNT_NAME"], "XY12345");
    }
}

#[tokio::test]
async fn a_token_signs_in_without_a_password_and_is_never_shown() {
    for (kind, authenticator) in [("oauth", "OAUTH"), ("programmatic", "PROGRAMMATIC_ACCESS_TOKEN")] {
        let mock = well();
        let more = [("token", "s3cret"), ("token_type", kind)];
        connect(&mock, &more).await.unwrap_or_else(|error| panic!("{error}"));
        let (body, _) = login_of(&mock);
        let data = &body["data"];
        assert_eq!((&data["AUTHENTICATOR"], &data["TOKEN"]), (&json!(authenticator), &json!("s3cret")));
        assert!(data.get("PASSWORD").is_none() && data["LOGIN_NAME"] == "TESTER", "{data}");
        let mock = Mock::start(|_, _| (200, refusal("390318", "OAuth access token expired: s3cret")));
        let error = connect(&mock, &more).await.err().expect("refused");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("command")), "{error:?}");
    }
    let error = connect(&well(), &[("token", "x"), ("token_type", "magic")]).await.err().expect("refused");
    assert!(error.to_string().contains("token_type"), "{error}");
}

#[tokio::test]
async fn a_token_that_passes_is_asked_for_again_at_each_new_session() {
    let mock = well();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let settings = settings(&mock, &[("token", "first")])
        .with_source("token", Arc::new(move || Ok(format!("token {}", count.fetch_add(1, Ordering::SeqCst)))));
    let warehouse = Snowflake.connect(&settings).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(login_of(&mock).0["data"]["TOKEN"], "first");
    warehouse.execute_block(&[insert()]).await.expect("done, on a session of its own");
    assert_eq!(login_of(&mock).0["data"]["TOKEN"], "token 0");
}

#[tokio::test]
async fn we_sign_in_under_our_own_name_and_quoted_names_are_kept() {
    let mock = well();
    let more =
        [("password", "s3cret"), ("role", "\"Analyst\""), ("warehouse", "small_one"), ("database", "\"My data\"")];
    connect(&mock, &more).await.unwrap_or_else(|error| panic!("{error}"));
    let (body, query) = login_of(&mock);
    let data = &body["data"];
    assert_eq!(data["CLIENT_APP_ID"], "websessions-snowflake");
    assert_eq!(data["CLIENT_APP_VERSION"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["CLIENT_ENVIRONMENT"]["APPLICATION"], "websessions");
    for words in ["roleName=%22Analyst%22", "warehouse=SMALL_ONE", "databaseName=%22My+data%22"] {
        assert_eq!(query.matches(words).count(), 1, "{query}");
    }
}

/// A server whose session expires while a statement runs: a look at it is refused until the token has been renewed.
fn expiring(renews: bool) -> (Mock, Arc<AtomicBool>) {
    let (renewed, aborted) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&aborted);
    let mock = Mock::start(move |request, number| {
        let reply = match request.path.as_str() {
            _ if is_login(request) => login(),
            "/session/token-request" if renews => {
                assert!(request.body.contains("\"oldSessionToken\":\"t\""), "{}", request.body);
                renewed.store(true, Ordering::SeqCst);
                let data = json!({ "sessionToken": "t2", "masterToken": "m2" });
                json!({ "success": true, "data": data }).to_string()
            }
            "/session/token-request" => refusal("390114", "Authentication token has expired"),
            "/queries/v1/abort-request" => {
                stop.store(true, Ordering::SeqCst);
                json!({ "success": true, "data": null }).to_string()
            }
            "/queries/01b/result" if number == 0 => in_progress(),
            "/queries/01b/result" if !renewed.load(Ordering::SeqCst) => {
                refusal("390112", "Your session has expired. Please login again.")
            }
            "/queries/01b/result" => done(),
            _ if request.body.contains("INSERT") => in_progress(),
            _ => done(),
        };
        (200, reply)
    });
    (mock, aborted)
}

#[tokio::test]
async fn a_session_that_expires_while_a_statement_runs_is_renewed() {
    let (mock, aborted) = expiring(true);
    let warehouse = connected(&mock).await;
    assert_eq!(warehouse.execute(&insert()).await.expect("done").rows_affected, Some(7));
    let sent = |seen: &[Request]| seen.iter().filter(|request| request.body.contains("INSERT")).count();
    assert_eq!(sent(&mock.seen()), 1, "the statement was sent once");
    assert!(!aborted.load(Ordering::SeqCst));
    warehouse.query("SELECT 1").await.expect("the session goes on with its new token");
    assert_eq!(mock.seen().iter().filter(|request| is_login(request)).count(), 1);
}

#[tokio::test]
async fn what_ran_when_a_session_expired_is_unknown_and_is_stopped() {
    let (mock, aborted) = expiring(false);
    let warehouse = connected(&mock).await;
    let error = warehouse.execute(&insert()).await.expect_err("expired");
    assert_eq!((error.kind, error.retry), (WarehouseErrorKind::Connection, Retry::Unknown), "{error:?}");
    assert!(aborted.load(Ordering::SeqCst), "it was not told to stop");
    let seen = mock.seen();
    let abort = seen.iter().find(|request| request.path.ends_with("/abort-request")).expect("an abort");
    let request = seen.iter().find(|request| request.body.contains("INSERT")).expect("a statement");
    let id: Json = serde_json::from_str(&abort.body).expect("JSON");
    assert!(request.query.contains(&format!("requestId={}", id["requestId"].as_str().expect("an id"))), "{id}");
}

#[tokio::test]
async fn values_of_a_json_result_have_their_types() {
    use websessions_core::rows::Value;
    let kinds =
        [("ID", "fixed", 0), ("RATIO", "fixed", 2), ("REAL", "real", 0), ("TRUTH", "boolean", 0), ("T", "text", 0)];
    let reply = rows(&kinds, &json!([["5", "0.25", "1.5", "1", "7"], [null, null, null, "false", ""]]));
    let mock = Mock::start(move |request, number| {
        (
            200,
            if is_login(request) {
                login()
            } else if number == 0 {
                done()
            } else {
                reply.clone()
            },
        )
    });
    let found = connected(&mock).await.query("SELECT").await.expect("rows");
    assert_eq!(found.columns, ["id", "ratio", "real", "truth", "t"]);
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        found.rows,
        [
            vec![Value::Integer(5), Value::Float(0.25), Value::Float(1.5), Value::Boolean(true), text("7")],
            vec![Value::Null, Value::Null, Value::Null, Value::Boolean(false), text("")],
        ]
    );
}

/// A vendor's answer, and what it means for us: code and words, kind, retry class, a word of the hint, exit code.
type Row = ((&'static str, &'static str), WarehouseErrorKind, Retry, &'static str, u8);

const REFUSALS: &[Row] = {
    use Retry::{Never, NotApplied};
    use WarehouseErrorKind::{Cancelled, Connection, Locked, Missing, Permission, Resources};
    &[
        (("390100", "Incorrect username or password was specified."), Permission, Never, "password", 1),
        (("390144", "JWT token is invalid."), Permission, Never, "key", 1),
        (("390303", "Invalid OAuth access token."), Permission, Never, "token", 1),
        (("390318", "OAuth access token expired."), Permission, Never, "command", 1),
        (
            ("390422", "Incoming request with IP/Token is not allowed to access Snowflake."),
            Permission,
            Never,
            "network",
            1,
        ),
        (("390127", "MFA enrollment is required."), Permission, Never, "key pair", 1),
        (
            ("390189", "Role 'R' specified in the connect string does not exist or not authorized."),
            Permission,
            Never,
            "role",
            1,
        ),
        (("390112", "Your session has expired. Please login again."), Connection, NotApplied, "expired", 1),
        (
            ("003001", "SQL access control error: Insufficient privileges to operate on schema 'DERIVED'"),
            Permission,
            Never,
            "grant",
            1,
        ),
        (("002003", "Object 'DERIVED.SESSIONS' does not exist or not authorized."), Missing, Never, "may not see", 1),
        (("000606", "No active warehouse selected in the current session."), Missing, Never, "OPERATE", 1),
        (
            ("090073", "Warehouse 'W' cannot be resumed because resource monitor 'M' has exceeded its quota."),
            Resources,
            Never,
            "quota",
            1,
        ),
        (
            ("000630", "Statement reached its statement or warehouse timeout of 10 second(s) and was canceled."),
            Resources,
            Never,
            "statement_timeout",
            1,
        ),
        (
            (
                "000625",
                "Statement was aborted because the number of waiters for this lock exceeds the 20 statements limit.",
            ),
            Locked,
            NotApplied,
            "",
            3,
        ),
        (("000604", "SQL execution canceled"), Cancelled, Never, "", 130),
    ]
};

#[tokio::test]
async fn refusals_are_understood() {
    for ((code, words), kind, retry, hint, exit_code) in REFUSALS {
        let mock = Mock::start(move |request, _| {
            (
                200,
                match () {
                    () if is_login(request) => login(),
                    () if request.body.contains("INSERT") => refusal(code, words),
                    () if request.path.ends_with("/token-request") => refusal("390114", "expired"),
                    () => done(),
                },
            )
        });
        let error: WarehouseError = connected(&mock).await.execute(&insert()).await.expect_err("refused");
        assert_eq!((error.kind, error.retry), (*kind, *retry), "{words}: {error:?}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{words}: {error:?}");
        assert_eq!(Error::Warehouse { context: String::new(), source: error }.exit_code(), *exit_code, "{words}");
    }
}

//! What stands between snowflake-api and the wire, because that crate has no setting for it: another endpoint, session
//! parameters, statements that run longer than Snowflake holds a request (about 45 s), the server's codes and query ids.

use http::Extensions;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Body, Request, Response, Url};
use reqwest_middleware::{Middleware, Next, Result};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// 'The query is in progress', at once and after a while.
/// Source: the replies of Snowflake's own drivers, such as <https://github.com/snowflakedb/gosnowflake>.
const IN_PROGRESS: [&str; 2] = ["333333", "333334"];

/// 'Your session has expired.' The token passes after an hour; it can be renewed as long as the master token lives.
const EXPIRED: &str = "390112";

/// How often a look at a running statement is sent, if its answer is lost.
const LOOKS: usize = 3;

/// What the server said last on a session: the crate keeps neither codes of all kinds nor query ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastReply {
    pub(crate) code: Option<String>,
    pub(crate) sql_state: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) query_id: Option<String>,
    pub(crate) status: Option<u16>,
    /// No connection was made: the server has seen nothing.
    pub(crate) unreachable: bool,
    /// The seconds that the server asks us to wait.
    pub(crate) retry_after: Option<u32>,
    /// The id of the request, by which its statement can be aborted.
    pub(crate) request_id: Option<String>,
    pub(crate) authorization: Option<HeaderValue>,
    /// The server has said that the statement runs.
    pub(crate) in_progress: bool,
}

/// What a login says beyond what the crate can say.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// `SESSION_PARAMETERS`.
    pub(crate) session_parameters: Value,
    /// How a token signs in, instead of a password.
    pub(crate) authenticator: Option<&'static str>,
    pub(crate) token: Option<String>,
    /// Database, role and warehouse: parameters of the URL, which the crate forces to upper case.
    pub(crate) names: Vec<(&'static str, String)>,
}

/// A session's tokens: those of its login or renewal, and the one that we have renewed meanwhile without the crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    session: Option<String>,
    master: Option<String>,
    renewed: Option<HeaderValue>,
}

/// A session's gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) endpoint: Url,
    pub(crate) login: Login,
    pub(crate) tokens: Arc<Mutex<Tokens>>,
    pub(crate) last: Arc<Mutex<LastReply>>,
    /// The parameters of the statement that is sent next.
    pub(crate) parameters: Arc<Mutex<Value>>,
}

fn header(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Snowflake Token=\"{token}\"")).ok()
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    /// The URL of a path at the endpoint. The crate builds one path with two slashes.
    pub(crate) fn redirect(&self, url: &mut Url) {
        let path = url.path().replace("//", "/");
        url.set_path(&path);
        let _ = url.set_scheme(self.endpoint.scheme());
        let _ = url.set_host(self.endpoint.host_str());
        let _ = url.set_port(self.endpoint.port());
    }

    /// Adds what the crate has no argument for to the body of a request.
    fn complete(&self, request: &mut Request) {
        let path = request.url().path().to_owned();
        let Some(mut body) =
            request.body().and_then(Body::as_bytes).and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
        else {
            return;
        };
        if path.ends_with("/login-request") {
            let data = &mut body["data"];
            // The crate signs in as an old driver of another language.
            data["CLIENT_APP_ID"] = json!(env!("CARGO_PKG_NAME"));
            data["CLIENT_APP_VERSION"] = json!(env!("CARGO_PKG_VERSION"));
            data["CLIENT_ENVIRONMENT"]["APPLICATION"] = json!("websessions");
            if let (Some(given), Some(ours)) =
                (data["SESSION_PARAMETERS"].as_object_mut(), self.login.session_parameters.as_object())
            {
                given.extend(ours.clone());
            }
            if let (Some(authenticator), Some(token)) = (self.login.authenticator, &self.login.token) {
                data["AUTHENTICATOR"] = json!(authenticator);
                data["TOKEN"] = json!(token);
                if let Some(data) = data.as_object_mut() {
                    data.remove("PASSWORD");
                }
            }
            let names = &self.login.names;
            let others: Vec<(String, String)> = request
                .url()
                .query_pairs()
                .filter(|(name, _)| !names.iter().any(|(ours, _)| name == ours))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            request.url_mut().query_pairs_mut().clear().extend_pairs(others).extend_pairs(names);
        } else if path.ends_with("/query-request") {
            body["parameters"] = lock(&self.parameters).clone();
        } else {
            return;
        }
        let text = body.to_string();
        request.headers_mut().remove(reqwest::header::CONTENT_LENGTH);
        *request.body_mut() = Some(Body::from(text));
    }

    /// Keeps the tokens that a login or a renewal of the crate's brings.
    fn keep_tokens(&self, reply: &Value) {
        let text = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| reply["data"][*name].as_str().filter(|text| !text.is_empty()))
                .map(str::to_owned)
        };
        let mut tokens = lock(&self.tokens);
        if let Some(session) = text(["token", "sessionToken"]) {
            *tokens = Tokens { session: Some(session), master: text(["masterToken", "masterToken"]), renewed: None };
        }
    }

    /// Renews the session's token, as Snowflake's own drivers do while they wait for a statement.
    /// Source: <https://github.com/snowflakedb/gosnowflake>, `renewRestfulSession`.
    async fn renew(&self, base: &Url, extensions: &mut Extensions, next: Next<'_>) -> Option<HeaderValue> {
        let Tokens { session, master, .. } = lock(&self.tokens).clone();
        let (session, master) = (session?, master?);
        let mut url = base.join("/session/token-request").ok()?;
        url.query_pairs_mut().clear().append_pair("requestId", &uuid::Uuid::new_v4().to_string());
        let mut request = Request::new(reqwest::Method::POST, url);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, header(&master)?);
        headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() =
            Some(Body::from(json!({ "oldSessionToken": session, "requestType": "RENEW" }).to_string()));
        let bytes = next.run(request, extensions).await.ok()?.bytes().await.ok()?;
        let reply: Value = serde_json::from_slice(&bytes).ok()?;
        let session = reply["data"]["sessionToken"].as_str()?.to_owned();
        let master = reply["data"]["masterToken"].as_str().map_or(master, str::to_owned);
        let renewed = header(&session)?;
        *lock(&self.tokens) = Tokens { session: Some(session), master: Some(master), renewed: Some(renewed.clone()) };
        Some(renewed)
    }

    /// Looks at a result. It changes nothing, so that a lost answer is asked for again.
    async fn look(&self, look: Request, extensions: &mut Extensions, next: &Next<'_>) -> Result<Response> {
        for _ in 1..LOOKS {
            let Some(again) = look.try_clone() else { break };
            if let Ok(response) = next.clone().run(again, extensions).await {
                return Ok(response);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        next.clone().run(look, extensions).await
    }

    fn note(&self, status: u16, reply: &Value) {
        let text = |value: &Value| match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let failed = reply["success"] == false;
        let mut last = lock(&self.last);
        last.status = Some(status);
        last.query_id = text(&reply["data"]["queryId"]);
        last.code = failed.then(|| text(&reply["code"]).or_else(|| text(&reply["data"]["errorCode"]))).flatten();
        last.sql_state = failed.then(|| text(&reply["data"]["sqlState"])).flatten();
        last.message = failed.then(|| text(&reply["message"])).flatten();
    }
}

#[websessions_core::async_trait]
impl Middleware for Gateway {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        self.redirect(request.url_mut());
        self.complete(&mut request);
        let is_query = request.url().path().ends_with("/query-request");
        let request_id =
            request.url().query_pairs().find(|(name, _)| name == "requestId").map(|(_, id)| id.into_owned());
        let is_token = ["/login-request", "/token-request"].iter().any(|end| request.url().path().ends_with(end));
        // The crate goes on with the token that it knows.
        let renewed = lock(&self.tokens).renewed.clone().filter(|_| !is_token);
        if let Some(renewed) = renewed {
            request.headers_mut().insert(AUTHORIZATION, renewed);
        }
        let mut headers = request.headers().clone();
        *lock(&self.last) = LastReply {
            request_id: request_id.filter(|_| is_query),
            authorization: headers.get(AUTHORIZATION).cloned(),
            ..LastReply::default()
        };
        let base = request.url().clone();
        let get = |path: &str, headers: &HeaderMap| {
            let mut url = base.join(path).map_err(reqwest_middleware::Error::middleware)?;
            self.redirect(&mut url);
            let mut again = Request::new(reqwest::Method::GET, url);
            *again.headers_mut() = headers.clone();
            again.headers_mut().remove(reqwest::header::CONTENT_TYPE);
            again.headers_mut().remove(reqwest::header::CONTENT_LENGTH);
            Ok::<_, reqwest_middleware::Error>(again)
        };
        // What is sent again with a new token: the request itself, or the look at its result.
        let mut current = request.try_clone();
        let mut may_renew = !is_token;
        // The statements of a script, whose results are asked for one by one.
        let mut results: VecDeque<String> = VecDeque::new();
        let mut response = next.clone().run(request, extensions).await.inspect_err(|error| {
            lock(&self.last).unreachable = error.is_connect();
        })?;
        loop {
            let (status, version) = (response.status(), response.version());
            let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
            let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
            let bytes = response.bytes().await?;
            let reply: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let result_url = reply["data"]["getResultUrl"].as_str();
            if let Some(path) =
                result_url.filter(|_| reply["code"].as_str().is_some_and(|code| IN_PROGRESS.contains(&code)))
            {
                lock(&self.last).in_progress = true;
                may_renew = true;
                // The server holds the request for a while by itself; this is for one that doesn't.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let look = get(path, &headers)?;
                current = look.try_clone();
                response = self.look(look, extensions, &next).await?;
                continue;
            }
            // Nothing of a request runs whose token has passed; what ran before goes on.
            if reply["code"] == EXPIRED && may_renew {
                may_renew = false;
                let again = current.as_ref().and_then(Request::try_clone);
                if let Some((mut again, renewed)) = again.zip(self.renew(&base, extensions, next.clone()).await) {
                    headers.insert(AUTHORIZATION, renewed.clone());
                    lock(&self.last).authorization = Some(renewed.clone());
                    again.headers_mut().insert(AUTHORIZATION, renewed);
                    response = next.clone().run(again, extensions).await?;
                    continue;
                }
            }
            if is_token {
                self.keep_tokens(&reply);
            }
            if let Some(ids) = reply["data"]["resultIds"].as_str() {
                results.extend(ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned));
            }
            if reply["success"] == true
                && let Some(id) = results.pop_front()
            {
                let look = get(&format!("/queries/{id}/result"), &headers)?;
                current = look.try_clone();
                response = self.look(look, extensions, &next).await?;
                continue;
            }
            if !reply.is_null() || is_query {
                self.note(status.as_u16(), &reply);
                lock(&self.last).retry_after = retry_after;
            }
            let mut whole = http::Response::new(bytes);
            *whole.status_mut() = status;
            *whole.version_mut() = version;
            return Ok(Response::from(whole));
        }
    }
}

//! What stands between snowflake-api and the wire, because that crate has no setting for it: another endpoint, session
//! parameters, statements that run longer than Snowflake holds a request (about 45 s), the server's codes and query ids.

use http::Extensions;
use reqwest::{Body, Request, Response, Url};
use reqwest_middleware::{Middleware, Next, Result};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// 'The query is in progress', at once and after a while.
/// Source: the replies of Snowflake's own drivers, such as <https://github.com/snowflakedb/gosnowflake>.
const IN_PROGRESS: [&str; 2] = ["333333", "333334"];

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
    pub(crate) authorization: Option<reqwest::header::HeaderValue>,
}

/// A session's gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) endpoint: Option<Url>,
    /// `SESSION_PARAMETERS` of the login.
    pub(crate) session_parameters: Value,
    pub(crate) last: Arc<Mutex<LastReply>>,
    /// The parameters of the statement that is sent next.
    pub(crate) parameters: Arc<Mutex<Value>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    /// The URL of a path at the endpoint. The crate builds one path with two slashes.
    pub(crate) fn redirect(&self, url: &mut Url) {
        let path = url.path().replace("//", "/");
        url.set_path(&path);
        if let Some(endpoint) = &self.endpoint {
            let _ = url.set_scheme(endpoint.scheme());
            let _ = url.set_host(endpoint.host_str());
            let _ = url.set_port(endpoint.port());
        }
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
            if let (Some(given), Some(ours)) =
                (body["data"]["SESSION_PARAMETERS"].as_object_mut(), self.session_parameters.as_object())
            {
                given.extend(ours.clone());
            }
        } else if path.ends_with("/query-request") {
            body["parameters"] = lock(&self.parameters).clone();
        } else {
            return;
        }
        let text = body.to_string();
        request.headers_mut().remove(reqwest::header::CONTENT_LENGTH);
        *request.body_mut() = Some(Body::from(text));
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
        let headers = request.headers().clone();
        *lock(&self.last) = LastReply {
            request_id: request_id.filter(|_| is_query),
            authorization: headers.get(reqwest::header::AUTHORIZATION).cloned(),
            ..LastReply::default()
        };
        let base = request.url().clone();
        let get = |path: &str| {
            let mut url = base.join(path).map_err(reqwest_middleware::Error::middleware)?;
            self.redirect(&mut url);
            let mut again = Request::new(reqwest::Method::GET, url);
            *again.headers_mut() = headers.clone();
            again.headers_mut().remove(reqwest::header::CONTENT_TYPE);
            again.headers_mut().remove(reqwest::header::CONTENT_LENGTH);
            Ok::<_, reqwest_middleware::Error>(again)
        };
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
            match result_url.filter(|_| reply["code"].as_str().is_some_and(|code| IN_PROGRESS.contains(&code))) {
                Some(path) => {
                    // The server holds the request for a while by itself; this is for one that doesn't.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    response = next.clone().run(get(path)?, extensions).await?;
                }
                None => {
                    if let Some(ids) = reply["data"]["resultIds"].as_str() {
                        results.extend(ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned));
                    }
                    if reply["success"] == true
                        && let Some(id) = results.pop_front()
                    {
                        response = next.clone().run(get(&format!("/queries/{id}/result"))?, extensions).await?;
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
    }
}

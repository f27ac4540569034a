//! From a path to an answer. What is not listed here is not there: no file is read by a name that a caller gives.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::gate::{self, parameter};
use super::server::Busy;
use super::{Shared, health, json as facts, letters, page, query, rows, stream, versions};
use crate::job_client::NUMBER_HEADER;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// What a browser may do with an answer: nothing but show it, and ask this server.
const SECURITY: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The body of an answer; its connection is busy until it is sent.
pub(super) struct Body {
    bytes: UnsyncBoxBody<Bytes, Infallible>,
    _busy: Option<Busy>,
}

impl Body {
    pub fn new(bytes: UnsyncBoxBody<Bytes, Infallible>) -> Self {
        Self { bytes, _busy: None }
    }

    pub fn while_busy(self, busy: Busy) -> Self {
        Self { _busy: Some(busy), ..self }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

/// The answer to a request.
pub(super) async fn answer(shared: &Arc<Shared>, request: &Request<Incoming>) -> Response<Body> {
    let Some(http) = &shared.config.http else { return unavailable("http is not configured") };
    if let Err(refused) = gate::check(request, http) {
        return refuse(refused);
    }
    let query = request.uri().query();
    match request.uri().path() {
        "/" => of(StatusCode::OK, HTML, page::html()),
        "/metrics" => metrics(shared, request),
        "/livez" => healthy("live", &health::live(shared)),
        "/readyz" => healthy("ready", &health::ready(shared)),
        "/api/status" => of_json(&facts::status(shared)),
        "/api/history" => of_json(&facts::history(shared)),
        "/api/views" => of_json(&facts::views(shared)),
        "/api/events-log" => of_json(&facts::events(shared)),
        "/api/config" => of_json(&facts::config(shared)),
        "/api/events" => stream::events(shared),
        "/api/rows" => match parameter(query, "view") {
            Some(view) => told(rows::last_rows(shared, &view)),
            None => refused_json("name a view or a table: /api/rows?view=NAME"),
        },
        "/api/query" => match parameter(query, "sql") {
            Some(sql) => told(query::ask(shared, sql).await),
            None => refused_json("name a query: /api/query?sql=SELECT ..."),
        },
        "/api/batch" => {
            let after = parameter(query, "after").and_then(|after| after.parse().ok());
            match rows::batch(shared, after.unwrap_or(0)).await {
                Ok((number, bytes)) => {
                    let mut answer = of(StatusCode::OK, ARROW, bytes);
                    answer.headers_mut().insert(HeaderName::from_static(NUMBER_HEADER), number.into());
                    answer
                }
                Err(error) => failed(&error),
            }
        }
        "/api/dead-letters" => told(letters::summary(shared).await),
        "/api/sql" => told(Ok(versions::in_use(shared).await)),
        _ => of(StatusCode::NOT_FOUND, TEXT, "there is nothing here; see / and /metrics\n"),
    }
}

fn metrics(shared: &Shared, request: &Request<Incoming>) -> Response<Body> {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_open = accepted.contains("application/openmetrics-text");
    match shared.job.metrics(is_open) {
        Ok(text) => of(StatusCode::OK, if is_open { OPEN_METRICS } else { PROMETHEUS }, text),
        Err(error) => failed(&error.to_string()),
    }
}

fn healthy(name: &str, reasons: &[String]) -> Response<Body> {
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    of(status, JSON, health::answer(name, reasons).to_string())
}

/// An answer in JSON, or why there is none: an object with `error`.
fn told(answer: Result<Value, Value>) -> Response<Body> {
    match answer {
        Ok(value) => of_json(&value),
        Err(error) => of(StatusCode::BAD_REQUEST, JSON, error.to_string()),
    }
}

fn of_json(value: &Value) -> Response<Body> {
    of(StatusCode::OK, JSON, value.to_string())
}

fn refused_json(error: &str) -> Response<Body> {
    told(Err(json!({ "error": error })))
}

fn refuse(refused: gate::Refused) -> Response<Body> {
    let mut answer = of(refused.status, TEXT, format!("{}\n", refused.text));
    match refused.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        StatusCode::UNAUTHORIZED => {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    answer
}

pub(super) fn failed(error: &str) -> Response<Body> {
    of(StatusCode::INTERNAL_SERVER_ERROR, JSON, json!({ "error": error }).to_string())
}

pub(super) fn unavailable(error: &str) -> Response<Body> {
    of(StatusCode::SERVICE_UNAVAILABLE, JSON, json!({ "error": error }).to_string())
}

fn of(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    with_headers(status, kind, Body::new(Full::new(bytes.into()).boxed_unsync()))
}

/// An answer with the headers that all answers have.
pub(super) fn with_headers(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = HeaderValue::from_static(page::content_security_policy());
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in SECURITY {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

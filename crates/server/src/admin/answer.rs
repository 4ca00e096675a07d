//! Which question gets which answer: everything of the admin listener but its sockets.
//!
//! Invariant: a peer's text is never taken as more than a value to compare or parse; every wrong value is refused with
//! what is allowed.

use std::borrow::Cow;

use gannet::CloseCode;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::access::{Access, check_not_cross_site};
use super::wire::{CloseRequest, Sort};

/// The type of a body of text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// The type of a body of JSON.
pub(super) const JSON: &str = "application/json";
/// Connections listed at once.
const LIMIT_MAX: usize = 1000;
const LIMIT_DEFAULT: usize = 50;
/// What a close reason may take in a frame (RFC 6455 §5.5).
const REASON_BYTES_MAX: usize = 123;

/// A response with its body in memory.
pub(super) type Answer = Response<String>;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Health,
    Readiness,
    Metrics,
    Connections { sort: Sort, limit: usize },
    Close { id: String, code: CloseCode, reason: String },
}

/// Why a question is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: Cow<'static, str>,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), header: None }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = answer(refusal.status, TEXT, format!("{}\n", refusal.text));
        if let Some((name, value)) = refusal.header {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// A response that is not kept by anybody and not taken for another type.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// What `parts` and `body` ask for, if whoever asks may.
///
/// # Errors
/// The answer to give instead: 400, 401, 403, 404 or 405.
pub(super) fn question(parts: &Parts, body: &[u8], access: &Access) -> Result<Question, Refusal> {
    let path = parts.uri.path();
    let get = |question| allow(&[Method::GET, Method::HEAD], "GET, HEAD", &parts.method).map(|()| question);
    // What asks for these two is often a machine without a token, and they tell nothing about anybody.
    match path {
        "/healthz" => return get(Question::Health),
        "/readyz" => return get(Question::Readiness),
        _ => access.check(&parts.headers)?,
    }
    let query = parts.uri.query().unwrap_or_default();
    let close = path.strip_prefix("/connections/").and_then(|rest| rest.strip_suffix("/close"));
    match (path, close) {
        ("/metrics", _) => get(Question::Metrics),
        ("/connections", _) => {
            let question = connections(query);
            question.and_then(get)
        }
        (_, Some(id)) if !id.is_empty() && !id.contains('/') => {
            allow(&[Method::POST], "POST", &parts.method)?;
            check_not_cross_site(&parts.headers)?;
            close_one(id, query, body)
        }
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "there are /healthz, /readyz, /metrics, /connections and POST /connections/ID/close",
        )),
    }
}

fn allow(methods: &[Method], names: &'static str, method: &Method) -> Result<(), Refusal> {
    if methods.contains(method) {
        return Ok(());
    }
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("the method must be {names}"));
    Err(refusal.with_header(ALLOW, names))
}

fn connections(query: &str) -> Result<Question, Refusal> {
    let (mut sort, mut limit) = (Sort::default(), LIMIT_DEFAULT);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sort" => {
                sort = Sort::parse(&value).ok_or_else(|| {
                    Refusal::bad(format!("sort is {value:?}: buffered, age and messages are allowed"))
                })?;
            }
            "limit" => {
                let given = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit = given.ok_or_else(|| {
                    Refusal::bad(format!("limit is {value:?}: 1 to {LIMIT_MAX} are allowed"))
                })?;
            }
            _ => return Err(Refusal::bad(format!("{key:?} is unknown: sort and limit are allowed"))),
        }
    }
    Ok(Question::Connections { sort, limit })
}

/// Code and reason are in the query or in a body of JSON; the body has precedence.
fn close_one(id: &str, query: &str, body: &[u8]) -> Result<Question, Refusal> {
    let mut request = CloseRequest::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "code" => request.code = Some(value.parse().map_err(|_| bad_code(&value))?),
            "reason" => request.reason = Some(value.into_owned()),
            _ => return Err(Refusal::bad(format!("{key:?} is unknown: code and reason are allowed"))),
        }
    }
    if !body.is_empty() {
        let told: CloseRequest = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("the body is not {{\"code\", \"reason\"}}: {error}")))?;
        request = CloseRequest { code: told.code.or(request.code), reason: told.reason.or(request.reason) };
    }
    let code = request.code.map_or(CloseCode::GOING_AWAY, CloseCode::new);
    if !code.is_sendable() {
        return Err(bad_code(&u16::from(code).to_string()));
    }
    let reason = request.reason.unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX {
        let text = format!("the reason has {} bytes: {REASON_BYTES_MAX} are allowed", reason.len());
        return Err(Refusal::bad(text));
    }
    Ok(Question::Close { id: id.to_owned(), code, reason })
}

fn bad_code(code: &str) -> Refusal {
    Refusal::bad(format!(
        "code is {code:?}: 1000 to 1003, 1007 to 1014 and 3000 to 4999 are allowed (RFC 6455 §7.4)"
    ))
}

#[cfg(test)]
mod tests;

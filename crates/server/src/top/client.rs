//! Asking the admin listener, on a thread of its own.
//!
//! Invariant: keys are never waited on by a server that does not answer: orders and reports are messages, and each answer
//! has a deadline.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, RequestBuilder};

use super::TopFlags;
use super::scrape::Totals;
use crate::admin::OWN_HEADER;
use crate::admin::wire::{ConnectionRow, Connections, Sort};
use crate::escape::escaped;

/// For an answer, its last byte included.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// An answer that is longer is none of a gannet server.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Characters of an error of the server that are shown.
const ERROR_CHARS_MAX: usize = 200;

/// One look at a server.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) totals: Totals,
    pub(super) rows: Vec<ConnectionRow>,
}

/// What the thread is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Look(Sort),
    Close(String),
}

/// What came of an order; an error is one line.
#[derive(Debug, Clone)]
pub(super) enum Report {
    Looked(Result<Sample, String>),
    Closed { id: String, result: Result<(), String> },
}

/// Asks one server.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
    limit: u16,
}

impl Client {
    pub(super) fn new(flags: &TopFlags) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIME_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            // The listener is a neighbour: a proxy for the world outside does not lead to it.
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            url: flags.admin.clone(),
            token: flags.admin_token.clone(),
            limit: flags.limit,
        }
    }

    /// Where the server is, for people.
    pub(super) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Totals and the first connections.
    ///
    /// # Errors
    /// One line: no answer, not 200, or not of a gannet server.
    pub(super) fn look(&self, sort: Sort) -> Result<Sample, String> {
        let totals = Totals::parse(&self.get("/metrics")?)?;
        let list = self.get(&format!("/connections?sort={}&limit={}", sort.name(), self.limit))?;
        let list: Connections = serde_json::from_str(&list)
            .map_err(|error| format!("{}/connections is not what a gannet server says: {error}", self.url))?;
        Ok(Sample { at: Instant::now(), totals, rows: list.connections })
    }

    /// Has a connection closed.
    ///
    /// # Errors
    /// One line, as [`look`](Self::look).
    pub(super) fn close(&self, id: &str) -> Result<(), String> {
        let path = format!("/connections/{id}/close");
        let request = self.with_token(self.agent.post(format!("{}{path}", self.url))).header(OWN_HEADER, "1");
        let body = json!({ "reason": "closed by the operator" }).to_string();
        self.read(&path, request.content_type("application/json").send(body)).map(drop)
    }

    /// Follows orders on a thread of its own, until nobody can give one any more.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(self) -> std::io::Result<(Sender<Order>, Receiver<Report>)> {
        let (orders, incoming) = mpsc::channel();
        let (outgoing, reports) = mpsc::channel();
        let follow = move || {
            for order in incoming {
                let report = match order {
                    Order::Look(sort) => Report::Looked(self.look(sort)),
                    Order::Close(id) => Report::Closed { result: self.close(&id), id },
                };
                if outgoing.send(report).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("client".to_owned()).spawn(follow)?;
        Ok((orders, reports))
    }

    fn get(&self, path: &str) -> Result<String, String> {
        let request = self.with_token(self.agent.get(format!("{}{path}", self.url)));
        self.read(path, request.call())
    }

    fn with_token<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// The body, if all went well.
    fn read(&self, path: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<String, String> {
        let mut answer = answer.map_err(|error| self.explain(&error))?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let body = body.map_err(|error| self.explain(&error))?;
        if answer.status().is_success() {
            return Ok(body);
        }
        let what: String = escaped(body.trim()).chars().take(ERROR_CHARS_MAX).collect();
        Err(format!("{path} of {}: {}: {what}", self.address(), answer.status().as_u16()))
    }

    fn explain(&self, error: &ureq::Error) -> String {
        let what = escaped(&error.to_string());
        format!("no answer from {}: {what}; is the server running with --admin?", self.address())
    }
}

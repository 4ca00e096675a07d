//! What the admin listener wants to know of the engine, and the answers that it makes of it.
//!
//! Invariant: [`Watched::connections`], [`Watched::close`] and [`Watched::stuck`] may wait for the shards, up to a second;
//! nothing else waits.

use std::fmt::Debug;

use gannet::metrics::Counts;
use gannet::{CloseCode, Summary};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::answer::{Answer, JSON, Question, Refusal, TEXT, answer};
use super::listener::Desk;
use super::wire::{ConnectionRow, Connections, Sort};

/// An engine as the admin listener sees it.
pub(super) trait Watched: Debug + Send + Sync + 'static {
    /// The counts of each shard.
    fn shards(&self) -> Vec<Counts>;
    /// The counts of the whole engine.
    fn summary(&self) -> Summary;
    /// What it may hold.
    fn connections_max(&self) -> usize;
    /// It takes no new connections and closes those it has.
    fn is_draining(&self) -> bool;
    /// The shards that do not answer now. Waits for them.
    fn stuck(&self) -> Vec<usize>;
    /// The first `limit` connections. Waits for the shards.
    fn connections(&self, sort: Sort, limit: usize) -> Vec<ConnectionRow>;
    /// Starts the closing handshake of a connection. Waits for its shard.
    fn close(&self, id: &str, code: CloseCode, reason: &str) -> Result<(), CloseError>;
    /// Lines of the log that were lost.
    fn log_lines_dropped(&self) -> u64;
}

/// Why a connection is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CloseError {
    /// The text is not an id.
    BadId(String),
    /// There is no such connection.
    Unknown,
    /// The shard takes no orders now.
    Busy(String),
}

/// The answer to `question`.
pub(super) fn respond(question: Question, desk: &Desk) -> Answer {
    match question {
        Question::Health => health(desk),
        Question::Readiness => readiness(&*desk.watched),
        Question::Metrics => metrics(desk),
        Question::Connections { sort, limit } => {
            let connections = Connections { connections: desk.watched.connections(sort, limit) };
            json(&connections)
        }
        Question::Close { id, code, reason } => close(&*desk.watched, &id, code, &reason),
    }
}

/// A drain is not an illness: its shards end one after the other, and it has a deadline of its own.
fn health(desk: &Desk) -> Answer {
    let stuck = desk.health.stuck();
    if desk.watched.is_draining() {
        return text(StatusCode::OK, "draining");
    }
    if stuck.is_empty() {
        return text(StatusCode::OK, "healthy");
    }
    let names: Vec<String> = stuck.iter().map(usize::to_string).collect();
    let seconds = super::health::SILENCE_MAX.as_secs();
    let what = format!("no answer for {seconds} s from shard {}", names.join(", "));
    text(StatusCode::SERVICE_UNAVAILABLE, &what)
}

fn readiness(watched: &dyn Watched) -> Answer {
    if watched.is_draining() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    let (connections, connections_max) = (watched.summary().connections, watched.connections_max());
    if connections >= connections_max {
        let what = format!("full: {connections} connections of at most {connections_max}");
        return text(StatusCode::SERVICE_UNAVAILABLE, &what);
    }
    text(StatusCode::OK, "serving")
}

fn metrics(desk: &Desk) -> Answer {
    let mut answer = answer(StatusCode::OK, TEXT, desk.metrics.text());
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(openmetrics));
    answer
}

fn close(watched: &dyn Watched, id: &str, code: CloseCode, reason: &str) -> Answer {
    let refusal = match watched.close(id, code, reason) {
        Ok(()) => {
            tracing::info!(id, %code, reason, "closing a connection as told by the admin listener");
            return text(StatusCode::ACCEPTED, "closing");
        }
        Err(CloseError::BadId(what)) => Refusal::new(StatusCode::BAD_REQUEST, what),
        Err(CloseError::Unknown) => {
            Refusal::new(StatusCode::NOT_FOUND, format!("there is no connection {id}"))
        }
        Err(CloseError::Busy(what)) => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, what),
    };
    refusal.into()
}

fn text(status: StatusCode, what: &str) -> Answer {
    answer(status, TEXT, format!("{what}\n"))
}

fn json(connections: &Connections) -> Answer {
    match serde_json::to_string(connections) {
        Ok(body) => answer(StatusCode::OK, JSON, body + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::access::Access;
    use super::super::fake::Fake;
    use super::*;

    fn desk(fake: Fake) -> Desk {
        Desk::new(Access::new("127.0.0.1:0".parse().unwrap(), None).unwrap(), Arc::new(fake))
    }

    fn respond_to(question: Question, fake: Fake) -> (u16, String) {
        let answer = respond(question, &desk(fake));
        (answer.status().as_u16(), answer.into_body())
    }

    fn close_of(id: &str) -> Question {
        Question::Close { id: id.to_owned(), code: CloseCode::NORMAL, reason: String::new() }
    }

    #[test]
    fn it_is_ready_until_it_drains_or_is_full() {
        let mut fake = Fake::default();
        fake.summary.connections = 9;
        fake.connections_max = 10;
        assert_eq!(respond_to(Question::Readiness, fake.clone()), (200, "serving\n".to_owned()));
        fake.summary.connections = 10;
        let full = "full: 10 connections of at most 10\n".to_owned();
        assert_eq!(respond_to(Question::Readiness, fake.clone()), (503, full));
        fake.is_draining = true;
        assert_eq!(respond_to(Question::Readiness, fake.clone()), (503, "draining\n".to_owned()));
        assert_eq!(respond_to(Question::Health, fake), (200, "draining\n".to_owned()));
    }

    #[test]
    fn connections_are_listed_with_everything_that_is_known_of_them() {
        let row = ConnectionRow {
            id: "0-1-2".to_owned(),
            client: "192.0.2.1".to_owned(),
            peer: "127.0.0.1:5".to_owned(),
            path: "/a\u{1b}\n".to_owned(),
            subprotocol: String::new(),
            age_ms: 3000,
            messages_per_s: 4,
            buffered_bytes: 5,
            rtt_us: Some(6),
            unsent_bytes: None,
        };
        let fake = Fake { rows: vec![row], ..Fake::default() };
        let question = Question::Connections { sort: Sort::Age, limit: 7 };
        let (status, body) = respond_to(question, fake.clone());
        assert_eq!(status, 200);
        assert_eq!(
            body,
            concat!(
                r#"{"connections":[{"id":"0-1-2","client":"192.0.2.1","peer":"127.0.0.1:5","path":"/a\u001b\n","#,
                r#""subprotocol":"","age_ms":3000,"messages_per_s":4,"buffered_bytes":5,"rtt_us":6,"#,
                r#""unsent_bytes":null}]}"#,
                "\n"
            )
        );
        assert_eq!(*fake.asked.lock().unwrap(), Some((Sort::Age, 7)));
    }

    #[test]
    fn a_close_is_accepted_or_says_what_is_wrong_with_the_id() {
        let fake = Fake::default();
        assert_eq!(respond_to(close_of("0-1-2"), fake.clone()).0, 202);
        assert_eq!(*fake.closed.lock().unwrap(), ["0-1-2"]);
        assert_eq!(respond_to(close_of("bad"), fake.clone()).0, 400);
        assert_eq!(
            respond_to(close_of("0-0-0"), fake.clone()),
            (404, "there is no connection 0-0-0\n".to_owned())
        );
        assert_eq!(respond_to(close_of("busy"), fake).0, 503);
    }

    #[test]
    fn metrics_are_openmetrics() {
        let answer = respond(Question::Metrics, &desk(Fake::default()));
        assert!(
            answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text")
        );
        assert!(answer.body().ends_with("# EOF\n"));
    }
}

//! The sockets of the admin listener: HTTP/1.1, one request per connection, on a thread of its own.
//!
//! Invariant: nobody who asks costs more than one of [`CONNECTIONS_MAX`] places for [`CONNECTION_TIME_MAX`], and an answer
//! that has to wait for the shards holds up no other.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use super::access::Access;
use super::answer::{Answer, Question, Refusal, TEXT, answer, question};
use super::health::Health;
use super::metrics::Metrics;
use super::watched::{Watched, respond};

/// Requests at the same time; more wait in the backlog.
const CONNECTIONS_MAX: usize = 32;
/// From the accept to the last byte of the answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest body that is read.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// The largest head, and with it the buffer of a connection.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// After an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Between two rounds of asking the shards whether they live.
const HEALTH_PERIOD: Duration = Duration::from_secs(1);

/// What every request is answered from.
#[derive(Debug)]
pub(super) struct Desk {
    access: Access,
    pub(super) watched: Arc<dyn Watched>,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
}

impl Desk {
    pub(super) fn new(access: Access, watched: Arc<dyn Watched>) -> Self {
        let metrics = Metrics::new(watched.clone());
        Self { access, watched, metrics, health: Health::default() }
    }
}

/// Answers until `stop` is told or dropped.
pub(super) async fn listen(listener: TcpListener, desk: Arc<Desk>, mut stop: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin listener has ended");
            return;
        }
    };
    tokio::spawn(watch_health(desk.clone()));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accept = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accept => accepted,
            _ = &mut stop => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let desk = desk.clone();
        tokio::spawn(async move {
            // Whoever is too slow finds out by the end of the connection.
            tokio::time::timeout(CONNECTION_TIME_MAX, serve(stream, desk)).await.ok();
            drop(place);
        });
    }
}

/// Asks the shards every second. A round that finds a stuck shard takes a second itself.
async fn watch_health(desk: Arc<Desk>) {
    loop {
        let (asked, watched) = (Instant::now(), desk.watched.clone());
        if let Ok(stuck) = tokio::task::spawn_blocking(move || watched.stuck()).await {
            desk.health.record(asked, &stuck);
        }
        tokio::time::sleep(HEALTH_PERIOD).await;
    }
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(handle(request, desk).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A peer that sends no HTTP or is gone is its own affair.
    connection.await.ok();
}

async fn handle(request: Request<Incoming>, desk: Arc<Desk>) -> Answer {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        let text = format!("the body is broken or has more than {BODY_BYTES_MAX} bytes");
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text).into();
    };
    match question(&parts, &body.to_bytes(), &desk.access) {
        // These wait for shards: they must not hold up the others, health above all.
        Ok(question @ (Question::Connections { .. } | Question::Close { .. })) => {
            let asked = tokio::task::spawn_blocking(move || respond(question, &desk)).await;
            asked.unwrap_or_else(|_| {
                answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the answer could not be made\n".to_owned())
            })
        }
        Ok(question) => respond(question, &desk),
        Err(refusal) => refusal.into(),
    }
}

//! The running engine as the admin listener sees it.
//!
//! Invariant: nothing here is kept; every question goes to the engine.

use gannet::metrics::Counts;
use gannet::{
    CloseCode, ConnectionId, ConnectionInfo, Engine, Inspect, Remote, RemoteError, SortBy, StopHandle,
    Summary,
};

use super::watched::{CloseError, Watched};
use super::wire::{ConnectionRow, Sort};
use crate::logging::DroppedLines;

/// What the admin listener is told about.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    remote: Remote,
    stop: StopHandle,
    connections_max: usize,
    dropped_lines: DroppedLines,
}

impl Source {
    /// The engine, and the log of the process.
    pub(crate) fn new(engine: &Engine, dropped_lines: DroppedLines) -> Self {
        Self {
            remote: engine.remote(),
            stop: engine.stop_handle(),
            connections_max: engine.connections_max(),
            dropped_lines,
        }
    }
}

impl Watched for Source {
    fn shards(&self) -> Vec<Counts> {
        self.remote.shards()
    }

    fn summary(&self) -> Summary {
        self.stop.summary()
    }

    fn connections_max(&self) -> usize {
        self.connections_max
    }

    fn is_draining(&self) -> bool {
        self.stop.is_draining()
    }

    fn stuck(&self) -> Vec<usize> {
        self.remote.stuck()
    }

    fn connections(&self, sort: Sort, limit: usize) -> Vec<ConnectionRow> {
        let sort = match sort {
            Sort::Buffered => SortBy::Buffered,
            Sort::Age => SortBy::Age,
            Sort::Messages => SortBy::Messages,
        };
        self.remote.connections(&Inspect { sort, limit }).into_iter().map(ConnectionRow::from).collect()
    }

    fn close(&self, id: &str, code: CloseCode, reason: &str) -> Result<(), CloseError> {
        let id: ConnectionId = id.parse().map_err(|error| CloseError::BadId(format!("{id:?} is {error}")))?;
        match self.remote.is_open(id) {
            Some(true) => {}
            Some(false) => return Err(CloseError::Unknown),
            None => return Err(CloseError::Busy("the shard of the connection does not answer".to_owned())),
        }
        self.remote.close(id, code, reason).map_err(|error| match error {
            RemoteError::Gone => CloseError::Unknown,
            error => CloseError::Busy(error.to_string()),
        })
    }

    fn log_lines_dropped(&self) -> u64 {
        self.dropped_lines.count()
    }
}

impl From<ConnectionInfo> for ConnectionRow {
    fn from(info: ConnectionInfo) -> Self {
        Self {
            id: info.id.to_string(),
            client: info.client,
            peer: info.peer,
            path: info.path,
            subprotocol: info.subprotocol,
            age_ms: info.age_ms,
            messages_per_s: info.messages,
            buffered_bytes: info.buffered_bytes,
            rtt_us: info.rtt_us,
            unsent_bytes: info.unsent_bytes,
        }
    }
}

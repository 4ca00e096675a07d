//! An engine for the tests of the admin listener.

use std::sync::{Arc, Mutex};

use gannet::metrics::Counts;
use gannet::{CloseCode, Summary};

use super::watched::{CloseError, Watched};
use super::wire::{ConnectionRow, Sort};

/// Says what it is told to say; a clone keeps its records in the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Fake {
    pub(super) shards: Vec<Counts>,
    pub(super) summary: Summary,
    pub(super) connections_max: usize,
    pub(super) is_draining: bool,
    pub(super) rows: Vec<ConnectionRow>,
    pub(super) log_lines_dropped: u64,
    pub(super) asked: Arc<Mutex<Option<(Sort, usize)>>>,
    pub(super) closed: Arc<Mutex<Vec<String>>>,
}

impl Watched for Fake {
    fn shards(&self) -> Vec<Counts> {
        self.shards.clone()
    }

    fn summary(&self) -> Summary {
        self.summary
    }

    fn connections_max(&self) -> usize {
        self.connections_max
    }

    fn is_draining(&self) -> bool {
        self.is_draining
    }

    fn stuck(&self) -> Vec<usize> {
        Vec::new()
    }

    fn connections(&self, sort: Sort, limit: usize) -> Vec<ConnectionRow> {
        *self.asked.lock().unwrap() = Some((sort, limit));
        self.rows.clone()
    }

    fn close(&self, id: &str, _code: CloseCode, _reason: &str) -> Result<(), CloseError> {
        match id {
            "bad" => Err(CloseError::BadId("bad is not an id".to_owned())),
            "busy" => Err(CloseError::Busy("the mailbox is full".to_owned())),
            "0-0-0" => Err(CloseError::Unknown),
            _ => {
                self.closed.lock().unwrap().push(id.to_owned());
                Ok(())
            }
        }
    }

    fn log_lines_dropped(&self) -> u64 {
        self.log_lines_dropped
    }
}

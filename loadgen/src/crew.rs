//! All workers of a run: gives every one the same command and adds up what they counted.
//!
//! Invariant: a command is over when every worker has answered, and a worker that cannot answer ends the run with an
//! error instead of a wait without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::plan::Plan;
use crate::progress::Progress;
use crate::record::Tally;
use crate::target::Target;
use crate::worker::{self, Assignment, Command, Reply, WorkerError};

/// How often the progress line is brought up to date.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The run cannot go on.
#[derive(Debug, Error)]
pub(crate) enum CrewError {
    /// The operating system gave no thread.
    #[error("no thread for a worker: {0}; use fewer --conns")]
    Spawn(std::io::Error),
    /// A worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A worker ended without an answer.
    #[error("a worker thread ended in the middle of a phase; its message is above")]
    Gone,
}

/// The workers of one run.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<(Sender<Command>, JoinHandle<()>)>,
    replies: Receiver<Reply>,
    progress: Arc<AtomicU64>,
}

impl Crew {
    /// Starts the workers of `plan`; none opens a connection yet.
    ///
    /// # Errors
    /// If there is no thread for one of them.
    pub(crate) fn hire(plan: &Plan, target: &Target) -> Result<Self, CrewError> {
        let progress = Arc::<AtomicU64>::default();
        let began = Instant::now();
        let (reply, replies) = channel();
        let mut members = Vec::new();
        for worker in 0..plan.workers {
            let (command, commands) = channel();
            let reply = reply.clone();
            let assignment = Assignment {
                worker,
                workers: plan.workers,
                connections: plan.connections,
                own_table: plan.needs_own_tables(),
                target: target.clone(),
                began,
                progress: Arc::clone(&progress),
            };
            let thread = thread::Builder::new()
                .name(format!("worker-{worker}"))
                .spawn(move || worker::run(assignment, &commands, &reply))
                .map_err(CrewError::Spawn)?;
            members.push((command, thread));
        }
        Ok(Self { members, replies, progress })
    }

    /// Has every worker follow `command` and returns the sum of what they counted. `line` follows their steps.
    ///
    /// # Errors
    /// If a worker cannot go on.
    pub(crate) fn follow(&self, command: Command, line: &Progress) -> Result<Tally, CrewError> {
        self.progress.store(0, Ordering::Relaxed);
        for (commands, _) in &self.members {
            // A worker that is gone has said why, or is found below.
            let _ = commands.send(command);
        }
        let mut sum = Tally::new();
        let mut awaited = self.members.len();
        while awaited > 0 {
            match self.replies.recv_timeout(PROGRESS_INTERVAL) {
                Ok(reply) => {
                    sum.merge(&reply?);
                    awaited -= 1;
                }
                Err(RecvTimeoutError::Timeout)
                    if self.members.iter().all(|(_, thread)| !thread.is_finished()) =>
                {
                    line.set(self.progress.load(Ordering::Relaxed));
                }
                Err(_) => return Err(self.cause()),
            }
        }
        Ok(sum)
    }

    /// Why a worker has ended; it may have said so just now.
    fn cause(&self) -> CrewError {
        self.replies.try_iter().find_map(Result::err).map_or(CrewError::Gone, CrewError::Worker)
    }

    /// Lets the workers end and waits for them, so that their memory and ports are free.
    pub(crate) fn dismiss(self) {
        for (commands, thread) in self.members {
            drop(commands);
            // A panic was printed where it happened, and was reported as `Gone`.
            let _ = thread.join();
        }
    }
}

//! The queue of log lines between those who log and the one thread that writes.
//!
//! Invariant: who logs never waits for the writer. What does not fit, and what cannot be written, is dropped and counted.
//! At most [`BYTES_MAX`] wait, and as many may be in the hands of the writing thread.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait, line ends included.
const BYTES_MAX: usize = 1 << 20;

/// A clone is the same queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when there is a line to write.
    filled: Condvar,
    /// Notified when everything has been written.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The writing thread has lines that it took.
    is_writing: bool,
    dropped: u64,
}

impl Queue {
    /// Starts the thread that writes to `target` what is put into the queue.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(target: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self::default();
        let writing = queue.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || writing.write_forever(target))?;
        Ok(queue)
    }

    /// Lines dropped since the start, because too many waited or the target did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Waits until all lines are written, at most for `time_max`; whether they are.
    pub(crate) fn flush(&self, time_max: Duration) -> bool {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let waited = self.shared.emptied.wait_timeout_while(self.lock(), time_max, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.bytes + line.len() > BYTES_MAX {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        self.shared.filled.notify_one();
    }

    fn write_forever(&self, mut target: impl Write) {
        loop {
            for line in self.take() {
                // A target that is full or gone may be back for the next line.
                if target.write_all(&line).and_then(|()| target.flush()).is_err() {
                    let mut state = self.lock();
                    state.dropped = state.dropped.saturating_add(1);
                }
            }
        }
    }

    /// Waits for lines and takes all of them.
    fn take(&self) -> VecDeque<Vec<u8>> {
        let mut state = self.lock();
        state.is_writing = false;
        while state.lines.is_empty() {
            self.shared.emptied.notify_all();
            state = self.shared.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        state.bytes = 0;
        std::mem::take(&mut state.lines)
    }

    /// Nothing panics while it holds the lock, and if it did the counts would still be in order.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Queue {
    /// Takes `line` as one line, whole or not at all; never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Writes into a channel, and waits for a permission before each line.
    struct Gated {
        permissions: mpsc::Receiver<io::Result<()>>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.permissions.recv().unwrap_or(Ok(()))?;
            self.written.send(bytes.to_vec()).ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Queue, mpsc::Sender<io::Result<()>>, mpsc::Receiver<Vec<u8>>) {
        let (permit, permissions) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        (Queue::start(Gated { permissions, written }).unwrap(), permit, lines)
    }

    #[test]
    fn lines_are_written_in_order_and_flush_waits_for_all_of_them() {
        let (queue, permit, lines) = gated();
        drop(permit);
        for line in [b"a\n", b"b\n", b"c\n"] {
            queue.push(line);
        }
        assert!(queue.flush(LONG));
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [b"a\n", b"b\n", b"c\n"]);
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn a_writer_that_is_stuck_costs_lines_and_not_time_and_all_are_counted() {
        let (queue, permit, lines) = gated();
        let line = vec![b'x'; BYTES_MAX / 4];
        // Whether the writer has taken the first four before the next are pushed is its affair: at least as many as the
        // queue does not hold are dropped, and what is not dropped is written.
        let pushed = 20;
        (0..pushed).for_each(|_| queue.push(&line));
        let dropped = queue.dropped();
        assert!((12..=16).contains(&dropped), "{dropped}");
        assert!(!queue.flush(Duration::ZERO));
        drop(permit);
        assert!(queue.flush(LONG));
        assert_eq!(lines.try_iter().count() as u64 + dropped, pushed);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_one_is_written() {
        let (queue, permit, lines) = gated();
        permit.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        drop(permit);
        queue.push(b"lost\n");
        queue.push(b"kept\n");
        assert!(queue.flush(LONG));
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), [b"kept\n"]);
        assert_eq!(queue.dropped(), 1);
    }
}

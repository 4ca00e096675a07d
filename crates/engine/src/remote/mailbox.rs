//! The mailbox of a shard: what other threads want of it.
//!
//! Invariant: a shard that has no mail looks at one flag per turn, and takes no lock.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use gannet_driver::Token;
use gannet_proto::CloseCode;

use super::{Outgoing, RemoteError};
use crate::inspect::{ConnectionInfo, Inspect};
use crate::metrics::Published;

/// Bytes that one mailbox holds at most, what it takes to hold them included.
const MAILBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a shard is asked to do.
#[derive(Debug)]
pub(crate) enum Mail {
    Send { to: Vec<Token>, message: Outgoing, waiter: Option<Waiter> },
    Close { token: Token, code: CloseCode, reason: Box<str> },
    IsOpen { token: Token, reply: mpsc::Sender<bool> },
    Inspect { shard: usize, query: Inspect, reply: mpsc::Sender<(usize, Vec<ConnectionInfo>)> },
}

/// A thread that waits. It goes on when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    _held: mpsc::Sender<()>,
}

impl Waiter {
    pub(crate) fn new() -> (Self, mpsc::Receiver<()>) {
        let (held, left) = mpsc::channel();
        (Self { _held: held }, left)
    }
}

#[derive(Debug, Default)]
struct Contents {
    mail: Vec<Mail>,
    bytes: usize,
    /// The shard has ended and will read nothing more.
    is_closed: bool,
}

/// The mailbox of one shard, and its counts.
pub(crate) struct Mailbox {
    contents: Mutex<Contents>,
    has_mail: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
    pub(crate) counts: Published,
}

impl Mailbox {
    /// A mailbox whose shard is woken by `wake`.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            contents: Mutex::default(),
            has_mail: AtomicBool::new(false),
            wake: Box::new(wake),
            counts: Published::default(),
        }
    }

    /// Puts mail with a payload of `bytes` in, and wakes the shard if it has none yet.
    pub(crate) fn put(&self, mail: Mail, bytes: usize) -> Result<(), RemoteError> {
        let overhead = match &mail {
            Mail::Send { to, .. } => size_of_val(to.as_slice()),
            _ => 0,
        };
        let bytes = bytes + overhead + size_of::<Mail>();
        let is_first = {
            let contents = &mut *self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            if contents.is_closed {
                return Err(RemoteError::Gone);
            }
            // What is larger than the limit is taken when nothing else is there.
            if !contents.mail.is_empty() && contents.bytes + bytes > MAILBOX_BYTES_MAX {
                return Err(RemoteError::Full { bytes: contents.bytes, limit: MAILBOX_BYTES_MAX });
            }
            contents.bytes += bytes;
            contents.mail.push(mail);
            !self.has_mail.swap(true, Ordering::Release)
        };
        if is_first {
            (self.wake)();
        }
        Ok(())
    }

    /// Takes all mail out.
    #[inline]
    pub(crate) fn take(&self) -> Vec<Mail> {
        if self.has_mail.load(Ordering::Acquire) { self.take_all() } else { Vec::new() }
    }

    #[cold]
    fn take_all(&self) -> Vec<Mail> {
        let contents = &mut *self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_mail.store(false, Ordering::Relaxed);
        contents.bytes = 0;
        std::mem::take(&mut contents.mail)
    }

    /// The shard has ended: what is in the mailbox is dropped, and nothing more is taken.
    pub(crate) fn close(&self) {
        let contents = &mut *self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.is_closed = true;
        contents.mail.clear();
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn mail() -> Mail {
        Mail::Close { token: Token::new(0, 0), code: CloseCode::NORMAL, reason: Box::from("") }
    }

    #[test]
    fn the_shard_is_woken_once_for_all_that_it_has_not_taken() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        let mailbox = Mailbox::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        for _mail in 0..3 {
            mailbox.put(mail(), 0).unwrap();
        }
        assert_eq!((mailbox.take().len(), mailbox.take().len(), wakes.load(Ordering::Relaxed)), (3, 0, 1));
        mailbox.put(mail(), 0).unwrap();
        assert_eq!((mailbox.take().len(), wakes.load(Ordering::Relaxed)), (1, 2));
    }

    #[test]
    fn a_full_mailbox_says_so_and_takes_more_once_it_was_emptied() {
        let mailbox = Mailbox::new(|| {});
        mailbox.put(mail(), MAILBOX_BYTES_MAX).unwrap();
        assert!(matches!(mailbox.put(mail(), 0), Err(RemoteError::Full { limit: MAILBOX_BYTES_MAX, .. })));
        assert_eq!(mailbox.take().len(), 1);
        assert_eq!(mailbox.put(mail(), 0), Ok(()));
    }

    #[test]
    fn a_thread_that_waits_goes_on_when_its_mail_is_dropped_with_the_mailbox() {
        let mailbox = Mailbox::new(|| {});
        let (waiter, left) = Waiter::new();
        let message = Outgoing::Text("a".into());
        mailbox.put(Mail::Send { to: vec![Token::new(0, 0)], message, waiter: Some(waiter) }, 1).unwrap();
        mailbox.close();
        assert!(left.recv().is_err());
        assert_eq!(mailbox.put(mail(), 0), Err(RemoteError::Gone));
    }
}

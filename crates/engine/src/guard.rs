//! The only way to a handler: a panic of it ends a call, never the shard.
//!
//! Invariant: nothing else holds the handler, so every panic is caught where it is known whose connection it belongs to,
//! counted in the [`Summary`](crate::Summary) and logged once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::shared::Shared;

/// A handler whose calls are guarded.
#[derive(Debug)]
pub(crate) struct Guard<H> {
    handler: H,
    shared: Arc<Shared>,
}

/// A call of the handler panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

impl<H> Guard<H> {
    pub(crate) const fn new(handler: H, shared: Arc<Shared>) -> Self {
        Self { handler, shared }
    }

    /// Makes one call of the handler, or all those of one receive.
    ///
    /// What `calls` changes has to be in order whenever the handler is called: what the engine owns is, and for the
    /// handler's own state [`Handler`](crate::Handler) says that the handler answers.
    ///
    /// # Errors
    /// It panicked; the panic was counted and logged.
    #[inline]
    pub(crate) fn call<T>(&mut self, calls: impl FnOnce(&mut H) -> T) -> Result<T, Panicked> {
        let Self { handler, shared } = self;
        catch_unwind(AssertUnwindSafe(|| calls(handler))).map_err(|payload| report(shared, payload))
    }
}

#[cold]
fn report(shared: &Shared, payload: Box<dyn Any + Send>) -> Panicked {
    shared.handler_panicked();
    tracing::error!(panic = text(&*payload), "a handler panicked; the connection it was called for is ended");
    Panicked
}

/// The text of a panic.
fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("a panic without a text")
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_panic_is_counted_and_the_handler_is_called_again() {
        let shared = Arc::new(Shared::new(1, &Config::default()));
        let mut guard = Guard::new(0, shared.clone());
        let panicked = guard.call(|calls| {
            *calls += 1;
            // Unlike `panic!` it prints nothing.
            resume_unwind(Box::new("as told"));
        });
        assert_eq!(panicked, Err(Panicked));
        let second = guard.call(|calls| *calls + 1);
        assert_eq!((second, shared.summary().handler_panics), (Ok(2), 1));
    }

    #[test]
    fn the_text_of_a_panic_is_found_in_either_form() {
        assert_eq!(text(&"fixed"), "fixed");
        assert_eq!(text(&String::from("formatted")), "formatted");
        assert_eq!(text(&7), "a panic without a text");
    }
}

//! What ends `loadgen cost` early.
//! Invariant: the text says what was being done and with which value.

use std::fmt;

/// One sentence for the person at the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error(String);

impl Error {
    /// An error that reads as `text`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Puts in front of an error what was being done.
pub(crate) trait Doing<T> {
    /// Turns an error into "could not `action`: error".
    ///
    /// # Errors
    /// The error that was there, told as above.
    fn doing(self, action: impl fmt::Display) -> Result<T, Error>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, action: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|error| Error(format!("could not {action}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_could_not_be_done() {
        let failed: Result<(), _> = Err("no such core").doing("pin the client to core 9");
        assert_eq!(failed.unwrap_err().to_string(), "could not pin the client to core 9: no such core");
    }
}

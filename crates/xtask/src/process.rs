//! Child processes of the steps.
//! Invariant: a child does not outlive the value that holds it, whatever way a step ends.

use std::process::{Child, ChildStdout, Command, ExitStatus};

/// A running child; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command`.
    ///
    /// # Errors
    /// The command, when it does not start.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        command.spawn().map(Self).map_err(|error| format!("{command:?} did not start: {error}"))
    }

    /// The child's standard output, once, if it was asked for as a pipe.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// Waits for the end of the child.
    ///
    /// # Errors
    /// The child cannot be waited for.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, String> {
        self.0.wait().map_err(|error| format!("child {} cannot be waited for: {error}", self.0.id()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a child that has already ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

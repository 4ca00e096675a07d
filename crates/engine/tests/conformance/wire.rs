//! What a case runs over: one connection to a server, as its client holds it.

use std::time::Duration;

/// What came next.
#[derive(Debug)]
pub(crate) enum Arrival {
    Bytes(Vec<u8>),
    /// The server ended its stream in order.
    End,
    /// The connection was reset.
    Reset,
    /// Nothing, up to the deadline.
    Nothing,
}

/// The client's end of a connection.
pub(crate) trait Wire {
    /// Sends bytes as far as the server takes them: what became of the connection is learnt by receiving.
    fn send(&mut self, bytes: &[u8]);
    /// Waits for what comes next.
    fn receive(&mut self) -> Arrival;
    /// Ends the stream to the server (FIN).
    fn end_stream(&mut self);
    /// Resets the connection (RST).
    fn reset(&mut self);
    /// Lets time pass.
    fn wait(&mut self, duration: Duration);
}

//! A blocking client: a socket around the client's end of a [`Connection`].
//! Invariant: what the connection wrote is sent before anything more is received, and the server closes TCP first.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gannet_proto::deflate::Offer;
use gannet_proto::handshake::{ClientHandshakeError, HeadError, verify_response, write_request};
use gannet_proto::{Codec, Connection, Event, MaskingKeys, Message, ProtocolError, Received, SendError};

/// Received at a time. A response head fits, and so does what is kept of a cut frame.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long a server may be silent on an open connection.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to close TCP after the last Close frame.
const LINGER_MAX: Duration = Duration::from_secs(10);

/// What answers a message: by way of the connection, into the bytes to be sent.
pub(crate) type OnMessage<'f> =
    dyn FnMut(&mut Connection, Message<'_>, &mut Codec, &mut Vec<u8>) -> Result<(), SendError> + 'f;

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The network, or a silence of more than [`SILENCE_MAX`].
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No source of random bytes.
    #[error("random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The request cannot be expressed.
    #[error(transparent)]
    Request(#[from] HeadError),
    /// The response does not open a WebSocket.
    #[error(transparent)]
    Handshake(#[from] ClientHandshakeError),
    /// A message was sent after a Close frame.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a Close frame from each end.
    Closed,
    /// The server broke a rule and was sent a Close frame.
    Failed(ProtocolError),
    /// The server closed TCP without a Close frame.
    Dropped,
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => out.write_str("closed"),
            Self::Failed(error) => write!(out, "failed: {error}"),
            Self::Dropped => out.write_str("dropped by the server"),
        }
    }
}

/// The client's end of an open connection.
pub(crate) struct Client {
    stream: TcpStream,
    connection: Connection,
    codec: Codec,
    buffer: Vec<u8>,
    /// `buffer[..received_len]` was received and is not parsed yet.
    received_len: usize,
    /// To be sent.
    out: Vec<u8>,
}

impl Client {
    /// Connects to `host`, an address with its port, and opens a WebSocket on `target`, a path with an optional query, with
    /// the compression that the server agrees to if there is an `offer`.
    ///
    /// # Errors
    /// The network, or a response that does not open a WebSocket.
    pub(crate) fn connect(host: &str, target: &str, offer: Option<Offer>) -> Result<Self, Error> {
        let mut stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let mut out = Vec::new();
        write_request(&mut out, host, target, nonce, &[], offer)?;
        stream.write_all(&out)?;
        out.clear();

        let mut buffer = vec![0; BUFFER_BYTES];
        let mut received_len = 0;
        let (compression, head_len) = loop {
            let bytes_len = receive(&mut stream, &mut buffer[received_len..])?;
            if bytes_len == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            received_len += bytes_len;
            if let Some((response, head_len)) = verify_response(&buffer[..received_len], nonce, &[], offer)? {
                break (response.compression, head_len);
            }
        };
        // What came behind the head are the first frames.
        buffer.copy_within(head_len..received_len, 0);
        received_len -= head_len;

        let mut connection = Connection::client(masking_keys());
        if let Some(compression) = compression {
            connection = connection.with_compression(compression);
        }
        Ok(Self { stream, connection, codec: Codec::default(), buffer, received_len, out })
    }

    /// Hands every message to `on_message`, with what it takes to answer, until the connection has ended.
    ///
    /// # Errors
    /// The network, a server that is silent for too long, or an error of `on_message`.
    pub(crate) fn run(mut self, on_message: &mut OnMessage<'_>) -> Result<Ending, Error> {
        loop {
            let ending = self.parse(on_message)?;
            self.stream.write_all(&self.out)?;
            self.out.clear();
            if let Some(ending) = ending {
                self.await_end();
                return Ok(ending);
            }
            let bytes_len = receive(&mut self.stream, &mut self.buffer[self.received_len..])?;
            if bytes_len == 0 {
                return Ok(Ending::Dropped);
            }
            self.received_len += bytes_len;
        }
    }

    /// Parses all that was received and keeps what waits for more. Tells how the connection ended, if it did.
    fn parse(&mut self, on_message: &mut OnMessage<'_>) -> Result<Option<Ending>, SendError> {
        let Self { connection, codec, buffer, out, .. } = self;
        // A client's replies are masked, so all of them are in `out` and none in `received`.
        let mut received = Received::new(&mut buffer[..self.received_len]);
        loop {
            match connection.poll_event(codec, &mut received, out) {
                Ok(Some(Event::Message(message))) => on_message(connection, message, codec, out)?,
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => {}
                Ok(Some(Event::Close(_))) => return Ok(Some(Ending::Closed)),
                Ok(None) => break,
                Err(error) => return Ok(Some(Ending::Failed(error))),
            }
        }
        let unparsed_len = received.unparsed().len();
        buffer.copy_within(self.received_len - unparsed_len..self.received_len, 0);
        self.received_len = unparsed_len;
        Ok(None)
    }

    /// RFC 6455 §7.1.1: the client waits for the server to close TCP, and closes it after a reasonable time.
    fn await_end(mut self) {
        // If the limit cannot be set, that of the open connection stays in force.
        self.stream.set_read_timeout(Some(LINGER_MAX)).ok();
        // A reset or a silence ends the wait like an orderly end does: both Close frames are through.
        while receive(&mut self.stream, &mut self.buffer).is_ok_and(|bytes_len| bytes_len > 0) {}
    }
}

/// Receives into `buffer`; 0 is the end of the stream.
fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// RFC 6455 §10.3: a key that the server, or a script that chose the payload, could predict would protect nobody.
fn masking_keys() -> MaskingKeys {
    // The nonce came from the same source, and a source that has once answered does not cease to.
    MaskingKeys::new(|| getrandom::u32().expect("the nonce was drawn from here").to_ne_bytes())
}

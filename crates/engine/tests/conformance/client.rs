//! A client that reads what a server really sent: responses, frames and the end of the stream.
//!
//! Invariant: it never ends the connection by itself, so an end that it sees is the server's.

use std::fmt;

use crate::bytes::{CLOSE, FIN};
use crate::request::ACCEPT;
use crate::wire::{Arrival, Wire};

/// The most of a response head that is waited for.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One thing that a server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Response(Response),
    /// A frame that is no Close; the first byte holds fin, the reserved bits and the opcode.
    Frame {
        first: u8,
        payload: Vec<u8>,
    },
    /// A Close frame with its code; 1005 without one.
    Close(u16),
    End,
    Reset,
    /// Nothing, up to the deadline.
    Nothing,
    /// Bytes that a server must not send.
    Illegal(String),
}

/// A response without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Response {
    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.into(), value.trim().into()));
        let fields = lines.take_while(|line| !line.is_empty()).map(field).collect::<Option<_>>()?;
        Some(Self { status, fields })
    }

    /// The value of a field, if it is there exactly once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// RFC 6455 §4.2.2: what a 101 has to say.
    fn opens_a_websocket(&self) -> bool {
        let is =
            |name, expected: &str| self.field(name).is_some_and(|value| value.eq_ignore_ascii_case(expected));
        is("Upgrade", "websocket")
            && is("Connection", "upgrade")
            && self.field("Sec-WebSocket-Accept") == Some(ACCEPT)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(response) => write!(f, "HTTP {}", response.status),
            Self::Frame { first, payload } => {
                let kind = match first & 0xf {
                    0x0 => "continuation",
                    0x1 => "text",
                    0x2 => "binary",
                    0x9 => "ping",
                    0xa => "pong",
                    _ => "unknown frame",
                };
                let more = if first & FIN == 0 { ", to be continued" } else { "" };
                write!(f, "{kind} of {} bytes{more}", payload.len())
            }
            Self::Close(1005) => f.write_str("Close without a code"),
            Self::Close(code) => write!(f, "Close {code}"),
            Self::End => f.write_str("end of stream"),
            Self::Reset => f.write_str("reset"),
            Self::Nothing => f.write_str("nothing"),
            Self::Illegal(what) => f.write_str(what),
        }
    }
}

/// The client's end of a connection and what has arrived there.
pub(crate) struct Client {
    pub(crate) wire: Box<dyn Wire>,
    /// The target of requests that do not name one.
    pub(crate) target: String,
    /// Received and not read.
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(wire: Box<dyn Wire>, target: &str) -> Self {
        Self { wire, target: target.to_owned(), buffer: Vec::new() }
    }

    /// Reads a response; the body of a refusal is skipped.
    pub(crate) fn read_response(&mut self) -> Seen {
        let head_len = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Seen::Illegal("a response without an end".into());
            }
            if let Some(instead) = self.receive() {
                return instead;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..head_len).collect();
        let Some(response) = Response::parse(&String::from_utf8_lossy(&head)) else {
            return Seen::Illegal("a response that is not HTTP/1.1".into());
        };
        if response.status == 101 {
            return if response.opens_a_websocket() {
                Seen::Response(response)
            } else {
                Seen::Illegal("HTTP 101 with wrong fields".into())
            };
        }
        let body_len = response.field("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        match self.take(body_len) {
            Ok(_) => Seen::Response(response),
            Err(_) => Seen::Illegal(format!("HTTP {} with a cut body", response.status)),
        }
    }

    /// Reads a frame.
    pub(crate) fn read_frame(&mut self) -> Seen {
        self.try_read_frame().unwrap_or_else(|instead| instead)
    }

    fn try_read_frame(&mut self) -> Result<Seen, Seen> {
        let header = self.take(2)?;
        let (first, second) = (header[0], header[1]);
        if second & 0x80 != 0 {
            return Err(Seen::Illegal("a masked frame".into()));
        }
        let extended_len = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let extended = self.take(extended_len)?;
        let payload_len = match second {
            126 | 127 => extended.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        let payload = self.take(payload_len)?;
        if first != FIN | CLOSE {
            return Ok(Seen::Frame { first, payload });
        }
        match *payload {
            [] => Ok(Seen::Close(1005)),
            [_] => Err(Seen::Illegal("a Close of 1 byte".into())),
            [high, low, ..] => Ok(Seen::Close(u16::from_be_bytes([high, low]))),
        }
    }

    /// Reads the end of the stream, or what is there instead.
    pub(crate) fn read_end(&mut self) -> Seen {
        if self.buffer.is_empty()
            && let Some(instead) = self.receive()
        {
            return instead;
        }
        if self.buffer.starts_with(b"HTTP/") { self.read_response() } else { self.read_frame() }
    }

    /// Reads whatever comes up to the end.
    pub(crate) fn read_to_end(&mut self) -> Seen {
        loop {
            self.buffer.clear();
            if let Some(end) = self.receive() {
                return end;
            }
        }
    }

    /// Takes `count` bytes, or says what came instead.
    fn take(&mut self, count: usize) -> Result<Vec<u8>, Seen> {
        while self.buffer.len() < count {
            if let Some(instead) = self.receive() {
                return Err(instead);
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Receives more bytes, or says what came instead.
    fn receive(&mut self) -> Option<Seen> {
        match self.wire.receive() {
            Arrival::Bytes(bytes) => {
                self.buffer.extend(bytes);
                None
            }
            Arrival::End if !self.buffer.is_empty() => {
                Some(Seen::Illegal("end of stream in the middle".into()))
            }
            Arrival::End => Some(Seen::End),
            Arrival::Reset => Some(Seen::Reset),
            Arrival::Nothing => Some(Seen::Nothing),
        }
    }
}

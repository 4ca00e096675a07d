//! A case: what a client does and what it must read, as data.
//!
//! Invariant: a case ends with the connection ended by the server, reset by the client, or open; an open one is closed in
//! order by the runner, which shows that it still works.

use std::time::Duration;

use crate::app::Setup;
use crate::bytes::close;
use crate::client::{Client, Seen};
use crate::request::Request;

/// What a header field of a response must be: this value, or absent.
pub(crate) type Field = (&'static str, Option<&'static str>);

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The row of the acceptance matrix, as in `P5`, and a letter.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) setup: Setup,
    steps: Vec<Step>,
    /// Messages that the handler must have seen; without a number, as many as are echoed.
    delivered: Option<usize>,
    /// The code and cleanness of `on_close`.
    app_sees: Option<(Vec<u16>, bool)>,
}

#[derive(Debug, Clone)]
enum Step {
    Send(Output),
    /// Sends byte by byte.
    Drip(Output),
    Wait(Duration),
    EndStream,
    Reset,
    Expect(Expect),
}

#[derive(Debug, Clone)]
enum Output {
    Bytes(Vec<u8>),
    /// A request and what comes in the same segment.
    Request(Request, Vec<u8>),
}

impl Output {
    fn to_bytes(&self, target: &str) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Request(request, behind) => [&request.to_bytes(target)[..], behind].concat(),
        }
    }
}

#[derive(Debug, Clone)]
enum Expect {
    Response(u16, Vec<Field>),
    /// A response with any status from 400 on.
    Refusal,
    Frame(u8, Vec<u8>),
    /// A Close with one of these codes.
    Close(Vec<u16>),
    /// The same behind any number of pongs.
    CloseBehindPongs(Vec<u16>),
    /// The server ends the stream, with nothing before it.
    End,
    /// The server ends or resets the connection, whatever comes before.
    Gone,
}

/// What came instead of what a case expects.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) expected: String,
    pub(crate) came: String,
}

/// Where a case is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Handshaking,
    Open,
    Over,
}

pub(crate) fn case(id: &'static str, title: &'static str) -> Case {
    Case { id, title, setup: Setup::Echo, steps: Vec::new(), delivered: None, app_sees: None }
}

/// What is sent.
impl Case {
    /// Uses another server than the plain echo.
    pub(crate) fn on(self, setup: Setup) -> Self {
        Self { setup, ..self }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Opens a WebSocket.
    pub(crate) fn open(self) -> Self {
        self.requests(Request::legal()).answers(101, &[])
    }

    pub(crate) fn requests(self, request: Request) -> Self {
        self.requests_with(request, Vec::new())
    }

    /// Sends a request with further bytes in the same segment.
    pub(crate) fn requests_with(self, request: Request, behind: Vec<u8>) -> Self {
        self.step(Step::Send(Output::Request(request, behind)))
    }

    pub(crate) fn drips_request(self, request: Request) -> Self {
        self.step(Step::Drip(Output::Request(request, Vec::new())))
    }

    pub(crate) fn sends(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(Output::Bytes(bytes.into())))
    }

    pub(crate) fn drips(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Drip(Output::Bytes(bytes.into())))
    }

    pub(crate) fn waits_ms(self, ms: u64) -> Self {
        self.step(Step::Wait(Duration::from_millis(ms)))
    }

    pub(crate) fn ends_its_stream(self) -> Self {
        self.step(Step::EndStream)
    }

    pub(crate) fn resets(self) -> Self {
        self.step(Step::Reset)
    }
}

/// What has to come.
impl Case {
    fn expect(self, expect: Expect) -> Self {
        self.step(Step::Expect(expect))
    }

    /// A response with these fields.
    pub(crate) fn answers(self, status: u16, fields: &[Field]) -> Self {
        self.expect(Expect::Response(status, fields.to_vec()))
    }

    /// A response that refuses the request, and the end.
    pub(crate) fn refused(self, status: u16, fields: &[Field]) -> Self {
        let fields = [&[("Connection", Some("close"))], fields].concat();
        self.expect(Expect::Response(status, fields)).expect(Expect::End)
    }

    /// A response that refuses a request larger than what the server reads of it: the end may be a reset.
    pub(crate) fn refused_early(self, status: u16) -> Self {
        self.expect(Expect::Response(status, vec![("Connection", Some("close"))])).expect(Expect::Gone)
    }

    /// A response with any status that refuses the request, and the end.
    pub(crate) fn refused_somehow(self) -> Self {
        self.expect(Expect::Refusal).expect(Expect::End)
    }

    pub(crate) fn reads(self, first: u8, payload: impl Into<Vec<u8>>) -> Self {
        self.expect(Expect::Frame(first, payload.into()))
    }

    /// The server fails the connection: a Close with one of `codes`, and the end. The handler learns the same.
    pub(crate) fn failed(self, codes: &[u16]) -> Self {
        self.reads_close(codes).ends().app_sees(codes, false)
    }

    /// The same, where pongs may come before it.
    pub(crate) fn failed_behind_pongs(self, codes: &[u16]) -> Self {
        self.expect(Expect::CloseBehindPongs(codes.to_vec())).ends().app_sees(codes, false)
    }

    /// The server answers the client's Close of `code` and ends the stream.
    pub(crate) fn closed(self, code: u16) -> Self {
        let answers: &[u16] = if code == 1005 { &[1005, 1000] } else { &[code] };
        self.reads_close(answers).ends().app_sees(&[code], true)
    }

    /// A Close that the server has begun.
    pub(crate) fn reads_close(self, codes: &[u16]) -> Self {
        self.expect(Expect::Close(codes.to_vec()))
    }

    /// The end of the stream, by the server.
    pub(crate) fn ends(self) -> Self {
        self.expect(Expect::End)
    }

    /// How many messages the handler has seen, where that is not the number of echoes.
    pub(crate) fn delivers(self, messages: usize) -> Self {
        Self { delivered: Some(messages), ..self }
    }

    pub(crate) fn app_sees(self, codes: &[u16], was_clean: bool) -> Self {
        Self { app_sees: Some((codes.to_vec(), was_clean)), ..self }
    }
}

/// What the runners ask.
impl Case {
    /// The row of the acceptance matrix: the id without its letter.
    pub(crate) fn group(&self) -> &'static str {
        self.id.trim_end_matches(|char: char| char.is_ascii_lowercase())
    }

    /// Whether a server of somebody else can be held to it: it needs no settings, and the client sees the outcome.
    pub(crate) fn is_for_any_server(&self) -> bool {
        self.setup == Setup::Echo && !self.steps.iter().any(|step| matches!(step, Step::Reset))
    }

    /// Messages that the handler must have seen.
    pub(crate) fn delivered(&self) -> usize {
        let is_message = |first: u8| matches!(first & 0xf, 0x1 | 0x2);
        let is_echo =
            |step: &&Step| matches!(step, Step::Expect(Expect::Frame(first, _)) if is_message(*first));
        self.delivered.unwrap_or_else(|| self.steps.iter().filter(is_echo).count())
    }

    /// How the handler must have seen the session end; `None` if there was no session.
    pub(crate) fn end(&self) -> Option<(Vec<u16>, bool)> {
        let opens = |step: &Step| matches!(step, Step::Expect(Expect::Response(101, _)));
        let is_opened = self.steps.iter().any(opens);
        // A case that ends open is closed by the runner.
        is_opened.then(|| self.app_sees.clone().unwrap_or_else(|| (vec![1000], true)))
    }

    /// Does every step, then closes the connection if it is still open.
    pub(crate) fn run(&self, client: &mut Client) -> Result<(), Mismatch> {
        let mut connection = Connection::Handshaking;
        for step in &self.steps {
            connection = step.run(client, connection)?;
        }
        if connection == Connection::Open {
            client.wire.send(&close(1000, b""));
            check(client.read_frame(), &Expect::Close(vec![1000]))?;
            check(client.read_end(), &Expect::End)?;
        }
        Ok(())
    }
}

impl Step {
    fn run(&self, client: &mut Client, connection: Connection) -> Result<Connection, Mismatch> {
        match self {
            Self::Send(output) => client.wire.send(&output.to_bytes(&client.target)),
            Self::Drip(output) => {
                for byte in output.to_bytes(&client.target) {
                    client.wire.send(&[byte]);
                }
            }
            Self::Wait(duration) => client.wire.wait(*duration),
            Self::EndStream => client.wire.end_stream(),
            Self::Reset => {
                client.wire.reset();
                return Ok(Connection::Over);
            }
            Self::Expect(expect) => return expect.run(client, connection),
        }
        Ok(connection)
    }
}

impl Expect {
    fn run(&self, client: &mut Client, connection: Connection) -> Result<Connection, Mismatch> {
        let seen = match self {
            Self::Response(..) | Self::Refusal => client.read_response(),
            Self::Frame(..) | Self::Close(_) => client.read_frame(),
            Self::CloseBehindPongs(_) => loop {
                match client.read_frame() {
                    Seen::Frame { first: 0x8a, .. } => {}
                    seen => break seen,
                }
            },
            Self::End => client.read_end(),
            Self::Gone => client.read_to_end(),
        };
        check(seen, self)?;
        Ok(match self {
            Self::Response(101, _) => Connection::Open,
            Self::Frame(..) => connection,
            _ => Connection::Over,
        })
    }
}

/// Whether `seen` is what was expected.
fn check(seen: Seen, expect: &Expect) -> Result<(), Mismatch> {
    let is_right = match (&seen, expect) {
        (Seen::Response(response), Expect::Response(status, fields)) if response.status == *status => {
            let wrong = fields.iter().find(|(name, value)| response.field(name) != *value);
            if let Some((name, value)) = wrong {
                let came = response.field(name).unwrap_or("absent");
                return Err(Mismatch {
                    expected: format!("HTTP {status} with {name}: {}", value.unwrap_or("absent")),
                    came: format!("HTTP {status} with {name}: {came}"),
                });
            }
            true
        }
        (Seen::Frame { first, payload }, Expect::Frame(other, expected)) => {
            first == other && payload == expected
        }
        (Seen::Close(code), Expect::Close(codes) | Expect::CloseBehindPongs(codes)) => codes.contains(code),
        (Seen::Response(response), Expect::Refusal) => response.status >= 400,
        (Seen::End, Expect::End | Expect::Gone) | (Seen::Reset, Expect::Gone) => true,
        _ => false,
    };
    if is_right { Ok(()) } else { Err(Mismatch { expected: expect.to_string(), came: seen.to_string() }) }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Response(status, _) => write!(f, "HTTP {status}"),
            Self::Frame(first, payload) => {
                write!(f, "{}", Seen::Frame { first: *first, payload: payload.clone() })
            }
            Self::Close(codes) | Self::CloseBehindPongs(codes) => write!(f, "a Close of {codes:?}"),
            Self::Refusal => f.write_str("a refusal"),
            Self::End => f.write_str("end of stream"),
            Self::Gone => f.write_str("end of stream or reset"),
        }
    }
}

impl From<Mismatch> for String {
    fn from(Mismatch { expected, came }: Mismatch) -> Self {
        format!("{expected} was expected, {came} came")
    }
}

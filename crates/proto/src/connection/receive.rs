//! The receiving half: frames to events. Invariant: the events and errors do not depend on how the transport
//! cut the bytes.

use super::assembly::{Assembly, Progress};
use super::{Connection, Event, HEADER_ROOM, State};
use crate::frame::{self, Header, Opcode, ShortMessage};
use crate::message::{Assembled, Message, MessageKind, Payload, Source};
use crate::received::{Placed, Received, ReplyRoom};
use crate::{Codec, Config, ProtocolError, close, utf8};

/// What the next frame completed. It borrows nothing, so that the search can go on when it is not delivered.
enum Arrival {
    /// A message in one frame that lies in the lent bytes.
    Whole(MessageKind, Placed),
    /// The last piece of a message, or a message that was compressed.
    Assembled(Assembled),
    /// A control frame.
    Control(Opcode, Placed),
}

/// What parsing one frame, or a piece of one, came to.
enum Step {
    /// More bytes are needed.
    Starved,
    /// Part of a message was taken in.
    Advanced,
    Arrived(Arrival),
}

impl Connection {
    /// The hot path: a whole short message to an open server, with nothing in progress.
    #[inline]
    pub(super) fn short_message(&self, config: &Config, received: &Received<'_>) -> Option<ShortMessage> {
        let message = frame::parse_short_message(*received.unparsed().first_chunk()?)?;
        let here = received.has(message.header_len + message.payload_len);
        let taken = self.rare.is_none()
            && here
            && message.payload_len <= config.message_bytes_max.min(config.frame_bytes_max);
        taken.then_some(message)
    }

    /// Delivers a message that lies in the lent bytes.
    #[inline]
    pub(super) fn deliver<'a>(
        &mut self,
        kind: MessageKind,
        (bytes, room): (&'a [u8], ReplyRoom<'a>),
        out: &mut Vec<u8>,
    ) -> Result<Event<'a>, ProtocolError> {
        let payload = match kind {
            MessageKind::Binary => Payload::Binary(bytes),
            MessageKind::Text => match utf8::validate(bytes) {
                Ok(text) => Payload::Text(text),
                Err(error) => return Err(self.fail_with(error.into(), out)),
            },
        };
        Ok(Event::Message(Message(Source::Lent(payload, room))))
    }

    /// The general path: any frame in any state.
    pub(super) fn poll_any<'a>(
        &mut self,
        codec: &mut Codec,
        received: &'a mut Received<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let arrival = match self.next_arrival(codec, received) {
            Ok(Some(arrival)) => arrival,
            Ok(None) => {
                self.answer_late_ping(out);
                return Ok(None);
            }
            Err(error) => return Err(self.fail_with(error, out)),
        };
        match arrival {
            Arrival::Whole(kind, placed) => self.deliver(kind, received.lend(placed), out).map(Some),
            Arrival::Assembled(message) => Ok(Some(Event::Message(Message(Source::Assembled(message))))),
            Arrival::Control(opcode, placed) => self.take_control(opcode, placed, received, out).map(Some),
        }
    }

    /// Parses up to the next arrival that is to be delivered.
    fn next_arrival(
        &mut self,
        codec: &mut Codec,
        received: &mut Received<'_>,
    ) -> Result<Option<Arrival>, ProtocolError> {
        loop {
            match self.state() {
                State::Open | State::CloseSent => {}
                // RFC 6455 §5.5.1: whatever follows the peer's Close is not data of this connection.
                State::Closed => {
                    received.skip_all();
                    return Ok(None);
                }
                State::Failed(error) => {
                    received.skip_all();
                    return Err(*error);
                }
            }
            let arrival = match self.step(codec, received)? {
                Step::Starved => return Ok(None),
                Step::Advanced => continue,
                Step::Arrived(arrival) => arrival,
            };
            if matches!(self.state(), State::Open) || matches!(arrival, Arrival::Control(Opcode::Close, _)) {
                return Ok(Some(arrival));
            }
            // After our Close a message is checked and dropped.
            if let Arrival::Whole(MessageKind::Text, placed) = arrival {
                utf8::validate(received.lend(placed).0)?;
            }
        }
    }

    fn step(&mut self, codec: &mut Codec, received: &mut Received<'_>) -> Result<Step, ProtocolError> {
        if let Some(assembly) = self.rare.as_mut().and_then(|rare| rare.assembly.as_mut())
            && let Some(remaining) = assembly.frame_remaining()
        {
            let progress = assembly.add(received.take_payload(remaining))?;
            return self.after_piece(progress, codec);
        }
        let parsed = frame::parse_header(received.unparsed(), self.role(), self.compression.is_some())?;
        let Some((header, header_len)) = parsed else {
            return Ok(Step::Starved);
        };
        if header.opcode.is_control() {
            return Ok(control_frame(&header, header_len, received));
        }
        self.check_data_frame(&codec.config, &header)?;
        let unfragmented = header.fin && header.opcode != Opcode::Continuation;
        if unfragmented && let Some(payload_len) = whole_payload_len(&header, header_len, received) {
            let kind = kind_of(header.opcode);
            let placed = received.place(header_len, payload_len, header.masking_key);
            if header.compressed {
                let message = self.decompress(kind, received.lend(placed).0, codec)?;
                return Ok(Step::Arrived(Arrival::Assembled(message)));
            }
            return Ok(Step::Arrived(Arrival::Whole(kind, placed)));
        }
        received.skip_header(header_len);
        let new = || Assembly::new(kind_of(header.opcode), header.compressed);
        self.rare_mut().assembly.get_or_insert_with(new).begin_frame(&header);
        Ok(Step::Advanced)
    }

    fn after_piece(&mut self, progress: Progress, codec: &mut Codec) -> Result<Step, ProtocolError> {
        match progress {
            Progress::Cut => return Ok(Step::Starved),
            Progress::FrameComplete => return Ok(Step::Advanced),
            Progress::MessageComplete => {}
        }
        let Some(assembly) = self.take_assembly() else { return Ok(Step::Advanced) };
        let (kind, is_compressed) = (assembly.kind(), assembly.is_compressed());
        let mut message = assembly.into_message();
        if is_compressed {
            message = self.decompress(kind, message.payload().as_bytes(), codec)?;
        }
        Ok(Step::Arrived(Arrival::Assembled(message)))
    }

    /// RFC 7692 §7.2.2: the message that a compressed payload stands for.
    fn decompress(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        codec: &mut Codec,
    ) -> Result<Assembled, ProtocolError> {
        let windows = self.rare.as_mut().and_then(|rare| rare.windows.as_mut());
        let window = windows.and_then(|windows| windows.received.as_mut());
        Ok(Assembled::new(kind, codec.decompress(payload, window, HEADER_ROOM)?)?)
    }

    /// Checks what depends on the frames before: the order of fragments and the size of the message.
    fn check_data_frame(&self, config: &Config, header: &Header) -> Result<(), ProtocolError> {
        let (received_len, fragments, compressed) = match (self.assembly(), header.opcode) {
            (Some(assembly), Opcode::Continuation) => {
                (assembly.len() as u64, assembly.fragments(), assembly.is_compressed())
            }
            (None, Opcode::Continuation) => return Err(ProtocolError::UnexpectedContinuation),
            (Some(_), _) => return Err(ProtocolError::ExpectedContinuation),
            (None, _) => (0, 0, header.compressed),
        };
        if fragments >= config.fragments_max {
            return Err(ProtocolError::TooManyFragments { limit: config.fragments_max });
        }
        if header.payload_len > config.frame_bytes_max as u64 {
            let (bytes, limit) = (header.payload_len, config.frame_bytes_max as u64);
            return Err(ProtocolError::FrameTooBig { bytes, limit });
        }
        let limit = if compressed { config.compressed_bytes_max() } else { config.message_bytes_max } as u64;
        match received_len.checked_add(header.payload_len) {
            Some(bytes) if bytes <= limit => Ok(()),
            sum => Err(ProtocolError::MessageTooBig { bytes: sum.unwrap_or(u64::MAX), limit }),
        }
    }

    /// Answers a control frame and makes its event.
    fn take_control<'a>(
        &mut self,
        opcode: Opcode,
        placed: Placed,
        received: &'a mut Received<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Event<'a>, ProtocolError> {
        let is_answered = opcode != Opcode::Ping || received.admits_ping();
        let (payload, room) = received.lend(placed);
        match opcode {
            // RFC 6455 §5.5.2: a Ping is answered with a Pong of the same payload.
            Opcode::Ping if is_answered => {
                self.answer(Opcode::Pong, payload, room, out);
                Ok(Event::Ping(payload))
            }
            Opcode::Ping => {
                self.rare_mut().late_ping = Some(payload.into());
                Ok(Event::Ping(payload))
            }
            Opcode::Close => {
                let close = close::parse_payload(payload).map_err(|error| self.fail_with(error, out))?;
                // RFC 6455 §5.5.1: a Close is answered with a Close, typically echoing the code.
                if matches!(self.state(), State::Open) {
                    self.answer(Opcode::Close, payload, room, out);
                }
                self.end(State::Closed);
                Ok(Event::Close(close))
            }
            _ => Ok(Event::Pong(payload)),
        }
    }
}

/// A control frame is taken only as a whole, so its payload needs no state between receives.
fn control_frame(header: &Header, header_len: usize, received: &mut Received<'_>) -> Step {
    let Some(payload_len) = whole_payload_len(header, header_len, received) else { return Step::Starved };
    let placed = received.place(header_len, payload_len, header.masking_key);
    Step::Arrived(Arrival::Control(header.opcode, placed))
}

/// The payload length if the whole frame is in the lent bytes.
fn whole_payload_len(header: &Header, header_len: usize, received: &Received<'_>) -> Option<usize> {
    let payload_len = usize::try_from(header.payload_len).ok()?;
    (payload_len <= received.unparsed().len() - header_len).then_some(payload_len)
}

/// The kind of the message that a data frame begins.
fn kind_of(opcode: Opcode) -> MessageKind {
    if opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary }
}

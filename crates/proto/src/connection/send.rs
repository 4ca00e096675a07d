//! The sending half: messages, control frames and the end of the connection. Invariant: nothing is written
//! once a Close frame was.

use super::{Connection, HEADER_ROOM, State};
use crate::close::{CONTROL_BYTES_MAX, ClosePayload};
use crate::frame::{self, Header, Opcode, Role};
use crate::message::{Message, Source};
use crate::received::ReplyRoom;
use crate::{CloseCode, Codec, ProtocolError, SendError, mask};

/// From this payload length on, an assembled message is sent from its own memory. The header of such a frame
/// fills the whole [`HEADER_ROOM`].
const MOVED_BYTES_MIN: usize = 64 * 1024;

impl Connection {
    /// Sends a message back as it came, of the same kind and payload.
    ///
    /// It is compressed like any other where that was agreed on. Otherwise, on a server with nothing in `out`, a payload in the lent bytes is not copied: its header is written in
    /// front of it. An assembled payload of 64 KiB or more then *replaces* the empty `out`. Otherwise the frame is
    /// appended to `out`.
    ///
    /// # Errors
    /// [`SendError::Closing`] after a Close frame was sent.
    #[inline]
    pub fn reply(
        &mut self,
        message: Message<'_>,
        codec: &mut Codec,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        match message.0 {
            Source::Lent(payload, room) if self.compression.is_none() => {
                self.answer(payload.kind().opcode(), payload.as_bytes(), room, out);
            }
            source => self.reply_by_copy(Message(source), codec, out),
        }
        Ok(())
    }

    /// Appends a text message to `out`.
    ///
    /// # Errors
    /// [`SendError::Closing`] after a Close frame was sent.
    pub fn send_text(&mut self, text: &str, codec: &mut Codec, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_message(Opcode::Text, text.as_bytes(), codec, out)
    }

    /// Appends a binary message to `out`.
    ///
    /// # Errors
    /// [`SendError::Closing`] after a Close frame was sent.
    pub fn send_binary(
        &mut self,
        bytes: &[u8],
        codec: &mut Codec,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_message(Opcode::Binary, bytes, codec, out)
    }

    /// Appends a Ping to `out`; the peer answers with a Pong of the same payload.
    ///
    /// # Errors
    /// [`SendError::ControlPayloadTooLong`] above 125 bytes, [`SendError::Closing`] after a Close frame was sent.
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, out)
    }

    /// Appends an unsolicited Pong to `out`; Pings are answered by [`poll_event`](Self::poll_event).
    ///
    /// # Errors
    /// [`SendError::ControlPayloadTooLong`] above 125 bytes, [`SendError::Closing`] after a Close frame was sent.
    pub fn send_pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Starts the closing handshake: appends a Close frame to `out`.
    ///
    /// # Errors
    /// [`SendError::Closing`] if a Close frame was already sent, another error if the frame cannot express the
    /// arguments. Nothing is written then.
    pub fn close(
        &mut self,
        code: Option<CloseCode>,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let payload = ClosePayload::new(code, reason)?;
        self.write_frame(Opcode::Close, payload.as_bytes(), out);
        self.rare_mut().state = State::CloseSent;
        Ok(())
    }

    /// Fails the connection (RFC 6455 §7.1.7) for a reason that the caller detected: appends a Close frame with the
    /// error's code and text unless one was sent. Without effect on a connection that is closed.
    pub fn fail(&mut self, error: ProtocolError, out: &mut Vec<u8>) {
        if matches!(self.state(), State::Open | State::CloseSent) {
            self.fail_with(error, out);
        }
    }

    /// Fails the connection and hands the error back.
    #[cold]
    pub(super) fn fail_with(&mut self, error: ProtocolError, out: &mut Vec<u8>) -> ProtocolError {
        if let Ok(payload) = ClosePayload::new(Some(error.close_code()), &error.to_string())
            && !self.is_close_sent()
        {
            self.write_frame(Opcode::Close, payload.as_bytes(), out);
        }
        self.end(State::Failed(error));
        error
    }

    /// Writes a frame with the payload of a lent frame: in place if this is a server and nothing would overtake it.
    #[inline]
    pub(super) fn answer(&mut self, opcode: Opcode, payload: &[u8], room: ReplyRoom<'_>, out: &mut Vec<u8>) {
        let in_place = self.role() == Role::Server && out.is_empty() && room.reply(opcode, payload.len());
        if !in_place {
            self.write_frame(opcode, payload, out);
        }
    }

    /// A reply that is compressed, or was assembled. Out of line, so that the others stay short.
    #[inline(never)]
    fn reply_by_copy(&mut self, message: Message<'_>, codec: &mut Codec, out: &mut Vec<u8>) {
        let opcode = message.kind().opcode();
        if self.write_compressed(opcode, message.as_bytes(), codec, out) {
            return;
        }
        match message.0 {
            Source::Lent(payload, room) => self.answer(opcode, payload.as_bytes(), room, out),
            Source::Assembled(message) => {
                self.send_assembled(opcode, message.into_room_and_payload(), out);
            }
        }
    }

    /// The Pong that was put off for the sake of the last Ping.
    pub(super) fn answer_late_ping(&mut self, out: &mut Vec<u8>) {
        if let Some(payload) = self.rare.as_mut().and_then(|rare| rare.late_ping.take()) {
            if !self.is_close_sent() {
                self.write_frame(Opcode::Pong, &payload, out);
            }
            self.shed_rare();
        }
    }

    fn send_message(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        codec: &mut Codec,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if !self.write_compressed(opcode, payload, codec, out) {
            self.write_frame(opcode, payload, out);
        }
        Ok(())
    }

    fn send_assembled(&mut self, opcode: Opcode, mut room_and_payload: Vec<u8>, out: &mut Vec<u8>) {
        let payload_len = room_and_payload.len() - HEADER_ROOM;
        if payload_len < MOVED_BYTES_MIN || self.role() == Role::Client || !out.is_empty() {
            self.write_frame(opcode, &room_and_payload[HEADER_ROOM..], out);
            return;
        }
        let payload_len = payload_len as u64;
        let header = Header { fin: true, compressed: false, opcode, masking_key: None, payload_len };
        frame::encode_header(&mut room_and_payload, &header);
        *out = room_and_payload;
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::ControlPayloadTooLong { bytes: payload.len() });
        }
        self.write_frame(opcode, payload, out);
        Ok(())
    }

    /// RFC 6455 §5.5.1: after a Close frame no more frames are sent.
    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if self.is_close_sent() { Err(SendError::Closing) } else { Ok(()) }
    }

    /// Appends a message as a compressed frame, if compression was agreed on and makes it shorter (RFC 7692 §7.2.1).
    fn write_compressed(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        codec: &mut Codec,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(deflate) = self.compression else { return false };
        let bits = deflate.sent_by(self.role()).window_bits;
        let windows = self.rare.as_mut().and_then(|rare| rare.windows.as_mut());
        let window = windows.and_then(|windows| windows.sent.as_mut());
        let compressed = codec.compress(payload, bits, window);
        let is_shorter = compressed.is_some();
        if let Some(payload) = compressed {
            self.write_frame_with(opcode, true, payload, out);
        }
        codec.compressor.trim();
        is_shorter
    }

    /// Appends a whole frame that is not compressed.
    fn write_frame(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        self.write_frame_with(opcode, false, payload, out);
    }

    /// Appends a whole frame; a client's is masked with a fresh key.
    fn write_frame_with(&mut self, opcode: Opcode, compressed: bool, payload: &[u8], out: &mut Vec<u8>) {
        let keys = self.rare.as_mut().and_then(|rare| rare.keys.as_mut());
        let masking_key = keys.map(|keys| (keys.0)());
        let payload_len = payload.len() as u64;
        frame::write_header(out, &Header { fin: true, compressed, opcode, masking_key, payload_len });
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = masking_key {
            mask::unmask(&mut out[start..], key);
        }
    }
}

//! Opening a connection of the measuring client, and what it says one message at a time before it is measured.
//! Invariant: a connection that was opened speaks what its [`Protocol`] says, compression included.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::error::{Doing, Error};
use super::wire::{self, Protocol};
use crate::systems::Compression;

/// How long the server may leave everybody without an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest response head that is read.
const HEAD_BYTES_MAX: usize = 4096;
/// The accept key for the nonce of RFC 6455 §1.3, with which every connection opens.
const ACCEPT_KEY: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The field that names the extensions of a connection (RFC 6455 §9.1).
const EXTENSIONS: &str = "Sec-WebSocket-Extensions: ";

/// Connects to the server at `addr`. The socket blocks, at most for [`PATIENCE`].
///
/// # Errors
/// When the connection or its opening handshake fails, or the server does not agree to the compression.
pub(crate) fn connect(addr: SocketAddr, protocol: Protocol) -> Result<TcpStream, Error> {
    let mut stream = TcpStream::connect(addr).doing(format_args!("connect to {addr}"))?;
    stream.set_nodelay(true).doing("set TCP_NODELAY")?;
    if let Protocol::WebSocket(compression) = protocol {
        stream.set_read_timeout(Some(PATIENCE)).doing("set a receive timeout")?;
        shake_hands(&mut stream, compression)?;
    }
    Ok(stream)
}

/// Sends one message and reads past the frame that comes back. Returns the length of its payload.
///
/// # Errors
/// When the connection ends, or the frame does not begin with `first_byte`.
pub(crate) fn exchange(stream: &mut TcpStream, request: &[u8], first_byte: u8) -> Result<usize, Error> {
    stream.write_all(request).doing("send a message")?;
    let mut header = vec![0; 2];
    stream.read_exact(&mut header).doing("receive a reply")?;
    if header[0] != first_byte {
        let actual = header[0];
        return Err(Error::new(format!("a reply begins with {actual:#04x}, {first_byte:#04x} expected")));
    }
    let payload_len = loop {
        if let Some((_, payload_len)) = wire::read_header(&header) {
            break payload_len;
        }
        let end = header.len();
        header.resize(end + 2, 0);
        stream.read_exact(&mut header[end..]).doing("receive the header of a reply")?;
    };
    let mut payload = vec![0; usize::try_from(payload_len).doing("hold a reply")?];
    stream.read_exact(&mut payload).doing("receive the payload of a reply")?;
    Ok(payload.len())
}

fn shake_hands(stream: &mut TcpStream, compression: Compression) -> Result<(), Error> {
    stream.write_all(request(compression).as_bytes()).doing("send the opening handshake")?;
    let mut head = [0; HEAD_BYTES_MAX];
    let mut filled = 0;
    // The server does not speak first, so the head is all that arrives.
    while !head[..filled].ends_with(b"\r\n\r\n") {
        match stream.read(&mut head[filled..]).doing("receive the opening handshake")? {
            0 => return Err(Error::new(format!("the opening handshake ended after {filled} bytes"))),
            received => filled += received,
        }
    }
    check_response(&head[..filled], compression)
}

/// The opening handshake of every connection, with the nonce of RFC 6455 §1.3.
fn request(compression: Compression) -> String {
    let offer = match compression {
        Compression::Off => String::new(),
        Compression::Shared => format!("{EXTENSIONS}permessage-deflate\r\n"),
        // RFC 7692 §7.1.2.2: without the parameter the server may not choose the window of the client.
        Compression::Dedicated => format!("{EXTENSIONS}permessage-deflate; client_max_window_bits\r\n"),
    };
    format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
}

/// Checks the server's half of the opening handshake.
fn check_response(head: &[u8], compression: Compression) -> Result<(), Error> {
    let text = String::from_utf8_lossy(head);
    if !text.starts_with("HTTP/1.1 101 ") {
        return Err(Error::new(format!("the opening handshake was answered with {:?}", text.lines().next())));
    }
    if !text.contains(ACCEPT_KEY) {
        return Err(Error::new(format!("the opening handshake lacks the accept key {ACCEPT_KEY}")));
    }
    let agreed = text.lines().find_map(|line| line.strip_prefix(EXTENSIONS));
    let expected = agreement(compression);
    if agreed == expected.as_deref() {
        Ok(())
    } else {
        Err(Error::new(format!("the server agreed to the extensions {agreed:?}, {expected:?} expected")))
    }
}

/// What the server must agree to.
fn agreement(compression: Compression) -> Option<String> {
    match compression {
        Compression::Off => None,
        Compression::Shared => {
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover".into())
        }
        Compression::Dedicated => {
            let bits = gannet::Config::default().compression_window_bits;
            Some(format!("permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn response(extensions: &str) -> String {
        format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT_KEY}\r\n{extensions}\r\n")
    }

    #[test]
    fn a_response_that_does_not_switch_protocols_or_answers_another_nonce_is_refused() {
        assert_eq!(check_response(response("").as_bytes(), Compression::Off), Ok(()));
        let refused = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert!(check_response(refused, Compression::Off).is_err());
        let other_nonce = b"HTTP/1.1 101 \r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
        assert!(check_response(other_nonce, Compression::Off).is_err());
    }

    #[test]
    fn another_compression_than_the_one_asked_for_is_refused() {
        let shared = response(
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n",
        );
        assert_eq!(check_response(shared.as_bytes(), Compression::Shared), Ok(()));
        for compression in [Compression::Off, Compression::Dedicated] {
            assert!(check_response(shared.as_bytes(), compression).is_err(), "{compression:?}");
        }
        let error = check_response(response("").as_bytes(), Compression::Dedicated).unwrap_err().to_string();
        assert!(error.contains("None") && error.contains("server_max_window_bits=12"), "{error}");
    }

    #[test]
    fn only_a_connection_that_compresses_offers_an_extension() {
        assert!(!request(Compression::Off).contains("Extensions"));
        assert!(request(Compression::Shared).ends_with("Extensions: permessage-deflate\r\n\r\n"));
        assert!(request(Compression::Dedicated).ends_with("; client_max_window_bits\r\n\r\n"));
    }

    #[test]
    fn a_reply_is_read_to_its_end_whatever_its_length_and_one_of_another_kind_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for payload_bytes in [0, 125, 126, 65_535, 65_536] {
            let mut frame = Vec::new();
            wire::write_frame(&mut frame, wire::FIN_TEXT, &vec![b'a'; payload_bytes], None);
            let mut sender = server.try_clone().unwrap();
            let sending = std::thread::spawn(move || sender.write_all(&frame).unwrap());
            assert_eq!(exchange(&mut stream, b"", wire::FIN_TEXT).unwrap(), payload_bytes);
            sending.join().unwrap();
        }
        server.write_all(&[wire::FIN_TEXT, 0]).unwrap();
        assert!(exchange(&mut stream, b"", wire::FIN_TEXT | wire::RSV1).is_err());
    }

    #[test]
    fn an_http_error_ends_the_opening_handshake_with_its_status_line() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]).unwrap();
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap();
        });
        let error = connect(addr, Protocol::WebSocket(Compression::Off)).err().unwrap();
        assert!(error.to_string().contains("503"), "{error}");
    }
}

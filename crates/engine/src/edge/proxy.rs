//! The PROXY protocol, versions 1 and 2: the line or block with which a proxy says for whom it speaks.
//!
//! Invariant: the parser looks at no byte behind the header, gives the same answer however the bytes are split, and takes
//! nothing but what the specification (haproxy.org, proxy-protocol.txt, 2.1 and 2.2) allows for a stream.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gannet_driver::PeerAddress;

/// The longest line of version 1 with its CR LF, in bytes.
const V1_BYTES_MAX: usize = 107;
/// The longest header of version 2 taken, extensions included, in bytes. The specification allows 64 KiB; proxies send
/// less than 1 KiB.
const V2_BYTES_MAX: usize = 4096;
const V1_BEGIN: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const V2_FIXED_BYTES: usize = 16;

/// What the bytes received so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// The beginning of a header.
    Partial,
    /// A header of so many bytes.
    Complete {
        bytes: usize,
        /// Whom the proxy speaks for; `None` if it speaks for itself (a health check), or does not know.
        source: Option<PeerAddress>,
    },
    /// No header, and why.
    Malformed(&'static str),
}

/// Looks for a header at the front of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Header {
    if begins_alike(bytes, V2_SIGNATURE) {
        parse_v2(bytes)
    } else if begins_alike(bytes, V1_BEGIN) {
        parse_v1(bytes)
    } else {
        Header::Malformed("it begins like neither version")
    }
}

/// Whether one of both begins with the other.
fn begins_alike(bytes: &[u8], begin: &[u8]) -> bool {
    let common = bytes.len().min(begin.len());
    bytes[..common] == begin[..common]
}

fn parse_v1(bytes: &[u8]) -> Header {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() < V1_BYTES_MAX {
            Header::Partial
        } else {
            Header::Malformed("version 1: no end of the line in 107 bytes")
        };
    };
    let Ok(line) = str::from_utf8(&window[V1_BEGIN.len().min(end)..end]) else {
        return Header::Malformed("version 1: the line is not ASCII");
    };
    let bytes = end + 2;
    let fields: Vec<&str> = line.split(' ').collect();
    match fields[..] {
        // The rest of the line has to be ignored.
        ["UNKNOWN", ..] => Header::Complete { bytes, source: None },
        ["TCP4", source, destination, port, to_port] => {
            v1_source::<Ipv4Addr>(bytes, [source, destination], [port, to_port])
        }
        ["TCP6", source, destination, port, to_port] => {
            v1_source::<Ipv6Addr>(bytes, [source, destination], [port, to_port])
        }
        _ => Header::Malformed("version 1: not TCP4 or TCP6 with two addresses and two ports, nor UNKNOWN"),
    }
}

fn v1_source<A: std::str::FromStr + Into<IpAddr>>(
    bytes: usize,
    addresses: [&str; 2],
    ports: [&str; 2],
) -> Header {
    let [Ok(source), Ok(_)] = addresses.map(str::parse::<A>) else {
        return Header::Malformed("version 1: an address is not of its family");
    };
    let [Some(port), Some(_)] = ports.map(v1_port) else {
        return Header::Malformed("version 1: a port is not 0 to 65535");
    };
    Header::Complete { bytes, source: Some(PeerAddress::Ip(SocketAddr::new(source.into(), port))) }
}

/// Digits without a sign or leading zeros, which `parse` would take.
fn v1_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn parse_v2(bytes: &[u8]) -> Header {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else { return Header::Partial };
    let [.., version_and_command, family_and_transport, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if V2_FIXED_BYTES + length > V2_BYTES_MAX {
        return Header::Malformed("version 2: longer than 4096 bytes");
    }
    // 2.2: the upper half of the byte is the version, the lower one the command.
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Header::Malformed("version 2: not version 2 with the command LOCAL or PROXY"),
    };
    let address_bytes = match family_and_transport {
        // AF_UNSPEC: the addresses, if there are any, have to be ignored.
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        // LOCAL: whatever the family says, it has to be ignored.
        _ if is_local => 0,
        _ => return Header::Malformed("version 2: not a stream over TCP4, TCP6 or a Unix socket"),
    };
    if length < address_bytes && !is_local {
        return Header::Malformed("version 2: too short for its addresses");
    }
    let Some(block) = rest.get(..length) else { return Header::Partial };
    let source = if is_local { None } else { v2_source(family_and_transport, block) };
    // Behind the addresses are extensions (TLV), which say nothing that is used here.
    Header::Complete { bytes: V2_FIXED_BYTES + length, source }
}

fn v2_source(family_and_transport: u8, block: &[u8]) -> Option<PeerAddress> {
    match family_and_transport {
        0x11 => {
            let address: [u8; 4] = *block.first_chunk()?;
            Some(v2_address(address.into(), block.get(8..10)?))
        }
        0x21 => {
            let address: [u8; 16] = *block.first_chunk()?;
            Some(v2_address(address.into(), block.get(32..34)?))
        }
        0x31 => Some(PeerAddress::Unix),
        _ => None,
    }
}

fn v2_address(address: IpAddr, port: &[u8]) -> PeerAddress {
    let port = port.iter().fold(0, |port, &byte| port << 8 | u16::from(byte));
    PeerAddress::Ip(SocketAddr::new(address, port))
}

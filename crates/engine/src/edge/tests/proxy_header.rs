//! The PROXY protocol: every form, every split, and who is believed.

use std::net::{Ipv4Addr, SocketAddr};

use gannet_driver::sim::Faults;
use gannet_driver::{Driver, PeerAddress, ReceiveEnd};
use rustls::version::TLS13;

use super::rig::{Caller, Rig, pattern};
use crate::edge::Edge;
use crate::edge::proxy::{Header, parse};

const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 with these bytes behind the fixed part.
fn v2(version_and_command: u8, family_and_transport: u8, block: &[u8]) -> Vec<u8> {
    let length = (block.len() as u16).to_be_bytes();
    [V2_SIGNATURE.as_slice(), &[version_and_command, family_and_transport], &length, block].concat()
}

fn v2_ipv4() -> Vec<u8> {
    v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0x01, 0xbb])
}

fn address(text: &str) -> Option<PeerAddress> {
    Some(PeerAddress::Ip(text.parse::<SocketAddr>().unwrap()))
}

/// Headers, and for whom they speak.
fn good() -> Vec<(Vec<u8>, Option<PeerAddress>)> {
    let v6 = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0; 16]].concat();
    let v6 = [v6, vec![0, 80, 1, 0xbb]].concat();
    let with_extension = [&v2_ipv4()[16..], &[0x04, 0, 3, 1, 2, 3]].concat();
    let longest = b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 4660 443\r\n".to_vec(), address("192.0.2.1:4660")),
        (b"PROXY TCP6 2001:db8::1 :: 80 443\r\n".to_vec(), address("[2001:db8::1]:80")),
        (longest.to_vec(), address("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ff ff whatever\r\n".to_vec(), None),
        (v2_ipv4(), address("192.0.2.1:4660")),
        (v2(0x21, 0x11, &with_extension), address("192.0.2.1:4660")),
        (v2(0x21, 0x21, &v6), address("[2001:db8::1]:80")),
        (v2(0x21, 0x31, &[7; 216]), Some(PeerAddress::Unix)),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &v2_ipv4()[16..]), None),
        (v2(0x20, 0x99, &[1; 5]), None),
    ]
}

#[test]
fn every_form_is_understood_however_it_is_cut_and_nothing_behind_it_is_looked_at() {
    for (header, source) in good() {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Header::Partial, "{end} bytes of {}", header.escape_ascii());
        }
        for behind in [b"".as_slice(), b"GET ", b"\r\n\r\n", &[0xff; 200]] {
            let expected = Header::Complete { bytes: header.len(), source };
            assert_eq!(parse(&[&header, behind].concat()), expected, "{}", header.escape_ascii());
        }
    }
}

#[test]
fn what_the_specification_does_not_allow_is_no_header() {
    let bad: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"PROXy ",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"PROXY\tTCP4",
        b"PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1\n198.51.100.1 1 2\r\n",
        b"PROXY \xff\r\n",
        b"PROXY \r\n",
    ];
    let mut bad: Vec<Vec<u8>> = bad.iter().map(|bytes| bytes.to_vec()).collect();
    bad.push([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat());
    bad.push(v2(0x11, 0x11, &[0; 12]));
    bad.push(v2(0x22, 0x11, &[0; 12]));
    bad.push(v2(0x21, 0x12, &[0; 12]));
    bad.push(v2(0x21, 0x11, &[0; 11]));
    bad.push(v2(0x21, 0x21, &[0; 35]));
    bad.push(v2(0x21, 0x31, &[0; 215]));
    bad.push(v2(0x21, 0x11, &[0; 4096]));
    for bytes in bad {
        let parsed = parse(&bytes);
        assert!(matches!(parsed, Header::Malformed(_)), "{}: {parsed:?}", bytes.escape_ascii());
    }
}

#[test]
fn a_plain_connection_behind_a_header_is_named_and_passes() {
    for (header, source) in good() {
        for cut in [1, header.len() / 2, header.len(), header.len() + 3] {
            let edge = Edge { tls: None, proxy_protocol: true };
            let trusted = "10.0.0.0/8".parse().unwrap();
            let mut rig = Rig::with_edge(Caller::Echoes, 0, Faults::none(), edge, Some(trusted));
            let peer = rig.network.connect();
            let bytes = [header.as_slice(), &pattern(70)].concat();
            for part in [&bytes[..cut], &bytes[cut..]] {
                rig.network.send(peer, part);
                rig.turns(2);
            }
            assert_eq!(rig.served(peer).named, source, "{}", header.escape_ascii());
            assert_eq!(rig.served(peer).received, pattern(70));
            assert_eq!(rig.network.received(peer), pattern(70));
            rig.network.send(peer, &pattern(7));
            rig.turn();
            assert_eq!(rig.network.received(peer), pattern(7));
            rig.network.end_stream(peer);
            rig.turn();
            assert_eq!(rig.served(peer).end, Some(ReceiveEnd::EndOfStream));
        }
    }
}

#[test]
fn the_header_comes_before_tls() {
    for seed in 0..10 {
        let trusted = "10.0.0.0/24".parse().unwrap();
        let mut rig = Rig::with_proxy(Caller::Echoes, seed, Faults::lossless(), Some(trusted));
        let client = rig.connect(&rig.config(&TLS13));
        let peer = rig.clients[client].peer;
        rig.network.send(peer, &v2_ipv4());
        rig.clients[client].send(&pattern(7000));
        rig.until("the echo", |rig| rig.clients[client].read.len() == 7000);
        assert!(rig.clients[client].read == pattern(7000));
        assert_eq!(rig.served(peer).named, address("192.0.2.1:4660"));
    }
}

#[test]
fn without_a_header_a_trusted_peer_is_closed_and_another_needs_none() {
    let edge = Edge { tls: None, proxy_protocol: true };
    for (trusted, is_trusted) in [("10.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let trusted = trusted.parse().unwrap();
        let mut rig = Rig::with_edge(Caller::Listens, 0, Faults::none(), edge.clone(), Some(trusted));
        let (bare, named) = (rig.network.connect(), rig.network.connect());
        rig.network.send(bare, b"GET / HTTP/1.1\r\n");
        rig.network.send(named, b"PROXY TCP4 192.0.2.1 198.51.100.1 4660 443\r\nGET");
        rig.turns(2);
        let broken = ReceiveEnd::Failed(std::io::ErrorKind::InvalidData);
        assert_eq!(rig.served(bare).end, is_trusted.then_some(broken));
        assert_eq!(rig.served(bare).receives, usize::from(!is_trusted));
        assert_eq!(rig.served(named).named.is_some(), is_trusted);
        // What an untrusted peer claims is handed on as it came, which is no HTTP.
        assert_eq!(rig.served(named).received.starts_with(b"PROXY "), !is_trusted);
    }
}

#[test]
fn an_ipv4_peer_on_an_ipv6_socket_is_the_same_peer_and_a_unix_peer_is_always_trusted() {
    let edge = Edge { tls: None, proxy_protocol: true };
    let rig = Rig::with_edge(Caller::Listens, 0, Faults::none(), edge, Some("10.0.0.0/8".parse().unwrap()));
    let mapped = Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped();
    assert!(rig.driver.is_trusted(PeerAddress::Ip(SocketAddr::from((mapped, 1)))));
    assert!(!rig.driver.is_trusted(PeerAddress::Ip(SocketAddr::from(([11, 1, 2, 3], 1)))));
    assert!(rig.driver.is_trusted(PeerAddress::Unix));
}

#[test]
fn a_refusal_while_the_header_is_awaited_leaves_at_once() {
    let edge = Edge { tls: None, proxy_protocol: true };
    let trusted = "10.0.0.0/8".parse().unwrap();
    let mut rig = Rig::with_edge(Caller::Listens, 0, Faults::none(), edge, Some(trusted));
    let peer = rig.network.connect();
    rig.turn();
    let token = rig.token(peer).unwrap();
    rig.send(token, b"503".to_vec(), 0);
    rig.driver.shutdown_write(token);
    assert_eq!(rig.network.received(peer), b"503");
    assert!(rig.network.is_ended(peer));
}

//! The settings of an engine. Invariant: a [`Config`] that passed [`Config::validate`] has no limit that is silently off.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use gannet_driver::LISTENERS_MAX;

use crate::compression::Compression;
use crate::forwarded::ForwardedHeader;
use crate::listener::Listener;

/// What moves the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// The best backend of this machine; today always epoll.
    #[default]
    Auto,
    /// epoll, over mio.
    Epoll,
}

/// What happens to a message for a connection whose outbox is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OutboxPolicy {
    /// The connection is closed with 1013 (Try Again Later): the peer knows that it missed something.
    #[default]
    Close,
    /// The message is refused and the connection goes on; the sender learns of it from the error alone, and from
    /// [`on_drain`](crate::Handler::on_drain) when there is room again.
    Refuse,
}

/// What happens to a connection that sends more in a second than it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RatePolicy {
    /// Nothing more is received from it until the second is over; nothing is lost.
    #[default]
    Pause,
    /// It is closed with 1008, and the message too many is not delivered.
    Close,
}

const LOOPBACK_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
const LOOPBACK_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);

/// The settings of an engine. Times are in milliseconds, sizes in bytes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen, 1 to 16 places. Default `127.0.0.1:9998`.
    pub listeners: Vec<Listener>,
    /// What moves the bytes. Default [`Backend::Auto`].
    pub backend: Backend,
    /// Threads with an event loop each. Default: one per core, and more where `connections_max` needs more descriptor
    /// tables than that.
    pub shards: Option<usize>,
    /// Open connections in all; the next one is answered 503. Default: what one descriptor table holds.
    pub connections_max: Option<usize>,
    /// The largest message received, fragments summed up; a larger one is answered with Close 1009. Default 16 MiB.
    pub message_bytes_max: usize,
    /// The largest frame received; a larger one is answered with Close 1009. Default: as large as a message.
    pub frame_bytes_max: usize,
    /// The most frames of one message, empty ones included; with one more the connection is closed with 1008. Default
    /// 131,072.
    pub fragments_max: u32,
    /// Whether messages are compressed where the client offers it (RFC 7692). Default [`Compression::Off`].
    pub compression: Compression,
    /// The smallest message that is compressed. Default 256 bytes.
    pub compressed_bytes_min: usize,
    /// How hard the compressor tries, 1 (fastest) to 9 (smallest). Default 1.
    pub compression_level: u8,
    /// The binary logarithm of a window of [`Compression::Dedicated`], 8 to 15. A client that does not let the server choose
    /// ([RFC 7692 §7.1.2.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2)) has 15 for its own. Default 12: 4 KiB.
    pub compression_window_bits: u8,
    /// The windows of all connections together, in bytes. Default 64 MiB.
    pub compression_window_bytes_max: usize,
    /// From the first byte of a message to its last one; a peer that takes longer is answered with Close 1008, however
    /// often it sends a little. A frame that is cut counts as a message. The time starts again when receiving was paused
    /// (`outbox_pause_bytes`) and goes on. Default 120 s.
    pub message_timeout_ms: u32,
    /// Pings and pongs taken from a connection in one second of the shard's clock, at least 1; one more is answered with
    /// Close 1008. Default 1000.
    pub control_frames_per_s_max: u16,
    /// Messages taken from a connection in one second of the shard's clock, at least 1; see `rate_policy`. Default
    /// 1,000,000.
    pub messages_per_s_max: Option<u32>,
    /// Bytes taken from an open connection in one second of the shard's clock, at least 1; see `rate_policy`. Default 1 GiB.
    pub bytes_per_s_max: Option<u32>,
    /// What becomes of a connection that sends more. Default [`RatePolicy::Pause`].
    pub rate_policy: RatePolicy,
    /// Connections of one address. Default 2,048; the next one is answered 429.
    pub connections_per_address_max: u32,
    /// Connections of one network, /24 of IPv4 or /64 of IPv6. Default 16,384; the next one is answered 429.
    pub connections_per_prefix_max: u32,
    /// Addresses that those two limits do not count. Default: loopback.
    pub address_limit_exempt: Vec<IpNet>,
    /// Opening handshakes begun in a second, shared evenly between the shards, a quarter of a second's at once; the next one
    /// is answered 503. Default 50,000.
    pub handshakes_per_s_max: u32,
    /// Bytes that may wait in the outboxes and unfinished messages of all connections together. Over it, new connections are
    /// answered 503, and those for which the most waits are cut until it is less. Default 1 GiB.
    pub buffered_bytes_max: usize,
    /// Proxies that are believed about the client: in a PROXY header where a listener takes one, and in `forwarded_header`. A
    /// peer over a Unix socket always is. Their own address is not counted by the limits of addresses. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they name the client. Default [`ForwardedHeader::XForwardedFor`].
    pub forwarded_header: ForwardedHeader,
    /// How long a connection may stay open; then it is closed with 1001, up to a tenth of the time earlier, so that those
    /// that came together do not leave together. Default `None`: as long as it likes.
    pub lifetime_ms: Option<u32>,
    /// From accept to the complete upgrade request. Default 10 s.
    pub handshake_timeout_ms: u32,
    /// Silence of the peer after which it is sent a ping. Each connection takes off up to a quarter of it, so that
    /// pings are spread. Default 40 s.
    pub ping_interval_ms: u32,
    /// Silence after that ping that ends the connection. Where `outbox_pause_bytes` wait no ping is sent, and a peer that
    /// takes no byte for both times together is cut. Default 20 s.
    pub pong_timeout_ms: u32,
    /// From our Close frame to the end of the closing handshake. Default 5 s.
    pub close_timeout_ms: u32,
    /// From the last Close frame of a drain, or from [`stop`](crate::Engine::stop), to the last connection cut. Default 10 s.
    pub drain_timeout_ms: u32,
    /// A connection for which so many bytes wait takes no further message: see `outbox_policy`. It can hold at most
    /// this and one message, and the replies and pongs to what one receive brought: the message that it completed and
    /// 256 KiB. Default 1 MiB.
    pub outbox_bytes_max: usize,
    /// With so many bytes waiting, nothing more is received from the connection until they are less: a client that
    /// does not read its replies is slowed down instead of cut. Default 64 KiB.
    pub outbox_pause_bytes: usize,
    /// What happens to a message for a full outbox. Default [`OutboxPolicy::Close`].
    pub outbox_policy: OutboxPolicy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: vec![Listener::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9998)))],
            backend: Backend::Auto,
            shards: None,
            connections_max: None,
            message_bytes_max: 16 * 1024 * 1024,
            frame_bytes_max: usize::MAX,
            fragments_max: 128 * 1024,
            compression: Compression::Off,
            compressed_bytes_min: 256,
            compression_level: 1,
            compression_window_bits: 12,
            compression_window_bytes_max: 64 * 1024 * 1024,
            message_timeout_ms: 120_000,
            control_frames_per_s_max: 1000,
            messages_per_s_max: Some(1_000_000),
            bytes_per_s_max: Some(1 << 30),
            rate_policy: RatePolicy::Pause,
            connections_per_address_max: 2048,
            connections_per_prefix_max: 16_384,
            address_limit_exempt: vec![LOOPBACK_V4.into(), LOOPBACK_V6.into()],
            handshakes_per_s_max: 50_000,
            buffered_bytes_max: 1 << 30,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            lifetime_ms: None,
            handshake_timeout_ms: 10_000,
            ping_interval_ms: 40_000,
            pong_timeout_ms: 20_000,
            close_timeout_ms: 5_000,
            drain_timeout_ms: 10_000,
            outbox_bytes_max: 1024 * 1024,
            outbox_pause_bytes: 64 * 1024,
            outbox_policy: OutboxPolicy::Close,
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}; it must be {range}")]
pub struct ConfigError {
    /// The name of the setting.
    pub setting: &'static str,
    /// Its value.
    pub value: u64,
    /// What is allowed.
    pub range: &'static str,
}

/// Times are kept in 32 bits of milliseconds that wrap; a deadline must stay well below half of that.
const TIMEOUT_MS_MAX: u32 = 7 * 24 * 3600 * 1000;

impl Config {
    /// Checks every setting against its range.
    ///
    /// # Errors
    /// The first setting out of range, with its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check("listeners", self.listeners.len(), 1..=LISTENERS_MAX, "1 to 16 places to listen on")?;
        let times = [
            ("message_timeout_ms", self.message_timeout_ms),
            ("handshake_timeout_ms", self.handshake_timeout_ms),
            ("ping_interval_ms", self.ping_interval_ms),
            ("pong_timeout_ms", self.pong_timeout_ms),
            ("close_timeout_ms", self.close_timeout_ms),
            ("drain_timeout_ms", self.drain_timeout_ms),
        ];
        for (setting, value) in times {
            check(setting, value as usize, 1..=TIMEOUT_MS_MAX as usize, "1 ms to 7 days")?;
        }
        let (control_frames, messages) = (self.control_frames_per_s_max, self.messages_per_s_max);
        check("control_frames_per_s_max", control_frames.into(), 1..=u16::MAX.into(), "1 to 65535")?;
        check(
            "messages_per_s_max",
            messages.map_or(1, |messages| messages as usize),
            1..=u32::MAX as usize,
            "at least 1, or None for no limit",
        )?;
        let at_least_1 = [
            ("bytes_per_s_max", self.bytes_per_s_max.unwrap_or(1)),
            ("connections_per_address_max", self.connections_per_address_max),
            ("connections_per_prefix_max", self.connections_per_prefix_max),
            ("handshakes_per_s_max", self.handshakes_per_s_max),
        ];
        for (setting, value) in at_least_1 {
            check(setting, value as usize, 1..=u32::MAX as usize, "1 to 4,294,967,295")?;
        }
        let lifetime_ms = self.lifetime_ms.unwrap_or(TIMEOUT_MS_MAX) as usize;
        check(
            "lifetime_ms",
            lifetime_ms,
            1000..=TIMEOUT_MS_MAX as usize,
            "1 s to 7 days, or None for no limit",
        )?;
        check("buffered_bytes_max", self.buffered_bytes_max, 1 << 20..=usize::MAX, "at least 1 MiB")?;
        check("frame_bytes_max", self.frame_bytes_max, 1..=usize::MAX, "at least 1 byte")?;
        check("message_bytes_max", self.message_bytes_max, 1..=1 << 32, "1 byte to 4 GiB")?;
        check("fragments_max", self.fragments_max as usize, 1..=u32::MAX as usize, "1 to 4,294,967,295")?;
        check("compression_level", self.compression_level.into(), 1..=9, "1 to 9")?;
        check("compression_window_bits", self.compression_window_bits.into(), 8..=15, "8 to 15")?;
        check("outbox_bytes_max", self.outbox_bytes_max, 1024..=1 << 32, "1 KiB to 4 GiB")?;
        check(
            "outbox_pause_bytes",
            self.outbox_pause_bytes,
            1..=self.outbox_bytes_max,
            "at least 1 and at most outbox_bytes_max",
        )
    }

    /// The part that the protocol enforces.
    pub(crate) fn to_protocol(&self) -> gannet_proto::Config {
        gannet_proto::Config::default()
            .with_message_bytes_max(self.message_bytes_max)
            .with_frame_bytes_max(self.frame_bytes_max)
            .with_fragments_max(self.fragments_max)
            .with_compressed_bytes_min(self.compressed_bytes_min)
            .with_compression_level(self.compression_level)
    }
}

fn check(
    setting: &'static str,
    value: usize,
    allowed: std::ops::RangeInclusive<usize>,
    range: &'static str,
) -> Result<(), ConfigError> {
    if allowed.contains(&value) { Ok(()) } else { Err(ConfigError { setting, value: value as u64, range }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn nowhere_to_listen_and_too_many_places_are_refused() {
        let listeners = |count| Config {
            listeners: vec![Listener::tcp(([127, 0, 0, 1], 0).into()); count],
            ..Config::default()
        };
        assert_eq!(
            listeners(0).validate().unwrap_err().to_string(),
            "listeners is 0; it must be 1 to 16 places to listen on"
        );
        assert_eq!(listeners(16).validate(), Ok(()));
        assert_eq!(listeners(17).validate().unwrap_err().value, 17);
    }

    #[test]
    fn a_zero_timeout_is_refused_by_name_and_range() {
        let error = Config { pong_timeout_ms: 0, ..Config::default() }.validate().unwrap_err();
        assert_eq!(error.to_string(), "pong_timeout_ms is 0; it must be 1 ms to 7 days");
    }

    #[test]
    fn a_limit_of_no_frame_or_no_message_per_second_is_refused() {
        let config = Config { control_frames_per_s_max: 0, ..Config::default() };
        assert_eq!(config.validate().unwrap_err().setting, "control_frames_per_s_max");
        let config = Config { messages_per_s_max: Some(0), ..Config::default() };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "messages_per_s_max is 0; it must be at least 1, or None for no limit"
        );
        assert_eq!(Config { messages_per_s_max: Some(u32::MAX), ..Config::default() }.validate(), Ok(()));
    }

    #[test]
    fn a_pause_mark_above_the_outbox_limit_is_refused() {
        let config = Config { outbox_pause_bytes: 2 << 20, ..Config::default() };
        assert_eq!(config.validate().unwrap_err().setting, "outbox_pause_bytes");
    }
}

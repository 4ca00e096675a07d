//! The command line, as typed and as the engine wants it.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};
use gannet::{Backend, Compression, Config, Listener};

use crate::admin;
use crate::top::TopFlags;

/// A WebSocket server for very many open connections.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How logs are written to stderr; RUST_LOG sets the level.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send every message back as it came, on every path (the default).
    Echo(EchoFlags),
    /// Show the connections of a running server, live; it has to run with --admin.
    Top(TopFlags),
}

impl Default for Command {
    fn default() -> Self {
        Self::Echo(EchoFlags::parse_from(["gannet"]))
    }
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum BackendFlag {
    #[default]
    Auto,
    Epoll,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum CompressionFlag {
    /// Nothing is compressed.
    #[default]
    Off,
    /// Every message stands for itself; an idle connection holds no memory for it.
    Shared,
    /// Messages refer to those before them; a connection keeps up to two windows for it.
    Dedicated,
}

/// `auto` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shards(Option<usize>);

fn parse_shards(text: &str) -> Result<Shards, String> {
    if text == "auto" {
        return Ok(Shards(None));
    }
    match text.parse() {
        Ok(count) if (1..=1024).contains(&count) => Ok(Shards(Some(count))),
        _ => Err("it must be `auto` or 1 to 1024".to_owned()),
    }
}

#[derive(Debug, Parser)]
pub(crate) struct EchoFlags {
    /// Address and port to listen on; port 0 lets the kernel choose.
    #[arg(long, default_value = "127.0.0.1:9998")]
    listen: SocketAddr,
    /// Event loops: `auto` is one per core, and more where --max-connections needs more descriptor tables than that.
    #[arg(long, default_value = "auto", value_parser = parse_shards, value_name = "auto|N")]
    shards: Shards,
    /// What moves the bytes.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendFlag,
    /// Connections to hold [default: what one descriptor table allows].
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Largest message in bytes, fragments summed up.
    #[arg(long, value_name = "N", default_value_t = Config::default().message_bytes_max)]
    max_message_bytes: usize,
    /// Whether messages are compressed where the client offers it (permessage-deflate).
    #[arg(long, value_enum, default_value_t)]
    compression: CompressionFlag,
    /// Seconds without a sign of life, a ping left unanswered included, after which a connection is cut.
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=600_000))]
    idle_timeout: u32,
    /// Address and port for health, metrics and `gannet top`.
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<SocketAddr>,
    /// What requests to the admin listener have to bring along; needed for an address that others reach.
    #[arg(long, value_name = "TOKEN", env = "GANNET_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

impl EchoFlags {
    /// The admin listener, if one is wanted.
    pub(crate) fn admin(&self) -> Option<admin::Settings> {
        self.admin.map(|address| admin::Settings { address, token: self.admin_token.clone() })
    }

    pub(crate) fn to_config(&self) -> Config {
        let idle_timeout_ms = self.idle_timeout * 1000;
        let mut config = Config::default();
        config.listeners = vec![Listener::tcp(self.listen)];
        config.backend = match self.backend {
            BackendFlag::Auto => Backend::Auto,
            BackendFlag::Epoll => Backend::Epoll,
        };
        config.shards = self.shards.0;
        config.connections_max = self.max_connections;
        config.message_bytes_max = self.max_message_bytes;
        config.compression = match self.compression {
            CompressionFlag::Off => Compression::Off,
            CompressionFlag::Shared => Compression::Shared,
            CompressionFlag::Dedicated => Compression::Dedicated,
        };
        // The ping goes out after two thirds of the time, the rest is for the answer.
        config.ping_interval_ms = idle_timeout_ms / 3 * 2;
        config.pong_timeout_ms = idle_timeout_ms / 3;
        config
    }
}

pub(crate) const fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::Epoll => "epoll",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo_flags(arguments: &[&str]) -> EchoFlags {
        match Cli::try_parse_from(arguments).unwrap().command.unwrap_or_default() {
            Command::Echo(flags) => flags,
            command => panic!("{command:?}"),
        }
    }

    #[test]
    fn gannet_alone_is_echo_on_port_9998() {
        let config = echo_flags(&["gannet"]).to_config();
        let addresses: Vec<String> =
            config.listeners.iter().map(|listener| listener.address().to_string()).collect();
        assert_eq!(addresses, ["127.0.0.1:9998"]);
        assert_eq!((config.shards, config.connections_max), (None, None));
    }

    #[test]
    fn the_idle_timeout_is_split_into_ping_and_pong() {
        let config = echo_flags(&["gannet", "echo", "--idle-timeout", "30"]).to_config();
        assert_eq!((config.ping_interval_ms, config.pong_timeout_ms), (20_000, 10_000));
    }

    #[test]
    fn shards_are_auto_or_at_least_one() {
        assert_eq!(parse_shards("auto"), Ok(Shards(None)));
        assert_eq!(parse_shards("3"), Ok(Shards(Some(3))));
        assert!(parse_shards("0").is_err() && parse_shards("many").is_err());
    }
}

//! `gannet top`: the connections of a running server, live in the terminal or once as text.
//!
//! Invariant: it knows nothing but what the admin listener says, so it works with any server that can be reached; and
//! nothing of a peer reaches the terminal as anything but text.

mod client;
mod columns;
mod format;
mod live;
mod once;
mod scrape;
mod state;
mod view;

use std::time::Duration;

use clap::Args;

use crate::admin::wire::Sort;

/// What `gannet top` is told.
#[derive(Debug, Args)]
pub(crate) struct TopFlags {
    /// The admin listener of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", value_parser = parse_url)]
    pub(crate) admin: String,
    /// The token of the admin listener, if it wants one.
    #[arg(long, value_name = "TOKEN", env = "GANNET_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<String>,
    /// Which connections come first.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) sort: Sort,
    /// Time between two looks, as in 500ms or 2s.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// Connections to show.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    /// Print one table as text and end; needs no terminal.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Runs until the user has seen enough.
///
/// # Errors
/// One line for the user: the server does not answer (only with `--once`), or there is no terminal.
pub(crate) fn run(flags: &TopFlags) -> Result<(), String> {
    let client = client::Client::new(flags);
    if flags.once { once::print(&client, flags.sort) } else { live::run(client, flags) }
}

/// `http://host:port`, or without the scheme.
fn parse_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    if rest.is_empty() || rest.contains("://") || rest.contains(['/', '?', '#', '@', ' ']) {
        return Err("it must be http://HOST:PORT".to_owned());
    }
    Ok(format!("http://{rest}"))
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let (number, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => (text, 1000),
    };
    let interval_ms = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit_ms));
    match interval_ms {
        Some(interval_ms @ 100..=60_000) => Ok(Duration::from_millis(interval_ms.into())),
        _ => Err("it must be 100ms to 60s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_address_has_a_scheme_or_not() {
        for text in ["http://127.0.0.1:9999", "127.0.0.1:9999", "http://127.0.0.1:9999/"] {
            assert_eq!(parse_url(text).as_deref(), Ok("http://127.0.0.1:9999"));
        }
        assert_eq!(parse_url("[::1]:1").as_deref(), Ok("http://[::1]:1"));
        for text in ["", "http://", "https://localhost:1", "localhost/x", "user@localhost"] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_interval_is_100_ms_to_60_s() {
        let times = [("1s", 1000), ("2", 2000), ("100ms", 100), ("60s", 60_000), ("1500ms", 1500)];
        for (text, interval_ms) in times {
            assert_eq!(parse_interval(text), Ok(Duration::from_millis(interval_ms)), "{text}");
        }
        for text in ["99ms", "61s", "0", "s", "-1s", "1m", "4294968s"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }
}

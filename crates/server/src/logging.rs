//! Logs on stderr: the level from `RUST_LOG` (default `info`), as text or as one JSON object a line.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::flags::LogFormat;

pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

//! Logs on stderr, as text or as one JSON object a line. The level is `RUST_LOG`, or else the setting.
//!
//! Invariant: an event is one line, whatever a peer put into its fields; and logging never waits for stderr, so a pipe
//! that nobody reads and a full disk stop no shard. What is lost is counted.

mod queue;

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::panic::{self, PanicHookInfo};
use std::time::Duration;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use self::queue::Queue;
use crate::escape::{Escape, Style, escaped};
use crate::flags::LogFormat;

/// What the end of the process waits for a log target that takes no more.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// The running log; when it is dropped, what still waits is written, if that takes no longer than a second.
#[derive(Debug)]
#[must_use = "what still waits is written when it is dropped"]
pub(crate) struct Log {
    queue: Queue,
}

/// Counts the lines that were lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct DroppedLines {
    queue: Queue,
}

impl DroppedLines {
    /// Lines lost since the start.
    pub(crate) fn count(&self) -> u64 {
        self.queue.dropped()
    }
}

impl Log {
    pub(crate) fn dropped_lines(&self) -> DroppedLines {
        DroppedLines { queue: self.queue.clone() }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.flush(FLUSH_TIME_MAX);
    }
}

/// Starts logging to stderr; `level` is a filter as in `RUST_LOG`, which has precedence over it.
///
/// # Errors
/// The thread that writes cannot be started.
pub(crate) fn start(format: LogFormat, level: &str) -> io::Result<Log> {
    let queue = Queue::start(io::stderr())?;
    let (filter, problem) = filter(std::env::var("RUST_LOG").ok().as_deref(), level);
    let subscriber = subscriber(format, filter, queue.clone(), io::stderr().is_terminal());
    // It fails only when there is a subscriber already.
    tracing::subscriber::set_global_default(subscriber).ok();
    // The hook of the standard library writes to stderr itself, and would wait there.
    panic::set_hook(Box::new(log_panic));
    if let Some(problem) = problem {
        tracing::warn!("{problem}; the level is info");
    }
    Ok(Log { queue })
}

/// Writes `error` to stderr as one line. Unlike `eprintln!` it does not panic where stderr is full.
pub(crate) fn complain(error: &dyn Display) {
    writeln!(io::stderr(), "gannet: {}", escaped(&error.to_string())).ok();
}

fn filter(environment: Option<&str>, level: &str) -> (EnvFilter, Option<String>) {
    let environment = environment.filter(|text| !text.is_empty());
    let (name, text) = environment.map_or(("the level", level), |text| ("RUST_LOG", text));
    match EnvFilter::try_new(text) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(format!("{name} is {text:?}, not a filter: {error}"))),
    }
}

/// The formatter of all logs, writing to `writer`.
fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
    colours: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => {
            let fields = format::debug_fn(|to, field, value| {
                let mut to = Escape::new(to, Style::Rust);
                match field.name() {
                    "message" => write!(to, "{value:?}"),
                    name => write!(to, "{name}={value:?}"),
                }
            });
            Box::new(builder.with_ansi(colours).fmt_fields(fields.delimited(" ")).finish())
        }
        LogFormat::Json => {
            let event = format::format().json();
            Box::new(builder.fmt_fields(JsonFields::new()).event_format(JsonLine(event)).finish())
        }
    }
}

/// JSON escapes what is below a blank; this escapes the rest of what a terminal obeys.
struct JsonLine(format::Format<format::Json>);

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        Escape::new(&mut writer, Style::Json).write_str(line.trim_end_matches('\n'))?;
        writer.write_char('\n')
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let panic = info.payload_as_str().unwrap_or("a panic without a text");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(panic, location, thread = thread.name().unwrap_or_default(), "a thread panicked");
}

#[cfg(test)]
mod tests;

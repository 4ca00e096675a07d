//! Peers against the log: the real formatters, a writer that keeps what was written.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// What a peer may try in a path, a header or a close reason.
const HOSTILE: &str =
    "/a\r\n2026-11-21T00:00:00Z  INFO gannet: forged\u{1b}[2J\0\u{7f}\u{9b}31m\u{2028}\u{202e}\"}{\\";

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is logged while `log` runs.
fn logged(format: LogFormat, colours: bool, log: impl FnOnce()) -> String {
    let kept = Kept::default();
    let subscriber = subscriber(format, EnvFilter::new("info"), kept.clone(), colours);
    tracing::subscriber::with_default(subscriber, log);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Every way in which a text can get into an event.
fn log_hostile_text() {
    let error = io::Error::other(HOSTILE);
    tracing::info!(path = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, %error, "said {HOSTILE}");
    let span = tracing::info_span!("span", path = HOSTILE, shown = %HOSTILE);
    span.in_scope(|| tracing::error!(error = &error as &dyn std::error::Error, "inside"));
}

fn assert_lines_are_whole(text: &str, lines: usize) {
    assert!(text.ends_with('\n'), "{text:?}");
    assert_eq!(text.lines().count(), lines, "{text:?}");
    let rest = text.replace('\n', "");
    assert_eq!(escaped(&rest), rest, "a harmful character got through");
}

#[test]
fn hostile_text_does_not_break_a_line_of_text() {
    let text = logged(LogFormat::Text, false, log_hostile_text);
    assert_lines_are_whole(&text, 2);
    assert_eq!(text.matches("/a\\r\\n2026").count(), 8, "{text}");
    assert_eq!(text.matches("\\u{9b}31m").count(), 8, "{text}");
}

#[test]
fn hostile_text_does_not_break_an_object_of_json_and_can_be_read_back() {
    let text = logged(LogFormat::Json, false, log_hostile_text);
    assert_lines_are_whole(&text, 2);
    let values: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields = &values[0]["fields"];
    assert_eq!((&fields["path"], &fields["shown"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(fields["message"], format!("said {HOSTILE}"));
    assert_eq!(values[1]["span"]["path"], HOSTILE);
}

#[test]
fn colours_are_ours_alone() {
    let text = logged(LogFormat::Text, true, || tracing::info!(shown = %HOSTILE, "said {HOSTILE}"));
    assert!(text.contains("\u{1b}["), "the level has a colour");
    assert!(!text.contains("\u{1b}[2J"), "{text:?}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_line_of_text_is_message_and_fields() {
    let text = logged(LogFormat::Text, false, || tracing::info!(signal = 15, path = "/x", "stopping"));
    let (_, rest) = text.split_once("INFO ").unwrap();
    assert_eq!(rest, format!("{}: stopping signal=15 path=\"/x\"\n", module_path!()));
}

#[test]
fn the_environment_decides_over_the_setting_and_a_bad_filter_is_named() {
    let level = |environment, setting| {
        let (filter, problem) = filter(environment, setting);
        (filter.to_string(), problem.is_some())
    };
    assert_eq!(level(None, "debug"), ("debug".to_owned(), false));
    assert_eq!(level(Some("warn"), "debug"), ("warn".to_owned(), false));
    assert_eq!(level(Some(""), "debug"), ("debug".to_owned(), false));
    assert_eq!(level(Some("gannet=="), "debug"), ("info".to_owned(), true));
    let (_, problem) = filter(None, "x=loud");
    assert!(problem.unwrap().starts_with("the level is \"x=loud\", not a filter: "));
}

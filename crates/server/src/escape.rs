//! Text of a peer on a terminal or in a log: what could break a line or command a terminal is written as an escape.
//!
//! Invariant: what is escaped holds no control character of any kind, and no character that reorders its neighbours.

use std::fmt::{self, Write};

/// Whether `c` must not reach a terminal or a log as it is: control characters (C0, DEL, C1), line and paragraph
/// separators, and the marks that change the direction of text, which can make a line read as another one.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How a harmful character is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `\n`, `\r`, `\t` or `\u{1b}`.
    Rust,
    /// `\u001b`: inside a string of JSON it means the character itself.
    Json,
}

/// A writer that passes text on with harmful characters escaped.
pub(crate) struct Escape<W> {
    to: W,
    style: Style,
}

impl<W: Write> Escape<W> {
    pub(crate) const fn new(to: W, style: Style) -> Self {
        Self { to, style }
    }

    fn write_escaped(&mut self, c: char) -> fmt::Result {
        match (self.style, c) {
            (Style::Rust, '\n' | '\r' | '\t') => write!(self.to, "{}", c.escape_default()),
            (Style::Rust, _) => write!(self.to, "{}", c.escape_unicode()),
            (Style::Json, _) => write!(self.to, "\\u{:04x}", u32::from(c)),
        }
    }
}

impl<W: Write> Write for Escape<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_harmful(*c)) {
            self.to.write_str(&rest[..at])?;
            self.write_escaped(c)?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.to.write_str(rest)
    }
}

/// `text` with harmful characters escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // Writing to a `String` cannot fail.
    Escape::new(&mut escaped, Style::Rust).write_str(text).ok();
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_harmful_character_is_left_and_the_others_stay_as_they_are() {
        assert_eq!(escaped("a\n\r\tb\0\u{1b}[2J\u{7f}\u{9b}é"), "a\\n\\r\\tb\\u{0}\\u{1b}[2J\\u{7f}\\u{9b}é");
        assert_eq!(escaped("\u{202e}\u{2028}\u{2066}x"), "\\u{202e}\\u{2028}\\u{2066}x");
        let all: String = (char::MIN..=char::MAX).collect();
        assert!(!escaped(&all).chars().any(is_harmful));
        assert_eq!(escaped("/chat?q=\"ü\\"), "/chat?q=\"ü\\");
    }

    #[test]
    fn json_means_the_same_after_the_escape() {
        let text = "\u{9b}31m\u{2028}\u{7f}";
        let mut line = String::new();
        let quoted = serde_json::to_string(text).unwrap();
        Escape::new(&mut line, Style::Json).write_str(&quoted).unwrap();
        assert_eq!(line, r#""\u009b31m\u2028\u007f""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}

//! The list of extensions in a Sec-WebSocket-Extensions header (RFC 6455 §9.1). Invariant: one pass over the bytes,
//! whatever they are; a header that breaks the grammar is no list at all.

use std::borrow::Cow;

/// One extension of the list, with its parameters in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    pub(crate) name: &'a str,
    pub(crate) parameters: Vec<Parameter<'a>>,
}

/// `name` or `name=value` or `name="value"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<Cow<'a, str>>,
}

/// Reads the value of one header field: nothing if it breaks the grammar of RFC 6455 §9.1. Empty items of the list
/// are skipped (RFC 9110 §5.6.1).
pub(crate) fn parse_list(value: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut scanner = Scanner { rest: value };
    let mut extensions = Vec::new();
    loop {
        scanner.skip_blanks();
        if !scanner.rest.is_empty() && !scanner.rest.starts_with(b",") {
            extensions.push(scanner.extension()?);
            scanner.skip_blanks();
        }
        if scanner.rest.is_empty() {
            return Some(extensions);
        }
        scanner.expect(b',')?;
    }
}

/// What was not read yet.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn extension(&mut self) -> Option<Extension<'a>> {
        let mut extension = Extension { name: self.token()?, parameters: Vec::new() };
        loop {
            self.skip_blanks();
            if !self.accept(b';') {
                return Some(extension);
            }
            self.skip_blanks();
            extension.parameters.push(self.parameter()?);
        }
    }

    fn parameter(&mut self) -> Option<Parameter<'a>> {
        let name = self.token()?;
        self.skip_blanks();
        if !self.accept(b'=') {
            return Some(Parameter { name, value: None });
        }
        self.skip_blanks();
        let value = if self.accept(b'"') { self.quoted()? } else { Cow::Borrowed(self.token()?) };
        Some(Parameter { name, value: Some(value) })
    }

    fn token(&mut self) -> Option<&'a str> {
        let len = self.rest.iter().position(|&byte| !super::is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(len);
        self.rest = rest;
        str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    /// The rest of a quoted string. RFC 6455 §9.1: without its quotes and escapes it must be a token.
    fn quoted(&mut self) -> Option<Cow<'a, str>> {
        let mut value = String::new();
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            let byte = match byte {
                b'"' => return (!value.is_empty()).then_some(Cow::Owned(value)),
                b'\\' => {
                    let (&escaped, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    escaped
                }
                byte => byte,
            };
            if !super::is_token_byte(byte) {
                return None;
            }
            value.push(char::from(byte));
        }
    }

    fn skip_blanks(&mut self) {
        let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
        self.rest = &self.rest[self.rest.iter().take_while(blank).count()..];
    }

    fn accept(&mut self, byte: u8) -> bool {
        let Some(rest) = self.rest.strip_prefix(&[byte]) else { return false };
        self.rest = rest;
        true
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter<'a>(name: &'a str, value: Option<&'a str>) -> Parameter<'a> {
        Parameter { name, value: value.map(Cow::Borrowed) }
    }

    #[test]
    fn extensions_and_parameters_are_read_in_order() {
        let list = parse_list(b" a ; b=1;c , ,d;e = \"x\\y\" ,").expect("legal");
        let expected = [
            Extension { name: "a", parameters: vec![parameter("b", Some("1")), parameter("c", None)] },
            Extension { name: "d", parameters: vec![parameter("e", Some("xy"))] },
        ];
        assert_eq!(list, expected);
        assert_eq!(parse_list(b""), Some(vec![]));
        assert_eq!(parse_list(b",;constructor"), None);
        assert_eq!(parse_list(b"constructor").map(|list| list.len()), Some(1));
    }

    #[test]
    fn a_header_that_breaks_the_grammar_is_no_list() {
        let broken: [&[u8]; 12] = [
            b"a b",
            b"a;",
            b"a;=1",
            b"a;b=",
            b"a;b=\"\"",
            b"a;b=\"c",
            b"a;b=\"c\\",
            b"a;b=\"c d\"",
            b"a;b=\"c,d\"",
            b"a;b=\"c\"d",
            b"a/b",
            b"a;b=\xff",
        ];
        for value in broken {
            assert_eq!(parse_list(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_quoted_comma_does_not_begin_another_extension() {
        assert_eq!(parse_list(b"x; y=\",permessage-deflate; client_max_window_bits,\""), None);
    }
}

//! UTF-8, whole and in pieces (RFC 6455 §8.1). Invariant: a [`Validator`] carries only a prefix that some
//! further bytes could complete, so invalid text fails at its first offending byte.

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes are not valid UTF-8")]
pub struct InvalidUtf8;

/// Checks bytes that are complete.
///
/// # Errors
/// [`InvalidUtf8`] if they are not UTF-8.
#[inline]
pub fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// Checks text that arrives in pieces, cut anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validator {
    /// The cut sequence at the end of what was fed; three bytes at rest, four while it is completed.
    carry: [u8; 4],
    carried: usize,
}

/// The text that one piece completed, in order: first `joined`, then `text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The character that began in an earlier piece and ended in this one.
    pub joined: Option<char>,
    /// What followed it, without a sequence that was cut at the end.
    pub text: &'a str,
}

impl Validator {
    /// Checks the next piece and returns the text it completed.
    ///
    /// # Errors
    /// [`InvalidUtf8`] as soon as no continuation could make the text valid; the validator is then spent.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Result<Checked<'a>, InvalidUtf8> {
        let (joined, rest) = self.complete_carry(bytes)?;
        let (whole, cut) = split_cut_sequence(rest);
        let text = validate(whole)?;
        if !cut.is_empty() {
            check_prefix(cut)?;
            self.carry[..cut.len()].copy_from_slice(cut);
            self.carried = cut.len();
        }
        Ok(Checked { joined, text })
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if the last sequence is incomplete.
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.carried == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Adds bytes to the carried sequence until it is complete; returns its character and the remaining bytes.
    fn complete_carry<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<char>, &'a [u8]), InvalidUtf8> {
        let mut rest = bytes;
        while self.carried > 0
            && let Some((&byte, after)) = rest.split_first()
        {
            rest = after;
            self.carry[self.carried] = byte;
            self.carried += 1;
            let sequence = &self.carry[..self.carried];
            if let Ok(text) = str::from_utf8(sequence) {
                self.carried = 0;
                return Ok((text.chars().next(), rest));
            }
            check_prefix(sequence)?;
        }
        Ok((None, rest))
    }
}

/// Splits off a sequence at the end whose leading byte announces more bytes than there are.
fn split_cut_sequence(bytes: &[u8]) -> (&[u8], &[u8]) {
    let cut = (1..=bytes.len().min(3)).find(|&back| {
        let announced = match bytes[bytes.len() - back] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        announced > back
    });
    bytes.split_at(bytes.len() - cut.unwrap_or(0))
}

/// Checks that a sequence is the beginning of a valid one.
fn check_prefix(sequence: &[u8]) -> Result<(), InvalidUtf8> {
    match str::from_utf8(sequence) {
        // No `error_len` means that the bytes end inside a sequence that is valid so far.
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => Ok(()),
        _ => Err(InvalidUtf8),
    }
}

#[cfg(test)]
mod tests;

//! The cases that `loadgen cost` measures: how many connections, how large the messages, how many at once.
//! Invariant: a case is within its limits from the moment it exists, and prints in the form it is read in.

use std::fmt;
use std::str::FromStr;

/// The most connections of a case: all systems' connections of a case are open at once.
const CONNECTIONS_MAX: u32 = 5_000;
/// The most payload bytes of a message.
const PAYLOAD_BYTES_MAX: u32 = 1 << 20;
/// The most messages that one write of the client carries.
const PIPELINED_MAX: u32 = 256;

/// One workload, written `64x20`, `64x16K` or, with 32 pipelined messages, `64x20p32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// Open connections, each with one batch in flight.
    pub(crate) connections: u32,
    /// Payload bytes of each message.
    pub(crate) payload_bytes: usize,
    /// Messages of one batch: they leave in one write, and the next batch waits for all replies.
    pub(crate) pipelined: usize,
}

/// The cases that are measured when none are named.
pub(crate) const DEFAULT: &str = "64x20,1000x20,64x16K,64x64K,64x20p32,64x512p32";

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!(
                "case {text:?} is not CONNECTIONSxBYTES or CONNECTIONSxBYTESpMESSAGES: write 64x20, 64x16K, 64x20p32"
            )
        };
        let (connections, rest) = text.split_once('x').ok_or_else(malformed)?;
        let (payload, pipelined) = rest.split_once('p').unwrap_or((rest, "1"));
        let (payload, unit) = payload.strip_suffix('K').map_or((payload, 1), |kib| (kib, 1024));
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| malformed());
        Ok(Self {
            connections: within("connections", number(connections)?, CONNECTIONS_MAX)?,
            payload_bytes: within("bytes", number(payload)?.saturating_mul(unit), PAYLOAD_BYTES_MAX)?
                as usize,
            pipelined: within("pipelined messages", number(pipelined)?, PIPELINED_MAX)? as usize,
        })
    }
}

fn within(what: &str, value: u32, max: u32) -> Result<u32, String> {
    if (1..=max).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value} {what} of a case: give 1 to {max}"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}x", self.connections)?;
        match self.payload_bytes {
            bytes if bytes % 1024 == 0 => write!(out, "{}K", bytes / 1024)?,
            bytes => write!(out, "{bytes}")?,
        }
        if self.pipelined > 1 { write!(out, "p{}", self.pipelined) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_case_prints_as_it_is_read() {
        for text in DEFAULT.split(',') {
            assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_parts_of_a_case_are_connections_bytes_and_pipelined_messages() {
        assert_eq!("64x16K".parse(), Ok(Case { connections: 64, payload_bytes: 16_384, pipelined: 1 }));
        assert_eq!("7x512p32".parse(), Ok(Case { connections: 7, payload_bytes: 512, pipelined: 32 }));
    }

    #[test]
    fn a_malformed_case_is_refused_with_the_form_it_should_have() {
        for text in ["", "64", "x20", "64x", "64x20p", "64xK", "-1x20", "64x20x1"] {
            let error = text.parse::<Case>().unwrap_err();
            assert!(error.contains("64x20p32"), "{text}: {error}");
        }
    }

    #[test]
    fn a_case_beyond_its_limits_is_refused_with_the_limit() {
        for (text, limit) in
            [("0x20", "5000"), ("5001x20", "5000"), ("1x1025K", "1048576"), ("1x1p257", "256")]
        {
            let error = text.parse::<Case>().unwrap_err();
            assert!(error.contains(limit), "{text}: {error}");
        }
    }
}

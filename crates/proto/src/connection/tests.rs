//! The connection: closing states, replies in place and appended, streams cut anywhere, two ends wired together.

use super::*;

#[test]
fn a_connection_fits_into_32_bytes() {
    assert!(size_of::<Connection>() <= 32);
}

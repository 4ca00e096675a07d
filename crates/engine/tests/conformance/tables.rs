//! The table, by area, and the rows that its cases belong to.
//!
//! Invariant: an id is used once, and its row has a title; [`all`] checks both.

mod close;
mod compression;
mod control;
mod framing;
mod handshake;
mod messages;

use std::collections::HashSet;

use crate::case::Case;

/// The rows of the acceptance matrix that have cases here.
const GROUPS: [(&str, &str); 46] = [
    ("E1", "echoes"),
    ("E2", "fragmented messages"),
    ("E3", "compressed messages"),
    ("P1", "an unmasked data frame"),
    ("P2", "an unmasked control frame"),
    ("P3", "a reserved bit without an extension"),
    ("P4", "RSV1 where compression does not allow it"),
    ("P5", "a reserved opcode"),
    ("P6", "a control frame that is too long or fragmented"),
    ("P7", "fragments out of place"),
    ("P8", "64-bit lengths: top bit set, or beyond every limit"),
    ("P9", "a length not in its shortest form"),
    ("P10", "a message beyond the limit"),
    ("P11", "a compressed message beyond the limit"),
    ("P12", "a compressed message that is not DEFLATE to its end"),
    ("P13", "text that is not UTF-8"),
    ("P14", "a kind of message that the endpoint does not take"),
    ("P15", "a Close that says nothing legal"),
    ("P16", "a Close whose reason is not UTF-8"),
    ("P17", "the closing handshake"),
    ("P18", "frames behind a Close"),
    ("P19", "Closes that cross"),
    ("P20", "an end without a Close"),
    ("P21", "messages of very many fragments, or never finished"),
    ("P22", "a flood of pings"),
    ("P23", "pings and pongs"),
    ("P24", "a handler that panics"),
    ("P25", "an extension that the client required"),
    ("P26", "a flood of messages"),
    ("P27", "a stream in pieces of any size"),
    ("H1", "a method other than GET"),
    ("H2", "a request without Upgrade"),
    ("H3", "a version other than 13"),
    ("H4", "a key that is none"),
    ("H5", "the Connection field"),
    ("H6", "an HTTP version other than 1.1"),
    ("H7", "the Host field"),
    ("H8", "origins and an allow-list"),
    ("H10", "an unknown path"),
    ("H11", "a head that is too large"),
    ("H12", "a target that is too long"),
    ("H16", "bytes behind a refused request"),
    ("H17", "frames in the segment of the request"),
    ("H18", "a request that does not come"),
    ("H19", "offers of permessage-deflate"),
    ("H20", "subprotocols"),
];

/// Every case, in the order of the rows.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = [
        framing::cases(),
        control::cases(),
        messages::cases(),
        close::cases(),
        handshake::cases(),
        compression::cases(),
    ]
    .concat();
    let mut ids = HashSet::new();
    for case in &cases {
        assert!(ids.insert(case.id), "the id {} is used twice", case.id);
        assert!(!group_title(case.group()).is_empty(), "the row of {} has no title", case.id);
    }
    cases.sort_by_key(|case| GROUPS.iter().position(|(group, _)| *group == case.group()));
    cases
}

/// The title of a row; empty if it has none.
pub(crate) fn group_title(group: &str) -> &'static str {
    GROUPS.iter().find(|(id, _)| *id == group).map_or("", |(_, title)| title)
}

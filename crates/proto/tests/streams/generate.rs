//! Random streams of frames, built from the bytes up so that they do not share code with what they test.

use proptest::collection::vec;
use proptest::prelude::*;

/// A frame to put on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) key: [u8; 4],
}

impl Frame {
    pub(crate) fn encode(&self, masked: bool, wire: &mut Vec<u8>) {
        let mask_bit = if masked { 0x80 } else { 0 };
        wire.push(self.first);
        match self.payload.len() {
            len @ 0..126 => wire.push(mask_bit | len as u8),
            len @ 126..0x1_0000 => {
                wire.push(mask_bit | 126);
                wire.extend((len as u16).to_be_bytes());
            }
            len => {
                wire.push(mask_bit | 127);
                wire.extend((len as u64).to_be_bytes());
            }
        }
        if masked {
            wire.extend(self.key);
            wire.extend(self.payload.iter().zip(self.key.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            wire.extend(&self.payload);
        }
    }
}

pub(crate) fn encode(frames: &[Frame], masked: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    for frame in frames {
        frame.encode(masked, &mut wire);
    }
    wire
}

/// A legal stream: messages in one or more frames, control frames among them, perhaps a Close at the end.
pub(crate) fn legal_stream() -> impl Strategy<Value = Vec<Frame>> {
    let messages = vec(message(), 0..8);
    (messages, proptest::option::of(close())).prop_map(|(messages, close)| {
        let mut frames: Vec<Frame> = messages.into_iter().flatten().collect();
        frames.extend(close);
        frames
    })
}

fn message() -> impl Strategy<Value = Vec<Frame>> {
    let payload = prop_oneof![
        text().prop_map(|text| (0x1, text.into_bytes())),
        payload().prop_map(|bytes| (0x2, bytes)),
    ];
    let cuts = prop_oneof![3 => vec(any::<prop::sample::Index>(), 0..1), 1 => vec(any::<prop::sample::Index>(), 1..5)];
    let between = vec(control(), 0..2);
    (payload, cuts, between, any::<[u8; 4]>()).prop_map(|((opcode, payload), cuts, between, key)| {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(payload.len());
        let mut frames = Vec::new();
        let mut start = 0;
        for (at, &end) in ends.iter().enumerate() {
            let fin = if at + 1 == ends.len() { 0x80 } else { 0 };
            let first = fin | if at == 0 { opcode } else { 0x0 };
            frames.push(Frame { first, payload: payload[start..end].to_vec(), key });
            if at == 0 {
                frames.extend(between.iter().cloned());
            }
            start = end;
        }
        frames
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zäß€😀]{0,40}",
        2 => "[a-z]{60,300}",
        1 => (0x1_0000_usize..0x1_0200).prop_map(|len| "ö".repeat(len / 2)),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let large = prop_oneof![Just(0xffff_usize), 0x1_0000_usize..0x1_0200];
    prop_oneof![
        6 => vec(any::<u8>(), 0..40),
        2 => vec(any::<u8>(), 100..600),
        1 => large.prop_map(|len| (0..len).map(|at| (at % 251) as u8).collect()),
    ]
}

fn control() -> impl Strategy<Value = Frame> {
    (prop_oneof![Just(0x89), Just(0x8a)], vec(any::<u8>(), 0..=125), any::<[u8; 4]>())
        .prop_map(|(first, payload, key)| Frame { first, payload, key })
}

fn close() -> impl Strategy<Value = Frame> {
    // Without 1014, which `tungstenite` does not know.
    let code = prop_oneof![1000..=1003_u16, 1007..=1013_u16, 3000..=4999_u16];
    let payload = prop_oneof![
        Just(Vec::new()),
        (code, "[a-zé]{0,60}").prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ];
    (payload, any::<[u8; 4]>()).prop_map(|(payload, key)| Frame { first: 0x88, payload, key })
}

/// One change that may make a stream illegal: the byte at the index is combined with the value by exclusive or.
pub(crate) fn corruption() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    vec((any::<prop::sample::Index>(), 1..=u8::MAX), 0..3)
}

pub(crate) fn corrupt(wire: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    if !wire.is_empty() {
        for (at, change) in changes {
            wire[at.index(wire.len())] ^= change;
        }
    }
}

//! What a peer of a simulation does, step by step, as the seed decides.
//!
//! Invariant: a polite script is one that every server has to serve to its end: each message echoed, a clean close. A
//! rude one may do anything.

use gannet_proto::deflate::{Direction, Offer, PerMessageDeflate, WindowBits};

use super::chance::Chance;
use super::peer::{frame, request, request_with};

/// The limit that the shard of a simulation has; polite peers keep it.
pub(super) const CONTROL_FRAMES_PER_S_MAX: usize = 100;

/// One step of a script.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Writes bytes.
    Write(Vec<u8>),
    /// Writes bytes that are wrong or cut: what is echoed from now on cannot be foretold.
    Garbage(Vec<u8>),
    /// Writes a message that is to be echoed: the frames, and the first byte and payload of the echo.
    Message {
        frames: Vec<u8>,
        echo: (u8, Vec<u8>),
    },
    /// Writes a ping that is to be answered.
    Ping(Vec<u8>),
    /// Writes a Close frame (an empty one for 1005), and no answers from now on.
    Close(u16),
    /// Waits for the response to the request.
    AwaitResponse,
    /// Waits for every echo and pong, or for the end.
    AwaitEchoes,
    /// Waits for the end of the server's stream.
    AwaitEnd,
    Wait {
        turns: usize,
    },
    Window {
        bytes: usize,
    },
    Read(bool),
    /// Answers no ping and no Close from now on.
    Mute,
    EndStream,
    Reset,
}

/// The steps of one peer.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) is_polite: bool,
    /// The compression that the peer offers.
    pub(super) offer: Option<Offer>,
    /// The most bytes written in one turn.
    pub(super) piece_bytes_max: usize,
    /// First step last, so that they are popped.
    pub(super) steps: Vec<Step>,
}

impl Script {
    pub(super) fn random(chance: &mut Chance) -> Self {
        let is_polite = chance.percent(50);
        let offer = offer(chance);
        let mut steps = if is_polite { polite(chance, offer) } else { rude(chance, offer) };
        steps.reverse();
        // Large messages do not drip: they would take longer than the deadlines allow.
        let drips = chance.percent(40) && steps.iter().map(bytes_of).sum::<usize>() <= 8192;
        let piece_bytes_max = if drips { 8 + chance.below(56) } else { usize::MAX };
        Self { is_polite, offer, piece_bytes_max, steps }
    }
}

fn bytes_of(step: &Step) -> usize {
    match step {
        Step::Write(bytes) | Step::Garbage(bytes) | Step::Message { frames: bytes, .. } => bytes.len(),
        _ => 0,
    }
}

fn offer(chance: &mut Chance) -> Option<Offer> {
    let mut direction = || Direction {
        context_takeover: chance.percent(70),
        window_bits: WindowBits::new(8 + chance.below(8) as u8).expect("8 to 15"),
    };
    let deflate = PerMessageDeflate { server: direction(), client: direction() };
    chance.percent(60).then_some(Offer(deflate))
}

fn polite(chance: &mut Chance, offer: Option<Offer>) -> Vec<Step> {
    let path = if chance.percent(20) { "/greet" } else { "/" };
    let mut steps = vec![Step::Write(request_with(path, offer))];
    if chance.percent(60) {
        steps.push(Step::AwaitResponse);
    }
    // A reader that is slow and one that closes without waiting would meet the close deadline.
    let is_slow = chance.percent(40);
    for _message in 0..chance.below(10) {
        if is_slow && chance.percent(30) {
            steps.extend(slow_period(chance));
        }
        match chance.below(10) {
            0 => steps.push(Step::Ping(payload(chance, 126))),
            1 => steps.push(Step::AwaitEchoes),
            2 => steps.push(Step::Write(frame(0x8a, b"unasked"))),
            _ => steps.push(message(chance)),
        }
    }
    steps.extend([Step::Read(true), Step::Window { bytes: 1 << 20 }]);
    if is_slow || chance.percent(60) {
        steps.push(Step::AwaitEchoes);
    }
    if chance.percent(25) {
        steps.extend([Step::AwaitEchoes, Step::Write(frame(0x81, b"/close"))]);
    } else {
        steps.push(Step::Close(chance.pick(&[1000, 1001, 1005, 3000, 4999])));
    }
    steps.push(Step::AwaitEnd);
    if chance.percent(70) {
        steps.push(Step::EndStream);
    }
    steps
}

/// The peer reads little or nothing for some turns.
fn slow_period(chance: &mut Chance) -> [Step; 5] {
    [
        Step::Window { bytes: chance.pick(&[0, 1, 100, 4000]) },
        Step::Read(chance.percent(50)),
        Step::Wait { turns: 1 + chance.below(12) },
        Step::Read(true),
        Step::Window { bytes: chance.pick(&[1000, 1 << 20]) },
    ]
}

fn rude(chance: &mut Chance, offer: Option<Offer>) -> Vec<Step> {
    let mut steps = Vec::new();
    if chance.percent(15) {
        steps.push(Step::Garbage(garbage(chance)));
    } else if chance.percent(10) {
        steps.push(Step::Garbage(cut(request("/"), chance)));
    } else {
        let paths = [
            "/",
            "/",
            "/",
            "/rejected",
            "/greet",
            "/close",
            "/flood",
            "/large",
            "/flood-on-drain",
            "/close-on-drain",
            "/panic",
            "/panic-on-upgrade",
            "/panic-on-drain",
            "/panic-on-close",
        ];
        steps.push(Step::Write(request_with(chance.pick(&paths), offer)));
    }
    for _deed in 0..chance.below(8) {
        steps.push(deed(chance));
    }
    steps
}

fn deed(chance: &mut Chance) -> Step {
    match chance.below(16) {
        0 => Step::Reset,
        1 => Step::EndStream,
        2 => Step::Mute,
        3 => Step::Read(chance.percent(40)),
        4 => Step::Window { bytes: chance.pick(&[0, 1, 5000, 1 << 20]) },
        5 => Step::Wait { turns: 1 + chance.below(40) },
        6 => Step::Garbage(garbage(chance)),
        7 => Step::Close(chance.pick(&[1000, 1006, 4000])),
        8 | 9 => {
            let commands = ["/close", "/flood", "/large", "/large-and-close", "/quiet", "/greet-and-panic"];
            Step::Write(frame(0x81, chance.pick(&commands).as_bytes()))
        }
        10 => Step::Garbage(cut(frame(0x82, &payload(chance, 2000)), chance)),
        11 => Step::Ping(payload(chance, 126)),
        _ => message(chance),
    }
}

/// Frames that no server may accept, too many that it may, and bytes that are no frames at all.
fn garbage(chance: &mut Chance) -> Vec<u8> {
    match chance.below(10) {
        0 => b"\x81\x05Hello".to_vec(),
        1 => frame(0xc1, b"reserved bit"),
        2 => frame(0x83, b"reserved opcode"),
        3 => frame(0x80, b"nothing to continue"),
        4 => frame(0x09, b"a ping in fragments"),
        5 => frame(0x81, b"no \xff UTF-8"),
        6 => frame(0x88, b"\x03"),
        7 => [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[1; 4]].concat(),
        8 => frame(0x89, b"again").repeat(CONTROL_FRAMES_PER_S_MAX + 1),
        _ => payload(chance, 3000),
    }
}

fn cut(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    bytes.truncate(chance.below(bytes.len()));
    bytes
}

/// A text or binary message, in one frame or several, perhaps with a pong among them.
fn message(chance: &mut Chance) -> Step {
    let is_text = chance.percent(50);
    let bytes_max = match chance.below(100) {
        0..50 => 127,
        50..85 => 3_000,
        85..97 => 70_000,
        _ => 300 * 1024,
    };
    let mut payload = payload(chance, bytes_max);
    if is_text {
        payload.iter_mut().for_each(|byte| *byte = b'a' + *byte % 26);
    }
    let opcode = if is_text { 0x1 } else { 0x2 };
    let fragments = if chance.percent(30) { 2 + chance.below(4) } else { 1 };
    let piece_bytes = (payload.len() / fragments).max(1);
    let mut pieces: Vec<&[u8]> = payload.chunks(piece_bytes).collect();
    if pieces.is_empty() || chance.percent(10) {
        pieces.push(&[]);
    }
    let mut frames = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let fin = if at + 1 == pieces.len() { 0x80 } else { 0 };
        frames.extend(frame(fin | if at == 0 { opcode } else { 0 }, piece));
        if fin == 0 && chance.percent(20) {
            frames.extend(frame(0x8a, b"between"));
        }
    }
    Step::Message { frames, echo: (opcode, payload) }
}

/// Bytes of a random length below `end`, whose first one is not the mark of what is no echo.
fn payload(chance: &mut Chance, end: usize) -> Vec<u8> {
    let (length, first) = (chance.below(end), chance.below(255));
    (0..length).map(|at| 1 + ((first + at) % 255) as u8).collect()
}

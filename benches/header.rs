//! Encode the header of an unmasked frame, as a server sends it.
//! Invariant: every contender writes the same bytes into the same place, which must be seen by the compiler as used.
#![forbid(unsafe_code)]

use std::hint::black_box;

use benches::{Contender, PAYLOADS};
use criterion::{Bencher, BenchmarkId, Criterion};
use gannet_proto::frame::{Header, Opcode, encode_header};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// The longest header of any frame.
const HEADER_BYTES_MAX: usize = 14;

fn main() {
    let mut criterion = benches::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let contenders: [Contender<u64>; 3] =
        [("gannet", gannet), ("tungstenite", tungstenite), ("fastwebsockets", fastwebsockets)];
    let mut group = criterion.benchmark_group("header");
    for (size, payload_bytes) in PAYLOADS {
        for (name, run) in contenders {
            group.bench_with_input(BenchmarkId::new(name, size), &(payload_bytes as u64), run);
        }
    }
    group.finish();
}

fn gannet(bencher: &mut Bencher<'_>, payload_len: &u64) {
    let mut place = [0; HEADER_BYTES_MAX];
    bencher.iter(|| {
        let header = Header {
            fin: true,
            compressed: false,
            opcode: Opcode::Binary,
            masking_key: None,
            payload_len: black_box(*payload_len),
        };
        let written = encode_header(&mut place, &header);
        black_box(&place);
        written
    });
}

fn tungstenite(bencher: &mut Bencher<'_>, payload_len: &u64) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    let mut place = [0; HEADER_BYTES_MAX];
    bencher.iter(|| {
        let mut rest = &mut place[..];
        header.format(black_box(*payload_len), &mut rest).expect("the place takes any header");
        let written = HEADER_BYTES_MAX - rest.len();
        black_box(&place);
        written
    });
}

fn fastwebsockets(bencher: &mut Bencher<'_>, payload_len: &u64) {
    // Its header is written from a frame with its payload, of which only the length is read.
    let payload = vec![0; usize::try_from(*payload_len).expect("a payload fits in memory")];
    let mut frame = fastwebsockets::Frame::binary(fastwebsockets::Payload::Borrowed(&payload));
    let mut place = [0; HEADER_BYTES_MAX];
    bencher.iter(|| {
        let written = black_box(&mut frame).fmt_head(&mut place);
        black_box(&place);
        written
    });
}

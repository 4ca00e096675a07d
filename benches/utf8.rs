//! Validate text, whole and as one piece of a longer message, beside the standard library.
//! Invariant: every contender sees the same valid text, so all of it is read.
#![forbid(unsafe_code)]

use std::hint::black_box;

use benches::{Contender, PAYLOADS};
use criterion::{Bencher, BenchmarkId, Criterion, Throughput};
use gannet_proto::utf8::{Validator, validate};

/// Text of one to four bytes a character.
const MIXED: &str = "Gannet, Baßtölpel, フエダイ, 鰹鳥, δύτης, 🐦🌊; ";
const ASCII: &str = "{\"type\":\"position\",\"x\":12.5,\"y\":-3.25}, ";

fn main() {
    let mut criterion = benches::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let contenders: [Contender<String>; 3] =
        [("gannet", gannet), ("gannet-piece", gannet_piece), ("std", std_library)];
    let mut group = criterion.benchmark_group("utf8");
    for (kind, pattern) in [("ascii", ASCII), ("mixed", MIXED)] {
        for (size, bytes) in PAYLOADS {
            let text = text(pattern, bytes);
            group.throughput(Throughput::Bytes(text.len() as u64));
            for (name, run) in contenders {
                group.bench_with_input(BenchmarkId::new(name, format!("{kind}-{size}")), &text, run);
            }
        }
    }
    group.finish();
}

/// The pattern over and over, `bytes_max` bytes at most and cut between characters.
fn text(pattern: &str, bytes_max: usize) -> String {
    let mut text = pattern.repeat(bytes_max / pattern.len() + 1);
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

fn gannet(bencher: &mut Bencher<'_>, text: &String) {
    bencher.iter(|| validate(black_box(text.as_bytes())).is_ok());
}

fn gannet_piece(bencher: &mut Bencher<'_>, text: &String) {
    bencher.iter(|| Validator::default().feed(black_box(text.as_bytes())).is_ok());
}

fn std_library(bencher: &mut Bencher<'_>, text: &String) {
    bencher.iter(|| std::str::from_utf8(black_box(text.as_bytes())).is_ok());
}

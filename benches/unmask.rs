//! Unmask a payload, in place or moved left by the difference of two headers, beside a copy of as many bytes.
//! Invariant: all work on memory that begins at a multiple of 64 bytes; the bytes need no restoring, since the work
//! does not depend on their values.
#![forbid(unsafe_code)]

use std::hint::black_box;

use benches::{Aligned, Contender};
use criterion::{Bencher, BenchmarkId, Criterion, Throughput};
use gannet_proto::mask::{unmask, unmask_left};

const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// What a client's header has more than the reply's: the masking key.
const HEADER_DIFFERENCE: usize = 4;
/// From a chat message to the largest payload that stays in a cache of today; one of no round length.
const SIZES: [(&str, usize); 7] = [
    ("64B", 64),
    ("125B", 125),
    ("1KiB", 1 << 10),
    ("4KiB", 4 << 10),
    ("16KiB", 16 << 10),
    ("64KiB", 64 << 10),
    ("1MiB", 1 << 20),
];

fn main() {
    let mut criterion = benches::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let contenders: [Contender<usize>; 3] =
        [("gannet", in_place), ("gannet-left", moved_left), ("memcpy", memcpy)];
    let mut group = criterion.benchmark_group("unmask");
    for (name, bytes) in SIZES {
        group.throughput(Throughput::Bytes(bytes as u64));
        for (contender, run) in contenders {
            group.bench_with_input(BenchmarkId::new(contender, name), &bytes, run);
        }
    }
    group.finish();
}

fn in_place(bencher: &mut Bencher<'_>, bytes: &usize) {
    let mut payload = Aligned::new(*bytes);
    bencher.iter(|| unmask(black_box(payload.bytes()), black_box(MASKING_KEY)));
}

fn moved_left(bencher: &mut Bencher<'_>, bytes: &usize) {
    let mut window = Aligned::new(HEADER_DIFFERENCE + *bytes);
    bencher.iter(|| unmask_left(black_box(window.bytes()), HEADER_DIFFERENCE, black_box(MASKING_KEY)));
}

fn memcpy(bencher: &mut Bencher<'_>, bytes: &usize) {
    let mut source = Aligned::new(*bytes);
    let mut target = Aligned::new(*bytes);
    bencher.iter(|| black_box(target.bytes()).copy_from_slice(black_box(source.bytes())));
}

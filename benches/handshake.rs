//! Read an opening handshake and write its acceptance.
//! Invariant: the request arrives whole, and every contender ends with the response in memory.
#![forbid(unsafe_code)]

use std::hint::black_box;

use benches::{Contender, Memory, TUNGSTENITE_READ_BYTES};
use criterion::{Bencher, BenchmarkId, Criterion};
use gannet_proto::handshake::{HeadScanner, Limits, write_accept};
use tungstenite::protocol::WebSocketConfig;

/// The fields that RFC 6455 §4.1 demands.
const MINIMAL: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// What a browser of today sends.
const BROWSER: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
    AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\n\
    Origin: https://example.com\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

fn main() {
    let mut criterion = benches::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let contenders: [Contender<str>; 2] = [("gannet", gannet), ("tungstenite", tungstenite)];
    let mut group = criterion.benchmark_group("handshake");
    for (kind, request) in [("minimal", MINIMAL), ("browser", BROWSER)] {
        for (name, run) in contenders {
            group.bench_with_input(BenchmarkId::new(name, kind), request, run);
        }
    }
    group.finish();
}

fn gannet(bencher: &mut Bencher<'_>, request: &str) {
    let limits = Limits::default();
    let mut out = Vec::with_capacity(1024);
    bencher.iter(|| {
        out.clear();
        let (request, _) = HeadScanner::default()
            .read_request(black_box(request.as_bytes()), &limits)
            .expect("the request is legal")
            .expect("the request is whole");
        write_accept(&mut out, &request, None, None, &[]).expect("no field was added");
        black_box(out.len())
    });
}

/// Its handshake takes and returns the stream, and makes the connection ready for frames.
fn tungstenite(bencher: &mut Bencher<'_>, request: &str) {
    let config = WebSocketConfig::default().read_buffer_size(TUNGSTENITE_READ_BYTES);
    let mut stream = Some(Memory::new(request.as_bytes().to_vec()));
    bencher.iter(|| {
        let mut memory = stream.take().expect("the iteration before gave it back");
        memory.rewind();
        let socket = tungstenite::accept_with_config(memory, Some(config)).expect("the request is legal");
        let memory = socket.into_inner();
        black_box(memory.output.len());
        stream = Some(memory);
    });
}

//! Parse, unmask and deliver 64 KiB of binary frames that are in memory (one frame in the case of 64 KiB).
//! Invariant: a connection lives on from batch to batch, and each batch reaches it by a copy from the pristine bytes
//! within the timed region: one copy for all contenders, standing for the receive. Nothing is subtracted.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use benches::{Aligned, Batch, Contender, Memory, PAYLOADS, TUNGSTENITE_READ_BYTES};
use criterion::{Bencher, BenchmarkId, Criterion, Throughput};
use gannet_proto::{Codec, Connection, Event, Received};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

fn main() {
    let mut criterion = benches::criterion();
    bench(&mut criterion);
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion) {
    let contenders: [Contender<Batch>; 3] =
        [("gannet", gannet), ("tungstenite", tungstenite), ("fastwebsockets", fastwebsockets)];
    let mut group = criterion.benchmark_group("frame");
    for (size, payload_bytes) in PAYLOADS {
        let batch = Batch::new(payload_bytes);
        let payload_bytes = (batch.frames * batch.payload_bytes) as u64;
        group
            .throughput(Throughput::ElementsAndBytes { elements: batch.frames as u64, bytes: payload_bytes });
        for (name, run) in contenders {
            group.bench_with_input(BenchmarkId::new(name, size), &batch, run);
        }
    }
    group.finish();
}

/// As a shard does it: one receive into the shard's buffer, payloads borrowed from it.
fn gannet(bencher: &mut Bencher<'_>, batch: &Batch) {
    let mut codec = Codec::default();
    let mut connection = Connection::server();
    let mut buffer = Aligned::new(batch.bytes.len());
    let mut out = Vec::new();
    bencher.iter(|| {
        buffer.bytes().copy_from_slice(&batch.bytes);
        let mut received = Received::new(buffer.bytes());
        let mut frames = 0;
        while let Some(event) =
            connection.poll_event(&mut codec, &mut received, &mut out).expect("the batch is well-formed")
        {
            if let Event::Message(message) = event {
                deliver(batch, message.as_bytes());
                frames += 1;
            }
        }
        assert_eq!(frames, batch.frames);
    });
}

/// As a server on blocking or polled sockets uses it; each payload is a reference-counted part of its buffer.
fn tungstenite(bencher: &mut Bencher<'_>, batch: &Batch) {
    let config = WebSocketConfig::default().read_buffer_size(TUNGSTENITE_READ_BYTES);
    let mut socket = WebSocket::from_raw_socket(Memory::new(batch.bytes.clone()), Role::Server, Some(config));
    bencher.iter(|| {
        socket.get_mut().rewind();
        for _ in 0..batch.frames {
            let message = socket.read().expect("the batch is well-formed");
            deliver(batch, &message.into_data());
        }
    });
}

/// As its examples use it: fragments are collected, reading is a future. The stream is always ready, so the future
/// of a whole batch is ready at its first poll.
fn fastwebsockets(bencher: &mut Bencher<'_>, batch: &Batch) {
    let stream = Ready(Memory::new(batch.bytes.clone()));
    let socket = fastwebsockets::WebSocket::after_handshake(stream, fastwebsockets::Role::Server);
    let mut socket = fastwebsockets::FragmentCollector::new(socket);
    let mut context = Context::from_waker(Waker::noop());
    bencher.iter(|| {
        let reading = pin!(async {
            for _ in 0..batch.frames {
                let frame = socket.read_frame().await.expect("the batch is well-formed");
                deliver(batch, &frame.payload);
            }
        });
        assert!(reading.poll(&mut context).is_ready());
    });
}

/// The application: it checks the length, and by the ends of the counting payload that it was unmasked.
fn deliver(batch: &Batch, payload: &[u8]) {
    let payload = black_box(payload);
    assert_eq!(payload.len(), batch.payload_bytes);
    let [first, .., last] = payload else { panic!("a payload of a batch has two bytes or more") };
    assert_eq!(last.wrapping_sub(*first), (batch.payload_bytes - 1) as u8);
}

/// [`Memory`] for asynchronous readers: never pending. It starts again where its input ends.
struct Ready(Memory);

impl AsyncRead for Ready {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        let mut taken = self.0.take(room);
        if taken.is_empty() {
            self.0.rewind();
            taken = self.0.take(room);
        }
        buffer.put_slice(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ready {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

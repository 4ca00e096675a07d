//! What the benches share: batches of frames.

//! The gannet server.
fn main() {}

//! What the fuzz targets share: reading settings from an input, an end of a connection that takes note of all that
//! comes of it, and a check of what is sent.
//!
//! Invariant: a run depends on its input alone, so a finding is reproduced by its file.
#![forbid(unsafe_code)]

mod app;
mod end;
mod input;
mod wire;

pub use app::{App, Calls, REFUSED_PATH};
pub use end::{Behaviour, End, Seen};
pub use input::Input;
pub use wire::{Frame, masked_frame, parse_sent};

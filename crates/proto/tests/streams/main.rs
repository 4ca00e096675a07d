//! Whole streams through the public API: cut anywhere, against another implementation, and two ends wired together.

mod differential;
mod generate;
mod harness;
mod splits;
mod two_ends;

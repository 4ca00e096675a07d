//! Sockets as completions.

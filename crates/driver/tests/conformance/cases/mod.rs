//! The cases by area. Each claims in its name what it shows, and knows no backend.

pub(crate) mod accept;
pub(crate) mod close;
pub(crate) mod pause;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod token;

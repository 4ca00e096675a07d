//! The applications that the server comes with, one file each.

pub(crate) mod echo;

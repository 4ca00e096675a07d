//! Why an engine did not start, or did not end well. Every message names the value, the limit and the remedy.

use std::io;

use gannet_driver::{LimitError, ListenAddress};

use crate::config::ConfigError;

/// Why an engine did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The descriptors of this machine do not allow the connections asked for.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A place could not be listened on.
    #[error("cannot listen on {address}: {source}; choose another address or end the process that holds it")]
    Listen {
        /// The address asked for.
        address: ListenAddress,
        /// What the kernel said.
        source: io::Error,
    },
    /// A shard could not be started.
    #[error("cannot start shard {shard}: {source}")]
    Start {
        /// The number of the shard, from 0.
        shard: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// A shard ended on an error of its driver.
    #[error("shard {shard} ended: {source}")]
    Shard {
        /// The number of the shard, from 0.
        shard: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// A shard panicked, in the engine or where its handler was made. A call of the handler that panics ends one
    /// connection instead.
    #[error("shard {shard} panicked")]
    Panicked {
        /// The number of the shard, from 0.
        shard: usize,
    },
}

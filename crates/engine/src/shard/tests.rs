//! Whole shards on the simulated driver, in virtual time.
//!
//! Invariant: no socket, no thread and no wait. A test decides how much time passes between two turns, and after every
//! turn the table of the shard, its counters, the records of its handler and the network have to agree.

mod chance;
mod compression;
mod deadlines;
mod drain;
mod endings;
mod floods;
mod limits;
mod outside;
mod panics;
mod peer;
mod plain;
mod pressure;
mod recorder;
mod rig;
mod script;
mod simulation;

//! Starts the distributed binaries on real servers, each set with topics, tables and keys of its own.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod process;
mod set;

pub use process::Process;
pub use set::{Binary, Servers, Set};

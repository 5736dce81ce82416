//! Rules about the code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod adapters;
mod circles;
mod configuration;
mod dependencies;
mod documentation;
mod files;
mod fixtures;
mod ports;
mod sources;

use std::path::PathBuf;

/// The top of the project.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

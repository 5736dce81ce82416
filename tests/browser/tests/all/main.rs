//! Exported recordings, played in a browser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod player;
mod recorder;
mod replay_export;
mod untrusted;

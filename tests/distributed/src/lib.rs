//! Starts the distributed binaries on real servers, each set with topics, tables and keys of its own.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod process;
mod set;

pub use process::Process;
pub use set::{Binary, Servers, Set};

/// Waits until no other test of the process runs: each starts many processes, and what is killed has to come up again
/// in time.
pub async fn one_at_a_time() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    TURN.lock().await
}

//! Starts the real binary and talks to it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod api;
mod binary;
pub mod fixture;
pub mod load;
pub mod recordings;
pub mod replays;
mod server;
pub mod truth;

pub use api::{Answer, Api, ledger_sum};
pub use binary::{built, gosight, released};
pub use server::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, ServerBuilder};

use std::time::Duration;

/// How often a test that kills does so: `times`, as many times over as `GOSIGHT_TEST_ROUNDS` says. `cargo xtask soak` sets it.
pub fn rounds(times: usize) -> usize {
    let over = std::env::var("GOSIGHT_TEST_ROUNDS").map(|over| over.parse::<usize>().expect("a number"));
    times * over.unwrap_or(1)
}

/// How long a condition may take to come true. Far more than it takes.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until `check` gives something.
///
/// # Panics
/// When it does not in time; `what` says what was waited for.
pub async fn wait_for<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

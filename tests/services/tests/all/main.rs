//! Private servers, the proxy, and the same set for containers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod compose;
mod instances;
mod orphans;
mod proxy;
mod stored;

//! Against real servers: the shared one, and for failures ones of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod conformance;
mod deduplicator;
mod failure;
mod harness;
mod key_cache;
mod profile_cache;
mod rate_limiter;
mod session_cache;
mod session_races;

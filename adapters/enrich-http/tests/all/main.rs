//! The enricher against a real server, which does not always answer as it should.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod faults;
mod requests;
mod service;

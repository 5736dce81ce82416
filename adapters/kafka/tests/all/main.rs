//! Against real brokers: the shared one, and for failures ones of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod dead_letters;
mod group;
mod harness;
mod members;
mod outages;
mod produce;
mod records;
mod topics;

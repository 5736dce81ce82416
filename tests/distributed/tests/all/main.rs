//! The distributed binaries on real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod breakers;
mod commands;
mod exact;
mod faults;
mod kills;
mod log;
mod matrix;
mod outage;
mod poison;
mod replay_kills;
mod replays;
mod three_brokers;
mod traffic;
mod version_09ea4e6;

//! The real binary, end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad_input;
mod bad_replays;
mod browser_sessions;
mod commands;
mod dead_letters;
mod kills;
mod large_replay;
mod lost_database;
mod processing;
mod replay_commands;
mod replay_kills;
mod serve;
mod storage;
mod version_09ea4e6;

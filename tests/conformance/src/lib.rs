//! One suite per port, run against every adapter of it.
//!
//! Each case is a sentence of the port's contract. An adapter runs a suite by naming a function that makes a fresh
//! fixture (a database, topic or prefix of its own) for every case:
//!
//! ```text
//! mod dead_letters {
//!     gosight_conformance::dead_letters_suite!(super::fresh);
//! }
//! ```

#![expect(missing_docs, reason = "a case is named by the sentence that it checks")]
#![expect(missing_debug_implementations, reason = "fixtures hold closures")]
#![expect(clippy::expect_used, clippy::panic, reason = "a case fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "a case fails by panicking")]

pub mod accepted_chunks;
pub mod aggregate_store;
pub mod batch_store;
pub mod dead_letters;
pub mod deduplicator;
pub mod event_query;
pub mod event_sink;
pub mod factory;
pub mod key_store;
pub mod key_validator;
pub mod profile_store;
pub mod rate_limiter;
pub mod record_log;
pub mod replay_archive;
pub mod replay_catalogue;
pub mod replay_store;
pub mod session_cache;
pub mod session_store;

/// Whatever has to live as long as a fixture: a temporary directory, a running server.
pub type Keep = Box<dyn std::any::Any + Send + Sync>;

/// Defines the macro that makes one test of each case. The cases are listed once, where the suite is.
macro_rules! suite {
    ($dollar:tt $name:ident, $module:ident: $($case:ident)+) => {
        /// Runs every case of the suite on fresh fixtures.
        #[macro_export]
        macro_rules! $name {
            ($dollar fresh:path) => {
                $(
                    #[tokio::test(flavor = "multi_thread")]
                    async fn $case() {
                        $crate::$module::$case($dollar fresh().await).await;
                    }
                )+
            };
        }
    };
}
use suite;

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
pub mod event_enricher;
pub mod event_measure;
pub mod event_query;
pub mod event_rows;
pub mod event_sink;
pub mod factory;
mod given_up;
pub mod interrupted_batches;
pub mod key_store;
pub mod key_validator;
pub mod ledger;
pub mod processed;
pub mod profile_store;
pub mod rate_limiter;
pub mod record_log;
pub mod refused_rows;
pub mod replay_archive;
pub mod replay_catalogue;
pub mod replay_store;
pub mod session_cache;
pub mod session_store;
pub mod steps;
pub mod stored_events;

use futures::future::BoxFuture;

/// Whatever has to live as long as a fixture: a temporary directory, a running server.
pub type Keep = Box<dyn std::any::Any + Send + Sync>;

/// Gives a fixture as a new process would find it after a crash of the one that had it. What is in memory only is gone.
pub type Reopen<F> = Box<dyn FnOnce(F) -> BoxFuture<'static, F> + Send + Sync>;

/// Opens a part as a new process finds it after a crash, with what has to live as long.
pub type OpenAgain<P> = Box<dyn FnOnce() -> BoxFuture<'static, (P, Keep)> + Send + Sync>;

/// A case of a suite, to be run by name.
pub struct Case<F> {
    /// Its name, which is the sentence that it checks.
    pub name: &'static str,
    /// Runs it on a fresh fixture. It fails by panicking.
    pub run: fn(F) -> BoxFuture<'static, ()>,
}

/// Defines the macro that makes one test of each case. The cases are listed once, where the suite is.
macro_rules! suite {
    ($dollar:tt $name:ident, $module:ident($fixture:ty): $($case:ident)+) => {
        /// The cases of the suite.
        pub fn cases() -> Vec<$crate::Case<$fixture>> {
            vec![$($crate::Case { name: stringify!($case), run: |fixture| Box::pin($case(fixture)) }),+]
        }

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

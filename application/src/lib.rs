//! Ports and use cases of gosight.
//!
//! The use cases know no technology: they are written against the [`ports`], and whoever runs them picks the adapters.
//!
//! | use case | does |
//! | --- | --- |
//! | [`access`] | turns a key into proof of what its holder may do |
//! | [`ingest`] | checks, enriches and logs what clients send |
//! | [`enrich`] | runs enrichers, which tell more about events |
//! | [`process`] | takes batches from the log, deduplicates, enriches, filters, folds and stores them, once |
//! | [`query`] | answers questions |
//!
//! [`decorators`] add retry, fan-out and observation to any [`EventSink`](ports::EventSink), and caching to keys.

pub mod access;
pub mod backoff;
pub mod circuit_breaker;
pub mod codec;
pub mod dead_letters;
pub mod decorators;
pub mod direct_sink;
pub mod enrich;
pub mod enrichers;
pub mod ingest;
pub mod keys;
mod kill_point;
pub mod local_fences;
pub mod local_log;
mod log_sink;
pub mod pipeline;
pub mod ports;
pub mod process;
pub mod projects;
pub mod query;
pub mod replay;
mod secret;
pub mod sessions;
mod settings;
pub mod surface;
pub mod telemetry;

pub use kill_point::kill_point;
#[cfg(feature = "failpoints")]
pub use kill_point::read_kill_points;
pub use log_sink::LogSink;
pub use pipeline::Pipeline;
pub use secret::Secret;
pub use telemetry::Telemetry;

/// Names of the logs (Kafka topics).
pub mod logs {
    /// Events that were accepted.
    pub const EVENTS: &str = "gosight.events.raw";
    /// Items that were refused by the ingest API, with the reason.
    pub const ERRORS: &str = "gosight.events.errors";
    /// What the ledger calls events that are stored without a log.
    pub const DIRECT: &str = "gosight.events.direct";
    /// Replay chunks that were accepted.
    pub const REPLAY: &str = "gosight.replay.chunks";
    /// The logs that are processed, each with the consumer group of those that do it.
    pub const PROCESSED: [(&str, &str); 2] =
        [(EVENTS, "gosight-event-processor"), (REPLAY, "gosight-replay-processor")];
}

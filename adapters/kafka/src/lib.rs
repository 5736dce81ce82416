//! The event log on Kafka: producer, consumer groups, dead letters and the topics they need.
//!
//! | type | port |
//! | --- | --- |
//! | [`KafkaLog`] | [`RecordLog`](gosight_application::ports::RecordLog), and [`HealthCheck`](gosight_application::ports::HealthCheck) |
//! | [`KafkaSource`] | [`EventSource`](gosight_application::ports::EventSource), one stream per partition |
//! | [`KafkaDeadLetters`] | [`DeadLetters`](gosight_application::ports::DeadLetters) on a compacted topic |
//!
//! [`ensure_topics`] makes the topics, and refuses ones whose settings would lose records.
//!
//! The features `tls` and `sasl` add encrypted and authenticated connections; both link the system's OpenSSL.

mod client;
pub mod config;
mod dead_letters;
mod error;
mod log;
mod producer;
mod source;
mod topics;

pub use config::{ConfigError, KafkaConfig};
pub use dead_letters::KafkaDeadLetters;
pub use log::KafkaLog;
pub use source::{KafkaLogEnds, KafkaSource};
pub use topics::{Ensured, TopicError, TopicFault, ensure_topics};

/// The adapter's name in errors.
const ADAPTER: &str = "kafka";

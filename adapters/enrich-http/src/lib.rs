//! Asks an HTTP service of the operator's what it knows of events.
//!
//! [`HttpEnricher`] is an [`EventEnricher`](gosight_application::ports::EventEnricher). It posts events in batches, as
//!
//! ```json
//! {"events": [{"event_id": "…", "project_id": "shop", "event_type": "purchase", "user_id": "u-1", "payload": {"price": 9}}]}
//! ```
//!
//! each in the form that it has in the log, and takes
//!
//! ```json
//! {"contexts": [{"segment": "gold"}]}
//! ```
//!
//! for an answer: one object for each event in their order, or `null` where nothing is known. What is known stands in the
//! event's `context` under the enricher's name. With [`key`](HttpCacheConfig::key) answers are kept in memory.

mod cache;
mod config;
mod enricher;
mod wire;

pub use config::{HttpCacheConfig, HttpEnricherConfig, HttpEnricherConfigError};
pub use enricher::HttpEnricher;
pub use gosight_application::Secret;

/// Names this adapter in errors.
const ADAPTER: &str = "http enricher";

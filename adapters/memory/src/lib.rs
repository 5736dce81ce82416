//! Every port in memory: for unit tests, and for embedders who test against the ports.
//!
//! Nothing here survives the process, and nothing pretends to. Everything else follows the ports' contracts to the
//! letter; the conformance suites run against this crate like against any other adapter.
//!
//! ```
//! use std::sync::Arc;
//! use gosight_application::LogSink;
//! use gosight_application::ports::EventSink;
//! use gosight_domain::{Event, EventId, EventName, ProjectId, Timestamp};
//! use gosight_memory::MemoryLog;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = Arc::new(MemoryLog::new(4));
//! let sink = LogSink::new(log.clone(), "events");
//! let project = ProjectId::new("default")?;
//! let id = EventId::from_client(&project, "e-1")?;
//! sink.append(&[Event::new(id, project, EventName::new("click")?, Timestamp::from_millis(0))]).await?;
//! assert_eq!(log.records("events").len(), 1);
//! # Ok(())
//! # }
//! ```

mod accepted_chunks;
mod clock;
mod dead_letters;
mod keys;
mod log;
mod pipeline;
mod profiles;
mod rate_limiter;
mod replay_archive;
mod replay_catalogue;
mod session_cache;
mod store;

pub use accepted_chunks::MemoryAcceptedChunks;
pub use clock::ManualClock;
pub use dead_letters::MemoryDeadLetters;
pub use keys::MemoryKeys;
pub use log::MemoryLog;
pub use pipeline::{MemoryParts, pipeline};
pub use profiles::MemoryProfiles;
pub use rate_limiter::MemoryRateLimiter;
pub use replay_archive::MemoryReplayArchive;
pub use replay_catalogue::MemoryReplayCatalogue;
pub use session_cache::MemorySessionCache;
pub use store::MemoryStore;

/// What errors of this crate call it. They do not happen, but the ports ask for a name.
const ADAPTER: &str = "memory";

//! The pipeline over Kafka, `ClickHouse`, Redis and `PostgreSQL`: what the thin binaries run.
//!
//! ```text
//!  clients ──▶ ingestor ──▶ Kafka ──▶ event-processor ──▶ ClickHouse ──▶ api ──▶ askers
//!                              └────▶ replay-processor ────▲
//! ```
//!
//! Every binary has the same settings, of which it uses its own; the use cases are those of the embedded mode.

mod cli;
pub mod config;
mod limiter;
mod node;
mod parts;

use gosight_application::logs;
use gosight_runtime::processing::{EVENT_PROCESSOR, REPLAY_PROCESSOR};

pub use cli::{main, run};
pub use config::Config;
pub use node::{Node, NodeError};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes events and replay chunks.
    Ingestor,
    /// Processes events.
    EventProcessor,
    /// Processes replay chunks.
    ReplayProcessor,
    /// Answers questions.
    Api,
    /// All of that, in one process.
    Everything,
}

/// A log, and the group of those that process it.
type ProcessedLog = (&'static str, &'static str);

const EVENTS: ProcessedLog = (logs::EVENTS, EVENT_PROCESSOR);
const REPLAY: ProcessedLog = (logs::REPLAY, REPLAY_PROCESSOR);

impl Role {
    /// Name of the binary.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingestor => "ingestor",
            Self::EventProcessor => "event-processor",
            Self::ReplayProcessor => "replay-processor",
            Self::Api => "api",
            Self::Everything => "gosight",
        }
    }

    /// What it does, for `--help`.
    const fn about(self) -> &'static str {
        match self {
            Self::Ingestor => "Take events and replay chunks over HTTP and write them to Kafka",
            Self::EventProcessor => "Read events from Kafka and store them in ClickHouse",
            Self::ReplayProcessor => "Read replay chunks from Kafka and store them in ClickHouse",
            Self::Api => "Answer questions over HTTP from ClickHouse",
            Self::Everything => "Take, process and answer, over Kafka and ClickHouse",
        }
    }

    const fn takes(self) -> bool {
        matches!(self, Self::Ingestor | Self::Everything)
    }

    const fn logs(self) -> &'static [ProcessedLog] {
        match self {
            Self::EventProcessor => &[EVENTS],
            Self::ReplayProcessor => &[REPLAY],
            Self::Everything => &[EVENTS, REPLAY],
            Self::Ingestor | Self::Api => &[],
        }
    }

    const fn answers(self) -> bool {
        matches!(self, Self::Api | Self::Everything)
    }
}

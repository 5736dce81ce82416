//! The whole pipeline, put together from its ports in one place.
//!
//! A preset fills the ports: `gosight_memory::pipeline()` with memory, `gosight::Gosight` with a data directory or servers.
//! Every part may be another's: [`PipelineBuilder::with_sessions`] and its like work in each preset.
//!
//! ```text
//!  events ─▶ Ingest ─▶ EventSink ─▶ log ─▶ LogConsumer ─▶ EventHandler ─▶ BatchStore ─▶ Query
//!  chunks ─▶        └▶ RecordLog ─▶ log ─▶ LogConsumer ─▶ ReplayHandler ─┘     │
//!                                                                 Archiver ◀───┘
//! ```

mod background;
mod build;
mod combination;
mod enrichment;
mod ports;
mod replacements;
mod running;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use crate::settings::PipelineSettings;
pub use build::{BuildError, PipelineBuilder};
pub use combination::{BadCombination, Combination, Reach};
pub use ports::{AccountPorts, EnricherPart, IntakePorts, KeyLink, PipelinePorts, StorePorts};
pub use replacements::{ReplaceParts, Replacements};
pub use running::{RunError, Running};

use crate::access::Access;
use crate::decorators::CountedKeys;
use crate::ingest::Ingest;
use crate::keys::Keys;
use crate::ports::{Clock, HealthCheck, Maintenance};
use crate::process::{LogConsumer, ProcessorInfo};
use crate::projects::Projects;
use crate::query::Query;
use crate::replay::Archiver;
use crate::sessions::SessionRules;
use crate::telemetry::Telemetry;

/// The use cases over their ports. Nothing is processed until it is [started](Self::start).
#[derive(Clone)]
pub struct Pipeline {
    /// Takes events and replay chunks, where they are taken in.
    pub ingest: Option<Arc<Ingest>>,
    /// Answers questions, where they are answered.
    pub query: Option<Query>,
    /// Archives, verifies and deletes replays, where there are a store and an archive.
    pub archiver: Option<Arc<Archiver>>,
    /// Checks keys.
    pub access: Access,
    /// Manages keys.
    pub keys: Keys,
    /// Manages projects, and what is known of their users and items.
    pub projects: Projects,
    /// What reads the logs.
    pub consumers: Vec<LogConsumer>,
    /// What the consumers tell about themselves, if there are any.
    pub processor: Option<ProcessorInfo>,
    /// What readiness depends on.
    pub health: Vec<Arc<dyn HealthCheck>>,
    /// Tells the time: the only clock of the pipeline.
    pub clock: Arc<dyn Clock>,
    /// Where numbers go.
    pub telemetry: Telemetry,
    background: Background,
}

/// What is done now and then.
#[derive(Clone)]
struct Background {
    usage: Arc<CountedKeys>,
    maintenance: Vec<Arc<dyn Maintenance>>,
    rules: SessionRules,
    /// How often old replays are looked for, where that is done.
    archive_interval: Option<Duration>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("ingest", &self.ingest.is_some())
            .field("query", &self.query.is_some())
            .field("archiver", &self.archiver)
            .field("consumers", &self.consumers.len())
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Puts a pipeline together from `ports`.
    pub fn builder(ports: PipelinePorts) -> PipelineBuilder {
        PipelineBuilder::new(ports)
    }

    /// Begins to process the logs, and what is done now and then.
    pub fn start(&self) -> Running {
        let mut running = Running::start(&self.consumers);
        background::start(self, &mut running);
        running
    }

    /// Waits until everything that is logged at this moment is processed. The pipeline has to run.
    ///
    /// For tests of code that sends events: what was sent before can be asked for after it. A log that cannot be read is
    /// asked again.
    pub async fn drained(&self) {
        for consumer in &self.consumers {
            consumer.caught_up().await;
        }
    }
}

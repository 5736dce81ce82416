use std::num::NonZeroU32;
use std::sync::Arc;

use gosight_application::pipeline::{
    AccountPorts, Combination, EnricherPart, IntakePorts, Pipeline, PipelineBuilder, PipelinePorts,
    StorePorts,
};
use gosight_application::ports::{EventSource, LogEnds, RateLimits, SystemClock};
use gosight_application::{Telemetry, logs};

use crate::{
    MemoryAcceptedChunks, MemoryKeys, MemoryLog, MemoryProfiles, MemoryRateLimiter, MemoryReplayArchive,
    MemoryReplayCatalogue, MemoryStore,
};

/// A whole pipeline in memory: for tests, and to be filled with parts of one's own.
///
/// ```
/// use gosight_application::ingest::ClientFacts;
/// use gosight_application::pipeline::ReplaceParts as _;
/// use gosight_domain::{ProjectId, SessionId, key::Scoped, validate::EventDraft};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let now_ms = 1_795_204_259_500;
/// let clock = std::sync::Arc::new(gosight_memory::ManualClock::new(gosight_domain::Timestamp::from_millis(now_ms)));
/// let pipeline = gosight_memory::pipeline().with_clock(clock).build()?;
/// let running = pipeline.start();
/// let project = ProjectId::new("shop")?;
/// let event = EventDraft {
///     event_type: Some("page_view".into()),
///     timestamp: Some(1_795_204_259_500.0),
///     session_id: Some("s-1".into()),
///     ..EventDraft::default()
/// };
/// let ingest = pipeline.ingest.as_ref().expect("memory takes events");
/// ingest.events(&Scoped::vouched(project.clone()), &ClientFacts::default(), &[Ok(event)]).await?;
/// pipeline.drained().await;
/// let query = pipeline.query.as_ref().expect("memory answers questions");
/// let session = query.session(&Scoped::vouched(project), &SessionId::new("s-1")?).await?;
/// assert_eq!(session.expect("a session").summary.page_count, 1);
/// running.stop().await?;
/// # Ok(())
/// # }
/// ```
pub fn pipeline() -> PipelineBuilder {
    Pipeline::builder(MemoryParts::default().ports())
}

/// What a pipeline in memory is made of, for those who want to look into it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by their types")]
pub struct MemoryParts {
    pub log: Arc<MemoryLog>,
    pub store: Arc<MemoryStore>,
    pub keys: Arc<MemoryKeys>,
    pub profiles: Arc<MemoryProfiles>,
    pub catalogue: Arc<MemoryReplayCatalogue>,
    pub archive: Arc<MemoryReplayArchive>,
}

impl Default for MemoryParts {
    /// Logs of 4 partitions, and nothing in anything.
    fn default() -> Self {
        Self {
            log: Arc::new(MemoryLog::new(4)),
            store: Arc::default(),
            keys: Arc::default(),
            profiles: Arc::default(),
            catalogue: Arc::default(),
            archive: Arc::default(),
        }
    }
}

/// More than any test sends.
const PLENTY: NonZeroU32 = NonZeroU32::MAX;

impl MemoryParts {
    /// All ports of a pipeline over these parts.
    pub fn ports(&self) -> PipelinePorts {
        let Self { log, store, keys, profiles, catalogue, archive } = self;
        let sources = logs::PROCESSED.map(|(name, group)| Arc::new(log.source(group, name)));
        let limits = RateLimits { events_per_second: PLENTY, burst: PLENTY };
        PipelinePorts {
            intake: Some(IntakePorts {
                events: Arc::new(log.events()),
                records: log.clone(),
                limiter: Arc::new(MemoryRateLimiter::new(limits)),
                enrichers: Vec::new(),
            }),
            ends: Some(sources.iter().cloned().map(|source| -> Arc<dyn LogEnds> { source }).collect()),
            sources: sources.into_iter().map(|source| -> Arc<dyn EventSource> { source }).collect(),
            store: Some(StorePorts {
                batches: Some(store.clone()),
                ..StorePorts::of(store, store.deduplicator(), Some(store.dead_letters()))
            }),
            chunks: Arc::new(MemoryAcceptedChunks::default()),
            archive: Some(archive.clone()),
            accounts: AccountPorts {
                lookup: keys.clone(),
                admin: keys.clone(),
                usage: keys.clone(),
                profiles: profiles.clone(),
                catalogue: catalogue.clone(),
                key_link: None,
            },
            enrichers: vec![EnricherPart::profiles()],
            maintenance: Vec::new(),
            health: Vec::new(),
            combination: Combination::MEMORY,
            clock: Arc::new(SystemClock),
            telemetry: Telemetry::default(),
        }
    }
}

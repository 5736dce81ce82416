use std::sync::Arc;
use std::time::Duration;

use gosight_domain::aggregate::Aggregation;

use crate::backoff::BackoffPolicy;
use crate::decorators::KeyCacheConfig;
use crate::ingest::IngestRules;
use crate::ports::PollLimits;
use crate::process::ConsumerConfig;
use crate::process::filter::FilterSet;
use crate::replay::ArchivePolicy;
use crate::sessions::SessionRules;

/// How a pipeline works, whatever it is made of.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// What ingest insists on.
    pub ingest: IngestRules,
    /// What sessions show.
    pub sessions: SessionRules,
    /// How the event log is read.
    pub events: ConsumerConfig,
    /// How the replay log is read.
    pub replay: ConsumerConfig,
    /// Largest record of the event log that ingest can have written, in bytes; larger ones become dead letters.
    pub max_event_record_bytes: usize,
    /// Rules that mark, block, route or change events.
    pub filters: Arc<FilterSet>,
    /// Counts and measures by key and window.
    pub aggregations: Vec<Aggregation>,
    /// How keys are cached.
    pub key_cache: KeyCacheConfig,
    /// When replays are archived.
    pub archive: ArchivePolicy,
    /// How often old replays are looked for; `None` when none are archived. Those that are archived are read in any
    /// case.
    pub archive_interval: Option<Duration>,
}

impl Default for PipelineSettings {
    /// No filter rules and no aggregations; hourly passes of the archive.
    fn default() -> Self {
        let consumer = |max_records, max_bytes, linger_ms| ConsumerConfig {
            limits: PollLimits { max_records, max_bytes, linger: Duration::from_millis(linger_ms) },
            backoff: BackoffPolicy::default(),
            accept_lost: false,
        };
        Self {
            ingest: IngestRules::default(),
            sessions: SessionRules::default(),
            events: consumer(2_000, 8 << 20, 50),
            replay: consumer(100, 32 << 20, 200),
            max_event_record_bytes: usize::MAX,
            filters: Arc::default(),
            aggregations: Vec::new(),
            key_cache: KeyCacheConfig::default(),
            archive: ArchivePolicy::default(),
            archive_interval: Some(Duration::from_hours(1)),
        }
    }
}

//! The ports: what the use cases need from the outside, as object-safe traits.
//!
//! The documentation of each trait is its contract, as numbered sentences. The conformance suite of the port has a
//! case for each of them and runs against every adapter.

mod accepted_chunks;
mod aggregate_store;
mod batch_store;
mod clock;
mod dead_letters;
mod deduplicator;
mod error;
mod event_enricher;
mod event_measure;
mod event_query;
mod event_rows;
mod event_sink;
mod event_source;
mod fence;
mod health;
mod keys;
mod ledger;
mod maintenance;
mod profile_cache;
mod profile_store;
mod rate_limiter;
mod record_log;
mod replay_archive;
mod replay_catalogue;
mod replay_store;
mod session_cache;
mod session_query;
mod session_store;
mod stored_events;

pub use accepted_chunks::{AcceptedChunks, AcceptedChunksError};
pub use aggregate_store::{AggregateStore, AggregateStoreError, WindowQuery};
pub use batch_store::{BatchStore, Committed, ProcessedBatch, StoredEvent};
pub use clock::{Clock, SystemClock};
pub use dead_letters::{DeadLetter, DeadLetters, DeadLettersError, LogPosition};
pub use deduplicator::{Claim, ClaimVerdict, Deduplicator, DeduplicatorError};
pub use error::{BoxError, CommitError, Effect, Nothing, PortError, RefusedRows};
pub use event_enricher::{Client, EnricherError, Enrichment, EventEnricher};
pub use event_measure::{
    EventMeasure, MeasureFault, MeasureKind, MeasurePart, Measurement, Measurements, SkippedMeasure,
    SkippedMeasures, Skips,
};
pub use event_query::{
    EventCursor, EventQuery, GroupBy, GroupKey, LedgerBalance, LedgerQuery, Metrics, MetricsGroup,
    MetricsQuery, PartitionCoverage, QueryError,
};
pub use event_rows::{EventRows, EventRowsError, EventsOf, RowOfRecord};
pub use event_sink::{EventSink, RefusedEvent, RefusedEvents, SinkError};
pub use event_source::{
    AssignmentChange, EventSource, LogEnds, PartitionSource, PollLimits, PolledBatch, PolledRecord,
    SourceError,
};
pub use fence::{Fence, FencedOff, LogPartition};
pub use health::{Health, HealthCheck};
pub use keys::{KeyAdmin, KeyError, KeyLookup, KeyStoreError, KeyUsage, KeyUsageStore, KeyValidator};
pub use ledger::{Ledger, LedgerError};
pub use maintenance::{Maintenance, MaintenanceError};
pub use profile_cache::{CachedProfile, ProfileCache, ProfileCacheError};
pub use profile_store::{MAX_PROFILE_BYTES, ProfileKind, ProfileStore, ProfileStoreError, patch_profiles};
pub use rate_limiter::{RateDecision, RateLimiter, RateLimiterError, RateLimits};
pub use record_log::{LogError, Record, RecordLog, RefusedRecord, RefusedRecords};
pub use replay_archive::{
    ObjectEntry, ObjectStat, ObjectStream, ReplayArchive, ReplayArchiveError, read_object, whole_object,
};
pub use replay_catalogue::{
    CatalogueEntry, CatalogueQuery, Lease, Quarantine, ReplayCatalogue, ReplayCatalogueError,
};
pub use replay_store::{ChunkId, PutVerdict, ReplayStore, ReplayStoreError};
pub use session_cache::{SessionCache, SessionCacheError};
pub use session_query::{
    IdleCursor, IdleQuery, SessionCursor, SessionDetail, SessionFlagFilter, SessionQuery, SessionSummary,
};
pub use session_store::{FoldScope, SessionStore, SessionStoreError};
pub use stored_events::{StoredEvents, StoredEventsError};

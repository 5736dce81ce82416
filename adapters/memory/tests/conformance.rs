//! The conformance suites against memory.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its case")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::codec::decode_event;
use gosight_application::decorators::{CachedKeys, FanOut, KeyCacheConfig, Observed, Retrying};
use gosight_application::ports::{EventSink, RateLimits};
use gosight_application::{LogSink, Telemetry};
use gosight_conformance::accepted_chunks::AcceptedChunksFixture;
use gosight_conformance::aggregate_store::AggregateStoreFixture;
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::dead_letters::DeadLettersFixture;
use gosight_conformance::deduplicator::DeduplicatorFixture;
use gosight_conformance::event_sink::{ReadBack, SinkFixture};
use gosight_conformance::factory::NOON;
use gosight_conformance::key_store::KeyStoreFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::rate_limiter::RateLimiterFixture;
use gosight_conformance::record_log::LogFixture;
use gosight_conformance::replay_archive::ReplayArchiveFixture;
use gosight_conformance::replay_catalogue::ReplayCatalogueFixture;
use gosight_conformance::replay_store::ReplayStoreFixture;
use gosight_conformance::session_cache::SessionCacheFixture;
use gosight_conformance::session_store::SessionStoreFixture;
use gosight_domain::Event;
use gosight_memory::{
    ManualClock, MemoryAcceptedChunks, MemoryDeadLetters, MemoryKeys, MemoryLog, MemoryProfiles,
    MemoryRateLimiter, MemoryReplayArchive, MemoryReplayCatalogue, MemorySessionCache, MemoryStore,
};

mod accepted_chunks {
    gosight_conformance::accepted_chunks_suite!(super::accepted_chunks);
}
mod record_log {
    gosight_conformance::record_log_suite!(super::log);
}
mod event_sink {
    gosight_conformance::event_sink_suite!(super::sink);
}
mod decorated_event_sink {
    gosight_conformance::event_sink_suite!(super::decorated_sink);
}
mod batch_store {
    gosight_conformance::batch_store_suite!(super::store);
}
mod event_query {
    gosight_conformance::event_query_suite!(super::store);
}
mod deduplicator {
    gosight_conformance::deduplicator_suite!(super::deduplicator);
}
mod session_store {
    gosight_conformance::session_store_suite!(super::sessions);
}
mod session_cache {
    gosight_conformance::session_cache_suite!(super::session_cache);
}
mod replay_catalogue {
    gosight_conformance::replay_catalogue_suite!(super::catalogue);
}
mod replay_archive {
    gosight_conformance::replay_archive_suite!(super::archive);
}
mod replay_store {
    gosight_conformance::replay_store_suite!(super::replays);
}
mod aggregate_store {
    gosight_conformance::aggregate_store_suite!(super::aggregates);
}
mod dead_letters {
    gosight_conformance::dead_letters_suite!(super::dead_letters);
}
mod profile_store {
    gosight_conformance::profile_store_suite!(super::profiles);
}
mod key_store {
    gosight_conformance::key_store_suite!(super::keys);
}
mod key_validator {
    gosight_conformance::key_validator_suite!(super::validator);
}
mod rate_limiter {
    gosight_conformance::rate_limiter_suite!(super::limiter);
}

async fn log() -> LogFixture {
    let log = Arc::new(MemoryLog::with_limits(3, 10_000, 100_000));
    let for_sources = log.clone();
    LogFixture {
        log,
        source: Box::new(move |group, name| Arc::new(for_sources.source(group, name))),
        partitions: 3,
        too_large_bytes: 10_001,
        keep: Box::new(()),
    }
}

#[derive(Debug)]
struct LogReader(Arc<MemoryLog>);

#[async_trait]
impl ReadBack for LogReader {
    async fn events(&self) -> Vec<Event> {
        let mut seen = BTreeMap::new();
        let mut events = Vec::new();
        for record in self.0.records("events") {
            let event = decode_event(&record.value).unwrap();
            if seen.insert((event.project_id.clone(), event.event_id), ()).is_none() {
                events.push(event);
            }
        }
        events
    }
}

fn log_sink() -> (Arc<MemoryLog>, LogSink) {
    let log = Arc::new(MemoryLog::new(3));
    (log.clone(), LogSink::new(log, "events"))
}

async fn sink() -> SinkFixture {
    let (log, sink) = log_sink();
    SinkFixture { sink: Arc::new(sink), read_back: Box::new(LogReader(log)), keep: Box::new(()) }
}

async fn decorated_sink() -> SinkFixture {
    let (log, sink) = log_sink();
    let (_, other) = log_sink();
    let retrying =
        Retrying::new(sink, gosight_application::backoff::BackoffPolicy::default(), 3, Telemetry::default());
    let observed: Arc<dyn EventSink> = Arc::new(Observed::new(retrying, "log", Telemetry::default()));
    let sink = Arc::new(FanOut::new(vec![observed, Arc::new(other)]));
    SinkFixture { sink, read_back: Box::new(LogReader(log)), keep: Box::new(()) }
}

async fn store() -> StoreFixture {
    let store = Arc::new(MemoryStore::default());
    StoreFixture {
        dead_letters: store.dead_letters(),
        store: store.clone(),
        deduplicator: store.clone(),
        query: store.clone(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: store,
        keep: Box::new(()),
    }
}

async fn deduplicator() -> DeduplicatorFixture {
    DeduplicatorFixture { deduplicator: Arc::new(MemoryStore::default()), keep: Box::new(()) }
}

async fn sessions() -> SessionStoreFixture {
    SessionStoreFixture { sessions: Arc::new(MemoryStore::default()), keep: Box::new(()) }
}

async fn accepted_chunks() -> AcceptedChunksFixture {
    AcceptedChunksFixture { chunks: Arc::new(MemoryAcceptedChunks::default()), keep: Box::new(()) }
}

async fn session_cache() -> SessionCacheFixture {
    SessionCacheFixture { cache: Arc::new(MemorySessionCache::default()), keep: Box::new(()) }
}

async fn archive() -> ReplayArchiveFixture {
    ReplayArchiveFixture { archive: Arc::new(MemoryReplayArchive::default()), keep: Box::new(()) }
}

async fn replays() -> ReplayStoreFixture {
    ReplayStoreFixture { replays: Arc::new(MemoryStore::default()), keep: Box::new(()) }
}

async fn catalogue() -> ReplayCatalogueFixture {
    ReplayCatalogueFixture { catalogue: Arc::new(MemoryReplayCatalogue::default()), keep: Box::new(()) }
}

async fn aggregates() -> AggregateStoreFixture {
    AggregateStoreFixture { aggregates: Arc::new(MemoryStore::default()), keep: Box::new(()) }
}

async fn dead_letters() -> DeadLettersFixture {
    DeadLettersFixture { letters: Arc::new(MemoryDeadLetters::default()), keep: Box::new(()) }
}

async fn profiles() -> ProfileStoreFixture {
    ProfileStoreFixture { profiles: Arc::new(MemoryProfiles::default()), keep: Box::new(()) }
}

async fn keys() -> KeyStoreFixture {
    KeyStoreFixture { keys: Arc::new(MemoryKeys::default()), keep: Box::new(()) }
}

async fn validator() -> KeyValidatorFixture {
    let keys = Arc::new(MemoryKeys::default());
    let config = KeyCacheConfig { life: Duration::from_millis(200), capacity: 100 };
    let clock = Arc::new(ManualClock::new(NOON));
    let validator = Arc::new(CachedKeys::new(keys.clone(), clock, config, Telemetry::default()));
    KeyValidatorFixture { validator, keys, keep: Box::new(()) }
}

async fn limiter() -> RateLimiterFixture {
    let limits =
        RateLimits { events_per_second: NonZeroU32::new(1).unwrap(), burst: NonZeroU32::new(10).unwrap() };
    RateLimiterFixture { limiter: Arc::new(MemoryRateLimiter::new(limits)), keep: Box::new(()) }
}

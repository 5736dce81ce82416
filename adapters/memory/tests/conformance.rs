//! The conformance suites against memory.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its case")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::decorators::{CachedKeys, CountedKeys, FanOut, KeyCacheConfig, Observed, Retrying};
use gosight_application::direct_sink::{DirectSink, DirectSinkPorts};
use gosight_application::pipeline::PipelineSettings;
use gosight_application::ports::{BatchStore, DeadLetters, Deduplicator, EventSink, RateLimits};
use gosight_application::{LogSink, Telemetry, logs};
use gosight_conformance::Keep;
use gosight_conformance::accepted_chunks::AcceptedChunksFixture;
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::dead_letters::DeadLettersFixture;
use gosight_conformance::deduplicator::DeduplicatorFixture;
use gosight_conformance::event_sink::{ReadBack, SinkFixture};
use gosight_conformance::factory::object;
use gosight_conformance::key_store::KeyStoreFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::processed::{AtNoon, process_all};
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::rate_limiter::RateLimiterFixture;
use gosight_conformance::record_log::LogFixture;
use gosight_conformance::refused_rows::RefusingFixture;
use gosight_conformance::replay_archive::ReplayArchiveFixture;
use gosight_conformance::replay_catalogue::ReplayCatalogueFixture;
use gosight_conformance::session_cache::SessionCacheFixture;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::{Event, EventName};
use gosight_memory::{
    MemoryAcceptedChunks, MemoryDeadLetters, MemoryKeys, MemoryLog, MemoryProfiles, MemoryRateLimiter,
    MemoryReplayArchive, MemoryReplayCatalogue, MemorySessionCache, MemoryStore,
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
mod direct_sink {
    gosight_conformance::event_sink_suite!(super::direct_sink);
}
mod direct_sink_in_steps {
    gosight_conformance::event_sink_suite!(super::direct_sink_in_steps);
}
mod batch_store {
    gosight_conformance::batch_store_suite!(super::store);
}
mod refused_rows {
    gosight_conformance::refused_rows_suite!(super::refusing);
}
mod stepped_batch_store {
    gosight_conformance::batch_store_suite!(super::stepped);
}
mod stepped_refused_rows {
    gosight_conformance::refused_rows_suite!(super::refusing_steps);
}
mod ledger {
    gosight_conformance::ledger_suite!(super::steps);
}
mod event_rows {
    gosight_conformance::event_rows_suite!(super::steps);
}
mod stored_events {
    gosight_conformance::stored_events_suite!(super::steps);
}
mod interrupted_batches {
    gosight_conformance::interrupted_batches_suite!(super::store);
}
mod stepped_interrupted_batches {
    gosight_conformance::interrupted_batches_suite!(super::stepped);
}
mod event_query {
    gosight_conformance::event_query_suite!(super::store);
}
mod deduplicator {
    gosight_conformance::deduplicator_suite!(super::deduplicator);
}
mod session_store {
    gosight_conformance::session_store_suite!(super::steps);
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
    gosight_conformance::replay_store_suite!(super::steps);
}
mod aggregate_store {
    gosight_conformance::aggregate_store_suite!(super::steps);
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
mod stored_key_validator {
    gosight_conformance::key_validator_suite!(super::stored_keys);
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

/// What the log has, processed.
#[derive(Debug)]
struct Processed(Arc<MemoryLog>);

#[async_trait]
impl ReadBack for Processed {
    async fn events(&self) -> Vec<Event> {
        let store = Arc::new(MemoryStore::default());
        let source = Arc::new(self.0.source("conformance", logs::EVENTS));
        process_all(source, store.clone(), store.deduplicator()).await;
        store.events()
    }
}

/// An event whose record is too large for the log.
fn too_large(event: Event) -> Event {
    let text = "x".repeat(20_000);
    Event { custom: object(&format!(r#"{{"text": "{text}"}}"#)), ..event }
}

fn log_sink() -> (Arc<MemoryLog>, LogSink) {
    let log = Arc::new(MemoryLog::with_limits(3, 10_000, 100_000));
    (log.clone(), log.events())
}

fn sink_fixture(sink: Arc<dyn EventSink>, log: Arc<MemoryLog>) -> SinkFixture {
    SinkFixture { sink, read_back: Box::new(Processed(log)), refused: too_large, keep: Box::new(()) }
}

async fn sink() -> SinkFixture {
    let (log, sink) = log_sink();
    sink_fixture(Arc::new(sink), log)
}

async fn decorated_sink() -> SinkFixture {
    let (log, sink) = log_sink();
    let (_, other) = log_sink();
    let retrying =
        Retrying::new(sink, gosight_application::backoff::BackoffPolicy::default(), 3, Telemetry::default());
    let observed: Arc<dyn EventSink> = Arc::new(Observed::new(retrying, "log", Telemetry::default()));
    sink_fixture(Arc::new(FanOut::new(vec![observed, Arc::new(other)])), log)
}

/// Events as the store has them.
struct Stored(Arc<MemoryStore>);

#[async_trait]
impl ReadBack for Stored {
    async fn events(&self) -> Vec<Event> {
        self.0.events()
    }
}

fn direct_sink_over(store: Arc<MemoryStore>, batches: Arc<dyn BatchStore>) -> SinkFixture {
    let ports = DirectSinkPorts {
        batches,
        stored: store.clone(),
        enrichers: Arc::default(),
        aggregations: Arc::default(),
        clock: Arc::new(AtNoon),
    };
    SinkFixture {
        sink: Arc::new(DirectSink::new(ports, logs::DIRECT, &PipelineSettings::default())),
        read_back: Box::new(Stored(store)),
        refused: named_refused,
        keep: Box::new(()),
    }
}

async fn direct_sink() -> SinkFixture {
    let store = Arc::new(MemoryStore::refusing("refused"));
    direct_sink_over(store.clone(), store)
}

async fn direct_sink_in_steps() -> SinkFixture {
    let store = Arc::new(MemoryStore::refusing("refused"));
    direct_sink_over(store.clone(), steps_of(&store).stepped())
}

/// What is in memory is all that there is: a new process is given it.
fn steps_of(store: &Arc<MemoryStore>) -> StepsFixture {
    StepsFixture::over(store, store.dead_letters(), Box::new(()))
}

fn store_of(store: &Arc<MemoryStore>, batches: Arc<dyn BatchStore>) -> StoreFixture {
    steps_of(store).into_store(batches, store.deduplicator())
}

async fn store() -> StoreFixture {
    let store = Arc::new(MemoryStore::default());
    store_of(&store, store.clone())
}

async fn steps() -> StepsFixture {
    steps_of(&Arc::default())
}

async fn stepped() -> StoreFixture {
    stepped_over(Arc::default())
}

fn stepped_over(store: Arc<MemoryStore>) -> StoreFixture {
    let fixture = store_of(&store, steps_of(&store).stepped());
    StoreFixture { reopen: Box::new(|_| Box::pin(async { Box::new(stepped_over(store)) })), ..fixture }
}

async fn refusing() -> RefusingFixture {
    let store = Arc::new(MemoryStore::refusing("refused"));
    RefusingFixture { store: store_of(&store, store.clone()), refused: named_refused }
}

async fn refusing_steps() -> RefusingFixture {
    let store = Arc::new(MemoryStore::refusing("refused"));
    RefusingFixture { store: store_of(&store, steps_of(&store).stepped()), refused: named_refused }
}

fn named_refused(event: Event) -> Event {
    Event { event_type: EventName::new("refused").unwrap(), ..event }
}

async fn deduplicator() -> DeduplicatorFixture {
    let store = Arc::new(MemoryStore::default());
    DeduplicatorFixture {
        deduplicator: store.deduplicator(),
        store: store.clone(),
        open_again: Box::new(move || {
            Box::pin(async move { (store.deduplicator() as Arc<dyn Deduplicator>, Box::new(()) as Keep) })
        }),
        keep: Box::new(()),
    }
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

async fn catalogue() -> ReplayCatalogueFixture {
    ReplayCatalogueFixture { catalogue: Arc::new(MemoryReplayCatalogue::default()), keep: Box::new(()) }
}

async fn dead_letters() -> DeadLettersFixture {
    let letters = Arc::new(MemoryDeadLetters::default());
    DeadLettersFixture {
        letters: letters.clone(),
        ledger: Arc::new(MemoryStore::default()),
        open_again: Box::new(|| Box::pin(async { (letters as Arc<dyn DeadLetters>, Box::new(()) as Keep) })),
        keep: Box::new(()),
    }
}

async fn profiles() -> ProfileStoreFixture {
    ProfileStoreFixture { profiles: Arc::new(MemoryProfiles::default()), keep: Box::new(()) }
}

async fn keys() -> KeyStoreFixture {
    KeyStoreFixture { keys: Arc::new(MemoryKeys::default()), keep: Box::new(()) }
}

async fn stored_keys() -> KeyValidatorFixture {
    KeyValidatorFixture::over(Arc::new(MemoryKeys::default()), Box::new(()), |stored, _| stored)
}

/// Caches and a counter over stored keys.
async fn validator() -> KeyValidatorFixture {
    let keys = Arc::new(MemoryKeys::default());
    KeyValidatorFixture::over(keys.clone(), Box::new(()), |stored, clock| {
        let config = KeyCacheConfig { life: Duration::from_millis(100), capacity: 100 };
        let inner = Arc::new(CachedKeys::new(stored, clock.clone(), config, Telemetry::default()));
        let outer = Arc::new(CachedKeys::new(inner, clock.clone(), config, Telemetry::default()));
        Arc::new(CountedKeys::new(outer, keys, clock))
    })
}

async fn limiter() -> RateLimiterFixture {
    let limits =
        RateLimits { events_per_second: NonZeroU32::new(1).unwrap(), burst: NonZeroU32::new(10).unwrap() };
    RateLimiterFixture { limiter: Arc::new(MemoryRateLimiter::new(limits)), keep: Box::new(()) }
}

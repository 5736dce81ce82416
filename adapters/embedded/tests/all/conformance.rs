//! The conformance suites against embedded storage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::codec::decode_event;
use gosight_application::decorators::{CachedKeys, KeyCacheConfig};
use gosight_application::local_log::LocalLog;
use gosight_application::ports::{Clock, PollLimits};
use gosight_application::{LogSink, Telemetry};
use gosight_conformance::aggregate_store::AggregateStoreFixture;
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::dead_letters::DeadLettersFixture;
use gosight_conformance::deduplicator::DeduplicatorFixture;
use gosight_conformance::event_sink::{ReadBack, SinkFixture};
use gosight_conformance::factory::NOON;
use gosight_conformance::key_store::KeyStoreFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::record_log::LogFixture;
use gosight_conformance::replay_archive::ReplayArchiveFixture;
use gosight_conformance::replay_catalogue::ReplayCatalogueFixture;
use gosight_conformance::replay_store::ReplayStoreFixture;
use gosight_conformance::session_store::SessionStoreFixture;
use gosight_domain::{Event, Timestamp};
use gosight_embedded::{
    DataDir, DirectoryArchive, Embedded, EmbeddedLog, EmbeddedStore, LogConfig, StoreConfig,
};
use tempfile::TempDir;

mod record_log {
    gosight_conformance::record_log_suite!(super::log);
}
mod event_sink {
    gosight_conformance::event_sink_suite!(super::sink);
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
mod replay_archive {
    gosight_conformance::replay_archive_suite!(super::archive);
}
mod replay_catalogue {
    gosight_conformance::replay_catalogue_suite!(super::catalogue);
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

type Held = (TempDir, DataDir);

fn data_dir() -> Held {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = DataDir::open(temporary.path()).expect("a data directory");
    (temporary, dir)
}

async fn open_log() -> (Arc<EmbeddedLog>, Held) {
    let held = data_dir();
    (open_embedded(&held.1).await.log, held)
}

async fn open_embedded(dir: &DataDir) -> Embedded {
    let config = LogConfig { partitions: 3, max_record_bytes: 10_000, ..LogConfig::default() };
    Embedded::open(dir, config, StoreConfig::default(), &[]).await.expect("a log and a store")
}

async fn log() -> LogFixture {
    let (log, held) = open_log().await;
    let for_sources = log.clone();
    LogFixture {
        log,
        source: Box::new(move |group, name| Arc::new(for_sources.source(group, name))),
        partitions: 3,
        too_large_bytes: 10_001,
        keep: Box::new(held),
    }
}

struct LogReader(Arc<EmbeddedLog>);

#[async_trait]
impl ReadBack for LogReader {
    async fn events(&self) -> Vec<Event> {
        let limits = PollLimits { max_records: 10_000, max_bytes: 1 << 30, linger: Duration::ZERO };
        let mut seen = BTreeSet::new();
        let mut events = Vec::new();
        for partition in 0..3 {
            for record in self.0.read("events", partition, 0, &limits).await.expect("read") {
                let event = decode_event(&record.value).expect("an event");
                if seen.insert((event.project_id.clone(), event.event_id)) {
                    events.push(event);
                }
            }
        }
        events
    }
}

async fn sink() -> SinkFixture {
    let (log, held) = open_log().await;
    let sink = Arc::new(LogSink::new(log.clone(), "events"));
    SinkFixture { sink, read_back: Box::new(LogReader(log)), keep: Box::new(held) }
}

async fn open_store() -> (Arc<EmbeddedStore>, Held) {
    let held = data_dir();
    (open_embedded(&held.1).await.store, held)
}

async fn store() -> StoreFixture {
    let (store, held) = open_store().await;
    StoreFixture {
        store: store.clone(),
        deduplicator: store.clone(),
        query: store.clone(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: store.clone(),
        dead_letters: store,
        keep: Box::new(held),
    }
}

async fn deduplicator() -> DeduplicatorFixture {
    let (store, held) = open_store().await;
    DeduplicatorFixture { deduplicator: store, keep: Box::new(held) }
}

async fn sessions() -> SessionStoreFixture {
    let (store, held) = open_store().await;
    SessionStoreFixture { sessions: store, keep: Box::new(held) }
}

async fn replays() -> ReplayStoreFixture {
    let (store, held) = open_store().await;
    ReplayStoreFixture { replays: store, keep: Box::new(held) }
}

async fn archive() -> ReplayArchiveFixture {
    let dir = tempfile::tempdir().unwrap();
    let archive = Arc::new(DirectoryArchive::open(dir.path()).unwrap());
    ReplayArchiveFixture { archive, keep: Box::new(dir) }
}

async fn catalogue() -> ReplayCatalogueFixture {
    let (store, held) = open_store().await;
    ReplayCatalogueFixture { catalogue: store, keep: Box::new(held) }
}

async fn aggregates() -> AggregateStoreFixture {
    let (store, held) = open_store().await;
    AggregateStoreFixture { aggregates: store, keep: Box::new(held) }
}

async fn dead_letters() -> DeadLettersFixture {
    let (store, held) = open_store().await;
    DeadLettersFixture { letters: store, keep: Box::new(held) }
}

async fn profiles() -> ProfileStoreFixture {
    let (store, held) = open_store().await;
    ProfileStoreFixture { profiles: Arc::new(store.accounts()), keep: Box::new(held) }
}

async fn keys() -> KeyStoreFixture {
    let (store, held) = open_store().await;
    KeyStoreFixture { keys: Arc::new(store.accounts()), keep: Box::new(held) }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOON
    }
}

async fn validator() -> KeyValidatorFixture {
    let (store, held) = open_store().await;
    let config = KeyCacheConfig { life: Duration::from_millis(200), capacity: 100 };
    let keys = Arc::new(store.accounts());
    let validator = Arc::new(CachedKeys::new(keys.clone(), Arc::new(Noon), config, Telemetry::default()));
    KeyValidatorFixture { validator, keys, keep: Box::new(held) }
}

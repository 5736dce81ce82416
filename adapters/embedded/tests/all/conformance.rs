//! The conformance suites against embedded storage.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use gosight_application::decorators::{CachedKeys, CountedKeys, KeyCacheConfig};
use gosight_application::ports::{BatchStore, DeadLetters, Deduplicator};
use gosight_application::{Telemetry, logs};
use gosight_conformance::Keep;
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::dead_letters::DeadLettersFixture;
use gosight_conformance::deduplicator::DeduplicatorFixture;
use gosight_conformance::event_sink::{ReadBack, SinkFixture};
use gosight_conformance::factory::object;
use gosight_conformance::key_store::KeyStoreFixture;
use gosight_conformance::key_validator::KeyValidatorFixture;
use gosight_conformance::processed::{AtNoon, process_all};
use gosight_conformance::profile_store::ProfileStoreFixture;
use gosight_conformance::record_log::LogFixture;
use gosight_conformance::replay_archive::ReplayArchiveFixture;
use gosight_conformance::replay_catalogue::ReplayCatalogueFixture;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::Event;
use gosight_embedded::{
    DataDir, DirectoryArchive, Embedded, EmbeddedLog, EmbeddedStore, LogConfig, StoreConfig,
};
use gosight_memory::MemoryStore;
use tempfile::TempDir;

use crate::crash_image;

mod record_log {
    gosight_conformance::record_log_suite!(super::log);
}
mod event_sink {
    gosight_conformance::event_sink_suite!(super::sink);
}
mod batch_store {
    gosight_conformance::batch_store_suite!(super::store);
}
mod stepped_batch_store {
    gosight_conformance::batch_store_suite!(super::stepped);
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
mod replay_archive {
    gosight_conformance::replay_archive_suite!(super::archive);
}
mod replay_catalogue {
    gosight_conformance::replay_catalogue_suite!(super::catalogue);
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
mod key_validator {
    gosight_conformance::key_validator_suite!(super::validator);
}

type Held = (TempDir, DataDir);

fn hold(temporary: TempDir) -> Held {
    let dir = DataDir::open(temporary.path()).expect("a data directory");
    (temporary, dir)
}

async fn open_in(temporary: TempDir) -> (Embedded, Held) {
    let held = hold(temporary);
    let config = LogConfig { partitions: 3, max_record_bytes: 10_000, ..LogConfig::default() };
    let embedded = Embedded::open(&held.1, Arc::new(AtNoon), config, StoreConfig::default(), &[]).await;
    (embedded.expect("a log and a store"), held)
}

async fn open_log() -> (Arc<EmbeddedLog>, Held) {
    let (Embedded { log, .. }, held) = open_in(tempfile::tempdir().unwrap()).await;
    (log, held)
}

async fn open_store() -> (Arc<EmbeddedStore>, Held) {
    let (Embedded { store, .. }, held) = open_in(tempfile::tempdir().unwrap()).await;
    (store, held)
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

/// What a process finds that is started after a crash, processed.
struct Processed(TempDir);

#[async_trait]
impl ReadBack for Processed {
    async fn events(&self) -> Vec<Event> {
        let (Embedded { log, .. }, _held) = open_in(crash_image(self.0.path())).await;
        let store = Arc::new(MemoryStore::default());
        let source = Arc::new(log.source("conformance", logs::EVENTS));
        process_all(source, store.clone(), store.deduplicator()).await;
        store.events()
    }
}

fn too_large(event: Event) -> Event {
    let text = "x".repeat(20_000);
    Event { custom: object(&format!(r#"{{"text": "{text}"}}"#)), ..event }
}

async fn sink() -> SinkFixture {
    let (log, (temporary, dir)) = open_log().await;
    let sink = Arc::new(log.events());
    SinkFixture { sink, read_back: Box::new(Processed(temporary)), refused: too_large, keep: Box::new(dir) }
}

fn steps_of(store: &Arc<EmbeddedStore>, held: Held) -> StepsFixture {
    let path = held.0.path().to_owned();
    let fixture = StepsFixture::over(store, store.clone(), Box::new(held));
    let reopen = Box::new(move |before: Box<StepsFixture>| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let (Embedded { store, .. }, held) = open_in(crash_image(&path)).await;
            drop(before);
            Box::new(steps_of(&store, held))
        })
    });
    StepsFixture { reopen, ..fixture }
}

async fn steps() -> StepsFixture {
    let (store, held) = open_store().await;
    steps_of(&store, held)
}

/// A store by its narrow ports, to which batches are committed in a way of its own.
fn store_of(
    store: &Arc<EmbeddedStore>,
    held: Held,
    commit: fn(&Arc<EmbeddedStore>, &StepsFixture) -> Arc<dyn BatchStore>,
) -> StoreFixture {
    let path = held.0.path().to_owned();
    let steps = steps_of(store, held);
    let batches = commit(store, &steps);
    let fixture = steps.into_store(batches, store.deduplicator());
    let reopen = Box::new(move |before: Box<StoreFixture>| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let (Embedded { store, .. }, held) = open_in(crash_image(&path)).await;
            drop(before);
            Box::new(store_of(&store, held, commit))
        })
    });
    StoreFixture { reopen, ..fixture }
}

async fn store() -> StoreFixture {
    let (store, held) = open_store().await;
    store_of(&store, held, |store, _| store.clone())
}

async fn stepped() -> StoreFixture {
    let (store, held) = open_store().await;
    store_of(&store, held, |_, steps| steps.stepped())
}

async fn deduplicator() -> DeduplicatorFixture {
    let (store, held) = open_store().await;
    let path = held.0.path().to_owned();
    DeduplicatorFixture {
        deduplicator: store.deduplicator(),
        store: store.clone(),
        open_again: Box::new(move || {
            Box::pin(async move {
                let (Embedded { store, .. }, held) = open_in(crash_image(&path)).await;
                (store.deduplicator() as Arc<dyn Deduplicator>, Box::new(held) as Keep)
            })
        }),
        keep: Box::new(held),
    }
}

async fn archive() -> ReplayArchiveFixture {
    let dir = tempfile::tempdir().unwrap();
    let archive = Arc::new(DirectoryArchive::open(dir.path()).unwrap());
    ReplayArchiveFixture { archive, keep: Box::new(dir) }
}

async fn catalogue() -> ReplayCatalogueFixture {
    let (store, held) = open_store().await;
    ReplayCatalogueFixture { catalogue: Arc::new(store.accounts()), keep: Box::new(held) }
}

async fn dead_letters() -> DeadLettersFixture {
    let (store, held) = open_store().await;
    let path = held.0.path().to_owned();
    DeadLettersFixture {
        letters: store.clone(),
        ledger: store,
        open_again: Box::new(move || {
            Box::pin(async move {
                let (Embedded { store, .. }, held) = open_in(crash_image(&path)).await;
                (store as Arc<dyn DeadLetters>, Box::new(held) as Keep)
            })
        }),
        keep: Box::new(held),
    }
}

async fn profiles() -> ProfileStoreFixture {
    let (store, held) = open_store().await;
    ProfileStoreFixture { profiles: Arc::new(store.accounts()), keep: Box::new(held) }
}

async fn keys() -> KeyStoreFixture {
    let (store, held) = open_store().await;
    KeyStoreFixture { keys: Arc::new(store.accounts()), keep: Box::new(held) }
}

async fn validator() -> KeyValidatorFixture {
    let (store, held) = open_store().await;
    let keys = Arc::new(store.accounts());
    KeyValidatorFixture::over(keys.clone(), Box::new(held), |stored, clock| {
        let config = KeyCacheConfig { life: Duration::from_millis(200), capacity: 100 };
        let cached = Arc::new(CachedKeys::new(stored, clock.clone(), config, Telemetry::default()));
        Arc::new(CountedKeys::new(cached, keys, clock))
    })
}

//! The conformance suites against `ClickHouse`.

use std::sync::Arc;

use gosight_clickhouse::ClickHouseWriter;
use gosight_conformance::aggregate_store::AggregateStoreFixture;
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::replay_store::ReplayStoreFixture;
use gosight_memory::{MemoryDeadLetters, MemoryStore};

use crate::database::{Database, Forgetful};

mod batch_store {
    gosight_conformance::batch_store_suite!(super::store);
}
mod event_query {
    gosight_conformance::event_query_suite!(super::store);
}
mod replay_store {
    gosight_conformance::replay_store_suite!(super::replays);
}
mod aggregate_store {
    gosight_conformance::aggregate_store_suite!(super::aggregates);
}

async fn store() -> StoreFixture {
    let database = Database::shared();
    let dead_letters = Arc::new(MemoryDeadLetters::default());
    let store = database.open().await;
    StoreFixture {
        store: Arc::new(ClickHouseWriter::new(store.clone(), None, dead_letters.clone())),
        deduplicator: Arc::new(Forgetful { marks: MemoryStore::default(), stored: store.clone() }),
        query: store.clone(),
        ledger: store.clone(),
        aggregates: store.clone(),
        replays: store,
        dead_letters,
        keep: Box::new(database),
    }
}

async fn replays() -> ReplayStoreFixture {
    let database = Database::shared();
    ReplayStoreFixture { replays: database.open().await, keep: Box::new(database) }
}

async fn aggregates() -> AggregateStoreFixture {
    let database = Database::shared();
    AggregateStoreFixture { aggregates: database.open().await, keep: Box::new(database) }
}

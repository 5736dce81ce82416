//! The conformance suites against `ClickHouse`.

use std::sync::Arc;

use futures::future::BoxFuture;
use gosight_application::process::StoredDeduplicator;
use gosight_clickhouse::ClickHouseStore;
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::refused_rows::RefusingFixture;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::{Event, EventName};
use gosight_memory::MemoryDeadLetters;

use crate::database::{Database, batches};

mod batch_store {
    gosight_conformance::batch_store_suite!(super::store);
}
mod refused_rows {
    gosight_conformance::refused_rows_suite!(super::refusing);
}
mod interrupted_batches {
    gosight_conformance::interrupted_batches_suite!(super::store);
}
mod event_query {
    gosight_conformance::event_query_suite!(super::store);
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
mod session_store {
    gosight_conformance::session_store_suite!(super::steps);
}
mod replay_store {
    gosight_conformance::replay_store_suite!(super::steps);
}
mod aggregate_store {
    gosight_conformance::aggregate_store_suite!(super::steps);
}

async fn steps() -> StepsFixture {
    let database = Arc::new(Database::shared());
    let store = database.open().await;
    steps_of(&store, database, Arc::default())
}

/// A new process connects to the database once more.
fn steps_of(
    store: &Arc<ClickHouseStore>,
    database: Arc<Database>,
    letters: Arc<MemoryDeadLetters>,
) -> StepsFixture {
    let fixture = StepsFixture::over(store, letters.clone(), Box::new(database.clone()));
    let reopen = Box::new(move |_: Box<StepsFixture>| -> BoxFuture<'static, _> {
        Box::pin(async move { Box::new(steps_of(&database.open().await, database, letters)) })
    });
    StepsFixture { reopen, ..fixture }
}

async fn store() -> StoreFixture {
    store_in(Arc::new(Database::shared())).await
}

async fn store_in(database: Arc<Database>) -> StoreFixture {
    let store = database.open().await;
    store_of(&store, database, Arc::default())
}

fn store_of(
    store: &Arc<ClickHouseStore>,
    database: Arc<Database>,
    letters: Arc<MemoryDeadLetters>,
) -> StoreFixture {
    let committed_to = batches(store, None, letters.clone());
    let deduplicator = Arc::new(StoredDeduplicator::new(store.clone()));
    let fixture = steps_of(store, database.clone(), letters.clone()).into_store(committed_to, deduplicator);
    let reopen = Box::new(move |_: Box<StoreFixture>| -> BoxFuture<'static, _> {
        Box::pin(async move { Box::new(store_of(&database.open().await, database, letters)) })
    });
    StoreFixture { reopen, ..fixture }
}

async fn refusing() -> RefusingFixture {
    let database = Arc::new(Database::shared());
    let store = store_in(database.clone()).await;
    let constraint = "ALTER TABLE events ADD CONSTRAINT no_poison CHECK event_type != 'poison'";
    database.client().query_raw(constraint).execute().await.unwrap();
    let refused = |event| Event { event_type: EventName::new("poison").unwrap(), ..event };
    RefusingFixture { store, refused }
}

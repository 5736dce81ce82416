//! Batches as large as settings and ids allow.

use gosight_application::ports::{
    ChunkId, Claim, LogPosition, ReplayStore, SessionQuery, SessionStore, StoredEvents,
};
use gosight_application::query::MAX_LIMIT;
use gosight_application::sessions::SessionRules;
use gosight_conformance::factory::{LOG, NOON, batch, click, event_id, project, session_id};
use gosight_domain::Event;

use crate::database::Database;

/// Events of a batch, five times what the event-processor takes by default.
const EVENTS: u64 = 10_000;

/// As long as an id may be.
fn session(n: u64) -> gosight_domain::SessionId {
    session_id(&format!("{n:0>100}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_of_as_many_sessions_with_long_ids_are_stored_and_known() {
    let database = Database::shared();
    let store = database.open().await;
    let event = |n: u64| Event { session_id: Some(session(n)), ..click(u128::from(n + 1), 0) };
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let claims: Vec<Claim> = (0..EVENTS)
        .map(|n| Claim {
            project_id: project("p"),
            event_id: event_id(u128::from(n + 1)),
            session_id: Some(session(n)),
            timestamp: NOON,
            position: LogPosition { log: LOG.into(), partition: 0, offset: n },
        })
        .collect();
    assert!(store.positions(&claims).await.unwrap().iter().all(Option::is_none));
    database.writer().await.commit(&batch(0, &events)).await.unwrap();
    assert!(store.positions(&claims).await.unwrap().iter().all(Option::is_some));
    let known: Vec<ChunkId> = (0..EVENTS)
        .map(|n| ChunkId { project_id: project("p"), session_id: session(n), chunk_index: 0 })
        .collect();
    assert!(store.contents(&known).await.unwrap().iter().all(Option::is_none));
    let page = SessionQuery { limit: MAX_LIMIT, ..SessionQuery::default() };
    assert_eq!(
        store.list(&SessionRules::default(), &project("p"), &page).await.unwrap().len() as u64,
        EVENTS
    );
}

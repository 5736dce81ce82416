//! What a store knows after it was opened again.

use gosight_application::ports::{
    AggregateStore, BatchStore, Claim, ClaimVerdict, Committed, Deduplicator, EventQuery, LedgerQuery,
    LogPosition, MetricsQuery, WindowQuery,
};
use gosight_conformance::factory::{LOG, NOON, batch, click, event, project, session_id, shared};
use gosight_domain::Event;
use gosight_domain::time::HOUR_MS;

use super::{open, session};

/// What deduplication says of `event`, read at `offset` of partition 0.
async fn verdict(store: &dyn Deduplicator, event: &Event, offset: u64) -> ClaimVerdict {
    let claim = Claim {
        project_id: event.project_id.clone(),
        event_id: event.event_id,
        session_id: event.session_id.clone(),
        timestamp: event.timestamp,
        position: LogPosition { log: shared(LOG), partition: 0, offset },
    };
    store.claim(&[claim]).await.unwrap()[0]
}

pub(crate) fn noon() -> MetricsQuery {
    MetricsQuery {
        event_name: None,
        from: NOON.hour(),
        to: NOON.plus_millis(HOUR_MS).hour(),
        channel: None,
        group_by: None,
        limit: 10,
    }
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = batch(0, &[click(1, 0), event(2, "page_view", 10)]);
    let opened = open(dir.path()).await;
    assert_eq!(opened.store.commit(&first).await.unwrap(), Committed::Now);
    opened.close().await;

    let opened = open(dir.path()).await;
    let store = &opened.store;
    assert_eq!(store.next_offsets(LOG).await.unwrap(), [(0, 2)].into());
    assert_eq!(store.commit(&first).await.unwrap(), Committed::Before);
    let p = project("p");
    assert_eq!(store.metrics(&p, &noon()).await.unwrap().total_count, 2);
    assert_eq!(store.session_events(&p, &session_id("s"), None, 10).await.unwrap().len(), 2);
    let session = session(store, &p, &session_id("s")).await.unwrap().summary;
    assert_eq!((session.event_count, session.click_count), (2, 1));
    let query = WindowQuery {
        aggregation: "clicks".into(),
        key: "all".into(),
        from: NOON,
        to: NOON.plus_millis(1),
        limit: 10,
    };
    assert_eq!(store.windows(&p, &query).await.unwrap()[0].1.count, 2);
    assert!(store.coverage(LOG).await.unwrap()[0].coverage.is_whole());
    assert_eq!(store.commit(&batch(2, &[click(3, 20)])).await.unwrap(), Committed::Now);
    assert_eq!(store.metrics(&p, &noon()).await.unwrap().total_count, 3);
}

#[tokio::test]
async fn stored_events_are_known_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    opened.store.commit(&batch(0, &[click(1, 0)])).await.unwrap();
    opened.close().await;

    let opened = open(dir.path()).await;
    assert_eq!(verdict(&*opened.store.deduplicator(), &click(1, 0), 7).await, ClaimVerdict::Duplicate);
    assert_eq!(verdict(&*opened.store.deduplicator(), &click(2, 0), 8).await, ClaimVerdict::Granted);
}

#[tokio::test]
async fn marks_that_were_lost_are_made_again_from_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    opened.store.commit(&batch(0, &[click(1, 0), click(2, 0)])).await.unwrap();
    opened.close().await;
    // Everything but the database is gone: log and marks.
    std::fs::remove_dir_all(dir.path().join("log")).unwrap();

    let opened = open(dir.path()).await;
    for (n, offset) in [(1, 0), (2, 1)] {
        assert_eq!(
            verdict(&*opened.store.deduplicator(), &click(n, 0), 9).await,
            ClaimVerdict::Duplicate,
            "event {n}"
        );
        let own = verdict(&*opened.store.deduplicator(), &click(n, 0), offset).await;
        assert_eq!(own, ClaimVerdict::Granted, "event {n} is not the duplicate of its own record");
    }
}

#[tokio::test]
async fn marks_of_a_database_that_was_lost_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    opened.store.commit(&batch(0, &[click(1, 0), click(2, 0)])).await.unwrap();
    opened.close().await;
    for name in ["gosight.db", "gosight.db-wal", "gosight.db-shm"] {
        match std::fs::remove_file(dir.path().join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }

    let opened = open(dir.path()).await;
    // So that the project and the log have their numbers again.
    opened.store.commit(&batch(0, &[click(3, 0)])).await.unwrap();
    assert_eq!(verdict(&*opened.store.deduplicator(), &click(1, 0), 7).await, ClaimVerdict::Granted);
    assert_eq!(verdict(&*opened.store.deduplicator(), &click(3, 0), 8).await, ClaimVerdict::Duplicate);
}

#[tokio::test]
async fn marks_are_those_of_the_database_when_an_older_one_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("gosight.db");
    let opened = open(dir.path()).await;
    opened.store.commit(&batch(0, &[click(1, 0)])).await.unwrap();
    opened.close().await;
    let backup = std::fs::read(&database).unwrap();
    let opened = open(dir.path()).await;
    opened.store.commit(&batch(1, &[click(2, 0)])).await.unwrap();
    opened.close().await;
    std::fs::write(&database, backup).unwrap();

    let opened = open(dir.path()).await;
    assert_eq!(opened.store.next_offsets(LOG).await.unwrap(), [(0, 1)].into());
    assert_eq!(verdict(&*opened.store.deduplicator(), &click(1, 0), 7).await, ClaimVerdict::Duplicate);
    assert_eq!(
        verdict(&*opened.store.deduplicator(), &click(2, 0), 8).await,
        ClaimVerdict::Granted,
        "it is not stored"
    );
}

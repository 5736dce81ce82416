use gosight_application::ports::{
    BatchStore, Committed, EventQuery, ProcessedBatch, ReplayStore, SystemClock,
};
use gosight_conformance::factory::{batch, chunk, click, project, replay_session, session_id};
use gosight_domain::Event;
use gosight_domain::replay::ReplayChunk;

use super::*;
use crate::{DataDir, Embedded, EmbeddedStore, LogConfig, StoreConfig};

async fn open(dir: &DataDir) -> Arc<EmbeddedStore> {
    let (log, store) = (LogConfig::default(), StoreConfig::default());
    Embedded::open(dir, Arc::new(SystemClock), log, store, &[]).await.unwrap().store
}

fn clicks(ids: std::ops::Range<u128>) -> Vec<Event> {
    ids.map(|n| click(n, 0)).collect()
}

async fn stored(store: &EmbeddedStore) -> usize {
    store.session_events(&project("p"), &session_id("s"), None, 10_000).await.unwrap().len()
}

/// Lets the database have so many pages, as a disk of that size would.
async fn limit_pages(store: &EmbeddedStore, pages: u32) {
    let mut writer = store.database.writer.lock().await;
    writer.ready::<gosight_application::ports::Nothing>().await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::query(sql).execute(writer.connection.as_mut().unwrap()).await.unwrap();
}

/// A batch of replay chunks. When the disk is full at a statement that ignores conflicts, as theirs does, `SQLite` ends
/// the whole transaction by itself.
fn chunks(first: u64) -> ProcessedBatch {
    let mut batch = batch(first, &[click(first.into(), 0)]);
    batch.sessions.clear();
    batch.events.clear();
    batch.replay_chunks =
        (0..8).map(|n| ReplayChunk { data: vec![n; 1 << 20], ..chunk("r", n.into(), "x") }).collect();
    batch
}

#[tokio::test]
async fn a_full_disk_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let store = open(&dir).await;
    store.commit(&batch(0, &clicks(0..10))).await.unwrap();
    let mut first = 10;
    for large in [batch(first, &clicks(10..2_000)), chunks(2_000)] {
        let before = stored(&store).await;
        for _ in 0..3 {
            // Fewer pages than there are, so the database cannot grow.
            limit_pages(&store, 1).await;
            let refused = store.commit(&large).await.unwrap_err();
            assert!(refused.is_transient() && refused.to_string().contains("full"), "{refused}");
            assert_eq!(stored(&store).await, before);
        }
        limit_pages(&store, 1 << 30).await;
        assert_eq!(store.commit(&large).await.unwrap(), Committed::Now);
        assert_eq!(store.commit(&large).await.unwrap(), Committed::Before);
        first = large.ledger.span.next();
    }
    assert_eq!((first, stored(&store).await), (2_001, 2_000));
    let headers = store.headers(&replay_session("p", "r")).await.unwrap();
    assert_eq!(headers.len(), 8);
}

/// Gives others so many turns.
async fn turns(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_commit_that_was_cut_short_anywhere_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let store = open(&dir).await;
    for n in 0..40u32 {
        let first = u64::from(n);
        let batch = batch(first, &clicks(first.into()..u128::from(first) + 1));
        tokio::select! {
            biased;
            committed = store.commit(&batch) => drop(committed.unwrap()),
            () = turns(n * 20) => {}
        }
        store.commit(&batch).await.unwrap();
        assert_eq!(stored(&store).await, n as usize + 1);
        let marked = store.marks.last_row().unwrap();
        assert_eq!(marked, i64::from(n) + 1, "every row has its mark");
    }
}

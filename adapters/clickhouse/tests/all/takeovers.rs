//! What a writer has begun when another one acquires its partition.

use std::time::Duration;

use gosight_application::ports::{EventRows, Ledger, LogPartition, StoredEvent};
use gosight_conformance::factory::{LOG, click};

use crate::database::Database;

const PATIENCE: Duration = Duration::from_secs(30);

impl Database {
    async fn run(&self, sql: &str) {
        self.client().query_raw(sql).execute().await.unwrap();
    }

    /// Waits until the number that `sql` gives is at least `least`.
    async fn wait_for(&self, sql: &str, least: u64) {
        let there = async { while self.number(sql).await < least {} };
        tokio::time::timeout(PATIENCE, there).await.expect("in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_acquired_when_deletions_of_older_writers_have_ended() {
    let database = Database::shared();
    let store = database.open().await;
    let place = LogPartition { log: LOG.into(), partition: 0 };
    let old = store.acquire(&place).await.unwrap();
    let stored = StoredEvent::new(0, click(1, 0)).expect("valid");
    store.insert(&old, &[&stored]).await.unwrap();

    database.run("SYSTEM STOP MERGES events").await;
    let older = store.clone();
    let deletion = tokio::spawn(async move { older.remove(&old, &[0]).await });
    let name = &database.config.database;
    let unfinished =
        format!("SELECT count() FROM system.mutations WHERE database = '{name}' AND NOT is_done");
    database.wait_for(&unfinished, 1).await;

    let newer = store.clone();
    let acquired = tokio::spawn(async move { newer.acquire(&place).await });
    // It is the last writer from here on, and waits for the one before it.
    database.wait_for("SELECT max(epoch) FROM writers", 2).await;
    database.run("SYSTEM START MERGES events").await;
    acquired.await.unwrap().unwrap();
    assert_eq!(database.number(&unfinished).await, 0);
    deletion.await.unwrap().unwrap();
    // It had not begun to rewrite when it was overtaken.
    assert_eq!(database.number("SELECT count() FROM events").await, 1);
}

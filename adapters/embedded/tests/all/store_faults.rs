//! What a store says when its database cannot be used.

use std::path::Path;
use std::sync::Arc;

use gosight_application::ports::{
    BatchStore, Committed, Health, HealthCheck, PortError, SessionQuery, SessionStore, SystemClock,
};
use gosight_application::sessions::SessionRules;
use gosight_conformance::factory::{batch, click, project, session_id};
use gosight_embedded::{DataDir, DataDirError, Embedded, LogConfig, StoreConfig};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{open, session};

#[tokio::test]
async fn a_locked_database_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    let options = SqliteConnectOptions::new().filename(dir.path().join("gosight.db"));
    let mut other = options.connect().await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = opened.store.commit(&batch(0, &[click(1, 0)])).await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    lock.rollback().await.unwrap();
    assert_eq!(opened.store.commit(&batch(0, &[click(1, 0)])).await.unwrap(), Committed::Now);
}

async fn change(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path.join("gosight.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_not_tried_for_ever() {
    for sql in ["UPDATE sessions SET state = x'c1'", "UPDATE sessions SET trail = x'c1'"] {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(dir.path()).await;
        opened.store.commit(&batch(0, &[click(1, 0)])).await.unwrap();
        change(dir.path(), sql).await;
        let refused = opened.store.commit(&batch(1, &[click(2, 0)])).await.unwrap_err();
        assert!(matches!(refused, PortError::Fatal { .. }), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn what_is_shown_of_a_session_does_not_need_its_trail() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    let store = &opened.store;
    let clicks: Vec<_> = (0..5).map(|n| click(n, 100 * i64::try_from(n).unwrap())).collect();
    store.commit(&batch(0, &clicks)).await.unwrap();
    change(dir.path(), "UPDATE sessions SET trail = x'c1'").await;
    let p = project("p");
    let query = SessionQuery { limit: 10, ..SessionQuery::default() };
    let listed = store.list(&SessionRules::default(), &p, &query).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].has_rage_click && !listed[0].has_dead_click);
    let shown = session(store, &p, &session_id("s")).await.unwrap();
    assert_eq!(shown.summary, listed[0]);
    assert_eq!(shown.insights.len(), 1);
}

#[tokio::test]
async fn a_store_that_was_closed_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path()).await;
    opened.store.close().await;
    let refused = opened.store.commit(&batch(0, &[click(1, 0)])).await.unwrap_err();
    assert!(matches!(refused, PortError::Fatal { .. }), "{refused}");
    assert!(matches!(opened.store.check().await, Health::Down(_)));
}

#[tokio::test]
async fn a_damaged_database_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await;
    let path = dir.path().join("gosight.db");
    let damaged = b"this was a database once".repeat(1_000);
    std::fs::write(&path, &damaged).unwrap();
    let held = DataDir::open(dir.path()).unwrap();
    let refused =
        Embedded::open(&held, Arc::new(SystemClock), LogConfig::default(), StoreConfig::default(), &[])
            .await
            .unwrap_err();
    let DataDirError::Database { path: named, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*named, path);
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
}

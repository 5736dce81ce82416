//! What a store says when its database cannot be used.

use gosight_application::ports::{BatchStore, Committed, Health, HealthCheck, PortError};
use gosight_conformance::factory::{batch, click};
use gosight_embedded::{DataDir, DataDirError, Embedded, LogConfig, StoreConfig};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::open;

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
    let refused = Embedded::open(&held, LogConfig::default(), StoreConfig::default(), &[]).await.unwrap_err();
    let DataDirError::Database { path: named, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*named, path);
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
}

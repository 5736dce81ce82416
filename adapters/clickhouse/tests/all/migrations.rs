//! A database of an older release is brought up to date, whatever happens meanwhile.

use futures::future::try_join_all;
use gosight_application::ports::{EventQuery, SessionQuery, SessionStore};
use gosight_application::sessions::SessionRules;
use gosight_clickhouse::ClickHouseStore;
use gosight_conformance::factory::{click, project, session_id};
use gosight_domain::Event;

use crate::database::Database;
use crate::old_database::new_batch;

/// Columns that the newest migration adds.
const NEW_COLUMNS: &str = "SELECT count() FROM system.columns WHERE database = currentDatabase()
    AND (table = 'events' AND name IN ('click_x', 'ttfb') OR table = 'sessions' AND name IN ('entry_url', 'country'))";

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_migrate_at_once() {
    let database = Database::of_version_09ea4e6().await;
    let all = (0..8).map(|_| ClickHouseStore::connect(&database.config));
    try_join_all(all).await.unwrap();
    assert_eq!(database.number(NEW_COLUMNS).await, 4);
    let event = Event { library: Some("gosight-js/1.2.0".into()), ..click(1, 0) };
    database.writer().await.commit(&new_batch(0, std::slice::from_ref(&event))).await.unwrap();
    let store = database.open().await;
    assert_eq!(store.session_events(&project("p"), &session_id("s"), None, 10).await.unwrap(), [event]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_stopped_is_done_again() {
    let database = Database::of_version_09ea4e6().await;
    database.open().await;
    // Stopped before it is noted.
    database.run("DELETE FROM schema_migrations WHERE version = 3").await;
    database.open().await;
    // Stopped between the two tables.
    database.run("DELETE FROM schema_migrations WHERE version = 3").await;
    for column in ["entry_url", "entry_path", "exit_url", "exit_path", "max_scroll_depth", "country"] {
        database.run(&format!("ALTER TABLE sessions DROP COLUMN {column}")).await;
    }
    database.open().await;
    assert_eq!(database.number(NEW_COLUMNS).await, 4);
    assert_eq!(database.number("SELECT count() FROM schema_migrations WHERE version = 3").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_older_releases_are_listed_and_get_their_columns_with_the_next_event() {
    let database = Database::of_version_09ea4e6().await;
    let there =
        database.number("SELECT uniqExact(session_id) FROM sessions WHERE project_id = 'default'").await;
    let store = database.open().await;
    let query = SessionQuery { limit: 1_000, ..SessionQuery::default() };
    let listed = store.list(&SessionRules::default(), &project("default"), &query).await.unwrap();
    assert_eq!(listed.len() as u64, there);
    assert_eq!(database.number("SELECT count() FROM sessions WHERE entry_path != ''").await, 0);

    let filled = "SELECT count() FROM sessions FINAL WHERE project_id = 'p'
        AND (entry_path, exit_url, browser, os, device_type, country)
          = ('/a', 'https://shop.example/a?b=c', 'Firefox', 'Linux', 'desktop', 'NZ')";
    let writer = database.writer().await;
    writer.commit(&new_batch(0, &[click(1, 0)])).await.unwrap();
    assert_eq!(database.number(filled).await, 1);
    // As an older release puts it, which does not know the columns.
    database
        .run(
            "INSERT INTO sessions (project_id, session_id, log, log_partition, event_count, started_at, ended_at, insights, state)
             SELECT project_id, session_id, log, log_partition, 1 AS event_count, started_at, ended_at, insights, state
             FROM sessions WHERE project_id = 'p'",
        )
        .await;
    assert_eq!(database.number(filled).await, 0);
    writer.commit(&new_batch(1, &[click(2, 10)])).await.unwrap();
    assert_eq!(database.number(filled).await, 1);
}

//! What retention removes, and that what is left agrees.

use std::time::{SystemTime, UNIX_EPOCH};

use gosight_application::ports::{
    AggregateStore, Committed, EventQuery, GroupBy, LedgerQuery, MetricsQuery, ProcessedBatch, ReplayStore,
    SessionQuery, SessionStore, WindowQuery,
};
use gosight_application::sessions::SessionRules;
use gosight_clickhouse::ClickHouseStore;
use gosight_conformance::factory::{LOG, batch, chunk, click, project, replay_session, session_id};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::replay::ReplayChunk;
use gosight_domain::rollup::Dimension;
use gosight_domain::time::{DAY_MS, HOUR_MS};
use gosight_domain::{Event, Hour, Timestamp};

use crate::database::Database;

/// Past the retention of one day, with an hour to spare.
const OLD: i64 = DAY_MS + HOUR_MS;
const NEW: i64 = HOUR_MS;
/// Events of each kind of session; the one that reaches over the edge has as many on each side.
const EACH: u64 = 10;
const ALL: u64 = 4 * EACH;
const KEPT: u64 = 2 * EACH;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn events(now: Timestamp) -> Vec<Event> {
    let ages = [("old", OLD), ("over", OLD), ("over", NEW), ("new", NEW)];
    let of_age = |(n, (session, age)): (u128, (&str, i64))| {
        let at = now.plus_millis(-age);
        let session_id = Some(session_id(session));
        (0..u128::from(EACH)).map(move |i| Event {
            timestamp: at,
            received_at: at,
            session_id: session_id.clone(),
            ..click(n * 100 + i, 0)
        })
    };
    (1..).zip(ages).flat_map(of_age).collect()
}

fn batch_of(now: Timestamp) -> ProcessedBatch {
    let events = events(now);
    let mut batch = batch(0, &events);
    batch.aggregates.clear();
    for event in &events {
        let key = AggregateKey {
            project_id: project("p"),
            aggregation: "clicks".into(),
            key: "all".into(),
            window_start: event.timestamp.hour().start(),
        };
        let one = AggregateValue { count: 1, ..AggregateValue::default() };
        batch.aggregates.entry(key).or_default().merge(&one);
    }
    let received = |session: &str, age: i64| ReplayChunk {
        received_at: now.plus_millis(-age),
        ..chunk(session, u16::from(age == NEW), "data")
    };
    batch.replay_chunks = vec![received("over", OLD), received("over", NEW)];
    batch
}

async fn total(store: &ClickHouseStore, now: Timestamp, group_by: Option<GroupBy>) -> u64 {
    let query = MetricsQuery {
        event_name: None,
        from: now.plus_millis(-10 * DAY_MS).hour(),
        to: Hour::from_index(now.hour().index() + 1),
        channel: None,
        group_by,
        limit: 1_000,
    };
    let metrics = store.metrics(&project("p"), &query).await.unwrap();
    if group_by.is_none() { metrics.total_count } else { metrics.groups.iter().map(|g| g.total_count).sum() }
}

/// Raw rows and every projection of them say `count`.
async fn assert_counts(database: &Database, store: &ClickHouseStore, now: Timestamp, count: u64) {
    let raw = "SELECT toUInt64(countIf(event_id != toUUIDOrZero(''))) FROM events SETTINGS optimize_use_projections = 0";
    assert_eq!(database.number(raw).await, count, "rows");
    let groups = [GroupBy::Hour, GroupBy::Dimension(Dimension::Path), GroupBy::Dimension(Dimension::Country)];
    for group_by in [None].into_iter().chain(groups.map(Some)) {
        assert_eq!(total(store, now, group_by).await, count, "{group_by:?}");
    }
    let by_offset = format!("SELECT count() FROM events WHERE log = '{LOG}' AND log_offset < 1000");
    assert_eq!(database.number(&by_offset).await, count, "by offset");
}

async fn run_on_all(database: &Database, statement: impl Fn(&str) -> String) {
    for table in ["events", "sessions", "aggregates", "replay_chunks"] {
        database.client().query_raw(&statement(table)).execute().await.unwrap();
    }
}

/// Merges all parts, which is when rows that are too old go.
async fn merge(database: &Database) {
    run_on_all(database, |table| format!("OPTIMIZE TABLE {table} FINAL")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_leaves_agrees() {
    let mut database = Database::shared();
    database.config.retention_days = 1;
    database.config.replay_retention_days = 1;
    let store = database.open().await;
    ClickHouseStore::keep_replays(&database.config).await.unwrap();
    let now = now();
    database.writer().await.commit(&batch_of(now)).await.unwrap();
    merge(&database).await;
    assert_counts(&database, &store, now, KEPT).await;
    assert_sessions(&store).await;
    assert_windows(&store, now).await;
    assert_ledger(&store).await;
    let chunks = store.headers(&replay_session("p", "over")).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.chunk_index).collect::<Vec<_>>(), [1]);
    // Processing goes on where it was.
    let next = database.writer().await;
    let mut more = batch(ALL, &events(now)[..1]);
    more.events.clear();
    assert_eq!(next.commit(&more).await.unwrap(), Committed::Now);
}

/// A session goes with its last event. One that reaches over the edge keeps the counts of what it has lost.
async fn assert_sessions(store: &ClickHouseStore) {
    let p = project("p");
    let page = SessionQuery { limit: 10, ..SessionQuery::default() };
    let mut listed: Vec<(String, u64)> = store
        .list(&SessionRules::default(), &p, &page)
        .await
        .unwrap()
        .into_iter()
        .map(|session| (session.session_id.to_string(), session.event_count))
        .collect();
    listed.sort();
    assert_eq!(listed, [("new".to_owned(), EACH), ("over".to_owned(), 2 * EACH)]);
    assert!(store.get(&SessionRules::default(), &p, &session_id("old")).await.unwrap().is_none());
    for (session, count) in [("old", 0), ("over", EACH), ("new", EACH)] {
        let events = store.session_events(&p, &session_id(session), None, 100).await.unwrap();
        assert_eq!(events.len() as u64, count, "{session}");
    }
}

/// Windows that began before the edge are gone.
async fn assert_windows(store: &ClickHouseStore, now: Timestamp) {
    let query = WindowQuery {
        aggregation: "clicks".into(),
        key: "all".into(),
        from: now.plus_millis(-10 * DAY_MS),
        to: now,
        limit: 100,
    };
    let windows = store.windows(&project("p"), &query).await.unwrap();
    assert_eq!(windows.iter().map(|(_, value)| value.count).collect::<Vec<_>>(), [KEPT]);
}

/// The ledger says for ever what became of every record.
async fn assert_ledger(store: &ClickHouseStore) {
    let balances = store.balances(None, Hour::from_index(0), Hour::from_index(900_000)).await.unwrap();
    assert_eq!(balances.iter().map(|balance| balance.counts.stored).sum::<u64>(), ALL);
    let coverage = store.coverage(LOG).await.unwrap();
    assert!(coverage.iter().all(|found| found.coverage.is_whole() && found.coverage.end == ALL));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_there_was_a_retention_go_when_they_are_told_to() {
    let mut database = Database::shared();
    let now = now();
    database.writer().await.commit(&batch_of(now)).await.unwrap();
    database.config.retention_days = 1;
    database.config.replay_retention_days = 1;
    let store = database.open().await;
    ClickHouseStore::keep_replays(&database.config).await.unwrap();
    assert_counts(&database, &store, now, ALL).await;
    run_on_all(&database, |table| format!("ALTER TABLE {table} MATERIALIZE TTL SETTINGS mutations_sync = 2"))
        .await;
    assert_counts(&database, &store, now, KEPT).await;
    assert_sessions(&store).await;
    // And no more go once it is taken back.
    database.config.retention_days = 0;
    let store = database.open().await;
    merge(&database).await;
    assert_counts(&database, &store, now, KEPT).await;
}

//! What a store throws away, and what it must not.

use std::path::Path;

use gosight_application::ports::{
    AggregateStore, BatchStore, Clock, DeadLetter, DeadLetters, EventQuery, LedgerQuery, LogPosition,
    Maintenance, MetricsQuery, ProcessedBatch, SystemClock, WindowQuery,
};
use gosight_application::sessions::SessionRules;
use gosight_conformance::factory::{
    LOG, NOON, batch, bytes, click, event, project, session_id, shared, span,
};
use gosight_domain::Event;
use gosight_domain::ledger::{LedgerRow, OutcomeCounts};
use gosight_domain::time::{DAY_MS, HOUR_MS};
use gosight_embedded::StoreConfig;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::store_restart::noon;
use super::{Opened, open_with, session};

async fn keeping(path: &Path, retention_days: u32) -> Opened {
    open_with(path, StoreConfig { retention_days, ..StoreConfig::default() }).await
}

async fn count(path: &Path, sql: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(path.join("gosight.db")).read_only(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sql).fetch_one(&mut connection).await.unwrap().try_get(0).unwrap()
}

/// A batch with something of everything at noon.
fn everything() -> ProcessedBatch {
    let mut everything = batch(0, &[click(1, 0), event(2, "page_view", 10), event(3, "js_error", 20)]);
    everything.dead_letters.push(DeadLetter {
        position: LogPosition { log: shared(LOG), partition: 0, offset: 1 },
        project_id: Some(project("p")),
        reason: shared("not_json"),
        detail: "no".to_owned(),
        at: NOON,
        record: bytes("{"),
    });
    everything
}

#[tokio::test]
async fn what_is_past_its_retention_goes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 2).await;
    let store = &opened.store;
    store.commit(&everything()).await.unwrap();
    let (p, s) = (project("p"), session_id("s"));
    let query = WindowQuery {
        aggregation: "clicks".into(),
        key: "all".into(),
        from: NOON,
        to: NOON.plus_millis(1),
        limit: 10,
    };

    store.maintain(NOON.plus_millis(2 * DAY_MS - HOUR_MS), &SessionRules::default()).await.unwrap();
    assert_eq!(store.metrics(&p, &noon()).await.unwrap().total_count, 3);
    assert_eq!(store.session_events(&p, &s, None, 10).await.unwrap().len(), 3);
    assert!(session(store, &p, &s).await.is_some());
    assert_eq!(store.windows(&p, &query).await.unwrap().len(), 1);
    assert_eq!(store.list(None, 10).await.unwrap().len(), 1);

    store.maintain(NOON.plus_millis(2 * DAY_MS + HOUR_MS), &SessionRules::default()).await.unwrap();
    assert_eq!(store.metrics(&p, &noon()).await.unwrap().total_count, 0);
    assert_eq!(store.session_events(&p, &s, None, 10).await.unwrap().len(), 0);
    assert!(session(store, &p, &s).await.is_none());
    assert_eq!(store.windows(&p, &query).await.unwrap().len(), 0);
    assert_eq!(store.list(None, 10).await.unwrap().len(), 0);
    for sql in ["SELECT count(*) FROM hourly_visitors", "SELECT count(*) FROM insights"] {
        assert_eq!(count(dir.path(), sql).await, 0, "{sql}");
    }
    // Where processing is stays known whatever is thrown away.
    assert_eq!(store.next_offsets(LOG).await.unwrap(), [(0, 3)].into());
}

#[tokio::test]
async fn a_retention_of_no_days_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 0).await;
    opened.store.commit(&everything()).await.unwrap();
    opened.store.maintain(NOON.plus_millis(10_000 * DAY_MS), &SessionRules::default()).await.unwrap();
    assert_eq!(opened.store.metrics(&project("p"), &noon()).await.unwrap().total_count, 3);
}

#[tokio::test]
async fn a_count_of_an_hour_that_went_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 2).await;
    let store = &opened.store;
    store.commit(&batch(0, &[click(1, 0)])).await.unwrap();
    store.maintain(NOON.plus_millis(3 * DAY_MS), &SessionRules::default()).await.unwrap();
    store.commit(&batch(1, &[click(2, 0)])).await.unwrap();
    let metrics = store.metrics(&project("p"), &noon()).await.unwrap();
    assert_eq!((metrics.total_count, metrics.unique_users), (1, 1));
}

/// An event of a session of its own in project `q`, long before the others.
fn late(id: u128) -> Event {
    let timestamp = NOON.plus_millis(-10 * DAY_MS);
    Event { project_id: project("q"), session_id: Some(session_id("late")), timestamp, ..click(id, 0) }
}

#[tokio::test]
async fn an_old_event_behind_newer_ones_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 2).await;
    let store = &opened.store;
    let newer: Vec<Event> = (0..5_500).map(|n| click(n, 0)).collect();
    store.commit(&batch(0, &newer)).await.unwrap();
    store.commit(&batch(5_500, &[late(9_000)])).await.unwrap();
    store.maintain(NOON.plus_millis(DAY_MS), &SessionRules::default()).await.unwrap();
    assert_eq!(count(dir.path(), "SELECT count(*) FROM events").await, 5_500);
    assert!(session(store, &project("q"), &session_id("late")).await.is_none());
}

#[tokio::test]
async fn nothing_of_a_session_that_went_is_shown_in_another() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 2).await;
    let store = &opened.store;
    store.commit(&batch(0, &[late(1)])).await.unwrap();
    let before = count(dir.path(), "SELECT max(id) FROM sessions").await;
    store.maintain(NOON, &SessionRules::default()).await.unwrap();
    assert_eq!(count(dir.path(), "SELECT count(*) FROM sessions").await, 0);
    store.commit(&batch(1, &[click(2, 0)])).await.unwrap();
    let number = count(dir.path(), "SELECT id FROM sessions").await;
    assert!(number > before, "the number of a session is never given again");

    // Even a row that calls itself one of this session is not shown when it is another project's.
    let of_other = Event { timestamp: NOON, ..late(3) };
    store.commit(&batch(2, &[of_other])).await.unwrap();
    let options = SqliteConnectOptions::new().filename(dir.path().join("gosight.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::query("UPDATE events SET session = ?").bind(number).execute(&mut connection).await.unwrap();
    let shown = store.session_events(&project("p"), &session_id("s"), None, 10).await.unwrap();
    assert_eq!(shown.len(), 1);
}

#[tokio::test]
async fn what_is_left_at_the_edge_of_the_retention_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 2).await;
    let store = &opened.store;
    let of = |session: &str, event: Event| Event { session_id: Some(session_id(session)), ..event };
    let minutes = |minutes: i64| minutes * 60_000;
    store
        .commit(&batch(
            0,
            &[
                // Ends before the full hour, begins before and ends after it, is after it.
                of("gone", event(1, "page_view", minutes(-20))),
                of("gone", click(2, minutes(-1))),
                of("cut", event(3, "page_view", minutes(-10))),
                of("cut", click(4, -1)),
                of("cut", click(5, 0)),
                of("cut", event(6, "js_error", minutes(40))),
                of("kept", event(7, "page_view", minutes(10))),
            ],
        ))
        .await
        .unwrap();
    // The edge lies in the middle of an hour; the cut is made at its start.
    store.maintain(NOON.plus_millis(2 * DAY_MS + minutes(30)), &SessionRules::default()).await.unwrap();

    let p = project("p");
    let query = MetricsQuery { from: NOON.plus_millis(-DAY_MS).hour(), ..noon() };
    assert_eq!(store.metrics(&p, &query).await.unwrap().total_count, 3);
    let mut shown = Vec::new();
    for name in ["gone", "cut", "kept"] {
        let events = store.session_events(&p, &session_id(name), None, 10).await.unwrap();
        let Some(row) = session(store, &p, &session_id(name)).await else {
            assert!(events.is_empty());
            continue;
        };
        let summary = row.summary;
        assert_eq!(summary.event_count, events.len() as u64, "{name}");
        assert_eq!(summary.started_at, events[0].timestamp, "{name}");
        shown.push((name, summary.event_count, summary.page_count, summary.click_count, summary.error_count));
    }
    assert_eq!(shown, [("cut", 2, 0, 1, 1), ("kept", 1, 1, 0, 0)]);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM events").await, 3);

    // A late event before the cut comes and goes as if it had not been.
    store.commit(&batch(7, &[of("cut", click(8, minutes(-5)))])).await.unwrap();
    store.maintain(NOON.plus_millis(2 * DAY_MS + minutes(30)), &SessionRules::default()).await.unwrap();
    let cut = session(store, &p, &session_id("cut")).await.unwrap().summary;
    assert_eq!((cut.event_count, cut.click_count, cut.started_at), (2, 1, NOON));
    assert_eq!(store.metrics(&p, &query).await.unwrap().total_count, 3);
}

async fn ledger(store: &dyn LedgerQuery) -> OutcomeCounts {
    let from = NOON.plus_millis(-DAY_MS).hour();
    let balances = store.balances(None, from, NOON.plus_millis(DAY_MS).hour()).await.unwrap();
    let mut total = OutcomeCounts::default();
    for balance in &balances {
        total.merge(&balance.counts);
    }
    total
}

#[tokio::test]
async fn old_ledger_rows_that_join_become_one_and_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let opened = keeping(dir.path(), 0).await;
    let store = &opened.store;
    for n in 0..5 {
        store.commit(&batch(n, &[click(u128::from(n), 0)])).await.unwrap();
    }
    // A batch of another partition, which joins none of them.
    let mut other = LedgerRow::new(span(5, 1));
    other.span.partition = 1;
    store.commit(&ProcessedBatch::empty(other)).await.unwrap();
    let before = ledger(&*opened.store).await;
    assert_eq!(before.stored, 5);
    let rows = "SELECT count(*) FROM ledger";
    assert_eq!(count(dir.path(), rows).await, 6);

    // Rows of an hour that is not over, or not an hour ago, stay.
    store.maintain(SystemClock.now(), &SessionRules::default()).await.unwrap();
    assert_eq!(count(dir.path(), rows).await, 6);
    store.maintain(SystemClock.now().plus_millis(3 * HOUR_MS), &SessionRules::default()).await.unwrap();
    // The batches may have been committed on both sides of a full hour.
    assert!((2..=3).contains(&count(dir.path(), rows).await));
    assert_eq!(ledger(&*opened.store).await, before);
    let coverage = store.coverage(LOG).await.unwrap();
    assert!(coverage[0].coverage.is_whole() && coverage[0].coverage.end == 5, "{coverage:?}");
    opened.close().await;

    let opened = keeping(dir.path(), 0).await;
    assert_eq!(opened.store.next_offsets(LOG).await.unwrap(), [(0, 5), (1, 6)].into());
    opened.store.commit(&batch(5, &[click(9, 0)])).await.unwrap();
    assert_eq!(ledger(&*opened.store).await.stored, 6);
}

//! Whatever stops a batch on its way: in the end each event counts once, everywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, BatchStore, CommitError, Committed, DeadLetter, DeadLetters, DeadLettersError,
    EventQuery, Fence, LedgerQuery, LogPosition, MetricsQuery, PortError, ProcessedBatch, SessionCache,
    SessionStore, WindowQuery,
};
use gosight_application::sessions::SessionRules;
use gosight_conformance::factory::{LOG, NOON, batch, click, project, session_id};
use gosight_domain::time::DAY_MS;
use gosight_domain::{Event, Hour};
use gosight_memory::MemorySessionCache;
use gosight_services::{Instance, Service};

use crate::database::{Database, batches};

/// Events that stand at the offsets from `first` on of `partition`, in sessions that only this partition has. Some lie
/// in the month before: a batch is then more than one insert.
fn events(partition: u32, first: u64, count: u64) -> Vec<Event> {
    (first..first + count)
        .map(|offset| {
            let id = u128::from(partition) << 64 | u128::from(offset);
            let days = if offset % 7 == 0 { 25 } else { 0 };
            Event {
                session_id: Some(session_id(&format!("{partition}-{}", offset % 5))),
                ..click(id, i64::try_from(offset).unwrap() - days * DAY_MS)
            }
        })
        .collect()
}

fn batch_of(partition: u32, first: u64, count: u64) -> ProcessedBatch {
    let mut batch = batch(first, &events(partition, first, count));
    batch.ledger.span.partition = partition;
    batch
}

/// Tries until it is stored, as a worker does.
async fn persist(store: &dyn BatchStore, batch: &ProcessedBatch) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    loop {
        match store.commit(batch).await {
            Ok(Committed::Now | Committed::Before) => return,
            Err(error) if error.is_transient() && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{}: {error}", batch.ledger.span),
        }
    }
}

/// Everything that can be counted says that there are `per_partition` events in each of `partitions`.
async fn assert_exact(database: &Database, partitions: u32, per_partition: u64) {
    let store = database.open().await;
    let all = u64::from(partitions) * per_partition;
    assert_eq!(database.number("SELECT count() FROM events").await, all, "rows");
    assert_eq!(database.number("SELECT uniqExact(event_id) FROM events").await, all, "ids");
    let from_projection = "SELECT sum(total_count) FROM events_hourly SETTINGS force_optimize_projection = 1";
    assert_eq!(database.number(from_projection).await, all, "rollup");
    let query = MetricsQuery {
        event_name: None,
        from: Hour::from_index(NOON.hour().index() - 24 * 40),
        to: Hour::from_index(NOON.hour().index() + 48),
        channel: None,
        group_by: None,
        limit: 10,
    };
    assert_eq!(store.metrics(&project("p"), &query).await.unwrap().total_count, all, "metrics");
    let mut in_sessions = 0;
    for session in 0..5 {
        for partition in 0..partitions {
            let id = session_id(&format!("{partition}-{session}"));
            let found = store.get(&SessionRules::default(), &project("p"), &id).await.unwrap();
            in_sessions += found.unwrap().summary.event_count;
        }
    }
    assert_eq!(in_sessions, all, "sessions");
    let summed = "SELECT sum(events) FROM (
        SELECT argMax(event_count, event_count) AS events FROM sessions
        GROUP BY project_id, session_id, log, log_partition)";
    assert_eq!(database.number(summed).await, all, "rows of sessions");
    let coverage = store.coverage(LOG).await.unwrap();
    assert!(coverage.iter().all(|found| found.coverage.is_whole() && found.coverage.end == per_partition));
    let balances = store.balances(None, Hour::from_index(0), Hour::from_index(900_000)).await.unwrap();
    assert_eq!(balances.iter().map(|balance| balance.counts.stored).sum::<u64>(), all, "ledger");
    assert!(balances.iter().all(|balance| balance.counts.balances()));
    assert_eq!(aggregated(database).await, all, "aggregates");
}

async fn aggregated(database: &Database) -> u64 {
    let query = WindowQuery {
        aggregation: "clicks".into(),
        key: "all".into(),
        from: NOON.plus_millis(-40 * DAY_MS),
        to: NOON.plus_millis(2 * DAY_MS),
        limit: 10_000,
    };
    let windows = database.open().await.windows(&project("p"), &query).await.unwrap();
    windows.iter().map(|(_, value)| value.count).sum()
}

/// Fails a given number of times, after everything but the ledger row was inserted.
#[derive(Debug, Default)]
struct Breaking(AtomicBool);

#[async_trait]
impl DeadLetters for Breaking {
    async fn put(&self, _: &Fence, _: &[DeadLetter]) -> Result<(), DeadLettersError> {
        if self.0.load(Ordering::SeqCst) { Err(PortError::transient("test", "unavailable")) } else { Ok(()) }
    }

    async fn list(&self, _: Option<&LogPosition>, _: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        Ok(Vec::new())
    }

    async fn get(&self, _: &LogPosition) -> Result<Option<DeadLetter>, DeadLettersError> {
        Ok(None)
    }

    async fn remove(&self, _: &LogPosition) -> Result<(), DeadLettersError> {
        Ok(())
    }
}

fn with_letter(mut batch: ProcessedBatch) -> ProcessedBatch {
    batch.dead_letters.push(DeadLetter {
        position: LogPosition { log: LOG.into(), partition: 0, offset: 0 },
        project_id: None,
        reason: "test".into(),
        detail: String::new(),
        at: NOON,
        record: bytes::Bytes::new(),
    });
    batch
}

/// Leaves all rows of the batch but the one in the ledger.
async fn half_commit(database: &Database, batch: ProcessedBatch) {
    let breaking = Arc::new(Breaking(AtomicBool::new(true)));
    let store = batches(&database.open().await, None, breaking);
    let error = store.commit(&with_letter(batch)).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_is_completed_however_the_batches_are_cut() {
    for cuts in [vec![20], vec![3, 17], vec![10, 10], vec![7, 7, 6], vec![1; 20]] {
        let database = Database::shared();
        let before = database.writer().await;
        persist(&*before, &batch_of(0, 0, 10)).await;
        half_commit(&database, batch_of(0, 10, 15)).await;
        let store = database.writer().await;
        let mut first = 10;
        for count in &cuts {
            assert_eq!(store.commit(&batch_of(0, first, *count)).await.unwrap(), Committed::Now);
            first += count;
        }
        assert_exact(&database, 1, 30).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_is_not_believed_after_a_crash() {
    let database = Database::shared();
    let cache: Arc<dyn SessionCache> = Arc::new(MemorySessionCache::default());
    let open = async || database.writer_with(Some(cache.clone())).await;
    let store = open().await;
    persist(&*store, &batch_of(0, 0, 10)).await;
    persist(&*store, &batch_of(0, 10, 10)).await;
    half_commit(&database, batch_of(0, 20, 10)).await;
    let store = open().await;
    for first in [20, 25, 30, 35] {
        persist(&*store, &batch_of(0, first, 5)).await;
    }
    assert_exact(&database, 1, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_the_batchs_any_more_go() {
    let database = Database::shared();
    half_commit(&database, batch_of(0, 0, 20)).await;
    // A filter rule was added meanwhile: only the first ten are stored, and the ledger covers all.
    let mut shorter = batch_of(0, 0, 10);
    shorter.ledger.span.last = 19;
    let store = database.writer().await;
    assert_eq!(store.commit(&shorter).await.unwrap(), Committed::Now);
    assert_eq!(database.number("SELECT count() FROM events").await, 10);
    assert_eq!(database.number("SELECT sum(total_count) FROM events_hourly").await, 10);
    let summed =
        "SELECT sum(events) FROM (SELECT max(event_count) AS events FROM sessions GROUP BY session_id)";
    assert_eq!(database.number(summed).await, 10);
    assert_eq!(aggregated(&database).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_was_taken_over_stores_nothing_more() {
    let database = Database::shared();
    let (old, new) = (database.writer().await, database.writer().await);
    persist(&*old, &batch_of(0, 0, 5)).await;
    persist(&*new, &batch_of(0, 5, 5)).await;
    let error = old.commit(&batch_of(0, 5, 5)).await.unwrap_err();
    assert!(matches!(error, CommitError::Transient { .. }), "{error}");
    assert!(error.to_string().contains("taken this partition over"), "{error}");
    // It looks again, and sees that its batch is done.
    assert_eq!(old.commit(&batch_of(0, 5, 5)).await.unwrap(), Committed::Before);
    assert!(matches!(old.commit(&batch_of(0, 8, 5)).await, Err(CommitError::Fatal { .. })));
    assert_exact(&database, 1, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_arrive_change_nothing() {
    let server = Instance::start(Service::ClickHouse);
    let proxy = server.proxy();
    let direct = Database::new(server.url());
    let mut through = Database::new(format!("http://{}", proxy.address()));
    through.config.database.clone_from(&direct.config.database);
    let store = through.writer().await;
    for round in 0..20 {
        let batch = batch_of(0, round * 10, 10);
        proxy.cut_answers(true);
        for _ in 0..round % 3 {
            let error = store.commit(&batch).await.unwrap_err();
            assert!(error.is_transient(), "{error}");
        }
        proxy.cut_answers(false);
        persist(&*store, &batch).await;
    }
    assert_exact(&direct, 1, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_at_any_moment_change_nothing() {
    let server = Instance::start(Service::ClickHouse);
    let proxy = Arc::new(server.proxy());
    let direct = Database::new(server.url());
    let mut through = Database::new(format!("http://{}", proxy.address()));
    through.config.database.clone_from(&direct.config.database);
    let store = through.writer().await;
    let done = Arc::new(AtomicBool::new(false));
    let cutter = tokio::spawn({
        let (proxy, done) = (proxy.clone(), done.clone());
        async move {
            let mut cuts = 0;
            while !done.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(rand::random_range(1..600))).await;
                proxy.cut();
                cuts += 1;
            }
            cuts
        }
    });
    for round in 0..60 {
        persist(&*store, &batch_of(0, round * 10, 10)).await;
    }
    done.store(true, Ordering::SeqCst);
    assert!(cutter.await.unwrap() > 5);
    assert_exact(&direct, 1, 600).await;
}

/// Kills of the server.
const KILLS: u64 = 50;
const WRITERS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_inserts_loses_and_doubles_nothing() {
    let server = Arc::new(Instance::start(Service::ClickHouse));
    let database = Arc::new(Database::new(server.url()));
    let cache: Arc<dyn SessionCache> = Arc::new(MemorySessionCache::default());
    let store = database.writer_with(Some(cache)).await;
    let killed = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|partition| {
            let (store, killed) = (store.clone(), killed.clone());
            tokio::spawn(async move {
                let mut next = 0;
                while killed.load(Ordering::SeqCst) < KILLS {
                    let count = rand::random_range(1..200);
                    persist(&*store, &batch_of(partition, next, count)).await;
                    next += count;
                }
                next
            })
        })
        .collect();
    let killer = tokio::task::spawn_blocking({
        let (server, killed) = (server.clone(), killed.clone());
        move || {
            for _ in 0..KILLS {
                std::thread::sleep(Duration::from_millis(rand::random_range(5..250)));
                server.kill();
                server.start_again();
                killed.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    killer.await.unwrap();
    let mut ends = Vec::new();
    for writer in writers {
        ends.push(writer.await.unwrap());
    }
    // The partitions got as far as they did: fill up to the longest, so that all can be counted alike.
    let longest = ends.iter().copied().max().unwrap() + 1;
    for (partition, end) in (0..WRITERS).zip(ends) {
        persist(&*store, &batch_of(partition, end, longest - end)).await;
    }
    assert_exact(&database, WRITERS, longest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_leave_nothing_behind() {
    let database = Database::shared();
    let store = database.writer().await;
    let constraint = "ALTER TABLE events ADD CONSTRAINT no_poison CHECK event_type != 'poison'";
    database.client().query_raw(constraint).execute().await.unwrap();
    let mut poisoned = batch_of(0, 0, 20);
    poisoned.events[6].event.event_type = gosight_domain::EventName::new("poison").unwrap();
    let error = store.commit(&poisoned).await.unwrap_err();
    assert!(matches!(error, CommitError::Rejected { .. }), "{error}");
    // The worker finds the bad row and leaves it out; here it is sound again.
    persist(&*store, &batch_of(0, 0, 8)).await;
    persist(&*store, &batch_of(0, 8, 12)).await;
    assert_exact(&database, 1, 20).await;
}

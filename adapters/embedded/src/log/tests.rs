use std::collections::BTreeSet;

use gosight_application::ports::PartitionSource;
use gosight_application::ports::{AssignmentChange, EventSource, Maintenance, SystemClock};
use gosight_application::sessions::SessionRules;

use super::*;
use crate::{DataDir, engine};

const LOG: &str = "events";

fn open(dir: &DataDir, config: LogConfig) -> Arc<EmbeddedLog> {
    Arc::new(EmbeddedLog::open(engine::open(dir).unwrap(), config, clock(), &[]).unwrap())
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn one_partition() -> LogConfig {
    LogConfig { partitions: 1, ..LogConfig::default() }
}

fn records(values: impl IntoIterator<Item = String>) -> Vec<Record> {
    values.into_iter().map(|value| Record { key: Bytes::from_static(b"k"), value: value.into() }).collect()
}

async fn append(log: &EmbeddedLog, from: u32, to: u32) {
    log.append(LOG, records((from..to).map(|n| n.to_string()))).await.unwrap();
}

async fn read_from(log: &EmbeddedLog, from: u64) -> Vec<(u64, String)> {
    let limits = PollLimits { max_records: 100_000, max_bytes: 1 << 30, linger: Duration::ZERO };
    let records = log.read(LOG, 0, from, &limits).await.unwrap();
    records.into_iter().map(|r| (r.offset, String::from_utf8(r.value.to_vec()).unwrap())).collect()
}

async fn only_partition(log: &Arc<EmbeddedLog>, group: &str) -> Box<dyn PartitionSource> {
    match log.source(group, LOG).next_change().await.unwrap() {
        Some(AssignmentChange::Assigned(partition)) => partition,
        other => panic!("{other:?}"),
    }
}

/// Drops a log and waits until its database is closed.
fn close(log: Arc<EmbeddedLog>) {
    let shared = Arc::downgrade(&log.shared);
    drop(log);
    while shared.strong_count() > 0 {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let log = open(&dir, one_partition());
    append(&log, 0, 100).await;
    only_partition(&log, "g").await.commit(40).await.unwrap();
    close(log);
    let log = open(&dir, one_partition());
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), 0..100);
    assert_eq!(only_partition(&log, "g").await.position(), 40);
    append(&log, 100, 110).await;
    let found = read_from(&log, 0).await;
    assert_eq!(found.len(), 110);
    assert!(found.iter().all(|(offset, value)| value.parse() == Ok(*offset)));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_appenders_share_writes_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let log = open(&dir, LogConfig { partitions: 3, ..LogConfig::default() });
    let appenders = (0..40).map(|appender| {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                let value = format!("{appender}/{n}");
                let key = Bytes::from(appender.to_string());
                log.append(LOG, vec![Record { key, value: value.into() }]).await.unwrap();
            }
        })
    });
    for appender in appenders.collect::<Vec<_>>() {
        appender.await.unwrap();
    }
    let limits = PollLimits { max_records: 10_000, max_bytes: 1 << 30, linger: Duration::ZERO };
    let mut found = BTreeSet::new();
    for partition in 0..3 {
        for record in log.read(LOG, partition, 0, &limits).await.unwrap() {
            assert!(found.insert(record.value));
        }
    }
    assert_eq!(found.len(), 800);
}

#[tokio::test(flavor = "multi_thread")]
async fn processed_segments_go_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let config = LogConfig {
        segment_bytes: 1_000,
        retain_for: Duration::ZERO,
        logs_without_consumers: vec!["errors".to_owned()],
        ..one_partition()
    };
    let log = open(&dir, config.clone());
    for n in 0..10 {
        append(&log, n * 300, (n + 1) * 300).await;
        log.append("errors", records(["an error".to_owned()])).await.unwrap();
    }
    log.maintain(SystemClock.now(), &SessionRules::default()).await.unwrap();
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), 0..3_000, "nothing is processed yet");
    only_partition(&log, "g").await.commit(1_000).await.unwrap();
    log.maintain(SystemClock.now(), &SessionRules::default()).await.unwrap();
    let bounds = log.bounds(LOG, 0).await.unwrap();
    assert!(bounds.start > 0 && bounds.start <= 1_000, "{bounds:?}");
    assert_eq!(read_from(&log, 0).await.len() as u64, 3_000 - bounds.start);
    only_partition(&log, "slow").await.commit(0).await.unwrap();
    only_partition(&log, "g").await.commit(3_000).await.unwrap();
    log.maintain(SystemClock.now(), &SessionRules::default()).await.unwrap();
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), bounds, "another group is not done");
    close(log);
    let log = open(&dir, config);
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), bounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_go_on_when_all_records_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let config = LogConfig { segment_bytes: 1, retain_for: Duration::ZERO, ..one_partition() };
    let log = open(&dir, config.clone());
    append(&log, 0, 50).await;
    only_partition(&log, "g").await.commit(50).await.unwrap();
    log.append("other", records(["x".to_owned()])).await.unwrap();
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), 50..50);
    close(log);
    let log = open(&dir, config);
    append(&log, 50, 51).await;
    assert_eq!(read_from(&log, 0).await, [(50, "50".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_records_come_after_what_the_store_has_processed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let log = open(&dir, one_partition());
    append(&log, 0, 10).await;
    close(log);
    let processed = [(LOG.into(), 0, 25), ("fresh".into(), 0, 7)];
    let log = Arc::new(
        EmbeddedLog::open(engine::open(&dir).unwrap(), one_partition(), clock(), &processed).unwrap(),
    );
    append(&log, 25, 26).await;
    log.append("fresh", records(["x".to_owned()])).await.unwrap();
    assert_eq!(read_from(&log, 10).await, [(25, "25".to_owned())]);
    assert_eq!(log.bounds("fresh", 0).await.unwrap(), 7..8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tail_is_cut_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(dir.path()).unwrap();
    let log = open(&data_dir, one_partition());
    append(&log, 0, 50).await;
    append(&log, 50, 60).await;
    close(log);
    let journal = dir.path().join("log/0.jnl");
    let mut content = std::fs::read(&journal).unwrap();
    let end = content.iter().rposition(|&byte| byte != 0).unwrap();
    content[end - 40] ^= 0xff;
    std::fs::write(&journal, content).unwrap();

    let log = open(&data_dir, one_partition());
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), 0..50);
    append(&log, 50, 55).await;
    assert_eq!(read_from(&log, 0).await.len(), 55);
    let kept = std::fs::read_dir(dir.path().join("log")).unwrap();
    assert!(kept.filter_map(Result::ok).any(|file| file.path().to_string_lossy().contains("cut-at")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_refuses_instead_of_growing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let log = open(&dir, LogConfig { max_bytes: 10_000, ..one_partition() });
    let value = "x".repeat(4_000);
    log.append(LOG, records([value.clone(), value.clone()])).await.unwrap();
    let error = log.append(LOG, records([value])).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("full"), "{error}");
    log.append(LOG, records(["small".to_owned()])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_makes_room_by_deleting_what_is_processed_however_young() {
    // Many small segments, and one that is never full.
    for segment_bytes in [3_000, 9_999] {
        let dir = tempfile::tempdir().unwrap();
        let dir = DataDir::open(dir.path()).unwrap();
        let config = LogConfig { segment_bytes, max_bytes: 10_000, ..one_partition() };
        assert!(config.retain_bytes > config.max_bytes);
        let log = open(&dir, config);
        let mut reader = only_partition(&log, "g").await;
        for next in 1..=50 {
            log.append(LOG, records(["x".repeat(1_000)])).await.unwrap();
            reader.commit(next).await.unwrap();
        }
        let bounds = log.bounds(LOG, 0).await.unwrap();
        assert_eq!(bounds.end, 50);
        assert!((40..50).contains(&bounds.start), "{bounds:?}");
        // What is not processed is not touched, and is what makes the log full.
        let mut taken = 0;
        while log.append(LOG, records(["x".repeat(1_000)])).await.is_ok() {
            taken += 1;
        }
        assert!(taken > 0);
        assert_eq!(log.bounds(LOG, 0).await.unwrap().end, 50 + taken);
        assert_eq!(read_from(&log, 50).await.len() as u64, taken);
    }
}

/// Appends until the log refuses; gives what it says.
async fn append_until_refused(log: &EmbeddedLog) -> LogError {
    let value = "x".repeat(1 << 20);
    for _ in 0..1_000 {
        if let Err(error) = log.append(LOG, records([value.clone()])).await {
            return error;
        }
    }
    panic!("a log without a disk takes records");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_those_who_read_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(dir.path()).unwrap();
    let log = open(&data_dir, one_partition());
    append(&log, 0, 10).await;
    let mut reader = only_partition(&log, "g").await;
    let limits = PollLimits { max_records: 100, max_bytes: 1 << 30, linger: Duration::ZERO };
    let reading = tokio::spawn(async move {
        loop {
            if let Err(error) = reader.poll(&limits).await {
                return error;
            }
        }
    });
    // Tables can no longer be written; fjall takes nothing more when it notices.
    std::fs::remove_dir_all(dir.path().join("log/keyspaces")).unwrap();
    append_until_refused(&log).await;
    // A reader that waits is woken, and says that it cannot go on: a supervisor starts the process again.
    let ended = tokio::time::timeout(Duration::from_mins(1), reading).await.unwrap().unwrap();
    assert!(matches!(ended, SourceError::Fatal { .. }), "{ended}");
    assert!(matches!(log.check().await, Health::Down(_)));
    assert!(log.append(LOG, records(["x".to_owned()])).await.is_err());
}

/// Counts what is said, by level.
#[derive(Debug, Clone, Default)]
struct Said(Arc<std::sync::Mutex<Vec<tracing::Level>>>);

impl tracing::Subscriber for Said {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("gosight_embedded")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_beside_an_older_database_is_one_warning() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    let processed: Vec<Processed> = (0..8).map(|partition| (LOG.into(), partition, 5)).collect();
    let database = engine::open(&dir).unwrap();
    let said = Said::default();
    let log = tracing::subscriber::with_default(said.clone(), || {
        EmbeddedLog::open(database, LogConfig::default(), clock(), &processed).unwrap()
    });
    assert_eq!(*said.0.lock().unwrap(), [tracing::Level::WARN]);
    assert_eq!(log.bounds(LOG, 0).await.unwrap(), 5..5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_partitions_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = DataDir::open(dir.path()).unwrap();
    close(open(&dir, LogConfig { partitions: 5, ..LogConfig::default() }));
    assert_eq!(open(&dir, one_partition()).partitions(), 5);
}

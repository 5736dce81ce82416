//! Topics of a test's own, and what reads them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use futures::future::join_all;
use gosight_application::Telemetry;
use gosight_application::ports::{
    AssignmentChange, EventSource, LogEnds, PartitionSource, PollLimits, PolledBatch, Record, RecordLog,
};
use gosight_kafka::config::{DEAD_LETTERS, TopicConfig};
use gosight_kafka::{KafkaConfig, KafkaLog, KafkaSource, ensure_topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// The log of most tests.
pub const LOG: &str = "events";
pub const LIMITS: PollLimits =
    PollLimits { max_records: 1_000, max_bytes: 64 << 20, linger: Duration::from_millis(5) };

/// Topics on a broker, deleted in the end.
pub struct Topics {
    pub config: KafkaConfig,
    name: String,
}

impl Topics {
    /// On the shared broker, with `logs` of three partitions.
    pub async fn new(logs: &[&str]) -> Self {
        Self::on(gosight_services::kafka_brokers(), logs, |_| {}).await
    }

    /// On these brokers, with other settings.
    pub async fn on(brokers: String, logs: &[&str], change: impl FnOnce(&mut KafkaConfig)) -> Self {
        let topics = Self::planned(brokers, logs, change);
        topics.make().await;
        topics
    }

    /// Makes no topic yet.
    pub fn planned(brokers: String, logs: &[&str], change: impl FnOnce(&mut KafkaConfig)) -> Self {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        let mut config = KafkaConfig {
            brokers: vec![brokers],
            replication_factor: 1,
            max_record: ByteSize::mib(16),
            ..KafkaConfig::default()
        };
        // The shortest that brokers allow.
        config.consume.session_timeout = Duration::from_secs(6);
        let known: Vec<String> = config.all_topics().into_iter().map(|topic| topic.log).collect();
        for log in known.iter().map(String::as_str).chain(logs.iter().copied()) {
            let partitions = Some(if log == DEAD_LETTERS { 2 } else { 3 });
            let own = TopicConfig { name: Some(format!("{name}.{log}")), partitions, ..Default::default() };
            config.topics.insert(log.to_owned(), own);
        }
        change(&mut config);
        config.validate().unwrap();
        Self { config, name }
    }

    pub async fn make(&self) {
        ensure_topics(&self.config).await.unwrap();
    }

    pub fn topic(&self, log: &str) -> String {
        self.config.topic(log).unwrap().name
    }

    pub fn log(&self) -> KafkaLog {
        KafkaLog::new(&self.config).unwrap()
    }

    /// A member of a group that only this test has.
    pub fn source(&self, group: &str, log: &str) -> KafkaSource {
        KafkaSource::join(&self.config, &self.group(group), log, Telemetry::default()).unwrap()
    }

    pub fn group(&self, group: &str) -> String {
        format!("{}-{group}", self.name)
    }

    /// Everything that a log holds, by partition in order, read to its end by a new group.
    pub async fn read_all(&self, log: &str) -> BTreeMap<u32, Vec<Bytes>> {
        let source = self.source(&uuid::Uuid::new_v4().to_string(), log);
        let ends: BTreeMap<u32, u64> = source.end_offsets().await.unwrap().into_iter().collect();
        let partitions = assigned(&source, ends.len()).await;
        let reads = partitions.into_iter().map(|mut partition| {
            let end = ends[&partition.partition()];
            async move {
                let mut values = Vec::new();
                while partition.position() < end {
                    let batch = poll(&mut *partition).await;
                    values.extend(batch.records.into_iter().map(|record| record.value));
                }
                (partition.partition(), values)
            }
        });
        join_all(reads).await.into_iter().collect()
    }

    /// The same without partitions, sorted.
    pub async fn read_sorted(&self, log: &str) -> Vec<String> {
        let mut values: Vec<String> =
            self.read_all(log).await.into_values().flatten().map(|value| text(&value)).collect();
        values.sort();
        values
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        let names: Vec<String> = self.config.all_topics().into_iter().map(|topic| topic.name).collect();
        let brokers = self.config.brokers.join(",");
        let deleted = std::thread::spawn(move || {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let admin: AdminClient<DefaultClientContext> =
                ClientConfig::new().set("bootstrap.servers", brokers).set("log_level", "0").create()?;
            let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
            futures::executor::block_on(admin.delete_topics(&names, &options))
        });
        // A broker that a test has killed keeps nothing anyway.
        let _ = deleted.join();
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn record(key: &str, value: impl Into<Bytes>) -> Record {
    Record { key: Bytes::copy_from_slice(key.as_bytes()), value: value.into() }
}

/// Appends one record for each number, with keys that spread over the partitions.
pub async fn append_numbers(log: &KafkaLog, numbers: std::ops::Range<u32>) {
    let records = numbers.map(|n| record(&format!("key-{}", n % 50), format!("{n:08}"))).collect();
    log.append(LOG, records).await.unwrap();
}

/// The next change, which must be an assignment.
pub async fn assigned(source: &dyn EventSource, count: usize) -> Vec<Box<dyn PartitionSource>> {
    let mut partitions = Vec::new();
    while partitions.len() < count {
        match next_change(source).await {
            AssignmentChange::Assigned(partition) => partitions.push(partition),
            other @ AssignmentChange::Revoked { .. } => panic!("expected an assignment, got {other:?}"),
        }
    }
    partitions
}

pub async fn next_change(source: &dyn EventSource) -> AssignmentChange {
    let change = tokio::time::timeout(PATIENCE, source.next_change()).await.expect("a change in time");
    change.expect("a change").expect("the source is open")
}

pub async fn poll(partition: &mut dyn PartitionSource) -> PolledBatch {
    tokio::time::timeout(PATIENCE, partition.poll(&LIMITS)).await.expect("in time").expect("a batch")
}

/// Polls until the partition is at `end`.
pub async fn read_to(partition: &mut dyn PartitionSource, end: u64) -> Vec<PolledBatch> {
    let mut batches = Vec::new();
    while partition.position() < end {
        batches.push(poll(partition).await);
    }
    batches
}

pub fn shared<T: EventSource + 'static>(source: T) -> Arc<dyn EventSource> {
    Arc::new(source)
}

//! Writing: back-pressure, partitions, and what a failure says.

use std::time::Duration;

use futures::poll;
use gosight_application::ports::{Effect, LogError, PortError, Record, RecordLog};
use gosight_kafka::config::TopicConfig;
use gosight_kafka::{KafkaConfig, KafkaLog};

use crate::harness::{LOG, Topics, record, text};

/// A broker that nobody runs.
fn unavailable(change: impl FnOnce(&mut KafkaConfig)) -> KafkaLog {
    let mut config = KafkaConfig { brokers: vec!["127.0.0.1:1".to_owned()], ..KafkaConfig::default() };
    config.topics.insert(LOG.to_owned(), TopicConfig::default());
    config.produce.delivery_timeout = Duration::from_secs(1);
    change(&mut config);
    KafkaLog::new(&config).unwrap()
}

fn records(count: usize, bytes: usize) -> Vec<Record> {
    (0..count).map(|n| record(&format!("key-{n}"), vec![b'x'; bytes])).collect()
}

fn assert_full(result: Result<(), LogError>) {
    match result {
        Err(error @ PortError::Transient { effect: Effect::None, .. }) => {
            assert!(error.retry_after().is_some(), "the ingest API tells its clients when to come back");
            assert!(error.to_string().contains("wait for their acknowledgement"), "{error}");
        }
        other => panic!("expected a full queue, got {other:?}"),
    }
}

#[tokio::test]
async fn a_full_queue_turns_records_away_at_once() {
    let log = unavailable(|config| config.produce.queue_records = 10);
    let mut first = Box::pin(log.append(LOG, records(8, 10)));
    assert!(poll!(first.as_mut()).is_pending());
    // The future does not wait even once: its first poll has the answer.
    let mut second = Box::pin(log.append(LOG, records(3, 10)));
    match poll!(second.as_mut()) {
        std::task::Poll::Ready(result) => assert_full(result),
        std::task::Poll::Pending => panic!("it waits"),
    }
    match first.await {
        Err(PortError::Transient { effect: Effect::Unknown, .. }) => {}
        other => panic!("expected that nobody knows, got {other:?}"),
    }
    // There is room again.
    assert!(poll!(Box::pin(log.append(LOG, records(10, 10))).as_mut()).is_pending());
}

#[tokio::test]
async fn bytes_are_counted_too() {
    let log = unavailable(|config| config.produce.queue_bytes = bytesize::ByteSize::kib(64));
    let mut first = Box::pin(log.append(LOG, records(1, 60 * 1024)));
    assert!(poll!(first.as_mut()).is_pending());
    assert_full(log.append(LOG, records(1, 10 * 1024)).await);
}

#[tokio::test]
async fn records_of_a_caller_that_went_away_still_count() {
    let log = unavailable(|config| config.produce.queue_records = 10);
    let mut gone = Box::pin(log.append(LOG, records(10, 10)));
    assert!(poll!(gone.as_mut()).is_pending());
    drop(gone);
    assert_full(log.append(LOG, records(1, 10)).await);
    log.close().await.unwrap();
    assert!(poll!(Box::pin(log.append(LOG, records(1, 10))).as_mut()).is_pending());
}

#[tokio::test]
async fn a_log_that_is_not_configured_is_fatal() {
    let error = unavailable(|_| {}).append("unheard of", records(1, 1)).await.unwrap_err();
    assert!(matches!(error, PortError::Fatal { .. }), "{error}");
    assert!(error.to_string().contains("unheard of"), "{error}");
}

/// Hashes of the tests of Kafka's own Java client. With other partitions a session would be torn apart.
#[tokio::test(flavor = "multi_thread")]
async fn the_partition_is_that_of_javas_clients() {
    let topics = Topics::new(&[LOG]).await;
    let known: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    let all = known.iter().map(|(key, _)| record(key, (*key).to_owned())).collect();
    topics.log().append(LOG, all).await.unwrap();
    for (partition, values) in topics.read_all(LOG).await {
        let found: Vec<String> = values.iter().map(|value| text(value)).collect();
        let expected = known.iter().filter(|(_, hash)| (hash & 0x7fff_ffff) % 3 == partition.cast_signed());
        assert_eq!(found, expected.map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_has_delivered_what_it_was_given() {
    let topics = Topics::new(&[LOG]).await;
    let log = topics.log();
    let mut gone = Box::pin(log.append(LOG, records(100, 100)));
    assert!(poll!(gone.as_mut()).is_pending());
    drop(gone);
    log.close().await.unwrap();
    assert_eq!(topics.read_sorted(LOG).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_a_lower_limit_names_the_records_it_refuses() {
    let topics = Topics::on(gosight_services::kafka_brokers(), &[LOG], |config| {
        config.max_record = bytesize::ByteSize::kib(1);
    })
    .await;
    // As when the configuration allows more than the topic that is there.
    let mut config = topics.config.clone();
    config.max_record = bytesize::ByteSize::mib(16);
    config.produce.compression = gosight_kafka::config::Compression::None;
    let log = KafkaLog::new(&config).unwrap();
    match log.append(LOG, vec![record("a", vec![0; 4 << 20])]).await {
        Err(PortError::Rejected { refused, .. }) => assert_eq!(refused.0[0].index, 0),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

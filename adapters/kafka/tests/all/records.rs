//! Records that are unusual: large, broken, missing.

use std::time::Duration;

use bytesize::ByteSize;
use gosight_application::ports::{PartitionSource, PollLimits, PortError, RecordLog};
use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use crate::harness::{LIMITS, LOG, Topics, assigned, poll, read_to, record};

/// A topic of one partition.
async fn one_partition() -> Topics {
    Topics::on(gosight_services::kafka_brokers(), &[LOG], |config| {
        config.topics.get_mut(LOG).unwrap().partitions = Some(1);
    })
    .await
}

async fn only_partition(topics: &Topics) -> (gosight_kafka::KafkaSource, Box<dyn PartitionSource>) {
    let source = topics.source("g", LOG);
    let partition = assigned(&source, 1).await.remove(0);
    (source, partition)
}

fn producer(topics: &Topics, settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", topics.config.brokers.join(","));
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_16_mib_pass_through_small_buffers() {
    let topics = Topics::on(gosight_services::kafka_brokers(), &[LOG], |config| {
        config.consume.fetch_bytes = ByteSize::kib(64);
        config.consume.buffer_bytes = ByteSize::kib(64);
        config.produce.compression = gosight_kafka::config::Compression::None;
        config.topics.get_mut(LOG).unwrap().partitions = Some(1);
    })
    .await;
    let log = topics.log();
    let sizes = [10 << 20, 100, (16 << 20) - 1, 7];
    for (fill, size) in (0u8..).zip(sizes) {
        log.append(LOG, vec![record("a", vec![fill; size])]).await.unwrap();
    }
    let (_source, mut partition) = only_partition(&topics).await;
    let batches = read_to(&mut *partition, 4).await;
    let records: Vec<_> = batches.into_iter().flat_map(|batch| batch.records).collect();
    assert_eq!(records.iter().map(|record| record.value.len()).collect::<Vec<_>>(), sizes);
    for (fill, record) in (0u8..).zip(&records) {
        assert!(record.value.iter().all(|byte| *byte == fill));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_any_kind_are_read_as_they_are() {
    let topics = one_partition().await;
    let poison: [&[u8]; 4] = [b"", b"\0\xff\xfe not text", b"{", &[0xff; 300]];
    let all = poison.iter().map(|bytes| record("", bytes.to_vec())).collect();
    topics.log().append(LOG, all).await.unwrap();
    // Neither key nor value: no record of ours, and no reason to stop.
    let bare = producer(&topics, &[]);
    let topic = topics.topic(LOG);
    bare.send(FutureRecord::<[u8], [u8]>::to(&topic).partition(0), Duration::from_secs(10)).await.unwrap();
    let (_source, mut partition) = only_partition(&topics).await;
    let batches = read_to(&mut *partition, 5).await;
    let found: Vec<_> = batches.into_iter().flat_map(|batch| batch.records).collect();
    assert_eq!(found.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for (expected, record) in poison.iter().chain(&[&b""[..]]).zip(&found) {
        assert_eq!(&&*record.value, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_join_over_offsets_without_records() {
    let topics = one_partition().await;
    let topic = topics.topic(LOG);
    let own = [("transactional.id", topic.as_str())];
    let transactions = producer(&topics, &own);
    let patience = Duration::from_secs(30);
    transactions.init_transactions(patience).unwrap();
    for (value, is_committed) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
        transactions.begin_transaction().unwrap();
        let sent = FutureRecord::<str, str>::to(&topic).partition(0).payload(value);
        transactions.send(sent, patience).await.unwrap();
        if is_committed {
            transactions.commit_transaction(patience).unwrap();
        } else {
            transactions.abort_transaction(patience).unwrap();
        }
    }
    let (_source, mut partition) = only_partition(&topics).await;
    let (mut next, mut values) = (0, Vec::new());
    let one = PollLimits { max_records: 1, ..LIMITS };
    while values.len() < 3 {
        let batch = partition.poll(&one).await.unwrap();
        assert_eq!(batch.span.first, next);
        next = batch.span.next();
        values
            .extend(batch.records.iter().map(|record| (record.offset, crate::harness::text(&record.value))));
    }
    // Each transaction ends with a marker, which takes an offset.
    assert_eq!(values, [(0, "a".to_owned()), (4, "c".to_owned()), (8, "e".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_took_leave_no_gap() {
    let topics = one_partition().await;
    let all = (0..10).map(|n| record("a", n.to_string())).collect();
    topics.log().append(LOG, all).await.unwrap();
    let (_source, mut partition) = only_partition(&topics).await;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topics.topic(LOG), 0, Offset::Offset(6)).unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", topics.config.brokers.join(",")).create().unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    partition.seek(2).await.unwrap();
    let batch = poll(&mut *partition).await;
    assert_eq!((batch.span.first, batch.records[0].offset), (2, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_what_was_stored_is_fatal() {
    let topics = one_partition().await;
    topics.log().append(LOG, vec![record("a", "0"), record("a", "1")]).await.unwrap();
    let (_source, mut partition) = only_partition(&topics).await;
    partition.seek(2).await.unwrap();
    let error = partition.seek(3).await.unwrap_err();
    assert!(matches!(error, PortError::Fatal { .. }), "{error}");
    assert!(error.to_string().contains("ends at 2"), "{error}");
    assert_eq!(partition.position(), 2);
    partition.seek(0).await.unwrap();
    assert_eq!(poll(&mut *partition).await.records.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_that_was_dropped_is_made_up_for() {
    let topics = one_partition().await;
    let all = (0..100).map(|n| record("a", n.to_string())).collect();
    topics.log().append(LOG, all).await.unwrap();
    let (_source, mut partition) = only_partition(&topics).await;
    let few = PollLimits { max_records: 5, ..LIMITS };
    for (offset, micros) in [(50, 0), (10, 200), (90, 400), (0, 800), (42, 1_600), (7, 3_200), (70, 6_400)] {
        // Dropped at one of its waits, or done.
        let _ = tokio::time::timeout(Duration::from_micros(micros), partition.seek(offset)).await;
        let position = partition.position();
        let batch = partition.poll(&few).await.unwrap();
        assert_eq!((batch.span.first, batch.records[0].offset), (position, position));
        partition.seek(offset).await.unwrap();
        let batch = partition.poll(&few).await.unwrap();
        assert_eq!(batch.records[0].offset, offset);
    }
}

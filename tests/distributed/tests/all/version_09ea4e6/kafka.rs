use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gosight_distributed_tests::Set;
use gosight_e2e::fixture::{lines, path};
use gosight_kafka::KafkaConfig;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde::Deserialize;

use crate::log::kafka;

/// The log of dead letters: the one whose records are replaced by key.
const LETTERS: &str = "gosight.events.dlq";
/// As large as the processes want it.
const MAX_MESSAGE_BYTES: &str = "20000000";

/// What `topics.json` says of a topic.
#[derive(Deserialize)]
struct TopicFacts {
    partitions: i32,
    ends: BTreeMap<i32, i64>,
}

/// One record of a topic.
#[derive(Deserialize)]
struct Dumped {
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// Makes the topics, and writes all records back to the offsets that they had. The offsets that the groups had committed
/// are left out: all sets share the groups, and the ledger says where processing goes on.
pub(super) async fn restore(set: &Set) {
    let topics = fs::read_to_string(path("kafka/topics.json")).unwrap();
    let topics: BTreeMap<String, TopicFacts> = serde_json::from_str(&topics).unwrap();
    let kafka = kafka(set);
    make(&kafka, &topics).await;
    let producer: FutureProducer = client(&kafka)
        .set("enable.idempotence", "true")
        .set("message.max.bytes", MAX_MESSAGE_BYTES)
        .set("linger.ms", "5")
        .create()
        .unwrap();
    for (log, facts) in &topics {
        write(&producer, &kafka.topic(log).unwrap().name, log, facts).await;
    }
}

fn client(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers.join(","));
    config
}

/// Makes the topics. Records keep their times, and none is deleted for its age.
async fn make(kafka: &KafkaConfig, topics: &BTreeMap<String, TopicFacts>) {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create().unwrap();
    let names: Vec<String> = topics.keys().map(|log| kafka.topic(log).unwrap().name).collect();
    let new = topics.iter().zip(&names).map(|((log, facts), name)| {
        let cleanup = if log == LETTERS { "compact" } else { "delete" };
        NewTopic::new(name, facts.partitions, TopicReplication::Fixed(1))
            .set("cleanup.policy", cleanup)
            .set("retention.ms", "-1")
            .set("max.message.bytes", MAX_MESSAGE_BYTES)
    });
    let made = admin.create_topics(&new.collect::<Vec<NewTopic<'_>>>(), &AdminOptions::new()).await.unwrap();
    for topic in made {
        topic.unwrap();
    }
}

async fn write(producer: &FutureProducer, topic: &str, log: &str, facts: &TopicFacts) {
    let records: Vec<Dumped> = lines(&format!("kafka/{log}.ndjson.gz"));
    let mut ends: BTreeMap<i32, i64> = facts.ends.keys().map(|partition| (*partition, 0)).collect();
    let mut deliveries = Vec::new();
    for record in &records {
        assert!(record.headers.is_empty(), "{log}: headers are not put back");
        let (key, value) = (bytes(record.key.as_ref()), bytes(record.value.as_ref()));
        let mut sent: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(topic).partition(record.partition).timestamp(record.timestamp);
        (sent.key, sent.payload) = (key.as_deref(), value.as_deref());
        deliveries.push(producer.send_result(sent).map_err(|(error, _)| error).unwrap());
    }
    for (record, delivery) in records.iter().zip(deliveries) {
        let delivered = delivery.await.unwrap().map_err(|(error, _)| error).unwrap();
        assert_eq!((delivered.partition, delivered.offset), (record.partition, record.offset), "{log}");
        ends.insert(record.partition, record.offset + 1);
    }
    assert_eq!(ends, facts.ends, "{log}");
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    text.map(|text| STANDARD.decode(text).unwrap())
}

//! Topics are made as configured, and what is unsafe is refused with the reason.

use std::time::Duration;

use bytesize::ByteSize;
use gosight_kafka::config::{Cleanup, DEAD_LETTERS};
use gosight_kafka::{KafkaConfig, TopicError, ensure_topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::harness::{LOG, Topics};

fn admin(topics: &Topics) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", topics.config.brokers.join(",")).create().unwrap()
}

fn planned() -> Topics {
    Topics::planned(gosight_services::kafka_brokers(), &[LOG], |_| {})
}

async fn faults(config: &KafkaConfig) -> Vec<(String, &'static str)> {
    match ensure_topics(config).await {
        Err(TopicError::Unsafe(faults)) => {
            faults.into_iter().map(|fault| (fault.topic, fault.setting)).collect()
        }
        other => panic!("expected unsafe topics, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_once_and_as_configured() {
    let topics = planned();
    let (first, second) = tokio::join!(ensure_topics(&topics.config), ensure_topics(&topics.config));
    // Two processes at once: each topic is made by one of them.
    let mut made = [first.unwrap().created, second.unwrap().created].concat();
    made.sort();
    let mut expected: Vec<String> = topics.config.all_topics().into_iter().map(|topic| topic.name).collect();
    expected.sort();
    assert_eq!(made, expected);
    let again = ensure_topics(&topics.config).await.unwrap();
    assert_eq!(again.created, Vec::<String>::new());
    assert!(again.warnings.iter().all(|warning| warning.setting == "replication_factor"), "{again:?}");

    for (log, cleanup) in [(LOG, "delete"), (DEAD_LETTERS, "compact")] {
        let name = topics.topic(log);
        let asked = [ResourceSpecifier::Topic(&name)];
        let mut found = admin(&topics).describe_configs(&asked, &AdminOptions::new()).await.unwrap();
        let found = found.remove(0).unwrap();
        let value = |key: &str| found.get(key).unwrap().value.clone().unwrap();
        assert_eq!(value("cleanup.policy"), cleanup);
        assert_eq!(value("min.insync.replicas"), "1");
        assert!(value("max.message.bytes").parse::<u64>().unwrap() > topics.config.max_record.as_u64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_contradicts_the_configuration_is_refused() {
    let topics = planned();
    topics.make().await;
    let mut config = topics.config.clone();
    config.topics.get_mut(LOG).unwrap().partitions = Some(5);
    assert_eq!(faults(&config).await, [(topics.topic(LOG), "partitions")]);

    let mut config = topics.config.clone();
    config.max_record = ByteSize::mib(32);
    assert_eq!(faults(&config).await.len(), topics.config.all_topics().len());

    let mut config = topics.config.clone();
    config.topics.get_mut(LOG).unwrap().cleanup = Some(Cleanup::Compact);
    assert_eq!(faults(&config).await, [(topics.topic(LOG), "cleanup.policy")]);

    let mut config = topics.config.clone();
    config.topics.get_mut(LOG).unwrap().partitions = Some(2);
    config.topics.get_mut(LOG).unwrap().retention = Some(Duration::from_hours(24 * 100));
    let warnings = ensure_topics(&config).await.unwrap().warnings;
    let settings: Vec<&str> = warnings
        .iter()
        .filter(|warning| warning.topic == topics.topic(LOG))
        .map(|warning| warning.setting)
        .collect();
    assert_eq!(settings, ["partitions", "replication_factor", "retention.ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_nobody_can_write_to_is_refused() {
    let topics = planned();
    let name = topics.topic(LOG);
    let size = (64 << 20).to_string();
    let new = NewTopic::new(&name, 3, TopicReplication::Fixed(1))
        .set("min.insync.replicas", "2")
        .set("max.message.bytes", &size);
    admin(&topics).create_topics(&[new], &AdminOptions::new()).await.unwrap();
    assert_eq!(faults(&topics.config).await, [(name, "min.insync.replicas")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_copies_than_brokers_are_told() {
    let topics = Topics::planned(gosight_services::kafka_brokers(), &[LOG], |config| {
        config.topics.get_mut(LOG).unwrap().replication_factor = Some(3);
    });
    match ensure_topics(&topics.config).await {
        Err(TopicError::NotMade { topic, reason }) => {
            assert_eq!(topic, topics.topic(LOG));
            assert!(reason.contains("eplication"), "{reason}");
        }
        other => panic!("expected that it was not made, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_are_transient() {
    let config = KafkaConfig {
        brokers: vec!["127.0.0.1:1".to_owned()],
        request_timeout: Duration::from_secs(1),
        ..KafkaConfig::default()
    };
    match ensure_topics(&config).await {
        Err(TopicError::Port(error)) => assert!(error.is_transient(), "{error}"),
        other => panic!("expected that they are unavailable, got {other:?}"),
    }
}

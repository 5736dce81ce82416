//! The log of a set, written to and looked at past its processes.

use gosight_distributed_tests::Set;
use gosight_kafka::KafkaConfig;

/// How the processes of `set` use Kafka.
pub fn kafka(set: &Set) -> KafkaConfig {
    KafkaConfig {
        brokers: serde_json::from_str(set.setting("KAFKA_BROKERS")).unwrap(),
        topics: serde_json::from_str(set.setting("KAFKA_TOPICS")).unwrap(),
        ..KafkaConfig::default()
    }
}

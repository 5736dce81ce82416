//! The event log on Kafka: producer, consumer groups and dead letters.

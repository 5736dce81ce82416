//! Settings of the client library, and what it says.

mod last_client_error;

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use crate::config::KafkaConfig;

pub(crate) use last_client_error::LastClientError;

/// How long a topic that metadata does not show yet is believed to be on its way.
const TOPIC_PROPAGATION: Duration = Duration::from_secs(10);
/// Longest wait before a broker that went away is tried again.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How often a partition whose buffer is full is looked at again.
const FETCH_QUEUE_BACKOFF: Duration = Duration::from_millis(50);
/// How long the group waits for a member to rejoin. Being asleep is noticed by the session; a member that drains is
/// not asleep.
const MAX_POLL_INTERVAL: Duration = Duration::from_hours(1);

/// How long to wait for what the library has to say about a question that had no answer.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(10);

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

/// What producers, consumers and administration share.
pub(crate) fn common(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", config.brokers.join(","))
        .set("client.id", &config.client_id)
        .set("security.protocol", config.security.protocol.as_str())
        .set("socket.timeout.ms", millis(config.request_timeout))
        .set("socket.connection.setup.timeout.ms", millis(config.request_timeout))
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", millis(RECONNECT_BACKOFF_MAX))
        .set("message.max.bytes", config.max_message_bytes().to_string())
        .set_log_level(RDKafkaLogLevel::Info);
    if let Some(file) = &config.security.ca_file {
        client.set("ssl.ca.location", file.to_string_lossy());
    }
    if config.security.protocol.is_authenticated() {
        client.set("sasl.mechanism", config.security.sasl_mechanism.as_str());
    }
    if let Some(user) = &config.security.sasl_user {
        client.set("sasl.username", user);
    }
    if let Some(password) = &config.security.sasl_password {
        client.set("sasl.password", password.reveal());
    }
    client
}

/// A producer whose acknowledgements mean that every copy in sync has the record, once and in order.
pub(crate) fn producer(config: &KafkaConfig) -> ClientConfig {
    let produce = &config.produce;
    let mut client = common(config);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", produce.compression.as_str())
        .set("linger.ms", millis(produce.linger))
        .set("batch.size", produce.batch_bytes.as_u64().to_string())
        .set("message.timeout.ms", millis(produce.delivery_timeout))
        // By the key alone, as Java's clients do, so that other tools find the same partition.
        .set("partitioner", "murmur2")
        .set("topic.metadata.propagation.max.ms", millis(TOPIC_PROPAGATION))
        // The queue is bounded before the library sees a record, so that a batch is taken whole or not at all.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", i32::MAX.to_string());
    client
}

/// A member of the consumer group `group`.
pub(crate) fn consumer(config: &KafkaConfig, group: &str) -> ClientConfig {
    let consume = &config.consume;
    let mut client = reader(config, group);
    client
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", millis(consume.session_timeout))
        .set("heartbeat.interval.ms", millis((consume.session_timeout / 3).min(Duration::from_secs(3))))
        .set("max.poll.interval.ms", millis(MAX_POLL_INTERVAL))
        .set("queued.min.messages", consume.buffer_records.to_string())
        .set("queued.max.messages.kbytes", consume.buffer_bytes.as_u64().div_ceil(1024).to_string())
        .set("fetch.queue.backoff.ms", millis(FETCH_QUEUE_BACKOFF));
    client
}

/// A consumer of partitions that are assigned by hand; `group` is a name only.
pub(crate) fn reader(config: &KafkaConfig, group: &str) -> ClientConfig {
    let consume = &config.consume;
    let mut client = common(config);
    client
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("fetch.message.max.bytes", consume.fetch_bytes.as_u64().to_string())
        .set("fetch.wait.max.ms", millis(consume.fetch_wait));
    client
}

/// Writes the log lines of the library to the log of the process.
#[derive(Default)]
pub(crate) struct LoggingContext {
    pub(crate) last_error: LastClientError,
}

impl ClientContext for LoggingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.last_error.note_line(facility, line);
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.note(&error, reason);
    }
}

/// A line of the library's log.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(facility, line, "client library"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, line, "client library"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, line, "client library"),
    }
}

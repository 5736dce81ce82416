//! What an operator can set.

mod security;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

pub use gosight_application::Secret;
pub use security::{Protocol, SaslMechanism, SecurityConfig};
pub use topics::{Cleanup, DEAD_LETTERS, Topic, TopicConfig};

/// How to reach Kafka and how it is used. Durations are written as `10s`, sizes as `5MiB`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port`; the others are learned from them.
    pub brokers: Vec<String>,
    /// How this client calls itself in the brokers' logs.
    pub client_id: String,
    /// What differs from the defaults, by name of the log. Logs that are not known otherwise are added by naming them.
    pub topics: BTreeMap<String, TopicConfig>,
    /// Copies of each partition where a topic sets no number of its own.
    pub replication_factor: u16,
    /// Largest record, key and value together. Topics take a little more, for dead letters wrap a record.
    pub max_record: ByteSize,
    /// How long one request to a broker may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How records are written.
    pub produce: ProduceConfig,
    /// How records are read.
    pub consume: ConsumeConfig,
    /// Encryption and authentication.
    pub security: SecurityConfig,
}

/// How records are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProduceConfig {
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a record waits for others to share its request.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// Largest request to one partition, unless a single record is larger.
    pub batch_bytes: ByteSize,
    /// Most records that wait for their acknowledgement; further ones are turned away at once.
    pub queue_records: u32,
    /// Most bytes of records that wait for their acknowledgement; further ones are turned away at once.
    pub queue_bytes: ByteSize,
    /// How long a record is tried to be delivered. Its outcome is unknown afterwards.
    #[serde(with = "humantime_serde")]
    pub delivery_timeout: Duration,
}

/// How records are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumeConfig {
    /// How long a consumer may be silent before its partitions go to others.
    #[serde(with = "humantime_serde")]
    pub session_timeout: Duration,
    /// How long a worker may take to finish when its partition is moved; then the partition moves regardless.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// Records of one partition that are read ahead.
    pub buffer_records: u32,
    /// Bytes of one partition that are read ahead; one fetch may go over it.
    pub buffer_bytes: ByteSize,
    /// Most bytes of one partition in one fetch, unless a single batch is larger.
    pub fetch_bytes: ByteSize,
    /// How long a broker waits for a record before it answers a fetch with nothing.
    #[serde(with = "humantime_serde")]
    pub fetch_wait: Duration,
}

/// How batches of records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast.
    Lz4,
    /// Smaller, at more time.
    Zstd,
}

impl Compression {
    /// As Kafka writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Default for KafkaConfig {
    /// A broker on this machine, three copies, records of up to 16 MiB.
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:9092".to_owned()],
            client_id: "gosight".to_owned(),
            topics: BTreeMap::new(),
            replication_factor: 3,
            max_record: ByteSize::mib(16),
            request_timeout: Duration::from_secs(10),
            produce: ProduceConfig::default(),
            consume: ConsumeConfig::default(),
            security: SecurityConfig::default(),
        }
    }
}

impl Default for ProduceConfig {
    fn default() -> Self {
        Self {
            compression: Compression::Lz4,
            linger: Duration::from_millis(5),
            batch_bytes: ByteSize::mib(1),
            queue_records: 100_000,
            queue_bytes: ByteSize::mib(128),
            delivery_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for ConsumeConfig {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            drain_timeout: Duration::from_secs(30),
            buffer_records: 10_000,
            buffer_bytes: ByteSize::mib(4),
            fetch_bytes: ByteSize::mib(1),
            fetch_wait: Duration::from_millis(500),
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    /// The setting.
    pub key: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// What a dead letter adds to its record, at most; also room for the framing of batches.
pub(crate) const LETTER_OVERHEAD_BYTES: u64 = 1024 * 1024;
/// The client library keeps sizes of messages in 32 bits and refuses more than this.
const MAX_RECORD_BYTES: u64 = 512 * 1024 * 1024;
/// The client library counts buffers in KiB, in 31 bits.
const MAX_BUFFER_BYTES: u64 = (i32::MAX as u64) * 1024;

impl KafkaConfig {
    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first bad setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check("brokers", !self.brokers.is_empty(), || "must name at least one host:port".to_owned())?;
        for broker in &self.brokers {
            check("brokers", is_host_and_port(broker), || format!("{broker:?} is not host:port"))?;
        }
        self.validate_sizes()?;
        self.validate_times()?;
        self.validate_topics()?;
        self.security.validate()
    }

    /// The topic of the log called `log`, with all its settings.
    pub fn topic(&self, log: &str) -> Option<Topic> {
        Topic::resolve(log, self)
    }

    /// The topics of all logs.
    pub fn all_topics(&self) -> Vec<Topic> {
        let known = topics::KNOWN.iter().map(|known| known.log);
        let added = self.topics.keys().map(String::as_str).filter(|log| !topics::is_known(log));
        known.chain(added).filter_map(|log| self.topic(log)).collect()
    }

    /// Largest message that a topic has to take: a dead letter around the largest record.
    pub(crate) fn max_message_bytes(&self) -> u64 {
        self.max_record.as_u64() + LETTER_OVERHEAD_BYTES
    }

    fn validate_sizes(&self) -> Result<(), ConfigError> {
        let record = self.max_record.as_u64();
        check("max_record", (1024..=MAX_RECORD_BYTES).contains(&record), || {
            format!("must be 1KiB to {}", ByteSize::b(MAX_RECORD_BYTES))
        })?;
        check("produce.queue_records", self.produce.queue_records > 0, || "must be at least 1".to_owned())?;
        check("consume.buffer_records", self.consume.buffer_records > 0, || "must be at least 1".to_owned())?;
        for (key, size, min) in [
            ("produce.queue_bytes", self.produce.queue_bytes, 1024),
            ("produce.batch_bytes", self.produce.batch_bytes, 1024),
            ("consume.buffer_bytes", self.consume.buffer_bytes, 1024),
            ("consume.fetch_bytes", self.consume.fetch_bytes, 1024),
        ] {
            check(key, (min..=MAX_BUFFER_BYTES).contains(&size.as_u64()), || {
                format!("must be {} to {}", ByteSize::b(min), ByteSize::b(MAX_BUFFER_BYTES))
            })?;
        }
        let fetch = self.consume.fetch_bytes.as_u64();
        check("consume.fetch_bytes", fetch <= MAX_RECORD_BYTES, || {
            format!("must be at most {}", ByteSize::b(MAX_RECORD_BYTES))
        })
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let hour = Duration::from_hours(1);
        for (key, time, range) in [
            ("request_timeout", self.request_timeout, second..=Duration::from_mins(5)),
            ("produce.linger", self.produce.linger, Duration::ZERO..=second),
            ("produce.delivery_timeout", self.produce.delivery_timeout, second..=hour),
            ("consume.session_timeout", self.consume.session_timeout, second..=Duration::from_mins(30)),
            ("consume.drain_timeout", self.consume.drain_timeout, Duration::ZERO..=hour),
            ("consume.fetch_wait", self.consume.fetch_wait, Duration::ZERO..=second * 10),
        ] {
            check(key, range.contains(&time), || {
                format!("must be {:?} to {:?}", range.start(), range.end())
            })?;
        }
        // A request may fail and be sent again before the time of its records is over.
        check("produce.delivery_timeout", self.produce.delivery_timeout > self.produce.linger, || {
            "must be longer than produce.linger".to_owned()
        })
    }

    fn validate_topics(&self) -> Result<(), ConfigError> {
        check("replication_factor", self.replication_factor > 0, || "must be at least 1".to_owned())?;
        for topic in self.all_topics() {
            topic.validate()?;
        }
        Ok(())
    }
}

pub(crate) fn check(key: &str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { key: key.to_owned(), reason: reason() }) }
}

fn is_host_and_port(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else { return false };
    !host.is_empty()
        && !broker.contains([',', ' ', '\t', '\n'])
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut KafkaConfig)) -> String {
        let mut config = KafkaConfig::default();
        change(&mut config);
        config.validate().unwrap_err().key
    }

    #[test]
    fn defaults_are_valid_and_read_back() {
        let config = KafkaConfig::default();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<KafkaConfig>(&text).unwrap(), config);
    }

    #[test]
    fn bad_settings_are_named() {
        assert_eq!(refused(|config| config.brokers.clear()), "brokers");
        assert_eq!(refused(|config| config.brokers = vec!["kafka".to_owned()]), "brokers");
        assert_eq!(refused(|config| config.brokers = vec!["a:1,b:2".to_owned()]), "brokers");
        assert_eq!(refused(|config| config.max_record = ByteSize::b(1)), "max_record");
        assert_eq!(refused(|config| config.produce.queue_records = 0), "produce.queue_records");
        assert_eq!(refused(|config| config.produce.linger = Duration::from_mins(1)), "produce.linger");
        assert_eq!(refused(|config| config.replication_factor = 0), "replication_factor");
        assert_eq!(
            refused(|config| config.consume.session_timeout = Duration::ZERO),
            "consume.session_timeout"
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = serde_json::from_str::<KafkaConfig>(r#"{"broker": "a:1"}"#).unwrap_err();
        assert!(error.to_string().contains("broker"), "{error}");
    }
}

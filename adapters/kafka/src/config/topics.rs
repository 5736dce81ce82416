use std::time::Duration;

use gosight_application::logs;
use serde::{Deserialize, Serialize};

use super::{ConfigError, KafkaConfig, check};

/// The log of dead letters.
pub const DEAD_LETTERS: &str = "gosight.events.dlq";

/// What differs from a topic's defaults.
///
/// The partition of a record follows from its key and the number of partitions. With another number the records of a
/// session go on in another partition while older ones still wait in theirs, so they may be processed out of order:
/// change the number of an existing topic only when it is read to its end and nobody writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicConfig {
    /// Name of the topic; that of the log when there is none.
    pub name: Option<String>,
    /// Partitions.
    pub partitions: Option<u32>,
    /// Copies of each partition.
    pub replication_factor: Option<u16>,
    /// How long records are kept, where they are removed by age.
    #[serde(with = "humantime_serde")]
    pub retention: Option<Duration>,
    /// What is removed.
    pub cleanup: Option<Cleanup>,
}

/// What a topic removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleanup {
    /// Records by age.
    Delete,
    /// All but the latest record of each key.
    Compact,
}

impl Cleanup {
    /// As Kafka writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

/// A topic with all its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The log that it holds.
    pub log: String,
    /// Its name.
    pub name: String,
    /// Partitions.
    pub partitions: u32,
    /// Copies of each partition.
    pub replication_factor: u16,
    /// How long records are kept, where they are removed by age.
    pub retention: Duration,
    /// What is removed.
    pub cleanup: Cleanup,
}

/// Defaults of a log.
pub(super) struct Known {
    pub(super) log: &'static str,
    partitions: u32,
    retention: Duration,
    cleanup: Cleanup,
}

const WEEK: Duration = Duration::from_hours(7 * 24);

const fn known(log: &'static str, partitions: u32, retention: Duration, cleanup: Cleanup) -> Known {
    Known { log, partitions, retention, cleanup }
}

/// The logs of gosight.
pub(super) const KNOWN: [Known; 4] = [
    known(logs::EVENTS, 20, WEEK, Cleanup::Delete),
    known(DEAD_LETTERS, 5, WEEK, Cleanup::Compact),
    known(logs::ERRORS, 5, WEEK.saturating_mul(2), Cleanup::Delete),
    known(logs::REPLAY, 20, WEEK, Cleanup::Delete),
];

/// Of logs that somebody else named.
const OTHER: Known = known("", 5, WEEK, Cleanup::Delete);

pub(super) fn is_known(log: &str) -> bool {
    KNOWN.iter().any(|known| known.log == log)
}

impl Topic {
    pub(super) fn resolve(log: &str, config: &KafkaConfig) -> Option<Self> {
        let known = KNOWN.iter().find(|known| known.log == log);
        let set = config.topics.get(log);
        if known.is_none() && set.is_none() {
            return None;
        }
        let defaults = known.unwrap_or(&OTHER);
        let set = set.cloned().unwrap_or_default();
        Some(Self {
            log: log.to_owned(),
            name: set.name.unwrap_or_else(|| log.to_owned()),
            partitions: set.partitions.unwrap_or(defaults.partitions),
            replication_factor: set.replication_factor.unwrap_or(config.replication_factor),
            retention: set.retention.unwrap_or(defaults.retention),
            cleanup: set.cleanup.unwrap_or(defaults.cleanup),
        })
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let key = |field: &str| format!("topics.{}.{field}", self.log);
        check(&key("name"), is_topic_name(&self.name), || {
            format!("{:?} is not 1 to 249 of a-z A-Z 0-9 . _ -", self.name)
        })?;
        check(&key("partitions"), (1..=10_000).contains(&self.partitions), || {
            "must be 1 to 10000".to_owned()
        })?;
        check(&key("replication_factor"), (1..=100).contains(&self.replication_factor), || {
            "must be 1 to 100".to_owned()
        })?;
        check(&key("retention"), self.retention >= Duration::from_mins(1), || {
            "must be at least 1m".to_owned()
        })?;
        let wanted = if self.log == DEAD_LETTERS { Cleanup::Compact } else { Cleanup::Delete };
        check(&key("cleanup"), !is_known(&self.log) || self.cleanup == wanted, || {
            format!("must be {}: otherwise records are lost", wanted.as_str())
        })
    }

    /// Copies that have to have a record before it is acknowledged: all but one, so that one may be unavailable.
    pub(crate) fn min_in_sync(&self) -> u16 {
        self.replication_factor.saturating_sub(1).max(1)
    }
}

/// The rule of Kafka's brokers.
fn is_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(log: &str, topic: TopicConfig) -> KafkaConfig {
        KafkaConfig { topics: [(log.to_owned(), topic)].into(), ..KafkaConfig::default() }
    }

    #[test]
    fn a_log_has_the_defaults_of_the_product() {
        let config = KafkaConfig::default();
        let partitions: Vec<(String, u32)> =
            config.all_topics().into_iter().map(|topic| (topic.name, topic.partitions)).collect();
        let expected = [
            ("gosight.events.raw", 20),
            ("gosight.events.dlq", 5),
            ("gosight.events.errors", 5),
            ("gosight.replay.chunks", 20),
        ];
        assert_eq!(partitions, expected.map(|(name, partitions)| (name.to_owned(), partitions)));
        assert_eq!(config.topic(DEAD_LETTERS).unwrap().cleanup, Cleanup::Compact);
        assert_eq!(config.topic("unheard of"), None);
    }

    #[test]
    fn only_what_differs_has_to_be_written() {
        let text = r#"{"topics": {"gosight.events.raw": {"retention": "3d"}, "mine": {"name": "a-topic"}}}"#;
        let config: KafkaConfig = serde_json::from_str(text).unwrap();
        config.validate().unwrap();
        let events = config.topic(logs::EVENTS).unwrap();
        assert_eq!((events.partitions, events.retention), (20, Duration::from_hours(72)));
        assert_eq!(config.topic("mine").unwrap().name, "a-topic");
        assert_eq!(config.all_topics().len(), 5);
    }

    #[test]
    fn settings_that_lose_records_are_refused() {
        let compacted = TopicConfig { cleanup: Some(Cleanup::Compact), ..TopicConfig::default() };
        let error = with(logs::EVENTS, compacted).validate().unwrap_err();
        assert_eq!(error.key, "topics.gosight.events.raw.cleanup");
        let aged = TopicConfig { cleanup: Some(Cleanup::Delete), ..TopicConfig::default() };
        assert!(with(DEAD_LETTERS, aged).validate().is_err());
    }

    #[test]
    fn names_that_brokers_refuse_are_refused() {
        for name in ["", ".", "a b", "a/b", &"x".repeat(250)] {
            let topic = TopicConfig { name: Some(name.to_owned()), ..TopicConfig::default() };
            assert!(with("mine", topic).validate().is_err(), "{name:?}");
        }
    }

    #[test]
    fn one_copy_may_be_away() {
        let min_in_sync = |copies| {
            let config = KafkaConfig { replication_factor: copies, ..KafkaConfig::default() };
            config.topic(logs::EVENTS).unwrap().min_in_sync()
        };
        assert_eq!([1, 2, 3, 5].map(min_in_sync), [1, 1, 2, 4]);
    }
}

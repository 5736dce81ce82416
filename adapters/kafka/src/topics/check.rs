use std::collections::HashMap;
use std::fmt;

use crate::config::{Cleanup, Topic};

/// A setting of a topic that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFault {
    /// Name of the topic.
    pub topic: String,
    /// The setting.
    pub setting: &'static str,
    /// What is wrong, and what to do.
    pub reason: String,
    /// Whether the topic cannot be used so.
    pub is_error: bool,
}

impl fmt::Display for TopicFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.topic, self.setting, self.reason)
    }
}

/// A topic's settings as the cluster tells them.
pub(super) type Settings = HashMap<String, String>;

/// A topic as it is.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How many copies each partition has.
    pub(super) partitions: Vec<usize>,
    pub(super) settings: Settings,
}

fn error(topic: &Topic, setting: &'static str, reason: String) -> TopicFault {
    TopicFault { topic: topic.name.clone(), setting, reason, is_error: true }
}

fn warning(topic: &Topic, setting: &'static str, reason: String) -> TopicFault {
    TopicFault { is_error: false, ..error(topic, setting, reason) }
}

/// A topic that a lost disk takes along.
pub(super) fn single_copy(topic: &Topic) -> Option<TopicFault> {
    (topic.replication_factor == 1).then(|| {
        let reason = "there is one copy: what was acknowledged is lost with its broker's disk".to_owned();
        warning(topic, "replication_factor", reason)
    })
}

impl Found {
    /// All that is wrong with the topic, against what is configured and against what keeps records.
    pub(super) fn faults(&self, topic: &Topic, max_message_bytes: u64) -> Vec<TopicFault> {
        [
            self.partition_count(topic),
            self.copies(topic),
            single_copy(topic),
            self.min_in_sync(topic),
            self.unclean_election(topic),
            self.cleanup(topic),
            self.message_size(topic, max_message_bytes),
            self.retention(topic),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn number(&self, setting: &str) -> Option<i64> {
        self.settings.get(setting)?.parse().ok()
    }

    fn partition_count(&self, topic: &Topic) -> Option<TopicFault> {
        let (found, wanted) = (self.partitions.len(), topic.partitions as usize);
        if found < wanted {
            let reason = format!(
                "there are {found}, {wanted} are configured; with more partitions a key goes to another one, so add \
                 them when everything is read, or configure {found}"
            );
            return Some(error(topic, "partitions", reason));
        }
        (found > wanted)
            .then(|| warning(topic, "partitions", format!("there are {found}, {wanted} are configured")))
    }

    fn fewest_copies(&self) -> usize {
        self.partitions.iter().copied().min().unwrap_or(0)
    }

    fn copies(&self, topic: &Topic) -> Option<TopicFault> {
        let (found, wanted) = (self.fewest_copies(), usize::from(topic.replication_factor));
        (found < wanted).then(|| {
            let reason = format!("a partition has {found} copies, {wanted} are configured; add replicas");
            error(topic, "replication_factor", reason)
        })
    }

    fn min_in_sync(&self, topic: &Topic) -> Option<TopicFault> {
        const SETTING: &str = "min.insync.replicas";
        let found = usize::try_from(self.number(SETTING)?).unwrap_or(0);
        let copies = self.fewest_copies();
        if copies > 1 && found < 2 {
            let reason =
                format!("{found} of {copies} copies acknowledges alone and may be lost alone; set it to 2");
            return Some(error(topic, SETTING, reason));
        }
        if found > copies {
            let reason = format!("{found} copies are needed and there are {copies}: nothing can be written");
            return Some(error(topic, SETTING, reason));
        }
        (copies > 1 && found == copies).then(|| {
            let reason = format!(
                "all {copies} copies are needed: nothing can be written while a broker is unavailable"
            );
            warning(topic, SETTING, reason)
        })
    }

    fn unclean_election(&self, topic: &Topic) -> Option<TopicFault> {
        const SETTING: &str = "unclean.leader.election.enable";
        let is_on = self.settings.get(SETTING).is_some_and(|value| value == "true");
        (is_on && self.fewest_copies() > 1).then(|| {
            let reason =
                "a copy that lacks acknowledged records may become the leader; set it to false".to_owned();
            error(topic, SETTING, reason)
        })
    }

    fn cleanup(&self, topic: &Topic) -> Option<TopicFault> {
        const SETTING: &str = "cleanup.policy";
        let found = self.settings.get(SETTING)?;
        (found != topic.cleanup.as_str()).then(|| {
            let reason = match topic.cleanup {
                Cleanup::Compact => {
                    format!("is {found}: dead letters would be removed by age; set it to compact")
                }
                Cleanup::Delete => {
                    format!("is {found}: records with an equal key would be removed; set it to delete")
                }
            };
            error(topic, SETTING, reason)
        })
    }

    fn message_size(&self, topic: &Topic, max_message_bytes: u64) -> Option<TopicFault> {
        const SETTING: &str = "max.message.bytes";
        let found = u64::try_from(self.number(SETTING)?).unwrap_or(0);
        (found < max_message_bytes).then(|| {
            let reason = format!("is {found}, less than the {max_message_bytes} that max_record needs");
            error(topic, SETTING, reason)
        })
    }

    fn retention(&self, topic: &Topic) -> Option<TopicFault> {
        const SETTING: &str = "retention.ms";
        let found = self.number(SETTING)?;
        let wanted = i64::try_from(topic.retention.as_millis()).unwrap_or(i64::MAX);
        (topic.cleanup == Cleanup::Delete && found >= 0 && found < wanted).then(|| {
            let reason = format!("records are removed after {found} ms, {wanted} ms are configured");
            warning(topic, SETTING, reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use gosight_application::logs;

    use super::*;
    use crate::config::{DEAD_LETTERS, KafkaConfig};

    const SIZE: u64 = 1_000;

    fn found(partitions: usize, copies: usize, settings: &[(&str, &str)]) -> Found {
        let known = [
            ("min.insync.replicas", "2"),
            ("unclean.leader.election.enable", "false"),
            ("cleanup.policy", "delete"),
            ("max.message.bytes", "1000"),
            ("retention.ms", "1209600000"),
        ];
        let settings = known.iter().chain(settings);
        let settings = settings.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Found { partitions: vec![copies; partitions], settings }
    }

    fn faults(log: &str, copies: u16, found: &Found) -> Vec<(&'static str, bool)> {
        let config = KafkaConfig { replication_factor: copies, ..KafkaConfig::default() };
        let faults = found.faults(&config.topic(log).unwrap(), SIZE);
        faults.into_iter().map(|fault| (fault.setting, fault.is_error)).collect()
    }

    #[test]
    fn a_topic_as_it_should_be_has_no_faults() {
        assert_eq!(faults(logs::EVENTS, 3, &found(20, 3, &[])), []);
        let compacted = found(5, 3, &[("cleanup.policy", "compact"), ("retention.ms", "1")]);
        assert_eq!(faults(DEAD_LETTERS, 3, &compacted), []);
    }

    #[test]
    fn settings_that_lose_records_are_errors() {
        for (setting, value) in [
            ("min.insync.replicas", "1"),
            ("min.insync.replicas", "4"),
            ("unclean.leader.election.enable", "true"),
            ("cleanup.policy", "compact"),
            ("max.message.bytes", "999"),
        ] {
            let found = found(20, 3, &[(setting, value)]);
            assert_eq!(faults(logs::EVENTS, 3, &found), [(setting, true)], "{setting} {value}");
        }
        assert_eq!(faults(DEAD_LETTERS, 3, &found(5, 3, &[])), [("cleanup.policy", true)]);
    }

    #[test]
    fn what_only_hinders_is_a_warning() {
        for (setting, value) in [("min.insync.replicas", "3"), ("retention.ms", "1000")] {
            let found = found(20, 3, &[(setting, value)]);
            assert_eq!(faults(logs::EVENTS, 3, &found), [(setting, false)], "{setting} {value}");
        }
        assert_eq!(faults(logs::EVENTS, 3, &found(20, 3, &[("retention.ms", "-1")])), []);
        let one_copy =
            found(20, 1, &[("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")]);
        assert_eq!(faults(logs::EVENTS, 1, &one_copy), [("replication_factor", false)]);
    }

    #[test]
    fn the_number_of_partitions_and_copies_is_compared() {
        assert_eq!(faults(logs::EVENTS, 3, &found(19, 3, &[])), [("partitions", true)]);
        assert_eq!(faults(logs::EVENTS, 3, &found(21, 3, &[])), [("partitions", false)]);
        let few = [("replication_factor", true), ("min.insync.replicas", false)];
        assert_eq!(faults(logs::EVENTS, 3, &found(20, 2, &[])), few);
    }
}

//! What the client library's errors mean to the core.

use std::fmt;
use std::time::Duration;

use gosight_application::ports::{Effect, PortError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::ADAPTER;

/// What goes wrong without the client library saying so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the client library refuses its settings: {0}")]
    Settings(String),
    #[error("no topic is configured for the log {0:?}")]
    NoTopic(String),
    #[error("{records} record(s) of {bytes} bytes wait for their acknowledgement already")]
    QueueFull { records: usize, bytes: u64 },
    #[error("{reason}: {advice}")]
    TurnedAway { reason: String, advice: &'static str },
    #[error("{error}: {reason}")]
    NotReached { error: String, reason: String },
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    #[error("the producer was closed")]
    Closed,
    #[error("partition {0} was given up")]
    GivenUp(u32),
    #[error("the topic {topic} has no partition {partition}")]
    NoPartition { topic: String, partition: i32 },
    #[error("the topic {0} does not exist")]
    NoSuchTopic(String),
    #[error(
        "partition {partition} of {topic} ends at {end}, before {wanted}, which was read or stored before: records are \
         missing, or the topic was made anew"
    )]
    WentBack { topic: String, partition: u32, end: u64, wanted: u64 },
    #[error("a record of partition {0} came outside its stream")]
    Stray(i32),
    #[error("the dead letter at partition {partition}, offset {offset} cannot be read: {reason}")]
    BadLetter { partition: i32, offset: i64, reason: String },
    #[error("a task of the adapter ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// What to do about an error of a broker or of the client library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It may pass, and nothing was done.
    Passing,
    /// It may pass, and nobody knows what was done.
    Unknown,
    /// The record is bad.
    BadRecord,
    /// A person has to do something.
    Lasting,
}

/// Classifies by code; an error without one comes from the local configuration.
pub(crate) fn classify(error: &KafkaError) -> Class {
    match error {
        KafkaError::Canceled => Class::Unknown,
        KafkaError::MessageConsumptionFatal(_) => Class::Lasting,
        // The library gives the reason as a text only; all of them come from the state of the group or the connection.
        KafkaError::Seek(_) | KafkaError::Subscription(_) | KafkaError::PauseResume(_) => Class::Passing,
        other => other.rdkafka_error_code().map_or(Class::Lasting, classify_code),
    }
}

fn classify_code(code: Code) -> Class {
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidTimestamp => Class::BadRecord,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::UnsupportedSASLMechanism
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::InvalidConfig
        | Code::InvalidReplicationFactor
        | Code::InvalidPartitions
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::PolicyViolation
        | Code::UnsupportedVersion
        | Code::UnsupportedCompressionType
        | Code::InvalidArgument
        | Code::NotImplemented
        | Code::Fatal => Class::Lasting,
        // Also of a broker that goes away in the middle of a handshake. A bad certificate is found out at the start.
        Code::SSL
        | Code::QueueFull
        | Code::PurgeQueue
        | Code::TimedOutQueue
        | Code::NotEnoughReplicas
        | Code::NotLeaderForPartition
        | Code::LeaderNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::WaitingForCoordinator
        | Code::RebalanceInProgress
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::AssignmentLost
        | Code::State
        | Code::AllBrokersDown => Class::Passing,
        _ => Class::Unknown,
    }
}

/// Why no client could be made. The library quotes the values of settings, and one of them is a password.
pub(crate) fn settings_error(error: &KafkaError) -> PortError {
    let reason = match error {
        KafkaError::ClientConfig(_, _, key, _) => format!("the setting {key} is not accepted"),
        KafkaError::Nul(_) => "a setting holds a NUL byte".to_owned(),
        KafkaError::ClientCreation(reason) if reason.contains("ssl.ca.location") => {
            format!("security.ca_file is no file of certificates that can be read ({reason})")
        }
        other => other.to_string(),
    };
    Failure::Settings(reason).fatal()
}

/// The error of a port that refuses nothing by itself, or whose refusals are handled before.
pub(crate) fn port_error<R: fmt::Debug + fmt::Display>(error: KafkaError) -> PortError<R> {
    match classify(&error) {
        Class::Passing => PortError::transient(ADAPTER, error),
        Class::Unknown => PortError::unknown(ADAPTER, error),
        Class::BadRecord | Class::Lasting => PortError::fatal(ADAPTER, error),
    }
}

/// The same of a call that changes nothing, so that its effect is always known.
pub(crate) fn read_error<R: fmt::Debug + fmt::Display>(error: KafkaError) -> PortError<R> {
    match port_error(error) {
        PortError::Transient { adapter, retry_after, source, .. } => {
            PortError::Transient { adapter, effect: Effect::None, retry_after, source }
        }
        other => other,
    }
}

impl Failure {
    pub(crate) fn transient<R: fmt::Debug + fmt::Display>(self) -> PortError<R> {
        PortError::transient(ADAPTER, self)
    }

    pub(crate) fn unknown<R: fmt::Debug + fmt::Display>(self) -> PortError<R> {
        PortError::unknown(ADAPTER, self)
    }

    pub(crate) fn fatal<R: fmt::Debug + fmt::Display>(self) -> PortError<R> {
        PortError::fatal(ADAPTER, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_that_timed_out_may_have_happened() {
        for code in [Code::MessageTimedOut, Code::RequestTimedOut, Code::BrokerTransportFailure] {
            assert_eq!(classify(&KafkaError::MessageProduction(code)), Class::Unknown, "{code:?}");
        }
        assert_eq!(classify(&KafkaError::MessageProduction(Code::QueueFull)), Class::Passing);
    }

    #[test]
    fn what_only_a_person_can_mend_is_lasting() {
        for code in [Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition, Code::Fatal] {
            assert_eq!(classify(&KafkaError::MessageProduction(code)), Class::Lasting, "{code:?}");
        }
        assert_eq!(classify(&KafkaError::ClientCreation("bad".to_owned())), Class::Lasting);
    }

    #[test]
    fn a_password_is_not_quoted() {
        let config = |key: &str, value: &str| {
            rdkafka::ClientConfig::new().set(key, value).create_native_config().err()
        };
        for error in [
            config("no.such.key", "hunter2"),
            config("acks", "hunter2"),
            config("sasl.password", "hunter2\0"),
        ] {
            let told = settings_error(&error.unwrap());
            assert!(!format!("{told} {told:?}").contains("hunter2"), "{told:?}");
        }
    }

    #[test]
    fn reading_leaves_nothing_unknown() {
        let error: PortError = read_error(KafkaError::MetadataFetch(Code::OperationTimedOut));
        assert!(matches!(error, PortError::Transient { effect: Effect::None, .. }), "{error:?}");
    }
}

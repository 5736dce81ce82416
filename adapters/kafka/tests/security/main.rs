//! Encrypted and authenticated connections, against a broker that takes no others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod broker;

use std::path::PathBuf;
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::ports::{
    AssignmentChange, DeadLetter, DeadLetters, EventSource, Fence, Health, HealthCheck, LogPartition,
    LogPosition, PollLimits, PortError, Record, RecordLog, SourceError,
};
use gosight_domain::Timestamp;
use gosight_kafka::config::{Protocol, SaslMechanism, Secret, TopicConfig};
use gosight_kafka::{KafkaConfig, KafkaDeadLetters, KafkaLog, KafkaSource, TopicError, ensure_topics};

use broker::SecureBroker;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_mins(1);
const LOG: &str = "events";
const LIMITS: PollLimits =
    PollLimits { max_records: 1_000, max_bytes: 1 << 20, linger: Duration::from_millis(5) };

fn record(value: &str) -> Record {
    Record { key: "key".into(), value: value.to_owned().into() }
}

/// Values of the only partition, read by a group of its own up to `count`.
async fn read(config: &KafkaConfig, count: usize) -> Vec<String> {
    let source = KafkaSource::join(config, &format!("group-{count}"), LOG, Telemetry::default()).unwrap();
    let Ok(Some(AssignmentChange::Assigned(mut partition))) = next_change(&source).await else {
        panic!("expected an assignment");
    };
    let mut values = Vec::new();
    while values.len() < count {
        let batch = tokio::time::timeout(PATIENCE, partition.poll(&LIMITS)).await.unwrap().unwrap();
        values.extend(batch.records.iter().map(|record| String::from_utf8(record.value.to_vec()).unwrap()));
    }
    values
}

async fn next_change(source: &KafkaSource) -> Result<Option<AssignmentChange>, SourceError> {
    tokio::time::timeout(PATIENCE, source.next_change()).await.unwrap()
}

/// Why the topics cannot be asked for.
async fn refused(config: &KafkaConfig) -> PortError {
    match ensure_topics(config).await {
        Err(TopicError::Port(error)) => error,
        other => panic!("expected that it is turned away, got {other:?}"),
    }
}

fn assert_says(error: &PortError, what_to_do: &str) {
    let text = error.to_string();
    assert!(matches!(error, PortError::Fatal { .. }), "{text}");
    assert!(text.contains(what_to_do), "{text}");
    assert!(!text.contains("not-the-secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_pass_and_whoever_has_the_wrong_papers_is_told_what_to_do() {
    let broker = SecureBroker::start();
    let mut config = broker.config();
    everything_passes(&config).await;
    another_mechanism_passes(&config).await;
    a_connection_that_breaks_is_made_again(&broker, &config).await;
    // The library goes on trying for as long.
    config.request_timeout = Duration::from_secs(2);
    a_wrong_authority_is_told(&broker, &config).await;
    a_wrong_password_is_told(&config).await;
    a_connection_without_encryption_is_told(&config).await;
}

async fn everything_passes(config: &KafkaConfig) {
    assert_eq!(ensure_topics(config).await.unwrap().created.len(), config.all_topics().len());
    let log = KafkaLog::new(config).unwrap();
    log.append(LOG, vec![record("first"), record("second")]).await.unwrap();
    assert_eq!(log.check().await, Health::Up);
    assert_eq!(read(config, 2).await, ["first", "second"]);
    let letters = KafkaDeadLetters::new(config, &log).unwrap();
    let letter = DeadLetter {
        position: LogPosition { log: LOG.into(), partition: 0, offset: 0 },
        project_id: None,
        reason: "not_json".into(),
        detail: String::new(),
        at: Timestamp::from_millis(0),
        record: "first".into(),
    };
    let place = LogPartition { log: letter.position.log.clone(), partition: letter.position.partition };
    let fence = Fence::granted(place, 1, Uuid::nil());
    letters.put(&fence, std::slice::from_ref(&letter)).await.unwrap();
    assert_eq!(letters.list(None, 10).await.unwrap(), [letter]);
}

async fn another_mechanism_passes(config: &KafkaConfig) {
    let mut config = config.clone();
    config.security.sasl_mechanism = SaslMechanism::Plain;
    KafkaLog::new(&config).unwrap().append(LOG, vec![record("third")]).await.unwrap();
    assert_eq!(read(&config, 3).await, ["first", "second", "third"]);
}

/// Such a break comes in the middle of handshakes too, and must end nobody.
async fn a_connection_that_breaks_is_made_again(broker: &SecureBroker, config: &KafkaConfig) {
    let log = KafkaLog::new(config).unwrap();
    let source = KafkaSource::join(config, "patient", LOG, Telemetry::default()).unwrap();
    let Ok(Some(AssignmentChange::Assigned(mut partition))) = next_change(&source).await else {
        panic!("expected an assignment");
    };
    tokio::time::timeout(PATIENCE, broker.break_connections()).await.unwrap();
    log.append(LOG, vec![record("fourth")]).await.unwrap();
    let mut count = 0;
    while count < 4 {
        count +=
            tokio::time::timeout(PATIENCE, partition.poll(&LIMITS)).await.unwrap().unwrap().records.len();
    }
}

async fn a_wrong_authority_is_told(broker: &SecureBroker, config: &KafkaConfig) {
    let mut config = config.clone();
    config.security.ca_file = Some(broker.other_authority());
    assert_says(&refused(&config).await, "check kafka.security.ca_file");
    let log = KafkaLog::new(&config).unwrap();
    let Health::Down(reason) = log.check().await else { panic!("expected that it is down") };
    assert!(reason.contains("check kafka.security.ca_file"), "{reason}");
    config.security.ca_file = Some("no-such-file.pem".into());
    assert_says(&refused(&config).await, "security.ca_file is no file of certificates");
}

async fn a_wrong_password_is_told(config: &KafkaConfig) {
    for mechanism in [SaslMechanism::ScramSha512, SaslMechanism::Plain] {
        let mut config = config.clone();
        config.security.sasl_mechanism = mechanism;
        config.security.sasl_password = Some(Secret::from("not-the-secret"));
        assert_says(
            &refused(&config).await,
            "check kafka.security.sasl_mechanism, sasl_user and sasl_password",
        );
        let source = KafkaSource::join(&config, "intruder", LOG, Telemetry::default()).unwrap();
        let Err(error) = next_change(&source).await else { panic!("expected an error") };
        assert!(matches!(error, PortError::Fatal { .. }), "{error}");
        let log = KafkaLog::new(&config).unwrap();
        let letters = KafkaDeadLetters::new(&config, &log).unwrap();
        assert_says(&letters.list(None, 1).await.unwrap_err(), "sasl_password");
    }
    // One that the broker does not offer.
    let mut config = config.clone();
    config.security.sasl_mechanism = SaslMechanism::ScramSha256;
    assert_says(&refused(&config).await, "check kafka.security.sasl_mechanism");
}

async fn a_connection_without_encryption_is_told(config: &KafkaConfig) {
    let plain = KafkaConfig { security: gosight_kafka::config::SecurityConfig::default(), ..config.clone() };
    let error = refused(&plain).await;
    assert!(error.is_transient() && error.to_string().contains("security.protocol"), "{error}");
}

/// Settings with which a client is let in.
fn with_papers(brokers: String, ca_file: PathBuf) -> KafkaConfig {
    let topic = TopicConfig { partitions: Some(1), ..TopicConfig::default() };
    let mut config = KafkaConfig {
        brokers: vec![brokers],
        topics: [(LOG.to_owned(), topic)].into(),
        replication_factor: 1,
        ..KafkaConfig::default()
    };
    config.consume.session_timeout = Duration::from_secs(6);
    config.security.protocol = Protocol::SaslSsl;
    config.security.ca_file = Some(ca_file);
    config.security.sasl_user = Some(broker::USER.to_owned());
    config.security.sasl_password = Some(Secret::from(broker::PASSWORD));
    config.validate().unwrap();
    config
}

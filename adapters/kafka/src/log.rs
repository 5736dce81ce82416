use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{Health, HealthCheck, LogError, PortError, Record, RecordLog};
use gosight_application::{LogSink, logs};

use crate::ADAPTER;
use crate::config::{KafkaConfig, Topic};
use crate::error::{Failure, port_error, settings_error};
use crate::producer::{Outgoing, Producer};

/// Logs of records as topics.
///
/// A record's partition is that of Java's clients: murmur2 of its key, by the number of partitions. A success means
/// that every copy in sync has the record; with `min.insync.replicas` as [`ensure_topics`](crate::ensure_topics) asks
/// for it, that survives the loss of any broker. The producer is idempotent, so its own repetitions add nothing.
#[derive(Clone)]
pub struct KafkaLog {
    producer: Arc<Producer>,
    config: Arc<KafkaConfig>,
    asked: Arc<str>,
}

/// How long the cluster has to say that it is there.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

impl KafkaLog {
    /// A producer for the configured logs. It is made also while the brokers are unavailable.
    ///
    /// # Errors
    /// `Fatal` when the client library refuses the settings.
    pub fn new(config: &KafkaConfig) -> Result<Self, PortError> {
        let producer = Producer::new(config).map_err(|error| settings_error(&error))?;
        let asked = config.topic(logs::EVENTS).map_or_else(|| logs::EVENTS.into(), |topic| topic.name.into());
        Ok(Self { producer: Arc::new(producer), config: Arc::new(config.clone()), asked })
    }

    /// The log of events, for who sends events.
    pub fn events(&self) -> LogSink {
        LogSink::new(Arc::new(self.clone()), logs::EVENTS)
    }

    /// Waits until nothing is on its way any more, up to a little over the delivery timeout. Every append that was awaited is done
    /// already; this is about those whose callers went away.
    ///
    /// # Errors
    /// `Transient` when records were still on their way then.
    pub async fn close(&self) -> Result<(), PortError> {
        let producer = self.producer.clone();
        let flushed = tokio::task::spawn_blocking(move || producer.flush()).await;
        flushed.map_err(|error| Failure::from(error).unknown())?.map_err(port_error)
    }

    pub(crate) fn producer(&self) -> &Arc<Producer> {
        &self.producer
    }

    fn topic(&self, log: &str) -> Result<Topic, LogError> {
        self.config.topic(log).ok_or_else(|| Failure::NoTopic(log.to_owned()).fatal())
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("brokers", &self.config.brokers).finish_non_exhaustive()
    }
}

#[async_trait]
impl RecordLog for KafkaLog {
    async fn append(&self, log: &str, records: Vec<Record>) -> Result<(), LogError> {
        let topic = self.topic(log)?;
        let outgoing: Vec<Outgoing<'_>> =
            records.iter().map(|record| Outgoing { key: &record.key, value: Some(&record.value) }).collect();
        self.producer.deliver(&topic.name, &outgoing, self.config.max_record.as_u64()).await
    }
}

#[async_trait]
impl HealthCheck for KafkaLog {
    fn name(&self) -> &'static str {
        ADAPTER
    }

    async fn check(&self) -> Health {
        if let Some(reason) = self.producer.fatal_error() {
            return Health::Down(format!("the producer cannot go on: {reason}"));
        }
        let (producer, topic) = (self.producer.clone(), self.asked.clone());
        let asked = tokio::task::spawn_blocking(move || producer.ask_about(&topic, HEALTH_TIMEOUT));
        match asked.await {
            Ok(Ok(())) => Health::Up,
            Ok(Err(reason)) => Health::Down(reason),
            Err(error) => Health::Down(error.to_string()),
        }
    }
}

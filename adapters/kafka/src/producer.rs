//! Batches of records on their way to a topic.

mod batch;
mod in_flight_budget;

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{Effect, LogError, PortError, RefusedRecord, RefusedRecords};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use batch::{Batch, Outcome, Ticket};
use in_flight_budget::InFlightBudget;

use crate::config::KafkaConfig;
use crate::error::{Class, Failure, classify, port_error};
use crate::{ADAPTER, client};

/// How long to wait for the library after it should have given up by itself.
const GRACE: Duration = Duration::from_secs(10);
/// What the ingest API may tell its clients when the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One record to send. Without a value it takes back what was sent under its key before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: Option<&'a [u8]>,
}

impl Outgoing<'_> {
    fn bytes(&self) -> usize {
        self.key.len() + self.value.map_or(0, <[u8]>::len)
    }
}

/// Sends batches and waits for their acknowledgement.
pub(crate) struct Producer {
    inner: ThreadedProducer<Deliveries>,
    in_flight: Arc<InFlightBudget>,
    delivery_deadline: Duration,
}

impl Producer {
    pub(crate) fn new(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let produce = &config.produce;
        Ok(Self {
            inner: ThreadedProducer::from_config_and_context(
                &client::producer(config),
                Deliveries::default(),
            )?,
            in_flight: Arc::new(InFlightBudget::new(produce.queue_records, produce.queue_bytes.as_u64())),
            delivery_deadline: produce.delivery_timeout + GRACE,
        })
    }

    /// Sends `records` to `topic` and waits until each is acknowledged or has failed.
    pub(crate) async fn deliver(
        &self,
        topic: &str,
        records: &[Outgoing<'_>],
        max_bytes: u64,
    ) -> Result<(), LogError> {
        let is_too_large = |record: &Outgoing<'_>| record.bytes() as u64 > max_bytes;
        let (large, fitting): (Vec<_>, Vec<_>) =
            records.iter().enumerate().partition(|(_, record)| is_too_large(record));
        let mut outcome = self.send(topic, &fitting).await?;
        outcome.refused.extend(large.into_iter().map(|(index, record)| RefusedRecord {
            index,
            reason: format!("{} bytes are over the limit of {max_bytes}", record.bytes()),
        }));
        verdict(outcome)
    }

    async fn send(&self, topic: &str, records: &[(usize, &Outgoing<'_>)]) -> Result<Outcome, LogError> {
        if records.is_empty() {
            return Ok(Outcome::default());
        }
        let bytes = records.iter().map(|(_, record)| record.bytes() as u64).sum();
        let permit = self.in_flight.take(records.len(), bytes).ok_or_else(|| self.queue_full())?;
        let (batch, done) = Batch::new(records.len(), permit);
        for &(index, record) in records {
            let ticket = Box::new(Ticket { batch: batch.clone(), index });
            let mut message = BaseRecord::with_opaque_to(topic, ticket).key(record.key);
            if let Some(value) = record.value {
                message = message.payload(value);
            }
            if let Err((error, message)) = self.inner.send(message) {
                message.delivery_opaque.settle(Some(error));
            }
        }
        // Held by the tickets alone from here on, so that the last of them finds nobody else.
        drop(batch);
        match tokio::time::timeout(self.delivery_deadline, done).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(Failure::Closed.unknown()),
            Err(_) => Err(Failure::NoAnswer(self.delivery_deadline).unknown()),
        }
    }

    fn queue_full(&self) -> LogError {
        let (records, bytes) = self.in_flight.taken();
        PortError::Transient {
            adapter: ADAPTER,
            effect: Effect::None,
            retry_after: Some(RETRY_AFTER),
            source: Failure::QueueFull { records, bytes }.into(),
        }
    }

    /// Why no record can be sent any more, if so.
    pub(crate) fn fatal_error(&self) -> Option<String> {
        self.inner.client().fatal_error().map(|(_, reason)| reason)
    }

    /// Asks the cluster about `topic`; blocks up to `timeout`. Says why it has no answer.
    pub(crate) fn ask_about(&self, topic: &str, timeout: Duration) -> Result<(), String> {
        let client = self.inner.client();
        let explain = |error| client.context().last_error.text(error);
        let metadata = client.fetch_metadata(Some(topic), timeout).map_err(explain)?;
        match metadata.topics().iter().find_map(rdkafka::metadata::MetadataTopic::error) {
            Some(error) => Err(KafkaError::MetadataFetch(error.into()).to_string()),
            None => Ok(()),
        }
    }

    /// Waits until nothing is on its way; blocks until every record must have been delivered or given up.
    pub(crate) fn flush(&self) -> Result<(), KafkaError> {
        self.inner.flush(self.delivery_deadline)
    }
}

/// What a batch's deliveries mean together: the worst decides, and only a batch without failures names the refused.
fn verdict(outcome: Outcome) -> Result<(), LogError> {
    let Outcome { appended, mut refused, failure } = outcome;
    if let Some(error) = failure {
        return Err(match port_error(error) {
            // Nothing happened to this record, but something did to its neighbours.
            PortError::Transient { adapter, retry_after, source, .. } if appended => {
                PortError::Transient { adapter, effect: Effect::Unknown, retry_after, source }
            }
            other => other,
        });
    }
    if refused.is_empty() {
        return Ok(());
    }
    refused.sort_by_key(|record| record.index);
    Err(PortError::Rejected { adapter: ADAPTER, refused: RefusedRecords(refused) })
}

/// Which of two failures of a batch is reported.
fn severity(error: &KafkaError) -> u8 {
    match classify(error) {
        Class::BadRecord => 0,
        Class::Passing => 1,
        Class::Unknown => 2,
        Class::Lasting => 3,
    }
}

/// Hands each delivery to its batch.
#[derive(Default)]
struct Deliveries {
    last_error: client::LastClientError,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.last_error.note_line(facility, line);
        client::log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        ticket.settle(result.as_ref().err().map(|(error, _)| error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;

    fn batch(codes: &[Option<Code>]) -> Result<(), LogError> {
        let budget = Arc::new(InFlightBudget::new(10, 10_000));
        let (batch, mut done) = Batch::new(codes.len(), budget.take(codes.len(), 1).unwrap());
        for (index, code) in codes.iter().enumerate() {
            Ticket { batch: batch.clone(), index }.settle(code.map(KafkaError::MessageProduction));
        }
        verdict(done.try_recv().unwrap())
    }

    #[test]
    fn the_worst_delivery_decides() {
        assert!(batch(&[None, None]).is_ok());
        let refused = batch(&[None, Some(Code::MessageSizeTooLarge), None]).unwrap_err();
        match refused {
            PortError::Rejected { refused, .. } => assert_eq!(refused.0[0].index, 1),
            other => panic!("{other:?}"),
        }
        for (codes, effect) in [
            ([Some(Code::QueueFull), Some(Code::MessageSizeTooLarge)], Effect::None),
            ([Some(Code::MessageTimedOut), Some(Code::QueueFull)], Effect::Unknown),
            // Its neighbour was appended, so appending again is not without effect.
            ([None, Some(Code::QueueFull)], Effect::Unknown),
        ] {
            match batch(&codes).unwrap_err() {
                PortError::Transient { effect: found, .. } => assert_eq!(found, effect, "{codes:?}"),
                other => panic!("{other:?}"),
            }
        }
        let fatal = batch(&[Some(Code::MessageTimedOut), Some(Code::TopicAuthorizationFailed)]);
        assert!(matches!(fatal, Err(PortError::Fatal { .. })));
    }
}

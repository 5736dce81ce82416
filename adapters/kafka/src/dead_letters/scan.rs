use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::DeadLettersError;
use rdkafka::Message;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client;
use crate::config::{KafkaConfig, Topic};
use crate::error::{Class, Failure, classify, port_error, read_error, settings_error};

/// Reads a topic from one offset to another, without a group: nothing is committed.
pub(super) struct Scan {
    reader: Arc<Reader>,
    topic: Arc<str>,
    timeout: Duration,
}

/// What to read of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) partition: i32,
    pub(super) first: i64,
    /// The offset after the last.
    pub(super) end: i64,
}

type Reader = StreamConsumer<client::LoggingContext>;

impl ConsumerContext for client::LoggingContext {}

impl Scan {
    pub(super) fn new(config: &KafkaConfig, topic: &Topic) -> Result<Self, DeadLettersError> {
        let mut settings = client::reader(config, &format!("{}-scan", config.client_id));
        // Offsets may have holes at the end; so the end is given.
        settings.set("enable.partition.eof", "true");
        let reader = Reader::from_config_and_context(&settings, client::LoggingContext::default())
            .map_err(|error| settings_error(&error))?;
        Ok(Self {
            reader: Arc::new(reader),
            topic: topic.name.as_str().into(),
            timeout: config.request_timeout,
        })
    }

    /// Everything that the topic holds now.
    pub(super) async fn all(&self) -> Result<Vec<Range>, DeadLettersError> {
        let (reader, topic, timeout) = (self.reader.clone(), self.topic.clone(), self.timeout);
        let asked = tokio::task::spawn_blocking(move || bounds(&reader, &topic, timeout));
        let answer = asked.await.map_err(|error| Failure::from(error).transient())?;
        if answer.is_err() {
            // What the library has to say waits for being taken.
            while tokio::time::timeout(client::LAST_WORDS, self.reader.recv()).await.is_ok() {}
        }
        answer.map_err(|error| self.reader.context().last_error.explain_failure(error))
    }

    /// Shows every record of `ranges` to `visit` until that has seen enough; those of one partition in order.
    pub(super) async fn read(
        &self,
        ranges: &[Range],
        mut visit: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()> + Send,
    ) -> Result<(), DeadLettersError> {
        let mut list = TopicPartitionList::with_capacity(ranges.len());
        let mut ends = HashMap::new();
        for range in ranges.iter().filter(|range| range.first < range.end) {
            list.add_partition_offset(&self.topic, range.partition, Offset::Offset(range.first))
                .map_err(port_error)?;
            ends.insert(range.partition, range.end);
        }
        self.reader.assign(&list).map_err(port_error)?;
        while !ends.is_empty() {
            let received = tokio::time::timeout(self.timeout, self.reader.recv()).await;
            match received.map_err(|_| Failure::NoAnswer(self.timeout).transient())? {
                Ok(message) => {
                    let Some(&end) = ends.get(&message.partition()) else { continue };
                    if message.offset() < end && visit(&message).is_break() {
                        break;
                    }
                    if message.offset() + 1 >= end {
                        ends.remove(&message.partition());
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    ends.remove(&partition);
                }
                Err(error) if classify(&error) == Class::Lasting => return Err(read_error(error)),
                Err(error) => tracing::debug!(%error, "read error ignored"),
            }
        }
        self.reader.unassign().map_err(port_error)
    }

    /// Closes the consumer, which blocks, where it may block.
    pub(super) async fn close(self) {
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::warn!(%error, "consumer not closed");
        }
    }
}

fn bounds(reader: &Reader, topic: &str, timeout: Duration) -> Result<Vec<Range>, DeadLettersError> {
    let metadata = reader.fetch_metadata(Some(topic), timeout).map_err(read_error)?;
    let found = metadata.topics().first();
    let found = found.ok_or_else(|| Failure::NoSuchTopic(topic.to_owned()).fatal())?;
    if let Some(error) = found.error() {
        return Err(read_error(KafkaError::MetadataFetch(error.into())));
    }
    let of_partition = |partition: &rdkafka::metadata::MetadataPartition| {
        let (first, end) = reader.fetch_watermarks(topic, partition.id(), timeout).map_err(read_error)?;
        Ok(Range { partition: partition.id(), first, end })
    };
    found.partitions().iter().map(of_partition).collect()
}

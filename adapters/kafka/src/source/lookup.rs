use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gosight_application::ports::SourceError;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::GroupConsumer;
use crate::error::{Failure, port_error, read_error};

/// What a consumer asks the cluster. The client library blocks for it, so each question has a thread of its own for as
/// long as it takes.
///
/// Does not keep the consumer alive: closing one blocks, and is the driver's to do.
#[derive(Clone)]
pub(super) struct Lookup {
    consumer: std::sync::Weak<GroupConsumer>,
    topic: Arc<str>,
    timeout: Duration,
}

/// How long to wait before a partition that is just being started is asked to start elsewhere again.
const START_WAIT: Duration = Duration::from_millis(10);

impl Lookup {
    pub(super) fn new(consumer: &Arc<GroupConsumer>, topic: String, timeout: Duration) -> Self {
        Self { consumer: Arc::downgrade(consumer), topic: topic.into(), timeout }
    }

    pub(super) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Runs `ask` where it may block. The library bounds each request by the timeout, some of them after the wait for
    /// a coordinator, so the whole is bounded again.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&GroupConsumer, &str, Duration) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let Some(consumer) = self.consumer.upgrade() else { return Err(Failure::Closed.transient()) };
        let (topic, timeout) = (self.topic.clone(), self.timeout);
        let answer = tokio::task::spawn_blocking(move || ask(&consumer, &topic, timeout));
        match tokio::time::timeout(timeout * 2, answer).await {
            Ok(answer) => answer.map_err(|error| Failure::from(error).unknown())?,
            Err(_) => Err(Failure::NoAnswer(timeout * 2).unknown()),
        }
    }

    /// Where the group goes on in each of `partitions`: where it committed, else at the earliest record.
    pub(super) async fn starts(&self, partitions: Vec<i32>) -> Result<BTreeMap<i32, u64>, SourceError> {
        self.ask(move |consumer, topic, timeout| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in partitions {
                list.add_partition(topic, partition);
            }
            let committed = consumer.committed_offsets(list, timeout).map_err(read_error)?;
            let mut starts = BTreeMap::new();
            for element in committed.elements() {
                element.error().map_err(read_error)?;
                let start = match element.offset() {
                    Offset::Offset(offset) => offset,
                    _ => watermarks(consumer, topic, element.partition(), timeout)?.0,
                };
                starts.insert(element.partition(), unsigned(start));
            }
            Ok(starts)
        })
        .await
    }

    /// The earliest offset of a partition, and the one after its last record.
    pub(super) async fn bounds(&self, partition: i32) -> Result<(u64, u64), SourceError> {
        self.ask(move |consumer, topic, timeout| {
            let (low, high) = watermarks(consumer, topic, partition, timeout)?;
            Ok((unsigned(low), unsigned(high)))
        })
        .await
    }

    /// The offset after the last record of every partition.
    pub(super) async fn ends(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        self.ask(|consumer, topic, timeout| {
            let metadata = consumer.fetch_metadata(Some(topic), timeout).map_err(read_error)?;
            let found = metadata.topics().first();
            let found = found.ok_or_else(|| Failure::NoSuchTopic(topic.to_owned()).fatal())?;
            if let Some(error) = found.error() {
                return Err(read_error(KafkaError::MetadataFetch(error.into())));
            }
            let mut ends = Vec::with_capacity(found.partitions().len());
            for partition in found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id) {
                let (_, high) = watermarks(consumer, topic, partition, timeout)?;
                ends.push((partition.unsigned_abs(), unsigned(high)));
            }
            ends.sort_unstable();
            Ok(ends)
        })
        .await
    }

    /// Makes the partition's stream go on at `offset`.
    pub(super) async fn seek(
        &self,
        partition: i32,
        offset: u64,
        seeks: &mut Seeks,
    ) -> Result<(), SourceError> {
        let turn = seeks.next();
        self.ask(move |consumer, topic, timeout| {
            turn.take(|| seek(consumer, topic, partition, offset, timeout)).unwrap_or(Ok(()))
        })
        .await
    }

    /// Commits `next` and waits until the group's coordinator has it.
    pub(super) async fn commit(&self, partition: i32, next: u64) -> Result<(), SourceError> {
        self.ask(move |consumer, topic, _| {
            let mut list = TopicPartitionList::with_capacity(1);
            list.add_partition_offset(topic, partition, offset_of(next)).map_err(port_error)?;
            consumer.commit(&list, CommitMode::Sync).map_err(port_error)
        })
        .await
    }
}

/// Keeps the seeks of one partition in order. One whose caller went away may not have begun yet, and must not come
/// after a later one.
#[derive(Debug, Default)]
pub(super) struct Seeks {
    asked: u64,
    begun: Arc<Mutex<u64>>,
}

struct Turn {
    number: u64,
    begun: Arc<Mutex<u64>>,
}

impl Seeks {
    fn next(&mut self) -> Turn {
        self.asked += 1;
        Turn { number: self.asked, begun: self.begun.clone() }
    }
}

impl Turn {
    /// Runs `seek` while no other runs, unless a later one has begun.
    fn take<T>(self, seek: impl FnOnce() -> T) -> Option<T> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        (*begun < self.number).then(|| {
            *begun = self.number;
            seek()
        })
    }
}

fn watermarks(
    consumer: &GroupConsumer,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<(i64, i64), SourceError> {
    consumer.fetch_watermarks(topic, partition, timeout).map_err(read_error)
}

fn seek(
    consumer: &GroupConsumer,
    topic: &str,
    partition: i32,
    offset: u64,
    timeout: Duration,
) -> Result<(), SourceError> {
    let deadline = std::time::Instant::now() + timeout;
    loop {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, offset_of(offset)).map_err(port_error)?;
        let sought = consumer.seek_partitions(list, timeout).map_err(read_error)?;
        let elements = sought.elements();
        let element = elements
            .first()
            .ok_or_else(|| Failure::NoPartition { topic: topic.to_owned(), partition }.fatal())?;
        match element.error() {
            Ok(()) => return Ok(()),
            // It was assigned a moment ago and does not run yet.
            Err(error) if is_starting(&error) && std::time::Instant::now() < deadline => {
                std::thread::sleep(START_WAIT);
            }
            Err(error) => return Err(read_error(error)),
        }
    }
}

fn is_starting(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::State | Code::PreviousInProgress))
}

pub(super) fn offset_of(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

pub(super) fn unsigned(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_that_begins_late_is_left_out() {
        let mut seeks = Seeks::default();
        let (first, second, third) = (seeks.next(), seeks.next(), seeks.next());
        assert_eq!(second.take(|| 2), Some(2));
        assert_eq!(first.take(|| 1), None);
        assert_eq!(third.take(|| 3), Some(3));
    }
}

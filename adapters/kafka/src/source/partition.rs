use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use gosight_application::ports::{PartitionSource, PollLimits, PolledBatch, PolledRecord, SourceError};
use gosight_domain::ledger::BatchSpan;
use rdkafka::Message;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::group::GroupContext;
use super::lookup::{Lookup, Seeks, unsigned};
use crate::error::{Class, Failure, classify, read_error};

/// Records that were taken from the client library and not polled yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    records: VecDeque<PolledRecord>,
    bytes: usize,
}

impl Ahead {
    fn push(&mut self, record: PolledRecord) {
        self.bytes += record.value.len();
        self.records.push_back(record);
    }

    /// The offset after the last record; `first` when there is none.
    fn next(&self, first: u64) -> u64 {
        self.records.back().map_or(first, |record| record.offset + 1)
    }

    /// The next batch.
    fn take(&mut self, limits: &PollLimits) -> Vec<PolledRecord> {
        let records: Vec<PolledRecord> = self.records.drain(..self.fitting(limits)).collect();
        self.bytes -= records.iter().map(|record| record.value.len()).sum::<usize>();
        records
    }

    /// How many records make one batch: as many as the limits allow, and at least one.
    fn fitting(&self, limits: &PollLimits) -> usize {
        let mut bytes = 0;
        let fits = |record: &&PolledRecord| {
            bytes += record.value.len();
            bytes <= limits.max_bytes
        };
        let allowed = self.records.iter().take(limits.max_records.max(1)).take_while(fits).count();
        allowed.max(1).min(self.records.len())
    }

    fn is_full(&self, limits: &PollLimits) -> bool {
        self.records.len() >= limits.max_records.max(1) || self.bytes >= limits.max_bytes.max(1)
    }
}

/// One partition. Records that were taken from the client library wait in `ahead`, so that a poll that is dropped loses
/// none of them.
pub(super) struct KafkaPartition {
    // Dropped first: a stream of the same partition can be made only when the one before is gone.
    pub(super) queue: StreamPartitionQueue<GroupContext>,
    pub(super) log: Arc<str>,
    pub(super) partition: i32,
    pub(super) lookup: Lookup,
    pub(super) next: u64,
    pub(super) ahead: Ahead,
    /// Whether the stream stands where `next` says. A seek that was cut short leaves it anywhere.
    pub(super) aligned: bool,
    pub(super) seeks: Seeks,
    pub(super) given_up: CancellationToken,
    pub(super) _assigned: DropGuard,
}

impl KafkaPartition {
    fn number(&self) -> u32 {
        self.partition.unsigned_abs()
    }

    async fn align(&mut self) -> Result<(), SourceError> {
        if !self.aligned {
            self.ahead = Ahead::default();
            self.lookup.seek(self.partition, self.next, &mut self.seeks).await?;
            self.aligned = true;
        }
        Ok(())
    }

    /// Reads ahead until a poll is full, or the time to wait for more is over.
    async fn fill(&mut self, limits: &PollLimits) -> Result<(), SourceError> {
        self.align().await?;
        let mut deadline = None;
        while !self.ahead.is_full(limits) {
            let mut stream = self.queue.stream();
            let mut received = None;
            // What is at hand is taken without preparing to wait for it.
            while let Some(message) = stream.next().now_or_never() {
                match message {
                    Some(Ok(message)) if unsigned(message.offset()) >= self.ahead.next(self.next) => {
                        self.ahead.push(polled(&message));
                        if self.ahead.is_full(limits) {
                            return Ok(());
                        }
                    }
                    other => {
                        received = Some(other);
                        break;
                    }
                }
            }
            let received = match received {
                Some(received) => received,
                None if self.ahead.records.is_empty() => stream.next().await,
                None => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + limits.linger);
                    match timeout_at(deadline, stream.next()).await {
                        Ok(received) => received,
                        Err(_) => return Ok(()),
                    }
                }
            };
            let expected = self.ahead.next(self.next);
            let behind = match received {
                Some(Ok(message)) if unsigned(message.offset()) >= expected => {
                    self.ahead.push(polled(&message));
                    continue;
                }
                Some(Ok(message)) => unsigned(message.offset()),
                Some(Err(error)) => {
                    refuse_lasting(error)?;
                    continue;
                }
                None => return Err(Failure::Closed.transient()),
            };
            drop(stream);
            self.explain_record_behind(behind, expected).await?;
        }
        Ok(())
    }

    /// The library starts anew at the earliest record when the log does not reach to where it was asked to go on.
    async fn explain_record_behind(&self, offset: u64, expected: u64) -> Result<(), SourceError> {
        let (_, end) = self.lookup.bounds(self.partition).await?;
        if end < expected {
            return Err(self.went_back(end, expected));
        }
        tracing::debug!(partition = self.partition, offset, expected, "record skipped, it precedes the seek");
        Ok(())
    }

    fn went_back(&self, end: u64, wanted: u64) -> SourceError {
        let topic = self.lookup.topic().to_string();
        Failure::WentBack { topic, partition: self.number(), end, wanted }.fatal()
    }

    fn take(&mut self, limits: &PollLimits) -> PolledBatch {
        let records = self.ahead.take(limits);
        let last = records.last().map_or(self.next, |record| record.offset);
        let span = BatchSpan { log: self.log.clone(), partition: self.number(), first: self.next, last };
        self.next = span.next();
        PolledBatch { span, records }
    }

    fn given_up_error(&self) -> SourceError {
        Failure::GivenUp(self.number()).transient()
    }
}

/// A failure of this partition that waiting does not mend. The library goes on by itself after the others.
fn refuse_lasting(error: KafkaError) -> Result<(), SourceError> {
    if classify(&error) == Class::Lasting {
        return Err(read_error(error));
    }
    tracing::debug!(%error, "read error ignored");
    Ok(())
}

fn polled(message: &BorrowedMessage<'_>) -> PolledRecord {
    // A record without a value is none of ours; it is given as an empty one, and dead-lettered as such.
    let value = message.payload().map(Bytes::copy_from_slice).unwrap_or_default();
    PolledRecord { offset: unsigned(message.offset()), value }
}

impl fmt::Debug for KafkaPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPartition")
            .field("log", &self.log)
            .field("partition", &self.partition)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl PartitionSource for KafkaPartition {
    fn partition(&self) -> u32 {
        self.number()
    }

    fn position(&self) -> u64 {
        self.next
    }

    async fn first_offset(&self) -> Result<u64, SourceError> {
        Ok(self.lookup.bounds(self.partition).await?.0)
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        if offset == self.next && self.aligned {
            return Ok(());
        }
        let (start, end) = self.lookup.bounds(self.partition).await?;
        if offset > end {
            return Err(self.went_back(end, offset));
        }
        if offset < start {
            let missing = start - offset;
            tracing::warn!(log = %self.log, partition = self.partition, offset, start, missing, "records missing");
        }
        self.next = offset;
        self.aligned = false;
        self.align().await
    }

    async fn poll(&mut self, limits: &PollLimits) -> Result<PolledBatch, SourceError> {
        let given_up = self.given_up.clone();
        tokio::select! {
            biased;
            () = given_up.cancelled() => Err(self.given_up_error()),
            filled = self.fill(limits) => {
                filled?;
                Ok(self.take(limits))
            }
        }
    }

    async fn commit(&mut self, next: u64) -> Result<(), SourceError> {
        if self.given_up.is_cancelled() {
            return Err(self.given_up_error());
        }
        self.lookup.commit(self.partition, next).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(sizes: &[usize]) -> Ahead {
        let mut ahead = Ahead::default();
        for (offset, &size) in (0..).zip(sizes) {
            ahead.push(PolledRecord { offset, value: vec![0; size].into() });
        }
        ahead
    }

    fn limits(max_records: usize, max_bytes: usize) -> PollLimits {
        PollLimits { max_records, max_bytes, linger: std::time::Duration::ZERO }
    }

    #[test]
    fn a_batch_holds_what_the_limits_allow() {
        let records = ahead(&[10, 10, 10]);
        let mut taken = ahead(&[10, 10, 10]);
        assert_eq!(taken.take(&limits(2, 100)).len(), 2);
        assert_eq!((taken.records.len(), taken.bytes), (1, 10));
        assert_eq!(records.fitting(&limits(2, 100)), 2);
        assert_eq!(records.fitting(&limits(9, 25)), 2);
        assert_eq!(records.fitting(&limits(9, 30)), 3);
        assert!(records.is_full(&limits(3, 100)));
        assert!(records.is_full(&limits(9, 30)));
        assert!(!records.is_full(&limits(9, 31)));
    }

    #[test]
    fn a_record_over_the_limit_is_given_alone() {
        assert_eq!(ahead(&[50, 1]).fitting(&limits(9, 10)), 1);
        assert_eq!(ahead(&[1, 50]).fitting(&limits(9, 10)), 1);
        assert_eq!(ahead(&[]).fitting(&limits(9, 10)), 0);
        assert_eq!(ahead(&[1, 1]).fitting(&limits(0, 0)), 1);
    }
}

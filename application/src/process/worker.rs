mod start;

use std::time::Instant;

use gosight_domain::ledger::BatchSpan;
use tokio_util::sync::CancellationToken;

use super::consumer::{LogConsumer, ProcessError};
use super::handler::Refusals;
use crate::backoff::Backoff;
use crate::kill_point;
use crate::ports::{DeadLetter, PartitionSource, PolledBatch, PortError, ProcessedBatch};
use crate::telemetry::Metric;

/// Reads one partition.
pub(super) struct Worker {
    consumer: LogConsumer,
    source: Box<dyn PartitionSource>,
    stop: CancellationToken,
    /// The offset that the ledger goes on at.
    next: u64,
}

/// One line for a batch, however many there are: the first of them stands for the others.
fn warn_of(letters: &[DeadLetter]) {
    let Some(DeadLetter { position, reason, detail, .. }) = letters.first() else { return };
    tracing::warn!(letters = letters.len(), %position, %reason, detail, "records were dead-lettered");
}

/// Whether a step was done.
enum Step {
    Done,
    /// The worker was asked to stop first.
    Stopped,
}

impl Worker {
    pub(super) fn new(
        consumer: LogConsumer,
        source: Box<dyn PartitionSource>,
        stop: CancellationToken,
    ) -> Self {
        let next = source.position();
        Self { consumer, source, stop, next }
    }

    /// Polls, stores and commits until stopped; gives the partition.
    pub(super) async fn run(mut self) -> Result<u32, ProcessError> {
        let partition = self.source.partition();
        if let Step::Stopped = self.start().await? {
            return Ok(partition);
        }
        let mut backoff = self.backoff();
        loop {
            let polled = tokio::select! {
                // Asked to stop, it takes no other batch although there may be one.
                biased;
                () = self.stop.cancelled() => return Ok(partition),
                polled = self.source.poll(&self.consumer.config.limits) => polled,
            };
            let batch = match polled {
                Ok(batch) => batch,
                Err(error) => match self.wait_out(error, "log", &mut backoff).await? {
                    Step::Done => continue,
                    Step::Stopped => return Ok(partition),
                },
            };
            backoff = self.backoff();
            let (first, next) = (batch.span.first, batch.span.next());
            self.consumer.status.polled(partition, next, batch.records.len() as u64);
            if let Step::Stopped = self.pass_over_lost(first).await? {
                return Ok(partition);
            }
            let started = Instant::now();
            if let Step::Stopped = self.store(batch, started).await? {
                return Ok(partition);
            }
            self.next = next;
            if let Err(error) = self.source.commit(next).await {
                // The ledger is the truth; the log's own offset is a hint that the next commit repeats.
                tracing::warn!(%error, partition, "the offset could not be committed");
            }
            kill_point("offset-committed");
            self.consumer.status.finished(partition);
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.consumer.config.backoff)
    }

    /// Stores `batch`, in parts if the store refuses rows that it cannot name.
    async fn store(&self, batch: PolledBatch, started: Instant) -> Result<Step, ProcessError> {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.store_part(&part, started).await? {
                Stored::Whole => {}
                Stored::Stopped => return Ok(Step::Stopped),
                Stored::Refused => {
                    let (first, second) = halves(part);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        Ok(Step::Done)
    }

    async fn store_part(&self, batch: &PolledBatch, started: Instant) -> Result<Stored, ProcessError> {
        let mut backoff = self.backoff();
        let mut refused = Refusals::new();
        loop {
            let processed = match self.consumer.handler.handle(batch, &refused).await {
                Ok(processed) => processed,
                Err(error) => match self.wait_out(error, "handler", &mut backoff).await? {
                    Step::Done => continue,
                    Step::Stopped => return Ok(Stored::Stopped),
                },
            };
            kill_point("batch-handled");
            let error = match self.commit(&processed).await {
                Ok(()) => {
                    self.consumer.handler.committed(&processed);
                    self.note_stored(&processed, started);
                    return Ok(Stored::Whole);
                }
                Err(error) => error,
            };
            let PortError::Rejected { refused: rows, .. } = &error else {
                match self.wait_out(error, "store", &mut backoff).await? {
                    Step::Done => continue,
                    Step::Stopped => return Ok(Stored::Stopped),
                }
            };
            tracing::warn!(span = %batch.span, reason = rows.reason, "the store refuses rows");
            let known = refused.len();
            refused.extend(rows.offsets.clone());
            match batch.records.as_slice() {
                _ if refused.len() > known => {}
                [only] if !refused.contains_key(&only.offset) => {
                    refused.insert(only.offset, rows.reason.clone());
                }
                // Refused even when dead-lettered: there is nothing left to try.
                [] | [_] => return Err(self.consumer.fatal(error)),
                _ => return Ok(Stored::Refused),
            }
        }
    }

    async fn commit(&self, processed: &ProcessedBatch) -> Result<(), PortError<crate::ports::RefusedRows>> {
        let start = Instant::now();
        let committed = self.consumer.store.commit(processed).await?;
        self.consumer.telemetry.observe_time(Metric::CommitSeconds, &[], start.elapsed());
        tracing::debug!(span = %processed.ledger.span, ?committed, "batch stored");
        Ok(())
    }

    fn note_stored(&self, processed: &ProcessedBatch, started: Instant) {
        let LogConsumer { telemetry, status, clock, .. } = &self.consumer;
        let span = &processed.ledger.span;
        let counts = processed.ledger.total();
        status.stored(span, &counts, counts.polled, clock.now());
        let log = [("log", span.log.as_ref())];
        telemetry.count(Metric::EventsProcessed, &log, counts.polled);
        telemetry.count(Metric::EventsDeduplicated, &log, counts.duplicate);
        for (rule, count) in &counts.filtered {
            telemetry.count(Metric::EventsFiltered, &[("rule", rule)], *count);
        }
        for (reason, count) in &counts.dead_lettered {
            telemetry.count(Metric::DeadLetters, &[("reason", reason)], *count);
        }
        warn_of(&processed.dead_letters);
        telemetry.observe_time(Metric::ProcessingSeconds, &log, started.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        telemetry.observe(Metric::BatchRecords, &log, counts.polled as f64);
        if let Some(oldest) = processed.events.iter().map(|stored| stored.event.received_at).min() {
            #[expect(clippy::cast_precision_loss, reason = "an age needs no more digits")]
            let age_seconds = clock.now().millis_since(oldest) as f64 / 1_000.0;
            telemetry.observe(Metric::BatchAgeSeconds, &log, age_seconds);
        }
    }

    /// Waits after a failure that may pass. A failure that does not pass is the error.
    async fn wait_out<R: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static>(
        &self,
        error: PortError<R>,
        what: &'static str,
        backoff: &mut Backoff,
    ) -> Result<Step, ProcessError> {
        if !error.is_transient() {
            return Err(self.consumer.fatal(error));
        }
        let partition = self.source.partition();
        let wait = backoff.next_wait(error.retry_after());
        tracing::warn!(what, %error, partition, ?wait, attempt = backoff.attempts(), "a part is unavailable, trying again");
        let LogConsumer { telemetry, status, clock, .. } = &self.consumer;
        let was_at_work = status.blocked(partition, clock.now(), what, &error.to_string());
        let waiting = telemetry.backing_off(what);
        tokio::select! {
            () = self.stop.cancelled() => return Ok(Step::Stopped),
            () = tokio::time::sleep(wait) => waiting.retry(),
        }
        if was_at_work {
            status.resumed(partition);
        }
        Ok(Step::Done)
    }
}

/// What became of a part of a batch.
enum Stored {
    Whole,
    /// Rows in it are bad, and nobody can tell which.
    Refused,
    Stopped,
}

/// Two batches that cover what `batch` does, each with half of the records.
fn halves(batch: PolledBatch) -> (PolledBatch, PolledBatch) {
    let PolledBatch { span, mut records } = batch;
    let second = records.split_off(records.len() / 2);
    let cut = second.first().map_or(span.last, |record| record.offset);
    let first_span = BatchSpan { last: cut.saturating_sub(1), ..span.clone() };
    let second_span = BatchSpan { first: cut, ..span };
    (PolledBatch { span: first_span, records }, PolledBatch { span: second_span, records: second })
}

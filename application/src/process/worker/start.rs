//! Where a worker begins, and what it does about records that are gone.

use gosight_domain::ledger::{BatchSpan, LedgerEntry, LedgerRow, OutcomeCounts};

use super::{Step, Worker};
use crate::ports::{PortError, ProcessedBatch};
use crate::process::consumer::ProcessError;
use crate::telemetry::Metric;

/// The reason in the ledger for records that were gone before they were processed.
const LOST: &str = "lost";

/// Records that should be in the log and are not.
#[derive(Debug, thiserror::Error)]
#[error(
    "records {} to {} of partition {} were never processed and are gone from the log, so an older database was \
     restored or the log was trimmed; bring back the database that belongs to the log, or set \
     process.accept_lost_records to count them as lost and go on",
    .0.first, .0.last, .0.partition
)]
struct LostRecords(BatchSpan);

impl Worker {
    /// Goes to where the ledger ends, which is the truth: what the log remembers may lie before or after it.
    pub(super) async fn start(&mut self) -> Result<Step, ProcessError> {
        let mut backoff = self.backoff();
        self.consumer.status.assigned(self.source.partition(), self.source.position());
        let first = loop {
            match self.seek_start().await {
                Ok(first) => break first,
                Err(error) => match self.wait_out(error, "ledger", &mut backoff).await? {
                    Step::Done => {}
                    Step::Stopped => return Ok(Step::Stopped),
                },
            }
        };
        self.consumer.status.assigned(self.source.partition(), self.next);
        // Said now, not when the next record comes in.
        self.pass_over_lost(first).await
    }

    /// Finds out where to start, and goes there; gives the first offset that the log has.
    async fn seek_start(&mut self) -> Result<u64, PortError> {
        let (partition, committed) = (self.source.partition(), self.source.position());
        let log = self.consumer.source.log();
        let ledger = self.consumer.store.next_offsets(log).await?.get(&partition).copied();
        let first = self.source.first_offset().await?;
        self.next = match ledger {
            Some(next) if next < committed => {
                tracing::error!(
                    %log, partition, committed, ledger = next,
                    "the store is older than the log remembers, so rows are missing; processing again from the \
                     ledger's end"
                );
                next
            }
            Some(next) if next > committed => {
                tracing::info!(%log, partition, committed, ledger = next, "starting where the ledger ends");
                next
            }
            Some(next) => next,
            None if committed > first => {
                tracing::error!(
                    %log, partition, committed, first,
                    "the store has nothing of this partition although it was processed, so it was lost or replaced; \
                     processing all that the log still has"
                );
                first
            }
            None => first,
        };
        let start = self.next.max(first);
        if start != committed {
            self.source.seek(start).await?;
        }
        Ok(first)
    }

    /// Goes on at `first` if records before it are gone and that is accepted. The ledger has a row for them, so that it
    /// says what became of them and joins.
    pub(super) async fn pass_over_lost(&mut self, first: u64) -> Result<Step, ProcessError> {
        if first <= self.next {
            return Ok(Step::Done);
        }
        let log = self.consumer.source.log().clone();
        let span = BatchSpan { log, partition: self.source.partition(), first: self.next, last: first - 1 };
        if !self.consumer.config.accept_lost {
            let error: PortError = PortError::fatal("log", LostRecords(span));
            return Err(self.consumer.fatal(error));
        }
        let batch = ProcessedBatch::empty(self.lost_row(span));
        let mut backoff = self.backoff();
        while let Err(error) = self.commit(&batch).await {
            if let Step::Stopped = self.wait_out(error, "store", &mut backoff).await? {
                return Ok(Step::Stopped);
            }
        }
        self.note_lost(&batch.ledger);
        self.next = first;
        Ok(Step::Done)
    }

    fn lost_row(&self, span: BatchSpan) -> LedgerRow {
        let lost = span.len();
        let counts = OutcomeCounts {
            polled: lost,
            rejected: [(LOST.into(), lost)].into(),
            ..OutcomeCounts::default()
        };
        let entry = LedgerEntry { project_id: None, hour: self.consumer.clock.now().hour(), counts };
        LedgerRow { span, entries: vec![entry] }
    }

    fn note_lost(&self, row: &LedgerRow) {
        let span = &row.span;
        tracing::error!(%span, records = span.len(), "records are gone from the log and are counted as lost");
        self.consumer.telemetry.count(Metric::RecordsLost, &[("log", &span.log)], span.len());
        // None of them was ever in hand.
        self.consumer.status.stored(span, &row.total(), 0, self.consumer.clock.now());
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use super::handler::BatchHandler;
use super::status::{PartitionStatus, ProcessStatus};
use crate::backoff::{Backoff, BackoffPolicy};
use crate::ports::{BatchStore, BoxError, Clock, EventSource, PollLimits, PortError, SourceError};
use crate::telemetry::{Metric, Telemetry};

/// How a consumer reads.
#[derive(Debug, Clone, Copy)]
pub struct ConsumerConfig {
    /// How much one batch holds.
    pub limits: PollLimits,
    /// How long to wait when the store is unavailable.
    pub backoff: BackoffPolicy,
    /// Whether to go on, and count them as lost, when records are gone from the log that were never processed. Otherwise
    /// processing stops, for a person to look at.
    pub accept_lost: bool,
}

/// Why a consumer stopped although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A part failed in a way that waiting does not mend.
    #[error("processing {log} stopped: {source}")]
    Fatal {
        /// The log.
        log: Arc<str>,
        /// What failed.
        source: BoxError,
    },
    /// A worker ended without a result: it panicked.
    #[error("a worker of {log} died: {source}")]
    WorkerDied {
        /// The log.
        log: Arc<str>,
        /// What the runtime says.
        source: tokio::task::JoinError,
    },
}

/// Processes one log: a worker for each assigned partition.
#[derive(Debug, Clone)]
pub struct LogConsumer {
    /// The log.
    pub source: Arc<dyn EventSource>,
    /// Where results go, and where the ledger is.
    pub store: Arc<dyn BatchStore>,
    /// What makes results of records.
    pub handler: Arc<dyn BatchHandler>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What it does, for those who ask.
    pub status: Arc<ProcessStatus>,
    /// Where numbers go.
    pub telemetry: Telemetry,
    /// How it reads.
    pub config: ConsumerConfig,
}

impl LogConsumer {
    /// How many records of each partition are not processed yet. A partition that is not read here counts as processed.
    ///
    /// # Errors
    /// The source's.
    pub async fn lag(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        let ends = self.source.end_offsets().await?;
        self.status.saw_ends(&ends);
        let partitions = self.status.partitions();
        let lag = |(partition, end): (u32, u64)| {
            let next = partitions.get(&partition).map_or(end, |status| status.next_offset);
            (partition, end.saturating_sub(next))
        };
        Ok(ends.into_iter().map(lag).collect())
    }

    /// Tells the metrics what each worker has in hand, and how busy it is.
    pub(crate) fn report_loads(&self) {
        for (partition, status) in self.status.partitions() {
            self.report_load(partition, status.records_in_hand, status.utilization_percent);
        }
    }

    pub(super) fn report_load(&self, partition: u32, records_in_hand: u64, utilization_percent: f64) {
        let labels = [("log", self.status.log().as_ref()), ("partition", &*partition.to_string())];
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more digits")]
        self.telemetry.gauge(Metric::RecordsInHand, &labels, records_in_hand as f64);
        self.telemetry.gauge(Metric::WorkerUtilizationPercent, &labels, utilization_percent);
    }

    /// Waits until everything that is logged at this moment is processed.
    pub(crate) async fn caught_up(&self) {
        let mut backoff = Backoff::new(self.config.backoff);
        let ends = loop {
            match self.source.end_offsets().await {
                Ok(ends) => break ends,
                Err(error) => {
                    let waiting = self.telemetry.backing_off("log_ends");
                    tokio::time::sleep(backoff.next_wait(error.retry_after())).await;
                    waiting.retry();
                }
            }
        };
        let is_reached = |partitions: &BTreeMap<u32, PartitionStatus>| {
            let is_reached = |(partition, end): &(u32, u64)| {
                *end == 0 || partitions.get(partition).is_some_and(|status| status.next_offset >= *end)
            };
            ends.iter().all(is_reached)
        };
        self.status.wait_until(is_reached).await;
    }

    pub(super) fn fatal<R: std::fmt::Debug + std::fmt::Display + Send + Sync + 'static>(
        &self,
        error: PortError<R>,
    ) -> ProcessError {
        ProcessError::Fatal { log: self.source.log().clone(), source: error.into() }
    }
}

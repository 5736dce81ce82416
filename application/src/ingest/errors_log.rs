//! The way of reports to the errors log: their senders do not wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::logs;
use crate::ports::{LogError, Record, RecordLog};
use crate::telemetry::{Metric, Telemetry};

/// Reports that wait hold at most this many bytes. It is room for one report of the largest replay chunk that is reported
/// with its data, or for some ten thousand events.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Reports of what was refused, on their way to the errors log. A report that finds no room is lost, and counted.
#[derive(Debug)]
pub(super) struct ErrorsLog {
    log: Arc<dyn RecordLog>,
    telemetry: Telemetry,
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Record>,
    bytes: usize,
}

impl ErrorsLog {
    pub(super) fn new(log: Arc<dyn RecordLog>, telemetry: Telemetry) -> Self {
        Self { log, telemetry, waiting: Mutex::default(), came: Notify::new() }
    }

    /// Leaves a report to be written.
    pub(super) fn push(&self, record: Record) {
        let bytes = record.key.len() + record.value.len();
        let has_room = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let has_room = waiting.bytes + bytes <= MAX_WAITING_BYTES;
            if has_room {
                waiting.records.push(record);
                waiting.bytes += bytes;
            }
            has_room
        };
        if has_room {
            self.came.notify_one();
        } else {
            self.lost("queue_full", 1);
        }
    }

    /// Writes reports as they come; at shutdown those that are left.
    pub(super) async fn write(&self, stop: CancellationToken) {
        loop {
            let is_last = stop.is_cancelled();
            self.write_waiting().await;
            if is_last {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.came.notified() => {}
            }
        }
    }

    /// Their senders have their answer whether this works or not, so a failure is reported and no more.
    async fn write_waiting(&self) {
        let Waiting { records, .. } =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let items = records.len();
        if items == 0 {
            return;
        }
        if let Err(error) = self.log.append(logs::ERRORS, records).await {
            let items = match &error {
                // The others were written.
                LogError::Rejected { refused, .. } => refused.0.len(),
                _ => items,
            };
            tracing::warn!(%error, items, "refused items could not be written to the errors log");
            self.lost("log", items as u64);
        }
    }

    fn lost(&self, reason: &str, reports: u64) {
        self.telemetry.count(Metric::RefusalReportsLost, &[("reason", reason)], reports);
    }
}

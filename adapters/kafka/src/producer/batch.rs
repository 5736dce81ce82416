use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gosight_application::ports::RefusedRecord;
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;

use super::in_flight_budget::Permit;
use super::severity;
use crate::error::{Class, classify};

/// Records that are acknowledged together. The caller may be gone; the permit is given back when the last of them is
/// settled, not before.
pub(super) struct Batch {
    unsettled: AtomicUsize,
    state: Mutex<State>,
    permit: Mutex<Option<Permit>>,
}

struct State {
    outcome: Outcome,
    done: Option<oneshot::Sender<Outcome>>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whether any record was appended.
    pub(super) appended: bool,
    /// Records that the broker does not take.
    pub(super) refused: Vec<RefusedRecord>,
    /// The worst that happened to others.
    pub(super) failure: Option<KafkaError>,
}

/// One record of a batch.
pub(crate) struct Ticket {
    pub(super) batch: Arc<Batch>,
    pub(super) index: usize,
}

impl Batch {
    /// A batch of `records`, and where its outcome arrives.
    pub(super) fn new(records: usize, permit: Permit) -> (Arc<Self>, oneshot::Receiver<Outcome>) {
        let (done, outcome) = oneshot::channel();
        let state = State { outcome: Outcome::default(), done: Some(done) };
        let batch = Self {
            unsettled: AtomicUsize::new(records),
            state: Mutex::new(state),
            permit: Mutex::new(Some(permit)),
        };
        (Arc::new(batch), outcome)
    }

    fn finish(&self) {
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = std::mem::take(&mut state.outcome);
        if let Some(done) = state.done.take() {
            // Whoever appended may have gone away meanwhile.
            let _ = done.send(outcome);
        }
    }
}

impl Ticket {
    /// Says what became of the record.
    pub(super) fn settle(&self, error: Option<KafkaError>) {
        self.note(error);
        if self.batch.unsettled.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.batch.finish();
        }
    }

    fn note(&self, error: Option<KafkaError>) {
        let mut state = self.batch.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            state.outcome.appended = true;
            return;
        };
        if classify(&error) == Class::BadRecord {
            let refused = RefusedRecord { index: self.index, reason: error.to_string() };
            state.outcome.refused.push(refused);
            return;
        }
        let worst = &mut state.outcome.failure;
        if worst.as_ref().is_none_or(|known| severity(known) < severity(&error)) {
            *worst = Some(error);
        }
    }
}

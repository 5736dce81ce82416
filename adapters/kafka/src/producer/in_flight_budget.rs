use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits the records that wait for their acknowledgement.
///
/// A batch takes its permit whole or not at all, and never waits for it: the ingest API answers that it is busy, and the
/// client tries again. A batch larger than the budget takes all of it.
pub(super) struct InFlightBudget {
    records: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    max_records: u32,
    max_kib: u32,
}

/// What a batch takes; given back when dropped.
pub(super) struct Permit {
    _records: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl InFlightBudget {
    pub(super) fn new(max_records: u32, max_bytes: u64) -> Self {
        let max_kib = kib(max_bytes);
        Self {
            records: Arc::new(Semaphore::new(max_records as usize)),
            kib: Arc::new(Semaphore::new(max_kib as usize)),
            max_records,
            max_kib,
        }
    }

    /// A permit for `records` of `bytes` together, if the budget has as much left.
    pub(super) fn take(&self, records: usize, bytes: u64) -> Option<Permit> {
        let records = u32::try_from(records).unwrap_or(u32::MAX).min(self.max_records);
        let kib = kib(bytes).min(self.max_kib);
        Some(Permit {
            _records: self.records.clone().try_acquire_many_owned(records).ok()?,
            _kib: self.kib.clone().try_acquire_many_owned(kib).ok()?,
        })
    }

    /// Records and bytes that are waiting.
    pub(super) fn taken(&self) -> (usize, u64) {
        let records = (self.max_records as usize).saturating_sub(self.records.available_permits());
        let kib = (self.max_kib as usize).saturating_sub(self.kib.available_permits());
        (records, kib as u64 * 1024)
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_given_whole_or_not_at_all() {
        let budget = InFlightBudget::new(10, 10 * 1024);
        let first = budget.take(6, 1024).unwrap();
        assert!(budget.take(5, 1024).is_none());
        assert!(budget.take(4, 10 * 1024).is_none());
        assert_eq!(budget.taken(), (6, 1024));
        drop(first);
        assert!(budget.take(10, 10 * 1024).is_some());
        assert_eq!(budget.taken(), (0, 0));
    }

    #[test]
    fn a_batch_larger_than_the_budget_takes_all_of_it() {
        let budget = InFlightBudget::new(10, 1024);
        let all = budget.take(1_000, u64::MAX).unwrap();
        assert!(budget.take(1, 1).is_none());
        drop(all);
        assert!(budget.take(1, 1).is_some());
    }
}

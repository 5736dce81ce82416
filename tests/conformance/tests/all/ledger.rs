//! Wrong ledgers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{CommitError, Fence, Ledger, LedgerError, LogPartition, PortError};
use gosight_conformance::ledger::cases;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::ledger::LedgerRow;
use gosight_memory::MemoryStore;

use crate::event_rows::{self, WrongRows};
use crate::fences::LastFences;
use crate::harness::wrong;

wrong! { cases(), fixture:
    1 the_last_offset_in_place_of_the_next_is_noticed(Fault::NextOffsetsAreTheLast):
        next_offsets_are_by_log_and_partition;
    1 next_offsets_of_every_log_are_noticed(Fault::NextOffsetsOfEveryLog):
        next_offsets_are_by_log_and_partition;
    2 an_append_without_a_fence_is_noticed(Fault::AppendIgnoresTheFence): an_older_fence_appends_nothing;
    2 an_append_that_looks_at_the_fence_before_it_writes_is_noticed(Fault::AppendLooksAtTheFenceTooEarly):
        what_was_begun_before_takes_no_effect_after;
    2 an_append_that_fails_silently_is_noticed(Fault::FencedOffIsOk): an_older_fence_appends_nothing;
    2 an_older_fence_that_is_fatal_is_noticed(Fault::FencedOffIsFatal): an_older_fence_appends_nothing;
    2 a_table_without_fences_is_noticed(Fault::EventsIgnoreTheFence):
        no_table_takes_a_write_behind_an_older_fence;
    2 fences_that_a_crash_forgets_are_noticed(Fault::FencesAreForgottenOnACrash):
        an_older_fence_appends_nothing;
    3 an_end_of_nothing_is_noticed(Fault::EndOfNothingIsZero): the_end_is_that_of_the_last_row;
    3 the_last_offset_in_place_of_the_end_is_noticed(Fault::EndIsTheLast): the_end_is_that_of_the_last_row;
    3 the_end_of_any_partition_is_noticed(Fault::EndIsThatOfTheLog): the_end_is_that_of_the_last_row;
    4 a_row_that_a_crash_takes_back_is_noticed(Fault::RowsAreLostOnACrash): a_row_survives_a_crash_whole;
    4 a_row_without_reasons_is_noticed(Fault::ReasonsAreLost): a_row_survives_a_crash_whole;
    4 a_row_of_one_project_is_noticed(Fault::OneEntryIsKept): a_row_survives_a_crash_whole;
    4 a_batch_without_records_that_has_no_row_is_noticed(Fault::EmptyBatchesHaveNoRow):
        a_batch_without_records_has_a_row;
    5 fences_of_whole_logs_are_noticed(Fault::PartitionsShareAFence):
        logs_and_partitions_have_rows_and_fences_of_their_own;
    5 rows_of_any_log_are_noticed(Fault::LogsShareRows):
        logs_and_partitions_have_rows_and_fences_of_their_own;
}

/// What is wrong with a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `max(last_offset)`.
    NextOffsetsAreTheLast,
    /// The condition of the log is missing.
    NextOffsetsOfEveryLog,
    /// The fence is a parameter that nobody uses.
    AppendIgnoresTheFence,
    /// Between the look and the write somebody else may acquire the partition.
    AppendLooksAtTheFenceTooEarly,
    /// An insert for which a condition does not hold inserts nothing, and succeeds.
    FencedOffIsOk,
    /// A condition that does not hold is taken for a mistake.
    FencedOffIsFatal,
    /// Only the ledger looks at fences.
    EventsIgnoreTheFence,
    /// Epochs are counted by the process.
    FencesAreForgottenOnACrash,
    /// `coalesce(max(last_offset) + 1, 0)`.
    EndOfNothingIsZero,
    /// `max(last_offset)`.
    EndIsTheLast,
    /// The condition of the partition is missing.
    EndIsThatOfTheLog,
    /// Rows are acknowledged before they are flushed.
    RowsAreLostOnACrash,
    /// Counts by reason have no columns.
    ReasonsAreLost,
    /// A row has one entry.
    OneEntryIsKept,
    /// A batch has a row for each of its entries.
    EmptyBatchesHaveNoRow,
    /// There is one writer for each log.
    PartitionsShareAFence,
    /// Rows are named by their partition.
    LogsShareRows,
}

/// A ledger with a fault.
#[derive(Debug)]
struct WrongLedger {
    right: Arc<MemoryStore>,
    fences: Arc<LastFences>,
    fault: Option<Fault>,
    has_crashed: AtomicBool,
    acquired: Mutex<Vec<LogPartition>>,
}

impl WrongLedger {
    /// All partitions that were ever acquired.
    fn acquired(&self) -> Vec<LogPartition> {
        self.acquired.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The greatest end of all partitions that are taken for `place`.
    async fn end_of_any(&self, is_taken: impl Fn(&LogPartition) -> bool) -> Result<Option<u64>, LedgerError> {
        let mut end = None;
        for place in self.acquired().into_iter().filter(is_taken) {
            let ends = Ledger::next_offsets(&*self.right, &place.log).await?;
            end = end.max(ends.get(&place.partition).copied());
        }
        Ok(end)
    }

    /// What is kept of a row.
    fn kept(&self, row: &LedgerRow) -> LedgerRow {
        let mut row = row.clone();
        match self.fault {
            Some(Fault::ReasonsAreLost) => row.entries.iter_mut().for_each(|entry| {
                entry.counts.filtered.clear();
                entry.counts.rejected.clear();
                entry.counts.dead_lettered.clear();
            }),
            Some(Fault::OneEntryIsKept) => row.entries.truncate(1),
            _ => {}
        }
        row
    }

    async fn append_unfenced(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        self.right.append(&self.fences.good(fence), row).await
    }
}

#[async_trait]
impl Ledger for WrongLedger {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, LedgerError> {
        let mut offsets = Ledger::next_offsets(&*self.right, log).await?;
        match self.fault {
            Some(Fault::NextOffsetsAreTheLast) => offsets.values_mut().for_each(|offset| *offset -= 1),
            Some(Fault::NextOffsetsOfEveryLog) => {
                for place in self.acquired() {
                    offsets.extend(Ledger::next_offsets(&*self.right, &place.log).await?);
                }
            }
            _ => {}
        }
        Ok(offsets)
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        if self.fault == Some(Fault::PartitionsShareAFence) {
            for other in self.acquired().iter().filter(|other| other.log == place.log) {
                self.fences.acquire(other).await?;
            }
        }
        self.acquired.lock().unwrap_or_else(PoisonError::into_inner).push(place.clone());
        self.fences.acquire(place).await
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        let end = Ledger::end(&*self.right, fence).await?;
        match self.fault {
            Some(Fault::EndOfNothingIsZero) => Ok(end.or(Some(0))),
            Some(Fault::EndIsTheLast) => Ok(end.map(|end| end - 1)),
            Some(Fault::EndIsThatOfTheLog) => self.end_of_any(|place| place.log == *fence.log()).await,
            Some(Fault::LogsShareRows) => self.end_of_any(|place| place.partition == fence.partition()).await,
            _ => Ok(end),
        }
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        match self.fault {
            Some(Fault::AppendIgnoresTheFence) => self.append_unfenced(fence, row).await,
            Some(Fault::AppendLooksAtTheFenceTooEarly)
                if self.fences.good(fence).epoch() == fence.epoch() =>
            {
                tokio::task::yield_now().await;
                self.append_unfenced(fence, row).await
            }
            Some(Fault::FencesAreForgottenOnACrash) if self.has_crashed.load(Ordering::SeqCst) => {
                self.append_unfenced(fence, row).await
            }
            Some(Fault::FencedOffIsOk) => self.right.append(fence, row).await.or(Ok(())),
            Some(Fault::FencedOffIsFatal) => {
                let appended = self.right.append(fence, row).await;
                appended.map_err(|error| PortError::fatal("wrong", error))
            }
            Some(Fault::EmptyBatchesHaveNoRow) if row.entries.is_empty() => Ok(()),
            _ => self.right.append(fence, &self.kept(row)).await,
        }
    }
}

fn fixture(fault: Option<Fault>) -> StepsFixture {
    let right = Arc::new(MemoryStore::default());
    let fences = LastFences::of(&right);
    let unfenced = event_rows::Fault::InsertIgnoresTheFence;
    let events = WrongRows {
        right: right.clone(),
        fences: fences.clone(),
        fault: (fault == Some(Fault::EventsIgnoreTheFence)).then_some(unfenced),
    };
    let ledger = Arc::new(WrongLedger {
        right: right.clone(),
        fences,
        fault,
        has_crashed: AtomicBool::default(),
        acquired: Mutex::default(),
    });
    StepsFixture {
        ledger: ledger.clone(),
        events: Arc::new(events),
        reopen: Box::new(move |before| {
            Box::pin(async move {
                ledger.has_crashed.store(true, Ordering::SeqCst);
                if fault == Some(Fault::RowsAreLostOnACrash) { Box::new(fixture(None)) } else { before }
            })
        }),
        ..StepsFixture::over(&right, right.dead_letters(), Box::new(()))
    }
}

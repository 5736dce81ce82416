//! Wrong stores of batches, which commit them as one.

mod parts;
pub mod refusing;
pub mod stepped;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, BatchStore, CommitError, Committed, Ledger, LogPartition, Nothing, PortError,
    ProcessedBatch,
};
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::steps::StepsFixture;
use gosight_conformance::{Case, batch_store, interrupted_batches};
use gosight_domain::ledger::{BatchSpan, LedgerRow};
use gosight_memory::MemoryStore;

use crate::harness::wrong;
use parts::{Part, Uncounted};

wrong! { cases(), fixture:
    1 a_store_without_events_is_noticed(Fault::Loses(Part::Events)): a_batch_becomes_visible_whole;
    1 a_store_without_sessions_is_noticed(Fault::Loses(Part::Sessions)): a_batch_becomes_visible_whole;
    1 a_store_without_aggregates_is_noticed(Fault::Loses(Part::Aggregates)): a_batch_becomes_visible_whole;
    1 a_store_without_a_rollup_is_noticed(Fault::Loses(Part::Rollup)): a_batch_becomes_visible_whole;
    1 a_store_without_chunks_is_noticed(Fault::Loses(Part::Chunks)):
        chunks_and_dead_letters_come_with_the_batch;
    1 a_store_without_dead_letters_is_noticed(Fault::Loses(Part::DeadLetters)):
        chunks_and_dead_letters_come_with_the_batch;
    1 a_ledger_without_counts_is_noticed(Fault::Loses(Part::Counts)): every_outcome_is_in_the_ledger;
    1 a_batch_that_a_crash_takes_back_is_noticed(Fault::LosesTheLastOnACrash): a_batch_survives_a_crash_whole;
    2 a_batch_that_is_new_twice_is_noticed(Fault::IsAlwaysNew): the_same_batch_again_changes_nothing;
    2 aggregates_before_the_look_at_the_ledger_are_noticed(Fault::AggregatesBeforeItLooks):
        the_same_batch_again_changes_nothing;
    2 a_ledger_that_knows_spans_only_as_they_were_is_noticed(Fault::KnowsSpansAsTheyWere):
        what_the_ledger_covers_is_done_however_it_is_cut;
    3 a_gap_that_is_passed_over_is_noticed(Fault::PassesOverGaps): a_span_that_does_not_join_is_refused;
    3 an_overlap_that_is_cut_off_is_noticed(Fault::CutsOverlaps): a_span_that_does_not_join_is_refused;
    3 an_overlap_that_was_before_is_noticed(Fault::OverlapsWereBefore): a_span_that_does_not_join_is_refused;
    3 a_span_that_is_tried_for_ever_is_noticed(Fault::NotJoinedIsTransient):
        a_span_that_does_not_join_is_refused;
    3 a_ledger_that_has_to_begin_at_zero_is_noticed(Fault::BeginsAtZero): the_first_span_may_start_anywhere;
    6 a_ledger_row_that_is_written_first_is_noticed(Fault::WritesTheLedgerFirst):
        a_commit_that_is_given_up_anywhere_can_be_done_again
        a_crash_anywhere_leaves_what_can_be_committed_in_other_batches;
    7 insights_of_a_batch_alone_are_noticed(Fault::LooksAtTheBatchAlone): insights_are_found_again_and_replaced;
}

/// What is wrong with a store of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A part of the batch is forgotten.
    Loses(Part),
    /// Batches are acknowledged before they are flushed.
    LosesTheLastOnACrash,
    /// What was there before is not distinguished from what is there now.
    IsAlwaysNew,
    /// Counters are increased first, outside of the transaction.
    AggregatesBeforeItLooks,
    /// The row of the very span is looked for.
    KnowsSpansAsTheyWere,
    /// The ledger goes on wherever a batch begins.
    PassesOverGaps,
    /// What is covered already is left out.
    CutsOverlaps,
    /// A batch is known by its first offset.
    OverlapsWereBefore,
    /// A conflict is taken for one that passes.
    NotJoinedIsTransient,
    /// A log is taken to begin at 0.
    BeginsAtZero,
    /// The batch counts before it is there.
    WritesTheLedgerFirst,
    /// Insights are found in the fold of the batch, not in the merged session.
    LooksAtTheBatchAlone,
}

/// A store with a fault.
#[derive(Debug)]
struct WrongBatches {
    right: Arc<MemoryStore>,
    fault: Option<Fault>,
    /// Every batch that was committed, in order.
    committed: Mutex<Vec<ProcessedBatch>>,
}

impl WrongBatches {
    fn committed(&self) -> Vec<ProcessedBatch> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn end(&self, span: &BatchSpan) -> Result<Option<u64>, CommitError> {
        let ends = BatchStore::next_offsets(&*self.right, &span.log).await.map_err(PortError::widen)?;
        Ok(ends.get(&span.partition).copied())
    }

    async fn commit_right(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let done = self.right.commit(batch).await?;
        if done == Committed::Now {
            self.committed.lock().unwrap_or_else(PoisonError::into_inner).push(batch.clone());
        }
        Ok(done)
    }

    async fn commit_and_aggregate(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let done = self.commit_right(batch).await?;
        if done == Committed::Before {
            let fence = self.right.acquire(&LogPartition::of(&batch.ledger.span)).await.expect("acquired");
            AggregateStore::put(&*self.right, &fence, &batch.ledger.span, &batch.aggregates).await?;
        }
        Ok(done)
    }

    async fn commit_if_known(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        let is_known = self.committed().iter().any(|known| known.ledger.span == *span);
        match self.commit_right(batch).await? {
            Committed::Before if !is_known => Err(CommitError::fatal("wrong", format!("{span} has no row"))),
            done => Ok(done),
        }
    }

    /// Commits the batch with a fault in how its span is joined with a ledger that ends at `end`.
    async fn join(&self, fault: Fault, batch: &ProcessedBatch, end: u64) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        let overlaps = span.first < end && span.next() > end;
        match fault {
            Fault::PassesOverGaps if span.first > end => {
                let gap = BatchSpan { first: end, last: span.first - 1, ..span.clone() };
                self.commit_right(&ProcessedBatch::empty(LedgerRow::new(gap))).await?;
                self.commit_right(batch).await
            }
            Fault::CutsOverlaps if overlaps => {
                let mut rest = batch.clone();
                rest.ledger.span.first = end;
                rest.events.retain(|stored| stored.offset >= end);
                self.commit_right(&rest).await
            }
            Fault::OverlapsWereBefore if overlaps => Ok(Committed::Before),
            Fault::NotJoinedIsTransient => self.commit_right(batch).await.map_err(|error| match error {
                PortError::Fatal { adapter, source } => CommitError::transient(adapter, source),
                error => error,
            }),
            _ => self.commit_right(batch).await,
        }
    }

    /// Writes the row of the ledger and then the rest of the batch.
    async fn commit_backwards(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let done = self.commit_right(&ProcessedBatch::empty(batch.ledger.clone())).await?;
        tokio::task::yield_now().await;
        if done == Committed::Now {
            parts::store_rest(&self.right, batch).await?;
        }
        Ok(done)
    }

    /// Commits the batch, and shows in its sessions what the batch alone shows.
    async fn commit_with_insights_of_the_batch(
        &self,
        batch: &ProcessedBatch,
    ) -> Result<Committed, CommitError> {
        let done = self.commit_right(batch).await?;
        if done == Committed::Now {
            parts::replace_insights(&self.right, batch).await?;
        }
        Ok(done)
    }
}

#[async_trait]
impl BatchStore for WrongBatches {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        BatchStore::next_offsets(&*self.right, log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        match (self.fault, self.end(span).await?) {
            (Some(Fault::Loses(part)), _) => self.commit_right(&part.taken_from(batch)).await,
            (Some(Fault::IsAlwaysNew), _) => self.commit_right(batch).await.map(|_| Committed::Now),
            (Some(Fault::AggregatesBeforeItLooks), _) => self.commit_and_aggregate(batch).await,
            (Some(Fault::KnowsSpansAsTheyWere), _) => self.commit_if_known(batch).await,
            (Some(Fault::BeginsAtZero), None) if span.first > 0 => {
                Err(CommitError::fatal("wrong", format!("{span} leaves a gap")))
            }
            (Some(Fault::WritesTheLedgerFirst), _) => self.commit_backwards(batch).await,
            (Some(Fault::LooksAtTheBatchAlone), _) => self.commit_with_insights_of_the_batch(batch).await,
            (Some(fault), Some(end)) => self.join(fault, batch, end).await,
            _ => self.commit_right(batch).await,
        }
    }
}

/// Cases of both suites of a store.
fn cases() -> Vec<Case<StoreFixture>> {
    [batch_store::cases(), interrupted_batches::cases()].into_iter().flatten().collect()
}

fn fixture(fault: Option<Fault>) -> StoreFixture {
    over(Arc::default(), fault)
}

fn over(right: Arc<MemoryStore>, fault: Option<Fault>) -> StoreFixture {
    let batches = Arc::new(WrongBatches { right: right.clone(), fault, committed: Mutex::default() });
    let steps = StepsFixture::over(&right, right.dead_letters(), Box::new(()));
    let fixture = steps.into_store(batches.clone(), right.deduplicator());
    StoreFixture {
        query: match fault {
            Some(Fault::Loses(Part::Rollup)) => Arc::new(Uncounted(right)),
            _ => fixture.query,
        },
        reopen: Box::new(move |before| {
            Box::pin(async move {
                if fault == Some(Fault::LosesTheLastOnACrash) {
                    Box::new(parts::flushed(&batches.committed()).await)
                } else {
                    before
                }
            })
        }),
        ..fixture
    }
}

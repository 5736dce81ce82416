//! Stores of batches that are committed in steps, over a wrong port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::ports::{
    AggregateStore, AggregateStoreError, CommitError, Fence, PortError, WindowQuery,
};
use gosight_conformance::batch_store::StoreFixture;
use gosight_conformance::steps::StepsFixture;
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};
use gosight_memory::MemoryStore;

use super::cases;
use crate::event_rows::{self, WrongRows};
use crate::fences::LastFences;
use crate::harness::{failed, wrong};
use crate::session_store::{self, WrongSessions};

wrong! { cases(), fixture:
    5 a_failed_attempt_that_counts_is_noticed(Fault::AFailedAttemptCounts): a_batch_becomes_visible_whole;
    5 an_attempt_that_was_given_up_and_counts_is_noticed(Fault::NothingIsTakenBack):
        a_commit_that_is_given_up_once_counts_once;
    6 rows_of_an_unfinished_batch_that_nobody_looks_for_are_noticed(Fault::NobodyLooksForRows):
        a_commit_that_is_given_up_anywhere_can_be_done_again
        a_crash_anywhere_leaves_what_can_be_committed_in_other_batches;
    7 old_insights_that_stay_are_noticed(Fault::OldInsightsStay): insights_are_found_again_and_replaced;
}

/// What is wrong with a port below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The answer of the first attempt is lost, and what it added is added again.
    AFailedAttemptCounts,
    /// What an attempt added is added again.
    NothingIsTakenBack,
    /// A new process takes nothing for left over.
    NobodyLooksForRows,
    /// Insights are only added.
    OldInsightsStay,
}

/// Aggregates as over a network: whoever puts can be stopped before and after.
#[derive(Debug)]
struct WrongAggregates {
    right: Arc<MemoryStore>,
    /// Whether what is to be forgotten stays.
    keeps: bool,
    /// Whether the next answer is lost.
    loses_an_answer: AtomicBool,
}

#[async_trait]
impl AggregateStore for WrongAggregates {
    async fn acquired(&self, fence: &Fence) -> Result<(), PortError> {
        AggregateStore::acquired(&*self.right, fence).await
    }

    async fn put(
        &self,
        fence: &Fence,
        span: &BatchSpan,
        values: &BTreeMap<AggregateKey, AggregateValue>,
    ) -> Result<(), CommitError> {
        tokio::task::yield_now().await;
        // Which partition and offset it is decides what is replaced: a store that adds has another for each attempt.
        let attempt = BatchSpan {
            first: span.first + if self.keeps { fence.epoch() << 32 } else { 0 },
            ..span.clone()
        };
        AggregateStore::put(&*self.right, fence, &attempt, values).await?;
        tokio::task::yield_now().await;
        if self.loses_an_answer.swap(false, Ordering::SeqCst) {
            return Err(CommitError::unknown("wrong", "no answer"));
        }
        Ok(())
    }

    async fn forget(&self, fence: &Fence, from: u64) -> Result<(), AggregateStoreError> {
        if self.keeps { Ok(()) } else { self.right.forget(fence, from).await }
    }

    async fn windows(
        &self,
        project_id: &ProjectId,
        query: &WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, AggregateStoreError> {
        self.right.windows(project_id, query).await
    }
}

fn fixture(fault: Option<Fault>) -> StoreFixture {
    over(Arc::default(), fault, fault == Some(Fault::AFailedAttemptCounts))
}

/// Batches are committed to the ports of `right`, of which one may have a fault.
fn over(right: Arc<MemoryStore>, fault: Option<Fault>, loses_an_answer: bool) -> StoreFixture {
    let fences = LastFences::of(&right);
    let rows = (fault == Some(Fault::NobodyLooksForRows)).then_some(event_rows::Fault::EndIsNeverTold);
    let sessions =
        (fault == Some(Fault::OldInsightsStay)).then_some(session_store::Fault::PutLeavesOldInsights);
    let aggregates = WrongAggregates {
        right: right.clone(),
        keeps: matches!(fault, Some(Fault::AFailedAttemptCounts | Fault::NothingIsTakenBack)),
        loses_an_answer: loses_an_answer.into(),
    };
    let steps = StepsFixture {
        ledger: fences.clone(),
        events: Arc::new(WrongRows { right: right.clone(), fences: fences.clone(), fault: rows }),
        sessions: WrongSessions::over(&right, &fences, sessions),
        aggregates: Arc::new(aggregates),
        ..StepsFixture::over(&right, right.dead_letters(), Box::new(()))
    };
    let batches = steps.stepped();
    let fixture = steps.into_store(batches, right.deduplicator());
    StoreFixture {
        reopen: Box::new(move |_| Box::pin(async move { Box::new(over(right, fault, false)) })),
        ..fixture
    }
}

/// The lost answer is not the fault: who takes back what the attempt added is right.
#[tokio::test]
async fn a_failed_attempt_that_is_taken_back_is_right() {
    let failed = failed(cases(), || over(Arc::default(), None, true)).await;
    // It does not try again.
    assert_eq!(failed, ["many_partitions_at_once_lose_nothing"]);
}

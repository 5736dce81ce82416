//! Suite of `BatchStore`: commits that are given up in the middle, by those who wait for them or by the whole process.

use std::future::poll_fn;
use std::pin::pin;

use gosight_application::ports::{Committed, ProcessedBatch};
use gosight_domain::ledger::{LedgerRow, Outcome};

use crate::batch_store::{StoreFixture, with_chunk_and_letter};
use crate::factory::{LOG, NOON, batch, click, event, shared, span};
use crate::given_up::{STEPS, in_part};
use crate::suite;

suite! { $ interrupted_batches_suite, interrupted_batches(StoreFixture):
    a_commit_that_is_given_up_anywhere_can_be_done_again
    a_commit_that_is_given_up_once_counts_once
    a_crash_anywhere_leaves_what_can_be_committed_in_other_batches
    what_is_left_of_a_batch_is_removed_wherever_that_is_given_up
}

impl StoreFixture {
    /// Commits `batch`, and gives up when it has waited for something `steps` times. Tells whether it came to its end.
    async fn commit_in_part(&self, batch: &ProcessedBatch, steps: usize) -> bool {
        match in_part(self.store.commit(batch), steps).await {
            // An attempt that was given up may have come to its end behind the scenes.
            Some(Ok(Committed::Now | Committed::Before)) => true,
            Some(Err(error)) => {
                assert!(error.is_transient(), "{error}");
                false
            }
            None => false,
        }
    }
}

pub async fn a_commit_that_is_given_up_anywhere_can_be_done_again(fixture: StoreFixture) {
    let first = [event(1, "page_view", 0), click(2, 10)];
    fixture.commit(&batch(0, &first)).await;
    let second = [click(3, 20), event(4, "purchase", 30)];
    let whole = with_chunk_and_letter(batch(2, &second), 4);
    let all = [first, second].concat();
    // The later attempts find what the earlier ones have left.
    for steps in 0..STEPS {
        if fixture.commit_in_part(&whole, steps).await {
            break;
        }
    }
    fixture.commit_again(&whole).await;
    fixture.assert_has(&all, 6).await;
    let third = [click(5, 40)];
    fixture.commit(&batch(6, &third)).await;
    fixture.assert_stored(&[all, third.to_vec()].concat(), 7).await;
}

pub async fn a_commit_that_is_given_up_once_counts_once(fixture: StoreFixture) {
    let mut all = Vec::new();
    // Each batch is given up one step later than the one before it, and finds nothing left of that one.
    for steps in 0..STEPS {
        all.push(event(steps as u128, "page_view", 1_000 * i64::try_from(steps).expect("small")));
        let whole = batch(steps as u64, &all[steps..]);
        let is_done = fixture.commit_in_part(&whole, steps).await;
        fixture.commit_again(&whole).await;
        if is_done {
            break;
        }
    }
    fixture.assert_stored(&all, all.len() as u64).await;
}

pub async fn a_crash_anywhere_leaves_what_can_be_committed_in_other_batches(mut fixture: StoreFixture) {
    let first = [event(1, "page_view", 0), click(2, 10)];
    fixture.commit(&batch(0, &first)).await;
    let second = [click(3, 20), event(4, "purchase", 30)];
    let whole = with_chunk_and_letter(batch(2, &second), 4);
    let all = [first, second.clone()].concat();
    let mut was_committed = false;
    for steps in [0, 1, 2, 3, 5, 8, 13] {
        was_committed = fixture.commit_in_part(&whole, steps).await;
        fixture = fixture.crashed().await;
        if was_committed {
            break;
        }
    }
    let next = fixture.store.next_offsets(LOG).await.expect("read")[&0];
    assert!(next == 6 || (!was_committed && next == 2), "{next}");
    if next == 2 {
        fixture.commit(&batch(2, &second[..1])).await;
        fixture.commit(&with_chunk_and_letter(batch(3, &second[1..]), 4)).await;
    }
    fixture.assert_has(&all, 6).await;
}

/// The batch of the record of `offset`, of which nothing is stored.
fn nothing_of(offset: u64) -> ProcessedBatch {
    let mut row = LedgerRow::new(span(offset, 1));
    row.record(None, NOON.hour(), &Outcome::Rejected(shared("unacknowledged")));
    ProcessedBatch::empty(row)
}

impl StoreFixture {
    /// Commits `batch`; gives how often that waits for something.
    async fn steps_of(&self, batch: &ProcessedBatch) -> usize {
        let (mut commit, mut steps) = (pin!(self.commit_again(batch)), 0);
        let committed = poll_fn(|context| {
            steps += 1;
            commit.as_mut().poll(context)
        });
        assert_eq!(committed.await, Committed::Now);
        steps
    }
}

pub async fn what_is_left_of_a_batch_is_removed_wherever_that_is_given_up(fixture: StoreFixture) {
    let mut all = vec![event(0, "page_view", 0)];
    let step = (fixture.steps_of(&batch(0, &all)).await / 4).max(1);
    let mut offset = 1;
    for (stored, removed) in (0..5).flat_map(|stored| (0..5).map(move |removed| (stored, removed))) {
        let next = event(all.len() as u128, "page_view", 1_000 * i64::try_from(all.len()).expect("small"));
        // A record that is not processed again as it was: its filter changed, or its sender never got an answer.
        let is_done =
            fixture.commit_in_part(&batch(offset, std::slice::from_ref(&next)), stored * step).await;
        fixture.commit_in_part(&nothing_of(offset), removed * step).await;
        let is_removed = fixture.commit_again(&nothing_of(offset)).await == Committed::Now;
        assert!(!(is_done && is_removed), "what counts is not removed");
        offset += 1;
        // The same event may come with a later record, which is known as a duplicate only where it is stored.
        if fixture.has(&next).await {
            fixture.commit(&nothing_of(offset)).await;
        } else {
            fixture.commit(&batch(offset, std::slice::from_ref(&next))).await;
        }
        offset += 1;
        all.push(next);
        fixture.assert_stored(&all, offset).await;
    }
}

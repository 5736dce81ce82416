//! Suite of `Deduplicator`.

use std::sync::Arc;

use gosight_application::ports::{BatchStore, Claim, ClaimVerdict, Deduplicator, LogPosition};
use gosight_domain::Event;

use crate::{
    Keep, OpenAgain,
    factory::{LOG, NOON, batch, click, event_id, project, shared},
    suite,
};

suite! { $ deduplicator_suite, deduplicator(DeduplicatorFixture):
    the_first_to_claim_is_granted
    claims_of_one_call_count_in_order
    a_redelivered_record_is_not_its_own_duplicate
    projects_do_not_see_each_other
    many_claimants_are_one_winner
    what_is_stored_is_a_duplicate_for_every_other_record_also_after_a_crash
    what_is_released_can_be_claimed_by_another
}

/// A deduplicator.
pub struct DeduplicatorFixture {
    /// The port.
    pub deduplicator: Arc<dyn Deduplicator>,
    /// Stores what the deduplicator has to know.
    pub store: Arc<dyn BatchStore>,
    /// Gives the deduplicator as a new process has it after a crash.
    pub open_again: OpenAgain<Arc<dyn Deduplicator>>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

const NEW: ClaimVerdict = ClaimVerdict::Granted;
const DUPLICATE: ClaimVerdict = ClaimVerdict::Duplicate;

fn claim(event: u128, partition: u32, offset: u64) -> Claim {
    Claim {
        project_id: project("p"),
        event_id: event_id(event),
        session_id: None,
        timestamp: NOON,
        position: LogPosition { log: shared(LOG), partition, offset },
    }
}

async fn verdicts(fixture: &DeduplicatorFixture, claims: &[Claim]) -> Vec<ClaimVerdict> {
    fixture.deduplicator.claim(claims).await.expect("verdicts")
}

pub async fn the_first_to_claim_is_granted(fixture: DeduplicatorFixture) {
    assert_eq!(verdicts(&fixture, &[claim(1, 0, 0), claim(2, 0, 1)]).await, [NEW, NEW]);
    assert_eq!(verdicts(&fixture, &[claim(1, 1, 0), claim(3, 1, 1)]).await, [DUPLICATE, NEW]);
    assert_eq!(verdicts(&fixture, &[]).await, []);
}

pub async fn claims_of_one_call_count_in_order(fixture: DeduplicatorFixture) {
    let claims = [claim(1, 0, 0), claim(1, 0, 1), claim(1, 0, 2)];
    assert_eq!(verdicts(&fixture, &claims).await, [NEW, DUPLICATE, DUPLICATE]);
}

pub async fn a_redelivered_record_is_not_its_own_duplicate(fixture: DeduplicatorFixture) {
    let claims = [claim(1, 0, 0), claim(1, 0, 1), claim(2, 0, 2)];
    let first = verdicts(&fixture, &claims).await;
    assert_eq!(verdicts(&fixture, &claims).await, first);
    assert_eq!(verdicts(&fixture, &claims[1..]).await, first[1..]);
    // The same place in another partition or log is another record's.
    let elsewhere = LogPosition { log: shared("another.log"), ..claim(1, 0, 0).position };
    let others = [claim(1, 1, 0), Claim { position: elsewhere, ..claim(1, 0, 0) }];
    assert_eq!(verdicts(&fixture, &others).await, [DUPLICATE, DUPLICATE]);
}

pub async fn projects_do_not_see_each_other(fixture: DeduplicatorFixture) {
    let of_q = |event, offset| Claim { project_id: project("q"), ..claim(event, 1, offset) };
    assert_eq!(verdicts(&fixture, &[claim(1, 0, 0), of_q(1, 0)]).await, [NEW, NEW]);
    // Nor what is stored.
    assert_eq!(verdicts(&fixture, &[claim(2, 0, 1)]).await, [NEW]);
    let batch = batch(0, &[1, 2].map(|n| Event { session_id: None, ..click(n, 0) }));
    fixture.store.commit(&batch).await.expect("committed");
    fixture.deduplicator.committed(&batch.ledger.span);
    assert_eq!(verdicts(&fixture, &[of_q(2, 1), claim(2, 0, 1)]).await, [NEW, NEW]);
}

pub async fn many_claimants_are_one_winner(fixture: DeduplicatorFixture) {
    let deduplicator = fixture.deduplicator.clone();
    let claimants = (0..16).map(|partition| {
        let deduplicator = deduplicator.clone();
        tokio::spawn(async move { deduplicator.claim(&[claim(1, partition, 0)]).await.expect("a verdict") })
    });
    let mut granted = 0;
    for claimant in claimants.collect::<Vec<_>>() {
        granted += usize::from(claimant.await.expect("joined") == [NEW]);
    }
    assert_eq!(granted, 1);
}

pub async fn what_is_stored_is_a_duplicate_for_every_other_record_also_after_a_crash(
    fixture: DeduplicatorFixture,
) {
    let events = [click(1, 0), Event { session_id: None, ..click(2, 0) }];
    let of = |event: usize, partition: u32, offset: u64| Claim {
        session_id: events[event].session_id.clone(),
        ..claim(event as u128 + 1, partition, offset)
    };
    assert_eq!(verdicts(&fixture, &[of(0, 0, 0), of(1, 0, 1)]).await, [NEW, NEW]);
    let batch = batch(0, &events);
    fixture.store.commit(&batch).await.expect("committed");
    fixture.deduplicator.committed(&batch.ledger.span);
    let again = [of(0, 0, 0), of(0, 1, 5), of(1, 0, 2), of(1, 0, 1)];
    assert_eq!(verdicts(&fixture, &again).await, [NEW, DUPLICATE, DUPLICATE, NEW]);
    let (deduplicator, _keep) = (fixture.open_again)().await;
    assert_eq!(deduplicator.claim(&again).await.expect("verdicts"), [NEW, DUPLICATE, DUPLICATE, NEW]);
    let others = [of(1, 1, 6), of(0, 0, 7), claim(3, 0, 8)];
    assert_eq!(deduplicator.claim(&others).await.expect("verdicts"), [DUPLICATE, DUPLICATE, NEW]);
}

pub async fn what_is_released_can_be_claimed_by_another(fixture: DeduplicatorFixture) {
    assert_eq!(verdicts(&fixture, &[claim(1, 0, 0), claim(2, 0, 1)]).await, [NEW, NEW]);
    // One of them is not its own, and one was never claimed.
    let released = [claim(1, 0, 0), claim(2, 1, 7), claim(3, 0, 2)];
    fixture.deduplicator.release(&released).await.expect("released");
    fixture.deduplicator.release(&[]).await.expect("released");
    assert_eq!(
        verdicts(&fixture, &[claim(1, 1, 5), claim(2, 1, 6), claim(3, 1, 7)]).await,
        [NEW, DUPLICATE, NEW]
    );
    assert_eq!(verdicts(&fixture, &[claim(1, 0, 0)]).await, [DUPLICATE]);
}

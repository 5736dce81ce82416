//! Suite of `StoredEvents`.

use gosight_application::ports::{Claim, LogPosition};
use gosight_domain::Event;

use crate::factory::{LOG, NOON, click, event_id, project, session_id, shared, span};
use crate::given_up::{STEPS, in_part};
use crate::steps::StepsFixture;
use crate::suite;

suite! { $ stored_events_suite, stored_events(StepsFixture):
    a_stored_event_has_the_position_of_its_record
    projects_do_not_see_each_other
    many_claims_at_once_are_answered_in_order
    an_event_whose_removal_is_given_up_is_known_as_long_as_it_has_a_row
}

fn claim(event: u128, session: Option<&str>) -> Claim {
    Claim {
        project_id: project("p"),
        event_id: event_id(event),
        session_id: session.map(session_id),
        timestamp: NOON,
        position: LogPosition { log: shared(LOG), partition: 9, offset: 99 },
    }
}

fn position(partition: u32, offset: u64) -> LogPosition {
    LogPosition { log: shared(LOG), partition, offset }
}

async fn positions(fixture: &StepsFixture, claims: &[Claim]) -> Vec<Option<LogPosition>> {
    fixture.stored.positions(claims).await.expect("read")
}

pub async fn a_stored_event_has_the_position_of_its_record(fixture: StepsFixture) {
    let alone = Event { session_id: None, ..click(3, 0) };
    fixture.insert(&fixture.fence().await, 40, &[click(1, 0), alone]).await;
    fixture.insert(&fixture.fence_of(LOG, 2).await, 7, &[click(2, 0)]).await;
    assert_eq!(positions(&fixture, &[]).await, []);
    let claims =
        [claim(1, Some("s")), claim(2, Some("s")), claim(3, None), claim(4, Some("s")), claim(4, None)];
    let found = positions(&fixture, &claims).await;
    assert_eq!(found, [Some(position(0, 40)), Some(position(2, 7)), Some(position(0, 41)), None, None]);
    let fixture = fixture.crashed().await;
    assert_eq!(positions(&fixture, &claims).await, found);
}

pub async fn projects_do_not_see_each_other(fixture: StepsFixture) {
    fixture.insert(&fixture.fence().await, 0, &[click(1, 0)]).await;
    let theirs = Claim { project_id: project("q"), ..claim(1, Some("s")) };
    assert_eq!(positions(&fixture, &[theirs]).await, [None]);
}

pub async fn many_claims_at_once_are_answered_in_order(fixture: StepsFixture) {
    const EVERY: u64 = 1_500;
    let events: Vec<Event> = (0..EVERY)
        .map(|n| Event { session_id: Some(session_id(&format!("s{}", n % 300))), ..click(u128::from(n), 0) })
        .collect();
    fixture.insert(&fixture.fence().await, 0, &events).await;
    let claims: Vec<Claim> = (0..EVERY)
        .map(|n| claim(u128::from(n + EVERY / 2), Some(&format!("s{}", (n + EVERY / 2) % 300))))
        .collect();
    let wanted: Vec<_> =
        (EVERY / 2..EVERY + EVERY / 2).map(|n| (n < EVERY).then(|| position(0, n))).collect();
    assert_eq!(positions(&fixture, &claims).await, wanted);
}

pub async fn an_event_whose_removal_is_given_up_is_known_as_long_as_it_has_a_row(fixture: StepsFixture) {
    for (steps, offset) in (0..STEPS).zip(0..) {
        let event = u128::from(offset);
        let fence = fixture.fence().await;
        fixture.insert(&fence, offset, &[click(event, 0)]).await;
        let removed = in_part(fixture.events.remove(&fence, &[offset]), steps).await;
        // As whoever goes on with the partition.
        let fence = fixture.fence().await;
        fixture.events.acquired(&fence).await.expect("acquired");
        let rows = fixture.events.rows(&fence, &span(offset, 1)).await.expect("read");
        let known = positions(&fixture, &[claim(event, Some("s"))]).await;
        assert_eq!(known, [(!rows.is_empty()).then(|| position(0, offset))], "{steps} steps");
        if let Some(removed) = removed {
            removed.expect("removed");
            assert_eq!(rows, []);
            return;
        }
    }
}

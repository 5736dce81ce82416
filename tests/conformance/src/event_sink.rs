//! Suite of `EventSink`.

use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{EventSink, PortError, RefusedEvents};
use gosight_domain::Event;

use crate::{
    Keep,
    factory::{click, event, session_id},
    suite,
};

suite! { $ event_sink_suite, event_sink(SinkFixture):
    events_survive_a_crash_as_they_were
    a_refused_event_is_named_and_the_others_are_accepted
    no_events_are_a_success
    appending_again_changes_nothing
    the_events_of_a_session_keep_their_order
    projects_may_use_the_same_ids
}

/// What a reader of the product finds behind a sink.
#[async_trait]
pub trait ReadBack: Send + Sync {
    /// Every event that was counted, as often as it was, each session's in the order that it was taken in.
    async fn events(&self) -> Vec<Event>;
}

/// A sink, and what is behind it.
pub struct SinkFixture {
    /// The sink.
    pub sink: Arc<dyn EventSink>,
    /// What a reader finds, after a crash: nothing of it may be in the memory of the sink.
    pub read_back: Box<dyn ReadBack>,
    /// Makes an event that the sink refuses of one that it would take.
    pub refused: fn(Event) -> Event,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| (event.project_id.clone(), event.event_id));
    events
}

pub async fn events_survive_a_crash_as_they_were(fixture: SinkFixture) {
    let events = vec![event(1, "page_view", 0), click(2, 10)];
    fixture.sink.append(&events).await.expect("appended");
    assert_eq!(sorted(fixture.read_back.events().await), events);
}

pub async fn a_refused_event_is_named_and_the_others_are_accepted(fixture: SinkFixture) {
    let bad = [(fixture.refused)(click(2, 10)), (fixture.refused)(click(4, 30))];
    let events = [event(1, "page_view", 0), bad[0].clone(), click(3, 20), bad[1].clone()];
    match fixture.sink.append(&events).await {
        Err(PortError::Rejected { refused: RefusedEvents(refused), .. }) => {
            let named: Vec<_> = refused.iter().map(|refused| (refused.index, refused.event_id)).collect();
            assert_eq!(named, [(1, bad[0].event_id), (3, bad[1].event_id)]);
            assert!(refused.iter().all(|refused| !refused.reason.is_empty()), "{refused:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(sorted(fixture.read_back.events().await), [events[0].clone(), events[2].clone()]);
}

pub async fn no_events_are_a_success(fixture: SinkFixture) {
    fixture.sink.append(&[]).await.expect("nothing to do");
    assert_eq!(fixture.read_back.events().await, []);
}

pub async fn appending_again_changes_nothing(fixture: SinkFixture) {
    let events = vec![event(1, "page_view", 0), click(2, 10)];
    for _ in 0..3 {
        fixture.sink.append(&events).await.expect("appended");
    }
    fixture.sink.append(&events[..1]).await.expect("appended");
    assert_eq!(sorted(fixture.read_back.events().await), events);
}

pub async fn the_events_of_a_session_keep_their_order(fixture: SinkFixture) {
    let of = |n: u128, session: &str| Event {
        session_id: Some(session_id(session)),
        ..event(n, "click", i64::try_from(n).expect("small"))
    };
    let events: Vec<Event> = (0..60).map(|n| of(n, ["a", "b", "c"][(n % 3) as usize])).collect();
    for part in events.chunks(7) {
        fixture.sink.append(part).await.expect("appended");
    }
    let found = fixture.read_back.events().await;
    assert_eq!(found.len(), events.len());
    for session in ["a", "b", "c"] {
        let of_session = found.iter().filter(|event| event.session_id == Some(session_id(session)));
        assert!(of_session.map(|event| event.event_id).is_sorted(), "{session}");
    }
}

pub async fn projects_may_use_the_same_ids(fixture: SinkFixture) {
    let mine = event(1, "page_view", 0);
    let theirs = Event { project_id: crate::factory::project("q"), ..mine.clone() };
    fixture.sink.append(&[mine.clone(), theirs.clone()]).await.expect("appended");
    assert_eq!(sorted(fixture.read_back.events().await), [mine, theirs]);
}

//! Suite of `EventRows`.

use std::collections::BTreeSet;

use gosight_application::ports::{EventsOf, Fence, FoldScope, RowOfRecord, StoredEvent};
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, EventId};

use crate::factory::{LOG, click, event, event_id, project, session_id, span};
use crate::steps::{StepsFixture, assert_fenced_off, foreign, stored};
use crate::suite;

suite! { $ event_rows_suite, event_rows(StepsFixture):
    an_inserted_event_has_one_row_that_survives_a_crash
    rows_are_those_of_the_records_of_the_span
    the_end_is_after_the_last_row_from_there_on
    removing_takes_these_rows_and_no_others
    hourly_counts_are_those_of_the_rows
    each_event_of_the_sessions_is_visited_once
    an_older_fence_changes_nothing
    fences_of_another_ledger_count_once_they_are_known
}

fn of_session(session: &str, event: Event) -> Event {
    Event { session_id: Some(session_id(session)), ..event }
}

fn key(project_name: &str, session: &str) -> SessionKey {
    SessionKey { project_id: project(project_name), session_id: session_id(session) }
}

async fn offsets(fixture: &StepsFixture, fence: &Fence, first: u64, count: u64) -> Vec<u64> {
    let rows = fixture.events.rows(fence, &span(first, count)).await.expect("read");
    let mut offsets: Vec<u64> = rows.iter().map(|row| row.offset).collect();
    offsets.sort_unstable();
    offsets
}

async fn visited(
    fixture: &StepsFixture,
    fence: &Fence,
    scope: FoldScope,
    keys: &[SessionKey],
    except: &[u64],
) -> Vec<EventId> {
    let mut visited = Vec::new();
    let mut visit = |event: Event| visited.push(event.event_id);
    let of = EventsOf { sessions: keys, scope, except };
    fixture.events.each_of(fence, &of, &mut visit).await.expect("read");
    visited.sort_unstable();
    visited
}

pub async fn an_inserted_event_has_one_row_that_survives_a_crash(fixture: StepsFixture) {
    let events = [event(1, "page_view", 0), click(2, 10)];
    fixture.insert(&fixture.fence().await, 5, &events).await;
    let fixture = fixture.crashed().await;
    let fence = fixture.fence().await;
    assert_eq!(offsets(&fixture, &fence, 0, 100).await, [5, 6]);
    let found = fixture.event_query.session_events(&project("p"), &session_id("s"), None, 10).await;
    assert_eq!(found.expect("read"), events);
}

pub async fn rows_are_those_of_the_records_of_the_span(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    let alone = Event { session_id: None, ..click(3, 20) };
    fixture.insert(&fence, 3, &[event(1, "page_view", 0), of_session("t", click(2, 10)), alone]).await;
    let other = fixture.fence_of(LOG, 1).await;
    fixture.insert(&other, 3, &[event(9, "page_view", 0)]).await;
    let mut rows = fixture.events.rows(&fence, &span(4, 2)).await.expect("read");
    rows.sort_by_key(|row| row.offset);
    let wanted = [
        RowOfRecord { offset: 4, event_id: event_id(2), session: Some(key("p", "t")) },
        RowOfRecord { offset: 5, event_id: event_id(3), session: None },
    ];
    assert_eq!(rows, wanted);
    assert_eq!(offsets(&fixture, &fence, 0, 3).await, [0; 0]);
    assert_eq!(offsets(&fixture, &fence, 0, 4).await, [3]);
}

pub async fn the_end_is_after_the_last_row_from_there_on(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    let end = async |from: u64| fixture.events.end(&fence, from).await.expect("read");
    assert_eq!(end(0).await, None);
    fixture.insert(&fence, 3, &[event(1, "page_view", 0), click(2, 10)]).await;
    fixture.insert(&fixture.fence_of(LOG, 1).await, 70, &[click(7, 0)]).await;
    assert_eq!((end(0).await, end(3).await, end(4).await, end(5).await), (Some(5), Some(5), Some(5), None));
}

pub async fn removing_takes_these_rows_and_no_others(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    let events: Vec<Event> = (0..5).map(|n| click(n, 0)).collect();
    fixture.insert(&fence, 0, &events).await;
    fixture.insert(&fixture.fence_of(LOG, 1).await, 0, &[click(7, 0)]).await;
    fixture.events.remove(&fence, &[1, 3, 9]).await.expect("removed");
    assert_eq!(offsets(&fixture, &fence, 0, 10).await, [0, 2, 4]);
    let sessions = [key("p", "s")];
    let left = visited(&fixture, &fence, FoldScope::Session, &sessions, &[]).await;
    assert_eq!(left, [0, 2, 4, 7].map(event_id));
    // What was removed can come again.
    fixture.insert(&fence, 1, &events[1..2]).await;
    assert_eq!(offsets(&fixture, &fence, 0, 10).await, [0, 1, 2, 4]);
}

pub async fn hourly_counts_are_those_of_the_rows(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    let events: Vec<Event> = (0..5).map(|n| click(n, 0)).collect();
    fixture.insert(&fence, 0, &events[..2]).await;
    assert_eq!(fixture.counted("p").await, 2);
    fixture.insert(&fence, 2, &events[2..]).await;
    assert_eq!(fixture.counted("p").await, 5);
    fixture.events.remove(&fence, &[0, 4]).await.expect("removed");
    assert_eq!((fixture.counted("p").await, fixture.counted("q").await), (3, 0));
}

pub async fn each_event_of_the_sessions_is_visited_once(fixture: StepsFixture) {
    let (zero, one) = (fixture.fence().await, fixture.fence_of(LOG, 1).await);
    let theirs = Event { project_id: project("q"), ..of_session("a", click(50, 0)) };
    let mine =
        [of_session("a", click(1, 0)), of_session("b", click(2, 0)), of_session("c", click(3, 0)), theirs];
    fixture.insert(&zero, 0, &mine).await;
    fixture.insert(&one, 0, &[of_session("a", click(11, 0)), of_session("c", click(13, 0))]).await;
    let keys = [key("p", "a"), key("p", "b"), key("p", "never")];
    let visit = async |scope, except: &[u64]| visited(&fixture, &zero, scope, &keys, except).await;
    assert_eq!(visit(FoldScope::Session, &[]).await, [1, 2, 11].map(event_id));
    assert_eq!(visit(FoldScope::Partition, &[]).await, [1, 2].map(event_id));
    // The first record of the other partition is another one.
    assert_eq!(visit(FoldScope::Session, &[0, 7]).await, [2, 11].map(event_id));
    assert_eq!(visit(FoldScope::Partition, &[1]).await, [1].map(event_id));
    let visited_whole: BTreeSet<EventId> = [1, 2, 11].map(event_id).into();
    let mut found = BTreeSet::new();
    let mut visit = |event: Event| {
        assert_eq!(
            event,
            of_session(event.session_id.as_ref().expect("one").as_str(), click(number(&event), 0))
        );
        found.insert(event.event_id);
    };
    let of = EventsOf { sessions: &keys, scope: FoldScope::Session, except: &[] };
    fixture.events.each_of(&zero, &of, &mut visit).await.expect("read");
    assert_eq!(found, visited_whole);
}

fn number(event: &Event) -> u128 {
    event.event_id.as_uuid().as_u128()
}

pub async fn an_older_fence_changes_nothing(fixture: StepsFixture) {
    let old = fixture.fence().await;
    fixture.insert(&old, 0, &[click(1, 0), click(2, 0)]).await;
    let new = fixture.fence().await;
    let late = stored(2, &[click(3, 0)]);
    let late: Vec<&StoredEvent> = late.iter().collect();
    assert_fenced_off(&fixture.events.insert(&old, &late).await);
    assert_fenced_off(&fixture.events.remove(&old, &[0]).await);
    assert_eq!(offsets(&fixture, &new, 0, 10).await, [0, 1]);
    assert_eq!(fixture.counted("p").await, 2);
    fixture.insert(&new, 2, &[click(3, 0)]).await;
    assert_eq!(fixture.counted("p").await, 3);
}

pub async fn fences_of_another_ledger_count_once_they_are_known(fixture: StepsFixture) {
    let (old, new) = (foreign(70), foreign(71));
    fixture.events.acquired(&old).await.expect("known");
    fixture.insert(&old, 0, &[event(1, "click", 0)]).await;
    fixture.events.acquired(&new).await.expect("known");
    assert_fenced_off(&fixture.events.acquired(&old).await);
    let late = stored(1, &[event(2, "click", 0)]);
    assert_fenced_off(&fixture.events.insert(&old, &[&late[0]]).await);
    fixture.insert(&new, 1, &[event(3, "click", 0)]).await;
    assert_eq!(fixture.events.end(&new, 0).await.expect("read"), Some(2));
    assert_eq!(fixture.counted("p").await, 2);
}

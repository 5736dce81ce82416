//! Suite of `SessionStore`.

use std::sync::Arc;

use gosight_application::ports::SessionStore;
use gosight_domain::{Event, Session};

use crate::{
    Keep,
    factory::{NOON, click, event, fold, project, session_id, span},
    suite,
};

suite! { $ session_store_suite, session_store:
    folds_are_joined_with_what_is_there
    a_span_counts_once
    projects_do_not_share_sessions
    idle_sessions_are_listed_oldest_first
}

/// A session store.
pub struct SessionStoreFixture {
    /// The port.
    pub sessions: Arc<dyn SessionStore>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

async fn get(fixture: &SessionStoreFixture, project_name: &str, session: &str) -> Option<Session> {
    fixture.sessions.get(&project(project_name), &session_id(session)).await.expect("read")
}

pub async fn folds_are_joined_with_what_is_there(fixture: SessionStoreFixture) {
    let late = [event(3, "page_view", 9_000), click(4, 9_500)];
    let early = [event(1, "page_view", 0), click(2, 500)];
    assert_eq!(get(&fixture, "p", "s").await, None);
    let joined = fixture.sessions.merge(&span(0, 2), &[fold(&late)]).await.expect("merged");
    assert_eq!(joined, [fold(&late)]);
    let joined = fixture.sessions.merge(&span(2, 2), &[fold(&early)]).await.expect("merged");
    let all: Vec<Event> = late.into_iter().chain(early).collect();
    assert_eq!(joined, [fold(&all)]);
    assert_eq!(get(&fixture, "p", "s").await, Some(fold(&all)));
}

pub async fn a_span_counts_once(fixture: SessionStoreFixture) {
    let folds = [fold(&[event(1, "page_view", 0)])];
    for _ in 0..3 {
        let joined = fixture.sessions.merge(&span(0, 1), &folds).await.expect("merged");
        assert_eq!(joined, folds);
    }
    assert_eq!(get(&fixture, "p", "s").await.expect("there").event_count, 1);
}

pub async fn projects_do_not_share_sessions(fixture: SessionStoreFixture) {
    let mine = fold(&[event(1, "page_view", 0)]);
    let theirs = fold(&[Event { project_id: project("q"), ..event(1, "click", 5) }]);
    fixture.sessions.merge(&span(0, 2), &[mine.clone(), theirs.clone()]).await.expect("merged");
    assert_eq!(get(&fixture, "p", "s").await, Some(mine));
    assert_eq!(get(&fixture, "q", "s").await, Some(theirs));
}

pub async fn idle_sessions_are_listed_oldest_first(fixture: SessionStoreFixture) {
    let at = |n: u128, name: &str, offset_ms: i64| {
        fold(&[Event { session_id: Some(session_id(name)), ..event(n, "click", offset_ms) }])
    };
    let folds = [at(1, "b", 2_000), at(2, "a", 1_000), at(3, "c", 3_000)];
    fixture.sessions.merge(&span(0, 3), &folds).await.expect("merged");
    let idle = async |before_ms: i64, limit: usize| -> Vec<String> {
        let idle = fixture.sessions.list_idle(NOON.plus_millis(before_ms), limit).await.expect("listed");
        idle.iter().map(|session| session.session_id.to_string()).collect()
    };
    assert_eq!(idle(3_000, 10).await, ["a", "b"]);
    assert_eq!(idle(3_001, 2).await, ["a", "b"]);
    assert_eq!(idle(1_000, 10).await, Vec::<String>::new());
}

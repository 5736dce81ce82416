//! Suite of `SessionCache`.

use std::sync::Arc;

use gosight_application::ports::{LogPosition, SessionCache};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, Session};

use crate::{
    Keep,
    factory::{LOG, click, event, fold, project, session_id, shared, span},
    suite,
};

suite! { $ session_cache_suite, session_cache(SessionCacheFixture):
    nothing_is_known_at_first
    folds_are_there_at_the_end_of_their_span
    at_any_other_offset_there_is_nothing
    folds_stay_as_long_as_spans_join
    a_missed_batch_makes_everything_older_unknown
    a_late_save_of_a_lost_partition_is_not_believed
    a_save_that_is_repeated_is_believed
    a_batch_without_sessions_moves_on
    partitions_logs_and_projects_are_apart
    many_sessions_at_once
}

/// A session cache.
pub struct SessionCacheFixture {
    /// The port.
    pub cache: Arc<dyn SessionCache>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

/// A fold of session `name` as it was when `clicks` of its clicks had been folded in.
fn session(name: &str, clicks: u32) -> Session {
    session_of("p", name, clicks)
}

fn session_of(project_name: &str, name: &str, clicks: u32) -> Session {
    let named = |event: Event| Event {
        project_id: project(project_name),
        session_id: Some(session_id(name)),
        ..event
    };
    let clicks = (0..clicks).map(|n| named(click(u128::from(n) + 2, i64::from(n) * 100)));
    let events: Vec<Event> = std::iter::once(named(event(1, "page_view", 0))).chain(clicks).collect();
    fold(&events)
}

fn names(names: &[&str]) -> Vec<SessionKey> {
    let key = |name: &&str| SessionKey { project_id: project("p"), session_id: session_id(name) };
    names.iter().map(key).collect()
}

fn at(offset: u64) -> LogPosition {
    LogPosition { log: shared(LOG), partition: 0, offset }
}

impl SessionCacheFixture {
    async fn save(&self, span: &BatchSpan, folds: &[Session]) {
        let folds: Vec<&Session> = folds.iter().collect();
        self.cache.save(span, &folds).await.expect("saved");
    }

    async fn load(&self, at: &LogPosition, sessions: &[&str]) -> Vec<Option<Session>> {
        self.cache.load(at, &names(sessions)).await.expect("loaded")
    }
}

pub async fn nothing_is_known_at_first(fixture: SessionCacheFixture) {
    assert_eq!(fixture.load(&at(0), &["a", "b"]).await, [None, None]);
    assert_eq!(fixture.load(&at(0), &[]).await, []);
}

pub async fn folds_are_there_at_the_end_of_their_span(fixture: SessionCacheFixture) {
    fixture.save(&span(0, 10), &[session("a", 1), session("b", 2)]).await;
    let loaded = fixture.load(&at(10), &["b", "x", "a", "b"]).await;
    assert_eq!(loaded, [Some(session("b", 2)), None, Some(session("a", 1)), Some(session("b", 2))]);
}

pub async fn at_any_other_offset_there_is_nothing(fixture: SessionCacheFixture) {
    fixture.save(&span(10, 10), &[session("a", 1)]).await;
    for offset in [0, 1, 10, 19, 21, 200] {
        assert_eq!(fixture.load(&at(offset), &["a"]).await, [None], "{offset}");
    }
    assert_eq!(fixture.load(&at(20), &["a"]).await, [Some(session("a", 1))]);
}

pub async fn folds_stay_as_long_as_spans_join(fixture: SessionCacheFixture) {
    fixture.save(&span(0, 10), &[session("a", 1), session("b", 1)]).await;
    fixture.save(&span(10, 5), &[session("b", 7), session("c", 1)]).await;
    fixture.save(&span(15, 1), &[session("d", 1)]).await;
    let loaded = fixture.load(&at(16), &["a", "b", "c", "d"]).await;
    let wanted = [session("a", 1), session("b", 7), session("c", 1), session("d", 1)];
    assert_eq!(loaded, wanted.map(Some));
}

pub async fn a_missed_batch_makes_everything_older_unknown(fixture: SessionCacheFixture) {
    fixture.save(&span(0, 10), &[session("a", 1), session("b", 1)]).await;
    fixture.save(&span(20, 10), &[session("b", 3)]).await;
    assert_eq!(fixture.load(&at(30), &["a", "b"]).await, [None, Some(session("b", 3))]);
    assert_eq!(fixture.load(&at(10), &["a", "b"]).await, [None, None]);
}

pub async fn a_late_save_of_a_lost_partition_is_not_believed(fixture: SessionCacheFixture) {
    fixture.save(&span(0, 10), &[session("a", 1)]).await;
    fixture.save(&span(10, 10), &[session("a", 5), session("b", 1)]).await;
    // Who had the partition before did not know that it was lost.
    fixture.save(&span(0, 10), &[session("a", 1)]).await;
    assert_eq!(fixture.load(&at(20), &["a", "b"]).await, [None, None]);
    fixture.save(&span(20, 10), &[session("c", 1)]).await;
    assert_eq!(fixture.load(&at(30), &["a", "b", "c"]).await, [None, None, Some(session("c", 1))]);
}

pub async fn a_save_that_is_repeated_is_believed(fixture: SessionCacheFixture) {
    for _ in 0..3 {
        fixture.save(&span(0, 10), &[session("a", 1)]).await;
        assert_eq!(fixture.load(&at(10), &["a"]).await, [Some(session("a", 1))]);
    }
}

pub async fn a_batch_without_sessions_moves_on(fixture: SessionCacheFixture) {
    fixture.save(&span(0, 10), &[session("a", 1)]).await;
    fixture.save(&span(10, 10), &[]).await;
    assert_eq!(fixture.load(&at(20), &["a"]).await, [Some(session("a", 1))]);
    assert_eq!(fixture.load(&at(10), &["a"]).await, [None]);
}

pub async fn partitions_logs_and_projects_are_apart(fixture: SessionCacheFixture) {
    let of = |name: &str, clicks| session_of(name, "a", clicks);
    fixture.save(&span(0, 10), &[of("p", 1), of("q", 2)]).await;
    fixture.save(&BatchSpan { partition: 1, ..span(0, 10) }, &[of("p", 3)]).await;
    fixture.save(&BatchSpan { log: shared("other"), ..span(0, 10) }, &[of("p", 4)]).await;
    let wanted = ["q", "p"].map(|name| SessionKey { project_id: project(name), session_id: session_id("a") });
    let load = async |at| fixture.cache.load(&at, &wanted).await.expect("loaded");
    assert_eq!(load(at(10)).await, [Some(of("q", 2)), Some(of("p", 1))]);
    assert_eq!(load(LogPosition { partition: 1, ..at(10) }).await, [None, Some(of("p", 3))]);
    assert_eq!(load(LogPosition { log: shared("other"), ..at(10) }).await, [None, Some(of("p", 4))]);
    assert_eq!(load(LogPosition { partition: 2, ..at(10) }).await, [None, None]);
}

pub async fn many_sessions_at_once(fixture: SessionCacheFixture) {
    let all: Vec<String> = (0..2_500).map(|n| format!("s{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let folds = |names: &[&str], clicks| names.iter().map(|name| session(name, clicks)).collect::<Vec<_>>();
    let first = folds(&all, 0);
    let second = folds(&all[300..1_900], 2);
    fixture.save(&span(0, 5_000), &first).await;
    fixture.save(&span(5_000, 5_000), &second).await;
    let loaded = fixture.load(&at(10_000), &all).await;
    let wanted = first[..300].iter().chain(&second).chain(&first[1_900..]);
    assert!(loaded.iter().map(Option::as_ref).eq(wanted.map(Some)));
}

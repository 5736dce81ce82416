//! Suite of `SessionStore`.

use gosight_application::ports::{
    FoldScope, IdleCursor, IdleQuery, SessionCursor, SessionDetail, SessionFlagFilter, SessionQuery,
    SessionSummary,
};
use gosight_application::sessions::{SessionRow, SessionRules};
use gosight_domain::insight::InsightKind;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, UserId};

use crate::factory::{LOG, NOON, click, event, project, session_id};
use crate::steps::{StepsFixture, assert_fenced_off, foreign, row};
use crate::suite;

suite! { $ session_store_suite, session_store(StepsFixture):
    sessions_are_loaded_as_they_were_put_in_the_order_asked
    putting_replaces_what_was_there_and_survives_a_crash
    removing_forgets_these_sessions_and_no_others
    an_older_fence_changes_nothing
    fences_of_another_ledger_count_once_they_are_known
    projects_do_not_share_sessions
    each_partition_has_rows_of_its_own_if_the_scope_says_so
    a_session_comes_with_its_insights_in_order
    sessions_are_listed_latest_first_page_by_page
    sessions_are_filtered
    idle_sessions_are_listed_oldest_first
    a_list_goes_on_while_sessions_come_and_go
}

fn named(session: &str, event: Event) -> Event {
    Event { session_id: Some(session_id(session)), ..event }
}

fn key(project_name: &str, session: &str) -> SessionKey {
    SessionKey { project_id: project(project_name), session_id: session_id(session) }
}

/// The row of a session with one event.
fn one(session: &str, n: u128, offset_ms: i64) -> SessionRow {
    row(&[named(session, event(n, "page_view", offset_ms))])
}

async fn put(fixture: &StepsFixture, rows: &[SessionRow]) {
    fixture.sessions.put(&fixture.fence().await, rows).await.expect("put");
}

async fn get(fixture: &StepsFixture, project_name: &str, session: &str) -> Option<SessionDetail> {
    let rules = SessionRules::default();
    fixture.sessions.get(&rules, &project(project_name), &session_id(session)).await.expect("read")
}

pub async fn sessions_are_loaded_as_they_were_put_in_the_order_asked(fixture: StepsFixture) {
    let fence = fixture.fence().await;
    let (a, b) = (one("a", 1, 0), row(&[named("b", click(2, 10)), named("b", click(3, 20))]));
    fixture.sessions.put(&fence, &[b.clone(), a.clone()]).await.expect("put");
    let keys = [key("p", "a"), key("p", "never"), key("p", "b"), key("q", "a")];
    let loaded = fixture.sessions.load(&fence, 0, &keys).await.expect("loaded");
    assert_eq!(loaded, [Some(a.session), None, Some(b.session), None]);
    assert_eq!(fixture.sessions.load(&fence, 0, &[]).await.expect("loaded"), []);
}

pub async fn putting_replaces_what_was_there_and_survives_a_crash(fixture: StepsFixture) {
    let before = row(&[named("s", click(1, 0)), named("s", event(2, "page_view", 5_000))]);
    assert!(before.shows(InsightKind::DeadClick));
    put(&fixture, &[before]).await;
    let after = row(&[
        named("s", click(1, 0)),
        named("s", event(3, "add_to_cart", 400)),
        named("s", event(2, "page_view", 5_000)),
    ]);
    put(&fixture, std::slice::from_ref(&after)).await;
    let fixture = fixture.crashed().await;
    let fence = fixture.fence().await;
    let loaded = fixture.sessions.load(&fence, 0, &[key("p", "s")]).await.expect("loaded");
    assert_eq!(loaded, [Some(after.session.clone())]);
    assert_eq!(get(&fixture, "p", "s").await, Some(after.into_detail()));
    assert_eq!(list(&fixture, query()).await.len(), 1);
}

pub async fn removing_forgets_these_sessions_and_no_others(fixture: StepsFixture) {
    let (fence, other) = (fixture.fence().await, fixture.fence_of(LOG, 1).await);
    fixture.sessions.put(&fence, &[one("a", 1, 0), one("b", 2, 0), one("c", 3, 0)]).await.expect("put");
    let theirs = row(&[Event { project_id: project("q"), ..named("a", event(4, "click", 0)) }]);
    fixture.sessions.put(&other, std::slice::from_ref(&theirs)).await.expect("put");
    fixture
        .sessions
        .remove(&fence, &[key("p", "a"), key("p", "c"), key("p", "never")])
        .await
        .expect("removed");
    let keys = [key("p", "a"), key("p", "b"), key("p", "c")];
    let loaded = fixture.sessions.load(&fence, 0, &keys).await.expect("loaded");
    assert_eq!(loaded, [None, Some(one("b", 2, 0).session), None]);
    assert_eq!(get(&fixture, "p", "a").await, None);
    assert_eq!(get(&fixture, "q", "a").await, Some(theirs.into_detail()));
    assert_eq!(names(&fixture, query()).await, ["b"]);
}

pub async fn an_older_fence_changes_nothing(fixture: StepsFixture) {
    let old = fixture.fence().await;
    let first = one("s", 1, 0);
    fixture.sessions.put(&old, std::slice::from_ref(&first)).await.expect("put");
    let new = fixture.fence().await;
    assert_fenced_off(&fixture.sessions.put(&old, &[one("s", 2, 500), one("t", 3, 0)]).await);
    assert_fenced_off(&fixture.sessions.remove(&old, &[key("p", "s")]).await);
    let loaded = fixture.sessions.load(&new, 0, &[key("p", "s"), key("p", "t")]).await.expect("loaded");
    assert_eq!(loaded, [Some(first.session.clone()), None]);
    assert_eq!(get(&fixture, "p", "s").await, Some(first.into_detail()));
}

pub async fn fences_of_another_ledger_count_once_they_are_known(fixture: StepsFixture) {
    let (old, new) = (foreign(70), foreign(71));
    fixture.sessions.acquired(&old).await.expect("known");
    fixture.sessions.put(&old, &[one("s", 1, 0)]).await.expect("put");
    fixture.sessions.acquired(&new).await.expect("known");
    assert_fenced_off(&fixture.sessions.acquired(&old).await);
    assert_fenced_off(&fixture.sessions.put(&old, &[one("s", 2, 0)]).await);
    fixture.sessions.put(&new, &[one("t", 3, 0)]).await.expect("put");
    assert_eq!(names(&fixture, query()).await, ["s", "t"]);
    assert_eq!(get(&fixture, "p", "s").await, Some(one("s", 1, 0).into_detail()));
}

pub async fn projects_do_not_share_sessions(fixture: StepsFixture) {
    let mine = one("s", 1, 0);
    let theirs = row(&[Event { project_id: project("q"), ..named("s", event(1, "click", 5)) }]);
    put(&fixture, &[mine.clone(), theirs.clone()]).await;
    assert_eq!(get(&fixture, "p", "s").await, Some(mine.into_detail()));
    assert_eq!(get(&fixture, "q", "s").await, Some(theirs.into_detail()));
    assert_eq!(names(&fixture, query()).await, ["s"]);
}

pub async fn each_partition_has_rows_of_its_own_if_the_scope_says_so(fixture: StepsFixture) {
    let (zero, one) = (fixture.fence().await, fixture.fence_of(LOG, 1).await);
    let early = row(&[named("s", event(1, "page_view", 0)), named("s", click(2, 10))]);
    let late = row(&[named("s", event(3, "page_view", 9_000))]);
    fixture.sessions.put(&zero, std::slice::from_ref(&early)).await.expect("put");
    let keys = [key("p", "s")];
    let before = fixture.sessions.load(&one, 0, &keys).await.expect("loaded");
    let whole = row(&[
        named("s", event(1, "page_view", 0)),
        named("s", click(2, 10)),
        named("s", event(3, "page_view", 9_000)),
    ]);
    match fixture.sessions.scope() {
        FoldScope::Partition => {
            assert_eq!(before, [None]);
            fixture.sessions.put(&one, std::slice::from_ref(&late)).await.expect("put");
            let loaded = fixture.sessions.load(&zero, 0, &keys).await.expect("loaded");
            assert_eq!(loaded, [Some(early.session.clone())]);
        }
        FoldScope::Session => {
            assert_eq!(before, [Some(early.session.clone())]);
            fixture.sessions.put(&one, std::slice::from_ref(&whole)).await.expect("put");
            let loaded = fixture.sessions.load(&zero, 0, &keys).await.expect("loaded");
            assert_eq!(loaded, [Some(whole.session.clone())]);
        }
    }
    // Readers see one session.
    assert_eq!(get(&fixture, "p", "s").await, Some(whole.into_detail()));
    let listed = list(&fixture, query()).await;
    assert_eq!(listed.iter().map(|session| session.event_count).collect::<Vec<_>>(), [3]);
    assert_eq!(idle(&fixture, idle_before(9_001)).await, ["s"]);
    assert_eq!(
        idle(&fixture, idle_before(5_000)).await,
        [""; 0],
        "its latest event is in the other partition"
    );
    if fixture.sessions.scope() == FoldScope::Partition {
        fixture.sessions.remove(&zero, &keys).await.expect("removed");
        assert_eq!(get(&fixture, "p", "s").await, Some(late.into_detail()));
    }
}

pub async fn a_session_comes_with_its_insights_in_order(fixture: StepsFixture) {
    assert_eq!(get(&fixture, "p", "s").await, None);
    let mut events: Vec<Event> =
        (10..16).map(|n| named("s", click(n, 60_000 + 10 * i64::try_from(n).expect("small")))).collect();
    events.push(named("s", click(1, 0)));
    events.push(named("s", event(2, "js_error", 30_000)));
    events.push(named("s", event(3, "page_view", 50_000)));
    let row = row(&events);
    assert!(row.insights.len() >= 2, "{:?}", row.insights);
    assert!(row.insights.is_sorted_by_key(|insight| (insight.kind, insight.first_at)));
    put(&fixture, std::slice::from_ref(&row)).await;
    assert_eq!(get(&fixture, "p", "s").await, Some(row.into_detail()));
}

fn query() -> SessionQuery {
    SessionQuery { limit: 100, ..SessionQuery::default() }
}

async fn list(fixture: &StepsFixture, query: SessionQuery) -> Vec<SessionSummary> {
    fixture.sessions.list(&SessionRules::default(), &project("p"), &query).await.expect("read")
}

/// The place of a session in a list.
fn cursor(session: &SessionSummary) -> SessionCursor {
    SessionCursor { started_at: session.started_at, session_id: session.session_id.clone() }
}

async fn names(fixture: &StepsFixture, query: SessionQuery) -> Vec<String> {
    list(fixture, query).await.iter().map(|session| session.session_id.to_string()).collect()
}

pub async fn sessions_are_listed_latest_first_page_by_page(fixture: StepsFixture) {
    let starts = [("c", 0), ("a", 5_000), ("b", 5_000), ("e", 1_000), ("d", 9_000)];
    let mut rows: Vec<SessionRow> = (1..).zip(starts).map(|(n, (name, at))| one(name, n, at)).collect();
    // The first to start is the last to end.
    rows[0] = row(&[named("c", event(1, "page_view", 0)), named("c", click(6, 20_000))]);
    put(&fixture, &rows).await;
    let mut after = None;
    for page in [&["d", "a"][..], &["b", "e"], &["c"], &[]] {
        let found = list(&fixture, SessionQuery { after: after.clone(), limit: 2, ..query() }).await;
        assert_eq!(found.iter().map(|session| session.session_id.as_str()).collect::<Vec<_>>(), page);
        after = found.last().map(cursor);
    }
    let between =
        SessionQuery { from: Some(NOON.plus_millis(1_000)), to: Some(NOON.plus_millis(9_000)), ..query() };
    assert_eq!(names(&fixture, between).await, ["a", "b", "e"]);
}

pub async fn sessions_are_filtered(fixture: StepsFixture) {
    let of_user =
        |user: &str, event: Event| Event { user_id: Some(UserId::new(user).expect("valid")), ..event };
    let rage: Vec<Event> =
        (100..106).map(|n| named("rage", click(n, 1_000 + 10 * i64::try_from(n).expect("small")))).collect();
    let dead = [
        named("dead", click(30, 0)),
        named("dead", event(31, "page_view", 5_000)),
        named("dead", event(32, "page_view", 6_000)),
    ];
    put(
        &fixture,
        &[
            row(&[of_user("u-7", named("bounce", event(1, "page_view", 0)))]),
            row(&[of_user("u-8", named("error", event(2, "js_error", 0)))]),
            row(&rage),
            row(&dead),
        ],
    )
    .await;
    let by = |flags: SessionFlagFilter| SessionQuery { flags, ..query() };
    let none = SessionFlagFilter::default();
    for (flags, expected) in [
        (SessionFlagFilter { has_error: Some(true), ..none }, vec!["error"]),
        (SessionFlagFilter { has_rage_click: Some(true), ..none }, vec!["rage"]),
        (SessionFlagFilter { has_dead_click: Some(true), ..none }, vec!["dead"]),
        (SessionFlagFilter { is_bounce: Some(true), ..none }, vec!["bounce"]),
        (SessionFlagFilter { is_bounce: Some(false), has_error: Some(false), ..none }, vec!["rage", "dead"]),
    ] {
        assert_eq!(names(&fixture, by(flags)).await, expected, "{flags:?}");
    }
    let of_user = SessionQuery { user_id: Some(UserId::new("u-8").expect("valid")), ..query() };
    assert_eq!(names(&fixture, of_user).await, ["error"]);
    // A page is full of what meets the query, wherever that stands in the list.
    for (name, flags) in [
        ("error", SessionFlagFilter { has_error: Some(true), ..none }),
        ("dead", SessionFlagFilter { has_dead_click: Some(true), ..none }),
    ] {
        assert_eq!(names(&fixture, SessionQuery { limit: 1, ..by(flags) }).await, [name]);
    }
}

/// Sessions that ended before so long after noon.
fn idle_before(after_noon_ms: i64) -> IdleQuery {
    IdleQuery { before: NOON.plus_millis(after_noon_ms), after: None, limit: 10 }
}

/// The names of idle sessions.
async fn idle(fixture: &StepsFixture, query: IdleQuery) -> Vec<String> {
    let idle = fixture.sessions.list_idle(&SessionRules::default(), &project("p"), &query).await;
    idle.expect("listed").iter().map(|session| session.session_id.to_string()).collect()
}

pub async fn idle_sessions_are_listed_oldest_first(fixture: StepsFixture) {
    let theirs = row(&[Event { project_id: project("q"), ..named("e", event(3, "click", 500)) }]);
    // The last to end is the first to start.
    let long = row(&[named("d", event(4, "page_view", 0)), named("d", click(6, 3_000))]);
    let rows = [one("b", 1, 2_000), one("a", 2, 1_000), long, one("c", 5, 3_000), theirs];
    put(&fixture, &rows).await;
    assert_eq!(idle(&fixture, idle_before(3_000)).await, ["a", "b"]);
    assert_eq!(idle(&fixture, idle_before(3_001)).await, ["a", "b", "c", "d"]);
    assert_eq!(idle(&fixture, IdleQuery { limit: 3, ..idle_before(3_001) }).await, ["a", "b", "c"]);
    assert_eq!(idle(&fixture, idle_before(1_000)).await, [""; 0]);
    for (last, ended_ms, rest) in [("a", 1_000, vec!["b", "c", "d"]), ("c", 3_000, vec!["d"])] {
        let after = IdleCursor { ended_at: NOON.plus_millis(ended_ms), session_id: session_id(last) };
        assert_eq!(idle(&fixture, IdleQuery { after: Some(after), ..idle_before(3_001) }).await, rest);
    }
    let found =
        fixture.sessions.list_idle(&SessionRules::default(), &project("p"), &idle_before(1_001)).await;
    assert_eq!(found.expect("listed"), [one("a", 2, 1_000).summary(false)]);
}

pub async fn a_list_goes_on_while_sessions_come_and_go(fixture: StepsFixture) {
    let starts = [("e", 1_000), ("d", 2_000), ("c", 3_000), ("b", 4_000), ("a", 5_000)];
    let rows: Vec<SessionRow> = (1..).zip(starts).map(|(n, (name, at))| one(name, n, at)).collect();
    put(&fixture, &rows).await;
    let first = list(&fixture, SessionQuery { limit: 2, ..query() }).await;
    assert_eq!(first.iter().map(|session| session.session_id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    // The last of the page goes, and one comes before it and one after it.
    fixture.sessions.remove(&fixture.fence().await, &[key("p", "b")]).await.expect("removed");
    put(&fixture, &[one("z", 8, 9_000), one("y", 9, 1_500)]).await;
    let after = first.last().map(cursor);
    assert_eq!(names(&fixture, SessionQuery { after, ..query() }).await, ["c", "d", "y", "e"]);
    // The same from the other side.
    let after = Some(IdleCursor { ended_at: NOON.plus_millis(4_000), session_id: session_id("b") });
    assert_eq!(idle(&fixture, IdleQuery { after, ..idle_before(10_000) }).await, ["a", "z"]);
}

//! Suite of `EventQuery`, on what a batch store was given.

use gosight_application::ports::{
    ChunkId, EventCursor, GroupBy, GroupKey, Metrics, MetricsQuery, SessionFlagFilter, SessionQuery,
    SessionSummary,
};
use gosight_application::sessions::SessionRules;
use gosight_domain::rollup::Dimension;
use gosight_domain::time::HOUR_MS;
use gosight_domain::{Channel, Device, Event, EventName, Geo, Hour, Page, UserId};

use crate::batch_store::StoreFixture;
use crate::factory::{NOON, batch, chunk, event, project, replay_session, session_id, span};
use crate::suite;

suite! { $ event_query_suite, event_query(StoreFixture):
    metrics_count_events_and_visitors
    metrics_are_bounded_by_hours
    metrics_group_by_everything
    groups_are_limited_to_the_largest
    visitors_are_users_else_anonymous_else_sessions
    a_session_knows_its_replay
    events_are_paged_by_time
    what_is_unknown_is_empty
}

fn event_of(n: u128, event_type: &str, offset_ms: i64, user: Option<&str>, session: &str) -> Event {
    Event {
        user_id: user.map(|user| UserId::new(user).expect("a valid id")),
        session_id: Some(session_id(session)),
        ..event(n, event_type, offset_ms)
    }
}

fn all() -> MetricsQuery {
    MetricsQuery {
        event_name: None,
        from: NOON.hour(),
        to: Hour::from_index(NOON.hour().index() + 48),
        channel: None,
        group_by: None,
        limit: 100,
    }
}

async fn metrics(fixture: &StoreFixture, query: MetricsQuery) -> Metrics {
    fixture.query.metrics(&project("p"), &query).await.expect("read")
}

async fn groups(fixture: &StoreFixture, group_by: GroupBy) -> Vec<(GroupKey, u64, u64)> {
    let found = metrics(fixture, MetricsQuery { group_by: Some(group_by), ..all() }).await;
    found.groups.into_iter().map(|group| (group.key, group.total_count, group.unique_users)).collect()
}

fn value(text: &str) -> GroupKey {
    GroupKey::Value(text.to_owned())
}

pub async fn metrics_count_events_and_visitors(fixture: StoreFixture) {
    let events = [
        event_of(1, "page_view", 0, Some("u-1"), "a"),
        event_of(2, "page_view", 1, Some("u-2"), "b"),
        event_of(3, "click", 2, Some("u-1"), "a"),
    ];
    fixture.commit(&batch(0, &events)).await;
    fixture.commit(&batch(3, &[event_of(4, "page_view", HOUR_MS, Some("u-1"), "c")])).await;
    let total = metrics(&fixture, all()).await;
    assert_eq!((total.total_count, total.unique_users, total.groups.len()), (4, 2, 0));
    let views = MetricsQuery { event_name: Some(EventName::new("page_view").expect("valid")), ..all() };
    let views = metrics(&fixture, views).await;
    assert_eq!((views.total_count, views.unique_users), (3, 2));
}

pub async fn metrics_are_bounded_by_hours(fixture: StoreFixture) {
    let at = |n: u128, offset_ms| event_of(n, "click", offset_ms, Some("u"), "s");
    fixture.commit(&batch(0, &[at(1, -1), at(2, 0), at(3, HOUR_MS - 1), at(4, HOUR_MS)])).await;
    let hour = NOON.hour().index();
    let count = async |from: i64, to: i64| {
        let query =
            MetricsQuery { from: Hour::from_index(hour + from), to: Hour::from_index(hour + to), ..all() };
        metrics(&fixture, query).await.total_count
    };
    assert_eq!(count(0, 1).await, 2);
    assert_eq!(count(-1, 1).await, 3);
    assert_eq!(count(1, 2).await, 1);
    assert_eq!(count(5, 6).await, 0);
}

pub async fn metrics_group_by_everything(fixture: StoreFixture) {
    let firefox = event_of(1, "page_view", 0, Some("u-1"), "a");
    let other = Event {
        channel: None,
        page: Page { path: "/other".into(), ..Page::default() },
        device: Device { browser: Some("Chrome".into()), ..Device::default() },
        geo: Geo::default(),
        ..event_of(2, "click", HOUR_MS, Some("u-2"), "b")
    };
    let next_day = event_of(3, "click", 24 * HOUR_MS, Some("u-1"), "c");
    fixture.commit(&batch(0, &[firefox, other, next_day])).await;
    let hour = |n: i64| GroupKey::Time(Hour::from_index(NOON.hour().index() + n));
    let day = |n: i64| GroupKey::Time(Hour::from_index(NOON.hour().day_start().index() + n));
    assert_eq!(groups(&fixture, GroupBy::Channel).await, [(value("web"), 2, 1), (value(""), 1, 1)]);
    assert_eq!(groups(&fixture, GroupBy::Hour).await, [(hour(0), 1, 1), (hour(1), 1, 1), (hour(24), 1, 1)]);
    assert_eq!(groups(&fixture, GroupBy::Day).await, [(day(0), 2, 2), (day(24), 1, 1)]);
    assert_eq!(
        groups(&fixture, GroupBy::EventType).await,
        [(value("click"), 2, 2), (value("page_view"), 1, 1)]
    );
    for (dimension, most, least) in [
        (Dimension::Path, "/a", "/other"),
        (Dimension::Browser, "Firefox", "Chrome"),
        (Dimension::Os, "Linux", ""),
        (Dimension::Device, "desktop", ""),
        (Dimension::Country, "NZ", ""),
    ] {
        let found = groups(&fixture, GroupBy::Dimension(dimension)).await;
        assert_eq!(found, [(value(most), 2, 1), (value(least), 1, 1)], "{dimension:?}");
    }
    let web = MetricsQuery {
        channel: Some(Channel::Web),
        group_by: Some(GroupBy::Dimension(Dimension::Path)),
        ..all()
    };
    let web = metrics(&fixture, web).await;
    assert_eq!((web.total_count, web.groups.len()), (2, 1));
}

pub async fn groups_are_limited_to_the_largest(fixture: StoreFixture) {
    let paths = ["/1", "/2", "/2", "/3", "/3", "/3"];
    let events: Vec<Event> = (1..)
        .zip(paths)
        .map(|(n, path)| Event {
            page: Page { path: path.into(), ..Page::default() },
            ..event(n, "click", 0)
        })
        .collect();
    fixture.commit(&batch(0, &events)).await;
    let query = MetricsQuery { group_by: Some(GroupBy::Dimension(Dimension::Path)), limit: 2, ..all() };
    let found = metrics(&fixture, query).await;
    let keys: Vec<_> = found.groups.iter().map(|group| group.key.clone()).collect();
    assert_eq!(keys, [value("/3"), value("/2")]);
    assert_eq!(found.total_count, 6, "the total counts all");
}

pub async fn visitors_are_users_else_anonymous_else_sessions(fixture: StoreFixture) {
    let anonymous = |n, id: &str| Event {
        anonymous_id: Some(gosight_domain::AnonymousId::new(id).expect("valid")),
        ..event_of(n, "click", 0, None, "a")
    };
    let events = [
        event_of(1, "click", 0, Some("u-1"), "a"),
        anonymous(2, "x-1"),
        anonymous(3, "x-2"),
        event_of(4, "click", 0, None, "a"),
        event_of(5, "click", 0, None, "b"),
        Event { session_id: None, ..event_of(6, "click", 0, None, "c") },
    ];
    fixture.commit(&batch(0, &events)).await;
    let found = metrics(&fixture, all()).await;
    assert_eq!((found.total_count, found.unique_users), (6, 5));
}

fn sessions_query() -> SessionQuery {
    SessionQuery { limit: 100, ..SessionQuery::default() }
}

async fn sessions(fixture: &StoreFixture, query: SessionQuery) -> Vec<SessionSummary> {
    fixture.sessions.list(&SessionRules::default(), &project("p"), &query).await.expect("read")
}

async fn names(fixture: &StoreFixture, query: SessionQuery) -> Vec<String> {
    sessions(fixture, query).await.iter().map(|session| session.session_id.to_string()).collect()
}

pub async fn a_session_knows_its_replay(fixture: StoreFixture) {
    fixture.commit(&batch(0, &[event(1, "page_view", 0)])).await;
    let has_replay = async || sessions(&fixture, sessions_query()).await[0].has_replay;
    assert!(!has_replay().await);
    let mut recorded = batch(1, &[]);
    recorded.ledger.span = span(1, 1);
    recorded.replay_chunks.push(chunk("s", 0, "x"));
    fixture.commit(&recorded).await;
    assert!(has_replay().await);
    let with = SessionFlagFilter { has_replay: Some(true), ..SessionFlagFilter::default() };
    let with = SessionQuery { flags: with, ..sessions_query() };
    assert_eq!(names(&fixture, with.clone()).await, ["s"]);
    // Wherever its chunks are.
    let replays = [replay_session("p", "t"), replay_session("p", "s")];
    fixture.replays.mark_archived(&replays, true).await.expect("marked");
    fixture.replays.delete(&[ChunkId::of(&chunk("s", 0, "x"))]).await.expect("deleted");
    assert!(has_replay().await);
    assert_eq!(names(&fixture, with.clone()).await, ["s"]);
    fixture.replays.mark_archived(&replays, false).await.expect("marked");
    assert!(!has_replay().await);
    assert_eq!(names(&fixture, with).await, [] as [&str; 0]);
}

pub async fn events_are_paged_by_time(fixture: StoreFixture) {
    // Id, time, and sequence, which decides where times are equal.
    let events: Vec<Event> =
        [(5, 0, 9), (3, 10, 2), (4, 10, 2), (1, 10, u64::MAX >> 1), (6, 10, 1), (2, 99, 0)]
            .into_iter()
            .map(|(n, at, sequence)| Event { sequence, ..event(n, "click", at) })
            .collect();
    fixture.commit(&batch(0, &events)).await;
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page =
            fixture.query.session_events(&project("p"), &session_id("s"), after, 2).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some(EventCursor::of(last));
        found.extend(page.iter().map(|event| event.event_id.as_uuid().as_u128()));
    }
    assert_eq!(found, [5, 6, 3, 4, 1, 2]);
}

pub async fn what_is_unknown_is_empty(fixture: StoreFixture) {
    // Beside what another project has.
    fixture.commit(&batch(0, &[event(1, "page_view", 0)])).await;
    let nobody = project("nobody");
    assert_eq!(fixture.query.metrics(&nobody, &all()).await.expect("read"), Metrics::default());
    let long_ago = MetricsQuery {
        from: Hour::from_index(1_000),
        to: Hour::from_index(2_000),
        group_by: Some(GroupBy::Day),
        ..all()
    };
    assert_eq!(metrics(&fixture, long_ago).await, Metrics::default());
    let grouped = MetricsQuery { group_by: Some(GroupBy::Channel), ..all() };
    assert_eq!(fixture.query.metrics(&nobody, &grouped).await.expect("read"), Metrics::default());
    let rules = SessionRules::default();
    assert_eq!(fixture.sessions.list(&rules, &nobody, &sessions_query()).await.expect("read"), []);
    assert_eq!(fixture.sessions.get(&rules, &nobody, &session_id("s")).await.expect("read"), None);
    let events = fixture.query.session_events(&nobody, &session_id("s"), None, 10).await;
    assert_eq!(events.expect("read"), []);
}

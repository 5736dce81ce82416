use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::insight::{InsightThresholds, detect};
use crate::json::JsonObject;
use crate::{EventId, EventName, Page};

const START: i64 = 1_795_204_259_500;

fn object(text: &str) -> JsonObject {
    serde_json::from_str(text).unwrap()
}

fn event(id: u128, event_type: &str, offset_ms: i64) -> Event {
    Event {
        session_id: Some(SessionId::new("s").unwrap()),
        ..Event::new(
            EventId::from_uuid(Uuid::from_u128(id)),
            ProjectId::new("p").unwrap(),
            EventName::new(event_type).unwrap(),
            Timestamp::from_millis(START + offset_ms),
        )
    }
}

fn on_page(path: &str, event: Event) -> Event {
    Event { page: Page { path: path.into(), ..Page::default() }, ..event }
}

fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Session {
    let mut events = events.into_iter();
    let first = events.next().unwrap();
    let mut session = Session::of(first, &first.details().unwrap()).unwrap();
    for event in events {
        session.apply(event, &event.details().unwrap());
    }
    session
}

#[test]
fn late_events_move_the_start_and_never_the_end_back() {
    let events = [
        on_page("/b", event(1, "page_view", 5_000)),
        on_page("/c", event(2, "page_view", 9_000)),
        on_page("/a", event(3, "page_view", 0)),
        event(4, "js_error", 7_000),
    ];
    let session = fold(&events);
    assert_eq!(session.started_at.as_millis(), START);
    assert_eq!(session.duration_ms(), 9_000);
    assert_eq!(session.entry_page().unwrap().path, "/a");
    assert_eq!(session.exit_page().unwrap().path, "/c");
    assert_eq!((session.page_count, session.error_count, session.event_count), (3, 1, 4));
    assert!(session.has_error() && !session.is_bounce());
}

#[test]
fn equal_times_go_by_sequence() {
    let at = |sequence, event: Event| Event { sequence, ..event };
    let session = fold(&[
        at(2, on_page("/b", event(1, "page_view", 0))),
        at(3, on_page("/c", event(2, "page_view", 0))),
        at(1, on_page("/a", event(3, "page_view", 0))),
    ]);
    assert_eq!((session.entry_page().unwrap().path, session.exit_page().unwrap().path), ("/a", "/c"));
    let order: Vec<u64> = session.trail().steps().iter().map(|step| step.sequence).collect();
    assert_eq!(order, [1, 2, 3]);
    let stored = serde_json::to_string(&session).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&stored).unwrap(), session);
}

#[test]
fn a_page_view_decides_the_exit_page_before_mere_events() {
    let session = fold(&[
        on_page("/a", event(1, "page_view", 0)),
        on_page("/b", event(2, "page_view", 100)),
        on_page("/a", event(3, "web_vitals", 200)),
    ]);
    assert_eq!(session.exit_page().unwrap().path, "/b");
    let without_views = fold(&[on_page("/x", event(1, "click", 0)), on_page("/y", event(2, "click", 1))]);
    assert_eq!(without_views.entry_page().unwrap().path, "/x");
    assert_eq!(without_views.exit_page().unwrap().path, "/y");
}

#[test]
fn the_last_known_user_and_the_first_known_device_stay() {
    let identified = |event: Event, user: &str| Event { user_id: Some(UserId::new(user).unwrap()), ..event };
    let with_browser = |event: Event, browser: &str| Event {
        device: Device { browser: Some(browser.into()), ..Device::default() },
        ..event
    };
    let session = fold(&[
        identified(event(2, "click", 10), "u-2"),
        identified(event(1, "click", 5), "u-1"),
        with_browser(event(4, "click", 8), "Firefox"),
        with_browser(event(3, "click", 7), "Chrome"),
    ]);
    assert_eq!(session.user_id().unwrap().as_str(), "u-2");
    assert_eq!(session.device().unwrap().browser.as_deref(), Some("Chrome"));
}

#[test]
fn the_trail_keeps_the_earliest_steps_only() {
    let events: Vec<Event> =
        (0..1_500u32).map(|n| event(u128::from(n) + 1, "custom", i64::from(n))).collect();
    let session = fold(events.iter().rev());
    assert_eq!(session.event_count, 1_500);
    assert_eq!(session.trail().steps().len(), Trail::MAX_STEPS);
    assert_eq!(session.trail().steps().last().unwrap().at.as_millis(), START + 999);
}

/// Bytes of a session as stores keep it.
fn stored_bytes(session: &Session) -> usize {
    serde_json::to_vec(session).unwrap().len()
}

#[test]
fn a_long_path_is_cut_and_kept_once() {
    let path = format!("/{}", "ä".repeat(30_000));
    let clicks: Vec<Event> = (1..=1_000)
        .map(|n| on_page(&path, Event { payload: object(r#"{"x":1,"y":1}"#), ..event(n, "click", 0) }))
        .collect();
    let (first, rest) = clicks.split_at(500);
    let mut session = fold(first);
    session.merge(fold(rest));

    let paths: Vec<&SharedPath> = session
        .trail()
        .steps()
        .iter()
        .filter_map(|step| match &step.signal {
            Signal::Click { path, .. } => Some(path),
            _ => None,
        })
        .collect();
    assert_eq!(paths.len(), 1_000);
    assert_eq!(paths[0].chars().count(), Trail::MAX_PATH_CHARS);
    assert!(paths.iter().all(|path| Arc::ptr_eq(path, paths[0])));
    assert_eq!(session.entry_page().unwrap().path, &**paths[0]);
    let one = stored_bytes(&fold(&clicks[..1]));
    assert!(stored_bytes(&session) < one + 1_000 * 150, "{one} and {}", stored_bytes(&session));
}

#[test]
fn long_addresses_are_cut() {
    let mut view = event(1, "page_view", 0);
    view.device.os = Some("o".repeat(60_000).into());
    view.page = Page { url: "u".repeat(60_000), referrer: "r".repeat(60_000), ..Page::default() };
    let session = fold(&[view]);
    let page = session.entry_page().unwrap();
    assert_eq!((page.url.len(), page.referrer.len()), (Session::MAX_URL_CHARS, Session::MAX_URL_CHARS));
    assert_eq!(session.device().unwrap().os.as_deref(), Some(&*"o".repeat(255)));
}

#[test]
fn a_trail_that_was_taken_out_can_be_put_back() {
    let whole = fold(&[on_page("/a", event(1, "page_view", 0)), on_page("/a", event(2, "click", 5))]);
    let mut rest = whole.clone();
    let trail = rest.take_trail();
    assert!(rest.trail().steps().is_empty());
    assert_eq!(rest.with_trail(trail), whole);
}

#[test]
fn a_trail_that_names_no_path_of_its_list_is_refused() {
    let text = serde_json::to_string(fold(&[on_page("/a", event(1, "page_view", 0))]).trail()).unwrap();
    assert!(serde_json::from_str::<Trail>(&text).is_ok(), "{text}");
    assert!(serde_json::from_str::<Trail>(&text.replace(r#"["/a"]"#, "[]")).is_err());
}

fn any_event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        Just(("page_view", "{}")),
        Just(("scroll", r#"{"depth_percent":40}"#)),
        Just(("scroll", r#"{"depth_percent":90}"#)),
        Just(("js_error", r#"{"message":"m"}"#)),
        Just(("click", r#"{"x":10,"y":10,"target":{"tag":"button"}}"#)),
        Just(("click", r#"{"x":30,"y":20,"target":{"tag":"p"}}"#)),
        Just(("web_vitals", r#"{"lcp":4000}"#)),
        Just(("mouse_move", r#"{"positions":[{"x":0,"y":0,"timeOffset":-20},{"x":500,"y":0}]}"#)),
        Just(("custom", "{}")),
    ];
    let user = prop::option::of(0..3u8);
    (1..40u128, kind, 0..6_000i64, 0..4u8, user).prop_map(|(id, (name, payload), at, page, user)| {
        let sequence = u64::from(page) * 7;
        // One id stands for one event: what it is follows from it.
        let at = at - at % 100;
        Event {
            sequence,
            payload: object(payload),
            user_id: user.map(|n| UserId::new(format!("u{n}")).unwrap()),
            device: Device { os: user.map(|n| format!("os{n}").into()), ..Device::default() },
            ..on_page(&format!("/{page}"), event(id, name, at))
        }
    })
}

fn unique_events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(any_event(), 1..60).prop_map(|mut events| {
        events.sort_by_key(|event| event.event_id);
        events.dedup_by_key(|event| event.event_id);
        events
    })
}

proptest! {
    #[test]
    fn the_order_of_events_does_not_matter(events in unique_events(), seed in any::<u64>()) {
        let mut shuffled = events.clone();
        shuffle(&mut shuffled, seed);
        prop_assert_eq!(fold(&events), fold(&shuffled));
    }

    #[test]
    fn merging_is_commutative_and_associative(events in unique_events(), seed in any::<u64>()) {
        prop_assume!(events.len() >= 3);
        let mut shuffled = events.clone();
        shuffle(&mut shuffled, seed);
        let third = shuffled.len() / 3;
        let (a, rest) = shuffled.split_at(third.max(1));
        let (b, c) = rest.split_at((rest.len() / 2).max(1));
        prop_assume!(!c.is_empty());
        let (a, b, c) = (fold(a), fold(b), fold(c));
        let join = |mut left: Session, right: &Session| { left.merge(right.clone()); left };

        prop_assert_eq!(join(a.clone(), &b), join(b.clone(), &a));
        let left_first = join(join(a.clone(), &b), &c);
        let right_first = join(a, &join(b, &c));
        prop_assert_eq!(&left_first, &right_first);
        prop_assert_eq!(left_first, fold(&events));
    }

    #[test]
    fn a_stored_session_comes_back_as_it_was(events in unique_events()) {
        let session = fold(&events);
        let text = serde_json::to_string(&session).unwrap();
        prop_assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), session);
    }

    #[test]
    fn insights_do_not_depend_on_the_order(events in unique_events(), seed in any::<u64>()) {
        let mut shuffled = events.clone();
        shuffle(&mut shuffled, seed);
        let thresholds = InsightThresholds { rage_clicks: 3, ..InsightThresholds::default() };
        let find = |events: &[Event]| detect(fold(events).trail(), &thresholds);
        prop_assert_eq!(find(&events), find(&shuffled));
    }
}

/// Fisher-Yates with a linear congruential generator: the seed alone decides.
fn shuffle(events: &mut [Event], mut seed: u64) {
    for at in (1..events.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(seed >> 33).unwrap() % (at + 1);
        events.swap(at, other);
    }
}

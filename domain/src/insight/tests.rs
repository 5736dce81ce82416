use uuid::Uuid;

use super::*;
use crate::json::JsonObject;
use crate::session::Session;
use crate::{Event, EventName, Page, ProjectId, SessionId};

const START: i64 = 1_795_204_259_500;

fn event(event_type: &str, offset_ms: i64, path: &str, payload: &str) -> Event {
    Event {
        session_id: Some(SessionId::new("s").unwrap()),
        page: Page { path: path.into(), ..Page::default() },
        payload: serde_json::from_str::<JsonObject>(payload).unwrap(),
        ..Event::new(
            EventId::from_uuid(Uuid::from_u128(1)),
            ProjectId::new("p").unwrap(),
            EventName::new(event_type).unwrap(),
            Timestamp::from_millis(START + offset_ms),
        )
    }
}

fn click(offset_ms: i64, x: i32, tag: &str) -> Event {
    event("click", offset_ms, "/a", &format!(r#"{{"x":{x},"y":10,"target":{{"tag":"{tag}"}}}}"#))
}

fn view(offset_ms: i64, path: &str) -> Event {
    event("page_view", offset_ms, path, "{}")
}

fn alive(offset_ms: i64) -> Event {
    event("heartbeat", offset_ms, "/a", "{}")
}

/// What a session of these events shows, as kind, offset of the first event and count.
fn found(mut events: Vec<Event>) -> Vec<(InsightKind, i64, u32)> {
    for (n, event) in (1u128..).zip(&mut events) {
        event.event_id = EventId::from_uuid(Uuid::from_u128(n));
    }
    let first = &events[0];
    let mut session = Session::of(first, &first.details().unwrap()).unwrap();
    for event in &events[1..] {
        session.apply(event, &event.details().unwrap());
    }
    detect(session.trail(), &InsightThresholds::default())
        .into_iter()
        .map(|insight| (insight.kind, insight.first_at.as_millis() - START, insight.count))
        .collect()
}

#[test]
fn five_quick_clicks_on_a_spot_are_a_rage_click() {
    let clicks = |gap_ms: i64, n: i64| (0..n).map(|i| click(i * gap_ms, 10, "p")).collect::<Vec<_>>();
    assert_eq!(found(clicks(500, 5)), [(InsightKind::RageClick, 0, 5)]);
    assert_eq!(found(clicks(501, 5)), []);
    assert_eq!(found(clicks(100, 4)), []);
    assert_eq!(found(clicks(100, 7)), [(InsightKind::RageClick, 0, 7)], "one run is one insight");
}

#[test]
fn rage_needs_one_spot() {
    let spread = |px: i32| (0..5).map(|i| click(i64::from(i) * 100, i * px / 4, "p")).collect::<Vec<_>>();
    assert_eq!(found(spread(48)).len(), 1);
    assert_eq!(found(spread(56)), []);
}

#[test]
fn a_stray_click_hides_no_rage_and_makes_none() {
    let mut events: Vec<Event> = (0..5).map(|i| click(i * 100, 10, "p")).collect();
    events.push(click(250, 900, "p"));
    assert_eq!(found(events), [(InsightKind::RageClick, 0, 5)]);
    let apart = [0, -49, 49, 0, 0, -49].into_iter().zip(0..).map(|(x, i)| click(i * 100, 100 + x, "p"));
    assert_eq!(found(apart.collect()), [(InsightKind::RageClick, 0, 5)], "98 px are too far from each other");
    let apart = [0, -49, 49, 0, 49].into_iter().zip(0..).map(|(x, i)| click(i * 100, 100 + x, "p"));
    assert_eq!(found(apart.collect()), []);
}

#[test]
fn clicks_on_two_pages_are_no_rage() {
    let on = |at: i64, path: &str| event("click", at, path, r#"{"x":1,"y":1}"#);
    assert_eq!(found((0..5).map(|i| on(i * 100, if i < 3 { "/a" } else { "/b" })).collect()), []);
}

#[test]
fn two_runs_are_two_insights() {
    let mut events: Vec<Event> = (0..5).map(|i| click(i * 100, 10, "p")).collect();
    events.extend((0..6).map(|i| click(10_000 + i * 100, 10, "p")));
    assert_eq!(found(events), [(InsightKind::RageClick, 0, 5), (InsightKind::RageClick, 10_000, 6)]);
}

#[test]
fn a_click_without_an_answer_is_dead() {
    assert_eq!(found(vec![click(0, 1, "button"), alive(1_001)]), [(InsightKind::DeadClick, 0, 1)]);
    assert_eq!(found(vec![click(0, 1, "button"), alive(1_000), alive(5_000)]), []);
    assert_eq!(found(vec![click(0, 1, "p"), alive(5_000)]), [], "a paragraph promises nothing");
    assert_eq!(found(vec![click(0, 1, "BUTTON"), alive(5_000)]).len(), 1);
}

#[test]
fn a_click_is_not_judged_before_the_session_goes_on() {
    assert_eq!(found(vec![alive(0), click(10, 1, "a")]), []);
}

#[test]
fn an_answer_in_the_same_millisecond_counts_on_either_side() {
    assert_eq!(found(vec![alive(0), click(0, 1, "a"), alive(5_000)]), []);
    assert_eq!(found(vec![click(0, 1, "a"), alive(0), alive(5_000)]), []);
}

#[test]
fn clicks_are_no_answer_to_clicks() {
    let events = vec![click(0, 1, "a"), click(300, 200, "a"), alive(9_000)];
    assert_eq!(found(events), [(InsightKind::DeadClick, 0, 1), (InsightKind::DeadClick, 300, 1)]);
}

#[test]
fn a_role_makes_a_target_interactive() {
    let payload = r#"{"x":1,"y":1,"target":{"tag":"div","role":"button"}}"#;
    assert_eq!(found(vec![event("click", 0, "/", payload), alive(2_000)]).len(), 1);
}

#[test]
fn an_error_right_after_a_click_is_an_error_click() {
    let error = |at| event("js_error", at, "/a", "{}");
    assert_eq!(found(vec![click(0, 1, "p"), error(1_000)]), [(InsightKind::ErrorClick, 0, 1)]);
    assert_eq!(found(vec![click(0, 1, "p"), error(1_001)]), []);
    assert_eq!(found(vec![error(0), click(1, 1, "p")]), []);
}

#[test]
fn back_within_ten_seconds_is_a_u_turn() {
    let trip = |back_ms: i64| found(vec![view(0, "/a"), view(60_000, "/b"), view(60_000 + back_ms, "/a")]);
    assert_eq!(trip(10_000), [(InsightKind::UTurn, 60_000, 1)]);
    assert_eq!(trip(10_001), []);
    assert_eq!(found(vec![view(0, "/a"), view(10, "/a"), view(20, "/a")]), [], "a reload is no turn");
    let detour = vec![view(0, "/a"), view(1_000, "/b"), view(2_000, "/c"), view(3_000, "/a")];
    assert_eq!(found(detour), [(InsightKind::UTurn, 1_000, 1)]);
}

#[test]
fn slow_pages_are_over_the_limit_not_on_it() {
    let vitals = |payload| found(vec![event("web_vitals", 0, "/", payload)]);
    assert_eq!(vitals(r#"{"lcp":3001}"#), [(InsightKind::SlowPage, 0, 1)]);
    assert_eq!(vitals(r#"{"ttfb":801}"#).len(), 1);
    assert_eq!(vitals(r#"{"lcp":3000,"ttfb":800}"#), []);
}

#[test]
fn a_pointer_that_shakes_is_thrashed() {
    let moves = |n: i64, px: i64| {
        let places: Vec<String> = (0..n)
            .map(|i| format!(r#"{{"x":{},"y":5,"timeOffset":{}}}"#, (i % 2) * px, i * 100 - 2_000))
            .collect();
        event("mouse_move", 5_000, "/a", &format!(r#"{{"positions":[{}]}}"#, places.join(",")))
    };
    assert_eq!(found(vec![view(0, "/a"), moves(12, 400)]), [(InsightKind::ThrashedCursor, 3_100, 10)]);
    assert_eq!(found(vec![moves(9, 400)]), [], "too few turns");
    assert_eq!(found(vec![moves(12, 20)]), [], "a trembling hand");
}

#[test]
fn kinds_have_names_that_lead_back() {
    for kind in InsightKind::ALL {
        assert_eq!(InsightKind::from_name(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
    }
}

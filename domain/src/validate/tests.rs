mod payloads;

use super::*;
use crate::time::DAY_MS;

const NOW: Timestamp = Timestamp::from_millis(1_795_204_259_500);

fn facts() -> RequestFacts {
    RequestFacts {
        project_id: ProjectId::new("p").unwrap(),
        received_at: NOW,
        sent_at: None,
        user_required: false,
    }
}

fn judge(
    rules: &EventRules,
    facts: &RequestFacts,
    drafts: &[Result<EventDraft<'_>, Violation>],
) -> Vec<Result<Event, Violation>> {
    let client = ClientContext {
        device: Device { browser: Some("Chrome".into()), ..Device::default() },
        geo: Geo { country: Some("SE".into()), ..Geo::default() },
    };
    let drafted: Vec<Drafted<'_, '_>> = drafts
        .iter()
        .enumerate()
        .map(|(place, draft)| Drafted { place, draft: draft.as_ref(), client: Ok(&client) })
        .collect();
    rules.validate_all(facts, &drafted)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
fn draft<'a>() -> EventDraft<'a> {
    EventDraft {
        event_type: Some("page_view".into()),
        timestamp: Some(NOW.as_millis() as f64),
        ..EventDraft::default()
    }
}

fn validate(draft: EventDraft<'_>) -> Result<Event, Violation> {
    judge(&EventRules::default(), &facts(), &[Ok(draft)]).remove(0)
}

fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_good_event_gets_what_the_request_tells() {
    let event = validate(EventDraft {
        url: Some("https://shop.example/cart?coupon=x#top".into()),
        tags: vec!["a".into()],
        ..draft()
    })
    .unwrap();
    assert_eq!(event.page.path, "/cart");
    assert_eq!(event.device.browser.as_deref(), Some("Chrome"));
    assert_eq!(event.geo.country.as_deref(), Some("SE"));
    assert_eq!((event.timestamp, event.received_at, event.clock_skew_ms), (NOW, NOW, 0));
}

#[test]
fn events_of_a_request_have_sequences_in_their_order() {
    let take = |received_at| {
        let facts = RequestFacts { received_at, ..facts() };
        let drafts = [Ok(draft()), Err(Violation::missing("timestamp")), Ok(draft())];
        let events = judge(&EventRules::default(), &facts, &drafts);
        events.into_iter().flatten().map(|event| event.sequence).collect::<Vec<_>>()
    };
    let (first, second) = (take(NOW), take(NOW.plus_millis(1)));
    assert!(first[0] < first[1] && first[1] < second[0], "{first:?} {second:?}");
    assert_eq!(first[1] - first[0], 2, "places are those in the request");
}

#[test]
fn what_the_client_says_of_its_device_wins() {
    let device =
        DeviceDraft { browser: Some("Shop app".into()), os: Some("".into()), ..DeviceDraft::default() };
    let event = validate(EventDraft { device, ..draft() }).unwrap();
    assert_eq!(event.device.browser.as_deref(), Some("Shop app"));
    assert_eq!(event.device.os, None);
}

#[test]
fn every_rule_names_its_field() {
    let many = |n: usize| vec![Cow::from("t"); n];
    let long = |n: usize| Some(Cow::from("x".repeat(n)));
    let device = |n| DeviceDraft { screen_width: Some(n), ..DeviceDraft::default() };
    let cases: Vec<(EventDraft<'_>, &str, ViolationCode)> = vec![
        (EventDraft { event_type: None, ..draft() }, "event_type", ViolationCode::Missing),
        (EventDraft { event_type: long(0), ..draft() }, "event_type", ViolationCode::Missing),
        (EventDraft { event_type: long(101), ..draft() }, "event_type", ViolationCode::TooLong),
        (EventDraft { timestamp: None, ..draft() }, "timestamp", ViolationCode::Missing),
        (EventDraft { timestamp: Some(-1.0), ..draft() }, "timestamp", ViolationCode::OutOfRange),
        (EventDraft { user_id: long(101), ..draft() }, "user_id", ViolationCode::TooLong),
        (EventDraft { session_id: Some("a\0".into()), ..draft() }, "session_id", ViolationCode::NulCharacter),
        (EventDraft { channel: Some("Web".into()), ..draft() }, "channel", ViolationCode::NotAllowed),
        (EventDraft { tags: many(21), ..draft() }, "tags", ViolationCode::TooMany),
        (EventDraft { tags: vec![long(101).unwrap()], ..draft() }, "tags", ViolationCode::TooLong),
        (EventDraft { title: Some("\0".into()), ..draft() }, "title", ViolationCode::NulCharacter),
        (
            EventDraft { device: device(65_536.0), ..draft() },
            "device.screen_width",
            ViolationCode::OutOfRange,
        ),
        (EventDraft { title: long(65_537), ..draft() }, "event", ViolationCode::TooLarge),
    ];
    for (draft, field, code) in cases {
        let violation = validate(draft).unwrap_err();
        assert_eq!((&*violation.field, violation.code), (field, code), "{violation}");
    }
}

#[test]
fn payload_columns_are_checked_by_type() {
    let payload = raw(r#"{"x":70000}"#);
    let click =
        EventDraft { event_type: Some("click".into()), payload: Some(Cow::Borrowed(&*payload)), ..draft() };
    assert_eq!(validate(click).unwrap_err().field, "payload.x");
    let other = EventDraft { payload: Some(Cow::Borrowed(&*payload)), ..draft() };
    assert!(validate(other).is_ok());
}

#[test]
fn a_user_can_be_required() {
    let facts = RequestFacts { user_required: true, ..facts() };
    let verdicts = judge(
        &EventRules::default(),
        &facts,
        &[Ok(draft()), Ok(EventDraft { user_id: Some("u".into()), ..draft() })],
    );
    assert_eq!(verdicts[0].as_ref().unwrap_err().field, "user_id");
    assert!(verdicts[1].is_ok());
}

#[test]
fn skew_is_taken_off_and_kept() {
    let facts = RequestFacts { sent_at: Some(NOW.plus_millis(DAY_MS)), ..facts() };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let at = (NOW.as_millis() + DAY_MS - 40) as f64;
    let event = judge(&EventRules::default(), &facts, &[Ok(EventDraft { timestamp: Some(at), ..draft() })])
        .remove(0)
        .unwrap();
    assert_eq!((event.timestamp, event.clock_skew_ms), (NOW.plus_millis(-40), DAY_MS));
}

#[test]
fn a_retried_request_gives_the_same_ids() {
    let drafts = [Ok(draft()), Ok(draft()), Ok(EventDraft { path: Some("/a".into()), ..draft() })];
    let rules = EventRules::default();
    let ids = |facts: &RequestFacts| -> Vec<EventId> {
        judge(&rules, facts, &drafts).into_iter().map(|v| v.unwrap().event_id).collect()
    };
    let first = ids(&facts());
    let later = NOW.plus_millis(70_000);
    let retried = ids(&RequestFacts { received_at: later, sent_at: Some(later), ..facts() });
    assert_eq!(first, retried);
    let mut unique = first.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 3, "two identical events and another one are three");
}

#[test]
fn every_part_of_the_content_makes_the_identity() {
    let payload = raw(r#"{"a":1}"#);
    let variants = vec![
        draft(),
        EventDraft { event_type: Some("other".into()), ..draft() },
        EventDraft { timestamp: draft().timestamp.map(|t| t - 1.0), ..draft() },
        EventDraft { session_id: Some("s".into()), ..draft() },
        EventDraft { user_id: Some("s".into()), ..draft() },
        EventDraft { anonymous_id: Some("s".into()), ..draft() },
        EventDraft { channel: Some("web".into()), ..draft() },
        EventDraft { payload: Some(Cow::Borrowed(&*payload)), ..draft() },
        EventDraft { custom: Some(Cow::Borrowed(&*payload)), ..draft() },
        EventDraft { path: Some("/a".into()), ..draft() },
    ];
    let rules = EventRules::default();
    let ids: std::collections::BTreeSet<EventId> = variants
        .iter()
        .map(|draft| judge(&rules, &facts(), &[Ok(draft.clone())]).remove(0).unwrap().event_id)
        .collect();
    assert_eq!(ids.len(), variants.len());
}

#[test]
fn one_id_with_two_contents_is_refused() {
    let named =
        |path: &'static str| EventDraft { event_id: Some("e-1".into()), path: Some(path.into()), ..draft() };
    let verdicts =
        judge(&EventRules::default(), &facts(), &[Ok(named("/a")), Ok(named("/b")), Ok(named("/a"))]);
    assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
    let violation = verdicts[1].as_ref().unwrap_err();
    assert_eq!(violation.code, ViolationCode::ConflictingEventId);
    assert!(violation.reason.contains("event 0"));
}

#[test]
fn an_idempotency_key_names_the_event() {
    let rules = EventRules {
        idempotency_keys: [(EventName::new("attempt").unwrap(), "client_attempt_id".to_owned())].into(),
        ..EventRules::default()
    };
    let one = raw(r#"{"client_attempt_id":"a-1","score":1}"#);
    let again = raw(r#"{"client_attempt_id":"a-1","score":1,"retry":true}"#);
    let id_of = |payload: &RawValue, at: f64| {
        let draft = EventDraft {
            event_type: Some("attempt".into()),
            payload: Some(Cow::Borrowed(payload)),
            timestamp: Some(at),
            ..draft()
        };
        judge(&rules, &facts(), &[Ok(draft)]).remove(0).unwrap().event_id
    };
    let at = draft().timestamp.unwrap();
    assert_eq!(id_of(&one, at), id_of(&again, at - 10.0));
    assert_ne!(id_of(&one, at), id_of(&raw(r#"{"client_attempt_id":"a-2"}"#), at));
}

#[test]
fn a_draft_that_could_not_be_read_keeps_its_reason() {
    let unreadable = Violation::new("timestamp", ViolationCode::WrongType, "is text, must be a number");
    let verdicts = judge(&EventRules::default(), &facts(), &[Err(unreadable.clone()), Ok(draft())]);
    assert_eq!(verdicts[0].as_ref().unwrap_err(), &unreadable);
    assert!(verdicts[1].is_ok());
}

#[test]
fn an_event_may_say_what_its_client_is_and_what_sent_it() {
    let named = |library: &'static str| EventDraft { library: Some(library.into()), ..draft() };
    assert_eq!(validate(named("gosight-js/1.2.0")).unwrap().library.as_deref(), Some("gosight-js/1.2.0"));
    assert_eq!(validate(named("")).unwrap().library, None);
    let long = EventDraft { library: Some("x".repeat(101).into()), ..draft() };
    assert_eq!(validate(long).unwrap_err().field, "library");
    let client = |ip: &'static str| ClientDraft { ip: Some(ip.into()), user_agent: None };
    assert_eq!(client("::ffff:192.0.2.1").address().unwrap(), "192.0.2.1".parse().ok());
    assert!(client("").is_empty() && client("").address().unwrap().is_none());
    assert_eq!(client("nowhere").address().unwrap_err().field, "ip");
}

use std::borrow::Cow;

use gosight_domain::ViolationCode;

use gosight_application::surface::{Dialect, Failure, FailureCode, Head, Intake, IntakeRequest, ReadLimits};
use gosight_domain::validate::EventDraft;

use super::batch::{read_batch, read_single};
use super::json;
use super::ndjson::Ndjson;
use super::sdk::{STYLE, SdkReplay};

const GOOD: &str = r#"{"project_key":"k","sent_at":1795204259,"session_id":"s","unknown":[{"a":"\ud800"}],"events":[
    {"event_id":"1","type":"click","timestamp":1795204259500,"tags":["a","b"],"device":{"os":"macOS"},
     "payload":{"x":1.50}},
    {"event_id":"2","type":"q\u0022","timestamp":1795204259,"session_id":"t","custom":{}}]}"#;

fn sdk(text: &str) -> Result<IntakeRequest<'_>, Failure> {
    read_batch(text, STYLE, 1_000)
}

fn read<'a>(dialect: &dyn Dialect, body: &'a [u8]) -> Result<IntakeRequest<'a>, Failure> {
    let head = Head { path: dialect.paths()[0], query: None, header: &|_| None };
    dialect.read(&head, body, ReadLimits { max_items: 1_000 })
}

fn event<'r, 'a>(request: &'r IntakeRequest<'a>, index: usize) -> &'r EventDraft<'a> {
    match &request.items[index] {
        Ok(Intake::Event(draft)) => draft,
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_is_borrowed_unless_it_has_escapes() {
    let batch = sdk(GOOD).unwrap();
    let first = event(&batch, 0);
    assert!(matches!(first.event_type, Some(Cow::Borrowed("click"))));
    assert!(matches!(first.session_id, Some(Cow::Borrowed("s"))));
    assert!(matches!(first.tags[..], [Cow::Borrowed("a"), Cow::Borrowed("b")]));
    assert!(matches!(first.device.os, Some(Cow::Borrowed("macOS"))));
    assert_eq!(first.payload.as_ref().unwrap().get(), r#"{"x":1.50}"#);
    let second = event(&batch, 1);
    assert!(matches!(&second.event_type, Some(Cow::Owned(text)) if text == "q\""));
    assert_eq!(second.session_id.as_deref(), Some("t"));
}

#[test]
fn both_ways_to_read_give_the_same_drafts() {
    let bad = GOOD.replace("]}", r#",{"type":5}]}"#);
    // The last event sends the whole batch the slow way.
    let slow = sdk(&bad).unwrap();
    let fast = sdk(GOOD).unwrap();
    assert_eq!((fast.items.len(), slow.items.len()), (2, 3));
    for (fast, slow) in fast.items.iter().zip(&slow.items) {
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
    }
    assert_eq!(format!("{:?}", (fast.sent_at, &fast.key)), format!("{:?}", (slow.sent_at, &slow.key)));
    let violation = slow.items[2].as_ref().unwrap_err();
    assert_eq!((violation.code, &*violation.field), (ViolationCode::WrongType, "type"));
}

#[test]
fn only_as_many_events_as_allowed_take_memory() {
    for event in ["{}", "5"] {
        let text = format!(r#"{{"events":[{}]}}"#, vec![event; 5_000].join(","));
        let batch = read_batch(&text, STYLE, 10).unwrap();
        assert_eq!((batch.found, batch.items.len()), (5_000, 10));
        assert!(batch.items.capacity() < 100);
    }
    let exact = r#"{"events":[{},{}]}"#;
    assert_eq!(read_batch(exact, STYLE, 2).unwrap().found, 2);
}

#[test]
fn lists_without_end_are_refused() {
    let tags = vec![r#""""#; 100_000].join(",");
    let text = format!(r#"{{"events":[{{"type":"t","tags":[{tags}]}}]}}"#);
    let batch = sdk(&text).unwrap();
    assert_eq!(&*batch.items[0].as_ref().unwrap_err().field, "tags");
}

#[test]
fn a_cut_body_is_refused_wherever_it_is_cut() {
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        let cut = &GOOD[..end];
        assert_eq!(sdk(cut).unwrap_err().code, FailureCode::InvalidJson, "{cut}");
        assert_eq!(read_single(cut, STYLE).unwrap_err().code, FailureCode::InvalidJson, "{cut}");
        assert!(read(&SdkReplay, cut.as_bytes()).is_err());
    }
}

#[test]
fn a_broken_character_never_does_more_than_break_its_event_or_its_body() {
    for at in 0..GOOD.len() {
        for other in ["\"", "{", "}", "[", "]", ",", ":", "\\", "9", "-", "n", " ", "\u{1}"] {
            let mut text = GOOD.to_owned();
            text.replace_range(at..=at, other);
            if let Ok(batch) = sdk(&text) {
                assert!(batch.items.len() <= 4, "{text}");
            }
            let _ = read_single(&text, STYLE);
            let _ = read(&SdkReplay, text.as_bytes());
            let _ = read(&Ndjson, text.as_bytes());
        }
    }
}

#[test]
fn nesting_that_no_event_has_is_named() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(json::check_depth(&nested(64)).is_ok());
    assert_eq!(json::check_depth(&nested(65)).unwrap_err().code, FailureCode::TooDeep);
    assert!(json::check_depth(&format!(r#"{{"a":"\\\"{}"}}"#, "[".repeat(99))).is_ok(), "brackets in text");
    let error = serde_json::from_str::<serde_json::Value>(&nested(200)).unwrap_err();
    assert_eq!(json::violation("payload", "event", &error).code, ViolationCode::TooDeep);
}

#[test]
fn a_line_is_an_event_a_profile_or_an_alias_and_a_bad_one_costs_no_other() {
    let body = b"{\"type\":\"a\",\"ip\":\"192.0.2.1\"}\n\r\n  \n{\"profile\":{\"user_id\":\"u\",\"properties\":{\"plan\":\"pro\"}}}\r\n\
        {\"alias\":{\"previous_id\":\"x\",\"user_id\":\"u\"}}\nnonsense\n\xff\xfe\n{\"profile\":{}}\n\
        {\"type\":\"b\",\"payload\":{\"profile\":1}}";
    let request = read(&Ndjson, body).unwrap();
    assert_eq!((request.found, request.items.len(), request.names.len()), (7, 7, 7));
    assert_eq!(event(&request, 0).client.ip.as_deref(), Some("192.0.2.1"));
    assert!(matches!(&request.items[1], Ok(Intake::Profile(profile)) if profile.id.as_deref() == Some("u")));
    assert!(
        matches!(&request.items[2], Ok(Intake::Alias(alias)) if alias.previous_id.as_deref() == Some("x"))
    );
    let codes: Vec<ViolationCode> =
        request.items[3..6].iter().map(|item| item.as_ref().unwrap_err().code).collect();
    let expected = [ViolationCode::InvalidJson, ViolationCode::InvalidJson, ViolationCode::Inconsistent];
    assert_eq!(codes, expected);
    assert_eq!(event(&request, 6).event_type.as_deref(), Some("b"));
    let head = Head { path: "", query: None, header: &|_| None };
    let capped = Ndjson.read(&head, body, ReadLimits { max_items: 2 }).unwrap();
    assert_eq!((capped.found, capped.items.len()), (7, 2));
}

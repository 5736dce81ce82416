use std::borrow::Cow;

use gosight_domain::ViolationCode;

use super::batch::{Batch, read_batch, read_single};
use super::event::Door;
use super::json;
use crate::error::ErrorCode;

const GOOD: &str = r#"{"project_key":"k","sent_at":1795204259,"session_id":"s","unknown":[{"a":"\ud800"}],"events":[
    {"event_id":"1","type":"click","timestamp":1795204259500,"tags":["a","b"],"device":{"os":"macOS"},
     "payload":{"x":1.50}},
    {"event_id":"2","type":"q\u0022","timestamp":1795204259,"session_id":"t","custom":{}}]}"#;

fn sdk(text: &str) -> Result<Batch<'_>, crate::error::ApiError> {
    read_batch(text, Door::Sdk, 1_000)
}

#[test]
fn text_is_borrowed_unless_it_has_escapes() {
    let batch = sdk(GOOD).unwrap();
    let first = batch.drafts[0].as_ref().unwrap();
    assert!(matches!(first.event_type, Some(Cow::Borrowed("click"))));
    assert!(matches!(first.session_id, Some(Cow::Borrowed("s"))));
    assert!(matches!(first.tags[..], [Cow::Borrowed("a"), Cow::Borrowed("b")]));
    assert!(matches!(first.device.os, Some(Cow::Borrowed("macOS"))));
    assert_eq!(first.payload.unwrap().get(), r#"{"x":1.50}"#);
    let second = batch.drafts[1].as_ref().unwrap();
    assert!(matches!(&second.event_type, Some(Cow::Owned(text)) if text == "q\""));
    assert_eq!(second.session_id.as_deref(), Some("t"));
}

#[test]
fn both_ways_to_read_give_the_same_drafts() {
    let bad = GOOD.replace("]}", r#",{"type":5}]}"#);
    // The last event sends the whole batch the slow way.
    let slow = sdk(&bad).unwrap();
    let fast = sdk(GOOD).unwrap();
    assert_eq!((fast.drafts.len(), slow.drafts.len()), (2, 3));
    for (fast, slow) in fast.drafts.iter().zip(&slow.drafts) {
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
    }
    assert_eq!(format!("{:?}", (fast.sent_at, &fast.key)), format!("{:?}", (slow.sent_at, &slow.key)));
    let violation = slow.drafts[2].as_ref().unwrap_err();
    assert_eq!((violation.code, &*violation.field), (ViolationCode::WrongType, "type"));
}

#[test]
fn only_as_many_events_as_allowed_take_memory() {
    for event in ["{}", "5"] {
        let text = format!(r#"{{"events":[{}]}}"#, vec![event; 5_000].join(","));
        let batch = read_batch(&text, Door::Sdk, 10).unwrap();
        assert_eq!((batch.found, batch.drafts.len()), (5_000, 10));
        assert!(batch.drafts.capacity() < 100);
    }
    let exact = r#"{"events":[{},{}]}"#;
    assert_eq!(read_batch(exact, Door::Sdk, 2).unwrap().found, 2);
}

#[test]
fn lists_without_end_are_refused() {
    let tags = vec![r#""""#; 100_000].join(",");
    let text = format!(r#"{{"events":[{{"type":"t","tags":[{tags}]}}]}}"#);
    let batch = sdk(&text).unwrap();
    assert_eq!(&*batch.drafts[0].as_ref().unwrap_err().field, "tags");
}

#[test]
fn a_cut_body_is_refused_wherever_it_is_cut() {
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        let cut = &GOOD[..end];
        assert_eq!(sdk(cut).unwrap_err().code, ErrorCode::InvalidJson, "{cut}");
        assert_eq!(read_single(cut).unwrap_err().code, ErrorCode::InvalidJson, "{cut}");
        assert!(super::replay::read(cut).is_err());
    }
}

#[test]
fn a_broken_character_never_does_more_than_break_its_event_or_its_body() {
    for at in 0..GOOD.len() {
        for other in ["\"", "{", "}", "[", "]", ",", ":", "\\", "9", "-", "n", " ", "\u{1}"] {
            let mut text = GOOD.to_owned();
            text.replace_range(at..=at, other);
            if let Ok(batch) = sdk(&text) {
                assert!(batch.drafts.len() <= 4, "{text}");
            }
            let _ = read_single(&text);
            let _ = super::replay::read(&text);
        }
    }
}

#[test]
fn nesting_that_no_event_has_is_named() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(json::check_depth(&nested(64)).is_ok());
    assert_eq!(json::check_depth(&nested(65)).unwrap_err().code, ErrorCode::TooDeep);
    assert!(json::check_depth(&format!(r#"{{"a":"\\\"{}"}}"#, "[".repeat(99))).is_ok(), "brackets in text");
    let error = serde_json::from_str::<serde_json::Value>(&nested(200)).unwrap_err();
    assert_eq!(json::violation("payload", "event", &error).code, ViolationCode::TooDeep);
}

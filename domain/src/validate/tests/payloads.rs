//! A payload is read once, with the outcome of checking it first and reading its columns then.

use super::*;
use crate::json::reads;

const TYPES: [&str; 6] = ["click", "scroll", "js_error", "web_vitals", "mouse_move", "search"];

const NAMES: [&str; 16] = [
    "x",
    r"\u0078",
    "y",
    "target",
    "depth_percent",
    "message",
    "stack",
    "errorType",
    "error_type",
    "lcp",
    "cls",
    "positions",
    "other",
    r"nul\u0000",
    r"half\ud800",
    "",
];

const VALUES: [&str; 30] = [
    "1",
    "-1.5",
    "99999",
    "12345678901234567890123",
    "1e999",
    "null",
    "true",
    r#""text""#,
    r#""tab\t \ud83d\ude00""#,
    r#""nul\u0000""#,
    r#""half\ud800""#,
    "[]",
    "[1,null]",
    "[1e999]",
    r#"["nul\u0000"]"#,
    r#"["half\ud800"]"#,
    "{}",
    r#"{"tag":"a","other":{"x":[1]}}"#,
    r#"{"tag":"tab\t"}"#,
    r#"{"tag":"nul\u0000"}"#,
    r#"{"tag":"half\ud800"}"#,
    r#"{"tag":1}"#,
    r#"{"tag":"a","tag":"b"}"#,
    r#"{"other":1e999}"#,
    r#"{"other":{"nul\u0000":1}}"#,
    r#"{"other":"half\ud800"}"#,
    "[{\"x\":1,\n\"y\":2,\"timeOffset\":-5,\"other\":[]},{}]",
    r#"[{"x":1,"timeOffset":1,"offset_ms":2}]"#,
    r#"[{"x":99999,"y":1}]"#,
    "[[1,2,3]]",
];

fn with_payload(event_type: &'static str, payload: &RawValue) -> Result<Event, Violation> {
    validate(EventDraft {
        event_type: Some(event_type.into()),
        payload: Some(Cow::Borrowed(payload)),
        ..draft()
    })
}

fn in_two_steps(event_type: &str, payload: &RawValue) -> Result<JsonObject, Violation> {
    let object = JsonObject::parse("payload", payload, MAX_DEPTH)?;
    Details::extract(event_type, object.as_str())?;
    Ok(object)
}

/// Gives how many were good.
fn compare(text: &str) -> usize {
    let payload = raw(text);
    let good = |event_type: &&'static str| {
        let expected = in_two_steps(event_type, &payload);
        reads::take();
        let found = with_payload(event_type, &payload).map(|event| event.payload);
        let reads = reads::take();
        assert_eq!(found, expected, "{event_type} {text}");
        let empty = expected.as_ref().is_ok_and(JsonObject::is_empty);
        assert!(found.is_err() || reads == u32::from(!empty), "{event_type} {text} is read {reads} times");
        found.is_ok()
    };
    TYPES.iter().filter(|event_type| good(event_type)).count()
}

#[test]
fn one_pass_finds_what_two_find() {
    let (mut all, mut good) = (0, 0);
    for value in VALUES {
        good += compare(value);
        for name in NAMES {
            for text in [
                format!(r#"{{"{name}":{value}}}"#),
                format!(r#"{{ "other" : [{{}}], "{name}" : {value} , "x":2 }}"#),
                format!(r#"{{"{name}":{value},"{name}":{value}}}"#),
                format!(r#"{{"other":{{"a":[{{"{name}":{value}}}]}}}}"#),
                format!(r#"{{"target":{{"{name}":{value},"text":"b"}}}}"#),
                format!(r#"{{"positions":[{{"y":1,"{name}":{value}}}]}}"#),
            ] {
                all += TYPES.len();
                good += compare(&text);
            }
        }
    }
    assert!((all / 4..all / 4 * 3).contains(&good), "{good} of {all} are good: both kinds must be many");
}

#[test]
fn levels_are_counted_wherever_they_stand() {
    for name in NAMES {
        for levels in [62, 63, 64, 65, 130] {
            let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
            for value in [arrays, objects] {
                compare(&format!(r#"{{"{name}":{value}}}"#));
                compare(&format!(r#"{{"target":{{"{name}":{value}}}}}"#));
                compare(&format!(r#"{{"positions":[{{"{name}":{value}}}]}}"#));
            }
        }
    }
}

#[test]
fn what_is_wrong_with_custom_is_said_before_what_is_wrong_with_a_column() {
    let (payload, custom) = (raw(r#"{"x":"left"}"#), raw("[]"));
    let custom = Some(Cow::Borrowed(&*custom));
    let draft = EventDraft {
        event_type: Some("click".into()),
        payload: Some(Cow::Borrowed(&*payload)),
        custom,
        ..draft()
    };
    assert_eq!(validate(draft).unwrap_err().field, "custom");
    assert_eq!(with_payload("click", &payload).unwrap_err().field, "payload.x");
}

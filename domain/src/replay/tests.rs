use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_204_260_000);
const EVENTS: &str = r#"[ {"type":4,"data":{},"timestamp":1795204259580},
  {"type":2,"data":{"text":"\ud800"},"timestamp":1795204259610.5}, {"timestamp":1795204259590,"type":99} ]"#;

fn validate_with(change: impl FnOnce(&mut ReplayDraft<'_>)) -> Result<ReplayChunk, Violation> {
    validate(EVENTS, change)
}

fn validate(events: &str, change: impl FnOnce(&mut ReplayDraft<'_>)) -> Result<ReplayChunk, Violation> {
    let raw: Box<RawValue> = serde_json::from_str(events).unwrap();
    let mut draft = draft(&raw);
    change(&mut draft);
    Ok(check(draft)?.chunk)
}

fn draft(events: &RawValue) -> ReplayDraft<'_> {
    ReplayDraft {
        session_id: Some("s".into()),
        chunk_index: Some(0.0),
        timestamp_start: Some(1_795_204_259_580.0),
        timestamp_end: Some(1_795_204_259_610.0),
        event_count: None,
        events: Some(events),
        gzip: Some(b"gzip"),
    }
}

fn check(draft: ReplayDraft<'_>) -> Result<CheckedReplay<'_>, Violation> {
    ReplayRules::default().validate(&ProjectId::new("p").unwrap(), NOW, draft)
}

#[test]
fn events_keep_their_very_bytes() {
    let raw: Box<RawValue> = serde_json::from_str(EVENTS).unwrap();
    let checked = check(draft(&raw)).unwrap();
    let text = r#"[{"type":4,"data":{},"timestamp":1795204259580},{"type":2,"data":{"text":"\ud800"},"timestamp":1795204259610.5},{"timestamp":1795204259590,"type":99}]"#;
    assert_eq!(checked.events, text);
    assert_eq!(checked.chunk.event_count, 3);
    assert!(checked.chunk.has_full_snapshot);
    assert_eq!(checked.chunk.content, ContentHash::of(text.as_bytes()));
    assert_eq!(checked.chunk.raw_bytes as usize, text.len());

    assert_eq!(checked.gzip, None, "it has the spaces between the events too");
    let raw = RawValue::from_string(text.to_owned()).unwrap();
    assert_eq!(check(draft(&raw)).unwrap().gzip, Some(&b"gzip"[..]));
}

#[test]
fn what_is_no_rrweb_is_refused() {
    for (events, field) in [
        ("{}", "events"),
        ("[]", "events"),
        ("[1]", "events[0]"),
        (r#"[{"type":"2","timestamp":1795204259580}]"#, "events[0]"),
        (r#"[{"type":2.5,"timestamp":1795204259580}]"#, "events[0]"),
        (r#"[{"type":2}]"#, "events[0]"),
        ("[[2,1795204259580]]", "events[0]"),
        (r#"[{"type":2,"timestamp":-5}]"#, "events[0].timestamp"),
    ] {
        assert_eq!(validate(events, |_| {}).unwrap_err().field, field, "{events}");
    }
}

#[test]
fn what_the_client_says_must_agree() {
    let start = validate_with(|draft| draft.timestamp_start = Some(1_795_204_259_581.0)).unwrap_err();
    assert_eq!((&*start.field, start.code), ("timestamp_start", ViolationCode::Inconsistent));
    let end = validate_with(|draft| draft.timestamp_end = Some(1_795_204_259_500.0)).unwrap_err();
    assert_eq!((&*end.field, end.code), ("timestamp_end", ViolationCode::Inconsistent));
    let count = validate_with(|draft| draft.event_count = Some(2)).unwrap_err();
    assert_eq!((&*count.field, count.code), ("event_count", ViolationCode::Inconsistent));
    assert!(validate_with(|draft| draft.event_count = Some(3)).is_ok());
}

#[test]
fn an_index_fits_its_column() {
    for bad in [-1.0, 65_536.0, 0.5, f64::NAN] {
        let violation = validate_with(|draft| draft.chunk_index = Some(bad)).unwrap_err();
        assert_eq!((&*violation.field, violation.code), ("chunk_index", ViolationCode::OutOfRange));
    }
    assert_eq!(validate_with(|draft| draft.chunk_index = Some(65_535.0)).unwrap().chunk_index, 65_535);
}

#[test]
fn missing_fields_are_named() {
    let missing = |change: fn(&mut ReplayDraft<'_>)| {
        let violation = validate_with(change).unwrap_err();
        assert_eq!(violation.code, ViolationCode::Missing);
        violation.field.into_owned()
    };
    assert_eq!(missing(|draft| draft.session_id = None), "session_id");
    assert_eq!(missing(|draft| draft.chunk_index = None), "chunk_index");
    assert_eq!(missing(|draft| draft.timestamp_start = None), "timestamp_start");
    assert_eq!(missing(|draft| draft.timestamp_end = None), "timestamp_end");
    assert_eq!(missing(|draft| draft.events = None), "events");
}

#[test]
fn a_header_round_trips_without_the_data() {
    let chunk = ReplayChunk { data: vec![1, 2, 3], ..validate_with(|_| {}).unwrap() };
    let text = serde_json::to_string(&chunk).unwrap();
    assert!(!text.contains("data"));
    let back: ReplayChunk = serde_json::from_str(&text).unwrap();
    assert_eq!(ReplayChunk { data: chunk.data.clone(), ..back }, chunk);
    assert!(serde_json::from_str::<ContentHash>("\"00\"").is_err());
    assert!(serde_json::from_str::<ContentHash>(&format!("\"{}\"", "z".repeat(64))).is_err());
}

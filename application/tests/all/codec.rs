//! What is stored in the log. The golden files are records of the first release: they must be read for ever.

use std::io::Read as _;
use std::net::IpAddr;

use flate2::read::GzDecoder;
use gosight_application::codec::{DecodeError, decode_chunk, decode_event, encode_chunk, encode_event};
use gosight_conformance::factory::{NOON, event_id, object, project, session_id};
use gosight_domain::replay::{ContentHash, ReplayChunk};
use gosight_domain::{AnonymousId, CampaignId, Channel, Device, Event, EventName, Geo, Page, Tag, UserId};
use serde_json::{Value, json};

const EVENT: &[u8] = include_bytes!("../../../tests/golden/event.v1.json");
const CHUNK: &[u8] = include_bytes!("../../../tests/golden/chunk.v1.bin");

/// The event in the golden file. Every field is filled.
fn golden_event() -> Event {
    let id = event_id(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
    let payload = r##"{"x":10,"y":20,"price":129.90,"target":{"selector":"#buy","tag":"button"}}"##;
    Event {
        received_at: NOON.plus_millis(1_520),
        clock_skew_ms: -7_000,
        session_id: Some(session_id("s-1")),
        user_id: Some(UserId::new("u-1").unwrap()),
        anonymous_id: Some(AnonymousId::new("a-1").unwrap()),
        channel: Some(Channel::MobileApp),
        campaign_id: Some(CampaignId::new("spring").unwrap()),
        tags: vec![Tag::new("new").unwrap(), Tag::new("süß").unwrap()],
        page: Page {
            url: "https://shop.example/a?b=c".into(),
            path: "/a".into(),
            title: "Ä ☕".into(),
            referrer: "https://example.com/".into(),
        },
        device: golden_device(),
        geo: Geo {
            ip: Some(IpAddr::from([192, 0, 2, 7])),
            country: Some("NZ".into()),
            city: Some("Auckland".into()),
        },
        payload: object(payload),
        custom: object(r#"{"variant": "A"}"#),
        context: object(r#"{"user":{"plan":"gold"}}"#),
        routes: vec!["vip".into(), "audit".into()],
        ..Event::new(id, project("p"), EventName::new("click").unwrap(), NOON.plus_millis(1_500))
    }
}

fn golden_device() -> Device {
    Device {
        browser: Some("Firefox".into()),
        browser_version: Some("150.0".into()),
        os: Some("Android".into()),
        os_version: Some("17".into()),
        device_type: Some("mobile".into()),
        screen_width: Some(412),
        screen_height: Some(915),
        viewport_width: Some(412),
        viewport_height: Some(785),
    }
}

const RRWEB: &str = r#"[{"type":2,"timestamp":1795176004000},{"type":3,"timestamp":1795176004900}]"#;

/// `RRWEB` in gzip, stored without compression: no library decides over these bytes.
fn stored_gzip() -> Vec<u8> {
    let len = u16::try_from(RRWEB.len()).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(RRWEB.as_bytes());
    let mut data = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    data.extend(len.to_le_bytes());
    data.extend((!len).to_le_bytes());
    data.extend(RRWEB.as_bytes());
    data.extend(crc.sum().to_le_bytes());
    data.extend(u32::from(len).to_le_bytes());
    data
}

/// The chunk in the golden file.
fn golden_chunk() -> ReplayChunk {
    ReplayChunk {
        project_id: project("p"),
        session_id: session_id("s"),
        chunk_index: 4,
        timestamp_start: NOON.plus_millis(4_000),
        timestamp_end: NOON.plus_millis(4_900),
        received_at: NOON.plus_millis(5_000),
        event_count: 2,
        has_full_snapshot: true,
        raw_bytes: 75,
        content: ContentHash::of(RRWEB.as_bytes()),
        stored_bytes: u32::try_from(stored_gzip().len()).unwrap(),
        data: stored_gzip(),
    }
}

/// A record with what every event has, and `more`.
#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
fn event_with(more: Value) -> Vec<u8> {
    let mut record = json!({
        "event_id": "00000000-0000-0000-0000-000000000001", "project_id": "p", "event_type": "click",
        "timestamp": NOON.as_millis(), "received_at": NOON.as_millis(),
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::to_vec(&record).unwrap()
}

#[test]
fn an_event_is_written_as_it_always_was() {
    let record = encode_event(&golden_event()).unwrap();
    assert_eq!(std::str::from_utf8(&record.value), std::str::from_utf8(EVENT.trim_ascii_end()));
    assert_eq!(record.key, "s-1");
}

#[test]
fn an_event_of_the_first_release_is_read() {
    assert_eq!(decode_event(EVENT).unwrap().into_event(), golden_event());
}

#[test]
fn an_event_with_nothing_but_what_every_event_has_is_read() {
    let expected = Event::new(event_id(1), project("p"), EventName::new("click").unwrap(), NOON);
    assert_eq!(decode_event(&event_with(json!({}))).unwrap().into_event(), expected);
    let record = encode_event(&expected).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&record.value).unwrap(), to_value(&event_with(json!({}))));
}

fn to_value(record: &[u8]) -> Value {
    serde_json::from_slice(record).unwrap()
}

#[test]
fn an_event_of_a_later_release_is_read_without_what_is_new() {
    let newer = event_with(json!({"mood": {"is": ["new"]}, "page": {"path": "/a", "language": "en"}}));
    let event = decode_event(&newer).unwrap().into_event();
    assert_eq!((event.event_id, event.page.path.as_str()), (event_id(1), "/a"));
}

#[test]
fn a_chunk_is_written_as_it_always_was() {
    let record = encode_chunk(&golden_chunk()).unwrap();
    assert_eq!(record.value, CHUNK);
    assert_eq!(record.key, "s");
}

#[test]
fn a_chunk_of_the_first_release_is_read() {
    let chunk = decode_chunk(CHUNK).unwrap();
    assert_eq!(chunk, golden_chunk());
    let mut text = String::new();
    GzDecoder::new(&*chunk.data).read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), chunk.raw_bytes as usize), (RRWEB, RRWEB.len()));
}

#[test]
fn data_may_have_line_breaks() {
    let chunk = ReplayChunk { stored_bytes: 6, data: b"\n\na\nb\n".to_vec(), ..golden_chunk() };
    assert_eq!(decode_chunk(&encode_chunk(&chunk).unwrap().value).unwrap(), chunk);
}

#[test]
fn a_broken_event_gives_its_reason() {
    for (record, reason) in [
        (b"".to_vec(), "not_json"),
        (b"{\"event_id\":".to_vec(), "not_json"),
        (b"\xff\xfe".to_vec(), "not_json"),
        (b"{} {}".to_vec(), "invalid_record"),
        (b"[1,2]".to_vec(), "invalid_record"),
        (event_with(json!({"event_id": "no uuid"})), "invalid_record"),
        (event_with(json!({"project_id": "../etc"})), "invalid_record"),
        (event_with(json!({"payload": [1]})), "invalid_record"),
        (event_with(json!({"device": {"screen_width": 70_000}})), "invalid_record"),
        (event_with(json!({"payload": {"x": 70_000}})), "out_of_range"),
        (event_with(json!({"payload": {"target": 5}})), "wrong_type"),
        (event_with(json!({"payload": {"target": {"text": "a\0"}}})), "nul_character"),
    ] {
        let text = String::from_utf8_lossy(&record).into_owned();
        let error = decode_event(&record).expect_err(&text);
        assert_eq!(error.reason(), reason, "{text}: {error}");
    }
}

#[test]
fn a_broken_chunk_gives_its_reason() {
    let header = CHUNK.split(|&byte| byte == b'\n').next().unwrap();
    let with_end = [header, b"\n"].concat();
    let other_content = String::from_utf8_lossy(header).replace("\"content\":\"", "\"content\":\"zz");
    for (record, reason) in [
        (b"".as_slice(), "not_json"),
        (b"\n\x1f\x8b", "not_json"),
        (b"{}\n\x1f\x8b", "invalid_record"),
        (header, "invalid_record"),
        (&with_end, "invalid_record"),
        (other_content.as_bytes(), "invalid_record"),
    ] {
        let text = String::from_utf8_lossy(record);
        let error = decode_chunk(record).expect_err(&text);
        assert_eq!(error.reason(), reason, "{text}: {error}");
    }
    assert!(matches!(decode_chunk(header), Err(DecodeError::NoData)));
    assert!(matches!(decode_chunk(&with_end), Err(DecodeError::NoData)));
}

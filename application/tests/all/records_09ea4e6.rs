//! Records that version 09ea4e6 wrote, one of each kind. `tests/fixtures/09ea4e6/README.md` says where they are from.

use std::borrow::Cow;
use std::io::Read as _;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::GzDecoder;
use gosight_application::codec::{decode_chunk, decode_event, encode_chunk, encode_event};
use gosight_application::ingest::{ClientFacts, IngestError};
use gosight_application::logs;
use gosight_application::ports::{AcceptedChunks as _, ChunkId, Record};
use gosight_conformance::factory::{object, project, session_id};
use gosight_domain::key::{Ingest as IngestScope, Scoped};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplayDraft};
use gosight_domain::validate::EventDraft;
use gosight_domain::{
    AnonymousId, CampaignId, Channel, Device, Event, EventId, EventName, Geo, Page, Tag, Timestamp, UserId,
};
use gosight_memory::{ManualClock, MemoryAcceptedChunks, MemoryLog};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::support::IngestBench;

const EVENT: &[u8] = include_bytes!("../../../tests/fixtures/09ea4e6/records/event.json");
const FULL_EVENT: &[u8] = include_bytes!("../../../tests/fixtures/09ea4e6/records/event-full.json");
const CHUNK: &[u8] = include_bytes!("../../../tests/fixtures/09ea4e6/records/replay-chunk.bin");
const REFUSED_EVENT: &[u8] = include_bytes!("../../../tests/fixtures/09ea4e6/records/refused-event.json");
const REFUSED_CHUNK: &[u8] = include_bytes!("../../../tests/fixtures/09ea4e6/records/refused-chunk.json");
/// Where each of them stood, and its key.
const INDEX: &[u8] = include_bytes!("../../../tests/fixtures/09ea4e6/records/index.json");

/// What a record is compared with: its value, and the key that the index gives it.
#[track_caller]
fn assert_written(record: &Record, name: &str, value: &[u8]) {
    let index: Value = serde_json::from_slice(INDEX).unwrap();
    let key = STANDARD.decode(index[name]["key"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8_lossy(&record.value), String::from_utf8_lossy(value), "{name}");
    assert_eq!(record.key, key, "{name}");
}

fn id(text: &str) -> EventId {
    EventId::from_uuid(text.parse().unwrap())
}

fn event() -> Event {
    let at = Timestamp::from_millis(1_795_795_405_383);
    let id = id("5a11a999-ed7b-4f58-9ebc-355dcadb4578");
    Event {
        received_at: Timestamp::from_millis(1_795_795_484_409),
        sequence: 1_883_028_045_859_651_584,
        session_id: Some(session_id("3e5c25c0-1199-4c90-97e8-b6d40bf61af7")),
        user_id: Some(UserId::new("u-1001").unwrap()),
        page: Page {
            url: "http://127.0.0.1:8173/shop/deals?utm_campaign=autumn".into(),
            path: "/shop/deals".into(),
            title: "Deals – Kettle & Cup".into(),
            ..Page::default()
        },
        device: Device {
            browser: Some("Chrome".into()),
            browser_version: Some("159.0.8154.6".into()),
            os: Some("Windows".into()),
            os_version: Some("10".into()),
            device_type: Some("desktop".into()),
            screen_width: Some(1_920),
            screen_height: Some(1_080),
            viewport_width: Some(1_280),
            viewport_height: Some(720),
        },
        geo: Geo { ip: Some(IpAddr::from([192, 0, 2, 17])), ..Geo::default() },
        custom: object(r#"{"variant":"B","locale":"de-DE"}"#),
        ..Event::new(id, project("default"), EventName::new("page_view").unwrap(), at)
    }
}

/// With every field that an event has before it is processed.
fn full_event() -> Event {
    let at = Timestamp::from_millis(1_795_795_478_335);
    let id = id("bd188bf5-f1c4-5da9-9d2d-0faccfaa669f");
    let payload = r##"{"x": 10, "y": 20, "price": 129.90, "big": 123456789012345678901234567890, "target": {"selector": "#buy", "tag": "button", "text": "Büy ☕"}}"##;
    Event {
        received_at: Timestamp::from_millis(1_795_795_479_335),
        sequence: 1_883_028_040_539_176_960,
        clock_skew_ms: 89_994,
        session_id: Some(session_id("Besuch ☕/1 %41")),
        user_id: Some(UserId::new("u-full").unwrap()),
        anonymous_id: Some(AnonymousId::new("a-full").unwrap()),
        channel: Some(Channel::MobileApp),
        campaign_id: Some(CampaignId::new("spring").unwrap()),
        tags: vec![Tag::new("new").unwrap(), Tag::new("süß").unwrap()],
        page: Page {
            url: "https://shop.example/ä?b=c#d".into(),
            path: "/ä".into(),
            title: "Ä ☕".into(),
            referrer: "https://example.com/".into(),
        },
        device: Device {
            browser: Some("Firefox".into()),
            browser_version: Some("150.0".into()),
            os: Some("Android".into()),
            os_version: Some("17".into()),
            device_type: Some("mobile".into()),
            screen_width: Some(412),
            screen_height: Some(915),
            viewport_width: Some(412),
            viewport_height: Some(785),
        },
        geo: Geo {
            ip: Some(IpAddr::from([89, 160, 20, 112])),
            country: Some("SE".into()),
            city: Some("Linköping".into()),
        },
        payload: object(payload),
        custom: object(r#"{"variant":  "A", "nested": {"list": [1, 2.50, null, true]}}"#),
        ..Event::new(id, project("default"), EventName::new("click").unwrap(), at)
    }
}

fn chunk() -> ReplayChunk {
    let content = r#""dc08fc48f842e67bbe196cfd82f5fe0917fb543f7f9b8e1fb74b62e457b377ee""#;
    let data = &CHUNK[CHUNK.iter().position(|byte| *byte == b'\n').unwrap() + 1..];
    ReplayChunk {
        project_id: project("default"),
        session_id: session_id("d715b786-8202-49cf-8164-28f1c03350ed"),
        chunk_index: 0,
        timestamp_start: Timestamp::from_millis(1_795_795_263_897),
        timestamp_end: Timestamp::from_millis(1_795_795_263_927),
        received_at: Timestamp::from_millis(1_795_795_478_467),
        event_count: 4,
        has_full_snapshot: true,
        raw_bytes: 18_634,
        content: serde_json::from_str(content).unwrap(),
        stored_bytes: u32::try_from(data.len()).unwrap(),
        data: data.to_vec(),
    }
}

fn gunzip(data: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(data).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn events_are_read_and_written_as_they_were() {
    for (name, record, expected) in
        [("event.json", EVENT, event()), ("event-full.json", FULL_EVENT, full_event())]
    {
        assert_eq!(decode_event(record).unwrap().into_event(), expected, "{name}");
        assert_written(&encode_event(&expected).unwrap(), name, record);
    }
}

#[test]
fn a_chunk_is_read_and_written_as_it_was() {
    let read = decode_chunk(CHUNK).unwrap();
    assert_eq!(read, chunk());
    assert_written(&encode_chunk(&read).unwrap(), "replay-chunk.bin", CHUNK);
    let text = gunzip(&read.data);
    assert_eq!(text.len(), 18_634);
    read.content.check(text.as_bytes()).unwrap();
    assert_eq!(serde_json::from_str::<Vec<&RawValue>>(&text).unwrap().len(), 4);
}

fn may_send() -> Scoped<IngestScope> {
    Scoped::vouched(project("default"))
}

/// An ingest API at this time.
fn bench_at(millis: i64, chunks: MemoryAcceptedChunks) -> IngestBench {
    IngestBench::with(MemoryLog::new(1), |ports, _| {
        ports.clock = Arc::new(ManualClock::new(Timestamp::from_millis(millis)));
        ports.chunks = Arc::new(chunks);
    })
}

#[tokio::test]
async fn an_event_that_is_refused_is_reported_as_it_was() {
    let bench = bench_at(1_795_795_479_685, MemoryAcceptedChunks::default());
    let payload: Box<RawValue> = serde_json::from_str(r#"{"depth_percent": 300}"#).unwrap();
    let draft = EventDraft {
        event_id: Some("f1b0b8e4-118e-5f5e-8b0a-83218af66e2e".into()),
        event_type: Some("scroll".into()),
        timestamp: Some(1_795_795_469_317.0),
        session_id: Some("refused".into()),
        payload: Some(Cow::Borrowed(&*payload)),
        ..EventDraft::default()
    };
    bench.ingest.events(&may_send(), &ClientFacts::default(), &[Ok(draft)]).await.unwrap();
    bench.reports().await;
    assert_written(&bench.log.records(logs::ERRORS)[0], "refused-event.json", REFUSED_EVENT);
}

/// How its data is compressed is up to a library; what it says is not.
#[tokio::test]
async fn a_chunk_that_is_refused_is_reported_as_it_was() {
    let mut expected: Value = serde_json::from_slice(REFUSED_CHUNK).unwrap();
    let unpack = |report: &mut Value| {
        let data = STANDARD.decode(report["item"]["data"].take().as_str().unwrap()).unwrap();
        gunzip(&data)
    };
    let events = unpack(&mut expected);
    let session = session_id("9b06185c-2b71-4734-afd5-da20c2187724");
    let known = ChunkId { project_id: project("default"), session_id: session.clone(), chunk_index: 0 };
    let content = r#""3ca5d02b09077b6d5a0a05cf61befb1b2f2b8aefbfc49b2d7d74c0204f735691""#;
    let chunks = MemoryAcceptedChunks::default();
    chunks.remember(&known, serde_json::from_str::<ContentHash>(content).unwrap()).await.unwrap();
    let bench = bench_at(1_795_795_479_737, chunks);
    let draft = ReplayDraft {
        session_id: Some(session.as_str().into()),
        chunk_index: Some(0.0),
        timestamp_start: Some(1_795_795_469_317.0),
        timestamp_end: Some(1_795_795_469_319.0),
        event_count: Some(3),
        events: Some(serde_json::from_str(&events).unwrap()),
        gzip: None,
    };
    let refused = bench.ingest.replay(&may_send(), Ok(draft)).await;
    assert!(matches!(refused, Err(IngestError::ConflictingChunk(_))), "{refused:?}");
    let mut report = bench.reports().await.remove(0);
    assert_eq!(unpack(&mut report), events);
    assert_eq!(report, expected);
}

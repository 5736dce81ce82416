//! Things to store.

use std::sync::Arc;

use bytes::Bytes;
use gosight_application::codec::encode_event;
use gosight_application::logs;
use gosight_application::ports::{
    CommitError, Ledger, LogPartition, PolledBatch, PolledRecord, PortError, ProcessedBatch, PutVerdict,
    ReplayStore, StoredEvent,
};
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::{BatchSpan, LedgerRow, Outcome};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{
    Channel, Device, Event, EventId, EventName, Geo, JsonObject, Page, ProjectId, Session, SessionId,
    Timestamp, UserId,
};
use uuid::Uuid;

/// A full hour of November 2026, in ms.
pub const NOON: Timestamp = Timestamp::from_millis(1_795_176_000_000);

/// Name of the log that batches are made for.
pub const LOG: &str = "gosight.events.raw";

/// A project id.
pub fn project(name: &str) -> ProjectId {
    ProjectId::new(name).expect("a valid id")
}

/// A session id.
pub fn session_id(name: &str) -> SessionId {
    SessionId::new(name).expect("a valid id")
}

/// An event id.
pub fn event_id(n: u128) -> EventId {
    EventId::from_uuid(Uuid::from_u128(n))
}

/// An event of project `p` and session `s`, `offset_ms` after noon, with every field filled.
pub fn event(n: u128, event_type: &str, offset_ms: i64) -> Event {
    let at = NOON.plus_millis(offset_ms);
    Event {
        received_at: at.plus_millis(20),
        clock_skew_ms: 7,
        session_id: Some(session_id("s")),
        user_id: Some(UserId::new("u-1").expect("a valid id")),
        channel: Some(Channel::Web),
        tags: vec![gosight_domain::Tag::new("tag").expect("a valid tag")],
        page: Page {
            url: "https://shop.example/a?b=c".into(),
            path: "/a".into(),
            title: "Ä ☕".into(),
            referrer: "https://example.com/".into(),
        },
        library: Some("gosight-js/1.2.0".into()),
        device: Device {
            browser: Some("Firefox".into()),
            browser_version: Some("150.0".into()),
            os: Some("Linux".into()),
            os_version: None,
            device_type: Some("desktop".into()),
            screen_width: Some(1920),
            screen_height: Some(1080),
            viewport_width: Some(1280),
            viewport_height: Some(720),
        },
        geo: Geo {
            ip: Some(std::net::IpAddr::from([192, 0, 2, 7])),
            country: Some("NZ".into()),
            city: Some("Auckland".into()),
        },
        custom: object(r#"{"variant": "A"}"#),
        ..Event::new(event_id(n), project("p"), EventName::new(event_type).expect("a valid name"), at)
    }
}

/// A JSON object.
pub fn object(text: &str) -> JsonObject {
    let raw = serde_json::from_str::<Box<serde_json::value::RawValue>>(text).expect("valid JSON");
    JsonObject::parse("payload", &raw, 64).expect("a valid object")
}

/// A click on a button.
pub fn click(n: u128, offset_ms: i64) -> Event {
    Event {
        payload: object(r##"{"x":10,"y":20,"target":{"selector":"#buy","tag":"button","text":"Buy"}}"##),
        ..event(n, "click", offset_ms)
    }
}

/// The span of `count` records from `first` of partition 0.
pub fn span(first: u64, count: u64) -> BatchSpan {
    BatchSpan { log: LOG.into(), partition: 0, first, last: first + count - 1 }
}

/// The fold of events of one session.
pub fn fold(events: &[Event]) -> Session {
    let (first, rest) = events.split_first().expect("at least one event");
    let mut session = Session::of(first, &first.details().expect("valid")).expect("a session");
    for event in rest {
        session.apply(event, &event.details().expect("valid"));
    }
    session
}

/// What processing makes of `events` at offsets from `first` on.
pub fn batch(first: u64, events: &[Event]) -> ProcessedBatch {
    let mut batch = ProcessedBatch::empty(LedgerRow::new(span(first, events.len() as u64)));
    let mut by_session: Vec<Vec<Event>> = Vec::new();
    for (offset, event) in (first..).zip(events) {
        batch.ledger.record(Some(&event.project_id), event.received_at.hour(), &Outcome::Stored);
        batch.events.push(StoredEvent::new(offset, event.clone()).expect("valid"));
        if event.session_id.is_some() {
            let same = |group: &&mut Vec<Event>| {
                group[0].session_id == event.session_id && group[0].project_id == event.project_id
            };
            match by_session.iter_mut().find(same) {
                Some(group) => group.push(event.clone()),
                None => by_session.push(vec![event.clone()]),
            }
        }
        let value = batch.aggregates.entry(aggregate_key("clicks", "all")).or_default();
        value.merge(&AggregateValue { count: 1, ..AggregateValue::default() });
    }
    batch.sessions = by_session.iter().map(|events| fold(events)).collect();
    batch
}

/// A window of an aggregation of project `p`, from noon.
pub fn aggregate_key(aggregation: &str, key: &str) -> AggregateKey {
    AggregateKey {
        project_id: project("p"),
        aggregation: aggregation.into(),
        key: key.into(),
        window_start: NOON,
    }
}

/// The session called `name` of `project_name`, as one that has a replay.
pub fn replay_session(project_name: &str, name: &str) -> ReplaySession {
    ReplaySession { project_id: project(project_name), session_id: session_id(name) }
}

/// A replay chunk of project `p`; `content` stands for its data.
pub fn chunk(session: &str, chunk_index: u16, content: &str) -> ReplayChunk {
    ReplayChunk {
        project_id: project("p"),
        session_id: session_id(session),
        chunk_index,
        timestamp_start: NOON.plus_millis(i64::from(chunk_index) * 1_000),
        timestamp_end: NOON.plus_millis(i64::from(chunk_index) * 1_000 + 900),
        received_at: NOON.plus_millis(5_000),
        event_count: 3,
        has_full_snapshot: chunk_index == 0,
        raw_bytes: 100,
        content: ContentHash::of(content.as_bytes()),
        stored_bytes: u32::try_from(content.len()).expect("short"),
        data: content.as_bytes().to_vec(),
    }
}

/// Puts chunks as the batch of one partition.
///
/// # Errors
/// The store's.
pub async fn put_chunks<S: Ledger + ReplayStore + ?Sized>(
    store: &S,
    chunks: &[ReplayChunk],
) -> Result<Vec<PutVerdict>, CommitError> {
    let place = LogPartition { log: logs::REPLAY.into(), partition: 0 };
    let fence = store.acquire(&place).await.map_err(PortError::widen)?;
    store.put(&fence, chunks).await
}

/// Events as a poll gives them.
pub fn polled(first: u64, events: &[Event]) -> PolledBatch {
    let record = |(offset, event): (u64, &Event)| PolledRecord {
        offset,
        value: encode_event(event).expect("an event is JSON").value,
    };
    PolledBatch {
        span: span(first, events.len() as u64),
        records: (first..).zip(events).map(record).collect(),
    }
}

/// Bytes of a text.
pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A shared text.
pub fn shared(text: &str) -> Arc<str> {
    text.into()
}

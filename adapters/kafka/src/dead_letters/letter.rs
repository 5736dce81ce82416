use std::sync::Arc;

use bytes::Bytes;
use gosight_application::ports::{DeadLetter, LogPosition};
use gosight_domain::{ProjectId, Timestamp};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::error::Failure;

/// A letter is a line of JSON, a line feed, and the record as it was. The position is the key.
#[derive(Debug, Serialize, Deserialize)]
struct Header<'a> {
    /// Version of this form.
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    project_id: Option<ProjectId>,
    reason: Arc<str>,
    detail: std::borrow::Cow<'a, str>,
    /// Milliseconds since 1970.
    at: i64,
}

const VERSION: u32 = 1;
/// Longest text of each kind in a header, in bytes; the rest is cut off so that a topic that takes the record takes the
/// letter. JSON writes a byte as six at most.
const MAX_TEXT_BYTES: usize = 64 * 1024;

pub(super) fn encode(letter: &DeadLetter) -> Vec<u8> {
    let header = Header {
        v: VERSION,
        project_id: letter.project_id.clone(),
        reason: cut(&letter.reason).into(),
        detail: cut(&letter.detail).into(),
        at: letter.at.as_millis(),
    };
    // A header holds nothing but texts and numbers, which always can be written.
    let mut value = serde_json::to_vec(&header).unwrap_or_default();
    value.reserve_exact(letter.record.len() + 1);
    value.push(b'\n');
    value.extend_from_slice(&letter.record);
    value
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

pub(super) fn decode(message: &BorrowedMessage<'_>) -> Result<DeadLetter, Failure> {
    let Place { partition, offset } = Place::of(message);
    let key = message.key().unwrap_or_default();
    decode_parts(key, message.payload().unwrap_or_default()).map_err(|reason| Failure::BadLetter {
        partition,
        offset,
        reason,
    })
}

fn decode_parts(key: &[u8], value: &[u8]) -> Result<DeadLetter, String> {
    let position = parse_position(key).ok_or("its key is no position")?;
    let end = value.iter().position(|byte| *byte == b'\n').ok_or("it has no header")?;
    let header: Header<'_> = serde_json::from_slice(&value[..end]).map_err(|error| error.to_string())?;
    if header.v != VERSION {
        return Err(format!("it is of version {}", header.v));
    }
    Ok(DeadLetter {
        position,
        project_id: header.project_id,
        reason: header.reason,
        detail: header.detail.into_owned(),
        at: Timestamp::from_millis(header.at),
        record: Bytes::copy_from_slice(&value[end + 1..]),
    })
}

/// A position as it is displayed: `log/partition/offset`.
pub(super) fn parse_position(text: &[u8]) -> Option<LogPosition> {
    let mut parts = std::str::from_utf8(text).ok()?.rsplitn(3, '/');
    let offset = parts.next()?.parse().ok()?;
    let partition = parts.next()?.parse().ok()?;
    let log = parts.next()?.into();
    Some(LogPosition { log, partition, offset })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::*;

    /// Records of the topic that version 09ea4e6 wrote: a letter, and what removes one.
    const WRITTEN: &str = include_str!("../../../../tests/fixtures/09ea4e6/records/dead-letter.json");
    const REMOVED: &str = include_str!("../../../../tests/fixtures/09ea4e6/records/dead-letter-removed.json");

    fn part(record: &str, name: &str) -> Option<Vec<u8>> {
        let record: Value = serde_json::from_str(record).unwrap();
        record[name].as_str().map(|text| STANDARD.decode(text).unwrap())
    }

    fn letter() -> DeadLetter {
        DeadLetter {
            position: LogPosition { log: "a/log".into(), partition: 3, offset: 7 },
            project_id: Some(ProjectId::new("shop").unwrap()),
            reason: "not_json".into(),
            detail: "line 1\nline 2".to_owned(),
            at: Timestamp::from_millis(1_700_000_000_000),
            record: Bytes::from_static(b"\0{\n\xff"),
        }
    }

    #[test]
    fn a_letter_keeps_its_form() {
        let header =
            r#"{"v":1,"project_id":"shop","reason":"not_json","detail":"line 1\nline 2","at":1700000000000}"#;
        let expected = [header.as_bytes(), b"\n\0{\n\xff"].concat();
        assert_eq!(encode(&letter()), expected);
        assert_eq!(decode_parts(b"a/log/3/7", &expected), Ok(letter()));
    }

    #[test]
    fn a_letter_of_version_09ea4e6_is_read_and_written_as_it_was() {
        let (key, value) = (part(WRITTEN, "key").unwrap(), part(WRITTEN, "value").unwrap());
        let letter = decode_parts(&key, &value).unwrap();
        assert_eq!(letter.position.to_string(), "gosight.events.raw/0/2");
        assert_eq!(letter.project_id, Some(ProjectId::new("default").unwrap()));
        assert_eq!((&*letter.reason, letter.at.as_millis()), ("store_refused", 1_795_795_473_124));
        assert!(letter.detail.starts_with("bad response: Code: 469."), "{}", letter.detail);
        let event = r#"{"event_id": "00000003-0000-4000-8000-000000000000", "project_id": "default", "session_id": "poisoned", "event_type": "page_view", "timestamp": 1795795472443, "received_at": 1795795472443, "page": {"path": "/refused"}}"#;
        assert_eq!(letter.record, event);
        assert_eq!(encode(&letter), value);
    }

    #[test]
    fn the_end_of_a_letter_of_version_09ea4e6_names_it() {
        let position = parse_position(&part(REMOVED, "key").unwrap()).unwrap();
        let expected = LogPosition { log: "gosight.replay.chunks".into(), partition: 0, offset: 4 };
        assert_eq!((position, part(REMOVED, "value")), (expected, None));
    }

    #[test]
    fn what_is_no_letter_is_told() {
        assert!(decode_parts(b"log/1", b"{}\n").is_err());
        assert!(decode_parts(b"log/1/2", b"{}").is_err());
        let newer = br#"{"v":2,"reason":"","detail":"","at":0}"#;
        let error = decode_parts(b"log/1/2", &[newer.as_slice(), b"\n"].concat()).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
    }

    #[test]
    fn a_long_detail_is_cut() {
        let long = DeadLetter { detail: "é".repeat(100_000), ..letter() };
        let read = decode_parts(b"a/log/3/7", &encode(&long)).unwrap();
        assert_eq!(read.detail.len(), MAX_TEXT_BYTES);
    }
}

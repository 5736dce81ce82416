//! Session replay: rrweb events in chunks.

mod archived;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::json::Object;
use crate::text::{ProjectId, SessionId};
use crate::time::{TimePolicy, Timestamp};
use crate::violation::{Violation, ViolationCode};

pub use archived::{ArchivedReplay, ChunkGap, ReplaySession, Run, Segment, chunk_gaps};

/// The rrweb event type of a full snapshot, from which a player can start
/// (`EventType.FullSnapshot` of rrweb's `packages/types`).
pub const RRWEB_FULL_SNAPSHOT: i64 = 2;

/// Consecutive rrweb events of one session, as they are logged and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayChunk {
    /// The tenant.
    pub project_id: ProjectId,
    /// The session.
    pub session_id: SessionId,
    /// Place among the chunks of the session, from 0.
    pub chunk_index: u16,
    /// Time of the earliest event, by the client's clock.
    pub timestamp_start: Timestamp,
    /// Time of the latest event, by the client's clock.
    pub timestamp_end: Timestamp,
    /// When the server took it.
    pub received_at: Timestamp,
    /// Number of events.
    pub event_count: u32,
    /// Whether one of the events is a full snapshot.
    pub has_full_snapshot: bool,
    /// Bytes of the JSON array before compression.
    pub raw_bytes: u32,
    /// SHA-256 of the JSON array before compression: two chunks with it are the same.
    pub content: ContentHash,
    /// Bytes of `data`, which a header comes without. Not part of the header's JSON.
    #[serde(skip)]
    pub stored_bytes: u32,
    /// The JSON array of events as gzip, one member or several. Not part of the header's JSON.
    #[serde(skip)]
    pub data: Vec<u8>,
}

/// SHA-256 of content, written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Checks that this is the hash of `content`.
    ///
    /// # Errors
    /// [`OtherContent`] when it is another's.
    pub fn check(self, content: &[u8]) -> Result<(), OtherContent> {
        let found = Self::of(content);
        if found == self { Ok(()) } else { Err(OtherContent { expected: self, found }) }
    }
}

/// Makes the hash of content that comes in parts.
#[derive(Debug, Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Takes the next part.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The hash of all parts.
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

/// Content that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has the SHA-256 {found} instead of {expected}")]
pub struct OtherContent {
    /// What was expected.
    pub expected: ContentHash,
    /// What was found.
    pub found: ContentHash,
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<Cow<'_, str>> for ContentHash {
    type Error = Violation;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Violation> {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let mut hash = [0; 32];
        let pairs = text.as_bytes().chunks_exact(2);
        let whole = pairs.remainder().is_empty() && pairs.len() == hash.len();
        let bytes: Option<Vec<u8>> = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
        match bytes {
            Some(bytes) if whole => {
                hash.copy_from_slice(&bytes);
                Ok(Self(hash))
            }
            _ => Err(Violation::new("content", ViolationCode::NotAllowed, "is not a SHA-256 in hexadecimal")),
        }
    }
}

/// A chunk as a client sent it, decompressed; nothing is checked.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields are those of `ReplayChunk`, unchecked")]
pub struct ReplayDraft<'a> {
    pub session_id: Option<Cow<'a, str>>,
    pub chunk_index: Option<f64>,
    pub timestamp_start: Option<f64>,
    pub timestamp_end: Option<f64>,
    pub event_count: Option<u64>,
    pub events: Option<&'a RawValue>,
    /// The gzip that `events` came in, if it holds nothing else.
    pub gzip: Option<&'a [u8]>,
}

/// A chunk that passed the rules, not compressed yet.
#[derive(Debug, Clone)]
pub struct CheckedReplay<'a> {
    /// Everything but the data.
    pub chunk: ReplayChunk,
    /// The JSON array of events: each with its very bytes, joined by `,` in `[` and `]`.
    pub events: String,
    /// The sender's gzip of these very bytes, if it sent one.
    pub gzip: Option<&'a [u8]>,
}

/// The rules that a chunk has to meet.
#[derive(Debug, Clone)]
pub struct ReplayRules {
    /// When the chunk's times are believed.
    pub time: TimePolicy,
    /// Most events of a chunk.
    pub max_events: usize,
}

impl Default for ReplayRules {
    /// 100,000 events.
    fn default() -> Self {
        Self { time: TimePolicy::default(), max_events: 100_000 }
    }
}

/// What every rrweb event must have. Its type may be one that is not known today.
#[derive(Deserialize)]
struct RrwebHead {
    #[serde(rename = "type")]
    event_type: i64,
    timestamp: f64,
}

/// What the events of a chunk say together.
#[derive(Default)]
struct Summary {
    events: String,
    count: u32,
    first: Timestamp,
    last: Timestamp,
    has_full_snapshot: bool,
}

impl ReplayRules {
    /// Checks a chunk. Counts, times and the snapshot mark come from the events; what the client says of them must
    /// agree.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn validate<'a>(
        &self,
        project_id: &ProjectId,
        received_at: Timestamp,
        draft: ReplayDraft<'a>,
    ) -> Result<CheckedReplay<'a>, Violation> {
        let session_id = SessionId::new(draft.session_id.ok_or_else(|| Violation::missing("session_id"))?)?;
        let chunk_index = chunk_index(draft.chunk_index)?;
        let start = claimed_time("timestamp_start", draft.timestamp_start)?;
        let end = claimed_time("timestamp_end", draft.timestamp_end)?;
        let events = draft.events.ok_or_else(|| Violation::missing("events"))?;
        let summary = self.read_events(events)?;
        agree("timestamp_start", start, summary.first, "the earliest event is at")?;
        agree("timestamp_end", end, summary.last, "the latest event is at")?;
        if let Some(claimed) = draft.event_count
            && claimed != u64::from(summary.count)
        {
            return Err(inconsistent("event_count", claimed, "the number of events is", summary.count));
        }
        self.time.judge(summary.first, 0, received_at).map_err(|v| renamed(v, "timestamp_start"))?;
        self.time.judge(summary.last, 0, received_at).map_err(|v| renamed(v, "timestamp_end"))?;
        let raw_bytes = u32::try_from(summary.events.len()).map_err(|_| {
            Violation::new("events", ViolationCode::TooLarge, "has more bytes than a chunk can have")
        })?;
        let chunk = ReplayChunk {
            project_id: project_id.clone(),
            session_id,
            chunk_index,
            timestamp_start: summary.first,
            timestamp_end: summary.last,
            received_at,
            event_count: summary.count,
            has_full_snapshot: summary.has_full_snapshot,
            raw_bytes,
            content: ContentHash::of(summary.events.as_bytes()),
            stored_bytes: 0,
            data: Vec::new(),
        };
        let gzip = draft.gzip.filter(|_| events.get() == summary.events);
        Ok(CheckedReplay { chunk, events: summary.events, gzip })
    }

    fn read_events(&self, raw: &RawValue) -> Result<Summary, Violation> {
        let mut reader = EventReader { max_events: self.max_events, found: None };
        let mut json = serde_json::Deserializer::from_str(raw.get());
        match (reader.read(&mut json), reader.found) {
            (Ok(summary), None) if summary.count == 0 => {
                Err(Violation::new("events", ViolationCode::Missing, "must have at least one event"))
            }
            (Ok(summary), None) => Ok(Summary { events: summary.events + "]", ..summary }),
            (_, Some(violation)) => Err(violation),
            (Err(_), None) => {
                Err(Violation::new("events", ViolationCode::WrongType, "must be an array of rrweb events"))
            }
        }
    }
}

/// Reads events one by one, so that what is held is bounded by the text of those that are good.
struct EventReader {
    max_events: usize,
    /// Why reading was broken off.
    found: Option<Violation>,
}

impl EventReader {
    fn read<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<Summary, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn add(&self, summary: &mut Summary, event: &RawValue) -> Result<(), Violation> {
        let index = summary.count as usize;
        if index >= self.max_events {
            let reason = format!("has more than the {} entries that are allowed", self.max_events);
            return Err(Violation::new("events", ViolationCode::TooMany, reason));
        }
        let Object(head): Object<RrwebHead> =
            serde_json::from_str(event.get()).map_err(|_| not_rrweb(index))?;
        let at = Timestamp::from_epoch(head.timestamp).map_err(|violation| Violation {
            field: format!("events[{index}].timestamp").into(),
            ..violation
        })?;
        summary.first = if index == 0 { at } else { summary.first.min(at) };
        summary.last = summary.last.max(at);
        summary.has_full_snapshot |= head.event_type == RRWEB_FULL_SNAPSHOT;
        summary.events.push(if index == 0 { '[' } else { ',' });
        summary.events.push_str(event.get());
        summary.count += 1;
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut EventReader {
    type Value = Summary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rrweb events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<Summary, A::Error> {
        let mut summary = Summary::default();
        while let Some(event) = events.next_element::<&RawValue>()? {
            if let Err(violation) = self.add(&mut summary, event) {
                self.found = Some(violation);
                break;
            }
        }
        Ok(summary)
    }
}

fn not_rrweb(index: usize) -> Violation {
    Violation::new(
        format!("events[{index}]"),
        ViolationCode::WrongType,
        "is no rrweb event: it must be an object with an integer `type` and a numeric `timestamp`",
    )
}

fn chunk_index(number: Option<f64>) -> Result<u16, Violation> {
    let number = number.ok_or_else(|| Violation::missing("chunk_index"))?;
    if number.fract() != 0.0 || !(0.0..=f64::from(u16::MAX)).contains(&number) {
        return Err(Violation::new(
            "chunk_index",
            ViolationCode::OutOfRange,
            format!("{number} is not a whole number of 0 to {}", u16::MAX),
        ));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(number as u16)
}

fn claimed_time(field: &'static str, number: Option<f64>) -> Result<Timestamp, Violation> {
    let number = number.ok_or_else(|| Violation::missing(field))?;
    Timestamp::from_epoch(number).map_err(|violation| renamed(violation, field))
}

fn renamed(violation: Violation, field: &'static str) -> Violation {
    Violation { field: field.into(), ..violation }
}

fn agree(field: &'static str, claimed: Timestamp, found: Timestamp, what: &str) -> Result<(), Violation> {
    if claimed == found { Ok(()) } else { Err(inconsistent(field, claimed, what, found)) }
}

fn inconsistent(
    field: &'static str,
    claimed: impl fmt::Display,
    what: &str,
    found: impl fmt::Display,
) -> Violation {
    Violation::new(field, ViolationCode::Inconsistent, format!("is {claimed}, but {what} {found}"))
}

#[cfg(test)]
mod tests;

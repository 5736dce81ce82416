//! How events and replay chunks are written to a log.
//!
//! An event is a JSON object. A chunk is a JSON header, a line break, and the gzip data as it is: base64 would cost a
//! third more of the log.

use bytes::Bytes;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::replay::ReplayChunk;
use gosight_domain::{Event, SessionId};

use crate::ports::Record;

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON, but not what is expected.
    #[error("not a valid record: {0}")]
    Invalid(serde_json::Error),
    /// A chunk without its data.
    #[error("the header is not followed by data")]
    NoData,
    /// An event that breaks the rules of its columns.
    #[error(transparent)]
    Violation(#[from] gosight_domain::Violation),
}

impl DecodeError {
    /// Stable name of the reason, for dead letters and counts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not_json",
            Self::Invalid(_) | Self::NoData => "invalid_record",
            Self::Violation(violation) => violation.code.as_str(),
        }
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Data => Self::Invalid(error),
            _ => Self::NotJson(error),
        }
    }
}

/// The log record of an event.
///
/// # Errors
/// Never for an event made by this crate's rules; a JSON error otherwise.
pub fn encode_event(event: &Event) -> Result<Record, serde_json::Error> {
    // Most events have a few hundred bytes; starting there saves growing.
    let mut value = Vec::with_capacity(1_024);
    serde_json::to_writer(&mut value, event)?;
    Ok(Record { key: event.partition_key().to_bytes().into(), value: value.into() })
}

/// Reads an event record. The payload is read and checked once more: a log can be written by other hands.
///
/// # Errors
/// [`DecodeError`] for anything but an event that the ingest API could have taken.
pub fn decode_event(value: &[u8]) -> Result<DecodedEvent, DecodeError> {
    // Checked as a whole, a record need not be checked text by text.
    let event: Event = match std::str::from_utf8(value) {
        Ok(text) => serde_json::from_str(text)?,
        Err(_) => serde_json::from_slice(value)?,
    };
    Ok(DecodedEvent::new(event)?)
}

/// The log record of a replay chunk; chunks of one session go to one partition.
///
/// # Errors
/// Never for a chunk made by this crate's rules; a JSON error otherwise.
pub fn encode_chunk(chunk: &ReplayChunk) -> Result<Record, serde_json::Error> {
    let mut value = serde_json::to_vec(chunk)?;
    value.reserve_exact(1 + chunk.data.len());
    value.push(b'\n');
    value.extend_from_slice(&chunk.data);
    Ok(chunk_record(&chunk.session_id, value.into()))
}

/// The record of a chunk of this session that is encoded already.
pub(crate) fn chunk_record(session_id: &SessionId, value: Bytes) -> Record {
    Record { key: Bytes::copy_from_slice(session_id.as_str().as_bytes()), value }
}

/// Reads a replay chunk record.
///
/// # Errors
/// [`DecodeError`] for anything but a chunk.
pub fn decode_chunk(value: &[u8]) -> Result<ReplayChunk, DecodeError> {
    let end = value.iter().position(|&byte| byte == b'\n');
    let mut chunk: ReplayChunk = serde_json::from_slice(&value[..end.unwrap_or(value.len())])?;
    let data = end.map(|end| &value[end + 1..]).filter(|data| !data.is_empty());
    data.ok_or(DecodeError::NoData)?.clone_into(&mut chunk.data);
    chunk.stored_bytes = u32::try_from(chunk.data.len()).unwrap_or(u32::MAX);
    Ok(chunk)
}

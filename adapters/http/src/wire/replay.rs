//! Replay chunks as clients write them.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gosight_domain::key::PresentedKey;
use gosight_domain::replay::ReplayDraft;
use gosight_domain::{Violation, ViolationCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::json::{self, Number, Object, Text};
use crate::error::ApiError;
use crate::key;

/// One chunk of a recording: consecutive rrweb events. Fields that are not listed are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ReplayChunk)]
pub(crate) struct WireReplay<'a> {
    /// The key, when no header has it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    project_key: Text<'a>,
    /// The visit.
    #[serde(default, borrow)]
    #[schema(value_type = String, required)]
    session_id: Text<'a>,
    /// Place among the chunks of the session, from 0.
    #[serde(default)]
    #[schema(value_type = u16, required)]
    chunk_index: Number,
    /// Time of the earliest event: epoch seconds or milliseconds.
    #[serde(default)]
    #[schema(value_type = f64, required)]
    timestamp_start: Number,
    /// Time of the latest event: epoch seconds or milliseconds.
    #[serde(default)]
    #[schema(value_type = f64, required)]
    timestamp_end: Number,
    /// The rrweb events. Either these or `data`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Vec<Object>>)]
    events: Option<&'a RawValue>,
    /// The JSON array of rrweb events, compressed with gzip, in base64.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    data: Text<'a>,
    /// Number of events, if the client wants it checked.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    event_count: Number,
}

/// A chunk that was read, with its events not looked at.
#[derive(Debug)]
pub(crate) struct ReplayBody<'a> {
    /// The key, when the body has it.
    pub key: Option<PresentedKey>,
    /// Everything but the events.
    pub draft: ReplayDraft<'a>,
    /// The events, one way or the other.
    pub events: Events<'a>,
}

/// How a chunk carries its events.
#[derive(Debug)]
pub(crate) enum Events<'a> {
    /// Not at all.
    Missing,
    /// As JSON.
    Json(&'a RawValue),
    /// Compressed, from base64.
    Gzip(Vec<u8>),
}

/// Why a chunk cannot be read.
#[derive(Debug)]
pub(crate) enum ReplayRefusal {
    /// The body is no JSON object.
    Unreadable(ApiError),
    /// A field is wrong.
    Invalid(Violation),
}

impl From<Violation> for ReplayRefusal {
    fn from(violation: Violation) -> Self {
        Self::Invalid(violation)
    }
}

/// Reads a chunk.
pub(crate) fn read(text: &str) -> Result<ReplayBody<'_>, ReplayRefusal> {
    let Object(body): Object<WireReplay<'_>> = json::read(text, PhantomData).or_else(|_| explain(text))?;
    let draft = ReplayDraft {
        session_id: body.session_id.0,
        chunk_index: body.chunk_index.0,
        timestamp_start: body.timestamp_start.0,
        timestamp_end: body.timestamp_end.0,
        event_count: whole("event_count", body.event_count)?,
        events: None,
        gzip: None,
    };
    let events = match (body.events, body.data.0) {
        (Some(_), Some(_)) => {
            let reason = "cannot be sent together with events";
            return Err(Violation::new("data", ViolationCode::Inconsistent, reason).into());
        }
        (None, Some(data)) => Events::Gzip(from_base64(&data)?),
        (Some(events), None) => Events::Json(events),
        (None, None) => Events::Missing,
    };
    Ok(ReplayBody { key: key::in_body(body.project_key.0.as_deref()), draft, events })
}

#[cold]
fn explain(text: &str) -> Result<Object<WireReplay<'_>>, ReplayRefusal> {
    json::read_with_path(text, PhantomData).map_err(|(path, error)| {
        if error.is_data() && !path.is_empty() && path != "." {
            ReplayRefusal::Invalid(json::violation(&path, "body", &error))
        } else {
            ReplayRefusal::Unreadable(json::unreadable(text, &path, &error))
        }
    })
}

fn whole(field: &'static str, number: Number) -> Result<Option<u64>, Violation> {
    let Some(number) = number.0 else { return Ok(None) };
    if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
        let reason = format!("{number} is not a whole number of 0 to {}", u32::MAX);
        return Err(Violation::new(field, ViolationCode::OutOfRange, reason));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(Some(number as u64))
}

/// Padding is as the sender likes it.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

fn from_base64(text: &str) -> Result<Vec<u8>, Violation> {
    let is_url_safe = text.contains(['-', '_']);
    let bytes = if is_url_safe { URL_SAFE.decode(text) } else { STANDARD.decode(text) };
    bytes
        .map_err(|error| Violation::new("data", ViolationCode::NotAllowed, format!("is not base64: {error}")))
}

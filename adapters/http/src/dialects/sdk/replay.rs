//! `POST /v1/replay`: chunks of recordings.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gosight_application::surface::{
    Accepted, Answer, BodyKind, Credential, Dialect, Failure, FailureCode, FieldNames, Head, Intake,
    IntakeReceipt, IntakeRequest, ReadLimits, ReplayEvents, utf8,
};
use gosight_domain::replay::ReplayDraft;
use gosight_domain::{Violation, ViolationCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{OpenApi, ToSchema};

use crate::dialects::json::{self, Number, Object, Text};
use crate::error::ErrorAnswer;

/// One chunk of a recording: consecutive rrweb events. Fields that are not listed are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ReplayChunk)]
pub(crate) struct WireReplay<'a> {
    /// The key, when no header has it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    project_key: Text<'a>,
    /// The session.
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

/// A chunk that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    /// Always true: what is refused is answered with an error.
    success: bool,
    /// The session.
    session_id: String,
    /// Place among the session's chunks.
    chunk_index: u16,
    /// Events in the chunk.
    event_count: u32,
}

/// `POST /v1/replay`.
#[derive(Debug)]
pub(crate) struct SdkReplay;

/// Send a chunk of a recording
///
/// Chunks may come in any order and more than once. What the client says of the times and number of the events must
/// agree with the events.
#[utoipa::path(
    post, path = "/v1/replay", tag = "ingest", request_body = WireReplay,
    responses(
        (status = 200, description = "The chunk was accepted", body = ReplayAnswer),
        (status = 409, description = "Another chunk of the session has this index", body = ErrorAnswer),
        (status = "4XX", description = "The chunk was refused", body = ErrorAnswer),
        (status = 503, description = "Chunks cannot be taken right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = []), ()),
)]
#[expect(dead_code, reason = "documents `SdkReplay`")]
fn send() {}

#[derive(OpenApi)]
#[openapi(paths(send))]
pub(crate) struct ReplayDocument;

/// What is wrong with the events is wrong with what the client calls so.
const IN_DATA: FieldNames = FieldNames { others: &[("events", "data")], ..FieldNames::AS_SENT };

impl Dialect for SdkReplay {
    fn name(&self) -> &'static str {
        "sdk_replay"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/v1/replay"]
    }

    fn body(&self) -> BodyKind {
        BodyKind::Replay
    }

    fn most_items(&self, _body: &[u8]) -> usize {
        1
    }

    fn read<'a>(&self, _: &Head<'_>, body: &'a [u8], _: ReadLimits) -> Result<IntakeRequest<'a>, Failure> {
        let text = utf8(body)?;
        let Object(body): Object<WireReplay<'_>> =
            json::read(text, PhantomData).or_else(|_| explain(text))?;
        let draft = ReplayDraft {
            session_id: body.session_id.0,
            chunk_index: body.chunk_index.0,
            timestamp_start: body.timestamp_start.0,
            timestamp_end: body.timestamp_end.0,
            event_count: whole("event_count", body.event_count).map_err(|violation| invalid(&violation))?,
            events: None,
            gzip: None,
        };
        let (events, names) = match (body.events, body.data.0) {
            (Some(_), Some(_)) => {
                let reason = "cannot be sent together with events";
                return Err(invalid(&Violation::new("data", ViolationCode::Inconsistent, reason)));
            }
            (None, Some(data)) => {
                let gzip = from_base64(&data).map_err(|violation| invalid(&violation))?;
                (ReplayEvents::Gzip(gzip.into()), IN_DATA)
            }
            (Some(events), None) => (ReplayEvents::Json(events), FieldNames::AS_SENT),
            (None, None) => (ReplayEvents::Missing, FieldNames::AS_SENT),
        };
        Ok(IntakeRequest {
            key: Credential::in_body(body.project_key.0.as_deref()),
            sent_at: None,
            user_required: false,
            items: vec![Ok(Intake::Replay(draft, events))],
            names: vec![names],
            found: 1,
        })
    }

    fn answer(&self, request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        match receipt.verdicts.first() {
            Some(Ok(Accepted::Replay(chunk))) => {
                let answer = ReplayAnswer {
                    success: true,
                    session_id: chunk.session_id.to_string(),
                    chunk_index: chunk.chunk_index,
                    event_count: chunk.event_count,
                };
                Answer::json(200, &answer)
            }
            Some(Err(violation)) => {
                let code = match violation.code {
                    ViolationCode::ConflictingChunk => FailureCode::ConflictingChunk,
                    _ => FailureCode::InvalidReplay,
                };
                let field = request.names.first().map_or_else(String::new, |names| names.of(violation));
                Answer::failed(&Failure::invalid(
                    code,
                    &Violation { field: field.into(), ..violation.clone() },
                ))
            }
            _ => Answer::failed(&Failure::internal(&"a replay chunk was not judged as one")),
        }
    }
}

fn invalid(violation: &Violation) -> Failure {
    Failure::invalid(FailureCode::InvalidReplay, violation)
}

#[cold]
fn explain(text: &str) -> Result<Object<WireReplay<'_>>, Failure> {
    json::read_with_path(text, PhantomData).map_err(|(path, error)| {
        if error.is_data() && !path.is_empty() && path != "." {
            invalid(&json::violation(&path, "body", &error))
        } else {
            json::unreadable(text, &path, &error)
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

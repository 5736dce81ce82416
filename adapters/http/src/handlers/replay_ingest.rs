//! `POST /v1/replay`: chunks of recordings.

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use gosight_application::ingest::IngestError;
use gosight_domain::replay::ReplayDraft;
use gosight_domain::{Violation, ViolationCode};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::ingest::Incoming;
use crate::answer;
use crate::body::{self, DecodeError, Encoding};
use crate::budget::Reservation;
use crate::config::BodyLimits;
use crate::error::{ApiError, Detail, ErrorAnswer, ErrorCode};
use crate::state::IngestState;
use crate::wire::replay::{self, Events, ReplayRefusal, WireReplay};

/// A chunk that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer {
    /// Always true: what is refused is answered with an error.
    success: bool,
    /// The visit.
    session_id: String,
    /// Place among the session's chunks.
    chunk_index: u16,
    /// Events in the chunk.
    event_count: u32,
}

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
pub(crate) async fn send(State(state): State<IngestState>, request: Request) -> Result<Response, ApiError> {
    let app = &state.app;
    let limits = app.config.replay_limits();
    let Incoming { sender, text, mut reservation } = Incoming::read(app, request, limits).await?;
    let body = replay::read(&text)?;
    let scope = sender.scope(app, body.key.as_ref()).await?;
    let (sent, unpacked);
    let mut gzip = None;
    let (field, events) = match body.events {
        Events::Missing => ("events", Ok(None)),
        Events::Json(events) => ("events", Ok(Some(events))),
        Events::Gzip(data) => {
            sent = Bytes::from(data);
            unpacked = unpack(sent.clone(), limits, &mut reservation).await?;
            let events = unpacked.as_deref().map_err(Clone::clone).and_then(read_array);
            let is_all =
                |events: &RawValue| unpacked.as_ref().is_ok_and(|text| text.len() == events.get().len());
            gzip = events.as_ref().is_ok_and(|events| is_all(events)).then_some(&*sent);
            ("data", events.map(Some))
        }
    };
    // The use case makes one more copy of the events while it checks them.
    let bytes = events.as_ref().ok().copied().flatten().map_or(0, |events| events.get().len());
    reservation.grow(bytes).await?;
    let draft = events.map(|events| ReplayDraft { events, gzip, ..body.draft });
    let receipt = state.ingest.replay(&scope, draft).await.map_err(|error| match error {
        IngestError::BadReplay(violation) => invalid(&in_words(field, violation)),
        other => other.into(),
    })?;
    Ok(answer::ok(&ReplayAnswer {
        success: true,
        session_id: receipt.session_id.to_string(),
        chunk_index: receipt.chunk_index,
        event_count: receipt.event_count,
    }))
}

/// The events out of `data`, or what is wrong with it. It counts as a body of its own: as much compressed, as much
/// decompressed.
async fn unpack(
    data: Bytes,
    limits: BodyLimits,
    reservation: &mut Reservation,
) -> Result<Result<String, Violation>, ApiError> {
    if data.len() > limits.body {
        let message = format!("data may have {} bytes at most once it is no longer base64", limits.body);
        return Err(ApiError::new(ErrorCode::BodyTooLarge, message));
    }
    reservation.grow(data.len()).await?;
    let decoded = body::decode(Encoding::Gzip, data, limits.decompressed, reservation).await;
    let bytes = match decoded {
        Ok(bytes) => bytes,
        Err(DecodeError::Damaged(reason)) => {
            return Ok(Err(bad_data(format!("is not valid gzip: {reason}"))));
        }
        Err(DecodeError::TooLarge) => {
            let message = format!("data may have {} bytes at most once decompressed", limits.decompressed);
            return Err(ApiError::new(ErrorCode::DecompressedTooLarge, message));
        }
        Err(DecodeError::Overloaded) => return Err(ApiError::overloaded()),
        Err(DecodeError::Failed(cause)) => return Err(ApiError::internal(&cause)),
    };
    let text = String::from_utf8(bytes.into());
    Ok(text.map_err(|_| bad_data("is not UTF-8 once decompressed".to_owned())))
}

fn read_array(text: &str) -> Result<&RawValue, Violation> {
    serde_json::from_str(text).map_err(|error| bad_data(format!("is not JSON once decompressed: {error}")))
}

fn bad_data(reason: String) -> Violation {
    Violation::new("data", ViolationCode::NotAllowed, reason)
}

/// What is wrong with the events, in `field`, is wrong with what the client calls so.
fn in_words(field: &'static str, violation: Violation) -> Violation {
    match violation.field.strip_prefix("events") {
        Some(rest) => Violation { field: format!("{field}{rest}").into(), ..violation },
        None => violation,
    }
}

fn invalid(violation: &Violation) -> ApiError {
    let detail = Detail::of(None, violation.field.clone(), violation);
    ApiError::new(ErrorCode::InvalidReplay, detail.message.clone()).with_details(vec![detail])
}

impl From<ReplayRefusal> for ApiError {
    fn from(refusal: ReplayRefusal) -> Self {
        match refusal {
            ReplayRefusal::Unreadable(error) => error,
            ReplayRefusal::Invalid(violation) => invalid(&violation),
        }
    }
}

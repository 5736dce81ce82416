//! `GET /api/v1/sessions/{session_id}/replay/events`: a recording, event by event.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use gosight_application::replay::{ReplayEvents, ReplayReadError, StoredReplay, TimeRange};

use super::replay_manifest::no_recording;
use crate::accept::accepts_gzip;
use crate::access::{Reader, SessionInPath};
use crate::error::{ApiError, ErrorAnswer};
use crate::query_params::Params;
use crate::state::ReadState;

/// How the events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// One JSON array.
    Json,
    /// A line for each event.
    Ndjson,
}

const NDJSON: &str = "application/x-ndjson";
/// What is collected before it is sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// Read a recording
///
/// The rrweb events in order of their times, each in its very text; streamed. When reading fails in the middle the
/// connection is broken off, so a body that ends is complete. An archived recording that is asked for as a whole, as an
/// array, with gzip accepted, is sent as it is stored.
#[utoipa::path(
    get, path = "/api/v1/sessions/{session_id}/replay/events", tag = "read",
    params(
        ("session_id" = String, Path, description = "The session"),
        ("from" = Option<String>, Query, description = "Only events from this time on, in epoch s or ms or RFC 3339"),
        ("to" = Option<String>, Query, description = "Only events up to this time"),
        ("format" = Option<String>, Query, description = "`json` for an array or `ndjson` for a line for each event; else as `Accept` says"),
    ),
    responses(
        (status = 200, description = "The events", content(
            (Vec<Object> = "application/json"),
            (String = "application/x-ndjson"),
        )),
        (status = "4XX", description = "The request was refused, or there is no recording", body = ErrorAnswer),
        (status = 503, description = "The data cannot be read right now", body = ErrorAnswer),
    ),
    security(("project_key" = []), ("bearer" = [])),
)]
pub(crate) async fn stream(
    State(state): State<ReadState>,
    Reader(scope): Reader,
    SessionInPath(session_id): SessionInPath,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let all = TimeRange::default();
    let range = TimeRange {
        from: params.time("from")?.unwrap_or(all.from),
        to: params.time("to")?.unwrap_or(all.to),
    };
    let format = params.take("format", "json or ndjson", |text| match text {
        "json" => Some(Format::Json),
        "ndjson" => Some(Format::Ndjson),
        _ => None,
    })?;
    params.finish()?;
    let format = format.unwrap_or_else(|| accepted(&headers));
    let events = state.query.replay_events(&scope, &session_id, range).await?.ok_or_else(no_recording)?;
    let stored = events.stored().filter(|_| format == Format::Json && accepts_gzip(&headers));
    let stored_bytes = stored.as_ref().map(StoredReplay::bytes);
    let mut parts = match stored {
        Some(stored) => Parts::Stored(stored),
        None => Parts::Written(Writer { events, format, stage: Stage::Start }),
    };
    // The first part is read before anything is answered, so that a failure there still has a status of its own.
    let first = parts.next().await?;
    let mut answer = body(first, parts).into_response();
    let answered = answer.headers_mut();
    let content_type = match format {
        Format::Json => "application/json",
        Format::Ndjson => NDJSON,
    };
    answered.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answered.append(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if let Some(bytes) = stored_bytes {
        // What has an encoding is not compressed once more.
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        answered.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    Ok(answer)
}

fn accepted(headers: &HeaderMap) -> Format {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(NDJSON));
    if headers.get_all(header::ACCEPT).iter().any(accepts) { Format::Ndjson } else { Format::Json }
}

fn body(first: Option<Bytes>, parts: Parts) -> Body {
    let rest = stream::try_unfold(parts, |mut parts| async move {
        Ok::<_, ReplayReadError>(parts.next().await?.map(|part| (part, parts)))
    });
    let parts = stream::iter(first.map(Ok)).chain(rest);
    // An error ends the body without its end mark, which tells the client that something is missing.
    Body::from_stream(parts.inspect_err(|error| tracing::error!(%error, "a recording was cut off")))
}

/// What a body is made of.
enum Parts {
    /// Events, written one after the other.
    Written(Writer),
    /// The archived object as it is.
    Stored(StoredReplay),
}

impl Parts {
    /// The next part; `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, ReplayReadError> {
        match self {
            Self::Written(writer) => writer.next_part().await,
            Self::Stored(stored) => stored.next().await,
        }
    }
}

/// Writes events part by part.
struct Writer {
    events: ReplayEvents,
    format: Format,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Middle,
    End,
}

impl Writer {
    /// The next part; `None` after the last.
    async fn next_part(&mut self) -> Result<Option<Bytes>, ReplayReadError> {
        if self.stage == Stage::End {
            return Ok(None);
        }
        let mut part = Vec::new();
        while part.len() < CHUNK_BYTES {
            let Some(event) = self.events.next().await? else {
                self.finish(&mut part);
                break;
            };
            self.write(&mut part, event.as_str());
        }
        Ok((!part.is_empty()).then(|| part.into()))
    }

    fn write(&mut self, part: &mut Vec<u8>, event: &str) {
        match self.format {
            Format::Json => {
                part.push(if self.stage == Stage::Start { b'[' } else { b',' });
                part.extend_from_slice(event.as_bytes());
            }
            Format::Ndjson => {
                // Between tokens, the only place where they can be, line breaks and spaces mean the same.
                part.extend(
                    event.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }),
                );
                part.push(b'\n');
            }
        }
        self.stage = Stage::Middle;
    }

    fn finish(&mut self, part: &mut Vec<u8>) {
        if self.format == Format::Json {
            part.extend_from_slice(if self.stage == Stage::Start { b"[]" } else { b"]" });
        }
        self.stage = Stage::End;
    }
}

//! Bodies of requests: how they are read, and where the limits on their size and time are held.

mod budget;
mod decode;
mod encoding;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

pub(crate) use budget::{MemoryBudget, Reservation};
pub(crate) use decode::{DecodeError, decode};
pub(crate) use encoding::Encoding;

use crate::config::BodyLimits;
use crate::error::{ApiError, ErrorCode};
use crate::state::App;

/// A body that was read and decompressed, with its share of the memory for bodies.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// The body.
    pub text: String,
    /// To be held until the request is done.
    pub reservation: Reservation,
}

/// Content types that are taken: JSON, and what browsers send for it without asking first.
const MEDIA_TYPES: [&str; 3] = ["application/json", "text/plain", "application/octet-stream"];

/// Reads the body of a request, decompresses it and checks that it is UTF-8.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<RequestBody, ApiError> {
    check_media_type(headers)?;
    let declared = Encoding::declared(headers)?;
    check_declared_length(headers, limits.body)?;
    let mut reservation = app.budget.reservation();
    let reading = collect(body, limits.body, &mut reservation);
    let raw = tokio::time::timeout(app.config.body_timeout, reading).await.map_err(|_| {
        let seconds = app.config.body_timeout.as_secs_f64();
        ApiError::new(ErrorCode::RequestTimeout, format!("the body did not come within {seconds} seconds"))
    })??;
    let encoding = declared.or_magic(&raw);
    let whole = decode(encoding, raw, limits.decompressed, &mut reservation)
        .await
        .map_err(|error| refusal(error, limits.decompressed))?;
    reservation.shrink_to(whole.len());
    let text = String::from_utf8(whole.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        ApiError::new(ErrorCode::InvalidUtf8, format!("the body is not UTF-8 at byte {at}"))
    })?;
    Ok(RequestBody { text, reservation })
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || MEDIA_TYPES.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let known = MEDIA_TYPES.join(", ");
    Err(ApiError::new(
        ErrorCode::UnsupportedMediaType,
        format!("the content type is none of {known}; send the body as JSON"),
    ))
}

/// A body that says that it is too large is refused without reading it.
fn check_declared_length(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match declared.and_then(|text| text.parse::<u64>().ok()) {
        Some(length) if length > limit as u64 => Err(too_large(limit)),
        _ => Ok(()),
    }
}

async fn collect(mut body: Body, limit: usize, reservation: &mut Reservation) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "a body ended early");
            ApiError::new(ErrorCode::InvalidRequest, "the body ended before it was complete")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - whole.len() {
            return Err(too_large(limit));
        }
        reservation.grow(data.len()).await?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("the body may have {limit} bytes at most"))
}

fn refusal(error: DecodeError, limit: usize) -> ApiError {
    match error {
        DecodeError::Damaged(reason) => {
            let message = format!("the body is not valid in its content encoding: {reason}");
            ApiError::new(ErrorCode::InvalidEncoding, message)
        }
        DecodeError::TooLarge => {
            let message = format!("the body may have {limit} bytes at most once decompressed");
            ApiError::new(ErrorCode::DecompressedTooLarge, message)
        }
        DecodeError::Overloaded => ApiError::overloaded(),
        DecodeError::Failed(cause) => ApiError::internal(&cause),
    }
}

#[cfg(test)]
mod tests;

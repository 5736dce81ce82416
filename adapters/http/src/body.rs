//! Bodies of requests: how they are read, and where the limits on their size and time are held.

mod encoding;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use gosight_application::surface::{DecompressError, Decompressor, Failure, FailureCode, Permit, decompress};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::time::Instant;

use encoding::Encoding;

use crate::config::BodyLimits;
use crate::error::ApiError;
use crate::state::App;

/// A body that was read and decompressed, with its share of the memory for bodies.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// The body.
    pub bytes: Bytes,
    /// To be held until the request is done.
    pub permit: Permit,
}

/// Whether it is known who sends a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The head had a key that is good.
    Yes,
    /// The key, if any, is in the body.
    NotYet,
}

/// Reads the body of a request and decompresses it.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    media_types: &[&str],
    limits: BodyLimits,
    known: Known,
) -> Result<RequestBody, ApiError> {
    check_media_type(headers, media_types)?;
    let declared = Encoding::declared(headers)?;
    check_declared_length(headers, limits.body)?;
    let mut permit = app.in_flight.permit();
    let mut unauthenticated = (known == Known::NotYet).then(|| app.in_flight.unauthenticated());
    let pace = Pace::new(app.config.body_stall_timeout);
    let reading = collect(body, limits.body, pace, &mut permit, unauthenticated.as_mut());
    let raw = tokio::time::timeout(app.config.body_timeout, reading).await.map_err(|_| {
        let seconds = app.config.body_timeout.as_secs_f64();
        ApiError::new(FailureCode::RequestTimeout, format!("the body did not come within {seconds} seconds"))
    })??;
    // What comes now takes no longer than the machine needs for it.
    drop(unauthenticated);
    let encoding = declared.or_magic(&raw);
    let bytes = decode(encoding, raw, limits.decompressed, &mut permit)
        .await
        .map_err(|error| refusal(error, limits.decompressed))?;
    permit.shrink_to(bytes.len());
    Ok(RequestBody { bytes, permit })
}

async fn decode(
    encoding: Encoding,
    raw: Bytes,
    limit: usize,
    permit: &mut Permit,
) -> Result<Bytes, DecompressError> {
    if encoding == Encoding::Identity {
        return if raw.len() > limit { Err(DecompressError::TooLarge) } else { Ok(raw) };
    }
    let compressed = raw.len();
    let reader = encoding.open(raw).map_err(|error| DecompressError::Damaged(error.to_string()))?;
    let decoder = Decompressor::new(reader, encoding.window_bytes(), limit);
    Ok(decompress(decoder, compressed, permit).await?.into())
}

fn check_media_type(headers: &HeaderMap, known: &[&str]) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(ApiError::new(FailureCode::UnsupportedMediaType, format!("the content type is none of {known}")))
}

/// A body that says that it is too large is refused without reading it.
fn check_declared_length(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match declared.and_then(|text| text.parse::<u64>().ok()) {
        Some(length) if length > limit as u64 => Err(too_large(limit)),
        _ => Ok(()),
    }
}

/// How fast a body has to come: memory is held for what came of it.
struct Pace {
    window: Duration,
    least_bytes: usize,
    ends: Instant,
    bytes: usize,
}

/// Bytes that a body brings in a second, at least.
const LEAST_BYTES_PER_SECOND: f64 = 1_024.0;

impl Pace {
    fn new(window: Duration) -> Self {
        let least_bytes = (window.as_secs_f64() * LEAST_BYTES_PER_SECOND).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and saturates"
        )]
        let least_bytes = least_bytes as usize;
        Self { window, least_bytes, ends: Instant::now() + window, bytes: 0 }
    }

    /// The next frame, unless the body comes too slowly.
    async fn next(&mut self, body: &mut Body) -> Result<Option<Frame<Bytes>>, ApiError> {
        loop {
            let Ok(frame) = tokio::time::timeout_at(self.ends, body.frame()).await else {
                self.judge()?;
                continue;
            };
            let frame = frame.transpose().map_err(|error| {
                tracing::debug!(%error, "a body ended early");
                ApiError::new(FailureCode::InvalidRequest, "the body ended before it was complete")
            })?;
            self.bytes += frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
            return Ok(frame);
        }
    }

    /// Looks at the window that has ended, and begins the next.
    fn judge(&mut self) -> Result<(), ApiError> {
        if self.bytes < self.least_bytes {
            let message = format!(
                "the body comes too slowly: {} bytes in {} seconds",
                self.bytes,
                self.window.as_secs_f64()
            );
            return Err(ApiError::new(FailureCode::RequestTimeout, message));
        }
        self.bytes = 0;
        self.ends = Instant::now() + self.window;
        Ok(())
    }
}

async fn collect(
    mut body: Body,
    limit: usize,
    mut pace: Pace,
    permit: &mut Permit,
    mut unauthenticated: Option<&mut Permit>,
) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = pace.next(&mut body).await? {
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limit - whole.len() {
            return Err(too_large(limit));
        }
        if let Some(unauthenticated) = &mut unauthenticated {
            unauthenticated.grow(data.len()).await?;
        }
        permit.grow(data.len()).await?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(FailureCode::BodyTooLarge, format!("the body may have {limit} bytes at most"))
}

fn refusal(error: DecompressError, limit: usize) -> ApiError {
    match error {
        DecompressError::Damaged(reason) => {
            let message = format!("the body is not valid in its content encoding: {reason}");
            ApiError::new(FailureCode::InvalidEncoding, message)
        }
        DecompressError::TooLarge => {
            let message = format!("the body may have {limit} bytes at most once decompressed");
            ApiError::new(FailureCode::DecompressedTooLarge, message)
        }
        DecompressError::Overloaded(overloaded) => overloaded.into(),
        DecompressError::Failed(cause) => Failure::internal(&cause).into(),
    }
}

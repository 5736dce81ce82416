//! How this surface fails: one table of codes, and the one place where failures of the use cases become answers.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
use gosight_application::access::AccessError;
use gosight_application::ingest::IngestError;
use gosight_application::ports::{PortError, QueryError};
use gosight_application::replay::ReplayReadError;
use gosight_domain::Violation;
use gosight_domain::key::KeyRefusal;
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! error_codes {
    ($($name:ident = $status:literal $code:literal $meaning:literal,)+) => {
        /// Why a request failed. The text of [`as_str`](Self::as_str) is part of the API and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $(#[doc = $meaning] $name,)+ }

        impl ErrorCode {
            /// Every code, for documentation and its test.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),+ }
            }
        }

        /// Every error code with its HTTP status and what it means.
        pub const CODES: &[(&str, u16, &str)] = &[$(($code, $status, $meaning)),+];
    };
}

error_codes! {
    InvalidJson = 400 "invalid_json" "The body is not JSON; the message says at which line and column.",
    InvalidUtf8 = 400 "invalid_utf8" "The body is not UTF-8.",
    TooDeep = 400 "too_deep" "The body is nested too deep.",
    InvalidRequest = 400 "invalid_request" "A field around the events has the wrong type; the details name it.",
    InvalidEncoding = 400 "invalid_encoding" "The compressed body is damaged or cut off.",
    NoEvents = 400 "no_events" "The request has no events.",
    InvalidEvents = 400 "invalid_events" "No event of the batch is valid; the details say why for each.",
    InvalidEvent = 400 "invalid_event" "The event is not valid; the details say why.",
    InvalidReplay = 400 "invalid_replay" "The replay chunk is not valid; the details say why.",
    InvalidParameter = 400 "invalid_parameter" "A parameter has a value that is not allowed.",
    UnknownParameter = 400 "unknown_parameter" "There is no such query parameter here.",
    MissingKey = 401 "missing_key" "No key was presented.",
    InvalidKey = 401 "invalid_key" "The key is not known.",
    RevokedKey = 401 "revoked_key" "The key was revoked.",
    ExpiredKey = 401 "expired_key" "The key has expired.",
    InsufficientScope = 403 "insufficient_scope" "The key is valid, but not for this.",
    NotFound = 404 "not_found" "There is no such path, or nothing with this id.",
    MethodNotAllowed = 405 "method_not_allowed" "The path does not take this method; the Allow header says which.",
    ConflictingChunk = 409 "conflicting_chunk" "Another chunk of the session has this index; the one that was sent is in the errors log.",
    RequestTimeout = 408 "request_timeout" "The body did not come in time.",
    BodyTooLarge = 413 "body_too_large" "The body is larger than allowed.",
    DecompressedTooLarge = 413 "decompressed_too_large" "The body is larger than allowed once decompressed.",
    TooManyEvents = 413 "too_many_events" "The request has more events than allowed.",
    UnsupportedMediaType = 415 "unsupported_media_type" "The content type is none that is taken.",
    UnsupportedEncoding = 415 "unsupported_encoding" "The content encoding is none that is taken, or there are several.",
    RateLimited = 429 "rate_limited" "The project sends more than its limit; Retry-After says when to try again.",
    Internal = 500 "internal" "Something failed that should not; the cause is in the server's log.",
    Overloaded = 503 "overloaded" "The server has too many requests in flight; try again after Retry-After.",
    Unavailable = 503 "unavailable" "A part that is needed is away; try again after Retry-After.",
}

impl ErrorCode {
    pub(crate) fn http_status(self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Detail {
    /// Place of the event in its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The field or parameter.
    pub field: String,
    /// Which rule it breaks.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What was found and what is allowed.
    pub message: String,
}

impl Detail {
    /// What `violation` says of a field that its sender calls `field`.
    pub(crate) fn of(index: Option<usize>, field: impl Into<String>, violation: &Violation) -> Self {
        let field = field.into();
        let message = format!("{field}: {}", violation.reason);
        Self { index, field, code: violation.code.as_str(), message }
    }
}

/// An error as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// Which error, stable across releases.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What is wrong and what to do, for a person.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
    /// What is wrong in particular.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// The whole answer when a request failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorAnswer {
    /// Why.
    pub error: ErrorBody,
}

/// A request that failed.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    pub details: Vec<Detail>,
    pub retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), retry_after: None }
    }

    pub(crate) fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(Duration::ZERO));
        self
    }

    /// A failure that its sender can do nothing about. The cause is logged here and goes no further.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        Self::new(ErrorCode::Internal, "the request could not be handled")
    }

    pub(crate) fn overloaded() -> Self {
        Self::new(ErrorCode::Overloaded, "too many requests are in flight, try again later")
            .with_retry_after(None)
    }

    pub(crate) fn body(self) -> ErrorBody {
        ErrorBody { code: self.code.as_str(), message: self.message, details: self.details }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        let message = error.to_string();
        let code = match error {
            AccessError::MissingKey => ErrorCode::MissingKey,
            AccessError::Refused(KeyRefusal::Unknown) => ErrorCode::InvalidKey,
            AccessError::Refused(KeyRefusal::Revoked) => ErrorCode::RevokedKey,
            AccessError::Refused(KeyRefusal::Expired) => ErrorCode::ExpiredKey,
            AccessError::MissingScope(_) => ErrorCode::InsufficientScope,
            AccessError::Unavailable { retry_after, source } => {
                tracing::warn!(error = %source, "a key could not be checked");
                return Self::new(ErrorCode::Unavailable, message).with_retry_after(retry_after);
            }
        };
        Self::new(code, message)
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        let message = error.to_string();
        match error {
            IngestError::Empty => Self::new(ErrorCode::NoEvents, message),
            IngestError::TooManyEvents { .. } => Self::new(ErrorCode::TooManyEvents, message),
            IngestError::RateLimited { retry_after } => {
                Self::new(ErrorCode::RateLimited, message).with_retry_after(Some(retry_after))
            }
            IngestError::BadReplay(violation) => {
                let detail = Detail::of(None, violation.field.clone(), &violation);
                Self::new(ErrorCode::InvalidReplay, message).with_details(vec![detail])
            }
            IngestError::ConflictingChunk(violation) => {
                let detail = Detail::of(None, violation.field.clone(), &violation);
                Self::new(ErrorCode::ConflictingChunk, message).with_details(vec![detail])
            }
            IngestError::Unavailable { retry_after, source } => {
                // The use case has logged it with what it was doing.
                tracing::debug!(error = %source, "a request could not be logged");
                Self::new(ErrorCode::Unavailable, message).with_retry_after(retry_after)
            }
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            PortError::Transient { retry_after, .. } => {
                tracing::warn!(%error, "a question could not be answered");
                Self::new(ErrorCode::Unavailable, "the data cannot be read right now")
                    .with_retry_after(retry_after)
            }
            PortError::Rejected { refused, .. } => match refused {},
            PortError::Fatal { .. } => Self::internal(&error),
        }
    }
}

impl From<ReplayReadError> for ApiError {
    fn from(error: ReplayReadError) -> Self {
        match error {
            ReplayReadError::Store(error) => error.into(),
            ReplayReadError::Gone(_) | ReplayReadError::NoObject(_) => {
                Self::new(ErrorCode::Unavailable, "the recording was moved while it was read, try again")
                    .with_retry_after(None)
            }
            ReplayReadError::Corrupt { .. } | ReplayReadError::Damaged(_) => Self::internal(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_have_a_status() {
        let mut names: Vec<&str> = CODES.iter().map(|(code, _, _)| *code).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        assert_eq!(CODES.len(), ErrorCode::ALL.len());
        for (code, (name, status, meaning)) in ErrorCode::ALL.iter().zip(CODES) {
            assert_eq!((code.as_str(), code.status()), (*name, *status));
            assert_eq!(code.http_status().as_u16(), *status);
            assert!(meaning.ends_with('.'));
        }
    }
}

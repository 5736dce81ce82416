//! Requests that failed, and the one place where failures of the use cases become answers.

use std::borrow::Cow;
use std::time::Duration;

use gosight_domain::Violation;
use gosight_domain::key::KeyRefusal;
use serde::Serialize;

use super::failure_code::FailureCode;
use super::in_flight::Overloaded;
use crate::access::AccessError;
use crate::ingest::IngestError;
use crate::ports::{PortError, QueryError};
use crate::replay::ReplayReadError;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureDetail {
    /// Place of the event in its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The field or parameter, as the client calls it.
    pub field: String,
    /// Which rule it breaks.
    pub code: &'static str,
    /// What was found and what is allowed.
    pub message: String,
}

impl FailureDetail {
    /// What `violation` says of a field that its sender calls `field`.
    pub fn of(index: Option<usize>, field: impl Into<String>, violation: &Violation) -> Self {
        let field = field.into();
        let message = format!("{field}: {}", violation.reason);
        Self { index, field, code: violation.code.as_str(), message }
    }
}

/// A request that failed. Serializes as `{"code", "message", "details"?}`.
#[derive(Debug, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which failure.
    #[serde(serialize_with = "by_name")]
    pub code: FailureCode,
    /// What is wrong and what to do, for a person.
    pub message: Cow<'static, str>,
    /// What is wrong in particular.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FailureDetail>,
    /// How long to wait before the request is sent again, where that may help.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn by_name<S: serde::Serializer>(code: &FailureCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

impl Failure {
    /// A failure without details.
    pub fn new(code: FailureCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), retry_after: None }
    }

    /// The same with `details`.
    #[must_use]
    pub fn with_details(mut self, details: Vec<FailureDetail>) -> Self {
        self.details = details;
        self
    }

    /// The same, to be sent again after `wait`; `None` stands for at once.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(Duration::ZERO));
        self
    }

    /// A failure that its sender can do nothing about. The cause is logged here and goes no further.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "request failed");
        Self::new(FailureCode::Internal, "the request could not be handled")
    }

    /// An item that breaks a rule, under a code that says what kind of item it is.
    pub fn invalid(code: FailureCode, violation: &Violation) -> Self {
        let detail = FailureDetail::of(None, violation.field.clone(), violation);
        Self::new(code, detail.message.clone()).with_details(vec![detail])
    }
}

impl From<Overloaded> for Failure {
    fn from(overloaded: Overloaded) -> Self {
        Self::new(FailureCode::Overloaded, overloaded.to_string()).with_retry_after(None)
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let message = error.to_string();
        let code = match error {
            AccessError::MissingKey => FailureCode::MissingKey,
            AccessError::Refused(KeyRefusal::Unknown) => FailureCode::InvalidKey,
            AccessError::Refused(KeyRefusal::Revoked) => FailureCode::RevokedKey,
            AccessError::Refused(KeyRefusal::Expired) => FailureCode::ExpiredKey,
            AccessError::MissingScope(_) => FailureCode::InsufficientScope,
            AccessError::Unavailable { retry_after, source } => {
                tracing::warn!(error = %source, "key could not be checked");
                return Self::new(FailureCode::Unavailable, message).with_retry_after(retry_after);
            }
        };
        Self::new(code, message)
    }
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        let message = error.to_string();
        match error {
            IngestError::Empty => Self::new(FailureCode::NoEvents, message),
            IngestError::TooManyEvents { .. } => Self::new(FailureCode::TooManyEvents, message),
            IngestError::RateLimited { retry_after } => {
                Self::new(FailureCode::RateLimited, message).with_retry_after(Some(retry_after))
            }
            IngestError::BadReplay(violation) => Self::invalid(FailureCode::InvalidReplay, &violation),
            IngestError::ConflictingChunk(violation) => {
                Self::invalid(FailureCode::ConflictingChunk, &violation)
            }
            IngestError::Unavailable { retry_after, source } => {
                // The use case has logged it with what it was doing.
                tracing::debug!(error = %source, "request could not be logged");
                Self::new(FailureCode::Unavailable, message).with_retry_after(retry_after)
            }
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            PortError::Transient { retry_after, .. } => {
                tracing::warn!(%error, "query failed");
                Self::new(FailureCode::Unavailable, "the data cannot be read right now")
                    .with_retry_after(retry_after)
            }
            PortError::Rejected { refused, .. } => match refused {},
            PortError::Fatal { .. } => Self::internal(&error),
        }
    }
}

impl From<ReplayReadError> for Failure {
    fn from(error: ReplayReadError) -> Self {
        match error {
            ReplayReadError::Store(error) => error.into(),
            ReplayReadError::Gone(_) | ReplayReadError::NoObject(_) => {
                Self::new(FailureCode::Unavailable, "the recording was moved while it was read, try again")
                    .with_retry_after(None)
            }
            ReplayReadError::Corrupt { .. } | ReplayReadError::Damaged(_) => Self::internal(&error),
        }
    }
}

//! Wire formats over HTTP.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::credential::Credential;
use super::failure::Failure;
use super::failure_code::FailureCode;
use super::head::Head;
use super::intake::{IntakeReceipt, IntakeRequest};

/// Which limits hold for bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Those of events.
    Events,
    /// Those of replay chunks, which are larger.
    Replay,
}

/// What may be kept of a body while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most items. More are counted, but not kept.
    pub max_items: usize,
}

/// Content types of JSON, and what browsers send for it without asking first.
const JSON_TYPES: [&str; 3] = ["application/json", "text/plain", "application/octet-stream"];

/// A wire format: where the credential is, which bodies are taken, how they become [`Intake`](super::Intake), and how is answered.
///
/// Bodies arrive decompressed and within their limits; keys, allowances, rules and the log are the business of what comes after.
///
/// # Contract
/// 1. `read` never panics, whatever the body, and takes memory for at most [`ReadLimits::max_items`] items.
/// 2. A bad item is an `Err` among the items; only a body of which no item can be told is a [`Failure`].
/// 3. `answer` is successful when at least one item was accepted, so that no client sends those again.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Its name in metrics and documentation, such as `sdk`.
    fn name(&self) -> &'static str;

    /// The paths that take `POST` requests in it.
    fn paths(&self) -> &'static [&'static str];

    /// Where the key may stand; the first place that has one counts.
    fn credentials(&self) -> &'static [Credential] {
        &[Credential::Header("x-project-key"), Credential::Bearer, Credential::Body]
    }

    /// Which limits hold for its bodies.
    fn body(&self) -> BodyKind {
        BodyKind::Events
    }

    /// The content types that are taken, in lower case. A request without one is taken too.
    fn media_types(&self) -> &'static [&'static str] {
        &JSON_TYPES
    }

    /// How many items `body` has at most: memory is set aside for so many before it is read. The default counts commas, one of
    /// which stands between any two items of JSON.
    fn most_items(&self, body: &[u8]) -> usize {
        memchr::memchr_iter(b',', body).count() + 1
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Failure`] when no item of it can be told.
    fn read<'a>(
        &self,
        head: &Head<'_>,
        body: &'a [u8],
        limits: ReadLimits,
    ) -> Result<IntakeRequest<'a>, Failure>;

    /// What is answered to a request whose items were judged.
    fn answer(&self, request: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer;

    /// What is answered to a request that failed as a whole.
    fn failure(&self, failure: &Failure) -> Answer {
        Answer::failed(failure)
    }
}

/// An answer of a [`Dialect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The content type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Why the request failed, if it did: for metrics.
    pub code: Option<FailureCode>,
    /// When the request may be sent again.
    pub retry_after: Option<Duration>,
}

/// The form in which failures are answered unless a dialect has another.
#[derive(Serialize)]
struct FailureBody<'a> {
    error: &'a Failure,
}

impl Answer {
    /// `value` as JSON.
    pub fn json<T: Serialize>(status: u16, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                Self { status, content_type: "application/json", body, code: None, retry_after: None }
            }
            Err(error) => Self::failed(&Failure::internal(&error)),
        }
    }

    /// `value` as JSON for a request that failed for the reason `code`.
    pub fn refused<T: Serialize>(code: FailureCode, value: &T) -> Self {
        Self { code: Some(code), ..Self::json(code.http_status(), value) }
    }

    /// `{"error": {"code", "message", "details"?}}` with the status of the failure.
    pub fn failed(failure: &Failure) -> Self {
        let body = serde_json::to_vec(&FailureBody { error: failure }).unwrap_or_default();
        Self {
            status: failure.code.http_status(),
            content_type: "application/json",
            body,
            code: Some(failure.code),
            retry_after: failure.retry_after,
        }
    }
}

/// A body as text.
///
/// # Errors
/// [`FailureCode::InvalidUtf8`], with the place of the first byte that is not UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        Failure::new(FailureCode::InvalidUtf8, format!("the body is not UTF-8 at byte {at}"))
    })
}

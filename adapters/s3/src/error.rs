//! What a failed request means.

use std::fmt::Write as _;

use gosight_application::ports::{Effect, PortError};
use s3::error::S3Error;
use serde::Deserialize;

use crate::ADAPTER;

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The store answered that it will not.
    #[error("{status} {code}: {message}")]
    Refused {
        /// Status of HTTP.
        status: u16,
        /// The store's own name of the error; empty where the answer had no body.
        code: String,
        /// The store's own words.
        message: String,
    },
    /// No answer, or only the start of one.
    #[error("{0}")]
    Unanswered(String),
    /// The request could not even be sent.
    #[error("{0}")]
    NotSent(String),
    /// The answer makes no sense.
    #[error("{0}")]
    Nonsense(String),
}

/// Whether what failed may work later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Later perhaps; nothing was done.
    NotDone,
    /// Later perhaps; it may have been done.
    Unknown,
    /// Never, as it is.
    Fatal,
}

/// The body of an error.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(rename = "Code", default)]
    code: String,
    #[serde(rename = "Message", default)]
    message: String,
}

/// Longest part of an answer that is shown.
const SHOWN_CHARS: usize = 300;

impl Failure {
    /// An answer that is no success.
    pub(crate) fn refused(status: u16, body: &str) -> Self {
        let ErrorBody { code, message } = quick_xml::de::from_str(body)
            .unwrap_or_else(|_| ErrorBody { code: String::new(), message: body.to_owned() });
        Self::Refused { status, code, message: message.chars().take(SHOWN_CHARS).collect() }
    }

    /// The store's own name of the error.
    fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// There is no such object.
    pub(crate) fn is_no_object(&self) -> bool {
        self.status() == Some(404) && matches!(self.code(), "NoSuchKey" | "")
    }

    /// There is no such object, or no such bucket: the answer to `HEAD` has no body that would tell.
    pub(crate) fn is_nothing_there(&self) -> bool {
        self.status() == Some(404) && self.code().is_empty()
    }

    /// There is no such bucket.
    pub(crate) fn is_no_bucket(&self) -> bool {
        self.code() == "NoSuchBucket"
    }

    /// The bucket is there, and ours.
    pub(crate) fn is_own_bucket(&self) -> bool {
        self.code() == "BucketAlreadyOwnedByYou"
    }

    /// There is no such upload in parts: it was completed or given up.
    pub(crate) fn is_no_upload(&self) -> bool {
        self.code() == "NoSuchUpload"
    }

    /// The range starts after the object.
    pub(crate) fn is_after_the_end(&self) -> bool {
        self.status() == Some(416)
    }

    /// Whether it may work later.
    pub(crate) fn is_transient(&self) -> bool {
        self.verdict() != Verdict::Fatal
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self::NotSent(_) => Verdict::NotDone,
            Self::Unanswered(_) => Verdict::Unknown,
            Self::Nonsense(_) => Verdict::Fatal,
            Self::Refused { status, code, .. } => of_answer(*status, code),
        }
    }

    /// What a person can do about it.
    fn advice(&self) -> Option<&'static str> {
        Some(match (self.status()?, self.code()) {
            (_, "NoSuchBucket") => "create the bucket, or set create_bucket",
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch") => "check access_key and secret_key",
            (_, "RequestTimeTooSkewed") => "set this machine's clock",
            (301 | 307, _) | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                "check region and endpoint"
            }
            (401 | 403, _) => "the access key has to be allowed to get, put, delete and list in this bucket",
            _ => return None,
        })
    }

    /// As the port's error. `effect` is what the request does when it is done.
    pub(crate) fn at(self, what: &str, effect: Effect) -> PortError {
        let mut text = format!("{what}: {self}");
        if let Some(advice) = self.advice() {
            // Writing to a text does not fail.
            let _ = write!(text, " ({advice})");
        }
        match (self.verdict(), effect) {
            (Verdict::Fatal, _) => PortError::fatal(ADAPTER, text),
            (Verdict::Unknown, Effect::Unknown) => PortError::unknown(ADAPTER, text),
            _ => PortError::transient(ADAPTER, text),
        }
    }
}

/// What arrived was cut, late or damaged on its way: the hash was right when it was sent.
const DAMAGED: [&str; 5] = [
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
];

/// What an answer means (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
fn of_answer(status: u16, code: &str) -> Verdict {
    match (status, code) {
        (400, code) if DAMAGED.contains(&code) => Verdict::NotDone,
        // Something else is being done to the bucket; too much at once; no room.
        (409, "OperationAborted" | "ConditionalRequestConflict")
        | (408 | 429 | 507, _)
        | (503, "SlowDown") => Verdict::NotDone,
        // An upload that an earlier attempt completed, or that another process gave up.
        (500 | 502 | 503 | 504, _) | (404, "NoSuchUpload") => Verdict::Unknown,
        _ => Verdict::Fatal,
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::HttpFailWithBody(status, body) => Self::refused(status, &body),
            S3Error::Reqwest(error) if error.is_builder() => Self::Nonsense(chain(&error)),
            S3Error::Reqwest(error) if error.is_connect() => Self::NotSent(chain(&error)),
            S3Error::Reqwest(error) => Self::Unanswered(chain(&error)),
            S3Error::Io(error) => Self::Unanswered(error.to_string()),
            other => Self::Nonsense(other.to_string()),
        }
    }
}

/// An error with its causes, which reqwest leaves out of its own text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Failure {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>So.</Message></Error>");
        Failure::from(S3Error::HttpFailWithBody(status, body))
    }

    #[test]
    fn answers_are_classified() {
        for (status, code, wanted) in [
            (500, "InternalError", Verdict::Unknown),
            (503, "SlowDown", Verdict::NotDone),
            (503, "ServiceUnavailable", Verdict::Unknown),
            (504, "", Verdict::Unknown),
            (429, "", Verdict::NotDone),
            (400, "RequestTimeout", Verdict::NotDone),
            (400, "BadDigest", Verdict::NotDone),
            (507, "XMinioStorageFull", Verdict::NotDone),
            (404, "NoSuchUpload", Verdict::Unknown),
            (400, "InvalidArgument", Verdict::Fatal),
            (400, "EntityTooLarge", Verdict::Fatal),
            (403, "AccessDenied", Verdict::Fatal),
            (404, "NoSuchBucket", Verdict::Fatal),
            (501, "NotImplemented", Verdict::Fatal),
        ] {
            assert_eq!(refused(status, code).verdict(), wanted, "{status} {code}");
        }
    }

    #[test]
    fn a_person_is_told_what_to_do() {
        let text = refused(404, "NoSuchBucket").at("bucket b", Effect::None).to_string();
        assert_eq!(
            text,
            "s3 cannot go on: bucket b: 404 NoSuchBucket: So. (create the bucket, or set create_bucket)"
        );
        assert!(refused(403, "AccessDenied").advice().unwrap().contains("allowed"));
    }

    #[test]
    fn an_answer_of_no_store_is_shown_in_part() {
        let page = format!("<html>{}</html>", "x".repeat(10_000));
        let text = Failure::from(S3Error::HttpFailWithBody(400, page)).to_string();
        assert!(text.len() < 400, "{text}");
    }

    #[test]
    fn reads_never_leave_anything_unknown() {
        let effect = |effect| match refused(500, "").at("x", effect) {
            PortError::Transient { effect, .. } => effect,
            other => panic!("{other}"),
        };
        assert_eq!(effect(Effect::None), Effect::None);
        assert_eq!(effect(Effect::Unknown), Effect::Unknown);
    }
}

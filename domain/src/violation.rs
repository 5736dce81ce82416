//! What is wrong with a value, in words for a person and a code for a program.

use std::borrow::Cow;

/// One broken rule: which field, which rule, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Violation {
    /// Path of the field in the words of the sender, such as `payload.x`.
    pub field: Cow<'static, str>,
    /// The rule, stable across releases.
    pub code: ViolationCode,
    /// What was found and what is allowed.
    pub reason: String,
}

impl Violation {
    /// A violation of `code` at `field`.
    pub fn new(field: impl Into<Cow<'static, str>>, code: ViolationCode, reason: impl Into<String>) -> Self {
        Self { field: field.into(), code, reason: reason.into() }
    }

    /// A required field that is not there.
    pub fn missing(field: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, ViolationCode::Missing, "is required")
    }

    /// The same violation with `parent.` before the field's path.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = Cow::Owned(format!("{parent}.{}", self.field));
        self
    }
}

macro_rules! violation_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// Which rule a value breaks. The text of [`as_str`](Self::as_str) is part of the API and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ViolationCode { $($(#[$doc])* $name,)+ }

        impl ViolationCode {
            /// Every code, for documentation and its test.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

violation_codes! {
    /// A required field is absent or null.
    Missing = "missing_field",
    /// The JSON type is not the field's.
    WrongType = "wrong_type",
    /// Text or list longer than allowed.
    TooLong = "too_long",
    /// More entries than allowed.
    TooMany = "too_many",
    /// A number that does not fit its column.
    OutOfRange = "out_of_range",
    /// Not one of the allowed values, or not of the allowed form.
    NotAllowed = "not_allowed",
    /// Text with a NUL character.
    NulCharacter = "nul_character",
    /// JSON nested deeper than allowed.
    TooDeep = "too_deep",
    /// Larger than allowed, in bytes.
    TooLarge = "too_large",
    /// Not JSON, or JSON with text that is not Unicode (a lone surrogate).
    InvalidJson = "invalid_json",
    /// The timestamp lies too far in the future.
    TimestampInFuture = "timestamp_in_future",
    /// The timestamp is older than accepted.
    TimestampTooOld = "timestamp_too_old",
    /// The same `event_id` twice in a request, with different content.
    ConflictingEventId = "conflicting_event_id",
    /// Another replay chunk of the session has this index.
    ConflictingChunk = "conflicting_chunk",
    /// Two fields that contradict each other.
    Inconsistent = "inconsistent",
}

impl std::fmt::Display for ViolationCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

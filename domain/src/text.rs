//! Short texts that are valid by construction: names and ids.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::recent;
use crate::violation::{Violation, ViolationCode};

/// Refuses text that is empty, longer than `max_chars` or has a NUL character.
pub(crate) fn check_text(field: &'static str, text: &str, max_chars: usize) -> Result<(), Violation> {
    if text.is_empty() {
        return Err(Violation::new(field, ViolationCode::Missing, "must not be empty"));
    }
    // A text of few bytes has few characters; counting is for the long ones only.
    if text.len() > max_chars {
        let chars = text.chars().count();
        if chars > max_chars {
            return Err(Violation::new(
                field,
                ViolationCode::TooLong,
                format!("has {chars} characters, at most {max_chars} are allowed"),
            ));
        }
    }
    check_nul(field, text)
}

/// Refuses text with a NUL character, which some stores cannot hold.
pub(crate) fn check_nul(field: &'static str, text: &str) -> Result<(), Violation> {
    if text.as_bytes().contains(&0) {
        return Err(Violation::new(
            field,
            ViolationCode::NulCharacter,
            "has a NUL character, which is not allowed in text",
        ));
    }
    Ok(())
}

/// A text as it is read: names and ids come again and again.
#[derive(Deserialize)]
#[serde(transparent)]
struct Shared(#[serde(deserialize_with = "recent::deserialize")] Arc<str>);

macro_rules! text_types {
    ($($(#[$doc:meta])* $name:ident { field: $field:literal, max_chars: $max:literal $(, also: $check:path)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Shared", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest allowed text, in characters.
            pub const MAX_CHARS: usize = $max;

            /// Checks `text`.
            ///
            /// # Errors
            /// [`Violation`] when the text is empty, too long, or has a character that is not allowed.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, Violation> {
                let text = text.into();
                check_text($field, &text, $max)?;
                $($check($field, &text)?;)?
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Arc<str>> for $name {
            type Error = Violation;
            fn try_from(text: Arc<str>) -> Result<Self, Violation> {
                Self::new(text)
            }
        }

        impl TryFrom<Shared> for $name {
            type Error = Violation;
            fn try_from(text: Shared) -> Result<Self, Violation> {
                Self::new(text.0)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

text_types! {
    /// Id of a project, the tenant everything is scoped by: `a`-`z`, `0`-`9`, `-` and `_`, not first.
    ProjectId { field: "project_id", max_chars: 64, also: check_slug }
    /// Name of a kind of event, such as `page_view`. The set is open.
    EventName { field: "event_type", max_chars: 100 }
    /// The client's id of one session.
    SessionId { field: "session_id", max_chars: 100 }
    /// The sender's id of a known person.
    UserId { field: "user_id", max_chars: 100 }
    /// The client's id of a person who is not known yet.
    AnonymousId { field: "anonymous_id", max_chars: 100 }
    /// Id of the campaign that led to the event.
    CampaignId { field: "campaign_id", max_chars: 100 }
    /// A free label of an event.
    Tag { field: "tags", max_chars: 100 }
}

fn check_slug(field: &'static str, text: &str) -> Result<(), Violation> {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let starts_well = bytes.first().copied().is_some_and(alphanumeric);
    if starts_well && bytes.iter().all(|&b| alphanumeric(b) || b == b'-' || b == b'_') {
        return Ok(());
    }
    Err(Violation::new(
        field,
        ViolationCode::NotAllowed,
        "may have a-z, 0-9, - and _ only and starts with a letter or digit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(EventName::new("é".repeat(100)).is_ok());
        let too_long = EventName::new("é".repeat(101)).unwrap_err();
        assert_eq!(too_long.code, ViolationCode::TooLong);
        assert_eq!(too_long.field, "event_type");
        assert!(too_long.reason.contains("101"));
    }

    #[test]
    fn empty_and_nul_are_refused() {
        assert_eq!(UserId::new("").unwrap_err().code, ViolationCode::Missing);
        assert_eq!(UserId::new("a\0b").unwrap_err().code, ViolationCode::NulCharacter);
    }

    #[test]
    fn a_project_id_is_safe_in_a_path() {
        for good in ["default", "p1", "a-b_c", "0"] {
            assert!(ProjectId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a/b", "..", "a b", "ä"] {
            assert!(ProjectId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn stored_text_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<SessionId>("\"s-1\"").is_ok());
        assert!(serde_json::from_str::<SessionId>("\"\"").is_err());
    }
}

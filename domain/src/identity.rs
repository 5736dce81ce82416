//! Who an event is, so that every delivery of it is known as the same one.
//!
//! A client that sends an `event_id` (a UUID, or any text that is unique in the project) is believed. Otherwise the
//! identity is made from what makes the event itself: see `content_ids`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::text::{ProjectId, check_text};
use crate::violation::{Violation, ViolationCode};

/// Identity of an event, unique within its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// From a UUID that is known to be an event's.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// From what a client sent: a UUID as it is, any other text of 1-100 characters made into one that is the same
    /// for the same project and text.
    ///
    /// # Errors
    /// [`Violation`] for empty, overlong or NUL text and for the nil UUID, which broken clients send for all events.
    pub fn from_client(project: &ProjectId, text: &str) -> Result<Self, Violation> {
        check_text("event_id", text, 100)?;
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.is_nil() => Err(Violation::new(
                "event_id",
                ViolationCode::NotAllowed,
                "is the nil UUID; send a unique one, or none",
            )),
            Ok(uuid) => Ok(Self(uuid)),
            Err(_) => Ok(Fields::new("client-id").text(project.as_str()).text(text).finish()),
        }
    }

    /// From a value that is unique per event type, such as an attempt's id.
    pub fn from_idempotency_key(project: &ProjectId, event_type: &str, value: &str) -> Self {
        Fields::new("idempotency-key").text(project.as_str()).text(event_type).text(value).finish()
    }

    /// The UUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Fields fed to SHA-256, each with its length in front so that no two lists read the same.
pub(crate) struct Fields(Sha256);

impl Fields {
    pub(crate) fn new(purpose: &str) -> Self {
        Self(Sha256::new()).text("gosight").text(purpose)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.bytes(&[1]).text(text),
            None => self.bytes(&[0]),
        }
    }

    /// The first 16 bytes of the hash as a UUID of version 8 (RFC 9562, section 5.8: vendor-specific).
    pub(crate) fn finish(self) -> EventId {
        let hash = self.0.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        EventId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str) -> ProjectId {
        ProjectId::new(id).unwrap()
    }

    #[test]
    fn a_uuid_is_believed_in_any_spelling() {
        let plain = EventId::from_client(&project("p"), "14cb7f4d-533f-46d6-841e-efb2338730c8").unwrap();
        let upper = EventId::from_client(&project("p"), "14CB7F4D533F46D6841EEFB2338730C8").unwrap();
        assert_eq!(plain, upper);
        assert_eq!(plain.to_string(), "14cb7f4d-533f-46d6-841e-efb2338730c8");
    }

    #[test]
    fn other_text_is_made_into_a_uuid_per_project() {
        let id = EventId::from_client(&project("p"), "order-17").unwrap();
        assert_eq!(id, EventId::from_client(&project("p"), "order-17").unwrap());
        assert_ne!(id, EventId::from_client(&project("q"), "order-17").unwrap());
        assert_ne!(id, EventId::from_client(&project("p"), "order-18").unwrap());
        assert_eq!(id.as_uuid().get_version_num(), 8);
    }

    #[test]
    fn useless_ids_are_refused() {
        for (text, code) in [
            ("", ViolationCode::Missing),
            ("00000000-0000-0000-0000-000000000000", ViolationCode::NotAllowed),
            ("a\0", ViolationCode::NulCharacter),
        ] {
            assert_eq!(EventId::from_client(&project("p"), text).unwrap_err().code, code, "{text:?}");
        }
        assert!(EventId::from_client(&project("p"), &"x".repeat(101)).is_err());
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let one = Fields::new("t").text("ab").text("c").finish();
        let two = Fields::new("t").text("a").text("bc").finish();
        assert_ne!(one, two);
        assert_ne!(Fields::new("t").optional(None).finish(), Fields::new("t").optional(Some("")).finish());
    }
}

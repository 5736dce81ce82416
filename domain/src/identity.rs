//! Who an event is, so that every delivery of it is known as the same one.
//!
//! A client that sends an `event_id` (a UUID, or any text that is unique in the project) is believed. Otherwise the
//! identity is made from what makes the event itself, so a retry of the same request gives the same ids. Two honest
//! identical events in one request differ by their ordinal and stay two; in *different* requests they would be taken
//! for one, which is why clients should send an id.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::event::Event;
use crate::text::{ProjectId, check_text};
use crate::time::Timestamp;
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

/// Gives events without an id of their own one made from their content. One for each request.
#[derive(Debug, Default)]
pub struct ContentIds {
    ordinals: HashMap<EventId, u32>,
}

impl ContentIds {
    /// The id of `event`, whose own `event_id` is not looked at. `client_time` is the time as the client sent it:
    /// the corrected one depends on when the request arrived.
    pub fn assign(&mut self, event: &Event, client_time: Timestamp) -> EventId {
        let content = content_of(event, client_time);
        let ordinal = self.ordinals.entry(content).or_default();
        let id = match *ordinal {
            0 => content,
            n => Fields::new("ordinal").bytes(content.0.as_bytes()).bytes(&n.to_be_bytes()).finish(),
        };
        *ordinal += 1;
        id
    }
}

fn content_of(event: &Event, client_time: Timestamp) -> EventId {
    let mut fields = Fields::new("content")
        .text(event.project_id.as_str())
        .text(event.event_type.as_str())
        .bytes(&client_time.as_millis().to_be_bytes())
        .optional(event.session_id.as_ref().map(crate::SessionId::as_str))
        .optional(event.user_id.as_ref().map(crate::UserId::as_str))
        .optional(event.anonymous_id.as_ref().map(crate::AnonymousId::as_str))
        .optional(event.channel.map(crate::Channel::as_str))
        .optional(event.campaign_id.as_ref().map(crate::CampaignId::as_str))
        .text(&event.page.url)
        .text(&event.page.path)
        .text(event.payload.as_str())
        .text(event.custom.as_str());
    for tag in &event.tags {
        fields = fields.text(tag.as_str());
    }
    fields.finish()
}

/// Fields fed to SHA-256, each with its length in front so that no two lists read the same.
struct Fields(Sha256);

impl Fields {
    fn new(purpose: &str) -> Self {
        Self(Sha256::new()).text("gosight").text(purpose)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.bytes(&[1]).text(text),
            None => self.bytes(&[0]),
        }
    }

    /// The first 16 bytes of the hash as a UUID of version 8 (RFC 9562, section 5.8: vendor-specific).
    fn finish(self) -> EventId {
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

//! An event: one thing that happened.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::details::Details;
use crate::identity::EventId;
use crate::json::JsonObject;
use crate::recent;
use crate::text::{AnonymousId, CampaignId, EventName, ProjectId, SessionId, Tag, UserId};
use crate::time::Timestamp;
use crate::violation::{Violation, ViolationCode};

/// One thing that happened: checked, enriched, and with an identity. This is also the record of the event log; its
/// JSON form is stored, so fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who it is; the same for every delivery of the same event.
    pub event_id: EventId,
    /// The tenant.
    pub project_id: ProjectId,
    /// What kind of thing happened.
    pub event_type: EventName,
    /// When it happened, by the client's clock with its skew taken off.
    pub timestamp: Timestamp,
    /// When the server took it, by the server's clock.
    pub received_at: Timestamp,
    /// Place among all events that the server took: it grows with the time of the request and the place in it, so that it
    /// tells events of the same time apart. 0: not known.
    #[serde(default, skip_serializing_if = "is_no_sequence")]
    pub sequence: u64,
    /// How far the client's clock was ahead, in ms; `timestamp + clock_skew_ms` is what the client sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_skew_ms: i64,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The known person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The person who is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_id: Option<AnonymousId>,
    /// Where it came in from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The campaign that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<CampaignId>,
    /// Free labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The page it happened on.
    #[serde(default, skip_serializing_if = "Page::is_empty")]
    pub page: Page,
    /// What it happened on.
    #[serde(default, skip_serializing_if = "Device::is_empty")]
    pub device: Device,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Geo::is_empty")]
    pub geo: Geo,
    /// What sent it: name and version of the SDK, such as `gosight-js/1.2.0`.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub library: Option<Arc<str>>,
    /// What happened, by type.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub payload: JsonObject,
    /// Free properties.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub custom: JsonObject,
    /// What processing learned about it: what enrichers know, such as profiles.
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    pub context: JsonObject,
    /// Marks and routes that filter rules gave it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Arc<str>>,
}

impl Event {
    /// An event that nothing more is known of; received when it happened.
    ///
    /// ```
    /// use gosight_domain::{Event, EventId, EventName, ProjectId, SessionId, Timestamp};
    /// # fn main() -> Result<(), gosight_domain::Violation> {
    /// let project = ProjectId::new("default")?;
    /// let event = Event {
    ///     session_id: Some(SessionId::new("visit-1")?),
    ///     ..Event::new(
    ///         EventId::from_client(&project, "order-17")?,
    ///         project,
    ///         EventName::new("purchase")?,
    ///         Timestamp::from_millis(1_795_204_259_500),
    ///     )
    /// };
    /// assert_eq!(event.visitor(), Some("visit-1"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(
        event_id: EventId,
        project_id: ProjectId,
        event_type: EventName,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            event_id,
            project_id,
            event_type,
            timestamp,
            received_at: timestamp,
            sequence: 0,
            clock_skew_ms: 0,
            session_id: None,
            user_id: None,
            anonymous_id: None,
            channel: None,
            campaign_id: None,
            tags: Vec::new(),
            page: Page::default(),
            device: Device::default(),
            geo: Geo::default(),
            library: None,
            payload: JsonObject::default(),
            custom: JsonObject::default(),
            context: JsonObject::default(),
            routes: Vec::new(),
        }
    }

    /// What the log is partitioned by, so that the events of one session keep their order: the session, else the
    /// user, else the event itself.
    pub fn partition_key(&self) -> PartitionKey<'_> {
        match (&self.session_id, &self.user_id) {
            (Some(session), _) => PartitionKey::Text(session.as_str()),
            (None, Some(user)) => PartitionKey::Text(user.as_str()),
            (None, None) => PartitionKey::Id(self.event_id),
        }
    }

    /// Whom unique-user counts count: the user, else the anonymous visitor, else the session.
    pub fn visitor(&self) -> Option<&str> {
        let user = self.user_id.as_ref().map(UserId::as_str);
        let anonymous = || self.anonymous_id.as_ref().map(AnonymousId::as_str);
        let session = || self.session_id.as_ref().map(SessionId::as_str);
        user.or_else(anonymous).or_else(session)
    }

    /// The columns inside the payload.
    ///
    /// # Errors
    /// [`Violation`] as of [`Details::extract`]; never for an event that passed
    /// [`validate`](crate::validate::EventRules::validate).
    pub fn details(&self) -> Result<Details<'_>, Violation> {
        Details::extract(self.event_type.as_str(), self.payload.as_str())
    }
}

/// What decides the partition of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKey<'a> {
    /// A session or user id.
    Text(&'a str),
    /// The event has neither and stands for itself.
    Id(EventId),
}

impl PartitionKey<'_> {
    /// The key's bytes, as a log stores them.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Id(id) => id.as_uuid().into_bytes().to_vec(),
        }
    }
}

/// The sequence of the event at `place` of a request that came at `received_at`.
pub(crate) fn sequence(received_at: Timestamp, place: usize) -> u64 {
    const PLACE_BITS: u32 = 20;
    let millis = u64::try_from(received_at.as_millis()).unwrap_or(0);
    let last_place = (1_u64 << PLACE_BITS) - 1;
    // Requests have a thousand events; what comes after a million shares the last place.
    (millis << PLACE_BITS) | u64::try_from(place).unwrap_or(last_place).min(last_place)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_no_sequence(sequence: &u64) -> bool {
    *sequence == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Where an event came in from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A website.
    Web,
    /// An app on a phone or tablet.
    MobileApp,
    /// A backend.
    Api,
}

impl Channel {
    /// The name in requests, rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::MobileApp => "mobile_app",
            Self::Api => "api",
        }
    }
}

impl std::str::FromStr for Channel {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        match text {
            "web" => Ok(Self::Web),
            "mobile_app" => Ok(Self::MobileApp),
            "api" => Ok(Self::Api),
            other => Err(Violation::new(
                "channel",
                ViolationCode::NotAllowed,
                format!("{other:?} is none of web, mobile_app, api"),
            )),
        }
    }
}

/// The page an event happened on. Empty text: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Whole address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Path of the address, without query and fragment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Title of the document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Address of the page before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub referrer: String,
}

impl Page {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an event happened on. Absent: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Name of the browser.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub browser: Option<Arc<str>>,
    /// Version of the browser.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub browser_version: Option<Arc<str>>,
    /// Name of the operating system.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub os: Option<Arc<str>>,
    /// Version of the operating system.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<Arc<str>>,
    /// `desktop`, `mobile`, `tablet`, `bot` or `other`.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub device_type: Option<Arc<str>>,
    /// Width of the screen, in CSS px.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen_width: Option<u16>,
    /// Height of the screen, in CSS px.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen_height: Option<u16>,
    /// Width of the viewport, in CSS px.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewport_width: Option<u16>,
    /// Height of the viewport, in CSS px.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewport_height: Option<u16>,
}

impl Device {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where an event came from. Absent: not known, or dropped for privacy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geo {
    /// Address of the client, whole or truncated as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// ISO 3166-1 alpha-2 code of the country.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub country: Option<Arc<str>>,
    /// Name of the city in English.
    #[serde(
        default,
        deserialize_with = "recent::deserialize_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub city: Option<Arc<str>>,
}

impl Geo {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

//! Events as clients send them.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::violation::{Violation, ViolationCode};

/// An event as a client sent it: nothing is checked, text borrows from the request.
///
/// Serializes with the fields that are there, for reports on what was refused.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `Event`, unchecked")]
pub struct EventDraft<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Cow<'a, str>>,
    pub device: DeviceDraft<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Cow<'a, RawValue>>,
    /// Where the event itself came from, when its sender passes it on. It says who somebody is, so reports leave it out.
    #[serde(skip)]
    pub client: ClientDraft<'a>,
}

/// The client of an event that a backend passes on. Where one of these is there, what is known of the request is not the event's.
#[derive(Debug, Clone, Default)]
pub struct ClientDraft<'a> {
    /// Address of the client.
    pub ip: Option<Cow<'a, str>>,
    /// Its user agent.
    pub user_agent: Option<Cow<'a, str>>,
}

impl ClientDraft<'_> {
    /// Whether the sender says nothing of the client.
    pub fn is_empty(&self) -> bool {
        let absent = |text: &Option<Cow<'_, str>>| text.as_deref().is_none_or(str::is_empty);
        absent(&self.ip) && absent(&self.user_agent)
    }

    /// The address.
    ///
    /// # Errors
    /// [`Violation`] for text that is no IP address.
    pub fn address(&self) -> Result<Option<IpAddr>, Violation> {
        let Some(text) = self.ip.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let address = text.parse::<IpAddr>().map_err(|_| {
            Violation::new("ip", ViolationCode::NotAllowed, format!("{text:?} is not an IP address"))
        })?;
        Ok(Some(address.to_canonical()))
    }
}

/// What a client says about its device.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `Device`, unchecked")]
pub struct DeviceDraft<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_version: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_type: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen_width: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen_height: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewport_width: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewport_height: Option<f64>,
}

impl EventDraft<'_> {
    /// Bytes of all text and JSON of the draft.
    pub fn size_bytes(&self) -> usize {
        let texts = [
            &self.event_id,
            &self.event_type,
            &self.session_id,
            &self.user_id,
            &self.anonymous_id,
            &self.channel,
            &self.campaign_id,
            &self.url,
            &self.path,
            &self.title,
            &self.referrer,
            &self.device.browser,
            &self.device.browser_version,
            &self.device.os,
            &self.device.os_version,
            &self.device.device_type,
            &self.library,
            &self.client.ip,
            &self.client.user_agent,
        ];
        let text: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len()).sum();
        let json: usize =
            [&self.payload, &self.custom].into_iter().flatten().map(|raw| raw.get().len()).sum();
        text + tags + json
    }
}

//! The rules that an event has to meet, and how a draft from a client becomes an [`Event`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::content_ids::ContentIds;
use crate::event::{Channel, Device, Event, Geo, Page, sequence};
use crate::identity::EventId;
use crate::json::{JsonObject, MAX_DEPTH};
use crate::text::{AnonymousId, CampaignId, EventName, ProjectId, SessionId, Tag, UserId, check_nul};
use crate::time::{TimePolicy, Timestamp};
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
    pub payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<&'a RawValue>,
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

/// What is known about the request that brought the drafts.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    /// The tenant, from the key.
    pub project_id: ProjectId,
    /// When the server took the request.
    pub received_at: Timestamp,
    /// When the client says it sent the request.
    pub sent_at: Option<Timestamp>,
    /// Whether each event must name its user.
    pub user_required: bool,
    /// What the user agent tells; fields that the client sends itself win.
    pub device: Device,
    /// What the address tells.
    pub geo: Geo,
}

/// The rules that an event has to meet.
#[derive(Debug, Clone)]
pub struct EventRules {
    /// When a timestamp is believed.
    pub time: TimePolicy,
    /// Most tags of an event.
    pub max_tags: usize,
    /// Largest event, in bytes: all of its text and JSON.
    pub max_event_bytes: usize,
    /// Deepest nesting of `payload` and `custom`, each itself included.
    pub max_depth: usize,
    /// By event type, the top-level payload field that names the event when it has no `event_id` of its own.
    pub idempotency_keys: BTreeMap<EventName, String>,
}

impl Default for EventRules {
    /// 20 tags, 64 KiB, 64 levels, no idempotency keys.
    fn default() -> Self {
        Self {
            time: TimePolicy::default(),
            max_tags: 20,
            max_event_bytes: 64 * 1024,
            max_depth: MAX_DEPTH,
            idempotency_keys: BTreeMap::new(),
        }
    }
}

impl EventRules {
    /// Checks every draft of one request and gives a verdict for each, in the same order. A draft that could not be
    /// read keeps the reason as its verdict.
    ///
    /// Two drafts with the same id and the same content both pass (they are one event, and counted once later); with
    /// different content the second is refused, because one of them would be lost.
    pub fn validate_all(
        &self,
        facts: &RequestFacts,
        drafts: &[Result<EventDraft<'_>, Violation>],
    ) -> Vec<Result<Event, Violation>> {
        let skew_ms = self.time.skew_ms(facts.sent_at, facts.received_at);
        let mut ids = ContentIds::default();
        let mut seen: HashMap<EventId, usize> = HashMap::with_capacity(drafts.len());
        let mut verdicts: Vec<Result<Event, Violation>> = Vec::with_capacity(drafts.len());
        for (place, draft) in drafts.iter().enumerate() {
            let draft = draft.as_ref().map_err(Clone::clone);
            let verdict = draft.and_then(|draft| self.validate(facts, skew_ms, draft, &mut ids)).and_then(
                |mut event| {
                    event.sequence = sequence(facts.received_at, place);
                    let first = *seen.entry(event.event_id).or_insert(verdicts.len());
                    match verdicts.get(first) {
                        Some(Ok(other)) if !same_but_place(other, &event) => Err(conflict(first)),
                        _ => Ok(event),
                    }
                },
            );
            verdicts.push(verdict);
        }
        verdicts
    }

    /// Checks one draft of a request whose clock is `skew_ms` ahead.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn validate(
        &self,
        facts: &RequestFacts,
        skew_ms: i64,
        draft: &EventDraft<'_>,
        ids: &mut ContentIds,
    ) -> Result<Event, Violation> {
        self.check_size(draft)?;
        let event_type =
            EventName::new(draft.event_type.as_deref().ok_or_else(|| Violation::missing("event_type"))?)?;
        let client_time =
            Timestamp::from_epoch(draft.timestamp.ok_or_else(|| Violation::missing("timestamp"))?)?;
        let timestamp = self.time.judge(client_time, skew_ms, facts.received_at)?;
        let user_id = draft.user_id.as_deref().map(UserId::new).transpose()?;
        if facts.user_required && user_id.is_none() {
            return Err(Violation::missing("user_id"));
        }
        // The id comes last: it may be made from all the rest.
        let no_id = EventId::from_uuid(uuid::Uuid::nil());
        let mut event = Event {
            received_at: facts.received_at,
            clock_skew_ms: skew_ms,
            session_id: draft.session_id.as_deref().map(SessionId::new).transpose()?,
            user_id,
            anonymous_id: draft.anonymous_id.as_deref().map(AnonymousId::new).transpose()?,
            channel: draft.channel.as_deref().map(str::parse::<Channel>).transpose()?,
            campaign_id: draft.campaign_id.as_deref().map(CampaignId::new).transpose()?,
            tags: self.tags(&draft.tags)?,
            page: page(draft)?,
            device: device(&draft.device, &facts.device)?,
            geo: facts.geo.clone(),
            payload: object("payload", draft.payload, self.max_depth)?,
            custom: object("custom", draft.custom, self.max_depth)?,
            ..Event::new(no_id, facts.project_id.clone(), event_type, timestamp)
        };
        event.details()?;
        event.event_id = self.identify(&event, draft.event_id.as_deref(), client_time, ids)?;
        Ok(event)
    }

    fn identify(
        &self,
        event: &Event,
        client_id: Option<&str>,
        client_time: Timestamp,
        ids: &mut ContentIds,
    ) -> Result<EventId, Violation> {
        if let Some(text) = client_id {
            return EventId::from_client(&event.project_id, text);
        }
        if let Some(field) = self.idempotency_keys.get(&event.event_type)
            && let Some(value) = event.payload.to_value().get(field).filter(|value| !value.is_null())
        {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Ok(EventId::from_idempotency_key(&event.project_id, event.event_type.as_str(), &text));
        }
        Ok(ids.assign(event, client_time))
    }

    fn tags(&self, tags: &[Cow<'_, str>]) -> Result<Vec<Tag>, Violation> {
        if tags.len() > self.max_tags {
            return Err(Violation::new(
                "tags",
                ViolationCode::TooMany,
                format!("has {} entries, at most {} are allowed", tags.len(), self.max_tags),
            ));
        }
        tags.iter().map(|tag| Tag::new(tag.as_ref())).collect()
    }

    fn check_size(&self, draft: &EventDraft<'_>) -> Result<(), Violation> {
        let bytes = draft.size_bytes();
        if bytes <= self.max_event_bytes {
            return Ok(());
        }
        Err(Violation::new(
            "event",
            ViolationCode::TooLarge,
            format!("has {bytes} bytes, at most {} are allowed", self.max_event_bytes),
        ))
    }
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
        ];
        let text: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let tags: usize = self.tags.iter().map(|tag| tag.len()).sum();
        let json: usize = [self.payload, self.custom].into_iter().flatten().map(|raw| raw.get().len()).sum();
        text + tags + json
    }
}

fn same_but_place(one: &Event, other: &Event) -> bool {
    *one == Event { sequence: one.sequence, ..other.clone() }
}

fn conflict(first: usize) -> Violation {
    Violation::new(
        "event_id",
        ViolationCode::ConflictingEventId,
        format!("is also that of event {first}, which has other content; ids must be unique"),
    )
}

fn object(field: &'static str, raw: Option<&RawValue>, max_depth: usize) -> Result<JsonObject, Violation> {
    raw.map_or_else(|| Ok(JsonObject::default()), |raw| JsonObject::parse(field, raw, max_depth))
}

fn page(draft: &EventDraft<'_>) -> Result<Page, Violation> {
    let checked = |field, text: &Option<Cow<'_, str>>| -> Result<String, Violation> {
        let text = text.as_deref().unwrap_or_default();
        check_nul(field, text)?;
        Ok(text.to_owned())
    };
    let url = checked("url", &draft.url)?;
    let mut path = checked("path", &draft.path)?;
    if path.is_empty() {
        path_of(&url).clone_into(&mut path);
    }
    Ok(Page {
        url,
        path,
        title: checked("title", &draft.title)?,
        referrer: checked("referrer", &draft.referrer)?,
    })
}

/// The path of an address such as `https://host/path?query#fragment`; empty when there is none.
fn path_of(url: &str) -> &str {
    let address = url.split(['?', '#']).next().unwrap_or(url);
    let after_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    after_scheme.find('/').map_or("", |at| &after_scheme[at..])
}

fn device(draft: &DeviceDraft<'_>, known: &Device) -> Result<Device, Violation> {
    let text = |field, sent: &Option<Cow<'_, str>>, known: &Option<Arc<str>>| match sent.as_deref() {
        Some(text) if !text.is_empty() => {
            check_nul(field, text)?;
            Ok(Some(Arc::from(text)))
        }
        _ => Ok(known.clone()),
    };
    Ok(Device {
        browser: text("device.browser", &draft.browser, &known.browser)?,
        browser_version: text("device.browser_version", &draft.browser_version, &known.browser_version)?,
        os: text("device.os", &draft.os, &known.os)?,
        os_version: text("device.os_version", &draft.os_version, &known.os_version)?,
        device_type: text("device.device_type", &draft.device_type, &known.device_type)?,
        screen_width: pixels("device.screen_width", draft.screen_width)?,
        screen_height: pixels("device.screen_height", draft.screen_height)?,
        viewport_width: pixels("device.viewport_width", draft.viewport_width)?,
        viewport_height: pixels("device.viewport_height", draft.viewport_height)?,
    })
}

fn pixels(field: &'static str, number: Option<f64>) -> Result<Option<u16>, Violation> {
    match number.map(f64::round) {
        Some(n) if !(0.0..=f64::from(u16::MAX)).contains(&n) => Err(Violation::new(
            field,
            ViolationCode::OutOfRange,
            format!("{n} is outside of 0 to {}", u16::MAX),
        )),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        other => Ok(other.map(|n| n as u16)),
    }
}

#[cfg(test)]
mod tests;

//! The rules that an event has to meet, and how a draft from a client becomes an [`Event`].

mod draft;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::content_ids::ContentIds;
use crate::details::Details;
use crate::event::{Channel, Device, Event, Geo, Page, sequence};
use crate::identity::EventId;
use crate::json::{JsonObject, MAX_DEPTH};
use crate::text::{
    AnonymousId, CampaignId, EventName, ProjectId, SessionId, Tag, UserId, check_nul, check_text,
};
use crate::time::{TimePolicy, Timestamp};
use crate::violation::{Violation, ViolationCode};

pub use draft::{ClientDraft, DeviceDraft, EventDraft};

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
}

/// What is known about the client of an event from its address and user agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientContext {
    /// From the user agent; fields that the client sends itself win.
    pub device: Device,
    /// From the address.
    pub geo: Geo,
}

/// A draft with its place in the request.
#[derive(Debug, Clone, Copy)]
pub struct Drafted<'d, 'a> {
    /// Place among the items of the request.
    pub place: usize,
    /// What could be read, or why nothing could.
    pub draft: Result<&'d EventDraft<'a>, &'d Violation>,
    /// What is known of its client.
    pub client: Result<&'d ClientContext, &'d Violation>,
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
        drafts: &[Drafted<'_, '_>],
    ) -> Vec<Result<Event, Violation>> {
        let skew_ms = self.time.skew_ms(facts.sent_at, facts.received_at);
        let mut ids = ContentIds::default();
        let mut seen: HashMap<EventId, usize> = HashMap::with_capacity(drafts.len());
        let mut verdicts: Vec<Result<Event, Violation>> = Vec::with_capacity(drafts.len());
        for drafted in drafts {
            // Events are large: each stays where it is.
            let mut verdict = self.validate(facts, skew_ms, drafted, &mut ids);
            if let Ok(event) = &mut verdict {
                event.sequence = sequence(facts.received_at, drafted.place);
                let first = *seen.entry(event.event_id).or_insert(verdicts.len());
                if let Some(Ok(other)) = verdicts.get(first)
                    && !same_but_place(other, event)
                {
                    verdict = Err(conflict(drafts.get(first).map_or(first, |first| first.place)));
                }
            }
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
        drafted: &Drafted<'_, '_>,
        ids: &mut ContentIds,
    ) -> Result<Event, Violation> {
        let draft = drafted.draft.map_err(Clone::clone)?;
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
        let client = drafted.client.map_err(Clone::clone)?;
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
            device: device(&draft.device, &client.device)?,
            geo: client.geo.clone(),
            library: library(draft.library.as_deref())?,
            ..Event::new(no_id, facts.project_id.clone(), event_type, timestamp)
        };
        let columns;
        (event.payload, columns) =
            payload(event.event_type.as_str(), draft.payload.as_deref(), self.max_depth)?;
        event.custom = object("custom", draft.custom.as_deref(), self.max_depth)?;
        if columns == Columns::Unknown {
            event.details()?;
        }
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
            && event.payload.may_name(field)
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

/// What is known of the columns of a payload.
#[derive(PartialEq, Eq)]
enum Columns {
    /// Each has the right type and fits.
    Fit,
    /// To be found out from the payload.
    Unknown,
}

/// A good payload is read once. One that may be wrong is read again, slower, to learn what is.
fn payload(
    event_type: &str,
    raw: Option<&RawValue>,
    max_depth: usize,
) -> Result<(JsonObject, Columns), Violation> {
    match raw.and_then(|raw| Details::check(event_type, raw, max_depth)) {
        Some(object) => Ok((object, Columns::Fit)),
        None => Ok((object("payload", raw, max_depth)?, Columns::Unknown)),
    }
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

/// Longest name of a library, in characters.
const MAX_LIBRARY_CHARS: usize = 100;

fn library(text: Option<&str>) -> Result<Option<Arc<str>>, Violation> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    check_text("library", text, MAX_LIBRARY_CHARS)?;
    Ok(Some(Arc::from(text)))
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

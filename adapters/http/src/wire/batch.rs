//! Batches of events, and how they are read: all at once if every event can be read, else each alone, so that a bad
//! one does not cost its neighbours.

use std::marker::PhantomData;

use gosight_domain::key::PresentedKey;
use gosight_domain::validate::EventDraft;
use gosight_domain::{Timestamp, Violation};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::event::{Defaults, Door, Names, WireEvent};
use super::json::{self, Capped, CappedSeed, Object, SentAt, Text};
use crate::error::ApiError;
use crate::key;

/// The events of a request.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    /// The key, when the body has it.
    pub key: Option<PresentedKey>,
    /// When the client says that it sent the request.
    pub sent_at: Option<Timestamp>,
    /// For each event what could be read of it, or why it could not be read.
    pub drafts: Vec<Result<EventDraft<'a>, Violation>>,
    /// Events in the request. Only as many as one may have are among the drafts.
    pub found: usize,
    /// For each draft what its sender calls the fields.
    names: Vec<Names>,
}

impl Batch<'_> {
    /// The field of the violation of the event at `index`, in the words of who sent it.
    pub(crate) fn field(&self, index: usize, violation: &Violation) -> String {
        self.names.get(index).map_or_else(|| violation.field.to_string(), |names| names.of(violation))
    }
}

/// A batch of events. Fields that are not listed are ignored.
#[derive(Debug, ToSchema)]
#[schema(as = EventBatch)]
#[expect(dead_code, reason = "documents what `EnvelopeSeed` reads")]
pub(crate) struct WireBatch {
    /// The key, when no header has it.
    project_key: Option<String>,
    /// When the request was sent, by the client's clock: epoch seconds or milliseconds, or RFC 3339. It shows how far
    /// the client's clock is off.
    #[schema(value_type = Option<f64>)]
    sent_at: Option<f64>,
    /// The visit of all events that do not name one.
    session_id: Option<String>,
    /// The person of all events that do not name one.
    user_id: Option<String>,
    /// The person, not known yet, of all events that do not name one.
    anonymous_id: Option<String>,
    /// The channel of all events that do not name one.
    channel: Option<String>,
    /// The campaign of all events that do not name one.
    campaign_id: Option<String>,
    /// The events, 1 to 1,000.
    #[schema(value_type = Vec<WireEvent>)]
    events: Vec<()>,
}

/// Reads a batch. Of more than `max_events` events the first ones are kept.
pub(crate) fn read_batch(text: &str, door: Door, max_events: usize) -> Result<Batch<'_>, ApiError> {
    if let Ok(envelope) = json::read(text, EnvelopeSeed::<Object<WireEvent<'_>>>::new(max_events)) {
        if envelope.events.found == 0 {
            json::check_depth(text)?;
        }
        return Ok(envelope.into_batch(door, Ok));
    }
    let envelope = json::read_with_path(text, EnvelopeSeed::<&RawValue>::new(max_events))
        .map_err(|(path, error)| json::unreadable(text, &path, &error))?;
    Ok(envelope.into_batch(door, read_event))
}

/// Reads a body that is itself one event.
pub(crate) fn read_single(text: &str) -> Result<Batch<'_>, ApiError> {
    let frame: Object<Frame<'_>> = json::read_with_path(text, PhantomData)
        .map_err(|(path, error)| json::unreadable(text, &path, &error))?;
    let event = json::read(text, PhantomData::<Object<WireEvent<'_>>>).or_else(|_| explain(text));
    let Frame { project_key, sent_at } = frame.0;
    let envelope = Envelope {
        project_key,
        sent_at,
        defaults: Defaults::default(),
        events: Capped { kept: vec![event], found: 1 },
    };
    Ok(envelope.into_batch(Door::Business, |event| event))
}

/// What stands around the fields of a single event.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(default, borrow)]
    project_key: Text<'a>,
    #[serde(default)]
    sent_at: SentAt,
}

fn read_event(raw: &RawValue) -> Result<Object<WireEvent<'_>>, Violation> {
    serde_json::from_str(raw.get()).or_else(|_| explain(raw.get()))
}

/// Reads once more, slower, to learn which field it was.
#[cold]
fn explain(text: &str) -> Result<Object<WireEvent<'_>>, Violation> {
    json::read_with_path(text, PhantomData).map_err(|(path, error)| json::violation(&path, "event", &error))
}

/// A batch with its events as `E`.
struct Envelope<'a, E> {
    project_key: Text<'a>,
    sent_at: SentAt,
    defaults: Defaults<'a>,
    events: Capped<E>,
}

impl<'a, E> Envelope<'a, E> {
    fn into_batch(
        self,
        door: Door,
        read: impl Fn(E) -> Result<Object<WireEvent<'a>>, Violation>,
    ) -> Batch<'a> {
        let mut drafts = Vec::with_capacity(self.events.kept.len());
        let mut names = Vec::with_capacity(self.events.kept.len());
        for event in self.events.kept {
            let (draft, of_draft) = match read(event) {
                Ok(Object(event)) => {
                    let (draft, names) = event.into_draft(door, &self.defaults);
                    (Ok(draft), names)
                }
                Err(violation) => (Err(violation), Names::AS_SENT),
            };
            drafts.push(draft);
            names.push(of_draft);
        }
        Batch {
            key: key::in_body(self.project_key.0.as_deref()),
            sent_at: self.sent_at.0,
            drafts,
            found: self.events.found,
            names,
        }
    }
}

/// Reads an [`Envelope`] of which `max_events` events are kept.
struct EnvelopeSeed<E> {
    max_events: usize,
    event: PhantomData<E>,
}

impl<E> EnvelopeSeed<E> {
    fn new(max_events: usize) -> Self {
        Self { max_events, event: PhantomData }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    ProjectKey,
    SentAt,
    SessionId,
    UserId,
    AnonymousId,
    Channel,
    CampaignId,
    Events,
    #[serde(other)]
    Other,
}

impl<'de, E: Deserialize<'de>> DeserializeSeed<'de> for EnvelopeSeed<E> {
    type Value = Envelope<'de, E>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, E: Deserialize<'de>> Visitor<'de> for EnvelopeSeed<E> {
    type Value = Envelope<'de, E>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope {
            project_key: Text::default(),
            sent_at: SentAt::default(),
            defaults: Defaults::default(),
            events: Capped::default(),
        };
        let mut has_events = false;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Events if has_events => return Err(A::Error::duplicate_field("events")),
                Field::ProjectKey => envelope.project_key = map.next_value()?,
                Field::SentAt => envelope.sent_at = map.next_value()?,
                Field::SessionId => envelope.defaults.session_id = map.next_value()?,
                Field::UserId => envelope.defaults.user_id = map.next_value()?,
                Field::AnonymousId => envelope.defaults.anonymous_id = map.next_value()?,
                Field::Channel => envelope.defaults.channel = map.next_value()?,
                Field::CampaignId => envelope.defaults.campaign_id = map.next_value()?,
                Field::Events => {
                    has_events = true;
                    envelope.events = map.next_value_seed(CappedSeed::new(self.max_events))?;
                }
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(envelope)
    }
}

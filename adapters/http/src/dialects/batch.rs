//! Batches of events, and how they are read: all at once if every event can be read, else each alone, so that a bad
//! one does not cost its neighbours.

use std::marker::PhantomData;

use gosight_application::surface::{Credential, Failure, FieldNames, Intake, IntakeRequest};
use gosight_domain::Violation;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::event::{Defaults, EventStyle, WireEvent};
use super::json::{self, Capped, CappedSeed, Object, SentAt, Text};

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
    /// The session of all events that do not name one.
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
pub(crate) fn read_batch(
    text: &str,
    style: EventStyle,
    max_events: usize,
) -> Result<IntakeRequest<'_>, Failure> {
    if let Ok(envelope) = json::read(text, EnvelopeSeed::<Object<WireEvent<'_>>>::new(max_events)) {
        if envelope.events.found == 0 {
            json::check_depth(text)?;
        }
        return Ok(envelope.into_request(style, Ok));
    }
    let envelope = json::read_with_path(text, EnvelopeSeed::<&RawValue>::new(max_events))
        .map_err(|(path, error)| json::unreadable(text, &path, &error))?;
    Ok(envelope.into_request(style, read_event))
}

/// Reads a body that is itself one event.
pub(crate) fn read_single(text: &str, style: EventStyle) -> Result<IntakeRequest<'_>, Failure> {
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
    Ok(envelope.into_request(style, |event| event))
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
    fn into_request(
        self,
        style: EventStyle,
        read: impl Fn(E) -> Result<Object<WireEvent<'a>>, Violation>,
    ) -> IntakeRequest<'a> {
        let mut items = Vec::with_capacity(self.events.kept.len());
        let mut names = Vec::with_capacity(self.events.kept.len());
        for event in self.events.kept {
            let (item, of_item) = match read(event) {
                Ok(Object(event)) => {
                    let (draft, names) = event.into_draft(style, &self.defaults);
                    (Ok(Intake::Event(draft)), names)
                }
                Err(violation) => (Err(violation), FieldNames::AS_SENT),
            };
            items.push(item);
            names.push(of_item);
        }
        IntakeRequest {
            key: Credential::in_body(self.project_key.0.as_deref()),
            sent_at: self.sent_at.0,
            user_required: false,
            items,
            names,
            found: self.events.found,
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

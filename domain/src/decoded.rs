//! An event on its way through processing.

use std::sync::OnceLock;

use serde_json::Value;

use crate::details::Details;
use crate::event::{Device, Event, Geo};
use crate::field::{EventFields, ParsedObjects};
use crate::json::JsonObject;
use crate::violation::Violation;

/// An event, the columns of its payload, and its JSON objects as far as somebody asked for them: each is parsed at most once
/// between the log and the store, unless it is changed on the way.
///
/// ```
/// use gosight_domain::decoded::DecodedEvent;
/// use gosight_domain::field::FieldPath;
/// use gosight_domain::{Event, EventId, EventName, ProjectId, Timestamp};
///
/// let (project, name) = (ProjectId::new("shop")?, EventName::new("scroll")?);
/// let id = EventId::from_client(&project, "1")?;
/// let mut event = Event::new(id, project, name, Timestamp::from_millis(0));
/// event.payload = serde_json::from_str(r#"{"depth_percent": 40}"#).expect("an object");
/// let event = DecodedEvent::new(event)?;
/// assert_eq!(event.details().scroll_depth, Some(40));
/// assert_eq!(event.fields().number(&FieldPath::parse("payload.depth_percent")?), Some(40.0));
/// # Ok::<(), gosight_domain::Violation>(())
/// ```
#[derive(Debug, Clone)]
pub struct DecodedEvent {
    event: Event,
    details: Details<'static>,
    parsed: ParsedObjects,
}

impl DecodedEvent {
    /// Reads the columns of `event`'s payload.
    ///
    /// # Errors
    /// [`Violation`] as of [`Details::extract`].
    pub fn new(event: Event) -> Result<Self, Violation> {
        let details = event.details()?.into_owned();
        Ok(Self { event, details, parsed: ParsedObjects::default() })
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event, for what comes after processing.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// The columns of its payload.
    pub fn details(&self) -> &Details<'static> {
        &self.details
    }

    /// Its fields by path.
    pub fn fields(&self) -> EventFields<'_> {
        EventFields::new(&self.event, &self.parsed)
    }

    /// Its payload, parsed.
    pub fn payload(&self) -> &Value {
        self.parsed.payload.get_or_init(|| self.event.payload.to_value())
    }

    /// Gives it another payload.
    ///
    /// # Errors
    /// [`Violation`] as of [`Details::extract`]; the event is as it was then.
    pub fn set_payload(&mut self, payload: JsonObject) -> Result<(), Violation> {
        self.details = Details::extract(self.event.event_type.as_str(), payload.as_str())?.into_owned();
        self.event.payload = payload;
        self.parsed.payload = OnceLock::new();
        Ok(())
    }

    /// Gives it another context.
    pub fn set_context(&mut self, context: JsonObject) {
        self.event.context = context;
        self.parsed.context = OnceLock::new();
    }

    /// Its context, parsed.
    pub fn context(&self) -> &Value {
        self.parsed.context.get_or_init(|| self.event.context.to_value())
    }

    /// Says again what it happened on.
    pub fn set_device(&mut self, device: Device) {
        self.event.device = device;
    }

    /// Says again where it came from.
    pub fn set_geo(&mut self, geo: Geo) {
        self.event.geo = geo;
    }

    /// Adds hints for what comes after.
    pub fn add_routes(&mut self, routes: impl IntoIterator<Item = std::sync::Arc<str>>) {
        self.event.routes.extend(routes);
    }
}

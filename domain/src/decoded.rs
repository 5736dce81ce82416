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
    is_changed: bool,
}

impl DecodedEvent {
    /// Reads the columns of `event`'s payload.
    ///
    /// # Errors
    /// [`Violation`] as of [`Details::extract`].
    pub fn new(event: Event) -> Result<Self, Violation> {
        let details = event.details()?.into_owned();
        Ok(Self { event, details, parsed: ParsedObjects::default(), is_changed: false })
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event, for those who need nothing else.
    pub fn into_event(self) -> Event {
        self.event
    }

    /// The event and the columns of its payload, for what comes after processing.
    pub fn into_parts(self) -> (Event, Details<'static>) {
        (self.event, self.details)
    }

    /// Whether the event is not what it was made of any more.
    pub fn is_changed(&self) -> bool {
        self.is_changed
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
        self.is_changed = true;
        Ok(())
    }

    /// Gives it another context.
    pub fn set_context(&mut self, context: JsonObject) {
        self.is_changed |= self.event.context != context;
        self.event.context = context;
        self.parsed.context = OnceLock::new();
    }

    /// Its context, parsed.
    pub fn context(&self) -> &Value {
        self.parsed.context.get_or_init(|| self.event.context.to_value())
    }

    /// Says again what it happened on.
    pub fn set_device(&mut self, device: Device) {
        self.is_changed |= self.event.device != device;
        self.event.device = device;
    }

    /// Says again where it came from.
    pub fn set_geo(&mut self, geo: Geo) {
        self.is_changed |= self.event.geo != geo;
        self.event.geo = geo;
    }

    /// Adds hints for what comes after.
    pub fn add_routes(&mut self, routes: impl IntoIterator<Item = std::sync::Arc<str>>) {
        let known = self.event.routes.len();
        self.event.routes.extend(routes);
        self.is_changed |= self.event.routes.len() > known;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldPath;
    use crate::json::reads;

    fn decoded(event_type: &str, payload: &str) -> DecodedEvent {
        let record = format!(
            r#"{{"event_id":"00000000-0000-0000-0000-000000000001","project_id":"p","event_type":"{event_type}",
                "timestamp":0,"received_at":0,"payload":{payload}}}"#
        );
        reads::take();
        DecodedEvent::new(serde_json::from_str(&record).unwrap()).unwrap()
    }

    fn ask(event: &DecodedEvent, paths: &[&str]) {
        for path in paths {
            let path = FieldPath::parse(path).unwrap();
            let _ = (event.fields().get(&path), event.fields().text(&path), event.fields().number(&path));
        }
    }

    #[test]
    fn a_payload_with_columns_is_read_once_unless_a_rule_names_what_it_has() {
        let event = decoded("click", r#"{"x":1,"target":{"tag":"a"}}"#);
        ask(&event, &["payload.item_id", "payload.score", "payload.target.price", "context.user.type"]);
        assert_eq!(event.details().target_tag.as_deref(), Some("a"));
        assert_eq!(reads::take(), 1);
        ask(&event, &["payload.x", "payload.target.tag"]);
        assert_eq!(reads::take(), 1, "a tree of it, for all rules");
    }

    #[test]
    fn a_payload_without_columns_is_read_when_a_rule_names_what_it_has_and_then_once() {
        let event = decoded("search", r#"{"query":"scale","results":12}"#);
        ask(&event, &["payload.item_id", "custom.variant", "event_type"]);
        assert_eq!(reads::take(), 0);
        ask(&event, &["payload.query", "payload.results", "payload"]);
        assert_eq!(event.payload()["results"], 12);
        assert_eq!(reads::take(), 1);
    }

    #[test]
    fn a_payload_that_was_changed_is_read_anew() {
        let mut event = decoded("scroll", r#"{"depth_percent":40}"#);
        ask(&event, &["payload.depth_percent"]);
        assert!(!event.is_changed());
        event.set_payload(serde_json::from_str(r#"{"depth_percent":50}"#).unwrap()).unwrap();
        let path = FieldPath::parse("payload.depth_percent").unwrap();
        assert_eq!((event.details().scroll_depth, event.fields().number(&path)), (Some(50), Some(50.0)));
        assert!(event.is_changed());
    }
}

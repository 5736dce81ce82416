//! Fields of an event by path, for rules that are configuration.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Event;
use crate::json::JsonObject;
use crate::violation::{Violation, ViolationCode};

/// Where a value stands in an event: `user_id`, `page.path`, `payload.price`, `context.user.type`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    root: Root,
    rest: Vec<String>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Root {
    EventType,
    SessionId,
    UserId,
    AnonymousId,
    Channel,
    CampaignId,
    Page,
    Device,
    Geo,
    Library,
    Payload,
    Custom,
    Context,
}

const ROOTS: [(&str, Root); 13] = [
    ("event_type", Root::EventType),
    ("session_id", Root::SessionId),
    ("user_id", Root::UserId),
    ("anonymous_id", Root::AnonymousId),
    ("channel", Root::Channel),
    ("campaign_id", Root::CampaignId),
    ("page", Root::Page),
    ("device", Root::Device),
    ("geo", Root::Geo),
    ("library", Root::Library),
    ("payload", Root::Payload),
    ("custom", Root::Custom),
    ("context", Root::Context),
];

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`Violation`] when the path does not start with a field of an event.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let mut parts = text.split('.');
        let first = parts.next().unwrap_or_default();
        let Some((_, root)) = ROOTS.iter().find(|(name, _)| *name == first) else {
            let known: Vec<&str> = ROOTS.iter().map(|(name, _)| *name).collect();
            return Err(Violation::new(
                "field",
                ViolationCode::NotAllowed,
                format!("{text:?} does not start with one of {}", known.join(", ")),
            ));
        };
        Ok(Self { root: *root, rest: parts.map(str::to_owned).collect(), text: text.to_owned() })
    }

    /// The one name after the root, where there is one.
    fn only(&self) -> Option<&str> {
        match self.rest.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for FieldPath {
    type Error = Violation;
    fn try_from(text: String) -> Result<Self, Violation> {
        Self::parse(&text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.text
    }
}

/// The JSON objects of an event, parsed when they are asked for first.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParsedObjects {
    pub payload: OnceLock<Value>,
    pub custom: OnceLock<Value>,
    pub context: OnceLock<Value>,
}

/// The fields of a [`DecodedEvent`](crate::decoded::DecodedEvent). Its JSON is parsed when the first rule asks for it.
#[derive(Debug, Clone, Copy)]
pub struct EventFields<'a> {
    event: &'a Event,
    parsed: &'a ParsedObjects,
}

impl<'a> EventFields<'a> {
    pub(crate) fn new(event: &'a Event, parsed: &'a ParsedObjects) -> Self {
        Self { event, parsed }
    }

    /// The value at `path`; `None` when it is absent or null.
    pub fn get(&self, path: &FieldPath) -> Option<Cow<'a, Value>> {
        let event = self.event;
        let text = |text: Option<&str>| text.map(|text| Cow::Owned(Value::from(text)));
        match path.root {
            Root::EventType => text(Some(event.event_type.as_str())),
            Root::SessionId => text(event.session_id.as_ref().map(crate::SessionId::as_str)),
            Root::UserId => text(event.user_id.as_ref().map(crate::UserId::as_str)),
            Root::AnonymousId => text(event.anonymous_id.as_ref().map(crate::AnonymousId::as_str)),
            Root::Channel => text(event.channel.map(crate::Channel::as_str)),
            Root::CampaignId => text(event.campaign_id.as_ref().map(crate::CampaignId::as_str)),
            Root::Page => text(page(event, path.only()?)),
            Root::Device => device(event, path.only()?).map(Cow::Owned),
            Root::Geo => geo(event, path.only()?).map(Cow::Owned),
            Root::Library => text(event.library.as_deref()),
            Root::Payload => member(&event.payload, &self.parsed.payload, &path.rest).map(Cow::Borrowed),
            Root::Custom => member(&event.custom, &self.parsed.custom, &path.rest).map(Cow::Borrowed),
            Root::Context => member(&event.context, &self.parsed.context, &path.rest).map(Cow::Borrowed),
        }
    }

    /// The value at `path` if it is a text that the event has as such. An address, for example, is none.
    pub fn str(&self, path: &FieldPath) -> Option<&'a str> {
        let event = self.event;
        match path.root {
            Root::EventType => Some(event.event_type.as_str()),
            Root::SessionId => event.session_id.as_ref().map(crate::SessionId::as_str),
            Root::UserId => event.user_id.as_ref().map(crate::UserId::as_str),
            Root::AnonymousId => event.anonymous_id.as_ref().map(crate::AnonymousId::as_str),
            Root::Channel => event.channel.map(crate::Channel::as_str),
            Root::CampaignId => event.campaign_id.as_ref().map(crate::CampaignId::as_str),
            Root::Page => page(event, path.only()?),
            Root::Device => device_text(event, path.only()?),
            Root::Geo => geo_text(event, path.only()?),
            Root::Library => event.library.as_deref(),
            Root::Payload => member(&event.payload, &self.parsed.payload, &path.rest)?.as_str(),
            Root::Custom => member(&event.custom, &self.parsed.custom, &path.rest)?.as_str(),
            Root::Context => member(&event.context, &self.parsed.context, &path.rest)?.as_str(),
        }
    }

    /// The value at `path` as text: text as it is, numbers and booleans as JSON writes them.
    pub fn text(&self, path: &FieldPath) -> Option<Cow<'a, str>> {
        if let Some(text) = self.str(path) {
            return Some(Cow::Borrowed(text));
        }
        match self.get(path)?.into_owned() {
            Value::String(text) => Some(Cow::Owned(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Cow::Owned(value.to_string())),
            _ => None,
        }
    }

    /// The value at `path` as a number; `true` is 1, `false` is 0.
    pub fn number(&self, path: &FieldPath) -> Option<f64> {
        match &*self.get(path)? {
            Value::Number(number) => number.as_f64(),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            _ => None,
        }
    }
}

/// Objects of more bytes are parsed at once: to look through them for names, rule by rule, would cost more.
const LOOK_THROUGH_BYTES: usize = 4 * 1024;

/// The member at `path` of `object`, which is parsed when one is asked for that may be there.
fn member<'v>(object: &JsonObject, parsed: &'v OnceLock<Value>, path: &[String]) -> Option<&'v Value> {
    let value = match parsed.get() {
        Some(value) => value,
        None if object.as_str().len() <= LOOK_THROUGH_BYTES
            && !path.iter().all(|name| object.may_name(name)) =>
        {
            return None;
        }
        None => parsed.get_or_init(|| object.to_value()),
    };
    path.iter().try_fold(value, |value, name| value.get(name)).filter(|value| !value.is_null())
}

fn page<'e>(event: &'e Event, name: &str) -> Option<&'e str> {
    let text = match name {
        "url" => &event.page.url,
        "path" => &event.page.path,
        "title" => &event.page.title,
        "referrer" => &event.page.referrer,
        _ => return None,
    };
    Some(text.as_str()).filter(|text| !text.is_empty())
}

fn device(event: &Event, name: &str) -> Option<Value> {
    let device = &event.device;
    match name {
        "screen_width" => device.screen_width.map(Value::from),
        "screen_height" => device.screen_height.map(Value::from),
        "viewport_width" => device.viewport_width.map(Value::from),
        "viewport_height" => device.viewport_height.map(Value::from),
        _ => device_text(event, name).map(Value::from),
    }
}

fn device_text<'e>(event: &'e Event, name: &str) -> Option<&'e str> {
    let device = &event.device;
    match name {
        "browser" => device.browser.as_deref(),
        "browser_version" => device.browser_version.as_deref(),
        "os" => device.os.as_deref(),
        "os_version" => device.os_version.as_deref(),
        "device_type" => device.device_type.as_deref(),
        _ => None,
    }
}

fn geo(event: &Event, name: &str) -> Option<Value> {
    match name {
        "ip" => event.geo.ip.map(|ip| Value::from(ip.to_string())),
        _ => geo_text(event, name).map(Value::from),
    }
}

fn geo_text<'e>(event: &'e Event, name: &str) -> Option<&'e str> {
    match name {
        "country" => event.geo.country.as_deref(),
        "city" => event.geo.city.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_wherever_they_stand() {
        let id = crate::EventId::from_uuid(uuid::Uuid::nil());
        let project = crate::ProjectId::new("p").unwrap();
        let name = crate::EventName::new("click").unwrap();
        let mut event = Event::new(id, project, name, crate::Timestamp::from_millis(0));
        event.page.path = "/a".into();
        event.device.browser = Some("Firefox".into());
        event.device.screen_width = Some(800);
        event.geo.country = Some("NZ".into());
        event.payload = serde_json::from_str(r#"{"a":{"b":[1]},"n":null,"yes":true}"#).unwrap();
        let parsed = ParsedObjects::default();
        let fields = EventFields::new(&event, &parsed);
        let text = |path: &str| fields.text(&FieldPath::parse(path).unwrap());
        assert_eq!(text("event_type").as_deref(), Some("click"));
        assert_eq!(text("page.path").as_deref(), Some("/a"));
        assert_eq!(text("device.browser").as_deref(), Some("Firefox"));
        assert_eq!(text("device.screen_width").as_deref(), Some("800"));
        assert_eq!(text("geo.country").as_deref(), Some("NZ"));
        for absent in ["user_id", "page.title", "page", "device.os", "geo.ip.x", "payload.n", "payload.a.c"] {
            assert_eq!(fields.get(&FieldPath::parse(absent).unwrap()), None, "{absent}");
        }
        let nested = fields.get(&FieldPath::parse("payload.a.b").unwrap()).unwrap();
        assert_eq!(*nested, serde_json::json!([1]));
        assert_eq!(fields.number(&FieldPath::parse("payload.yes").unwrap()), Some(1.0));
    }

    #[test]
    fn a_path_starts_with_a_field_of_an_event() {
        assert_eq!(FieldPath::parse("payload.item.id").unwrap().to_string(), "payload.item.id");
        let violation = FieldPath::parse("paylod.item").unwrap_err();
        assert!(violation.reason.contains("paylod") && violation.reason.contains("payload"));
    }
}

//! Events as clients write them.

use std::borrow::Cow;

use gosight_application::surface::FieldNames;
use gosight_domain::validate::{ClientDraft, DeviceDraft, EventDraft};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::json::{Number, Object, Text, Texts};

/// How a dialect uses the fields of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventStyle {
    /// The names of its type, the preferred one first.
    pub type_names: [&'static str; 3],
    /// Whether `metadata` is another name of the payload.
    pub has_metadata: bool,
    /// Whether the event says what its client is: backends do, for theirs. A page would only say it of itself.
    pub passes_on_clients: bool,
}

/// One event. Fields that are not listed are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct WireEvent<'a> {
    /// A UUID, or any text of 1-100 characters that is unique in the project. Send one: without it the server makes
    /// one from the content, and two identical events of different requests count once.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    event_id: Text<'a>,
    /// Another name for `event_id`.
    #[serde(default, borrow, rename = "messageId")]
    #[schema(value_type = Option<String>)]
    message_id: Text<'a>,
    /// Another name for `event_id`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    uuid: Text<'a>,
    /// What kind of thing happened, 1-100 characters, such as `page_view`. Required under one of its names.
    #[serde(default, borrow, rename = "type")]
    #[schema(value_type = Option<String>)]
    kind: Text<'a>,
    /// Another name for `type`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    event_type: Text<'a>,
    /// Another name for `type`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    event_name: Text<'a>,
    /// When it happened, by the client's clock: epoch seconds or milliseconds. Required.
    #[serde(default)]
    #[schema(value_type = f64, required)]
    timestamp: Number,
    /// Address of the page.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    url: Text<'a>,
    /// Path of the page; taken from the address when it is not sent.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    path: Text<'a>,
    /// Title of the page.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    title: Text<'a>,
    /// Address of the page before.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    referrer: Text<'a>,
    /// The session.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    session_id: Text<'a>,
    /// The known person. Required of business events.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    user_id: Text<'a>,
    /// The person who is not known yet.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    anonymous_id: Text<'a>,
    /// `web`, `mobile_app` or `api`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    channel: Text<'a>,
    /// The campaign that led to it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    campaign_id: Text<'a>,
    /// At most 20 labels of 1-100 characters.
    #[serde(default, borrow)]
    #[schema(value_type = Vec<String>)]
    tags: Texts<'a>,
    /// What it happened on, as far as the client knows better than its user agent.
    #[serde(default, borrow)]
    #[schema(value_type = Option<WireDevice>)]
    device: Option<Object<WireDevice<'a>>>,
    /// What happened, by type.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    payload: Option<&'a RawValue>,
    /// Another name for `payload`, of business events.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    /// Free properties.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    custom: Option<&'a RawValue>,
    /// What sends it: name and version of the SDK, such as `gosight-js/1.2.0`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    library: Text<'a>,
    /// Address of the client that a backend passes the event on for. Used of business events and of NDJSON.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    ip: Text<'a>,
    /// User agent of the client that a backend passes the event on for. Used of business events and of NDJSON.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    user_agent: Text<'a>,
}

/// What a client says about its device.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = EventDevice)]
pub(crate) struct WireDevice<'a> {
    /// Name of the browser.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    browser: Text<'a>,
    /// Version of the browser.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    browser_version: Text<'a>,
    /// Name of the operating system.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    os: Text<'a>,
    /// Version of the operating system.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    os_version: Text<'a>,
    /// `desktop`, `mobile`, `tablet` or another.
    #[serde(default, borrow)]
    #[schema(value_type = Option<String>)]
    device_type: Text<'a>,
    /// Width of the screen, in CSS px.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    screen_width: Number,
    /// Height of the screen, in CSS px.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    screen_height: Number,
    /// Width of the viewport, in CSS px.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    viewport_width: Number,
    /// Height of the viewport, in CSS px.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    viewport_height: Number,
}

/// What the request says of all its events that do not say it themselves.
#[derive(Debug, Default)]
pub(crate) struct Defaults<'a> {
    pub session_id: Text<'a>,
    pub user_id: Text<'a>,
    pub anonymous_id: Text<'a>,
    pub channel: Text<'a>,
    pub campaign_id: Text<'a>,
}

impl<'a> WireEvent<'a> {
    /// The draft, and what its sender calls things.
    pub(crate) fn into_draft(
        self,
        style: EventStyle,
        defaults: &Defaults<'a>,
    ) -> (EventDraft<'a>, FieldNames) {
        let event_ids = [("event_id", self.event_id), ("messageId", self.message_id), ("uuid", self.uuid)];
        let (event_id_name, event_id) = first_of(event_ids);
        let mut types =
            [("type", self.kind), ("event_type", self.event_type), ("event_name", self.event_name)];
        types.sort_by_key(|(name, _)| style.type_names.iter().position(|preferred| preferred == name));
        let (type_name, event_type) = first_of(types);
        let metadata = self.metadata.filter(|_| style.has_metadata);
        let names = FieldNames {
            event_id: event_id_name,
            event_type: type_name,
            payload: if metadata.is_some() { "metadata" } else { "payload" },
            others: &[],
        };
        let client = if style.passes_on_clients {
            ClientDraft { ip: self.ip.0, user_agent: self.user_agent.0 }
        } else {
            ClientDraft::default()
        };
        let or = |own: Text<'a>, default: &Text<'a>| own.0.or_else(|| default.0.clone());
        let draft = EventDraft {
            event_id: event_id.0,
            event_type: event_type.0,
            timestamp: self.timestamp.0,
            session_id: or(self.session_id, &defaults.session_id),
            user_id: or(self.user_id, &defaults.user_id),
            anonymous_id: or(self.anonymous_id, &defaults.anonymous_id),
            channel: or(self.channel, &defaults.channel),
            campaign_id: or(self.campaign_id, &defaults.campaign_id),
            tags: self.tags.0,
            url: self.url.0,
            path: self.path.0,
            title: self.title.0,
            referrer: self.referrer.0,
            device: self.device.map(|device| device.0.into_draft()).unwrap_or_default(),
            library: self.library.0,
            payload: metadata.or(self.payload).map(Cow::Borrowed),
            custom: self.custom.map(Cow::Borrowed),
            client,
        };
        (draft, names)
    }
}

impl<'a> WireDevice<'a> {
    fn into_draft(self) -> DeviceDraft<'a> {
        DeviceDraft {
            browser: self.browser.0,
            browser_version: self.browser_version.0,
            os: self.os.0,
            os_version: self.os_version.0,
            device_type: self.device_type.0,
            screen_width: self.screen_width.0,
            screen_height: self.screen_height.0,
            viewport_width: self.viewport_width.0,
            viewport_height: self.viewport_height.0,
        }
    }
}

/// The first that is there; the first of all when none is.
fn first_of<'a>(fields: [(&'static str, Text<'a>); 3]) -> (&'static str, Text<'a>) {
    let preferred = fields[0].0;
    let found = fields.into_iter().find(|(_, text)| text.0.is_some());
    found.unwrap_or((preferred, Text::default()))
}

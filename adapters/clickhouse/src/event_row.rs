//! Rows of events, as they are read back.

use std::sync::Arc;

use clickhouse::Row;
use gosight_application::ports::PortError;
use gosight_domain::event::{Device, Geo, Page};
use gosight_domain::{
    AnonymousId, CampaignId, Event, EventId, EventName, JsonObject, ProjectId, SessionId, Tag, Timestamp,
    UserId,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::ADAPTER;

/// A row of events, in the order of [`event_columns`].
#[derive(Row, Deserialize)]
pub(crate) struct EventRow {
    project_id: String,
    session_id: String,
    timestamp: i64,
    #[serde(with = "clickhouse::serde::uuid")]
    event_id: Uuid,
    event_type: String,
    received_at: i64,
    sequence: u64,
    clock_skew_ms: i64,
    user_id: String,
    anonymous_id: String,
    channel: String,
    campaign_id: String,
    tags: Vec<String>,
    url: String,
    path: String,
    title: String,
    referrer: String,
    browser: String,
    browser_version: String,
    os: String,
    os_version: String,
    device_type: String,
    screen_width: Option<u16>,
    screen_height: Option<u16>,
    viewport_width: Option<u16>,
    viewport_height: Option<u16>,
    ip: String,
    country: String,
    city: String,
    library: String,
    payload: String,
    custom: String,
    context: String,
    routes: Vec<String>,
}

/// What an [`EventRow`] is read from. Times are read as numbers.
pub(crate) fn event_columns() -> String {
    let column = |name: &&str| match *name {
        "timestamp" | "received_at" => format!("toUnixTimestamp64Milli({name}) AS {name}"),
        name => name.to_owned(),
    };
    EventRow::COLUMN_NAMES.iter().map(column).collect::<Vec<_>>().join(", ")
}

impl EventRow {
    /// The event.
    pub fn into_event(self) -> Result<Event, PortError> {
        let id = self.event_id;
        self.read().map_err(|error| PortError::fatal(ADAPTER, format!("event {id} cannot be read: {error}")))
    }

    fn read(self) -> Result<Event, gosight_domain::Violation> {
        Ok(Event {
            event_id: EventId::from_uuid(self.event_id),
            project_id: ProjectId::new(self.project_id)?,
            event_type: EventName::new(self.event_type)?,
            timestamp: Timestamp::from_millis(self.timestamp),
            received_at: Timestamp::from_millis(self.received_at),
            sequence: self.sequence,
            clock_skew_ms: self.clock_skew_ms,
            session_id: some(self.session_id).map(SessionId::new).transpose()?,
            user_id: some(self.user_id).map(UserId::new).transpose()?,
            anonymous_id: some(self.anonymous_id).map(AnonymousId::new).transpose()?,
            channel: some(self.channel).map(|channel| channel.parse()).transpose()?,
            campaign_id: some(self.campaign_id).map(CampaignId::new).transpose()?,
            tags: self.tags.into_iter().map(Tag::new).collect::<Result<_, _>>()?,
            page: Page { url: self.url, path: self.path, title: self.title, referrer: self.referrer },
            device: Device {
                browser: shared(self.browser),
                browser_version: shared(self.browser_version),
                os: shared(self.os),
                os_version: shared(self.os_version),
                device_type: shared(self.device_type),
                screen_width: self.screen_width,
                screen_height: self.screen_height,
                viewport_width: self.viewport_width,
                viewport_height: self.viewport_height,
            },
            geo: Geo { ip: self.ip.parse().ok(), country: shared(self.country), city: shared(self.city) },
            library: shared(self.library),
            payload: object("payload", self.payload)?,
            custom: object("custom", self.custom)?,
            context: object("context", self.context)?,
            routes: self.routes.into_iter().map(Arc::from).collect(),
        })
    }
}

/// Columns hold empty texts for what is absent.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn shared(text: String) -> Option<Arc<str>> {
    some(text).map(Arc::from)
}

fn object(field: &'static str, text: String) -> Result<JsonObject, gosight_domain::Violation> {
    match RawValue::from_string(text) {
        Ok(raw) => JsonObject::parse(field, &raw, gosight_domain::json::MAX_DEPTH),
        Err(_) => Ok(JsonObject::default()),
    }
}

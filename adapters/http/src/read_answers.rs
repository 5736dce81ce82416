//! Sessions and events as they are answered. Times are epoch milliseconds.

use std::net::IpAddr;
use std::sync::Arc;

use gosight_application::ports::{SessionDetail, SessionSummary};
use gosight_domain::insight::Insight;
use gosight_domain::{Device, Event, Geo, JsonObject};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionAnswer {
    /// The session.
    session_id: String,
    /// The last known user.
    user_id: Option<String>,
    /// The last known anonymous id.
    anonymous_id: Option<String>,
    /// Time of the earliest event, in epoch ms.
    started_at: i64,
    /// Time of the latest event, in epoch ms.
    ended_at: i64,
    /// From the earliest to the latest event, in ms.
    duration_ms: i64,
    /// Address of the first page.
    entry_url: String,
    /// Path of the first page.
    entry_path: String,
    /// Address of the page before the first.
    referrer: String,
    /// Address of the last page.
    exit_url: String,
    /// Path of the last page.
    exit_path: String,
    /// All events.
    event_count: u64,
    /// Page views.
    page_count: u64,
    /// Clicks.
    click_count: u64,
    /// Errors.
    error_count: u64,
    /// Deepest scroll of any page, in percent.
    max_scroll_depth: u8,
    /// Whether an error was reported.
    has_error: bool,
    /// Whether somebody clicked in anger.
    has_rage_click: bool,
    /// Whether a click was not answered.
    has_dead_click: bool,
    /// Whether there is a recording.
    has_replay: bool,
    /// Whether exactly one page was viewed.
    is_bounce: bool,
    /// The first known channel.
    #[schema(value_type = Option<String>)]
    channel: Option<&'static str>,
    /// The first known campaign.
    campaign_id: Option<String>,
    /// The first known device.
    device: DeviceAnswer,
    /// The first known place.
    geo: GeoAnswer,
}

/// A session with what it shows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionDetail)]
pub(crate) struct SessionDetailAnswer {
    /// The session.
    #[serde(flatten)]
    session: SessionAnswer,
    /// What it shows, by kind and time.
    insights: Vec<InsightAnswer>,
}

/// One thing that a session shows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Insight)]
pub(crate) struct InsightAnswer {
    /// `rage_click`, `dead_click`, `error_click`, `thrashed_cursor`, `u_turn` or `slow_page`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// The event it starts with.
    event_id: Uuid,
    /// Time of its first event, in epoch ms.
    first_at: i64,
    /// Time of its last event, in epoch ms.
    last_at: i64,
    /// Page it happened on.
    #[schema(value_type = String)]
    path: Arc<str>,
    /// How many events make it.
    count: u32,
}

/// An event as it is stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredEvent)]
pub(crate) struct EventAnswer {
    /// Its identity.
    event_id: Uuid,
    /// What kind of thing happened.
    event_type: String,
    /// When it happened, in epoch ms, by the client's clock with its skew taken off.
    timestamp: i64,
    /// When the server took it, in epoch ms.
    received_at: i64,
    /// The session.
    session_id: Option<String>,
    /// The known person.
    user_id: Option<String>,
    /// The person who was not known yet.
    anonymous_id: Option<String>,
    /// Where it came in from.
    #[schema(value_type = Option<String>)]
    channel: Option<&'static str>,
    /// The campaign that led to it.
    campaign_id: Option<String>,
    /// Free labels.
    tags: Vec<String>,
    /// Address of the page.
    url: String,
    /// Path of the page.
    path: String,
    /// Title of the page.
    title: String,
    /// Address of the page before.
    referrer: String,
    /// What it happened on.
    device: DeviceAnswer,
    /// Where it came from.
    geo: GeoAnswer,
    /// What happened, by type.
    #[schema(value_type = Object)]
    payload: JsonObject,
    /// Free properties.
    #[schema(value_type = Object)]
    custom: JsonObject,
    /// What processing learned about it.
    #[schema(value_type = Object)]
    context: JsonObject,
    /// What sent it: name and version of the SDK.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    library: Option<Arc<str>>,
    /// Marks and routes that filter rules gave it.
    #[schema(value_type = Vec<String>)]
    routes: Vec<Arc<str>>,
}

/// A device. What is not known is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceAnswer {
    /// Name of the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    browser: Option<Arc<str>>,
    /// Version of the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    browser_version: Option<Arc<str>>,
    /// Name of the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    os: Option<Arc<str>>,
    /// Version of the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    os_version: Option<Arc<str>>,
    /// `desktop`, `mobile`, `tablet`, `bot` or another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    device_type: Option<Arc<str>>,
    /// Width of the screen, in CSS px.
    #[serde(skip_serializing_if = "Option::is_none")]
    screen_width: Option<u16>,
    /// Height of the screen, in CSS px.
    #[serde(skip_serializing_if = "Option::is_none")]
    screen_height: Option<u16>,
    /// Width of the viewport, in CSS px.
    #[serde(skip_serializing_if = "Option::is_none")]
    viewport_width: Option<u16>,
    /// Height of the viewport, in CSS px.
    #[serde(skip_serializing_if = "Option::is_none")]
    viewport_height: Option<u16>,
}

/// A place. What is not known, or was dropped for privacy, is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Geo)]
pub(crate) struct GeoAnswer {
    /// Address of the client, whole or truncated as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// ISO 3166-1 alpha-2 code of the country.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    country: Option<Arc<str>>,
    /// Name of the city in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    city: Option<Arc<str>>,
}

impl From<Device> for DeviceAnswer {
    fn from(device: Device) -> Self {
        Self {
            browser: device.browser,
            browser_version: device.browser_version,
            os: device.os,
            os_version: device.os_version,
            device_type: device.device_type,
            screen_width: device.screen_width,
            screen_height: device.screen_height,
            viewport_width: device.viewport_width,
            viewport_height: device.viewport_height,
        }
    }
}

impl From<Geo> for GeoAnswer {
    fn from(geo: Geo) -> Self {
        Self { ip: geo.ip, country: geo.country, city: geo.city }
    }
}

impl From<SessionSummary> for SessionAnswer {
    fn from(session: SessionSummary) -> Self {
        Self {
            session_id: session.session_id.to_string(),
            user_id: session.user_id.map(|id| id.to_string()),
            anonymous_id: session.anonymous_id,
            started_at: session.started_at.as_millis(),
            ended_at: session.ended_at.as_millis(),
            duration_ms: session.ended_at.millis_since(session.started_at),
            entry_url: session.entry_url,
            entry_path: session.entry_path,
            referrer: session.referrer,
            exit_url: session.exit_url,
            exit_path: session.exit_path,
            event_count: session.event_count,
            page_count: session.page_count,
            click_count: session.click_count,
            error_count: session.error_count,
            max_scroll_depth: session.max_scroll_depth,
            has_error: session.has_error,
            has_rage_click: session.has_rage_click,
            has_dead_click: session.has_dead_click,
            has_replay: session.has_replay,
            is_bounce: session.is_bounce,
            channel: session.channel.map(gosight_domain::Channel::as_str),
            campaign_id: session.campaign_id,
            device: session.device.into(),
            geo: session.geo.into(),
        }
    }
}

impl From<SessionDetail> for SessionDetailAnswer {
    fn from(detail: SessionDetail) -> Self {
        let insights = detail.insights.into_iter().map(InsightAnswer::from).collect();
        Self { session: detail.summary.into(), insights }
    }
}

impl From<Insight> for InsightAnswer {
    fn from(insight: Insight) -> Self {
        Self {
            kind: insight.kind.as_str(),
            event_id: insight.event_id.as_uuid(),
            first_at: insight.first_at.as_millis(),
            last_at: insight.last_at.as_millis(),
            path: insight.path,
            count: insight.count,
        }
    }
}

impl From<Event> for EventAnswer {
    fn from(event: Event) -> Self {
        Self {
            event_id: event.event_id.as_uuid(),
            event_type: event.event_type.to_string(),
            timestamp: event.timestamp.as_millis(),
            received_at: event.received_at.as_millis(),
            session_id: event.session_id.map(|id| id.to_string()),
            user_id: event.user_id.map(|id| id.to_string()),
            anonymous_id: event.anonymous_id.map(|id| id.to_string()),
            channel: event.channel.map(gosight_domain::Channel::as_str),
            campaign_id: event.campaign_id.map(|id| id.to_string()),
            tags: event.tags.iter().map(ToString::to_string).collect(),
            url: event.page.url,
            path: event.page.path,
            title: event.page.title,
            referrer: event.page.referrer,
            device: event.device.into(),
            geo: event.geo.into(),
            payload: event.payload,
            custom: event.custom,
            context: event.context,
            library: event.library,
            routes: event.routes,
        }
    }
}

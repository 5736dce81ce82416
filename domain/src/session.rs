//! A session: all its events, folded.

mod seen_at;
mod trail;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use seen_at::SeenAt;
pub use trail::{CursorStep, Signal, Step, Trail};

use crate::details::Details;
use crate::event::{Channel, Device, Event, Geo};
use crate::rollup::{Dimension, cut};
use crate::text::{AnonymousId, CampaignId, ProjectId, SessionId, UserId};
use crate::time::Timestamp;

/// Names a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The tenant.
    pub project_id: ProjectId,
    /// The session.
    pub session_id: SessionId,
}

/// Everything that is known about one session.
///
/// A pure fold of its events: [`apply`](Self::apply) adds one, [`merge`](Self::merge) joins the folds of two
/// disjoint sets. Both are commutative and associative, so events may arrive late and in any order; equal times are
/// told apart by [`Event::sequence`], then by event id. Counts are sums, so each event must be applied once: deduplicate first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The tenant.
    pub project_id: ProjectId,
    /// The session.
    pub session_id: SessionId,
    /// Time of the earliest event.
    pub started_at: Timestamp,
    /// Time of the latest event.
    pub ended_at: Timestamp,
    /// All events.
    pub event_count: u64,
    /// Events of type `page_view`.
    pub page_count: u64,
    /// Events of type `click`.
    pub click_count: u64,
    /// Events of type `js_error`.
    pub error_count: u64,
    /// Deepest scroll of any page, in percent.
    pub max_scroll_depth: u8,
    entry: Option<Visit>,
    exit: Option<Visit>,
    user: Option<Seen<UserId>>,
    anonymous: Option<Seen<AnonymousId>>,
    channel: Option<Seen<Channel>>,
    campaign: Option<Seen<CampaignId>>,
    device: Option<Seen<Device>>,
    geo: Option<Seen<Geo>>,
    trail: Trail,
}

/// A value with the event that reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen<T> {
    at: SeenAt,
    value: T,
}

/// A page that was looked at. Page views count before mere events on a page. Long texts are cut: an event has one
/// address, but a list of sessions has thousands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Visit {
    is_page_view: bool,
    at: SeenAt,
    url: String,
    path: String,
    referrer: String,
}

/// A page as a session names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPage<'a> {
    /// Whole address.
    pub url: &'a str,
    /// Path of the address.
    pub path: &'a str,
    /// Address of the page before.
    pub referrer: &'a str,
}

impl Session {
    /// Addresses of the entry and exit page longer than this are cut, in characters.
    pub const MAX_URL_CHARS: usize = 2_048;

    /// The fold of one event; `None` when the event has no session.
    pub fn of(event: &Event, details: &Details<'_>) -> Option<Self> {
        let mut session = Self {
            project_id: event.project_id.clone(),
            session_id: event.session_id.clone()?,
            started_at: event.timestamp,
            ended_at: event.timestamp,
            event_count: 0,
            page_count: 0,
            click_count: 0,
            error_count: 0,
            max_scroll_depth: 0,
            entry: None,
            exit: None,
            user: None,
            anonymous: None,
            channel: None,
            campaign: None,
            device: None,
            geo: None,
            trail: Trail::default(),
        };
        session.apply(event, details);
        Some(session)
    }

    /// Adds an event of this session, whenever it happened.
    pub fn apply(&mut self, event: &Event, details: &Details<'_>) {
        self.started_at = self.started_at.min(event.timestamp);
        self.ended_at = self.ended_at.max(event.timestamp);
        self.event_count += 1;
        match event.event_type.as_str() {
            "page_view" => self.page_count += 1,
            "click" => self.click_count += 1,
            "js_error" => self.error_count += 1,
            _ => {}
        }
        self.max_scroll_depth = self.max_scroll_depth.max(details.scroll_depth.unwrap_or(0));
        self.apply_page(event);
        let at = SeenAt::of(event);
        latest(&mut self.user, at, event.user_id.as_ref());
        latest(&mut self.anonymous, at, event.anonymous_id.as_ref());
        earliest(&mut self.channel, at, event.channel.as_ref());
        earliest(&mut self.campaign, at, event.campaign_id.as_ref());
        if !event.device.is_empty() && self.device.as_ref().is_none_or(|seen| at < seen.at) {
            self.device = Some(Seen { at, value: with_short_names(&event.device) });
        }
        earliest(&mut self.geo, at, Some(&event.geo).filter(|geo| !geo.is_empty()));
        self.trail.add(event, details);
    }

    fn apply_page(&mut self, event: &Event) {
        if event.page.path.is_empty() && event.page.url.is_empty() {
            return;
        }
        let is_page_view = event.event_type.as_str() == "page_view";
        let at = SeenAt::of(event);
        let is_entry = self.entry.as_ref().is_none_or(|entry| (!is_page_view, at) < entry.entry_rank());
        let is_exit = self.exit.as_ref().is_none_or(|exit| (is_page_view, at) > exit.exit_rank());
        if !is_entry && !is_exit {
            return;
        }
        let visit = Visit {
            is_page_view,
            at,
            url: cut(&event.page.url, Session::MAX_URL_CHARS).to_owned(),
            path: cut(&event.page.path, Trail::MAX_PATH_CHARS).to_owned(),
            referrer: cut(&event.page.referrer, Session::MAX_URL_CHARS).to_owned(),
        };
        match (is_entry, is_exit) {
            (true, true) => {
                self.entry = Some(visit.clone());
                self.exit = Some(visit);
            }
            (true, false) => self.entry = Some(visit),
            _ => self.exit = Some(visit),
        }
    }

    /// Joins the fold of other events of the same session.
    pub fn merge(&mut self, other: Self) {
        self.started_at = self.started_at.min(other.started_at);
        self.ended_at = self.ended_at.max(other.ended_at);
        self.event_count += other.event_count;
        self.page_count += other.page_count;
        self.click_count += other.click_count;
        self.error_count += other.error_count;
        self.max_scroll_depth = self.max_scroll_depth.max(other.max_scroll_depth);
        keep(&mut self.entry, other.entry, |new, old| new.entry_rank() < old.entry_rank());
        keep(&mut self.exit, other.exit, |new, old| new.exit_rank() > old.exit_rank());
        keep(&mut self.user, other.user, |new, old| new.at > old.at);
        keep(&mut self.anonymous, other.anonymous, |new, old| new.at > old.at);
        keep(&mut self.channel, other.channel, |new, old| new.at < old.at);
        keep(&mut self.campaign, other.campaign, |new, old| new.at < old.at);
        keep(&mut self.device, other.device, |new, old| new.at < old.at);
        keep(&mut self.geo, other.geo, |new, old| new.at < old.at);
        self.trail.merge(other.trail);
    }

    /// The name of the session.
    pub fn key(&self) -> SessionKey {
        SessionKey { project_id: self.project_id.clone(), session_id: self.session_id.clone() }
    }

    /// Milliseconds from the earliest to the latest event.
    pub fn duration_ms(&self) -> i64 {
        self.ended_at.millis_since(self.started_at)
    }

    /// The page of the earliest page view; of the earliest event on a page when there was no view.
    pub fn entry_page(&self) -> Option<SessionPage<'_>> {
        self.entry.as_ref().map(Visit::page)
    }

    /// The page of the latest page view; of the latest event on a page when there was no view.
    pub fn exit_page(&self) -> Option<SessionPage<'_>> {
        self.exit.as_ref().map(Visit::page)
    }

    /// The last known user.
    pub fn user_id(&self) -> Option<&UserId> {
        self.user.as_ref().map(|seen| &seen.value)
    }

    /// The last known anonymous id.
    pub fn anonymous_id(&self) -> Option<&AnonymousId> {
        self.anonymous.as_ref().map(|seen| &seen.value)
    }

    /// The first known channel.
    pub fn channel(&self) -> Option<Channel> {
        self.channel.as_ref().map(|seen| seen.value)
    }

    /// The first known campaign.
    pub fn campaign_id(&self) -> Option<&CampaignId> {
        self.campaign.as_ref().map(|seen| &seen.value)
    }

    /// The first known device.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref().map(|seen| &seen.value)
    }

    /// The first known place.
    pub fn geo(&self) -> Option<&Geo> {
        self.geo.as_ref().map(|seen| &seen.value)
    }

    /// Whether exactly one page was viewed.
    pub fn is_bounce(&self) -> bool {
        self.page_count == 1
    }

    /// Whether an error was reported.
    pub fn has_error(&self) -> bool {
        self.error_count > 0
    }

    /// What insights are found in.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Takes the trail out, to be kept apart: it is most of a session, and lists do not show it.
    pub fn take_trail(&mut self) -> Trail {
        std::mem::take(&mut self.trail)
    }

    /// The session with the trail that was [taken](Self::take_trail) out of it.
    #[must_use]
    pub fn with_trail(self, trail: Trail) -> Self {
        Self { trail, ..self }
    }
}

impl Visit {
    /// Smallest for the entry page.
    fn entry_rank(&self) -> (bool, SeenAt) {
        (!self.is_page_view, self.at)
    }

    /// Greatest for the exit page.
    fn exit_rank(&self) -> (bool, SeenAt) {
        (self.is_page_view, self.at)
    }

    fn page(&self) -> SessionPage<'_> {
        SessionPage { url: &self.url, path: &self.path, referrer: &self.referrer }
    }
}

/// `device` with names cut as in the rollup.
fn with_short_names(device: &Device) -> Device {
    let short = |name: &Option<Arc<str>>| {
        name.as_ref().map(|name| match cut(name, Dimension::MAX_VALUE_CHARS) {
            short if short.len() < name.len() => short.into(),
            _ => name.clone(),
        })
    };
    Device {
        browser: short(&device.browser),
        browser_version: short(&device.browser_version),
        os: short(&device.os),
        os_version: short(&device.os_version),
        device_type: short(&device.device_type),
        ..*device
    }
}

fn earliest<T: Clone>(slot: &mut Option<Seen<T>>, at: SeenAt, value: Option<&T>) {
    if let Some(value) = value
        && slot.as_ref().is_none_or(|seen| at < seen.at)
    {
        *slot = Some(Seen { at, value: value.clone() });
    }
}

fn latest<T: Clone>(slot: &mut Option<Seen<T>>, at: SeenAt, value: Option<&T>) {
    if let Some(value) = value
        && slot.as_ref().is_none_or(|seen| at > seen.at)
    {
        *slot = Some(Seen { at, value: value.clone() });
    }
}

fn keep<T>(slot: &mut Option<T>, new: Option<T>, wins: impl Fn(&T, &T) -> bool) {
    if let Some(new) = new
        && slot.as_ref().is_none_or(|old| wins(&new, old))
    {
        *slot = Some(new);
    }
}

/// A path that many steps of a trail share.
pub type SharedPath = Arc<str>;

#[cfg(test)]
mod tests;

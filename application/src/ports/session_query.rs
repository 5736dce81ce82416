use std::cmp::Reverse;

use gosight_domain::insight::{Insight, InsightKind};
use gosight_domain::{Channel, Device, Geo, Session, SessionId, Timestamp, UserId};

use crate::sessions::SessionRow;

/// Which sessions, latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionQuery {
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub to: Option<Timestamp>,
    /// Of this user.
    pub user_id: Option<UserId>,
    /// Flags that must be as given.
    pub flags: SessionFlagFilter,
    /// Only those after this one.
    pub after: Option<SessionCursor>,
    /// Most sessions.
    pub limit: usize,
}

/// Flags that a session must have or must not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `SessionSummary`")]
pub struct SessionFlagFilter {
    pub has_error: Option<bool>,
    pub has_rage_click: Option<bool>,
    pub has_dead_click: Option<bool>,
    pub has_replay: Option<bool>,
    pub is_bounce: Option<bool>,
}

/// A place in the list of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCursor {
    /// Start of the last session seen.
    pub started_at: Timestamp,
    /// The last session seen.
    pub session_id: SessionId,
}

/// Which sessions, of those whose latest event is old; those that ended first come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleQuery {
    /// Their latest event lies before.
    pub before: Timestamp,
    /// Only those after this one.
    pub after: Option<IdleCursor>,
    /// Most sessions.
    pub limit: usize,
}

/// A place in the list of idle sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleCursor {
    /// End of the last session seen.
    pub ended_at: Timestamp,
    /// The last session seen.
    pub session_id: SessionId,
}

/// A session as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSummary {
    /// The session.
    pub session_id: SessionId,
    /// The last known user.
    pub user_id: Option<UserId>,
    /// The last known anonymous id.
    pub anonymous_id: Option<String>,
    /// Time of the earliest event.
    pub started_at: Timestamp,
    /// Time of the latest event.
    pub ended_at: Timestamp,
    /// First page, address and path.
    pub entry_url: String,
    /// Path of the first page.
    pub entry_path: String,
    /// Address of the page before the first.
    pub referrer: String,
    /// Address of the last page.
    pub exit_url: String,
    /// Path of the last page.
    pub exit_path: String,
    /// All events.
    pub event_count: u64,
    /// Page views.
    pub page_count: u64,
    /// Clicks.
    pub click_count: u64,
    /// Errors.
    pub error_count: u64,
    /// Deepest scroll of any page, in percent.
    pub max_scroll_depth: u8,
    /// Whether an error was reported.
    pub has_error: bool,
    /// Whether somebody clicked in anger.
    pub has_rage_click: bool,
    /// Whether a click was not answered.
    pub has_dead_click: bool,
    /// Whether only one page was viewed.
    pub is_bounce: bool,
    /// Whether there is a recording.
    pub has_replay: bool,
    /// The first known channel.
    pub channel: Option<Channel>,
    /// The first known campaign.
    pub campaign_id: Option<String>,
    /// The first known device.
    pub device: Device,
    /// The first known place.
    pub geo: Geo,
}

impl SessionSummary {
    /// What readers see of `session`.
    pub fn of(session: &Session, insights: &[Insight], has_replay: bool) -> Self {
        let has = |kind| insights.iter().any(|insight| insight.kind == kind);
        let entry = session.entry_page();
        let exit = session.exit_page();
        Self {
            session_id: session.session_id.clone(),
            user_id: session.user_id().cloned(),
            anonymous_id: session.anonymous_id().map(ToString::to_string),
            started_at: session.started_at,
            ended_at: session.ended_at,
            entry_url: entry.map_or_else(String::new, |page| page.url.to_owned()),
            entry_path: entry.map_or_else(String::new, |page| page.path.to_owned()),
            referrer: entry.map_or_else(String::new, |page| page.referrer.to_owned()),
            exit_url: exit.map_or_else(String::new, |page| page.url.to_owned()),
            exit_path: exit.map_or_else(String::new, |page| page.path.to_owned()),
            event_count: session.event_count,
            page_count: session.page_count,
            click_count: session.click_count,
            error_count: session.error_count,
            max_scroll_depth: session.max_scroll_depth,
            has_error: session.has_error(),
            has_rage_click: has(InsightKind::RageClick),
            has_dead_click: has(InsightKind::DeadClick),
            is_bounce: session.is_bounce(),
            has_replay,
            channel: session.channel(),
            campaign_id: session.campaign_id().map(ToString::to_string),
            device: session.device().cloned().unwrap_or_default(),
            geo: session.geo().cloned().unwrap_or_default(),
        }
    }
}

impl SessionRow {
    /// What readers see of the session.
    pub fn summary(&self, has_replay: bool) -> SessionSummary {
        SessionSummary::of(&self.session, &self.insights, has_replay)
    }

    /// What readers see of the session, with what it shows; not whether it has a replay.
    pub fn into_detail(self) -> SessionDetail {
        SessionDetail { summary: self.summary(false), insights: self.insights }
    }
}

impl SessionQuery {
    /// The page that is asked for, of all the sessions of a project: for stores that have no better way to find it.
    pub fn page(&self, sessions: impl IntoIterator<Item = SessionSummary>) -> Vec<SessionSummary> {
        let after = self.after.as_ref().map(|after| (Reverse(after.started_at), after.session_id.clone()));
        let place = |session: &SessionSummary| (Reverse(session.started_at), session.session_id.clone());
        page(sessions.into_iter().filter(|session| self.wants(session)), place, after.as_ref(), self.limit)
    }

    /// Whether `session` meets all conditions.
    fn wants(&self, session: &SessionSummary) -> bool {
        let is = |wanted: Option<bool>, found: bool| wanted.is_none_or(|wanted| wanted == found);
        self.from.is_none_or(|from| session.started_at >= from)
            && self.to.is_none_or(|to| session.started_at < to)
            && self.user_id.as_ref().is_none_or(|user| session.user_id.as_ref() == Some(user))
            && is(self.flags.has_error, session.has_error)
            && is(self.flags.has_rage_click, session.has_rage_click)
            && is(self.flags.has_dead_click, session.has_dead_click)
            && is(self.flags.has_replay, session.has_replay)
            && is(self.flags.is_bounce, session.is_bounce)
    }
}

impl IdleQuery {
    /// The page that is asked for, of all the sessions of a project: for stores that have no better way to find it.
    pub fn page(&self, sessions: impl IntoIterator<Item = SessionSummary>) -> Vec<SessionSummary> {
        let after = self.after.as_ref().map(|after| (after.ended_at, after.session_id.clone()));
        let place = |session: &SessionSummary| (session.ended_at, session.session_id.clone());
        page(
            sessions.into_iter().filter(|session| session.ended_at < self.before),
            place,
            after.as_ref(),
            self.limit,
        )
    }
}

/// The first `limit` of `sessions` in order of their places, of those after `after`.
fn page<P: Ord>(
    sessions: impl Iterator<Item = SessionSummary>,
    place: impl Fn(&SessionSummary) -> P,
    after: Option<&P>,
    limit: usize,
) -> Vec<SessionSummary> {
    let is_after = |session: &SessionSummary| after.is_none_or(|after| place(session) > *after);
    let mut page: Vec<SessionSummary> = sessions.filter(is_after).collect();
    page.sort_by_key(&place);
    page.truncate(limit);
    page
}

/// A session with what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionDetail {
    /// The session.
    pub summary: SessionSummary,
    /// What it shows, by kind and time.
    pub insights: Vec<Insight>,
}

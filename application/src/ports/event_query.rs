use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::insight::{Insight, InsightKind};
use gosight_domain::ledger::{Coverage, OutcomeCounts};
use gosight_domain::rollup::Dimension;
use gosight_domain::{
    Channel, Device, Event, EventId, EventName, Geo, Hour, ProjectId, Session, SessionId, Timestamp, UserId,
};

use super::PortError;

/// Error of the read side.
pub type QueryError = PortError;

/// Which counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsQuery {
    /// Only events of this type.
    pub event_name: Option<EventName>,
    /// First hour, inclusive.
    pub from: Hour,
    /// Last hour, exclusive.
    pub to: Hour,
    /// Only events of this channel.
    pub channel: Option<Channel>,
    /// Broken down by this.
    pub group_by: Option<GroupBy>,
    /// Most groups; the largest ones are given, of times the earliest.
    pub limit: usize,
}

/// What counts are broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// Where events came in from.
    Channel,
    /// Hour in UTC.
    Hour,
    /// Day in UTC.
    Day,
    /// Type of event.
    EventType,
    /// Any other.
    Dimension(Dimension),
}

impl GroupBy {
    /// Every way, for documentation.
    pub const ALL: [Self; 9] = [
        Self::Channel,
        Self::Hour,
        Self::Day,
        Self::EventType,
        Self::Dimension(Dimension::Path),
        Self::Dimension(Dimension::Browser),
        Self::Dimension(Dimension::Os),
        Self::Dimension(Dimension::Device),
        Self::Dimension(Dimension::Country),
    ];

    /// The name in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::EventType => "event_type",
            Self::Dimension(dimension) => dimension.as_str(),
        }
    }

    /// Whether the groups are times, which come in order of time.
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Hour | Self::Day)
    }
}

/// What a group is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupKey {
    /// First hour of an hour or day.
    Time(Hour),
    /// A value; empty for events without one.
    Value(String),
}

/// Counts of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsGroup {
    /// The group.
    pub key: GroupKey,
    /// Events.
    pub total_count: u64,
    /// Different visitors; exact.
    pub unique_users: u64,
}

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Events.
    pub total_count: u64,
    /// Different visitors; exact.
    pub unique_users: u64,
    /// The same by group.
    pub groups: Vec<MetricsGroup>,
}

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

/// A session as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSummary {
    /// The visit.
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

/// A session with what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionDetail {
    /// The session.
    pub summary: SessionSummary,
    /// What it shows, by kind and time.
    pub insights: Vec<Insight>,
}

/// A place in the list of a session's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    /// Time of the last event seen.
    pub timestamp: Timestamp,
    /// Its sequence.
    pub sequence: u64,
    /// The last event seen.
    pub event_id: EventId,
}

impl EventCursor {
    /// The place of `event`.
    pub fn of(event: &Event) -> Self {
        Self { timestamp: event.timestamp, sequence: event.sequence, event_id: event.event_id }
    }
}

/// The read side of events.
///
/// # Contract
/// 1. Answers only with what is the project's.
/// 2. Metrics come from the hourly rollup; total and groups agree, and unique users are exact.
/// 3. Sessions are listed latest start first, equal starts by id; events by time, equal times by sequence, then by id. A list that goes
///    on after a cursor leaves out and repeats nothing that was there all the time.
#[async_trait]
pub trait EventQuery: fmt::Debug + Send + Sync {
    /// Counts.
    async fn metrics(&self, project_id: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError>;

    /// A page of sessions.
    async fn sessions(
        &self,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, QueryError>;

    /// One session.
    async fn session(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, QueryError>;

    /// A page of a session's events.
    async fn session_events(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError>;
}

/// What became of a project's records in one hour, of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerBalance {
    /// Name of the log.
    pub log: Arc<str>,
    /// Hour in which the server received the records.
    pub hour: Hour,
    /// What became of them.
    pub counts: OutcomeCounts,
}

/// How the ledger covers one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionCoverage {
    /// Partition of the log.
    pub partition: u32,
    /// How the spans join.
    pub coverage: Coverage,
    /// Records that the rows account for.
    pub polled: u64,
}

/// The read side of the ledger.
///
/// # Contract
/// 1. Balances are by log and hour, earliest first; of one project, or with `None` of all including records of no
///    project.
/// 2. Coverage joins every row that was ever written, and counts the records of the same rows.
#[async_trait]
pub trait LedgerQuery: fmt::Debug + Send + Sync {
    /// What became of records received from `from` to before `to`.
    async fn balances(
        &self,
        project_id: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError>;

    /// How the ledger covers each partition of `log`.
    async fn coverage(&self, log: &str) -> Result<Vec<PartitionCoverage>, QueryError>;
}

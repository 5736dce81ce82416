use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::ledger::{Coverage, OutcomeCounts};
use gosight_domain::rollup::Dimension;
use gosight_domain::{Channel, Event, EventId, EventName, Hour, ProjectId, SessionId, Timestamp};

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
/// 3. Events of a session are listed by time, equal times by sequence, then by id. A list that goes on after a cursor
///    leaves out and repeats nothing that was there all the time.
#[async_trait]
pub trait EventQuery: fmt::Debug + Send + Sync {
    /// Counts.
    async fn metrics(&self, project_id: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError>;

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

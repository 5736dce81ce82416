//! Query: answers questions, each for one project only.

mod ledger;

use std::sync::Arc;

use gosight_domain::aggregate::AggregateValue;
use gosight_domain::key::{Read, Scoped};
use gosight_domain::replay::ReplaySession;
use gosight_domain::{Event, SessionId, Timestamp};

use crate::replay::{ReplayEvents, ReplayManifest, Replays, TimeRange};
pub use ledger::{LedgerReport, LogCoverage, PartitionReport};

use crate::ports::{
    AggregateStore, EventCursor, EventQuery, IdleQuery, LedgerQuery, LogEnds, Metrics, MetricsQuery,
    QueryError, SessionDetail, SessionQuery, SessionStore, SessionSummary, WindowQuery,
};
use crate::sessions::SessionRules;

/// Most entries of one answer, whatever was asked for.
pub const MAX_LIMIT: usize = 10_000;

/// What the query use case is made of.
#[derive(Debug, Clone)]
pub struct QueryPorts {
    /// Metrics and events.
    pub events: Arc<dyn EventQuery>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// What sessions show that are joined from several partitions.
    pub rules: SessionRules,
    /// The ledger.
    pub ledger: Arc<dyn LedgerQuery>,
    /// Window aggregates.
    pub aggregates: Arc<dyn AggregateStore>,
    /// Replays.
    pub replays: Replays,
    /// The logs that the ledger is about, to know what is in flight.
    pub logs: Vec<Arc<dyn LogEnds>>,
}

/// The query use case. Every answer is for the project of the [`Scoped`] proof that the caller holds, and bounded.
#[derive(Debug, Clone)]
pub struct Query {
    ports: QueryPorts,
}

impl Query {
    /// Answers from `ports`.
    pub fn new(ports: QueryPorts) -> Self {
        Self { ports }
    }

    /// Counts, from the hourly rollup.
    ///
    /// # Errors
    /// The read side's.
    pub async fn metrics(
        &self,
        scope: &Scoped<Read>,
        mut query: MetricsQuery,
    ) -> Result<Metrics, QueryError> {
        query.limit = query.limit.min(MAX_LIMIT);
        self.ports.events.metrics(scope.project_id(), &query).await
    }

    /// A page of sessions, latest first.
    ///
    /// # Errors
    /// The read side's.
    pub async fn sessions(
        &self,
        scope: &Scoped<Read>,
        mut query: SessionQuery,
    ) -> Result<Vec<SessionSummary>, QueryError> {
        query.limit = query.limit.min(MAX_LIMIT);
        self.ports.sessions.list(&self.ports.rules, scope.project_id(), &query).await
    }

    /// A page of sessions whose latest event is old, earliest end first.
    ///
    /// # Errors
    /// The read side's.
    pub async fn idle_sessions(
        &self,
        scope: &Scoped<Read>,
        mut query: IdleQuery,
    ) -> Result<Vec<SessionSummary>, QueryError> {
        query.limit = query.limit.min(MAX_LIMIT);
        self.ports.sessions.list_idle(&self.ports.rules, scope.project_id(), &query).await
    }

    /// One session with what it shows.
    ///
    /// # Errors
    /// The read side's.
    pub async fn session(
        &self,
        scope: &Scoped<Read>,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, QueryError> {
        let QueryPorts { sessions, rules, replays, .. } = &self.ports;
        let Some(mut detail) = sessions.get(rules, scope.project_id(), session_id).await? else {
            return Ok(None);
        };
        if !detail.summary.has_replay {
            let recorded = replays.are_recorded(&[replay_session(scope, session_id)]).await?;
            detail.summary.has_replay = recorded.first() == Some(&true);
        }
        Ok(Some(detail))
    }

    /// A page of a session's events, earliest first.
    ///
    /// # Errors
    /// The read side's.
    pub async fn session_events(
        &self,
        scope: &Scoped<Read>,
        session_id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError> {
        self.ports.events.session_events(scope.project_id(), session_id, after, limit.min(MAX_LIMIT)).await
    }

    /// What there is of a session's recording; `None` when there is nothing.
    ///
    /// # Errors
    /// The stores'.
    pub async fn replay(
        &self,
        scope: &Scoped<Read>,
        session_id: &SessionId,
    ) -> Result<Option<ReplayManifest>, QueryError> {
        self.ports.replays.manifest(&replay_session(scope, session_id)).await
    }

    /// The events of a recording in `range`, in order.
    ///
    /// # Errors
    /// The stores'.
    pub async fn replay_events(
        &self,
        scope: &Scoped<Read>,
        session_id: &SessionId,
        range: TimeRange,
    ) -> Result<Option<ReplayEvents>, QueryError> {
        self.ports.replays.events(&replay_session(scope, session_id), range).await
    }

    /// Windows of an aggregation, earliest first.
    ///
    /// # Errors
    /// The aggregate store's.
    pub async fn aggregates(
        &self,
        scope: &Scoped<Read>,
        mut query: WindowQuery,
    ) -> Result<Vec<(Timestamp, AggregateValue)>, QueryError> {
        query.limit = query.limit.min(MAX_LIMIT);
        self.ports.aggregates.windows(scope.project_id(), &query).await
    }
}

fn replay_session(scope: &Scoped<Read>, session_id: &SessionId) -> ReplaySession {
    ReplaySession { project_id: scope.project_id().clone(), session_id: session_id.clone() }
}

//! Reading: every answer is of one project, and every value a bound parameter.

mod events;
mod ledger;
mod metrics;

use async_trait::async_trait;
use gosight_application::ports::{EventCursor, EventQuery, Metrics, MetricsQuery, QueryError};
use gosight_domain::{Event, ProjectId, SessionId};

use crate::store::ClickHouseStore;

#[async_trait]
impl EventQuery for ClickHouseStore {
    async fn metrics(&self, project_id: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError> {
        metrics::read(&self.connection, project_id, query).await
    }

    async fn session_events(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError> {
        events::of_session(&self.connection, project_id, session_id, after, limit).await
    }
}

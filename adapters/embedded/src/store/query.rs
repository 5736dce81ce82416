use async_trait::async_trait;
use gosight_application::ports::{EventCursor, EventQuery, Metrics, MetricsQuery, QueryError};
use gosight_domain::{Event, ProjectId, SessionId};

use super::error::store_error;
use super::{EmbeddedStore, events, metrics};

#[async_trait]
impl EventQuery for EmbeddedStore {
    async fn metrics(&self, project_id: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError> {
        metrics::read(&self.database.readers, project_id, query).await.map_err(store_error)
    }

    async fn session_events(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError> {
        events::of_session(&self.database.readers, project_id, session_id, after, limit)
            .await
            .map_err(store_error)
    }
}

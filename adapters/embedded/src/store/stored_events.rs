use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{Claim, LogPosition, PortError, StoredEvents, StoredEventsError};
use gosight_application::process::StoredDeduplicator;

use super::EmbeddedStore;
use super::marks::{Mark, MarkedEvent};
use crate::STORE_ADAPTER;

impl EmbeddedStore {
    /// Tells which events are stored, or on their way.
    pub fn deduplicator(self: &Arc<Self>) -> Arc<StoredDeduplicator> {
        Arc::new(StoredDeduplicator::new(self.clone()))
    }

    /// Where the event of `claim` was stored from. Nothing is stored of a project that has no number.
    fn position(&self, claim: &Claim) -> fjall::Result<Option<LogPosition>> {
        let Some(project) = self.database.numbers.project(&claim.project_id) else { return Ok(None) };
        let found = self.marks.find(MarkedEvent { event_id: claim.event_id, project })?;
        let position = |Mark { log, partition, offset }| LogPosition {
            // A number without a name is none of the logs that are read.
            log: self.database.numbers.log_name(log).unwrap_or_default(),
            partition,
            offset,
        };
        Ok(found.map(position))
    }
}

#[async_trait]
impl StoredEvents for EmbeddedStore {
    async fn positions(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError> {
        let positions: fjall::Result<_> = claims.iter().map(|claim| self.position(claim)).collect();
        positions.map_err(|error| PortError::transient(STORE_ADAPTER, error))
    }
}

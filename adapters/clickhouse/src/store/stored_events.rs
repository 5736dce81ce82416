use std::collections::HashMap;

use async_trait::async_trait;
use clickhouse::Row;
use gosight_application::ports::{Claim, LogPosition, StoredEvents, StoredEventsError};
use serde::Deserialize;
use uuid::Uuid;

use super::ClickHouseStore;
use crate::error::read_error;
use crate::query_params::parts;

#[derive(Row, Deserialize)]
struct Position {
    project_id: String,
    #[serde(with = "clickhouse::serde::uuid")]
    event_id: Uuid,
    log: String,
    log_partition: u32,
    log_offset: u64,
}

#[async_trait]
impl StoredEvents for ClickHouseStore {
    async fn positions(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError> {
        let mut positions = Vec::with_capacity(claims.len());
        for part in parts(claims, |claim| [claim.project_id.as_str(), session(claim), ID]) {
            positions.extend(self.positions_of(part).await?);
        }
        Ok(positions)
    }
}

/// As long as the id of any event.
const ID: &str = "00000000-0000-0000-0000-000000000000";

fn session(claim: &Claim) -> &str {
    claim.session_id.as_ref().map_or("", |id| id.as_str())
}

impl ClickHouseStore {
    async fn positions_of(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError> {
        let projects: Vec<&str> = claims.iter().map(|claim| claim.project_id.as_str()).collect();
        let sessions: Vec<&str> = claims.iter().map(session).collect();
        let ids: Vec<String> = claims.iter().map(|claim| claim.event_id.as_uuid().to_string()).collect();
        let found = self
            .connection
            .query(
                "SELECT project_id, event_id, log, log_partition, log_offset FROM events
                 WHERE (project_id, session_id) IN arrayZip({projects:Array(String)}, {sessions:Array(String)})
                   AND event_id IN {ids:Array(UUID)}",
            )
            .param("projects", projects)
            .param("sessions", sessions)
            .param("ids", ids)
            .fetch_all::<Position>();
        let found = self.connection.within(found).await.map_err(read_error)?;
        let positions: HashMap<(String, Uuid), LogPosition> = found
            .into_iter()
            .map(|Position { project_id, event_id, log, log_partition, log_offset }| {
                let position = LogPosition { log: log.into(), partition: log_partition, offset: log_offset };
                ((project_id, event_id), position)
            })
            .collect();
        let position =
            |claim: &Claim| positions.get(&(claim.project_id.to_string(), claim.event_id.as_uuid())).cloned();
        Ok(claims.iter().map(position).collect())
    }
}

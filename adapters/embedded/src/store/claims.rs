//! Which events are being processed, until they are stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{Claim, ClaimVerdict, Deduplicator, DeduplicatorError, LogPosition};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{EventId, ProjectId};
use sqlx::Row;
use uuid::Uuid;

use super::codec::unsigned;
use super::many::ManyRows;
use super::{EmbeddedStore, store_error};

type Name = (ProjectId, EventId);

/// Claims of batches that are not stored yet. They go with the process: what is not stored is claimed again after a
/// restart.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    owners: HashMap<Name, LogPosition>,
    by_position: HashMap<(Arc<str>, u32), BTreeMap<u64, Name>>,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims `name` for `position`, and tells whether it is that position's.
    fn claim(&self, name: &Name, position: &LogPosition) -> bool {
        let mut state = self.lock();
        if let Some(owner) = state.owners.get(name) {
            return owner == position;
        }
        state.owners.insert(name.clone(), position.clone());
        let partition = (position.log.clone(), position.partition);
        state.by_position.entry(partition).or_default().insert(position.offset, name.clone());
        true
    }

    /// Gives up the claims of everything in `span`: the store knows now.
    pub fn release(&self, span: &BatchSpan) {
        let mut state = self.lock();
        let partition = (span.log.clone(), span.partition);
        let Some(claims) = state.by_position.get_mut(&partition) else { return };
        let mut later = claims.split_off(&span.first);
        let after = later.split_off(&span.next());
        claims.extend(after);
        for name in later.into_values() {
            state.owners.remove(&name);
        }
    }

    fn release_one(&self, name: &Name, position: &LogPosition) {
        let mut state = self.lock();
        state.owners.remove(name);
        let partition = (position.log.clone(), position.partition);
        if let Some(claims) = state.by_position.get_mut(&partition) {
            claims.remove(&position.offset);
        }
    }
}

const FIND: ManyRows = ManyRows {
    head: "SELECT event_id, projects.project_id, logs.name, log_partition, log_offset
        FROM events JOIN projects ON projects.id = events.project JOIN logs ON logs.id = events.log
        WHERE event_id IN (VALUES ",
    columns: 1,
    tail: ")",
};

impl EmbeddedStore {
    /// Where the records stood that these events were stored from.
    async fn stored_positions(&self, claims: &[Claim]) -> sqlx::Result<HashMap<Name, LogPosition>> {
        let mut connection = self.readers.acquire().await?;
        let rows = FIND
            .fetch(&mut connection, claims, |query, claim| {
                query.bind(claim.event_id.as_uuid().into_bytes().to_vec())
            })
            .await?;
        let mut stored = HashMap::with_capacity(rows.len());
        for row in rows {
            let event_id: Uuid = row.try_get(0)?;
            let project: String = row.try_get(1)?;
            let project = ProjectId::new(project).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let log: String = row.try_get(2)?;
            let offset: i64 = row.try_get(4)?;
            let position =
                LogPosition { log: log.into(), partition: row.try_get(3)?, offset: unsigned(offset) };
            stored.insert((project, EventId::from_uuid(event_id)), position);
        }
        Ok(stored)
    }
}

#[async_trait]
impl Deduplicator for EmbeddedStore {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        // Claimed first, looked up after: a batch that stores the event in between is seen by one of the two.
        let names: Vec<Name> =
            claims.iter().map(|claim| (claim.project_id.clone(), claim.event_id)).collect();
        let mine: Vec<bool> =
            claims.iter().zip(&names).map(|(claim, name)| self.claims.claim(name, &claim.position)).collect();
        let stored = self.stored_positions(claims).await.map_err(store_error)?;
        let verdict = |((claim, name), mine): ((&Claim, &Name), bool)| match stored.get(name) {
            Some(position) if *position != claim.position => {
                if mine {
                    self.claims.release_one(name, &claim.position);
                }
                ClaimVerdict::Duplicate
            }
            Some(_) => ClaimVerdict::Granted,
            None if mine => ClaimVerdict::Granted,
            None => ClaimVerdict::Duplicate,
        };
        Ok(claims.iter().zip(&names).zip(mine).map(verdict).collect())
    }
}

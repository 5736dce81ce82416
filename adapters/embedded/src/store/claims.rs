//! Which events are being processed, until they are stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    Claim, ClaimVerdict, Deduplicator, DeduplicatorError, LogPosition, PortError,
};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{EventId, ProjectId};

use super::EmbeddedStore;
use super::marks::{Mark, MarkedEvent};
use crate::STORE_ADAPTER;

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

    /// Gives up the claims of everything in `span`: the marks know now.
    pub fn release(&self, span: &BatchSpan) {
        let mut state = self.lock();
        let partition = (span.log.clone(), span.partition);
        let Some(claims) = state.by_position.get_mut(&partition) else { return };
        let mut released = claims.split_off(&span.first);
        claims.extend(released.split_off(&span.next()));
        for name in released.into_values() {
            state.owners.remove(&name);
        }
    }
}

impl State {
    /// Claims `name` for `position`, and tells whether it is that position's.
    fn claim(&mut self, name: &Name, position: &LogPosition) -> bool {
        if let Some(owner) = self.owners.get(name) {
            return owner == position;
        }
        self.owners.insert(name.clone(), position.clone());
        let partition = (position.log.clone(), position.partition);
        self.by_position.entry(partition).or_default().insert(position.offset, name.clone());
        true
    }

    /// Gives up the claim of `name`, if it is that position's.
    fn release_one(&mut self, name: &Name, position: &LogPosition) {
        if self.owners.get(name) != Some(position) {
            return;
        }
        self.owners.remove(name);
        let partition = (position.log.clone(), position.partition);
        if let Some(claims) = self.by_position.get_mut(&partition) {
            claims.remove(&position.offset);
        }
    }
}

impl EmbeddedStore {
    /// The mark of the event that `claim` is about, and the mark that the claiming record would give it. `None` when
    /// nothing of the project is stored.
    fn marks_of(&self, claim: &Claim) -> fjall::Result<Option<(Option<Mark>, Mark)>> {
        let Some(project) = self.database.numbers.project(&claim.project_id) else { return Ok(None) };
        let LogPosition { log, partition, offset } = &claim.position;
        // A log that nothing was stored from has no number, and is none of those that have.
        let log = self.database.numbers.log(log).unwrap_or(-1);
        let own = Mark { log, partition: *partition, offset: *offset };
        let found = self.marks.find(MarkedEvent { event_id: claim.event_id, project })?;
        Ok(Some((found, own)))
    }
}

#[async_trait]
impl Deduplicator for EmbeddedStore {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let mut verdicts = Vec::with_capacity(claims.len());
        for claim in claims {
            // Claimed first, looked up after: a batch that stores the event in between is seen by one of the two.
            let name = (claim.project_id.clone(), claim.event_id);
            let mine = self.claims.lock().claim(&name, &claim.position);
            let marks = self.marks_of(claim).map_err(|error| PortError::transient(STORE_ADAPTER, error))?;
            verdicts.push(match marks {
                Some((Some(found), own)) if found == own => ClaimVerdict::Granted,
                Some((Some(_), _)) => {
                    if mine {
                        self.claims.lock().release_one(&name, &claim.position);
                    }
                    ClaimVerdict::Duplicate
                }
                _ if mine => ClaimVerdict::Granted,
                _ => ClaimVerdict::Duplicate,
            });
        }
        Ok(verdicts)
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError> {
        let mut state = self.claims.lock();
        for claim in claims {
            state.release_one(&(claim.project_id.clone(), claim.event_id), &claim.position);
        }
        Ok(())
    }
}

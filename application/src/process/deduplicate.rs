//! Which events are being processed, until they are stored.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{EventId, ProjectId};

use crate::ports::{
    Claim, ClaimVerdict, Deduplicator, DeduplicatorError, LogPartition, LogPosition, StoredEvents,
};

/// A deduplicator over the stored events: it knows by itself what is on its way to them, and asks for the rest.
///
/// Claims go with the process: what is not stored is claimed again after a restart. So all processors of a log have to
/// be in one process.
#[derive(Debug)]
pub struct StoredDeduplicator {
    stored: Arc<dyn StoredEvents>,
    claims: Mutex<Claims>,
}

type Name = (ProjectId, EventId);

/// Claims of batches that are not stored yet.
#[derive(Debug, Default)]
struct Claims {
    owners: HashMap<Name, LogPosition>,
    by_position: HashMap<LogPartition, BTreeMap<u64, Name>>,
}

impl Claims {
    /// Claims `name` for `position`, and tells whether it is that position's.
    fn claim(&mut self, name: Name, position: &LogPosition) -> bool {
        if let Some(owner) = self.owners.get(&name) {
            return owner == position;
        }
        self.owners.insert(name.clone(), position.clone());
        self.by_position.entry(partition(position)).or_default().insert(position.offset, name);
        true
    }

    /// Gives up the claim of `name`, if it is that position's.
    fn release(&mut self, name: &Name, position: &LogPosition) {
        if self.owners.get(name) != Some(position) {
            return;
        }
        self.owners.remove(name);
        if let Some(claims) = self.by_position.get_mut(&partition(position)) {
            claims.remove(&position.offset);
        }
    }

    /// Gives up the claims of everything in `span`.
    fn release_all(&mut self, span: &BatchSpan) {
        let Some(claims) = self.by_position.get_mut(&LogPartition::of(span)) else { return };
        let mut released = claims.split_off(&span.first);
        claims.extend(released.split_off(&span.next()));
        for name in released.into_values() {
            self.owners.remove(&name);
        }
    }
}

fn partition(position: &LogPosition) -> LogPartition {
    LogPartition { log: position.log.clone(), partition: position.partition }
}

fn name(claim: &Claim) -> Name {
    (claim.project_id.clone(), claim.event_id)
}

impl StoredDeduplicator {
    /// Asks `stored` about events that are not on their way.
    pub fn new(stored: Arc<dyn StoredEvents>) -> Self {
        Self { stored, claims: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of `claims` are the first of their events among those that are on their way.
    fn claim_all(&self, claims: &[Claim]) -> Vec<bool> {
        let mut known = self.lock();
        claims.iter().map(|claim| known.claim(name(claim), &claim.position)).collect()
    }
}

#[async_trait]
impl Deduplicator for StoredDeduplicator {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        // Claimed first, looked up after: a batch that stores the event in between is seen by one of the two.
        let mine = self.claim_all(claims);
        let stored = self.stored.positions(claims).await?;
        let mut superseded = Vec::new();
        let verdict = |((claim, mine), stored): ((&Claim, bool), Option<LogPosition>)| match stored {
            Some(position) if position == claim.position => ClaimVerdict::Granted,
            Some(_) => {
                superseded.extend(mine.then(|| claim.clone()));
                ClaimVerdict::Duplicate
            }
            None if mine => ClaimVerdict::Granted,
            None => ClaimVerdict::Duplicate,
        };
        let verdicts = claims.iter().zip(mine).zip(stored).map(verdict).collect();
        self.release(&superseded).await?;
        Ok(verdicts)
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError> {
        let mut known = self.lock();
        for claim in claims {
            known.release(&name(claim), &claim.position);
        }
        Ok(())
    }

    fn committed(&self, span: &BatchSpan) {
        self.lock().release_all(span);
    }
}

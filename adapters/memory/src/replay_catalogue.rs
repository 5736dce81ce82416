use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{
    CatalogueEntry, CatalogueQuery, Lease, ReplayCatalogue, ReplayCatalogueError,
};
use gosight_domain::replay::ReplaySession;
use uuid::Uuid;

/// Which replays are archived, in memory.
#[derive(Debug, Default)]
pub struct MemoryReplayCatalogue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<ReplaySession, CatalogueEntry>,
    leases: BTreeMap<ReplaySession, Lease>,
}

impl MemoryReplayCatalogue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ReplayCatalogue for MemoryReplayCatalogue {
    async fn get(
        &self,
        sessions: &[ReplaySession],
    ) -> Result<Vec<Option<CatalogueEntry>>, ReplayCatalogueError> {
        let state = self.lock();
        Ok(sessions.iter().map(|session| state.entries.get(session).cloned()).collect())
    }

    async fn put(&self, entry: &CatalogueEntry) -> Result<bool, ReplayCatalogueError> {
        let mut state = self.lock();
        let version = state.entries.get(&entry.session).map_or(0, |stored| stored.version);
        if version + 1 != entry.version {
            return Ok(false);
        }
        state.entries.insert(entry.session.clone(), entry.clone());
        Ok(true)
    }

    async fn list(&self, query: &CatalogueQuery) -> Result<Vec<CatalogueEntry>, ReplayCatalogueError> {
        let is_wanted = |entry: &&CatalogueEntry| {
            query.project_id.as_ref().is_none_or(|project_id| *project_id == entry.session.project_id)
                && query.after.as_ref().is_none_or(|after| entry.session > *after)
                && query.archived_before.is_none_or(|before| {
                    entry.archived.as_ref().is_some_and(|archived| archived.archived_at < before)
                })
        };
        Ok(self.lock().entries.values().filter(is_wanted).take(query.limit).cloned().collect())
    }

    async fn delete(&self, session: &ReplaySession, version: u64) -> Result<bool, ReplayCatalogueError> {
        let mut state = self.lock();
        let is_version = state.entries.get(session).is_some_and(|entry| entry.version == version);
        if is_version {
            state.entries.remove(session);
        }
        Ok(is_version)
    }

    async fn lease(&self, lease: &Lease) -> Result<bool, ReplayCatalogueError> {
        let mut state = self.lock();
        let is_free = state
            .leases
            .get(&lease.session)
            .is_none_or(|held| held.owner == lease.owner || held.until <= lease.since);
        if is_free {
            state.leases.insert(lease.session.clone(), lease.clone());
        }
        Ok(is_free)
    }

    async fn release(&self, session: &ReplaySession, owner: Uuid) -> Result<(), ReplayCatalogueError> {
        let mut state = self.lock();
        if state.leases.get(session).is_some_and(|held| held.owner == owner) {
            state.leases.remove(session);
        }
        Ok(())
    }
}

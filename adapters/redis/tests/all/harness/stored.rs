use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::ports::{Claim, LogPosition, PortError, StoredEvents, StoredEventsError};
use gosight_domain::{EventId, ProjectId};

/// Stored events of a test.
#[derive(Debug, Default)]
pub struct StoredFake {
    positions: Mutex<HashMap<(ProjectId, EventId), LogPosition>>,
    asked: Mutex<Vec<usize>>,
    pub is_away: AtomicBool,
}

impl StoredFake {
    /// Stores the claimed events, each from the record that claims it.
    pub fn store(&self, claims: &[Claim]) {
        let mut positions = self.positions.lock().unwrap();
        for claim in claims {
            positions.insert((claim.project_id.clone(), claim.event_id), claim.position.clone());
        }
    }

    /// About how many claims it was asked, call by call, since this was last called.
    pub fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl StoredEvents for StoredFake {
    async fn positions(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(PortError::transient("stored events", "unavailable"));
        }
        self.asked.lock().unwrap().push(claims.len());
        let positions = self.positions.lock().unwrap();
        let find = |claim: &Claim| positions.get(&(claim.project_id.clone(), claim.event_id)).cloned();
        Ok(claims.iter().map(find).collect())
    }
}

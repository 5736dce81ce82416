use async_trait::async_trait;
use gosight_application::ports::{
    Claim, CommitError, EventRows, EventRowsError, EventsOf, Fence, FoldScope, LogPosition, RowOfRecord,
    StoredEvent, StoredEvents, StoredEventsError,
};
use gosight_domain::Event;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::rollup::HourlyRollup;
use gosight_domain::session::SessionKey;

use super::{EventRow, MemoryStore};

fn session_of(event: &Event) -> Option<SessionKey> {
    let session_id = event.session_id.clone()?;
    Some(SessionKey { project_id: event.project_id.clone(), session_id })
}

#[async_trait]
impl EventRows for MemoryStore {
    async fn acquired(&self, fence: &Fence) -> Result<(), EventRowsError> {
        self.adopt(fence)
    }

    async fn insert(&self, fence: &Fence, events: &[&StoredEvent]) -> Result<(), CommitError> {
        self.check(events.iter().copied())?;
        let mut state = self.lock_behind(fence)?;
        for StoredEvent { offset, event, .. } in events {
            state.add_event(fence.place(), *offset, event);
        }
        Ok(())
    }

    async fn rows(&self, fence: &Fence, span: &BatchSpan) -> Result<Vec<RowOfRecord>, EventRowsError> {
        let state = self.lock();
        let is_wanted =
            |row: &&EventRow| row.place == *fence.place() && (span.first..=span.last).contains(&row.offset);
        let row = |row: &EventRow| RowOfRecord {
            offset: row.offset,
            event_id: row.event.event_id,
            session: session_of(&row.event),
        };
        Ok(state.events.iter().filter(is_wanted).map(row).collect())
    }

    async fn end(&self, fence: &Fence, from: u64) -> Result<Option<u64>, EventRowsError> {
        let state = self.lock();
        let rows = state.events.iter().filter(|row| row.place == *fence.place() && row.offset >= from);
        Ok(rows.map(|row| row.offset + 1).max())
    }

    async fn remove(&self, fence: &Fence, offsets: &[u64]) -> Result<(), EventRowsError> {
        let mut state = self.lock_behind(fence)?;
        let events = std::mem::take(&mut state.events);
        state.rows.clear();
        state.rollup = HourlyRollup::default();
        for EventRow { place, offset, event } in events {
            if place != *fence.place() || !offsets.contains(&offset) {
                state.add_event(&place, offset, &event);
            }
        }
        Ok(())
    }

    async fn each_of(
        &self,
        fence: &Fence,
        of: &EventsOf<'_>,
        visit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), EventRowsError> {
        let state = self.lock();
        let is_wanted = |row: &&EventRow| {
            let is_of_partition = row.place == *fence.place();
            (of.scope == FoldScope::Session || is_of_partition)
                && !(is_of_partition && of.except.contains(&row.offset))
                && session_of(&row.event).is_some_and(|session| of.sessions.contains(&session))
        };
        state.events.iter().filter(is_wanted).for_each(|row| visit(row.event.clone()));
        Ok(())
    }
}

#[async_trait]
impl StoredEvents for MemoryStore {
    async fn positions(&self, claims: &[Claim]) -> Result<Vec<Option<LogPosition>>, StoredEventsError> {
        let state = self.lock();
        let position = |claim: &Claim| {
            let row = state.rows.get(&(claim.project_id.clone(), claim.event_id))?;
            let EventRow { place, offset, .. } = &state.events[*row];
            Some(LogPosition { log: place.log.clone(), partition: place.partition, offset: *offset })
        };
        Ok(claims.iter().map(position).collect())
    }
}

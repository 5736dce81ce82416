use std::fmt;

use async_trait::async_trait;
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, EventId};

use super::{CommitError, Fence, FoldScope, PortError, StoredEvent};

/// Error of [`EventRows`].
pub type EventRowsError = PortError;

/// A row of an event, by the record that it was stored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOfRecord {
    /// Offset of the record in the fence's partition.
    pub offset: u64,
    /// The event.
    pub event_id: EventId,
    /// Its session, if it has one.
    pub session: Option<SessionKey>,
}

/// Which events are visited.
#[derive(Debug, Clone, Copy)]
pub struct EventsOf<'a> {
    /// Those of these sessions.
    pub sessions: &'a [SessionKey],
    /// Of one partition, or of all.
    pub scope: FoldScope,
    /// But not those of the records at these offsets. A few thousand at most.
    pub except: &'a [u64],
}

/// Rows of events, with the hourly counts that belong to them.
///
/// # Contract
/// 1. After `Ok` of `insert` each event has one row, which survives a crash. After a failure any of them may have one.
/// 2. `rows` gives the rows of the records of a span, and no others.
/// 3. `end` is the offset after the last record at or after `from` that has a row; `None` when there is none.
/// 4. `remove` removes the rows of these records, and no others.
/// 5. Hourly counts are those of the rows, after every one of these calls.
/// 6. `each_of` gives every event of the sessions once: of the fence's partition only, or of all, as `scope` says. It leaves out the
///    records of the fence's partition at the offsets `except`.
/// 7. A write behind an older fence changes nothing.
#[async_trait]
pub trait EventRows: fmt::Debug + Send + Sync {
    /// Notified that `fence` is the newest of its partition: from here on no write behind an older one takes effect here. A store
    /// whose own ledger gave the fence knows that already, and one that is not shared by processes need not care.
    async fn acquired(&self, _fence: &Fence) -> Result<(), PortError> {
        Ok(())
    }

    /// Stores events that have no row yet.
    async fn insert(&self, fence: &Fence, events: &[&StoredEvent]) -> Result<(), CommitError>;

    /// The rows of the records of `span`, in no order.
    async fn rows(&self, fence: &Fence, span: &BatchSpan) -> Result<Vec<RowOfRecord>, EventRowsError>;

    /// How far rows go that the ledger, which ends at `from`, does not cover.
    async fn end(&self, fence: &Fence, from: u64) -> Result<Option<u64>, EventRowsError>;

    /// Removes the rows of the records at `offsets`.
    async fn remove(&self, fence: &Fence, offsets: &[u64]) -> Result<(), EventRowsError>;

    /// Gives events to `visit`, in no order.
    async fn each_of(
        &self,
        fence: &Fence,
        of: &EventsOf<'_>,
        visit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), EventRowsError>;
}

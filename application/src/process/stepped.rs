//! Committing a batch in steps, over stores that have no transaction in common.
//!
//! ```text
//!  acquire ─► fence, ledger end, how far rows of unfinished batches go
//!     │
//!     ▼                 no unfinished rows              unfinished rows
//!  events              insert all                      remove orphans, insert what is missing
//!  sessions            load, merge, put                fold again from the events, put
//!  aggregates, chunks, dead letters
//!  ledger row          the batch counts from here on
//! ```
//!
//! What comes before the ledger row is complete, or is done again. After any failure, whatever it was, the partition is
//! acquired again: there is no other way to recover, so this one is always tested. ADR 12 has the reasons.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_domain::Session;
use gosight_domain::session::SessionKey;

use crate::kill_point;
use crate::ports::{
    AggregateStore, BatchStore, CommitError, Committed, DeadLetters, EventRows, EventsOf, Fence, FoldScope,
    Ledger, LogPartition, Nothing, PortError, ProcessedBatch, PutVerdict, ReplayStore, RowOfRecord,
    SessionStore, StoredEvent,
};
use crate::sessions::{SessionRow, SessionRules, fold_into};

/// Names this store in errors.
const ADAPTER: &str = "stepped store";

/// Rows that are removed together.
const ORPHANS_AT_ONCE: usize = 2_000;

/// What batches are committed to. Each may be of another technology.
#[derive(Debug, Clone)]
pub struct SteppedPorts {
    /// Says which batches count, and gives the fences.
    pub ledger: Arc<dyn Ledger>,
    /// Rows of events.
    pub events: Arc<dyn EventRows>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Window aggregates.
    pub aggregates: Arc<dyn AggregateStore>,
    /// Replay chunks.
    pub replays: Arc<dyn ReplayStore>,
    /// Records that cannot be processed.
    pub dead_letters: Arc<dyn DeadLetters>,
}

/// Commits batches step by step: a [`BatchStore`] over narrow ports.
#[derive(Debug)]
pub struct Stepped {
    ports: SteppedPorts,
    partitions: Mutex<HashMap<LogPartition, PartitionLock>>,
    /// Held from the first effect of a batch to its sessions, where sessions of all partitions share a row.
    turn: tokio::sync::Mutex<()>,
}

/// `None` until the partition is acquired, and after any failure.
type PartitionLock = Arc<tokio::sync::Mutex<Option<Acquired>>>;

/// A partition that this process writes.
#[derive(Debug)]
struct Acquired {
    fence: Fence,
    /// Where the ledger ends; `None` when it has no row yet.
    ledger_end: Option<u64>,
    /// Rows of events before this offset may be there although the ledger does not reach so far.
    uncommitted_until: u64,
}

impl Stepped {
    /// Commits to `ports`.
    pub fn new(ports: SteppedPorts) -> Self {
        Self { ports, partitions: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The lock of one partition of the log: its batches are stored one after the other.
    fn partition(&self, place: LogPartition) -> PartitionLock {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.entry(place).or_default().clone()
    }

    /// What is known of a partition. It is gone from `slot` until the caller puts it back: whatever happens meanwhile, also
    /// when the future is dropped, the partition is acquired again before the next attempt.
    async fn take(&self, slot: &mut Option<Acquired>, place: &LogPartition) -> Result<Acquired, PortError> {
        match slot.take() {
            Some(acquired) => Ok(acquired),
            None => self.acquire(place).await,
        }
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Acquired, PortError> {
        let SteppedPorts { ledger, events, sessions, aggregates, replays, dead_letters: _ } = &self.ports;
        let fence = ledger.acquire(place).await?;
        events.acquired(&fence).await?;
        sessions.acquired(&fence).await?;
        aggregates.acquired(&fence).await?;
        replays.acquired(&fence).await?;
        let ledger_end = ledger.end(&fence).await?;
        let from = ledger_end.unwrap_or(0);
        let uncommitted_until = events.end(&fence, from).await?.unwrap_or(0);
        aggregates.forget(&fence, from).await?;
        tracing::info!(%place, epoch = fence.epoch(), ledger_end, uncommitted_until, "partition acquired");
        Ok(Acquired { fence, ledger_end, uncommitted_until })
    }

    async fn store(&self, acquired: &Acquired, batch: &ProcessedBatch) -> Result<(), CommitError> {
        let Acquired { fence, uncommitted_until, .. } = acquired;
        let span = &batch.ledger.span;
        let is_uncommitted = span.first < *uncommitted_until;
        let sessions = self.store_events_and_sessions(fence, batch, is_uncommitted).await?;
        if !batch.aggregates.is_empty() {
            self.ports.aggregates.put(fence, span, &batch.aggregates).await?;
        }
        self.put_chunks(fence, batch).await?;
        if !batch.dead_letters.is_empty() {
            self.ports.dead_letters.put(fence, &batch.dead_letters).await.map_err(PortError::widen)?;
        }
        kill_point("before-ledger");
        self.ports.ledger.append(fence, &batch.ledger).await?;
        kill_point("batch-committed");
        if !is_uncommitted {
            self.ports.sessions.committed(fence, span, &sessions).await;
        }
        Ok(())
    }

    async fn store_events_and_sessions(
        &self,
        fence: &Fence,
        batch: &ProcessedBatch,
        is_uncommitted: bool,
    ) -> Result<Vec<SessionRow>, CommitError> {
        let _turn = match self.ports.sessions.scope() {
            FoldScope::Session => Some(self.turn.lock().await),
            FoldScope::Partition => None,
        };
        let rows = if is_uncommitted {
            self.store_missing_events(fence, batch).await?;
            kill_point("events-inserted");
            let sessions: Vec<SessionKey> = batch.sessions.iter().map(Session::key).collect();
            self.fold_again(fence, &batch.rules, &sessions, &[]).await.map_err(PortError::widen)?
        } else {
            let events: Vec<&StoredEvent> = batch.events.iter().collect();
            self.insert_events(fence, &events).await?;
            kill_point("events-inserted");
            self.merge(fence, batch).await.map_err(PortError::widen)?
        };
        self.put_sessions(fence, &rows).await?;
        kill_point("sessions-inserted");
        Ok(rows)
    }

    async fn insert_events(&self, fence: &Fence, events: &[&StoredEvent]) -> Result<(), CommitError> {
        if events.is_empty() {
            return Ok(());
        }
        self.ports.events.insert(fence, events).await
    }

    /// Joins the folds of a batch with the sessions as they are before it.
    async fn merge(&self, fence: &Fence, batch: &ProcessedBatch) -> Result<Vec<SessionRow>, PortError> {
        if batch.sessions.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<SessionKey> = batch.sessions.iter().map(Session::key).collect();
        let stored = self.ports.sessions.load(fence, batch.ledger.span.first, &keys).await?;
        Ok(batch.rules.merge(stored, &batch.sessions))
    }

    /// Stores the events of which a batch that did not come to its end has left no row, and removes orphans: rows that are
    /// not the batch's any more, because a setting changed in between, or because nobody sends them again.
    async fn store_missing_events(&self, fence: &Fence, batch: &ProcessedBatch) -> Result<(), CommitError> {
        let span = &batch.ledger.span;
        let rows = self.ports.events.rows(fence, span).await.map_err(PortError::widen)?;
        let wanted: BTreeSet<_> =
            batch.events.iter().map(|stored| (stored.offset, stored.event.event_id)).collect();
        let there: BTreeSet<_> = rows.iter().map(|row| (row.offset, row.event_id)).collect();
        let orphans: Vec<_> =
            rows.into_iter().filter(|row| !wanted.contains(&(row.offset, row.event_id))).collect();
        tracing::info!(%span, rows = there.len(), orphans = orphans.len(), "rows of an unfinished batch are there");
        for orphans in orphans.chunks(ORPHANS_AT_ONCE) {
            self.remove_orphans(fence, &batch.rules, orphans).await?;
        }
        let is_missing = |stored: &&StoredEvent| !there.contains(&(stored.offset, stored.event.event_id));
        let missing: Vec<&StoredEvent> = batch.events.iter().filter(is_missing).collect();
        self.insert_events(fence, &missing).await
    }

    /// Removes rows, once their sessions are right without them: as long as the rows are there they tell that these
    /// sessions may be wrong, and nothing else does.
    async fn remove_orphans(
        &self,
        fence: &Fence,
        rules: &SessionRules,
        orphans: &[RowOfRecord],
    ) -> Result<(), CommitError> {
        let offsets: Vec<u64> = orphans.iter().map(|row| row.offset).collect();
        let sessions: BTreeSet<SessionKey> = orphans.iter().filter_map(|row| row.session.clone()).collect();
        let sessions: Vec<SessionKey> = sessions.into_iter().collect();
        if !sessions.is_empty() {
            let rows = self.fold_again(fence, rules, &sessions, &offsets).await.map_err(PortError::widen)?;
            self.ports.sessions.remove(fence, &sessions).await.map_err(PortError::widen)?;
            self.put_sessions(fence, &rows).await?;
        }
        kill_point("orphans-uncounted");
        self.ports.events.remove(fence, &offsets).await.map_err(PortError::widen)?;
        kill_point("orphans-removed");
        Ok(())
    }

    /// Folds sessions again, from all of their events but those of the records at `except`: some of these may be
    /// counted in what is stored of a session and some not.
    async fn fold_again(
        &self,
        fence: &Fence,
        rules: &SessionRules,
        sessions: &[SessionKey],
        except: &[u64],
    ) -> Result<Vec<SessionRow>, PortError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let mut folds: BTreeMap<SessionKey, Option<Session>> = BTreeMap::new();
        let mut visit = |event: gosight_domain::Event| {
            if let Some(session_id) = event.session_id.clone() {
                let key = SessionKey { project_id: event.project_id.clone(), session_id };
                fold_into(folds.entry(key).or_default(), &event);
            }
        };
        let of = EventsOf { sessions, scope: self.ports.sessions.scope(), except };
        self.ports.events.each_of(fence, &of, &mut visit).await?;
        Ok(folds.into_values().flatten().map(|session| rules.row(session)).collect())
    }

    async fn put_sessions(&self, fence: &Fence, rows: &[SessionRow]) -> Result<(), CommitError> {
        if rows.is_empty() { Ok(()) } else { self.ports.sessions.put(fence, rows).await }
    }

    /// Stores the chunks of a batch. The batch was made of those that were not there, so a conflict came up since: it is
    /// found when the batch is handled again.
    async fn put_chunks(&self, fence: &Fence, batch: &ProcessedBatch) -> Result<(), CommitError> {
        if batch.replay_chunks.is_empty() {
            return Ok(());
        }
        let verdicts = self.ports.replays.put(fence, &batch.replay_chunks).await?;
        if verdicts.contains(&PutVerdict::Conflict) {
            let text = "another chunk with the same index was stored meanwhile";
            return Err(CommitError::transient(ADAPTER, text));
        }
        Ok(())
    }
}

#[async_trait]
impl BatchStore for Stepped {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        self.ports.ledger.next_offsets(log).await
    }

    async fn unfinished_until(&self, place: &LogPartition) -> Result<Option<u64>, PortError<Nothing>> {
        let lock = self.partition(place.clone());
        let mut slot = lock.lock().await;
        let acquired = self.take(&mut slot, place).await?;
        let end = acquired.ledger_end.unwrap_or(0);
        let until = Some(acquired.uncommitted_until).filter(|until| *until > end);
        *slot = Some(acquired);
        Ok(until)
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let place = LogPartition::of(&batch.ledger.span);
        let lock = self.partition(place.clone());
        let mut slot = lock.lock().await;
        let mut acquired = self.take(&mut slot, &place).await.map_err(PortError::widen)?;
        if let Some(before) = batch.admit(ADAPTER, acquired.ledger_end)? {
            *slot = Some(acquired);
            return Ok(before);
        }
        self.store(&acquired, batch).await?;
        acquired.ledger_end = Some(batch.ledger.span.next());
        *slot = Some(acquired);
        Ok(Committed::Now)
    }
}

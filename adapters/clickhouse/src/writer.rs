//! Writing: partitions of the log are taken over, and their batches stored once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gosight_application::kill_point;
use gosight_application::ports::{
    AggregateStore, BatchStore, CommitError, Committed, DeadLetters, EventRows, Fence, FoldScope, Ledger,
    LogPartition, LogPosition, Nothing, PortError, ProcessedBatch, ReplayStore, SessionCache, SessionStore,
    StoredEvent,
};
use gosight_application::sessions::{SessionRow, fold_into};
use gosight_domain::Session;
use gosight_domain::session::SessionKey;

use crate::ADAPTER;
use crate::store::ClickHouseStore;

/// `None` until the partition is taken over, and after any failure.
type PartitionLock = Arc<tokio::sync::Mutex<Option<Held>>>;

/// A partition that was taken over.
#[derive(Debug)]
struct Held {
    fence: Fence,
    ledger_end: Option<u64>,
    /// Rows of events before this offset may be there although the ledger does not reach so far.
    doubtful_until: u64,
}

/// Stores batches of the log: a [`BatchStore`].
pub struct ClickHouseWriter {
    store: Arc<ClickHouseStore>,
    /// The folds of live sessions; the store's own are read where it has none.
    cache: Option<Arc<dyn SessionCache>>,
    /// Where records go that nothing can be done with.
    dead_letters: Arc<dyn DeadLetters>,
    partitions: Mutex<HashMap<LogPartition, PartitionLock>>,
}

impl fmt::Debug for ClickHouseWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseWriter").field("store", &self.store).finish_non_exhaustive()
    }
}

impl ClickHouseWriter {
    /// Writes to `store`, with the live sessions in `cache`, if there is one, and what cannot be processed in
    /// `dead_letters`.
    pub fn new(
        store: Arc<ClickHouseStore>,
        cache: Option<Arc<dyn SessionCache>>,
        dead_letters: Arc<dyn DeadLetters>,
    ) -> Self {
        Self { store, cache, dead_letters, partitions: Mutex::default() }
    }

    fn partition(&self, place: &LogPartition) -> PartitionLock {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.entry(place.clone()).or_default().clone()
    }

    async fn take_over(&self, place: &LogPartition) -> Result<Held, PortError> {
        let fence = self.store.acquire(place).await?;
        let ledger_end = Ledger::end(&*self.store, &fence).await?;
        let from = ledger_end.unwrap_or(0);
        let doubtful_until = EventRows::end(&*self.store, &fence, from).await?.unwrap_or(0);
        self.store.forget(&fence, from).await?;
        Ok(Held { fence, ledger_end, doubtful_until })
    }

    async fn commit_held(&self, held: &Held, batch: &ProcessedBatch) -> Result<(), CommitError> {
        let (span, fence) = (&batch.ledger.span, &held.fence);
        let is_doubtful = span.first < held.doubtful_until;
        let sessions = if is_doubtful {
            let strays = self.store_missing_events(fence, batch).await?;
            kill_point("events-inserted");
            self.fold_again(fence, batch, strays).await.map_err(PortError::widen)?
        } else {
            let events: Vec<&StoredEvent> = batch.events.iter().collect();
            EventRows::insert(&*self.store, fence, &events).await?;
            kill_point("events-inserted");
            let known = self.load(fence, batch).await.map_err(PortError::widen)?;
            batch.rules.merge(known, &batch.sessions)
        };
        SessionStore::put(&*self.store, fence, &sessions).await?;
        kill_point("sessions-inserted");
        AggregateStore::put(&*self.store, fence, span, &batch.aggregates).await?;
        ReplayStore::put(&*self.store, fence, &batch.replay_chunks).await?;
        if !batch.dead_letters.is_empty() {
            self.dead_letters.put(fence, &batch.dead_letters).await.map_err(PortError::widen)?;
        }
        kill_point("before-ledger");
        self.store.append(fence, &batch.ledger).await?;
        kill_point("batch-committed");
        if let Some(cache) = self.cache.as_ref().filter(|_| !is_doubtful) {
            let folds: Vec<&Session> = sessions.iter().map(|row| &row.session).collect();
            if let Err(error) = cache.save(span, &folds).await {
                tracing::warn!(%error, "sessions were not cached");
            }
        }
        Ok(())
    }

    async fn load(&self, fence: &Fence, batch: &ProcessedBatch) -> Result<Vec<Option<Session>>, PortError> {
        let keys: Vec<SessionKey> = batch.sessions.iter().map(Session::key).collect();
        let mut known = vec![None; keys.len()];
        if let Some(cache) = self.cache.as_ref().filter(|_| !keys.is_empty()) {
            let offset = batch.ledger.span.first;
            let at = LogPosition { log: fence.log().clone(), partition: fence.partition(), offset };
            match cache.load(&at, &keys).await {
                Ok(cached) => known = cached,
                Err(error) => {
                    tracing::warn!(%error, "sessions are read from the store, because the cache is away");
                }
            }
        }
        let unknown: Vec<usize> = (0..keys.len()).filter(|&n| known[n].is_none()).collect();
        let wanted: Vec<SessionKey> = unknown.iter().map(|&n| keys[n].clone()).collect();
        let stored = SessionStore::load(&*self.store, fence, 0, &wanted).await?;
        for (n, session) in unknown.into_iter().zip(stored) {
            known[n] = session;
        }
        Ok(known)
    }

    async fn store_missing_events(
        &self,
        fence: &Fence,
        batch: &ProcessedBatch,
    ) -> Result<BTreeSet<SessionKey>, CommitError> {
        let found = self.store.rows(fence, &batch.ledger.span).await.map_err(PortError::widen)?;
        let wanted: BTreeSet<u64> = batch.events.iter().map(|stored| stored.offset).collect();
        let there: BTreeSet<u64> = found.iter().map(|row| row.offset).collect();
        let strays: Vec<_> = found.into_iter().filter(|row| !wanted.contains(&row.offset)).collect();
        let offsets: Vec<u64> = strays.iter().map(|row| row.offset).collect();
        EventRows::remove(&*self.store, fence, &offsets).await.map_err(PortError::widen)?;
        let missing: Vec<&StoredEvent> =
            batch.events.iter().filter(|stored| !there.contains(&stored.offset)).collect();
        EventRows::insert(&*self.store, fence, &missing).await?;
        Ok(strays.into_iter().filter_map(|row| row.session).collect())
    }

    async fn fold_again(
        &self,
        fence: &Fence,
        batch: &ProcessedBatch,
        strays: BTreeSet<SessionKey>,
    ) -> Result<Vec<SessionRow>, PortError> {
        let gone: Vec<SessionKey> = strays.iter().cloned().collect();
        SessionStore::remove(&*self.store, fence, &gone).await?;
        let mut keys = strays;
        keys.extend(batch.sessions.iter().map(Session::key));
        let keys: Vec<SessionKey> = keys.into_iter().collect();
        let mut folds: BTreeMap<SessionKey, Option<Session>> = BTreeMap::new();
        let mut visit = |event: gosight_domain::Event| {
            if let Some(session_id) = event.session_id.clone() {
                let key = SessionKey { project_id: event.project_id.clone(), session_id };
                fold_into(folds.entry(key).or_default(), &event);
            }
        };
        self.store.each_of(fence, FoldScope::Partition, &keys, &mut visit).await?;
        Ok(folds.into_values().flatten().map(|session| batch.rules.row(session)).collect())
    }
}

#[async_trait]
impl BatchStore for ClickHouseWriter {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        Ledger::next_offsets(&*self.store, log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let place = LogPartition::of(&batch.ledger.span);
        let lock = self.partition(&place);
        let mut slot = lock.lock().await;
        let mut held = match slot.take() {
            Some(held) => held,
            None => self.take_over(&place).await.map_err(PortError::widen)?,
        };
        if let Some(before) = batch.admit(ADAPTER, held.ledger_end)? {
            *slot = Some(held);
            return Ok(before);
        }
        self.commit_held(&held, batch).await?;
        held.ledger_end = Some(batch.ledger.span.next());
        *slot = Some(held);
        Ok(Committed::Now)
    }
}

//! Events into a store, without a log between.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::ledger::{BatchSpan, LedgerRow, Outcome};
use gosight_domain::{Event, EventId, ProjectId};
use tokio::sync::Mutex;

use crate::codec::encode_event;
use crate::enrich::EventEnrichers;
use crate::ports::{
    BatchStore, Claim, ClaimVerdict, Clock, CommitError, Committed, Deduplicator, DeduplicatorError,
    EventSink, LogPartition, LogPosition, PolledBatch, PolledRecord, PortError, ProcessedBatch, RefusedEvent,
    RefusedEvents, RefusedRows, SinkError, StoredEvents,
};
use crate::process::{AggregationSet, BatchHandler, EventHandler, EventHandlerPorts, Refusals};
use crate::settings::PipelineSettings;

/// Names this sink in errors.
const ADAPTER: &str = "direct sink";

/// What the ledger calls the records of an append that was never acknowledged.
const UNACKNOWLEDGED: &str = "unacknowledged";

/// What a [`DirectSink`] is made of.
#[derive(Debug, Clone)]
pub struct DirectSinkPorts {
    /// Stores batches.
    pub batches: Arc<dyn BatchStore>,
    /// Tells which events are stored.
    pub stored: Arc<dyn StoredEvents>,
    /// Tell more about events than they say themselves.
    pub enrichers: Arc<EventEnrichers>,
    /// What window aggregates are kept.
    pub aggregations: Arc<AggregationSet>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Takes events straight into a store: for embedders without a log.
///
/// It processes events as a consumer of a log does, and acknowledges them when they are stored. The batches are of a log
/// that nobody keeps: their spans begin where the store's ledger ends. One process at a time may use the name of such a
/// log; another one is fenced off or refused by the store.
///
/// After a crash an offset may be given to another event. So an event counts as a duplicate only when it is *stored*
/// before the batch, never because something once claimed it.
#[derive(Debug)]
pub struct DirectSink {
    ports: DirectSinkPorts,
    handler: EventHandler,
    log: Arc<str>,
    /// The next offset. `None` before the first append and after any failure: the ledger is asked then.
    next: Mutex<Option<u64>>,
}

impl DirectSink {
    /// Stores events through `ports`, as batches of a log that is called `log`. Of the settings it uses those of
    /// processing: filters and sessions.
    pub fn new(ports: DirectSinkPorts, log: impl Into<Arc<str>>, settings: &PipelineSettings) -> Self {
        let log = log.into();
        let deduplicator = StoredBefore { stored: ports.stored.clone(), log: log.clone() };
        let handler = EventHandlerPorts {
            deduplicator: Arc::new(deduplicator),
            enrichers: ports.enrichers.clone(),
            clock: ports.clock.clone(),
        };
        let handler = EventHandler::new(handler, settings.filters.clone(), ports.aggregations.clone())
            .with_session_rules(settings.sessions.clone());
        Self { ports, handler, log, next: Mutex::default() }
    }

    /// Where the ledger goes on, once nothing is left behind its end.
    async fn begin(&self) -> Result<u64, SinkError> {
        let place = LogPartition { log: self.log.clone(), partition: PARTITION };
        let unfinished = self.ports.batches.unfinished_until(&place).await.map_err(PortError::widen)?;
        let ends = self.ports.batches.next_offsets(&self.log).await.map_err(PortError::widen)?;
        let end = ends.get(&PARTITION).copied().unwrap_or(0);
        match unfinished {
            Some(until) if until > end => self.pass_over(end, until).await,
            _ => Ok(end),
        }
    }

    /// Removes what an append has left that was never acknowledged: its offsets become a batch of which nothing is
    /// stored. Its events come again, or never.
    async fn pass_over(&self, end: u64, until: u64) -> Result<u64, SinkError> {
        let span = BatchSpan { log: self.log.clone(), partition: PARTITION, first: end, last: until - 1 };
        let mut row = LedgerRow::new(span);
        let (hour, outcome) = (self.ports.clock.now().hour(), Outcome::Rejected(UNACKNOWLEDGED.into()));
        (end..until).for_each(|_| row.record(None, hour, &outcome));
        let committed = self.ports.batches.commit(&ProcessedBatch::empty(row)).await;
        committed.map_err(|error| error.narrow().widen())?;
        Ok(until)
    }

    /// Stores `events`, which begin at `first`; gives the offset after them.
    async fn store(&self, first: u64, events: &[&Event]) -> Result<u64, CommitError> {
        let batch = self.polled(first, events)?;
        let processed = self.handler.handle(&batch, &Refusals::new()).await.map_err(PortError::widen)?;
        match self.ports.batches.commit(&processed).await? {
            Committed::Now => {
                self.handler.committed(&processed);
                Ok(batch.span.next())
            }
            // What is stored with these offsets is of somebody else.
            Committed::Before => {
                let text = format!(
                    "another process stores events as the log {}, which one at a time may do",
                    self.log
                );
                Err(CommitError::transient(ADAPTER, text))
            }
        }
    }

    fn polled(&self, first: u64, events: &[&Event]) -> Result<PolledBatch, CommitError> {
        let encode = |(offset, event): (u64, &&Event)| {
            let record = encode_event(event).map_err(|error| CommitError::fatal(ADAPTER, error))?;
            Ok(PolledRecord { offset, value: record.value })
        };
        let records = (first..).zip(events).map(encode).collect::<Result<Vec<_>, CommitError>>()?;
        let last = first + records.len() as u64 - 1;
        let span = BatchSpan { log: self.log.clone(), partition: PARTITION, first, last };
        Ok(PolledBatch { span, records })
    }

    /// Stores what the store takes of `events`, and gives the others.
    async fn store_all(
        &self,
        next: &mut Option<u64>,
        events: &[Event],
    ) -> Result<Vec<RefusedEvent>, SinkError> {
        let mut refused = Refused { events, found: Vec::new() };
        let mut parts: Vec<Vec<usize>> = vec![(0..events.len()).collect()];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let first = match next.take() {
                Some(next) => next,
                None => self.begin().await?,
            };
            let of_part: Vec<&Event> = part.iter().map(|&index| &events[index]).collect();
            *next = match self.store(first, &of_part).await {
                Ok(end) => Some(end),
                // Nothing of the part was stored. Without the bad rows it may be.
                Err(PortError::Rejected { refused: rows, .. }) => {
                    parts.extend(refused.without(part, first, &rows));
                    Some(first)
                }
                Err(error) => return Err(error.narrow().widen()),
            };
        }
        refused.found.sort_by_key(|refused| refused.index);
        Ok(refused.found)
    }
}

/// Events that the store refuses.
struct Refused<'a> {
    events: &'a [Event],
    found: Vec<RefusedEvent>,
}

impl Refused<'_> {
    /// Notes which events of `part`, whose records begin at `first`, are refused. Gives the parts to try next, the last
    /// one first: all but those, or both halves where the store cannot tell which they are.
    fn without(&mut self, mut part: Vec<usize>, first: u64, rows: &RefusedRows) -> Vec<Vec<usize>> {
        let before = part.len();
        let mut offset = first;
        part.retain(|&index| {
            let reason = rows.offsets.get(&offset);
            offset += 1;
            reason.map(|reason| self.note(index, reason)).is_none()
        });
        if part.len() < before {
            return vec![part];
        }
        if let [only] = part.as_slice() {
            self.note(*only, &rows.reason);
            return Vec::new();
        }
        let second = part.split_off(part.len() / 2);
        vec![second, part]
    }

    fn note(&mut self, index: usize, reason: &str) {
        let event_id = self.events[index].event_id;
        self.found.push(RefusedEvent { index, event_id, reason: reason.to_owned() });
    }
}

/// The only partition of the log that nobody keeps.
const PARTITION: u32 = 0;

#[async_trait]
impl EventSink for DirectSink {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        // The order of a session's events is that of the calls.
        let mut next = self.next.lock().await;
        let refused = self.store_all(&mut next, events).await?;
        if refused.is_empty() {
            return Ok(());
        }
        Err(SinkError::Rejected { adapter: ADAPTER, refused: RefusedEvents(refused) })
    }
}

/// Tells which events are stored by batches that count.
///
/// Rows of the sink's own log behind the ledger's end are of an append that was never acknowledged. The batch that is
/// given their offsets keeps or removes them, so they do not make a duplicate of anything.
#[derive(Debug)]
struct StoredBefore {
    stored: Arc<dyn StoredEvents>,
    log: Arc<str>,
}

#[async_trait]
impl Deduplicator for StoredBefore {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let first = claims.iter().map(|claim| claim.position.offset).min().unwrap_or(0);
        let counts = |position: &LogPosition| position.log != self.log || position.offset < first;
        let stored = self.stored.positions(claims).await?;
        let mut seen: HashSet<(&ProjectId, EventId)> = HashSet::with_capacity(claims.len());
        let mut verdicts = Vec::with_capacity(claims.len());
        for (claim, stored) in claims.iter().zip(stored) {
            let is_first = seen.insert((&claim.project_id, claim.event_id));
            let is_new = is_first && !stored.is_some_and(|position| counts(&position));
            verdicts.push(if is_new { ClaimVerdict::Granted } else { ClaimVerdict::Duplicate });
        }
        Ok(verdicts)
    }

    async fn release(&self, _: &[Claim]) -> Result<(), DeduplicatorError> {
        Ok(())
    }
}

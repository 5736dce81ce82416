use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::details::Details;
use gosight_domain::ledger::{Join, LedgerRow};
use gosight_domain::replay::ReplayChunk;
use gosight_domain::{Event, Session, Violation};

use super::{CommitError, DeadLetter, LogPartition, Nothing, PortError, SkippedMeasures};
use crate::sessions::SessionRules;

/// Everything that a polled batch became.
#[derive(Debug, Clone)]
pub struct ProcessedBatch {
    /// What became of each record. Its span names the batch.
    pub ledger: LedgerRow,
    /// Events to store, with the offset of their record, in order.
    pub events: Vec<StoredEvent>,
    /// Folds of these events by session, to be merged.
    pub sessions: Vec<Session>,
    /// Window aggregates of these events, to be merged.
    pub aggregates: BTreeMap<AggregateKey, AggregateValue>,
    /// Replay chunks to store.
    pub replay_chunks: Vec<ReplayChunk>,
    /// Records to dead-letter.
    pub dead_letters: Vec<DeadLetter>,
    /// Measures of aggregations that were skipped for these events. Reported when the batch is stored; no store needs it.
    pub skipped_measures: SkippedMeasures,
    /// How the folds are joined with what is stored, and what the sessions show then.
    pub rules: SessionRules,
}

/// An event with where it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Offset of its record in the batch's partition.
    pub offset: u64,
    /// The event.
    pub event: Event,
    /// The columns of its payload.
    pub details: Details<'static>,
    /// Its record, if that says what `event` does.
    record: Option<Bytes>,
}

impl StoredEvent {
    /// An event that no record is known of.
    ///
    /// # Errors
    /// [`Violation`] when its payload breaks the rules of its columns.
    pub fn new(offset: u64, event: Event) -> Result<Self, Violation> {
        let details = event.details()?.into_owned();
        Ok(Self { offset, event, details, record: None })
    }

    /// What processing made of `record`, which stands at `offset`. The record is kept as the event's JSON unless the event
    /// was changed.
    pub fn of_record(offset: u64, decoded: DecodedEvent, record: &Bytes) -> Self {
        let record = (!decoded.is_changed()).then(|| record.clone());
        let (event, details) = decoded.into_parts();
        Self { offset, event, details, record }
    }

    /// The event as JSON on one line: as it stands in its record, and encoded anew only if it was changed, or if the record
    /// was not written on one line.
    ///
    /// # Errors
    /// Never for an event made by this crate's rules; a JSON error otherwise.
    pub fn json(&self) -> serde_json::Result<Cow<'_, str>> {
        match self.record.as_deref().map(std::str::from_utf8) {
            Some(Ok(text)) if !text.contains(['\n', '\r']) => Ok(Cow::Borrowed(text)),
            _ => serde_json::to_string(&self.event).map(Cow::Owned),
        }
    }
}

impl ProcessedBatch {
    /// A batch of which nothing is to be stored but its ledger row.
    pub fn empty(ledger: LedgerRow) -> Self {
        Self {
            ledger,
            events: Vec::new(),
            sessions: Vec::new(),
            aggregates: BTreeMap::new(),
            replay_chunks: Vec::new(),
            dead_letters: Vec::new(),
            skipped_measures: SkippedMeasures::default(),
            rules: SessionRules::default(),
        }
    }

    /// Judges the batch by where the ledger of its partition ends: `Some` is the answer when there is nothing to store.
    ///
    /// # Errors
    /// `Fatal` of `adapter` for a batch that does not join the ledger.
    pub fn admit(
        &self,
        adapter: &'static str,
        ledger_end: Option<u64>,
    ) -> Result<Option<Committed>, CommitError> {
        match self.ledger.span.join(ledger_end) {
            Ok(Join::Next) => Ok(None),
            Ok(Join::Covered) => Ok(Some(Committed::Before)),
            Err(error) => Err(CommitError::fatal(adapter, error)),
        }
    }
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The batch is stored now.
    Now,
    /// It was stored before; nothing changed.
    Before,
}

/// Makes everything that a batch became visible, once.
///
/// # Contract
/// 1. `Ok(Now)`: events, sessions, rollup, aggregates, chunks, dead letters and the ledger row are stored and survive a
///    crash.
/// 2. `Ok(Before)`: the ledger of the partition already reaches to the end of the span; nothing was changed.
/// 3. A span that overlaps the ledger in part, or leaves a gap after it, is `Fatal`: somebody else wrote, or records
///    are missing. The first span of a partition may start anywhere.
/// 4. `Rejected`: nothing was stored. The rows named, or some that are not named, can never be stored.
/// 5. After `Transient`, calling again with the same batch gives the same result as if the first call had not been.
/// 6. A crash at any moment leaves a state from which the same batch, or the same records cut into other batches, can
///    be committed with the same result.
/// 7. Insights of the merged sessions are found again and replace those found before.
#[async_trait]
pub trait BatchStore: fmt::Debug + Send + Sync {
    /// Where the ledger of `log` ends: for each partition with rows, the next offset to process.
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>>;

    /// How far rows of a batch of `place` go that did not come to its end, if there are any behind the ledger's end. A
    /// store that commits batches as one never has any.
    async fn unfinished_until(&self, _place: &LogPartition) -> Result<Option<u64>, PortError<Nothing>> {
        Ok(None)
    }

    /// Stores `batch`.
    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError>;
}

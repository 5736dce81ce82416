use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::Read as _;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use gosight_domain::key::{Read, Scoped};
use gosight_domain::replay::{ReplayChunk, ReplaySession};
use gosight_domain::time::epoch_millis;
use gosight_domain::{ProjectId, SessionId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Query;
use crate::ports::{BoxError, ChunkId, QueryError, ReplayStore};

/// What there is of a session's recording.
#[derive(Debug, Clone)]
pub struct ReplayManifest {
    /// The chunks in order, without data.
    pub chunks: Vec<ReplayChunk>,
}

impl ReplayManifest {
    /// Indexes that lie before the last chunk and are not there.
    pub fn missing(&self) -> Vec<u16> {
        let mut missing = Vec::new();
        let mut expected = 0;
        for chunk in &self.chunks {
            missing.extend(expected..chunk.chunk_index);
            expected = chunk.chunk_index.saturating_add(1);
        }
        missing
    }

    /// Events of all chunks.
    pub fn event_count(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.event_count)).sum()
    }

    /// Index of the first chunk that playback can start with.
    pub fn first_full_snapshot(&self) -> Option<u16> {
        self.chunks.iter().find(|chunk| chunk.has_full_snapshot).map(|chunk| chunk.chunk_index)
    }

    /// Earliest and latest time of the recording.
    pub fn time_range(&self) -> Option<(Timestamp, Timestamp)> {
        let start = self.chunks.iter().map(|chunk| chunk.timestamp_start).min()?;
        let end = self.chunks.iter().map(|chunk| chunk.timestamp_end).max()?;
        Some((start, end))
    }
}

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Earliest.
    pub from: Timestamp,
    /// Latest.
    pub to: Timestamp,
}

impl Default for TimeRange {
    /// All of time.
    fn default() -> Self {
        Self { from: Timestamp::from_millis(i64::MIN), to: Timestamp::from_millis(i64::MAX) }
    }
}

/// Why a recording could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] QueryError),
    /// A chunk that is listed has no data: it was removed meanwhile.
    #[error("chunk {0} was removed while it was read")]
    Gone(u16),
    /// A chunk's data is damaged.
    #[error("chunk {index} is damaged: {source}")]
    Corrupt {
        /// The chunk.
        index: u16,
        /// What is wrong.
        source: BoxError,
    },
}

/// One rrweb event in its very text.
#[derive(Debug)]
pub struct ReplayEvent {
    order: Order,
    text: Box<RawValue>,
}

impl ReplayEvent {
    /// The event as it was recorded.
    pub fn as_str(&self) -> &str {
        self.text.get()
    }
}

/// Events are ordered by time, equal times by chunk and place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    /// Bits of a time that is never negative, which sort like the number.
    time_bits: u64,
    chunk_index: u16,
    place: usize,
}

impl PartialEq for ReplayEvent {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for ReplayEvent {}

impl PartialOrd for ReplayEvent {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReplayEvent {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// The events of a recording in order, read chunk by chunk: in memory are only the chunks whose times overlap.
///
/// Where more of them overlap than may be held, events go out before all chunks that could have earlier ones are read:
/// no recording is too tangled to be read, and none takes more memory.
#[derive(Debug)]
pub struct ReplayEvents {
    store: Arc<dyn ReplayStore>,
    project_id: ProjectId,
    session_id: SessionId,
    /// Chunks not read yet, by their start.
    waiting: VecDeque<ReplayChunk>,
    ready: BinaryHeap<Reverse<ReplayEvent>>,
    /// Bytes of the events that are ready.
    ready_bytes: usize,
    range: TimeRange,
}

/// Bytes of events that are held before they go out whatever is not read yet. A single chunk may have more.
const MAX_READY_BYTES: usize = 64 << 20;

impl Query {
    /// What there is of a session's recording; `None` when there is nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn replay(
        &self,
        scope: &Scoped<Read>,
        session_id: &SessionId,
    ) -> Result<Option<ReplayManifest>, QueryError> {
        let chunks = {
            let session =
                ReplaySession { project_id: scope.project_id().clone(), session_id: session_id.clone() };
            self.ports.replays.headers(&session).await?
        };
        Ok((!chunks.is_empty()).then_some(ReplayManifest { chunks }))
    }

    /// The events of a recording in `range`, in order.
    ///
    /// # Errors
    /// The store's.
    pub async fn replay_events(
        &self,
        scope: &Scoped<Read>,
        session_id: &SessionId,
        range: TimeRange,
    ) -> Result<Option<ReplayEvents>, QueryError> {
        let Some(manifest) = self.replay(scope, session_id).await? else { return Ok(None) };
        let mut chunks = manifest.chunks;
        chunks.retain(|chunk| chunk.timestamp_end >= range.from && chunk.timestamp_start <= range.to);
        chunks.sort_by_key(|chunk| chunk.timestamp_start);
        Ok(Some(ReplayEvents {
            store: self.ports.replays.clone(),
            project_id: scope.project_id().clone(),
            session_id: session_id.clone(),
            waiting: chunks.into(),
            ready: BinaryHeap::new(),
            ready_bytes: 0,
            range,
        }))
    }
}

impl ReplayEvents {
    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// [`ReplayReadError`]; what was given before is right.
    pub async fn next(&mut self) -> Result<Option<ReplayEvent>, ReplayReadError> {
        while let Some(chunk) = self.waiting.front() {
            let starts = time_bits(chunk.timestamp_start);
            // An event may go out once no unread chunk can have an earlier one.
            let is_next = |Reverse(event): &Reverse<ReplayEvent>| {
                event.order.time_bits < starts || self.ready_bytes >= MAX_READY_BYTES
            };
            if self.ready.peek().is_some_and(is_next) {
                break;
            }
            let Some(chunk) = self.waiting.pop_front() else { break };
            self.read(&chunk).await?;
        }
        let next = self.ready.pop().map(|Reverse(event)| event);
        self.ready_bytes -= next.as_ref().map_or(0, ReplayEvent::bytes);
        Ok(next)
    }

    async fn read(&mut self, chunk: &ReplayChunk) -> Result<(), ReplayReadError> {
        let index = chunk.chunk_index;
        let id = ChunkId {
            project_id: self.project_id.clone(),
            session_id: self.session_id.clone(),
            chunk_index: index,
        };
        let data = self.store.data(&id).await?.ok_or(ReplayReadError::Gone(index))?;
        let expected_bytes = u64::from(chunk.raw_bytes);
        let events = tokio::task::spawn_blocking(move || split(index, &data, expected_bytes))
            .await
            .map_err(|error| corrupt(index, error))??;
        let range = self.range;
        for event in events.into_iter().filter(|event| event.is_in(range)) {
            self.ready_bytes += event.bytes();
            self.ready.push(Reverse(event));
        }
        Ok(())
    }
}

impl ReplayEvent {
    /// Memory that it takes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.text.get().len()
    }

    fn is_in(&self, range: TimeRange) -> bool {
        let at = f64::from_bits(self.order.time_bits);
        #[expect(
            clippy::cast_precision_loss,
            reason = "times of this era fit; the rest is before or after all"
        )]
        let (from, to) = (range.from.as_millis() as f64, range.to.as_millis() as f64);
        at >= from && at < to + 1.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit")]
fn time_bits(at: Timestamp) -> u64 {
    (at.as_millis().max(0) as f64).to_bits()
}

fn corrupt(index: u16, reason: impl Into<BoxError>) -> ReplayReadError {
    ReplayReadError::Corrupt { index, source: reason.into() }
}

/// The events of a chunk, decompressed up to the size that its header promises.
fn split(index: u16, data: &[u8], expected_bytes: u64) -> Result<Vec<ReplayEvent>, ReplayReadError> {
    #[derive(Deserialize)]
    struct Head {
        timestamp: f64,
    }
    let mut text = String::new();
    MultiGzDecoder::new(data)
        .take(expected_bytes + 1)
        .read_to_string(&mut text)
        .map_err(|error| corrupt(index, error))?;
    if text.len() as u64 != expected_bytes {
        return Err(corrupt(index, format!("has {} bytes instead of {expected_bytes}", text.len())));
    }
    let events: Vec<Box<RawValue>> = serde_json::from_str(&text).map_err(|error| corrupt(index, error))?;
    events
        .into_iter()
        .enumerate()
        .map(|(place, text)| {
            let head: Head = serde_json::from_str(text.get()).map_err(|error| corrupt(index, error))?;
            let time_bits = epoch_millis(head.timestamp).max(0.0).to_bits();
            let order = Order { time_bits, chunk_index: index, place };
            Ok(ReplayEvent { order, text })
        })
        .collect()
}

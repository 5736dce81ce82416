use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use gosight_domain::Timestamp;
use gosight_domain::replay::{ReplayChunk, ReplaySession, Segment};

use super::events::{ReplayEvent, of_chunk, time_bits};
use super::manifest::ReplayManifest;
use super::object::{DamagedObject, of_segment};
use super::stored::StoredReplay;
use super::{ColdReplays, Replays};
use crate::ports::{BoxError, ChunkId, PortError};

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
    Store(#[from] PortError),
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
    /// The object is not there although the catalogue has it.
    #[error("the archived object {0} is not there")]
    NoObject(String),
    /// The object is damaged.
    #[error(transparent)]
    Damaged(#[from] DamagedObject),
}

/// What is read at once.
#[derive(Debug)]
enum Piece {
    Chunk(ReplayChunk),
    Segment(usize, Segment),
}

impl Piece {
    fn start(&self) -> Timestamp {
        match self {
            Self::Chunk(chunk) => chunk.timestamp_start,
            Self::Segment(_, segment) => segment.from,
        }
    }

    fn end(&self) -> Timestamp {
        match self {
            Self::Chunk(chunk) => chunk.timestamp_end,
            Self::Segment(_, segment) => segment.to,
        }
    }
}

/// The events of a recording in order, read piece by piece: in memory are only the pieces whose times overlap.
///
/// Where more of them overlap than may be held, events go out before all pieces that could have earlier ones are read:
/// no recording is too tangled to be read, and none takes more memory.
#[derive(Debug)]
pub struct ReplayEvents {
    replays: Replays,
    session: ReplaySession,
    /// Path of the object, if there is one.
    object: Option<String>,
    /// The same as it is stored, if that is one object with all of it and no more.
    stored: Option<StoredReplay>,
    /// Pieces not read yet, by their start.
    waiting: VecDeque<Piece>,
    ready: BinaryHeap<Reverse<ReplayEvent>>,
    /// Bytes of the events that are ready.
    ready_bytes: usize,
    range: TimeRange,
}

/// Bytes of events that are held before they go out whatever is not read yet. A single piece may have more.
const MAX_READY_BYTES: usize = 64 << 20;

impl Replays {
    /// The events of a recording in `range`, in order; `None` when there is no recording.
    ///
    /// # Errors
    /// The stores'.
    pub async fn events(
        &self,
        session: &ReplaySession,
        range: TimeRange,
    ) -> Result<Option<ReplayEvents>, PortError> {
        let manifest = self.manifest(session).await?;
        Ok(manifest.map(|manifest| self.events_of(&manifest, range)))
    }

    /// The events of the recording that `manifest` describes.
    pub(super) fn events_of(&self, manifest: &ReplayManifest, range: TimeRange) -> ReplayEvents {
        let segments = manifest.archived.iter().flat_map(|archived| archived.segments.iter().enumerate());
        let mut pieces: Vec<Piece> = manifest
            .hot_chunks()
            .cloned()
            .map(Piece::Chunk)
            .chain(segments.map(|(index, segment)| Piece::Segment(index, segment.clone())))
            .filter(|piece| piece.end() >= range.from && piece.start() <= range.to)
            .collect();
        pieces.sort_by_key(Piece::start);
        ReplayEvents {
            replays: self.clone(),
            session: manifest.session.clone(),
            object: manifest.archived.as_ref().map(|archived| archived.object.clone()),
            stored: self.stored(manifest).filter(|_| range == TimeRange::default()),
            waiting: pieces.into(),
            ready: BinaryHeap::new(),
            ready_bytes: 0,
            range,
        }
    }
}

impl ReplayEvents {
    /// All these events as they are stored, for who can unpack them; `None` when they are not stored as one.
    pub fn stored(&self) -> Option<StoredReplay> {
        self.stored.clone()
    }

    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// [`ReplayReadError`]; what was given before is right.
    pub async fn next(&mut self) -> Result<Option<ReplayEvent>, ReplayReadError> {
        while let Some(piece) = self.waiting.front() {
            let starts = time_bits(piece.start());
            // An event may go out once no unread piece can have an earlier one.
            let is_next = |Reverse(event): &Reverse<ReplayEvent>| {
                event.order.time_bits < starts || self.ready_bytes >= MAX_READY_BYTES
            };
            if self.ready.peek().is_some_and(is_next) {
                break;
            }
            let Some(piece) = self.waiting.pop_front() else { break };
            self.read(piece).await?;
        }
        let next = self.ready.pop().map(|Reverse(event)| event);
        self.ready_bytes -= next.as_ref().map_or(0, ReplayEvent::bytes);
        Ok(next)
    }

    async fn read(&mut self, piece: Piece) -> Result<(), ReplayReadError> {
        let events = match piece {
            Piece::Chunk(chunk) => self.chunk(&chunk).await?,
            Piece::Segment(index, segment) => self.segment(index, segment).await?,
        };
        let range = self.range;
        for event in events.into_iter().filter(|event| event.is_in(range)) {
            self.ready_bytes += event.bytes();
            self.ready.push(Reverse(event));
        }
        Ok(())
    }

    async fn chunk(&self, chunk: &ReplayChunk) -> Result<Vec<ReplayEvent>, ReplayReadError> {
        let index = chunk.chunk_index;
        let ReplaySession { project_id, session_id } = self.session.clone();
        let id = ChunkId { project_id, session_id, chunk_index: index };
        let data = self.replays.hot.data(&id).await?.ok_or(ReplayReadError::Gone(index))?;
        let (expected_bytes, content) = (u64::from(chunk.raw_bytes), chunk.content);
        let events =
            tokio::task::spawn_blocking(move || of_chunk(index, &data, expected_bytes, content)).await;
        events.map_err(died)?.map_err(|source| ReplayReadError::Corrupt { index, source })
    }

    async fn segment(&self, index: usize, segment: Segment) -> Result<Vec<ReplayEvent>, ReplayReadError> {
        let path = self.object.clone().unwrap_or_default();
        let Some(ColdReplays { objects, .. }) = &self.replays.cold else {
            return Err(ReplayReadError::NoObject(path));
        };
        let range = segment.offset..segment.offset + segment.bytes;
        let data = objects.get(&path, Some(range)).await?.ok_or(ReplayReadError::NoObject(path))?;
        let events = tokio::task::spawn_blocking(move || of_segment(index, &segment, &data)).await;
        Ok(events.map_err(died)??)
    }
}

/// That reading did not come to its end says nothing about what was read.
fn died(error: tokio::task::JoinError) -> PortError {
    PortError::transient("replay", error)
}

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use gosight_domain::Timestamp;
use gosight_domain::replay::{ArchivedReplay, ReplayChunk, ReplaySession, Segment};

use super::error::ReplayReadError;
use super::events::{ReplayEvent, of_chunk, time_bits};
use super::manifest::{ReplayManifest, ReplayStorage};
use super::object::of_segment;
use super::range::TimeRange;
use super::stored::StoredReplay;
use super::{ColdReplays, Replays};
use crate::ports::{ChunkId, PortError, read_object};

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
    /// What was archived of it, if anything.
    archived: Option<Arc<ArchivedReplay>>,
    /// Whether the archived object has all that is wanted, and no more.
    is_stored_whole: bool,
    /// Pieces not read yet, by their start.
    waiting: VecDeque<Piece>,
    /// Data of chunks that was read ahead, by index.
    ahead: HashMap<u16, Vec<u8>>,
    /// Bytes of data that are read ahead the next time.
    look_ahead: u64,
    ready: BinaryHeap<Reverse<ReplayEvent>>,
    /// Bytes of the events that are ready.
    ready_bytes: usize,
    range: TimeRange,
}

/// Bytes of events that are held before they go out whatever is not read yet. A single piece may have more.
const MAX_READY_BYTES: usize = 64 << 20;
/// Bytes of data that are read from the hot store at once: few at first, so that the first event is there soon, then four
/// times as many each time.
const FIRST_LOOK_AHEAD: u64 = 128 << 10;
const MAX_LOOK_AHEAD: u64 = 8 << 20;

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
            archived: manifest.archived.clone().map(Arc::new),
            is_stored_whole: manifest.storage() == ReplayStorage::Archived && range == TimeRange::default(),
            waiting: pieces.into(),
            ahead: HashMap::new(),
            look_ahead: FIRST_LOOK_AHEAD,
            ready: BinaryHeap::new(),
            ready_bytes: 0,
            range,
        }
    }
}

impl ReplayEvents {
    /// All these events as they are stored, for who can unpack them; `None` when they are not stored as one.
    pub fn stored(&self) -> Option<StoredReplay> {
        let archived = self.archived.as_ref().filter(|_| self.is_stored_whole)?;
        let ColdReplays { objects, .. } = self.replays.cold.as_ref()?;
        Some(StoredReplay::new(objects.clone(), archived))
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

    async fn chunk(&mut self, chunk: &ReplayChunk) -> Result<Vec<ReplayEvent>, ReplayReadError> {
        let index = chunk.chunk_index;
        if !self.ahead.contains_key(&index) {
            self.read_ahead(chunk).await?;
        }
        let data = self.ahead.remove(&index).ok_or(ReplayReadError::Gone(index))?;
        let (expected_bytes, content) = (u64::from(chunk.raw_bytes), chunk.content);
        let events =
            tokio::task::spawn_blocking(move || of_chunk(index, &data, expected_bytes, content)).await;
        events.map_err(join_error)?.map_err(|source| ReplayReadError::Corrupt { index, source })
    }

    /// Reads the data of `first`, and of the chunks after it as far as the bounds allow.
    async fn read_ahead(&mut self, first: &ReplayChunk) -> Result<(), PortError> {
        let next = self.waiting.iter().filter_map(|piece| match piece {
            Piece::Chunk(chunk) if !self.ahead.contains_key(&chunk.chunk_index) => Some(chunk),
            _ => None,
        });
        let mut bytes = u64::from(first.stored_bytes);
        let fitting = next.take_while(|chunk| {
            bytes += u64::from(chunk.stored_bytes);
            bytes <= self.look_ahead
        });
        let ids: Vec<ChunkId> = std::iter::once(first).chain(fitting).map(|chunk| self.id(chunk)).collect();
        let data = self.replays.hot.data(&ids).await?;
        let found = ids.iter().zip(data).filter_map(|(id, data)| Some((id.chunk_index, data?)));
        self.ahead.extend(found);
        self.look_ahead = (self.look_ahead * 4).min(MAX_LOOK_AHEAD);
        Ok(())
    }

    fn id(&self, chunk: &ReplayChunk) -> ChunkId {
        let ReplaySession { project_id, session_id } = self.session.clone();
        ChunkId { project_id, session_id, chunk_index: chunk.chunk_index }
    }

    async fn segment(&self, index: usize, segment: Segment) -> Result<Vec<ReplayEvent>, ReplayReadError> {
        let path = self.archived.as_ref().map(|archived| archived.object.clone()).unwrap_or_default();
        let Some(ColdReplays { objects, .. }) = &self.replays.cold else {
            return Err(ReplayReadError::NoObject(path));
        };
        let range = segment.offset..segment.offset + segment.bytes;
        let data = objects.get(&path, Some(range)).await?.ok_or(ReplayReadError::NoObject(path))?;
        let data = read_object(data).await?;
        let events = tokio::task::spawn_blocking(move || of_segment(index, &segment, &data)).await;
        Ok(events.map_err(join_error)??)
    }
}

/// That reading did not come to its end says nothing about what was read.
fn join_error(error: tokio::task::JoinError) -> PortError {
    PortError::transient("replay", error)
}

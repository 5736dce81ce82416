//! A recording that was moved to the archive: one object with all events, and what is known of it.

use serde::{Deserialize, Serialize};

use super::{ContentHash, ReplayChunk};
use crate::text::{ProjectId, SessionId};
use crate::time::Timestamp;

/// A session whose replay is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplaySession {
    /// The tenant.
    pub project_id: ProjectId,
    /// The session.
    pub session_id: SessionId,
}

impl ReplaySession {
    /// The session of `chunk`.
    pub fn of(chunk: &ReplayChunk) -> Self {
        Self { project_id: chunk.project_id.clone(), session_id: chunk.session_id.clone() }
    }
}

/// Consecutive events of one chunk, within a [`Segment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The chunk that they came in.
    pub chunk_index: u16,
    /// How many they are.
    pub events: u32,
}

/// A part of an archived object that can be decompressed by itself: raw deflate that starts with an empty window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it starts in the object, in bytes.
    pub offset: u64,
    /// Its length in the object, in bytes.
    pub bytes: u64,
    /// Its length when decompressed, in bytes.
    pub raw_bytes: u64,
    /// CRC-32 of those bytes, as in gzip.
    pub crc32: u32,
    /// Time of its first event, by the client's clock.
    pub from: Timestamp,
    /// Time of its last event.
    pub to: Timestamp,
    /// Where its events came from, in order.
    pub runs: Vec<Run>,
}

/// Chunks that follow each other and never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkGap {
    /// Index of the first.
    pub first: u16,
    /// Index of the last.
    pub last: u16,
}

/// The manifest of an archived recording.
///
/// The object is gzip (RFC 1952) of one JSON array of all events in order of their times. Its compression starts anew
/// at every [`Segment`], so that a part is read without what comes before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedReplay {
    /// Whose recording it is.
    #[serde(flatten)]
    pub session: ReplaySession,
    /// Path of the object.
    pub object: String,
    /// Length of the object, in bytes.
    pub bytes: u64,
    /// Length of the JSON array, in bytes.
    pub raw_bytes: u64,
    /// SHA-256 of the object.
    pub sha256: ContentHash,
    /// The chunks that are in it, in order of their index, without data.
    pub chunks: Vec<ReplayChunk>,
    /// Indexes before the last chunk that never came.
    pub gaps: Vec<ChunkGap>,
    /// Parts of the object, in order.
    pub segments: Vec<Segment>,
    /// When it was archived.
    pub archived_at: Timestamp,
}

impl ArchivedReplay {
    /// The chunk of this index, without data.
    pub fn chunk(&self, chunk_index: u16) -> Option<&ReplayChunk> {
        let at = self.chunks.binary_search_by_key(&chunk_index, |chunk| chunk.chunk_index);
        at.ok().map(|at| &self.chunks[at])
    }
}

/// What is not there before the last of `chunks`, which are in order.
pub fn chunk_gaps<'a>(chunks: impl IntoIterator<Item = &'a ReplayChunk>) -> Vec<ChunkGap> {
    let mut gaps = Vec::new();
    let mut expected = 0;
    for ReplayChunk { chunk_index, .. } in chunks {
        if *chunk_index > expected {
            gaps.push(ChunkGap { first: expected, last: chunk_index - 1 });
        }
        expected = chunk_index.saturating_add(1);
    }
    gaps
}

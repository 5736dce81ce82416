//! What a server says there is of a recording.

use serde::{Deserialize, Serialize};

/// What there is of a session's recording. All times are in epoch ms.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Manifest {
    pub session_id: String,
    pub event_count: u64,
    pub missing_chunks: Vec<u16>,
    pub first_full_snapshot: Option<u16>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub raw_bytes: u64,
    pub stored_bytes: Option<u64>,
    pub storage: String,
    pub chunks: Vec<Chunk>,
}

/// One chunk of a recording.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Chunk {
    #[serde(rename = "chunk_index")]
    pub index: u16,
    pub timestamp_start: i64,
    pub timestamp_end: i64,
    pub event_count: u32,
    pub has_full_snapshot: bool,
    pub raw_bytes: u64,
}

/// Chunks in a row that are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    /// Index of the first of them.
    pub first: u16,
    /// Index of the last of them.
    pub last: u16,
    /// When the chunk before them ends.
    pub from: Option<i64>,
    /// When the chunk after them starts.
    pub to: Option<i64>,
    /// When the next chunk with a full snapshot starts: until then the picture lacks what the missing chunks changed.
    pub restored: Option<i64>,
}

impl Manifest {
    /// What is missing, in order.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for index in self.missing_chunks.iter().copied() {
            match gaps.last_mut() {
                Some(gap) if gap.last.checked_add(1) == Some(index) => gap.last = index,
                _ => gaps.push(Gap { first: index, last: index, from: None, to: None, restored: None }),
            }
        }
        for gap in &mut gaps {
            let before = self.chunks.iter().rev().find(|chunk| chunk.index < gap.first);
            let mut after = self.chunks.iter().filter(|chunk| chunk.index > gap.last);
            gap.from = before.map(|chunk| chunk.timestamp_end);
            gap.to = after.clone().next().map(|chunk| chunk.timestamp_start);
            gap.restored = after.find(|chunk| chunk.has_full_snapshot).map(|chunk| chunk.timestamp_start);
        }
        gaps
    }

    /// How long the recording is, in ms.
    pub(super) fn duration_ms(&self) -> Option<i64> {
        self.ended_at?.checked_sub(self.started_at?)
    }
}

impl Gap {
    /// The missing indexes: `7`, or `7 to 9`.
    pub(super) fn indexes(&self) -> String {
        if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{} to {}", self.first, self.last)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A manifest of chunks of one second each, `true` for those with a full snapshot; index and second are the same.
    pub(in crate::cli::replay) fn manifest(chunks: &[(u16, bool)]) -> Manifest {
        let last = chunks.last().map_or(0, |(index, _)| *index);
        let is_there = |index: &u16| chunks.iter().any(|(there, _)| there == index);
        Manifest {
            session_id: "visit-1".to_owned(),
            event_count: chunks.len() as u64,
            missing_chunks: (0..last).filter(|index| !is_there(index)).collect(),
            first_full_snapshot: chunks.iter().find(|(_, full)| *full).map(|(index, _)| *index),
            started_at: chunks.first().map(|(index, _)| i64::from(*index) * 1_000),
            ended_at: Some(i64::from(last) * 1_000 + 900),
            raw_bytes: chunks.len() as u64 * 100,
            stored_bytes: None,
            storage: "hot".to_owned(),
            chunks: chunks
                .iter()
                .map(|(index, full)| Chunk {
                    index: *index,
                    timestamp_start: i64::from(*index) * 1_000,
                    timestamp_end: i64::from(*index) * 1_000 + 900,
                    event_count: 1,
                    has_full_snapshot: *full,
                    raw_bytes: 100,
                })
                .collect(),
        }
    }

    #[test]
    fn missing_chunks_in_a_row_are_one_gap() {
        let gaps = manifest(&[(1, true), (2, false), (5, false), (6, true), (8, false)]).gaps();
        let gap = |first, last, from, to, restored| Gap { first, last, from, to, restored };
        assert_eq!(
            gaps,
            [
                gap(0, 0, None, Some(1_000), Some(1_000)),
                gap(3, 4, Some(2_900), Some(5_000), Some(6_000)),
                gap(7, 7, Some(6_900), Some(8_000), None),
            ]
        );
        assert_eq!((gaps[1].indexes(), gaps[2].indexes()), ("3 to 4".to_owned(), "7".to_owned()));
        assert_eq!(manifest(&[(0, true), (1, false)]).gaps(), []);
    }
}

//! What is where: next offsets, and which segment has which records. In memory, rebuilt when the log is opened.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use fjall::Keyspace;
use gosight_domain::Timestamp;

use super::keys::PartitionId;

/// A stretch of the log that is deleted as a whole.
#[derive(Clone)]
pub(super) struct Segment {
    pub number: u64,
    pub keyspace: Keyspace,
    /// Bytes of records.
    pub bytes: u64,
    pub last_append: Timestamp,
    pub ranges: BTreeMap<PartitionId, Range<u64>>,
}

impl Segment {
    pub fn new(number: u64, keyspace: Keyspace, now: Timestamp) -> Self {
        Self { number, keyspace, bytes: 0, last_append: now, ranges: BTreeMap::new() }
    }

    /// Notes records that were appended to this segment.
    pub fn extend(&mut self, id: PartitionId, offsets: Range<u64>) {
        self.ranges.entry(id).and_modify(|range| range.end = offsets.end).or_insert(offsets);
    }
}

#[derive(Default)]
pub(super) struct Index {
    pub log_ids: HashMap<Arc<str>, u16>,
    pub next: HashMap<PartitionId, u64>,
    /// Oldest first; the last one is written to.
    pub segments: VecDeque<Segment>,
}

impl Index {
    pub fn partition(&self, log: &str, partition: u32) -> Option<PartitionId> {
        Some(PartitionId { log: *self.log_ids.get(log)?, partition })
    }

    pub fn next(&self, id: PartitionId) -> u64 {
        self.next.get(&id).copied().unwrap_or(0)
    }

    /// First offset that is kept, and the next one to be given.
    pub fn bounds(&self, id: PartitionId) -> Range<u64> {
        let next = self.next(id);
        let first = self.segments.iter().find_map(|segment| segment.ranges.get(&id));
        first.map_or(next, |range| range.start)..next
    }

    /// Where records from `from` on are, in order.
    pub fn places(&self, id: PartitionId, from: u64) -> Vec<(Keyspace, Range<u64>)> {
        self.segments
            .iter()
            .filter_map(|segment| {
                let range = segment.ranges.get(&id).filter(|range| range.end > from)?;
                Some((segment.keyspace.clone(), range.start.max(from)..range.end))
            })
            .collect()
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

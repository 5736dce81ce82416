//! Segments: a keyspace each, of which the last one is written to.

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use super::Shared;
use super::index::Segment;

pub(super) const SEGMENT_NAME: &str = "segment-";
/// Memory for records of a segment before they are written to tables, in bytes.
const MEMTABLE_BYTES: u64 = 16 << 20;

pub(super) fn segment_keyspace(database: &Database, number: u64) -> fjall::Result<Keyspace> {
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    database.keyspace(&format!("{SEGMENT_NAME}{number:012}"), options)
}

/// Begins the segment that is written to from now on.
pub(super) fn begin_segment(shared: &Shared, number: u64) -> fjall::Result<()> {
    let keyspace = segment_keyspace(&shared.database, number)?;
    shared.index_mut().segments.push_back(Segment::new(number, keyspace, shared.clock.now()));
    Ok(())
}

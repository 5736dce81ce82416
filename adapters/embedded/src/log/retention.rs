//! Deletes whole segments whose records are processed.

use std::sync::atomic::Ordering;

use gosight_application::ports::{Clock, SystemClock};

use super::index::{Index, Segment};
use super::{EmbeddedLog, Shared};

impl EmbeddedLog {
    /// Deletes the oldest segments that are processed, and older or more than is to be kept. Called now and then; also
    /// done whenever a segment is full.
    ///
    /// # Errors
    /// The storage's.
    pub fn delete_old_segments(&self) -> fjall::Result<()> {
        delete_old_segments(&self.shared)
    }
}

pub(super) fn delete_old_segments(shared: &Shared) -> fjall::Result<()> {
    while let Some(segment) = oldest_deletable(shared)? {
        // Forgotten first: a crash in between leaves a segment that the next start finds and deletes again.
        shared.index_mut().segments.pop_front();
        shared.bytes.fetch_sub(segment.bytes, Ordering::Relaxed);
        tracing::debug!(segment = segment.number, bytes = segment.bytes, "processed log segment deleted");
        shared.database.delete_keyspace(segment.keyspace)?;
        shared.meta.remove_segment(segment.number)?;
    }
    Ok(())
}

/// The oldest segment, if it may go. The last one is written to and stays.
fn oldest_deletable(shared: &Shared) -> fjall::Result<Option<Segment>> {
    let (segment, bytes, without_consumers) = {
        let index = shared.index();
        let Some(segment) = index.segments.front().filter(|_| index.segments.len() > 1) else {
            return Ok(None);
        };
        (segment.clone(), index.bytes(), logs_without_consumers(shared, &index))
    };
    let age_ms = SystemClock.now().millis_since(segment.last_append);
    let keep_ms = i64::try_from(shared.config.retain_for.as_millis()).unwrap_or(i64::MAX);
    if age_ms < keep_ms && bytes <= shared.config.retain_bytes {
        return Ok(None);
    }
    for (id, range) in &segment.ranges {
        if without_consumers.contains(&id.log) {
            continue;
        }
        // Nobody has read it yet, or somebody is still at it.
        let processed = shared.meta.commits(*id)?.into_iter().min();
        if processed.is_none_or(|next| next < range.end) {
            return Ok(None);
        }
    }
    Ok(Some(segment))
}

fn logs_without_consumers(shared: &Shared, index: &Index) -> Vec<u16> {
    let names = shared.config.logs_without_consumers.iter();
    names.filter_map(|name| index.log_ids.get(name.as_str()).copied()).collect()
}

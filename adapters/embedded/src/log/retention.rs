//! Deletes whole segments whose records are processed.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use gosight_application::ports::{BoxError, Maintenance, MaintenanceError};
use gosight_application::sessions::SessionRules;
use gosight_domain::Timestamp;

use super::index::{Index, Segment};
use super::segments::begin_segment;
use super::{EmbeddedLog, Shared};
use crate::LOG_ADAPTER;

#[async_trait]
impl Maintenance for EmbeddedLog {
    fn name(&self) -> &'static str {
        LOG_ADAPTER
    }

    /// Deletes segments of which every record is processed and past its retention.
    async fn maintain(&self, now: Timestamp, _: &SessionRules) -> Result<(), MaintenanceError> {
        let shared = self.shared.clone();
        let deleted = tokio::task::spawn_blocking(move || delete_old_segments_at(&shared, now)).await;
        let failed = |error: BoxError| MaintenanceError::transient(LOG_ADAPTER, error);
        deleted.map_err(|died| failed(died.into()))?.map_err(|error| failed(error.into()))
    }
}

pub(super) fn delete_old_segments(shared: &Shared) -> fjall::Result<()> {
    delete_old_segments_at(shared, shared.clock.now())
}

fn delete_old_segments_at(shared: &Shared, now: Timestamp) -> fjall::Result<()> {
    let keep_ms = i64::try_from(shared.config.retain_for.as_millis()).unwrap_or(i64::MAX);
    // Room for new records is worth more than records that are processed, however little of them is kept.
    let keep_bytes = shared.config.retain_bytes.min(shared.config.max_bytes / 10 * 8);
    delete_processed(shared, |oldest, kept| {
        kept > keep_bytes || now.millis_since(oldest.last_append) >= keep_ms
    })
}

/// Makes room for `bytes` more, by deleting what is processed, whatever its age. Tells whether there is room.
///
/// Called by the writer alone, which is the one who begins segments.
pub(super) fn make_room(shared: &Shared, bytes: u64) -> fjall::Result<bool> {
    if shared.has_room(bytes) {
        return Ok(true);
    }
    let is_full = |_: &Segment, _| !shared.has_room(bytes);
    delete_processed(shared, is_full)?;
    // What is left may stand in the segment that is being written to.
    let last = shared.index().segments.back().cloned();
    if !shared.has_room(bytes)
        && let Some(last) = last
        && last.bytes > 0
        && is_processed(shared, &last)?
    {
        begin_segment(shared, last.number + 1)?;
        delete_processed(shared, is_full)?;
    }
    Ok(shared.has_room(bytes))
}

/// Deletes the oldest segment as long as it is processed and `is_to_go` says so, of it and of the bytes in all.
fn delete_processed(shared: &Shared, is_to_go: impl Fn(&Segment, u64) -> bool) -> fjall::Result<()> {
    let _others_wait = shared.deleting.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some((segment, kept)) = oldest(shared)
        && is_to_go(&segment, kept)
        && is_processed(shared, &segment)?
    {
        // Forgotten first: a crash in between leaves a segment that the next start finds and deletes again.
        shared.index_mut().segments.pop_front();
        shared.bytes.fetch_sub(segment.bytes, Ordering::Relaxed);
        tracing::debug!(segment = segment.number, bytes = segment.bytes, "processed log segment deleted");
        shared.database.delete_keyspace(segment.keyspace)?;
        shared.meta.remove_segment(segment.number)?;
    }
    Ok(())
}

/// The oldest segment but the last, which is written to and stays; and the bytes of all.
fn oldest(shared: &Shared) -> Option<(Segment, u64)> {
    let index = shared.index();
    let segment = index.segments.front().filter(|_| index.segments.len() > 1)?;
    Some((segment.clone(), index.bytes()))
}

/// Whether everybody who reads the segment's logs is done with it.
fn is_processed(shared: &Shared, segment: &Segment) -> fjall::Result<bool> {
    let without_consumers = logs_without_consumers(shared, &shared.index());
    for (id, range) in &segment.ranges {
        if without_consumers.contains(&id.log) {
            continue;
        }
        // Nobody has read it yet, or somebody is still at it.
        let processed = shared.meta.commits(*id)?.into_iter().min();
        if processed.is_none_or(|next| next < range.end) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn logs_without_consumers(shared: &Shared, index: &Index) -> Vec<u16> {
    let names = shared.config.logs_without_consumers.iter();
    names.filter_map(|name| index.log_ids.get(name.as_str()).copied()).collect()
}

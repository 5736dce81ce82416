//! The one thread that writes: group commit.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use fjall::PersistMode;
use gosight_application::local_log::partition_of;
use gosight_application::ports::{LogError, Record};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Shared;
use super::keys::PartitionId;
use super::retention;
use super::segments::begin_segment;
use crate::LOG_ADAPTER;

/// Records of one call that wait to be written.
pub(super) struct Append {
    pub log: Arc<str>,
    pub records: Vec<Record>,
    pub done: oneshot::Sender<Result<(), LogError>>,
    /// Its place in the queue, given back when it is written.
    pub _turn: OwnedSemaphorePermit,
}

/// Most bytes of one write: what a disk takes in a few milliseconds.
const MAX_WRITE_BYTES: usize = 4 << 20;

/// Writes what is in the queue until the log is dropped or its disk fails.
pub(super) fn run(shared: &Shared, mut queue: mpsc::UnboundedReceiver<Append>) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = 0;
        let mut appends = Vec::new();
        let mut next = Some(first);
        // Whatever came in during the last write goes into this one.
        while let Some(append) = next {
            if let Some(append) = with_room(shared, append, bytes) {
                bytes += size(&append);
                appends.push(append);
            }
            next = if bytes < MAX_WRITE_BYTES { queue.try_recv().ok() } else { None };
        }
        if appends.is_empty() {
            continue;
        }
        let result = write(shared, &appends);
        // Once a write failed, the storage takes none until it is opened again: it does not know what the disk has.
        let is_lost = result.is_err() && shared.database.persist(PersistMode::Buffer).is_err();
        if is_lost {
            shared.stop();
        }
        answer(appends, result);
        shared.appended.notify_waiters();
        if is_lost {
            return;
        }
    }
}

/// Gives `append` back when the log has room for it after `bytes` more; otherwise refuses it.
fn with_room(shared: &Shared, append: Append, bytes: usize) -> Option<Append> {
    let room = retention::make_room(shared, (bytes + size(&append)) as u64);
    match room {
        Ok(true) => return Some(append),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "old log segments not deleted"),
    }
    let (kept, max) = (shared.bytes.load(Ordering::Relaxed), shared.config.max_bytes);
    let text = format!("the log is full: it has {kept} of {max} bytes, and the oldest are not processed yet");
    drop(append.done.send(Err(LogError::transient(LOG_ADAPTER, text))));
    None
}

fn size(append: &Append) -> usize {
    append.records.iter().map(|record| record.value.len()).sum()
}

fn answer(appends: Vec<Append>, result: fjall::Result<()>) {
    let text = result.err().map(|error| error.to_string());
    if let Some(text) = &text {
        tracing::error!(error = text, "records not written to the log");
    }
    for append in appends {
        let outcome = match &text {
            None => Ok(()),
            // The write may have reached the disk before it failed.
            Some(text) => Err(LogError::unknown(LOG_ADAPTER, text.clone())),
        };
        // The caller may be gone; the records are written all the same.
        drop(append.done.send(outcome));
    }
}

/// What a write changes, to be shown to readers once it is durable.
struct Changes {
    log_ids: Vec<(Arc<str>, u16)>,
    ranges: BTreeMap<PartitionId, Range<u64>>,
    bytes: u64,
}

fn write(shared: &Shared, appends: &[Append]) -> fjall::Result<()> {
    rotate_when_full(shared)?;
    let mut batch = shared.database.batch().durability(Some(PersistMode::SyncData));
    let mut changes = Changes { log_ids: Vec::new(), ranges: BTreeMap::new(), bytes: 0 };
    let now = shared.clock.now().as_millis();
    let segment = {
        let index = shared.index();
        let Some(segment) = index.segments.back().cloned() else { return Err(fjall::Error::Unrecoverable) };
        let mut new_ids: HashMap<&Arc<str>, u16> = HashMap::new();
        for append in appends {
            let known = index.log_ids.get(&append.log).or_else(|| new_ids.get(&append.log)).copied();
            let log = known.unwrap_or_else(|| {
                let id = u16::try_from(index.log_ids.len() + new_ids.len()).unwrap_or(u16::MAX);
                new_ids.insert(&append.log, id);
                shared.meta.put_log(&mut batch, &append.log, id);
                changes.log_ids.push((append.log.clone(), id));
                id
            });
            for record in &append.records {
                let id = PartitionId { log, partition: partition_of(&record.key, shared.partitions) };
                let range = changes.ranges.entry(id).or_insert_with(|| {
                    let next = index.next(id);
                    next..next
                });
                batch.insert(&segment.keyspace, id.key(range.end), slice(&record.value));
                range.end += 1;
                changes.bytes += record.value.len() as u64;
            }
        }
        segment
    };
    for (id, range) in &changes.ranges {
        shared.meta.put_next(&mut batch, *id, range.end);
    }
    shared.meta.put_segment(&mut batch, segment.number, segment.bytes + changes.bytes, now);
    batch.commit()?;
    show(shared, changes);
    Ok(())
}

fn slice(value: &Bytes) -> fjall::Slice {
    fjall::Slice::from(value.as_ref())
}

fn show(shared: &Shared, changes: Changes) {
    let mut index = shared.index_mut();
    index.log_ids.extend(changes.log_ids);
    index.next.extend(changes.ranges.iter().map(|(id, range)| (*id, range.end)));
    if let Some(segment) = index.segments.back_mut() {
        segment.bytes += changes.bytes;
        segment.last_append = shared.clock.now();
        for (id, range) in changes.ranges {
            segment.extend(id, range);
        }
    }
    shared.bytes.fetch_add(changes.bytes, Ordering::Relaxed);
}

fn rotate_when_full(shared: &Shared) -> fjall::Result<()> {
    let (number, bytes) =
        shared.index().segments.back().map_or((0, 0), |segment| (segment.number, segment.bytes));
    if bytes < shared.config.segment_bytes {
        return Ok(());
    }
    begin_segment(shared, number + 1)?;
    retention::delete_old_segments(shared)
}

//! Opens the log: finds out what is where.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use gosight_application::local_log::LocalGroups;
use gosight_application::ports::Clock;
use gosight_domain::Timestamp;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::index::{Index, Segment};
use super::keys::PartitionId;
use super::meta::Meta;
use super::segments::{SEGMENT_NAME, segment_keyspace};
use super::{EmbeddedLog, LogConfig, MAX_QUEUED_BYTES, Shared, writer};

/// A partition up to which a store has processed its log, as name, partition and next offset.
pub(crate) type Processed = (Arc<str>, u32, u64);

impl EmbeddedLog {
    /// Opens or makes the log in `database`.
    ///
    /// `processed` tells how far the store's ledger reaches. Should the log end before it, because its tail was damaged
    /// and cut, new records are given offsets after it: below, they would be taken for processed.
    pub(crate) fn open(
        database: Database,
        config: LogConfig,
        clock: Arc<dyn Clock>,
        processed: &[Processed],
    ) -> Result<Self, fjall::Error> {
        let shared = Arc::new(open_shared(database, config, clock, processed)?);
        let (appends, queue) = mpsc::unbounded_channel();
        let for_writer = shared.clone();
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer::run(&for_writer, queue))?;
        let queue = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
        Ok(Self { shared, appends, queue, groups: LocalGroups::default() })
    }
}

fn open_shared(
    database: Database,
    config: LogConfig,
    clock: Arc<dyn Clock>,
    processed: &[Processed],
) -> fjall::Result<Shared> {
    let meta = Meta::new(database.keyspace("meta", KeyspaceCreateOptions::default)?);
    let partitions = meta.partitions(config.partitions)?;
    if partitions != config.partitions {
        tracing::warn!(
            configured = config.partitions,
            partitions,
            "configured number of partitions ignored: the directory keeps its own"
        );
    }
    let index = rebuild_index(&database, &meta, clock.now(), processed)?;
    Ok(Shared {
        bytes: AtomicU64::new(index.bytes()),
        deleting: Mutex::new(()),
        has_stopped: AtomicBool::new(false),
        index: RwLock::new(index),
        appended: Notify::new(),
        partitions,
        database,
        meta,
        clock,
        config,
    })
}

fn rebuild_index(
    database: &Database,
    meta: &Meta,
    now: Timestamp,
    processed: &[Processed],
) -> fjall::Result<Index> {
    let mut index = Index {
        log_ids: meta.logs()?.into_iter().map(|(name, id)| (name.into(), id)).collect(),
        next: meta.next_offsets()?.into_iter().collect(),
        ..Index::default()
    };
    let mut numbers: Vec<u64> = database
        .list_keyspace_names()
        .iter()
        .filter_map(|name| name.strip_prefix(SEGMENT_NAME)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        numbers.push(0);
    }
    for number in numbers {
        let segment = open_segment(database, meta, number, now)?;
        for (id, range) in &segment.ranges {
            let next = index.next.entry(*id).or_default();
            *next = (*next).max(range.end);
        }
        index.segments.push_back(segment);
    }
    raise_next_offsets(database, meta, &mut index, processed)?;
    Ok(index)
}

fn open_segment(database: &Database, meta: &Meta, number: u64, now: Timestamp) -> fjall::Result<Segment> {
    let keyspace = segment_keyspace(database, number)?;
    let ranges = find_ranges(&keyspace)?;
    let (bytes, last_append) = match meta.segment(number)? {
        Some((bytes, millis)) => (bytes, Timestamp::from_millis(millis)),
        None => (0, now),
    };
    Ok(Segment { number, keyspace, bytes, last_append, ranges })
}

/// The offsets of each partition in a segment: from the first key of each, to the last key of the same.
fn find_ranges(keyspace: &Keyspace) -> fjall::Result<BTreeMap<PartitionId, Range<u64>>> {
    let mut ranges = BTreeMap::new();
    let mut first = keyspace.first_key_value();
    while let Some(guard) = first {
        let Some((id, start)) = PartitionId::parse(&guard.key()?) else { break };
        let Some(guard) = keyspace.prefix(id.prefix()).next_back() else { break };
        let Some((_, last)) = PartitionId::parse(&guard.key()?) else { break };
        ranges.insert(id, start..last + 1);
        first = keyspace.range(id.key(u64::MAX).to_vec()..).next();
    }
    Ok(ranges)
}

fn raise_next_offsets(
    database: &Database,
    meta: &Meta,
    index: &mut Index,
    processed: &[Processed],
) -> fjall::Result<()> {
    let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncAll));
    let is_new = index.log_ids.is_empty();
    if is_new && !processed.is_empty() {
        tracing::warn!(
            "log newer than the database: records of the earlier log that were not processed are missing"
        );
    }
    for (log, partition, next) in processed {
        let known = index.log_ids.len();
        let log_id = *index.log_ids.entry(log.clone()).or_insert_with(|| {
            let id = u16::try_from(known).unwrap_or(u16::MAX);
            meta.put_log(&mut batch, log, id);
            id
        });
        let id = PartitionId { log: log_id, partition: *partition };
        let end = index.next.entry(id).or_default();
        if *end < *next {
            if !is_new {
                tracing::error!(
                    %log,
                    partition,
                    log_end = *end,
                    ledger_end = *next,
                    "the log ends before the ledger does: its tail is lost; going on after the ledger"
                );
            }
            *end = *next;
            meta.put_next(&mut batch, id, *next);
        }
    }
    batch.commit()
}

use std::collections::BTreeMap;
use std::sync::Arc;

use gosight_application::ports::CommitError;
use gosight_domain::Hour;
use gosight_domain::ledger::{LedgerEntry, LedgerRow, OutcomeCounts};

use super::partition::Held;
use crate::block::Block;
use crate::client::Connection;

/// Writes the row of a batch, which makes it count.
pub(super) async fn insert(
    connection: &Connection,
    held: &mut Held,
    row: &LedgerRow,
) -> Result<(), CommitError> {
    // A batch without records still covers its offsets.
    let nothing = [LedgerEntry { project_id: None, hour: Hour::default(), counts: OutcomeCounts::default() }];
    let entries = if row.entries.is_empty() { &nothing[..] } else { &row.entries };
    let span = &row.span;
    let mut block = Block::new(entries.len());
    block.texts("log", entries.iter().map(|_| &*span.log));
    block.u32s("log_partition", entries.iter().map(|_| span.partition));
    block.u64s("first_offset", entries.iter().map(|_| span.first));
    block.u64s("last_offset", entries.iter().map(|_| span.last));
    block.texts(
        "project_id",
        entries.iter().map(|entry| entry.project_id.as_ref().map_or("", |id| id.as_str())),
    );
    block.seconds("hour", entries.iter().map(|entry| seconds(entry.hour)));
    block.u64s("polled", entries.iter().map(|entry| entry.counts.polled));
    block.u64s("stored", entries.iter().map(|entry| entry.counts.stored));
    block.u64s("duplicate", entries.iter().map(|entry| entry.counts.duplicate));
    block.count_maps("filtered", entries.iter().map(|entry| Reasons(&entry.counts.filtered)));
    block.count_maps("rejected", entries.iter().map(|entry| Reasons(&entry.counts.rejected)));
    block.count_maps("dead_lettered", entries.iter().map(|entry| Reasons(&entry.counts.dead_lettered)));
    held.insert(connection, "ledger", block).await
}

/// The table holds hours from 1970 to 2106.
fn seconds(hour: Hour) -> u32 {
    u32::try_from(hour.start().as_millis() / 1_000).unwrap_or(0)
}

/// Counts by reason, as a column takes them.
struct Reasons<'a>(&'a BTreeMap<Arc<str>, u64>);

impl<'a> IntoIterator for Reasons<'a> {
    type Item = (&'a str, u64);
    type IntoIter = std::iter::Map<
        std::collections::btree_map::Iter<'a, Arc<str>, u64>,
        fn((&'a Arc<str>, &'a u64)) -> (&'a str, u64),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(reason, count)| (&**reason, *count))
    }
}

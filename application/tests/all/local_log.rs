//! Logs that live in this process. Groups are covered by the conformance suite.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_application::local_log::{LocalGroups, LocalLog, LocalSource, partition_of};
use gosight_application::ports::{
    AssignmentChange, EventSource, PollLimits, PolledBatch, PolledRecord, SourceError,
};
use tokio::sync::Notify;

/// A log of one partition whose records before `kept.start` were removed.
#[derive(Debug)]
struct Retained {
    kept: Range<u64>,
    committed: Option<u64>,
    appended: Notify,
}

#[async_trait]
impl LocalLog for Retained {
    fn partitions(&self) -> u32 {
        1
    }

    fn appended(&self) -> &Notify {
        &self.appended
    }

    async fn bounds(&self, _: &str, _: u32) -> Result<Range<u64>, SourceError> {
        Ok(self.kept.clone())
    }

    async fn read(
        &self,
        _: &str,
        _: u32,
        from: u64,
        limits: &PollLimits,
    ) -> Result<Vec<PolledRecord>, SourceError> {
        let offsets = (from.max(self.kept.start)..self.kept.end).take(limits.max_records);
        Ok(offsets.map(|offset| PolledRecord { offset, value: Bytes::from_static(b"x") }).collect())
    }

    async fn committed(&self, _: &str, _: &str, _: u32) -> Result<Option<u64>, SourceError> {
        Ok(self.committed)
    }

    async fn commit(&self, _: &str, _: &str, _: u32, _: u64) -> Result<(), SourceError> {
        Ok(())
    }
}

async fn first_batch(kept: Range<u64>, committed: Option<u64>) -> PolledBatch {
    let log = Arc::new(Retained { kept, committed, appended: Notify::new() });
    let source = LocalSource::new(log, LocalGroups::default(), "g", "l");
    let Ok(Some(AssignmentChange::Assigned(mut partition))) = source.next_change().await else {
        panic!("expected an assignment");
    };
    let limits = PollLimits { max_records: 3, max_bytes: 100, linger: Duration::ZERO };
    partition.poll(&limits).await.unwrap()
}

/// The values of FNV-1a are those of its authors' test vectors.
#[test]
fn the_partition_of_a_key_is_the_same_in_every_release() {
    for (key, hash) in
        [("", 0xcbf2_9ce4_8422_2325_u64), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
    {
        for partitions in [1, 3, 20, u32::MAX] {
            let expected = hash % u64::from(partitions);
            assert_eq!(
                u64::from(partition_of(key.as_bytes(), partitions)),
                expected,
                "{key} of {partitions}"
            );
        }
    }
    assert_eq!(partition_of(b"a", 0), 0);
}

#[tokio::test]
async fn a_new_group_starts_at_the_first_record_that_is_kept() {
    let batch = first_batch(40..50, None).await;
    assert_eq!((batch.span.first, batch.span.last), (40, 42));
}

#[tokio::test]
async fn records_that_were_removed_before_they_were_read_are_not_covered() {
    let batch = first_batch(40..50, Some(30)).await;
    assert_eq!((batch.span.first, batch.span.last), (40, 42));
    let offsets: Vec<u64> = batch.records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [40, 41, 42]);
}

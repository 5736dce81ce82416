//! Suite of `RecordLog`, `EventSource` and `PartitionSource`.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{
    AssignmentChange, EventSource, PartitionSource, PollLimits, PolledBatch, PortError, Record, RecordLog,
};

use crate::{Keep, factory::bytes, suite};

suite! { $ record_log_suite, record_log(LogFixture):
    records_are_read_back_in_order_of_their_key
    one_key_lands_in_one_partition
    a_record_too_large_is_named_and_its_neighbours_are_appended
    a_new_group_starts_at_the_earliest_record
    a_group_goes_on_where_it_committed
    groups_do_not_share_offsets
    logs_do_not_share_records
    spans_join
    poll_waits_for_a_record
    a_dropped_poll_loses_nothing
    seek_goes_back_and_forth
    limits_bound_a_batch
    a_partition_falls_to_another_reader
    end_offsets_are_after_the_last_record
}

/// Makes a consumer of a group and a log.
pub type MakeSource = Box<dyn Fn(&str, &str) -> Arc<dyn EventSource> + Send + Sync>;

/// A log and its consumers.
pub struct LogFixture {
    /// The log.
    pub log: Arc<dyn RecordLog>,
    /// Makes a consumer of the named log in the named group.
    pub source: MakeSource,
    /// How many partitions each log has.
    pub partitions: u32,
    /// Size of a record that the log does not take, in bytes.
    pub too_large_bytes: usize,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

const LOG: &str = "conformance.records";
const PATIENCE: Duration = Duration::from_mins(1);
const LIMITS: PollLimits =
    PollLimits { max_records: 1_000, max_bytes: 1 << 20, linger: Duration::from_millis(5) };

fn record(key: &str, value: &str) -> Record {
    Record { key: bytes(key), value: bytes(value) }
}

async fn append(fixture: &LogFixture, log: &str, keys_and_values: &[(&str, &str)]) {
    let records = keys_and_values.iter().map(|(key, value)| record(key, value)).collect();
    fixture.log.append(log, records).await.expect("appended");
}

async fn assigned(source: &dyn EventSource, partitions: u32) -> Vec<Box<dyn PartitionSource>> {
    let mut assigned = Vec::new();
    while assigned.len() < partitions as usize {
        let change = tokio::time::timeout(PATIENCE, source.next_change()).await.expect("in time");
        match change.expect("a change") {
            Some(AssignmentChange::Assigned(partition)) => assigned.push(partition),
            other => panic!("expected an assignment, got {other:?}"),
        }
    }
    assigned
}

async fn poll(partition: &mut Box<dyn PartitionSource>) -> PolledBatch {
    tokio::time::timeout(PATIENCE, partition.poll(&LIMITS)).await.expect("in time").expect("a batch")
}

/// The partition that has records, with its first batch.
async fn first_batch(partitions: Vec<Box<dyn PartitionSource>>) -> (Box<dyn PartitionSource>, PolledBatch) {
    let polls = partitions.into_iter().map(|mut partition| {
        Box::pin(async move {
            let batch = partition.poll(&LIMITS).await.expect("a batch");
            (partition, batch)
        })
    });
    let first = futures::future::select_all(polls);
    tokio::time::timeout(PATIENCE, first).await.expect("in time").0
}

fn values(batch: &PolledBatch) -> Vec<String> {
    batch.records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()).collect()
}

/// All values of a log by partition, in order.
async fn read_all(fixture: &LogFixture, group: &str, count: usize) -> Vec<Vec<String>> {
    let source = (fixture.source)(group, LOG);
    let mut found: Vec<Vec<String>> = vec![Vec::new(); fixture.partitions as usize];
    let ends = source.end_offsets().await.expect("end offsets");
    for mut partition in assigned(&*source, fixture.partitions).await {
        let end = ends.iter().find(|(number, _)| *number == partition.partition()).map_or(0, |end| end.1);
        while partition.position() < end {
            let batch = poll(&mut partition).await;
            found[partition.partition() as usize].extend(values(&batch));
        }
    }
    assert_eq!(found.iter().map(Vec::len).sum::<usize>(), count);
    found
}

pub async fn records_are_read_back_in_order_of_their_key(fixture: LogFixture) {
    let values: Vec<String> = (0..50).map(|n| format!("{:02}/{n:02}", n % 7)).collect();
    for part in values.chunks(9) {
        let records = part.iter().map(|value| record(&value[..2], value)).collect();
        fixture.log.append(LOG, records).await.expect("appended");
    }
    for partition in read_all(&fixture, "g", 50).await {
        for key in (0..7).map(|key| format!("{key:02}/")) {
            let of_key: Vec<&String> = partition.iter().filter(|value| value.starts_with(&key)).collect();
            assert!(of_key.is_sorted(), "{of_key:?}");
        }
    }
}

pub async fn one_key_lands_in_one_partition(fixture: LogFixture) {
    for n in 0..20 {
        append(&fixture, LOG, &[("same", &n.to_string()), (&format!("other-{n}"), "x")]).await;
    }
    let found = read_all(&fixture, "g", 40).await;
    let with_key = found.iter().filter(|values| values.iter().any(|value| value != "x"));
    assert_eq!(with_key.count(), 1);
}

pub async fn a_record_too_large_is_named_and_its_neighbours_are_appended(fixture: LogFixture) {
    let large = "x".repeat(fixture.too_large_bytes);
    let records = vec![record("a", "before"), record("a", &large), record("a", "after")];
    match fixture.log.append(LOG, records).await {
        Err(PortError::Rejected { refused, .. }) => {
            assert_eq!(refused.0.iter().map(|record| record.index).collect::<Vec<_>>(), [1]);
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    let found = read_all(&fixture, "g", 2).await;
    assert!(found.contains(&vec!["before".to_owned(), "after".to_owned()]), "{found:?}");
}

pub async fn a_new_group_starts_at_the_earliest_record(fixture: LogFixture) {
    append(&fixture, LOG, &[("a", "1"), ("a", "2")]).await;
    let source = (fixture.source)("late", LOG);
    let (_, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    assert_eq!(values(&batch)[0], "1");
    assert_eq!(batch.span.first, batch.records[0].offset);
}

pub async fn a_group_goes_on_where_it_committed(fixture: LogFixture) {
    append(&fixture, LOG, &[("a", "1"), ("a", "2")]).await;
    {
        let source = (fixture.source)("g", LOG);
        let (mut partition, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
        partition.commit(batch.records[0].offset + 1).await.expect("committed");
    }
    let source = (fixture.source)("g", LOG);
    let (_, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    assert_eq!(values(&batch), ["2"]);
}

pub async fn groups_do_not_share_offsets(fixture: LogFixture) {
    append(&fixture, LOG, &[("a", "1")]).await;
    let source = (fixture.source)("one", LOG);
    let (mut partition, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    partition.commit(batch.span.next()).await.expect("committed");
    let source = (fixture.source)("two", LOG);
    let (_, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    assert_eq!(values(&batch), ["1"]);
}

pub async fn logs_do_not_share_records(fixture: LogFixture) {
    append(&fixture, "conformance.other", &[("a", "other")]).await;
    append(&fixture, LOG, &[("a", "mine")]).await;
    let source = (fixture.source)("g", LOG);
    let (_, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    assert_eq!(values(&batch), ["mine"]);
}

pub async fn spans_join(fixture: LogFixture) {
    let source = (fixture.source)("g", LOG);
    append(&fixture, LOG, &[("a", "0")]).await;
    let (mut partition, first) = first_batch(assigned(&*source, fixture.partitions).await).await;
    let mut next = first.span.next();
    for n in 1..5 {
        append(&fixture, LOG, &[("a", &n.to_string()), ("a", "x")]).await;
        let batch = poll(&mut partition).await;
        assert_eq!(batch.span.first, next);
        assert_eq!(batch.span.last, batch.records.last().expect("a record").offset);
        assert_eq!(&*batch.span.log, LOG);
        next = batch.span.next();
        assert_eq!(partition.position(), next);
    }
}

pub async fn poll_waits_for_a_record(fixture: LogFixture) {
    let source = (fixture.source)("g", LOG);
    let partitions = assigned(&*source, fixture.partitions).await;
    let reader = tokio::spawn(first_batch(partitions));
    append(&fixture, LOG, &[("a", "awaited")]).await;
    let (_, batch) = tokio::time::timeout(PATIENCE, reader).await.expect("in time").expect("joined");
    assert_eq!(values(&batch), ["awaited"]);
}

pub async fn a_dropped_poll_loses_nothing(fixture: LogFixture) {
    let source = (fixture.source)("g", LOG);
    append(&fixture, LOG, &[("a", "0")]).await;
    let (mut partition, _) = first_batch(assigned(&*source, fixture.partitions).await).await;
    let mut found = Vec::new();
    for n in 1..20 {
        let record = record("a", if n % 2 == 0 { "even" } else { "odd" });
        let log = fixture.log.clone();
        let mut append = tokio::spawn(async move { log.append(LOG, vec![record]).await });
        // Mostly dropped in the middle of its wait for more.
        tokio::select! {
            biased;
            batch = partition.poll(&LIMITS) => {
                found.extend(values(&batch.expect("a batch")));
                append.await.expect("joined").expect("appended");
            }
            appended = &mut append => appended.expect("joined").expect("appended"),
        }
    }
    while found.len() < 19 {
        found.extend(values(&poll(&mut partition).await));
    }
    let odd = found.iter().filter(|value| *value == "odd").count();
    assert_eq!((found.len(), odd), (19, 10), "{found:?}");
}

pub async fn seek_goes_back_and_forth(fixture: LogFixture) {
    append(&fixture, LOG, &[("a", "0"), ("a", "1"), ("a", "2")]).await;
    let source = (fixture.source)("g", LOG);
    let (mut partition, mut batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    let first = batch.records[0].offset;
    while batch.records.len() < 3 {
        partition.seek(first).await.expect("sought");
        batch = poll(&mut partition).await;
    }
    partition.seek(batch.records[2].offset).await.expect("sought");
    assert_eq!(values(&poll(&mut partition).await), ["2"]);
    partition.seek(first).await.expect("sought");
    assert_eq!(values(&poll(&mut partition).await)[0], "0");
}

pub async fn limits_bound_a_batch(fixture: LogFixture) {
    let value = "x".repeat(1_000);
    append(&fixture, LOG, &[("a", value.as_str()); 10]).await;
    let source = (fixture.source)("g", LOG);
    let (mut partition, batch) = first_batch(assigned(&*source, fixture.partitions).await).await;
    let start = batch.span.first;
    for (limits, expected) in [
        (PollLimits { max_records: 4, ..LIMITS }, 4),
        (PollLimits { max_bytes: 3_500, ..LIMITS }, 3),
        (PollLimits { max_bytes: 10, ..LIMITS }, 1),
    ] {
        partition.seek(start).await.expect("sought");
        let batch = tokio::time::timeout(PATIENCE, partition.poll(&limits)).await.expect("in time");
        assert_eq!(batch.expect("a batch").records.len(), expected, "{limits:?}");
    }
}

pub async fn a_partition_falls_to_another_reader(fixture: LogFixture) {
    append(&fixture, LOG, &[("a", "1")]).await;
    let first = (fixture.source)("g", LOG);
    let partitions = assigned(&*first, fixture.partitions).await;
    let second = (fixture.source)("g", LOG);
    let waiting = tokio::spawn(async move { assigned(&*second, 1).await });
    drop(partitions);
    drop(first);
    let taken_over = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("joined");
    assert_eq!(taken_over.len(), 1);
}

pub async fn end_offsets_are_after_the_last_record(fixture: LogFixture) {
    let source = (fixture.source)("g", LOG);
    let total = |ends: Vec<(u32, u64)>| ends.iter().map(|(_, end)| end).sum::<u64>();
    append(&fixture, LOG, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let ends = source.end_offsets().await.expect("end offsets");
    assert_eq!(ends.len(), fixture.partitions as usize);
    assert_eq!(total(ends), 3);
}

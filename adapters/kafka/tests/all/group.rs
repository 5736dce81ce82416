//! Several consumers of one group: partitions move between them, and nothing is lost or read twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gosight_application::ports::{AssignmentChange, EventSource, LogEnds};
use tokio_util::sync::CancellationToken;

use crate::harness::{LIMITS, LOG, PATIENCE, Topics, append_numbers, assigned, next_change, poll, read_to};
use crate::members::{Running, Store};

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_and_each_record_is_stored_once() {
    let topics = Arc::new(Topics::new(&[LOG]).await);
    let (store, log) = (Store::new(), topics.log());
    let writing = CancellationToken::new();
    let writer = tokio::spawn({
        let writing = writing.clone();
        async move {
            let mut written = 0;
            while !writing.is_cancelled() {
                append_numbers(&log, written..written + 20).await;
                written += 20;
            }
            written
        }
    });
    let first = Running::start(&topics, "first", &store);
    store.wait_for(|ledger| ledger.ends.len() == 3).await;
    let second = Running::start(&topics, "second", &store);
    store.wait_for(|ledger| ledger.consumers.contains("second")).await;
    let third = Running::start(&topics, "third", &store);
    store.wait_for(|ledger| ledger.consumers.contains("third")).await;
    first.stop().await;
    second.stop().await;
    // All partitions are the third's now, and go on.
    writing.cancel();
    let written = writer.await.unwrap();
    store.wait_for(|ledger| ledger.values.len() >= written as usize).await;
    assert_eq!(third.status.partitions().len(), 3);
    third.stop().await;
    assert_eq!(store.sorted(), (0..written).map(|n| format!("{n:08}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_partition_waits_until_its_worker_is_done() {
    let topics = Topics::new(&[LOG]).await;
    append_numbers(&topics.log(), 0..200).await;
    let first = topics.source("g", LOG);
    let mut partitions: BTreeMap<u32, _> =
        assigned(&first, 3).await.into_iter().map(|partition| (partition.partition(), partition)).collect();
    let mut committed = BTreeMap::new();
    for (number, partition) in &mut partitions {
        committed.insert(*number, poll(&mut **partition).await.span.next());
    }
    let second = topics.source("g", LOG);
    let AssignmentChange::Revoked { partition, released } = next_change(&first).await else {
        panic!("expected a revocation");
    };
    // Still this worker's: it finishes its batch.
    let next = committed[&partition];
    let source = partitions.get_mut(&partition).unwrap();
    source.commit(next).await.unwrap();
    drop(released);
    let taken = assigned(&second, 1).await.remove(0);
    assert_eq!((taken.partition(), taken.position()), (partition, next));
    for result in [source.poll(&LIMITS).await.map(drop), source.commit(next).await] {
        let error = result.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("given up"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_end_keeps_its_partition_no_longer_than_the_deadline() {
    let topics = Topics::on(gosight_services::kafka_brokers(), &[LOG], |config| {
        config.consume.drain_timeout = Duration::from_millis(300);
    })
    .await;
    append_numbers(&topics.log(), 0..50).await;
    let first = topics.source("g", LOG);
    let mut held = assigned(&first, 3).await;
    let second = topics.source("g", LOG);
    let AssignmentChange::Revoked { partition, released } = next_change(&first).await else {
        panic!("expected a revocation");
    };
    let taken = assigned(&second, 1).await;
    assert_eq!(taken[0].partition(), partition);
    let stale = held.iter_mut().find(|source| source.partition() == partition).unwrap();
    assert!(stale.poll(&LIMITS).await.unwrap_err().is_transient());
    drop(released);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_dropped_while_read_does_not_keep_the_group() {
    let topics = Topics::on(gosight_services::kafka_brokers(), &[LOG], |config| {
        config.consume.drain_timeout = Duration::from_millis(300);
    })
    .await;
    append_numbers(&topics.log(), 0..50).await;
    let first = topics.source("g", LOG);
    let mut stale = assigned(&first, 3).await;
    drop(first);
    let second = topics.source("g", LOG);
    let taken = assigned(&second, 3).await;
    assert_eq!(taken.len(), 3);
    assert!(stale[0].poll(&LIMITS).await.unwrap_err().is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_back_is_handed_out_when_its_old_source_is_dropped() {
    let topics = Topics::new(&[LOG]).await;
    append_numbers(&topics.log(), 0..50).await;
    let first = topics.source("g", LOG);
    let mut held = assigned(&first, 3).await;
    let second = topics.source("g", LOG);
    let AssignmentChange::Revoked { partition, released } = next_change(&first).await else {
        panic!("expected a revocation");
    };
    drop(released);
    drop(assigned(&second, 1).await);
    drop(second);
    // It is this consumer's again, but the source of before still lives.
    let mut back = Box::pin(first.next_change());
    assert!(futures::poll!(back.as_mut()).is_pending());
    held.retain(|source| source.partition() != partition);
    let change = tokio::time::timeout(PATIENCE, back).await.unwrap().unwrap();
    let Some(AssignmentChange::Assigned(mut source)) = change else { panic!("expected an assignment") };
    let end = first.end_offsets().await.unwrap()[partition as usize].1;
    assert_eq!((source.partition(), source.position()), (partition, 0));
    let read: usize = read_to(&mut *source, end).await.iter().map(|batch| batch.records.len()).sum();
    assert_eq!(read as u64, end);
}

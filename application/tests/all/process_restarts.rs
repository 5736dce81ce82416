//! Starting again, shutting down, and giving partitions away: nothing is lost and nothing counted twice.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::local_log::LocalLog;
use gosight_application::ports::{BatchStore, EventSource, LogEnds, PollLimits};
use gosight_application::process::{ConsumerConfig, LogConsumer, WorkerState};
use gosight_conformance::factory::{LOG, click, session_id};
use gosight_domain::Event;
use tokio::time::{Instant, timeout};

use crate::support::{
    Bench, GROUP, GatedStore, HoledPartition, JudgedStore, Running, Script, ScriptedSource, TrimmedPartition,
    UnreadableLedger, partition_of, unavailable, until,
};

fn over(bench: &Bench, store: Arc<dyn BatchStore>) -> LogConsumer {
    LogConsumer { store, ..bench.consumer() }
}

fn clicks(ids: std::ops::Range<u128>) -> Vec<Event> {
    ids.map(|n| click(n, 0)).collect()
}

/// One record in each batch.
fn one_by_one(consumer: LogConsumer) -> LogConsumer {
    let limits = PollLimits { max_records: 1, ..consumer.config.limits };
    LogConsumer { config: ConsumerConfig { limits, ..consumer.config }, ..consumer }
}

#[tokio::test(start_paused = true)]
async fn a_new_consumer_goes_on_where_the_ledger_ends_whatever_the_log_remembers() {
    // What the log remembers lies before the ledger's end, after it, or is nothing.
    for (committed, group) in [(Some(0), GROUP), (Some(2), GROUP), (Some(5), GROUP), (None, "new group")] {
        let bench = Bench::new(1);
        bench.append(&clicks(0..3)).await;
        bench.drain(bench.consumer()).await;
        bench.append(&clicks(3..6)).await;
        if let Some(next) = committed {
            LocalLog::commit(&*bench.log, GROUP, LOG, 0, next).await.unwrap();
        }
        let source: Arc<dyn EventSource> = Arc::new(bench.log.source(group, LOG));
        bench.drain(LogConsumer { source, ..bench.consumer() }).await;
        assert_eq!(bench.stored(), [0, 1, 2, 3, 4, 5], "{committed:?}");
        let total = bench.total().await;
        assert_eq!((total.polled, total.duplicate), (6, 0), "{committed:?}");
    }
}

/// A bench whose ledger ends at 3, whose log has 0 to 9 and says that all of it was processed.
async fn behind() -> Bench {
    let bench = Bench::new(1);
    bench.append(&clicks(0..3)).await;
    bench.drain(bench.consumer()).await;
    bench.append(&clicks(3..10)).await;
    LocalLog::commit(&*bench.log, GROUP, LOG, 0, 10).await.unwrap();
    bench
}

/// A consumer of `bench`'s log, whose records before `first` are gone.
async fn of_trimmed(bench: &Bench, first: u64, accept_lost: bool) -> (LogConsumer, Script) {
    let (source, script) = ScriptedSource::new();
    let partition = partition_of(&bench.log).await;
    script.assign(Box::new(TrimmedPartition { partition, first }));
    let consumer = bench.consumer();
    let config = ConsumerConfig { accept_lost, ..consumer.config };
    (LogConsumer { source, config, ..consumer }, script)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_lost_is_filled_again_from_all_that_the_log_has() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..6)).await;
    LocalLog::commit(&*bench.log, GROUP, LOG, 0, 6).await.unwrap();
    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_lost_is_filled_again_from_the_first_record_that_is_left() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..6)).await;
    LocalLog::commit(&*bench.log, GROUP, LOG, 0, 6).await.unwrap();
    let (consumer, _script) = of_trimmed(&bench, 4, false).await;
    let running = Running::start(consumer);
    until("the ledger reaches the end", async || bench.coverage().await.iter().any(|c| c.end == 6)).await;
    running.stop().await.unwrap();
    assert_eq!(bench.stored(), [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_older_than_the_log_goes_on_where_its_ledger_ends() {
    let bench = behind().await;
    let (consumer, _script) = of_trimmed(&bench, 3, false).await;
    bench.drain(consumer).await;
    assert_eq!(bench.stored().len(), 10);
    assert_eq!(bench.total().await.polled, 10);
}

#[tokio::test(start_paused = true)]
async fn processing_stops_when_records_that_it_needs_are_gone() {
    let bench = behind().await;
    let (consumer, _script) = of_trimmed(&bench, 5, false).await;
    let error = Running::start(consumer).ended().await.unwrap_err().to_string();
    assert!(error.contains("records 3 to 4 of partition 0"), "{error}");
    assert_eq!(bench.stored(), [0, 1, 2], "nothing was passed over");
    assert!(bench.coverage().await[0].is_whole());
}

#[tokio::test(start_paused = true)]
async fn records_that_are_gone_are_counted_as_lost_if_that_is_accepted() {
    let bench = behind().await;
    let (consumer, _script) = of_trimmed(&bench, 5, true).await;
    bench.drain(consumer).await;
    assert_eq!(bench.stored(), [0, 1, 2, 5, 6, 7, 8, 9]);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored), (10, 8));
    assert_eq!(total.rejected, [("lost".into(), 2)].into());
    assert_eq!(bench.numbers.count(&format!("records_lost_total{{log=\"{LOG}\"}}")), 2);
    // Once is enough.
    let (consumer, _script) = of_trimmed(&bench, 5, false).await;
    bench.append(&clicks(10..11)).await;
    bench.drain(consumer).await;
    assert_eq!(bench.total().await.stored, 9);
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_log_is_not_passed_over_silently() {
    for accept_lost in [false, true] {
        let bench = behind().await;
        // The log still has where the ledger ends, and not all after it.
        let (source, script) = ScriptedSource::new();
        let partition = Box::new(TrimmedPartition { partition: partition_of(&bench.log).await, first: 5 });
        script.assign(Box::new(HoledPartition(partition)));
        let consumer = bench.consumer();
        let config = ConsumerConfig { accept_lost, ..consumer.config };
        let consumer = LogConsumer { source, config, ..consumer };
        if accept_lost {
            bench.drain(consumer).await;
            assert_eq!(bench.total().await.rejected, [("lost".into(), 2)].into());
        } else {
            let error = Running::start(consumer).ended().await.unwrap_err().to_string();
            assert!(error.contains("records 3 to 4"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_the_log_heard_of_it_is_not_stored_again() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..3)).await;
    let store = GatedStore::new(&bench.store);
    store.commits.add_permits(1);
    let killed = tokio::spawn({
        let consumer = over(&bench, store.clone());
        async move { consumer.run(tokio_util::sync::CancellationToken::new()).await }
    });
    // The batch is in the store, and its worker never learns that.
    bench.drained().await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    assert_eq!(LocalLog::committed(&*bench.log, GROUP, LOG, 0).await.unwrap(), None);

    bench.append(&clicks(3..5)).await;
    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [0, 1, 2, 3, 4]);
    let total = bench.total().await;
    assert_eq!((total.polled, total.duplicate), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_before_a_kill_is_not_its_own_duplicate() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..3)).await;
    let store = GatedStore::new(&bench.store);
    let killed = tokio::spawn({
        let consumer = over(&bench, store.clone());
        async move { consumer.run(tokio_util::sync::CancellationToken::new()).await }
    });
    store.commit_begins().await;
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    assert_eq!(bench.stored(), [0_u128; 0]);

    bench.drain(one_by_one(bench.consumer())).await;
    assert_eq!(bench.stored(), [0, 1, 2]);
    assert_eq!(bench.total().await.duplicate, 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_while_the_store_is_away_is_prompt_and_loses_nothing() {
    let bench = Bench::new(2);
    bench.append(&clicks(0..3)).await;
    let running = Running::start(over(&bench, JudgedStore::new(&bench.store, |_| Err(unavailable()))));
    let status = running.status.clone();
    let waits = |state: &WorkerState| matches!(state, WorkerState::Blocked { .. });
    until("the worker waits", async || status.partitions().values().any(|found| waits(&found.state))).await;
    let start = Instant::now();
    running.stop().await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(10), "{:?}", start.elapsed());
    assert_eq!(bench.numbers.gauge(r#"backoff_waiting{what="store"}"#), Some(0.0));
    assert_eq!(bench.stored(), [0_u128; 0]);

    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [0, 1, 2]);
    assert_eq!(bench.total().await.polled, 3);
}

#[tokio::test(start_paused = true)]
async fn shutdown_while_the_ledger_cannot_be_read_is_prompt() {
    let bench = Bench::new(1);
    let store = UnreadableLedger::new(&bench.store, (0..100).map(|_| unavailable()));
    let running = Running::start(over(&bench, store));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    running.stop().await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_a_worker_finish_its_batch_and_take_no_other() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..20)).await;
    let store = GatedStore::new(&bench.store);
    let running = Running::start(one_by_one(over(&bench, store.clone())));
    store.commit_begins().await;
    let stopped = tokio::spawn(running.stop());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!stopped.is_finished());
    store.open();
    stopped.await.unwrap().unwrap();
    assert_eq!(bench.stored(), [0]);
    assert_eq!(LocalLog::committed(&*bench.log, GROUP, LOG, 0).await.unwrap(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_closed_ends_the_run_after_the_batches_in_flight() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..3)).await;
    let (source, script) = ScriptedSource::new();
    let store = GatedStore::new(&bench.store);
    let running = Running::start(LogConsumer { source, ..over(&bench, store.clone()) });
    script.assign(partition_of(&bench.log).await);
    store.commit_begins().await;
    drop(script);
    store.open();
    running.ended().await.unwrap();
    assert_eq!(bench.stored(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_partition_is_released_once_its_batch_is_committed() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..3)).await;
    let (source, script) = ScriptedSource::new();
    let store = GatedStore::new(&bench.store);
    let running = Running::start(one_by_one(LogConsumer { source, ..over(&bench, store.clone()) }));
    script.assign(partition_of(&bench.log).await);
    store.commit_begins().await;
    let released = script.revoke(0);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!released.is_cancelled(), "the batch is still in flight");

    store.open();
    released.cancelled().await;
    assert_eq!(bench.stored(), [0]);
    assert_eq!(LocalLog::committed(&*bench.log, GROUP, LOG, 0).await.unwrap(), Some(1));
    assert!(running.status.partitions().is_empty());
    // Another reader can have it, and so can this one again.
    script.assign(timeout(Duration::ZERO, partition_of(&bench.log)).await.expect("it is free"));
    bench.drained().await;
    assert_eq!(bench.stored(), [0, 1, 2]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_revoked_partition_leaves_the_others_at_work() {
    let bench = Bench::new(2);
    let (source, script) = ScriptedSource::new();
    let running = Running::start(LogConsumer { source, ..bench.consumer() });
    script.assign(partition_of(&bench.log).await);
    script.assign(partition_of(&bench.log).await);
    until("both are read", async || running.status.partitions().len() == 2).await;
    script.revoke(0).cancelled().await;
    assert_eq!(running.status.partitions().into_keys().collect::<Vec<_>>(), [1]);

    // Events of many sessions, so that both partitions get some.
    let event = |n: u128| Event { session_id: Some(session_id(&format!("s-{n}"))), ..click(n, 0) };
    bench.append(&(0..20).map(event).collect::<Vec<_>>()).await;
    let ends = bench.log.source(GROUP, LOG).end_offsets().await.unwrap();
    until("the other is read", async || running.status.counts().polled == ends[1].1).await;
    assert!(ends[0].1 > 0 && ends[1].1 > 0, "{ends:?}");
    running.stop().await.unwrap();
    assert_eq!(bench.stored().len() as u64, ends[1].1);
}

#[tokio::test(start_paused = true)]
async fn a_partition_can_be_revoked_although_the_ledger_cannot_be_read() {
    let bench = Bench::new(2);
    let (source, script) = ScriptedSource::new();
    let store = UnreadableLedger::new(&bench.store, (0..1_000).map(|_| unavailable()));
    let running = Running::start(LogConsumer { source, ..over(&bench, store) });
    script.assign(partition_of(&bench.log).await);
    script.assign(partition_of(&bench.log).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    for partition in 0..2 {
        let released = script.revoke(partition);
        timeout(Duration::from_millis(10), released.cancelled()).await.expect("released at once");
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_nobody_reads_is_released_at_once() {
    let bench = Bench::new(1);
    let (source, script) = ScriptedSource::new();
    let running = Running::start(LogConsumer { source, ..bench.consumer() });
    timeout(Duration::from_millis(10), script.revoke(7).cancelled()).await.expect("released at once");
    running.stop().await.unwrap();
}

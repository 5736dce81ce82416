//! What a consumer says of its partitions: how far behind it is, what it has in hand, how busy it is.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::ingest::ClientFacts;
use gosight_application::pipeline::{Pipeline, ReplaceParts as _, StorePorts};
use gosight_application::ports::PollLimits;
use gosight_application::process::{LastCommit, LogConsumer, PartitionStatus, WorkerState};
use gosight_conformance::factory::{NOON, event};
use gosight_domain::Event;
use gosight_domain::validate::EventDraft;
use gosight_memory::{ManualClock, MemoryParts};

use crate::support::{Bench, GatedStore, JudgedStore, Numbers, Running, epoch, may_send, unavailable, until};

fn clicks(ids: std::ops::Range<u128>) -> Vec<Event> {
    ids.map(|n| event(n, "click", 0)).collect()
}

/// The bench's consumer with batches of `max_records`.
fn in_batches(bench: &Bench, max_records: usize) -> LogConsumer {
    let mut consumer = bench.consumer();
    consumer.config.limits = PollLimits { max_records, ..consumer.config.limits };
    consumer
}

fn partition(running: &Running) -> PartitionStatus {
    running.status.partitions()[&0].clone()
}

#[tokio::test(start_paused = true)]
async fn records_are_in_hand_until_they_are_stored_and_behind_until_they_are_processed() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..7)).await;
    let store = GatedStore::new(&bench.store);
    let consumer = LogConsumer { store: store.clone(), ..in_batches(&bench, 3) };
    let running = Running::start(consumer.clone());
    store.commit_begins().await;
    let held = partition(&running);
    assert_eq!((held.records_in_hand, held.next_offset, held.last_commit), (3, 0, None));
    assert_eq!(held.lag(), Some(3), "as far as is known: nobody has looked at the end of the log");
    consumer.lag().await.unwrap();
    assert_eq!(partition(&running).lag(), Some(7));

    store.commits.add_permits(1);
    store.answers.add_permits(1);
    store.commit_begins().await;
    let second = partition(&running);
    assert_eq!((second.records_in_hand, second.next_offset, second.lag()), (3, 3, Some(4)));
    let at = NOON.plus_millis(60_000);
    assert_eq!(second.last_commit, Some(LastCommit { offset: 2, at }));

    store.open();
    bench.drained().await;
    until("all is done", async || partition(&running).records_in_hand == 0).await;
    let done = partition(&running);
    assert_eq!((done.lag(), done.next_offset), (Some(0), 7));
    assert_eq!(done.last_commit, Some(LastCommit { offset: 6, at }));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_busy_while_it_stores_and_not_while_it_waits() {
    let bench = Bench::new(1);
    bench.append(&clicks(0..1)).await;
    let store = GatedStore::new(&bench.store);
    let running = Running::start(LogConsumer { store: store.clone(), ..bench.consumer() });
    store.commit_begins().await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(partition(&running).utilization_percent > 99.0, "{:?}", partition(&running));
    store.open();
    bench.drained().await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(partition(&running).utilization_percent < 1.0, "{:?}", partition(&running));
    running.stop().await.unwrap();

    // Waiting for a store that is unavailable is no work either, although the records are in hand.
    bench.append(&clicks(1..2)).await;
    let store = JudgedStore::new(&bench.store, |_| Err(unavailable()));
    let running = Running::start(LogConsumer { store, ..bench.consumer() });
    tokio::time::sleep(Duration::from_mins(2)).await;
    let waiting = partition(&running);
    assert!(waiting.utilization_percent < 1.0, "{waiting:?}");
    assert_eq!(waiting.records_in_hand, 1);
    match waiting.state {
        WorkerState::Blocked { waits_for, since, error } => {
            assert_eq!((waits_for, since), ("store", NOON.plus_millis(60_000)));
            assert!(error.contains("the disk is full"), "{error}");
        }
        WorkerState::Running => panic!("it waits"),
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_metrics_have_what_the_status_says() {
    let (parts, numbers) = (MemoryParts::default(), Numbers::default());
    let gated = GatedStore::new(&parts.store);
    let mut ports = parts.ports();
    ports.telemetry = numbers.telemetry();
    ports.store = ports.store.map(|store| StorePorts { batches: Some(gated.clone()), ..store });
    let pipeline = Pipeline::builder(ports).with_clock(Arc::new(ManualClock::new(NOON))).build().unwrap();
    let events = pipeline.ingest.clone().unwrap();
    let draft = |id: &'static str| {
        Ok(EventDraft {
            event_id: Some(id.into()),
            event_type: Some("click".into()),
            session_id: Some("s".into()),
            timestamp: Some(epoch(-1_000)),
            ..EventDraft::default()
        })
    };
    let running = pipeline.start();
    let scope = may_send();
    let drafts = [draft("a"), draft("b"), draft("c")];
    let receipt = events.events(&scope, &ClientFacts::default(), &drafts).await.unwrap();
    assert_eq!(receipt.accepted(), 3);
    gated.commit_begins().await;
    let gauges = |metric: &str| -> f64 {
        let name =
            |partition: u32| format!(r#"{metric}{{log="gosight.events.raw",partition="{partition}"}}"#);
        (0..16).filter_map(|partition| numbers.gauge(&name(partition))).sum()
    };
    let is = |found: f64, expected: f64| (found - expected).abs() < 0.1;
    until("three records are in hand", async || is(gauges("records_in_hand"), 3.0)).await;
    until("and behind", async || is(gauges("log_lag_records"), 3.0)).await;
    until("the worker is busy", async || gauges("worker_utilization_percent") > 50.0).await;
    gated.open();
    until("none is in hand", async || is(gauges("records_in_hand"), 0.0)).await;
    until("none is behind", async || is(gauges("log_lag_records"), 0.0)).await;
    until("the worker is idle again", async || gauges("worker_utilization_percent") < 1.0).await;
    running.stop().await.unwrap();
}

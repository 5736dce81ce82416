//! When the store, the log or a handler fails.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{
    BatchStore, CommitError, DeadLetter, Health, HealthCheck, PolledBatch, ProcessedBatch, SourceError,
};
use gosight_application::process::{
    BatchHandler, EventHandler, HandlerError, LogConsumer, ProcessError, Refusals, WorkerState,
};
use gosight_conformance::factory::{LOG, NOON, click, event, project};
use gosight_domain::Event;
use tokio::time::Instant;

use crate::support::{
    Bench, FaultyPartition, ForgetfulStore, JudgedStore, Running, ScriptedSource, UnreadableLedger,
    partition_of, refused, unavailable, until,
};

fn over(bench: &Bench, store: Arc<dyn BatchStore>) -> LogConsumer {
    LogConsumer { store, ..bench.consumer() }
}

/// Fails as often as there are errors, then handles.
#[derive(Debug)]
struct FailingHandler {
    handler: EventHandler,
    errors: Mutex<VecDeque<HandlerError>>,
}

#[async_trait]
impl BatchHandler for FailingHandler {
    async fn handle(&self, batch: &PolledBatch, refused: &Refusals) -> Result<ProcessedBatch, HandlerError> {
        let error = self.errors.lock().unwrap().pop_front();
        match error {
            Some(error) => Err(error),
            None => self.handler.handle(batch, refused).await,
        }
    }
}

#[derive(Debug)]
struct PanickingHandler;

#[async_trait]
impl BatchHandler for PanickingHandler {
    async fn handle(&self, _: &PolledBatch, _: &Refusals) -> Result<ProcessedBatch, HandlerError> {
        panic!("a bug")
    }
}

/// Checks that attempts came 2 s, 4 s and so on after each other, each wait between half of it and all of it.
fn assert_doubling(attempts: &[Instant]) {
    let waits = attempts.windows(2).map(|pair| pair[1] - pair[0]);
    for (wait, full) in waits.zip([2, 4, 8, 16].map(Duration::from_secs)) {
        // Timers may be late by a millisecond.
        assert!(wait >= full / 2 && wait <= full + Duration::from_millis(2), "{wait:?} of {full:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_tried_again_until_it_is_back() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0), click(2, 0)]).await;
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = attempts.clone();
    let store = JudgedStore::new(&bench.store, move |_| {
        seen.lock().unwrap().push(Instant::now());
        if seen.lock().unwrap().len() <= 3 { Err(unavailable()) } else { Ok(()) }
    });
    let running = Running::start(over(&bench, store));
    let status = running.status.clone();

    tokio::time::sleep(Duration::from_millis(500)).await;
    let since = NOON.plus_millis(60_000);
    let blocked = || match &status.partitions()[&0].state {
        WorkerState::Blocked { since, error, .. } => (*since, error.clone()),
        WorkerState::Running => panic!("expected that the worker waits"),
    };
    assert_eq!(blocked().0, since);
    assert!(blocked().1.contains("the disk is full"), "{}", blocked().1);
    assert_eq!(bench.numbers.gauge(r#"backoff_waiting{what="store"}"#), Some(1.0));
    assert_eq!(bench.numbers.gauge(r#"circuit_breakers_open{alias_of="backoff_waiting"}"#), Some(1.0));
    assert_eq!(bench.numbers.gauge("circuit_breakers_open"), None, "no breaker is open");
    match status.check().await {
        Health::Degraded(text) => assert!(!text.contains("disk"), "{text}"),
        other => panic!("expected that it waits, got {other:?}"),
    }

    bench.clock.advance(5_000);
    until("the third attempt", async || attempts.lock().unwrap().len() == 3).await;
    assert_eq!(blocked().0, since);
    bench.drained().await;
    until("the worker runs", async || status.partitions()[&0].state == WorkerState::Running).await;
    assert_eq!(status.check().await, Health::Up);
    assert_eq!(bench.numbers.gauge(r#"backoff_waiting{what="store"}"#), Some(0.0));
    assert_eq!(bench.numbers.gauge(r#"circuit_breakers_open{alias_of="backoff_waiting"}"#), Some(0.0));
    assert_eq!(bench.numbers.count(r#"backoff_waits_total{what="store"}"#), 3);
    assert_eq!(bench.numbers.count(r#"retries_total{what="store"}"#), 3);
    assert_doubling(&attempts.lock().unwrap());
    assert_eq!(bench.stored(), [1, 2]);
    assert_eq!(bench.total().await.duplicate, 0);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_unknown_outcome_is_counted_once() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0), click(2, 0)]).await;
    let running = Running::start(over(&bench, Arc::new(ForgetfulStore::new(&bench.store))));
    until("the worker knows", async || running.status.batches() == 1).await;
    assert_eq!(bench.numbers.count(r#"retries_total{what="store"}"#), 1);
    assert_eq!(bench.stored(), [1, 2]);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored), (2, 2));
    assert_eq!(running.status.counts(), total);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rows_that_the_store_names_are_put_aside_and_their_neighbours_are_stored() {
    let bench = Bench::new(1);
    bench.append(&[click(0, 0), event(1, "bad", 0), click(2, 0), event(3, "bad", 0)]).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let store = JudgedStore::new(&bench.store, move |batch| {
        seen.fetch_add(1, Ordering::SeqCst);
        let bad = batch.events.iter().filter(|stored| stored.event.event_type.as_str() == "bad");
        let offsets: Vec<u64> = bad.map(|stored| stored.offset).collect();
        if offsets.is_empty() { Ok(()) } else { Err(refused(&offsets)) }
    });
    bench.drain(over(&bench, store)).await;

    assert_eq!(bench.stored(), [0, 2]);
    let letters = bench.dead_letters().await;
    let told: Vec<_> =
        letters.iter().map(|letter| (letter.position.offset, &*letter.reason, &*letter.detail)).collect();
    let expected = [(1, "store_refused", "row 1 is bad"), (3, "store_refused", "row 3 is bad")];
    assert_eq!(told, expected);
    let records = bench.log.records(LOG);
    assert_eq!((&letters[0].record, &letters[1].record), (&records[1].value, &records[3].value));
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored), (4, 2));
    assert_eq!(total.dead_lettered, [("store_refused".into(), 2)].into());

    // Repaired, they come back as other records, and are no duplicates of what was dead-lettered.
    bench.append(&[click(1, 0), click(3, 0), click(3, 0)]).await;
    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [0, 1, 2, 3]);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored, total.duplicate), (7, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_stays_its_projects_in_the_ledger_and_aside() {
    let bench = Bench::new(1);
    bench.append(&[click(0, 0)]).await;
    let store =
        JudgedStore::new(
            &bench.store,
            |batch| {
                if batch.events.is_empty() { Ok(()) } else { Err(refused(&[0])) }
            },
        );
    bench.drain(over(&bench, store)).await;
    assert_eq!(bench.dead_letters().await[0].project_id, Some(project("p")));
    let counts = bench.counts(Some(&project("p"))).await;
    assert_eq!(counts.dead_lettered, [("store_refused".into(), 1)].into());
}

/// The offsets that are dead-lettered of six records when the store refuses any batch with a row of `bad`.
async fn dead_lettered(bad: &BTreeSet<u64>) -> BTreeSet<u64> {
    let bench = Bench::new(1);
    let events: Vec<Event> = (0..6).map(|n| click(n, 0)).collect();
    bench.append(&events).await;
    let rows = bad.clone();
    let store = JudgedStore::new(&bench.store, move |batch| {
        let has_bad = batch.events.iter().any(|stored| rows.contains(&stored.offset));
        if has_bad { Err(refused(&[])) } else { Ok(()) }
    });
    bench.drain(over(&bench, store)).await;
    let stored: BTreeSet<u128> = bench.stored().into_iter().collect();
    let good: BTreeSet<u128> = (0..6).filter(|&n| !bad.contains(&n)).map(u128::from).collect();
    assert_eq!(stored, good);
    assert_eq!(bench.total().await.polled, 6);
    let letters: Vec<DeadLetter> = bench.dead_letters().await;
    assert!(letters.iter().all(|letter| letter.detail == "bad rows"), "{letters:?}");
    letters.iter().map(|letter| letter.position.offset).collect()
}

#[tokio::test(start_paused = true)]
async fn bad_rows_that_the_store_cannot_name_are_found_wherever_they_are() {
    for rows in 0_u64..64 {
        let bad: BTreeSet<u64> = (0..6).filter(|offset| rows >> offset & 1 == 1).collect();
        assert_eq!(dead_lettered(&bad).await, bad);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_may_name_some_rows_and_not_others() {
    let bench = Bench::new(1);
    let events: Vec<Event> = (0..5).map(|n| click(n, 0)).collect();
    bench.append(&events).await;
    let store = JudgedStore::new(&bench.store, |batch| {
        let has = |offset| batch.events.iter().any(|stored| stored.offset == offset);
        match (has(1), has(3)) {
            (true, _) => Err(refused(&[1])),
            (_, true) => Err(refused(&[])),
            _ => Ok(()),
        }
    });
    bench.drain(over(&bench, store)).await;
    assert_eq!(bench.stored(), [0, 2, 4]);
    assert_eq!(bench.total().await.dead_lettered, [("store_refused".into(), 2)].into());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_a_row_even_put_aside_ends_the_run() {
    for named in [vec![], vec![1]] {
        let bench = Bench::new(1);
        bench.append(&[click(0, 0), click(1, 0), click(2, 0)]).await;
        let store = JudgedStore::new(&bench.store, move |batch| {
            let span = &batch.ledger.span;
            if (span.first..=span.last).contains(&1) { Err(refused(&named)) } else { Ok(()) }
        });
        let ended = Running::start(over(&bench, store)).ended().await;
        assert!(matches!(ended, Err(ProcessError::Fatal { .. })), "{ended:?}");
        assert_eq!(bench.stored(), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_go_on_ends_the_run_with_its_reason() {
    let bench = Bench::new(2);
    bench.append(&[click(1, 0)]).await;
    let store = JudgedStore::new(&bench.store, |_| Err(CommitError::fatal("store", "no such table")));
    let error = Running::start(over(&bench, store)).ended().await.unwrap_err();
    let expected = format!("processing {LOG} stopped: store cannot go on: no such table");
    assert_eq!(error.to_string(), expected);
    // Nothing is lost by it.
    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_ends_the_run() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0)]).await;
    let consumer = LogConsumer { handler: Arc::new(PanickingHandler), ..bench.consumer() };
    let error = Running::start(consumer).ended().await.unwrap_err();
    assert!(matches!(error, ProcessError::WorkerDied { .. }), "{error}");
    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_parts_are_away_is_tried_again() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0)]).await;
    let errors = Mutex::new([unavailable(), unavailable()].into());
    let handler = Arc::new(FailingHandler { handler: bench.handler(), errors });
    bench.drain(LogConsumer { handler, ..bench.consumer() }).await;
    assert_eq!(bench.stored(), [1]);
    assert_eq!(bench.numbers.count(r#"retries_total{what="handler"}"#), 2);
    assert_eq!(bench.numbers.gauge(r#"backoff_waiting{what="handler"}"#), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_is_polled_again_after_longer_and_longer_waits() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0)]).await;
    let (source, script) = ScriptedSource::new();
    let polls = Arc::new(Mutex::new(Vec::new()));
    script.assign(Box::new(FaultyPartition {
        partition: partition_of(&bench.log).await,
        poll_errors: [unavailable(), unavailable(), unavailable(), unavailable()].into(),
        fails_to_commit: false,
        polls: polls.clone(),
    }));
    bench.drain(LogConsumer { source, ..bench.consumer() }).await;
    assert_eq!(bench.stored(), [1]);
    assert_doubling(&polls.lock().unwrap()[..5]);
    assert_eq!(bench.numbers.count(r#"retries_total{what="log"}"#), 4);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_take_commits_stops_nothing() {
    let bench = Bench::new(1);
    let (source, script) = ScriptedSource::new();
    script.assign(Box::new(FaultyPartition {
        partition: partition_of(&bench.log).await,
        poll_errors: VecDeque::new(),
        fails_to_commit: true,
        polls: Arc::default(),
    }));
    let running = Running::start(LogConsumer { source, ..bench.consumer() });
    for n in 1..4 {
        bench.append(&[click(n, 0)]).await;
        bench.drained().await;
    }
    running.stop().await.unwrap();
    bench.append(&[click(4, 0)]).await;
    bench.drain(bench.consumer()).await;
    assert_eq!(bench.stored(), [1, 2, 3, 4]);
    assert_eq!(bench.total().await.polled, 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_say_what_to_read_is_asked_again_unless_it_is_broken() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0)]).await;
    let (source, script) = ScriptedSource::new();
    let running = Running::start(LogConsumer { source, ..bench.consumer() });
    script.fail(unavailable());
    script.assign(partition_of(&bench.log).await);
    bench.drained().await;
    assert_eq!(bench.stored(), [1]);
    assert_eq!(bench.numbers.count(r#"retries_total{what="assignment"}"#), 1);
    script.fail(SourceError::fatal("log", "no such topic"));
    let error = running.ended().await.unwrap_err();
    assert!(error.to_string().ends_with("log cannot go on: no such topic"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_read_is_waited_for_and_seen_in_the_status() {
    let bench = Bench::new(1);
    bench.append(&[click(1, 0)]).await;
    let store = UnreadableLedger::new(&bench.store, [unavailable(), unavailable()]);
    let running = Running::start(over(&bench, store));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(matches!(running.status.check().await, Health::Degraded(_)));
    assert_eq!(bench.numbers.gauge(r#"backoff_waiting{what="ledger"}"#), Some(1.0));
    bench.drained().await;
    assert_eq!(bench.numbers.count(r#"retries_total{what="ledger"}"#), 2);
    running.stop().await.unwrap();

    let broken = UnreadableLedger::new(&bench.store, [SourceError::fatal("store", "no such table")]);
    let ended = Running::start(over(&bench, broken)).ended().await;
    assert!(matches!(ended, Err(ProcessError::Fatal { .. })), "{ended:?}");
}

//! Hostile enrichers: events go on without them, once, in order, and visibly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gosight_application::circuit_breaker::CircuitState;
use gosight_application::enrich::{ChosenEnricher, EnricherNameError, EnricherStatus, EventEnrichers};
use gosight_application::pipeline::{BuildError, Pipeline, ReplaceParts as _};
use gosight_application::ports::{
    BatchStore, Client, CommitError, EnricherError, Enrichment, EventEnricher, Fence, Health, HealthCheck,
    Ledger, LedgerError, LogPartition,
};
use gosight_application::process::filter::FilterRuleConfig;
use gosight_application::process::{LogConsumer, Stepped, SteppedPorts};
use gosight_conformance::factory::{NOON, click, project, session_id};
use gosight_domain::ledger::LedgerRow;
use gosight_domain::{Device, Event};
use gosight_memory::{ManualClock, MemoryParts, MemoryStore};
use serde_json::json;

use crate::support::{Bench, Fault, Good, Hostile, Running, chosen, epoch, until};

/// Longer than a call from memory takes on a busy machine.
const PATIENT_MS: u64 = 20_000;
/// As long as the tests wait for those that hang.
const SHORT_MS: u64 = 200;

/// Clicks of projects `p` and `q` in two sessions each, one after the other.
fn clicks(ids: std::ops::Range<u128>) -> Vec<Event> {
    let in_project = |n: u128| Event {
        project_id: project(if n.is_multiple_of(2) { "p" } else { "q" }),
        session_id: Some(session_id(if n % 4 < 2 { "s" } else { "t" })),
        ..click(n, i64::try_from(n).unwrap())
    };
    ids.map(in_project).collect()
}

/// A bench with one partition, the hostile one, and the good one after it.
struct Set {
    bench: Bench,
    hostile: Arc<Hostile>,
    enrichers: Arc<EventEnrichers>,
    consumer: LogConsumer,
}

impl Set {
    fn new(hostile: Arc<Hostile>, timeout_ms: u64, failures: u32) -> Self {
        let bench = Bench::new(1);
        let enrichers = bench.enrichers(vec![
            chosen(hostile.clone(), timeout_ms, failures),
            chosen(Arc::new(Good::default()), PATIENT_MS, 5),
        ]);
        let handler = Arc::new(bench.enriching_handler(&[], &[], enrichers.clone()));
        let consumer = LogConsumer { handler, ..bench.consumer() };
        Self { bench, hostile, enrichers, consumer }
    }

    async fn send(&self, ids: std::ops::Range<u128>) {
        self.bench.append(&clicks(ids)).await;
        self.bench.drain(self.consumer.clone()).await;
    }

    fn status(&self) -> EnricherStatus {
        self.enrichers.status().swap_remove(0)
    }

    fn failures(&self, reason: &str) -> u64 {
        let name = format!("enrichment_failures_total{{enricher=\"hostile\",reason=\"{reason}\"}}");
        assert_eq!(self.bench.numbers.count(&name), self.status().failures.get(reason).copied().unwrap_or(0));
        self.bench.numbers.count(&name)
    }

    /// The ids of the events that the hostile one knew something of. Checks that all `events` are stored, each once and in
    /// order, and that the good one knew something of all.
    async fn stored(&self, events: u128) -> Vec<u128> {
        let stored = self.bench.store.events();
        let ids: Vec<u128> = stored.iter().map(|event| event.event_id.as_uuid().as_u128()).collect();
        assert_eq!(ids, (0..events).collect::<Vec<_>>());
        let total = self.bench.total().await;
        assert_eq!((u128::from(total.polled), u128::from(total.stored)), (events, events));
        for (event, sent) in stored.iter().zip(clicks(0..events)) {
            let context = event.context.to_value();
            assert!(context["call"].is_u64(), "{context}");
            assert_eq!(
                Event { context: sent.context.clone(), ..event.clone() },
                sent,
                "nothing else is changed"
            );
        }
        let has_hostile = |event: &&Event| event.context.to_value().get("hostile").is_some();
        stored.iter().filter(has_hostile).map(|event| event.event_id.as_uuid().as_u128()).collect()
    }
}

#[tokio::test]
async fn events_go_on_without_an_enricher_that_fails_in_any_way() {
    for (fault, reason, timeout_ms) in [
        (Fault::Hangs, "timeout", SHORT_MS),
        (Fault::Fails, "error", PATIENT_MS),
        (Fault::Panics, "panic", PATIENT_MS),
        (Fault::GivesTooFew, "rubbish", PATIENT_MS),
        (Fault::GivesTooMany, "rubbish", PATIENT_MS),
        (Fault::GivesTooMuch, "rubbish", PATIENT_MS),
        (Fault::NestsTooDeep, "rubbish", PATIENT_MS),
        (Fault::SaysNul, "rubbish", PATIENT_MS),
    ] {
        let set = Set::new(Hostile::new(fault, None), timeout_ms, 2);
        set.send(0..8).await;
        assert_eq!(set.failures(reason), 2, "{fault:?}: a call for each project");
        assert_eq!(set.enrichers.check().await, Health::Up, "{fault:?}");
        set.send(8..16).await;
        assert_eq!(set.failures(reason), 4, "{fault:?}");
        assert_eq!(set.status().state, CircuitState::Open, "{fault:?}");
        assert!(matches!(set.enrichers.check().await, Health::Degraded(_)), "{fault:?}");
        // Nobody is asked any more.
        let calls = set.hostile.calls.load(Ordering::SeqCst);
        set.send(16..24).await;
        assert_eq!(set.hostile.calls.load(Ordering::SeqCst), calls, "{fault:?}");
        assert_eq!(set.failures("open"), 2, "{fault:?}");
        assert_eq!(set.stored(24).await, [0; 0], "{fault:?}");
    }
}

#[tokio::test]
async fn a_thread_that_never_comes_back_holds_nobody_up_and_no_second_one_is_lost_to_it() {
    let set = Set::new(Hostile::new(Fault::Blocks, Some(project("p"))), SHORT_MS, 1_000);
    for round in 0..4 {
        set.send(round * 8..(round + 1) * 8).await;
    }
    assert_eq!((set.failures("timeout"), set.failures("open")), (1, 3));
    assert_eq!(set.status().overdue_calls, 1);
    // What the other project's calls say is used.
    assert_eq!(set.stored(32).await, (0..32).filter(|n| n % 2 == 1).collect::<Vec<_>>());
    set.hostile.heal();
    until("the call is over", async || set.status().overdue_calls == 0).await;
    set.send(32..34).await;
    assert!(set.stored(34).await.contains(&32));
}

#[tokio::test]
async fn a_project_whose_calls_hang_costs_the_others_nothing_once_its_circuit_is_open() {
    let set = Set::new(Hostile::new(Fault::Hangs, Some(project("p"))), SHORT_MS, 2);
    let open = || set.bench.numbers.gauge("circuit_breakers_open{dependency=\"hostile\",call=\"enrich\"}");
    assert_eq!(open(), Some(0.0));
    for round in 0..4 {
        set.send(round * 8..(round + 1) * 8).await;
    }
    assert_eq!((set.failures("timeout"), set.failures("open")), (2, 2));
    assert_eq!((open(), set.status().open_circuits), (Some(1.0), 1));
    let of_q: Vec<u128> = (0..32).filter(|n| n % 2 == 1).collect();
    assert_eq!(set.stored(32).await, of_q);
    // Once it is well again, the first call after the time shows it.
    set.hostile.heal();
    set.bench.clock.advance(30_000);
    set.send(32..34).await;
    assert_eq!(set.stored(34).await, [of_q, vec![32, 33]].concat());
    assert_eq!((open(), set.status().state), (Some(0.0), CircuitState::Closed));
    assert_eq!(set.enrichers.check().await, Health::Up);
}

/// A ledger whose first row is not written: a crash after everything else of the batch.
#[derive(Debug)]
struct CrashingLedger {
    store: Arc<MemoryStore>,
    has_crashed: AtomicBool,
}

#[async_trait]
impl Ledger for CrashingLedger {
    async fn next_offsets(&self, log: &str) -> Result<std::collections::BTreeMap<u32, u64>, LedgerError> {
        Ledger::next_offsets(&*self.store, log).await
    }

    async fn acquire(&self, place: &LogPartition) -> Result<Fence, LedgerError> {
        self.store.acquire(place).await
    }

    async fn end(&self, fence: &Fence) -> Result<Option<u64>, LedgerError> {
        Ledger::end(&*self.store, fence).await
    }

    async fn append(&self, fence: &Fence, row: &LedgerRow) -> Result<(), CommitError> {
        if self.has_crashed.swap(true, Ordering::SeqCst) {
            return self.store.append(fence, row).await;
        }
        Err(CommitError::transient("test", "the process has died"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_processed_again_with_another_enrichment_is_stored_once() {
    let bench = Bench::new(1);
    let store = bench.store.clone();
    let stepped: Arc<dyn BatchStore> = Arc::new(Stepped::new(SteppedPorts {
        ledger: Arc::new(CrashingLedger { store: store.clone(), has_crashed: AtomicBool::new(false) }),
        events: store.clone(),
        sessions: store.clone(),
        aggregates: store.clone(),
        replays: store.clone(),
        dead_letters: store.dead_letters(),
    }));
    // What the first attempt stores of session `t`, the second one blocks.
    let rules: Vec<FilterRuleConfig> = serde_json::from_value(json!([{
        "name": "second", "action": "block", "when": [
            {"field": "context.call", "op": "eq", "value": 2},
            {"field": "session_id", "op": "eq", "value": "t"},
        ],
    }]))
    .unwrap();
    let enrichers = bench.enrichers(vec![chosen(Arc::new(Good::default()), PATIENT_MS, 5)]);
    let handler = Arc::new(bench.enriching_handler(&rules, &[], enrichers));
    let events: Vec<Event> = (0..8)
        .map(|n| Event { session_id: Some(session_id(if n < 4 { "s" } else { "t" })), ..click(n, 0) })
        .collect();
    bench.append(&events).await;
    let running = Running::start(LogConsumer { store: stepped, handler, ..bench.consumer() });
    bench.drained().await;
    running.stop().await.unwrap();

    assert_eq!(bench.stored(), [0, 1, 2, 3]);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored, total.filtered.values().sum::<u64>()), (8, 4, 4));
    assert_eq!(bench.session(&session_id("s")).await.unwrap().click_count, 4);
    assert!(bench.session(&session_id("t")).await.is_none_or(|session| session.click_count == 0));
}

/// Tells the device of clients from elsewhere, unless it hangs or panics.
#[derive(Debug)]
struct Devices(Option<Fault>);

#[async_trait]
impl EventEnricher for Devices {
    fn name(&self) -> &'static str {
        "devices"
    }

    fn client_at_once(&self, _: &Client<'_>) -> Option<Enrichment> {
        assert!(self.0 != Some(Fault::Panics), "as the test wants");
        None
    }

    async fn enrich_client(&self, client: &Client<'_>) -> Result<Enrichment, EnricherError> {
        if self.0 == Some(Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        let device = Device { os: client.user_agent.map(Into::into), ..Device::default() };
        Ok(Enrichment { device, ..Enrichment::default() })
    }
}

#[tokio::test]
async fn requests_are_answered_whatever_an_enricher_of_clients_does() {
    use gosight_application::ingest::ClientFacts;
    use gosight_domain::key::Scoped;
    use gosight_domain::validate::EventDraft;

    for (fault, timeout_ms, os) in [
        (None, PATIENT_MS, Some("Plan 9")),
        (Some(Fault::Hangs), SHORT_MS, None),
        (Some(Fault::Panics), PATIENT_MS, None),
    ] {
        let parts = MemoryParts::default();
        let ChosenEnricher { enricher, limits } = chosen(Arc::new(Devices(fault)), timeout_ms, 5);
        let pipeline = Pipeline::builder(parts.ports())
            .with_clock(Arc::new(ManualClock::new(NOON)))
            .with_client_enricher(enricher, limits)
            .build()
            .unwrap();
        let running = pipeline.start();
        let client = ClientFacts { user_agent: Some("Plan 9"), ..ClientFacts::default() };
        let draft = EventDraft {
            event_type: Some("click".into()),
            timestamp: Some(epoch(0)),
            ..EventDraft::default()
        };
        let ingest = pipeline.ingest.as_ref().unwrap();
        let receipt = ingest.events(&Scoped::vouched(project("p")), &client, &[Ok(draft)]).await.unwrap();
        assert_eq!(receipt.accepted(), 1, "{fault:?} {receipt:?}");
        pipeline.drained().await;
        assert_eq!(parts.store.events()[0].device.os.as_deref(), os, "{fault:?}");
        running.stop().await.unwrap();
    }
}

#[test]
fn enrichers_that_cannot_be_told_apart_are_refused() {
    let build = |names: usize| {
        let mut builder = Pipeline::builder(MemoryParts::default().ports());
        for _ in 0..names {
            let ChosenEnricher { enricher, limits } = chosen(Arc::new(Good::default()), PATIENT_MS, 5);
            builder = builder.with_enricher(enricher, limits);
        }
        builder.build().map(drop)
    };
    build(1).unwrap();
    let twice = build(2).unwrap_err();
    assert!(
        matches!(&twice, BuildError::EnricherName(EnricherNameError::Twice(name)) if name == "good"),
        "{twice}"
    );
}

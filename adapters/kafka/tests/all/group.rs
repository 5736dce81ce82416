//! Several consumers of one group: partitions move between them, and nothing is lost or read twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::backoff::BackoffPolicy;
use gosight_application::ports::{
    AssignmentChange, BatchStore, CommitError, Committed, EventSource, Nothing, PolledBatch, PortError,
    ProcessedBatch, SystemClock,
};
use gosight_application::process::{
    BatchHandler, ConsumerConfig, HandlerError, LogConsumer, ProcessError, ProcessStatus, Refusals,
};
use gosight_domain::ledger::LedgerRow;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    LIMITS, LOG, PATIENCE, Topics, append_numbers, assigned, next_change, poll, read_to, shared, text,
};

/// Everything that was stored, with the ledger that says from where.
#[derive(Debug)]
struct Store {
    ledger: Mutex<Ledger>,
    stored: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Ledger {
    ends: BTreeMap<u32, u64>,
    values: Vec<String>,
    /// Who stored a batch, in order.
    consumers: BTreeSet<&'static str>,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self { ledger: Mutex::default(), stored: watch::Sender::new(0) })
    }

    async fn wait_for(&self, holds: impl Fn(&Ledger) -> bool) {
        let mut stored = self.stored.subscribe();
        let reached = stored.wait_for(|_| holds(&self.ledger.lock().unwrap()));
        tokio::time::timeout(PATIENCE, reached).await.expect("stored in time").unwrap();
    }
}

/// One consumer's way to the store. The values of a batch travel from the handler to the commit beside the batch.
struct Member {
    name: &'static str,
    store: Arc<Store>,
    handled: Mutex<BTreeMap<u32, Vec<String>>>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl BatchHandler for Member {
    async fn handle(&self, batch: &PolledBatch, _: &Refusals) -> Result<ProcessedBatch, HandlerError> {
        let values = batch.records.iter().map(|record| text(&record.value)).collect();
        self.handled.lock().unwrap().insert(batch.span.partition, values);
        Ok(ProcessedBatch::empty(LedgerRow::new(batch.span.clone())))
    }
}

#[async_trait]
impl BatchStore for Member {
    async fn next_offsets(&self, _: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        Ok(self.store.ledger.lock().unwrap().ends.clone())
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let span = &batch.ledger.span;
        let count = {
            let mut ledger = self.store.ledger.lock().unwrap();
            let end = ledger.ends.get(&span.partition).copied().unwrap_or(0);
            if span.first != end {
                return Err(PortError::fatal("store", format!("{span} does not join at {end}")));
            }
            ledger.ends.insert(span.partition, span.next());
            ledger.consumers.insert(self.name);
            let values = self.handled.lock().unwrap().remove(&span.partition).unwrap();
            ledger.values.extend(values);
            ledger.values.len()
        };
        self.store.stored.send_replace(count);
        Ok(Committed::Now)
    }
}

struct Running {
    task: JoinHandle<Result<(), ProcessError>>,
    stop: CancellationToken,
    status: Arc<ProcessStatus>,
}

impl Running {
    fn start(topics: &Topics, name: &'static str, store: &Arc<Store>) -> Self {
        let member = Arc::new(Member { name, store: store.clone(), handled: Mutex::default() });
        let status = Arc::new(ProcessStatus::new(name, LOG));
        let consumer = LogConsumer {
            source: shared(topics.source("g", LOG)),
            store: member.clone(),
            handler: member,
            clock: Arc::new(SystemClock),
            status: status.clone(),
            telemetry: Telemetry::default(),
            config: ConsumerConfig { limits: LIMITS, backoff: BackoffPolicy::default() },
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        Self { task: tokio::spawn(async move { consumer.run(stopped).await }), stop, status }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("ends in time").unwrap().unwrap();
    }
}

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
    let written: u32 = writer.await.unwrap();
    store.wait_for(|ledger| ledger.values.len() as u32 >= written).await;
    assert_eq!(third.status.partitions().len(), 3);
    third.stop().await;
    let mut values = store.ledger.lock().unwrap().values.clone();
    values.sort();
    assert_eq!(values, (0..written).map(|n| format!("{n:08}")).collect::<Vec<_>>());
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

//! Consumers with workers, and a store whose ledger refuses gaps and repetitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gosight_application::Telemetry;
use gosight_application::backoff::BackoffPolicy;
use gosight_application::ports::{
    BatchStore, CommitError, Committed, Nothing, PolledBatch, PortError, ProcessedBatch, SystemClock,
};
use gosight_application::process::{
    BatchHandler, ConsumerConfig, HandlerError, LogConsumer, ProcessError, ProcessStatus, Refusals,
};
use gosight_domain::ledger::LedgerRow;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{LIMITS, LOG, PATIENCE, Topics, shared, text};

/// Everything that was stored, with the ledger that says from where.
#[derive(Debug)]
pub struct Store {
    ledger: Mutex<Ledger>,
    stored: watch::Sender<usize>,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub ends: BTreeMap<u32, u64>,
    pub values: Vec<String>,
    /// Who stored a batch.
    pub consumers: BTreeSet<&'static str>,
}

impl Store {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { ledger: Mutex::default(), stored: watch::Sender::new(0) })
    }

    /// All values, sorted.
    pub fn sorted(&self) -> Vec<String> {
        let mut values = self.ledger.lock().unwrap().values.clone();
        values.sort();
        values
    }

    pub async fn wait_for(&self, holds: impl Fn(&Ledger) -> bool) {
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

pub struct Running {
    task: JoinHandle<Result<(), ProcessError>>,
    stop: CancellationToken,
    pub status: Arc<ProcessStatus>,
}

impl Running {
    pub fn start(topics: &Topics, name: &'static str, store: &Arc<Store>) -> Self {
        let member = Arc::new(Member { name, store: store.clone(), handled: Mutex::default() });
        let status = Arc::new(ProcessStatus::new(name, LOG));
        let consumer = LogConsumer {
            source: shared(topics.source("g", LOG)),
            store: member.clone(),
            handler: member,
            clock: Arc::new(SystemClock),
            status: status.clone(),
            telemetry: Telemetry::default(),
            config: ConsumerConfig { limits: LIMITS, backoff: BackoffPolicy::default(), accept_lost: false },
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        Self { task: tokio::spawn(async move { consumer.run(stopped).await }), stop, status }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("ends in time").unwrap().unwrap();
    }
}

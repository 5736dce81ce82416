use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gosight_application::ports::{
    BatchStore, CommitError, Committed, Nothing, PortError, ProcessedBatch, RefusedRows,
};
use gosight_memory::MemoryStore;
use tokio::sync::Semaphore;

type Judge = Box<dyn Fn(&ProcessedBatch) -> Result<(), CommitError> + Send + Sync>;

/// A store that asks before it commits.
pub struct JudgedStore {
    store: Arc<MemoryStore>,
    judge: Judge,
}

impl JudgedStore {
    pub fn new(
        store: &Arc<MemoryStore>,
        judge: impl Fn(&ProcessedBatch) -> Result<(), CommitError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), judge: Box::new(judge) })
    }
}

impl fmt::Debug for JudgedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JudgedStore")
    }
}

#[async_trait]
impl BatchStore for JudgedStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        self.store.next_offsets(log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        (self.judge)(batch)?;
        self.store.commit(batch).await
    }
}

/// A store whose commits, and whose answers to them, wait for the test. Each permit lets one through.
#[derive(Debug)]
pub struct GatedStore {
    pub store: Arc<MemoryStore>,
    pub commits: Semaphore,
    pub answers: Semaphore,
    /// Has a permit for each commit that was begun.
    pub begun: Semaphore,
}

impl GatedStore {
    pub fn new(store: &Arc<MemoryStore>) -> Arc<Self> {
        let closed = || Semaphore::new(0);
        Arc::new(Self { store: store.clone(), commits: closed(), answers: closed(), begun: closed() })
    }

    /// Waits until one more commit was begun.
    pub async fn commit_begins(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    pub fn open(&self) {
        self.commits.add_permits(1_000);
        self.answers.add_permits(1_000);
    }
}

#[async_trait]
impl BatchStore for GatedStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        self.store.next_offsets(log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        self.begun.add_permits(1);
        self.commits.acquire().await.unwrap().forget();
        let committed = self.store.commit(batch).await;
        self.answers.acquire().await.unwrap().forget();
        committed
    }
}

/// A store whose ledger cannot be read as often as there are errors.
#[derive(Debug)]
pub struct UnreadableLedger {
    store: Arc<MemoryStore>,
    errors: Mutex<VecDeque<PortError>>,
}

impl UnreadableLedger {
    pub fn new(store: &Arc<MemoryStore>, errors: impl IntoIterator<Item = PortError>) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), errors: Mutex::new(errors.into_iter().collect()) })
    }
}

#[async_trait]
impl BatchStore for UnreadableLedger {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        let error = self.errors.lock().unwrap().pop_front();
        match error {
            Some(error) => Err(error),
            None => self.store.next_offsets(log).await,
        }
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        self.store.commit(batch).await
    }
}

/// A store that does its first commit and then does not know whether it did.
#[derive(Debug)]
pub struct ForgetfulStore {
    store: Arc<MemoryStore>,
    has_forgotten: AtomicBool,
}

impl ForgetfulStore {
    pub fn new(store: &Arc<MemoryStore>) -> Self {
        Self { store: store.clone(), has_forgotten: AtomicBool::new(false) }
    }
}

#[async_trait]
impl BatchStore for ForgetfulStore {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        self.store.next_offsets(log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        let committed = self.store.commit(batch).await?;
        if self.has_forgotten.swap(true, Ordering::SeqCst) {
            return Ok(committed);
        }
        Err(CommitError::unknown("store", "timeout"))
    }
}

/// What a store says that is unavailable.
pub fn unavailable<R: fmt::Debug + fmt::Display>() -> PortError<R> {
    PortError::transient("store", "the disk is full")
}

/// What a store says that refuses the rows at these offsets, or some that it cannot name.
pub fn refused(offsets: &[u64]) -> CommitError {
    let offsets = offsets.iter().map(|&offset| (offset, format!("row {offset} is bad"))).collect();
    PortError::Rejected { adapter: "store", refused: RefusedRows { offsets, reason: "bad rows".into() } }
}

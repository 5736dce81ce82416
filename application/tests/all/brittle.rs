//! Stores that fail at the n-th step, before or after it was done: what a crash at that moment looks like to the
//! others.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use gosight_application::ports::{
    CatalogueEntry, CatalogueQuery, ChunkId, CommitError, Fence, Lease, ObjectEntry, ObjectStat,
    ObjectStream, PortError, PutVerdict, ReplayArchive, ReplayCatalogue, ReplayStore,
};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};
use gosight_memory::{MemoryReplayArchive, MemoryReplayCatalogue, MemoryStore};
use uuid::Uuid;

/// Steps that are done before everything fails.
#[derive(Debug)]
pub struct Steps {
    left: AtomicI64,
    /// Whether the failing step is done all the same.
    is_done: bool,
}

impl Steps {
    pub fn new(steps: i64, is_done: bool) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(steps), is_done })
    }

    /// Whether all that was asked for was done.
    pub fn sufficed(&self) -> bool {
        self.left.load(Ordering::SeqCst) >= 0
    }

    /// How many steps of `all` were asked for.
    pub fn taken(&self, all: i64) -> i64 {
        all - self.left.load(Ordering::SeqCst)
    }

    async fn step<T, R: fmt::Debug + fmt::Display>(
        &self,
        work: impl Future<Output = Result<T, PortError<R>>>,
    ) -> Result<T, PortError<R>> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            return work.await;
        }
        if left == 0 && self.is_done {
            work.await?;
        }
        Err(PortError::transient("brittle", "the process has died"))
    }
}

/// A port over one in memory.
#[derive(Debug, Clone)]
pub struct Brittle<P> {
    pub port: Arc<P>,
    pub steps: Arc<Steps>,
}

#[async_trait]
impl ReplayStore for Brittle<MemoryStore> {
    async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError> {
        self.steps.step(self.port.put(fence, chunks)).await
    }

    async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, PortError> {
        self.steps.step(self.port.contents(chunks)).await
    }

    async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, PortError> {
        self.steps.step(self.port.headers(session)).await
    }

    async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, PortError> {
        self.steps.step(self.port.data(chunks)).await
    }

    async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, PortError> {
        self.steps.step(self.port.delete(chunks)).await
    }

    async fn mark_archived(&self, sessions: &[ReplaySession], is_archived: bool) -> Result<(), PortError> {
        self.steps.step(self.port.mark_archived(sessions, is_archived)).await
    }

    async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, PortError> {
        self.steps.step(self.port.are_recorded(sessions)).await
    }

    async fn recorded(
        &self,
        project_id: &ProjectId,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, PortError> {
        self.steps.step(self.port.recorded(project_id, after, limit)).await
    }

    async fn idle(
        &self,
        before: Timestamp,
        after: Option<ReplaySession>,
        limit: usize,
    ) -> Result<Vec<ReplaySession>, PortError> {
        self.steps.step(self.port.idle(before, after, limit)).await
    }
}

#[async_trait]
impl ReplayCatalogue for Brittle<MemoryReplayCatalogue> {
    async fn get(&self, sessions: &[ReplaySession]) -> Result<Vec<Option<CatalogueEntry>>, PortError> {
        self.steps.step(self.port.get(sessions)).await
    }

    async fn put(&self, entry: &CatalogueEntry) -> Result<bool, PortError> {
        self.steps.step(self.port.put(entry)).await
    }

    async fn list(&self, query: &CatalogueQuery) -> Result<Vec<CatalogueEntry>, PortError> {
        self.steps.step(self.port.list(query)).await
    }

    async fn delete(&self, session: &ReplaySession, version: u64) -> Result<bool, PortError> {
        self.steps.step(self.port.delete(session, version)).await
    }

    async fn lease(&self, lease: &Lease) -> Result<bool, PortError> {
        self.steps.step(self.port.lease(lease)).await
    }

    async fn release(&self, session: &ReplaySession, owner: Uuid) -> Result<(), PortError> {
        self.steps.step(self.port.release(session, owner)).await
    }
}

#[async_trait]
impl ReplayArchive for Brittle<MemoryReplayArchive> {
    async fn put(&self, path: &str, object: ObjectStream) -> Result<(), PortError> {
        self.steps.step(self.port.put(path, object)).await
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Option<ObjectStream>, PortError> {
        self.steps.step(self.port.get(path, range)).await
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, PortError> {
        self.steps.step(self.port.stat(path)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, PortError> {
        self.steps.step(self.port.list(prefix, after, limit)).await
    }

    async fn delete(&self, path: &str) -> Result<(), PortError> {
        self.steps.step(self.port.delete(path)).await
    }
}

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gosight_application::ports::{
    AssignmentChange, EventSource, LogEnds, PartitionSource, PollLimits, PolledBatch, SourceError,
};
use gosight_conformance::factory::LOG;
use gosight_memory::MemoryLog;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::GROUP;

type Change = Result<AssignmentChange, SourceError>;

/// A source whose changes of assignment are sent by the test.
#[derive(Debug)]
pub struct ScriptedSource {
    log: Arc<str>,
    changes: tokio::sync::Mutex<UnboundedReceiver<Change>>,
}

/// Sends the changes of a [`ScriptedSource`]; the source is closed when it is dropped.
pub struct Script(UnboundedSender<Change>);

impl ScriptedSource {
    pub fn new() -> (Arc<Self>, Script) {
        let (sender, receiver) = unbounded_channel();
        let changes = tokio::sync::Mutex::new(receiver);
        (Arc::new(Self { log: LOG.into(), changes }), Script(sender))
    }
}

impl Script {
    pub fn assign(&self, partition: Box<dyn PartitionSource>) {
        self.0.send(Ok(AssignmentChange::Assigned(partition))).unwrap();
    }

    /// Revokes a partition; the token is cancelled when its guard is dropped.
    pub fn revoke(&self, partition: u32) -> CancellationToken {
        let token = CancellationToken::new();
        let released = token.clone().drop_guard();
        self.0.send(Ok(AssignmentChange::Revoked { partition, released })).unwrap();
        token
    }

    pub fn fail(&self, error: SourceError) {
        self.0.send(Err(error)).unwrap();
    }
}

#[async_trait]
impl LogEnds for ScriptedSource {
    fn log(&self) -> &Arc<str> {
        &self.log
    }

    async fn end_offsets(&self) -> Result<Vec<(u32, u64)>, SourceError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl EventSource for ScriptedSource {
    async fn next_change(&self) -> Result<Option<AssignmentChange>, SourceError> {
        self.changes.lock().await.recv().await.transpose()
    }
}

/// The next free partition of `log`, as a real reader of it.
pub async fn partition_of(log: &Arc<MemoryLog>) -> Box<dyn PartitionSource> {
    match log.source(GROUP, LOG).next_change().await {
        Ok(Some(AssignmentChange::Assigned(partition))) => partition,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

/// A partition that fails to poll as often as there are errors, and to commit always if set so.
#[derive(Debug)]
pub struct FaultyPartition {
    pub partition: Box<dyn PartitionSource>,
    pub poll_errors: VecDeque<SourceError>,
    pub fails_to_commit: bool,
    /// When it was polled.
    pub polls: Arc<Mutex<Vec<Instant>>>,
}

#[async_trait]
impl PartitionSource for FaultyPartition {
    fn partition(&self) -> u32 {
        self.partition.partition()
    }

    fn position(&self) -> u64 {
        self.partition.position()
    }

    async fn first_offset(&self) -> Result<u64, SourceError> {
        self.partition.first_offset().await
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        self.partition.seek(offset).await
    }

    async fn poll(&mut self, limits: &PollLimits) -> Result<PolledBatch, SourceError> {
        self.polls.lock().unwrap().push(Instant::now());
        match self.poll_errors.pop_front() {
            Some(error) => Err(error),
            None => self.partition.poll(limits).await,
        }
    }

    async fn commit(&mut self, next: u64) -> Result<(), SourceError> {
        if self.fails_to_commit {
            return Err(SourceError::transient("log", "gone"));
        }
        self.partition.commit(next).await
    }
}

/// A partition whose log has lost its records before `first`.
#[derive(Debug)]
pub struct TrimmedPartition {
    pub partition: Box<dyn PartitionSource>,
    pub first: u64,
}

#[async_trait]
impl PartitionSource for TrimmedPartition {
    fn partition(&self) -> u32 {
        self.partition.partition()
    }

    fn position(&self) -> u64 {
        self.partition.position()
    }

    async fn first_offset(&self) -> Result<u64, SourceError> {
        Ok(self.first)
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        self.partition.seek(offset).await
    }

    async fn poll(&mut self, limits: &PollLimits) -> Result<PolledBatch, SourceError> {
        if self.position() < self.first {
            self.partition.seek(self.first).await?;
        }
        self.partition.poll(limits).await
    }

    async fn commit(&mut self, next: u64) -> Result<(), SourceError> {
        self.partition.commit(next).await
    }
}

/// A partition that does not say that records are gone before it is read.
#[derive(Debug)]
pub struct HoledPartition(pub Box<TrimmedPartition>);

#[async_trait]
impl PartitionSource for HoledPartition {
    fn partition(&self) -> u32 {
        self.0.partition()
    }

    fn position(&self) -> u64 {
        self.0.position()
    }

    async fn first_offset(&self) -> Result<u64, SourceError> {
        Ok(0)
    }

    async fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        self.0.seek(offset).await
    }

    async fn poll(&mut self, limits: &PollLimits) -> Result<PolledBatch, SourceError> {
        self.0.poll(limits).await
    }

    async fn commit(&mut self, next: u64) -> Result<(), SourceError> {
        self.0.commit(next).await
    }
}

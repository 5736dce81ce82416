//! A worker for each assigned partition of a log.

use std::collections::HashMap;

use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::consumer::{LogConsumer, ProcessError};
use super::worker::Worker;
use crate::backoff::Backoff;
use crate::ports::{AssignmentChange, PartitionSource};

/// The workers that run.
#[derive(Default)]
struct Workers {
    tasks: JoinSet<Result<u32, ProcessError>>,
    stops: HashMap<u32, CancellationToken>,
    releases: HashMap<u32, DropGuard>,
}

impl LogConsumer {
    /// Runs until `shutdown` is cancelled or the source is closed; each worker finishes the batch it is at. A worker
    /// whose store is unavailable stops waiting: its batch is in the log and is taken up again at the next start.
    ///
    /// # Errors
    /// [`ProcessError`] when a part failed for good. Nothing that was acknowledged is lost by it.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), ProcessError> {
        let mut workers = Workers::default();
        let result = self.supervise(&mut workers, &shutdown).await;
        for stop in workers.stops.values() {
            stop.cancel();
        }
        let mut ended = result;
        while let Some(joined) = workers.tasks.join_next().await {
            let worker = self.joined(joined).map(|_| ());
            ended = ended.and(worker);
        }
        ended
    }

    async fn supervise(
        &self,
        workers: &mut Workers,
        shutdown: &CancellationToken,
    ) -> Result<(), ProcessError> {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(joined) = workers.tasks.join_next() => {
                    let partition = self.joined(joined)?;
                    workers.stops.remove(&partition);
                    self.status.released(partition);
                    self.report_load(partition, 0, 0.0);
                    drop(workers.releases.remove(&partition));
                }
                change = self.next_change() => match change? {
                    Some(AssignmentChange::Assigned(partition)) => {
                        self.start_worker(workers, partition, shutdown);
                    }
                    Some(AssignmentChange::Revoked { partition, released }) => {
                        if let Some(stop) = workers.stops.get(&partition) {
                            stop.cancel();
                            workers.releases.insert(partition, released);
                        }
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    /// The next change of assignment; waits while the source is unavailable.
    async fn next_change(&self) -> Result<Option<AssignmentChange>, ProcessError> {
        let mut backoff = Backoff::new(self.config.backoff);
        loop {
            match self.source.next_change().await {
                Ok(change) => return Ok(change),
                Err(error) if error.is_transient() => {
                    let wait = backoff.next_wait(error.retry_after());
                    tracing::warn!(%error, ?wait, "the log cannot say what to read, asking again");
                    let waiting = self.telemetry.backing_off("assignment");
                    tokio::time::sleep(wait).await;
                    waiting.retry();
                }
                Err(error) => return Err(self.fatal(error)),
            }
        }
    }

    fn start_worker(
        &self,
        workers: &mut Workers,
        source: Box<dyn PartitionSource>,
        shutdown: &CancellationToken,
    ) {
        let stop = shutdown.child_token();
        workers.stops.insert(source.partition(), stop.clone());
        workers.tasks.spawn(Worker::new(self.clone(), source, stop).run());
    }

    fn joined(
        &self,
        joined: Result<Result<u32, ProcessError>, tokio::task::JoinError>,
    ) -> Result<u32, ProcessError> {
        joined
            .unwrap_or_else(|source| Err(ProcessError::WorkerDied { log: self.source.log().clone(), source }))
    }
}

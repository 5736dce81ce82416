//! What runs in a process: doors in front, workers behind them, chores; and how it is stopped in order.

use std::sync::Arc;

use gosight_application::Telemetry;
use gosight_application::decorators::CountedKeys;
use gosight_application::process::{LogConsumer, ProcessError};
use gosight_http::HttpServer;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Metrics, chores};

/// Why a process stopped although nobody asked it to. Nothing that was acknowledged is lost: it is in the log, and is
/// processed at the next start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Processing failed for good.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Http(std::io::Error),
    /// A part panicked.
    #[error("a part died: {0}")]
    Died(#[from] tokio::task::JoinError),
}

/// What every process has to run. Dropping it ends all at once.
#[derive(Debug, Default)]
pub struct Tasks {
    doors: CancellationToken,
    workers: CancellationToken,
    front: JoinSet<Result<(), RunError>>,
    back: JoinSet<Result<(), RunError>>,
    chores: JoinSet<()>,
}

impl Tasks {
    /// Serves HTTP, if there is a server, and reads the logs of `consumers`. Counts and writes down the use of keys
    /// meanwhile.
    pub fn start(
        server: Option<HttpServer>,
        consumers: &[LogConsumer],
        keys: Arc<CountedKeys>,
        metrics: Metrics,
        telemetry: Telemetry,
    ) -> Self {
        let mut tasks = Self::default();
        if let Some(server) = server {
            let doors = tasks.doors.clone();
            tasks.front.spawn(async move { server.run(doors).await.map_err(RunError::Http) });
        }
        for consumer in consumers {
            let (consumer, workers) = (consumer.clone(), tasks.workers.clone());
            tasks.back.spawn(async move { Ok(consumer.run(workers).await?) });
        }
        let consumers = consumers.to_vec();
        tasks.chore(|stop| metrics.upkeep(stop));
        tasks.chore(|stop| chores::record_key_usage(keys, stop));
        if !consumers.is_empty() {
            tasks.chore(|stop| chores::measure_lag(consumers, telemetry, stop));
        }
        tasks
    }

    /// Adds something that is done now and then, until it is told to stop.
    pub fn chore<C: Future<Output = ()> + Send + 'static>(
        &mut self,
        chore: impl FnOnce(CancellationToken) -> C,
    ) {
        self.chores.spawn(chore(self.workers.clone()));
    }

    /// Waits until a part fails for good. Otherwise it never returns.
    pub async fn failed(&mut self) -> RunError {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.front.join_next() => ended,
                Some(ended) = self.back.join_next() => ended,
                else => std::future::pending().await,
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(died) => return died.into(),
            }
        }
    }

    /// Stops: no new requests, requests in flight finish, workers finish the batch they are at.
    ///
    /// # Errors
    /// The first failure of a part; everything is stopped all the same.
    pub async fn stop(mut self) -> Result<(), RunError> {
        self.doors.cancel();
        let front = finish(&mut self.front).await;
        self.workers.cancel();
        let back = finish(&mut self.back).await;
        while self.chores.join_next().await.is_some() {}
        front.and(back)
    }
}

async fn finish(tasks: &mut JoinSet<Result<(), RunError>>) -> Result<(), RunError> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        result = result.and(ended.unwrap_or_else(|died| Err(died.into())));
    }
    result
}

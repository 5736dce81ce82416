use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::process::{LogConsumer, ProcessError};

/// Why a pipeline stopped although nobody asked it to. Nothing that was acknowledged is lost: it is in the log, and is
/// processed at the next start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Processing failed for good.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A part panicked.
    #[error("a part died: {0}")]
    Died(#[from] tokio::task::JoinError),
}

/// A pipeline that runs. Dropping it ends it at once; [`stop`](Self::stop) lets it finish.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    workers: JoinSet<Result<(), RunError>>,
    background: JoinSet<()>,
}

impl Running {
    /// Lets each of `consumers` read its log.
    pub(super) fn start(consumers: &[LogConsumer]) -> Self {
        let mut running =
            Self { stop: CancellationToken::new(), workers: JoinSet::new(), background: JoinSet::new() };
        for consumer in consumers {
            let (consumer, stop) = (consumer.clone(), running.stop.clone());
            running.workers.spawn(async move { Ok(consumer.run(stop).await?) });
        }
        running
    }

    /// Does something beside, until shutdown.
    pub fn spawn<T: Future<Output = ()> + Send + 'static>(
        &mut self,
        task: impl FnOnce(CancellationToken) -> T,
    ) {
        self.background.spawn(task(self.stop.clone()));
    }

    /// Waits until a part fails for good. Otherwise it never returns.
    pub async fn failed(&mut self) -> RunError {
        loop {
            tokio::select! {
                Some(ended) = self.workers.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return error,
                    Err(died) => return died.into(),
                },
                // Events are taken in and processed without it, so the others go on.
                Some(ended) = self.background.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "background work died, and is not done until the next start");
                    }
                }
                else => std::future::pending().await,
            }
        }
    }

    /// Stops: workers finish the batch that they are at. What is not processed stays in the log.
    ///
    /// # Errors
    /// The first failure of a part; everything is stopped all the same.
    pub async fn stop(mut self) -> Result<(), RunError> {
        self.stop.cancel();
        let mut result = Ok(());
        while let Some(ended) = self.workers.join_next().await {
            result = result.and(ended.unwrap_or_else(|died| Err(died.into())));
        }
        while self.background.join_next().await.is_some() {}
        result
    }
}

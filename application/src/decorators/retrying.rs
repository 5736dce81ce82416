use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_domain::Event;

use crate::backoff::{Backoff, BackoffPolicy};
use crate::ports::{EventSink, SinkError};
use crate::telemetry::Telemetry;

/// A sink that tries again while the one behind it is unavailable.
///
/// Appending twice is harmless by the port's contract, so an unknown outcome is tried again like a failure.
#[derive(Debug)]
pub struct Retrying<S> {
    sink: S,
    policy: BackoffPolicy,
    max_attempts: u32,
    max_wait: Duration,
    telemetry: Telemetry,
}

impl<S: EventSink> Retrying<S> {
    /// Tries `max_attempts` times in all.
    pub fn new(sink: S, policy: BackoffPolicy, max_attempts: u32, telemetry: Telemetry) -> Self {
        Self { sink, policy, max_attempts, max_wait: Duration::MAX, telemetry }
    }

    /// Gives the error back when the sink asks for a longer wait than this.
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventSink> EventSink for Retrying<S> {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let mut backoff = Backoff::new(self.policy);
        loop {
            let error = match self.sink.append(events).await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            let is_too_long = error.retry_after().is_some_and(|asked| asked > self.max_wait);
            if is_too_long || backoff.attempts() + 1 >= self.max_attempts {
                return Err(error);
            }
            let wait = backoff.next_wait(error.retry_after());
            tracing::warn!(%error, ?wait, attempt = backoff.attempts(), "a sink failed, trying again");
            let waiting = self.telemetry.backing_off("sink");
            tokio::time::sleep(wait).await;
            waiting.retry();
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventSink + ?Sized> EventSink for Arc<S> {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        (**self).append(events).await
    }
}

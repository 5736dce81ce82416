use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use gosight_domain::Event;

use crate::ports::{EventSink, PortError, SinkError};
use crate::telemetry::{Metric, Telemetry};

/// A sink that tells how long appending takes and how it ends.
#[derive(Debug)]
pub struct Observed<S> {
    sink: S,
    name: Arc<str>,
    telemetry: Telemetry,
}

impl<S: EventSink> Observed<S> {
    /// Observes `sink` under `name`.
    pub fn new(sink: S, name: impl Into<Arc<str>>, telemetry: Telemetry) -> Self {
        Self { sink, name: name.into(), telemetry }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: EventSink> EventSink for Observed<S> {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let start = Instant::now();
        let result = self.sink.append(events).await;
        let outcome = match &result {
            Ok(()) => "ok",
            Err(PortError::Rejected { .. }) => "rejected",
            Err(PortError::Transient { .. }) => "transient",
            Err(PortError::Fatal { .. }) => "fatal",
        };
        let labels = [("sink", &*self.name), ("outcome", outcome)];
        self.telemetry.observe_time(Metric::SinkSeconds, &labels, start.elapsed());
        result
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use gosight_domain::Event;

use crate::ports::{EventSink, PortError, RefusedEvent, RefusedEvents, SinkError};

/// A sink that gives every event to several sinks, at the same time.
///
/// The worst outcome wins: fatal before transient before rejected before success. An event that any sink refuses is
/// refused.
#[derive(Debug)]
pub struct FanOut {
    sinks: Vec<Arc<dyn EventSink>>,
}

impl FanOut {
    /// Gives events to all of `sinks`.
    pub fn new(sinks: Vec<Arc<dyn EventSink>>) -> Self {
        Self { sinks }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventSink for FanOut {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let results = join_all(self.sinks.iter().map(|sink| sink.append(events))).await;
        results.into_iter().reduce(worse).unwrap_or(Ok(()))
    }
}

/// The worse of two outcomes; refusals add up.
pub(super) fn worse(a: Result<(), SinkError>, b: Result<(), SinkError>) -> Result<(), SinkError> {
    match (a, b) {
        (
            Err(PortError::Rejected { adapter, refused: mine }),
            Err(PortError::Rejected { refused: theirs, .. }),
        ) => {
            let all: BTreeMap<usize, RefusedEvent> =
                mine.0.into_iter().chain(theirs.0).map(|refused| (refused.index, refused)).collect();
            Err(PortError::Rejected { adapter, refused: RefusedEvents(all.into_values().collect()) })
        }
        (a, b) if severity(&a) >= severity(&b) => a,
        (_, b) => b,
    }
}

fn severity(result: &Result<(), SinkError>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(PortError::Rejected { .. }) => 1,
        Err(PortError::Transient { .. }) => 2,
        Err(PortError::Fatal { .. }) => 3,
    }
}

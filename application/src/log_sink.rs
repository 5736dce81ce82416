use std::sync::Arc;

use async_trait::async_trait;
use gosight_domain::Event;

use crate::codec::encode_event;
use crate::ports::{EventSink, PortError, RecordLog, RefusedEvent, RefusedEvents, SinkError};

/// A log of records as a sink of events: encodes each event and keys it so that a session keeps its order.
#[derive(Debug, Clone)]
pub struct LogSink {
    log: Arc<dyn RecordLog>,
    name: Arc<str>,
}

const ADAPTER: &str = "event log";

impl LogSink {
    /// Appends events to the log called `name`.
    pub fn new(log: Arc<dyn RecordLog>, name: impl Into<Arc<str>>) -> Self {
        Self { log, name: name.into() }
    }
}

#[async_trait]
impl EventSink for LogSink {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        if events.is_empty() {
            return Ok(());
        }
        let records: Result<Vec<_>, _> = events.iter().map(encode_event).collect();
        let records = records.map_err(|error| SinkError::fatal(ADAPTER, error))?;
        self.log.append(&self.name, records).await.map_err(|error| match error {
            PortError::Rejected { adapter, refused } => {
                let refused = refused
                    .0
                    .into_iter()
                    .filter_map(|record| {
                        let event_id = events.get(record.index)?.event_id;
                        Some(RefusedEvent { index: record.index, event_id, reason: record.reason })
                    })
                    .collect();
                PortError::Rejected { adapter, refused: RefusedEvents(refused) }
            }
            PortError::Transient { adapter, effect, retry_after, source } => {
                PortError::Transient { adapter, effect, retry_after, source }
            }
            PortError::Fatal { adapter, source } => PortError::Fatal { adapter, source },
        })
    }
}

use std::fmt;

use async_trait::async_trait;
use gosight_domain::{Event, EventId};

use super::PortError;

/// Events that a sink refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEvents(pub Vec<RefusedEvent>);

/// One event that a sink refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEvent {
    /// Its place among the events of the call.
    pub index: usize,
    /// The event.
    pub event_id: EventId,
    /// Why it is refused.
    pub reason: String,
}

impl fmt::Display for RefusedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} event(s)", self.0.len())?;
        self.0.first().map_or(Ok(()), |first| write!(f, ", the first because {}", first.reason))
    }
}

/// Error of [`EventSink`].
pub type SinkError = PortError<RefusedEvents>;

/// Durably accepts events: a topic, a table, an embedded log, or a decorator over other sinks.
///
/// # Contract
/// 1. `Ok` means that every event survives a crash.
/// 2. `Rejected` names the bad events; all others are accepted as with `Ok`.
/// 3. After `Transient` any of the events may have been accepted. Appending the same events again changes nothing that
///    a reader of the product sees: an event is counted once by its id.
/// 4. The order of the events of one session is kept.
/// 5. No events is a success that does nothing.
#[async_trait]
pub trait EventSink: fmt::Debug + Send + Sync {
    /// Accepts `events`.
    async fn append(&self, events: &[Event]) -> Result<(), SinkError>;
}

//! Wrong sinks of events.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use gosight_application::ports::{
    EventSink, LogError, PortError, Record, RecordLog, RefusedEvents, SinkError,
};
use gosight_application::{LogSink, logs};
use gosight_conformance::event_sink::{ReadBack, SinkFixture, cases};
use gosight_conformance::factory::object;
use gosight_conformance::processed::process_all;
use gosight_domain::{Event, EventId};
use gosight_memory::{MemoryLog, MemoryStore};
use uuid::Uuid;

use crate::harness::wrong;

wrong! { cases(), fixture:
    1 a_sink_that_acknowledges_before_it_writes_is_noticed(Fault::AcknowledgesBeforeItWrites):
        events_survive_a_crash_as_they_were;
    1 a_sink_that_acknowledges_a_part_is_noticed(Fault::AcknowledgesAPart):
        events_survive_a_crash_as_they_were;
    2 a_sink_that_refuses_a_whole_call_is_noticed(Fault::RefusesTheWholeCall):
        a_refused_event_is_named_and_the_others_are_accepted;
    2 a_sink_that_names_the_first_bad_event_only_is_noticed(Fault::NamesTheFirstOnly):
        a_refused_event_is_named_and_the_others_are_accepted;
    2 a_sink_that_counts_among_the_bad_events_is_noticed(Fault::CountsAmongTheBad):
        a_refused_event_is_named_and_the_others_are_accepted;
    3 a_sink_that_names_each_attempt_anew_is_noticed(Fault::NamesEachAttemptAnew):
        appending_again_changes_nothing;
    4 a_sink_that_keys_by_event_is_noticed(Fault::KeysByEvent):
        the_events_of_a_session_keep_their_order;
    5 a_sink_that_fails_without_events_is_noticed(Fault::FailsWithoutEvents):
        no_events_are_a_success;
}

/// What is wrong with a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Events wait in the process until the next call.
    AcknowledgesBeforeItWrites,
    /// One acknowledgement stands for all records that were sent.
    AcknowledgesAPart,
    /// A call is a transaction.
    RefusesTheWholeCall,
    /// It stops looking at the first event that is bad, and drops the others.
    NamesTheFirstOnly,
    /// The place is that among the refused, not that in the call.
    CountsAmongTheBad,
    /// An event that comes again has another id.
    NamesEachAttemptAnew,
    /// Load is spread by event instead of session.
    KeysByEvent,
    /// A batch without records is refused by the log.
    FailsWithoutEvents,
}

/// A sink over a log, with a fault.
#[derive(Debug)]
struct WrongSink {
    right: LogSink,
    fault: Option<Fault>,
    unwritten: Mutex<Vec<Event>>,
    seen: Mutex<HashSet<EventId>>,
}

impl WrongSink {
    /// Whether a log like the right one would take the events, without appending them to it.
    async fn check(&self, events: &[Event]) -> Result<(), SinkError> {
        log().events().append(events).await
    }

    /// Keeps `events` for later, and gives those that waited.
    fn write_later(&self, events: &[Event]) -> Vec<Event> {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut unwritten, events.to_vec())
    }

    /// The event under another id if it came before.
    fn named_anew(&self, event: &Event) -> Event {
        let is_new = self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(event.event_id);
        let id = event.event_id.as_uuid().as_u128() + if is_new { 0 } else { 1_000 };
        Event { event_id: EventId::from_uuid(Uuid::from_u128(id)), ..event.clone() }
    }
}

/// The same refusal, told in another way.
fn told(
    result: Result<(), SinkError>,
    change: impl FnOnce(RefusedEvents) -> RefusedEvents,
) -> Result<(), SinkError> {
    result.map_err(|error| match error {
        PortError::Rejected { adapter, refused } => PortError::Rejected { adapter, refused: change(refused) },
        other => other,
    })
}

#[async_trait]
impl EventSink for WrongSink {
    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        match self.fault {
            Some(Fault::AcknowledgesBeforeItWrites) => {
                self.check(events).await?;
                self.right.append(&self.write_later(events)).await
            }
            Some(Fault::AcknowledgesAPart) => self.right.append(&events[..events.len().min(1)]).await,
            Some(Fault::RefusesTheWholeCall) => {
                self.check(events).await?;
                self.right.append(events).await
            }
            Some(Fault::NamesTheFirstOnly) => told(self.right.append(events).await, |mut refused| {
                refused.0.truncate(1);
                refused
            }),
            Some(Fault::CountsAmongTheBad) => told(self.right.append(events).await, |mut refused| {
                refused.0.iter_mut().enumerate().for_each(|(place, refused)| refused.index = place);
                refused
            }),
            Some(Fault::NamesEachAttemptAnew) => {
                let events: Vec<Event> = events.iter().map(|event| self.named_anew(event)).collect();
                self.right.append(&events).await
            }
            Some(Fault::FailsWithoutEvents) if events.is_empty() => {
                Err(SinkError::fatal("wrong", "a batch without records"))
            }
            _ => self.right.append(events).await,
        }
    }
}

/// A log in which every record has a key of its own.
#[derive(Debug)]
struct KeyedByEvent(Arc<MemoryLog>);

#[async_trait]
impl RecordLog for KeyedByEvent {
    async fn append(&self, log: &str, records: Vec<Record>) -> Result<(), LogError> {
        let keyed = |record: Record| Record { key: Bytes::clone(&record.value), ..record };
        self.0.append(log, records.into_iter().map(keyed).collect()).await
    }
}

fn log() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::with_limits(3, 10_000, 100_000))
}

/// What the log has, processed.
struct Processed(Arc<MemoryLog>);

#[async_trait]
impl ReadBack for Processed {
    async fn events(&self) -> Vec<Event> {
        let store = Arc::new(MemoryStore::default());
        let source = Arc::new(self.0.source("wrong", logs::EVENTS));
        process_all(source, store.clone(), store.deduplicator()).await;
        store.events()
    }
}

/// An event whose record is too large for the log.
fn too_large(event: Event) -> Event {
    let text = "x".repeat(20_000);
    Event { custom: object(&format!(r#"{{"text": "{text}"}}"#)), ..event }
}

fn fixture(fault: Option<Fault>) -> SinkFixture {
    let log = log();
    let right = match fault {
        Some(Fault::KeysByEvent) => LogSink::new(Arc::new(KeyedByEvent(log.clone())), logs::EVENTS),
        _ => log.events(),
    };
    let sink = WrongSink { right, fault, unwritten: Mutex::default(), seen: Mutex::default() };
    let read_back = Box::new(Processed(log));
    SinkFixture { sink: Arc::new(sink), read_back, refused: too_large, keep: Box::new(()) }
}

//! A test of code that sends events, with the memory adapters: no disk, no threads, no waiting.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::sync::Arc;

use gosight_application::LogSink;
use gosight_application::codec::decode_event;
use gosight_application::ports::{Clock, EventSink};
use gosight_domain::{Event, EventId, EventName, ProjectId, Timestamp, UserId};
use gosight_memory::{ManualClock, MemoryLog};

/// Your code: says that a trial ended.
async fn trial_ended(sink: &dyn EventSink, clock: &dyn Clock, user: &UserId) -> anyhow::Result<()> {
    let project = ProjectId::new("billing")?;
    // The same trial gives the same id, so saying it twice counts once.
    let id = EventId::from_client(&project, &format!("trial-ended-{user}"))?;
    let name = EventName::new("trial_ended")?;
    let event = Event { user_id: Some(user.clone()), ..Event::new(id, project, name, clock.now()) };
    sink.append(&[event]).await?;
    Ok(())
}

/// Your test of it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let log = Arc::new(MemoryLog::new(1));
    let sink = LogSink::new(log.clone(), "events");
    let clock = ManualClock::new(Timestamp::from_millis(1_795_204_259_500));
    let user = UserId::new("u-1")?;

    trial_ended(&sink, &clock, &user).await?;
    clock.advance(60_000);
    trial_ended(&sink, &clock, &user).await?;

    let events: Result<Vec<Event>, _> =
        log.records("events").iter().map(|record| decode_event(&record.value)).collect();
    let events = events?;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].event_id, events[1].event_id);
    assert_eq!(events[1].timestamp.millis_since(events[0].timestamp), 60_000);
    println!("the trial's end was said twice, with one id: {}", events[0].event_id);
    Ok(())
}

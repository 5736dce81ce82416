//! Decorators over sinks: retry, fan-out, observation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::backoff::BackoffPolicy;
use gosight_application::decorators::{FanOut, Observed, Retrying};
use gosight_application::ports::{EventSink, PortError, RefusedEvent, RefusedEvents, SinkError};
use gosight_conformance::factory::{click, event_id};
use mockall::Sequence;
use tokio::time::Instant;

use crate::support::{BACKOFF, MockSink, Numbers, RETRY_AFTER, busy};

fn unavailable() -> SinkError {
    SinkError::transient("sink", "gone")
}

fn broken() -> SinkError {
    SinkError::fatal("sink", "no such table")
}

/// Refuses the events at these places.
fn refuses(places: &[usize], reason: &str) -> SinkError {
    let refused = places.iter().map(|&index| RefusedEvent {
        index,
        event_id: event_id(index as u128),
        reason: reason.to_owned(),
    });
    PortError::Rejected { adapter: "sink", refused: RefusedEvents(refused.collect()) }
}

/// A sink that is called as often as there are outcomes, and gives them in turn.
fn sink(outcomes: Vec<Result<(), SinkError>>) -> MockSink {
    let (mut sink, mut sequence) = (MockSink::new(), Sequence::new());
    for outcome in outcomes {
        sink.expect_append()
            .times(1)
            .withf(|events| events.len() == 2)
            .in_sequence(&mut sequence)
            .return_once(move |_| outcome);
    }
    sink
}

async fn append(sink: &dyn EventSink) -> Result<(), SinkError> {
    sink.append(&[click(1, 0), click(2, 1)]).await
}

/// The outcome in a word; of refusals with their places and reasons.
fn told(outcome: Result<(), SinkError>) -> String {
    match outcome {
        Ok(()) => "ok".into(),
        Err(PortError::Transient { .. }) => "transient".into(),
        Err(PortError::Fatal { .. }) => "fatal".into(),
        Err(PortError::Rejected { refused, .. }) => {
            let told = refused.0.iter().map(|refused| format!("{} {}", refused.index, refused.reason));
            told.collect::<Vec<_>>().join(", ")
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_comes_back_gets_the_events() {
    let numbers = Numbers::default();
    let outcomes = vec![Err(unavailable()), Err(SinkError::unknown("sink", "timeout")), Ok(())];
    let retrying = Retrying::new(sink(outcomes), BACKOFF, 5, numbers.telemetry());
    let start = Instant::now();
    append(&retrying).await.unwrap();
    // 2 s and 4 s, each at least half of it.
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited <= Duration::from_millis(6_010), "{waited:?}");
    assert_eq!(numbers.count(r#"retries_total{what="sink"}"#), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_says_when_to_come_back_is_heard() {
    let policy = BackoffPolicy { initial: Duration::from_millis(1), max: Duration::from_millis(1) };
    let retrying = Retrying::new(sink(vec![Err(busy()), Ok(())]), policy, 2, Telemetry::default());
    let start = Instant::now();
    append(&retrying).await.unwrap();
    assert!(start.elapsed() >= RETRY_AFTER, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_asks_for_a_long_wait_is_not_waited_for_where_somebody_waits_for_the_answer() {
    let retrying = Retrying::new(sink(vec![Err(busy())]), BACKOFF, 5, Telemetry::default())
        .with_max_wait(RETRY_AFTER.mul_f64(0.99));
    let start = Instant::now();
    assert_eq!(told(append(&retrying).await), "transient");
    assert!(start.elapsed() <= Duration::from_millis(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_gives_its_error_without_another_wait() {
    for max_attempts in [0, 1, 3] {
        let outcomes = (0..max_attempts.max(1)).map(|_| Err(unavailable())).collect();
        let retrying = Retrying::new(sink(outcomes), BACKOFF, max_attempts, Telemetry::default());
        let start = Instant::now();
        assert_eq!(told(append(&retrying).await), "transient");
        let longest = Duration::from_millis(if max_attempts == 3 { 6_010 } else { 0 });
        assert!(start.elapsed() <= longest, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_never_work_is_not_tried_again() {
    for (error, expected) in [(refuses(&[1], "bad"), "1 bad"), (broken(), "fatal")] {
        let numbers = Numbers::default();
        let retrying = Retrying::new(sink(vec![Err(error)]), BACKOFF, 5, numbers.telemetry());
        assert_eq!(told(append(&retrying).await), expected);
        assert_eq!(numbers.count(r#"retries_total{what="sink"}"#), 0);
    }
}

#[tokio::test]
async fn every_sink_of_a_fan_out_gets_every_event() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let counting = || {
        let (mut sink, seen) = (MockSink::new(), seen.clone());
        sink.expect_append().times(1).returning(move |events| {
            seen.lock().unwrap().extend(events.iter().map(|event| event.event_id));
            Ok(())
        });
        Arc::new(sink) as Arc<dyn EventSink>
    };
    append(&FanOut::new(vec![counting(), counting()])).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2, 1, 2].map(event_id));
    append(&FanOut::new(Vec::new())).await.unwrap();
}

#[tokio::test]
async fn the_worst_outcome_of_a_fan_out_wins_whichever_sink_has_it() {
    let outcomes = [|| Ok(()), || Err(refuses(&[0], "bad")), || Err(unavailable()), || Err(broken())];
    for (i, first) in outcomes.iter().enumerate() {
        for (j, second) in outcomes.iter().enumerate() {
            let sinks: Vec<Arc<dyn EventSink>> =
                vec![Arc::new(sink(vec![first()])), Arc::new(sink(vec![second()]))];
            let worst = ["ok", "0 bad", "transient", "fatal"][i.max(j)];
            assert_eq!(told(append(&FanOut::new(sinks)).await), worst, "{i} and {j}");
        }
    }
}

#[tokio::test]
async fn refusals_of_a_fan_out_add_up_and_each_event_is_named_once() {
    let sinks: Vec<Arc<dyn EventSink>> = vec![
        Arc::new(sink(vec![Err(refuses(&[3, 1], "large"))])),
        Arc::new(sink(vec![Ok(())])),
        Arc::new(sink(vec![Err(refuses(&[1, 0], "large"))])),
    ];
    assert_eq!(told(append(&FanOut::new(sinks)).await), "0 large, 1 large, 3 large");
}

#[tokio::test]
async fn appending_is_observed_by_sink_and_outcome() {
    let numbers = Numbers::default();
    let outcomes = vec![Ok(()), Ok(()), Err(refuses(&[0], "bad")), Err(unavailable()), Err(broken())];
    let observed = Observed::new(sink(outcomes), "table", numbers.telemetry());
    for expected in ["ok", "ok", "0 bad", "transient", "fatal"] {
        assert_eq!(told(append(&observed).await), expected);
    }
    let seen = |outcome: &str| {
        numbers.observations(&format!("sink_append_seconds{{sink=\"table\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!(["ok", "rejected", "transient", "fatal"].map(seen), [2, 1, 1, 1]);
}

//! Ingest of events: a verdict for each, the good ones logged, the bad ones reported.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::codec::decode_event;
use gosight_application::ingest::{ClientFacts, IngestError, IngestReceipt};
use gosight_application::logs;
use gosight_application::ports::{
    LogError, RateDecision, RateLimiterError, Record, RecordLog, RefusedRecord, RefusedRecords,
};
use gosight_conformance::factory::{NOON, project};
use gosight_domain::validate::EventDraft;
use gosight_domain::{Event, EventId, Violation, ViolationCode};
use gosight_memory::MemoryLog;
use serde_json::json;
use serde_json::value::RawValue;

use crate::support::{IngestBench, MockLog, MockSink, RETRY_AFTER, busy, epoch, limiter, may_send};

type Draft<'a> = Result<EventDraft<'a>, Violation>;

fn draft(id: &str) -> EventDraft<'_> {
    EventDraft {
        event_id: Some(id.into()),
        event_type: Some("page_view".into()),
        timestamp: Some(epoch(-1_000)),
        ..EventDraft::default()
    }
}

fn unreadable() -> Draft<'static> {
    Err(Violation::new("events[0]", ViolationCode::WrongType, "must be an object"))
}

fn id(text: &str) -> EventId {
    EventId::from_client(&project("p"), text).unwrap()
}

async fn send(bench: &IngestBench, drafts: &[Draft<'_>]) -> Result<IngestReceipt, IngestError> {
    bench.ingest.events(&may_send(), &ClientFacts::default(), drafts).await
}

fn logged(bench: &IngestBench) -> Vec<Event> {
    let records = bench.log.records(logs::EVENTS);
    records.iter().map(|record| decode_event(&record.value).unwrap().into_event()).collect()
}

fn logged_ids(bench: &IngestBench) -> Vec<EventId> {
    logged(bench).iter().map(|event| event.event_id).collect()
}

/// The ids of the accepted, the codes of the refused.
fn verdicts(receipt: &IngestReceipt) -> Vec<Result<EventId, ViolationCode>> {
    receipt.verdicts.iter().map(|verdict| verdict.as_ref().copied().map_err(|bad| bad.code)).collect()
}

#[tokio::test]
async fn each_event_gets_its_verdict_in_order_and_the_good_ones_are_logged() {
    let bench = IngestBench::new();
    let nameless = EventDraft { event_type: None, ..draft("b") };
    let receipt = send(&bench, &[Ok(draft("a")), Ok(nameless), unreadable(), Ok(draft("d"))]).await.unwrap();
    let expected = [Ok(id("a")), Err(ViolationCode::Missing), Err(ViolationCode::WrongType), Ok(id("d"))];
    assert_eq!(verdicts(&receipt), expected);
    assert_eq!(receipt.accepted(), 2);
    assert_eq!(receipt.refused().map(|(index, _)| index).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(logged_ids(&bench), [id("a"), id("d")]);
}

#[tokio::test]
async fn events_are_logged_under_their_session_else_their_user_else_themselves() {
    let bench = IngestBench::new();
    let of_user = EventDraft { user_id: Some("u-1".into()), ..draft("a") };
    let of_session = EventDraft { session_id: Some("s-1".into()), user_id: Some("u-1".into()), ..draft("b") };
    send(&bench, &[Ok(of_session), Ok(of_user), Ok(draft("c"))]).await.unwrap();
    let records = bench.log.records(logs::EVENTS);
    let keys: Vec<&[u8]> = records.iter().map(|record| &*record.key).collect();
    assert_eq!(keys, [b"s-1".as_slice(), b"u-1", id("c").as_uuid().as_bytes()]);
}

#[tokio::test]
async fn a_refused_event_is_reported_with_its_place_field_code_and_text() {
    let bench = IngestBench::new();
    let payload = serde_json::from_str::<Box<RawValue>>(r#"{"x": 70000}"#).unwrap();
    let click = EventDraft {
        event_type: Some("click".into()),
        payload: Some(Cow::Borrowed(&*payload)),
        ..draft("b")
    };
    send(&bench, &[Ok(draft("a")), Ok(click)]).await.unwrap();
    let expected = json!({
        "project_id": "p",
        "received_at": NOON.as_millis(),
        "index": 1,
        "field": "payload.x",
        "code": "out_of_range",
        "reason": "70000 is outside of -32768 to 32767",
        "item": {
            "event_id": "b", "event_type": "click", "timestamp": epoch(-1_000), "device": {},
            "payload": {"x": 70000},
        },
    });
    assert_eq!(bench.reports().await, [expected]);
    assert_eq!(bench.log.records(logs::ERRORS)[0].key, "p");
}

#[tokio::test]
async fn what_could_not_be_read_or_was_too_large_is_reported_without_its_text() {
    let bench = IngestBench::with(MemoryLog::new(1), |_, rules| rules.event.max_event_bytes = 100);
    let long = "x".repeat(101);
    let large = EventDraft { url: Some(long.as_str().into()), ..draft("a") };
    send(&bench, &[unreadable(), Ok(large)]).await.unwrap();
    let reports = bench.reports().await;
    let codes: Vec<&str> = reports.iter().map(|report| report["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["wrong_type", "too_large"]);
    assert!(reports.iter().all(|report| report.get("item").is_none()), "{reports:?}");
}

#[tokio::test]
async fn a_request_without_events_or_with_too_many_is_refused_before_it_counts() {
    let never = limiter(|_| panic!("nothing is taken for a request that is refused as a whole"));
    let bench = IngestBench::with(MemoryLog::new(1), |ports, rules| {
        ports.limiter = Arc::new(never);
        rules.max_events = 2;
    });
    assert!(matches!(send(&bench, &[]).await, Err(IngestError::Empty)));
    let three = ["a", "b", "c"].map(|id| Ok(draft(id)));
    let error = send(&bench, &three).await.unwrap_err();
    assert!(matches!(error, IngestError::TooManyEvents { found: 3, max: 2 }), "{error}");
    assert_eq!(logged(&bench), []);
}

#[tokio::test]
async fn the_limit_counts_events_good_and_bad() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = taken.clone();
    let counting = limiter(move |events| {
        seen.lock().unwrap().push(events);
        Ok(RateDecision::Allowed)
    });
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.limiter = Arc::new(counting));
    send(&bench, &[Ok(draft("a")), unreadable(), Ok(draft("c"))]).await.unwrap();
    send(&bench, &[Ok(draft("d"))]).await.unwrap();
    assert_eq!(*taken.lock().unwrap(), [3, 1]);
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_whole_and_leaves_nothing() {
    let wait = Duration::from_secs(3);
    let limited = limiter(move |events| {
        Ok(if events > 1 { RateDecision::Limited { retry_after: wait } } else { RateDecision::Allowed })
    });
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.limiter = Arc::new(limited));
    let error = send(&bench, &[Ok(draft("a")), unreadable()]).await.unwrap_err();
    assert!(matches!(error, IngestError::RateLimited { retry_after } if retry_after == wait), "{error}");
    assert_eq!(logged(&bench), []);
    assert!(bench.reports().await.is_empty());
    assert_eq!(bench.numbers.count("events_accepted_total"), 0);
    send(&bench, &[Ok(draft("a"))]).await.unwrap();
    assert_eq!(logged_ids(&bench), [id("a")]);
}

#[tokio::test]
async fn a_limiter_that_does_not_answer_lets_events_through() {
    let unavailable = limiter(|_| Err(RateLimiterError::transient("limiter", "gone")));
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.limiter = Arc::new(unavailable));
    send(&bench, &[Ok(draft("a"))]).await.unwrap();
    assert_eq!(logged_ids(&bench), [id("a")]);
    assert_eq!(bench.numbers.count(r#"rate_limiter_unavailable_total{instead="no_limit"}"#), 1);
    assert_eq!(bench.numbers.count(r#"retries_total{what="rate_limiter"}"#), 0, "nothing is retried");
}

#[tokio::test]
async fn nothing_is_acknowledged_when_the_log_is_away() {
    let mut sink = MockSink::new();
    sink.expect_append().times(1).returning(|_| Err(busy()));
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.events = Arc::new(sink));
    match send(&bench, &[Ok(draft("a")), unreadable()]).await {
        Err(IngestError::Unavailable { retry_after, source }) => {
            assert_eq!(retry_after, Some(RETRY_AFTER));
            assert_eq!(source.to_string(), "the queue is full");
        }
        other => panic!("expected that nothing can be taken, got {other:?}"),
    }
    assert_eq!(bench.numbers.count("events_accepted_total"), 0);
    // The client sends all of it again, and the bad one is reported then.
    assert!(bench.reports().await.is_empty());
}

#[tokio::test]
async fn an_event_that_the_log_refuses_gets_its_verdict_and_its_neighbours_stay_accepted() {
    let bench = IngestBench::with(MemoryLog::with_limits(1, 500, 100), |_, _| {});
    let long = "x".repeat(500);
    let large = EventDraft { title: Some(long.as_str().into()), ..draft("c") };
    // One that is not even offered to the log stands before it.
    let drafts = [unreadable(), Ok(draft("b")), Ok(large), Ok(draft("d"))];
    let receipt = send(&bench, &drafts).await.unwrap();
    let expected = [Err(ViolationCode::WrongType), Ok(id("b")), Err(ViolationCode::TooLarge), Ok(id("d"))];
    assert_eq!(verdicts(&receipt), expected);
    assert_eq!(logged_ids(&bench), [id("b"), id("d")]);
    assert_eq!(bench.reports().await[1]["index"], 2);
    assert_eq!(bench.numbers.count("events_accepted_total"), 2);
    assert_eq!(bench.numbers.count(r#"events_rejected_total{reason="too_large"}"#), 1);
}

#[tokio::test]
async fn what_the_request_tells_ends_up_in_the_event() {
    let bench = IngestBench::new();
    let ip = IpAddr::from([192, 0, 2, 7]);
    // The client's clock is ten minutes ahead.
    let client = ClientFacts {
        ip: Some(ip),
        user_agent: Some("Firefox"),
        sent_at: Some(NOON.plus_millis(600_000)),
        user_required: false,
    };
    let ahead = EventDraft { timestamp: Some(epoch(599_000)), ..draft("a") };
    bench.ingest.events(&may_send(), &client, &[Ok(ahead)]).await.unwrap();
    let event = &logged(&bench)[0];
    assert_eq!(event.device.browser.as_deref(), Some("Firefox"));
    assert_eq!((event.geo.ip, event.geo.country.as_deref()), (Some(ip), Some("NZ")));
    assert_eq!((event.timestamp, event.clock_skew_ms), (NOON.plus_millis(-1_000), 600_000));
    assert_eq!((event.received_at, event.project_id.as_str()), (NOON, "p"));
}

#[tokio::test]
async fn an_ingest_api_may_require_the_user() {
    let bench = IngestBench::new();
    let client = ClientFacts { user_required: true, ..ClientFacts::default() };
    let known = EventDraft { user_id: Some("u".into()), ..draft("b") };
    let drafts = [Ok(draft("a")), Ok(known)];
    let receipt = bench.ingest.events(&may_send(), &client, &drafts).await.unwrap();
    assert_eq!(receipt.verdicts, [Err(Violation::missing("user_id")), Ok(id("b"))]);
}

#[tokio::test]
async fn accepted_and_refused_events_are_counted_by_reason() {
    let bench = IngestBench::new();
    let nameless = || Ok(EventDraft { event_type: None, ..draft("n") });
    send(&bench, &[Ok(draft("a")), nameless(), unreadable()]).await.unwrap();
    send(&bench, &[nameless(), Ok(draft("b")), Ok(draft("c"))]).await.unwrap();
    assert_eq!(bench.numbers.count("events_accepted_total"), 3);
    assert_eq!(bench.numbers.count(r#"events_rejected_total{reason="missing_field"}"#), 2);
    assert_eq!(bench.numbers.count(r#"events_rejected_total{reason="wrong_type"}"#), 1);
    assert_eq!(bench.numbers.observations("log_append_seconds"), 2);
}

#[tokio::test]
async fn a_report_that_cannot_be_written_costs_nobody_an_answer_and_is_counted() {
    let mut errors_log = MockLog::new();
    errors_log.expect_append().times(1).returning(|_, _| Err(LogError::transient("log", "gone")));
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.log = Arc::new(errors_log));
    let receipt = send(&bench, &[Ok(draft("a")), unreadable(), unreadable()]).await.unwrap();
    assert_eq!(
        verdicts(&receipt),
        [Ok(id("a")), Err(ViolationCode::WrongType), Err(ViolationCode::WrongType)]
    );
    assert!(bench.reports().await.is_empty());
    assert_eq!(bench.numbers.count(r#"refusal_reports_lost_total{reason="log"}"#), 2);
}

#[tokio::test]
async fn of_reports_that_the_errors_log_refuses_in_part_those_are_counted_that_it_refused() {
    let mut errors_log = MockLog::new();
    errors_log.expect_append().times(1).returning(|_, _| {
        let refused = RefusedRecords(vec![RefusedRecord { index: 1, reason: "too large".to_owned() }]);
        Err(LogError::Rejected { adapter: "log", refused })
    });
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.log = Arc::new(errors_log));
    send(&bench, &[unreadable(), unreadable(), unreadable()]).await.unwrap();
    bench.reports().await;
    assert_eq!(bench.numbers.count(r#"refusal_reports_lost_total{reason="log"}"#), 1);
}

/// A log that never says whether it has taken a record.
#[derive(Debug)]
struct SilentLog;

#[async_trait]
impl RecordLog for SilentLog {
    async fn append(&self, _: &str, _: Vec<Record>) -> Result<(), LogError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn no_answer_waits_for_the_errors_log_and_reports_that_wait_are_bounded() {
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.log = Arc::new(SilentLog));
    let long = "x".repeat(60_000);
    let nameless = || Ok(EventDraft { event_type: None, title: Some(long.as_str().into()), ..draft("n") });
    let drafts: Vec<_> = (0..400).map(|_| nameless()).collect();
    let receipt = send(&bench, &drafts).await.unwrap();
    assert_eq!(receipt.refused().count(), 400);
    let lost = bench.numbers.count(r#"refusal_reports_lost_total{reason="queue_full"}"#);
    let kept = (400 - lost) * 60_000;
    assert!((15_000_000..=16 * 1_024 * 1_024).contains(&kept), "{kept} bytes wait");
}

#[tokio::test]
async fn a_request_of_bad_events_only_is_answered_although_the_log_is_away() {
    let mut sink = MockSink::new();
    sink.expect_append().never();
    let bench = IngestBench::with(MemoryLog::new(1), |ports, _| ports.events = Arc::new(sink));
    let receipt = send(&bench, &[unreadable()]).await.unwrap();
    assert_eq!(verdicts(&receipt), [Err(ViolationCode::WrongType)]);
}

//! From the log to what readers see: once, with context, filtered, folded and aggregated.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::local_log::partition_of;
use gosight_application::ports::{
    AggregateStore, EventQuery, Health, HealthCheck, MetricsQuery, ProfileKind, ProfileStore,
    ProfileStoreError, WindowQuery,
};
use gosight_application::process::filter::FilterRuleConfig;
use gosight_application::process::{EventHandler, LogConsumer};
use gosight_conformance::factory::{LOG, NOON, bytes, click, event, event_id, object, project, session_id};
use gosight_domain::aggregate::{Aggregation, KeyTemplate, Measure};
use gosight_domain::field::FieldPath;
use gosight_domain::{Event, JsonObject, ProjectId, SessionId, UserId};
use gosight_memory::MemoryProfiles;
use mockall::mock;
use serde_json::{Value, json};

use crate::support::{Bench, Running};

mock! {
    #[derive(Debug)]
    Profiles {}

    #[async_trait]
    impl ProfileStore for Profiles {
        async fn get(
            &self,
            project_id: &ProjectId,
            kind: ProfileKind,
            ids: &[String],
        ) -> Result<HashMap<String, JsonObject>, ProfileStoreError>;

        async fn put(
            &self,
            project_id: &ProjectId,
            kind: ProfileKind,
            profiles: &[(String, JsonObject)],
        ) -> Result<(), ProfileStoreError>;

        async fn merge(
            &self,
            project_id: &ProjectId,
            kind: ProfileKind,
            patches: &[(String, JsonObject)],
        ) -> Result<Vec<usize>, ProfileStoreError>;
    }
}

fn in_session(session: &SessionId, event: Event) -> Event {
    Event { session_id: Some(session.clone()), ..event }
}

/// A session whose events go to this partition.
fn session_in(partition: u32, partitions: u32) -> SessionId {
    let mut names = (0..).map(|n| format!("s-{n}"));
    session_id(&names.find(|name| partition_of(name.as_bytes(), partitions) == partition).unwrap())
}

fn with_handler(bench: &Bench, handler: EventHandler) -> LogConsumer {
    LogConsumer { handler: Arc::new(handler), ..bench.consumer() }
}

fn context(event: &Event) -> Value {
    event.context.to_value()
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_becomes_visible() {
    let bench = Bench::new(4);
    let other = session_id("t");
    bench
        .append(&[
            event(1, "page_view", 0),
            click(2, 100),
            event(3, "js_error", 200),
            in_session(&other, event(4, "page_view", 300)),
        ])
        .await;
    let running = Running::start(bench.consumer());
    bench.drained().await;

    assert_eq!(bench.stored(), [1, 2, 3, 4]);
    let session = bench.session(&session_id("s")).await.unwrap();
    assert_eq!((session.page_count, session.click_count, session.error_count), (1, 1, 1));
    assert!(session.has_error);
    let metrics = MetricsQuery {
        event_name: None,
        from: NOON.hour(),
        to: NOON.plus_millis(3_600_000).hour(),
        channel: None,
        group_by: None,
        limit: 10,
    };
    let counts = bench.store.metrics(&project("p"), &metrics).await.unwrap();
    assert_eq!((counts.total_count, counts.unique_users), (4, 1));
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored), (4, 4));

    let status = running.status.clone();
    assert_eq!(status.counts(), total);
    assert_eq!(status.partitions().values().map(|partition| partition.next_offset).sum::<u64>(), 4);
    assert_eq!(status.check().await, Health::Up);
    assert_eq!(bench.numbers.count(&format!("events_processed_total{{log=\"{LOG}\"}}")), 4);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_is_stored_once_whatever_partition_and_batch_brings_it_again() {
    let bench = Bench::new(2);
    let (here, there) = (session_in(0, 2), session_in(1, 2));
    let of_other_project = Event { project_id: project("q"), ..in_session(&here, click(1, 0)) };
    bench
        .append(&[
            in_session(&here, click(1, 0)),
            in_session(&here, click(1, 0)),
            in_session(&there, click(1, 0)),
            of_other_project,
        ])
        .await;
    bench.drain(bench.consumer()).await;
    bench.append(&[in_session(&there, click(1, 0)), in_session(&there, click(2, 0))]).await;
    bench.drain(bench.consumer()).await;

    assert_eq!(bench.stored(), [1, 1, 2]);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored, total.duplicate), (6, 3, 3));
    let mut clicks = 0;
    for session in [&here, &there] {
        let session = bench.session(session).await;
        clicks += session.map_or(0, |session| session.click_count);
    }
    assert_eq!(clicks, 2);
    assert_eq!(bench.numbers.count(&format!("events_deduplicated_total{{log=\"{LOG}\"}}")), 3);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_event_is_put_aside_as_it_is_and_its_neighbours_are_stored() {
    let bench = Bench::new(1);
    let not_json = "{\"event_id\": \u{0}";
    let wrong_payload = serde_json::to_string(&click(9, 0)).unwrap().replace("\"x\":10", "\"x\":70000");
    bench.append(&[click(1, 0)]).await;
    bench.append_text(not_json).await;
    bench.append_text(&wrong_payload).await;
    bench.append(&[click(2, 0)]).await;
    bench.drain(bench.consumer()).await;

    assert_eq!(bench.stored(), [1, 2]);
    let letters = bench.dead_letters().await;
    let told: Vec<_> =
        letters.iter().map(|letter| (letter.position.offset, &*letter.reason, &letter.record)).collect();
    let expected = [(1, "not_json", &bytes(not_json)), (2, "out_of_range", &bytes(&wrong_payload))];
    assert_eq!(told, expected);
    assert!(letters[1].detail.contains("payload.x"), "{}", letters[1].detail);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored), (4, 2));
    assert_eq!(total.dead_lettered, [("not_json".into(), 1), ("out_of_range".into(), 1)].into());
    assert_eq!(bench.numbers.count(r#"dead_letters_total{reason="not_json"}"#), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_larger_than_any_of_the_ingest_api_is_dead_lettered() {
    let bench = Bench::new(1);
    let large =
        Event { payload: object(&json!({"text": "x".repeat(2_000)}).to_string()), ..event(2, "custom", 0) };
    bench.append(&[click(1, 0), large, click(3, 0)]).await;
    bench.drain(with_handler(&bench, bench.handler().with_max_record_bytes(2_000))).await;

    assert_eq!(bench.stored(), [1, 3]);
    let letters = bench.dead_letters().await;
    assert_eq!((letters.len(), letters[0].position.offset, &*letters[0].reason), (1, 1, "too_large"));
    assert!(letters[0].detail.contains("at most 2000"), "{}", letters[0].detail);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_event_is_in_the_ledger_and_nowhere_else() {
    let bench = Bench::new(1);
    let rules: Vec<FilterRuleConfig> = serde_json::from_value(json!([
        {"name": "bots", "when": [{"field": "event_type", "op": "eq", "value": "bot"}], "action": "block"},
        {"name": "all", "action": {"allow": {"mark": "checked"}}},
    ]))
    .unwrap();
    bench.append(&[click(1, 0), event(2, "bot", 0), event(3, "bot", 0)]).await;
    bench.drain(with_handler(&bench, bench.handler_with(&rules, &[], None))).await;

    assert_eq!(bench.stored(), [1]);
    assert_eq!(bench.store.events()[0].routes, ["checked".into()]);
    let session = bench.session(&session_id("s")).await.unwrap();
    assert_eq!(session.event_count, 1);
    let total = bench.total().await;
    assert_eq!((total.polled, total.stored), (3, 1));
    assert_eq!(total.filtered, [("bots".into(), 2)].into());
    assert_eq!(bench.numbers.count(r#"events_filtered_total{rule="bots"}"#), 2);
}

#[tokio::test(start_paused = true)]
async fn profiles_give_events_their_context_before_rules_look_at_them() {
    let bench = Bench::new(1);
    let profiles = Arc::new(MemoryProfiles::default());
    let gold = [("u-1".to_owned(), object(r#"{"plan": "gold"}"#))];
    let kettle = [("p-7".to_owned(), object(r#"{"name": "Kettle"}"#))];
    profiles.put(&project("p"), ProfileKind::User, &gold).await.unwrap();
    profiles.put(&project("p"), ProfileKind::Item, &kettle).await.unwrap();
    let rules: Vec<FilterRuleConfig> = serde_json::from_value(json!([{
        "name": "gold", "when": [{"field": "context.user.plan", "op": "eq", "value": "gold"}],
        "action": {"allow": {"mark": "vip"}},
    }]))
    .unwrap();
    let consumer = with_handler(&bench, bench.handler_with(&rules, &[], Some(profiles)));
    bench
        .append(&[
            Event { payload: object(r#"{"product_id": "p-7"}"#), ..event(1, "product_view", 0) },
            Event { project_id: project("q"), ..event(2, "product_view", 0) },
            Event { user_id: None, ..event(3, "product_view", 0) },
        ])
        .await;
    bench.drain(consumer.clone()).await;
    bench.append(&[event(4, "product_view", 0)]).await;
    bench.drain(consumer).await;

    let events = bench.store.events();
    let user_and_item = json!({
        "user": {"plan": "gold"}, "item": {"name": "Kettle"}, "derived": {"time_of_day": "afternoon"},
    });
    assert_eq!(context(&events[0]), user_and_item);
    assert_eq!(context(&events[3])["user"], json!({"plan": "gold"}));
    let marked: Vec<bool> = events.iter().map(|event| !event.routes.is_empty()).collect();
    assert_eq!(marked, [true, false, false, true]);
    assert!(events[1].context.is_empty() && events[2].context.is_empty());
    assert_eq!(bench.numbers.count("events_enriched_total"), 2);
    // Of the user, the item and the user of another project nothing was known; then of the user.
    assert_eq!(bench.numbers.gauge("enrichment_cache_hit_ratio"), Some(0.25));
}

#[tokio::test(start_paused = true)]
async fn events_go_on_without_profiles_while_their_source_is_away() {
    const FAILURES: &str = "enrichment_failures_total{enricher=\"profiles\",reason=\"error\"}";
    let bench = Bench::new(1);
    let mut profiles = MockProfiles::new();
    profiles.expect_get().times(1).returning(|_, _, _| Err(ProfileStoreError::transient("sql", "gone")));
    profiles.expect_get().times(1).withf(|_, _, ids| ids == ["u-1"]).returning(|_, _, ids| {
        Ok(ids.iter().map(|id| (id.clone(), object(r#"{"plan": "gold"}"#))).collect())
    });
    let consumer = with_handler(&bench, bench.handler_with(&[], &[], Some(Arc::new(profiles))));
    bench.append(&[click(1, 0), click(2, 0)]).await;
    bench.drain(consumer.clone()).await;
    assert_eq!(bench.numbers.count(FAILURES), 1);
    // Back again, and that it was unavailable is not taken for an answer.
    bench.append(&[click(3, 0)]).await;
    bench.drain(consumer).await;

    assert_eq!(bench.stored(), [1, 2, 3]);
    let has_context: Vec<bool> = bench.store.events().iter().map(|event| !event.context.is_empty()).collect();
    assert_eq!(has_context, [false, false, true]);
    assert_eq!(bench.numbers.count(FAILURES), 1);
}

#[tokio::test(start_paused = true)]
async fn stored_events_are_aggregated_by_key_and_window() {
    let bench = Bench::new(1);
    let path = |text: &str| FieldPath::parse(text).unwrap();
    let revenue = Aggregation {
        name: "revenue".into(),
        event_types: vec![event(0, "purchase", 0).event_type],
        key: KeyTemplate::parse("page:{page.path}").unwrap(),
        window_ms: 60_000,
        measures: [
            ("price".into(), Measure::Number(path("payload.price"))),
            ("users".into(), Measure::Distinct(path("user_id"))),
        ]
        .into(),
    };
    let purchase = |n: u128, user: &str, price: u32, offset_ms: i64| Event {
        user_id: Some(UserId::new(user).unwrap()),
        payload: object(&format!(r#"{{"price": {price}}}"#)),
        ..event(n, "purchase", offset_ms)
    };
    let first = purchase(1, "u-1", 10, 0);
    bench.append(&[first.clone(), purchase(2, "u-2", 30, 59_999), purchase(3, "u-1", 5, 60_000)]).await;
    bench.append(&[first, click(4, 0)]).await;
    bench.drain(with_handler(&bench, bench.handler_with(&[], &[revenue], None))).await;

    let query = WindowQuery {
        aggregation: "revenue".into(),
        key: "page:/a".into(),
        from: NOON,
        to: NOON.plus_millis(3_600_000),
        limit: 10,
    };
    let windows = bench.store.windows(&project("p"), &query).await.unwrap();
    let told: Vec<_> = windows
        .iter()
        .map(|(start, value)| {
            let price = value.numbers["price"];
            (start.millis_since(NOON), value.count, Some(price.sum), value.distinct["users"].estimate())
        })
        .collect();
    assert_eq!(told, [(0, 2, Some(40.0), 2), (60_000, 1, Some(5.0), 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_a_session_is_kept() {
    let bench = Bench::new(3);
    for first in [1, 11, 21] {
        let events: Vec<Event> = (first..first + 10).map(|n| click(n, 0)).collect();
        bench.append(&events).await;
    }
    let config = bench.consumer().config;
    let limits = gosight_application::ports::PollLimits { max_records: 7, ..config.limits };
    let config = gosight_application::process::ConsumerConfig { limits, ..config };
    bench.drain(LogConsumer { config, ..bench.consumer() }).await;
    let ids: Vec<_> = bench.store.events().iter().map(|event| event.event_id).collect();
    assert_eq!(ids, (1..31).map(event_id).collect::<Vec<_>>());
}

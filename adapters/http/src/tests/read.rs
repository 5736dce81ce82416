//! Metrics, sessions, events, the ledger and aggregates.

use gosight_application::ports::{
    GroupBy, GroupKey, LedgerBalance, Metrics, MetricsGroup, PartitionCoverage,
};
use gosight_application::ports::{SessionDetail, SessionSummary};
use gosight_domain::aggregate::{AggregateValue, NumberStats};
use gosight_domain::details::Details;
use gosight_domain::insight::{Insight, InsightKind};
use gosight_domain::ledger::{Coverage, Outcome, OutcomeCounts};
use gosight_domain::{Event, EventId, EventName, Hour, Session, SessionId, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fake_store::Store;
use super::fakes::{NOW, project};
use super::harness::{Harness, Setup, get};

fn with_store(store: Store) -> Harness {
    Setup { store, ..Setup::default() }.build()
}

fn event(n: u128, offset_ms: i64, session: &str) -> Event {
    Event {
        session_id: Some(SessionId::new(session).unwrap()),
        user_id: Some(UserId::new("u").unwrap()),
        ..Event::new(
            EventId::from_uuid(Uuid::from_u128(n)),
            project(),
            EventName::new("page_view").unwrap(),
            NOW.plus_millis(offset_ms),
        )
    }
}

fn session(id: &str, offset_ms: i64) -> SessionDetail {
    let event = event(9, offset_ms, id);
    let session = Session::of(&event, &Details::default()).unwrap();
    let insight = Insight {
        kind: InsightKind::RageClick,
        event_id: event.event_id,
        first_at: NOW,
        last_at: NOW.plus_millis(5),
        path: "/cart".into(),
        count: 6,
    };
    let insights = vec![insight];
    SessionDetail { summary: SessionSummary::of(&session, &insights, true), insights }
}

#[tokio::test]
async fn metrics_say_which_hours_they_count() {
    let harness = with_store(Store {
        metrics: Metrics {
            total_count: 5,
            unique_users: 3,
            groups: vec![MetricsGroup {
                key: GroupKey::Value("web".into()),
                total_count: 5,
                unique_users: 3,
            }],
        },
        ..Store::default()
    });
    let answer = harness.get("/api/v1/metrics").await.json();
    assert_eq!(
        answer,
        json!({"from": "2026-11-19T19:00:00Z", "to": "2026-11-20T20:00:00Z", "total_count": 5, "unique_users": 3})
    );
    let uri = "/api/v1/metrics?from=2026-11-20T10:30:00Z&to=1795204259&channel=web&event_name=click&group_by=channel&limit=7";
    let answer = harness.get(uri).await.json();
    assert_eq!(
        (&answer["from"], &answer["to"]),
        (&json!("2026-11-20T10:00:00Z"), &json!("2026-11-20T20:00:00Z"))
    );
    assert_eq!(answer["grouped_data"], json!([{"key": "web", "total_count": 5, "unique_users": 3}]));
    let asked = harness.store.metrics_asked.lock().unwrap();
    let query = asked.last().unwrap();
    assert_eq!((query.group_by, query.limit), (Some(GroupBy::Channel), 8), "one more than asked for");
    assert_eq!(answer["truncated"], false);
    assert_eq!(query.event_name.as_ref().unwrap().as_str(), "click");
}

#[tokio::test]
async fn groups_that_are_left_out_are_said() {
    let group = |n: i64| MetricsGroup {
        key: GroupKey::Time(NOW.plus_millis(n * 3_600_000).hour()),
        total_count: 1,
        unique_users: 1,
    };
    let metrics = Metrics { groups: (0..3).map(group).collect(), ..Metrics::default() };
    let harness = with_store(Store { metrics, ..Store::default() });
    for (limit, shown, truncated) in [(2, 2, true), (3, 3, false)] {
        let answer = harness.get(&format!("/api/v1/metrics?group_by=hour&limit={limit}")).await.json();
        assert_eq!(answer["grouped_data"].as_array().unwrap().len(), shown);
        assert_eq!(answer["truncated"], truncated);
    }
}

#[tokio::test]
async fn times_are_keys_people_can_read() {
    for (group_by, key) in [("hour", "2026-11-20T19:00:00Z"), ("day", "2026-11-20")] {
        let group = MetricsGroup { key: GroupKey::Time(NOW.hour()), total_count: 1, unique_users: 1 };
        let metrics = Metrics { groups: vec![group], ..Metrics::default() };
        let harness = with_store(Store { metrics, ..Store::default() });
        let answer = harness.get(&format!("/api/v1/metrics?group_by={group_by}")).await.json();
        assert_eq!(answer["grouped_data"][0]["key"], key);
    }
}

#[tokio::test]
async fn bad_parameters_are_named_with_what_is_allowed() {
    for (uri, field, allowed) in [
        ("/api/v1/metrics?from=yesterday", "from", "RFC 3339"),
        ("/api/v1/metrics?from=2026-11-20T00:00:00Z&to=2026-11-20T00:00:00Z", "from", "before to"),
        ("/api/v1/metrics?channel=tv", "channel", "web, mobile_app, api"),
        ("/api/v1/metrics?group_by=colour", "group_by", "country"),
        ("/api/v1/metrics?limit=0", "limit", "1 to 9999"),
        ("/api/v1/metrics?limit=5&limit=6", "limit", "once"),
        ("/api/v1/metrics?event_name=", "event_name", "empty"),
        ("/api/v1/sessions?limit=1001", "limit", "1 to 1000"),
        ("/api/v1/sessions?has_error=maybe", "has_error", "true or false"),
        ("/api/v1/sessions?cursor=abc", "cursor", "next_cursor"),
        ("/api/v1/sessions/s/events?cursor=MTpub3BlCg", "cursor", "next_cursor"),
        ("/api/v1/sessions/s/replay/events?format=xml", "format", "ndjson"),
        ("/api/v1/ledger?to=-1", "to", "epoch"),
        ("/processor/aggregation?aggregator=a", "key", "not empty"),
    ] {
        let answer = Harness::new().get(uri).await;
        assert_eq!(answer.error(), (400, "invalid_parameter".to_owned()), "{uri}");
        let json = answer.json();
        assert_eq!(json["error"]["details"][0]["field"], field, "{uri}");
        let message = json["error"]["message"].as_str().unwrap();
        assert!(message.contains(allowed) && message.contains(field), "{message}");
    }
    let long = format!("/api/v1/sessions/{}", "x".repeat(101));
    assert_eq!(Harness::new().get(&long).await.error(), (400, "invalid_parameter".to_owned()));
}

#[tokio::test]
async fn parameters_that_are_none_are_named() {
    for uri in [
        "/api/v1/metrics?evnet_name=x",
        "/api/v1/sessions?evnet_name=x",
        "/api/v1/sessions/s?evnet_name=x",
        "/api/v1/sessions/s/events?evnet_name=x",
        "/api/v1/sessions/s/replay?evnet_name=x",
        "/api/v1/sessions/s/replay/events?evnet_name=x",
        "/api/v1/ledger?evnet_name=x",
        "/processor/aggregation?aggregator=a&key=k&evnet_name=x",
        "/processor/status?evnet_name=x",
        "/processor/enrichment?evnet_name=x",
        "/processor/filters?evnet_name=x",
        "/metrics/processor?evnet_name=x",
    ] {
        let admin = uri.starts_with("/processor/") || uri.starts_with("/metrics/");
        let harness = Harness::new();
        let answer = if admin && !uri.contains("aggregation") {
            harness.get_as_admin(uri).await
        } else {
            harness.get(uri).await
        };
        assert_eq!(answer.error(), (400, "unknown_parameter".to_owned()), "{uri}");
        assert_eq!(answer.json()["error"]["details"][0]["field"], "evnet_name", "{uri}");
    }
}

#[tokio::test]
async fn sessions_are_listed_page_by_page() {
    let sessions = vec![session("c", 300), session("a", 200), session("b", 200), session("d", 100)];
    let harness = with_store(Store { sessions, ..Store::default() });
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = harness.get(&format!("/api/v1/sessions?limit=2{cursor}")).await.json();
        let page = answer["sessions"].as_array().unwrap();
        seen.extend(page.iter().map(|session| session["session_id"].as_str().unwrap().to_owned()));
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["c", "a", "b", "d"]);
    assert_eq!(harness.store.sessions_asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn sessions_that_are_over_are_listed_by_their_end() {
    // The store's sessions end when they start.
    let half_an_hour = 30 * 60 * 1_000;
    let sessions = [0, -half_an_hour, -half_an_hour - 1, -half_an_hour - 2];
    let named = |(n, at): (usize, &i64)| session(&format!("s{n}"), *at);
    let sessions = sessions.iter().enumerate().map(named).collect();
    let harness = with_store(Store { sessions, ..Store::default() });
    let names = async |uri: &str| {
        let answer = harness.get(uri).await.json();
        let page = answer["sessions"].as_array().unwrap().iter();
        let names: Vec<_> = page.map(|session| session["session_id"].as_str().unwrap().to_owned()).collect();
        (names, answer["next_cursor"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(names("/api/v1/idle-sessions").await.0, ["s3", "s2"]);
    let (page, cursor) = names("/api/v1/idle-sessions?limit=1").await;
    assert_eq!(page, ["s3"]);
    assert_eq!(names(&format!("/api/v1/idle-sessions?cursor={cursor}")).await.0, ["s2"]);
    let all = format!("/api/v1/idle-sessions?before={}", NOW.as_millis() + 1);
    assert_eq!(names(&all).await.0, ["s3", "s2", "s1", "s0"]);
}

#[tokio::test]
async fn sessions_are_filtered() {
    let harness = Harness::new();
    let uri = "/api/v1/sessions?from=1795000000&to=1796000000000&user_id=u&has_error=true&has_rage_click=false\
               &has_dead_click=1&has_replay=0&is_bounce=true";
    assert_eq!(harness.get(uri).await.json(), json!({"sessions": [], "next_cursor": null}));
    let asked = harness.store.sessions_asked.lock().unwrap();
    let query = &asked[0];
    assert_eq!(
        (query.from.unwrap().as_millis(), query.to.unwrap().as_millis()),
        (1_795_000_000_000, 1_796_000_000_000)
    );
    let flags = query.flags;
    assert_eq!(
        (flags.has_error, flags.has_rage_click, flags.has_dead_click),
        (Some(true), Some(false), Some(true))
    );
    assert_eq!((flags.has_replay, flags.is_bounce), (Some(false), Some(true)));
    assert_eq!((query.user_id.as_ref().unwrap().as_str(), query.limit), ("u", 51));
}

#[tokio::test]
async fn a_session_comes_with_its_insights() {
    let harness = with_store(Store { sessions: vec![session("s/1", 0)], ..Store::default() });
    let answer = harness.get("/api/v1/sessions/s%2F1").await.json();
    assert_eq!((&answer["session_id"], &answer["duration_ms"]), (&json!("s/1"), &json!(0)));
    assert_eq!((&answer["started_at"], &answer["has_rage_click"]), (&json!(NOW.as_millis()), &json!(true)));
    assert_eq!((&answer["anonymous_id"], &answer["device"]), (&Value::Null, &json!({})));
    assert_eq!(
        answer["insights"],
        json!([{"kind": "rage_click", "event_id": Uuid::from_u128(9), "first_at": NOW.as_millis(),
                "last_at": NOW.as_millis() + 5, "path": "/cart", "count": 6}])
    );
}

#[tokio::test]
async fn events_of_a_session_are_listed_page_by_page() {
    let events = vec![event(1, 0, "s"), event(2, 0, "s"), event(3, 10, "s"), event(4, 20, "other")];
    let harness = with_store(Store { events, ..Store::default() });
    let first = harness.get("/api/v1/sessions/s/events?limit=2").await.json();
    let mut fields: Vec<&str> = first["events"][0].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "anonymous_id",
            "campaign_id",
            "channel",
            "context",
            "custom",
            "device",
            "event_id",
            "event_type",
            "geo",
            "path",
            "payload",
            "received_at",
            "referrer",
            "routes",
            "session_id",
            "tags",
            "timestamp",
            "title",
            "url",
            "user_id",
        ]
    );
    let next = first["next_cursor"].as_str().unwrap();
    let second = harness.get(&format!("/api/v1/sessions/s/events?limit=2&cursor={next}")).await.json();
    let id = |n: u128| json!(Uuid::from_u128(n));
    assert_eq!((&first["events"][1]["event_id"], &second["events"][0]["event_id"]), (&id(2), &id(3)));
    assert_eq!((second["events"].as_array().unwrap().len(), &second["next_cursor"]), (1, &Value::Null));
}

#[tokio::test]
async fn the_ledger_shows_as_much_as_the_key_may_see() {
    let mut counts = OutcomeCounts::default();
    counts.add(&Outcome::Stored);
    counts.add(&Outcome::Filtered("bots".into()));
    let setup = || Setup {
        store: Store {
            balances: vec![LedgerBalance { log: "events".into(), hour: NOW.hour(), counts: counts.clone() }],
            coverage: vec![PartitionCoverage {
                partition: 0,
                coverage: Coverage::of([(0, 4), (6, 9)]),
                polled: 9,
            }],
            ..Store::default()
        },
        log_ends: vec![(0, 12), (1, 3)],
        ..Setup::default()
    };
    let harness = setup().build();
    let own = harness.get("/api/v1/ledger").await.json();
    let hour = json!({"log": "events", "hour": "2026-11-20T19:00:00Z", "polled": 2, "stored": 1, "duplicate": 0,
                      "filtered": {"bots": 1}, "rejected": {}, "dead_lettered": {}, "balanced": true});
    assert_eq!(own, json!({"balanced": true, "hours": [hour], "logs": []}));
    let request = get("/api/v1/ledger?from=2026-11-20T00:30:00Z&to=2026-11-20T01:00:00Z");
    let mut request = request.body(axum::body::Body::empty()).unwrap();
    request.headers_mut().insert("x-project-key", "admin".parse().unwrap());
    let all = harness.send(request).await.json();
    assert_eq!(all["balanced"], false);
    assert_eq!(
        all["logs"],
        json!([{"log": "events", "in_flight": 5, "partitions": [
            {"partition": 0, "start": 0, "end": 10, "polled": 9, "log_end": 12, "in_flight": 2, "gaps": [[5, 5]], "overlaps": []},
            {"partition": 1, "start": 0, "end": 0, "polled": 0, "log_end": 3, "in_flight": 3, "gaps": [], "overlaps": []},
        ]}])
    );
    let asked = harness.store.balances_asked.lock().unwrap();
    let now = NOW.hour().index();
    assert_eq!(asked[0], (Some(project()), Hour::from_index(now - 24), Hour::from_index(now + 1)));
    let midnight = NOW.hour().day_start().index();
    assert_eq!(asked[1], (None, Hour::from_index(midnight), Hour::from_index(midnight + 1)));
}

#[tokio::test]
async fn a_key_without_a_scope_sees_no_ledger() {
    for (key, code) in
        [("none", "insufficient_scope"), ("ingest", "insufficient_scope"), ("x", "invalid_key")]
    {
        let request = axum::http::Request::get("/api/v1/ledger?unknown=1")
            .header("authorization", format!("Bearer {key}"));
        let answer = Harness::new().send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.error().1, code);
    }
}

#[tokio::test]
async fn windows_have_their_measures() {
    let mut value = AggregateValue { count: 4, ..AggregateValue::default() };
    value.numbers.insert("price".into(), NumberStats { count: 2, sum: 10.0, min: 3.0, max: 7.0 });
    let mut users = gosight_domain::aggregate::DistinctSketch::default();
    users.add("a");
    users.add("b");
    value.distinct.insert("users".into(), users);
    value.skipped.insert("value".into(), 2);
    let harness = with_store(Store { windows: vec![(NOW, value)], ..Store::default() });
    let answer = harness.get("/processor/aggregation?aggregator=hourly&key=user%3A1&limit=3").await.json();
    assert_eq!(
        answer,
        json!({"aggregator": "hourly", "key": "user:1", "windows": [{
            "window_start": NOW.as_millis(), "count": 4, "measures": {
                "price": {"count": 2, "sum": 10.0, "avg": 5.0, "min": 3.0, "max": 7.0},
                "users": {"distinct": 2},
            },
            "skipped": {"value": 2},
        }]})
    );
    harness.get("/processor/aggregation?aggregator=a&key=k").await;
    let unknown = harness.get("/processor/aggregation?aggregator=dayly&key=k").await;
    assert_eq!(unknown.error(), (404, "not_found".to_owned()));
    assert!(unknown.json()["error"]["message"].as_str().unwrap().ends_with("a, hourly"));
    let asked = harness.store.windows_asked.lock().unwrap();
    assert_eq!((asked[0].to, asked[0].limit), (NOW, 3));
    for (asked, window_ms) in asked.iter().zip([3_600_000, 86_400_000]) {
        let (from, day_ago) = (asked.from.as_millis(), NOW.as_millis() - 86_400_000);
        assert_eq!(from, day_ago - day_ago % window_ms, "the window that has begun by then is asked for too");
    }
}

#[tokio::test]
async fn answers_are_compressed_for_who_accepts_it() {
    let sessions = (0..50).map(|n| session(&format!("s{n}"), -n)).collect();
    let harness = with_store(Store { sessions, ..Store::default() });
    for encoding in ["gzip", "br", "zstd"] {
        let request = get("/api/v1/sessions").header("accept-encoding", encoding);
        let answer = harness.send(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.header("content-encoding"), encoding);
    }
    assert_eq!(harness.get("/api/v1/sessions").await.header("content-encoding"), "");
}

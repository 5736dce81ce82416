//! Health, readiness, metrics, processors, CORS and the description of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use gosight_application::ports::{Health, HealthCheck};
use gosight_application::process::filter::FilterSet;
use serde_json::json;

use super::fakes::Part;
use super::harness::{Answer, Harness, Setup, get, send};
use crate::router::routes;
use crate::state::App;
use crate::{HttpConfig, openapi};

async fn ready(parts: Vec<(&'static str, Option<Health>)>) -> Answer {
    let health = parts.into_iter().map(|(name, health)| Arc::new(Part(name, health)) as Arc<dyn HealthCheck>);
    let config = HttpConfig { readiness_timeout: Duration::from_millis(20), ..HttpConfig::default() };
    Setup { config, health: health.collect(), ..Setup::default() }.build().get("/ready").await
}

#[tokio::test]
async fn the_process_lives() {
    let answer = Harness::new().send(Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"status": "ok"})));
}

#[tokio::test]
async fn who_just_looks_is_shown_the_description() {
    let answer = Harness::new().get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, "/swagger/"));
    let config = HttpConfig { swagger: false, ..HttpConfig::default() };
    let answer = Setup { config, ..Setup::default() }.build().get("/").await;
    assert_eq!(answer.error(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn readiness_is_that_of_the_worst_part() {
    let degraded = || Some(Health::Degraded("no cache".into()));
    let down = || Some(Health::Down("gone".into()));
    for (parts, code, status) in [
        (vec![], 200, "ready"),
        (vec![("log", Some(Health::Up))], 200, "ready"),
        (vec![("log", Some(Health::Up)), ("cache", degraded())], 200, "degraded"),
        (vec![("log", down()), ("cache", degraded())], 503, "not_ready"),
        (vec![("log", None)], 503, "not_ready"),
    ] {
        let answer = ready(parts).await;
        assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (code, Some(status)));
    }
    let checks = ready(vec![("log", Some(Health::Up)), ("cache", down())]).await.json()["checks"].clone();
    assert_eq!(
        checks,
        json!([{"name": "log", "status": "up"}, {"name": "cache", "status": "down", "detail": "gone"}])
    );
}

#[tokio::test]
async fn who_is_shutting_down_is_not_ready() {
    let harness = Harness::new();
    let app = App::new(harness.config.clone(), &harness.ports);
    let router = routes(&app, harness.ports.clone());
    let ask = async || send(router.clone(), get("/ready").body(Body::empty()).unwrap()).await;
    assert_eq!(ask().await.status.as_u16(), 200);
    app.draining.cancel();
    let answer = ask().await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (503, Some("not_ready")));
}

#[tokio::test]
async fn numbers_are_rendered_for_prometheus() {
    let answer = Harness::new().send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert_eq!(&answer.body[..], b"events_accepted_total 7\n");
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let harness = Harness::new();
    harness.get("/api/v1/sessions/one").await;
    harness.get("/api/v1/sessions/two").await;
    harness.get("/some/where/else").await;
    harness.get("/health").await;
    let count = |labels| harness.recorder.of("http_requests_total", labels);
    assert_eq!(count("route=/api/v1/sessions/{session_id},status=404"), 2);
    assert_eq!(count("route=none,status=404"), 1);
    assert_eq!(count("route=/health,status=200"), 1);
}

fn preflight(origin: &str) -> Request<Body> {
    Request::options("/v1/events")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-project-key")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn pages_of_any_origin_may_call() {
    let answer = Harness::new().send(preflight("https://shop.example")).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-methods"), "GET,POST,OPTIONS");
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "content-type,content-encoding,authorization,x-project-key"
    );
    assert_eq!(answer.header("access-control-max-age"), "86400");
    for key in ["whoever", "panic"] {
        let request = Request::post("/v1/events").header("origin", "https://a.example");
        let request = request.header("x-project-key", key).body(Body::empty()).unwrap();
        let refused = Harness::new().send(request).await;
        assert_eq!(refused.header("access-control-allow-origin"), "*", "a page may read {refused:?}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not_where_origins_are_set() {
    let config = HttpConfig { cors_origins: vec!["https://shop.example".into()], ..HttpConfig::default() };
    let harness = Setup { config, ..Setup::default() }.build();
    let ask = async |origin| harness.send(preflight(origin)).await;
    let allowed = "access-control-allow-origin";
    assert_eq!(ask("https://shop.example").await.header(allowed), "https://shop.example");
    assert_eq!(ask("https://evil.example").await.header(allowed), "");
}

#[tokio::test]
async fn the_description_has_every_route() {
    let document = Harness::new().get("/openapi.json").await.json();
    assert_eq!(document, serde_json::from_str::<serde_json::Value>(&openapi()).unwrap());
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/api/v1/events",
            "/api/v1/events/bulk",
            "/api/v1/idle-sessions",
            "/api/v1/ledger",
            "/api/v1/metrics",
            "/api/v1/replays",
            "/api/v1/sessions",
            "/api/v1/sessions/{session_id}",
            "/api/v1/sessions/{session_id}/events",
            "/api/v1/sessions/{session_id}/replay",
            "/api/v1/sessions/{session_id}/replay/archive",
            "/api/v1/sessions/{session_id}/replay/events",
            "/api/v1/sessions/{session_id}/replay/verify",
            "/health",
            "/metrics",
            "/metrics/processor",
            "/processor/aggregation",
            "/processor/enrichment",
            "/processor/filters",
            "/processor/status",
            "/ready",
            "/v1/events",
            "/v1/ndjson",
            "/v1/replay",
        ]
    );
    for (path, item) in document["paths"].as_object().unwrap() {
        let method = if item.get("post").is_some() { "POST" } else { "GET" };
        let uri = path.replace("{session_id}", "s");
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let answer = Harness::new().send(request).await;
        assert!(![404, 405].contains(&answer.status.as_u16()), "{path} is described but not served");
    }
}

#[tokio::test]
async fn references_of_the_description_lead_somewhere() {
    let text = openapi();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for reference in text.split("\"$ref\": \"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn the_description_can_be_browsed_or_left_out() {
    let harness = Harness::new();
    let page = harness.get("/swagger/").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(String::from_utf8_lossy(&page.body).contains("swagger-ui"));
    assert_eq!(harness.get("/swagger/swagger-ui.css").await.status.as_u16(), 200);
    let config = HttpConfig { swagger: false, ..HttpConfig::default() };
    let harness = Setup { config, ..Setup::default() }.build();
    assert_eq!(harness.get("/swagger/").await.status.as_u16(), 404);
    assert_eq!(harness.get("/openapi.json").await.status.as_u16(), 404);
}

#[tokio::test]
async fn processors_tell_what_they_do() {
    let rules: Vec<_> = serde_json::from_value(json!([{"name": "bots", "action": "block"}])).unwrap();
    let harness = Setup { filters: FilterSet::new(&rules).unwrap(), ..Setup::default() }.build();
    assert_eq!(
        harness.get_as_admin("/processor/status").await.json(),
        json!({"status": "running", "consumers": [
            {"log": "gosight.events.raw", "status": "running", "batches": 0, "lag": 0, "records_in_hand": 0,
             "utilization_percent": 0.0, "partitions": []},
        ]})
    );
    let enrichment = json!({"enabled": true, "enriched": 0, "cache_hits": 0, "cache_misses": 0,
                            "cache_hit_ratio": 0.0, "failures": 0, "enrichers": [
        {"name": "test", "stage": "ingest", "state": "closed", "open_circuits": 0, "overdue_calls": 0, "calls": 0,
         "failures": {}, "enriched": 0},
    ]});
    assert_eq!(harness.get_as_admin("/processor/enrichment").await.json(), enrichment);
    assert_eq!(
        harness.get_as_admin("/processor/filters").await.json(),
        json!({"rules": [{"name": "bots", "evaluated": 0, "matched": 0, "errors": 0}]})
    );
    let metrics = harness.get_as_admin("/metrics/processor").await.json();
    assert_eq!(metrics["enrichment"], enrichment);
    assert_eq!(metrics["consumers"][0]["polled"], 0);
    assert_eq!(metrics["consumers"][0]["records_in_hand"], 0);
    assert_eq!(metrics["consumers"][0]["partitions"], json!([]));
    for uri in ["/processor/status", "/processor/enrichment", "/processor/filters", "/metrics/processor"] {
        let refused = (403, "insufficient_scope".to_owned());
        assert_eq!(harness.get(uri).await.error(), refused, "{uri} counts what is of all projects");
    }
}

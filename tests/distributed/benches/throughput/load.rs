//! Made-up requests, and who sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gosight_e2e::load::now_ms;
use gosight_e2e::{Api, INGEST_KEY};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Events in each request.
const BATCH: usize = 100;
/// Requests at the same time.
const SENDERS: usize = 8;
/// Events of one visit.
const VISIT: usize = 20;

/// Requests that are ready to be sent.
pub struct Load {
    pub events: usize,
    requests: Vec<String>,
}

impl Load {
    /// `events` events, of which no other load with another `first` has any.
    pub fn new(first: usize, events: usize) -> Self {
        let starts = (first..first + events).step_by(BATCH);
        let requests = starts.map(|start| request(start, BATCH.min(first + events - start)).to_string());
        Self { events, requests: requests.collect() }
    }
}

fn request(first: usize, count: usize) -> Value {
    let events: Vec<Value> = (first..first + count).map(event).collect();
    json!({"user_id": format!("user-{}", first / VISIT % 20_000), "events": events})
}

/// About 490 bytes, as those of `cargo xtask bench`.
fn event(n: usize) -> Value {
    let path = format!("/shop/product/p-{}", n % 53);
    let (event_type, payload) = match n % 6 {
        0 => ("page_view", json!({})),
        1 => (
            "click",
            json!({"x": n % 1280, "y": n % 720, "target": {
                "selector": "#app > div.grid > article.card:nth-of-type(4) > a.card-link",
                "tag": "a", "text": "Drip scale"}}),
        ),
        2 => ("scroll", json!({"depth_percent": n % 100})),
        3 => ("web_vitals", json!({"ttfb": 7, "lcp": 164, "cls": 0})),
        4 => (
            "product_view",
            json!({"product_id": format!("p-{}", n % 53), "name": "Drip scale", "category": "tools",
                "price": 12.5, "currency": "EUR"}),
        ),
        _ => ("search", json!({"query": "scale", "results": 12})),
    };
    json!({
        "event_id": uuid::Uuid::from_u128(rand::random()),
        "session_id": format!("session-{:08}", n / VISIT),
        "type": event_type,
        "timestamp": now_ms(),
        "url": format!("http://127.0.0.1:8173{path}"),
        "path": path,
        "title": "Drip scale – Kettle & Cup",
        "referrer": "http://127.0.0.1:8173/shop/list",
        "payload": payload,
        "device": {"screen_width": 1920, "screen_height": 1080, "viewport_width": 1280, "viewport_height": 720},
        "custom": {"variant": "B", "locale": "de-DE"},
    })
}

/// What became of a load.
pub struct Sent {
    pub took: Duration,
    latencies: Vec<Duration>,
}

impl Sent {
    pub fn print(&self, what: &str, events: usize) {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| {
            let place = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
            self.latencies[place].as_secs_f64() * 1_000.0
        });
        println!(
            "{what:<13} {:>8.0} events/s, p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms",
            events as f64 / self.took.as_secs_f64()
        );
    }
}

/// Sends the whole load; every request must be accepted.
pub async fn send(url: &str, load: Load) -> Sent {
    let api = Api::new(url, Some(INGEST_KEY));
    let (requests, next) = (Arc::new(load.requests), Arc::new(AtomicUsize::new(0)));
    let mut senders = JoinSet::new();
    let started = Instant::now();
    for _ in 0..SENDERS {
        let (api, requests, next) = (api.clone(), requests.clone(), next.clone());
        senders.spawn(async move {
            let mut latencies = Vec::new();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sent = Instant::now();
                let answer = api.post("/v1/events", request.clone()).await;
                latencies.push(sent.elapsed());
                assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
            }
            latencies
        });
    }
    let mut latencies = senders.join_all().await.concat();
    let took = started.elapsed();
    latencies.sort();
    Sent { took, latencies }
}

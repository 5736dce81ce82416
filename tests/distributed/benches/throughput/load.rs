//! Made-up requests, and who sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gosight_e2e::{Api, INGEST_KEY};
use tokio::task::JoinSet;

/// Events in each request.
const BATCH: u64 = 100;
/// Requests at the same time.
const SENDERS: usize = 8;

/// Requests that are ready to be sent.
pub struct Load {
    pub events: u64,
    requests: Vec<String>,
}

impl Load {
    /// `events` events, of which no other load with another `first` has any.
    pub fn new(first: u64, events: u64) -> Self {
        let request = |number| {
            let start = number * BATCH;
            gosight_load::body(first + start, BATCH.min(events - start)).to_string()
        };
        Self { events, requests: (0..events.div_ceil(BATCH)).map(request).collect() }
    }
}

/// What became of a load.
pub struct Sent {
    pub took: Duration,
    latencies: Vec<Duration>,
}

impl Sent {
    pub fn print(&self, what: &str, events: u64) {
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

//! From the bytes of a request to records for the log: route, key, decode, validate, enrich, encode, answer.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use gosight_performance::Comparison;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::ingest::{self, NoLog};
use crate::input::{EVENTS_OF_A_REQUEST, requests};

const REQUESTS: usize = 50;

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let api = ingest::ingest_api(Arc::new(NoLog), &dir.path().join("places.mmdb"));
    let bodies: Vec<Bytes> = requests(REQUESTS).into_iter().map(Bytes::from).collect();
    let comparison = Comparison {
        name: "request to log records",
        throughput: Throughput::Elements((REQUESTS * EVENTS_OF_A_REQUEST) as u64),
        limit_name: "serde_json parse into a Value",
    };
    let ours = |iterations| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..iterations {
                ingest::send(&api, "/v1/events", &bodies).await;
            }
            start.elapsed()
        })
    };
    comparison.run(criterion, ours, |iterations| parse(&bodies, iterations));
}

fn parse(bodies: &[Bytes], iterations: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations {
        for body in bodies {
            black_box(serde_json::from_slice::<Value>(body).expect("JSON"));
        }
    }
    start.elapsed()
}

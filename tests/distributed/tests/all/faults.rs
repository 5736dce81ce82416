//! Nothing lost, nothing twice: servers go away and come back while traffic flows, and everything is counted.

use std::time::Duration;

use gosight_distributed_tests::{Binary, Process, Servers, Set, one_at_a_time};
use gosight_e2e::load::{Sent, batch, reconcile};
use gosight_e2e::{Api, INGEST_KEY, wait_for};
use gosight_services::{Instance, Service};

use crate::traffic::{Traffic, pause};

/// Servers of the test's own, which it may kill.
struct Own {
    kafka: Instance,
    clickhouse: Instance,
    redis: Instance,
    postgres: Instance,
}

impl Own {
    fn start() -> Self {
        Self {
            kafka: Instance::start(Service::Kafka),
            clickhouse: Instance::start(Service::ClickHouse),
            redis: Instance::start_with(Service::Redis, &[("appendonly", "no")]),
            postgres: Instance::start(Service::Postgres),
        }
    }

    fn servers(&self) -> Servers {
        Servers {
            kafka: self.kafka.address().to_string(),
            clickhouse: self.clickhouse.url(),
            redis: self.redis.url(),
            postgres: self.postgres.url(),
        }
    }
}

async fn send(api: &Api, session: &str) -> u16 {
    let (_, body) = batch(session, 1);
    api.post("/v1/events", body.to_string()).await.status.as_u16()
}

/// Waits until `process` says that `part` is as `wanted`.
async fn until_part(process: &Process, part: &str, is_up: bool) {
    let api = Api::new(process.url(), None);
    wait_for(&format!("{part} up: {is_up}"), async || {
        let ready = api.get("/ready").await.json();
        let check = ready["checks"].as_array()?.iter().find(|check| check["name"] == part)?.clone();
        ((check["status"] == "up") == is_up).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_go_away_and_come_back_lose_and_double_nothing() {
    let _turn = one_at_a_time().await;
    let own = Own::start();
    let set = Set::new(&own.servers())
        .with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s")
        .with("KEYS_CACHE_LIFE", "5m")
        .with("PROCESS_BACKOFF_INITIAL", "200ms")
        .with("PROCESS_BACKOFF_MAX", "2s");
    let ingestor = set.start(Binary::Ingestor);
    let mut processor = set.start(Binary::EventProcessor);
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    for round in 0..8 {
        let traffic = Traffic::start(&ingestor, round);
        pause(300..1_000).await;
        match round % 4 {
            0 => {
                own.redis.kill();
                pause(300..2_000).await;
                own.redis.start_again();
            }
            1 => {
                own.clickhouse.kill();
                pause(1_000..4_000).await;
                own.clickhouse.start_again();
            }
            2 => {
                own.kafka.kill();
                pause(500..1_500).await;
                own.kafka.start_again();
            }
            _ => {
                own.postgres.kill();
                // Keys that are known go on working while their answers are believed.
                let known = Api::new(ingestor.url(), Some(INGEST_KEY));
                assert_eq!(send(&known, "while postgres is away").await, 200);
                let unknown = Api::new(ingestor.url(), Some("gs_test_some_other_key"));
                assert_eq!(send(&unknown, "never").await, 503, "nobody knows whether the key is good");
                own.postgres.start_again();
                processor.kill();
                processor.restart();
            }
        }
        pause(300..1_000).await;
        traffic.end(&mut sent).await;
    }
    assert!(sent.acknowledged.len() > 2_000, "only {} events got through", sent.acknowledged.len());
    // The lone events above are not among those of the senders.
    let lone = Set::reader(&api);
    wait_for("the lone events", async || {
        let events = lone.session_events("while%20postgres%20is%20away").await;
        (events.len() == 2).then_some(())
    })
    .await;
    let mut others = Sent::default();
    for event in lone.session_events("while%20postgres%20is%20away").await {
        let id = event["event_id"].as_str().unwrap().parse().unwrap();
        others.acknowledged.insert(id, "while postgres is away".to_owned());
    }
    sent.merge(others);
    reconcile(&Set::reader(&api), &Set::admin(&api), &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_long_costs_no_memory_and_the_backlog_drains() {
    let _turn = one_at_a_time().await;
    let own = Own::start();
    let set = Set::new(&own.servers()).with("PROCESS_BACKOFF_MAX", "2s");
    let ingestor = set.start(Binary::Ingestor);
    let processor = set.start(Binary::EventProcessor);
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    let traffic = Traffic::start(&ingestor, 0);
    pause(2_000..3_000).await;
    own.clickhouse.kill();
    until_part(&processor, "clickhouse", false).await;
    let before = (ingestor.resident_bytes(), processor.resident_bytes());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let after = (ingestor.resident_bytes(), processor.resident_bytes());
    let allowance = 96 * 1024 * 1024;
    assert!(after.0 < before.0 + allowance && after.1 < before.1 + allowance, "{before:?} became {after:?}");
    traffic.end(&mut sent).await;
    own.clickhouse.start_again();
    reconcile(&Set::reader(&api), &Set::admin(&api), &sent).await;
}

//! Nothing lost, nothing twice: servers go away and come back while traffic flows, and everything is counted.

use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_e2e::load::{Sent, batch};
use gosight_e2e::{Api, INGEST_KEY, rounds};
use gosight_services::{Instance, Service};

use crate::exact::assert_exact;
use crate::traffic::{EVENTS, Traffic, pause};

const ROUNDS: usize = 8;

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

/// Sends one event of its own, once.
async fn send(api: &Api, session: &str, sent: &mut Sent) -> u16 {
    let (ids, body) = batch(session, 1);
    let status = api.post("/v1/events", body.to_string()).await.status;
    if status.is_success() {
        sent.acknowledged.insert(ids[0], session.to_owned());
    }
    status.as_u16()
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
    let _other = set.start(Binary::EventProcessor);
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    for round in 0..rounds(ROUNDS) {
        let traffic = Traffic::of(&ingestor, round, EVENTS / ROUNDS);
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
                assert_eq!(send(&known, "while postgres is unavailable", &mut sent).await, 200);
                let unknown = Api::new(ingestor.url(), Some("gs_test_some_other_key"));
                assert_eq!(
                    send(&unknown, "never", &mut sent).await,
                    503,
                    "nobody knows whether the key is good"
                );
                own.postgres.start_again();
                processor.kill();
                processor.restart();
            }
        }
        traffic.all(&mut sent).await;
    }
    // And the lone events.
    assert_eq!(sent.acknowledged.len(), rounds(EVENTS) + rounds(ROUNDS) / 4);
    assert_exact(&set, &api, &sent).await;
}

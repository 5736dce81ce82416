//! Three brokers, three copies of everything, two of which have to have a record: one may die, and of two nobody claims more than is so.

use std::time::Duration;

use gosight_distributed_tests::{Binary, Process, Servers, Set, one_at_a_time};
use gosight_e2e::load::{LOG, Sent, batch};
use gosight_e2e::{Api, INGEST_KEY, wait_for};
use gosight_services::KafkaCluster;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::exact::assert_exact;
use crate::log::kafka;
use crate::traffic::{Traffic, pause};

/// Each time that something is killed.
const EVENTS: usize = 20_000;

/// The broker that leads a partition of the log of events.
fn a_leader(set: &Set) -> usize {
    let config = kafka(set);
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", config.brokers.join(",")).create().unwrap();
    let topic = config.topic(LOG).unwrap().name;
    let metadata = client.fetch_metadata(Some(&topic), Duration::from_secs(30)).unwrap();
    usize::try_from(metadata.topics()[0].partitions()[0].leader()).unwrap()
}

/// Sends one event; gives the answer's status, and the event if it was acknowledged.
async fn send(ingestor: &Process, sent: &mut Sent) -> u16 {
    let (ids, body) = batch("lone", 1);
    let answer = Api::new(ingestor.url(), Some(INGEST_KEY)).post("/v1/events", body.to_string()).await;
    if answer.status.is_success() {
        sent.acknowledged.insert(ids[0], "lone".to_owned());
    } else {
        sent.unknown.insert(ids[0], "lone".to_owned());
    }
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker_may_die_and_without_two_nothing_is_acknowledged() {
    let _turn = one_at_a_time().await;
    let cluster = KafkaCluster::start();
    let servers = Servers { kafka: cluster.url(), ..Servers::shared() };
    let set = Set::new(&servers)
        .with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s")
        .with("KAFKA_PRODUCE_DELIVERY_TIMEOUT", "5s");
    let ingestor = set.start(Binary::Ingestor);
    let _processors = [set.start(Binary::EventProcessor), set.start(Binary::EventProcessor)];
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();

    let traffic = Traffic::of(&ingestor, 0, EVENTS);
    pause(500..1_500).await;
    let first = a_leader(&set);
    cluster.broker(first).kill();
    traffic.all(&mut sent).await;
    assert_eq!(send(&ingestor, &mut sent).await, 200, "two brokers are enough");

    // The other two: one copy is left of nothing.
    let traffic = Traffic::of(&ingestor, 1, EVENTS);
    cluster.start_again();
    pause(500..1_500).await;
    let leader = a_leader(&set);
    for id in [leader, leader % 3 + 1] {
        cluster.broker(id).kill();
    }
    wait_for("an answer that says that it cannot", async || {
        (send(&ingestor, &mut sent).await == 503).then_some(())
    })
    .await;
    cluster.start_again();
    traffic.all(&mut sent).await;
    wait_for("an acknowledgement", async || (send(&ingestor, &mut sent).await == 200).then_some(())).await;
    assert!(sent.acknowledged.len() > 2 * EVENTS);
    assert_exact(&set, &api, &sent).await;
}

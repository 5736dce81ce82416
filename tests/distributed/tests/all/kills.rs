//! Nothing lost, nothing twice: processes are killed while they work, and everything is counted.

use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_e2e::load::Sent;
use gosight_e2e::rounds;

use crate::exact::assert_exact;
use crate::traffic::{EVENTS, Traffic, pause};

const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn processors_and_ingestors_killed_at_random_moments_lose_and_double_nothing() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared()).with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s");
    let mut ingestor = set.start(Binary::Ingestor);
    let mut processors = [set.start(Binary::EventProcessor), set.start(Binary::EventProcessor)];
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    for round in 0..rounds(ROUNDS) {
        let traffic = Traffic::of(&ingestor, round, EVENTS / ROUNDS);
        pause(100..1_500).await;
        let victim = &mut processors[round % 2];
        victim.kill();
        victim.restart();
        if round % 4 == 3 {
            ingestor.kill();
            ingestor.restart();
        }
        traffic.all(&mut sent).await;
    }
    assert_eq!(sent.acknowledged.len(), rounds(EVENTS));
    assert_exact(&set, &api, &sent).await;
}

/// Points between two effects of a batch, each of which a processor is killed at.
const KILL_POINTS: [&str; 6] = [
    "batch-handled",
    "events-inserted",
    "sessions-inserted",
    "before-ledger",
    "batch-committed",
    "offset-committed",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_killed_between_any_two_effects_loses_and_doubles_nothing() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared()).with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s");
    let ingestor = set.start(Binary::Ingestor);
    let mut processors = [set.start(Binary::EventProcessor), set.start(Binary::EventProcessor)];
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    let events = EVENTS.div_ceil(KILL_POINTS.len());
    for (round, point) in KILL_POINTS.into_iter().enumerate() {
        processors.rotate_left(1);
        let [victim, other] = &mut processors;
        // Alone at first, so that it is there that the point is passed.
        other.stop();
        victim.stop();
        // The first few times the point is passed, so that there is something to be doubled.
        let passes = rand::random_range(0..6);
        victim.restart_with(&[("FAILPOINTS", &format!("{point}={passes}*off->return"))]);
        let traffic = Traffic::of(&ingestor, round, events);
        let status = victim.wait();
        assert!(!status.success(), "{point} was not reached:\n{}", victim.output());
        // The other one finds what it has left.
        other.restart();
        victim.restart();
        traffic.all(&mut sent).await;
    }
    assert_eq!(sent.acknowledged.len(), events * KILL_POINTS.len());
    assert_exact(&set, &api, &sent).await;
}

/// A log in a directory and a store on a server have no transaction in common, in one process as in several.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_a_directory_and_clickhouse_killed_between_any_two_effects_loses_and_doubles_nothing()
{
    let _turn = one_at_a_time().await;
    let dir = tempfile::tempdir().unwrap();
    let set = Set::new(&Servers::shared())
        .with("DATA_DIR", dir.path().to_str().unwrap())
        .with("STORE_BACKEND", "clickhouse");
    let mut process = set.serve(&[]);
    let mut sent = Sent::default();
    let events = EVENTS / 10 / KILL_POINTS.len();
    for (round, point) in (0..rounds(1)).flat_map(|_| KILL_POINTS).enumerate() {
        process.stop();
        let passes = rand::random_range(0..3);
        process.restart_with(&[("FAILPOINTS", &format!("{point}={passes}*off->return"))]);
        let traffic = Traffic::of(&process, round, events);
        let status = process.wait();
        assert!(!status.success(), "{point} was not reached:\n{}", process.output());
        process.restart();
        traffic.all(&mut sent).await;
    }
    assert_eq!(sent.acknowledged.len(), events * rounds(KILL_POINTS.len()));
    assert_exact(&set, &process, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_that_come_and_go_share_the_work() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared());
    let ingestor = set.start(Binary::Ingestor);
    let mut processors = vec![set.start(Binary::EventProcessor)];
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    for round in 0..6 {
        let traffic = Traffic::of(&ingestor, round, 5_000);
        pause(500..1_500).await;
        if round % 2 == 0 {
            processors.push(set.start(Binary::EventProcessor));
        } else {
            let mut leaving = processors.remove(0);
            assert!(leaving.stop().success(), "{}", leaving.output());
        }
        traffic.all(&mut sent).await;
    }
    assert_exact(&set, &api, &sent).await;
}

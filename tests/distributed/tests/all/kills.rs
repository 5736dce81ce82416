//! Nothing lost, nothing twice: processes are killed while they work, and everything is counted.

use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_e2e::load::{Sent, reconcile};

use crate::traffic::{Traffic, pause};

#[tokio::test(flavor = "multi_thread")]
async fn processors_and_ingestors_killed_at_random_moments_lose_and_double_nothing() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared()).with("KAFKA_CONSUME_SESSION_TIMEOUT", "6s");
    let mut ingestor = set.start(Binary::Ingestor);
    let mut processors = [set.start(Binary::EventProcessor), set.start(Binary::EventProcessor)];
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    for round in 0..20 {
        let traffic = Traffic::start(&ingestor, round);
        pause(100..1_500).await;
        let victim = &mut processors[round % 2];
        victim.kill();
        victim.restart();
        if round % 4 == 3 {
            ingestor.kill();
            traffic.end(&mut sent).await;
            ingestor.restart();
        } else {
            traffic.end(&mut sent).await;
        }
    }
    assert!(sent.acknowledged.len() > 5_000, "only {} events got through", sent.acknowledged.len());
    reconcile(&Set::reader(&api), &Set::admin(&api), &sent).await;
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
    let mut processor = set.start(Binary::EventProcessor);
    let api = set.start(Binary::Api);
    let mut sent = Sent::default();
    for (round, point) in KILL_POINTS.into_iter().enumerate() {
        processor.stop();
        // The first few times the point is passed, so that there is something to be doubled.
        let passes = rand::random_range(0..6);
        processor.restart_with(&[("FAILPOINTS", &format!("{point}={passes}*off->return"))]);
        let traffic = Traffic::start(&ingestor, round);
        let status = processor.wait();
        assert!(!status.success(), "{point} was not reached:\n{}", processor.output());
        processor.restart();
        traffic.end(&mut sent).await;
    }
    reconcile(&Set::reader(&api), &Set::admin(&api), &sent).await;
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
        let traffic = Traffic::start(&ingestor, round);
        pause(500..1_500).await;
        if round % 2 == 0 {
            processors.push(set.start(Binary::EventProcessor));
        } else {
            let mut leaving = processors.remove(0);
            assert!(leaving.stop().success(), "{}", leaving.output());
        }
        pause(500..1_500).await;
        traffic.end(&mut sent).await;
    }
    reconcile(&Set::reader(&api), &Set::admin(&api), &sent).await;
}

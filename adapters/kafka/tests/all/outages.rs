//! Brokers and networks that fail, each of the test's own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gosight_application::Telemetry;
use gosight_application::ports::{
    AssignmentChange, Effect, EventSource as _, Health, HealthCheck, PortError, RecordLog,
};
use gosight_kafka::{KafkaConfig, KafkaLog, KafkaSource};
use gosight_services::{Instance, Proxy, Service};
use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::harness::{LOG, PATIENCE, Topics, append_numbers, assigned, next_change, poll, record, text};
use crate::members::{Running, Store};

fn broker() -> Instance {
    block_in_place(|| Instance::start(Service::Kafka))
}

/// The same topics, reached through a proxy.
fn through(proxy: &Proxy, topics: &Topics) -> KafkaConfig {
    let mut config = topics.config.clone();
    config.brokers = vec![proxy.address().to_string()];
    config.request_timeout = Duration::from_secs(2);
    config
}

/// Appends one record after the other until it is stopped, each until it is acknowledged.
struct Writers {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    count: watch::Sender<usize>,
    stop: tokio_util::sync::CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Writers {
    fn start(log: &KafkaLog) -> Self {
        let mut writers = Self {
            acknowledged: Arc::default(),
            count: watch::Sender::new(0),
            stop: tokio_util::sync::CancellationToken::new(),
            tasks: tokio::task::JoinSet::new(),
        };
        for writer in 0..4 {
            let (log, stop, count) = (log.clone(), writers.stop.clone(), writers.count.clone());
            let acknowledged = writers.acknowledged.clone();
            writers.tasks.spawn(async move {
                for number in 0.. {
                    let value = format!("{writer}-{number:06}");
                    append_until_acknowledged(&log, &value).await;
                    acknowledged.lock().unwrap().insert(value);
                    count.send_modify(|count| *count += 1);
                    if stop.is_cancelled() {
                        return;
                    }
                }
            });
        }
        writers
    }

    async fn wait_for_more(&self, more: usize) {
        let mut count = self.count.subscribe();
        let target = *count.borrow() + more;
        let reached = count.wait_for(|count| *count >= target);
        tokio::time::timeout(PATIENCE, reached).await.expect("acknowledged in time").unwrap();
    }

    async fn stop(mut self) -> BTreeSet<String> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

async fn append_until_acknowledged(log: &KafkaLog, value: &str) {
    loop {
        match log.append(LOG, vec![record(value, value.to_owned())]).await {
            Ok(()) => return,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

async fn wait_until_up(log: &KafkaLog) {
    let up = async { while log.check().await != Health::Up {} };
    tokio::time::timeout(PATIENCE, up).await.expect("up in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_of_the_broker() {
    let broker = broker();
    let topics = Topics::on(broker.url(), &[LOG], |_| {}).await;
    let log = topics.log();
    // A new topic is known to the controller before it is known to those who ask.
    wait_until_up(&log).await;
    // Is processed over the outages.
    let store = Store::new();
    let consumer = Running::start(&topics, "only", &store);
    let writers = Writers::start(&log);
    for kill in [true, false] {
        writers.wait_for_more(200).await;
        block_in_place(|| if kill { broker.kill() } else { broker.stop() });
        assert!(matches!(log.check().await, Health::Down(_)));
        block_in_place(|| broker.start_again());
        wait_until_up(&log).await;
    }
    writers.wait_for_more(200).await;
    let acknowledged = writers.stop().await;
    let found: Vec<String> = topics.read_sorted(LOG).await;
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    let lost: Vec<&String> = acknowledged.difference(&distinct).collect();
    assert!(lost.is_empty(), "{lost:?}");
    store.wait_for(|ledger| ledger.values.len() >= found.len()).await;
    consumer.stop().await;
    assert_eq!(store.sorted(), found);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_repeats_nothing() {
    let broker = broker();
    let topics = Topics::on(broker.url(), &[LOG], |_| {}).await;
    let proxy = broker.proxy();
    let log = KafkaLog::new(&through(&proxy, &topics)).unwrap();
    append_numbers(&log, 0..10).await;
    proxy.cut_answers(true);
    let cut_before = proxy.answers_cut();
    let appending = tokio::spawn({
        let log = log.clone();
        async move { append_numbers(&log, 10..20).await }
    });
    // The broker has the records, or is asked for them again later; either way it answered into nothing.
    let cut = async {
        while proxy.answers_cut() < cut_before + 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.expect("answers are cut");
    proxy.cut_answers(false);
    tokio::time::timeout(PATIENCE, appending).await.expect("appended in time").unwrap();
    let expected: Vec<String> = (0..20).map(|n| format!("{n:08}")).collect();
    assert_eq!(topics.read_sorted(LOG).await, expected);

    // Nothing passes until the time of the records is over: nobody knows.
    let mut config = through(&proxy, &topics);
    config.produce.delivery_timeout = Duration::from_secs(2);
    let hasty = KafkaLog::new(&config).unwrap();
    append_numbers(&hasty, 20..21).await;
    proxy.pause(true);
    match hasty.append(LOG, vec![record("a", "unknown")]).await {
        Err(PortError::Transient { effect: Effect::Unknown, .. }) => {}
        other => panic!("expected that nobody knows, got {other:?}"),
    }
    assert!(matches!(hasty.check().await, Health::Down(_)));
    proxy.pause(false);
    wait_until_up(&hasty).await;
    append_until_acknowledged(&hasty, "later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_fell_silent_is_replaced_where_it_committed() {
    let broker = broker();
    let topics = Topics::on(broker.url(), &[LOG], |config| {
        config.consume.drain_timeout = Duration::from_secs(2);
        config.topics.get_mut(LOG).unwrap().partitions = Some(1);
    })
    .await;
    append_numbers(&topics.log(), 0..100).await;
    let proxy = broker.proxy();
    let silent =
        KafkaSource::join(&through(&proxy, &topics), &topics.group("g"), LOG, Telemetry::default()).unwrap();
    let mut held = assigned(&silent, 1).await.remove(0);
    assert_eq!(poll(&mut *held).await.records[0].offset, 0);
    held.commit(40).await.unwrap();
    // Its machine is gone, as far as anybody can tell: no leave, no heartbeat.
    proxy.pause(true);
    let other = topics.source("g", LOG);
    let mut taken = assigned(&other, 1).await.remove(0);
    assert_eq!(taken.position(), 40);
    assert_eq!(text(&poll(&mut *taken).await.records[0].value), "00000040");
    taken.commit(50).await.unwrap();
    let error = held.commit(45).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    // Back again, it learns that the partition is not its any more, and can do no harm.
    proxy.pause(false);
    loop {
        match tokio::time::timeout(PATIENCE, silent.next_change()).await.expect("a change in time") {
            Ok(Some(AssignmentChange::Revoked { partition, .. })) => break assert_eq!(partition, 0),
            Ok(other) => panic!("expected a revocation, got {other:?}"),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    let error = held.commit(45).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    drop(held);
    drop((taken, other));
    let AssignmentChange::Assigned(back) = next_change(&silent).await else { panic!("expected it back") };
    assert_eq!(back.position(), 50);
}

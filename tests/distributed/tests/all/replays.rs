//! Replay chunks that contradict each other, and an archive that is unavailable.

use std::time::Duration;

use gosight_application::logs;
use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_e2e::load::now_ms;
use gosight_e2e::{Api, INGEST_KEY, ledger_sum, wait_for};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{ClientConfig, Message as _, TopicPartitionList};
use serde_json::{Value, json};

use crate::log::kafka;

fn chunk(at: i64, event_type: u32) -> String {
    let event = json!({"type": event_type, "data": {}, "timestamp": at});
    json!({"session_id": "s", "chunk_index": 7, "timestamp_start": at, "timestamp_end": at, "events": [event]})
        .to_string()
}

/// The first record of `log`.
async fn first_record(set: &Set, log: &str) -> Value {
    let kafka = kafka(set);
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers.join(","))
        .set("group.id", "a-look")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut start = TopicPartitionList::new();
    let topic = kafka.topic(log).unwrap().name;
    start.add_partition_offset(&topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&start).unwrap();
    let record = tokio::time::timeout(Duration::from_mins(1), consumer.recv()).await.unwrap().unwrap();
    serde_json::from_slice(record.payload().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_with_a_taken_index_is_refused_by_every_ingestor_and_kept_in_the_errors_topic() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared());
    let ingestors = [set.start(Binary::Ingestor), set.start(Binary::Ingestor)];
    let at = now_ms();
    let (first, other) = (chunk(at, 4), chunk(at, 5));
    let send = async |ingestor: usize, body: &str| {
        Api::new(ingestors[ingestor].url(), Some(INGEST_KEY)).post("/v1/replay", body.to_owned()).await
    };
    assert_eq!(send(0, &first).await.status, 200);
    for ingestor in [0, 1] {
        let answer = send(ingestor, &other).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (409, "conflicting_chunk"), "{}", answer.text);
    }
    assert_eq!(send(1, &first).await.status, 200, "the same may come again");
    let report = first_record(&set, logs::ERRORS).await;
    assert_eq!((&report["code"], &report["item"]["chunk_index"]), (&json!("conflicting_chunk"), &json!(7)));
    assert!(report["item"]["data"].as_str().unwrap().starts_with("H4sI"), "gzip in base64: {report}");

    let _processor = set.start(Binary::ReplayProcessor);
    let api = set.start(Binary::Api);
    let ledger = Set::admin(&api).processed().await;
    let sum = |field| ledger_sum(&ledger, logs::REPLAY, field);
    assert_eq!((sum("polled"), sum("stored"), sum("duplicate")), (2, 1, 1), "{ledger}");
    let events = Set::reader(&api).get_json("/api/v1/sessions/s/replay/events").await;
    assert_eq!((events.as_array().unwrap().len(), &events[0]["type"]), (1, &json!(4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_degrades_nothing_but_itself() {
    let _turn = one_at_a_time().await;
    // Nobody listens there.
    let set = Set::new(&Servers::shared())
        .with_archive()
        .with("S3_ENDPOINT", "http://127.0.0.1:9")
        .with("S3_CREATE_BUCKET", "false")
        .with("ARCHIVE_HOT_RETENTION", "0s")
        .with("ARCHIVE_INTERVAL", "1s");
    let everything = set.start(Binary::Gosight);
    let api = Api::new(everything.url(), Some(INGEST_KEY));
    assert_eq!(api.post("/v1/replay", chunk(now_ms(), 4)).await.status, 200);
    Set::admin(&everything).processed().await;
    wait_for("an attempt to archive", async || {
        let metrics = api.get("/metrics").await.text;
        metrics.contains(r#"replays_archived_total{outcome="failed"}"#).then_some(())
    })
    .await;
    let events = Set::reader(&everything).get_json("/api/v1/sessions/s/replay/events").await;
    assert_eq!(events.as_array().unwrap().len(), 1, "it is where it was");
    let ready = api.get("/ready").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (200, &json!("degraded")), "{}", ready.text);
    assert!(ready.text.contains("archived replays cannot be read"), "{}", ready.text);
}

/// Whether chunks go after some time, by themselves.
pub(crate) async fn chunks_have_a_ttl(set: &Set) -> bool {
    let table = "SELECT engine_full LIKE '%TTL%' FROM system.tables
        WHERE database = currentDatabase() AND name = 'replay_chunks'";
    set.ask_store(table).await == "1"
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_process_that_stores_chunks_says_how_long_they_are_kept() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared()).with("CLICKHOUSE_REPLAY_RETENTION_DAYS", "30");
    let _others = [Binary::Api, Binary::EventProcessor].map(|binary| set.start(binary));
    assert!(!chunks_have_a_ttl(&set).await);
    let mut processor = set.start(Binary::ReplayProcessor);
    assert!(chunks_have_a_ttl(&set).await);
    processor.stop();
    let _keeping = set.clone().with("CLICKHOUSE_REPLAY_RETENTION_DAYS", "0").start(Binary::ReplayProcessor);
    assert!(!chunks_have_a_ttl(&set).await);
}

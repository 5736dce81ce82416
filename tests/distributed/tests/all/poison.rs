//! Records that nothing can be done with: each is dead-lettered with its reason, its neighbours are stored, and what was
//! repaired comes back once.

use std::sync::Arc;
use std::time::Duration;

use gosight_application::dead_letters::{ReplayLetterError, ReplayLetters};
use gosight_application::logs;
use gosight_application::ports::{DeadLetter, DeadLetters, LogPosition, Record, RecordLog};
use gosight_distributed_tests::{Binary, Servers, Set, one_at_a_time};
use gosight_e2e::load::{batch, now_ms};
use gosight_e2e::{Api, INGEST_KEY, ledger_sum};
use gosight_kafka::{KafkaConfig, KafkaDeadLetters, KafkaLog};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::log::kafka;

const SESSION: &str = "poisoned";
const TEN_MIB: usize = 10 * 1024 * 1024;

/// An event as it stands in the log.
fn event(id: u128, path: &str) -> Value {
    json!({
        "event_id": format!("{:08x}-0000-4000-8000-000000000000", id),
        "project_id": "default",
        "session_id": SESSION,
        "event_type": "page_view",
        "timestamp": now_ms(),
        "received_at": now_ms(),
        "page": {"path": path},
    })
}

/// Writes `values` to the first partition of `log`, past everything that could check them.
async fn write(kafka: &KafkaConfig, log: &str, values: &[Vec<u8>]) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers.join(","))
        .set("message.max.bytes", (2 * TEN_MIB).to_string())
        .create()
        .unwrap();
    let topic = kafka.topic(log).unwrap().name;
    for value in values {
        let record = FutureRecord::<[u8], [u8]>::to(&topic).partition(0).payload(value);
        producer.send(record, Duration::from_secs(30)).await.unwrap();
    }
}

fn position(log: &str, offset: u64) -> LogPosition {
    LogPosition { log: log.into(), partition: 0, offset }
}

fn told(letters: &[DeadLetter]) -> Vec<(LogPosition, &str, usize)> {
    letters.iter().map(|letter| (letter.position.clone(), &*letter.reason, letter.record.len())).collect()
}

/// Records that were dead-lettered, by the ledger.
fn dead_lettered(ledger: &Value, log: &str) -> u64 {
    let hours = ledger["hours"].as_array().unwrap().iter().filter(|hour| hour["log"] == log);
    hours.flat_map(|hour| hour["dead_lettered"].as_object().unwrap().values()).filter_map(Value::as_u64).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_aside_with_its_reason_and_comes_back_once_when_repaired() {
    let _turn = one_at_a_time().await;
    let set = Set::new(&Servers::shared());
    let ingestor = set.start(Binary::Ingestor);
    let _events = set.start(Binary::EventProcessor);
    let _replays = set.start(Binary::ReplayProcessor);
    let api = set.start(Binary::Api);
    let kafka = kafka(&set);
    let (reader, admin) = (Set::reader(&api), Set::admin(&api));
    // A rule that an operator has added to the table: the store itself refuses a row.
    set.ask_store("ALTER TABLE events ADD CONSTRAINT no_poison CHECK path != '/refused'").await;

    let good = |id: u128| event(id, "/good").to_string().into_bytes();
    let mut not_json = event(1, "/broken").to_string().into_bytes();
    not_json.pop();
    let refused = event(3, "/refused").to_string().into_bytes();
    let mut large = event(5, "/large");
    large["payload"] = json!({"text": "x".repeat(TEN_MIB)});
    let large = large.to_string().into_bytes();
    let unknown = br#"{"schema": "of tomorrow"}"#.to_vec();
    let poison = [&not_json, &refused, &large, &unknown].map(Clone::clone);
    let [first, second, third, fourth] = poison;
    let records = [good(0), first, good(2), second, good(4), third, good(6), fourth, good(8)];
    write(&kafka, logs::EVENTS, &records).await;
    write(&kafka, logs::REPLAY, &[b"\x1f\x8b no chunk".to_vec()]).await;
    // What comes after it, in all partitions.
    let mut others = 0;
    for session in 0..50 {
        let (ids, body) = batch(&format!("neighbour-{session}"), 20);
        others += ids.len() as u64;
        let answer = Api::new(ingestor.url(), Some(INGEST_KEY)).post("/v1/events", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    let ledger = admin.processed().await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(
        (ledger_sum(&ledger, logs::EVENTS, "stored"), dead_lettered(&ledger, logs::EVENTS)),
        (others + 5, 4)
    );
    assert_eq!((ledger_sum(&ledger, logs::REPLAY, "stored"), dead_lettered(&ledger, logs::REPLAY)), (0, 1));
    assert_eq!(reader.session_events(SESSION).await.len(), 5);
    assert_eq!(reader.total_count().await, others + 5);

    let log = Arc::new(KafkaLog::new(&kafka).unwrap());
    let letters = Arc::new(KafkaDeadLetters::new(&kafka, &log).unwrap());
    let found = letters.list(None, 100).await.unwrap();
    let expected = [
        (position(logs::EVENTS, 1), "not_json", not_json.len()),
        (position(logs::EVENTS, 3), "store_refused", refused.len()),
        (position(logs::EVENTS, 5), "too_large", large.len()),
        (position(logs::EVENTS, 7), "invalid_record", unknown.len()),
        (position(logs::REPLAY, 0), "not_json", 11),
    ];
    assert_eq!(told(&found), expected);
    assert!(found[1].detail.contains("no_poison"), "{}", found[1].detail);
    assert_eq!(found[2].record, large, "byte for byte");

    // One is repaired, of the other the cause is gone.
    let replay = ReplayLetters::new(letters.clone(), log.clone());
    let (broken, refused_at) = (position(logs::EVENTS, 1), position(logs::EVENTS, 3));
    let error = replay.replay(&broken, None).await.unwrap_err();
    assert!(matches!(error, ReplayLetterError::Unreadable(_)), "{error}");
    let repaired: bytes::Bytes = [not_json.as_slice(), b"}"].concat().into();
    replay.replay(&broken, Some(repaired.clone())).await.unwrap();
    set.ask_store("ALTER TABLE events DROP CONSTRAINT no_poison").await;
    replay.replay(&refused_at, None).await.unwrap();
    for again in [&broken, &refused_at] {
        let error = replay.replay(again, None).await.unwrap_err();
        assert!(matches!(error, ReplayLetterError::NotFound(_)), "{error}");
    }
    // As when the letter could not be removed after its record went through, and was put through a second time.
    let twice = Record { key: SESSION.as_bytes().into(), value: repaired };
    log.append(logs::EVENTS, vec![twice]).await.unwrap();

    let ledger = admin.processed().await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let sums = ["stored", "duplicate"].map(|field| ledger_sum(&ledger, logs::EVENTS, field));
    assert_eq!((sums, dead_lettered(&ledger, logs::EVENTS)), ([others + 7, 1], 4));
    assert_eq!(reader.session_events(SESSION).await.len(), 7);
    assert_eq!(reader.get_json(&format!("/api/v1/sessions/{SESSION}")).await["event_count"], 7);
    assert_eq!(reader.total_count().await, others + 7);
    assert_eq!(
        set.ask_store("SELECT count(), uniqExact(event_id) FROM events").await,
        format!("{0}\t{0}", others + 7)
    );
    let left: Vec<LogPosition> =
        letters.list(None, 100).await.unwrap().into_iter().map(|letter| letter.position).collect();
    let [.., third, fourth, fifth] = expected.map(|(position, ..)| position);
    assert_eq!(left, [third, fourth, fifth]);
}

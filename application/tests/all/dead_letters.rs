//! Letters that go back into the log they came from.

use std::sync::Arc;

use bytes::Bytes;
use gosight_application::codec::{decode_event, encode_event};
use gosight_application::dead_letters::{ReplayLetterError, ReplayLetters};
use gosight_application::logs;
use gosight_application::ports::{DeadLetter, DeadLetters, Fence, LogPartition, LogPosition};
use gosight_conformance::factory::{NOON, event};
use gosight_memory::{MemoryDeadLetters, MemoryLog};
use uuid::Uuid;

fn position(log: &str, offset: u64) -> LogPosition {
    LogPosition { log: log.into(), partition: 3, offset }
}

async fn letters_with(log: &str, record: Bytes) -> Arc<MemoryDeadLetters> {
    let letters = Arc::new(MemoryDeadLetters::default());
    let letter = DeadLetter {
        position: position(log, 7),
        project_id: None,
        reason: "store_refused".into(),
        detail: String::new(),
        at: NOON,
        record,
    };
    let place = LogPartition { log: log.into(), partition: 0 };
    letters.put(&Fence::granted(place, 1, Uuid::nil()), &[letter]).await.unwrap();
    letters
}

#[tokio::test]
async fn a_record_goes_back_with_the_key_of_its_session() {
    let record = encode_event(&event(1, "click", 0)).unwrap();
    let letters = letters_with(logs::EVENTS, record.value.clone()).await;
    let log = Arc::new(MemoryLog::new(4));
    let replay = ReplayLetters::new(letters.clone(), log.clone());
    replay.replay(&position(logs::EVENTS, 7), None).await.unwrap();
    let records = log.records(logs::EVENTS);
    assert_eq!(records.len(), 1);
    assert_eq!(decode_event(&records[0].value).unwrap().into_event(), event(1, "click", 0));
    assert_eq!(letters.list(None, 10).await.unwrap(), []);
    let again = replay.replay(&position(logs::EVENTS, 7), None).await;
    assert!(matches!(again, Err(ReplayLetterError::NotFound(_))), "{again:?}");
}

#[tokio::test]
async fn what_would_come_back_is_kept() {
    for (log, record) in [(logs::EVENTS, "{"), (logs::REPLAY, "{}"), (logs::ERRORS, "{}")] {
        let letters = letters_with(log, Bytes::from(record)).await;
        let replay = ReplayLetters::new(letters.clone(), Arc::new(MemoryLog::new(1)));
        assert!(replay.replay(&position(log, 7), None).await.is_err(), "{log}");
        assert_eq!(letters.list(None, 10).await.unwrap().len(), 1);
    }
    let letters = letters_with(logs::EVENTS, Bytes::from("{")).await;
    let log = Arc::new(MemoryLog::new(1));
    let repaired = encode_event(&event(2, "click", 0)).unwrap().value;
    let replay = ReplayLetters::new(letters.clone(), log.clone());
    replay.replay(&position(logs::EVENTS, 7), Some(repaired)).await.unwrap();
    assert_eq!(log.records(logs::EVENTS).len(), 1);
}

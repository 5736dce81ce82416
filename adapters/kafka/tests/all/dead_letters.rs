//! Dead letters: large ones, many, and ones that come back.

use gosight_application::ports::{DeadLetter, DeadLetters, Fence, LogPartition, LogPosition};
use gosight_domain::Timestamp;
use gosight_kafka::KafkaDeadLetters;
use uuid::Uuid;

use crate::harness::Topics;

fn letter(offset: u64, record: impl Into<bytes::Bytes>) -> DeadLetter {
    DeadLetter {
        position: LogPosition { log: "some.log".into(), partition: 1, offset },
        project_id: None,
        reason: "too_large".into(),
        detail: "x".repeat(1_000),
        at: Timestamp::from_millis(1_700_000_000_000),
        record: record.into(),
    }
}

/// Nobody looks at it here: a topic takes what comes.
fn fence() -> Fence {
    Fence::granted(LogPartition { log: "some.log".into(), partition: 1 }, 1, Uuid::nil())
}

fn open(topics: &Topics) -> KafkaDeadLetters {
    KafkaDeadLetters::new(&topics.config, &topics.log()).unwrap()
}

fn offsets(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.position.offset).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_around_the_largest_record_is_kept() {
    let topics = Topics::new(&[]).await;
    let large = letter(1, vec![b'\n'; 16 << 20]);
    let letters = open(&topics);
    letters.put(&fence(), std::slice::from_ref(&large)).await.unwrap();
    assert_eq!(letters.get(&large.position).await.unwrap(), Some(large));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_over_what_was_removed() {
    let topics = Topics::new(&[]).await;
    let letters = open(&topics);
    let all: Vec<DeadLetter> = (0..200).map(|offset| letter(offset, offset.to_string())).collect();
    letters.put(&fence(), &all).await.unwrap();
    for offset in (0..200).filter(|offset| offset % 3 != 0) {
        letters.remove(&letter(offset, "").position).await.unwrap();
    }
    // Another process sees the same.
    let others = open(&topics);
    let first = others.list(None, 10).await.unwrap();
    assert_eq!(offsets(&first), (0..30).step_by(3).collect::<Vec<u64>>());
    let rest = others.list(Some(&first[9].position), 1_000).await.unwrap();
    assert_eq!(offsets(&rest), (30..200).step_by(3).collect::<Vec<u64>>());
    assert_eq!(rest[0].record, "30");
    assert_eq!(others.list(None, 0).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_may_come_back() {
    let topics = Topics::new(&[]).await;
    let letters = open(&topics);
    let (old, new) = (letter(5, "old"), letter(5, "new"));
    letters.put(&fence(), std::slice::from_ref(&old)).await.unwrap();
    letters.remove(&old.position).await.unwrap();
    assert_eq!(letters.get(&old.position).await.unwrap(), None);
    letters.put(&fence(), std::slice::from_ref(&new)).await.unwrap();
    assert_eq!(letters.list(None, 10).await.unwrap(), [new]);
}

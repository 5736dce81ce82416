//! From the replay log to stored chunks.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_application::codec::encode_chunk;
use gosight_application::logs;
use gosight_application::ports::{
    BatchStore, ChunkId, CommitError, Fence, PolledBatch, PolledRecord, ProcessedBatch, PutVerdict,
    RecordLog, ReplayStore, ReplayStoreError,
};
use gosight_application::process::{BatchHandler, LogConsumer, Refusals, ReplayHandler};
use gosight_application::replay::Replays;
use gosight_conformance::factory::{bytes, chunk, project, replay_session};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::{ProjectId, SessionId, Timestamp};
use mockall::mock;

use crate::support::{Bench, GROUP, Running, until};

mock! {
    #[derive(Debug)]
    Hot {}

    #[async_trait]
    impl ReplayStore for Hot {
        async fn put(&self, fence: &Fence, chunks: &[ReplayChunk]) -> Result<Vec<PutVerdict>, CommitError>;
        async fn contents(&self, chunks: &[ChunkId]) -> Result<Vec<Option<ContentHash>>, ReplayStoreError>;
        async fn headers(&self, session: &ReplaySession) -> Result<Vec<ReplayChunk>, ReplayStoreError>;
        async fn data(&self, chunks: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>, ReplayStoreError>;
        async fn delete(&self, chunks: &[ChunkId]) -> Result<u64, ReplayStoreError>;
        async fn mark_archived(&self, sessions: &[ReplaySession], is_archived: bool) -> Result<(), ReplayStoreError>;
        async fn are_recorded(&self, sessions: &[ReplaySession]) -> Result<Vec<bool>, ReplayStoreError>;
        async fn recorded(
            &self,
            project_id: &ProjectId,
            after: Option<SessionId>,
            limit: usize,
        ) -> Result<Vec<SessionId>, ReplayStoreError>;
        async fn idle(
            &self,
            before: Timestamp,
            after: Option<ReplaySession>,
            limit: usize,
        ) -> Result<Vec<ReplaySession>, ReplayStoreError>;
    }
}

fn handler(bench: &Bench) -> ReplayHandler {
    ReplayHandler::new(Replays::new(bench.store.clone(), None), bench.clock.clone())
}

fn record(chunk: &ReplayChunk) -> Bytes {
    encode_chunk(chunk).unwrap().value
}

fn polled(first: u64, records: &[Bytes]) -> PolledBatch {
    let last = first + records.len() as u64 - 1;
    let span = BatchSpan { log: logs::REPLAY.into(), partition: 0, first, last };
    let records = (first..).zip(records);
    let record = |(offset, value): (u64, &Bytes)| PolledRecord { offset, value: value.clone() };
    PolledBatch { span, records: records.map(record).collect() }
}

async fn handle(bench: &Bench, first: u64, records: &[Bytes]) -> ProcessedBatch {
    handler(bench).handle(&polled(first, records), &Refusals::new()).await.unwrap()
}

async fn store(bench: &Bench, first: u64, chunks: &[ReplayChunk]) -> ProcessedBatch {
    let records: Vec<Bytes> = chunks.iter().map(record).collect();
    let processed = handle(bench, first, &records).await;
    bench.store.commit(&processed).await.unwrap();
    processed
}

fn dead_lettered(processed: &ProcessedBatch) -> Vec<(u64, &str)> {
    processed.dead_letters.iter().map(|letter| (letter.position.offset, &*letter.reason)).collect()
}

#[tokio::test]
async fn chunks_keep_the_order_of_the_log_and_are_listed_by_their_index() {
    let bench = Bench::new(1);
    let chunks = [chunk("s", 2, "c"), chunk("s", 0, "a"), chunk("t", 0, "x"), chunk("s", 1, "b")];
    let processed = store(&bench, 0, &chunks).await;
    assert_eq!(processed.replay_chunks, chunks);
    assert_eq!(processed.ledger.total().stored, 4);
    let headers = bench.store.headers(&replay_session("p", "s")).await.unwrap();
    assert_eq!(headers.iter().map(|header| header.chunk_index).collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn the_same_chunk_is_stored_once() {
    let bench = Bench::new(1);
    let first = store(&bench, 0, &[chunk("s", 0, "a"), chunk("s", 0, "a")]).await;
    let later =
        ReplayChunk { received_at: chunk("s", 0, "a").received_at.plus_millis(9), ..chunk("s", 0, "a") };
    let second = store(&bench, 2, &[later, chunk("s", 1, "b")]).await;
    for (processed, chunks) in [(&first, 1), (&second, 1)] {
        let total = processed.ledger.total();
        assert_eq!((total.polled, total.stored, total.duplicate), (2, 1, 1));
        assert_eq!(processed.replay_chunks.len(), chunks);
        assert_eq!(dead_lettered(processed), []);
    }
}

#[tokio::test]
async fn another_chunk_with_a_known_index_is_dead_lettered() {
    let bench = Bench::new(1);
    let processed = store(&bench, 0, &[chunk("s", 0, "a"), chunk("s", 0, "other")]).await;
    assert_eq!(dead_lettered(&processed), [(1, "conflicting_chunk")]);
    let processed = store(&bench, 2, &[chunk("s", 0, "third"), chunk("s", 1, "b")]).await;
    assert_eq!(dead_lettered(&processed), [(2, "conflicting_chunk")]);
    let letter = &processed.dead_letters[0];
    assert_eq!((&letter.project_id, &letter.record), (&Some(project("p")), &record(&chunk("s", 0, "third"))));
    assert_eq!(processed.ledger.total().dead_lettered, [("conflicting_chunk".into(), 1)].into());
    assert_eq!(processed.ledger.entries[0].project_id, Some(project("p")));
    // What was there first stays.
    let data = bench.store.data(&[ChunkId::of(&chunk("s", 0, "a"))]).await.unwrap();
    assert_eq!(data, [Some(b"a".to_vec())]);
}

#[tokio::test]
async fn sessions_and_projects_have_indexes_of_their_own() {
    let bench = Bench::new(1);
    let of_other_project = ReplayChunk { project_id: project("q"), ..chunk("s", 0, "c") };
    let processed = store(&bench, 0, &[chunk("s", 0, "a"), chunk("t", 0, "b"), of_other_project]).await;
    assert_eq!(processed.ledger.total().stored, 3);
}

#[tokio::test]
async fn a_record_that_is_no_chunk_is_put_aside_as_it_is_and_its_neighbours_are_stored() {
    let bench = Bench::new(1);
    let records =
        [record(&chunk("s", 0, "a")), bytes("{not json"), bytes("{}\nx"), record(&chunk("s", 1, "b"))];
    let processed = handle(&bench, 5, &records).await;
    assert_eq!(dead_lettered(&processed), [(6, "not_json"), (7, "invalid_record")]);
    assert_eq!(
        (&processed.dead_letters[0].record, &processed.dead_letters[0].project_id),
        (&records[1], &None)
    );
    assert_eq!(processed.replay_chunks, [chunk("s", 0, "a"), chunk("s", 1, "b")]);
}

#[tokio::test]
async fn a_chunk_that_the_store_refuses_is_put_aside_with_its_project() {
    let bench = Bench::new(1);
    let records = [record(&chunk("s", 0, "a")), record(&chunk("s", 1, "b"))];
    let refused: Refusals = [(1, "too large".to_owned())].into();
    let processed = handler(&bench).handle(&polled(0, &records), &refused).await.unwrap();
    assert_eq!(dead_lettered(&processed), [(1, "store_refused")]);
    assert_eq!(processed.dead_letters[0].detail, "too large");
    assert_eq!(processed.dead_letters[0].project_id, Some(project("p")));
    assert_eq!(processed.replay_chunks, [chunk("s", 0, "a")]);
}

#[tokio::test]
async fn nothing_is_said_of_a_batch_while_the_store_is_away() {
    let bench = Bench::new(1);
    let mut replays = MockHot::new();
    replays.expect_contents().returning(|_| Err(ReplayStoreError::transient("store", "gone")));
    let handler = ReplayHandler::new(Replays::new(Arc::new(replays), None), bench.clock.clone());
    let batch = polled(0, &[record(&chunk("s", 0, "a"))]);
    assert!(handler.handle(&batch, &Refusals::new()).await.unwrap_err().is_transient());
}

#[tokio::test(start_paused = true)]
async fn chunks_go_from_the_log_to_the_store() {
    let bench = Bench::new(2);
    let chunks = [chunk("s", 0, "a"), chunk("s", 1, "b"), chunk("s", 0, "a"), chunk("t", 0, "c")];
    let records = chunks.iter().map(|chunk| encode_chunk(chunk).unwrap()).collect();
    bench.log.append(logs::REPLAY, records).await.unwrap();
    let running = Running::start(LogConsumer {
        source: Arc::new(bench.log.source(GROUP, logs::REPLAY)),
        handler: Arc::new(handler(&bench)),
        ..bench.consumer()
    });
    until("all are processed", async || running.status.counts().polled == 4).await;
    let counts = running.status.counts();
    assert_eq!((counts.stored, counts.duplicate), (3, 1));
    let data = bench.store.data(&[ChunkId::of(&chunks[1])]).await.unwrap();
    assert_eq!(data, [Some(b"b".to_vec())]);
    running.stop().await.unwrap();
}

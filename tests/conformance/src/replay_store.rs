//! Suite of `ReplayStore`.

use std::sync::Arc;

use gosight_application::ports::{ChunkId, PutVerdict, ReplayStore};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};

use crate::{
    Keep,
    factory::{NOON, chunk, project, replay_session, session_id},
    suite,
};

suite! { $ replay_store_suite, replay_store:
    a_chunk_is_read_back_as_it_was
    the_same_chunk_again_changes_nothing
    other_content_is_a_conflict_and_changes_nothing
    headers_come_in_order_without_data
    contents_are_told_in_the_order_asked
    deleting_takes_these_chunks_and_no_others
    sessions_of_a_project_are_listed_in_order
    idle_sessions_are_those_whose_last_chunk_is_old
}

/// A replay store.
pub struct ReplayStoreFixture {
    /// The port.
    pub replays: Arc<dyn ReplayStore>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

async fn put(fixture: &ReplayStoreFixture, chunks: &[ReplayChunk]) -> Vec<PutVerdict> {
    fixture.replays.put(chunks).await.expect("put")
}

async fn headers(fixture: &ReplayStoreFixture, session: &str) -> Vec<ReplayChunk> {
    fixture.replays.headers(&replay_session("p", session)).await.expect("read")
}

async fn data(fixture: &ReplayStoreFixture, chunk: &ReplayChunk) -> Option<Vec<u8>> {
    fixture.replays.data(&ChunkId::of(chunk)).await.expect("read")
}

pub async fn a_chunk_is_read_back_as_it_was(fixture: ReplayStoreFixture) {
    let chunk = ReplayChunk { stored_bytes: 256, data: (0..=255).collect(), ..chunk("s", 0, "") };
    assert_eq!(put(&fixture, std::slice::from_ref(&chunk)).await, [PutVerdict::Stored]);
    assert_eq!(data(&fixture, &chunk).await.as_ref(), Some(&chunk.data));
    assert_eq!(headers(&fixture, "s").await, [ReplayChunk { data: Vec::new(), ..chunk }]);
}

pub async fn the_same_chunk_again_changes_nothing(fixture: ReplayStoreFixture) {
    let chunks = [chunk("s", 0, "a"), chunk("s", 0, "a"), chunk("s", 1, "b")];
    assert_eq!(put(&fixture, &chunks).await, [PutVerdict::Stored, PutVerdict::Same, PutVerdict::Stored]);
    assert_eq!(put(&fixture, &chunks[1..]).await, [PutVerdict::Same, PutVerdict::Same]);
    assert_eq!(headers(&fixture, "s").await.len(), 2);
}

pub async fn other_content_is_a_conflict_and_changes_nothing(fixture: ReplayStoreFixture) {
    let first = chunk("s", 0, "first");
    put(&fixture, std::slice::from_ref(&first)).await;
    let verdicts = put(&fixture, &[chunk("s", 0, "second"), chunk("s", 1, "next")]).await;
    assert_eq!(verdicts, [PutVerdict::Conflict, PutVerdict::Stored]);
    assert_eq!(data(&fixture, &first).await, Some(b"first".to_vec()));
    assert_eq!(headers(&fixture, "s").await[0].content, ContentHash::of(b"first"));
}

pub async fn headers_come_in_order_without_data(fixture: ReplayStoreFixture) {
    put(&fixture, &[chunk("s", 300, "x"), chunk("s", 2, "x"), chunk("s", 0, "x"), chunk("t", 1, "x")]).await;
    let indexes: Vec<u16> = headers(&fixture, "s").await.iter().map(|chunk| chunk.chunk_index).collect();
    assert_eq!(indexes, [0, 2, 300]);
    assert_eq!(headers(&fixture, "unknown").await, []);
}

pub async fn contents_are_told_in_the_order_asked(fixture: ReplayStoreFixture) {
    put(&fixture, &[chunk("s", 0, "a"), chunk("s", 1, "b")]).await;
    let ids = [chunk("s", 1, ""), chunk("s", 7, ""), chunk("s", 0, "")].map(|chunk| ChunkId::of(&chunk));
    let contents = fixture.replays.contents(&ids).await.expect("read");
    assert_eq!(contents, [Some(ContentHash::of(b"b")), None, Some(ContentHash::of(b"a"))]);
}

pub async fn deleting_takes_these_chunks_and_no_others(fixture: ReplayStoreFixture) {
    let theirs = ReplayChunk { project_id: project("q"), ..chunk("s", 0, "x") };
    let mine =
        [chunk("s", 0, "x"), chunk("s", 1, "x"), chunk("s", 2, "x"), chunk("t", 0, "x"), chunk("t", 1, "x")];
    put(&fixture, &mine).await;
    put(&fixture, std::slice::from_ref(&theirs)).await;
    let old = [chunk("s", 0, ""), chunk("t", 1, ""), chunk("s", 2, ""), chunk("s", 9, ""), chunk("u", 0, "")];
    let delete = async |chunks: &[ReplayChunk]| {
        let chunks: Vec<ChunkId> = chunks.iter().map(ChunkId::of).collect();
        fixture.replays.delete(&chunks).await.expect("deleted")
    };
    assert_eq!(delete(&[]).await, 0);
    assert_eq!(delete(&old).await, 3);
    assert_eq!(delete(&old).await, 0);
    let left = async |session| -> Vec<u16> {
        headers(&fixture, session).await.iter().map(|chunk| chunk.chunk_index).collect()
    };
    assert_eq!((left("s").await, left("t").await), (vec![1], vec![0]));
    assert!(data(&fixture, &theirs).await.is_some());
    // What was deleted can come again, with other content.
    assert_eq!(put(&fixture, &[chunk("s", 0, "new")]).await, [PutVerdict::Stored]);
    assert_eq!(data(&fixture, &mine[0]).await, Some(b"new".to_vec()));
}

pub async fn sessions_of_a_project_are_listed_in_order(fixture: ReplayStoreFixture) {
    let of = |project_name: &str, name: &str, index: u16| ReplayChunk {
        project_id: project(project_name),
        ..chunk(name, index, "x")
    };
    put(&fixture, &[of("p", "b", 0), of("p", "b", 1), of("p", "a", 0), of("q", "c", 0), of("p", "ä", 0)])
        .await;
    let sessions = async |project_name: &str, after: Option<&str>, limit: usize| {
        let after = after.map(session_id);
        let found = fixture.replays.recorded(&project(project_name), after, limit).await;
        found.expect("read").iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(sessions("p", None, 10).await, ["a", "b", "ä"]);
    assert_eq!(sessions("p", None, 2).await, ["a", "b"]);
    assert_eq!(sessions("p", Some("a"), 10).await, ["b", "ä"]);
    assert_eq!(sessions("p", Some("ä"), 10).await, [""; 0]);
    assert_eq!(sessions("nobody", None, 10).await, [""; 0]);
}

pub async fn idle_sessions_are_those_whose_last_chunk_is_old(fixture: ReplayStoreFixture) {
    let at = |project_name: &str, name: &str, index: u16, received_ms: i64| ReplayChunk {
        project_id: project(project_name),
        received_at: NOON.plus_millis(received_ms),
        ..chunk(name, index, "x")
    };
    put(&fixture, &[at("p", "b", 0, 0), at("p", "b", 1, 50), at("p", "a", 0, 10), at("q", "a", 0, 20)]).await;
    put(&fixture, &[at("p", "busy", 0, 0), at("p", "busy", 1, 100), at("o", "z", 0, 99)]).await;
    let idle = async |after: Option<ReplaySession>, limit: usize| {
        fixture.replays.idle(NOON.plus_millis(100), after, limit).await.expect("read")
    };
    let all = [
        replay_session("o", "z"),
        replay_session("p", "a"),
        replay_session("p", "b"),
        replay_session("q", "a"),
    ];
    assert_eq!(idle(None, 10).await, all);
    assert_eq!(idle(None, 2).await, all[..2]);
    assert_eq!(idle(Some(all[1].clone()), 10).await, all[2..]);
    assert_eq!(idle(Some(replay_session("p", "aa")), 1).await, all[2..3]);
    assert_eq!(idle(Some(all[3].clone()), 10).await, []);
}

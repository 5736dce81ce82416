//! Suite of `ReplayStore`.

use gosight_application::ports::{ChunkId, PutVerdict};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};

use crate::factory::{LOG, NOON, chunk, project, replay_session, session_id};
use crate::steps::{StepsFixture, assert_fenced_off, foreign};
use crate::suite;

suite! { $ replay_store_suite, replay_store(StepsFixture):
    a_chunk_is_read_back_as_it_was
    the_same_chunk_again_changes_nothing
    other_content_is_a_conflict_and_changes_nothing
    an_older_fence_changes_nothing
    fences_of_another_ledger_count_once_they_are_known
    headers_come_in_order_without_data
    data_comes_in_the_order_asked
    contents_are_told_in_the_order_asked
    deleting_takes_these_chunks_and_no_others
    sessions_are_recorded_by_their_chunks_or_by_a_mark
    sessions_of_a_project_are_listed_in_order
    idle_sessions_are_those_whose_last_chunk_is_old
}

async fn put(fixture: &StepsFixture, chunks: &[ReplayChunk]) -> Vec<PutVerdict> {
    fixture.replays.put(&fixture.fence().await, chunks).await.expect("put")
}

async fn headers(fixture: &StepsFixture, session: &str) -> Vec<ReplayChunk> {
    fixture.replays.headers(&replay_session("p", session)).await.expect("read")
}

async fn data(fixture: &StepsFixture, chunk: &ReplayChunk) -> Option<Vec<u8>> {
    fixture.replays.data(&[ChunkId::of(chunk)]).await.expect("read").pop().expect("one answer")
}

pub async fn a_chunk_is_read_back_as_it_was(fixture: StepsFixture) {
    let chunk = ReplayChunk { stored_bytes: 256, data: (0..=255).collect(), ..chunk("s", 0, "") };
    assert_eq!(put(&fixture, std::slice::from_ref(&chunk)).await, [PutVerdict::Stored]);
    assert_eq!(data(&fixture, &chunk).await.as_ref(), Some(&chunk.data));
    let fixture = fixture.crashed().await;
    assert_eq!(data(&fixture, &chunk).await.as_ref(), Some(&chunk.data));
    assert_eq!(headers(&fixture, "s").await, [ReplayChunk { data: Vec::new(), ..chunk }]);
}

pub async fn the_same_chunk_again_changes_nothing(fixture: StepsFixture) {
    let chunks = [chunk("s", 0, "a"), chunk("s", 0, "a"), chunk("s", 1, "b")];
    assert_eq!(put(&fixture, &chunks).await, [PutVerdict::Stored, PutVerdict::Same, PutVerdict::Stored]);
    assert_eq!(put(&fixture, &chunks[1..]).await, [PutVerdict::Same, PutVerdict::Same]);
    assert_eq!(headers(&fixture, "s").await.len(), 2);
    // It is another chunk in another project.
    let theirs = ReplayChunk { project_id: project("q"), ..chunk("s", 0, "a") };
    assert_eq!(put(&fixture, &[theirs]).await, [PutVerdict::Stored]);
}

pub async fn other_content_is_a_conflict_and_changes_nothing(fixture: StepsFixture) {
    let first = chunk("s", 0, "first");
    put(&fixture, std::slice::from_ref(&first)).await;
    let verdicts = put(&fixture, &[chunk("s", 0, "second"), chunk("s", 1, "next")]).await;
    assert_eq!(verdicts, [PutVerdict::Conflict, PutVerdict::Stored]);
    assert_eq!(data(&fixture, &first).await, Some(b"first".to_vec()));
    assert_eq!(headers(&fixture, "s").await[0].content, ContentHash::of(b"first"));
    // Chunks of one call count in order.
    let verdicts = put(&fixture, &[chunk("t", 0, "first"), chunk("t", 0, "second")]).await;
    assert_eq!(verdicts, [PutVerdict::Stored, PutVerdict::Conflict]);
    assert_eq!(data(&fixture, &chunk("t", 0, "")).await, Some(b"first".to_vec()));
}

pub async fn an_older_fence_changes_nothing(fixture: StepsFixture) {
    let old = fixture.fence_of(LOG, 0).await;
    let new = fixture.fence_of(LOG, 0).await;
    assert_fenced_off(&fixture.replays.put(&old, &[chunk("s", 0, "late")]).await);
    assert_eq!(headers(&fixture, "s").await, []);
    let verdicts = fixture.replays.put(&new, &[chunk("s", 0, "right")]).await;
    assert_eq!(verdicts.expect("put"), [PutVerdict::Stored]);
}

pub async fn fences_of_another_ledger_count_once_they_are_known(fixture: StepsFixture) {
    let (old, new) = (foreign(70), foreign(71));
    fixture.replays.acquired(&old).await.expect("known");
    fixture.replays.put(&old, &[chunk("s", 0, "a")]).await.expect("put");
    fixture.replays.acquired(&new).await.expect("known");
    assert_fenced_off(&fixture.replays.acquired(&old).await);
    assert_fenced_off(&fixture.replays.put(&old, &[chunk("s", 1, "late")]).await);
    fixture.replays.put(&new, &[chunk("s", 2, "b")]).await.expect("put");
    let indexes: Vec<u16> = headers(&fixture, "s").await.iter().map(|chunk| chunk.chunk_index).collect();
    assert_eq!(indexes, [0, 2]);
}

pub async fn data_comes_in_the_order_asked(fixture: StepsFixture) {
    let chunks: Vec<ReplayChunk> = (0..500).map(|n| chunk("s", n, &format!("data of {n}"))).collect();
    put(&fixture, &chunks).await;
    put(&fixture, &[chunk("t", 3, "another")]).await;
    let ids: Vec<ChunkId> =
        [chunk("t", 3, ""), chunk("s", 777, "")].iter().chain(chunks.iter().rev()).map(ChunkId::of).collect();
    let found = fixture.replays.data(&ids).await.expect("read");
    let wanted = chunks.iter().rev().map(|chunk| Some(chunk.data.clone()));
    let wanted: Vec<_> = [Some(b"another".to_vec()), None].into_iter().chain(wanted).collect();
    assert_eq!(found, wanted);
    assert_eq!(fixture.replays.data(&[]).await.expect("read"), [] as [Option<Vec<u8>>; 0]);
}

pub async fn sessions_are_recorded_by_their_chunks_or_by_a_mark(fixture: StepsFixture) {
    put(&fixture, &[chunk("s", 0, "a"), chunk("t", 0, "b")]).await;
    let sessions = ["t", "never", "s", "archived"].map(|name| replay_session("p", name));
    let sessions = [sessions.to_vec(), vec![replay_session("q", "s")]].concat();
    let are_recorded = async || fixture.replays.are_recorded(&sessions).await.expect("read");
    assert_eq!(are_recorded().await, [true, false, true, false, false]);
    let marked = [replay_session("p", "s"), replay_session("p", "archived")];
    fixture.replays.mark_archived(&marked, true).await.expect("marked");
    fixture.replays.delete(&["s", "t"].map(|name| ChunkId::of(&chunk(name, 0, "")))).await.expect("deleted");
    assert_eq!(are_recorded().await, [false, false, true, true, false]);
    fixture.replays.mark_archived(&marked[..1], false).await.expect("marked");
    assert_eq!(are_recorded().await, [false, false, false, true, false]);
}

pub async fn headers_come_in_order_without_data(fixture: StepsFixture) {
    // In no other order than that of numbers: not in that of texts, nor of bytes.
    let mine = [256, 2, 10, 0].map(|index| chunk("s", index, "x"));
    put(&fixture, &mine).await;
    put(&fixture, &[chunk("t", 1, "x"), chunk("ss", 1, "x"), chunk("S", 1, "x")]).await;
    let indexes: Vec<u16> = headers(&fixture, "s").await.iter().map(|chunk| chunk.chunk_index).collect();
    assert_eq!(indexes, [0, 2, 10, 256]);
    assert_eq!(headers(&fixture, "unknown").await, []);
}

pub async fn contents_are_told_in_the_order_asked(fixture: StepsFixture) {
    let theirs = ReplayChunk { project_id: project("q"), ..chunk("s", 7, "x") };
    put(&fixture, &[chunk("s", 0, "a"), chunk("s", 1, "b"), theirs]).await;
    let ids = [chunk("s", 1, ""), chunk("s", 7, ""), chunk("s", 0, "")].map(|chunk| ChunkId::of(&chunk));
    let contents = fixture.replays.contents(&ids).await.expect("read");
    assert_eq!(contents, [Some(ContentHash::of(b"b")), None, Some(ContentHash::of(b"a"))]);
}

pub async fn deleting_takes_these_chunks_and_no_others(fixture: StepsFixture) {
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

pub async fn sessions_of_a_project_are_listed_in_order(fixture: StepsFixture) {
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
    assert_eq!(sessions("p", None, 3).await, ["a", "b", "ä"], "a session has its chunks, and is one");
    assert_eq!(sessions("p", Some("a"), 10).await, ["b", "ä"]);
    assert_eq!(sessions("p", Some("ä"), 10).await, [""; 0]);
    assert_eq!(sessions("nobody", None, 10).await, [""; 0]);
}

pub async fn idle_sessions_are_those_whose_last_chunk_is_old(fixture: StepsFixture) {
    let at = |project_name: &str, name: &str, index: u16, received_ms: i64| ReplayChunk {
        project_id: project(project_name),
        received_at: NOON.plus_millis(received_ms),
        ..chunk(name, index, "x")
    };
    put(&fixture, &[at("p", "b", 0, 0), at("p", "b", 1, 50), at("p", "a", 0, 10), at("q", "a", 0, 20)]).await;
    put(&fixture, &[at("p", "busy", 0, 0), at("p", "busy", 1, 100), at("o", "z", 0, 99)]).await;
    put(&fixture, &[at("p", "ä", 0, 30)]).await;
    let idle = async |after: Option<ReplaySession>, limit: usize| {
        fixture.replays.idle(NOON.plus_millis(100), after, limit).await.expect("read")
    };
    let all = [
        replay_session("o", "z"),
        replay_session("p", "a"),
        replay_session("p", "b"),
        replay_session("p", "ä"),
        replay_session("q", "a"),
    ];
    assert_eq!(idle(None, 10).await, all);
    assert_eq!(idle(None, 2).await, all[..2]);
    assert_eq!(idle(Some(all[1].clone()), 10).await, all[2..]);
    assert_eq!(idle(Some(replay_session("p", "aa")), 1).await, all[2..3]);
    assert_eq!(idle(Some(all[4].clone()), 10).await, []);
}

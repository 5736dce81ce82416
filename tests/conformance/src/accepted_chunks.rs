//! Suite of `AcceptedChunks`.

use std::sync::Arc;

use gosight_application::ports::{AcceptedChunks, ChunkId};
use gosight_domain::replay::ContentHash;

use crate::{
    Keep,
    factory::{project, session_id},
    suite,
};

suite! { $ accepted_chunks_suite, accepted_chunks(AcceptedChunksFixture):
    what_was_remembered_first_stays
    projects_sessions_and_indexes_are_apart
    what_is_forgotten_can_be_another_s
}

/// A memory of chunks, none of which was reported to it yet.
pub struct AcceptedChunksFixture {
    /// The port.
    pub chunks: Arc<dyn AcceptedChunks>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

fn id(project_name: &str, session: &str, chunk_index: u16) -> ChunkId {
    ChunkId { project_id: project(project_name), session_id: session_id(session), chunk_index }
}

pub async fn what_was_remembered_first_stays(
    AcceptedChunksFixture { chunks, keep: _keep }: AcceptedChunksFixture,
) {
    let (first, second) = (ContentHash::of(b"first"), ContentHash::of(b"second"));
    let chunk = id("p", "s", 0);
    assert_eq!(chunks.find(&chunk).await.expect("an answer"), None);
    for content in [first, second, first] {
        chunks.remember(&chunk, content).await.expect("an answer");
        assert_eq!(chunks.find(&chunk).await.expect("an answer"), Some(first));
    }
}

pub async fn what_is_forgotten_can_be_another_s(
    AcceptedChunksFixture { chunks, keep: _keep }: AcceptedChunksFixture,
) {
    let (first, second) = (ContentHash::of(b"first"), ContentHash::of(b"second"));
    let all: Vec<ChunkId> = (0..2_500).map(|index| id("p", "s", index)).collect();
    for chunk in &all {
        chunks.remember(chunk, first).await.expect("remembered");
    }
    chunks.forget(&all[1..]).await.expect("forgotten");
    chunks.forget(&[]).await.expect("nothing to do");
    for chunk in [&all[1], &all[2_499]] {
        assert_eq!(chunks.find(chunk).await.expect("an answer"), None);
        chunks.remember(chunk, second).await.expect("remembered");
        assert_eq!(chunks.find(chunk).await.expect("an answer"), Some(second));
    }
    assert_eq!(chunks.find(&all[0]).await.expect("an answer"), Some(first));
}

pub async fn projects_sessions_and_indexes_are_apart(
    AcceptedChunksFixture { chunks, keep: _keep }: AcceptedChunksFixture,
) {
    let ids = [
        id("p", "s", 0),
        id("q", "s", 0),
        id("p", "t", 0),
        id("p", "s", 1),
        id("p", "s/1", 1),
        id("p", "s/1", 11),
        id("p", "s/1/1", 1),
        id("p", "s", u16::MAX),
    ];
    for (n, id) in (0_u8..).zip(&ids) {
        chunks.remember(id, ContentHash::of(&[n])).await.expect("an answer");
    }
    for (n, id) in (0_u8..).zip(&ids) {
        let expected = ContentHash::of(&[n]);
        assert_eq!(chunks.find(id).await.expect("an answer"), Some(expected), "{id:?}");
    }
}

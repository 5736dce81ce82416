//! What else a purge takes with it.

use std::sync::Arc;

use gosight_application::ports::{AcceptedChunks as _, ChunkId};
use gosight_domain::replay::ReplayChunk;
use gosight_memory::MemoryAcceptedChunks;

use crate::archiver::{Bench, chunks, session};
use gosight_conformance::factory::put_chunks;

#[tokio::test]
async fn the_ingest_api_forgets_what_is_purged() {
    let bench = Bench::with(&chunks()).await;
    bench.archiver().archive(&session()).await.unwrap();
    let late = ReplayChunk { chunk_index: 9, ..chunks().remove(0) };
    put_chunks(&*bench.hot, std::slice::from_ref(&late)).await.unwrap();
    let ids: Vec<ChunkId> = chunks().iter().chain([&late]).map(ChunkId::of).collect();
    let accepted = Arc::new(MemoryAcceptedChunks::default());
    for id in &ids {
        accepted.remember(id, late.content).await.unwrap();
    }
    bench.archiver().forgetting(accepted.clone()).purge(&session()).await.unwrap();
    for id in &ids {
        assert_eq!(accepted.find(id).await.unwrap(), None, "{id:?}");
    }
}

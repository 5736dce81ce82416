use async_trait::async_trait;
use deadpool_redis::redis::{self, Cmd, Value};
use gosight_application::ports::{AcceptedChunks, AcceptedChunksError, ChunkId, PortError};
use gosight_domain::replay::ContentHash;

use crate::ADAPTER;
use crate::client::{Redis, millis};
use crate::guarded::GuardedRedis;

/// The chunks that all processes accepted lately, each known for `chunk_life`.
///
/// While Redis is unavailable, calls are `Transient` within `request_timeout`.
#[derive(Debug, Clone)]
pub struct RedisAcceptedChunks {
    redis: GuardedRedis,
}

/// Most chunks that are forgotten with one round trip.
const CHUNKS_PER_CALL: usize = 1_000;

impl RedisAcceptedChunks {
    /// Keeps contents on `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis: GuardedRedis::new(redis, "chunks") }
    }

    fn key(&self, chunk: &ChunkId) -> String {
        let ChunkId { project_id, session_id, chunk_index } = chunk;
        // No project has a `/`, and no index: the session may.
        self.redis.redis().key(format_args!("chunk:{project_id}/{session_id}/{chunk_index}"))
    }
}

#[async_trait]
impl AcceptedChunks for RedisAcceptedChunks {
    async fn find(&self, chunk: &ChunkId) -> Result<Option<ContentHash>, AcceptedChunksError> {
        let mut get = redis::cmd("GET");
        get.arg(self.key(chunk));
        let Some(value) = self.redis.run::<Option<Vec<u8>>>(None, get).await? else { return Ok(None) };
        let hash = value.try_into().map_err(|value: Vec<u8>| {
            PortError::fatal(ADAPTER, format!("{} has {} bytes, not 32", self.key(chunk), value.len()))
        })?;
        Ok(Some(ContentHash(hash)))
    }

    async fn remember(&self, chunk: &ChunkId, content: ContentHash) -> Result<(), AcceptedChunksError> {
        let life = self.redis.redis().config().chunk_life;
        let mut set = redis::cmd("SET");
        set.arg(self.key(chunk)).arg(&content.0[..]).arg("NX").arg("PX").arg(millis(life));
        self.redis.run::<Value>(None, set).await?;
        Ok(())
    }

    async fn forget(&self, chunks: &[ChunkId]) -> Result<(), AcceptedChunksError> {
        let unlink = |chunk| {
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(self.key(chunk));
            unlink
        };
        let redis = self.redis.redis();
        for part in chunks.chunks(CHUNKS_PER_CALL) {
            let calls: Vec<Cmd> = part.iter().map(unlink).collect();
            redis.run::<Vec<u64>>(None, calls, redis.config().command_timeout).await?;
        }
        Ok(())
    }
}

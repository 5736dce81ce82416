use async_trait::async_trait;
use deadpool_redis::redis::{self, Value};
use gosight_application::ports::{CachedProfile, PortError, ProfileCache, ProfileCacheError, ProfileKind};
use gosight_domain::{JsonObject, ProjectId};

use crate::client::{Redis, millis};
use crate::guarded::GuardedRedis;

/// Profiles of users and items that all processes share, each for `profile_life`. An id of which it is known that there is no
/// profile is kept with an empty text.
#[derive(Debug, Clone)]
pub struct RedisProfileCache {
    redis: GuardedRedis,
}

/// What is kept where there is no profile.
const NONE: &str = "";

impl RedisProfileCache {
    /// Keeps profiles on `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis: GuardedRedis::new(redis, "profiles") }
    }

    fn key(&self, project_id: &ProjectId, kind: ProfileKind, id: &str) -> String {
        self.redis.redis().key(format_args!("profile:{}:{project_id}/{id}", kind.as_str()))
    }

    fn keys(&self, project_id: &ProjectId, kind: ProfileKind, ids: &[String]) -> Vec<String> {
        ids.iter().map(|id| self.key(project_id, kind, id)).collect()
    }
}

/// A profile as it is kept, or that there is none. What cannot be read counts as not kept.
fn kept(text: &str) -> Option<CachedProfile> {
    if text == NONE {
        return Some(CachedProfile::Absent);
    }
    serde_json::from_str(text).ok().map(CachedProfile::Known)
}

#[async_trait]
impl ProfileCache for RedisProfileCache {
    async fn get(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<Vec<Option<CachedProfile>>, ProfileCacheError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = redis::cmd("MGET");
        get.arg(self.keys(project_id, kind, ids));
        let texts: Vec<Option<String>> = self.redis.run(None, get).await.map_err(PortError::from)?;
        Ok(texts.into_iter().map(|text| kept(&text?)).collect())
    }

    async fn keep(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        profiles: &[(String, Option<JsonObject>)],
    ) -> Result<(), ProfileCacheError> {
        let life = millis(self.redis.redis().config().profile_life);
        let set = |(id, profile): &(String, Option<JsonObject>)| {
            let text = profile.as_ref().map_or(NONE, JsonObject::as_str);
            let mut set = redis::cmd("SET");
            set.arg(self.key(project_id, kind, id)).arg(text).arg("PX").arg(life);
            set
        };
        self.redis.run_all(profiles.iter().map(set).collect()).await.map_err(PortError::from)
    }

    async fn forget(
        &self,
        project_id: &ProjectId,
        kind: ProfileKind,
        ids: &[String],
    ) -> Result<(), ProfileCacheError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut forget = redis::cmd("DEL");
        forget.arg(self.keys(project_id, kind, ids));
        self.redis.run::<Value>(None, forget).await.map(drop).map_err(PortError::from)
    }
}

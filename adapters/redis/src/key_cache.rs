use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::{self, Value};
use gosight_application::ports::{Clock, KeyError, KeyValidator, PortError};
use gosight_domain::key::{Grant, KeyHash, KeyRefusal, PresentedKey, Scope};
use gosight_domain::{ProjectId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ADAPTER;
use crate::client::{Redis, millis};
use crate::guarded::GuardedRedis;

/// Answers about keys, shared by all processes, in front of a validator that knows.
///
/// Grants and refusals are kept by the SHA-256 of the whole key, grants for `key_life` and refusals for
/// `refused_key_life`; a revocation is seen within that and the lives of what other caches of the chain keep. A grant that
/// expires is not given any longer. The key is never stored. While Redis is unavailable, the validator is asked each time.
///
/// Whoever can write to Redis can grant: its access is to be guarded like the key store's.
#[derive(Debug, Clone)]
pub struct RedisKeyCache {
    redis: GuardedRedis,
    validator: Arc<dyn KeyValidator>,
    clock: Arc<dyn Clock>,
}

/// What is kept about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Granted {
        key_id: Uuid,
        project_id: ProjectId,
        scopes: Vec<Scope>,
        /// Epoch ms.
        expires_at: Option<i64>,
    },
    Unknown,
    Revoked,
    Expired,
}

impl Answer {
    /// What the validator said, if it said anything about the key.
    fn of(said: &Result<Grant, KeyError>) -> Option<Self> {
        match said {
            Ok(Grant { key_id, project_id, scopes, expires_at }) => Some(Self::Granted {
                key_id: *key_id,
                project_id: project_id.clone(),
                scopes: scopes.clone(),
                expires_at: expires_at.map(Timestamp::as_millis),
            }),
            Err(PortError::Rejected { refused, .. }) => Some(match refused {
                KeyRefusal::Unknown => Self::Unknown,
                KeyRefusal::Revoked => Self::Revoked,
                KeyRefusal::Expired => Self::Expired,
            }),
            Err(_) => None,
        }
    }

    /// What it means at this moment: a grant may have ended since.
    fn at(self, now: Timestamp) -> Result<Grant, KeyError> {
        let granted = match self {
            Self::Granted { key_id, project_id, scopes, expires_at } => {
                let expires_at = expires_at.map(Timestamp::from_millis);
                Grant { key_id, project_id, scopes, expires_at }.at(now)
            }
            Self::Unknown => Err(KeyRefusal::Unknown),
            Self::Revoked => Err(KeyRefusal::Revoked),
            Self::Expired => Err(KeyRefusal::Expired),
        };
        granted.map_err(|refused| PortError::Rejected { adapter: ADAPTER, refused })
    }
}

impl RedisKeyCache {
    /// Keeps what `validator` says on `redis`. A grant ends by `clock`.
    pub fn new(redis: Redis, validator: Arc<dyn KeyValidator>, clock: Arc<dyn Clock>) -> Self {
        Self { redis: GuardedRedis::new(redis, "keys"), validator, clock }
    }

    fn key(&self, hash: &KeyHash) -> Vec<u8> {
        let mut key = self.redis.redis().key(format_args!("key:")).into_bytes();
        key.extend_from_slice(&hash.0);
        key
    }

    fn life(&self, answer: &Answer) -> Duration {
        let config = self.redis.redis().config();
        match answer {
            Answer::Granted { .. } => config.key_life,
            _ => config.refused_key_life,
        }
    }

    /// What is kept about the key; `None` also for what cannot be read.
    async fn find(&self, key: &[u8]) -> Option<Answer> {
        let mut get = redis::cmd("GET");
        get.arg(key);
        match self.redis.run::<Option<Vec<u8>>>(None, get).await {
            Ok(value) => rmp_serde::from_slice(&value?).ok(),
            Err(error) => {
                tracing::debug!(%error, "key cache unavailable");
                None
            }
        }
    }

    async fn keep(&self, key: &[u8], answer: &Answer) {
        let Ok(value) = rmp_serde::to_vec_named(answer) else { return };
        let mut set = redis::cmd("SET");
        set.arg(key).arg(value).arg("PX").arg(millis(self.life(answer)));
        if let Err(error) = self.redis.run::<Value>(None, set).await {
            tracing::debug!(%error, "key cache not written");
        }
    }
}

#[async_trait]
impl KeyValidator for RedisKeyCache {
    async fn validate(&self, key: &PresentedKey) -> Result<Grant, KeyError> {
        if key.reveal().len() > PresentedKey::MAX_BYTES {
            return self.validator.validate(key).await;
        }
        let place = self.key(&key.hash());
        if let Some(answer) = self.find(&place).await {
            return answer.at(self.clock.now());
        }
        let said = self.validator.validate(key).await;
        if let Some(answer) = Answer::of(&said) {
            self.keep(&place, &answer).await;
        }
        said
    }
}

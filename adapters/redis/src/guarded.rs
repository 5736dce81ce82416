use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, FromRedisValue, Script};
use gosight_application::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use gosight_application::ports::SystemClock;

use crate::client::Redis;
use crate::error::Failure;

/// Redis for calls that a client's request waits for, behind a circuit breaker: after a call without an answer, others fail
/// at once for a moment. A server that hangs costs some requests their time and not all.
#[derive(Debug, Clone)]
pub(crate) struct GuardedRedis {
    redis: Redis,
    breaker: Arc<CircuitBreaker>,
}

/// How long calls fail at once.
const COOL_DOWN: Duration = Duration::from_millis(500);

impl GuardedRedis {
    pub fn new(redis: Redis) -> Self {
        let config = CircuitBreakerConfig { failures: 1, cool_down: COOL_DOWN };
        Self { redis, breaker: Arc::new(CircuitBreaker::new(config, Arc::new(SystemClock))) }
    }

    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// As [`Redis::run`], with the time that a request has.
    pub async fn run<T: FromRedisValue>(&self, script: Option<&Script>, command: Cmd) -> Result<T, Failure> {
        let permit = self.breaker.permit().ok_or(Failure::CircuitOpen)?;
        let answer = self.redis.run(script, vec![command], self.redis.config().request_timeout).await;
        match &answer {
            // A refusal is an answer.
            Ok(_) | Err(Failure::Refused(_)) => permit.succeeded(),
            Err(_) => permit.failed(),
        }
        answer.map(|(answer,)| answer)
    }
}

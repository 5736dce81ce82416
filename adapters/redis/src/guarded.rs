use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, FromRedisValue, Script, Value};
use gosight_application::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
use gosight_application::ports::Clock;
use gosight_application::telemetry::BreakerGauge;
use gosight_domain::Timestamp;
use tokio::time::Instant;

use crate::ADAPTER;
use crate::client::Redis;
use crate::error::Failure;

/// Redis for calls that a client's request waits for, behind a circuit breaker: after a call without an answer, others fail
/// at once for a moment. A server that hangs costs some requests their time and not all.
#[derive(Debug, Clone)]
pub(crate) struct GuardedRedis {
    redis: Redis,
    breaker: Arc<CircuitBreaker>,
    is_open: Arc<BreakerGauge>,
}

/// Time since the process began to use Redis, which nobody sets back.
#[derive(Debug)]
struct Uptime(Instant);

impl Clock for Uptime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// How long calls fail at once.
const COOL_DOWN: Duration = Duration::from_millis(500);

impl GuardedRedis {
    /// `call` is what Redis is asked for, in `circuit_breakers_open`.
    pub fn new(redis: Redis, call: &str) -> Self {
        let config = CircuitBreakerConfig { failures: 1, cool_down: COOL_DOWN };
        let is_open = Arc::new(redis.telemetry().circuit_breaker(ADAPTER, call));
        Self {
            redis,
            breaker: Arc::new(CircuitBreaker::new(config, Arc::new(Uptime(Instant::now())))),
            is_open,
        }
    }

    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// As [`Redis::run`], with the time that a request has.
    pub async fn run<T: FromRedisValue>(&self, script: Option<&Script>, command: Cmd) -> Result<T, Failure> {
        self.run_together(script, vec![command]).await.map(|(answer,)| answer)
    }

    /// The same for commands whose answers are of no interest, in one round trip.
    pub async fn run_all(&self, commands: Vec<Cmd>) -> Result<(), Failure> {
        self.run_together::<Value>(None, commands).await.map(drop)
    }

    async fn run_together<T: FromRedisValue>(
        &self,
        script: Option<&Script>,
        commands: Vec<Cmd>,
    ) -> Result<T, Failure> {
        let permit = self.breaker.permit().ok_or(Failure::CircuitOpen)?;
        let answer = self.redis.run(script, commands, self.redis.config().request_timeout).await;
        // A refusal is an answer.
        let is_answered = matches!(answer, Ok(_) | Err(Failure::Refused(_)));
        if is_answered {
            permit.succeeded();
        } else {
            permit.failed();
        }
        // Another call may have opened it meanwhile.
        self.is_open.set(self.breaker.state() != CircuitState::Closed);
        answer
    }
}

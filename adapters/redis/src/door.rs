use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::redis::{Cmd, FromRedisValue, Script, Value};
use gosight_application::telemetry::BreakerGauge;
use tokio::time::Instant;

use crate::client::Redis;
use crate::error::Failure;

/// Calls that a client's request waits for. After one that was not answered, others fail at once for a moment, so that
/// a server that hangs costs some requests their patience and not all.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    redis: Redis,
    started: Instant,
    /// Until when nothing is asked, in ms since `started`.
    rests_until: Arc<AtomicU64>,
    /// Whether the last call was not answered.
    is_open: Arc<BreakerGauge>,
}

const REST: Duration = Duration::from_millis(500);

impl Door {
    /// `call` is what Redis is asked for, in `circuit_breakers_open`.
    pub fn new(redis: Redis, call: &str) -> Self {
        let is_open = Arc::new(redis.telemetry().circuit_breaker(crate::ADAPTER, call));
        Self { redis, started: Instant::now(), rests_until: Arc::default(), is_open }
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
        if self.elapsed_ms() < self.rests_until.load(Ordering::Relaxed) {
            return Err(Failure::Resting);
        }
        let answer = self.redis.run(script, commands, self.redis.config().request_timeout).await;
        let is_answered = matches!(answer, Ok(_) | Err(Failure::Refused(_)));
        if !is_answered {
            let until = self.elapsed_ms() + crate::client::millis(REST);
            self.rests_until.store(until, Ordering::Relaxed);
        }
        self.is_open.set(!is_answered);
        answer
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

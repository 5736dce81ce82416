use std::collections::HashMap;

use gosight_application::Telemetry;

use crate::client::Redis;
use crate::config::{ConfigError, RedisConfig, RedisPlace};

/// Connections for each use of Redis. Uses of the same address share them.
#[derive(Debug, Clone)]
pub struct RedisServers {
    /// The folds of live sessions.
    pub sessions: Redis,
    /// The marks of known events.
    pub marks: Redis,
    /// The rate limits.
    pub rate_limits: Redis,
    /// Answers about keys.
    pub keys: Redis,
    /// The contents of accepted replay chunks.
    pub chunks: Redis,
    /// Profiles of users and items.
    pub profiles: Redis,
}

impl RedisServers {
    /// Connects when it is first needed.
    ///
    /// # Errors
    /// [`ConfigError`] for settings that cannot work.
    pub fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut by_url = HashMap::new();
        let mut at = |place: &RedisPlace| {
            let config = config.at(place);
            if let Some(redis) = by_url.get(config.url.reveal()) {
                return Ok(Redis::clone(redis));
            }
            let redis = Redis::new(&config)?;
            by_url.insert(config.url.reveal().to_owned(), redis.clone());
            Ok(redis)
        };
        Ok(Self {
            sessions: at(&config.sessions)?,
            marks: at(&config.marks)?,
            rate_limits: at(&config.rate_limits)?,
            keys: at(&config.keys)?,
            chunks: at(&config.chunks)?,
            profiles: at(&config.profiles)?,
        })
    }

    /// Tells `telemetry` of the circuit breakers of the adapters that are made of them from now on.
    #[must_use]
    pub fn with_telemetry(self, telemetry: &Telemetry) -> Self {
        let Self { sessions, marks, rate_limits, keys, chunks, profiles } = self;
        let told = |redis: Redis| redis.with_telemetry(telemetry.clone());
        Self {
            sessions: told(sessions),
            marks: told(marks),
            rate_limits: told(rate_limits),
            keys: told(keys),
            chunks: told(chunks),
            profiles: told(profiles),
        }
    }
}

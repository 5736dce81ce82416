use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, Script,
    ServerErrorKind, ToRedisArgs,
};
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, Timeouts};
use gosight_application::Telemetry;
use gosight_application::ports::{Health, HealthCheck};
use tokio::time::{Instant, timeout_at};

use crate::config::{ConfigError, RedisConfig};
use crate::error::Failure;
use crate::server_info::ServerInfo;

/// Connections to Redis, shared by all adapters that use the same server.
#[derive(Clone)]
pub struct Redis {
    pool: Pool,
    config: RedisConfig,
    telemetry: Telemetry,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("config", &self.config)
            .field("pool", &self.pool.status())
            .finish_non_exhaustive()
    }
}

/// Time that [`HealthCheck::check`] has.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

impl Redis {
    /// Connects when it is first needed.
    ///
    /// # Errors
    /// [`ConfigError`] for settings that cannot work.
    pub fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let connections = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            // Every call has its own deadline.
            .set_response_timeout(None);
        let bad_url = |_| ConfigError { key: "url", reason: format!("{} cannot be used", config.url) };
        let manager = Manager::new_with_config(config.url.reveal(), connections).map_err(bad_url)?;
        let timeout = Some(config.connect_timeout);
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .timeouts(Timeouts { wait: timeout, create: timeout, recycle: timeout })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| ConfigError { key: "pool_size", reason: error.to_string() })?;
        Ok(Self { pool, config: config.clone(), telemetry: Telemetry::default() })
    }

    /// Tells `telemetry` of the circuit breakers of the adapters that are made of it from now on.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// A key of this pipeline.
    pub(crate) fn key(&self, rest: fmt::Arguments<'_>) -> String {
        format!("{}{rest}", self.config.prefix)
    }

    /// What the server says about itself.
    pub(crate) async fn server_info(&self, within: Duration) -> Result<ServerInfo, Failure> {
        let (info,): (String,) = self.run(None, vec![redis::cmd("INFO")], within).await?;
        Ok(ServerInfo::parse(&info))
    }

    /// Runs commands in one round trip, calls of `script` among them, and gives all answers. An error of one command
    /// is the error of all, though the others were run.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: Option<&Script>,
        commands: Vec<Cmd>,
        within: Duration,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + within;
        let mut connection = self.connection(deadline).await?;
        let answer = timeout_at(deadline, query(&mut connection, script, commands)).await;
        let failure = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::of_answer(error),
            Err(_) => Failure::Late(within),
        };
        if !failure.spares_connection() {
            // Taken out of the pool, and closed.
            drop(Connection::take(connection));
        }
        Err(failure)
    }

    async fn connection(&self, deadline: Instant) -> Result<Connection, Failure> {
        let deadline = deadline.min(Instant::now() + self.config.connect_timeout);
        match timeout_at(deadline, self.pool.get()).await {
            Ok(connection) => connection.map_err(Failure::NoConnection),
            Err(_) => Err(Failure::NoConnection(PoolError::Timeout(deadpool_redis::TimeoutType::Wait))),
        }
    }
}

async fn query<T: FromRedisValue>(
    connection: &mut Connection,
    script: Option<&Script>,
    commands: Vec<Cmd>,
) -> Result<T, RedisError> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    match (pipeline.query_async(connection).await, script) {
        // A server that was started again has forgotten the scripts. All of our calls can be repeated.
        (Err(error), Some(script)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            script.load_async(connection).await?;
            pipeline.query_async(connection).await
        }
        (answer, _) => answer,
    }
}

/// A call of `script`, to be run by [`Redis::run`].
pub(crate) fn script_call(script: &Script, keys: &[impl ToRedisArgs], args: &[impl ToRedisArgs]) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(keys.len()).arg(keys).arg(args);
    command
}

/// A duration as Redis counts: in ms, and never none.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[async_trait]
impl HealthCheck for Redis {
    fn name(&self) -> &'static str {
        crate::ADAPTER
    }

    async fn check(&self) -> Health {
        match self.server_info(HEALTH_TIMEOUT).await {
            Ok(info) => match (info.takes_nothing(), info.evicts()) {
                (Some(reason), _) => Health::Down(reason.to_owned()),
                (None, Some(reason)) => Health::Degraded(reason),
                (None, None) => Health::Up,
            },
            Err(failure) => Health::Down(failure.to_string()),
        }
    }
}

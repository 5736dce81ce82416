mod catalogue;
mod keys;
mod profiles;

use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{Effect, Health, HealthCheck, PortError};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};

use crate::{ADAPTER, PostgresConfig, error, migrations};

/// Projects, keys, profiles, and which replays are archived. Clones share their connections.
#[derive(Debug, Clone)]
pub struct PostgresAccounts {
    pool: PgPool,
    acquire_timeout: Duration,
    /// When a statement is given up that the server should have ended.
    answer_timeout: Duration,
}

/// How much longer than the server's own limit an answer may take.
const GRACE: Duration = Duration::from_secs(1);
/// How long an idle connection has to show that it is alive.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

impl PostgresAccounts {
    /// Brings the database to the current schema and opens it.
    ///
    /// # Errors
    /// As of [`migrate`](crate::migrate).
    pub async fn connect(config: &PostgresConfig) -> Result<Self, PortError> {
        migrations::migrate(config).await?;
        Self::open(config)
    }

    /// Opens a database that [`migrate`](crate::migrate) was run on. Connections are made when they are needed, so this
    /// works while the server is unavailable.
    ///
    /// # Errors
    /// `Fatal` for bad settings.
    pub fn open(config: &PostgresConfig) -> Result<Self, PortError> {
        config.validate().map_err(error::misconfigured)?;
        let timeout = format!("{}ms", config.statement_timeout.as_millis());
        let options =
            config.options().map_err(error::misconfigured)?.options([("statement_timeout", timeout)]);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            // In place of the pool's own tests, which wait without an end for a server that does not answer.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(answers(connection)))
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            acquire_timeout: config.acquire_timeout,
            answer_timeout: config.statement_timeout.saturating_add(GRACE),
        })
    }

    /// Closes all connections, after what is being asked.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// What the statements of `work` give. They change nothing.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, PortError> {
        self.run(Effect::None, work).await
    }

    /// What `work` gives. It is one statement or one transaction, and thus done whole or not at all.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, PortError> {
        self.run(Effect::Unknown, work).await
    }

    async fn run<T>(
        &self,
        effect: Effect,
        work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, PortError> {
        let mut connection =
            self.pool.acquire().await.map_err(|error| error::connecting(error, self.acquire_timeout))?;
        match tokio::time::timeout(self.answer_timeout, work(&mut connection)).await {
            Ok(result) => result.map_err(|error| error::running(error, effect)),
            Err(_) => Err(error::unanswered(effect, self.answer_timeout)),
        }
    }
}

/// Whether the connection answers soon. One that does not is closed, and another takes its place.
async fn answers(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let in_time = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    in_time.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))?;
    Ok(true)
}

#[async_trait]
impl HealthCheck for PostgresAccounts {
    fn name(&self) -> &'static str {
        ADAPTER
    }

    async fn check(&self) -> Health {
        let asked = self.read(async |connection| connection.execute("SELECT 1").await);
        match tokio::time::timeout(HEALTH_TIMEOUT, asked).await {
            Ok(Ok(_)) => Health::Up,
            Ok(Err(error)) => Health::Down(error.to_string()),
            Err(_) => Health::Down(format!("no answer within {HEALTH_TIMEOUT:?}")),
        }
    }
}

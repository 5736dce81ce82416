//! Versions of the schema.

use std::time::Duration;

use gosight_application::ports::{Effect, PortError};
use sqlx::postgres::PgPoolOptions;

use crate::{PostgresConfig, error};

/// How long all migrations may take, waiting for those of another process included.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(5);

/// Brings the database to the current schema. Safe to run again, and by several processes at once: one does the work,
/// the others wait for it. Needs a user that may create tables.
///
/// # Errors
/// `Transient` while the server is unavailable; `Fatal` for bad settings and for a database whose schema is of a newer version
/// or was changed by hand.
pub async fn migrate(config: &PostgresConfig) -> Result<(), PortError> {
    config.validate().map_err(error::misconfigured)?;
    // A pool of its own: what is left of a migration that failed (its lock above all) ends with its connection.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(config.acquire_timeout)
        .connect_lazy_with(config.options().map_err(error::misconfigured)?);
    // First a connection alone: without one, certainly nothing was done.
    let connected = pool.acquire().await.map(drop);
    connected.map_err(|error| error::connecting(error, config.acquire_timeout))?;
    let migrated = tokio::time::timeout(MIGRATION_TIMEOUT, sqlx::migrate!("./migrations").run(&pool)).await;
    // What was done is done, however the connection ends.
    let _ = tokio::time::timeout(config.acquire_timeout, pool.close()).await;
    match migrated {
        Ok(result) => result.map_err(error::migrating),
        Err(_) => Err(error::unanswered(Effect::Unknown, MIGRATION_TIMEOUT)),
    }
}

//! The analytics store: one file for each port that it implements.

mod aggregates;
mod event_block;
mod event_rows;
mod ledger;
mod payload_columns;
mod replay;
mod session_lists;
mod sessions;
mod stored_events;

use gosight_application::ports::PortError;
use uuid::Uuid;

use crate::ADAPTER;
use crate::client::Connection;
use crate::config::ClickHouseConfig;
use crate::error::read_error;
use crate::{fence, migrate, settings};

/// The analytics store: what is asked, and every narrow port through which
/// [`Stepped`](gosight_application::process::Stepped) commits a batch.
#[derive(Debug)]
pub struct ClickHouseStore {
    pub(crate) connection: Connection,
}

impl ClickHouseStore {
    /// Writes down that the log of the data directory `id` is stored here, if that of none is, or if `is_forced`. Gives the
    /// directory whose log it is: two of them would give the same offsets to different events.
    ///
    /// # Errors
    /// `Transient` while the server is unavailable, or another directory does the same at this moment.
    pub async fn claim_for_directory(&self, id: Uuid, is_forced: bool) -> Result<Uuid, PortError> {
        fence::claim(&self.connection, id, is_forced).await
    }

    /// Connects, makes or changes the tables, and checks that the server can be relied on.
    ///
    /// # Errors
    /// `Transient` while the server is unavailable; `Fatal` for settings, rights or a release that cannot work.
    pub async fn connect(config: &ClickHouseConfig) -> Result<Self, PortError> {
        config.validate().map_err(|error| PortError::fatal(ADAPTER, format!("clickhouse.{error}")))?;
        migrate::migrate(config).await.map_err(read_error)?;
        let connection = Connection::new(config);
        settings::check(&connection).await?;
        Ok(Self { connection })
    }

    /// Has replay chunks deleted `replay_retention_days` after they were received, archived or not; never when that is 0. For
    /// the process that stores them and knows whether they are archived, not for every one that reads.
    ///
    /// # Errors
    /// The server's.
    pub async fn keep_replays(config: &ClickHouseConfig) -> Result<(), PortError> {
        migrate::keep_replays(config).await.map_err(read_error)
    }
}

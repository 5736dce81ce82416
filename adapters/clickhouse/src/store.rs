//! Writing: partitions of the log are taken over, and their batches stored once.

mod aggregates;
mod commit;
mod events;
mod ledger;
mod partition;
mod replay;
mod sessions;
mod stored_events;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gosight_application::ports::{DeadLetters, PortError, SessionCache};
use gosight_domain::insight::InsightThresholds;

use crate::ADAPTER;
use crate::client::Connection;
use crate::config::ClickHouseConfig;
use crate::error::read_error;
use crate::{migrate, settings};

use partition::PartitionLock;

/// The analytics store: batches go in, questions are answered.
pub struct ClickHouseStore {
    pub(crate) connection: Connection,
    /// The folds of live sessions; the store's own are read where it has none.
    cache: Option<Arc<dyn SessionCache>>,
    /// Where records go that nothing can be done with.
    dead_letters: Arc<dyn DeadLetters>,
    pub(crate) thresholds: InsightThresholds,
    partitions: Mutex<HashMap<(Arc<str>, u32), PartitionLock>>,
}

impl fmt::Debug for ClickHouseStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouseStore").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl ClickHouseStore {
    /// Connects, makes or changes the tables, and checks that the server can be relied on.
    ///
    /// # Errors
    /// `Transient` when the server is away; `Fatal` for settings, rights or a release that cannot work.
    pub async fn connect(
        config: &ClickHouseConfig,
        cache: Option<Arc<dyn SessionCache>>,
        dead_letters: Arc<dyn DeadLetters>,
        thresholds: InsightThresholds,
    ) -> Result<Self, PortError> {
        config.validate().map_err(|error| PortError::fatal(ADAPTER, format!("clickhouse.{error}")))?;
        migrate::migrate(config).await.map_err(read_error)?;
        let connection = Connection::new(config);
        settings::check(&connection).await?;
        Ok(Self { connection, cache, dead_letters, thresholds, partitions: Mutex::default() })
    }

    /// The lock of one partition of the log: its batches are stored one after the other.
    fn partition(&self, log: &Arc<str>, partition: u32) -> PartitionLock {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.entry((log.clone(), partition)).or_default().clone()
    }
}

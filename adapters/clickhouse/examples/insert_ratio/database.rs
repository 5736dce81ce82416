//! A database of its own for each round.

use std::sync::Arc;

use gosight_application::decorators::CachedSessions;
use gosight_application::ports::{BoxError, PortError};
use gosight_application::process::{Stepped, SteppedPorts};
use gosight_clickhouse::{ClickHouseConfig, ClickHouseStore};
use gosight_memory::{MemoryDeadLetters, MemorySessionCache};
use uuid::Uuid;

/// A database with the store's tables.
pub struct Database {
    pub config: ClickHouseConfig,
}

impl Database {
    pub fn new(url: &str, compress: bool) -> Self {
        let database = format!("insert_ratio_{}", Uuid::from_u128(rand::random()).simple());
        Self {
            config: ClickHouseConfig {
                url: url.to_owned(),
                database,
                compress,
                ..ClickHouseConfig::default()
            },
        }
    }

    /// A writer to it, which makes the tables. Live sessions are cached, as Redis does it for the event-processor.
    pub async fn writer(&self) -> Result<Stepped, PortError> {
        let store = Arc::new(ClickHouseStore::connect(&self.config).await?);
        Ok(Stepped::new(SteppedPorts {
            ledger: store.clone(),
            events: store.clone(),
            sessions: Arc::new(CachedSessions::new(Arc::new(MemorySessionCache::default()), store.clone())),
            aggregates: store.clone(),
            replays: store,
            dead_letters: Arc::new(MemoryDeadLetters::default()),
        }))
    }

    pub async fn drop_it(&self) -> Result<(), BoxError> {
        let client = clickhouse::Client::default().with_url(&self.config.url);
        Ok(client.query_raw(&format!("DROP DATABASE {} SYNC", self.config.database)).execute().await?)
    }
}

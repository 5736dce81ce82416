//! A database for one test, dropped at its end.

use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    Claim, ClaimVerdict, Deduplicator, DeduplicatorError, SessionCache, StoredEvents,
};
use gosight_clickhouse::{ClickHouseConfig, ClickHouseStore, ClickHouseWriter};
use gosight_domain::insight::InsightThresholds;
use gosight_memory::{MemoryDeadLetters, MemoryStore};
use uuid::Uuid;

/// A database of its own on the shared server.
#[derive(Debug)]
pub struct Database {
    pub config: ClickHouseConfig,
}

impl Database {
    pub fn new(url: String) -> Self {
        let database = format!("test_{}", Uuid::from_u128(rand::random()).simple());
        Self { config: ClickHouseConfig { url, database, ..ClickHouseConfig::default() } }
    }

    pub fn shared() -> Self {
        Self::new(gosight_services::clickhouse_url())
    }

    pub async fn open(&self) -> Arc<ClickHouseStore> {
        let thresholds = InsightThresholds::default();
        Arc::new(ClickHouseStore::connect(&self.config, thresholds).await.expect("a store"))
    }

    pub async fn writer(&self) -> ClickHouseWriter {
        self.writer_with(None).await
    }

    pub async fn writer_with(&self, cache: Option<Arc<dyn SessionCache>>) -> ClickHouseWriter {
        ClickHouseWriter::new(self.open().await, cache, Arc::new(MemoryDeadLetters::default()))
    }

    /// A connection to ask the server by hand.
    pub fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default().with_url(&self.config.url).with_database(&self.config.database)
    }

    pub async fn number(&self, sql: &str) -> u64 {
        self.client().query_raw(sql).fetch_one::<u64>().await.expect("a number")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let client = self.client().with_database("default");
        let drop = format!("DROP DATABASE IF EXISTS {} SYNC", self.config.database);
        // A test may end inside or outside of a runtime.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { client.query_raw(&drop).execute().await.map_err(std::io::Error::other) })
        });
        // A server that a test has killed keeps its database.
        dropped.join().ok();
    }
}

/// Marks in memory that have forgotten everything, before the store.
#[derive(Debug)]
pub struct Forgetful {
    pub marks: MemoryStore,
    pub stored: Arc<ClickHouseStore>,
}

#[async_trait]
impl Deduplicator for Forgetful {
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<ClaimVerdict>, DeduplicatorError> {
        let marked = self.marks.claim(claims).await?;
        let stored = self.stored.positions(claims).await?;
        let verdict = |((claim, marked), stored): ((&Claim, ClaimVerdict), Option<_>)| match stored {
            Some(position) if position == claim.position => ClaimVerdict::Granted,
            Some(_) => ClaimVerdict::Duplicate,
            None => marked,
        };
        Ok(claims.iter().zip(marked).zip(stored).map(verdict).collect())
    }

    async fn release(&self, claims: &[Claim]) -> Result<(), DeduplicatorError> {
        self.marks.release(claims).await
    }
}

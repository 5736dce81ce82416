//! A database for one test, dropped at its end.

use std::sync::Arc;

use gosight_application::decorators::CachedSessions;
use gosight_application::ports::{BatchStore, DeadLetters, SessionCache, SessionStore};
use gosight_application::process::{Stepped, SteppedPorts};
use gosight_clickhouse::{ClickHouseConfig, ClickHouseStore};
use gosight_memory::MemoryDeadLetters;
use uuid::Uuid;

/// Commits batches to `store`.
pub fn batches(
    store: &Arc<ClickHouseStore>,
    cache: Option<Arc<dyn SessionCache>>,
    dead_letters: Arc<dyn DeadLetters>,
) -> Arc<dyn BatchStore> {
    let sessions: Arc<dyn SessionStore> = match cache {
        Some(cache) => Arc::new(CachedSessions::new(cache, store.clone())),
        None => store.clone(),
    };
    Arc::new(Stepped::new(SteppedPorts {
        ledger: store.clone(),
        events: store.clone(),
        sessions,
        aggregates: store.clone(),
        replays: store.clone(),
        dead_letters,
    }))
}

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
        Arc::new(ClickHouseStore::connect(&self.config).await.expect("a store"))
    }

    pub async fn writer(&self) -> Arc<dyn BatchStore> {
        self.writer_with(None).await
    }

    pub async fn writer_with(&self, cache: Option<Arc<dyn SessionCache>>) -> Arc<dyn BatchStore> {
        batches(&self.open().await, cache, Arc::new(MemoryDeadLetters::default()))
    }

    /// A connection to ask the server by hand.
    pub fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default().with_url(&self.config.url).with_database(&self.config.database)
    }

    pub async fn run(&self, sql: &str) {
        self.client().query_raw(sql).execute().await.expect("done");
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

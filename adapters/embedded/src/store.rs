//! The analytics store: everything that processing writes and readers ask for, in `SQLite`.
//!
//! One connection writes, others read. A batch is one transaction: events, rollup, sessions, insights, aggregates,
//! replay chunks, dead letters and the ledger row, or nothing.

mod accounts;
mod aggregates;
mod apply;
mod batch;
mod bulk_statement;
mod codec;
mod database;
mod dead_letters;
mod dictionary;
mod error;
mod events;
mod ledger;
mod marks;
mod metrics;
mod query;
mod replay;
mod retention;
mod rollup_ids;
mod sessions;
mod steps;
mod stored_events;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::local_fences::LocalFences;
use gosight_application::ports::{BoxError, Clock, Health, HealthCheck};

pub use accounts::EmbeddedAccounts;
pub(crate) use database::Database;
pub use dead_letters::EmbeddedDeadLetters;
pub(crate) use marks::Marks;

/// How the store is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Connections that read at the same time.
    pub readers: u32,
    /// How long events, sessions, counts, aggregates and dead letters are kept, in days; 0 for ever.
    pub retention_days: u32,
    /// How long the ledger keeps a row of its own for each batch; older rows that join are made into one.
    pub ledger_detail: Duration,
    /// How long events are known by their ids, in days: as long as a copy may come in, and a week more.
    pub known_days: u32,
}

impl Default for StoreConfig {
    /// 4 readers, 90 days, an hour of single ledger rows, ids for 37 days.
    fn default() -> Self {
        Self { readers: 4, retention_days: 90, ledger_detail: Duration::from_hours(1), known_days: 37 }
    }
}

/// The store of one data directory.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Arc<Database>,
    marks: Marks,
    fences: LocalFences,
    clock: Arc<dyn Clock>,
    config: StoreConfig,
}

impl EmbeddedStore {
    pub(crate) async fn open(
        database: Arc<Database>,
        marks: Marks,
        clock: Arc<dyn Clock>,
        config: StoreConfig,
    ) -> Result<Self, BoxError> {
        let store = Self { database, marks, fences: LocalFences::default(), clock, config };
        drop(store.ready_writer().await?);
        Ok(store)
    }

    /// Projects, keys and profiles.
    pub fn accounts(&self) -> EmbeddedAccounts {
        EmbeddedAccounts::new(self.database.clone())
    }

    /// Closes all connections, after what is being written.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

#[async_trait]
impl HealthCheck for EmbeddedStore {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Health {
        match sqlx::query("SELECT 1 FROM projects LIMIT 1").fetch_optional(&self.database.readers).await {
            Ok(_) => Health::Up,
            Err(error) => {
                tracing::warn!(%error, "database unreadable");
                Health::Down("the database cannot be read; the cause is in the logs".to_owned())
            }
        }
    }
}

use std::sync::Arc;

use gosight_application::ports::BatchStore;

use crate::log::Processed;
use crate::store::{Database, Marks};
use crate::{DataDir, DataDirError, EmbeddedLog, EmbeddedStore, LogConfig, StoreConfig, engine};

/// The log and the store of one data directory, opened together.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The log.
    pub log: Arc<EmbeddedLog>,
    /// The store.
    pub store: Arc<EmbeddedStore>,
}

impl Embedded {
    /// Opens or makes what is in `dir`. The directory has to be held for as long as this is used.
    ///
    /// `processed_logs` are the logs whose records end up in the store.
    ///
    /// # Errors
    /// [`DataDirError`] when something cannot be opened.
    pub async fn open(
        dir: &DataDir,
        log: LogConfig,
        store: StoreConfig,
        processed_logs: &[&str],
    ) -> Result<Self, DataDirError> {
        let engine = engine::open(dir)?;
        let log_failed = |source| DataDirError::Log { path: dir.log_path(), source };
        let store_failed = |source| DataDirError::Database { path: dir.database_path(), source };
        let marks = Marks::open(engine.clone()).map_err(log_failed)?;
        let database = Database::open(&dir.database_path(), store.readers).await?;
        let store = EmbeddedStore::open(database, marks, store).await.map_err(store_failed)?;
        let mut processed: Vec<Processed> = Vec::new();
        for name in processed_logs {
            let ends = store.next_offsets(name).await.map_err(|error| store_failed(error.into()))?;
            processed.extend(ends.into_iter().map(|(partition, next)| ((*name).into(), partition, next)));
        }
        let log = EmbeddedLog::open(engine, log, &processed).map_err(log_failed)?;
        Ok(Self { log: Arc::new(log), store: Arc::new(store) })
    }
}

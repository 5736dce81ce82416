use std::fmt;
use std::sync::Arc;

use gosight_application::ports::{Clock, Ledger};
use uuid::Uuid;

use crate::log::Processed;
use crate::store::{Database, EmbeddedAccounts, Marks};
use crate::{
    DataDir, DataDirError, EmbeddedDeadLetters, EmbeddedLog, EmbeddedStore, LogConfig, StoreConfig, engine,
};

/// The parts of one data directory, each opened when it is asked for: a log, a store, accounts, or some of them. The
/// directory has to be held for as long as they are used.
pub struct DataDirParts<'a> {
    dir: &'a DataDir,
    clock: Arc<dyn Clock>,
    engine: Option<fjall::Database>,
    database: Option<Arc<Database>>,
}

impl fmt::Debug for DataDirParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataDirParts").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl<'a> DataDirParts<'a> {
    /// The parts of `dir`, which take the time from `clock`.
    pub fn new(dir: &'a DataDir, clock: Arc<dyn Clock>) -> Self {
        Self { dir, clock, engine: None, database: None }
    }

    /// Opens or makes the store.
    ///
    /// # Errors
    /// [`DataDirError`] when it cannot be opened.
    pub async fn store(&mut self, config: StoreConfig) -> Result<Arc<EmbeddedStore>, DataDirError> {
        let engine = self.engine()?;
        let marks =
            Marks::open(engine).map_err(|source| DataDirError::Log { path: self.dir.log_path(), source })?;
        let database = self.database(config.readers).await?;
        let store = EmbeddedStore::open(database, marks, self.clock.clone(), config).await;
        let failed = |source| DataDirError::Database { path: self.dir.database_path(), source };
        Ok(Arc::new(store.map_err(failed)?))
    }

    /// Opens or makes the accounts, with so many connections that read if the store is not open.
    ///
    /// # Errors
    /// [`DataDirError`] when they cannot be opened.
    pub async fn accounts(&mut self, readers: u32) -> Result<EmbeddedAccounts, DataDirError> {
        Ok(EmbeddedAccounts::new(self.database(readers).await?))
    }

    /// Opens the dead letters, with so many connections that read if the store is not open.
    ///
    /// # Errors
    /// [`DataDirError`] when they cannot be opened.
    pub async fn dead_letters(&mut self, readers: u32) -> Result<EmbeddedDeadLetters, DataDirError> {
        Ok(EmbeddedDeadLetters::new(self.database(readers).await?))
    }

    /// Opens or makes the log. `ledger` tells how far each of the logs `names` is processed.
    ///
    /// # Errors
    /// [`DataDirError`] when it cannot be opened, or the ledger cannot be read.
    pub async fn log(
        &mut self,
        config: LogConfig,
        ledger: &dyn Ledger,
        names: &[&str],
    ) -> Result<Arc<EmbeddedLog>, DataDirError> {
        let mut processed: Vec<Processed> = Vec::new();
        for name in names {
            let failed = |error| DataDirError::Ledger { log: (*name).to_owned(), source: error };
            let ends = ledger.next_offsets(name).await.map_err(failed)?;
            processed.extend(ends.into_iter().map(|(partition, next)| ((*name).into(), partition, next)));
        }
        let log = EmbeddedLog::open(self.engine()?, config, self.clock.clone(), &processed);
        let failed = |source| DataDirError::Log { path: self.dir.log_path(), source };
        Ok(Arc::new(log.map_err(failed)?))
    }

    /// The database, to be closed, if one of the parts is in it.
    pub fn opened_database(&self) -> Option<EmbeddedAccounts> {
        self.database.clone().map(EmbeddedAccounts::new)
    }

    /// The number of the directory.
    ///
    /// # Errors
    /// [`DataDirError`] when it cannot be read or written.
    pub fn directory_id(&self) -> Result<Uuid, DataDirError> {
        self.dir.id()
    }

    /// Whether there is a log already.
    pub fn has_log(&self) -> bool {
        self.dir.log_path().exists()
    }

    /// Where archived replays are.
    pub fn archive_path(&self) -> std::path::PathBuf {
        self.dir.archive_path()
    }

    fn engine(&mut self) -> Result<fjall::Database, DataDirError> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let opened = engine::open(self.dir)?;
        self.engine = Some(opened.clone());
        Ok(opened)
    }

    async fn database(&mut self, readers: u32) -> Result<Arc<Database>, DataDirError> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        let opened = Database::open(&self.dir.database_path(), readers, self.clock.clone()).await?;
        self.database = Some(opened.clone());
        Ok(opened)
    }
}

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
        clock: Arc<dyn Clock>,
        log: LogConfig,
        store: StoreConfig,
        processed_logs: &[&str],
    ) -> Result<Self, DataDirError> {
        let mut parts = DataDirParts::new(dir, clock);
        let store = parts.store(store).await?;
        let log = parts.log(log, &*store, processed_logs).await?;
        Ok(Self { log, store })
    }
}

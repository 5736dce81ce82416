mod catalogue;
mod keys;
mod profiles;

use std::path::Path;
use std::sync::Arc;

use gosight_application::ports::Clock;

use super::Database;
use crate::{DataDirError, data_dir};

/// Connections that read accounts at the same time, where nothing else of the database is in use.
const READERS: u32 = 2;

/// Projects, keys, profiles and the catalogue of archived replays. They may be changed beside a process that uses the directory.
#[derive(Debug, Clone)]
pub struct EmbeddedAccounts {
    database: Arc<Database>,
}

impl EmbeddedAccounts {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Opens the accounts in the data directory `dir`, which is made if need be.
    ///
    /// # Errors
    /// [`DataDirError`] when they cannot be opened.
    pub async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, DataDirError> {
        data_dir::create(dir)?;
        Ok(Self::new(Database::open(&data_dir::database_path(dir), READERS, clock).await?))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

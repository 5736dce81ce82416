mod keys;
mod profiles;

use std::path::Path;
use std::sync::Arc;

use super::Database;
use crate::{DataDirError, data_dir};

/// Projects, keys and profiles. They may be changed beside a process that uses the directory.
#[derive(Debug, Clone)]
pub struct EmbeddedAccounts {
    database: Arc<Database>,
}

impl EmbeddedAccounts {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Opens the accounts in the data directory `dir`, which is made if need be.
    ///
    /// # Errors
    /// [`DataDirError`] when they cannot be opened.
    pub async fn open(dir: &Path) -> Result<Self, DataDirError> {
        data_dir::create(dir)?;
        Ok(Self::new(Database::open(&data_dir::database_path(dir), 1).await?))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

//! The directory, and that only one process uses it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is used by another gosight process; stop that one, or choose another directory", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or opened.
    #[error("{} cannot be used as data directory: {source}", .path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The log in it cannot be opened.
    #[error("the log in {} cannot be opened: {source}", .path.display())]
    Log {
        /// The log's directory.
        path: PathBuf,
        /// What is wrong.
        source: fjall::Error,
    },
    /// The database in it cannot be opened.
    #[error("the database {} cannot be opened: {source}", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A data directory that this process holds. Dropping it gives it back.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// [`DataDirError`] when it is in use or cannot be made.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        create(&path)?;
        let lock_path = path.join("gosight.lock");
        let failed = |source| DataDirError::Io { path: lock_path.clone(), source };
        let lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(DataDirError::Io { path: lock_path, source }),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        database_path(&self.path)
    }
}

pub(crate) fn create(dir: &Path) -> Result<(), DataDirError> {
    std::fs::create_dir_all(dir).map_err(|source| DataDirError::Io { path: dir.to_owned(), source })
}

pub(crate) fn database_path(dir: &Path) -> PathBuf {
    dir.join("gosight.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_path_that_is_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(file.path()).unwrap_err().to_string();
        assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
    }
}

//! The directory, and that only one process uses it.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use gosight_application::ports::PortError;
use uuid::Uuid;

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
    /// The ledger cannot be read, which says how far the log is processed.
    #[error("the ledger of {log} cannot be read: {source}")]
    Ledger {
        /// The log.
        log: String,
        /// What is wrong.
        source: PortError,
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
        let lock = open_private(&lock_path).map_err(failed)?;
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

    /// Where archived replays are.
    pub fn archive_path(&self) -> PathBuf {
        self.path.join("archive")
    }

    /// A number that no other directory has, made when it is first asked for.
    ///
    /// # Errors
    /// [`DataDirError::Io`] when its file cannot be read or written.
    pub fn id(&self) -> Result<Uuid, DataDirError> {
        let path = self.path.join("gosight.id");
        let failed = |source| DataDirError::Io { path: path.clone(), source };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let invalid = |error| std::io::Error::new(ErrorKind::InvalidData, error);
                text.trim().parse().map_err(|error: uuid::Error| failed(invalid(error)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let id = Uuid::from_u128(rand::random());
                self.write_id(&path, id).map_err(failed)?;
                Ok(id)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes the number so that it is there whole or not at all.
    fn write_id(&self, path: &Path, id: Uuid) -> std::io::Result<()> {
        let unfinished = path.with_extension("id.new");
        let mut file = open_private(&unfinished)?;
        file.set_len(0)?;
        file.write_all(id.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        File::open(&self.path)?.sync_all()
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        database_path(&self.path)
    }
}

/// Makes the directory if need be, for its owner alone.
pub(crate) fn create(dir: &Path) -> Result<(), DataDirError> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.recursive(true).create(dir);
    made.map_err(|source| DataDirError::Io { path: dir.to_owned(), source })
}

/// Opens a file to write to, and makes it if need be, for its owner alone.
pub(crate) fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.create(true).truncate(false).write(true).open(path)
}

pub(crate) fn database_path(dir: &Path) -> PathBuf {
    dir.join("gosight.db")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_number() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = DataDir::open(one.path()).unwrap().id().unwrap();
        assert_eq!(DataDir::open(one.path()).unwrap().id().unwrap(), id);
        assert_ne!(DataDir::open(other.path()).unwrap().id().unwrap(), id);
        std::fs::write(one.path().join("gosight.id"), "damaged").unwrap();
        assert!(matches!(DataDir::open(one.path()).unwrap().id(), Err(DataDirError::Io { .. })));
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_can_read_what_is_in_it() {
        use std::os::unix::fs::PermissionsExt;

        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let dir = DataDir::open(&path).unwrap();
        let (log, store) = (crate::LogConfig::default(), crate::StoreConfig::default());
        let clock = std::sync::Arc::new(gosight_application::ports::SystemClock);
        let opened = crate::Embedded::open(&dir, clock, log, store, &[]).await.unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let expected = if entry.file_type().unwrap().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&entry.path()), expected, "{}", entry.path().display());
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort_unstable();
        assert_eq!(names, ["gosight.db", "gosight.db-shm", "gosight.db-wal", "gosight.lock", "log"]);
        opened.store.close().await;
    }

    #[test]
    fn a_path_that_is_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(file.path()).unwrap_err().to_string();
        assert!(error.contains(&*file.path().to_string_lossy()), "{error}");
    }
}

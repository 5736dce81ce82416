use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_application::kill_point;
use gosight_application::ports::{ObjectEntry, ObjectStat, PortError, ReplayArchive, ReplayArchiveError};
use gosight_domain::replay::ContentHash;
use uuid::Uuid;

use crate::DataDirError;
use crate::data_dir::{create, open_private};

/// Name of the adapter in errors.
const ADAPTER: &str = "archive directory";

/// Archived replays as files of a directory: `objects/` has those that are whole, `incoming/` those that are being
/// written.
#[derive(Debug, Clone)]
pub struct DirectoryArchive {
    dirs: Arc<Dirs>,
}

#[derive(Debug)]
struct Dirs {
    objects: PathBuf,
    incoming: PathBuf,
}

impl DirectoryArchive {
    /// Opens `dir`, or makes it. One process at a time may have it open.
    ///
    /// # Errors
    /// [`DataDirError`] when it cannot be made.
    pub fn open(dir: &Path) -> Result<Self, DataDirError> {
        let dirs = Dirs { objects: dir.join("objects"), incoming: dir.join("incoming") };
        for dir in [dir, &dirs.objects, &dirs.incoming] {
            create(dir)?;
        }
        dirs.forget_incoming().map_err(|source| DataDirError::Io { path: dirs.incoming.clone(), source })?;
        Ok(Self { dirs: Arc::new(dirs) })
    }

    /// Does `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Dirs) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let dirs = self.dirs.clone();
        let done = tokio::task::spawn_blocking(move || work(&dirs)).await;
        done.unwrap_or_else(|died| Err(std::io::Error::other(died)))
            .map_err(|error| PortError::transient(ADAPTER, format!("{path}: {error}")))
    }
}

impl Dirs {
    /// Removes what a crash has left half written.
    fn forget_incoming(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.incoming)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Where the object `path` is; an error for one that leads elsewhere.
    fn object(&self, path: &str) -> std::io::Result<PathBuf> {
        let is_safe = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
        if !path.split('/').all(is_safe) {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "is no path of an object"));
        }
        Ok(self.objects.join(path))
    }

    /// Writes beside, then renames: an object is whole or not there.
    fn put(&self, path: &str, object: &[u8]) -> std::io::Result<()> {
        let target = self.object(path)?;
        let incoming = self.incoming.join(Uuid::from_u128(rand::random()).simple().to_string());
        let written = write_durably(&incoming, object).and_then(|()| self.publish(&incoming, &target));
        if written.is_err() {
            // What cannot be removed is of no use to anybody, and in nobody's way.
            let _ = std::fs::remove_file(&incoming);
        }
        written
    }

    fn publish(&self, incoming: &Path, target: &Path) -> std::io::Result<()> {
        let parent = target.parent().unwrap_or(&self.objects);
        std::fs::create_dir_all(parent)?;
        kill_point("archive-object-written");
        std::fs::rename(incoming, target)?;
        // The new names have to survive too, up to the directory that was there before.
        for dir in parent.ancestors().take_while(|dir| dir.starts_with(&self.objects)) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    fn read(&self, path: &str, range: Option<Range<u64>>) -> std::io::Result<Option<Bytes>> {
        let Some(mut file) = found(File::open(self.object(path)?))? else { return Ok(None) };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(None);
        }
        let range = range.unwrap_or(0..metadata.len());
        let mut data = Vec::new();
        if range.start < range.end.min(metadata.len()) {
            file.seek(SeekFrom::Start(range.start))?;
            file.take(range.end - range.start).read_to_end(&mut data)?;
        }
        Ok(Some(data.into()))
    }

    /// All objects whose path starts with `prefix`, in no order.
    fn walk(&self, dir: &Path, prefix: &str, found: &mut Vec<ObjectEntry>) -> std::io::Result<()> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let Some(name) = path.strip_prefix(&self.objects).ok().and_then(Path::to_str) else { continue };
            if entry.file_type()?.is_dir() {
                let inside = format!("{name}/");
                if inside.starts_with(prefix) || prefix.starts_with(&inside) {
                    self.walk(&path, prefix, found)?;
                }
            } else if name.starts_with(prefix)
                && let Some(metadata) = self::found(entry.metadata())?
            {
                found.push(ObjectEntry { path: name.to_owned(), bytes: metadata.len() });
            }
        }
        Ok(())
    }
}

fn write_durably(path: &Path, data: &[u8]) -> std::io::Result<()> {
    let mut file = open_private(path)?;
    file.write_all(data)?;
    file.sync_all()
}

/// `None` for what is not there.
fn found<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl ReplayArchive for DirectoryArchive {
    async fn put(&self, path: &str, object: Bytes, content: &ContentHash) -> Result<(), ReplayArchiveError> {
        content.check(&object).map_err(|error| PortError::fatal(ADAPTER, format!("{path}: {error}")))?;
        let name = path.to_owned();
        self.blocking(path, move |dirs| dirs.put(&name, &object)).await
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, ReplayArchiveError> {
        let name = path.to_owned();
        self.blocking(path, move |dirs| dirs.read(&name, range)).await
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, ReplayArchiveError> {
        let object = self.get(path, None).await?;
        Ok(object.map(|data| ObjectStat { bytes: data.len() as u64, content: ContentHash::of(&data) }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, ReplayArchiveError> {
        let start = prefix.to_owned();
        let mut entries = self
            .blocking(prefix, move |dirs| {
                let mut found = Vec::new();
                dirs.walk(&dirs.objects, &start, &mut found)?;
                Ok(found)
            })
            .await?;
        entries.retain(|entry| after.is_none_or(|after| *entry.path > *after));
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        entries.truncate(limit);
        Ok(entries)
    }

    async fn delete(&self, path: &str) -> Result<(), ReplayArchiveError> {
        let name = path.to_owned();
        self.blocking(path, move |dirs| found(std::fs::remove_file(dirs.object(&name)?)).map(drop)).await
    }
}

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Take, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use gosight_application::kill_point;
use gosight_application::ports::{
    ObjectEntry, ObjectStat, ObjectStream, PortError, ReplayArchive, ReplayArchiveError,
};
use uuid::Uuid;

use crate::DataDirError;
use crate::data_dir::{create, open_private};

/// Name of the adapter in errors.
const ADAPTER: &str = "archive directory";
/// What is read of an object at once, in bytes.
const PART_BYTES: u64 = 256 * 1024;

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

    /// Begins an object beside those that are whole.
    fn begin(&self) -> std::io::Result<Incoming> {
        let path = self.incoming.join(Uuid::from_u128(rand::random()).simple().to_string());
        Ok(Incoming { file: open_private(&path)?, path })
    }

    /// Gives an object its name: it is whole or not there.
    fn publish(&self, incoming: &Incoming, path: &str) -> std::io::Result<()> {
        let target = self.object(path)?;
        let parent = target.parent().unwrap_or(&self.objects);
        incoming.file.sync_all()?;
        std::fs::create_dir_all(parent)?;
        kill_point("archive-object-written");
        std::fs::rename(&incoming.path, &target)?;
        // The new names have to survive too, up to the directory that was there before.
        for dir in parent.ancestors().take_while(|dir| dir.starts_with(&self.objects)) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Opens an object, to be read from the start of the range to its end.
    fn open(&self, path: &str, range: Option<Range<u64>>) -> std::io::Result<Option<Take<File>>> {
        let Some(mut file) = found(File::open(self.object(path)?))? else { return Ok(None) };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(None);
        }
        let range = range.unwrap_or(0..metadata.len());
        file.seek(SeekFrom::Start(range.start.min(metadata.len())))?;
        Ok(Some(file.take(range.end.saturating_sub(range.start))))
    }

    fn length(&self, path: &str) -> std::io::Result<Option<u64>> {
        let metadata = found(std::fs::metadata(self.object(path)?))?;
        Ok(metadata.filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()))
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

/// An object that is being written. Unless it is published, nothing of it stays.
#[derive(Debug)]
struct Incoming {
    path: PathBuf,
    file: File,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Published, it has another name by now; what cannot be removed is of no use to anybody, and in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The next part of an object; empty after the last.
fn next_part(mut file: Take<File>) -> std::io::Result<(Bytes, Take<File>)> {
    let mut part = Vec::new();
    file.by_ref().take(PART_BYTES).read_to_end(&mut part)?;
    Ok((part.into(), file))
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
    async fn put(&self, path: &str, mut object: ObjectStream) -> Result<(), ReplayArchiveError> {
        let mut incoming = self.blocking(path, Dirs::begin).await?;
        while let Some(part) = object.next().await.transpose()? {
            let write = move |_: &Dirs| incoming.file.write_all(&part).map(|()| incoming);
            incoming = self.blocking(path, write).await?;
        }
        let name = path.to_owned();
        self.blocking(path, move |dirs| dirs.publish(&incoming, &name)).await
    }

    async fn get(
        &self,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<ObjectStream>, ReplayArchiveError> {
        let name = path.to_owned();
        let Some(file) = self.blocking(path, move |dirs| dirs.open(&name, range)).await? else {
            return Ok(None);
        };
        let parts =
            stream::try_unfold((self.clone(), path.to_owned(), file), async |(archive, path, file)| {
                let (part, file) = archive.blocking(&path, move |_| next_part(file)).await?;
                Ok((!part.is_empty()).then_some((part, (archive, path, file))))
            });
        Ok(Some(parts.boxed()))
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, ReplayArchiveError> {
        let name = path.to_owned();
        let bytes = self.blocking(path, move |dirs| dirs.length(&name)).await?;
        Ok(bytes.map(|bytes| ObjectStat { bytes, content: None }))
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

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use gosight_application::ports::{
    ObjectEntry, ObjectStat, ObjectStream, ReplayArchive, ReplayArchiveError, read_object, whole_object,
};
use gosight_domain::replay::ContentHash;

/// Archived replays in memory.
#[derive(Debug, Default)]
pub struct MemoryReplayArchive(Mutex<BTreeMap<String, (Bytes, ContentHash)>>);

impl MemoryReplayArchive {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Bytes, ContentHash)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of `object` that `range` covers.
fn part(object: &Bytes, range: &Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at).map_or(object.len(), |at| at.min(object.len()));
    let start = within(range.start);
    object.slice(start..within(range.end).max(start))
}

#[async_trait]
impl ReplayArchive for MemoryReplayArchive {
    async fn put(&self, path: &str, object: ObjectStream) -> Result<(), ReplayArchiveError> {
        let object = read_object(object).await?;
        let content = ContentHash::of(&object);
        self.lock().insert(path.to_owned(), (object, content));
        Ok(())
    }

    async fn get(
        &self,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<ObjectStream>, ReplayArchiveError> {
        let read = |(object, _): &(Bytes, ContentHash)| match &range {
            None => whole_object(object.clone()),
            Some(range) => whole_object(part(object, range)),
        };
        Ok(self.lock().get(path).map(read))
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, ReplayArchiveError> {
        let stat = |(object, content): &(Bytes, ContentHash)| ObjectStat {
            bytes: object.len() as u64,
            content: Some(*content),
        };
        Ok(self.lock().get(path).map(stat))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, ReplayArchiveError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.lock();
        let entries = objects
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(path, _)| path.starts_with(prefix))
            .take(limit)
            .map(|(path, (object, _))| ObjectEntry { path: path.clone(), bytes: object.len() as u64 });
        Ok(entries.collect())
    }

    async fn delete(&self, path: &str) -> Result<(), ReplayArchiveError> {
        self.lock().remove(path);
        Ok(())
    }
}

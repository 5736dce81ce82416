use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use gosight_domain::replay::ContentHash;

use super::PortError;

/// Error of [`ReplayArchive`].
pub type ReplayArchiveError = PortError;

/// The bytes of an object, part by part. After an error nothing more comes.
pub type ObjectStream = BoxStream<'static, Result<Bytes, ReplayArchiveError>>;

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStat {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes, where the archive keeps it.
    pub content: Option<ContentHash>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its path.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// Objects of archived replays: a bucket of S3, or a directory.
///
/// Paths are like `project/2026/11/session.gz`: segments of `a`-`z`, `A`-`Z`, `0`-`9`, `-`, `_`, `.`, `~` and `%`,
/// joined by `/`, none of them `.` or `..`.
///
/// # Contract
/// 1. After `Ok` of `put`, the object is stored whole and survives a crash; an object that was there is replaced. It
///    is never visible in part.
/// 2. `put` fails when its stream does, and changes nothing then.
/// 3. `get` gives the bytes that were put, or the range of them; a range that ends after the object is cut, one that
///    starts after it is empty. `None` when there is no such object.
/// 4. `list` gives the objects whose path starts with `prefix` in order of their paths, only those after `after`.
/// 5. Deleting what is not there is a success.
/// 6. Neither `put` nor `get` holds more than some parts of an object in memory.
#[async_trait]
pub trait ReplayArchive: fmt::Debug + Send + Sync {
    /// Stores an object.
    async fn put(&self, path: &str, object: ObjectStream) -> Result<(), ReplayArchiveError>;

    /// The bytes of an object, or a range of them.
    async fn get(
        &self,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<ObjectStream>, ReplayArchiveError>;

    /// What is known of an object.
    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, ReplayArchiveError>;

    /// Up to `limit` objects after the path `after`.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, ReplayArchiveError>;

    /// Removes an object.
    async fn delete(&self, path: &str) -> Result<(), ReplayArchiveError>;
}

/// Parts of an object that is in memory already have at most this many bytes.
const PART_BYTES: usize = 256 * 1024;

/// An object that is in memory already, as a stream.
pub fn whole_object(object: impl Into<Bytes>) -> ObjectStream {
    let mut rest = object.into();
    let parts =
        std::iter::from_fn(move || (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(PART_BYTES)))));
    stream::iter(parts).boxed()
}

/// All bytes of `object`. Whoever asks bounds how many there are.
///
/// # Errors
/// The stream's.
pub async fn read_object(object: ObjectStream) -> Result<Bytes, ReplayArchiveError> {
    let bytes = object.try_fold(BytesMut::new(), |mut bytes, part| async move {
        bytes.extend_from_slice(&part);
        Ok(bytes)
    });
    Ok(bytes.await?.freeze())
}

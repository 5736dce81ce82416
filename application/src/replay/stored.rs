use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::Peekable;
use gosight_domain::replay::{ArchivedReplay, ContentHash, ContentHasher, OtherContent};

use super::error::{DamagedObject, ReplayReadError};
use crate::ports::{ObjectStream, ReplayArchive};

/// A whole recording as the archive has it: gzip (RFC 1952) of one JSON array of all events in order. It is read part
/// by part, and never unpacked.
pub struct StoredReplay {
    objects: Arc<dyn ReplayArchive>,
    object: String,
    bytes: u64,
    sha256: ContentHash,
    reading: Reading,
}

enum Reading {
    NotBegun,
    Open {
        parts: Peekable<ObjectStream>,
        /// Bytes that were read.
        read: u64,
        hasher: ContentHasher,
    },
    Ended,
}

impl fmt::Debug for StoredReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredReplay").field("object", &self.object).finish_non_exhaustive()
    }
}

impl StoredReplay {
    /// Reads the object of `archived`.
    pub(super) fn new(objects: Arc<dyn ReplayArchive>, archived: &ArchivedReplay) -> Self {
        Self {
            objects,
            object: archived.object.clone(),
            bytes: archived.bytes,
            sha256: archived.sha256,
            reading: Reading::NotBegun,
        }
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next part; `None` after the last, which is given only when the whole has the hash that it was stored with.
    ///
    /// # Errors
    /// [`ReplayReadError`], after which nothing more can be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReplayReadError> {
        // An error leaves it ended.
        let (mut parts, before, mut hasher) = match std::mem::replace(&mut self.reading, Reading::Ended) {
            Reading::NotBegun => (open(&*self.objects, &self.object).await?, 0, ContentHasher::default()),
            Reading::Open { parts, read, hasher } => (parts, read, hasher),
            Reading::Ended => return Ok(None),
        };
        let part = loop {
            match parts.next().await.transpose()? {
                Some(part) if part.is_empty() => {}
                part => break part.unwrap_or_default(),
            }
        };
        let read = before + part.len() as u64;
        // What ends with its first part is known to be damaged before anything is given.
        let is_cut_off = before == 0 && read < self.bytes && Pin::new(&mut parts).peek().await.is_none();
        if read > self.bytes || part.is_empty() || is_cut_off {
            let reason = format!("it has {read} bytes instead of {}", self.bytes);
            return Err(DamagedObject(reason.into()).into());
        }
        hasher.update(&part);
        if read < self.bytes {
            self.reading = Reading::Open { parts, read, hasher };
            return Ok(Some(part));
        }
        let found = hasher.finish();
        if found != self.sha256 {
            let other = OtherContent { expected: self.sha256, found };
            return Err(DamagedObject(format!("it {other}").into()).into());
        }
        Ok(Some(part))
    }
}

async fn open(objects: &dyn ReplayArchive, object: &str) -> Result<Peekable<ObjectStream>, ReplayReadError> {
    let parts = objects.get(object, None).await?;
    let parts = parts.ok_or_else(|| ReplayReadError::NoObject(object.to_owned()))?;
    Ok(parts.peekable())
}

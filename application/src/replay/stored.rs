use std::sync::Arc;

use bytes::Bytes;
use gosight_domain::replay::{ArchivedReplay, ContentHash, ContentHasher, OtherContent};

use super::manifest::{ReplayManifest, ReplayStorage};
use super::object::DamagedObject;
use super::read::ReplayReadError;
use super::{ColdReplays, Replays};
use crate::ports::ReplayArchive;

/// What is read of an object at once, in bytes.
const PART_BYTES: u64 = 256 * 1024;

/// A whole recording as the archive has it: gzip (RFC 1952) of one JSON array of all events in order. It is read part
/// by part, and never unpacked.
#[derive(Debug, Clone)]
pub struct StoredReplay {
    objects: Arc<dyn ReplayArchive>,
    object: String,
    bytes: u64,
    /// What is read at once.
    part_bytes: u64,
    sha256: ContentHash,
    /// Bytes that were read.
    read: u64,
    hasher: ContentHasher,
}

impl Replays {
    /// The recording as it is stored, if all of it is archived.
    pub(super) fn stored(&self, manifest: &ReplayManifest) -> Option<StoredReplay> {
        let ColdReplays { objects, .. } = self.cold.as_ref()?;
        let archived = manifest.archived.as_ref()?;
        let is_all = manifest.storage() == ReplayStorage::Archived;
        is_all.then(|| StoredReplay::new(objects.clone(), archived, PART_BYTES))
    }
}

impl StoredReplay {
    /// Reads the object of `archived` in parts of so many bytes.
    pub(super) fn new(objects: Arc<dyn ReplayArchive>, archived: &ArchivedReplay, part_bytes: u64) -> Self {
        Self {
            objects,
            object: archived.object.clone(),
            bytes: archived.bytes,
            part_bytes,
            sha256: archived.sha256,
            read: 0,
            hasher: ContentHasher::default(),
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
        if self.read == self.bytes {
            return Ok(None);
        }
        let range = self.read..self.bytes.min(self.read + self.part_bytes);
        let part = self.objects.get(&self.object, Some(range.clone())).await?;
        let part = part.ok_or_else(|| ReplayReadError::NoObject(self.object.clone()))?;
        if part.len() as u64 != range.end - range.start {
            let reason =
                format!("it has {} bytes instead of {}", range.start + part.len() as u64, self.bytes);
            return Err(DamagedObject(reason.into()).into());
        }
        self.hasher.update(&part);
        self.read = range.end;
        if self.read == self.bytes {
            let found = std::mem::take(&mut self.hasher).finish();
            if found != self.sha256 {
                let other = OtherContent { expected: self.sha256, found };
                return Err(DamagedObject(format!("it {other}").into()).into());
            }
        }
        Ok(Some(part))
    }
}

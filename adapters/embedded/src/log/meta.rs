//! The small things that the log remembers besides its records.

use fjall::{Keyspace, OwnedWriteBatch};

use super::keys::{PREFIX_BYTES, PartitionId};

/// The keyspace `meta`.
#[derive(Clone)]
pub(super) struct Meta(Keyspace);

const PARTITIONS: &[u8] = b"partitions";
const LOG: &[u8] = b"log/";
const NEXT: &[u8] = b"next/";
const GROUP: &[u8] = b"group/";
const SEGMENT_BYTES: &[u8] = b"segment/";

fn number(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

impl Meta {
    pub fn new(keyspace: Keyspace) -> Self {
        Self(keyspace)
    }

    /// The number of partitions that the directory was made with; `configured` when it is made now.
    pub fn partitions(&self, configured: u32) -> fjall::Result<u32> {
        if let Some(value) = self.0.get(PARTITIONS)? {
            return Ok(number(&value).and_then(|n| u32::try_from(n).ok()).unwrap_or(configured));
        }
        self.0.insert(PARTITIONS, u64::from(configured).to_be_bytes())?;
        Ok(configured)
    }

    /// The logs that were ever written to, with their numbers.
    pub fn logs(&self) -> fjall::Result<Vec<(String, u16)>> {
        let mut logs = Vec::new();
        for guard in self.0.prefix(LOG) {
            let (key, value) = guard.into_inner()?;
            let name = String::from_utf8_lossy(&key[LOG.len()..]).into_owned();
            if let Some(id) = number(&value).and_then(|n| u16::try_from(n).ok()) {
                logs.push((name, id));
            }
        }
        Ok(logs)
    }

    pub fn put_log(&self, batch: &mut OwnedWriteBatch, name: &str, id: u16) {
        batch.insert(&self.0, joined(&[LOG, name.as_bytes()]), u64::from(id).to_be_bytes());
    }

    /// The next offset of every partition that was ever written to.
    pub fn next_offsets(&self) -> fjall::Result<Vec<(PartitionId, u64)>> {
        let mut offsets = Vec::new();
        for guard in self.0.prefix(NEXT) {
            let (key, value) = guard.into_inner()?;
            let id = PartitionId::parse(&joined(&[&key[NEXT.len()..], &[0; 8]]));
            if let (Some((id, _)), Some(next)) = (id, number(&value)) {
                offsets.push((id, next));
            }
        }
        Ok(offsets)
    }

    pub fn put_next(&self, batch: &mut OwnedWriteBatch, id: PartitionId, next: u64) {
        batch.insert(&self.0, joined(&[NEXT, &id.prefix()]), next.to_be_bytes());
    }

    pub fn committed(&self, group: &str, id: PartitionId) -> fjall::Result<Option<u64>> {
        let value = self.0.get(Self::group_key(group, id))?;
        Ok(value.as_deref().and_then(number))
    }

    pub fn commit(&self, group: &str, id: PartitionId, next: u64) -> fjall::Result<()> {
        self.0.insert(Self::group_key(group, id), next.to_be_bytes())
    }

    fn group_key(group: &str, id: PartitionId) -> Vec<u8> {
        joined(&[GROUP, &id.prefix(), group.as_bytes()])
    }

    /// What every group committed for `id`.
    pub fn commits(&self, id: PartitionId) -> fjall::Result<Vec<u64>> {
        let guards = self.0.prefix(joined(&[GROUP, &id.prefix()]));
        let values: fjall::Result<Vec<_>> = guards.map(fjall::Guard::value).collect();
        Ok(values?.iter().filter_map(|value| number(value)).collect())
    }

    /// Bytes of records in a segment, and when it was last written to, as of the last append.
    pub fn segment(&self, segment: u64) -> fjall::Result<Option<(u64, i64)>> {
        let value = self.0.get(joined(&[SEGMENT_BYTES, &segment.to_be_bytes()]))?;
        Ok(value.as_deref().and_then(|value| {
            let (bytes, millis) = value.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*bytes), i64::from_be_bytes(millis.try_into().ok()?)))
        }))
    }

    pub fn put_segment(&self, batch: &mut OwnedWriteBatch, segment: u64, bytes: u64, last_append: i64) {
        let value = [bytes.to_be_bytes(), last_append.to_be_bytes()].concat();
        batch.insert(&self.0, joined(&[SEGMENT_BYTES, &segment.to_be_bytes()]), value);
    }

    pub fn remove_segment(&self, segment: u64) -> fjall::Result<()> {
        self.0.remove(joined(&[SEGMENT_BYTES, &segment.to_be_bytes()]))
    }
}

const _: () = assert!(PREFIX_BYTES == 6, "stored keys have this form");

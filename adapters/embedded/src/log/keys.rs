//! Keys of records in a segment: log, partition, offset, each in big-endian so that they sort.

use std::ops::Range;

/// One partition of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PartitionId {
    pub log: u16,
    pub partition: u32,
}

/// Bytes of a partition in a key.
pub(super) const PREFIX_BYTES: usize = 6;
const KEY_BYTES: usize = PREFIX_BYTES + 8;

impl PartitionId {
    pub fn prefix(self) -> [u8; PREFIX_BYTES] {
        let mut prefix = [0; PREFIX_BYTES];
        prefix[..2].copy_from_slice(&self.log.to_be_bytes());
        prefix[2..].copy_from_slice(&self.partition.to_be_bytes());
        prefix
    }

    pub fn key(self, offset: u64) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[..PREFIX_BYTES].copy_from_slice(&self.prefix());
        key[PREFIX_BYTES..].copy_from_slice(&offset.to_be_bytes());
        key
    }

    /// The keys of `offsets`.
    pub fn keys(self, offsets: &Range<u64>) -> Range<[u8; KEY_BYTES]> {
        self.key(offsets.start)..self.key(offsets.end)
    }

    /// The partition and offset that a key is for.
    pub fn parse(key: &[u8]) -> Option<(Self, u64)> {
        let (log, rest) = key.split_first_chunk::<2>()?;
        let (partition, rest) = rest.split_first_chunk::<4>()?;
        let offset: &[u8; 8] = rest.try_into().ok()?;
        let id = Self { log: u16::from_be_bytes(*log), partition: u32::from_be_bytes(*partition) };
        Some((id, u64::from_be_bytes(*offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_what_they_stand_for() {
        let places = [(0, 0, 1), (0, 0, 256), (0, 3, 0), (0, 256, 9), (1, 0, 0), (300, 0, 0)];
        let keys = places.map(|(log, partition, offset)| PartitionId { log, partition }.key(offset));
        assert!(keys.is_sorted());
        for (key, (log, partition, offset)) in keys.iter().zip(places) {
            assert_eq!(PartitionId::parse(key), Some((PartitionId { log, partition }, offset)));
        }
        assert_eq!(PartitionId::parse(b"short"), None);
    }
}

//! Checks fjall's journals before fjall opens them.
//!
//! fjall cuts some damage off silently and refuses to start at other. Here every damage is cut at the last whole
//! batch, said, and the bytes that were cut are kept beside the log.
//!
//! The format is that of fjall 3 (`src/journal/entry.rs` there): a batch is a start (tag 1, number of items, sequence
//! number), its items (tag 2), and an end (tag 3, XXH3 of the items, `FJL\x03`); new files are filled up with zeros.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

/// Damage that was cut off a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The journal.
    pub journal: PathBuf,
    /// Bytes before the cut, all whole.
    pub kept_bytes: usize,
    /// Bytes that were cut.
    pub lost_bytes: usize,
    /// Where the bytes that were cut are kept.
    pub kept_in: PathBuf,
}

const TRAILER: &[u8] = b"FJL\x03";

/// Cuts the damaged tails of all journals in `log`, if there are any.
pub(super) fn cut_damage(log: &Path) -> io::Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    if !log.try_exists()? {
        return Ok(cuts);
    }
    for entry in fs::read_dir(log)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            cuts.extend(cut_journal(&path)?);
        }
    }
    Ok(cuts)
}

fn cut_journal(journal: &Path) -> io::Result<Option<Cut>> {
    let content = fs::read(journal)?;
    let whole = whole_bytes(&content);
    let tail = &content[whole..];
    // Zeros are what a new file is filled with.
    let Some(last) = tail.iter().rposition(|&byte| byte != 0) else { return Ok(None) };
    let kept_in = keep(journal, whole, &tail[..=last])?;
    let file = OpenOptions::new().write(true).open(journal)?;
    file.set_len(whole as u64)?;
    file.sync_all()?;
    Ok(Some(Cut { journal: journal.to_owned(), kept_bytes: whole, lost_bytes: last + 1, kept_in }))
}

/// Writes the bytes that are to be cut to a file of their own, durably, before they are cut.
fn keep(journal: &Path, at: usize, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = journal.with_extension(format!("jnl.cut-at-{at}"));
    let mut file = File::create(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(path)
}

/// How many bytes from the start are whole batches.
fn whole_bytes(content: &[u8]) -> usize {
    let mut rest = Reader(content);
    let mut whole = 0;
    while rest.batch().is_some() {
        whole = content.len() - rest.0.len();
    }
    whole
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(self.take(2)?.try_into().ok()?)))
    }

    fn u32(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take(4)?.try_into().ok()?)).ok()
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Reads one batch; `None` when it is not whole.
    fn batch(&mut self) -> Option<()> {
        (self.u8()? == 1).then_some(())?;
        let items = self.u32()?;
        let _sequence_number = self.u64()?;
        let mut checksum = Xxh3::new();
        for _ in 0..items {
            let before = self.0;
            self.item()?;
            checksum.update(&before[..before.len() - self.0.len()]);
        }
        (self.u8()? == 3).then_some(())?;
        let expected = self.u64()?;
        (self.take(TRAILER.len())? == TRAILER && expected == checksum.digest()).then_some(())
    }

    fn item(&mut self) -> Option<()> {
        match self.u8()? {
            // Clears a keyspace.
            4 => self.u64().map(drop),
            2 => {
                let _value_type = self.u8()?;
                let _no_compression = self.u8().filter(|&compression| compression == 0)?;
                let _keyspace = self.u64()?;
                let key = self.u16()?;
                let _value = self.u32()?;
                let stored_value = self.u32()?;
                self.take(key + stored_value).map(drop)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    use super::*;

    /// A log with three batches, and where each of them ends.
    fn log_with_three_batches(dir: &Path) -> (PathBuf, Vec<usize>) {
        let database = Database::builder(dir).open().unwrap();
        let keyspace = database.keyspace("a", KeyspaceCreateOptions::default).unwrap();
        let journal = dir.join("0.jnl");
        let mut ends = Vec::new();
        for batch_number in 0..3u8 {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            for item in 0..4u8 {
                batch.insert(&keyspace, [batch_number, item], vec![item; 50]);
            }
            batch.remove(&keyspace, [9, 9]);
            batch.commit().unwrap();
            ends.push(whole_bytes(&fs::read(&journal).unwrap()));
        }
        (journal, ends)
    }

    fn count(dir: &Path) -> usize {
        let database = Database::builder(dir).open().unwrap();
        database.keyspace("a", KeyspaceCreateOptions::default).unwrap().len().unwrap()
    }

    fn change(journal: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(journal).unwrap();
        change(&mut content);
        fs::write(journal, content).unwrap();
    }

    #[test]
    fn what_fjall_writes_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, ends) = log_with_three_batches(dir.path());
        assert!(ends.is_sorted() && ends[0] > 200, "{ends:?}");
        let content = fs::read(&journal).unwrap();
        assert!(content[ends[2]..].iter().all(|&byte| byte == 0));
        assert_eq!(cut_damage(dir.path()).unwrap(), []);
        assert_eq!(count(dir.path()), 12);
    }

    #[test]
    fn an_unfinished_batch_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, ends) = log_with_three_batches(dir.path());
        change(&journal, |content| content[ends[2] - 30..].fill(0));
        let cuts = cut_damage(dir.path()).unwrap();
        assert_eq!(cuts[0].kept_bytes, ends[1]);
        assert_eq!(count(dir.path()), 8);
    }

    #[test]
    fn a_flipped_bit_is_cut_with_what_follows_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, ends) = log_with_three_batches(dir.path());
        let before = fs::read(&journal).unwrap();
        change(&journal, |content| content[ends[0] + 100] ^= 1);
        let cuts = cut_damage(dir.path()).unwrap();
        assert_eq!(cuts.len(), 1);
        assert_eq!(cuts[0].lost_bytes, ends[2] - ends[0]);
        let kept = fs::read(&cuts[0].kept_in).unwrap();
        assert_eq!(kept[150..], before[ends[0] + 150..ends[2]]);
        assert_eq!(count(dir.path()), 4);
        assert_eq!(cut_damage(dir.path()).unwrap(), [], "once is enough");
    }

    #[test]
    fn garbage_and_a_missing_end_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, ends) = log_with_three_batches(dir.path());
        change(&journal, |content| {
            content.truncate(ends[2]);
            content.extend(b"\xde\xad\xbe\xef garbage");
        });
        assert_eq!(cut_damage(dir.path()).unwrap()[0].kept_bytes, ends[2]);
        change(&journal, |content| content.truncate(ends[1] + 7));
        assert_eq!(cut_damage(dir.path()).unwrap()[0].kept_bytes, ends[1]);
        assert_eq!(count(dir.path()), 8);
    }
}

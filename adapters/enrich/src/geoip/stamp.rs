//! Whether a file is the one that was read before.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::database::DatabaseError;

/// What tells one version of a file from another.
///
/// A replacement by rename has another inode. A file that is written in place has another length or modification
/// time, unless it is written twice within one tick of the file system's clock: that is why a file that was modified
/// just before it was read is read once more.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    version: Version,
    /// Whether it had been left alone for a while when it was read.
    settled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    modified: SystemTime,
    length: u64,
    inode: Inode,
}

/// Longer than a tick of any file system's clock.
const SETTLING: Duration = Duration::from_secs(2);

impl Stamp {
    /// Opens the file, and says which version it is as of before the first byte is read.
    pub(super) fn open(path: &Path) -> Result<(Self, File), DatabaseError> {
        // Asked before it is opened: opening a pipe would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(DatabaseError::NotAFile);
        }
        let file = File::open(path)?;
        let version = Version::of(&file.metadata()?)?;
        let settled = version.age() > SETTLING;
        Ok((Self { version, settled }, file))
    }

    /// Whether the file with `other`'s stamp has the content that this one's had.
    pub(super) fn is_still(&self, other: &Self) -> bool {
        self.settled && self.version == other.version
    }
}

impl Version {
    /// Time between its modification and now, whichever is first: a wrong clock may put it into the future.
    fn age(&self) -> Duration {
        self.modified.elapsed().unwrap_or_else(|ahead| ahead.duration())
    }

    fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self { modified: metadata.modified()?, length: metadata.len(), inode: Inode::of(metadata) })
    }
}

/// Which file it is, whatever its name: device, number on it, and time of the last change to either content or name
/// in s and ns.
#[cfg(unix)]
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inode(u64, u64, i64, i64);

#[cfg(unix)]
impl Inode {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    }
}

/// Not known on this system.
#[cfg(not(unix))]
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inode;

#[cfg(not(unix))]
impl Inode {
    fn of(_: &Metadata) -> Self {
        Self
    }
}

//! The fjall database that the log and the marks of known events share.

mod journal;

use std::path::Path;

use fjall::Database;

use crate::{DataDir, DataDirError, data_dir};

/// Most bytes of fjall's journals; beyond, tables are written so that old journals can go.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
/// Memory for blocks that are read, in bytes. Records are read once, in order; marks live by their filters.
const CACHE_BYTES: u64 = 16 << 20;

/// Opens or makes the database in `dir`, after cutting off what a crash or a bad disk left of its tail.
pub(crate) fn open(dir: &DataDir) -> Result<Database, DataDirError> {
    let path = dir.log_path();
    data_dir::create(&path)?;
    cut_damage(&path)?;
    Database::builder(&path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(MAX_JOURNAL_BYTES)
        .worker_threads(1)
        .open()
        .map_err(|source| DataDirError::Log { path, source })
}

fn cut_damage(path: &Path) -> Result<(), DataDirError> {
    let cuts =
        journal::cut_damage(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
    for cut in cuts {
        tracing::warn!(
            journal = %cut.journal.display(),
            kept_bytes = cut.kept_bytes,
            cut_bytes = cut.lost_bytes,
            kept_in = %cut.kept_in.display(),
            "the log ended in the middle of a write or is damaged; the tail was cut and kept"
        );
    }
    Ok(())
}

//! The embedded adapters on a real disk.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod store_faults;
mod store_keeping;
mod store_restart;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use gosight_application::ports::{SessionDetail, SessionStore, SystemClock};
use gosight_application::sessions::SessionRules;
use gosight_domain::{ProjectId, SessionId};
use tempfile::TempDir;

use gosight_embedded::{DataDir, Embedded, EmbeddedStore, LogConfig, StoreConfig};

/// A store that is open, with what it stands in.
struct Opened {
    store: Arc<EmbeddedStore>,
    _dir: DataDir,
}

async fn open(path: &Path) -> Opened {
    open_with(path, StoreConfig::default()).await
}

async fn open_with(path: &Path, config: StoreConfig) -> Opened {
    let dir = DataDir::open(path).unwrap();
    let embedded =
        Embedded::open(&dir, Arc::new(SystemClock), LogConfig::default(), config, &[]).await.unwrap();
    Opened { store: embedded.store, _dir: dir }
}

/// What is in `dir` at this moment, as after a crash.
///
/// A file that is renamed or deleted while the directory is read belongs to no one moment: then it is read again.
fn crash_image(dir: &Path) -> TempDir {
    loop {
        let image = tempfile::tempdir().unwrap();
        match copy(dir, image.path()) {
            Ok(()) => return image,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn session(
    store: &EmbeddedStore,
    project_id: &ProjectId,
    session_id: &SessionId,
) -> Option<SessionDetail> {
    store.get(&SessionRules::default(), project_id, session_id).await.unwrap()
}

impl Opened {
    /// Closes everything, as at the end of a process that was asked to stop.
    async fn close(self) {
        self.store.close().await;
    }
}

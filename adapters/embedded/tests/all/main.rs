//! The embedded adapters on a real disk.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod store_faults;
mod store_keeping;
mod store_restart;

use std::path::Path;
use std::sync::Arc;

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
    let embedded = Embedded::open(&dir, LogConfig::default(), config, &[]).await.unwrap();
    Opened { store: embedded.store, _dir: dir }
}

impl Opened {
    /// Closes everything, as at the end of a process that was asked to stop.
    async fn close(self) {
        self.store.close().await;
    }
}

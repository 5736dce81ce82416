//! The conformance suites against embedded storage.

use std::sync::Arc;

use gosight_conformance::record_log::LogFixture;
use gosight_embedded::{DataDir, EmbeddedLog, LogConfig};

mod record_log {
    gosight_conformance::record_log_suite!(super::log);
}

fn data_dir() -> (tempfile::TempDir, DataDir) {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = DataDir::open(temporary.path()).expect("a data directory");
    (temporary, dir)
}

async fn log() -> LogFixture {
    let (temporary, dir) = data_dir();
    let config = LogConfig { partitions: 3, max_record_bytes: 10_000, ..LogConfig::default() };
    let log = Arc::new(EmbeddedLog::open(&dir, config, &[]).expect("a log"));
    let for_sources = log.clone();
    LogFixture {
        log,
        source: Box::new(move |group, name| Arc::new(for_sources.source(group, name))),
        partitions: 3,
        too_large_bytes: 10_001,
        keep: Box::new((temporary, dir)),
    }
}

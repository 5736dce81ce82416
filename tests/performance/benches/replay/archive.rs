//! Replays on their way to the archive, against what the disk does at the least: write, fsync and read the same bytes.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use gosight_application::Telemetry;
use gosight_application::ports::{Ledger, ReplayArchive as _, ReplayStore, read_object};
use gosight_application::replay::{ArchivePolicy, Archiver, ColdReplays};
use gosight_conformance::factory::put_chunks;
use gosight_domain::replay::ReplayChunk;
use gosight_domain::time::DAY_MS;
use gosight_embedded::DirectoryArchive;
use gosight_memory::{ManualClock, MemoryReplayArchive, MemoryReplayCatalogue, MemoryStore};
use gosight_performance::Comparison;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::chunks::{gunzip, gzip, raw_bytes, recorded};
use crate::ingest::NOW;
use crate::path::{opened, stored};

/// The recorded sessions, copied this often: one pass archives them all.
const COPIES: usize = 5;

pub(crate) fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = Runtime::new().expect("a runtime");
    let recorded = recorded();
    let chunks = copied(&stored(&runtime, dir.path(), &recorded));
    let objects = runtime.block_on(objects(&chunks));
    let comparison = |name, limit_name| Comparison {
        name,
        throughput: Throughput::Bytes((raw_bytes(&recorded) * COPIES) as u64),
        limit_name,
    };
    let ours = |iterations| (0..iterations).map(|_| runtime.block_on(archive(&chunks))).sum();
    let disk = |iterations| (0..iterations).map(|_| through_disk(&objects)).sum();
    comparison("replay archive to disk", "write, fsync and read of the same bytes")
        .run(criterion, ours, disk);
    let bare = |iterations| {
        let each = |_| repack(&chunks, &objects) + through_disk(&objects);
        (0..iterations).map(each).sum()
    };
    let name = "gunzip, gzip, write, fsync and read of the same bytes";
    comparison("replay archive to disk, compressed", name).run(criterion, ours, bare);
}

/// Each session several times.
fn copied(chunks: &[ReplayChunk]) -> Vec<ReplayChunk> {
    let copy = |copy: usize| {
        chunks.iter().map(move |chunk| {
            let mut chunk = chunk.clone();
            let session = format!("{}-{copy}", chunk.session_id);
            chunk.session_id = gosight_domain::SessionId::new(session).expect("a name");
            chunk
        })
    };
    (0..COPIES).flat_map(copy).collect()
}

/// Archives all `chunks`, which nobody has added to for a month; gives how long it took.
async fn pass<S: Ledger + ReplayStore + 'static>(
    hot: Arc<S>,
    cold: ColdReplays,
    chunks: &[ReplayChunk],
) -> Duration {
    put_chunks(&*hot, chunks).await.expect("stored");
    let clock = Arc::new(ManualClock::new(NOW.plus_millis(31 * DAY_MS)));
    let archiver = Archiver::new(hot, cold, clock, ArchivePolicy::default(), Telemetry::default());
    let start = Instant::now();
    let report = archiver.pass(&CancellationToken::new()).await.expect("a pass");
    let took = start.elapsed();
    assert!(report.archived > 0 && report.failed == 0, "{report:?}");
    took
}

async fn archive(chunks: &[ReplayChunk]) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let (_dir, embedded) = opened(dir.path()).await;
    let objects = DirectoryArchive::open(&dir.path().join("archive")).expect("an archive");
    let cold = ColdReplays { catalogue: Arc::new(embedded.store.accounts()), objects: Arc::new(objects) };
    let took = pass(embedded.store.clone(), cold, chunks).await;
    embedded.store.close().await;
    took
}

/// Everything that archiving `chunks` stores: objects and their manifests.
pub(crate) async fn objects(chunks: &[ReplayChunk]) -> Vec<(String, Bytes)> {
    let objects = Arc::new(MemoryReplayArchive::default());
    let cold =
        ColdReplays { catalogue: Arc::new(MemoryReplayCatalogue::default()), objects: objects.clone() };
    pass(Arc::new(MemoryStore::default()), cold, chunks).await;
    let mut stored = Vec::new();
    for entry in objects.list("", None, usize::MAX).await.expect("a listing") {
        let object = objects.get(&entry.path, None).await.expect("read").expect("listed");
        let object = read_object(object).await.expect("read");
        stored.push((entry.path, object));
    }
    stored
}

fn through_disk(objects: &[(String, Bytes)]) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let start = Instant::now();
    for (index, (_, object)) in objects.iter().enumerate() {
        write_and_read(&dir.path().join(index.to_string()), object);
    }
    start.elapsed()
}

fn write_and_read(path: &Path, object: &Bytes) {
    let mut file = File::create(path).expect("a file");
    file.write_all(object).expect("written");
    file.sync_all().expect("on the disk");
    black_box(std::fs::read(path).expect("read"));
}

/// Unpacks what is hot and packs what is archived.
fn repack(chunks: &[ReplayChunk], objects: &[(String, Bytes)]) -> Duration {
    let texts: Vec<Vec<u8>> =
        objects.iter().filter(|(path, _)| !is_manifest(path)).map(|(_, o)| gunzip(o)).collect();
    let start = Instant::now();
    for chunk in chunks {
        black_box(gunzip(&chunk.data));
    }
    for text in &texts {
        black_box(gzip(text, ArchivePolicy::default().level));
    }
    start.elapsed()
}

/// Whether it is the manifest of an object, and no object.
pub(crate) fn is_manifest(path: &str) -> bool {
    path.contains(".manifest.")
}

//! Old replays move to the archive, whole or not at all, and are read from wherever they are.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use gosight_application::Telemetry;
use gosight_application::ports::{
    CatalogueQuery, ChunkId, ReplayArchive, ReplayCatalogue, ReplayStore, read_object, whole_object,
};
use gosight_application::replay::{
    ArchivePolicy, Archived, Archiver, ColdReplays, PassReport, Purged, ReplayStorage, Replays, StoredReplay,
    TimeRange,
};
use gosight_conformance::factory::{NOON, put_chunks, replay_session};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::time::DAY_MS;
use gosight_memory::{ManualClock, MemoryReplayArchive, MemoryReplayCatalogue, MemoryStore};
use tokio_util::sync::CancellationToken;

use crate::brittle::{Brittle, Steps};
use crate::query_replay::chunk;

pub(crate) const MINUTE_MS: i64 = 60_000;

/// Stores in memory, and a clock that a test moves.
pub(crate) struct Bench {
    pub hot: Arc<MemoryStore>,
    pub catalogue: Arc<MemoryReplayCatalogue>,
    pub objects: Arc<MemoryReplayArchive>,
    pub clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self {
            hot: Arc::default(),
            catalogue: Arc::default(),
            objects: Arc::default(),
            clock: Arc::new(ManualClock::new(NOON)),
        }
    }

    pub async fn with(chunks: &[ReplayChunk]) -> Self {
        let bench = Self::new();
        put_chunks(&*bench.hot, chunks).await.unwrap();
        bench
    }

    pub fn cold(&self) -> ColdReplays {
        ColdReplays { catalogue: self.catalogue.clone(), objects: self.objects.clone() }
    }

    pub fn archiver(&self) -> Archiver {
        let policy = ArchivePolicy { lease: Duration::from_mins(5), ..ArchivePolicy::default() };
        Archiver::new(self.hot.clone(), self.cold(), self.clock.clone(), policy, Telemetry::default())
    }

    /// One that dies at the step after `steps`.
    pub fn dying(&self, steps: &Arc<Steps>) -> Archiver {
        let policy = ArchivePolicy { lease: Duration::from_mins(5), ..ArchivePolicy::default() };
        let cold = ColdReplays {
            catalogue: Arc::new(Brittle { port: self.catalogue.clone(), steps: steps.clone() }),
            objects: Arc::new(Brittle { port: self.objects.clone(), steps: steps.clone() }),
        };
        let hot = Arc::new(Brittle { port: self.hot.clone(), steps: steps.clone() });
        Archiver::new(hot, cold, self.clock.clone(), policy, Telemetry::default())
    }

    pub fn replays(&self) -> Replays {
        Replays::new(self.hot.clone(), Some(self.cold()))
    }

    /// The names of all events of `s`, in order.
    pub async fn told(&self) -> String {
        self.told_in(TimeRange::default()).await
    }

    async fn told_in(&self, range: TimeRange) -> String {
        self.told_of(&session(), range).await
    }

    pub async fn told_of(&self, session: &ReplaySession, range: TimeRange) -> String {
        let Some(mut events) = self.replays().events(session, range).await.unwrap() else {
            return String::new();
        };
        let mut texts = Vec::new();
        while let Some(event) = events.next().await.unwrap() {
            texts.push(event.as_str().to_owned());
        }
        let array = format!("[{}]", texts.join(","));
        let is_one_object =
            range == TimeRange::default() && self.storage_of(session).await == Some(ReplayStorage::Archived);
        let stored = events.stored();
        assert_eq!(stored.is_some(), is_one_object);
        if let Some(stored) = stored {
            assert_eq!(unpacked(stored).await, array, "as it is stored it is the same");
        }
        let events: Vec<serde_json::Value> = serde_json::from_str(&array).unwrap();
        events.iter().map(|event| event["data"].as_str().unwrap()).collect()
    }

    pub async fn pass(&self) -> PassReport {
        self.archiver().pass(&CancellationToken::new()).await.unwrap()
    }

    pub async fn storage(&self) -> Option<ReplayStorage> {
        self.storage_of(&session()).await
    }

    async fn storage_of(&self, session: &ReplaySession) -> Option<ReplayStorage> {
        self.replays().manifest(session).await.unwrap().map(|manifest| manifest.storage())
    }

    pub async fn hot_chunks(&self) -> usize {
        self.hot.headers(&session()).await.unwrap().len()
    }

    pub async fn paths(&self) -> Vec<String> {
        let entries = self.objects.list("", None, 100).await.unwrap();
        entries.into_iter().map(|entry| entry.path).collect()
    }

    async fn object(&self) -> String {
        let entries = self.catalogue.get(&[session()]).await.unwrap();
        entries[0].clone().unwrap().archived.unwrap().object
    }
}

/// The text of a recording that was read as it is stored.
async fn unpacked(mut stored: StoredReplay) -> String {
    let (bytes, mut data) = (stored.bytes(), Vec::new());
    while let Some(part) = stored.next().await.unwrap() {
        data.extend_from_slice(&part);
    }
    assert_eq!(data.len() as u64, bytes);
    let mut text = String::new();
    GzDecoder::new(&data[..]).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn session() -> ReplaySession {
    replay_session("p", "s")
}

/// Three chunks that overlap, of which the middle one never came.
pub(crate) fn chunks() -> Vec<ReplayChunk> {
    vec![
        chunk(0, &[("a", 0), ("c", 20), ("b", 10)]),
        chunk(1, &[("d", 20), ("f", 40), ("e", 30)]),
        chunk(3, &[("g", 40), ("h", 50)]),
    ]
}

#[tokio::test]
async fn an_old_session_moves_to_the_archive_and_reads_the_same() {
    let bench = Bench::with(&chunks()).await;
    bench.clock.advance(30 * DAY_MS);
    assert_eq!(bench.pass().await, PassReport::default(), "it is not old yet");
    bench.clock.advance(1);
    assert_eq!(bench.pass().await, PassReport { archived: 1, ..PassReport::default() });
    assert_eq!(bench.paths().await, ["p/2026/11/s.gz", "p/2026/11/s.manifest.json"]);
    // Those who read it in the hot store have time to finish.
    assert_eq!((bench.hot_chunks().await, bench.told().await.as_str()), (3, "abcdefgh"));
    assert_eq!(bench.pass().await, PassReport::default());
    bench.clock.advance(10 * MINUTE_MS);
    assert_eq!(bench.pass().await, PassReport { cleaned: 1, ..PassReport::default() });
    assert_eq!((bench.hot_chunks().await, bench.told().await.as_str()), (0, "abcdefgh"));
    assert_eq!(bench.pass().await, PassReport::default());

    let manifest = bench.replays().manifest(&session()).await.unwrap().unwrap();
    assert_eq!((manifest.storage(), manifest.missing()), (ReplayStorage::Archived, vec![2]));
    let range = TimeRange { from: NOON.plus_millis(20), to: NOON.plus_millis(40) };
    assert_eq!(bench.told_in(range).await, "cdefg");
    // What comes once more is known.
    let ids: Vec<ChunkId> = chunks().iter().map(ChunkId::of).collect();
    let contents: Vec<Option<ContentHash>> = chunks().iter().map(|chunk| Some(chunk.content)).collect();
    assert_eq!(bench.replays().contents(&ids).await.unwrap(), contents);
}

#[tokio::test]
async fn a_late_chunk_is_read_at_once_and_joins_the_archived_ones() {
    let bench = Bench::with(&chunks()).await;
    bench.archiver().archive(&session()).await.unwrap();
    bench.clock.advance(10 * MINUTE_MS);
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Cleaned);
    put_chunks(&*bench.hot, &[chunk(2, &[("x", 35), ("y", 40)])]).await.unwrap();
    assert_eq!(bench.storage().await, Some(ReplayStorage::Both));
    // `y` has the time of `f` and `g`, and stands between them: its chunk does.
    assert_eq!(bench.told().await, "abcdexfygh");
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Stored);
    assert_eq!(bench.told().await, "abcdexfygh");
    assert_eq!(bench.paths().await.len(), 4, "two versions");
    bench.clock.advance(10 * MINUTE_MS);
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Cleaned);
    assert_eq!(bench.paths().await, ["p/2026/11/s~4.gz", "p/2026/11/s~4.manifest.json"]);
    assert_eq!((bench.told().await.as_str(), bench.hot_chunks().await), ("abcdexfygh", 0));
    assert_eq!(bench.storage().await, Some(ReplayStorage::Archived));
    assert!(bench.replays().manifest(&session()).await.unwrap().unwrap().missing().is_empty());
}

#[tokio::test]
async fn a_process_that_dies_anywhere_loses_and_doubles_nothing() {
    let mut deaths = 0;
    for is_done in [false, true] {
        for steps in 0.. {
            let bench = Bench::with(&chunks()).await;
            let steps = Steps::new(steps, is_done);
            let dying = bench.dying(&steps);
            // Archived, cleaned, a late chunk, archived again, cleaned again: it dies somewhere on the way.
            for round in 0..2 {
                let expected = if round == 0 { "abcdefgh" } else { "abcdexfgh" };
                if round == 1 {
                    put_chunks(&*bench.hot, &[chunk(2, &[("x", 35)])]).await.unwrap();
                }
                for _ in 0..2 {
                    dying.archive(&session()).await.ok();
                    assert_eq!(bench.told().await, expected);
                    bench.clock.advance(10 * MINUTE_MS);
                }
            }
            // Another one takes over once the lease has ended, until there is nothing left to do.
            bench.clock.advance(5 * MINUTE_MS);
            let next = bench.archiver();
            while next.archive(&session()).await.unwrap() != Archived::Nothing {
                assert_eq!(bench.told().await, "abcdexfgh");
                bench.clock.advance(10 * MINUTE_MS);
            }
            assert_eq!((bench.told().await.as_str(), bench.hot_chunks().await), ("abcdexfgh", 0));
            let object = bench.object().await;
            let manifest = object.replace(".gz", ".manifest.json");
            let mut left = bench.paths().await;
            left.retain(|path| *path != object && *path != manifest);
            assert!(left.is_empty(), "{left:?} are in nobody's way, and in nobody's catalogue");
            if steps.sufficed() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 50, "{deaths}");
}

#[tokio::test]
async fn a_damaged_object_is_noticed_before_anything_is_deleted() {
    let bench = Bench::with(&chunks()).await;
    bench.archiver().archive(&session()).await.unwrap();
    let object = bench.object().await;
    let data = bench.objects.get(&object, None).await.unwrap().unwrap();
    let mut damaged = read_object(data).await.unwrap().to_vec();
    damaged[20] ^= 1;
    bench.objects.put(&object, whole_object(damaged.clone())).await.unwrap();
    bench.clock.advance(10 * MINUTE_MS);
    // All of it is in the hot store still, and is archived once more.
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Stored);
    assert_eq!((bench.hot_chunks().await, bench.told().await.as_str()), (3, "abcdefgh"));
    bench.clock.advance(10 * MINUTE_MS);
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Cleaned);
    assert_eq!(bench.told().await, "abcdefgh");
    // Once it is not, nothing more is deleted, and nothing is joined with it.
    let object = bench.object().await;
    bench.objects.put(&object, whole_object(damaged.clone())).await.unwrap();
    put_chunks(&*bench.hot, &[chunk(0, &[("a", 0), ("c", 20), ("b", 10)])]).await.unwrap();
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Quarantined);
    put_chunks(&*bench.hot, &[chunk(7, &[("late", 90)])]).await.unwrap();
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Quarantined);
    assert_eq!((bench.hot_chunks().await, bench.object().await), (2, object));
}

#[tokio::test]
async fn a_chunk_with_other_content_than_the_archived_one_is_not_deleted() {
    let bench = Bench::with(&chunks()).await;
    bench.archiver().archive(&session()).await.unwrap();
    bench.clock.advance(10 * MINUTE_MS);
    bench.archiver().archive(&session()).await.unwrap();
    put_chunks(&*bench.hot, &[chunk(1, &[("other", 20)])]).await.unwrap();
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Quarantined);
    assert_eq!(bench.hot_chunks().await, 1);
    assert_eq!(bench.told().await, "abcdefgh");
}

#[tokio::test]
async fn a_purge_takes_what_a_process_that_died_has_left() {
    for steps in 0..20 {
        let bench = Bench::with(&chunks()).await;
        let steps = Steps::new(steps, true);
        bench.dying(&steps).archive(&session()).await.ok();
        bench.clock.advance(5 * MINUTE_MS);
        bench.archiver().purge(&session()).await.unwrap();
        assert_eq!((bench.paths().await, bench.storage().await), (Vec::new(), None));
    }
}

#[tokio::test]
async fn a_purge_that_was_cut_leaves_a_replay_that_is_read_and_archived() {
    for steps in 0..20 {
        let bench = Bench::with(&chunks()).await;
        bench.archiver().archive(&session()).await.unwrap();
        bench.clock.advance(10 * MINUTE_MS);
        bench.archiver().archive(&session()).await.unwrap();
        bench.dying(&Steps::new(steps, true)).purge(&session()).await.ok();
        put_chunks(&*bench.hot, &[chunk(7, &[("x", 1_000)])]).await.unwrap();
        bench.clock.advance(5 * MINUTE_MS);
        let told = bench.told().await;
        assert!(["abcdefghx", "x"].contains(&&*told), "{told} after {steps} steps");
        assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Stored);
        assert_eq!(bench.told().await, told);
        bench.archiver().purge(&session()).await.unwrap();
        assert_eq!((bench.paths().await, bench.storage().await), (Vec::new(), None));
    }
}

#[tokio::test]
async fn a_damaged_chunk_stays_with_its_session_and_its_bytes() {
    let mut chunks = chunks();
    chunks[1].data = b"no gzip".to_vec();
    let bench = Bench::with(&chunks).await;
    bench.clock.advance(31 * DAY_MS);
    assert_eq!(bench.pass().await, PassReport { quarantined: 1, ..PassReport::default() });
    bench.clock.advance(DAY_MS);
    bench.pass().await;
    assert_eq!((bench.hot_chunks().await, bench.paths().await.len()), (3, 0));
    assert_eq!(bench.hot.data(&[ChunkId::of(&chunks[1])]).await.unwrap()[0].as_deref().unwrap(), b"no gzip");
    let query = CatalogueQuery { limit: 10, ..CatalogueQuery::default() };
    let entries = bench.catalogue.list(&query).await.unwrap();
    assert!(entries[0].quarantine.as_ref().unwrap().reason.contains("chunk 1"), "{entries:?}");

    // Who asks for it again gets the same answer, until somebody has mended it.
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Quarantined);
    bench.hot.delete(&[ChunkId::of(&chunks[1])]).await.unwrap();
    put_chunks(&*bench.hot, &self::chunks()[1..2]).await.unwrap();
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Stored);
    assert_eq!(bench.told().await, "abcdefgh");
    assert_eq!(bench.catalogue.list(&query).await.unwrap()[0].quarantine, None);
}

#[tokio::test]
async fn of_many_archivers_one_does_it() {
    let bench = Bench::with(&chunks()).await;
    let archivers: Vec<Archiver> = (0..8).map(|_| bench.archiver()).collect();
    let session = session();
    let done = archivers.iter().map(|archiver| archiver.archive(&session));
    let done: Vec<Archived> = futures::future::join_all(done).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| **done == Archived::Stored).count(), 1, "{done:?}");
    assert_eq!(bench.told().await, "abcdefgh");
}

#[tokio::test]
async fn what_is_too_old_is_deleted_with_its_entry() {
    let bench = Bench::with(&chunks()).await;
    bench.archiver().archive(&session()).await.unwrap();
    bench.clock.advance(10 * MINUTE_MS);
    bench.archiver().archive(&session()).await.unwrap();
    bench.clock.advance(90 * DAY_MS - 10 * MINUTE_MS);
    assert_eq!(bench.pass().await, PassReport::default());
    bench.clock.advance(1);
    assert_eq!(bench.pass().await, PassReport { expired: 1, ..PassReport::default() });
    assert_eq!((bench.paths().await, bench.storage().await), (Vec::new(), None));
    assert_eq!(bench.catalogue.get(&[session()]).await.unwrap(), [None]);
}

#[tokio::test]
async fn purging_takes_everything_and_says_what_it_was() {
    let bench = Bench::with(&chunks()).await;
    let other = ReplayChunk { session_id: replay_session("p", "t").session_id, ..chunk(0, &[("z", 0)]) };
    put_chunks(&*bench.hot, std::slice::from_ref(&other)).await.unwrap();
    bench.archiver().archive(&session()).await.unwrap();
    put_chunks(&*bench.hot, &[chunk(2, &[("x", 35)])]).await.unwrap();
    let all = Purged { hot_chunks: 4, archived_chunks: 3, objects: 1 };
    assert_eq!(bench.archiver().purgeable(&session()).await.unwrap(), all);
    assert_eq!(bench.told().await, "abcdexfgh", "nothing is gone yet");
    assert_eq!(bench.archiver().purge(&session()).await.unwrap(), all);
    assert_eq!((bench.paths().await, bench.storage().await, bench.hot_chunks().await), (Vec::new(), None, 0));
    assert!(bench.hot.data(&[ChunkId::of(&other)]).await.unwrap()[0].is_some());
    assert_eq!(bench.archiver().purge(&session()).await.unwrap(), Purged::default());
}

#[tokio::test]
async fn half_an_object_is_never_taken_for_whole() {
    let bench = Bench::with(&chunks()).await;
    // An upload that was broken off long ago, and left something behind.
    let half = Bytes::from_static(b"half");
    bench.objects.put("p/2026/11/s.gz", whole_object(half.clone())).await.unwrap();
    assert_eq!(bench.told().await, "abcdefgh");
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Stored);
    bench.clock.advance(10 * MINUTE_MS);
    assert_eq!(bench.archiver().archive(&session()).await.unwrap(), Archived::Cleaned);
    assert_eq!(bench.told().await, "abcdefgh");
}

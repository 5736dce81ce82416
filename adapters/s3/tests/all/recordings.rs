//! Recordings in a hot store that are old enough to move to a bucket, and what must hold of them at any moment.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use gosight_application::Telemetry;
use gosight_application::ports::{CatalogueEntry, ReplayArchive, ReplayCatalogue, ReplayStore};
use gosight_application::replay::{
    ArchivePolicy, Archiver, ColdReplays, PassReport, Replays, TimeRange, Verified,
};
use gosight_conformance::factory::{self, NOON, replay_session};
use gosight_domain::replay::{ContentHash, ReplayChunk, ReplaySession};
use gosight_domain::time::{DAY_MS, HOUR_MS};
use gosight_memory::{ManualClock, MemoryReplayCatalogue, MemoryStore};
use gosight_s3::S3ReplayArchive;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::place::{Place, raw_bucket};
use crate::{in_time, read};

/// Events of a chunk; the times of neighbouring chunks overlap.
const EVENTS: u16 = 30;

/// Old recordings, and an empty place for them in a bucket.
pub struct Recordings {
    sessions: Vec<ReplaySession>,
    pub clock: Arc<ManualClock>,
    pub hot: Arc<MemoryStore>,
    pub catalogue: Arc<MemoryReplayCatalogue>,
    /// Straight to the store.
    pub objects: Arc<S3ReplayArchive>,
    pub place: Place,
    telemetry: Telemetry,
    numbers: PrometheusHandle,
    /// How many chunks came of each.
    chunks: u16,
}

/// The events of a chunk, each with its time, which no other has. They do not compress well: an object of three has about 30 KB.
fn events(session: usize, chunk: u16) -> Vec<(i64, String)> {
    let event = |place: u16| {
        let at = i64::from(chunk) * 1_007 + i64::from(place) * 50;
        let mut noise = String::new();
        for part in 0..10 {
            let seed = format!("{session} {chunk} {place} {part}");
            write!(noise, "{}", ContentHash::of(seed.as_bytes())).unwrap();
        }
        let timestamp = NOON.plus_millis(at);
        let text = format!(r#"{{"type":3,"data":"{chunk}/{place} {noise}","timestamp":{timestamp}}}"#);
        (at, text)
    };
    (0..EVENTS).map(event).collect()
}

fn chunk(session: usize, chunk_index: u16) -> ReplayChunk {
    let events = events(session, chunk_index);
    let texts: Vec<&str> = events.iter().map(|(_, text)| text.as_str()).collect();
    let text = format!("[{}]", texts.join(","));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let data = gzip.finish().unwrap();
    ReplayChunk {
        timestamp_start: NOON.plus_millis(events[0].0),
        timestamp_end: NOON.plus_millis(events[events.len() - 1].0),
        event_count: u32::from(EVENTS),
        raw_bytes: u32::try_from(text.len()).unwrap(),
        content: ContentHash::of(text.as_bytes()),
        stored_bytes: u32::try_from(data.len()).unwrap(),
        data,
        ..factory::chunk(&format!("s{session}"), chunk_index, "")
    }
}

/// The events of these chunks in order.
fn in_order(session: usize, chunks: impl IntoIterator<Item = u16>) -> Vec<String> {
    let mut events: Vec<(i64, String)> =
        chunks.into_iter().flat_map(|index| events(session, index)).collect();
    events.sort_unstable();
    events.into_iter().map(|(_, text)| text).collect()
}

impl Recordings {
    /// `count` recordings of two chunks each, a day past the time at which they are to be archived.
    pub async fn new(count: usize) -> Self {
        let place = Place::new();
        let recorder = PrometheusBuilder::new().build_recorder();
        let numbers = recorder.handle();
        let mut recordings = Self {
            sessions: (0..count).map(|n| replay_session("p", &format!("s{n}"))).collect(),
            clock: Arc::new(ManualClock::new(NOON.plus_millis(31 * DAY_MS))),
            hot: Arc::default(),
            catalogue: Arc::default(),
            objects: Arc::new(place.archive().await),
            place,
            telemetry: Telemetry::new(Arc::new(recorder)),
            numbers,
            chunks: 0,
        };
        recordings.receive().await;
        recordings.receive().await;
        recordings
    }

    /// One more chunk of each comes.
    pub async fn receive(&mut self) {
        for session in 0..self.sessions.len() {
            factory::put_chunks(&*self.hot, &[chunk(session, self.chunks)]).await.unwrap();
        }
        self.chunks += 1;
    }

    /// Whether nothing is left in the hot store.
    pub async fn hot_is_empty(&self) -> bool {
        let mut chunks = Vec::new();
        for session in &self.sessions {
            chunks.extend(self.hot.headers(session).await.unwrap());
        }
        chunks.is_empty()
    }

    /// An archiver, and those who read, whose way to the store is `objects`.
    pub fn by_way_of(&self, objects: Arc<dyn ReplayArchive>) -> Worker {
        let cold = ColdReplays { catalogue: self.catalogue.clone(), objects };
        let (clock, telemetry) = (self.clock.clone(), self.telemetry.clone());
        let policy = ArchivePolicy::default();
        let archiver = Archiver::new(self.hot.clone(), cold.clone(), clock, policy, telemetry);
        Worker { archiver, replays: Replays::new(self.hot.clone(), Some(cold)) }
    }

    /// One whose way is straight.
    pub fn straight(&self) -> Worker {
        self.by_way_of(self.objects.clone())
    }

    /// How many sessions had this outcome.
    pub fn counted(&self, outcome: &str) -> u64 {
        let start = format!("replays_archived_total{{outcome=\"{outcome}\"}} ");
        let shown = self.numbers.render();
        shown.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
    }

    pub async fn entries(&self) -> Vec<CatalogueEntry> {
        let entries = self.catalogue.get(&self.sessions).await.unwrap();
        entries.into_iter().flatten().collect()
    }

    /// Somebody else writes over the object of the first recording, and leaves what the store says of it.
    pub async fn change_object(&self) {
        let archived = self.entries().await.remove(0).archived.unwrap();
        let mut object = read(&*self.objects, &archived.object, None).await.unwrap().unwrap().to_vec();
        object[100] ^= 1;
        let bucket = raw_bucket(&self.place.config());
        let changed = bucket
            .put_object_builder(self.place.key(&archived.object), &object)
            .with_metadata("sha256", archived.sha256.to_string());
        changed.unwrap().execute().await.unwrap();
    }

    /// All paths in the bucket.
    pub async fn paths(&self) -> Vec<String> {
        let entries = self.objects.list("", None, 1_000).await.unwrap();
        entries.into_iter().map(|entry| entry.path).collect()
    }

    /// Every event that was sent is read once, in order, by `worker`.
    pub async fn assert_readable(&self, worker: &Worker) {
        for (n, session) in self.sessions.iter().enumerate() {
            let (told, sent) = (worker.told(session).await, in_order(n, 0..self.chunks));
            assert!(told == sent, "{} events of {}", told.len(), sent.len());
        }
    }

    /// What the catalogue calls archived is in the bucket, whole, and is what was sent; and what is not in it is hot.
    pub async fn assert_safe(&self) {
        for entry in self.entries().await {
            let Some(archived) = entry.archived else { continue };
            let object = read(&*self.objects, &archived.object, None).await.unwrap().expect("an object");
            archived.sha256.check(&object).unwrap();
            let session = self.sessions.iter().position(|session| *session == entry.session).unwrap();
            let sent = in_order(session, archived.chunks.iter().map(|chunk| chunk.chunk_index));
            assert!(events_of(&object) == sent, "{} is not what was sent", archived.object);
        }
        self.assert_readable(&self.straight()).await;
    }

    /// Passes until there is nothing left to do, an hour between them; then all is in the bucket, and nothing else is.
    pub async fn settle(&self) {
        loop {
            self.clock.advance(HOUR_MS);
            if self.straight().pass().await == PassReport::default() {
                break;
            }
            self.assert_safe().await;
        }
        assert!(self.hot_is_empty().await);
        let entries = self.entries().await;
        let objects = entries.iter().filter_map(|entry| Some(entry.archived.as_ref()?.object.as_str()));
        let mut wanted: Vec<String> =
            objects.flat_map(|path| [path.to_owned(), path.replace(".gz", ".manifest.json")]).collect();
        wanted.sort_unstable();
        assert_eq!(wanted.len(), 2 * self.sessions.len());
        assert_eq!(self.paths().await, wanted);
        self.assert_safe().await;
    }
}

/// The events of an object, as any program reads it.
fn events_of(object: &[u8]) -> Vec<String> {
    let mut text = String::new();
    MultiGzDecoder::new(object).read_to_string(&mut text).unwrap();
    let events: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap();
    events.iter().map(|event| event.get().to_owned()).collect()
}

/// A process that archives, and reads.
pub struct Worker {
    archiver: Archiver,
    replays: Replays,
}

impl Worker {
    /// Compares the object of the first recording.
    pub async fn verify(&self) -> Verified {
        in_time(self.archiver.verify(&replay_session("p", "s0"))).await.unwrap()
    }

    pub async fn pass(&self) -> PassReport {
        in_time(self.archiver.pass(&CancellationToken::new())).await.unwrap()
    }

    async fn told(&self, session: &ReplaySession) -> Vec<String> {
        let mut told = Vec::new();
        if let Some(mut events) = in_time(self.replays.events(session, TimeRange::default())).await.unwrap() {
            while let Some(event) = in_time(events.next()).await.unwrap() {
                told.push(event.as_str().to_owned());
            }
        }
        told
    }
}

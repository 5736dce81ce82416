//! Replays that move to a store which is unavailable, slow or busy, or whose connections are cut: the archive catches up, and
//! no half object is ever taken for whole.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gosight_application::ports::{ObjectEntry, ObjectStat, ObjectStream, PortError, ReplayArchive};
use gosight_application::replay::{PassReport, Verified};
use gosight_domain::time::DAY_MS;
use gosight_s3::{S3Config, S3ReplayArchive, S3RetryConfig};
use gosight_services::Service;

use crate::proxy::{Act, Proxy};
use crate::recordings::Recordings;

/// How often the archive is worked at, and how long archived chunks stay in the hot store.
const INTERVAL_MS: i64 = 5 * 60_000;
const GRACE_MS: i64 = 10 * 60_000;

/// An archive in the place of `recordings`, by way of this address, without any connection yet.
fn by_way_of(recordings: &Recordings, endpoint: String, attempts: u32, timeout: Duration) -> S3ReplayArchive {
    let config = recordings.place.config();
    let retry = S3RetryConfig { attempts, ..config.retry.clone() };
    S3ReplayArchive::open(&S3Config { endpoint, request_timeout: timeout, retry, ..config }).unwrap()
}

/// A network whose way to the store can be closed, held up and slowed down.
struct Network {
    proxy: gosight_services::Proxy,
    objects: Arc<S3ReplayArchive>,
}

impl Network {
    fn of(recordings: &Recordings, timeout: Duration) -> Self {
        let proxy = gosight_services::Proxy::to(Service::S3.address());
        let endpoint = Service::S3.url(proxy.address());
        let objects = Arc::new(by_way_of(recordings, endpoint, 2, timeout));
        Self { proxy, objects }
    }
}

const fn failed(failed: u64) -> PassReport {
    PassReport { archived: 0, cleaned: 0, quarantined: 0, failed, expired: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_an_hour_is_caught_up_with_in_one_pass() {
    let recordings = Recordings::new(5).await;
    let network = Network::of(&recordings, Duration::from_secs(20));
    let worker = recordings.by_way_of(network.objects.clone());
    network.proxy.refuse(true);
    for pass in 1..=12 {
        assert_eq!(worker.pass().await, failed(5));
        assert_eq!(recordings.counted("failed"), 5 * pass);
        recordings.assert_readable(&worker).await;
        recordings.clock.advance(INTERVAL_MS);
    }
    assert!(recordings.paths().await.is_empty());
    // However long it lasts, an outage is no work for later.
    for entry in recordings.entries().await {
        assert_eq!((entry.archived, entry.stale_objects.len()), (None, 1));
    }

    network.proxy.refuse(false);
    assert_eq!(worker.pass().await, PassReport { archived: 5, ..PassReport::default() });
    assert_eq!(recordings.counted("archived"), 5);
    assert!(!recordings.hot_is_empty().await);
    recordings.assert_safe().await;
    recordings.clock.advance(GRACE_MS);
    assert_eq!(worker.pass().await, PassReport { cleaned: 5, ..PassReport::default() });
    assert!(recordings.hot_is_empty().await);
    recordings.assert_readable(&worker).await;
    recordings.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_takes_longer_and_one_that_stands_still_is_given_up() {
    let recordings = Recordings::new(3).await;
    let network = Network::of(&recordings, Duration::from_millis(500));
    let worker = recordings.by_way_of(network.objects.clone());
    network.proxy.pause(true);
    assert_eq!(worker.pass().await, failed(3));
    recordings.assert_safe().await;
    network.proxy.pause(false);
    network.proxy.cut();

    // Each piece of at most 64 KiB takes as long, which is a few in each direction.
    let patient = Network::of(&recordings, Duration::from_secs(20));
    let worker = recordings.by_way_of(patient.objects.clone());
    patient.proxy.latency(Duration::from_millis(50));
    assert_eq!(worker.pass().await, PassReport { archived: 3, ..PassReport::default() });
    recordings.assert_readable(&worker).await;
    recordings.clock.advance(GRACE_MS);
    assert_eq!(worker.pass().await, PassReport { cleaned: 3, ..PassReport::default() });
    recordings.assert_readable(&worker).await;
    recordings.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_although_its_answer_was_lost_is_stored_anew_and_deleted() {
    let recordings = Recordings::new(1).await;
    let network = Network::of(&recordings, Duration::from_secs(20));
    let worker = recordings.by_way_of(network.objects.clone());
    network.proxy.cut_answers(true);
    assert_eq!(worker.pass().await, failed(1));
    assert!(network.proxy.answers_cut() > 0);
    // It is there, whole, and nobody knows.
    assert_eq!(recordings.paths().await, ["p/2026/11/s0.gz"]);
    assert_eq!(recordings.entries().await[0].archived, None);
    recordings.assert_safe().await;
    assert_eq!(worker.pass().await, failed(1));
    network.proxy.cut_answers(false);
    assert_eq!(worker.pass().await, PassReport { archived: 1, ..PassReport::default() });
    assert_eq!(recordings.paths().await.len(), 2, "what had failed went first");
    recordings.settle().await;
    assert_eq!(recordings.paths().await, ["p/2026/11/s0~2.gz", "p/2026/11/s0~2.manifest.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_changed_is_called_damaged_and_archived_anew_from_the_hot_store() {
    let recordings = Recordings::new(1).await;
    let worker = recordings.straight();
    assert_eq!(worker.pass().await, PassReport { archived: 1, ..PassReport::default() });
    recordings.change_object().await;
    let verified = worker.verify().await;
    assert!(
        matches!(&verified, Verified::Damaged { reason, .. } if reason.contains("SHA-256")),
        "{verified:?}"
    );
    recordings.clock.advance(GRACE_MS);
    assert_eq!(worker.pass().await, PassReport { archived: 1, ..PassReport::default() });
    assert!(matches!(worker.verify().await, Verified::Whole { .. }));
    recordings.settle().await;
}

/// Goes straight to the store, but for one call, which meets what the proxy was set to.
#[derive(Debug)]
struct Detour {
    straight: Arc<S3ReplayArchive>,
    behind: S3ReplayArchive,
    at: usize,
    calls: AtomicUsize,
}

impl Detour {
    fn way(&self) -> &S3ReplayArchive {
        if self.calls.fetch_add(1, Ordering::SeqCst) == self.at { &self.behind } else { &self.straight }
    }
}

#[async_trait]
impl ReplayArchive for Detour {
    async fn put(&self, path: &str, object: ObjectStream) -> Result<(), PortError> {
        self.way().put(path, object).await
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Option<ObjectStream>, PortError> {
        self.way().get(path, range).await
    }

    async fn stat(&self, path: &str) -> Result<Option<ObjectStat>, PortError> {
        self.way().stat(path).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectEntry>, PortError> {
        self.way().list(prefix, after, limit).await
    }

    async fn delete(&self, path: &str) -> Result<(), PortError> {
        self.way().delete(path).await
    }
}

/// Archives a recording, with a chunk that comes late, until it expires, while the call number `at` of the archive meets
/// `acts`. Gives how often something failed; `None` when there are not so many calls.
async fn archive_through(at: usize, acts: &[Act], attempts: u32) -> Option<u64> {
    let proxy = Proxy::start().await;
    let mut recordings = Recordings::new(1).await;
    let endpoint = Service::S3.url(proxy.address);
    let timeout = Duration::from_millis(if acts.contains(&Act::Silence) { 300 } else { 20_000 });
    let detour = Arc::new(Detour {
        straight: recordings.objects.clone(),
        behind: by_way_of(&recordings, endpoint, attempts, timeout),
        at,
        calls: AtomicUsize::new(0),
    });
    proxy.will(acts);
    let worker = recordings.by_way_of(detour.clone());
    for round in 0..2 {
        for _ in 0..2 {
            worker.pass().await;
            recordings.assert_safe().await;
            recordings.clock.advance(GRACE_MS);
        }
        if round == 0 {
            recordings.receive().await;
        }
    }
    recordings.settle().await;
    recordings.clock.advance(91 * DAY_MS);
    worker.pass().await;
    recordings.straight().pass().await;
    assert_eq!((recordings.entries().await, recordings.paths().await), (Vec::new(), Vec::new()));
    (proxy.left() == 0).then(|| recordings.counted("failed"))
}

/// The same for each of its calls. Gives of how many calls how many failed.
async fn archive_through_each(acts: &[Act], attempts: u32) -> (u64, u64) {
    let (mut calls, mut failures) = (0, 0);
    while let Some(failed) = archive_through(calls, acts, attempts).await {
        assert!(failed <= 1, "{acts:?} at call {calls} failed {failed} times");
        calls += 1;
        failures += failed;
    }
    (calls as u64, failures)
}

/// Two objects are put and deleted, each with its manifest, and they are read 6 times.
const CALLS: u64 = 14;

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_is_asked_again_whatever_it_was_asked() {
    let busy = [Act::Answer(503, "SlowDown"), Act::Answer(500, "InternalError")];
    assert_eq!(archive_through_each(&busy, 3).await, (CALLS, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_is_caught_up_with_whatever_it_refused() {
    assert_eq!(archive_through_each(&[Act::Answer(500, "InternalError")], 1).await, (CALLS, CALLS));
    assert_eq!(archive_through_each(&[Act::Answer(503, "SlowDown")], 1).await, (CALLS, CALLS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_cut_anywhere_leaves_nothing_that_counts() {
    for cut in [0, 100] {
        assert_eq!(archive_through_each(&[Act::CutRequest(cut)], 1).await, (CALLS, CALLS));
    }
    // Only objects are so long.
    assert_eq!(archive_through_each(&[Act::CutRequest(10_000)], 1).await, (CALLS, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_anywhere_leaves_nothing_that_counts() {
    for cut in [0, 10] {
        assert_eq!(archive_through_each(&[Act::CutAnswer(cut)], 1).await, (CALLS, CALLS));
    }
    // Each object is read after it was put and before the hot chunks are deleted, and one is compared and read when a late
    // chunk joins it.
    assert_eq!(archive_through_each(&[Act::CutAnswer(10_000)], 1).await, (CALLS, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_says_nothing_is_caught_up_with() {
    assert_eq!(archive_through_each(&[Act::Silence], 1).await, (CALLS, CALLS));
}

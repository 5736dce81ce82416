//! A process that dies in the middle of a pass over many sessions, of a purge, or while something expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use gosight_application::Telemetry;
use gosight_application::ports::{CatalogueQuery, Clock, ReplayCatalogue, ReplayStore};
use gosight_application::replay::{ArchivePolicy, Archiver, PassReport, TimeRange};
use gosight_conformance::factory::{put_chunks, replay_session, session_id};
use gosight_domain::Timestamp;
use gosight_domain::replay::{ReplayChunk, ReplaySession};
use gosight_domain::time::{DAY_MS, HOUR_MS};
use gosight_memory::{ManualClock, MemoryStore};
use tokio_util::sync::CancellationToken;

use crate::archiver::{Bench, MINUTE_MS, chunks, session};
use crate::brittle::Steps;
use crate::query_replay::chunk;

/// Sessions of three chunks each.
const SESSIONS: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];

fn sessions() -> impl Iterator<Item = ReplaySession> {
    SESSIONS.into_iter().map(|name| replay_session("p", name))
}

fn chunks_of(session: &str) -> Vec<ReplayChunk> {
    let chunk = |chunk| ReplayChunk { session_id: session_id(session), ..chunk };
    chunks().into_iter().map(chunk).collect()
}

/// A bench with all sessions, old enough to be archived.
async fn old_sessions() -> Bench {
    let bench = Bench::with(&SESSIONS.map(chunks_of).concat()).await;
    bench.clock.advance(31 * DAY_MS);
    bench
}

impl Bench {
    async fn assert_all_told(&self) {
        for session in sessions() {
            assert_eq!(self.told_of(&session, TimeRange::default()).await, "abcdefgh", "{session:?}");
        }
    }

    async fn all_hot_chunks(&self) -> usize {
        let mut chunks = 0;
        for session in sessions() {
            chunks += self.hot.headers(&session).await.unwrap().len();
        }
        chunks
    }
}

#[tokio::test]
async fn what_is_archived_is_deleted_of_all_sessions_at_once() {
    let bench = old_sessions().await;
    assert_eq!(bench.pass().await, PassReport { archived: 5, ..PassReport::default() });
    bench.clock.advance(10 * MINUTE_MS);
    let steps = Steps::new(1_000, false);
    let cleaned = bench.dying(&steps).pass(&CancellationToken::new()).await.unwrap();
    assert_eq!(cleaned, PassReport { cleaned: 5, ..PassReport::default() });
    bench.assert_all_told().await;
    assert_eq!(bench.all_hot_chunks().await, 0);
    // Of each: lease, entry, headers, object, entry, lease. Once: a page of sessions, marks, chunks, the next pages.
    assert_eq!(steps.taken(1_000), 5 * 6 + 5);
}

#[tokio::test]
async fn a_pass_over_many_sessions_that_dies_anywhere_loses_and_doubles_nothing() {
    let mut deaths = 0;
    for is_done in [false, true] {
        for steps in 0.. {
            let bench = old_sessions().await;
            let steps = Steps::new(steps, is_done);
            let dying = bench.dying(&steps);
            for _ in 0..2 {
                dying.pass(&CancellationToken::new()).await.ok();
                bench.assert_all_told().await;
                bench.clock.advance(10 * MINUTE_MS);
            }
            bench.clock.advance(5 * MINUTE_MS);
            while bench.pass().await != PassReport::default() {
                bench.assert_all_told().await;
                bench.clock.advance(HOUR_MS);
            }
            bench.assert_all_told().await;
            assert_eq!((bench.all_hot_chunks().await, bench.paths().await.len()), (0, 10));
            if steps.sufficed() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 100, "{deaths}");
}

/// A clock that goes on by ten minutes whenever somebody looks at it.
#[derive(Debug)]
struct Rushing(Arc<ManualClock>);

impl Clock for Rushing {
    fn now(&self) -> Timestamp {
        self.0.advance(10 * MINUTE_MS);
        self.0.now()
    }
}

/// An archiver for which every lease has ended by the time it looks again.
fn late(bench: &Bench) -> Archiver {
    let policy = ArchivePolicy { lease: Duration::from_mins(5), ..ArchivePolicy::default() };
    let clock = Arc::new(Rushing(bench.clock.clone()));
    Archiver::new(bench.hot.clone(), bench.cold(), clock, policy, Telemetry::default())
}

#[tokio::test]
async fn nothing_is_noted_or_uploaded_once_the_lease_has_ended() {
    let bench = old_sessions().await;
    let report = late(&bench).pass(&CancellationToken::new()).await.unwrap();
    assert_eq!(report, PassReport { failed: 5, ..PassReport::default() });
    let entries = bench.catalogue.list(&CatalogueQuery { limit: 10, ..CatalogueQuery::default() }).await;
    assert_eq!((entries.unwrap(), bench.paths().await), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn nothing_is_deleted_once_the_lease_has_ended() {
    let bench = old_sessions().await;
    bench.pass().await;
    bench.clock.advance(10 * MINUTE_MS);
    let late = late(&bench);
    assert_eq!(late.pass(&CancellationToken::new()).await.unwrap(), PassReport::default());
    assert_eq!(bench.all_hot_chunks().await, 15);
    assert_eq!(bench.pass().await, PassReport { cleaned: 5, ..PassReport::default() });
}

/// A clock at which, when an archiver looks for the time once more, another one purges the session, for which the lease has
/// ended; then a new chunk comes that has an old index.
#[derive(Debug)]
struct Interrupting {
    clock: Arc<ManualClock>,
    looks_left: AtomicUsize,
    purger: Archiver,
    hot: Arc<MemoryStore>,
}

impl Clock for Interrupting {
    fn now(&self) -> Timestamp {
        if self.looks_left.fetch_sub(1, Ordering::SeqCst) == 0 {
            // Nothing in memory ever waits.
            self.purger.purge(&session()).now_or_never().unwrap().unwrap();
            put_chunks(&*self.hot, &[chunk(0, &[("new", 0)])]).now_or_never().unwrap().unwrap();
        }
        self.clock.now()
    }
}

#[tokio::test]
async fn a_chunk_that_came_after_a_purge_is_not_deleted_for_the_one_before() {
    let mut interrupted = 0;
    for looks_left in 0..6 {
        let bench = Bench::with(&chunks()).await;
        bench.archiver().archive(&session()).await.unwrap();
        bench.clock.advance(10 * MINUTE_MS);
        let ahead = Arc::new(ManualClock::new(bench.clock.now().plus_millis(HOUR_MS)));
        let policy = ArchivePolicy::default();
        let purger =
            Archiver::new(bench.hot.clone(), bench.cold(), ahead, policy.clone(), Telemetry::default());
        let (clock, hot, looks_left) = (bench.clock.clone(), bench.hot.clone(), AtomicUsize::new(looks_left));
        let clock = Arc::new(Interrupting { clock, looks_left, purger, hot });
        let late =
            Archiver::new(bench.hot.clone(), bench.cold(), clock.clone(), policy, Telemetry::default());
        late.archive(&session()).await.ok();
        if clock.looks_left.load(Ordering::SeqCst) > 6 {
            assert_eq!(bench.told().await, "new");
            interrupted += 1;
        }
    }
    assert!(interrupted >= 3, "before it begins, before it compares and before it deletes: {interrupted}");
}

/// A bench on which `s` is hot and archived and has what an attempt has left, and `t` is hot and archived too.
async fn before_a_purge() -> (Bench, Vec<String>) {
    let theirs = chunks_of("t");
    let bench = Bench::with(&theirs).await;
    let t = replay_session("p", "t");
    bench.archiver().archive(&t).await.unwrap();
    let kept = bench.paths().await;
    put_chunks(&*bench.hot, &chunks()).await.unwrap();
    bench.archiver().archive(&session()).await.unwrap();
    put_chunks(&*bench.hot, &[chunk(2, &[("x", 35)])]).await.unwrap();
    let mut steps = 0;
    while bench.paths().await.len() < 5 {
        steps += 1;
        bench.dying(&Steps::new(steps, true)).archive(&session()).await.unwrap_err();
        bench.clock.advance(5 * MINUTE_MS);
    }
    assert_eq!(bench.told().await, "abcdexfgh", "there is an object without its manifest");
    (bench, kept)
}

impl Bench {
    /// Nothing is left of `s`, and `t` is as it was.
    async fn assert_only_t(&self, kept: &[String], hot_chunks: usize) {
        let t = replay_session("p", "t");
        assert_eq!((self.storage().await, self.hot_chunks().await), (None, 0));
        assert_eq!(self.told().await, "");
        assert_eq!(self.paths().await, kept);
        let entries = self.catalogue.get(&[session(), t.clone()]).await.unwrap();
        assert!(entries[0].is_none() && entries[1].as_ref().unwrap().archived.is_some(), "{entries:?}");
        assert_eq!(self.told_of(&t, TimeRange::default()).await, "abcdefgh");
        assert_eq!(self.hot.headers(&t).await.unwrap().len(), hot_chunks);
    }
}

#[tokio::test]
async fn a_purge_that_dies_anywhere_is_repeated_and_leaves_nothing_of_it() {
    let mut deaths = 0;
    for is_done in [false, true] {
        for steps in 0.. {
            let (bench, kept) = before_a_purge().await;
            let steps = Steps::new(steps, is_done);
            let purged = bench.dying(&steps).purge(&session()).await;
            // It never says that it is done when it is not.
            if purged.is_ok() {
                bench.assert_only_t(&kept, 3).await;
            }
            bench.clock.advance(5 * MINUTE_MS);
            bench.archiver().purge(&session()).await.unwrap();
            bench.assert_only_t(&kept, 3).await;
            bench.clock.advance(31 * DAY_MS);
            assert_eq!(bench.pass().await, PassReport { cleaned: 1, ..PassReport::default() });
            bench.assert_only_t(&kept, 0).await;
            if steps.sufficed() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 20, "{deaths}");
}

#[tokio::test]
async fn what_expires_while_the_process_dies_expires_with_the_next() {
    let mut deaths = 0;
    for is_done in [false, true] {
        for steps in 0.. {
            let bench = Bench::with(&chunks()).await;
            bench.clock.advance(31 * DAY_MS);
            bench.pass().await;
            let of_s = bench.paths().await;
            bench.clock.advance(10 * MINUTE_MS);
            bench.pass().await;
            // A day younger, and not too old yet.
            bench.clock.advance(DAY_MS);
            put_chunks(&*bench.hot, &chunks_of("t")).await.unwrap();
            bench.pass().await;
            bench.clock.advance(10 * MINUTE_MS);
            bench.pass().await;
            let mut kept = bench.paths().await;
            kept.retain(|path| !of_s.contains(path));
            bench.clock.advance(89 * DAY_MS);
            let steps = Steps::new(steps, is_done);
            let report = bench.dying(&steps).pass(&CancellationToken::new()).await;
            if report.is_ok_and(|report| report.expired == 1) {
                bench.assert_only_t(&kept, 0).await;
            }
            bench.clock.advance(5 * MINUTE_MS);
            bench.pass().await;
            bench.assert_only_t(&kept, 0).await;
            if steps.sufficed() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths > 12, "{deaths}");
}

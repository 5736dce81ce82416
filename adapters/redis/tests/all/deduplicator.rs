//! What is special to marks on Redis: that they can be lost, and live for a while only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_redis::redis::cmd;
use gosight_application::ports::{
    Claim, ClaimVerdict, Clock, Deduplicator, LogPosition, PortError, SystemClock,
};
use gosight_conformance::factory::{LOG, event_id, project, session_id, shared};
use gosight_domain::time::{DAY_MS, HOUR_MS};
use gosight_redis::{Redis, RedisConfig, RedisDeduplicator};

use crate::harness::{Server, StoredFake, passing, raw, shared_config, until};

const NEW: ClaimVerdict = ClaimVerdict::Granted;
const DUPLICATE: ClaimVerdict = ClaimVerdict::Duplicate;

struct Fixture {
    config: RedisConfig,
    stored: Arc<StoredFake>,
    deduplicator: RedisDeduplicator,
}

impl Fixture {
    fn new(config: RedisConfig) -> Self {
        let stored = Arc::new(StoredFake::default());
        let deduplicator = RedisDeduplicator::new(Redis::new(&config).unwrap(), stored.clone());
        Self { config, stored, deduplicator }
    }

    async fn verdicts(&self, claims: &[Claim]) -> Vec<ClaimVerdict> {
        self.deduplicator.claim(claims).await.unwrap()
    }

    /// As after a window without losses.
    async fn complete(&self) {
        self.verdicts(&(0..16).map(|n| claim(1_000_000 + n, 9, 0)).collect::<Vec<_>>()).await;
        let window = i64::try_from(self.config.dedup_window.as_millis()).unwrap();
        let mut raw = raw(&self.config).await;
        for bucket in 0..16 {
            let key = format!("{}seen-since:{{{bucket}}}", self.config.prefix);
            let value: String = cmd("GET").arg(&key).query_async(&mut raw).await.unwrap();
            let (run, since) = value.split_once('/').unwrap();
            let earlier = since.parse::<i64>().unwrap() - window;
            cmd("SET").arg(key).arg(format!("{run}/{earlier}")).exec_async(&mut raw).await.unwrap();
        }
        self.stored.asked();
    }

    fn mark_key(&self, n: u128) -> Vec<u8> {
        let mut key = format!("{}seen:{{{}}}:p/", self.config.prefix, n % 16).into_bytes();
        key.extend_from_slice(event_id(n).as_uuid().as_bytes());
        key
    }

    async fn mark(&self, n: u128) -> String {
        cmd("GET").arg(self.mark_key(n)).query_async(&mut raw(&self.config).await).await.unwrap()
    }
}

/// An event of now.
fn claim(event: u128, partition: u32, offset: u64) -> Claim {
    Claim {
        project_id: project("p"),
        event_id: event_id(event),
        session_id: Some(session_id("s")),
        timestamp: SystemClock.now(),
        position: LogPosition { log: shared(LOG), partition, offset },
    }
}

fn batch(events: std::ops::Range<u64>, partition: u32) -> Vec<Claim> {
    events.map(|n| claim(u128::from(n), partition, n)).collect()
}

fn of(verdict: ClaimVerdict, claims: &[Claim]) -> Vec<ClaimVerdict> {
    vec![verdict; claims.len()]
}

#[tokio::test]
async fn large_batches_keep_their_order() {
    let fixture = Fixture::new(shared_config());
    let mine = batch(0..40_000, 0);
    let (first, rest) = mine.split_at(30_001);
    assert_eq!(fixture.verdicts(first).await, of(NEW, first));
    let wanted = [of(DUPLICATE, first), of(NEW, rest)].concat();
    assert_eq!(fixture.verdicts(&batch(0..40_000, 1)).await, wanted);
    assert_eq!(fixture.verdicts(&mine).await, [of(NEW, first), of(DUPLICATE, rest)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processors_that_claim_at_once_one_gets_each_event() {
    let fixture = Fixture::new(shared_config());
    let claimants = (0..4).map(|partition| {
        let deduplicator =
            RedisDeduplicator::new(Redis::new(&fixture.config).unwrap(), fixture.stored.clone());
        tokio::spawn(async move { deduplicator.claim(&batch(0..5_000, partition)).await.unwrap() })
    });
    let mut granted = vec![0; 5_000];
    for claimant in claimants.collect::<Vec<_>>() {
        for (granted, verdict) in granted.iter_mut().zip(claimant.await.unwrap()) {
            *granted += usize::from(verdict == NEW);
        }
    }
    assert!(granted.iter().all(|&times| times == 1));
}

#[tokio::test]
async fn whoever_takes_over_a_partition_gets_what_was_claimed_and_not_stored() {
    let fixture = Fixture::new(shared_config());
    let claims = batch(0..100, 0);
    fixture.verdicts(&claims).await;
    let heir = RedisDeduplicator::new(Redis::new(&fixture.config).unwrap(), fixture.stored.clone());
    assert_eq!(heir.claim(&claims).await.unwrap(), of(NEW, &claims));
    assert_eq!(heir.claim(&batch(0..100, 1)).await.unwrap(), of(DUPLICATE, &claims));
}

#[tokio::test]
async fn marks_live_for_the_window_after_they_were_asked_for() {
    let config = RedisConfig { dedup_window: Duration::from_hours(3), ..shared_config() };
    let fixture = Fixture::new(config);
    fixture.verdicts(&batch(0..1, 0)).await;
    let key = fixture.mark_key(0);
    let mut raw = raw(&fixture.config).await;
    for partition in [0, 1] {
        cmd("PEXPIRE").arg(&key).arg(60_000).exec_async(&mut raw).await.unwrap();
        fixture.verdicts(&batch(0..1, partition)).await;
        let life: i64 = cmd("PTTL").arg(&key).query_async(&mut raw).await.unwrap();
        assert!(life > 2 * HOUR_MS && life <= 3 * HOUR_MS, "{life}");
    }
}

#[tokio::test]
async fn young_marks_are_checked_with_what_is_stored_in_one_call() {
    let fixture = Fixture::new(shared_config());
    // Stored before the marks began.
    fixture.stored.store(&batch(0..10, 0));
    let late = batch(0..3_000, 1);
    let wanted = [of(DUPLICATE, &late[..10]), of(NEW, &late[10..])].concat();
    assert_eq!(fixture.verdicts(&late).await, wanted);
    assert_eq!(fixture.stored.asked(), [3_000]);
    assert_eq!(fixture.mark(3).await, "=gosight.events.raw/0/3", "set right");
    assert_eq!(fixture.mark(10).await, "?gosight.events.raw/1/10", "nobody knows better yet");
    // What is stored keeps its own position, and once the mark is right nobody is asked.
    assert_eq!(fixture.verdicts(&batch(0..10, 0)).await, of(NEW, &late[..10]));
    assert_eq!(fixture.verdicts(&batch(0..10, 2)).await, of(DUPLICATE, &late[..10]));
    assert_eq!(fixture.stored.asked(), Vec::<usize>::new());
}

#[tokio::test]
async fn complete_marks_are_believed() {
    let fixture = Fixture::new(shared_config());
    fixture.complete().await;
    let claims = batch(0..1_000, 0);
    assert_eq!(fixture.verdicts(&claims).await, of(NEW, &claims));
    assert_eq!(fixture.verdicts(&claims).await, of(NEW, &claims));
    assert_eq!(fixture.verdicts(&batch(0..1_000, 1)).await, of(DUPLICATE, &claims));
    assert_eq!(fixture.stored.asked(), Vec::<usize>::new());
    assert_eq!(fixture.mark(7).await, "=gosight.events.raw/0/7");
}

#[tokio::test]
async fn marks_from_doubtful_days_stay_doubtful() {
    let fixture = Fixture::new(shared_config());
    // Claimed while the marks were young; its batch was stored by another record before the loss.
    let lost = claim(1, 0, 0);
    fixture.verdicts(&[claim(1, 1, 5)]).await;
    fixture.stored.store(std::slice::from_ref(&lost));
    fixture.complete().await;
    assert_eq!(fixture.verdicts(&[claim(1, 1, 5), claim(1, 2, 0), lost]).await, [DUPLICATE, DUPLICATE, NEW]);
    assert_eq!(fixture.stored.asked(), [3]);
}

#[tokio::test]
async fn events_older_than_marks_live_are_looked_for_among_the_stored() {
    let config = RedisConfig { dedup_window: Duration::from_hours(48), ..shared_config() };
    let fixture = Fixture::new(config);
    fixture.complete().await;
    let aged = |age_ms: i64, claim: Claim| Claim { timestamp: claim.timestamp.plus_millis(-age_ms), ..claim };
    let (old, young) = (aged(47 * HOUR_MS + 1, claim(1, 0, 0)), aged(46 * HOUR_MS, claim(2, 0, 1)));
    fixture.stored.store(&[old.clone(), aged(20 * DAY_MS, claim(3, 0, 2))]);
    let again = [aged(47 * HOUR_MS + 1, claim(1, 1, 0)), young, aged(20 * DAY_MS, claim(3, 1, 1))];
    assert_eq!(fixture.verdicts(&again).await, [DUPLICATE, NEW, DUPLICATE]);
    assert_eq!(fixture.stored.asked(), [2]);
    assert_eq!(fixture.verdicts(&[old]).await, [NEW]);
}

#[tokio::test]
async fn while_the_stored_events_are_away_nothing_doubtful_is_granted() {
    let fixture = Fixture::new(shared_config());
    let claims = batch(0..10, 0);
    fixture.stored.store(&claims);
    fixture.stored.is_away.store(true, Ordering::Relaxed);
    passing(fixture.deduplicator.claim(&batch(0..10, 1)).await);
    passing(fixture.deduplicator.claim(&batch(0..10, 1)).await);
    fixture.stored.is_away.store(false, Ordering::Relaxed);
    assert_eq!(fixture.verdicts(&batch(0..10, 1)).await, of(DUPLICATE, &claims));
    assert_eq!(fixture.verdicts(&claims).await, of(NEW, &claims));
}

#[tokio::test]
async fn after_a_flush_stored_events_are_still_known() {
    let server = Server::forgetful();
    let fixture = Fixture::new(server.config());
    fixture.complete().await;
    let claims = batch(0..100, 0);
    fixture.verdicts(&claims).await;
    fixture.stored.store(&claims[..60]);
    server.command("FLUSHALL").await;
    let again = batch(0..100, 1);
    let wanted = [of(DUPLICATE, &again[..60]), of(NEW, &again[60..])].concat();
    assert_eq!(fixture.verdicts(&again).await, wanted);
    assert_eq!(fixture.stored.asked(), [100]);
}

/// A server that reads its marks from disk may have lost the last of them, and does not know.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_marks_are_checked_though_most_are_there() {
    let server = Server::with(&[]);
    let fixture = Fixture::new(server.config());
    fixture.complete().await;
    let claims = batch(0..100, 0);
    fixture.verdicts(&claims).await;
    fixture.stored.store(&claims);
    server.kill();
    server.start_again();
    until("the connections are new", async || fixture.deduplicator.claim(&batch(500..501, 0)).await.is_ok())
        .await;
    cmd("DEL").arg(fixture.mark_key(50)).exec_async(&mut raw(&fixture.config).await).await.unwrap();
    assert_eq!(fixture.verdicts(&batch(0..100, 1)).await, of(DUPLICATE, &claims));
    assert!(!fixture.stored.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_evicts_marks_is_refused() {
    let server = Server::with(&[("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")]);
    let fixture = Fixture::new(server.config());
    let error = fixture.deduplicator.claim(&batch(0..1, 0)).await.unwrap_err();
    assert!(matches!(error, PortError::Fatal { .. }) && error.to_string().contains("noeviction"), "{error}");
    server.command("CONFIG SET maxmemory-policy noeviction").await;
    assert_eq!(fixture.verdicts(&batch(0..1, 0)).await, [NEW]);
}

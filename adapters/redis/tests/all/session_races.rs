//! Saves that break off, and saves that race: whatever is loaded is what was right at that offset.

use gosight_application::ports::{LogPosition, PortError, SessionCache};
use gosight_conformance::factory::{LOG, event, fold, project, session_id, shared};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::session::SessionKey;
use gosight_domain::{Event, Session};
use gosight_redis::{Redis, RedisConfig, RedisSessionCache};

use crate::harness::{Proxy, Server, passing, shared_redis, soon, span};

/// Sessions of the partition: enough for three script calls.
const SESSIONS: u64 = 2_500;
/// Records of a batch at least.
const STEP: u64 = 10;

/// Session `n` as it is after `offset` records. It changes with every third step, each at another one, and its only
/// event is at the offset of its last change.
fn truth(n: u64, offset: u64) -> Option<Session> {
    let changes = |step: &u64| (step + n).is_multiple_of(3);
    let last = (0..=offset / STEP).rev().find(changes)? * STEP;
    let name = session_id(&format!("s{n}"));
    Some(fold(&[Event { session_id: Some(name), ..event(1, "page_view", i64::try_from(last).unwrap()) }]))
}

/// What a batch changes.
fn changed(first: u64, next: u64) -> Vec<Session> {
    (0..SESSIONS).filter(|&n| truth(n, first) != truth(n, next)).filter_map(|n| truth(n, next)).collect()
}

async fn save(cache: &RedisSessionCache, span: &BatchSpan, folds: &[Session]) -> Result<(), PortError> {
    let folds: Vec<&Session> = folds.iter().collect();
    cache.save(span, &folds).await
}

async fn load(cache: &RedisSessionCache, offset: u64) -> Vec<Option<Session>> {
    let key = |n| SessionKey { project_id: project("p"), session_id: session_id(&format!("s{n}")) };
    let all: Vec<SessionKey> = (0..SESSIONS).map(key).collect();
    let at = LogPosition { log: shared(LOG), partition: 0, offset };
    soon(cache.load(&at, &all)).await.unwrap()
}

/// Fails when the cache says anything that was not so after `offset` records. Gives the number of known sessions.
async fn check(cache: &RedisSessionCache, offset: u64) -> usize {
    let loaded = load(cache, offset).await;
    for (n, session) in (0..).zip(&loaded) {
        assert!(session.is_none() || *session == truth(n, offset), "session {n} at {offset}: {session:?}");
    }
    loaded.iter().flatten().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_breaks_off_leaves_nothing_wrong() {
    let server = Server::forgetful();
    let proxy = Proxy::to(server.instance().address()).await;
    let config = RedisConfig { url: proxy.url(), ..server.config() };
    let (broken, whole) =
        (RedisSessionCache::new(Redis::new(&config).unwrap()), RedisSessionCache::new(server.redis()));
    let all = changed(0, 4 * STEP).len();
    let (mut old_ones, mut new_ones, mut neither) = (0, 0, 0);
    for bytes in (0..12).map(|n| n * 250_000) {
        save(&whole, &span(0, STEP), &changed(0, STEP)).await.unwrap();
        let known = check(&whole, STEP).await;
        proxy.break_after(bytes);
        let result = soon(save(&broken, &span(STEP, 4 * STEP), &changed(STEP, 4 * STEP))).await;
        proxy.mend();
        let (old, new) = (check(&whole, STEP).await, check(&whole, 4 * STEP).await);
        match (old, new) {
            (0, new) if new > 0 => {
                assert_eq!(new, all);
                new_ones += 1;
            }
            (old, 0) if old > 0 => {
                assert_eq!(old, known);
                old_ones += 1;
            }
            (0, 0) => neither += 1,
            both => panic!("two truths at once: {both:?}"),
        }
        if new == 0 {
            passing(result);
        }
        // Whoever goes on from there does not bring to life what the broken save left behind.
        save(&whole, &span(4 * STEP, 5 * STEP), &changed(4 * STEP, 5 * STEP)).await.unwrap();
        check(&whole, 5 * STEP).await;
    }
    assert!(
        old_ones > 0 && neither > 0 && new_ones > 0,
        "{old_ones} before, {neither} within, {new_ones} after"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_that_another_overtakes_ends_without_effect() {
    let server = Server::forgetful();
    let proxy = Proxy::to(server.instance().address()).await;
    let config = RedisConfig { url: proxy.url(), ..server.config() };
    let slow = RedisSessionCache::new(Redis::new(&config).unwrap());
    let quick = RedisSessionCache::new(server.redis());
    save(&quick, &span(0, STEP), &changed(0, STEP)).await.unwrap();
    proxy.hold_after(1_500_000);
    let saving =
        tokio::spawn(async move { save(&slow, &span(STEP, 4 * STEP), &changed(STEP, 4 * STEP)).await });
    soon(proxy.holds()).await;
    save(&quick, &span(STEP, 2 * STEP), &changed(STEP, 2 * STEP)).await.unwrap();
    proxy.mend();
    soon(saving).await.unwrap().unwrap();
    assert_eq!(check(&quick, 4 * STEP).await, 0);
    assert_eq!(check(&quick, 2 * STEP).await, changed(STEP, 2 * STEP).len());
    save(&quick, &span(2 * STEP, 3 * STEP), &changed(2 * STEP, 3 * STEP)).await.unwrap();
    assert!(check(&quick, 3 * STEP).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_leaves_nothing_wrong() {
    let server = Server::with(&[("appendonly", "no"), ("maxmemory-policy", "noeviction")]);
    let cache = RedisSessionCache::new(server.redis());
    save(&cache, &span(0, STEP), &changed(0, STEP)).await.unwrap();
    let known = check(&cache, STEP).await;
    server.command("CONFIG SET maxmemory 1").await;
    passing(save(&cache, &span(STEP, 2 * STEP), &changed(STEP, 2 * STEP)).await);
    assert_eq!((check(&cache, STEP).await, check(&cache, 2 * STEP).await), (known, 0));
    server.command("CONFIG SET maxmemory 0").await;
    save(&cache, &span(2 * STEP, 3 * STEP), &changed(2 * STEP, 3 * STEP)).await.unwrap();
    assert_eq!(check(&cache, 3 * STEP).await, changed(2 * STEP, 3 * STEP).len());
}

/// Two processors that both think the partition is theirs, with batches cut differently, and a reader.
#[tokio::test(flavor = "multi_thread")]
async fn two_processors_of_one_partition_make_nothing_wrong() {
    const STEPS: u64 = 24;
    let cache = RedisSessionCache::new(shared_redis());
    let process = |steps: u64| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for first in (0..STEPS).step_by(usize::try_from(steps).unwrap()) {
                let (first, next) = (first * STEP, (first + steps) * STEP);
                save(&cache, &span(first, next), &changed(first, next)).await.unwrap();
                check(&cache, next).await;
            }
        })
    };
    let processors = [process(1), process(2), process(3)];
    while processors.iter().any(|processor| !processor.is_finished()) {
        for step in 0..=STEPS {
            check(&cache, step * STEP).await;
        }
    }
    for processor in processors {
        processor.await.unwrap();
    }
    let end = STEPS * STEP;
    save(&cache, &span(end, end + STEP), &changed(end, end + STEP)).await.unwrap();
    assert!(check(&cache, end + STEP).await > 0);
}
